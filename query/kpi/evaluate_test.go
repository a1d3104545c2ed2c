package kpi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// TestAnswersAreTheirPositions: while batches come in, each answer counts exactly the events below its positions. Every
// event counts once, so the numerator is the sum of the offsets that the revision states.
func TestAnswersAreTheirPositions(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00"))
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			var batch []event
			for j := range 5 + i%7 {
				batch = append(batch,
					ev("auth.attempt", fmt.Sprintf("subject=a time=2026-11-21T09:00:%02d outcome=success province=79 partition=%d", i%60, i%3)),
					ev("dossier.status", fmt.Sprintf("subject=d%d-%d time=2026-11-21T09:00:%02d status=2 province=79 partition=%d due=2026-12-01", i, j, i%60, i%2)))
			}
			w.load(batch...)
		}
	})
	seen := map[string]string{}
	revisions := map[string]bool{}
	deadline := time.Now().Add(6 * time.Second)
	for time.Now().Before(deadline) {
		for _, q := range []Query{
			{KPI: "auth_transactions"}, {KPI: "auth_transactions", Grain: "minute", From: local(t, "2026-11-21T09:00"), To: local(t, "2026-11-21T09:05")},
			{KPI: "dossiers_received", By: []string{"province"}}, {KPI: "on_time_rate", Grain: "day"},
		} {
			a := w.ask(q)
			var sum int64
			var hash string
			if _, err := fmt.Sscanf(a.Revision, "r-%d-%s", &sum, &hash); err != nil {
				t.Fatalf("revision %q: %v", a.Revision, err)
			}
			if *a.Numerator != sum {
				t.Fatalf("%s counts %d events at revision %s", a.ID, *a.Numerator, a.Revision)
			}
			text, err := json.Marshal(a)
			if err != nil {
				t.Fatal(err)
			}
			key := a.ID + q.Grain + a.Revision
			if was, ok := seen[key]; ok && was != string(text) {
				t.Fatalf("one revision, two answers:\n%s\n%s", was, text)
			}
			seen[key], revisions[a.Revision] = string(text), true
		}
	}
	cancel()
	writing.Wait()
	if len(revisions) < 5 {
		t.Errorf("only %d revisions were seen: nothing moved meanwhile", len(revisions))
	}
}

// TestExpectationOfAsOfDoesNotMatter: whatever was expected before the statement ran, the answer is that of the as_of
// that it read, also where deadlines fall between the two and where another day has begun.
func TestExpectationOfAsOfDoesNotMatter(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00"))
	country(w, 2)
	ctx := t.Context()
	questions := []Query{
		{KPI: "on_time_rate", Period: PeriodYTD, Grain: "week", By: []string{"province"}, Compare: ComparePrevious},
		{KPI: "on_time_rate", Period: PeriodToday, Compare: ComparePrevious},
		{KPI: "on_time_rate", From: local(t, "2026-11-01"), To: local(t, "2026-12-01"), Grain: "day"},
		{KPI: "auth_success_rate", Period: PeriodMonth, Grain: "day", Compare: CompareElapsed},
		{KPI: "auth_transactions", Period: PeriodToday, Grain: "minute"},
		{KPI: "eid_accounts_activated", Period: PeriodYTD, Grain: "week", By: []string{"province"}, Compare: ComparePrevious},
	}
	// The newest dossier event, and deadlines around it.
	events := []event{ev("dossier.status", "subject=last time=2026-11-21T09:59:59.5 status=2 province=01")}
	for i := range 200 {
		due := local(t, "2026-11-21T09:59:59.5").Add(time.Duration(i-190) * 3 * time.Second)
		events = append(events, ev("dossier.status", fmt.Sprintf("subject=near%d time=2026-11-%02dT08:00 status=2 province=79 due=%s", i, 2+i%20, due.Format(time.RFC3339Nano))))
	}
	w.load(events...)
	read, err := w.e.readPositions(ctx, w.e.sourceNames)
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	for _, asked := range questions {
		q, err := w.e.deps.Catalogue.check(withScope(asked))
		if err != nil {
			t.Fatal(err)
		}
		truth := read[q.def.Source].latest
		right, err := w.e.tallyAll(ctx, []*question{q}, read)
		if err != nil {
			t.Fatal(err)
		}
		expectations := []time.Time{{}}
		for _, off := range []time.Duration{-time.Millisecond, -5 * time.Second, -4 * time.Minute, -10 * time.Minute, -11 * time.Minute,
			time.Millisecond, time.Minute, -day, day, -8 * day, -40 * day, 40 * day, -400 * day} {
			expectations = append(expectations, truth.Add(off))
		}
		for _, expected := range expectations {
			got, err := w.e.tallyAll(ctx, []*question{q}, map[string]*reading{q.def.Source: {latest: expected}, figureSource: read[figureSource]})
			if err != nil {
				t.Fatalf("%s: expecting %v instead of %v: %v", q.KPI, expected, truth, err)
			}
			if diff := cmp.Diff(w.e.answer(q, right[0]), w.e.answer(q, got[0])); diff != "" {
				t.Errorf("%s: expecting %v instead of %v:\n%s", q.KPI, expected, truth, diff)
			}
		}
	}
}

func withScope(q Query) Query {
	q.Scope = national
	return q
}

// TestOnTimeIsCountedFromTheStates compares the rate with a count over the state of every dossier.
func TestOnTimeIsCountedFromTheStates(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00"))
	country(w, 3)
	random := rand.New(rand.NewPCG(3, 3))
	for range 25 {
		from := local(t, "2026-10-10").AddDate(0, 0, random.IntN(40))
		to := from.AddDate(0, 0, 1+random.IntN(30))
		a := w.ask(Query{KPI: "on_time_rate", From: from, To: to})
		now := earliest(to, a.AsOf.Time)
		var onTime, all uint64
		err := w.db.Client.Conn().QueryRow(t.Context(), fmt.Sprintf(`SELECT countIf(toUnixTimestamp64Milli(overdue_at) >= %d), count() FROM dossier_state FINAL
			WHERE due_at > 0 AND toUnixTimestamp64Milli(accepted_at) >= %d AND toUnixTimestamp64Milli(accepted_at) < %d`,
			now.UnixMilli(), from.UnixMilli(), to.UnixMilli())).Scan(&onTime, &all)
		if err != nil {
			t.Fatal(err)
		}
		if *a.Numerator != int64(onTime) || *a.Denominator != int64(all) {
			t.Errorf("%s to %s at %s: %d of %d, the states say %d of %d", from, to, now, *a.Numerator, *a.Denominator, onTime, all)
		}
	}
}

// TestSumsAgree: rows, series and both schemes add up to the total.
func TestSumsAgree(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00"))
	country(w, 4)
	for _, id := range []string{"dossiers_received", "online_dossier_rate", "savings_vnd_year", "auth_transactions", "auth_success_rate"} {
		def, _ := w.e.deps.Catalogue.Get(id)
		for _, period := range []string{PeriodMonth, PeriodAll} {
			total := w.ask(Query{KPI: id, Period: period})
			if *total.Numerator == 0 {
				t.Fatalf("%s over %s is 0: nothing is tested", id, period)
			}
			for _, by := range def.Dimensions {
				for _, scheme := range []string{SchemeGSO34, SchemeGSO63} {
					a := w.ask(Query{KPI: id, Period: period, By: []string{by}, Scheme: scheme, Grain: "day"})
					var rows, points [2]int64
					for _, r := range a.Rows {
						rows[0] += *r.Numerator
						rows[1] += deref(r.Denominator)
					}
					for _, p := range a.Series {
						points[0] += *p.Numerator
						points[1] += deref(p.Denominator)
					}
					want := [2]int64{*total.Numerator, deref(total.Denominator)}
					if rows != want || points != want {
						t.Errorf("%s over %s by %s in %s: rows add up to %v, points to %v, the total is %v", id, period, by, scheme, rows, points, want)
					}
				}
			}
		}
	}
}

func deref(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

func TestAnswerShape(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00:00.120"))
	w.load(ev("dossier.status", "source=/npsp/SIM.79 subject=d time=2026-11-10T08:00 status=2 channel=online province=79 service=DA06-01"),
		ev("dossier.status", "subject=d time=2026-11-11T08:00:00.5 status=9"))
	a := w.ask(Query{KPI: "savings_vnd_year", By: []string{"province"}, Grain: "month", From: local(t, "2026-11-01"), To: local(t, "2026-12-01"), Compare: ComparePrevious})
	got, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	def, _ := w.e.deps.Catalogue.Get("savings_vnd_year")
	examples, err := json.MarshalIndent(w.e.examples, "      ", "  ")
	if err != nil || len(w.e.examples) == 0 {
		t.Fatalf("the shipped coefficients should be examples: %v", err)
	}
	want := fmt.Sprintf(`{
  "id": "savings_vnd_year",
  "name": {
    "vi": "Số tiền tiết kiệm cho Nhà nước và xã hội (năm)",
    "en": "Savings per year (VND)"
  },
  "unit": "vnd",
  "better": "higher",
  "scope": "national",
  "period": {
    "from": "2026-11-01T00:00:00+07:00",
    "to": "2026-12-01T00:00:00+07:00"
  },
  "as_of": "2026-11-11T08:00:00.500+07:00",
  "revision": %q,
  "evaluated_at": "2026-11-21T10:00:00.120+07:00",
  "value": 75750,
  "numerator": 75750,
  "denominator": null,
  "baseline": null,
  "official": null,
  "target": null,
  "status": "neutral",
  "coverage": {
    "reporting": 1,
    "expected": 34
  },
  "definition": %q,
  "notes": [
    {
      "code": "illustrative",
      "text": {
        "vi": "Dữ liệu mô phỏng để minh họa, không phải số liệu chính thức.",
        "en": "Simulated data for illustration, not official figures."
      }
    },
    {
      "code": "savings_coefficients",
      "text": {
        "vi": "Tính theo bảng hệ số tiết kiệm phiên bản này (Thông tư 02/2017/TT-VPCP, Điều 27).",
        "en": "Computed with this version of the savings coefficients (Circular 02/2017/TT-VPCP, Article 27)."
      },
      "items": [
        %q
      ]
    },
    {
      "code": "example_coefficients",
      "text": {
        "vi": "Hệ số tiết kiệm là ví dụ, không phải số liệu chính thức.",
        "en": "The savings coefficients are examples, not official figures."
      },
      "items": %s
    }
  ],
  "exact": true,
  "rows": [
    {
      "province": "79",
      "value": 75750,
      "numerator": 75750,
      "denominator": null
    }
  ],
  "series": [
    {
      "time": "2026-11-01T00:00:00+07:00",
      "value": 75750,
      "numerator": 75750,
      "denominator": null
    }
  ],
  "compare": {
    "period": {
      "from": "2026-10-02T00:00:00+07:00",
      "to": "2026-11-01T00:00:00+07:00"
    },
    "value": 0,
    "numerator": 0,
    "denominator": null,
    "change": 75750
  }
}`, a.Revision, def.Hash(w.places.Coefficients().Version()), w.places.Coefficients().Version(), examples)
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("answer (-expected +got):\n%s", diff)
	}
	// Without rows, series and comparison those keys are absent; asked for and empty, rows are an empty list.
	for _, test := range []struct {
		q    Query
		rows string
	}{{Query{KPI: "auth_transactions"}, ""}, {Query{KPI: "auth_transactions", By: []string{"province"}}, "[]"}} {
		text, err := json.Marshal(w.ask(test.q))
		if err != nil {
			t.Fatal(err)
		}
		var keys map[string]json.RawMessage
		if err := json.Unmarshal(text, &keys); err != nil {
			t.Fatal(err)
		}
		if string(keys["rows"]) != test.rows || keys["series"] != nil || keys["compare"] != nil {
			t.Errorf("%+v: %s", test.q, text)
		}
	}
	big, err := json.Marshal(Row{Value: pointer(3.5e15), Numerator: pointer(int64(3_500_000_000_000_000))})
	if err != nil || string(big) != `{"value":3500000000000000,"numerator":3500000000000000,"denominator":null}` {
		t.Errorf("a large sum is %s", big)
	}
}

func TestFlights(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var f flights
	var runs atomic.Int32
	started, proceed := make(chan struct{}, 1), make(chan struct{})
	want := &Answer{ID: "x"}
	work := func(ctx context.Context) (*Answer, error) {
		runs.Add(1)
		started <- struct{}{}
		select {
		case <-proceed:
			return want, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	waiting := func(key string) int {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.calls[key] == nil {
			return 0
		}
		return f.calls[key].askers
	}
	until := func(key string, n int) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); waiting(key) != n; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d askers wait for %s, not %d", waiting(key), key, n)
			}
		}
	}
	// One leaves, the others get the one answer.
	leaving, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { _, err := f.do(leaving, "k", work); left <- err }()
	<-started
	got := make(chan *Answer, 3)
	for range 3 {
		go func() { a, _ := f.do(context.WithoutCancel(t.Context()), "k", work); got <- a }()
	}
	until("k", 4)
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	close(proceed)
	for range 3 {
		if a := <-got; a != want {
			t.Errorf("got %v", a)
		}
	}
	if runs.Load() != 1 {
		t.Errorf("the work ran %d times", runs.Load())
	}
	// All leave: the work is cancelled.
	proceed = make(chan struct{})
	ended := make(chan error, 1)
	alone, leave := context.WithCancel(t.Context())
	go func() {
		_, err := f.do(alone, "k2", func(ctx context.Context) (*Answer, error) {
			a, err := work(ctx)
			ended <- err
			return a, err
		})
		left <- err
	}()
	<-started
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the work that nobody waits for ended with %v", err)
	}
}

func TestCacheLastsUntilTheSourceMoves(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00:30"))
	w.load(ev("auth.attempt", "subject=a time=2026-11-21T09:00 outcome=success province=79"))
	q := Query{KPI: "auth_transactions", Grain: "hour", Scope: national}
	answer := func() *Answer {
		t.Helper()
		a, err := w.e.Answer(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if first, second := answer(), answer(); first == second {
		t.Error("without a publication nothing says how long an answer holds, yet it was kept")
	}
	tick := func() {
		t.Helper()
		if err := w.e.tick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	tick()
	kept := answer()
	tick()
	w.load(ev("dossier.status", "subject=d time=2026-11-21T09:00 status=2"))
	tick()
	if answer() != kept {
		t.Error("the answer was evaluated again though its source did not move")
	}
	w.load(ev("auth.attempt", "subject=b time=2026-11-21T09:00 outcome=success province=79"))
	tick()
	if fresh := answer(); fresh == kept || *fresh.Value != 2 {
		t.Errorf("after the source moved the answer is %v", *fresh.Value)
	}
}
