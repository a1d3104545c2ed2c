package simulate

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"ioc.local/internal/produce"
	"ioc.local/internal/reference"
)

// start is a Thursday, so that the days before have working days and a weekend.
var start = time.Date(2026, time.November, 19, 10, 30, 0, 0, reference.TimeZone())

func load(t testing.TB) *reference.Data {
	t.Helper()
	ref, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func generator(t testing.TB, cfg Config) *Generator {
	t.Helper()
	g, err := NewGenerator(cfg, load(t))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// withHistory is a country with so many days of history.
func withHistory(days int) Config {
	return Config{Rate: 200, Seed: 3, Start: start, Origin: start.AddDate(0, 0, -days), Flaws: ExampleFlaws()}
}

func lines(t *testing.T, cfg Config, n int) []byte {
	t.Helper()
	g := generator(t, cfg)
	var buf []byte
	for range n {
		buf, _ = g.Next(buf)
		buf = append(buf, '\n')
	}
	return buf
}

func TestSameSeedSameBytes(t *testing.T) {
	const n = 120_000 // the history of a day, and some minutes
	cfg := withHistory(1)
	first := lines(t, cfg, n)
	if !bytes.Equal(first, lines(t, cfg, n)) {
		t.Error("the same configuration gave other bytes")
	}
	for name, change := range map[string]func(*Config){
		"seed":   func(c *Config) { c.Seed++ },
		"start":  func(c *Config) { c.Start = c.Start.Add(time.Second) },
		"origin": func(c *Config) { c.Origin = c.Origin.Add(time.Second) },
		"rate":   func(c *Config) { c.Rate++ },
		"flaws":  func(c *Config) { c.Flaws = Flaws{} },
	} {
		other := cfg
		change(&other)
		if bytes.Equal(first, lines(t, other, n)) {
			t.Errorf("another %s gave the same bytes", name)
		}
	}
}

// TestPastDoesNotDependOnTheStart: what the country does is the same whether it is told as history or live. So there is
// neither a gap nor a jump where the history ends, and a restarted simulator continues the same country.
func TestPastDoesNotDependOnTheStart(t *testing.T) {
	early, late := withHistory(2), withHistory(2)
	early.Rate, late.Rate = 20, 20
	early.Start = late.Origin.Add(30 * time.Hour)
	tell := func(cfg Config) (told [][]byte, filled int) {
		g := generator(t, cfg)
		for before := uint64(0); ; {
			value, e := g.Next(nil)
			if !e.Time.Before(late.Start.Add(-time.Minute)) {
				return told, filled
			}
			if e.told == before {
				filled++
				continue
			}
			before = e.told
			told = append(told, value)
		}
	}
	past, none := tell(late)
	lived, filled := tell(early)
	if none != 0 || filled < 17*3600*15 {
		t.Errorf("%d queries fill the history, %d the live part", none, filled)
	}
	// The last moments differ: the live part tells up to 1/rate late.
	if n := min(len(past), len(lived)); n < 100_000 || len(past)-n > 9 || len(lived)-n > 9 {
		t.Fatalf("%d events in the history, %d when most of it is lived", len(past), len(lived))
	}
	for i := range min(len(past), len(lived)) {
		if !bytes.Equal(past[i], lived[i]) {
			t.Fatalf("event %d was\n%s\nand lived\n%s", i, past[i], lived[i])
		}
	}
}

// TestRate: live events are 1/rate apart, whatever the country does, and those of the country are told at once.
func TestRate(t *testing.T) {
	g := generator(t, withHistory(1))
	var buf []byte
	for !g.Live() {
		buf, _ = g.Next(buf[:0])
	}
	for i := range 20_000 {
		next := g.NextTime()
		if want := start.Add(time.Duration(i) * 5 * time.Millisecond); next.Sub(want).Abs() > time.Nanosecond {
			t.Fatalf("event %d is due at %v, want %v", i, next, want)
		}
		var e Event
		if buf, e = g.Next(buf[:0]); !e.Time.Equal(next) {
			t.Fatalf("event %d happens at %v, was due at %v", i, e.Time, next)
		}
		if behind := next.UnixNano() - g.country.nextTime(); behind > second {
			t.Fatalf("the country is %v behind", time.Duration(behind))
		}
	}
	at := g.NextTime()
	if g.Skip(1000); (g.NextTime().Sub(at) - 5*time.Second).Abs() > 2 {
		t.Errorf("1000 skipped events are %v", g.NextTime().Sub(at))
	}
}

// TestBufferIsReused shows that earlier events stay whole while the buffer grows.
func TestBufferIsReused(t *testing.T) {
	g := generator(t, withHistory(1))
	var buf, got []byte
	var events []Event
	for range 5000 {
		var e Event
		buf, e = g.Next(buf)
		events = append(events, e)
	}
	for _, e := range events {
		got = append(append(got, e.Value...), '\n')
		if !bytes.Contains(e.Value, append(append([]byte(`"subject":"`), e.Key...), '"')) {
			t.Fatalf("key is %s in %s", e.Key, e.Value)
		}
	}
	if !bytes.Equal(got, lines(t, withHistory(1), 5000)) {
		t.Error("events changed after they were made")
	}
}

func TestBadConfig(t *testing.T) {
	for _, cfg := range []Config{
		{Rate: 0, Start: start}, {Rate: -1, Start: start}, {Rate: math.NaN(), Start: start}, {Rate: math.Inf(1), Start: start}, {Rate: 2e6, Start: start},
		{Rate: 1}, {Rate: 1, Start: time.Date(2022, time.January, 5, 0, 0, 0, 0, time.UTC)},
		{Rate: 1, Start: start, Origin: time.Date(2021, time.January, 5, 0, 0, 0, 0, time.UTC)}, {Rate: 1, Start: start, Origin: start.Add(1)},
		{Rate: 1, Start: start, Flaws: Flaws{Bad: -1}}, {Rate: 1, Start: start, Flaws: Flaws{Bad: 600_000, Late: 600_000}}, {Rate: 1, Start: start, Flaws: Flaws{OldScheme: million + 1}},
	} {
		if _, err := NewGenerator(cfg, load(t)); err == nil || !strings.HasPrefix(err.Error(), "simulate: ") {
			t.Errorf("%+v gave %v, want an error", cfg, err)
		}
	}
}

func TestSharesAddUp(t *testing.T) {
	sum := 0
	for _, f := range failures {
		sum += f.percent
	}
	for _, d := range documents {
		sum += d.weight
	}
	if sum != 200 {
		t.Errorf("the percents of failures and of documents add up to %d, want 100 each", sum)
	}
	if len(examples) != len(load(t).Services()) {
		t.Errorf("%d services have an example", len(examples))
	}
}

func TestBounds(t *testing.T) {
	g := generator(t, withHistory(1))
	c := g.country
	waiting := len(c.queue)
	c.open, c.petitions = maxOpen, maxPetitions
	for range 100 {
		c.openDossier(nil, start.UnixNano())
		c.openPetition(nil, start.UnixNano())
	}
	if len(c.queue) != waiting {
		t.Error("dossiers or petitions begin beyond the bound")
	}
	c.open--
	if c.openDossier(nil, start.UnixNano()); len(c.queue) != waiting+1 || c.open != maxOpen {
		t.Error("the place that became free was not taken")
	}
	c.copies, c.flaws = maxCopies, Flaws{Late: million}
	buf := c.authenticate(nil, start.UnixNano())
	if c.spoil(buf, 0, start.UnixNano()) || len(c.queue) != waiting+1 {
		t.Error("an event is kept back beyond the bound")
	}
	for range 5000 { // whatever ends gives its place back
		buf, _ = g.Next(buf[:0])
	}
}

// TestMemory: what waits in a country of the demo's size does not grow with the days.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("makes two million events")
	}
	g := generator(t, withHistory(24))
	var buf []byte
	var most [3]int // in each of three parts
	for !g.Live() {
		var e Event
		buf, e = g.Next(buf[:0])
		part := min(int(e.Time.Sub(start.AddDate(0, 0, -24)).Hours()/24/8), 2)
		most[part] = max(most[part], len(g.country.queue))
	}
	if most[2] > most[1]*115/100 || most[2] > 20_000 {
		t.Errorf("%v wait, for eight days each", most)
	}
}

func TestDefaultTopics(t *testing.T) {
	g := generator(t, withHistory(1))
	for range 60_000 {
		value, e := g.Next(nil)
		if e.Reject != "" {
			continue
		}
		_, rest, _ := strings.Cut(string(value), `"type":"`)
		eventType, _, _ := strings.Cut(rest, `"`)
		if topic, ok := produce.DefaultTopic(eventType); !ok || topic != e.Topic {
			t.Fatalf("%s goes to %s, want %s", eventType, e.Topic, topic)
		}
	}
}
