package ingest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"

	"ioc.local/ingest"
	"ioc.local/ingest/verify"
	"ioc.local/internal/broker/brokertest"
	"ioc.local/internal/cluster"
	"ioc.local/internal/faultproxy"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

const (
	// faultWorkers is how many schedules run side by side, each on an engine of its own. They mostly wait.
	faultWorkers = 3
	// faultTime is for how long new schedules are begun, unless their number is given.
	faultTime = 45 * time.Second
	// shortSession is the least session timeout of the group.
	shortSession = 2 * time.Second
	// shortest and patience are deadlines of inserts.
	shortest, patience = 1500 * time.Millisecond, time.Minute
	// firstRandomSeed is where seeds stand for several acts at random; below, each is a schedule of one act.
	firstRandomSeed = 1_000_000
)

// TestEngineFaults runs ingestion on the real engine behind a proxy that fails by a schedule made from a seed: lost
// acknowledgements, stalls beyond the deadline of an insert, cuts at every step of it, kill -9 of the engine, rollups
// that throw, too many parts, owners that stall and wake up, commits that fail after their insert, other limits after
// a restart. After each schedule every event is there once, in the raw tables and in every rollup.
//
// The first schedules are every act on its own, the others several at random; begun as many as fit into faultTime.
// TEST_ENGINE_SCHEDULES=n runs n. A schedule that fails names its seed; TEST_FAULT_SEED=n runs that one alone.
func TestEngineFaults(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, append(enginetest.Goroutines(), leaks)...) })
	seeds := make(chan uint64)
	go feedSeeds(t, seeds)
	counts := &faultCounts{struck: map[string]int{}}
	started := time.Now()
	t.Run("workers", func(t *testing.T) {
		for worker := range faultWorkers {
			t.Run(strconv.Itoa(worker), func(t *testing.T) {
				t.Parallel()
				var l *lab
				for seed := range seeds {
					if l == nil {
						l = newLab(t)
					}
					ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { l.schedule(t, seed, counts) })
					if !ok {
						l = nil // what follows would be measured on what this left
					}
				}
			})
		}
	})
	t.Logf("%d schedules in %s, %d messages; faults that struck: %v", counts.schedules, time.Since(started).Round(time.Second), counts.messages, counts.struck)
	if counts.schedules == 0 {
		t.Error("no schedule was run")
	}
}

// feedSeeds gives each schedule its seed, and closes the channel when there are enough.
func feedSeeds(t *testing.T, seeds chan<- uint64) {
	defer close(seeds)
	number := func(name string) (n uint64, given bool) {
		text := os.Getenv(name)
		if text == "" {
			return 0, false
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return n, true
	}
	if seed, given := number("TEST_FAULT_SEED"); given {
		seeds <- seed
		return
	}
	wanted, given := number("TEST_ENGINE_SCHEDULES")
	base := firstRandomSeed + uint64(time.Now().UnixMilli())*1000
	started := time.Now()
	for n := uint64(0); ; n++ {
		switch corpus := uint64(len(faultCorpus())); {
		case given && n == wanted, !given && time.Since(started) > faultTime, testing.Short() && n == corpus:
			return
		case n < corpus:
			seeds <- n
		default:
			seeds <- base + n
		}
	}
}

// faultCounts is what all schedules together did.
type faultCounts struct {
	sync.Mutex
	schedules, messages int
	struck              map[string]int
}

// lab is where one schedule after the other runs: an engine, a database and a broker.
type lab struct {
	db     *enginetest.DB
	broker string
	data   *reference.Data
	// short is the short deadline of inserts: stalls outlast it, and inserts that are not stalled do not.
	short time.Duration
	// want is what the database should hold, of all schedules so far.
	want struct{ auth, dossier, letters, copies, voids uint64 }
}

// stall is how long a stall takes that outlasts the short deadline.
func (l *lab) stall() time.Duration { return l.short + 500*time.Millisecond }

// session is the session timeout of the group.
func (l *lab) session() time.Duration { return max(shortSession, l.short) }

// checksView is a rollup of the test's own, which throws while the table of switches has a row, or asks for more memory
// than there is. It counts rows itself, so that a row that is lost or doubled on the way through a failure shows here too.
const checksView = `CREATE MATERIALIZED VIEW %[1]s TO checks AS
	SELECT '%[2]s' AS family, source, province, topic, partition, toUInt64(count() + throwIf((SELECT count() FROM switches WHERE what = 'throw') > 0, 'a rollup fails on purpose')
		+ 0 * length(range(if((SELECT count() FROM switches WHERE what = 'memory') > 0, 400000000 + count(), 0)))) AS n, max(offset) + 1 AS position, max(occurred_at) AS latest
	FROM %[2]s GROUP BY GROUPING SETS ((source, province), (topic, partition))`

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{db: enginetest.StartOwn(t), broker: brokertest.Start(t, map[string]int{"dead": 1})}
	var err error
	if l.data, err = reference.Load(reference.Options{}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := warehouse.Migrate(t.Context(), l.db.Client); err != nil {
		t.Fatal(err)
	}
	l.short = max(shortest, time.Since(began)) // a busy machine needs longer
	for _, statement := range []string{
		`CREATE TABLE switches (what String) ENGINE = MergeTree ORDER BY what`,
		`CREATE TABLE checks AS source_activity`,
		fmt.Sprintf(checksView, "zz_checks_auth_mv", "auth_attempts"),
		fmt.Sprintf(checksView, "a_checks_dossier_mv", "dossier_events"),
	} {
		if err := l.db.Client.Conn().Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return l
}

// trial is one schedule.
type trial struct {
	*harness
	lab    *lab
	counts *faultCounts
	random *rand.Rand
	// authTopic and dossierTopic are the schedule's own, as is the group.
	authTopic, dossierTopic, group string
	window                         int
	timeout                        time.Duration
	nodes                          []*node
	// sent is how many messages were sent, events are the numbers of the authentications among them, and next is the
	// number of the next event. Events from voided on may still be voided.
	sent, next, voided int
	events             []int
	voids              bool
}

// node is an ingester whose connections fail on command.
type node struct {
	trial            *trial
	warehouse, kafka *faultproxy.Proxy
	ingester         *ingest.Ingester
	stop             func()
	crashed          bool
}

// schedule runs the acts of a seed and proves that everything is there once.
func (l *lab) schedule(t *testing.T, seed uint64, counts *faultCounts) {
	tr := &trial{
		harness: &harness{t: t, db: l.db, broker: l.broker, data: l.data, base: time.Now().Add(-time.Hour).Truncate(time.Second)},
		lab:     l, counts: counts, random: rand.New(rand.NewPCG(seed, 0)),
		authTopic: fmt.Sprintf("auth-%d", seed), dossierTopic: fmt.Sprintf("dossier-%d", seed), group: fmt.Sprintf("group-%d", seed),
		window: 100_000, next: int(seed%1_000_000_000) * 10_000,
	}
	acts := faultCorpus()
	switch {
	case seed < uint64(len(acts)):
		acts = acts[seed : seed+1]
	case seed < firstRandomSeed:
		t.Fatalf("there is no schedule %d", seed)
	default:
		tr.random.Shuffle(len(acts), func(i, j int) { acts[i], acts[j] = acts[j], acts[i] })
		acts = acts[:2+tr.random.IntN(3)]
	}
	needed := anyDeadline
	for _, a := range acts {
		needed = max(needed, a.deadline)
	}
	if needed == anyDeadline {
		needed += deadline(1 + tr.random.IntN(2))
	}
	if tr.timeout = patience; needed == shortDeadline {
		tr.timeout = l.short
	}
	tr.voids = tr.random.IntN(3) == 0
	tr.createTopics()
	tr.addNode()
	if tr.random.IntN(3) == 0 {
		tr.addNode()
	}
	tr.produce(40)
	var names []string
	for _, a := range acts {
		names = append(names, a.name)
		a.do(tr)
		tr.produce(20)
	}
	tr.heal()
	tr.settle(names)
}

func (tr *trial) createTopics() {
	tr.t.Helper()
	client, done := tr.admin()
	defer done()
	answer, err := client.CreateTopics(tr.t.Context(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{
		{Topic: tr.authTopic, NumPartitions: 2, ReplicationFactor: 1}, {Topic: tr.dossierTopic, NumPartitions: 1, ReplicationFactor: 1},
	}})
	if err != nil {
		tr.t.Fatal(err)
	}
	for topic, err := range answer.Errors {
		if err != nil {
			tr.t.Fatalf("creating %s: %v", topic, err)
		}
	}
}

// config is a configuration at random; the schedule's restarts change it.
func (tr *trial) config() ingest.Config {
	cfg := tr.harness.config(tr.authTopic, tr.dossierTopic)
	cfg.Group = tr.group
	cfg.FlushInterval = time.Duration(5+tr.random.IntN(95)) * time.Millisecond
	cfg.MaxRows = []int{20, 100, 500, 100_000}[tr.random.IntN(4)]
	cfg.DuplicateWindow = tr.window + tr.random.IntN(1000)
	cfg.InsertTimeout, cfg.SessionTimeout = tr.timeout, tr.lab.session()
	return cfg
}

// addNode starts an ingester behind proxies of its own.
func (tr *trial) addNode() *node {
	tr.t.Helper()
	n := &node{
		trial: tr, warehouse: faultproxy.Start(tr.t, tr.db.Engine.Addr), kafka: faultproxy.Start(tr.t, func() string { return tr.broker }),
	}
	tr.nodes = append(tr.nodes, n)
	n.start()
	return n
}

// start runs the node's ingester with another configuration.
func (n *node) start() {
	tr := n.trial
	tr.t.Helper()
	cfg := tr.db.ClientConfig()
	cfg.Addr = []string{n.warehouse.Addr()}
	cfg.DialTimeout = 2 * time.Second
	deps := tr.deps()
	ctx, cancel := context.WithTimeout(tr.t.Context(), 30*time.Second)
	defer cancel()
	for {
		var err error
		if deps.Warehouse, err = warehouse.Open(ctx, cfg); err == nil {
			break
		}
		if ctx.Err() != nil || !warehouse.Retryable(err) {
			tr.t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	var err error
	deps.Cluster, err = cluster.New(cluster.Config{Brokers: []string{tr.broker}}, cluster.Deps{
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, network, n.kafka.Addr())
		},
	})
	if err != nil {
		tr.t.Fatal(err)
	}
	disconnect := sync.OnceFunc(func() { _ = deps.Warehouse.Close() })
	tr.t.Cleanup(disconnect) // after the ingester has ended
	var stop func()
	n.ingester, stop = tr.runWith(tr.config(), deps)
	n.stop = func() { stop(); disconnect() }
}

// crash takes everything away from a node at once. Its ingester lives on without a connection, as a process does whose
// machine has lost its network; towards the others it is dead.
func (n *node) crash() {
	n.crashed = true
	for _, p := range []*faultproxy.Proxy{n.warehouse, n.kafka} {
		p.Refuse()
		p.Cut(faultproxy.Reset)
	}
}

// revive lets a crashed node have connections again.
func (n *node) revive() {
	n.crashed = false
	for _, p := range []*faultproxy.Proxy{n.warehouse, n.kafka} {
		p.Clear()
		p.Resume()
		p.Accept()
	}
}

// alive gives a node that works, starting one if there is none.
func (tr *trial) alive() *node {
	for _, i := range tr.random.Perm(len(tr.nodes)) {
		if !tr.nodes[i].crashed {
			return tr.nodes[i]
		}
	}
	return tr.addNode()
}

// living is how many nodes work.
func (tr *trial) living() (n int) {
	for _, node := range tr.nodes {
		if !node.crashed {
			n++
		}
	}
	return n
}

func (tr *trial) tally(name string) {
	tr.counts.Lock()
	tr.counts.struck[name]++
	tr.counts.Unlock()
}

// produce sends events, and now and then a copy of one, a void of one, or what is none.
func (tr *trial) produce(n int) {
	tr.t.Helper()
	var auth, dossier []kafka.Message
	want := &tr.lab.want
	for range n {
		switch kind := tr.random.IntN(20); {
		case kind == 0:
			auth = append(auth, kafka.Message{Key: fmt.Appendf(nil, "%d", tr.next), Value: []byte("not an event")})
			tr.next++
			want.letters++
		case kind == 1 && tr.voids && tr.voided < len(tr.events):
			auth = append(auth, tr.void(tr.events[tr.voided]))
			tr.voided++
			want.voids++
		case kind <= 2 && len(tr.events) > 0:
			auth = append(auth, tr.auth(tr.events[tr.random.IntN(len(tr.events))]))
			want.copies++
		case kind <= 12:
			auth = append(auth, tr.auth(tr.next))
			tr.events = append(tr.events, tr.next)
			tr.next++
			want.auth++
		default:
			dossier = append(dossier, tr.dossier(tr.next, 2, tr.base), tr.dossier(tr.next, []int{9, 4}[tr.random.IntN(2)], tr.base.Add(time.Hour)))
			tr.next++
			want.dossier += 2
		}
	}
	for topic, messages := range map[string][]kafka.Message{tr.authTopic: auth, tr.dossierTopic: dossier} {
		if len(messages) > 0 {
			tr.send(topic, messages...)
			tr.sent += len(messages)
		}
	}
}

// void takes an authentication back.
func (tr *trial) void(n int) kafka.Message {
	return kafka.Message{Key: fmt.Appendf(nil, "auth-%d", n), Value: fmt.Appendf(nil,
		`{"specversion":"1.0","id":"void-%d","source":"/eid_auth/G01","type":"vn.da06.event.void.v1","time":"%s","subject":"auth-%d","data":{"reason":"sent by mistake"}}`,
		n, tr.base.Format("2006-01-02T15:04:05.000-07:00"), n)}
}

// committed is how many offsets of the schedule's topics are committed.
func (tr *trial) committed() (map[verify.TopicPartition]int64, error) {
	offsets := map[verify.TopicPartition]int64{}
	cfg := tr.harness.config(tr.authTopic, tr.dossierTopic)
	cfg.Group = tr.group
	err := ingest.Committed(tr.t.Context(), cfg, tr.cluster(), func(incarnation string, partition int, offset int64) {
		offsets[verify.TopicPartition{Topic: incarnation, Partition: uint32(partition)}] = offset
	})
	return offsets, err
}

// caughtUp waits until everything that was sent is committed. It gives up when nothing moves for a minute.
func (tr *trial) caughtUp() {
	tr.t.Helper()
	best := 0
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(30 * time.Millisecond) {
		offsets, err := tr.committed()
		all := 0
		for _, offset := range offsets {
			all += int(offset)
		}
		if err == nil && all == tr.sent {
			return
		}
		if all > best {
			best, deadline = all, time.Now().Add(time.Minute)
		}
		if time.Now().After(deadline) {
			for _, n := range tr.nodes {
				tr.t.Logf("%+v, crashed: %v", n.ingester.Status(), n.crashed)
			}
			tr.t.Fatalf("only %d of %d offsets are committed: %v (%v)", all, tr.sent, offsets, err)
		}
	}
}

// exec runs a statement, past the proxies, until the engine has taken it.
func (tr *trial) exec(statement string) {
	tr.t.Helper()
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = tr.db.Client.Conn().Exec(tr.t.Context(), statement); err == nil {
			return
		}
	}
	tr.t.Fatalf("%s: %v", statement, err)
}

func (tr *trial) killEngine() {
	if pid := tr.db.Engine.PID(); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// heal ends every fault, and short deadlines.
func (tr *trial) heal() {
	tr.t.Helper()
	tr.alive()
	patient := tr.timeout == patience
	tr.timeout = patience // on a busy machine nothing may ever be done within a short deadline
	for _, n := range tr.nodes {
		if n.crashed {
			continue
		}
		n.revive()
		if !patient {
			n.stop()
			n.start()
		}
	}
}

// settle waits until all is committed, and compares what is there with what was sent.
func (tr *trial) settle(names []string) {
	tr.t.Helper()
	tr.caughtUp()
	want := tr.lab.want
	// What is voided is taken out of the rollups behind the protocol, of some later than of others.
	for _, rollup := range []string{"auth_minutes", "auth_days"} {
		query := "SELECT sum(n) FROM " + rollup + " WHERE topic = ''"
		for deadline := time.Now().Add(60 * time.Second); tr.ask(query) != want.auth-want.voids; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				tr.t.Fatalf("%v: %s: got %d, want %d", names, query, tr.ask(query), want.auth-want.voids)
			}
		}
	}
	for _, n := range tr.nodes {
		n.stop()
	}
	for _, n := range tr.nodes { // what a proxy held back is in ClickHouse now, or never
		for deadline := time.Now().Add(30 * time.Second); n.warehouse.Links() > 0; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				tr.t.Fatalf("%d connections to ClickHouse are left", n.warehouse.Links())
			}
		}
	}
	for query, want := range map[string]uint64{
		"SELECT count() FROM auth_attempts":                            want.auth,
		"SELECT uniqExact(event_id) FROM auth_attempts":                want.auth,
		"SELECT count() FROM dossier_events":                           want.dossier,
		"SELECT count() FROM dossier_state FINAL":                      want.dossier / 2,
		"SELECT toUInt64(sum(n)) FROM dossier_days WHERE topic = ''":   want.dossier / 2,
		"SELECT count() FROM dead_letters":                             want.letters,
		"SELECT count() FROM skipped_offsets WHERE kind = 'duplicate'": want.copies,
		"SELECT count() FROM register_events":                          want.voids,
		"SELECT sum(n) FROM source_activity WHERE topic = ''":          want.auth + want.dossier + want.voids,
		"SELECT sum(n) FROM checks WHERE topic = ''":                   want.auth + want.dossier,
	} {
		if got := tr.ask(query); got != want {
			tr.t.Errorf("%v: %s: got %d, want %d", names, query, got, want)
		}
	}
	report, err := verify.Run(tr.t.Context(), verify.Deps{
		Client: tr.db.Client, Calendar: tr.data.Calendar(),
		Committed: func(context.Context) (map[verify.TopicPartition]int64, error) { return tr.committed() },
	}, verify.Options{})
	if err != nil {
		tr.t.Fatal(err)
	}
	if !report.OK() {
		_ = report.Print(tr.t.Output())
		tr.t.Errorf("%v: the raw tables and rollups do not agree", names)
	}
	tr.counts.Lock()
	defer tr.counts.Unlock()
	tr.counts.schedules++
	tr.counts.messages += tr.sent
}

// ask asks past the proxies; the engine may just be starting again.
func (tr *trial) ask(query string) (n uint64) {
	tr.t.Helper()
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = tr.db.Client.Conn().QueryRow(tr.t.Context(), query).Scan(&n); err == nil {
			return n
		}
	}
	tr.t.Fatalf("%s: %v", query, err)
	return 0
}
