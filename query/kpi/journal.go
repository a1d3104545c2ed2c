package kpi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// JournalConfig is how a Journal works.
type JournalConfig struct {
	// Minutes is how many minutes are kept while ClickHouse does not take them; at least 1. What is over is dropped, the oldest
	// first. Default 60. The metric ioc_kpi_journal_dropped_minutes_total shows that it was reached.
	Minutes int
	// Timeout bounds one insert. Default 20 s. The metric ioc_kpi_journal_failures_total counts those that failed.
	Timeout time.Duration
	// Retry is the time between attempts while ClickHouse does not take what is kept. Default 5 s.
	Retry time.Duration
}

// DefaultJournalConfig returns the defaults that the fields of JournalConfig name.
func DefaultJournalConfig() JournalConfig {
	return JournalConfig{Minutes: 60, Timeout: 20 * time.Second, Retry: 5 * time.Second}
}

// JournalDeps are what a Journal stands on.
type JournalDeps struct {
	// Conn is the warehouse.
	Conn driver.Conn
	// Evaluator publishes what is written down.
	Evaluator *Evaluator
	// Registry receives the metrics; nil registers none.
	Registry prometheus.Registerer
	// Logger receives what Run survives.
	Logger *zap.Logger
	// Health receives the outcome of each insert, nil when it succeeded; nil is not called.
	Health func(error)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Journal writes down once a minute what is published: the values that have become others since they were last written, and
// all of them at its start and at the start of each day.
type Journal struct {
	cfg     JournalConfig
	deps    JournalDeps
	metrics journalMetrics
	every   time.Duration // A minute, but in tests.

	// Only the goroutine of Run has these.
	written map[Key]*Answer // What was last put down of each value.
	day     time.Time       // Of the last full set.

	mu      sync.Mutex
	waiting journalPages  // Not yet taken by the writer.
	wake    chan struct{} // Has room for one.
}

// NewJournal checks the configuration and registers the metrics.
func NewJournal(cfg JournalConfig, deps JournalDeps) (*Journal, error) {
	if cfg.Minutes < 1 || cfg.Timeout <= 0 || cfg.Retry <= 0 {
		return nil, errors.New("kpi: Minutes must be at least 1, Timeout and Retry positive")
	}
	if deps.Conn == nil || deps.Evaluator == nil || deps.Logger == nil {
		return nil, errors.New("kpi: Conn, Evaluator and Logger are needed")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Health == nil {
		deps.Health = func(error) {}
	}
	j := &Journal{cfg: cfg, deps: deps, every: time.Minute, wake: make(chan struct{}, 1)}
	var err error
	j.metrics, err = newJournalMetrics(deps.Registry, j)
	return j, err
}

// Run writes until ctx ends, and then, within Timeout, what is left with the minute that has begun, and returns nil. Errors
// of the warehouse do not end it, and never hold up the evaluator.
func (j *Journal) Run(ctx context.Context) error {
	publications, cancel := j.deps.Evaluator.Subscribe()
	defer cancel()
	writer := make(chan struct{})
	go func() {
		defer close(writer)
		j.write(ctx)
	}()
	j.follow(ctx, publications)
	<-writer
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), j.cfg.Timeout)
	defer stop()
	if err := j.flush(last); err != nil {
		j.deps.Logger.Warn("the last minutes of the journal of KPIs are not written", zap.Int("minutes", j.pending()), zap.Error(err))
	}
	return nil
}

// follow puts down the publication that stands at the end of each minute. The last one, as the context ends, is put down for
// the minute that has begun: by its end it stands, unless another process publishes a newer one.
func (j *Journal) follow(ctx context.Context, publications <-chan *Publication) {
	var standing *Publication
	end := j.endAfter(j.deps.Now())
	receive := func(p *Publication) {
		if !p.At.Before(end) { // it did not stand at the end of the minute
			end = j.turn(end, p.At, standing)
		}
		standing = p
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			select {
			case p := <-publications: // both were ready
				receive(p)
			default:
			}
			j.put(j.turn(end, j.deps.Now(), standing), standing)
			return
		case p := <-publications:
			receive(p)
		case <-timer.C:
			end = j.turn(end, j.deps.Now(), standing)
			// Looked at every second, so that a clock that was put right is noticed.
			timer.Reset(min(max(end.Sub(j.deps.Now()), time.Millisecond), time.Second))
		}
	}
}

// turn puts down what stood until now where the minute has ended, and returns the end of the minute now. Over several minutes,
// in which the machine slept, the same publication stood.
func (j *Journal) turn(end, now time.Time, standing *Publication) time.Time {
	next := j.endAfter(now)
	switch {
	case !now.Before(end):
		j.put(end, standing)
		if last := next.Add(-j.every); last.After(end) {
			j.put(last, standing)
		}
		return next
	case end.After(next): // the clock was put back
		return next
	}
	return end
}

// endAfter is the end of the minute that the moment is in.
func (j *Journal) endAfter(t time.Time) time.Time { return t.In(zone).Truncate(j.every).Add(j.every) }

// put puts down what has changed by the end of a minute.
func (j *Journal) put(end time.Time, standing *Publication) {
	if standing == nil {
		return
	}
	full := !dayStart(end).Equal(j.day)
	if full {
		j.day, j.written = dayStart(end), map[Key]*Answer{}
	}
	page := journalPage{minute: end, lines: map[Key]journalLine{}}
	for key, a := range standing.Values {
		if before := j.written[key]; before == nil || !before.sameStanding(a) {
			def, known := j.deps.Evaluator.deps.Catalogue.Get(key.KPI)
			page.lines[key] = journalLine{a, standing.At, !known || def.Sensitive}
			j.written[key] = a
		}
	}
	if len(page.lines) == 0 {
		return
	}
	j.mu.Lock()
	j.waiting = append(j.waiting, page)
	j.mu.Unlock()
	j.trim()
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// write sends what was put down until ctx ends, again and again while ClickHouse does not take it.
func (j *Journal) write(ctx context.Context) {
	retry := time.NewTimer(j.cfg.Retry)
	defer retry.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.wake:
		case <-retry.C:
		}
		if j.pending() > 0 {
			err := j.flush(ctx)
			if ctx.Err() != nil {
				return
			}
			j.deps.Health(err)
			if err != nil && !failing {
				j.deps.Logger.Warn("the journal of KPIs is not written: its minutes are kept", zap.Int("at_most", j.cfg.Minutes), zap.Error(err))
			}
			if err == nil && failing {
				j.deps.Logger.Info("the journal of KPIs is written again")
			}
			failing = err != nil
		}
		retry.Reset(j.cfg.Retry)
	}
}

// flush sends all that was put down with one insert. What is not taken is kept; sent again it is the same rows.
func (j *Journal) flush(ctx context.Context) error {
	j.mu.Lock()
	taken := j.waiting
	j.waiting = nil
	j.mu.Unlock()
	if len(taken) == 0 {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, j.cfg.Timeout)
	defer cancel()
	rows, err := taken.insert(bounded, j.deps.Conn)
	if err == nil {
		j.metrics.rows.Add(float64(rows))
		return nil
	}
	j.metrics.failures.Inc()
	j.mu.Lock()
	j.waiting = append(taken, j.waiting...)
	j.mu.Unlock()
	j.trim()
	return fmt.Errorf("writing the journal of KPIs: %w", err)
}

// trim drops the oldest minutes that are too many.
func (j *Journal) trim() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.waiting) > j.cfg.Minutes {
		j.waiting = j.waiting.dropFirst()
		j.metrics.dropped.Inc()
	}
}

// pending is how many minutes wait to be written.
func (j *Journal) pending() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.waiting)
}

// journalMetrics are those of a Journal.
type journalMetrics struct{ rows, failures, dropped prometheus.Counter }

func newJournalMetrics(registry prometheus.Registerer, j *Journal) (journalMetrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := journalMetrics{
		rows:     counter("ioc_kpi_journal_rows_total", "Rows written to the journal of published values."),
		failures: counter("ioc_kpi_journal_failures_total", "Inserts into the journal that the warehouse failed or did not answer in time; they are repeated."),
		dropped:  counter("ioc_kpi_journal_dropped_minutes_total", "Minutes that the journal lacks, since the warehouse was away for longer than they are kept."),
	}
	if registry == nil {
		return m, nil
	}
	pending := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ioc_kpi_journal_pending_minutes", Help: "Minutes that wait to be written to the journal.",
	}, func() float64 { return float64(j.pending()) })
	for _, c := range []prometheus.Collector{m.rows, m.failures, m.dropped, pending} {
		if err := registry.Register(c); err != nil {
			return m, fmt.Errorf("registering the journal's metrics: %w", err)
		}
	}
	return m, nil
}
