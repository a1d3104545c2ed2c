package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"
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
}

// New checks the configuration and registers the metrics.
func New(cfg Config, deps Deps) (*Ingester, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(deps.Registry)
	if err != nil {
		return nil, err
	}
	return &Ingester{cfg: cfg, deps: deps, metrics: m, status: newStatusBoard(deps.Report)}, nil
}

// Status says where each assigned partition stands.
func (i *Ingester) Status() Status { return i.status.snapshot() }

// Run is a member of the group until ctx ends. Then the ranges under way are finished, committed, and
// the group is left. It returns an error only when membership cannot even be configured.
func (i *Ingester) Run(ctx context.Context) error {
	transport := &kafka.Transport{DialTimeout: kafkaTimeout, MetadataTTL: 10 * time.Second}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(i.cfg.Brokers...), Transport: transport, Timeout: kafkaTimeout}
	letters := newLetterbox(i.cfg, transport, i.metrics, i.deps.Logger)
	defer letters.close()
	write := &writer{
		client: i.deps.Warehouse, calendar: i.deps.Calendar, timeout: i.cfg.InsertTimeout,
		slots: semaphore.NewWeighted(maxInserts), metrics: i.metrics, logger: i.deps.Logger, report: i.status.insertHealth,
	}
	dialer := &kafka.Dialer{Timeout: kafkaTimeout, DualStack: true}
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: i.cfg.Group, Brokers: i.cfg.Brokers, Topics: i.cfg.Topics, Dialer: dialer,
		HeartbeatInterval: i.cfg.SessionTimeout / 5, SessionTimeout: i.cfg.SessionTimeout,
		// The previous owner may finish an insert that is under way. Not longer: a member that dies
		// while the group rebalances holds up all others for this time.
		RebalanceTimeout:      2 * lingerGrace,
		WatchPartitionChanges: true, PartitionWatchInterval: 5 * time.Second,
		JoinGroupBackoff: time.Second, Timeout: kafkaTimeout,
		GroupBalancers: []kafka.GroupBalancer{kafka.RoundRobinGroupBalancer{}},
		ErrorLogger:    kafka.LoggerFunc(i.deps.Logger.Sugar().Debugf),
	})
	if err != nil {
		return fmt.Errorf("configuring the consumer group: %w", err)
	}
	defer func() { _ = group.Close() }()
	for {
		generation, err := group.Next(ctx)
		if errors.Is(err, context.Canceled) || errors.Is(err, kafka.ErrGroupClosed) || ctx.Err() != nil {
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
					topic: topic, id: assignment.ID, as: as, cfg: i.cfg, deps: i.deps, dialer: dialer,
					offsets: offsetStore{client: client, timeout: kafkaTimeout}, writer: write, letters: letters,
					metrics: i.metrics, status: i.status,
					logger: i.deps.Logger.With(zap.String("topic", topic), zap.Int("partition", assignment.ID)),
				}
				i.start(ctx, generation, p)
			}
		}
	}
}

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
