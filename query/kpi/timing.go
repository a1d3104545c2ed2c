package kpi

import (
	"slices"
	"time"
)

// timing is a question's place in time, for a clock reading and the greatest event time of its source.
type timing struct {
	table *table // nil for sources that are not rollups
	clock time.Time
	asOf  time.Time
	// clockBound: as_of is the clock, so that it can change at equal positions. That happens while a source has no
	// events, and while an event is ahead of the clock (the contract allows 5 minutes).
	clockBound bool
	period     Span
	windows    []window // The period and, when asked, the one to compare with.
	compared   Span
	rounded    bool // The elapsed part was rounded up to whole days.
	buckets    []time.Time
	bucketsEnd time.Time
}

// window is a period as a table can cut it: [from, upper).
type window struct {
	from, upper time.Time
	// end is where Now stops for what depends on now; zero where the period ends at as_of.
	end time.Time
	// seen is the start of the day from which on nothing is seen; zero where everything is.
	seen time.Time
	// about are the conditions of what counts.
	about []condition
}

// now is the moment that the window is judged at.
func (w window) now(asOf time.Time) time.Time { return earliest(w.end, asOf) }

// holds says whether what is about the other window is about this one.
func (w window) holds(other window) bool {
	return !other.from.Before(w.from) && !other.upper.After(w.upper) && !slices.ContainsFunc(w.about, func(c condition) bool {
		return !slices.ContainsFunc(other.about, c.equal)
	})
}

// timing places the question. latest is zero while the source has no events.
func (q *question) timing(clock, latest time.Time) (*timing, error) {
	if len(q.def.source.tables) == 0 {
		return q.place(nil, clock, latest)
	}
	tables := q.tables()
	if q.def.Kind == KindCumulative || q.def.Sensitive {
		tables = tables[:1] // they count whole days, from long ago
	}
	var failure error
	for i, t := range tables {
		if q.Compare == CompareElapsed && q.Period == PeriodToday {
			t = tables[len(tables)-1-i] // yesterday until the same minute
		}
		if failure = q.fits(t); failure != nil {
			continue
		}
		placed, err := q.place(t, clock, latest)
		if err == nil {
			return placed, nil
		}
		failure = err
	}
	return nil, failure
}

// tables are those that can count what the definition counts, coarsest first. The last one of a source always can.
func (q *question) tables() []*table {
	var all []*table
	for i := range q.def.source.tables {
		t := &q.def.source.tables[i]
		lacks := t.narrow && !q.def.within(t) || t.key != "" && (!t.whole.Load() || !q.confined(t.key)) || t.now && q.def.dated() && q.past()
		if !lacks {
			all = append(all, t)
		}
	}
	return all
}

// confined says whether all facts of the question are of given codes of the dimension.
func (q *question) confined(dimension string) bool {
	return q.Filters[dimension] != nil || slices.ContainsFunc(q.def.about(), func(c condition) bool { return c.dimension == dimension && !c.not })
}

// past says whether the question is about how things stood at other moments than now.
func (q *question) past() bool {
	return q.grain != 0 || q.Compare != "" || !q.To.IsZero() || !q.At.IsZero()
}

// fits says what of the question is finer than the table keeps.
func (q *question) fits(t *table) error {
	for _, dimension := range q.By {
		if _, ok := t.columns[dimension]; !ok {
			return badRequest("by", "names %s, which is not kept by the %s; ask it for whole days and grain day or coarser", dimension, t.grain)
		}
	}
	for dimension := range q.Filters {
		if _, ok := t.columns[dimension]; !ok {
			return badRequest(dimension, "is not kept by the %s; ask it for whole days and grain day or coarser", t.grain)
		}
	}
	if q.grain != 0 && q.grain < t.grain {
		return badRequest("grain", "%s is finer than what is kept of %s: %s", q.grain, q.KPI, t.grain)
	}
	for _, bound := range []struct {
		name string
		time time.Time
	}{{"from", q.From}, {"to", q.To}, {"at", q.At}} {
		if !t.grain.aligned(bound.time) {
			return badRequest(bound.name, "is finer than what is kept of %s: give the start of a %s in Asia/Ho_Chi_Minh", q.KPI, t.grain)
		}
	}
	return nil
}

func (q *question) place(t *table, clock, latest time.Time) (*timing, error) {
	clock = clock.In(zone).Truncate(time.Millisecond)
	p := &timing{table: t, clock: clock}
	now := earliest(clock, latest)
	if latest.IsZero() {
		now = minute.floor(clock) // nothing changes faster where nothing has happened
	}
	closed := q.def.closedAt(clock)
	p.asOf = earliest(q.To, q.At, now, closed).In(zone)
	p.clockBound = p.asOf.Equal(closed) || p.asOf.Equal(now) && (latest.IsZero() || latest.After(clock))
	from, to := q.From.In(zone), q.To.In(zone)
	main := window{from: from, end: q.To}
	if q.Period != "" {
		inside := p.asOf
		if p.asOf.Equal(closed) {
			inside = p.asOf.Add(-time.Millisecond) // the last day that is closed
		}
		from, to = periodStart(q.Period, inside), p.asOf
		main = window{from: from}
	}
	p.period = Span{Time{from}, Time{to}}
	step := minute
	if t != nil {
		step = t.grain
	}
	main.upper = clip(earliest(q.To, q.At, step.next(clock), closed), from, step.next(clock))
	if main.upper.Before(from) {
		main.upper = from
	}
	main.seen = earliest(q.To, q.At, closed)
	p.windows = []window{main}
	if q.Compare != "" {
		if err := q.placeCompared(p, step, from, to); err != nil {
			return nil, err
		}
	}
	if t != nil && t.keepMonths > 0 {
		for _, w := range p.windows {
			if w.from.Before(clock.AddDate(0, -t.keepMonths, 0)) {
				return nil, badRequest(q.finestParameter(), "needs %ss, which are kept for %d months; ask whole days, grain day or coarser, or a later period", t.grain, t.keepMonths)
			}
		}
	}
	if q.grain != 0 {
		p.bucketsEnd = q.To
		if q.Period != "" {
			p.bucketsEnd = earliest(q.At, step.next(p.asOf))
		}
		p.buckets = q.grain.buckets(from, p.bucketsEnd, maxBuckets)
		if len(p.buckets) > maxBuckets {
			return nil, badRequest("grain", "gives more than %d buckets; ask a coarser grain or a shorter period", maxBuckets)
		}
	}
	return p, nil
}

func (q *question) placeCompared(p *timing, step grain, from, to time.Time) error {
	var before, elapsed time.Time
	if q.Period != "" {
		before, elapsed, _ = periodBefore(q.Period, from, p.asOf) // checkShape refused all
	} else {
		before = from.Add(-to.Sub(from))
		elapsed = clip(before.Add(p.asOf.Sub(from)), before, from)
	}
	end := from
	if q.Compare == CompareElapsed {
		end = elapsed
		if p.table != nil && !step.aligned(end) {
			if step == day && q.Period == PeriodToday {
				return badRequest("compare", "cannot be %s, as the elapsed part of a day is finer than what is kept of %s: day; use %s", q.Compare, q.KPI, ComparePrevious)
			}
			end = earliest(step.next(end), from)
			p.rounded = step == day
		}
	}
	p.compared = Span{Time{before}, Time{end}}
	p.windows = append(p.windows, window{from: before, upper: end, end: end, seen: end})
	return nil
}

// finestParameter is the parameter that made a fine table necessary.
func (q *question) finestParameter() string {
	switch {
	case q.grain != 0 && q.grain < day:
		return "grain"
	case !day.aligned(q.From):
		return "from"
	case !day.aligned(q.To):
		return "to"
	case !day.aligned(q.At):
		return "at"
	}
	return "compare"
}

// sameCut says whether a statement made for the one timing reads what the other asks. Only as_of may differ.
func (p *timing) sameCut(other *timing) bool {
	if p.table != other.table || len(p.windows) != len(other.windows) || len(p.buckets) != len(other.buckets) {
		return false
	}
	for i, w := range p.windows {
		o := other.windows[i]
		if !w.from.Equal(o.from) || !w.upper.Equal(o.upper) || !w.end.Equal(o.end) || !w.seen.Equal(o.seen) {
			return false
		}
	}
	return len(p.buckets) == 0 || p.buckets[0].Equal(other.buckets[0])
}
