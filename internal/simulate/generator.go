package simulate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"ioc.local/internal/produce"
	"ioc.local/internal/reference"
)

// Bounds of Config.Rate, in events a second. One generator makes about a million; with the lowest rate, event times
// still fit into a duration.
const (
	minRate = 0.001
	maxRate = 1_000_000
)

// maxHistory bounds how long before the start a country may begin.
const maxHistory = 400 * 24 * time.Hour

// Event is a message with the moment at which it reaches the broker.
type Event struct {
	produce.Message
	// Time is when it is to be sent. It ascends; the event's own time is mostly the same or moments before, and for a
	// late event minutes to days before.
	Time time.Time
	// Reject is the reason for which ingestion must reject the record, as a dead letter names it. It is empty for an event.
	Reject string

	told uint64 // of the country's events up to this one
}

// Generator makes the events of a simulated country, one after another: those of its history, as long as there are any
// from before the start, then 1/rate apart those of the live part. In the live part whatever the country has to tell comes
// first, and queries of the population database by other systems fill up to the rate.
//
// Equal origin, start, rate, seed and flaws give equal bytes. A generator knows no clock and is for one goroutine.
type Generator struct {
	rate    float64
	start   time.Time
	country *country
	told    uint64 // events of the country so far
	machine scribe // writes the queries that fill up
	live    bool
	index   uint64 // of the next event of the live part
}

// NewGenerator makes a generator; Count, History and State do not matter to it.
func NewGenerator(cfg Config, ref *reference.Data) (*Generator, error) {
	return newGenerator(cfg, cfg.size(), 0, ref)
}

// newGenerator makes a generator of a country that told a number of its events before; they are left out.
func newGenerator(cfg Config, size float64, told uint64, ref *reference.Data) (*Generator, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if ref == nil || cfg.Start.IsZero() {
		return nil, errors.New("simulate: a generator needs reference data and a start")
	}
	g := &Generator{
		rate: cfg.Rate, start: cfg.Start,
		country: newCountry(cfg.Seed, cfg.origin().UnixNano(), size, cfg.Flaws, ref),
	}
	var buf []byte
	for ok := true; ok && g.told < told; {
		if buf, _, _, ok = g.country.next(buf[:0], cfg.Start.UnixNano()); ok {
			g.told++
		}
	}
	g.machine = scribe{rnd: rand.New(rand.NewPCG(cfg.Seed, ^uint64(cfg.Start.UnixNano()))), world: g.country.world, flaws: cfg.Flaws}
	return g, nil
}

// NextTime is when the next event is to be sent. In the history it may be the next but a few, since some are late.
func (g *Generator) NextTime() time.Time {
	if !g.live {
		if next := g.country.nextTime(); next < g.start.UnixNano() {
			return time.Unix(0, next)
		}
	}
	// From the index each time, so that no rounding adds up.
	return g.start.Add(time.Duration(float64(g.index) / g.rate * float64(time.Second)))
}

// Live tells whether the history is over.
func (g *Generator) Live() bool {
	g.live = g.live || g.country.nextTime() >= g.start.UnixNano()
	return g.live
}

// Skip passes over the times of n events of the live part. What the country had to tell meanwhile, it tells as soon as
// events are made again.
func (g *Generator) Skip(n uint64) { g.index += n }

// Next appends the JSON of the next event to buf. The event's value and key are parts of the returned buffer.
func (g *Generator) Next(buf []byte) ([]byte, Event) {
	from := len(buf)
	if !g.live {
		buf, m, at, ok := g.country.next(buf, g.start.UnixNano())
		if ok {
			g.told++
			return buf, Event{Message: m.message(buf, from), Time: time.Unix(0, at), Reject: m.reject, told: g.told}
		}
		g.live = true
	}
	at := g.NextTime()
	g.index++
	buf, m, _, ok := g.country.next(buf, at.UnixNano()+1)
	if ok {
		g.told++
	} else {
		buf = g.machine.query(buf, at.UnixNano())
		m = g.machine.made
	}
	return buf, Event{Message: m.message(buf, from), Time: at, Reject: m.reject, told: g.told}
}

// origin is when the country begins.
func (cfg Config) origin() time.Time {
	if cfg.Origin.IsZero() {
		return cfg.Start
	}
	return cfg.Origin
}

// liveShare is how many of the live events people and offices make on average, so that in the busiest hour of a working
// day they still fit into the rate.
const liveShare = 0.4

// size is how large the country is. Without a history it is as large as the rate allows. With one it is as large as the
// past was, so that today is comparable with yesterday.
func (cfg Config) size() float64 {
	size := cfg.Rate * liveShare
	if !cfg.Origin.IsZero() {
		size = min(size, historySize)
	}
	return size
}

func (cfg Config) check() error {
	if !(cfg.Rate >= minRate && cfg.Rate <= maxRate) { // also for NaN
		return fmt.Errorf("simulate: the rate is %v events a second, it must be from %v to %v", cfg.Rate, minRate, maxRate)
	}
	// Decision 06/QĐ-TTg is of this day; the contract rejects what is older.
	first := time.Date(2022, time.January, 6, 0, 0, 0, 0, reference.TimeZone())
	if begin := cfg.origin(); !begin.IsZero() && begin.Before(first) {
		return fmt.Errorf("simulate: the country begins on %s, it must not be before %s", begin.Format(time.RFC3339), first.Format(time.DateOnly))
	}
	if !cfg.Start.IsZero() && cfg.Origin.After(cfg.Start) {
		return fmt.Errorf("simulate: the country begins on %s, it must not be after the start on %s", cfg.Origin.Format(time.RFC3339), cfg.Start.Format(time.RFC3339))
	}
	return cfg.Flaws.check()
}
