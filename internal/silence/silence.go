// Package silence tells which sources of the registry should have been heard of and were not. A source is silent when
// nothing came of it for twice the interval in which it is expected. Offices sleep: outside working hours
// (Monday to Friday, 8 to 17 o'clock in Asia/Ho_Chi_Minh, without public holidays) nobody is expected.
package silence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"

	"ioc.local/internal/reference"
)

// Config is how a Watch works.
type Config struct {
	// Interval is the time between two looks at the newest events.
	Interval time.Duration
	// Timeout bounds one look.
	Timeout time.Duration
}

// DefaultConfig looks every 10 s, for 5 s at most.
func DefaultConfig() Config {
	return Config{Interval: 10 * time.Second, Timeout: 5 * time.Second}
}

// patience is how many intervals may pass before a source is silent.
const patience = 2

// The hours of offices.
const opens, closes = 8, 17

// Deps are what a Watch stands on.
type Deps struct {
	// Conn is the warehouse.
	Conn driver.Conn
	// Expected is how often each source should be heard of. Only these are watched, so the registry bounds the metrics.
	Expected map[string]time.Duration
	// Calendar knows the working days.
	Calendar *reference.Calendar
	// Registry receives the metrics.
	Registry prometheus.Registerer
	// Health receives the outcome of each look, nil when it succeeded.
	Health func(error)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Source is a silent source.
type Source struct {
	// Name is the source as events carry it.
	Name string
	// Since is when it was last heard of; the start of the watch where it never was.
	Since time.Time
}

// Watch follows the newest event of each expected source. Run may be called once, the other methods at any time.
type Watch struct {
	cfg   Config
	deps  Deps
	start time.Time

	mu     sync.Mutex
	newest map[string]time.Time
}

// New checks the configuration and registers the metrics.
func New(cfg Config, deps Deps) (*Watch, error) {
	if cfg.Interval <= 0 || cfg.Timeout <= 0 {
		return nil, errors.New("silence: Interval and Timeout must be positive")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	w := &Watch{cfg: cfg, deps: deps, start: deps.Now(), newest: map[string]time.Time{}}
	if err := deps.Registry.Register(collector{w}); err != nil {
		return nil, fmt.Errorf("silence: registering metrics: %w", err)
	}
	return w, nil
}

// Run looks at each interval until ctx ends, and returns nil then. While the warehouse does not answer it keeps what it
// knew, and sources grow older.
func (w *Watch) Run(ctx context.Context) error {
	ticker := time.NewTicker(w.cfg.Interval)
	defer ticker.Stop()
	for {
		err := w.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		w.deps.Health(err)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (w *Watch) look(ctx context.Context) error {
	if len(w.deps.Expected) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Timeout)
	defer cancel()
	rows, err := w.deps.Conn.Query(ctx, "SELECT toString(source), max(latest) FROM source_activity WHERE source != '' GROUP BY source")
	if err != nil {
		return fmt.Errorf("reading the newest events of the sources: %w", err)
	}
	defer rows.Close()
	newest := map[string]time.Time{}
	for rows.Next() {
		var source string
		var latest time.Time
		if err := rows.Scan(&source, &latest); err != nil {
			return fmt.Errorf("reading the newest events of the sources: %w", err)
		}
		if _, watched := w.deps.Expected[source]; watched {
			newest[source] = latest
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading the newest events of the sources: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.newest = newest
	return nil
}

// since is when a source was last heard of.
func (w *Watch) since(source string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t, heard := w.newest[source]; heard {
		return t
	}
	return w.start
}

// Silent lists the sources that are silent now, by name; none outside working hours.
func (w *Watch) Silent() []Source {
	now := w.deps.Now()
	if !w.working(now) {
		return nil
	}
	var silent []Source
	for source, every := range w.deps.Expected {
		if since := w.since(source); w.age(now, since) > patience*every {
			silent = append(silent, Source{source, since})
		}
	}
	slices.SortFunc(silent, func(a, b Source) int { return strings.Compare(a.Name, b.Name) })
	return silent
}

// age is how long nothing was heard. In working hours it is counted from their beginning: who was last heard of in the
// evening is not late in the morning.
func (w *Watch) age(now, since time.Time) time.Duration {
	if w.working(now) {
		year, month, day := now.In(reference.TimeZone()).Date()
		if opening := time.Date(year, month, day, opens, 0, 0, 0, reference.TimeZone()); since.Before(opening) {
			since = opening
		}
	}
	return max(0, now.Sub(since))
}

// working tells whether offices are open.
func (w *Watch) working(now time.Time) bool {
	local := now.In(reference.TimeZone())
	return w.deps.Calendar.Working(local) && local.Hour() >= opens && local.Hour() < closes
}

// collector exports what the Watch knows.
type collector struct{ w *Watch }

var (
	ageDesc = prometheus.NewDesc("ioc_silence_source_age_seconds",
		"Time since the newest event of a source of the registry, in working hours since their beginning at most; from the start of the process where there is none.", []string{"source"}, nil)
	expectedDesc = prometheus.NewDesc("ioc_silence_source_expected_seconds",
		"Interval in which a source of the registry should be heard of.", []string{"source"}, nil)
	workingDesc = prometheus.NewDesc("ioc_silence_working_time",
		"1 in the working hours of a working day in Vietnam, else 0.", nil, nil)
)

// Describe implements prometheus.Collector.
func (collector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- ageDesc
	descriptions <- expectedDesc
	descriptions <- workingDesc
}

// Collect implements prometheus.Collector.
func (c collector) Collect(samples chan<- prometheus.Metric) {
	now := c.w.deps.Now()
	working := 0.0
	if c.w.working(now) {
		working = 1
	}
	samples <- prometheus.MustNewConstMetric(workingDesc, prometheus.GaugeValue, working)
	for source, every := range c.w.deps.Expected {
		age := c.w.age(now, c.w.since(source)).Seconds()
		samples <- prometheus.MustNewConstMetric(ageDesc, prometheus.GaugeValue, age, source)
		samples <- prometheus.MustNewConstMetric(expectedDesc, prometheus.GaugeValue, every.Seconds(), source)
	}
}
