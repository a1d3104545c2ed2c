package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"ioc.local/ingest/verify"
	"ioc.local/internal/broker/brokertest"
	"ioc.local/internal/broker/kafkatest"
	"ioc.local/internal/produce"
	"ioc.local/internal/reference"
	"ioc.local/internal/simulate"
	"ioc.local/internal/warehouse/enginetest"
)

// runEnv makes the test binary act as ioc itself, so that tests have real processes to kill.
const runEnv = "TEST_RUN_IOC"

func TestMain(m *testing.M) {
	if os.Getenv(runEnv) != "" {
		os.Exit(start(os.Args[1:]))
	}
	enginetest.Main(m)
}

var chaosTopics = map[string]int{
	produce.TopicDossier: 2, produce.TopicAuthentication: 2, produce.TopicData: 1, produce.TopicProgramme: 1, "ioc.dead-letter.v1": 1,
}

// chaos is a pipeline under load whose processes get killed.
type chaos struct {
	*testing.T
	db     *enginetest.DB
	broker string
	data   *reference.Data
	sent   struct{ events, duplicates, broken atomic.Uint64 }
}

func newChaos(t *testing.T, broker string) *chaos {
	t.Helper()
	c := &chaos{T: t, db: enginetest.Start(t), broker: broker}
	var err error
	if c.data, err = reference.Load(reference.Options{}); err != nil {
		t.Fatal(err)
	}
	return c
}

// ingest starts an ingest process of its own and returns a function that ends it with the given signal.
func (c *chaos) ingest() (end func(syscall.Signal)) {
	c.Helper()
	log, err := os.Create(filepath.Join(c.TempDir(), fmt.Sprintf("ingest-%d.log", time.Now().UnixNano())))
	if err != nil {
		c.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "serve", "--roles", "ingest", "--kafka.brokers", c.broker, "--clickhouse.addr", c.db.Engine.Addr(),
		"--clickhouse.database", c.db.Database, "--internal.listen", "127.0.0.1:0", "--ingest.session_timeout", sessionTimeout(c.broker), "--log.format", "json")
	cmd.Env = append(os.Environ(), runEnv+"=1", "IOC_CLICKHOUSE_PASSWORD="+c.db.Engine.Password())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		c.Fatal(err)
	}
	ended := false
	end = func(signal syscall.Signal) {
		if ended {
			return
		}
		ended = true
		if signal == syscall.SIGTERM {
			waitForOutput(c.T, log.Name()) // before that there is nobody to take the signal
		}
		_ = cmd.Process.Signal(signal)
		if err := cmd.Wait(); signal == syscall.SIGTERM && err != nil {
			text, _ := os.ReadFile(log.Name())
			c.Errorf("the ingest process did not stop cleanly: %v\n%s", err, text[max(0, len(text)-4000):])
		}
		_ = log.Close()
	}
	c.Cleanup(func() {
		end(syscall.SIGKILL)
		if c.Failed() {
			text, _ := os.ReadFile(log.Name())
			c.Logf("%s:\n%s", log.Name(), text[max(0, len(text)-4000):])
		}
	})
	return end
}

func waitForOutput(t *testing.T, file string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if info, err := os.Stat(file); err == nil && info.Size() > 0 {
			return
		}
	}
	t.Errorf("the process wrote nothing to %s", file)
}

func sessionTimeout(string) string {
	if os.Getenv("TEST_KAFKA_HOME") != "" {
		return "6s" // Apache Kafka's group.min.session.timeout.ms
	}
	return "1s"
}

// produce sends simulated events at about the given rate until ctx ends, and now and then a copy of an
// event or something that is not one.
func (c *chaos) produce(ctx context.Context, rate int, seed uint64) {
	kafka, err := produce.NewKafka(produce.KafkaConfig{Brokers: []string{c.broker}}, produce.KafkaDeps{Logger: zaptest.NewLogger(c.T)})
	if err != nil {
		c.Error(err)
		return
	}
	defer func() { _ = kafka.Close() }()
	generator, err := simulate.NewGenerator(simulate.Config{Rate: float64(rate), Seed: seed, Start: time.Now().Add(-time.Hour)}, c.data)
	if err != nil {
		c.Error(err)
		return
	}
	random := rand.New(rand.NewPCG(seed, 1))
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		var messages []produce.Message
		for range rate / 20 {
			_, event := generator.Next(nil)
			messages = append(messages, event.Message)
			c.sent.events.Add(1)
			switch random.IntN(400) {
			case 0:
				messages = append(messages, event.Message)
				c.sent.duplicates.Add(1)
			case 1:
				messages = append(messages, produce.Message{Topic: event.Topic, Key: event.Key, Value: []byte("not an event")})
				c.sent.broken.Add(1)
			}
		}
		// Everything is counted as sent, so it has to go out even if the test ends now.
		if err := kafka.Write(context.WithoutCancel(ctx), messages); err != nil {
			c.Errorf("producing: %v", err)
			return
		}
	}
}

const rawRows = "(SELECT topic, partition, offset, source, event_id FROM dossier_events UNION ALL SELECT topic, partition, offset, source, event_id FROM auth_attempts UNION ALL SELECT topic, partition, offset, source, event_id FROM data_queries UNION ALL SELECT topic, partition, offset, source, event_id FROM eid_events UNION ALL SELECT topic, partition, offset, source, event_id FROM register_events)"

// eventually asks until the answer suits; the engine may be down in between.
func (c *chaos) eventually(query string, suits func(uint64) bool) uint64 {
	c.Helper()
	var got uint64
	var err error
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = c.db.Client.Conn().QueryRow(c.Context(), query).Scan(&got); err == nil && suits(got) {
			return got
		}
	}
	c.Fatalf("%s: still %d (%v); sent %d", query, got, err, c.sent.events.Load())
	return 0
}

// execute runs a statement until it succeeds.
func (c *chaos) execute(statement string) {
	c.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = c.db.Client.Conn().Exec(c.Context(), statement); err == nil {
			return
		}
	}
	c.Fatalf("%s: %v", statement, err)
}

// settle waits until everything that was sent has been ingested, and proves that it was once.
func (c *chaos) settle() {
	c.Helper()
	events, duplicates, broken := c.sent.events.Load(), c.sent.duplicates.Load(), c.sent.broken.Load()
	c.eventually("SELECT count() FROM "+rawRows, func(n uint64) bool { return n >= events })
	c.eventually("SELECT count() FROM dead_letters", func(n uint64) bool { return n >= broken })
	c.eventually("SELECT count() FROM skipped_offsets", func(n uint64) bool { return n >= duplicates })
	for query, want := range map[string]uint64{
		"SELECT count() FROM " + rawRows:                               events,
		"SELECT uniqExact(source, event_id) FROM " + rawRows:           events,
		"SELECT uniqExact(topic, partition, offset) FROM " + rawRows:   events,
		"SELECT count() FROM dead_letters WHERE reason = 'not_json'":   broken,
		"SELECT count() FROM skipped_offsets WHERE kind = 'duplicate'": duplicates,
		"SELECT sum(n) FROM source_activity WHERE topic = ''":          events,
	} {
		if got := c.eventually(query, func(n uint64) bool { return n >= want }); got != want {
			c.Errorf("%s: got %d, want %d", query, got, want)
		}
	}
	cfg := defaultConfig()
	cfg.Kafka.Brokers = []string{c.broker}
	report, err := verify.Run(c.Context(), verify.Deps{
		Client: c.db.Client, Calendar: c.data.Calendar(),
		Committed: func(ctx context.Context) (map[verify.TopicPartition]int64, error) {
			return committed(ctx, cfg.ingest())
		},
	}, verify.Options{})
	if err != nil {
		c.Fatal(err)
	}
	if !report.OK() {
		_ = report.Print(c.Output())
		c.Error("the raw tables and rollups do not agree")
	}
	c.Logf("%d events, %d duplicates, %d broken records", events, duplicates, broken)
}

// TestKilledAtRandom kills the ingest process, the engine, and both, with kill -9, at random moments under
// load; in some rounds a rollup fails half-way before the kill. Every event is there once in the end.
// TEST_CHAOS_SEED repeats the choices of a run; every run prints its own.
func TestKilledAtRandom(t *testing.T) {
	c := newChaos(t, brokertest.Start(t, chaosTopics))
	c.killedAtRandom(30, 3000)
}

// TestKilledAtRandomRealKafka is the same against Apache Kafka, with fewer rounds, since a killed member
// is missed only after six seconds there, and with two ingest processes that share the partitions.
func TestKilledAtRandomRealKafka(t *testing.T) {
	c := newChaos(t, kafkatest.Start(t, chaosTopics))
	second := c.ingest()
	c.killedAtRandom(6, 2000)
	second(syscall.SIGTERM)
}

func (c *chaos) killedAtRandom(rounds, rate int) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("TEST_CHAOS_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			c.Fatal(err)
		}
	}
	c.Logf("TEST_CHAOS_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	producing, stopProducing := context.WithCancel(c.Context())
	produced := make(chan struct{})
	go func() { defer close(produced); c.produce(producing, rate, seed) }()
	defer func() { stopProducing(); <-produced }()

	end := c.ingest()
	c.eventually("SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'reports'", func(n uint64) bool { return n == 1 })
	c.execute(`CREATE TABLE broken (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 1000`)
	before := uint64(0)
	for round := range rounds {
		before = c.eventually("SELECT count() FROM "+rawRows, func(n uint64) bool { return n > before })
		time.Sleep(time.Duration(random.Int64N(int64(300 * time.Millisecond)))) // the random moment itself
		switch action := random.IntN(5); action {
		case 0:
			end(syscall.SIGKILL)
		case 1:
			c.killEngine()
			continue
		case 2:
			c.killEngine()
			end(syscall.SIGKILL)
		case 3:
			failures := "SELECT sum(value) FROM system.errors WHERE code = 395"
			known := c.eventually(failures, func(uint64) bool { return true })
			source := [...]string{"auth_attempts", "dossier_changes"}[round%2]
			c.execute("CREATE MATERIALIZED VIEW IF NOT EXISTS broken_mv TO broken AS SELECT throwIf(count() > 0, 'broken on purpose') + count() AS n FROM " + source)
			c.eventually(failures, func(n uint64) bool { return n > known })
			end(syscall.SIGKILL)
			c.execute("DROP VIEW IF EXISTS broken_mv")
		case 4:
			end(syscall.SIGTERM)
		}
		end = c.ingest()
	}
	stopProducing()
	<-produced
	c.settle()
	end(syscall.SIGTERM)
}

func (c *chaos) killEngine() {
	if pid := c.db.Engine.PID(); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}
