package simulate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"ioc.local/internal/produce"
	"ioc.local/internal/reference"
)

// reportEvery is the simulated time between two reports.
const reportEvery = time.Minute

// Bounds of Config.Rate, in events a second. One generator makes about a million; with the lowest rate, event times
// still fit into a duration.
const (
	minRate = 0.001
	maxRate = 1_000_000
)

// Event is a message with the moment that it tells of.
type Event struct {
	produce.Message
	// Time is when it happened in the simulation. The events of a generator have ascending times, 1/rate apart.
	Time time.Time
}

// Generator makes the events of a simulated country, one after another. Equal rate, seed and start give equal bytes.
// It knows no clock and is for one goroutine.
type Generator struct {
	rate  float64
	start time.Time
	index uint64 // of the next event
	zone  *time.Location
	rnd   *rand.Rand
	world *world
	lives []life

	queue      queue
	ended      []*dossier // to be used again
	opened     uint64
	completed  uint64
	nextReport time.Time

	key struct{ from, to int } // in the buffer of the event being written
}

// NewGenerator makes a generator whose first event happens at cfg.Start; Count does not matter to it.
func NewGenerator(cfg Config, ref *reference.Data) (*Generator, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if ref == nil || cfg.Start.IsZero() {
		return nil, errors.New("simulate: a generator needs reference data and a start")
	}
	// With the start in the seed, a second run with the same seed has other dossiers instead of continuing old ones.
	rnd := rand.New(rand.NewPCG(cfg.Seed, uint64(cfg.Start.UnixNano())))
	return &Generator{
		rate: cfg.Rate, start: cfg.Start, zone: reference.TimeZone(), rnd: rnd, world: newWorld(ref, rnd), lives: lives(),
		nextReport: cfg.Start.Add(reportEvery),
	}, nil
}

// NextTime is when the next event happens.
func (g *Generator) NextTime() time.Time {
	// From the index each time, so that no rounding adds up.
	return g.start.Add(time.Duration(float64(g.index) / g.rate * float64(time.Second)))
}

// Skip passes over the times of n events without making them. What dossiers had planned for that time happens as soon
// as events are made again.
func (g *Generator) Skip(n uint64) { g.index += n }

// Next appends the JSON of the next event to buf. The event's value and key are parts of the returned buffer.
func (g *Generator) Next(buf []byte) ([]byte, Event) {
	at := g.NextTime()
	g.index++
	from, topic := len(buf), produce.TopicDossier
	switch {
	case !at.Before(g.nextReport):
		g.nextReport = at.Add(reportEvery)
		topic, buf = produce.TopicProgramme, g.report(buf, at)
	case len(g.queue) > 0 && !at.Before(g.queue[0].due):
		buf = g.move(buf, at)
	case g.rnd.IntN(1000) < openPerMille && len(g.queue) < maxOpen:
		buf = g.open(buf, at)
	default:
		topic, buf = produce.TopicAuthentication, g.authenticate(buf, at)
	}
	return buf, Event{
		Message: produce.Message{Topic: topic, Key: buf[g.key.from:g.key.to:g.key.to], Value: buf[from:len(buf):len(buf)]},
		Time:    at,
	}
}

// report writes an official report of the one figure that a simulator may report: what it did itself. A metric of the
// catalogue would become the baseline of that KPI.
func (g *Generator) report(buf []byte, at time.Time) []byte {
	const metric = "sim_dossiers_completed"
	buf = g.begin(buf, at, "/manual_report/"+Org, "vn.da06.counter.report.v1")
	buf = g.subject(append(buf, metric...))
	buf = strconv.AppendUint(join(buf, `"metric_id":"`, metric, `","value":`), g.completed, 10)
	buf = at.In(g.zone).AppendFormat(join(buf, `,"qualifier":"exact","as_of":"`), time.DateOnly)
	return join(buf, `","source_ref":"simulation"}}`)
}

// begin writes the envelope up to the subject.
func (g *Generator) begin(buf []byte, at time.Time, source, eventType string) []byte {
	buf = appendUUID(join(buf, `{"specversion":"1.0","id":"`), at, g.rnd.Uint64(), g.rnd.Uint64())
	buf = g.appendTime(join(buf, `","source":"`, source, `","type":"`, eventType, `","time":"`), at)
	buf = join(buf, `","subject":"`)
	g.key.from = len(buf)
	return buf
}

// subject ends the subject that was just written, and opens the data.
func (g *Generator) subject(buf []byte) []byte {
	g.key.to = len(buf)
	return join(buf, `","datacontenttype":"application/json","data":{`)
}

// join appends text that needs no escaping.
func join(buf []byte, parts ...string) []byte {
	for _, part := range parts {
		buf = append(buf, part...)
	}
	return buf
}

// appendTime writes RFC 3339 with milliseconds and the offset of Vietnam.
func (g *Generator) appendTime(buf []byte, t time.Time) []byte {
	return t.In(g.zone).AppendFormat(buf, "2006-01-02T15:04:05.000Z07:00")
}

// appendUUID writes a UUID of version 7 from its moment and 74 of the random bits.
func appendUUID(buf []byte, at time.Time, a, b uint64) []byte {
	high := uint64(at.UnixMilli())<<16 | 7<<12 | a&0xfff
	low := b>>2 | 1<<63
	from := len(buf)
	buf = appendHex(appendHex(append(buf, "----"...), high), low)
	id := buf[from:]
	copy(id, id[4:12])
	id[8] = '-'
	copy(id[9:], id[12:16])
	id[13] = '-'
	copy(id[14:], id[16:20])
	id[18] = '-'
	copy(id[19:], id[20:24])
	id[23] = '-' // the last 12 digits are in place
	return buf
}

// appendHex writes 16 digits.
func appendHex(buf []byte, n uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		buf = append(buf, digits[n>>shift&15])
	}
	return buf
}

func (cfg Config) check() error {
	if !(cfg.Rate >= minRate && cfg.Rate <= maxRate) { // also for NaN
		return fmt.Errorf("simulate: the rate is %v events a second, it must be from %v to %v", cfg.Rate, minRate, maxRate)
	}
	// Decision 06/QĐ-TTg is of this day; the contract rejects what is older.
	if first := time.Date(2022, time.January, 6, 0, 0, 0, 0, reference.TimeZone()); !cfg.Start.IsZero() && cfg.Start.Before(first) {
		return fmt.Errorf("simulate: the start is %s, it must not be before %s", cfg.Start.Format(time.RFC3339), first.Format(time.DateOnly))
	}
	return nil
}
