package kpi

import (
	"testing"
	"time"
)

// TestManySumsAreNested: sums by province that may be many do not come to the evaluator, which would refuse the question for them.
func TestManySumsAreNested(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00"))
	for _, tt := range []struct {
		query  Query
		nested bool
	}{
		{Query{KPI: "dossiers_received"}, false},
		{Query{KPI: "dossiers_received", By: []string{"province"}}, false},
		{Query{KPI: "dossiers_received", By: []string{"channel", "service"}}, false},
		{Query{KPI: "dossiers_received", By: []string{"procedure", "channel"}}, true},
		{Query{KPI: "dossiers_received", By: []string{"procedure", "province"}}, false}, // as many either way
		{Query{KPI: "dossiers_received", By: []string{"province"}, Scheme: SchemeGSO63}, true},
		{Query{KPI: "dossiers_received", Grain: "day"}, true},
		{Query{KPI: "savings_vnd_year", By: []string{"province"}}, true},
	} {
		q, err := w.e.deps.Catalogue.check(withScope(tt.query))
		if err != nil {
			t.Fatal(err)
		}
		p, _, err := w.e.plan([]*question{q}, w.now(), w.now(), time.Minute, &figuresReading{reading: &reading{}})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, l := p.statement(); l.nested != tt.nested {
			t.Errorf("%+v: sums by province are nested is %v", tt.query, l.nested)
		}
	}
}
