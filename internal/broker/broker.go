// Package broker is the embedded Kafka broker of `ioc demo`: one broker that
// speaks the real Kafka protocol to any client, keeps its data in a directory,
// and lives in this process. It is franz-go's kfake with the parts around it
// that a demo on one machine needs: a fixed address, a lock on the directory,
// topics that are there from the start, and a bound on the disk it takes.
//
// What survives, as the tests of this package show:
//
//   - A restart, and a kill -9 of the process: every acknowledged record,
//     group generation, committed offset and commit metadata. Each is handed to
//     the operating system with write(2) before the client gets its answer.
//     After a kill -9 the members of a group are gone. After an orderly stop they
//     are still known, so one that has not left by then holds up the next join
//     until its session times out: stop the clients first.
//   - A loss of power or a crash of the kernel: nothing is promised. Files are
//     synced when a segment is full and at an orderly stop, as in Kafka's own
//     default. kfake can sync every write; that costs more than a demo gains.
//   - A full disk. It is kept from becoming quite full: below Config.MinFreeBytes
//     of free space records are refused with KAFKA_STORAGE_ERROR, which producers
//     repeat, while commits still have room; below a quarter of it commits are
//     refused too. Deps.Report is told, and it goes on by itself when there is room.
//   - A write that the disk refuses all the same, as when something else fills it
//     in an instant. kfake only warns of it, and a commit may have been
//     acknowledged. Nothing more is acknowledged then; once the disk takes writes
//     again, the broker stops in order, which writes what it knows anew, and starts
//     again at the same address. Only a kill in between loses that commit.
//
// What it is not: it has one node, so there is no replication; no
// authentication and no encryption, so it should listen on loopback; and its
// single event loop serves all clients. Production uses Apache Kafka or Redpanda.
package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/zap"
)

// minSessionTimeout is the shortest session timeout that a group member may ask
// for. Kafka's own default is 6 s; shorter ones let tests lose a member quickly.
const minSessionTimeout = 100 * time.Millisecond

// offsetsRetention is how long the offsets of a group without members are kept.
// Kafka's default of 7 days would lose the offsets of a demo that nobody ran for
// a week, and with them the proof of what was ingested.
const offsetsRetention = 10 * 365 * 24 * time.Hour

// retentionInterval is how often records over the retention are removed.
const retentionInterval = 30 * time.Second

// diskInterval is how often the state of the disk is told. Requests look at it
// more often.
const diskInterval = time.Second

// Topic is a topic that exists once the broker is ready.
type Topic struct {
	// Name is the name of the topic.
	Name string
	// Partitions is the number of partitions, at least 1. A topic that has fewer
	// from an earlier run gets more; one that has more keeps them.
	Partitions int
	// Retention is how long its records are kept, by their timestamps; 0 is for
	// ever. It is for topics that producers outside do not write to.
	Retention time.Duration
}

// Config is the configuration of a Broker.
type Config struct {
	// Listen is the address to serve on, host:port; port 0 picks a free one.
	// Clients are sent to this address; for a wildcard host such as 0.0.0.0 they
	// are sent to 127.0.0.1, since a client can connect to no wildcard.
	Listen string
	// Dir is the data directory, created if needed. It is locked while the broker
	// lives. Empty keeps everything in memory.
	Dir string
	// Topics are the topics to create, unless they exist.
	Topics []Topic
	// RetentionBytes is how many bytes of records each partition keeps, to within
	// what arrives in 30 s. There is no retention by age, unless a topic has one:
	// producers set the age, and a file of old events must not be gone before it is read.
	RetentionBytes int64
	// MinFreeBytes is the free space of Dir's file system below which records are
	// refused. A quarter of it is kept for commits. 0 refuses nothing.
	MinFreeBytes int64
}

// DefaultConfig returns the configuration of `ioc demo`, without directory and topics.
func DefaultConfig() Config {
	return Config{
		Listen:         "127.0.0.1:9092",
		RetentionBytes: 512 << 20,
		MinFreeBytes:   256 << 20,
	}
}

// Deps are what a Broker needs from outside.
type Deps struct {
	// Logger receives what the broker has to say.
	Logger *zap.Logger
	// Registry receives the metrics ioc_broker_disk_free_bytes and
	// ioc_broker_refusing. Nil, or a broker in memory, registers none.
	Registry prometheus.Registerer
	// Report is told, every second, what is wrong with the disk: nil when it is
	// well. It may be nil.
	Report func(error)
	// Free tells the free bytes of a directory's file system. Nil asks the
	// system; tests say it.
	Free func(dir string) (uint64, error)
}

// Broker is an embedded Kafka broker.
type Broker struct {
	cfg  Config
	log  *zap.Logger
	ln   *listener
	lock *os.File
	room *room

	// report is told what is wrong with the disk.
	report func(error)
	// addr is where clients connect to, bound is what is listened on.
	addr, bound string

	ready   chan struct{} // closed once topics exist and clients are served
	stopped chan struct{} // closed when Run returns
	err     error         // Run's result, readable once stopped is closed
}

// New checks the configuration, locks the data directory and listens, so that
// Addr is known and a port or directory in use is an error here. What New took
// is released by Run, which must be called once, if only with a cancelled context.
func New(cfg Config, deps Deps) (*Broker, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	room, err := newRoom(cfg, deps)
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	ln, err := listen(cfg.Listen)
	if err != nil {
		return nil, errors.Join(err, unlockDir(lock))
	}
	report := deps.Report
	if report == nil {
		report = func(error) {}
	}
	return &Broker{
		cfg: cfg, log: deps.Logger, ln: ln, lock: lock, room: room, report: report,
		addr: ln.Addr().String(), bound: ln.Listener.Addr().String(),
		ready: make(chan struct{}), stopped: make(chan struct{}),
	}, nil
}

func (c Config) validate() error {
	if c.RetentionBytes <= 0 {
		return fmt.Errorf("broker: retention bytes is %d, must be above 0", c.RetentionBytes)
	}
	if c.MinFreeBytes < 0 {
		return fmt.Errorf("broker: free bytes to keep is %d, must not be below 0", c.MinFreeBytes)
	}
	for i, t := range c.Topics {
		if t.Name == "" {
			return fmt.Errorf("broker: topic %d has no name", i+1)
		}
		if t.Partitions < 1 {
			return fmt.Errorf("broker: topic %s has %d partitions, must have at least 1", t.Name, t.Partitions)
		}
	}
	return nil
}

// Addr returns the address, host:port, that clients are to connect to.
func (b *Broker) Addr() string { return b.addr }

// WaitReady returns once the topics exist and clients are served. It returns an
// error if Run ended before that, or the context's.
func (b *Broker) WaitReady(ctx context.Context) error {
	select {
	case <-b.ready:
		return nil
	case <-b.stopped:
		if b.err != nil {
			return b.err
		}
		return errors.New("broker: stopped before it was ready")
	case <-ctx.Done():
		return fmt.Errorf("waiting for the broker at %s: %w", b.Addr(), ctx.Err())
	}
}

// Run loads the data directory and serves until the context ends, then writes
// its state and returns nil. It returns an error if the directory cannot be
// loaded or the topics cannot be made.
func (b *Broker) Run(ctx context.Context) (err error) {
	defer func() {
		err = errors.Join(err, unlockDir(b.lock))
		b.err = err
		close(b.stopped)
	}()
	var pause time.Duration
	for first := true; ; first = false {
		again, held, err := b.serve(ctx, first, pause)
		if err != nil || !again {
			return err
		}
		if err := b.room.renewed(); err != nil {
			return fmt.Errorf("the disk of the broker's directory %s refused the broker's state: %w", b.cfg.Dir, err)
		}
		if b.ln, err = listen(b.bound); err != nil {
			return err
		}
		pause = nextPause(pause, held)
	}
}

// A disk that takes what is tried, and then refuses again, must not make the broker do nothing but start: after a start
// that did not hold for long, the next one waits, twice as long each time. Meanwhile records and commits are refused.
const (
	minRestartPause = time.Second
	maxRestartPause = time.Minute
)

// nextPause is the least time from a start to the next one, after a start that waited for pause and held for so long.
func nextPause(pause, held time.Duration) time.Duration {
	if held >= maxRestartPause {
		return minRestartPause
	}
	return min(max(2*pause, minRestartPause), maxRestartPause)
}

// serve runs kfake until the context ends, or until it has to start again because the disk had refused a write, but not
// before pause is over. held is how long the disk was well.
func (b *Broker) serve(ctx context.Context, first bool, pause time.Duration) (again bool, held time.Duration, err error) {
	cluster, err := kfake.NewCluster(b.options()...)
	if err != nil {
		return false, 0, fmt.Errorf("starting the broker on data directory %q: %w", b.cfg.Dir, err)
	}
	defer cluster.Close()
	if b.cfg.Dir != "" {
		cluster.Fault(b.room.faults()...)
	}
	if first {
		for _, t := range b.cfg.Topics {
			if err := ensureTopic(ctx, cluster, b.Addr(), t); err != nil {
				if ctx.Err() != nil {
					return false, 0, nil
				}
				return false, 0, err
			}
			if err := setRetention(ctx, b.Addr(), t); err != nil {
				if ctx.Err() != nil {
					return false, 0, nil
				}
				return false, 0, err
			}
		}
	}
	cluster.ApplyRetention()
	if first {
		close(b.ready)
	}
	b.log.Info("broker ready", zap.String("addr", b.Addr()), zap.String("dir", b.cfg.Dir), zap.Int("topics", len(b.cfg.Topics)))
	again, held = b.watch(ctx, cluster, pause)
	return again, held, nil
}

// watch applies the retention and looks at the disk until the context ends. It returns true when the broker is to start
// again, and how long the disk was well before.
func (b *Broker) watch(ctx context.Context, cluster *kfake.Cluster, pause time.Duration) (again bool, held time.Duration) {
	started := time.Now()
	retention, disk := time.NewTicker(retentionInterval), time.NewTicker(diskInterval)
	defer retention.Stop()
	defer disk.Stop()
	var problem error
	for {
		if b.cfg.Dir != "" {
			before := problem
			problem = b.room.check()
			b.report(problem)
			if (before == nil) != (problem == nil) {
				b.log.Warn("the room on the broker's disk", zap.NamedError("problem", problem))
			}
			if problem == nil {
				held = time.Since(started)
			} else if time.Since(started) >= pause && b.room.mendable() {
				b.log.Warn("the broker writes its state anew and starts again", zap.Error(problem))
				b.room.renew()
				return true, held
			}
		}
		select {
		case <-ctx.Done():
			return false, held
		case <-disk.C:
		case <-retention.C:
			cluster.ApplyRetention()
		}
	}
}

func (b *Broker) options() []kfake.Opt {
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("ioc"),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return b.ln, nil }),
		kfake.GroupMinSessionTimeout(minSessionTimeout),
		kfake.WithLogger(logger{b.log, b.room.wrote}),
		kfake.BrokerConfigs(map[string]string{
			"offsets.retention.minutes": strconv.Itoa(int(offsetsRetention.Minutes())),
			"log.retention.ms":          "-1",
			"log.retention.bytes":       strconv.FormatInt(b.cfg.RetentionBytes, 10),
		}),
	}
	if b.cfg.Dir != "" {
		opts = append(opts, kfake.DataDir(b.cfg.Dir))
	}
	return opts
}
