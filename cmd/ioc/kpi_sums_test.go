package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse/enginetest"
	"ioc.local/query/kpi"
)

// noSum says of the KPIs whose provinces do not add up to the nation why they do not. Their totals are the same over both
// schemes nevertheless.
var noSum = map[string]string{
	"essential_services_deployed":    "a province, and the nation, has entries of its own about one service",
	"essential_services_full_online": "the same",
	"online_payment_procedure_rate":  "the same",
	"online_service_active_rate":     "the same",
	"payment_procedure_rate":         "the same",
	"procedure_full_online_rate":     "the same",
	"procedure_online_rate":          "the same",
	"ioc_coverage_rate":              "the whole is all provinces of the date, of which only some have said something",
	"avg_processing_time":            "days of different procedures are not added: it has a value of one procedure only",
	"eid_accounts_activated":         "a province with an official figure of its own counts since that, and not since the nation's",
}

// byDay are the KPIs whose days add up to their period: what they count happens once, and is judged by nothing later.
// The others judge each day at its own end (an open dossier is on time until its due time).
var byDay = []string{
	"auth_success_rate", "auth_transactions", "dossiers_received", "eid_level2_share", "exam_online_registration_rate", "online_dossier_rate",
	"population_db_queries", "savings_vnd_year",
}

// counts are numerator and denominator, 0 where there is none.
type counts [2]int64

func (c counts) plus(numerator, denominator *int64) counts {
	if numerator != nil {
		c[0] += *numerator
	}
	if denominator != nil {
		c[1] += *denominator
	}
	return c
}

// sums asks of every KPI that counts (ages, quantiles, scores and reported figures are no sums; of sensitive ones parts
// are hidden, and so may they be of others, where they would tell of those) and gives the number of equations:
//
//   - value, numerator and denominator over the 63 provinces are those over the 34, in total and for each province, whose
//     parts are its old provinces and what was reported by its new code;
//   - the provinces add up to the nation, and so do the codes of every other dimension;
//   - the days add up to the period.
func (p *properties) sums(db *enginetest.DB) (asked int) {
	p.Helper()
	e := p.evaluator(db)
	seen := map[string]bool{}
	for _, def := range p.catalogue.All() {
		if slices.Contains([]kpi.Kind{kpi.KindAge, kpi.KindFormula, kpi.KindQuantile, kpi.KindReported}, def.Kind) || def.Sensitive {
			continue
		}
		equal := func(what string, got, want any) {
			p.Helper()
			if got != want {
				p.Errorf("%s: %s is %v, want %v", def.ID, what, got, want)
			}
			asked++
		}
		now, old := p.closed(e, def, kpi.SchemeGSO34, "province"), p.closed(e, def, kpi.SchemeGSO63, "province")
		total := counts{}.plus(now.Numerator, now.Denominator)
		equal("the total over gso63", counts{}.plus(old.Numerator, old.Denominator), total)
		equal("the value over gso63", lastBit(old.Value), lastBit(now.Value))
		if seen[def.ID] = true; noSum[def.ID] != "" {
			continue
		}
		if !hides(def, now) && !hides(def, old) {
			equal("what the old provinces make", fmt.Sprint(p.provinces(old, reference.GSO63)), fmt.Sprint(p.provinces(now, reference.GSO34)))
		}
		for _, dimension := range def.Dimensions {
			a := p.closed(e, def, kpi.SchemeGSO34, dimension)
			if hides(def, a) {
				continue
			}
			var rows counts
			for _, row := range a.Rows {
				if row.Baseline == nil {
					rows = rows.plus(row.Numerator, row.Denominator)
				}
			}
			equal("the sum by "+dimension, rows, total)
		}
		if slices.Contains(byDay, def.ID) {
			var days counts
			for _, point := range now.Series {
				days = days.plus(point.Numerator, point.Denominator)
			}
			equal("the sum of the days", days, total)
		}
	}
	for _, id := range slices.Concat(byDay, slices.Collect(maps.Keys(noSum))) {
		if !seen[id] {
			p.Errorf("%s was not asked for", id)
		}
	}
	return asked
}

// hides says whether a part of the answer is not shown, or not known for a place that does not send what its dossiers are
// judged by (nothing stands for it, or an official figure), so that the parts do not add up.
func hides(def *kpi.Definition, a *kpi.Answer) bool {
	return a.Suppressed || slices.ContainsFunc(a.Rows, func(row kpi.Row) bool {
		return row.Suppressed || def.Feed != "" && (row.Numerator == nil || row.Baseline != nil)
	})
}

// lastBit writes a value to the last bit.
func lastBit(value *float64) string {
	if value == nil {
		return "null"
	}
	return fmt.Sprintf("%b", *value)
}

// provinces are the counts of an answer over a scheme by province of the 34-scheme.
func (p *properties) provinces(a *kpi.Answer, scheme reference.Scheme) map[string]counts {
	of := map[string]counts{}
	for _, row := range a.Rows {
		if row.Baseline != nil {
			continue // an official figure and nothing that was counted
		}
		code, undivided := strings.CutPrefix(row.Dims[0].Code, "gso34:")
		if scheme == reference.GSO63 && !undivided && code != "" {
			code, _ = p.data.ProvinceOf(scheme, code)
		}
		of[code] = of[code].plus(row.Numerator, row.Denominator)
	}
	return of
}
