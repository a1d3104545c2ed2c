package ingest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
)

const (
	// controlInterval is how often every ingest process looks at the decisions of operators, and a partition that is held
	// at the end of its log.
	controlInterval = 2 * time.Second
	// controlTimeout bounds one look at the decisions.
	controlTimeout = 10 * time.Second
)

// controls knows what operators have decided about pausing (ioc pause, ioc resume). While ClickHouse does not answer,
// what was known last counts.
type controls struct {
	ask    func(context.Context) ([]warehouse.Pause, error)
	logger *zap.Logger

	mu     sync.Mutex
	known  bool
	pauses []warehouse.Pause // in the order of their numbers
	// changed is closed when the decisions are others.
	changed chan struct{}
	working map[*worker]struct{}
}

// worker is a partition at work, which a pause stops.
type worker struct {
	topic     string
	partition int
	stop      context.CancelFunc
}

func newControls(ask func(context.Context) ([]warehouse.Pause, error), logger *zap.Logger) *controls {
	return &controls{ask: ask, logger: logger, changed: make(chan struct{}), working: map[*worker]struct{}{}}
}

// run looks at the decisions until ctx ends.
func (c *controls) run(ctx context.Context) error {
	for {
		if err := c.look(ctx); err != nil && ctx.Err() == nil {
			// Whatever else needs ClickHouse tells that it does not answer.
			c.logger.Debug("the decisions of operators are not known", zap.Error(err))
		}
		if !sleep(ctx, controlInterval) {
			return nil
		}
	}
}

// look reads the decisions and stops the partitions that are paused now.
func (c *controls) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	pauses, err := c.ask(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// Decisions are only added, so an answer that another one overtook has less of them.
	if c.known && (newest(pauses) < newest(c.pauses) || slices.EqualFunc(pauses, c.pauses, sameDecision)) {
		return nil
	}
	c.known, c.pauses = true, pauses
	close(c.changed)
	c.changed = make(chan struct{})
	for w := range c.working {
		if c.deciding(w.topic, w.partition).Paused {
			w.stop()
		}
	}
	return nil
}

func sameDecision(a, b warehouse.Pause) bool {
	return a.Number == b.Number && a.Scope() == b.Scope() && a.Paused == b.Paused && a.At.Equal(b.At)
}

func newest(pauses []warehouse.Pause) uint64 {
	if len(pauses) == 0 {
		return 0
	}
	return pauses[len(pauses)-1].Number
}

// deciding is the decision that counts for a partition; the caller holds mu.
func (c *controls) deciding(topic string, partition int) (decision warehouse.Pause) {
	for _, p := range c.pauses {
		if p.Covers(topic, partition) {
			decision = p
		}
	}
	return decision
}

// decision is what counts for a partition, and a channel that is closed when that may be otherwise. Before anything is
// known it is looked up: a process that starts must not read what is paused.
func (c *controls) decision(ctx context.Context, topic string, partition int) (warehouse.Pause, <-chan struct{}, error) {
	c.mu.Lock()
	known := c.known
	c.mu.Unlock()
	if !known {
		if err := c.look(ctx); err != nil {
			return warehouse.Pause{}, nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deciding(topic, partition), c.changed, nil
}

// accepted is the greatest clock reading that an operator has declared wrong, for a partition.
func (c *controls) accepted(topic string, partition int) (reading int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pauses {
		if p.Covers(topic, partition) {
			reading = max(reading, p.AcceptClock)
		}
	}
	return reading
}

// start gives a context to work under, which ends when the partition is paused. done must be called after the work.
func (c *controls) start(ctx context.Context, topic string, partition int) (working context.Context, done func()) {
	working, stop := context.WithCancel(ctx)
	w := &worker{topic: topic, partition: partition, stop: stop}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.working[w] = struct{}{}
	if c.deciding(topic, partition).Paused {
		stop()
	}
	return working, func() {
		stop()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.working, w)
	}
}

// pausedText says who paused what, since when, and how it goes on.
func pausedText(p warehouse.Pause) string {
	what, resume := "all ingestion", "ioc resume"
	if p.Topic != "" {
		resume += " " + p.Scope()
		if what = "ingestion of " + p.Topic; p.Partition != nil {
			what += fmt.Sprintf("/%d", *p.Partition)
		}
	}
	return fmt.Sprintf("%s is paused since %s by %s: %s; it goes on with: %s", what, p.At.In(reference.TimeZone()).Format(time.DateTime), p.By, p.Reason, resume)
}
