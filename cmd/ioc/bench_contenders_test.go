package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"ioc.local/ingest/event"
	"ioc.local/internal/produce"
	"ioc.local/internal/warehouse"
)

// contender is a way to bring the events into the table auth_attempts and its rollups.
type contender struct {
	name  string
	start func(r *race) running
}

// running is a contender at work.
type running struct {
	// cpu is the processor time of the contender's own process so far, without engine and broker.
	cpu func() float64
	// end stops the contender. It tells how many rows an insert had on average and how much memory its process took at
	// most, in MB, where that is known.
	end func() (rows, memory float64)
}

// pipeline is ingestion of ioc as a process of its own, with everything on.
func pipeline(extra ...string) contender {
	return contender{"ioc", func(r *race) running {
		internal := freeAddress(r)
		args := append([]string{"serve", "--roles", "ingest", "--kafka.brokers", r.broker, "--kafka.group", r.group, "--clickhouse.addr", r.engine.Addr(),
			"--clickhouse.database", r.database, "--internal.listen", internal, "--log.level", "error"}, extra...)
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), runEnv+"=1", "IOC_CLICKHOUSE_PASSWORD="+r.engine.Password())
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			r.Fatal(err)
		}
		r.Cleanup(func() { _ = cmd.Process.Kill() }) // where the benchmark fails before its end
		return running{
			cpu: func() float64 { return cpuSeconds(r, cmd.Process.Pid) },
			end: func() (rows, memory float64) {
				rows, memory = rangeEvents(r, internal), peakMemory(r, cmd.Process.Pid)
				_ = cmd.Process.Signal(syscall.SIGTERM)
				if err := cmd.Wait(); err != nil {
					r.Errorf("ioc did not stop cleanly: %v", err)
				}
				return rows, memory
			},
		}
	}}
}

// rangeEvents is the mean size of the ranges that an ingest process committed. Rows are there a moment before the range is
// committed, so it waits for the first.
func rangeEvents(tb testing.TB, internal string) float64 {
	tb.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(watchEvery) {
		answer, err := http.Get("http://" + internal + "/metrics")
		if err != nil {
			tb.Fatal(err)
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(answer.Body)
		_ = answer.Body.Close()
		if err != nil {
			tb.Fatal(err)
		}
		ranges := families["ioc_ingest_range_events"].GetMetric()[0].GetHistogram()
		if n := ranges.GetSampleCount(); n > 0 {
			return ranges.GetSampleSum() / float64(n)
		}
	}
	tb.Fatal("no range was committed")
	return 0
}

// insertLimit inserts the same rows, decoded before, by two connections, with the settings of ingestion.
func insertLimit(name string, decoded *[]*event.Batch, insert inserter) contender {
	return contender{name, func(r *race) running {
		batches := *decoded
		before, inserted := ownCPU(r), len(batches)
		rows := 0
		for _, batch := range batches {
			rows += batch.Rows()
		}
		client := r.open()
		var work sync.WaitGroup
		next := make(chan int, len(batches))
		for i := range batches {
			next <- i
		}
		close(next)
		for range 2 {
			work.Go(func() {
				for i := range next {
					if err := insert(context.Background(), client, i, fmt.Sprintf("%s-%d", r.group, i)); err != nil {
						r.Error(err)
						return
					}
				}
			})
		}
		return running{
			cpu: func() float64 { return ownCPU(r) - before },
			end: func() (float64, float64) {
				work.Wait()
				_ = client.Close()
				return float64(rows) / float64(inserted), 0
			},
		}
	}}
}

// inserter sends the block of a batch under a token.
type inserter func(ctx context.Context, client *warehouse.Client, batch int, token string) error

// kafkaForm is one way to use ClickHouse's Kafka table engine.
type kafkaForm struct {
	name string
	// columns are those of the Kafka table, and query is what the materialized view selects from it.
	columns, query string
	// settings are those of the Kafka table.
	settings map[string]string
}

// The members of data that the simulated authentications have. Every text that the table keeps as LowCardinality is
// read as one, enumerations as such, and the means of authentication as the bits that they become: what is not read as
// its final type costs a conversion more.
const attemptData = `Tuple(province_code LowCardinality(String), admin_scheme Enum8('none' = 0, 'gso63' = 1, 'gso34' = 2), relying_party LowCardinality(String), ` +
	`assurance_level UInt8, auth_method Array(Enum16('password' = 1, 'pin' = 2, 'barcode_qr' = 4, 'device' = 8, 'otp' = 16, 'crypto_device' = 32, 'id_card_chip' = 64, ` +
	`'passport' = 128, 'face' = 256, 'fingerprint' = 512, 'voice' = 1024, 'iris' = 2048)), outcome Enum8('none' = 0, 'success' = 1, 'wrong_credential' = 2, 'expired' = 3, ` +
	`'locked' = 4, 'no_match' = 5, 'level_too_low' = 6, 'user_cancelled' = 7, 'timeout' = 8, 'system_error' = 9), latency_ms Int32)`

const attemptEvent = `id String, source LowCardinality(String), type LowCardinality(String), time DateTime64(3, 'Asia/Ho_Chi_Minh'), subject String, data ` + attemptData

// attemptRow makes the row of auth_attempts of what was read as attemptEvent. The simulated events name provinces by the
// 34-scheme or not at all, so that their place in the other scheme needs no table.
func attemptRow(event, from string) string {
	row := `SELECT E.time AS occurred_at, E.subject AS subject, substring(E.type, 9, length(E.type) - 11) AS type, E.source AS source, E.id AS event_id,
		E.data.province_code AS province_code, E.data.admin_scheme AS admin_scheme, E.data.province_code AS province,
		if(E.data.province_code = '', '', concat('gso34:', E.data.province_code)) AS province63, E.data.relying_party AS relying_party,
		E.data.assurance_level AS assurance_level, arraySum(CAST(E.data.auth_method, 'Array(UInt16)')) AS auth_methods, E.data.outcome AS outcome,
		E.data.latency_ms AS latency_ms, now64(3) AS received_at, _timestamp_ms AS record_time, _topic AS topic, _partition AS partition, _offset AS offset `
	return strings.ReplaceAll(row, "E.", event) + from
}

// rawBlob is the best form of the Kafka engine that we found: the engine takes a message as one text, and the view reads
// it in one go as a typed tuple.
func rawBlob(settings map[string]string) kafkaForm {
	tuple := strings.ReplaceAll("Tuple("+attemptEvent+")", "'", `\'`)
	return rawBlobAs("Kafka engine, RawBLOB", "JSONExtract(raw, '"+tuple+"')", settings)
}

// rawBlobAs reads the text in another way: as is an expression for a tuple of the members of attemptEvent.
func rawBlobAs(name, as string, settings map[string]string) kafkaForm {
	return kafkaForm{
		name: name, columns: "raw String", settings: withSettings(settings, map[string]string{"kafka_format": "'RawBLOB'"}),
		query: attemptRow("e.", "FROM (SELECT "+as+" AS e, _timestamp_ms, _topic, _partition, _offset FROM kafka)"),
	}
}

// jsonEachRow is its usual form: the engine reads each message into columns.
func jsonEachRow(settings map[string]string) kafkaForm {
	return kafkaForm{
		name: "Kafka engine, JSONEachRow", columns: attemptEvent, query: attemptRow("", "FROM kafka"),
		settings: withSettings(settings, map[string]string{"kafka_format": "'JSONEachRow'", "date_time_input_format": "'best_effort'", "input_format_skip_unknown_fields": "1"}),
	}
}

// tuned are the options with which the Kafka engine does best here; see docs/explanation/performance.md.
func tuned() map[string]string {
	return map[string]string{
		"kafka_num_consumers": "1", "kafka_thread_per_consumer": "1", "kafka_max_block_size": "524288", "kafka_poll_max_batch_size": "65536",
		"kafka_poll_timeout_ms": "50", "kafka_flush_interval_ms": "15000",
	}
}

// withSettings gives the first settings changed by the others; an empty value takes one away.
func withSettings(settings ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, some := range settings {
		for name, value := range some {
			if all[name] = value; value == "" {
				delete(all, name)
			}
		}
	}
	return all
}

// kafkaEngine lets ClickHouse's Kafka table engine do the work, inside the engine.
func kafkaEngine(form kafkaForm) contender {
	return contender{form.name, func(r *race) running {
		settings := withSettings(form.settings, map[string]string{
			"kafka_broker_list": "'" + r.broker + "'", "kafka_topic_list": "'" + produce.TopicAuthentication + "'", "kafka_group_name": "'" + r.group + "'",
		})
		var list []string
		for name, value := range settings {
			list = append(list, name+" = "+value)
		}
		slices.Sort(list)
		r.exec("CREATE TABLE kafka (" + form.columns + ") ENGINE = Kafka SETTINGS " + strings.Join(list, ", "))
		r.exec("CREATE MATERIALIZED VIEW kafka_mv TO auth_attempts AS " + form.query)
		return running{
			cpu: func() float64 { return 0 },
			end: func() (float64, float64) {
				r.exec("DROP VIEW kafka_mv SYNC")
				r.exec("DROP TABLE kafka SYNC")
				return r.rowsPerPart(), 0
			},
		}
	}}
}

// race is one run of one contender: a fresh database, and a consumer group that nobody used.
type race struct {
	*testing.B
	*track
	client          *warehouse.Client
	database, group string
}

func (r *race) exec(statement string) {
	r.Helper()
	if err := r.client.Conn().Exec(context.Background(), statement); err != nil {
		r.Fatalf("%v\n%s", err, statement)
	}
}

// count is the answer to a query for one number; 0 when there is none.
func (r *race) count(query string) uint64 {
	r.Helper()
	var n uint64
	if err := r.client.Conn().QueryRow(context.Background(), query).Scan(&n); err != nil {
		r.Fatalf("%v\n%s", err, query)
	}
	return n
}

// rowsPerPart is how many rows the parts had that were inserted into the raw table. Merged ones are still there, inactive.
func (r *race) rowsPerPart() float64 {
	r.Helper()
	parts := r.count("SELECT count() FROM system.parts WHERE database = '" + r.database + "' AND table = 'auth_attempts' AND level = 0")
	rows := r.count("SELECT sum(rows) FROM system.parts WHERE database = '" + r.database + "' AND table = 'auth_attempts' AND level = 0")
	return float64(rows) / float64(max(parts, 1))
}

func (r *race) open() *warehouse.Client {
	r.Helper()
	return openEngine(r, r.engine, r.database)
}

// exact fails unless every event is there once, in the raw table and in each rollup, and the rows are those that every
// contender makes: of received_at and where it stood in the log they may differ. It returns a checksum of them.
func (r *race) exact(n int) uint64 {
	r.Helper()
	for what, query := range map[string]string{
		"events":              "SELECT count() FROM auth_attempts",
		"different events":    "SELECT uniqExact(source, event_id) FROM auth_attempts",
		"events by minute":    "SELECT toUInt64(sum(n)) FROM auth_minutes WHERE topic = ''",
		"events by day":       "SELECT toUInt64(sum(n)) FROM auth_days WHERE topic = ''",
		"events by source":    "SELECT toUInt64(sum(n)) FROM source_activity WHERE topic = ''",
		"events below offset": "SELECT toUInt64(sum(position)) FROM (SELECT max(position) AS position FROM auth_minutes WHERE topic != '' GROUP BY topic, partition)",
	} {
		if got := r.count(query); got != uint64(n) {
			r.Fatalf("%d %s, want %d", got, what, n)
		}
	}
	return r.count(`SELECT sum(cityHash64(occurred_at, subject, type, source, event_id, province_code, admin_scheme, province, province63, commune_code, agency_code,
		agency_level, service_id, procedure_code, service_level, subject_type, subject_pid, relying_party, assurance_level, auth_methods, outcome, error_code, latency_ms,
		extra, topic)) FROM auth_attempts`)
}

// merges waits until the engine merges nothing more.
func (r *race) merges() {
	r.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for quiet := 0; quiet < 10; time.Sleep(100 * time.Millisecond) {
		if quiet++; r.count("SELECT count() FROM system.merges") > 0 {
			quiet = 0
		}
		if time.Now().After(deadline) {
			r.Fatal("merges do not end")
		}
	}
}
