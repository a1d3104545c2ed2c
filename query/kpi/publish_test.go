package kpi

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

// country loads a few hundred random events of all kinds.
func country(w *world, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	pick := func(choices ...string) string { return choices[random.IntN(len(choices))] }
	places := []string{"province=01", "province=79", "province=02 scheme=gso63", "province=24 scheme=gso34", ""}
	moment := func() string {
		return w.now().Add(-time.Duration(random.Int64N(int64(40 * 24 * time.Hour)))).Format(time.RFC3339Nano)
	}
	var events []event
	for i := range 300 {
		accepted := w.now().Add(-time.Duration(random.Int64N(int64(40 * 24 * time.Hour)))).Truncate(time.Millisecond)
		at := func(hours int) string {
			return accepted.Add(time.Duration(random.IntN(hours*3_600_000)) * time.Millisecond).Format(time.RFC3339Nano)
		}
		subject := fmt.Sprintf("subject=d%d partition=%d", i, i%2)
		events = append(events, ev("dossier.status", fmt.Sprintf("%s time=%s status=2 channel=%s service=%s due=%s %s",
			subject, accepted.Format(time.RFC3339Nano), pick("online", "direct", "unknown"), pick("DA06-01", "DA06-02", ""), at(800), pick(places...))))
		if random.IntN(2) == 0 {
			if end := at(400); end < w.now().Format(time.RFC3339Nano) {
				events = append(events, ev("dossier.status", fmt.Sprintf("%s time=%s status=%s", subject, end, pick("9", "10", "3"))))
			}
		}
		events = append(events, ev("auth.attempt", fmt.Sprintf("subject=a%d partition=%d time=%s outcome=%s relying_party=%s %s",
			i, i%3, moment(), pick("success", "success", "no_match", "user_cancelled"), pick("H29", "G01"), pick(places...))))
	}
	events = append(events, programme(pick, moment)...)
	events = append(events,
		ev("counter.report", "subject=c time=2024-11-22 metric=eid_accounts_activated value=57900000 as_of=2024-11-22 source_ref=530/TB-VPCP"),
		ev("counter.report", "subject=c time=2024-11-22 metric=eid_accounts_activated value=5000000 as_of=2024-11-22 source_ref=x province=79"))
	w.load(events...)
}

// programme is a few hundred random events of accounts, documents, queries and registers, among them voids.
func programme(pick func(...string) string, moment func() string) []event {
	var events []event
	places := []string{"province=01", "province=79", "province=02 scheme=gso63", "province=24 scheme=gso34", ""}
	for i := range 150 {
		at := func(kind, format string, args ...any) {
			events = append(events, ev(kind, fmt.Sprintf("subject=p%d partition=%d time=%s %s %s", i, i%2, moment(), pick(places...), fmt.Sprintf(format, args...))))
		}
		at("eid.account", "action=%s level=%s", pick("activated", "activated", "upgraded", "deactivated"), pick("1", "2"))
		at("wallet.document", "kind=%s action=%s", pick("health_book", "driving_licence"), pick("created", "integrated"))
		at("data.query", "consumer_agency=%s query_kind=%s outcome=%s", pick("G01", "H29"), pick("verify", "lookup"), pick("ok", "denied"))
		at("service.catalog", "service=DA06-%02d list=%s level=%s", 1+i%20, pick("E25", "E53"), pick("full", "partial", "info"))
		at("task.status", "id=task%d status=%s agency=%s due=%s", i, pick("assigned", "completed", "completed_late"), pick("G01", "G18"), moment())
		at("capability.status", "kind=%s org=%s org_kind=%s state=%s", pick("ioc", "popdb_connection"), pick("a", "b", "c", "d"), pick("ministry", "province"), pick("operating", "planned"))
		at("data.quality", "database=%s criterion=%s field=f rule=R%d evaluated=100 passing=%d weight=%s", pick("civil", "land"), pick("dung", "du"), i%5, i%100, pick("1", "2.5"))
		if i%20 == 0 {
			events = append(events, ev("event.void", fmt.Sprintf("subject=task%d partition=%d time=%s", i/2, i%3, moment())))
		}
	}
	for _, metric := range []string{"task_completion_rate", "essential_services_full_online", "published_platforms", "health_books_created", "savings_vnd_year"} {
		for _, place := range places {
			events = append(events, ev("counter.report", fmt.Sprintf("subject=c time=2024-11-22 metric=%s value=%s denominator=25 as_of=2024-11-2%s source_ref=x %s", metric, pick("20", "21"), pick("0", "1"), place)))
		}
	}
	return events
}

// publishedValues is how many values are published: of each KPI over its default period and the periods more that are of
// interest, and of the parts of a formula over the periods of the formula, each of the nation and 34 provinces.
func publishedValues(cat *Catalogue, more ...string) int {
	keys := map[[2]string]bool{}
	for _, def := range cat.All() {
		over := []string{def.DefaultPeriod}
		if def.Kind != KindAge && !def.Sensitive {
			over = append(over, more...)
		}
		for _, period := range over {
			keys[[2]string{def.ID, period}] = true
			for _, part := range def.parts() {
				keys[[2]string{part, period}] = true
			}
		}
	}
	return 35 * len(keys)
}

// TestPublicationIsEvaluation: what is published is, bit for bit, what Evaluate computes at the same revision.
func TestPublicationIsEvaluation(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00:00.250"))
	country(w, 1)
	cat := w.e.deps.Catalogue
	want := publishedValues(cat, PeriodToday, PeriodYTD)
	for _, def := range cat.All() {
		if def.Kind != KindAge && !def.Sensitive {
			for _, period := range []string{PeriodToday, PeriodYTD} {
				release, err := w.e.AddInterest(def.ID, period)
				if err != nil {
					t.Fatal(err)
				}
				defer release()
			}
		}
	}
	if err := w.e.tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	pub := w.e.Current()
	if len(pub.Values) != want {
		t.Errorf("%d values are published, expected %d", len(pub.Values), want)
	}
	unranked := cmpopts.IgnoreFields(Answer{}, "Rank")
	compared := 0
	for key, published := range pub.Values {
		q := Query{KPI: key.KPI, Period: key.Period, Scope: national}
		if key.Scope != National {
			q.Filters = map[string][]string{"province": {key.Scope}}
			def, _ := cat.Get(key.KPI)
			if compared++; compared%97 != 0 && (key.Scope != "79" || key.Period != def.DefaultPeriod) {
				continue // a part of the provinces' values is enough
			}
		}
		if diff := cmp.Diff(w.ask(q), published, unranked); diff != "" {
			t.Fatalf("%v: evaluated (-) and published (+) differ:\n%s", key, diff)
		}
		if key.Scope != National {
			mine := Query{KPI: key.KPI, Period: key.Period, Scope: Scope{Provinces: []string{key.Scope}}}
			if diff := cmp.Diff(w.ask(mine), published, unranked); diff != "" {
				t.Fatalf("%v: a province's own question (-) and the published value (+) differ:\n%s", key, diff)
			}
		}
	}
	for _, def := range cat.All() {
		for _, q := range []Query{
			{KPI: def.ID, By: []string{"province"}},
			{KPI: def.ID, By: []string{"province"}, Sort: "-value", Limit: 2, Offset: 1},
			{KPI: def.ID, By: []string{"province"}, Filters: map[string][]string{"province": {"79"}}},
		} {
			q.Scope = national
			published, ok := w.e.FromPublication(q)
			if !ok {
				t.Fatalf("the publication does not answer %+v", q)
			}
			if diff := cmp.Diff(w.ask(q), published, unranked, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%+v: evaluated (-) and published (+) differ:\n%s", q, diff)
			}
			if answered, err := w.e.Answer(t.Context(), q); err != nil || !cmp.Equal(answered, published) {
				t.Fatalf("Answer does not take the publication: %v", err)
			}
		}
		if def.Kind != KindAge && !def.Sensitive {
			if _, ok := w.e.FromPublication(Query{KPI: def.ID, Period: PeriodQuarter, Scope: national}); ok {
				t.Errorf("%s: the publication answers a period that nobody asked for", def.ID)
			}
		}
	}
	for _, q := range []Query{
		{Grain: "day"}, {Compare: ComparePrevious}, {At: local(t, "2026-11-20")}, {By: []string{"service"}}, {Scheme: SchemeGSO63},
		{Filters: map[string][]string{"channel": {"online"}}}, {Scope: Scope{Provinces: []string{"01", "79"}}},
		{From: local(t, "2026-11-01"), To: local(t, "2026-11-21")}, {Filters: map[string][]string{"province": {"99"}}},
	} {
		q.KPI = "dossiers_received"
		q.Scope.National = q.Scope.Provinces == nil
		if a, ok := w.e.FromPublication(q); ok {
			t.Errorf("the publication answers %+v with %+v", q, a)
		}
	}
}

func TestTicksPublishChangesOnly(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00:30"))
	tick := func() *Publication {
		t.Helper()
		if err := w.e.tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		return w.e.Current()
	}
	received := Key{"dossiers_received", National, PeriodMonth}
	auth := Key{"auth_transactions", National, PeriodToday}
	first := tick()
	if first.Number != 1 || len(first.Values) != publishedValues(w.e.deps.Catalogue) {
		t.Fatalf("first publication: number %d, %d values", first.Number, len(first.Values))
	}
	w.set(local(t, "2026-11-21T10:00:31"))
	if second := tick(); second.Values[received] != first.Values[received] || second.Values[auth] != first.Values[auth] {
		t.Error("a source without events was evaluated again within the minute")
	}
	w.load(ev("auth.attempt", "subject=a time=2026-11-21T10:00:31 outcome=success province=79"))
	third := tick()
	if third.Values[received] != first.Values[received] || third.Values[auth] == first.Values[auth] || *third.Values[auth].Value != 1 {
		t.Errorf("only the source that moved should be evaluated: %+v", third.Values[auth])
	}
	if w.e.Confirmed("dossiers_received") != w.now() {
		t.Errorf("values found unchanged are confirmed at %v, not now", w.e.Confirmed("dossiers_received"))
	}
	// Clocks apart: the event is ahead, so as_of is the clock, and the revision says so.
	w.load(ev("auth.attempt", "subject=a time=2026-11-21T10:02 outcome=success province=79"))
	fourth := tick().Values[auth]
	w.set(local(t, "2026-11-21T10:00:32"))
	fifth := tick().Values[auth]
	if fourth.AsOf == fifth.AsOf || fourth.Revision == fifth.Revision {
		t.Errorf("as_of follows the clock, but revision %s with %s became %s with %s", fourth.Revision, fourth.AsOf, fifth.Revision, fifth.AsOf)
	}
	// Past the event nothing changes any more, not even at midnight: the calendar is that of the newest event.
	w.set(local(t, "2026-11-21T10:03"))
	sixth := tick().Values[auth]
	w.set(local(t, "2026-11-22T00:00:01"))
	if seventh := tick().Values[auth]; seventh != sixth || *seventh.Value != 2 {
		t.Errorf("a quiet source was evaluated again: %+v", seventh)
	}
}

func TestInterest(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00:30"))
	week := Key{"dossiers_received", "79", Period7d}
	has := func() bool {
		t.Helper()
		if err := w.e.tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, ok := w.e.Current().Values[week]
		return ok
	}
	if has() {
		t.Error("a period is published that nobody asked for")
	}
	releaseA, err := w.e.AddInterest(week.KPI, week.Period)
	if err != nil {
		t.Fatal(err)
	}
	releaseB, err := w.e.AddInterest(week.KPI, week.Period)
	if err != nil {
		t.Fatal(err)
	}
	if !has() {
		t.Error("the period is not published at the next tick")
	}
	releaseA()
	releaseA()
	if !has() {
		t.Error("one of two releases, called twice, ended the interest of both")
	}
	releaseB()
	if has() {
		t.Error("the period is still published after the last release")
	}
	for _, bad := range []struct {
		kpi, period string
		kind        ErrorKind
	}{{"none", PeriodMonth, NotFound}, {"dossiers_received", "fortnight", BadRequest}, {"data_freshness_seconds", PeriodMonth, BadRequest}} {
		_, err := w.e.AddInterest(bad.kpi, bad.period)
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != bad.kind {
			t.Errorf("interest in %s over %s: %v", bad.kpi, bad.period, err)
		}
	}
}

func TestSubscribersGetTheNewest(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00:30"))
	early, cancelEarly := w.e.Subscribe()
	for range 3 {
		if err := w.e.tick(t.Context()); err != nil { // the age changes, or is evaluated, at each tick
			t.Fatal(err)
		}
	}
	late, cancelLate := w.e.Subscribe()
	for name, ch := range map[string]<-chan *Publication{"early": early, "late": late} {
		if p := <-ch; p != w.e.Current() || p.Number != 3 {
			t.Errorf("the %s subscriber got publication %d, the newest is %d", name, p.Number, w.e.Current().Number)
		}
	}
	cancelEarly()
	cancelEarly()
	cancelLate()
	if _, open := <-early; open {
		t.Error("cancel does not close the channel")
	}
	if err := w.e.tick(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// breakable is a connection that can be cut, a fault that a real engine does not show on command, and that counts.
type breakable struct {
	driver.Conn
	cut    atomic.Bool
	refuse string // Statements with this text fail; empty for none.
	asked  atomic.Int32
}

var errCut = errors.New("connection cut")

func (b *breakable) Query(ctx context.Context, sql string, args ...any) (driver.Rows, error) {
	b.asked.Add(1)
	if b.cut.Load() || b.refuse != "" && strings.Contains(sql, b.refuse) {
		return nil, errCut
	}
	return b.Conn.Query(ctx, sql, args...)
}

func TestRunOutlivesTheWarehouse(t *testing.T) {
	conn := &breakable{}
	health := make(chan error, 1)
	registry := prometheus.NewPedanticRegistry()
	w := newWorld(t, local(t, "2026-11-21T10:00:30"), func(cfg *Config, deps *Deps) {
		conn.Conn = deps.Conn
		deps.Conn, deps.Registry, cfg.Tick = conn, registry, minTick
		deps.Health = func(err error) {
			select {
			case <-health:
			default:
			}
			health <- err
		}
	})
	w.load(ev("auth.attempt", "subject=a time=2026-11-21T10:00:29 outcome=success province=79"))
	leaks := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.e.Run(ctx) }()
	await := func(what string, ok func(error) bool) {
		t.Helper()
		deadline := time.After(20 * time.Second)
		for {
			select {
			case err := <-health:
				if ok(err) {
					return
				}
			case <-deadline:
				t.Fatalf("%s did not happen", what)
			}
		}
	}
	await("the first good tick", func(err error) bool { return err == nil })
	before := gather(t, registry)
	if got := before[`ioc_kpi_value{kpi="auth_transactions",period="today",province="79",scheme="gso34"}`]; got != 1 {
		t.Errorf("the metric of province 79 is %v", got)
	}
	if _, ok := before[`ioc_kpi_value{kpi="online_dossier_rate",period="month",province="",scheme="gso34"}`]; ok {
		t.Error("a null value has a sample")
	}
	if got, ok := before[`ioc_kpi_denominator{kpi="auth_success_rate",period="today",province="",scheme="gso34"}`]; !ok || got != 1 {
		t.Errorf("the national denominator is %v", got)
	}
	conn.cut.Store(true)
	await("a failing tick", func(err error) bool { return errors.Is(err, errCut) })
	w.set(local(t, "2026-11-21T10:01:30"))
	if a, ok := w.e.FromPublication(Query{KPI: "auth_transactions", Scope: national}); !ok || *a.Value != 1 {
		t.Errorf("the last publication is gone: %+v", a)
	}
	if got := gather(t, registry)[`ioc_kpi_age_seconds{kpi="auth_transactions"}`]; got != 60 {
		t.Errorf("the value's age is %v s", got)
	}
	if _, err := w.e.Evaluate(ctx, Query{KPI: "auth_transactions", Scope: national}); err != nil {
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Unavailable {
			t.Errorf("an evaluation meanwhile: %v", err)
		}
	} else {
		t.Error("an evaluation succeeds without a warehouse")
	}
	conn.cut.Store(false)
	await("recovery", func(err error) bool { return err == nil })
	if got := gather(t, registry)[`ioc_kpi_age_seconds{kpi="auth_transactions"}`]; got != 0 {
		t.Errorf("after recovery the value's age is %v s", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run returned %v", err)
	}
	goleak.VerifyNone(t, leaks)
}

// gather reads the gauges of a registry by name and labels.
func gather(t *testing.T, registry prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := ""
			for _, l := range m.GetLabel() {
				labels += fmt.Sprintf(",%s=%q", l.GetName(), l.GetValue())
			}
			if labels != "" {
				labels = "{" + labels[1:] + "}"
			}
			if m.GetGauge() != nil {
				out[f.GetName()+labels] = m.GetGauge().GetValue()
			}
		}
	}
	return out
}

// What is asked for and not published is published from the next tick on, until nobody has asked for it for a minute.
func TestAskedIsPublished(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00:30"))
	w.load(ev("auth.attempt", "subject=a time=2026-11-21T10:00:31 outcome=success province=79"))
	tick := func() *Publication {
		t.Helper()
		if err := w.e.tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		return w.e.Current()
	}
	ask := func() {
		t.Helper()
		if _, err := w.e.Answer(t.Context(), Query{KPI: "auth_transactions", Period: PeriodQuarter, By: []string{"province"}, Scope: national}); err != nil {
			t.Fatal(err)
		}
	}
	key := Key{"auth_transactions", "79", PeriodQuarter}
	if tick().Values[key] != nil {
		t.Fatal("nobody asked for it yet")
	}
	ask()
	if a := tick().Values[key]; a == nil || *a.Value != 1 {
		t.Fatalf("it was asked for, and is published as %+v", a)
	}
	w.set(w.now().Add(askedFor - time.Second))
	ask()
	w.set(w.now().Add(2 * time.Second))
	w.load(ev("auth.attempt", "subject=a time=2026-11-21T10:00:32 outcome=success province=79"))
	if a := tick().Values[key]; a == nil || *a.Value != 2 {
		t.Fatalf("it was asked for again, and is published as %+v", a)
	}
	w.set(w.now().Add(askedFor))
	if tick().Values[key] != nil {
		t.Error("nobody has asked for it for a minute")
	}
}

// TestTickFollowsWhatHasLanded: what ingestion of the same process has brought is published without waiting for the ticker.
func TestTickFollowsWhatHasLanded(t *testing.T) {
	landed := make(chan struct{}, 1)
	w := newWorld(t, local(t, "2026-11-21T10:00:30"), func(cfg *Config, deps *Deps) { cfg.Tick, deps.Landed = time.Hour, landed })
	leaks := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.e.Run(ctx) }()
	publications, unsubscribe := w.e.Subscribe()
	defer unsubscribe()
	await := func(want float64) {
		t.Helper()
		deadline := time.After(20 * time.Second)
		for {
			select {
			case p := <-publications:
				if a := p.Values[Key{"auth_transactions", National, "today"}]; a != nil && *a.Value == want {
					return
				}
			case <-deadline:
				t.Fatalf("no publication has %v authentications", want)
			}
		}
	}
	await(0)
	for n := 1; n <= 3; n++ { // the ticker would take an hour for each
		w.load(ev("auth.attempt", fmt.Sprintf("subject=a%d time=2026-11-21T10:00:29 outcome=success province=79", n)))
		landed <- struct{}{}
		await(float64(n))
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run returned %v", err)
	}
	goleak.VerifyNone(t, leaks)
}
