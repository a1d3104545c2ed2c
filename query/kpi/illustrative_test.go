package kpi

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

func illustrative(a *Answer) bool { return len(a.Notes) > 0 && a.Notes[0].Code == NoteIllustrative }

// TestSimulatedDataIsIllustrative: the note and the gauge follow the data, whenever simulated events come, and stay.
func TestSimulatedDataIsIllustrative(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	conn := &breakable{}
	w := newWorld(t, local(t, "2026-11-21T10:00:30"), func(_ *Config, deps *Deps) {
		conn.Conn = deps.Conn
		deps.Registry, deps.Conn = registry, conn
	})
	tick := func() *Publication {
		t.Helper()
		if err := w.e.tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		return w.e.Current()
	}
	agree := func(want bool) {
		t.Helper()
		for key, a := range w.e.Current().Values {
			// A reported figure is what was reported, whatever else is simulated.
			if def, _ := w.e.deps.Catalogue.Get(key.KPI); illustrative(a) != (want && def.Kind != KindReported && !a.has(NoteOfficial)) {
				t.Fatalf("%v: illustrative is %v", key, !want)
			}
		}
		if got := gather(t, registry)["ioc_kpi_illustrative"]; got != float64(boolInt(want)) {
			t.Errorf("ioc_kpi_illustrative is %v", got)
		}
		byHour, err := w.e.Answer(t.Context(), Query{KPI: "auth_transactions", Grain: "hour", Scope: national})
		if err != nil || illustrative(byHour) != want {
			t.Errorf("an answer that is not published: illustrative is not %v, %v", want, err)
		}
		if got := illustrative(w.ask(Query{KPI: "dossiers_received"})); got != want {
			t.Errorf("an evaluated answer: illustrative is %v", got)
		}
	}
	// SIMOS is an organisation of its own, and what is further back is no organisation.
	w.load(ev("auth.attempt", "source=/eid_auth/SIMOS subject=a time=2026-11-21T09:00 outcome=success province=79"),
		ev("auth.attempt", "source=/eid_auth/G01.SIM subject=b time=2026-11-21T09:00 outcome=success province=79"),
		ev("dossier.status", "source=/npsp/H26 subject=d time=2026-11-20T09:00 status=2 province=79"),
		ev("counter.report", "source=/manual_report/G01 subject=r time=2026-11-20T09:00 metric=essential_services_full_online value=23 denominator=25 as_of=2026-11-20 source_ref=x"))
	tick()
	if !w.e.Current().Values[Key{"essential_services_full_online", National, PeriodAll}].has(NoteOfficial) {
		t.Fatal("no value is an official figure, so that nothing is shown about them")
	}
	agree(false)
	conn.asked.Store(0)
	tick()
	if n := conn.asked.Load(); n != 2 { // positions, and the age that every tick evaluates
		t.Errorf("a tick in which nothing moved asks %d statements", n)
	}
	before := w.e.Current()
	w.load(ev("auth.attempt", "source=/eid_auth/SIM subject=c time=2026-11-21T09:01 outcome=success province=79"))
	after := tick()
	agree(true)
	// Sources that did not move are marked too, and only that changed of them.
	key := Key{"dossiers_received", National, PeriodMonth}
	if after.generations["dossier_days"] <= before.Number {
		t.Error("answers of a source that did not move are still taken from the cache")
	}
	unmarked := *after.Values[key]
	unmarked.Notes = unmarked.Notes[1:]
	if diff := cmp.Diff(before.Values[key], &unmarked); diff != "" {
		t.Errorf("more than the note changed:\n%s", diff)
	}
	if diff := cmp.Diff(w.ask(Query{KPI: key.KPI}), after.Values[key]); diff != "" {
		t.Errorf("evaluated (-) and published (+) differ:\n%s", diff)
	}
	// Another evaluator over the data, as after a restart, and one that ioc kpi eval makes.
	again, err := New(DefaultConfig(), Deps{Conn: w.e.deps.Conn, Catalogue: w.e.deps.Catalogue, Coefficients: w.places.Coefficients(), Calendar: w.places.Calendar(), Logger: w.e.deps.Logger, Now: w.now})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := again.Evaluate(t.Context(), Query{KPI: "on_time_rate", Scope: national}); err != nil || !illustrative(a) {
		t.Errorf("a new evaluator does not see it: %v", err)
	}
}

// TestPublicationWaitsForTheJudgement: while it is not known whether the data is simulated, nothing new is published, and
// nothing is lost by the wait. What a question found out meanwhile counts.
func TestPublicationWaitsForTheJudgement(t *testing.T) {
	conn := &breakable{}
	w := newWorld(t, local(t, "2026-11-21T10:00:30"), func(_ *Config, deps *Deps) {
		conn.Conn = deps.Conn
		deps.Conn = conn
	})
	w.load(ev("auth.attempt", "source=/eid_auth/SIM.1 subject=c time=2026-11-21T09:01 outcome=success province=79"))
	conn.refuse = "source_activity WHERE match(source"
	if err := w.e.tick(t.Context()); err == nil || !strings.Contains(err.Error(), "simulated") {
		t.Errorf("the tick returns %v", err)
	}
	if w.e.Current() != nil {
		t.Error("numbers are published of which it is not known whether they are simulated")
	}
	conn.refuse = ""
	if a := w.ask(Query{KPI: "auth_transactions"}); !illustrative(a) {
		t.Error("the question's own answer is not marked")
	}
	if err := w.e.tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := w.e.Current(); p == nil || len(p.Values) != publishedValues(w.e.deps.Catalogue) {
		t.Fatal("the next tick does not publish everything")
	}
	for key, a := range w.e.Current().Values {
		def, _ := w.e.deps.Catalogue.Get(key.KPI)
		if illustrative(a) == (def.Kind == KindReported) { // a reported figure is what was reported, whatever else is simulated
			t.Fatalf("%v: illustrative is %v", key, illustrative(a))
		}
	}
}
