package kpi

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestAnswerAll: each answer is that to its question alone; what is wrong with one is no other's.
func TestAnswerAll(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00:00.250"))
	country(w, 5)
	w.tick()
	week := Query{KPI: "dossiers_received", Period: Period7d, Grain: "day", Scope: national}
	qs := []Query{
		{KPI: "dossiers_received", Scope: national}, week, {KPI: "none", Scope: national},
		{KPI: "auth_transactions", Scope: Scope{Provinces: []string{"01", "79"}}}, week,
		{KPI: "auth_transactions", Scope: Scope{Provinces: []string{"79"}}, Filters: map[string][]string{"province": {"01"}}},
		{KPI: "on_time_rate", By: []string{"province"}, Sort: "-value", Limit: 2, Scope: national},
		{KPI: "on_time_rate", From: local(t, "2026-11-20T08:00"), To: local(t, "2026-11-21"), Scope: national},
	}
	batch, err := w.e.AnswerAll(t.Context(), qs)
	if err != nil {
		t.Fatal(err)
	}
	greatest := time.Time{}
	for i, q := range qs {
		alone, aloneErr := w.e.Answer(t.Context(), q)
		got := batch.Outcomes[i]
		if diff := cmp.Diff(alone, got.Answer, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("question %d alone (-) and with others (+):\n%s", i, diff)
		}
		var want, have *Error
		if errors.As(aloneErr, &want) != errors.As(got.Err, &have) || want != nil && (want.Kind != have.Kind || want.Param != have.Param) {
			t.Errorf("question %d alone fails with %v, with others %v", i, aloneErr, got.Err)
		}
		if alone != nil {
			greatest = later(greatest, alone.AsOf.Time)
		}
	}
	if !batch.AsOf.Equal(greatest) || batch.Revision != "" {
		t.Errorf("together they are as of %s, revision %q", batch.AsOf, batch.Revision)
	}
	all := []Query{qs[0], qs[1]}
	first, err := w.e.AnswerAll(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.e.AnswerAll(t.Context(), all)
	if err != nil || first.Revision == "" || again.Revision != first.Revision {
		t.Errorf("the revision %q became %q: %v", first.Revision, again.Revision, err)
	}
	w.load(ev("dossier.status", "subject=new time=2026-11-21T09:59 status=2 channel=online province=79"))
	w.tick()
	if again, err = w.e.AnswerAll(t.Context(), all); err != nil || again.Revision == first.Revision {
		t.Errorf("the revision %q stayed after an event: %v", first.Revision, err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.e.AnswerAll(cancelled, []Query{{KPI: "dossiers_received", Period: PeriodYTD, Scope: national}}); !errors.Is(err, context.Canceled) {
		t.Errorf("a request that was given up ends with %v", err)
	}
}

// TestAnswerAllAtOneClock: however the clock goes meanwhile, and whatever is published, all are answered at one reading of the
// one and from one of the other.
func TestAnswerAllAtOneClock(t *testing.T) {
	var w *world
	readings := 0
	w = newWorld(t, local(t, "2026-11-21T23:59:59.990"), func(_ *Config, deps *Deps) {
		set := deps.Now
		deps.Now = func() time.Time { // each reading is later, and midnight comes between them
			w.mu.Lock()
			readings++
			w.clock = w.clock.Add(4 * time.Millisecond)
			w.mu.Unlock()
			return set()
		}
	})
	// An event ahead of the clock: as_of is the clock.
	w.load(ev("auth.attempt", "subject=a time=2026-11-22T00:03 outcome=success province=79"))
	var qs []Query
	for _, outcome := range []string{"success", "timeout", "expired", "locked", "no_match"} {
		for _, period := range []string{PeriodToday, Period7d} {
			qs = append(qs, Query{KPI: "auth_transactions", Period: period, Filters: map[string][]string{"outcome": {outcome}}, Scope: national})
		}
	}
	for range 5 {
		batch, err := w.e.AnswerAll(t.Context(), qs)
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range batch.Outcomes {
			if o.Err != nil || !o.Answer.AsOf.Equal(batch.Clock) || !o.Answer.EvaluatedAt.Equal(batch.Clock) || o.Answer.Revision != batch.Outcomes[0].Answer.Revision {
				t.Errorf("question %d is answered as of %s at %s, the batch is of %s: %v", i, o.Answer.AsOf, o.Answer.EvaluatedAt, batch.Clock, o.Err)
			}
		}
	}
	if readings < 5 {
		t.Errorf("the clock was read %d times only", readings)
	}
	// The publication is another one by the time of the later questions.
	w.tick()
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if err := w.e.tick(ctx); err != nil && ctx.Err() == nil {
				stopped <- err
				return
			}
		}
		stopped <- nil
	}()
	qs = nil
	for range 64 {
		qs = append(qs, Query{KPI: "auth_transactions", Scope: national})
	}
	seen := map[string]bool{}
	for deadline := time.Now().Add(20 * time.Second); len(seen) < 20 && time.Now().Before(deadline); {
		batch, err := w.e.AnswerAll(t.Context(), qs)
		if err != nil {
			t.Fatal(err)
		}
		first := batch.Outcomes[0].Answer
		seen[first.Revision] = true
		for i, o := range batch.Outcomes {
			if o.Answer != first {
				t.Fatalf("question %d is answered from another publication: %s, the first %s", i, o.Answer.Revision, first.Revision)
			}
		}
	}
	cancel()
	if err := <-stopped; err != nil || len(seen) < 20 {
		t.Errorf("only %d publications were seen: %v", len(seen), err)
	}
}
