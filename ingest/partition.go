package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"ioc.local/ingest/event"
)

// stoppedPoll is how often a stopped partition looks for the operator's decision.
const stoppedPoll = 2 * time.Second

// partition is the work on one assigned partition during one generation.
type partition struct {
	topic string
	id    int
	// registry is the fingerprint of the registry of sources that this process judges events by.
	registry string
	as       membership
	cfg      Config
	deps     Deps
	log      *partitionLog
	offsets  offsetStore
	store    store
	now      func() time.Time
	controls *controls
	clock    *clock
	writer   *writer
	letters  *letterbox
	metrics  *metrics
	status   *statusBoard
	logger   *zap.Logger
}

// run works on the partition until the generation ends or ownership is lost.
func (p *partition) run(ctx context.Context) error {
	p.status.update(p.topic, p.id, func(s *PartitionStatus) {
		*s = PartitionStatus{Topic: p.topic, Partition: p.id, State: Starting, Position: -1, End: -1}
	})
	defer p.status.remove(p.topic, p.id)
	var err error
	if p.log, err = openLog(p.deps.Cluster, p.topic, p.id); err != nil {
		return err
	}
	defer p.log.close()
	for pause := 100 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, 5*time.Second) {
		err := p.attempt(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errOwnership):
			return err
		case err == nil: // it was held, and is not any more
			pause = 100 * time.Millisecond
			continue
		}
		p.metrics.partitionErrors.Inc()
		p.status.update(p.topic, p.id, func(s *PartitionStatus) { s.State, s.Problem = Retrying, err.Error() })
		p.logger.Warn("partition is held and tried again", zap.Duration("pause", pause), zap.Error(err))
		sleep(ctx, pause)
	}
	return nil
}

// attempt works until something is wrong or the partition is paused, and waits then. It returns nil when it can be tried
// again at once: what it was paused, stopped or held for is over.
//
// Whatever it waits for, no range waits with it: a range that is recorded is inserted and committed first. Otherwise it
// might be in ClickHouse in part, while other partitions go on until ClickHouse has forgotten its token.
func (p *partition) attempt(ctx context.Context) error {
	cutting, done := p.controls.start(ctx, p.topic, p.id)
	defer done()
	err := p.work(ctx, cutting)
	var stop *StoppedError
	var wrong *clockError
	switch {
	case errors.Is(err, errOwnership):
		return err
	case ctx.Err() != nil:
		return nil
	case errors.As(err, &stop):
		p.hold(ctx, stop)
		p.status.update(p.topic, p.id, func(s *PartitionStatus) { s.State, s.Problem = Starting, "" })
		return nil
	case err == nil: // it is paused
		return p.whilePaused(ctx)
	case errors.As(err, &wrong):
		p.holdClock(cutting, wrong)
		return nil
	}
	return err
}

// hold keeps a stopped partition still, loudly, until the reason is gone: an operator has accepted a new
// incarnation, or the log or the commit that was missing is back.
func (p *partition) hold(ctx context.Context, stop *StoppedError) {
	p.logger.Error("partition stopped: an operator has to decide", zap.String("reason", stop.Reason))
	p.status.update(p.topic, p.id, func(s *PartitionStatus) { s.State, s.Problem = Stopped, stop.Reason })
	p.metrics.stopped.WithLabelValues(p.topic, fmt.Sprint(p.id)).Set(1)
	defer p.metrics.stopped.DeleteLabelValues(p.topic, fmt.Sprint(p.id))
	for {
		if !sleep(ctx, stoppedPoll) {
			return
		}
		at, err := p.establish(ctx)
		if err == nil && p.readable(ctx, at) == nil && (stop.over == nil || stop.over(ctx)) {
			return
		}
	}
}

// work finishes the recorded range, then cuts, records, inserts and commits range after range, until cutting ends or
// something is wrong. A range that is recorded is finished even then; only the end of ctx leaves it to the next owner.
// It returns an error when the partition has to be established anew.
func (p *partition) work(ctx, cutting context.Context) error {
	if _, _, err := p.controls.decision(ctx, p.topic, p.id); err != nil { // what is paused must not be read
		return err
	}
	at, err := p.establish(ctx)
	if err != nil || at.pending == nil && cutting.Err() != nil {
		return err
	}
	decoder := p.deps.NewDecoder()
	window := p.cfg.DuplicateWindow
	if at.pending != nil {
		window = at.pending.Window
	}
	seen, err := p.restore(ctx, at, window, decoder)
	if err != nil {
		return err
	}
	fetch := newFetcher(p.log, at.offset, func(end int64) { p.status.fetched(p.topic, p.id, end) })
	cuts := newCutter(p.cfg, fetch, decoder, seen, at.name)
	cuts.now, cuts.judge = p.now, p.judge
	if cuts.replays, err = p.restoreReplays(ctx, at); err != nil {
		return err
	}
	cuts.replays.use(decoder)
	p.status.update(p.topic, p.id, func(s *PartitionStatus) { s.State, s.Problem, s.Position, s.End = Running, "", at.offset, at.end })
	p.logger.Info("partition assigned", zap.Int64("offset", at.offset), zap.Bool("replay", at.pending != nil),
		zap.Int("generation", p.as.generation))

	if at.pending != nil {
		if err := p.finishRecorded(ctx, cuts, &at); err != nil || ctx.Err() != nil {
			return err
		}
		if seen.window != p.cfg.DuplicateWindow {
			// The range was judged by the window that it was cut with; from here on the configured one counts.
			if cuts.seen, err = p.restore(ctx, at, p.cfg.DuplicateWindow, decoder); err != nil {
				return err
			}
		}
	}

	if cutting.Err() != nil {
		return nil
	}
	if err := p.clock.ready(ctx); err != nil {
		return err
	}
	cuts.clock = at.clock

	// One goroutine cuts range n+1 while the other inserts range n. When nothing more is cut, what is cut is inserted.
	ready, free := make(chan *cut), make(chan *event.Batch, 2)
	free <- event.NewBatch()
	free <- event.NewBatch()
	cutting, stop := context.WithCancel(cutting)
	defer stop()
	var group errgroup.Group
	group.Go(func() error {
		defer close(ready)
		return p.cutAll(cutting, cuts, at.offset, ready, free)
	})
	err = p.insertAll(ctx, at, ready, free, cuts.inserting)
	stop()
	if cutErr := group.Wait(); err == nil {
		err = cutErr
	}
	return err
}

// finishRecorded replays the range that a previous owner recorded, and moves at behind it.
func (p *partition) finishRecorded(ctx context.Context, cuts *cutter, at *start) error {
	cuts.decoder.UseVersion(at.pending.Contract)
	defer cuts.decoder.UseVersion(event.Version)
	opened, err := p.openedAt(ctx, at.pending)
	if err != nil {
		return err
	}
	c, err := cuts.replay(ctx, event.NewBatch(), at.offset, *at.pending)
	if err != nil || c == nil {
		return err
	}
	c.opened, c.unsure, c.doubted = opened, true, strings.HasSuffix(at.pending.Token, renewed)
	if err := p.deliver(ctx, at, c); err != nil {
		return err
	}
	at.offset, at.pending, at.mark, at.clock = at.pending.Last+1, nil, cmp.Or(c.mark, at.mark), at.pending.Clock
	p.metrics.replays.Inc()
	if err := p.commit(ctx, at, nil); err != nil {
		return err
	}
	p.done(c)
	return nil
}

// cutAll cuts range after range. After an error of the broker the partition is established again, since the
// log behind it may be another one.
func (p *partition) cutAll(ctx context.Context, cuts *cutter, first int64, ready chan<- *cut, free <-chan *event.Batch) error {
	for {
		var batch *event.Batch
		select {
		case <-ctx.Done():
			return nil
		case batch = <-free:
		}
		c, err := cuts.next(ctx, batch, first)
		if err != nil || c == nil {
			return err
		}
		first = c.pending.Last + 1
		select {
		case <-ctx.Done():
			return nil
		case ready <- c:
		}
	}
}

// insertAll records, inserts and commits the ranges in order, until no more are cut. The commit that ends a range records
// the next one when it is cut already, so that under load there is one commit for each range.
func (p *partition) insertAll(ctx context.Context, at start, ready <-chan *cut, free chan<- *event.Batch, inserting *atomic.Bool) error {
	for {
		var c *cut
		select {
		case <-ctx.Done():
			return nil
		case c = <-ready:
		}
		if c == nil {
			return nil
		}
		if err := p.commit(ctx, &at, &c.pending); err != nil {
			return err
		}
		for c != nil {
			inserting.Store(true)
			err := p.deliver(ctx, &at, c)
			inserting.Store(false)
			if err != nil {
				return err
			}
			at.offset, at.mark, at.clock = c.pending.Last+1, cmp.Or(c.mark, at.mark), c.pending.Clock
			var next *cut
			select {
			case next = <-ready:
			default:
			}
			var pending *Pending
			if next != nil {
				pending = &next.pending
			}
			if err := p.commit(ctx, &at, pending); err != nil {
				return err
			}
			p.done(c)
			free <- c.batch
			c = next
		}
	}
}

// deliver writes a range that is recorded at at to ClickHouse, and its rejected records to the dead-letter topic.
func (p *partition) deliver(ctx context.Context, at *start, c *cut) error {
	own := func(ctx context.Context) error { return p.commit(ctx, at, &c.pending) }
	report := func(err error) {
		p.status.update(p.topic, p.id, func(s *PartitionStatus) {
			if s.State, s.Problem = Running, ""; err != nil {
				s.State, s.Problem = Retrying, insertProblem(err)
			}
		})
	}
	if err := p.writer.write(ctx, c, own, report); err != nil {
		return err
	}
	if p.writer.told != nil {
		p.writer.told()
	}
	return p.letters.send(ctx, c.incarnation, p.id, c.batch.Rejections(), report)
}

// commit stores where the partition stands. It is sent even when ctx has just ended: a range that is in
// ClickHouse need not be replayed by the next owner.
func (p *partition) commit(ctx context.Context, at *start, pending *Pending) error {
	lingering, cancel := linger(ctx, lingerGrace)
	defer cancel()
	return p.offsets.commit(lingering, p.as, p.topic, p.id, at.offset, metadata{Incarnation: at.incarnation, Topic: at.topic.String(), Mark: at.mark, Clock: at.clock, Pending: pending})
}

// done counts a range that is committed.
func (p *partition) done(c *cut) {
	p.metrics.committed(p.topic, p.id, c)
	p.status.update(p.topic, p.id, func(s *PartitionStatus) {
		s.State, s.Problem = Running, ""
		s.Position = c.pending.Last + 1
	})
}

// sleep waits for pause, or returns false when ctx ends first.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
