package kpi

import (
	"maps"
	"slices"
	"time"
)

// stock says since when a cumulative KPI counts, at the end of one period: since the day after the official figure of
// the place. A place without one counts since the nation's figure, so that the deltas of the provinces add up to the
// nation's; without that figure everything counts.
type stock struct {
	starts []time.Time    // The first is that of the nation.
	rows   map[string]int // Index of the start by code of a province that has a figure.
	total  map[string]int // The same for the places that the total adds up; places that are missing have the nation's.
}

// stock places the question for a period that ends before the moment end; zero is as_of.
func (q *question) stock(t *timing, r *figuresReading, end time.Time) *stock {
	h := q.horizon(t, end)
	m := r.of(q.def.Metric)
	s := &stock{rows: map[string]int{}, total: map[string]int{}}
	s.starts = []time.Time{startAfter(m.by34.newest("", h))}
	// In the order of their codes, so that two cuts of one question are equal.
	for _, code := range slices.Sorted(maps.Keys(m.in(q.Scheme))) {
		if f := m.in(q.Scheme).newest(code, h); code != "" && f != nil {
			s.rows[code] = s.start(startAfter(f))
		}
	}
	if found, codes := q.figurePlaces(m); q.hasFigure() && found.figure(q.def, codes, h) != nil {
		for _, code := range codes {
			s.total[code] = s.start(startAfter(found.newest(code, h)))
		}
	}
	return s
}

// startAfter is the first moment that counts after a figure, which holds for the end of its day.
func startAfter(f *report) time.Time {
	if f == nil {
		return beginning
	}
	return f.asOf.AddDate(0, 0, 1)
}

func (s *stock) start(at time.Time) int {
	if i := slices.IndexFunc(s.starts, at.Equal); i >= 0 {
		return i
	}
	s.starts = append(s.starts, at)
	return len(s.starts) - 1
}

func (s *stock) equal(other *stock) bool {
	if s == nil || other == nil {
		return s == other
	}
	return slices.EqualFunc(s.starts, other.starts, time.Time.Equal) && maps.Equal(s.rows, other.rows) && maps.Equal(s.total, other.total)
}

// stockCut is a cumulative question's place in time.
type stockCut struct {
	now, before *stock   // before is nil unless a comparison is asked.
	series      []*stock // By bucket.
}

func (q *question) stockCut(t *timing, r *figuresReading) *stockCut {
	c := &stockCut{now: q.stock(t, r, time.Time{})}
	if len(t.windows) > 1 {
		c.before = q.stock(t, r, t.windows[1].upper)
	}
	for i := range t.buckets {
		c.series = append(c.series, q.stock(t, r, t.bucketEnd(i)))
	}
	return c
}

func (c *stockCut) equal(other *stockCut) bool {
	if c == nil || other == nil {
		return c == other
	}
	return c.now.equal(other.now) && c.before.equal(other.before) && slices.EqualFunc(c.series, other.series, (*stock).equal)
}

// windows are those of a stock in the plan: from each start to the end.
func (s *stock) windows(upper time.Time) []window {
	out := make([]window, len(s.starts))
	for i, start := range s.starts {
		out[i] = window{from: start, upper: later(upper, start)}
	}
	return out
}

// dailySums are the sums of a stock by place and day, of which the buckets of a series are made.
type dailySums map[string]map[int64]*tally

func (d dailySums) add(place string, day, numerator, denominator, base int64) {
	if d[place] == nil {
		d[place] = map[int64]*tally{}
	}
	t := d[place][day]
	if t == nil {
		t = &tally{}
		d[place][day] = t
	}
	t.numerator += numerator
	t.denominator += denominator
	t.base += base
}

// at is the stock at the end of a bucket.
func (d dailySums) at(s *stock, end time.Time) tally {
	var sum tally
	for place, days := range d {
		start := s.starts[s.total[place]].Unix()
		for day, t := range days {
			if day >= start && day < end.Unix() {
				sum.numerator += t.numerator
				sum.denominator += t.denominator
				sum.base += t.base
			}
		}
	}
	return sum
}
