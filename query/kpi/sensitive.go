package kpi

import (
	"maps"
	"slices"
	"time"
)

// Sensitive KPIs are about health and judicial records. They answer for closed days only, for the nation and by province
// only, over their default period. A count of 1 to MinCell-1 is not shown, and neither are the counts that would give it
// away with the total: the complement. Counts of no event at all are shown.
//
// What is hidden is decided on the whole table by province, whatever part of it is asked for, so that no two answers
// differ in it. A small cell hides the provinces that follow it in the order of their codes (events without a province
// come last) until these and it are at least MinCell events together. As that depends on the cell and those after it
// only, a KPI that hides more cells than another hides at least the same complements, and the two cannot be
// set against each other.

// checkSensitive refuses what could be used to tell small counts from differences.
func (c *Catalogue) checkSensitive(q *question) error {
	for dimension, hidden := range sensitiveCodes() {
		for _, code := range q.Filters[dimension] {
			if (q.def.source.form == rollup || q.def.asksUse()) && slices.Contains(hidden.codes, code) { // other registers hold no facts about persons
				return badRequest(dimension, "%s is sensitive: ask the KPI about it, which answers for closed days by province", code)
			}
		}
	}
	if !q.def.Sensitive {
		return nil
	}
	for _, option := range []struct {
		name  string
		asked bool
	}{
		{"period", q.Period != q.def.DefaultPeriod && q.From.IsZero()}, {"from", !q.From.IsZero()}, {"at", !q.At.IsZero()},
		{"grain", q.grain != 0}, {"compare", q.Compare != ""}, {"scheme", q.Scheme != SchemeGSO34},
	} {
		if option.asked {
			return badRequest(option.name, "cannot be asked of %s, which is sensitive: it answers over %s, for closed days, by province of %s", q.KPI, q.def.DefaultPeriod, SchemeGSO34)
		}
	}
	return nil
}

// closedAt is the moment that a sensitive KPI's days are closed at, the start of today; zero for others.
func (d *Definition) closedAt(clock time.Time) time.Time {
	if !d.Sensitive {
		return time.Time{}
	}
	return dayStart(clock)
}

// wide is the question about the whole table that q is about a part of.
func (q *question) wide() *question {
	return &question{def: q.def, clock: q.clock, Query: Query{KPI: q.KPI, Period: q.Period, By: []string{"province"}, Scheme: SchemeGSO34, Scope: Scope{National: true}}}
}

// narrow takes the part of a protected table that the question is about. Of several provinces it shows the sum where it
// shows each.
func (q *question) narrow(t *tallies, cat *Catalogue) *tallies {
	out := *t
	out.rows = nil
	for _, row := range t.rows {
		if len(q.By) > 0 && (q.provinces == nil || slices.Contains(q.provinces, row.codes[0])) {
			out.rows = append(out.rows, row)
		}
	}
	if q.provinces == nil {
		return &out
	}
	byCode := t.byProvince(cat)
	out.total = *byCode[q.provinces[0]]
	for _, code := range q.provinces[1:] {
		out.total.merge(byCode[code])
	}
	return &out
}

// byProvince are the tallies of all provinces.
func (t *tallies) byProvince(cat *Catalogue) map[string]*tally {
	byCode := map[string]*tally{}
	for code := range cat.province {
		empty := t.none
		byCode[code] = &empty
	}
	for i := range t.rows {
		if byCode[t.rows[i].codes[0]] != nil {
			byCode[t.rows[i].codes[0]] = &t.rows[i].tally
		}
	}
	return byCode
}

// merge adds the tally of another place.
func (t *tally) merge(other *tally) {
	t.numerator += other.numerator
	t.denominator += other.denominator
	t.base += other.base
	t.reporting = maps.Clone(t.reporting)
	add(&t.reporting, slices.Collect(maps.Keys(other.reporting))...)
	t.hidden = t.hidden || other.hidden
	switch {
	case other.figure == nil:
		t.figure = nil
	case t.figure != nil:
		t.figure = t.figure.plus(other.figure)
	}
}

// counts are the numbers of events that a tally of the KPI gives away.
func (t *tally) counts(d *Definition) []int64 {
	if d.denominator == nil {
		return []int64{t.numerator}
	}
	return []int64{t.numerator, t.denominator}
}

// protect hides the small cells of a table by province and their complements; the total too where it is small itself.
func (t *tallies) protect(d *Definition, provinces []string) {
	small := func(n int64) bool { return n > 0 && n < int64(d.MinCell) }
	for _, n := range t.total.counts(d) {
		t.total.hidden = t.total.hidden || small(n)
	}
	cells := t.cells(provinces)
	for i, cell := range cells {
		for part, n := range cell.counts(d) {
			if small(n) {
				hideFrom(cells[i:], cells[:i], part, d)
			}
		}
	}
	// Cells without events have no rows, except where they are hidden.
	t.sortRows()
	t.rows = slices.DeleteFunc(t.rows, func(row tallyRow) bool { return row.tally.base == 0 && row.tally.figure == nil && !row.tally.hidden })
}

// hideFrom hides the first of the cells, those that follow it, and those from the start, until one of their counts
// is large enough together. They are at least two.
func hideFrom(following, fromStart []*tally, part int, d *Definition) {
	var sum int64
	for i, cell := range slices.Concat(following, fromStart) {
		cell.hidden = true
		sum += cell.counts(d)[part]
		if i > 0 && sum >= int64(d.MinCell) {
			return
		}
	}
}

// cells are the cells of the table: every province in order, then what has none. All have a row then.
func (t *tallies) cells(provinces []string) []*tally {
	rows := map[string]tallyRow{}
	for _, row := range t.rows {
		rows[row.codes[0]] = row
	}
	t.rows = nil
	for _, code := range slices.Concat(provinces, []string{""}) {
		row, ok := rows[code]
		if !ok {
			row = tallyRow{[]string{code}, t.none}
		}
		t.rows = append(t.rows, row)
	}
	cells := make([]*tally, len(t.rows))
	for i := range t.rows {
		cells[i] = &t.rows[i].tally
	}
	return cells
}
