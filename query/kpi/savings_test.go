package kpi

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ioc.local/internal/reference"
)

// TestSavingsByDay: each dossier saves by the coefficient in force on its day, also where coefficients begin, change,
// lapse and return inside the period.
func TestSavingsByDay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "savings.csv")
	err := os.WriteFile(file, []byte(`service_id,valid_from,valid_to,citizen_offline_vnd,citizen_online_vnd,state_offline_vnd,state_online_vnd,source_ref,confidence
DA06-01,2026-11-03,2026-11-05,1000,0,0,0,test,official
DA06-01,2026-11-06,2026-11-07,20000,0,0,0,test,official
DA06-01,2026-11-10,,300000,0,0,0,test,official
DA06-02,2026-11-05,2026-11-05,0,0,7,10,test,official
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	own, err := reference.Load(reference.Options{SavingsFile: file})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, local(t, "2026-11-21T10:00"), func(_ *Config, deps *Deps) { deps.Coefficients = own.Coefficients() })
	var events []event
	var want [13]int64
	for day := 1; day <= 12; day++ {
		for _, service := range []string{"DA06-01", "DA06-02", "DA06-03"} {
			subject := fmt.Sprintf("subject=%s-%d", service, day)
			events = append(events,
				ev("dossier.status", fmt.Sprintf("%s time=2026-10-20 status=2 channel=online province=79 service=%s", subject, service)),
				ev("dossier.status", fmt.Sprintf("%s time=2026-11-%02dT23:59:59.999 status=9", subject, day)))
			if c, ok := own.Coefficients().At(service, local(t, fmt.Sprintf("2026-11-%02d", day))); ok {
				want[day] += c.Saving()
			}
		}
	}
	w.load(events...)
	a := w.ask(Query{KPI: "savings_vnd_year", From: local(t, "2026-11-01"), To: local(t, "2026-11-13"), Grain: "day"})
	var total int64
	for i, p := range a.Series {
		total += want[i+1]
		if *p.Numerator != want[i+1] {
			t.Errorf("on %s dossiers saved %d, expected %d", p.Time, *p.Numerator, want[i+1])
		}
	}
	if *a.Numerator != total || total != 3*1000+2*20000+3*300000-3 {
		t.Errorf("the total is %d, expected %d", *a.Numerator, total)
	}
	// A lone day before any coefficient, one between two, one with all.
	for _, test := range []struct {
		day  string
		note []string
	}{{"2026-11-01", []string{"DA06-01", "DA06-02", "DA06-03"}}, {"2026-11-05", []string{"DA06-03"}}, {"2026-11-09", []string{"DA06-01", "DA06-02", "DA06-03"}}} {
		from := local(t, test.day)
		a := w.ask(Query{KPI: "savings_vnd_year", From: from, To: from.AddDate(0, 0, 1)})
		for _, n := range a.Notes {
			if n.Code == NoteExample {
				t.Error("official coefficients are called examples")
			}
			if n.Code == NoteNoCoefficient && fmt.Sprint(n.Items) != fmt.Sprint(test.note) {
				t.Errorf("on %s no coefficient for %v, expected %v", test.day, n.Items, test.note)
			}
		}
	}
}
