package kpi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"
	"pgregory.net/rapid"
)

// newJournalOf is a journal of the world's publications, by the world's clock.
func newJournalOf(w *world, change func(*JournalConfig, *JournalDeps)) *Journal {
	w.t.Helper()
	cfg := DefaultJournalConfig()
	deps := JournalDeps{Conn: w.db.Client.Conn(), Evaluator: w.e, Logger: zaptest.NewLogger(w.t), Now: w.now}
	if change != nil {
		change(&cfg, &deps)
	}
	j, err := NewJournal(cfg, deps)
	if err != nil {
		w.t.Fatal(err)
	}
	return j
}

func (w *world) tick() *Publication {
	w.t.Helper()
	if err := w.e.tick(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	return w.e.Current()
}

// read asks the journal about a KPI with parameters such as at=….
func (w *world) read(id string, parameters ...string) *JournalAnswer {
	w.t.Helper()
	values := map[string][]string{}
	for i := 0; i < len(parameters); i += 2 {
		values[parameters[i]] = []string{parameters[i+1]}
	}
	q, err := ParseJournalQuery(w.e.deps.Catalogue, id, values, national, w.now())
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := w.e.Journal(context.Background(), q)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) count(sql string) (n uint64) {
	w.t.Helper()
	if err := w.db.Client.Conn().QueryRow(context.Background(), sql).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// TestJournal: the journal says what stood at a moment, bit for bit, and is written where something has changed only.
func TestJournal(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T16:58:30"))
	country(w, 3)
	j := newJournalOf(w, nil)
	put := func(minute string, p *Publication) {
		t.Helper()
		j.put(local(t, minute), p)
		if err := j.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	j.put(local(t, "2026-11-21T16:58"), nil) // nothing is published yet
	first := w.tick()
	put("2026-11-21T16:59", first)
	if n := w.count("SELECT count() FROM kpi_journal"); n != uint64(len(first.Values)) {
		t.Fatalf("at the start %d values are written of %d", n, len(first.Values))
	}
	for key, a := range first.Values {
		if key.Scope != National && key.Scope != "79" {
			continue
		}
		entries := w.read(key.KPI, append([]string{"at", "2026-11-21T17:00:00+07:00"}, scopeParameters(key)...)...).Entries
		want := JournalEntry{
			Minute: Time{local(t, "2026-11-21T16:59")}, Value: a.Value, Numerator: a.Numerator, Denominator: a.Denominator, Baseline: a.baselineValue(),
			AsOf: a.AsOf, Revision: a.Revision, Definition: a.Definition, Status: a.Status, Suppressed: a.Suppressed, PublishedAt: Time{first.At},
		}
		if len(entries) != 1 {
			t.Fatalf("%v has %d entries", key, len(entries))
		}
		if !sameFloat(entries[0].Value, a.Value) {
			t.Errorf("%v: %v is written, not the same bits as %v", key, entries[0].Value, a.Value)
		}
		if a.Suppressed && (entries[0].Value != nil || entries[0].Numerator != nil || entries[0].Denominator != nil) {
			t.Errorf("%v was suppressed and is not here", key)
		}
		if diff := cmp.Diff(want, entries[0], cmp.Comparer(func(a, b Time) bool { return a.Equal(b.Time) })); diff != "" {
			t.Errorf("%v (-published +written):\n%s", key, diff)
		}
	}

	put("2026-11-21T17:00", first)
	w.set(local(t, "2026-11-21T17:00:20"))
	w.load(ev("auth.attempt", "subject=x time=2026-11-21T17:00:10 outcome=success relying_party=G01 province=79"))
	second := w.tick()
	put("2026-11-21T17:01", second)
	put("2026-11-21T17:02", second)
	changed := uint64(0)
	for key, a := range second.Values {
		changed += uint64(boolInt(!first.Values[key].sameStanding(a)))
	}
	if n := w.count("SELECT count() FROM kpi_journal WHERE minute > toDateTime('2026-11-21 16:59:00', 'Asia/Ho_Chi_Minh')"); n != changed || changed == 0 || changed > 200 {
		t.Errorf("of %d changed values %d are written", changed, n)
	}
	values := func(a *JournalAnswer) (all []string) {
		for _, e := range a.Entries {
			all = append(all, fmt.Sprintf("%s %v", e.Minute.Format("15:04"), *e.Value))
		}
		return all
	}
	attempts := *second.Values[Key{"auth_transactions", "79", PeriodToday}].Value
	before, after := fmt.Sprintf("16:59 %v", attempts-1), fmt.Sprintf("17:01 %v", attempts)
	for _, test := range []struct {
		parameters []string
		want       []string
	}{
		{[]string{"at", "2026-11-21T17:00:59.999+07:00"}, []string{before}},
		{[]string{"at", "2026-11-21T17:01:00+07:00"}, []string{after}},
		{[]string{"at", "2026-11-21T23:59:59+07:00"}, []string{after}},
		{[]string{"at", "2026-11-21T16:58:59+07:00"}, nil},
		{[]string{"at", "2026-11-22T00:00:00+07:00"}, nil}, // another day: nobody has published anything
		{[]string{"from", "2026-11-21", "to", "2026-11-22"}, []string{before, after}},
		{nil, []string{before}}, // today until now, 17:00:20
		{[]string{"from", "2026-11-21T16:59:00.001+07:00", "to", "2026-11-21T17:01:00.001+07:00"}, []string{after}},
		{[]string{"to", "2026-11-21T17:01:00+07:00"}, []string{before}},
	} {
		a := w.read("auth_transactions", append(test.parameters, "province", "79")...)
		if diff := cmp.Diff(test.want, values(a)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.parameters, diff)
		}
	}
	page := w.read("auth_transactions", "province", "79", "to", "2026-11-22", "limit", "1")
	if page.Next == nil || !page.Next.Equal(local(t, "2026-11-21T17:01")) || fmt.Sprint(values(page)) != "["+before+"]" {
		t.Errorf("the first page is %+v", page)
	}
	if page = w.read("auth_transactions", "province", "79", "from", page.Next.String(), "to", "2026-11-22", "limit", "1"); page.Next != nil || fmt.Sprint(values(page)) != "["+after+"]" {
		t.Errorf("the second page is %+v", page)
	}

	// Each day begins with everything, so that it can be read alone.
	put("2026-11-22T00:00", second)
	if n := w.count("SELECT count() FROM kpi_journal WHERE minute = toDateTime('2026-11-22 00:00:00', 'Asia/Ho_Chi_Minh')"); n != uint64(len(second.Values)) {
		t.Errorf("the day begins with %d values of %d", n, len(second.Values))
	}
	if got := values(w.read("auth_transactions", "province", "79", "at", "2026-11-22T00:00:00+07:00")); len(got) != 1 {
		t.Errorf("at midnight stood %v", got)
	}
}

func scopeParameters(key Key) []string {
	parameters := []string{"period", key.Period}
	if key.Scope != National {
		parameters = append(parameters, "province", key.Scope)
	}
	return parameters
}

// TestJournalOfAnotherDefinition: what was published of a KPI before it was sensitive is not shown.
func TestJournalOfAnotherDefinition(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00"))
	j := newJournalOf(w, nil)
	var sensitive *Definition
	for _, def := range w.e.deps.Catalogue.All() {
		if def.Sensitive {
			sensitive = def
		}
	}
	one := *w.tick().Values[Key{sensitive.ID, National, sensitive.DefaultPeriod}]
	read := func() int {
		return len(w.read(sensitive.ID, "to", "2026-11-22").Entries)
	}
	one.Definition, one.Value = "sha256:before", pointer(3.0)
	p := &Publication{At: w.now(), Values: map[Key]*Answer{{sensitive.ID, National, sensitive.DefaultPeriod}: &one}}
	j.put(local(t, "2026-11-21T10:01"), p)
	if err := j.flush(t.Context()); err != nil || read() != 0 || w.count("SELECT count() FROM kpi_journal") != 1 {
		t.Errorf("%d entries of another definition are shown: %v", read(), err)
	}
	j.put(local(t, "2026-11-21T10:02"), w.e.Current())
	if err := j.flush(t.Context()); err != nil || read() != 1 {
		t.Errorf("%d entries are shown: %v", read(), err)
	}
	if n := w.count("SELECT count() FROM published_values WHERE kpi = '" + sensitive.ID + "' AND province = '' AND sensitive"); n != 1 {
		t.Errorf("analysts see %d entries", n)
	}
	if n := w.count("SELECT count() FROM published_values WHERE sensitive AND kpi = 'auth_transactions'"); n != 0 {
		t.Errorf("%d values that are not sensitive are said to be", n)
	}
}

// TestJournalOfTwoProcesses: of what several processes write of one minute the last published counts, whoever writes last,
// and it is never chance.
func TestJournalOfTwoProcesses(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00"))
	answer := w.tick().Values[Key{"auth_transactions", National, PeriodToday}]
	write := func(minute string, value float64, published time.Time) {
		t.Helper()
		one := *answer
		one.Value = &value
		j := newJournalOf(w, nil)
		j.put(local(t, minute), &Publication{At: published, Values: map[Key]*Answer{{"auth_transactions", National, PeriodToday}: &one}})
		if err := j.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	at := func(minute string) float64 {
		t.Helper()
		entries := w.read("auth_transactions", "at", minute+":00+07:00").Entries
		if len(entries) != 1 {
			t.Fatalf("%d entries", len(entries))
		}
		return *entries[0].Value
	}
	earlier := local(t, "2026-11-21T10:00:30.001")
	write("2026-11-21T10:01", 1, earlier)
	write("2026-11-21T10:01", 2, earlier.Add(time.Millisecond))
	write("2026-11-21T10:02", 2, earlier.Add(time.Millisecond))
	write("2026-11-21T10:02", 1, earlier)
	if a, b := at("2026-11-21T10:01"), at("2026-11-21T10:02"); a != 2 || b != 2 {
		t.Errorf("2 was published last, and %v and %v count", a, b)
	}
	for i := range 20 {
		first, second := fmt.Sprintf("2026-11-21T11:%02d", i), fmt.Sprintf("2026-11-21T12:%02d", i)
		write(first, float64(i), earlier)
		write(first, float64(i)+0.5, earlier)
		write(second, float64(i)+0.5, earlier)
		write(second, float64(i), earlier)
		if a, b := at(first), at(second); a != b {
			t.Errorf("of %d and %d.5 counts what was written last: %v, and %v in the other order", i, i, a, b)
		}
	}
}

// away is a warehouse that takes no inserts while it is away.
type away struct {
	driver.Conn
	yes bool
}

var errAway = errors.New("away")

func (a *away) PrepareBatch(ctx context.Context, sql string, options ...driver.PrepareBatchOption) (driver.Batch, error) {
	if a.yes {
		return nil, errAway
	}
	return a.Conn.PrepareBatch(ctx, sql, options...)
}

// TestJournalKeeps: while the warehouse is away minutes are kept, as many as there is room for; what remains is right.
func TestJournalKeeps(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00"))
	conn := &away{Conn: w.db.Client.Conn(), yes: true}
	j := newJournalOf(w, func(cfg *JournalConfig, deps *JournalDeps) { cfg.Minutes, deps.Conn = 3, conn })
	answer := w.tick().Values[Key{"auth_transactions", National, PeriodToday}]
	publication := func(national, province float64) *Publication {
		a, b := *answer, *answer
		a.Value, b.Value = &national, &province
		return &Publication{At: w.now(), Values: map[Key]*Answer{{"auth_transactions", National, PeriodToday}: &a, {"auth_transactions", "79", PeriodToday}: &b}}
	}
	for minute, p := range []*Publication{publication(1, 10), publication(2, 10), publication(2, 20), publication(3, 20), publication(4, 20), publication(4, 20)} {
		j.put(local(t, fmt.Sprintf("2026-11-21T10:%02d", minute+1)), p)
		if err := j.flush(t.Context()); !errors.Is(err, errAway) {
			t.Fatalf("minute %d is written: %v", minute, err)
		}
	}
	if j.pending() != 3 {
		t.Errorf("%d minutes are kept, 3 may be", j.pending())
	}
	conn.yes = false
	if err := j.flush(t.Context()); err != nil || j.pending() != 0 {
		t.Fatalf("%d minutes are kept: %v", j.pending(), err)
	}
	got := map[string][]string{}
	for scope, parameters := range map[string][]string{"nation": nil, "79": {"province", "79"}} {
		for _, e := range w.read("auth_transactions", append(parameters, "to", "2026-11-22")...).Entries {
			got[scope] = append(got[scope], fmt.Sprintf("%s %v", e.Minute.Format("15:04"), *e.Value))
		}
	}
	// The first two of five changes are dropped; what they began is said from 10:03 on.
	if diff := cmp.Diff(map[string][]string{"nation": {"10:03 2", "10:04 3", "10:05 4"}, "79": {"10:03 20"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDroppedMinutesFalsifyNothing: whatever is published and dropped, every minute that is kept, and those after it, say what
// stood then.
func TestDroppedMinutesFalsifyNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keep := rapid.IntRange(1, 4).Draw(t, "minutes kept")
		j := &Journal{cfg: JournalConfig{Minutes: keep}, deps: JournalDeps{Evaluator: &Evaluator{deps: Deps{Catalogue: &Catalogue{}}}}, wake: make(chan struct{}, 1)}
		j.metrics, _ = newJournalMetrics(nil, j)
		start := time.Date(2026, 11, 20, 23, 50, 0, 0, zone)
		var stood []map[Key]float64
		n := rapid.IntRange(1, 20).Draw(t, "minutes")
		for i := range n {
			p := &Publication{At: start, Values: map[Key]*Answer{}}
			values := map[Key]float64{}
			for _, scope := range []string{National, "01", "79"} {
				key := Key{"x", scope, PeriodToday}
				values[key] = float64(rapid.IntRange(0, 2).Draw(t, "value"))
				p.Values[key] = &Answer{Value: pointer(values[key])}
			}
			stood = append(stood, values)
			j.put(start.Add(time.Duration(i)*time.Minute), p)
		}
		if len(j.waiting) > keep {
			t.Fatalf("%d minutes are kept", len(j.waiting))
		}
		seen := map[Key]float64{}
		for i := range n {
			at := start.Add(time.Duration(i) * time.Minute)
			for _, page := range j.waiting {
				if page.minute.Equal(at) {
					for key, line := range page.lines {
						seen[key] = *line.Value
					}
				}
			}
			if !at.Before(j.waiting[0].minute) && !maps.Equal(seen, stood[i]) {
				t.Fatalf("at minute %d stood %v, the journal says %v", i, stood[i], seen)
			}
		}
	})
}

// TestJournalFollows: at the end of a minute stood what was published before it.
func TestJournalFollows(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00:10"))
	j := newJournalOf(w, nil)
	published := make(chan *Publication)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); j.follow(ctx, published) }()
	publish := func(at string, value float64) {
		published <- &Publication{At: local(t, at), Values: map[Key]*Answer{{"x", National, PeriodToday}: {Value: &value}}}
	}
	publish("2026-11-21T10:00:20", 1)
	publish("2026-11-21T10:00:59.999", 2)
	w.set(local(t, "2026-11-21T10:01:00.2"))
	publish("2026-11-21T10:01:00", 3) // it did not stand at 10:01
	w.set(local(t, "2026-11-21T10:04:30"))
	publish("2026-11-21T10:04:29", 4) // 3 stood at 10:02 and until 10:04
	publish("2026-11-21T10:04:30", 5)
	cancel()
	<-done
	var got []string
	for _, page := range j.waiting {
		for _, line := range page.lines {
			got = append(got, fmt.Sprintf("%s %v", page.minute.Format("15:04"), *line.Value))
		}
	}
	if want := []string{"10:01 2", "10:02 3", "10:05 5"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestJournalRuns: what is published is written by itself, also the last of it, and nothing goes on after the end.
func TestJournalRuns(t *testing.T) {
	w := newWorld(t, time.Now())
	before := goleak.IgnoreCurrent()
	j := newJournalOf(w, func(_ *JournalConfig, deps *JournalDeps) { deps.Now = nil })
	j.every = time.Second
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	key := Key{"auth_transactions", National, PeriodToday}
	publish := func(value float64) {
		t.Helper()
		p := *w.tick()
		one := *p.Values[key]
		one.Value = &value
		p.Values = map[Key]*Answer{key: &one}
		p.At = time.Now()
		w.e.mu.Lock()
		defer w.e.mu.Unlock()
		for ch := range w.e.subscribers {
			select {
			case <-ch:
			default:
			}
			ch <- &p
		}
	}
	has := func(value float64) bool {
		return w.count(fmt.Sprintf("SELECT count() FROM kpi_journal WHERE kpi = 'auth_transactions' AND value = %v", value)) > 0
	}
	publish(0.25)
	for deadline := time.Now().Add(20 * time.Second); !has(0.25); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a published value is not written")
		}
	}
	j2 := newJournalOf(w, nil) // another process, whose minute does not end
	j2.every = 1000 * time.Hour
	second := make(chan error, 1)
	publishLast := math.Pi
	go func() { second <- j2.Run(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		w.e.mu.Lock()
		n := len(w.e.subscribers)
		w.e.mu.Unlock()
		if n == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the second journal does not subscribe")
		}
	}
	publish(publishLast)
	cancel()
	for _, run := range []chan error{ended, second} {
		if err := <-run; err != nil {
			t.Error(err)
		}
	}
	if n := w.count("SELECT count() FROM kpi_journal WHERE kpi = 'auth_transactions' AND value = pi()"); n < 1 {
		t.Error("the last published value is not written")
	}
	goleak.VerifyNone(t, before)
}

func TestJournalConfigurationIsChecked(t *testing.T) {
	w := newWorld(t, time.Now())
	for _, change := range []func(*JournalConfig, *JournalDeps){
		func(cfg *JournalConfig, _ *JournalDeps) { cfg.Minutes = 0 },
		func(cfg *JournalConfig, _ *JournalDeps) { cfg.Timeout = 0 },
		func(cfg *JournalConfig, _ *JournalDeps) { cfg.Retry = -1 },
		func(_ *JournalConfig, deps *JournalDeps) { deps.Conn = nil },
		func(_ *JournalConfig, deps *JournalDeps) { deps.Evaluator = nil },
	} {
		cfg, deps := DefaultJournalConfig(), JournalDeps{Conn: w.db.Client.Conn(), Evaluator: w.e, Logger: zaptest.NewLogger(t)}
		change(&cfg, &deps)
		if _, err := NewJournal(cfg, deps); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}
