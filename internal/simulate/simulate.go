// Package simulate produces the events of a country that does not exist: 34 provinces with the population of the real
// ones, dossiers that go through their statuses over days, authentications, accounts, documents, queries, daily reports of
// data quality, petitions, tasks and registers. It feeds `ioc demo` and `ioc simulate`.
//
// The shapes, codes and orders are those of the contract; every share, delay and difference between provinces is an
// example and says nothing about the real ones. So that nobody mistakes them, each event's source has an organisation
// that is Org or starts with it and a dot: /npsp/SIM.79, /eid_auth/SIM. Every face says that its answers are illustrative
// once the data holds such an event.
//
// A country is a pure function of its origin, seed, size and flaws: the same events in the same order, whoever asks for
// them and when. That is how it is continued after a restart: its first events are made again and left out.
package simulate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"ioc.local/internal/produce"
	"ioc.local/internal/reference"
)

// Org starts the organisation in the source of every simulated event.
const Org = "SIM"

// Pacing of Run. Events are sent in steps, as many as are due, up to maxBatch.
const (
	step       = 20 * time.Millisecond
	maxBatch   = 10_000
	maxBehind  = 10 * time.Second // after a longer outage the queries in between are skipped
	minBackoff = 250 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// Config is the configuration of a Simulator.
type Config struct {
	// Rate is the number of events a second in the live part, 0.001 to 1,000,000. Default 200.
	//
	// Without a history four of ten come from people and offices, who are as many as it takes. With a history people and
	// offices are as busy as in the past, about one event a second, so that today is comparable with yesterday. Queries
	// between systems make up the rest.
	Rate float64
	// Seed chooses the events: at one rate, equal seed, origin and start, equal events. Default 1.
	Seed uint64
	// Start is when the live part begins. Zero, the default, is the moment when Run starts, so that events happen as they
	// are sent.
	Start time.Time
	// Origin is when the country begins; what happens from then to the start is its history, which Run sends as fast as the
	// sink takes it. Zero, the default, is the start: no history. Not before 2022-01-06, the earliest time that the contract
	// allows.
	Origin time.Time
	// History puts the origin so long before the start when Origin is zero; at most 400 days. Default 0.
	History time.Duration
	// Count ends Run after as many events. Zero, the default, means never.
	Count uint64
	// Flaws are the shares of events that are not as they should be. The default is ExampleFlaws.
	Flaws Flaws
	// State is a file in which Run notes how far it came, and from which it continues the same country: what happened since
	// then is sent as history, and nothing is missing or told with another id. Empty, the default, notes nothing.
	State string
}

// DefaultConfig returns the configuration of `ioc simulate`; `ioc demo` adds a history and a state.
func DefaultConfig() Config { return Config{Rate: 200, Seed: 1, Flaws: ExampleFlaws()} }

// Deps are what a Simulator needs.
type Deps struct {
	// Reference names the provinces, services and agencies.
	Reference *reference.Data
	// Sink receives the events.
	Sink produce.Sink
	// Logger hears of failures of the sink.
	Logger *zap.Logger
	// Registry receives the metrics.
	Registry prometheus.Registerer
	// Progress hears how far the history is, from 0 to 1, after each batch of it. It may be nil.
	Progress func(done float64)
}

// Simulator sends simulated events at a rate.
type Simulator struct {
	cfg  Config
	deps Deps

	sent     prometheus.Counter
	failures prometheus.Counter
	skipped  prometheus.Counter
}

// New makes a simulator and registers its metrics.
func New(cfg Config, deps Deps) (*Simulator, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.History < 0 || cfg.History > maxHistory {
		return nil, fmt.Errorf("simulate: the history is %v long, it must be from 0 to 400 days", cfg.History)
	}
	if deps.Reference == nil || deps.Sink == nil || deps.Logger == nil || deps.Registry == nil {
		return nil, errors.New("simulate: reference data, a sink, a logger and a registry are needed")
	}
	s := &Simulator{
		cfg: cfg, deps: deps,
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ioc_simulate_events_total", Help: "Simulated events that the broker acknowledged.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ioc_simulate_failures_total", Help: "Attempts to send simulated events that failed and were repeated.",
		}),
		skipped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ioc_simulate_skipped_events_total", Help: "Simulated events that were never made, because sending had fallen too far behind.",
		}),
	}
	for _, metric := range []prometheus.Collector{s.sent, s.failures, s.skipped} {
		if err := deps.Registry.Register(metric); err != nil {
			return nil, fmt.Errorf("registering simulator metrics: %w", err)
		}
	}
	return s, nil
}

// Run sends the history as fast as the sink takes it, and then events at the configured rate, until ctx ends or Count is
// reached; then it returns nil. It returns an error when the state cannot be read or written, or belongs to another
// country.
//
// While the sink fails, Run backs off and repeats the same events, for as long as it takes. When it is then more than
// 10 s behind, it skips the queries that should have been made meanwhile, rather than flood the broker with them; what
// people and offices did is sent late. Each event is due at a time of its own, so that small delays are made up for
// and the rate does not drift.
func (s *Simulator) Run(ctx context.Context) error {
	begin := time.Now()
	r, err := s.begin(begin)
	if err != nil {
		return err
	}
	more, err := s.past(ctx, r)
	if more && err == nil {
		err = s.present(ctx, r, begin)
	}
	if err != nil {
		return err
	}
	return r.note(true)
}

// past sends the history: a batch is made while the one before is being sent. It is false when Run is to end.
func (s *Simulator) past(ctx context.Context, r *run) (more bool, err error) {
	if r.g.Live() {
		return true, nil
	}
	var batches [2]batch
	first, began := r.g.NextTime(), time.Now()
	length := r.cfg.Start.Sub(first)
	sent, sending := make(chan bool, 1), (*batch)(nil)
	wait := func() bool { return sending == nil || <-sent }
	for n := 0; !r.g.Live() && !r.over(); n++ {
		b := &batches[n%2]
		r.fill(b, func() bool { return !r.g.Live() })
		if !wait() {
			return false, nil
		}
		if err := r.took(sending); err != nil {
			return false, err // nothing is being sent now
		}
		sending = b
		go func() { sent <- s.send(ctx, b.messages) }()
		if s.deps.Progress != nil {
			s.deps.Progress(min(1, float64(b.until.Sub(first))/float64(length)))
		}
	}
	if !wait() {
		return false, nil
	}
	if err := r.took(sending); err != nil {
		return false, err
	}
	s.deps.Logger.Info("history simulated", zap.Time("from", first), zap.Uint64("events", r.sent), zap.Duration("took", time.Since(began).Round(time.Millisecond)))
	return !r.over(), nil
}

// present sends events as they are due.
func (s *Simulator) present(ctx context.Context, r *run, begin time.Time) error {
	cfg, b := r.cfg, batch{}
	clock := func() time.Time { return cfg.Start.Add(time.Since(begin)) }
	if passed := clock().Sub(r.g.NextTime()); passed > 0 { // while the past was being sent
		r.g.Skip(uint64(passed.Seconds() * cfg.Rate))
	}
	for !r.over() {
		now := clock()
		if behind := now.Sub(r.g.NextTime()); behind > maxBehind {
			n := uint64(behind.Seconds() * cfg.Rate)
			r.g.Skip(n)
			s.skipped.Add(float64(n))
			s.deps.Logger.Warn("simulator fell behind and skips events", zap.Duration("behind", behind), zap.Uint64("events", n))
		}
		r.fill(&b, func() bool { return !r.g.NextTime().After(now) })
		if len(b.messages) > 0 && !s.send(ctx, b.messages) {
			return nil
		}
		if err := r.took(&b); err != nil {
			return err
		}
		if len(b.messages) == maxBatch {
			continue // more is due
		}
		pause := max(r.g.NextTime().Sub(cfg.Start)-time.Since(begin), step-time.Since(begin)%step)
		if !sleep(ctx, pause) {
			return nil
		}
	}
	return nil
}

// run is what one Run knows.
type run struct {
	cfg   Config
	g     *Generator
	sent  uint64 // events of this run
	state state
	noted time.Time
}

// batch is what is sent at once.
type batch struct {
	buf      []byte
	messages []produce.Message
	told     uint64 // of the country's events, through this batch
	until    time.Time
}

// begin makes the generator, and lets it continue where an earlier run ended.
func (s *Simulator) begin(now time.Time) (*run, error) {
	cfg := s.cfg
	if cfg.Start.IsZero() {
		cfg.Start = now
	}
	if cfg.Origin.IsZero() && cfg.History > 0 {
		cfg.Origin = cfg.Start.Add(-cfg.History)
	}
	r := &run{state: state{Version: stateVersion, Seed: cfg.Seed, Size: cfg.size(), Origin: cfg.origin()}}
	if cfg.State != "" {
		before, err := readState(cfg.State)
		if err != nil {
			return nil, err
		}
		if before != nil {
			if before.Version != stateVersion || before.Seed != cfg.Seed {
				return nil, fmt.Errorf("simulate: %s belongs to a country of seed %d and version %d, this one has seed %d and version %d: use the same seed or another data directory",
					cfg.State, before.Seed, before.Version, cfg.Seed, stateVersion)
			}
			r.state, cfg.Origin = *before, before.Origin
		}
	}
	r.cfg = cfg
	var err error
	r.g, err = newGenerator(cfg, r.state.Size, r.state.Sent, s.deps.Reference)
	return r, err
}

// over tells whether all events that were asked for are made.
func (r *run) over() bool { return r.cfg.Count > 0 && r.sent >= r.cfg.Count }

// fill makes events as long as they are due, up to a batch.
func (r *run) fill(b *batch, due func() bool) {
	b.buf, b.messages = b.buf[:0], b.messages[:0]
	for len(b.messages) < maxBatch && !r.over() && due() {
		var e Event
		b.buf, e = r.g.Next(b.buf)
		b.messages = append(b.messages, e.Message)
		b.told, b.until = e.told, e.Time
		r.sent++
	}
}

// took is called when the sink has a batch.
func (r *run) took(b *batch) error {
	if b == nil || len(b.messages) == 0 {
		return nil
	}
	r.state.Sent = b.told
	return r.note(false)
}

// note writes the state, now and then or at the end.
func (r *run) note(last bool) error {
	if r.cfg.State == "" || !last && time.Since(r.noted) < stateEvery {
		return nil
	}
	r.noted = time.Now()
	return r.state.write(r.cfg.State)
}

// send repeats until the sink has the messages, and is false when ctx ended first.
func (s *Simulator) send(ctx context.Context, messages []produce.Message) bool {
	for backoff := minBackoff; ; backoff = min(2*backoff, maxBackoff) {
		err := s.deps.Sink(ctx, messages)
		if err == nil {
			s.sent.Add(float64(len(messages)))
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		s.failures.Inc()
		s.deps.Logger.Warn("sending simulated events, will repeat", zap.Error(err), zap.Int("events", len(messages)), zap.Duration("backoff", backoff))
		if !sleep(ctx, backoff) {
			return false
		}
	}
}

// sleep is false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
