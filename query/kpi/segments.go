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
//
// A row is the dimensions, bucket, topic, partition, crossing, segment, position, latest, the sums, the facts by abouts. Then comes
// the province, if it is not among the dimensions; or, nested, for each of abouts the provinces that report and, with coefficients,
// the services without one.
type layout struct {
	segments []time.Time // Starts; the end of the last one is the last member.
	sums     []sum       // The different ones.
	abouts   [][]string  // The different conditions of what is about a window.
	windows  []int       // The conditions of each window of the plan.
	covers   [][]bool    // By window and segment.
	columns  []sumOf     // By column of the plan.
	dims     int         // How many.
	province int         // Which of the dimensions it is; -1 where it is none.
	nested   bool        // ClickHouse has summed up provinces.
}

// sum is a sum over rows.
type sum struct {
	sql string
	// weighed: it is counted times the coefficient of the service.
	weighed bool
}

// sumOf says that a column of the plan is a sum over the segments of a window.
type sumOf struct{ sum, window int }

func (p *plan) layout(b *builder) *layout {
	l := &layout{province: -1}
	for _, w := range p.windows {
		l.segments = append(l.segments, p.bound(w.from), p.bound(w.upper))
	}
	slices.SortFunc(l.segments, time.Time.Compare)
	if p.source.coefficients { // each segment has one table of them
		l.segments = append(l.segments, p.coefficientChanges(l.segments)...)
		slices.SortFunc(l.segments, time.Time.Compare)
	}
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
		m := p.source.measures[c.expression.measure]
		of := sum{sumSQL(m.sql, conditions), m.weighed}
		at := slices.Index(l.sums, of)
		if at < 0 {
			at = len(l.sums)
			l.sums = append(l.sums, of)
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

// row is a row of a plan's statement.
type row struct {
	dims               []string
	bucket, crossing   int64
	topic, area        string
	partition          uint32
	segment            uint16
	offset             uint64
	latest             time.Time
	counts, bases      []int64
	reporting, missing [][]string
}

// scanned is a row to scan into, and where its columns go.
func (l *layout) scanned(coefficients bool) (*row, []any) {
	r := &row{
		dims: make([]string, l.dims), counts: make([]int64, len(l.sums)), bases: make([]int64, len(l.abouts)),
		reporting: make([][]string, len(l.abouts)), missing: make([][]string, len(l.abouts)),
	}
	var to []any
	for i := range r.dims {
		to = append(to, &r.dims[i])
	}
	to = append(to, &r.bucket, &r.topic, &r.partition, &r.crossing, &r.segment, &r.offset, &r.latest)
	for i := range r.counts {
		to = append(to, &r.counts[i])
	}
	for i := range r.bases {
		to = append(to, &r.bases[i])
	}
	if !l.nested && l.province < 0 {
		to = append(to, &r.area)
	}
	for i := 0; l.nested && i < len(r.bases); i++ {
		if to = append(to, &r.reporting[i]); coefficients {
			to = append(to, &r.missing[i])
		}
	}
	return r, to
}

// cell gives the numbers of a row to the plan's columns and windows that see its segment.
func (l *layout) cell(r *row) cell {
	c := cell{
		dims: slices.Clone(r.dims), bucket: r.bucket, crossing: r.crossing, counts: make([]int64, len(l.columns)),
		bases: make([]int64, len(l.windows)), reporting: make([][]string, len(l.windows)), missing: make([][]string, len(l.windows)),
	}
	area := r.area
	if l.province >= 0 {
		area = r.dims[l.province]
	}
	for i, at := range l.windows {
		if !l.covers[i][r.segment] {
			continue
		}
		c.bases[i], c.reporting[i], c.missing[i] = r.bases[at], r.reporting[at], r.missing[at]
		if !l.nested && area != "" && c.bases[i] > 0 {
			c.reporting[i] = []string{area}
		}
	}
	for i, of := range l.columns {
		if l.covers[of.window][r.segment] {
			c.counts[i] = r.counts[of.sum]
		}
	}
	return c
}

// add adds another part of the same cell.
func (c *cell) add(part *cell) {
	for i, n := range part.counts {
		c.counts[i] += n
	}
	for i, n := range part.bases {
		c.bases[i] += n
		c.reporting[i] = append(c.reporting[i], part.reporting[i]...)
	}
}
