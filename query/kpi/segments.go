package kpi

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// layout says what the rows of a plan's statement hold. The bounds of the windows cut time into segments, and each row sums
// over one of them: windows that lie in each other, as the day, the month and the year do, are read once, and what they count
// alike is one sum, whatever the number of windows. ClickHouse takes longer to plan a sum than to add up a day of the country.
type layout struct {
	segments []time.Time // Starts; the end of the last one is the last member.
	sums     []string    // SQL of the different sums.
	abouts   [][]string  // The different conditions of what is about a window.
	windows  []int       // The conditions of each window of the plan.
	covers   [][]bool    // By window and segment.
	columns  []sumOf     // By column of the plan.
}

// sumOf says that a column of the plan is a sum over the segments of a window.
type sumOf struct{ sum, window int }

func (p *plan) layout(b *builder) *layout {
	l := &layout{}
	for _, w := range p.windows {
		l.segments = append(l.segments, p.bound(w.from), p.bound(w.upper))
	}
	slices.SortFunc(l.segments, time.Time.Compare)
	l.segments = slices.CompactFunc(l.segments, time.Time.Equal)
	for _, w := range p.windows {
		from, upper := p.bound(w.from), p.bound(w.upper)
		covers := make([]bool, len(l.segments))
		for i, start := range l.segments {
			covers[i] = !start.Before(from) && start.Before(upper)
		}
		l.covers = append(l.covers, covers)
		about := p.aboutSQL(w)
		at := slices.IndexFunc(l.abouts, func(known []string) bool { return slices.Equal(known, about) })
		if at < 0 {
			at = len(l.abouts)
			l.abouts = append(l.abouts, about)
		}
		l.windows = append(l.windows, at)
	}
	for _, c := range p.columns {
		conditions := slices.Clone(l.abouts[l.windows[c.window]])
		for _, condition := range p.columnSQL(b, c) {
			if !slices.Contains(conditions, condition) {
				conditions = append(conditions, condition)
			}
		}
		sum := sumSQL(p.source.measures[c.expression.measure].sql, conditions)
		at := slices.Index(l.sums, sum)
		if at < 0 {
			at = len(l.sums)
			l.sums = append(l.sums, sum)
		}
		l.columns = append(l.columns, sumOf{at, c.window})
	}
	return l
}

// bound is a bound of a window as the table can cut it.
func (p *plan) bound(t time.Time) time.Time {
	if p.table.grain == day {
		return dayStart(t)
	}
	return t.Truncate(time.Second)
}

func (p *plan) boundSQL(b *builder, t time.Time) string {
	if p.table.grain == day {
		return b.date(t)
	}
	return b.second(t)
}

// aboutSQL are the conditions of what is about a window, in time or not.
func (p *plan) aboutSQL(w window) []string {
	conditions := make([]string, len(w.about))
	for i, c := range w.about {
		conditions[i] = p.conditionSQL(c)
	}
	return conditions
}

// sumSQL adds up a column where the conditions hold.
func sumSQL(column string, conditions []string) string {
	if len(conditions) == 0 {
		return fmt.Sprintf("sum(%s)", column)
	}
	return fmt.Sprintf("sumIf(%s, %s)", column, strings.Join(conditions, " AND "))
}

// segmentSQL is the place of the segment that a row is in.
func (p *plan) segmentSQL(b *builder, segments []time.Time) string {
	var branches []string
	for i := len(segments) - 2; i > 0; i-- { // the last one is an end
		branches = append(branches, fmt.Sprintf("%s >= %s, toUInt16(%d)", p.table.time, p.boundSQL(b, segments[i]), i))
	}
	if len(branches) == 0 {
		return "toUInt16(0)"
	}
	return "multiIf(" + strings.Join(branches, ", ") + ", toUInt16(0))"
}

// spread gives the numbers of a row, in the order of sums and abouts, to the plan's columns and windows that see its segment.
func (l *layout) spread(segment uint16, counts, bases []int64, reporting, missing [][]string, to *cell) {
	to.bases, to.reporting, to.missing = make([]int64, len(l.windows)), make([][]string, len(l.windows)), make([][]string, len(l.windows))
	for i, at := range l.windows {
		if l.covers[i][segment] {
			to.bases[i], to.reporting[i], to.missing[i] = bases[at], reporting[at], missing[at]
		}
	}
	to.counts = make([]int64, len(l.columns))
	for i, c := range l.columns {
		if l.covers[c.window][segment] {
			to.counts[i] = counts[c.sum]
		}
	}
}
