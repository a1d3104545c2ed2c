// Package simulate produces the events of a country that does not exist: dossiers that go through their statuses,
// authentications, and reports of the simulator about itself. It feeds `ioc demo` and `ioc simulate`.
//
// The shapes, codes and orders are those of the contract; every share, delay and difference between provinces is an
// example and says nothing about the real ones. So that nobody mistakes them, each event's source has an organisation
// that is Org or starts with it and a dot: /npsp/SIM.79, /eid_auth/SIM, /manual_report/SIM. Every face says that its
// answers are illustrative once the data holds such an event.
//
// About 4 % of the events are dossier statuses, once the first dossiers have had a minute or two to get on; nearly all
// the others are authentications. Dossiers take minutes where real ones take days.
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
	maxBehind  = 10 * time.Second // after a longer outage the events in between are skipped
	minBackoff = 250 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// Config is the configuration of a Simulator.
type Config struct {
	// Rate is the number of events a second, 0.001 to 1,000,000. Default 500.
	Rate float64
	// Seed chooses the events: at one rate, equal seed and start, equal events. Default 1.
	Seed uint64
	// Start is the time of the first event. Zero, the default, is the moment when Run starts, so that events happen
	// as they are sent. Not before 2022-01-06, the earliest time that the contract allows.
	Start time.Time
	// Count ends Run after as many events. Zero, the default, means never.
	Count uint64
}

// DefaultConfig returns the configuration of `ioc demo`.
func DefaultConfig() Config { return Config{Rate: 500, Seed: 1} }

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

// Run sends events at the configured rate until ctx ends or Count is reached, and then returns nil.
//
// While the sink fails, Run backs off and repeats the same events, for as long as it takes. When it is then more than
// 10 s behind, it skips what should have happened meanwhile, rather than flood the broker with it. Each event is due
// at a time of its own, so that small delays are made up for and the rate does not drift.
func (s *Simulator) Run(ctx context.Context) error {
	cfg, begin := s.cfg, time.Now()
	if cfg.Start.IsZero() {
		cfg.Start = begin
	}
	g, err := NewGenerator(cfg, s.deps.Reference)
	if err != nil {
		return err
	}
	var (
		buf      []byte
		messages []produce.Message
		sent     uint64
	)
	for cfg.Count == 0 || sent < cfg.Count {
		now := cfg.Start.Add(time.Since(begin))
		if behind := now.Sub(g.NextTime()); behind > maxBehind {
			n := uint64(behind.Seconds() * cfg.Rate)
			g.Skip(n)
			s.skipped.Add(float64(n))
			s.deps.Logger.Warn("simulator fell behind and skips events", zap.Duration("behind", behind), zap.Uint64("events", n))
		}
		buf, messages = buf[:0], messages[:0]
		for len(messages) < maxBatch && !g.NextTime().After(now) && (cfg.Count == 0 || sent < cfg.Count) {
			var e Event
			buf, e = g.Next(buf)
			messages = append(messages, e.Message)
			sent++
		}
		if len(messages) > 0 && !s.send(ctx, messages) {
			return nil
		}
		if len(messages) == maxBatch {
			continue // more is due
		}
		pause := max(g.NextTime().Sub(cfg.Start)-time.Since(begin), step-time.Since(begin)%step)
		if !sleep(ctx, pause) {
			return nil
		}
	}
	return nil
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
