package kpi

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"ioc.local/internal/reference"
)

// Config is how an Evaluator works.
type Config struct {
	// Tick is the time between publications; at least 50 ms. The metric ioc_kpi_tick_seconds shows what a tick takes.
	Tick time.Duration
	// Timeout bounds one statement. The metric ioc_kpi_failures_total counts the statements that failed.
	Timeout time.Duration
}

// DefaultConfig returns a tick of 500 ms and a timeout of 10 s.
func DefaultConfig() Config {
	return Config{Tick: 500 * time.Millisecond, Timeout: 10 * time.Second}
}

const minTick = 50 * time.Millisecond

// Deps are what an Evaluator stands on.
type Deps struct {
	// Conn is the warehouse.
	Conn driver.Conn
	// Catalogue holds the definitions.
	Catalogue *Catalogue
	// Coefficients are those of the savings.
	Coefficients *reference.Coefficients
	// Calendar knows the working days, in which limits of petitions are counted.
	Calendar *reference.Calendar
	// Registry receives the metrics; nil registers none.
	Registry prometheus.Registerer
	// Logger receives what Run survives.
	Logger *zap.Logger
	// Health receives the outcome of each tick, nil when it succeeded; nil is not called.
	Health func(error)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Landed has an element when events have landed in the warehouse that no tick may have seen. It spares what ingestion of
	// the same process brings half a tick; nil where that is elsewhere.
	Landed <-chan struct{}
}

// Evaluator answers questions and publishes the current values at each tick. Its methods may be called from any
// goroutine; Run only once.
type Evaluator struct {
	cfg          Config
	deps         Deps
	coefficients string            // Version.
	examples     []string          // Sources of coefficients that are examples.
	definitions  map[string]string // Hash by KPI.
	sourceNames  []string          // Of the sources in use.
	witnesses    map[string]*table // By family.
	metrics      metrics
	flights      flights
	cache        cache
	hidden       concealments

	illustrative atomic.Bool // The data holds simulated events; it never becomes false again.
	current      atomic.Pointer[Publication]

	// Only the goroutine of Run has these.
	published map[string]*publishedSource
	judged    string            // Position vectors up to which the data was searched for simulated events.
	noted     bool              // What was published before they were found has its note.
	marks     map[string]string // What voids and rebuilds have left, by source, at the minute marked.
	marked    time.Time

	mu          sync.Mutex
	interest    map[item]int
	asked       map[item]time.Time // When it was asked for last; only what nothing else publishes is noted.
	subscribers map[chan *Publication]bool
	seen        map[string]sourceSeen
	figures     *figuresReading        // Read last; it never changes.
	entries     map[string]keptEntries // By source.
}

// sourceSeen is what the last good tick knew of a source.
type sourceSeen struct {
	latest time.Time
	at     time.Time
}

// New checks the configuration and registers the metrics.
func New(cfg Config, deps Deps) (*Evaluator, error) {
	if cfg.Tick < minTick || cfg.Timeout <= 0 {
		return nil, errors.New("kpi: Tick must be at least 50ms and Timeout positive")
	}
	if deps.Conn == nil || deps.Catalogue == nil || deps.Coefficients == nil || deps.Calendar == nil || deps.Logger == nil {
		return nil, errors.New("kpi: Conn, Catalogue, Coefficients, Calendar and Logger are needed")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Health == nil {
		deps.Health = func(error) {}
	}
	e := &Evaluator{
		cfg: cfg, deps: deps, coefficients: deps.Coefficients.Version(), examples: exampleSources(deps), definitions: map[string]string{}, witnesses: witnesses(), entries: map[string]keptEntries{},
		published: map[string]*publishedSource{}, interest: map[item]int{}, asked: map[item]time.Time{}, subscribers: map[chan *Publication]bool{}, seen: map[string]sourceSeen{},
	}
	for _, def := range deps.Catalogue.all {
		e.definitions[def.ID] = def.Hash(e.coefficients)
		if def.Kind == KindFormula {
			continue
		}
		e.sourceNames = append(append(e.sourceNames, def.Source), def.besides()...)
	}
	for _, def := range deps.Catalogue.all {
		if def.Kind == KindFormula {
			e.definitions[def.ID] = e.formulaHash(def)
		}
	}
	slices.Sort(e.sourceNames)
	e.sourceNames = slices.Compact(e.sourceNames)
	var err error
	if e.metrics, err = newMetrics(deps.Registry, e); err != nil {
		return nil, err
	}
	e.cache.resets = e.metrics.resets.Inc
	return e, nil
}

// lastLatest is the greatest event time that the last tick saw of the source.
func (e *Evaluator) lastLatest(source string) (time.Time, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	seen, ok := e.seen[source]
	return seen.latest, ok
}

// Confirmed is when the KPI's published values were last found to be those of the newest events; zero before the first
// publication. It falls behind the clock while the warehouse is away.
func (e *Evaluator) Confirmed(kpi string) time.Time {
	def, ok := e.deps.Catalogue.Get(kpi)
	if !ok {
		return time.Time{}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	at := e.seen[def.Source].at
	for i, id := range def.parts() { // a formula is as old as its oldest part
		if seen := e.seen[e.deps.Catalogue.byID[id].Source].at; i == 0 || seen.Before(at) {
			at = seen
		}
	}
	return at
}
