package kpi

import (
	"cmp"
	"context"
	"errors"
	"maps"
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
	return e.answerBy(ctx, e.current.Load(), asked)
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
		if q.def.Kind == KindFormula {
			return e.evaluateFormula(ctx, q)
		}
		asked := q
		if q.def.Sensitive {
			asked = q.wide() // what may be shown depends on the whole table
		}
		t, err := e.tallies(ctx, asked)
		if err != nil {
			return nil, err
		}
		// After the numbers: what they count has been looked at then.
		if err := e.lookForSimulated(ctx); err != nil {
			return nil, err
		}
		if q.def.Sensitive {
			t = q.narrow(t, e.deps.Catalogue)
		}
		return e.answer(q, t), nil
	})
}

// tallies reads what the question needs.
func (e *Evaluator) tallies(ctx context.Context, q *question) (*tallies, error) {
	names := q.def.besides()
	latest, known := e.lastLatest(q.def.Source)
	if q.def.source.inRegister() || q.def.source.form == rollup && !known {
		names = append(names, q.def.Source)
	}
	read := map[string]*reading{}
	if names = slices.Compact(names); len(names) > 0 {
		var err error
		if read, err = e.readPositions(ctx, names); err != nil {
			return nil, err
		}
	}
	if read[q.def.Source] == nil {
		read[q.def.Source] = &reading{latest: latest}
	}
	all, err := e.tallyAll(ctx, []*question{q}, read)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// tallyAll reads what several questions need that differ in KPI and period only and share a source. read has the positions
// of sources in register_events, and of a rollup the greatest event time that is expected. The positions of a KPI that
// depends on several sources, as one with official figures, are those of all.
func (e *Evaluator) tallyAll(ctx context.Context, qs []*question, read map[string]*reading) ([]*tallies, error) {
	var figures *figuresReading
	if slices.ContainsFunc(qs, func(q *question) bool { return q.def.Metric != "" }) {
		var err error
		if figures, err = e.figuresBelow(ctx, read[figureSource]); err != nil {
			return nil, err
		}
	}
	var eligible []string
	if slices.ContainsFunc(qs, func(q *question) bool { return q.def.asksEligible() }) {
		var err error
		if eligible, err = e.eligibleBelow(ctx, read[catalogueSource], earliest(qs[0].To, qs[0].At)); err != nil {
			return nil, err
		}
	}
	var dossiers time.Time
	if beside := read[dossierSource]; beside != nil {
		dossiers = beside.latest
	}
	all, err := e.tallySource(ctx, qs, read[qs[0].def.Source], figures, eligible, dossiers)
	if err != nil {
		return nil, err
	}
	for i, q := range qs {
		if q.def.Metric != "" {
			q.attach(all[i], figures, e.deps.Catalogue)
		}
		for _, beside := range q.def.besides() {
			if beside == dossierSource {
				continue // read with what it counts
			}
			all[i].positions = slices.Concat(all[i].positions, read[beside].positions)
		}
		if q.mixes() {
			all[i].mix(!slices.Contains(q.By, q.def.Per))
		}
	}
	for i, q := range qs {
		if q.def.Sensitive {
			all[i].protect(q.def, slices.Sorted(maps.Keys(e.deps.Catalogue.province)))
		}
	}
	return all, nil
}

func (e *Evaluator) tallySource(ctx context.Context, qs []*question, read *reading, figures *figuresReading, eligible []string, dossiers time.Time) ([]*tallies, error) {
	switch qs[0].def.source.form {
	case activity:
		r, err := e.readActivity(ctx)
		if err != nil {
			return nil, err
		}
		return e.tallyActivities(qs, r)
	case rollup:
		return e.tallyRollup(ctx, qs, read.latest, figures, eligible)
	}
	placed, err := timings(qs, e.now(qs[0]), read.latest, figures)
	if err != nil {
		return nil, err
	}
	switch qs[0].def.source.form {
	case registry:
		return e.tallyRegisters(ctx, qs, read, placed, dossiers)
	case petitioning:
		return e.tallyPetitions(ctx, qs, read, placed)
	case quality:
		return e.tallyQualities(ctx, qs, read, placed)
	}
	all := make([]*tallies, len(qs))
	for i, t := range placed {
		all[i] = &tallies{timing: t, positions: read.positions, latest: read.latest, series: make([]tally, len(t.buckets))}
	}
	return all, nil
}

// latest is the greatest event time of the KPI's sources: its live source and, where it has them, the official figures.
func (q *question) latest(live time.Time, figures *figuresReading) time.Time {
	if q.def.Metric == "" || figures.latest.Before(live) {
		return live
	}
	return figures.latest
}

// timings places the questions in time, for the greatest event time of their source.
func timings(qs []*question, clock, latest time.Time, figures *figuresReading) ([]*timing, error) {
	all := make([]*timing, len(qs))
	for i, q := range qs {
		var err error
		if all[i], err = q.timing(clock, q.latest(latest, figures)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// tallyRollup reads the questions of each table with a statement of their own. The periods of a table are read together: they
// lie in each other, and ClickHouse takes longer to plan a statement for each than to read the longest.
func (e *Evaluator) tallyRollup(ctx context.Context, qs []*question, latest time.Time, figures *figuresReading, eligible []string) ([]*tallies, error) {
	asked := map[string][]int{}
	for i, q := range qs {
		var of string
		if t, err := q.timing(e.now(q), latest); err == nil { // else it is refused, alone or with others
			of = t.table.name
		}
		asked[of] = append(asked[of], i)
	}
	out := make([]*tallies, len(qs))
	for _, of := range slices.Sorted(maps.Keys(asked)) {
		places := asked[of]
		together := make([]*question, len(places))
		for k, i := range places {
			together[k] = qs[i]
		}
		read, err := e.tallyTogether(ctx, together, latest, figures, eligible)
		if err != nil {
			return nil, err
		}
		for k, i := range places {
			out[i] = read[k]
		}
	}
	return out, nil
}

// tallyTogether runs one statement for the as_of that is expected, and again if as_of turned out otherwise.
func (e *Evaluator) tallyTogether(ctx context.Context, qs []*question, latest time.Time, figures *figuresReading, eligible []string) ([]*tallies, error) {
	clock := e.now(qs[0])
	slack := 10 * time.Minute
	for range maxAttempts {
		p, expected, err := e.plan(qs, clock, latest, slack, figures)
		if err != nil {
			// A question is refused for what is true now, not for what was expected.
			read, failure := e.readPositions(ctx, []string{qs[0].def.Source})
			if failure != nil {
				return nil, failure
			}
			if now := read[qs[0].def.Source].latest; !now.Equal(latest) {
				latest = now
				continue
			}
			return nil, err
		}
		p.eligible = eligible
		r, err := e.run(ctx, p)
		if err != nil {
			return nil, err
		}
		out := make([]*tallies, 0, len(qs))
		for i, q := range qs {
			actual, err := q.cut(clock, r.latest, figures)
			if err != nil {
				return nil, err
			}
			if !p.covers(actual.timing.asOf) || !expected[i].same(actual) {
				break
			}
			expected[i].timing = actual.timing
			out = append(out, p.tallies(r, expected[i]))
		}
		if len(out) == len(qs) {
			for i, q := range qs {
				if err := e.conceal(ctx, p, q, out[i]); err != nil {
					return nil, err
				}
			}
			return out, nil
		}
		latest, slack = r.latest, slack*8
	}
	return nil, unavailable(errMoving)
}

// plan makes the statement of the questions for a clock and an expected greatest event time.
func (e *Evaluator) plan(qs []*question, clock, latest time.Time, slack time.Duration, figures *figuresReading) (*plan, []*cut, error) {
	q := qs[0]
	p := &plan{source: q.def.source, coefficients: e.deps.Coefficients, by: q.By, scheme: q.Scheme, filters: q.Filters, provinces: q.provinces, bucket: q.grain}
	if q.grain != 0 && q.def.Kind == KindCumulative {
		p.bucket = day // a stock counts from a day that need not be the start of a bucket
	}
	cuts := make([]*cut, len(qs))
	for i, q := range qs {
		var err error
		if cuts[i], err = q.cut(clock, latest, figures); err != nil {
			return nil, nil, err
		}
		p.table = cuts[i].timing.table
		p.floor = earliest(p.floor, cuts[i].timing.asOf)
		cuts[i].choose(p)
	}
	p.ceiling = p.floor.Add(slack)
	return p, cuts, nil
}

var errMoving = errors.New("the source moved faster than it could be read")

// covers says whether the plan's answer can be judged at as_of.
func (p *plan) covers(asOf time.Time) bool {
	return !p.floats() || !asOf.Before(p.floor) && !asOf.After(p.ceiling)
}

// seenDays is how long a silent source is still expected.
const seenDays = 30

func (e *Evaluator) tallyActivities(qs []*question, r *activityReading) ([]*tallies, error) {
	clock := e.now(qs[0])
	all := make([]*tallies, len(qs))
	for i, q := range qs {
		var err error
		if all[i], err = q.tallyActivity(r, clock); err != nil {
			return nil, err
		}
	}
	return all, nil
}

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
