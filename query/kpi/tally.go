package kpi

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// tally is what one value is made of: a total, a row or a bucket.
type tally struct {
	numerator, denominator int64
	base                   int64           // Facts, whatever the expressions count of them.
	reporting              map[string]bool // Provinces, or sources.
	expected               map[string]bool // Sources seen in the last 30 days.
	missing                map[string]bool // Services without a coefficient.
	newest                 time.Time       // Newest event of an age.
	baseline               *Baseline
}

// figures are the numbers that an answer shows of a tally.
type figures struct {
	value                  *float64
	numerator, denominator *int64
	baseline               *Baseline
}

// figures computes the value: one division, or one sum, of integers. It copies them, so that an answer that is kept does
// not keep what it was made of.
func (d *Definition) figures(t *tally, now time.Time) figures {
	switch d.Kind {
	case KindRatio:
		f := figures{numerator: pointer(t.numerator), denominator: pointer(t.denominator)}
		if t.denominator != 0 {
			f.value = pointer(float64(t.numerator) / float64(t.denominator))
		}
		return f
	case KindAge:
		if t.newest.IsZero() {
			return figures{}
		}
		return figures{value: pointer(float64(max(0, now.Sub(t.newest).Milliseconds())) / 1000)}
	case KindCumulative:
		// The live source does not exist yet: nothing is added to the baseline, and without one nothing is known.
		if t.baseline == nil {
			return figures{}
		}
		return figures{value: pointer(t.baseline.Value + float64(t.numerator)), numerator: pointer(t.numerator), baseline: t.baseline}
	}
	return figures{value: pointer(float64(t.numerator)), numerator: pointer(t.numerator)}
}

func pointer[T any](v T) *T { return &v }

func add(set *map[string]bool, members ...string) {
	if *set == nil && len(members) > 0 {
		*set = map[string]bool{}
	}
	for _, m := range members {
		(*set)[m] = true
	}
}

// tallyRow is the tally of one combination of codes.
type tallyRow struct {
	codes []string
	tally tally
}

// tallies is everything that an answer is made of.
type tallies struct {
	timing    *timing
	positions positions
	latest    time.Time // Greatest event time of the source.
	total     tally
	compared  tally
	rows      []tallyRow // By codes.
	series    []tally    // By bucket.
}

// selection are the columns of a plan that make up one KPI over one window.
type selection struct {
	window, numerator, denominator         int
	seriesNumerator, seriesDenominator     int
	comparedWindow                         int
	comparedNumerator, comparedDenominator int
}

const none = -1

// selectColumns adds what the KPI needs over the windows of its timing to the plan.
func (p *plan) selectColumns(def *Definition, t *timing) selection {
	s := selection{window: p.window(t.windows[0]), denominator: none, seriesDenominator: none, comparedWindow: none, comparedDenominator: none}
	pick := func(window int, series bool) (numerator, denominator int) {
		numerator, denominator = p.column(def.numerator, window, series), none
		if def.denominator != nil {
			denominator = p.column(def.denominator, window, series)
		}
		return numerator, denominator
	}
	s.numerator, s.denominator = pick(s.window, false)
	if len(t.buckets) > 0 {
		s.seriesNumerator, s.seriesDenominator = pick(s.window, true)
	}
	if len(t.windows) > 1 {
		s.comparedWindow = p.window(t.windows[1])
		s.comparedNumerator, s.comparedDenominator = pick(s.comparedWindow, false)
	}
	return s
}

// count is one sum of a cell, judged at as_of.
func (p *plan) count(c *cell, column int, asOf, bucketEnd time.Time) int64 {
	if column == none {
		return 0
	}
	col := p.columns[column]
	if c.crossing != 0 && p.source.measures[col.expression.measure].deadline {
		now := p.windows[col.window].now(asOf)
		if col.series {
			now = earliest(now, bucketEnd)
		}
		if c.crossing < now.UnixMilli() {
			return 0
		}
	}
	return c.counts[column]
}

// tallies sums the cells for one selection.
func (p *plan) tallies(r *reading, s selection, t *timing) *tallies {
	out := &tallies{timing: t, positions: r.positions, latest: r.latest, series: make([]tally, len(t.buckets))}
	rows := map[string]*tally{}
	keys := map[string][]string{}
	for i := range r.cells {
		c := &r.cells[i]
		targets := []*tally{&out.total}
		if len(p.by) > 0 && c.bases[s.window] != 0 {
			key := strings.Join(c.dims, "\x00")
			if rows[key] == nil {
				rows[key], keys[key] = &tally{}, c.dims
			}
			targets = append(targets, rows[key])
		}
		for _, target := range targets {
			target.numerator += p.count(c, s.numerator, t.asOf, time.Time{})
			target.denominator += p.count(c, s.denominator, t.asOf, time.Time{})
			target.base += c.bases[s.window]
			add(&target.reporting, c.reporting[s.window]...)
			add(&target.missing, c.missing[s.window]...)
		}
		if at, ok := slices.BinarySearchFunc(t.buckets, c.bucket, func(start time.Time, unix int64) int { return cmp.Compare(start.Unix(), unix) }); ok {
			end := t.bucketEnd(at)
			out.series[at].numerator += p.count(c, s.seriesNumerator, t.asOf, end)
			out.series[at].denominator += p.count(c, s.seriesDenominator, t.asOf, end)
		}
		if s.comparedWindow != none {
			out.compared.numerator += p.count(c, s.comparedNumerator, t.asOf, time.Time{})
			out.compared.denominator += p.count(c, s.comparedDenominator, t.asOf, time.Time{})
		}
	}
	for key, row := range rows {
		if row.base != 0 {
			out.rows = append(out.rows, tallyRow{keys[key], *row})
		}
	}
	out.sortRows()
	return out
}

func (t *tallies) sortRows() {
	slices.SortFunc(t.rows, func(a, b tallyRow) int { return slices.Compare(a.codes, b.codes) })
}

// bucketEnd is the end of a bucket, or of the period where that ends before.
func (t *timing) bucketEnd(i int) time.Time {
	if i+1 < len(t.buckets) {
		return t.buckets[i+1]
	}
	return t.bucketsEnd
}
