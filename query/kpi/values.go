package kpi

import (
	"cmp"
	"slices"
)

// PublishedValue is one value of the publication, flat, as the SQL table kpi_values shows it. Its numbers are those of
// the Answer, bit for bit.
type PublishedValue struct {
	KPI          string
	Province     string // Code of the 34-scheme; empty is the nation.
	Period       string // The KPI's default period.
	Unit         string
	Value        *float64
	Numerator    *int64
	Denominator  *int64
	Status       Status
	AsOf         Time
	Revision     string
	Coverage     Coverage
	Baseline     *Baseline // What the value is made of, besides what was counted.
	Official     *Baseline // The newest official figure.
	Illustrative bool      // The value counts simulated events.
	Suppressed   bool
}

// PublishedValues lists the current values over the default periods that a scope may see: a national scope all, another
// the values of its provinces and the national ones that are not sensitive. The order is by KPI and province, the
// nation first. The number is that of the publication, 0 before the first.
func (e *Evaluator) PublishedValues(scope Scope) (values []PublishedValue, number uint64) {
	p := e.Current()
	if p == nil {
		return nil, 0
	}
	for key, a := range p.Values {
		def, _ := e.deps.Catalogue.Get(key.KPI)
		if key.Period != def.DefaultPeriod || !scope.Sees(key.Scope, def) {
			continue
		}
		v := PublishedValue{
			KPI: key.KPI, Province: key.Scope, Period: key.Period, Unit: a.Unit, Value: a.Value, Numerator: a.Numerator, Denominator: a.Denominator,
			Status: a.Status, AsOf: a.AsOf, Revision: a.Revision, Coverage: a.Coverage, Baseline: a.Baseline, Official: a.Official, Illustrative: a.Illustrative(), Suppressed: a.Suppressed,
		}
		if key.Scope == National {
			v.Province = ""
		}
		values = append(values, v)
	}
	slices.SortFunc(values, func(a, b PublishedValue) int {
		return cmp.Or(cmp.Compare(a.KPI, b.KPI), cmp.Compare(a.Province, b.Province))
	})
	return values, p.Number
}

// Sees says whether a principal of the scope may see the published value of a KPI in a scope, which is National or a
// province's code as in Key: the nation's values are for all who have a scope, unless the KPI is sensitive.
func (s Scope) Sees(published string, def *Definition) bool {
	switch {
	case s.National:
		return true
	case published == National:
		return len(s.Provinces) > 0 && !def.Sensitive
	}
	return slices.Contains(s.Provinces, published)
}

// Illustrative says whether the answer counts simulated events.
func (a *Answer) Illustrative() bool {
	return a.has(NoteIllustrative)
}
