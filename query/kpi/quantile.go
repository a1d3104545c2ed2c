package kpi

import (
	"math"
	"slices"
	"strconv"
)

// histogram counts facts by the step that what was measured of them is in. A step has the name of its upper bound.
type histogram map[int64]int64

// quantileUnit is what a quantile is a whole multiple of 1 by, so that ranks are counted in integers.
const quantileUnit = 10_000

// quantile is the smallest bound at or below which ceil(q·n) of the n facts are; nil where there are none.
func (h histogram) quantile(q float64) *float64 {
	var n int64
	for _, facts := range h {
		n += facts
	}
	if n <= 0 {
		return nil
	}
	rank := (n*int64(math.Round(q*quantileUnit)) + quantileUnit - 1) / quantileUnit
	bounds := make([]int64, 0, len(h))
	for bound := range h {
		bounds = append(bounds, bound)
	}
	slices.Sort(bounds)
	var below int64
	for _, bound := range bounds {
		if below += h[bound]; below >= rank {
			return pointer(float64(bound))
		}
	}
	return nil // more was taken out than was counted, which a rebuild puts right
}

// addStep adds the facts of a cell to a tally's histogram, where the plan tells cells apart by step.
func (p *plan) addStep(target *tally, of *cell, s sums) {
	if p.source.histogram == "" || p.place != p.source.histogram || of.counts[s.numerator] == 0 {
		return
	}
	bound, err := strconv.ParseInt(of.dims[len(p.by)], 10, 64)
	if err != nil {
		return // the column is of integers: cannot fail
	}
	if target.steps == nil {
		target.steps = histogram{}
	}
	target.steps[bound] += of.counts[s.numerator]
}

// checkQuantile sees to it that a quantile is asked of what has a histogram, and says which.
func (f *definitionFile) checkQuantile(d *Definition) {
	whole := d.Quantile * quantileUnit
	switch {
	case d.Kind != KindQuantile && d.Quantile != 0:
		f.fail("quantile", 0, "has a meaning only for a KPI of kind quantile; remove it")
	case d.Kind == KindCumulative && d.source.histogram != "":
		f.fail("kind", 0, "%s cannot be computed from source %s; choose another source or kind", d.Kind, d.Source)
	case d.Kind != KindQuantile:
	case d.source.histogram == "":
		f.fail("kind", 0, "%s cannot be computed from source %s, which measures nothing; choose another source or kind", d.Kind, d.Source)
	case d.Quantile == 0 && f.node("quantile") == nil:
		f.fail("quantile", 0, "is missing; add it, for example 0.95")
	case !(d.Quantile > 0 && d.Quantile < 1) || math.Abs(whole-math.Round(whole)) > 1e-6:
		f.fail("quantile", 0, "must be more than 0 and less than 1, with at most 4 decimals")
	case d.Sensitive:
		f.fail("sensitive", 0, "is not possible for a quantile, which is no count that could be hidden")
	}
}
