package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"ioc.local/ingest/event"
	"ioc.local/internal/broker/kafkatest"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/engine"
)

// The benchmarks of ingestion are for `make bench-ingest`; without these variables they are a smoke test.
//
//	TEST_BENCH_EVENTS      events in the topic, 100,000 by default
//	TEST_BENCH_ROUNDS      rounds, 1 by default; each contender runs once in each
//	TEST_BENCH_PARTITIONS  partitions of the topic, 4 by default
//	TEST_BENCH_FLAGS       flags for `ioc serve`, such as "--ingest.max_rows 65536"
//	TEST_KAFKA_HOME        Apache Kafka; without it only the embedded broker is used
const (
	smokeEvents     = 100_000
	benchPartitions = 4
)

// track is what contenders run on: one engine, and one broker with the same events for all.
type track struct {
	engine     *engine.Engine
	broker     string
	brokerPID  int
	data       *reference.Data
	events     *attempts
	n          int
	partitions int
	races      int
	checksum   uint64 // of the rows, the same for every contender
}

// result is what one run came to.
type result struct {
	rate, steady              float64 // events a second
	ingest, engine, brokerCPU float64 // processor seconds for a million events
	rows                      float64 // of an insert
	memory                    float64 // MB
}

// cpu is what ingestion costs, whichever process does the work.
func (r result) cpu() float64 { return r.ingest + r.engine }

// BenchmarkIngest compares ingestion with ClickHouse's own, its Kafka table engine, and with bare inserts, round by round
// on the same events, tables and rollups. See docs/explanation/performance.md.
func BenchmarkIngest(b *testing.B) {
	b.Run("embedded", func(b *testing.B) { benchmarkIngest(b, "the embedded broker", startBroker) })
	b.Run("kafka", func(b *testing.B) {
		if os.Getenv(kafkatest.HomeEnv) == "" {
			b.Skipf("%s is not set", kafkatest.HomeEnv)
		}
		benchmarkIngest(b, "Apache Kafka", startKafka)
	})
}

func benchmarkIngest(b *testing.B, what string, start func(*testing.B, int) (string, int)) {
	t := newTrack(b, start)
	ioc := pipeline(strings.Fields(os.Getenv("TEST_BENCH_FLAGS"))...)
	best, usual := kafkaEngine(rawBlob(tuned())), kafkaEngine(jsonEachRow(tuned()))
	var results map[string][]result
	var batches []*event.Batch
	size := 0
	var columns []driverBlock // of the batches
	bare := insertLimit("bare insert", &batches, func(ctx context.Context, client *warehouse.Client, i int, token string) error {
		block := batches[i].Blocks()[0]
		return client.Insert(ctx, block.Table, block.Input(), token)
	})
	driver := insertLimit("bare insert by clickhouse-go", &batches, func(ctx context.Context, client *warehouse.Client, i int, token string) error {
		return columns[i].insert(ctx, client, batches[i].Blocks()[0].Table, token)
	})
	for range b.N {
		results = map[string][]result{}
		rounds := envInt(b, "TEST_BENCH_ROUNDS", 1)
		for round := range rounds {
			order := []contender{ioc, best, usual, driver, bare}
			for i := range order {
				// Each is first and last in turn. Bare inserts want to know the size of blocks, so they are not first in the
				// first round.
				c := order[(i+round)%len(order)]
				if c.name == driver.name || c.name == bare.name {
					ranges := results[ioc.name][0].rows
					if want := int(ranges); size != want {
						batches, size = t.events.decode(b, t.data, t.n, t.partitions, want), want
						columns = driverBlocks(b, batches)
					}
				}
				got := t.run(b, c)
				b.Logf("round %d, %s: %+v", round+1, c.name, got)
				results[c.name] = append(results[c.name], got)
			}
		}
		printReport(b, what, t.n, []contender{ioc, best, usual, driver, bare}, results)
	}
	ours, theirs := results[ioc.name], results[best.name]
	b.ReportMetric(median(ours, func(r result) float64 { return r.steady }), "events/s")
	b.ReportMetric(median(ours, result.cpu), "cpu-s/M")
	b.ReportMetric(ratio(ours, theirs, func(r result) float64 { return r.steady })[0], "x-events/s")
	b.ReportMetric(ratio(ours, theirs, result.cpu)[0], "x-cpu")
}

func newTrack(b *testing.B, start func(*testing.B, int) (string, int)) *track {
	b.Helper()
	data, err := reference.Load(reference.Options{})
	if err != nil {
		b.Fatal(err)
	}
	t := &track{
		data: data, events: newAttempts(b, data),
		n: envInt(b, "TEST_BENCH_EVENTS", smokeEvents), partitions: envInt(b, "TEST_BENCH_PARTITIONS", benchPartitions),
	}
	t.broker, t.brokerPID = start(b, t.partitions)
	t.engine = startEngine(b)
	t.events.produce(b, t.broker, t.n)
	return t
}

// run lets a contender ingest all events into a fresh database.
func (t *track) run(b *testing.B, c contender) result {
	b.Helper()
	t.races++
	r := &race{B: b, track: t, database: fmt.Sprintf("bench_%d", t.races), group: fmt.Sprintf("bench-%d-%d", t.races, time.Now().UnixNano())}
	server := (&race{B: b, track: t}).open()
	defer func() { _ = server.Close() }()
	if err := server.Conn().Exec(b.Context(), "CREATE DATABASE "+r.database); err != nil {
		b.Fatal(err)
	}
	// It stays until the end of the benchmark: ext4 searches long for a new file's number after many files were removed,
	// and the next contender would pay for it.
	r.client = r.open()
	defer func() { _ = r.client.Close() }()
	if err := warehouse.Migrate(b.Context(), r.client); err != nil {
		b.Fatal(err)
	}
	r.merges()

	engineCPU, brokerCPU, started := cpuSeconds(b, t.engine.PID()), cpuSeconds(b, t.brokerPID), time.Now()
	at := c.start(r)
	rate, steady := r.watch(started)
	result := result{rate: rate, steady: steady, ingest: at.cpu(), brokerCPU: cpuSeconds(b, t.brokerPID) - brokerCPU}
	result.rows, result.memory = at.end()
	r.merges()
	result.engine = cpuSeconds(b, t.engine.PID()) - engineCPU
	for _, cpu := range []*float64{&result.ingest, &result.engine, &result.brokerCPU} {
		*cpu /= float64(t.n) / 1e6
	}
	checksum := r.exact(t.n)
	if t.checksum == 0 {
		t.checksum = checksum
	}
	if checksum != t.checksum {
		b.Fatalf("%s made other rows than the contenders before", c.name)
	}
	return result
}

const (
	watchEvery   = 50 * time.Millisecond
	watchTimeout = 15 * time.Minute
)

// watch waits until all events are in the raw table and its rollups, and gives events a second: of the whole run, and
// from the moment when a tenth of the rows was there.
func (r *race) watch(started time.Time) (whole, steady float64) {
	r.Helper()
	var from time.Time
	var had uint64
	for {
		rows := r.count("SELECT count() FROM auth_attempts")
		now := time.Now()
		if from.IsZero() && rows >= uint64(r.n)/10 {
			from, had = now, rows
		}
		if rows >= uint64(r.n) && r.count("SELECT toUInt64(sum(n)) FROM source_activity WHERE topic = ''") >= uint64(r.n) {
			now = time.Now()
			whole = float64(r.n) / now.Sub(started).Seconds()
			if had >= uint64(r.n) {
				return whole, whole // a single insert
			}
			return whole, float64(uint64(r.n)-had) / now.Sub(from).Seconds()
		}
		if now.Sub(started) > watchTimeout {
			r.Fatalf("only %d of %d events after %s", rows, r.n, watchTimeout)
		}
		time.Sleep(watchEvery)
	}
}

// printReport prints the medians and the ratios of runs of the same round, in Markdown.
func printReport(b *testing.B, what string, n int, contenders []contender, results map[string][]result) {
	b.Helper()
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	ioc := results[contenders[0].name]
	line("\n%s, %d events, medians of %d rounds, %s (%s):\n", what, n, len(ioc), time.Now().Format(time.DateOnly), machine())
	line("| | events/s | steady | CPU s/M: ingest process | engine | broker | rows an insert | peak memory, MB |")
	line("| --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, c := range contenders {
		of := results[c.name]
		m := func(get func(result) float64) float64 { return median(of, get) }
		line("| %s | %.0f | %.0f | %.2f | %.2f | %.2f | %.0f | %.0f |", c.name, m(func(r result) float64 { return r.rate }), m(func(r result) float64 { return r.steady }),
			m(func(r result) float64 { return r.ingest }), m(func(r result) float64 { return r.engine }), m(func(r result) float64 { return r.brokerCPU }),
			m(func(r result) float64 { return r.rows }), m(func(r result) float64 { return r.memory }))
	}
	line("\n| ratio of runs of the same round: median (least to most) | events/s | steady | CPU, ingest process and engine |")
	line("| --- | --- | --- | --- |")
	for _, c := range contenders[1:] {
		cells := []string{"ioc to " + c.name}
		for _, get := range []func(result) float64{func(r result) float64 { return r.rate }, func(r result) float64 { return r.steady }, result.cpu} {
			x := ratio(ioc, results[c.name], get)
			cells = append(cells, fmt.Sprintf("%.2f (%.2f to %.2f)", x[0], x[1], x[2]))
		}
		line("| %s |", strings.Join(cells, " | "))
	}
	fmt.Println(text.String())
}

func median(results []result, get func(result) float64) float64 {
	var values []float64
	for _, r := range results {
		values = append(values, get(r))
	}
	return middle(values)
}

func middle(values []float64) float64 {
	slices.Sort(values)
	half := len(values) / 2
	if len(values)%2 == 1 {
		return values[half]
	}
	return (values[half-1] + values[half]) / 2
}

// ratio is the median, the least and the most of what ours is to theirs, round by round.
func ratio(ours, theirs []result, get func(result) float64) [3]float64 {
	values := make([]float64, min(len(ours), len(theirs)))
	for i := range values {
		if values[i] = get(ours[i]) / get(theirs[i]); math.IsNaN(values[i]) {
			values[i] = 0
		}
	}
	return [3]float64{middle(values), slices.Min(values), slices.Max(values)}
}
