package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"ioc.local/ingest/event"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
)

// maxInserts is how many inserts run at once: the encoding of one overlaps the server's work on the other.
const maxInserts = 2

// lingerGrace is how long an insert may still run after its partition was taken away or the process was
// asked to stop. Letting it end is not needed for exactly-once, but saves the next owner a replay, and
// keeps a cancelled query from closing its connection.
const lingerGrace = 5 * time.Second

// writer inserts ranges into ClickHouse.
type writer struct {
	store    store
	calendar *reference.Calendar
	timeout  time.Duration
	trust    time.Duration // tokenTrust
	settle   time.Duration // settleTime
	// now reads the clock that ages of ranges are measured by; only differences count.
	now     func() time.Time
	slots   *semaphore.Weighted
	metrics *metrics
	logger  *zap.Logger
	// told is called for each range that is in, unless it is nil.
	told func()
}

// write inserts all blocks of a range, then brings the dossiers that it touched up to date. It retries
// the same blocks until they are in, or until ctx has ended and the attempt under way has failed.
// report is told each failed attempt, and nil after each success. own records the range once more, as it is in c by then.
func (w *writer) write(ctx context.Context, c *cut, own func(context.Context) error, report func(error)) error {
	registers := false
	for _, block := range c.batch.Blocks() {
		part := w.block(c, block)
		err := w.retry(ctx, block.Table, report, func(ctx context.Context) error { return w.attempt(ctx, c, part, own) })
		if err != nil {
			return fmt.Errorf("inserting range %s into %s: %w", c.pending.Token, block.Table, err)
		}
		w.metrics.inserted(block.Table, block.MonthSpan())
		registers = registers || block.Table == "register_events"
	}
	touched := warehouse.TouchedDossiers{
		Topic: c.incarnation, Partition: uint32(c.partition), First: uint64(c.first), Last: uint64(c.pending.Last),
		Token: c.pending.Token, Calendar: w.calendar, Registers: registers,
	}
	touched.RegisteredOn, touched.Subjects = c.batch.TouchedDossiers()
	if len(touched.Subjects) == 0 && !registers {
		return nil
	}
	part := w.dossiers(c, touched)
	err := w.retry(ctx, part.table, report, func(ctx context.Context) error { return w.placed(c, part, w.attempt(ctx, c, part, own)) })
	if err != nil {
		return fmt.Errorf("applying the dossiers of range %s: %w", c.pending.Token, err)
	}
	return nil
}

// block is the part of a range that goes into a raw table.
func (w *writer) block(c *cut, block *event.Block) *part {
	o := &part{table: block.Table, place: c.place(), rows: uint64(block.Rows())}
	o.insert = func(ctx context.Context, token string) error { return w.store.Insert(ctx, block, token) }
	o.fill = func(ctx context.Context, lacking []string, token string) error {
		return w.store.Fill(ctx, lacking, o.place, token)
	}
	o.restore = func(ctx context.Context) error { return w.store.Restore(ctx, block, o.place, c.pending.Token) }
	if block.Table == event.FeedTable { // its rows are sums, and it fills itself
		o.rows = 0
		o.fill = func(ctx context.Context, _ []string, token string) error { return o.insert(ctx, token) }
	}
	return o
}

// dossiers is the part of a range that changes dossiers.
func (w *writer) dossiers(c *cut, touched warehouse.TouchedDossiers) *part {
	under := func(token string) warehouse.TouchedDossiers { touched.Token = token; return touched }
	o := &part{table: "dossier_changes", place: c.place(), dossiers: true}
	o.insert = func(ctx context.Context, token string) error {
		applied, err := w.store.ApplyDossiers(ctx, under(token))
		o.nothing = err == nil && !applied
		return err
	}
	o.fill = func(ctx context.Context, lacking []string, token string) error {
		return w.store.FillDossiers(ctx, under(token), lacking)
	}
	return o
}

// placed makes a stop of the error that the place of a range is forgotten: no attempt finds it again. The stop is over when
// the rollups hold the range, since nothing is added to them then.
func (w *writer) placed(c *cut, o *part, err error) error {
	forgotten := new(warehouse.ForgottenPlaceError)
	if !errors.As(err, &forgotten) {
		return err
	}
	return &StoppedError{Reason: forgotten.Error(), over: func(ctx context.Context) bool {
		now, err := w.landed(ctx, c, o)
		return err == nil && len(now.Lacking) == 0
	}}
}

// retry runs attempt until it succeeds. An error says nothing about what was written, so every attempt
// is the same; it gives up only once ctx has ended.
func (w *writer) retry(ctx context.Context, table string, report func(error), attempt func(context.Context) error) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		if err := w.slots.Acquire(ctx, 1); err != nil {
			return err
		}
		started := time.Now()
		err := func() error {
			defer w.slots.Release(1)
			lingering, cancel := linger(ctx, lingerGrace)
			defer cancel()
			return attempt(lingering)
		}()
		w.metrics.insertSeconds.WithLabelValues(table).Observe(time.Since(started).Seconds())
		if err == nil {
			report(nil)
			return nil
		}
		if stop := new(StoppedError); errors.As(err, &stop) || errors.Is(err, errOwnership) {
			return err
		}
		w.metrics.insertRetries.WithLabelValues(table).Inc()
		report(fmt.Errorf("ClickHouse: inserting into %s: %w", table, err))
		w.logger.Warn("insert failed, the partition is held and the same block is sent again",
			zap.String("table", table), zap.Duration("pause", pause), zap.Error(err))
		if errors.Is(err, errHalfway) {
			pause = halfwayPoll
		}
		if !sleep(ctx, pause) {
			return err
		}
	}
}

// linger gives a context that ends grace after ctx does.
func linger(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	lingering, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(grace, cancel)
		context.AfterFunc(lingering, func() { timer.Stop() })
	})
	return lingering, func() { stop(); cancel() }
}
