package kpi

import (
	"errors"
	"strings"
	"testing"
)

// TestDetailsAreSentences: what a client reads is the parameter's name and then the detail.
func TestDetailsAreSentences(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00:30"))
	w.load(ev("auth.attempt", "subject=c time=2026-11-21T09:01 outcome=success province=79"))
	for _, test := range []struct {
		q    Query
		want string
	}{
		{Query{KPI: "auth_transactions", By: []string{"channel"}}, `by names "channel", which is no dimension of auth_transactions; it has: `},
		{Query{KPI: "dossiers_received", By: []string{"province", "province"}}, `by names "province" twice`},
		{Query{KPI: "dossiers_received", Filters: map[string][]string{"outcome": {"success"}}}, `outcome is no dimension of dossiers_received; it has: `},
		{Query{KPI: "dossiers_received", Filters: map[string][]string{"province": {"99"}}}, `province has no code "99"`},
		{Query{KPI: "dossiers_received", Period: PeriodAll, Compare: ComparePrevious}, `compare is not possible over the period all, which has none before it; ask a shorter period`},
		{Query{KPI: "data_freshness_seconds", Scheme: SchemeGSO63}, `scheme cannot be gso63: data_freshness_seconds is kept by the provinces of gso34 only`},
		{Query{KPI: "data_freshness_seconds", Grain: "day"}, `grain cannot be asked of data_freshness_seconds, which is the age of the data now and has no past`},
		{Query{KPI: "auth_transactions", By: []string{"relying_party"}, Grain: "minute"}, `by names relying_party, which is not kept by the minute; ask it for whole days and grain day or coarser`},
		{Query{KPI: "auth_transactions", Filters: map[string][]string{"relying_party": {"G01"}}, Grain: "hour"}, `relying_party is not kept by the minute; ask it for whole days and grain day or coarser`},
		{Query{KPI: "auth_transactions", Grain: "hour", From: local(t, "2025-01-01"), To: local(t, "2025-01-02")}, `grain needs minutes, which are kept for 13 months; ask whole days, grain day or coarser, or a later period`},
		{Query{KPI: "dossiers_received", Grain: "hour"}, `grain hour is finer than what is kept of dossiers_received: day`},
		{Query{KPI: "dossiers_received", Period: PeriodToday, Compare: CompareElapsed}, `compare cannot be previous_elapsed, as the elapsed part of a day is finer than what is kept of dossiers_received: day; use previous`},
	} {
		test.q.Scope = national
		_, err := w.e.Evaluate(t.Context(), test.q)
		wrong, ok := errors.AsType[*Error](err)
		if !ok || wrong.Kind != BadRequest {
			t.Errorf("%+v: %v", test.q, err)
			continue
		}
		if got := wrong.Param + " " + wrong.Detail; !strings.HasPrefix(got, test.want) {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}
