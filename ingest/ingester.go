package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"ioc.local/ingest/event"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
)

// kafkaTimeout bounds one request to the broker.
const kafkaTimeout = 10 * time.Second

// Deps are what an Ingester works with.
type Deps struct {
	// Logger receives what an operator should know.
	Logger *zap.Logger
	// Registry receives the metrics.
	Registry prometheus.Registerer
	// Warehouse is the ClickHouse that the schema was applied to.
	Warehouse *warehouse.Client
	// NewDecoder makes the decoder of one partition.
	NewDecoder func() *event.Decoder
	// Calendar is the working calendar that legal limits are counted on.
	Calendar *reference.Calendar
	// Report is told the health of ingestion: nil when it is well.
	Report func(error)
}

// Ingester reads the topics of one consumer group, as one member of it, into ClickHouse.
type Ingester struct {
	cfg     Config
	deps    Deps
	metrics *metrics
	status  *statusBoard
	voids   *Voids
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
	return &Ingester{cfg: cfg, deps: deps, metrics: m, status: status, voids: voids}, nil
}

// Status says where each assigned partition stands.
func (i *Ingester) Status() Status { return i.status.snapshot() }

// Run is a member of the group until ctx ends. Then the ranges under way are finished, committed, and
// the group is left. Meanwhile voided events are taken out of the rollups. It returns an error only when membership
// cannot even be configured.
func (i *Ingester) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return i.voids.Run(ctx) })
	group.Go(func() error { return i.consume(ctx) })
	return group.Wait()
}

// consume is a member of the group until ctx ends.
func (i *Ingester) consume(ctx context.Context) error {
	transport := &kafka.Transport{DialTimeout: kafkaTimeout, MetadataTTL: 10 * time.Second}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(i.cfg.Brokers...), Transport: transport, Timeout: kafkaTimeout}
	letters := newLetterbox(i.cfg, transport, i.metrics, i.deps.Logger)
	defer letters.close()
	write := &writer{
		client: i.deps.Warehouse, calendar: i.deps.Calendar, timeout: i.cfg.InsertTimeout,
		slots: semaphore.NewWeighted(maxInserts), dossiers: semaphore.NewWeighted(1), metrics: i.metrics, logger: i.deps.Logger,
	}
	dialer := &kafka.Dialer{Timeout: kafkaTimeout, DualStack: true}
	registry := i.deps.NewDecoder().Registry()
	for ctx.Err() == nil {
		present, err := i.topics(ctx, client)
		if err != nil {
			i.metrics.groupErrors.Inc()
			i.status.groupHealth(err)
			i.deps.Logger.Warn("the topics cannot be read yet", zap.Error(err))
			sleep(ctx, topicPoll)
			continue
		}
		if err := i.session(ctx, present, registry, client, dialer, write, letters); err != nil {
			return err
		}
	}
	return nil
}

// topicPoll is how often the configured topics are looked for while the group runs, so that one that is
// created later is read without a restart.
const topicPoll = 5 * time.Second

// topics lists the configured topics that exist. One that does not is unhealthy, but the others are read.
func (i *Ingester) topics(ctx context.Context, client *kafka.Client) (present []string, err error) {
	answer, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: i.cfg.Topics})
	if err != nil {
		return nil, fmt.Errorf("asking for the topics: %w", err)
	}
	var missing []error
	for _, topic := range answer.Topics {
		if topic.Error != nil {
			missing = append(missing, fmt.Errorf("topic %s: %w", topic.Name, topic.Error))
			continue
		}
		present = append(present, topic.Name)
	}
	slices.Sort(present)
	err = errors.Join(missing...)
	i.status.topicHealth(err)
	if len(present) == 0 {
		return nil, err
	}
	return present, nil
}

// session is a member of the group for the given topics until ctx ends or other topics exist.
func (i *Ingester) session(ctx context.Context, topics []string, registry string, client *kafka.Client, dialer *kafka.Dialer, write *writer, letters *letterbox) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: i.cfg.Group, Brokers: i.cfg.Brokers, Topics: topics, Dialer: dialer,
		HeartbeatInterval: i.cfg.SessionTimeout / 5, SessionTimeout: i.cfg.SessionTimeout,
		// The previous owner may finish an insert that is under way. Not longer: a member that dies
		// while the group rebalances holds up all others for this time.
		RebalanceTimeout:      2 * lingerGrace,
		WatchPartitionChanges: true, PartitionWatchInterval: topicPoll,
		JoinGroupBackoff: time.Second, Timeout: kafkaTimeout,
		GroupBalancers: []kafka.GroupBalancer{kafka.RoundRobinGroupBalancer{}},
		ErrorLogger:    kafka.LoggerFunc(i.deps.Logger.Sugar().Debugf),
	})
	if err != nil {
		return fmt.Errorf("configuring the consumer group: %w", err)
	}
	defer func() { _ = group.Close() }()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for sleep(ctx, topicPoll) {
			// A broker that does not answer is the group's concern.
			if now, err := i.topics(ctx, client); err == nil && !slices.Equal(now, topics) {
				i.deps.Logger.Info("other topics exist now, the group is joined again", zap.Strings("topics", now))
				cancel()
			}
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
			i.status.groupHealth(fmt.Errorf("joining the consumer group %s: %w", i.cfg.Group, err))
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
					topic: topic, id: assignment.ID, registry: registry, as: as, cfg: i.cfg, deps: i.deps, dialer: dialer,
					offsets: offsetStore{client: client, timeout: kafkaTimeout}, writer: write, letters: letters,
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
