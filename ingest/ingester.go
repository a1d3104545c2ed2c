package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"ioc.local/ingest/event"
	"ioc.local/internal/cluster"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
)

// kafkaTimeout bounds one request to the broker.
const kafkaTimeout = 10 * time.Second

// clientID names the connections of ingestion in the broker's logs, metrics and quotas.
const clientID = "ioc-ingest"

// Deps are what an Ingester works with.
type Deps struct {
	// Logger receives what an operator should know.
	Logger *zap.Logger
	// Registry receives the metrics.
	Registry prometheus.Registerer
	// Cluster is the Kafka cluster that is read.
	Cluster *cluster.Cluster
	// Warehouse is the ClickHouse that the schema was applied to.
	Warehouse *warehouse.Client
	// NewDecoder makes the decoder of one partition.
	NewDecoder func() *event.Decoder
	// Calendar is the working calendar that legal limits are counted on.
	Calendar *reference.Calendar
	// Report is told the health of ingestion: nil when it is well.
	Report func(error)
	// Note is told what an operator should know although nothing is wrong, as who has paused what; empty takes it back. It
	// may be nil.
	Note func(string)
	// Landed is called when a range is in ClickHouse, rollups included. It must not block. It may be nil.
	Landed func()
}

// Ingester reads the topics of one consumer group, as one member of it, into ClickHouse.
type Ingester struct {
	cfg      Config
	deps     Deps
	metrics  *metrics
	status   *statusBoard
	voids    *Voids
	store    store
	now      func() time.Time
	trust    time.Duration // tokenTrust
	settle   time.Duration // settleTime
	controls *controls
	clock    *clock
	// poll is how often the topics are looked for.
	poll time.Duration
}

// New checks the configuration and registers the metrics.
func New(cfg Config, deps Deps) (*Ingester, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	status := newStatusBoard(deps.Report)
	m, err := newMetrics(deps.Registry, status)
	if err != nil {
		return nil, err
	}
	voids, err := NewVoids(DefaultVoidsConfig(), VoidsDeps{Logger: deps.Logger, Registry: deps.Registry, Warehouse: deps.Warehouse})
	if err != nil {
		return nil, err
	}
	status.note = deps.Note
	i := &Ingester{cfg: cfg, deps: deps, metrics: m, status: status, voids: voids, store: clickhouseStore{deps.Warehouse}, now: time.Now, trust: tokenTrust, settle: settleTime, poll: topicPoll}
	i.controls = newControls(func(ctx context.Context) ([]warehouse.Pause, error) { return i.store.Pauses(ctx) }, deps.Logger)
	i.clock = newClock(func(ctx context.Context) (time.Time, error) { return i.store.Now(ctx) }, func() time.Time { return i.now() }, deps.Logger)
	if err := deps.Registry.Register(i.clock.collector()); err != nil {
		return nil, fmt.Errorf("registering ingestion metrics: %w", err)
	}
	return i, nil
}

// Status says where each assigned partition stands.
func (i *Ingester) Status() Status { return i.status.snapshot() }

// Run is a member of the group until ctx ends. Then the ranges under way are finished, committed, and
// the group is left. Meanwhile voided events are taken out of the rollups. It returns an error only when membership
// cannot even be configured.
func (i *Ingester) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return i.voids.Run(ctx) })
	group.Go(func() error { return i.controls.run(ctx) })
	group.Go(func() error { return i.clock.run(ctx) })
	group.Go(func() error { return i.consume(ctx) })
	return group.Wait()
}

// consume is a member of the group until ctx ends.
func (i *Ingester) consume(ctx context.Context) error {
	transport := i.deps.Cluster.Transport(clientID)
	defer transport.CloseIdleConnections()
	client := i.deps.Cluster.Client(transport, kafkaTimeout)
	asks, err := kgo.NewClient(i.deps.Cluster.Options(clientID)...)
	if err != nil {
		return fmt.Errorf("making a client for the topics: %w", err)
	}
	defer asks.Close()
	letters := newLetterbox(i.cfg, i.deps.Cluster.Addr(), transport, i.metrics, i.deps.Logger)
	defer letters.close()
	write := &writer{
		store: i.store, calendar: i.deps.Calendar, timeout: i.cfg.InsertTimeout, trust: i.trust, settle: i.settle,
		slots: semaphore.NewWeighted(maxInserts), now: i.now, metrics: i.metrics, logger: i.deps.Logger, told: i.deps.Landed,
	}
	dialer := i.deps.Cluster.Dialer(clientID)
	registry := i.deps.NewDecoder().Registry()
	for ctx.Err() == nil {
		present, _, err := i.topics(ctx, asks)
		if err != nil {
			i.metrics.groupErrors.Inc()
			i.status.groupHealth(err)
			i.deps.Logger.Warn("the topics cannot be read yet", zap.Error(err))
			sleep(ctx, i.poll)
			continue
		}
		if err := i.session(ctx, present, registry, client, asks, dialer, write, letters); err != nil {
			return err
		}
	}
	return nil
}

// topicPoll is how often the configured topics are looked for while the group runs, so that one that is
// created later is read without a restart.
const topicPoll = 5 * time.Second

// topics gives the number of partitions of each configured topic that exists. One that does not is unhealthy, but the
// others are read. Of those in doubt it is not known: the broker's error may pass. The broker is asked each time, where
// kafka-go would answer from what it heard up to ten seconds ago.
func (i *Ingester) topics(ctx context.Context, asks *kgo.Client) (present map[string]int, doubt map[string]bool, err error) {
	request := kmsg.NewPtrMetadataRequest()
	request.AllowAutoTopicCreation = false
	for _, name := range i.cfg.Topics {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = &name
		request.Topics = append(request.Topics, topic)
	}
	patient, cancel := context.WithTimeout(ctx, kafkaTimeout)
	defer cancel()
	answer, err := request.RequestWith(patient, asks)
	if err != nil {
		return nil, nil, fmt.Errorf("Kafka: asking for the topics: %w", err)
	}
	var missing []error
	present, doubt = map[string]int{}, map[string]bool{}
	for _, topic := range answer.Topics {
		if topic.Topic == nil {
			continue
		}
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
			doubt[*topic.Topic] = kerr.IsRetriable(err)
			missing = append(missing, fmt.Errorf("topic %s: %w", *topic.Topic, err))
			continue
		}
		present[*topic.Topic] = len(topic.Partitions)
	}
	err = errors.Join(missing...)
	i.status.topicHealth(err)
	if len(present) == 0 {
		return nil, nil, err
	}
	return present, doubt, nil
}

// changed tells whether other topics or partitions exist than are read. A topic in doubt is missing only if it was in
// doubt the last time too: a broker that starts does not know its topics yet, and to join the group again for that would
// hold up all partitions of all members.
func changed(read, present map[string]int, doubt, before map[string]bool) bool {
	for topic, n := range read {
		if found, ok := present[topic]; ok && found != n || !ok && (!doubt[topic] || before[topic]) {
			return true
		}
	}
	for topic := range present {
		if _, ok := read[topic]; !ok {
			return true
		}
	}
	return false
}

// session is a member of the group for the given topics until ctx ends, or other topics or partitions exist.
func (i *Ingester) session(ctx context.Context, topics map[string]int, registry string, client *kafka.Client, asks *kgo.Client, dialer *kafka.Dialer, write *writer, letters *letterbox) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	balance := &balancer{}
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: i.cfg.Group, Brokers: i.deps.Cluster.Brokers(), Topics: slices.Sorted(maps.Keys(topics)), Dialer: dialer,
		HeartbeatInterval: i.cfg.SessionTimeout / 5, SessionTimeout: i.cfg.SessionTimeout,
		// The previous owner may finish an insert that is under way. Not longer: a member that dies
		// while the group rebalances holds up all others for this time.
		RebalanceTimeout: 2 * lingerGrace,
		// Partitions are watched below: kafka-go would ask for them over the connection of the heartbeats, which
		// would wait for the answer.
		JoinGroupBackoff: time.Second, Timeout: kafkaTimeout,
		GroupBalancers: []kafka.GroupBalancer{balance},
		ErrorLogger:    kafka.LoggerFunc(i.deps.Logger.Sugar().Debugf),
	})
	if err != nil {
		return fmt.Errorf("configuring the consumer group: %w", err)
	}
	defer func() { _ = group.Close() }()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		var before map[string]bool
		for sleep(ctx, i.poll) {
			now, doubt, err := i.topics(ctx, asks)
			if err != nil {
				continue // A broker that does not answer is the group's concern.
			}
			if changed(topics, now, doubt, before) || balance.missed(now) {
				i.deps.Logger.Info("other topics or partitions exist than are read, the group is joined again", zap.Any("partitions", now))
				cancel()
			}
			before = doubt
		}
	}()
	defer func() { cancel(); <-watched }()
	for {
		joining := time.Now()
		generation, err := group.Next(ctx)
		if ctx.Err() != nil || errors.Is(err, kafka.ErrGroupClosed) {
			return nil
		}
		if err != nil {
			i.metrics.groupErrors.Inc()
			i.status.groupHealth(fmt.Errorf("Kafka: joining the consumer group %s: %w", i.cfg.Group, err))
			i.deps.Logger.Warn("joining the consumer group failed and is tried again", zap.Error(err))
			sleep(ctx, time.Second)
			continue
		}
		i.status.groupHealth(nil)
		i.metrics.generation.Set(float64(generation.ID))
		as := membership{group: i.cfg.Group, generation: int(generation.ID), member: generation.MemberID}
		for topic, assignments := range generation.Assignments {
			for _, assignment := range assignments {
				p := &partition{
					topic: topic, id: assignment.ID, registry: registry, as: as, cfg: i.cfg, deps: i.deps,
					offsets: offsetStore{client: client, timeout: kafkaTimeout}, store: i.store, now: i.now, controls: i.controls, clock: i.clock, writer: write, letters: letters,
					metrics: i.metrics, status: i.status,
					logger: i.deps.Logger.With(zap.String("topic", topic), zap.Int("partition", assignment.ID)),
				}
				i.start(ctx, generation, p)
			}
		}
		// Generations that end at once must not follow one another as fast as the broker can.
		sleep(ctx, time.Until(joining.Add(minGeneration)))
	}
}

// minGeneration is the least time between two joins.
const minGeneration = 250 * time.Millisecond

// start runs a partition until its generation ends or the process stops. A partition that lost its
// ownership ends the generation for all: the group is joined again.
func (i *Ingester) start(ctx context.Context, generation *kafka.Generation, p *partition) {
	generation.Start(func(generationCtx context.Context) {
		running, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(generationCtx, cancel)()
		i.metrics.partitions.Inc()
		defer i.metrics.partitions.Dec()
		if err := p.run(running); err != nil {
			p.logger.Warn("ownership lost, the group is joined again", zap.Error(err))
		}
	})
}
