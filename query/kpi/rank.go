package kpi

import (
	"cmp"
	"slices"
)

// ranking is the values of the provinces that have one, the best first; nil where there is no order.
type ranking []float64

// ranking orders the provinces, of which the rows are, by value. Sensitive KPIs have no ranks, which would tell small counts apart, and neither
// have KPIs of which no value is better.
func (d *Definition) ranking(rows []Row) ranking {
	if d.Sensitive || d.Better == "neutral" {
		return nil
	}
	var r ranking
	for i := range rows {
		if v := rows[i].Value; v != nil && rows[i].Dims[0].Code != "" {
			r = append(r, *v)
		}
	}
	slices.SortFunc(r, func(a, b float64) int {
		if d.Better == "lower" {
			return cmp.Compare(a, b)
		}
		return cmp.Compare(b, a)
	})
	return r
}

// of is the rank of a value; nil when there is none.
func (r ranking) of(value *float64) *Rank {
	if value == nil {
		return nil
	}
	if place := slices.Index(r, *value); place >= 0 {
		return &Rank{Position: place + 1, Of: len(r)}
	}
	return nil
}
