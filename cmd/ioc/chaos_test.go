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

	"ioc.local/ingest/verify"
	"ioc.local/internal/broker/brokertest"
	"ioc.local/internal/broker/kafkatest"
	"ioc.local/internal/faultproxy"
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
	if os.Getenv(brokerEnv) != "" {
		os.Exit(runBroker())
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
	// proxy stands between the ingest processes and ClickHouse, where there is one.
	proxy *faultproxy.Proxy
	data  *reference.Data
	// sent is what was sent at least: a producer that gets no acknowledgement sends again, so there may be more
	// duplicates and broken records than that when retried is set.
	sent    struct{ events, duplicates, broken atomic.Uint64 }
	retried bool
}

func newChaos(t *testing.T, broker string) *chaos {
	t.Helper()
	// An engine that is read from when its client is killed may end too, a moment later, and must not be that of the next test.
	c := &chaos{T: t, db: enginetest.StartOwn(t), broker: broker}
	var err error
	if c.data, err = reference.Load(reference.Options{}); err != nil {
		t.Fatal(err)
	}
	return c
}

// ingester is an ingest process of its own.
type ingester struct {
	*chaos
	cmd      *exec.Cmd
	log      *os.File
	internal string // address of its internal listener
	ended    bool
}

// ingest starts an ingest process and returns a function that ends it with the given signal.
func (c *chaos) ingest() (end func(syscall.Signal)) {
	c.Helper()
	return c.startIngest().end
}

// startIngest starts an ingest process with further flags.
func (c *chaos) startIngest(flags ...string) *ingester {
	c.Helper()
	log, err := os.Create(filepath.Join(c.TempDir(), fmt.Sprintf("ingest-%d.log", time.Now().UnixNano())))
	if err != nil {
		c.Fatal(err)
	}
	i := &ingester{chaos: c, log: log, internal: freeAddress(c)}
	i.cmd = exec.Command(os.Args[0], append([]string{"serve", "--roles", "ingest", "--kafka.brokers", c.broker, "--clickhouse.addr", c.clickhouse(),
		"--clickhouse.database", c.db.Database, "--internal.listen", i.internal, "--ingest.session_timeout", sessionTimeout(c.broker), "--log.format", "json"}, flags...)...)
	i.cmd.Env = append(os.Environ(), runEnv+"=1", "IOC_CLICKHOUSE_PASSWORD="+c.db.Engine.Password())
	i.cmd.Stdout, i.cmd.Stderr = log, log
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := i.cmd.Start(); err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() {
		i.end(syscall.SIGKILL)
		if c.Failed() {
			c.Logf("%s:\n%s", log.Name(), i.output())
		}
	})
	return i
}

// end ends the process with a signal. After SIGTERM it has to end cleanly.
func (i *ingester) end(signal syscall.Signal) {
	if i.ended {
		return
	}
	i.ended = true
	if signal == syscall.SIGTERM {
		waitForOutput(i.T, i.log.Name()) // before that there is nobody to take the signal
	}
	_ = i.cmd.Process.Signal(signal)
	if err := i.cmd.Wait(); signal == syscall.SIGTERM && err != nil {
		i.Errorf("the ingest process did not stop cleanly: %v\n%s", err, i.output())
	}
	_ = i.log.Close()
}

// output is the end of what the process has logged.
func (i *ingester) output() string {
	text, err := os.ReadFile(i.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// clickhouse is the address that ingest processes reach ClickHouse at.
func (c *chaos) clickhouse() string {
	if c.proxy != nil {
		return c.proxy.Addr()
	}
	return c.db.Engine.Addr()
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
func (c *chaos) produce(ctx context.Context, kafka *produce.Kafka, rate int, seed uint64) {
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
		err := kafka.Write(context.WithoutCancel(ctx), messages)
		for deadline := time.Now().Add(2 * time.Minute); err != nil && c.retried && time.Now().Before(deadline); {
			err = kafka.Write(context.WithoutCancel(ctx), messages)
		}
		if err != nil {
			c.Errorf("producing: %v", err)
			return
		}
	}
}

const rawRows = "(SELECT topic, partition, offset, source, event_id FROM dossier_events UNION ALL SELECT topic, partition, offset, source, event_id FROM auth_attempts UNION ALL SELECT topic, partition, offset, source, event_id FROM data_queries UNION ALL SELECT topic, partition, offset, source, event_id FROM eid_events UNION ALL SELECT topic, partition, offset, source, event_id FROM register_events)"

// eventually asks until the answer suits; the engine may be down in between. It gives up when the answer has been the
// same for as long as its patience lasts.
func (c *chaos) eventually(query string, suits func(uint64) bool) uint64 {
	c.Helper()
	// A range that was not finished within two minutes, since broker and engine were away, is looked at for another one.
	const patience = 5 * time.Minute
	var got, last uint64
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = c.db.Client.Conn().QueryRow(c.Context(), query).Scan(&got); err == nil && suits(got) {
			return got
		}
		if got != last {
			last, deadline = got, time.Now().Add(patience)
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
		got := c.eventually(query, func(n uint64) bool { return n >= want })
		if again := want == duplicates || want == broken; got != want && (!c.retried || !again) {
			c.Errorf("%s: got %d, want %d", query, got, want)
		}
	}
	cfg := defaultConfig()
	cfg.Kafka.Brokers = []string{c.broker}
	report, err := verify.Run(c.Context(), verify.Deps{
		Client: c.db.Client, Calendar: c.data.Calendar(),
		Committed: func(ctx context.Context) (map[verify.TopicPartition]int64, error) {
			return committed(ctx, cfg)
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
// load, and restarts the broker; in some rounds a rollup fails half-way before the kill. Every event is there once in the end.
// TEST_CHAOS_SEED repeats the choices of a run; every run prints its own. TEST_KILL_ROUNDS is how many kills there are.
func TestKilledAtRandom(t *testing.T) {
	broker := &embedded{t: t, dir: t.TempDir(), addr: "127.0.0.1:0"}
	broker.Restart()
	c := newChaos(t, broker.addr)
	c.killedAtRandom(envInt(t, "TEST_KILL_ROUNDS", 30), 3000, 1, broker)
}

// embedded is an embedded broker that is stopped and started again with its data. It lives in the test's own process,
// so it is not killed.
type embedded struct {
	t         *testing.T
	addr, dir string
	stop      func()
}

// Kill stops the broker.
func (e *embedded) Kill() { e.stop() }

// Restart starts it, at the same address each time.
func (e *embedded) Restart() { e.addr, e.stop = brokertest.StartAt(e.t, e.addr, e.dir, chaosTopics) }

// TestKilledAtRandomRealKafka is the same against Apache Kafka, which is killed too, with fewer rounds, since a killed
// member is missed only after six seconds there, and with two ingest processes that share the partitions.
func TestKilledAtRandomRealKafka(t *testing.T) {
	kafka := kafkatest.Run(t, kafkatest.Options{Topics: chaosTopics})
	c := newChaos(t, kafka.Addr)
	c.killedAtRandom(envInt(t, "TEST_KILL_ROUNDS", 6), 2000, 2, kafka)
}

// killedAtRandom runs ingest processes under load, and goes on until so many kills were done.
func (c *chaos) killedAtRandom(kills, rate, processes int, broker interface {
	Kill()
	Restart()
}) {
	c.retried = true
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("TEST_CHAOS_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			c.Fatal(err)
		}
	}
	c.Logf("TEST_CHAOS_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	started := time.Now()
	producing, stopProducing := context.WithCancel(c.Context())
	produced, kafka := make(chan struct{}), newProducer(c, c.broker)
	go func() { defer close(produced); c.produce(producing, kafka, rate, seed) }()
	defer func() { stopProducing(); <-produced }()

	ends := make([]func(syscall.Signal), processes)
	for i := range ends {
		ends[i] = c.ingest()
	}
	c.eventually("SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'reports'", func(n uint64) bool { return n == 1 })
	c.execute(`CREATE TABLE broken (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 1000`)
	killed := map[string]int{}
	victim := 0
	kill := func(what string) {
		killed[what]++
		kills--
		switch what {
		case "ingest":
			ends[victim](syscall.SIGKILL)
		case "engine":
			if pid := c.db.Engine.PID(); pid != 0 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		case "broker":
			broker.Kill()
		}
	}
	before := uint64(0)
	for round := 0; kills > 0; round++ {
		before = c.eventually("SELECT count() FROM "+rawRows, func(n uint64) bool { return n > before })
		time.Sleep(time.Duration(random.Int64N(int64(300 * time.Millisecond)))) // the random moment itself
		victim = random.IntN(processes)
		switch action := random.IntN(7); action {
		case 0:
			kill("ingest")
		case 1:
			kill("engine")
			continue
		case 2:
			kill("engine")
			kill("ingest")
		case 3:
			failures := "SELECT sum(value) FROM system.errors WHERE code = 395"
			known := c.eventually(failures, func(uint64) bool { return true })
			source := [...]string{"auth_attempts", "dossier_changes"}[round%2]
			c.execute("CREATE MATERIALIZED VIEW IF NOT EXISTS broken_mv TO broken AS SELECT throwIf(count() > 0, 'broken on purpose') + count() AS n FROM " + source)
			c.eventually(failures, func(n uint64) bool { return n > known })
			kill("ingest")
			c.execute("DROP VIEW IF EXISTS broken_mv")
		case 4:
			ends[victim](syscall.SIGTERM)
		case 5:
			kill("broker")
			broker.Restart()
			continue
		case 6:
			kill("broker")
			kill("ingest")
			broker.Restart()
		}
		ends[victim] = c.ingest()
	}
	stopProducing()
	<-produced
	c.settle()
	for _, end := range ends {
		end(syscall.SIGTERM)
	}
	c.Logf("killed %v in %s", killed, time.Since(started).Round(time.Second))
}
