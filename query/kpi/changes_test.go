package kpi

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ioc.local/internal/reference"
)

// past is what every KPI says of three whole months, month by month, of the nation and each province, and of each of their
// days: the text of an answer by "KPI month", "KPI month in province" and "KPI day". KPIs without a past are there as they are now.
func past(t *testing.T, e *Evaluator) map[string]string {
	t.Helper()
	var questions []Query
	for _, def := range e.deps.Catalogue.All() {
		for month := time.September; month <= time.November; month++ {
			q := Query{KPI: def.ID, From: time.Date(2026, month, 1, 0, 0, 0, 0, zone), To: time.Date(2026, month+1, 1, 0, 0, 0, 0, zone), Grain: "day", By: []string{"province"}, Scope: national}
			if def.Kind == KindFormula || def.asksEligible() {
				q.Grain = "" // They have no series.
			}
			if def.Kind == KindAge || def.Sensitive {
				q.From, q.To, q.Grain = time.Time{}, time.Time{}, ""
			}
			questions = append(questions, q)
		}
	}
	answers, err := e.AnswerAll(t.Context(), questions)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	say := func(value any, format string, args ...any) {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		said[fmt.Sprintf(format, args...)] = string(text)
	}
	for i, outcome := range answers.Outcomes {
		q, a := questions[i], outcome.Answer
		if outcome.Err != nil {
			t.Fatalf("%+v: %v", q, outcome.Err)
		}
		label := "now"
		if !q.From.IsZero() {
			label = q.From.Format("2006-01")
		}
		shown := *a
		shown.Revision, shown.Rows, shown.Series = "", nil, nil
		if q.KPI == "savings_vnd_year" { // It says which table of coefficients it is made with.
			shown.Definition, shown.Notes = "", slices.DeleteFunc(slices.Clone(a.Notes), func(n Note) bool { return n.Code == NoteCoefficients })
		}
		say(shown, "%s %s", q.KPI, label)
		for _, row := range a.Rows {
			say(row, "%s %s in %s", q.KPI, label, row.Dims[0].Code)
		}
		for _, point := range a.Series {
			say(point, "%s %s", q.KPI, point.Time.Format(time.DateOnly))
		}
	}
	return said
}

// moved lists what is not the same to the last bit.
func moved(before, after map[string]string) []string {
	var keys []string
	for key, text := range after {
		if before[key] != text {
			keys = append(keys, key)
		}
	}
	for key := range before {
		if _, ok := after[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// each joins the names with each of the ends, in order.
func each(names []string, ends ...string) []string {
	var all []string
	for _, name := range names {
		for _, end := range ends {
			all = append(all, name+" "+end)
		}
	}
	slices.Sort(all)
	return all
}

// TestLateEventMovesItsMonth: an event of last month that comes today moves the values of its day, its month and its
// province, of the KPIs that count what it says, and nothing else: no other KPI, month, day or province differs in a bit.
func TestLateEventMovesItsMonth(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine asks")
	}
	t.Parallel()
	w := newWorld(t, local(t, "2026-11-21T10:00"))
	country(w, 5)
	w.load(ev("dossier.status", "subject=september time=2026-09-28T08:00 status=2 channel=online province=79 service=DA06-01 due=2026-09-29T17:00"))
	now := past(t, w.e)
	// Accepted on 14 October: it counts among the dossiers of that day. Its due time passed on 20 October.
	accepted := []string{
		"completion_rate", "data_reuse_rate", "data_sharing_rate", "digitised_dossier_rate", "dossier_satisfaction_rate", "dossier_sync_rate", "dossiers_received",
		"on_time_rate", "online_dossier_rate", "online_result_dossier_rate", "population_data_use_rate", "supplement_rate",
	}
	// Completed on 16 October, in time: at the end of the day of its acceptance it still was what it was before.
	completed := []string{"completion_rate", "dossier_satisfaction_rate", "e_result_rate", "on_time_rate", "overdue_open_dossiers", "savings_vnd_year"}
	for _, late := range []struct {
		event string
		moves []string
	}{
		{"subject=late time=2026-10-14T08:00 status=2 channel=online portal=npsp province=79 service=DA06-01 due=2026-10-20T17:00", slices.Concat(
			each(accepted, "2026-10", "2026-10 in 79", "2026-10-14"), each([]string{"overdue_open_dossiers"}, "2026-10", "2026-10 in 79"), each([]string{"service_quality_score"}, "2026-10"))},
		{"subject=late time=2026-10-16T08:00 status=9 form=electronic", slices.Concat(
			each(completed, "2026-10", "2026-10 in 79"), []string{"savings_vnd_year 2026-10-16"}, each([]string{"service_quality_score"}, "2026-10"))},
		// Completed in October, of a dossier of September: what it saves is October's, and September was judged at its end.
		{"subject=september time=2026-10-16T08:00 status=9 form=electronic", each([]string{"savings_vnd_year"}, "2026-10", "2026-10 in 79", "2026-10-16")},
	} {
		w.load(ev("dossier.status", late.event))
		before := now
		now = past(t, w.e)
		slices.Sort(late.moves)
		if diff := cmp.Diff(late.moves, moved(before, now)); diff != "" {
			t.Errorf("%s: what moved (-want +got):\n%s", late.event, diff)
		}
		t.Logf("%d values, of which %d moved", len(now), len(late.moves))
	}
}

// TestCoefficientFromADate: a coefficient that is another from a date on changes the savings of the dossiers that were
// completed since, and nothing else. DOMAIN 3.5: "each coefficient row needs valid_from, valid_to", and a dossier saves
// unit_saving(service, completed_at).
func TestCoefficientFromADate(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine asks")
	}
	t.Parallel()
	table := func(rows ...string) *reference.Coefficients {
		t.Helper()
		file := filepath.Join(t.TempDir(), "savings.csv")
		text := "service_id,valid_from,valid_to,citizen_offline_vnd,citizen_online_vnd,state_offline_vnd,state_online_vnd,source_ref,confidence\n" + strings.Join(rows, "\n") + "\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		data, err := reference.Load(reference.Options{SavingsFile: file})
		if err != nil {
			t.Fatal(err)
		}
		return data.Coefficients()
	}
	old := table("DA06-01,2022-01-06,,50000,10000,0,0,test,official", "DA06-02,2022-01-06,,7000,0,0,0,test,official")
	fresh := table("DA06-01,2022-01-06,2026-11-09,50000,10000,0,0,test,official", "DA06-01,2026-11-10,,60000,10000,0,0,test,official", "DA06-02,2022-01-06,,7000,0,0,0,test,official")
	w := newWorld(t, local(t, "2026-11-21T10:00"), func(_ *Config, deps *Deps) { deps.Coefficients = old })
	w.load(
		// The day before and the day itself, to the millisecond; when it was accepted does not matter.
		ev("dossier.status", "subject=before time=2026-11-02T08:00 status=2 channel=online province=01 service=DA06-01"),
		ev("dossier.status", "subject=before time=2026-11-09T23:59:59.999 status=9"),
		ev("dossier.status", "subject=since time=2026-10-02T08:00 status=2 channel=online province=79 service=DA06-01"),
		ev("dossier.status", "subject=since time=2026-11-10T00:00 status=10"),
		ev("dossier.status", "subject=later time=2026-11-12T08:00 status=2 channel=online province=79 service=DA06-01"),
		ev("dossier.status", "subject=later time=2026-11-13T08:00 status=9"),
		// Completed before the date, and its result returned after it: it saved when it was completed.
		ev("dossier.status", "subject=returned time=2026-11-02T08:00 status=2 channel=online province=01 service=DA06-01"),
		ev("dossier.status", "subject=returned time=2026-11-06T08:00 status=9"),
		ev("dossier.status", "subject=returned time=2026-11-16T08:00 status=10"),
		// Another service, and one that saves nothing.
		ev("dossier.status", "subject=other time=2026-11-12T08:00 status=2 channel=online province=48 service=DA06-02"),
		ev("dossier.status", "subject=other time=2026-11-13T08:00 status=9"),
		ev("dossier.status", "subject=direct time=2026-11-12T08:00 status=2 channel=direct province=48 service=DA06-01"),
		ev("dossier.status", "subject=direct time=2026-11-13T08:00 status=9"),
	)
	deps := w.e.deps
	deps.Coefficients = fresh
	changed, err := New(w.e.cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	before, after := past(t, w.e), past(t, changed)
	want := each([]string{"savings_vnd_year"}, "2026-11", "2026-11 in 79", "2026-11-10", "2026-11-13")
	if diff := cmp.Diff(want, moved(before, after)); diff != "" {
		t.Errorf("what moved (-want +got):\n%s", diff)
	}
	for _, e := range []*Evaluator{w.e, changed} {
		a, err := e.Evaluate(t.Context(), Query{KPI: "savings_vnd_year", From: local(t, "2026-11-01"), To: local(t, "2026-12-01"), Scope: national})
		if err != nil {
			t.Fatal(err)
		}
		saving := int64(4*40_000 + 7_000)
		if e == changed {
			saving += 2 * 10_000
		}
		i := slices.IndexFunc(a.Notes, func(n Note) bool { return n.Code == NoteCoefficients })
		if *a.Numerator != saving || i < 0 || !slices.Equal(a.Notes[i].Items, []string{e.deps.Coefficients.Version()}) {
			t.Errorf("the savings are %d, want %d, with the notes %v of version %s", *a.Numerator, saving, a.Notes, e.deps.Coefficients.Version())
		}
	}
	if old.Version() == fresh.Version() {
		t.Error("both tables have one version")
	}
}
