package ingest

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"ioc.local/ingest/event"
	"ioc.local/internal/cluster"
	"ioc.local/internal/reference"
)

// simEpoch is what the clocks of the simulated processes say when it begins: the bubble's own clock begins in 2000,
// before the events that the contract admits.
var simEpoch = time.Date(2026, 3, 31, 16, 59, 30, 0, time.UTC)

// bubbleEpoch is what the bubble's clock says then.
var bubbleEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// simNow is the right time.
func simNow() time.Time { return simEpoch.Add(time.Since(bubbleEpoch)) }

// simWorld is everything of one schedule: brokers, network, ClickHouse, processes.
type simWorld struct {
	seed    uint64
	network kfake.VirtualNetwork
	kafka   *kfake.Cluster
	client  *kgo.Client         // of the producer, whom no fault befalls
	topics  map[[16]byte]string // by id
	ghosts  simGhosts
	dir     string // of the brokers, where they are to survive a restart
	db      *modelDB
	data    *reference.Data
	hash    event.IdentityHash
	log     []string
	logger  *zap.Logger
	// records are what was sent: by topic and partition, by offset.
	records map[modelPlace]simRecord
	// ends are the ends of the logs, by topic and partition.
	ends         map[string][]int64
	transactions int
	// windows are the duplicate windows that processes had.
	windows []int

	mu          sync.Mutex
	processes   []*simProcess
	healed      bool                 // faults are over
	brokersDown map[string]time.Time // by address
	storeUntil  time.Time            // outage of ClickHouse
	mood        storeMood
	queued      []storeFault // the next inserts
	faults      []*kfake.FaultHandle
}

// storeMood is how often what befalls ClickHouse for a while, in thousandths.
type storeMood struct {
	until                      time.Time
	before, after, part, stall int
}

// simProcess is one ingest process.
type simProcess struct {
	world *simWorld
	id    int
	slot  int
	cfg   Config

	mu     sync.Mutex
	conns  map[*simConn]struct{}
	drawn  map[string]int
	dead   bool
	told   bool // to stop
	died   chan struct{}
	thawed chan struct{} // while frozen
	rules  []cutRule
	clock  time.Duration // what its clock is off by

	ingester *Ingester
	cancel   context.CancelFunc
	ended    chan struct{}
}

// note keeps a line of what happens.
func (w *simWorld) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf("%9.3fs ", time.Since(bubbleEpoch).Seconds())+fmt.Sprintf(format, args...))
}

// startKafka starts the brokers, for the first time with topics.
func (w *simWorld) startKafka(topics map[string]int) (err error) {
	options := []kfake.Opt{kfake.ListenFn(w.network.Listen)}
	var ports []int
	for i := range simBrokers {
		ports = append(ports, simPort+i)
	}
	options = append(options, kfake.Ports(ports...))
	if w.dir != "" {
		options = append(options, kfake.DataDir(w.dir))
	}
	for topic, partitions := range topics {
		options = append(options, kfake.SeedTopics(int32(partitions), topic))
	}
	if w.kafka, err = kfake.NewCluster(options...); err != nil {
		return fmt.Errorf("starting the brokers: %w", err)
	}
	for _, topic := range []string{simTopic, simDossier} {
		if info := w.kafka.TopicInfo(topic); info != nil {
			w.topics[info.TopicID] = topic
		}
	}
	w.ghosts.watch(w.kafka)
	return nil
}

// latency is what a request takes: 50 µs to 1 ms. It depends on what the request is about, not on which of several came
// first, so that what happens at the same moment in two places goes on in an order that the seed decides.
func (p *simProcess) latency(about string) time.Duration {
	if !strings.Contains(about, " ") { // as those are that each new connection begins with, in whatever order
		return 100 * time.Microsecond
	}
	return 50*time.Microsecond + time.Duration(p.draw("latency", about)%950_000)
}

// draw is a number for the nth thing of its kind that the process does.
func (p *simProcess) draw(kind, about string) uint64 {
	about = kind + " " + about
	p.mu.Lock()
	p.drawn[about]++
	n := p.drawn[about]
	p.mu.Unlock()
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %d %s %d", p.world.seed, p.id, about, n)
	return h.Sum64()
}

// start starts a process.
func (w *simWorld) start(slot int, cfg Config) (*simProcess, error) {
	w.mu.Lock()
	p := &simProcess{world: w, id: len(w.processes) + 1, slot: slot, cfg: cfg, conns: map[*simConn]struct{}{}, drawn: map[string]int{}, died: make(chan struct{}), ended: make(chan struct{})}
	w.processes = append(w.processes, p)
	w.windows = append(w.windows, cfg.DuplicateWindow)
	w.mu.Unlock()
	kafka, err := cluster.New(cluster.Config{Brokers: w.addresses()}, cluster.Deps{Dial: p.dial})
	if err != nil {
		return nil, err
	}
	p.ingester, err = New(cfg, Deps{
		Logger: w.logger.With(zap.Int("process", p.id)), Registry: prometheus.NewRegistry(), Cluster: kafka, Calendar: w.data.Calendar(),
		NewDecoder: func() *event.Decoder { return event.NewDecoder(w.data, event.Options{Identity: w.hash}) },
	})
	if err != nil {
		return nil, err
	}
	p.ingester.store, p.ingester.now, p.ingester.clock.skew = simStore{p}, simNow, p.skew
	if w.db.keep > 0 {
		p.ingester.trust, p.ingester.settle = simTrust, simTrust+lingerGrace
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go func() {
		defer close(p.ended)
		group, ctx := errgroup.WithContext(ctx) // all but the voids, which have a protocol of their own
		group.Go(func() error { return p.ingester.controls.run(ctx) })
		group.Go(func() error { return p.ingester.clock.run(ctx) })
		group.Go(func() error { return p.ingester.consume(ctx) })
		if err := group.Wait(); err != nil {
			w.note("process %d ended with %v", p.id, err)
		}
	}()
	w.note("process %d starts in slot %d: flush %v, rows %d, window %d", p.id, slot, cfg.FlushInterval, cfg.MaxRows, cfg.DuplicateWindow)
	return p, nil
}

// skew is how far the clock of a process is off.
func (p *simProcess) skew() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clock
}

// gate lets a live process through, holds a frozen one until it is thawed, and says no to a dead one.
func (p *simProcess) gate(closed <-chan struct{}) bool {
	for {
		p.mu.Lock()
		dead, thawed := p.dead, p.thawed
		p.mu.Unlock()
		if dead {
			return false
		}
		if thawed == nil {
			return true
		}
		select {
		case <-thawed:
		case <-p.died:
			return false
		case <-closed:
			return false
		}
	}
}

// rule takes the rule for the next request of a kind, if there is one.
func (p *simProcess) rule(key int16) (cutRule, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.rules {
		r := &p.rules[i]
		if r.key != key {
			continue
		}
		if r.skip > 0 {
			r.skip--
			continue
		}
		taken := *r
		p.rules = slices.Delete(p.rules, i, i+1)
		return taken, true
	}
	return cutRule{}, false
}

// crash ends a process: from now on nothing that it does has an effect, and it hears nothing.
func (p *simProcess) crash() {
	p.mu.Lock()
	if p.dead {
		p.mu.Unlock()
		return
	}
	p.dead = true
	close(p.died)
	conns := p.open()
	p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
	p.cancel()
	p.thaw()
}

// open lists the connections. The caller holds mu.
func (p *simProcess) open() []*simConn { return slices.Collect(maps.Keys(p.conns)) }

// cutAll cuts the connections to an address, or all.
func (p *simProcess) cutAll(address string) {
	p.mu.Lock()
	conns := p.open()
	p.mu.Unlock()
	for _, c := range conns {
		if address == "" || c.address == address {
			_ = c.Close()
		}
	}
}

func (p *simProcess) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.thawed == nil && !p.dead {
		p.thawed = make(chan struct{})
	}
}

func (p *simProcess) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.thawed != nil {
		close(p.thawed)
		p.thawed = nil
	}
}

// stop tells a process to stop.
func (p *simProcess) stop() {
	p.mu.Lock()
	p.told = true
	p.mu.Unlock()
	p.cancel()
}

// alive lists the processes that were not killed or told to stop.
func (w *simWorld) alive() []*simProcess {
	w.mu.Lock()
	defer w.mu.Unlock()
	var alive []*simProcess
	for _, p := range w.processes {
		p.mu.Lock()
		if !p.dead && !p.told {
			alive = append(alive, p)
		}
		p.mu.Unlock()
	}
	return alive
}

func (w *simWorld) addresses() []string {
	var addresses []string
	for i := range simBrokers {
		addresses = append(addresses, fmt.Sprintf("localhost:%d", simPort+i))
	}
	return addresses
}

const (
	// simTokens is how many blocks a table of the model remembers: more than any schedule inserts while a process stalls.
	simTokens  = 1000
	simBrokers = 2
	simPort    = 9092
	simTopic   = "auth"
	simDossier = "dossier"
	simDead    = "dead"
	simGroup   = "ioc"
)

// unreachable says that a broker is down.
func (w *simWorld) unreachable(address string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Before(w.brokersDown[address])
}

func (w *simWorld) storeDown() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Before(w.storeUntil)
}

// over says that all faults have ended.
func (w *simWorld) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.healed
}

// storeFault decides what befalls one call.
func (w *simWorld) storeFault(what string, p *simProcess) storeFault {
	random := rand.New(rand.NewPCG(w.seed, p.draw("fault", what)))
	w.mu.Lock()
	defer w.mu.Unlock()
	fault := storeFault{linger: random.IntN(2) == 0}
	if w.healed {
		return fault
	}
	insert := strings.HasPrefix(what, "insert")
	if insert && len(w.queued) > 0 {
		fault = w.queued[0]
		w.queued = w.queued[1:]
	} else if time.Now().Before(w.mood.until) {
		m := w.mood
		switch d := random.IntN(1000); {
		case d < m.before:
			fault.fail, fault.after = true, 0
		case d < m.before+m.after && insert:
			fault.fail, fault.after = true, -1
		case d < m.before+m.after+m.part && insert:
			fault.fail, fault.after = true, 1+random.IntN(4)
		}
		if random.IntN(1000) < m.stall {
			fault.stall = time.Duration(random.Int64N(int64(20 * time.Second)))
			fault.gap = time.Duration(random.Int64N(int64(2 * time.Second)))
		}
	}
	if fault.gap == 0 {
		fault.gap = time.Duration(random.Int64N(int64(2 * time.Millisecond)))
	}
	if fault.fail || fault.stall > 0 {
		w.log = append(w.log, fmt.Sprintf("%9.3fs process %d: %s: %v", time.Since(bubbleEpoch).Seconds(), p.id, what, fault))
	}
	return fault
}

// inserted notes an insert, for whoever reads the log of a schedule.
func (w *simWorld) inserted(p *simProcess, table, token string, rows []modelRow) {
	w.note("process %d inserts %d rows into %s under %s", p.id, len(rows), table, token)
}

// letters reads the keys of the dead-letter topic.
func (w *simWorld) letters(ctx context.Context) (map[string]bool, error) {
	keys := map[string]bool{}
	broker := w.client.Broker(int(w.kafka.LeaderFor(simDead, 0)))
	for offset := int64(0); ; {
		request := kmsg.NewPtrFetchRequest()
		request.MaxBytes, request.SessionEpoch = 64<<20, -1
		t, p := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
		p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = offset, 64<<20, -1
		t.Topic, t.Partitions = simDead, append(t.Partitions, p)
		request.Topics = append(request.Topics, t)
		answer, err := broker.Request(ctx, request)
		if err != nil {
			return nil, err
		}
		got := answer.(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
			return nil, err
		}
		for batches := got.RecordBatches; len(batches) > 0; {
			var batch kmsg.RecordBatch
			if err := batch.ReadFrom(batches); err != nil {
				return nil, err
			}
			batches = batches[12+batch.Length:]
			offset = batch.FirstOffset + int64(batch.LastOffsetDelta) + 1
			for records := batch.Records; len(records) > 0; {
				length, n := binary.Varint(records)
				var record kmsg.Record
				if err := record.ReadFrom(records[:n+int(length)]); err != nil {
					return nil, err
				}
				keys[string(record.Key)] = true
				records = records[n+int(length):]
			}
		}
		if offset >= got.HighWatermark {
			return keys, nil
		}
	}
}
