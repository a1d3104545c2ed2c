package kpi

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// maxAttempts bounds how often a statement is repeated because as_of left the calendar period, or the range of
// deadlines, that the statement was made for. That happens at midnight and while a backlog is read.
const maxAttempts = 6

// Answer answers from the current publication where it can, else evaluates. Errors are *Error, or those of ctx.
func (e *Evaluator) Answer(ctx context.Context, q Query) (*Answer, error) {
	asked, err := e.deps.Catalogue.check(q)
	if err != nil {
		return nil, err
	}
	if a, ok := e.fromPublication(asked); ok {
		return a, nil
	}
	key := asked.key()
	generation := e.generation(asked.def)
	a, ok := e.cache.get(key, generation)
	if !ok {
		if a, err = e.evaluateOnce(ctx, key, asked); err != nil {
			return nil, err
		}
		if asked.def.Kind != KindAge {
			e.cache.put(key, asked.def.Source, generation, a)
		}
	}
	return asked.page(a)
}

// Evaluate asks the warehouse. Identical questions at one time are asked once. Errors are *Error, or those of ctx.
func (e *Evaluator) Evaluate(ctx context.Context, q Query) (*Answer, error) {
	asked, err := e.deps.Catalogue.check(q)
	if err != nil {
		return nil, err
	}
	a, err := e.evaluateOnce(ctx, asked.key(), asked)
	if err != nil {
		return nil, err
	}
	return asked.page(a)
}

// evaluateOnce answers with all rows. Askers of one key share the answer.
func (e *Evaluator) evaluateOnce(ctx context.Context, key string, q *question) (*Answer, error) {
	return e.flights.do(ctx, key, func(ctx context.Context) (*Answer, error) {
		e.metrics.evaluations.Inc()
		t, err := e.tallies(ctx, q)
		if err != nil {
			return nil, err
		}
		// After the numbers: what they count has been looked at then.
		if err := e.lookForSimulated(ctx); err != nil {
			return nil, err
		}
		return e.answer(q, t), nil
	})
}

// tallies reads what the question needs.
func (e *Evaluator) tallies(ctx context.Context, q *question) (*tallies, error) {
	var latest time.Time
	if q.def.source.form == rollup {
		var err error
		if latest, err = e.latest(ctx, q.def.source); err != nil {
			return nil, err
		}
	}
	all, err := e.tallyAll(ctx, []*question{q}, latest)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// tallyAll reads what several questions need that differ in KPI and period only and share a source. latest is the
// source's expected greatest event time.
func (e *Evaluator) tallyAll(ctx context.Context, qs []*question, latest time.Time) ([]*tallies, error) {
	switch qs[0].def.source.form {
	case reports:
		return e.tallyEach(qs, func(q *question) (*tallies, error) {
			r, err := e.readReports(ctx, q.def, q.At)
			if err != nil {
				return nil, err
			}
			return q.tallyReports(r, e.deps.Catalogue, e.deps.Now())
		})
	case activity:
		r, err := e.readActivity(ctx)
		if err != nil {
			return nil, err
		}
		clock := e.deps.Now()
		return e.tallyEach(qs, func(q *question) (*tallies, error) { return q.tallyActivity(r, clock) })
	}
	return e.tallyRollup(ctx, qs, latest)
}

func (e *Evaluator) tallyEach(qs []*question, tally func(*question) (*tallies, error)) ([]*tallies, error) {
	all := make([]*tallies, len(qs))
	for i, q := range qs {
		var err error
		if all[i], err = tally(q); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// tallyRollup runs one statement for the as_of that is expected, and again if as_of turned out otherwise.
func (e *Evaluator) tallyRollup(ctx context.Context, qs []*question, latest time.Time) ([]*tallies, error) {
	clock := e.deps.Now()
	slack := 10 * time.Minute
	for range maxAttempts {
		p, selections, expected, err := e.plan(qs, clock, latest, slack)
		if err != nil {
			// A question is refused for what is true now, not for what was expected.
			read, failure := e.readPositions(ctx)
			if failure != nil {
				return nil, failure
			}
			if now := read[qs[0].def.Source].latest; !now.Equal(latest) {
				latest = now
				continue
			}
			return nil, err
		}
		r, err := e.run(ctx, p)
		if err != nil {
			return nil, err
		}
		out := make([]*tallies, 0, len(qs))
		for i, q := range qs {
			actual, err := q.timing(clock, r.latest)
			if err != nil {
				return nil, err
			}
			if !p.covers(actual.asOf) || !expected[i].sameCut(actual) {
				break
			}
			out = append(out, p.tallies(r, selections[i], actual))
		}
		if len(out) == len(qs) {
			return out, nil
		}
		latest, slack = r.latest, slack*8
	}
	return nil, unavailable(errMoving)
}

// plan makes the statement of the questions for a clock and an expected greatest event time.
func (e *Evaluator) plan(qs []*question, clock, latest time.Time, slack time.Duration) (*plan, []selection, []*timing, error) {
	q := qs[0]
	p := &plan{source: q.def.source, coefficients: e.deps.Coefficients, by: q.By, scheme: q.Scheme, filters: q.Filters, provinces: q.provinces, bucket: q.grain}
	var selections []selection
	var timings []*timing
	for _, q := range qs {
		t, err := q.timing(clock, latest)
		if err != nil {
			return nil, nil, nil, err
		}
		p.table = t.table
		p.floor = earliest(p.floor, t.asOf)
		selections, timings = append(selections, p.selectColumns(q.def, t)), append(timings, t)
	}
	p.ceiling = p.floor.Add(slack)
	return p, selections, timings, nil
}

var errMoving = errors.New("the source moved faster than it could be read")

// covers says whether the plan's answer can be judged at as_of.
func (p *plan) covers(asOf time.Time) bool {
	return !p.floats() || !asOf.Before(p.floor) && !asOf.After(p.ceiling)
}

// latest is a guess of the source's greatest event time: what the last tick saw, else what the position rows say.
func (e *Evaluator) latest(ctx context.Context, src *source) (time.Time, error) {
	if t, ok := e.lastLatest(src.name); ok {
		return t, nil
	}
	read, err := e.readPositions(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return read[src.name].latest, nil
}

// tallyReports has the whole history of the metric, so that nothing depends on as_of before it is known.
func (q *question) tallyReports(r *reportsReading, cat *Catalogue, clock time.Time) (*tallies, error) {
	t, err := q.timing(clock, r.latest)
	if err != nil {
		return nil, err
	}
	out := &tallies{timing: t, positions: r.positions, latest: r.latest}
	// A figure holds for the end of its day, so one for the day that an excluded bound starts is too new; one for the
	// day of as_of itself is the newest known.
	last := dayStart(t.asOf)
	for _, bound := range []time.Time{q.To, q.At} {
		if !bound.IsZero() {
			last = earliest(last, before(bound))
		}
	}
	figures, wanted := r.byProvince, q.provinces
	switch asked := q.Filters["province"]; {
	case q.Scheme == SchemeGSO63 && asked != nil:
		figures, wanted = r.by63, asked
	case wanted == nil:
		wanted = []string{""} // the national figure
	}
	out.total.baseline = baseline(figures, wanted, last)
	for i := range t.buckets {
		out.series = append(out.series, tally{baseline: baseline(figures, wanted, earliest(last, before(t.bucketEnd(i))))})
	}
	if len(t.windows) > 1 {
		out.compared.baseline = baseline(figures, wanted, before(t.windows[1].upper))
	}
	if len(q.By) > 0 {
		out.rows = q.reportRows(r, cat, last)
	}
	out.sortRows()
	return out, nil
}

// reportRows are the newest figures of the provinces that the question may see.
func (q *question) reportRows(r *reportsReading, cat *Catalogue, last time.Time) []tallyRow {
	var rows []tallyRow
	figures, parent := r.byProvince, func(code string) string { return code }
	if q.Scheme == SchemeGSO63 {
		figures, parent = r.by63, func(code string) string { return cat.parent63[code] }
	}
	for code := range figures {
		asked := q.Filters["province"]
		if code == "" || q.provinces != nil && !slices.Contains(q.provinces, parent(code)) || asked != nil && !slices.Contains(asked, code) {
			continue
		}
		if b := baseline(figures, []string{code}, last); b != nil {
			rows = append(rows, tallyRow{[]string{code}, tally{baseline: b}})
		}
	}
	return rows
}

// before is the date that ends at or before the excluded bound.
func before(bound time.Time) time.Time { return dayStart(bound.Add(-time.Millisecond)) }

// baseline is the newest figure for a date up to last; of several places the sum, where each has one.
func baseline(byCode map[string][]report, codes []string, last time.Time) *Baseline {
	var sum *Baseline
	for _, code := range codes {
		figures := byCode[code]
		newer, _ := slices.BinarySearchFunc(figures, last, func(f report, t time.Time) int {
			if f.asOf.After(t) {
				return 1
			}
			return -1
		})
		if newer == 0 {
			return nil
		}
		f := figures[newer-1]
		b := &Baseline{Value: f.value, AsOf: f.asOf.Format(time.DateOnly), Source: f.source}
		if sum != nil {
			b.Value += sum.Value
			b.AsOf = min(b.AsOf, sum.AsOf)
			if sum.Source != b.Source {
				b.Source = sum.Source + "; " + b.Source
			}
		}
		sum = b
	}
	return sum
}

// seenDays is how long a silent source is still expected.
const seenDays = 30

func (q *question) tallyActivity(r *activityReading, clock time.Time) (*tallies, error) {
	t, err := q.timing(clock, r.latest)
	if err != nil {
		return nil, err
	}
	out := &tallies{timing: t, positions: r.positions, latest: r.latest}
	rows := map[string]*tallyRow{}
	for _, s := range r.states {
		code := map[string]string{"province": s.province, "source": s.source}
		if wanted := q.Filters["source"]; wanted != nil && !slices.Contains(wanted, s.source) {
			continue
		}
		if q.provinces != nil && !slices.Contains(q.provinces, s.province) {
			continue
		}
		out.total.observe(s, t)
		if len(q.By) == 0 {
			continue
		}
		codes := make([]string, len(q.By))
		for i, dimension := range q.By {
			codes[i] = code[dimension]
		}
		key := strings.Join(codes, "\x00")
		if rows[key] == nil {
			rows[key] = &tallyRow{codes: codes}
		}
		rows[key].tally.observe(s, t)
	}
	for _, row := range rows {
		out.rows = append(out.rows, *row)
	}
	out.sortRows()
	return out, nil
}

func (t *tally) observe(s sourceState, at *timing) {
	if s.latest.After(t.newest) {
		t.newest = s.latest
	}
	if s.latest.After(at.clock.AddDate(0, 0, -seenDays)) {
		add(&t.expected, s.source)
	}
	if !s.latest.Before(at.windows[0].from) {
		add(&t.reporting, s.source)
	}
}

// page is the answer with its rows in the order asked, and only those of the page. Without a value they come last. The
// rows of the answer, which others share, stay as they are. More than maxRows rows are refused when the question does
// not say which it wants.
func (q *question) page(a *Answer) (*Answer, error) {
	if len(q.By) == 0 {
		return a, nil
	}
	rows := a.Rows
	if q.Sort != "" {
		rows = slices.Clone(rows)
		slices.SortStableFunc(rows, func(a, b Row) int {
			switch {
			case a.Value == nil || b.Value == nil:
				return cmp.Compare(boolInt(a.Value == nil), boolInt(b.Value == nil))
			case q.Sort == "-value":
				return cmp.Compare(*b.Value, *a.Value)
			}
			return cmp.Compare(*a.Value, *b.Value)
		})
	}
	rows = rows[min(q.Offset, len(rows)):]
	if q.Limit == 0 && len(rows) > maxRows {
		return nil, badRequest("limit", "is needed, as there are %d rows and at most %d come at once: ask for pages with limit and offset, or for fewer rows", len(rows), maxRows)
	}
	if q.Limit > 0 {
		rows = rows[:min(q.Limit, len(rows))]
	}
	paged := *a
	paged.Rows = append(make([]Row, 0, len(rows)), rows...) // a copy, so that a short page does not keep all rows in memory
	return &paged, nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
