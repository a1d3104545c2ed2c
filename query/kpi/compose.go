package kpi

// answer turns tallies into what clients see, with all rows.
func (e *Evaluator) answer(q *question, t *tallies) *Answer {
	a := e.head(q, &t.total, t)
	if len(q.By) > 0 {
		a.Rows = q.rows(t)
	}
	if q.grain != 0 {
		a.Series = make([]Point, len(t.series))
		for i := range t.series {
			f := q.def.values(&t.series[i], t.timing.clock)
			a.Series[i] = Point{Time{t.timing.buckets[i]}, f.value, f.numerator, f.denominator}
		}
	}
	if q.Compare != "" {
		f := q.def.values(&t.compared, t.timing.clock)
		a.Compare = &Compare{Period: t.timing.compared, Value: f.value, Numerator: f.numerator, Denominator: f.denominator}
		if a.Value != nil && f.value != nil {
			a.Compare.Change = pointer(*a.Value - *f.value)
		}
	}
	if (len(q.By) > 0 || q.grain != 0) && q.def.Kind != KindReported && e.illustrative.Load() {
		return a.markIllustrative() // its parts may be, even where the whole is an official figure
	}
	return a
}

// head is the answer of one tally, without rows, series and comparison.
func (e *Evaluator) head(q *question, of *tally, t *tallies) *Answer {
	def, at := q.def, t.timing
	f := def.values(of, at.clock)
	a := &Answer{
		ID: def.ID, Name: def.Name, Unit: def.Unit, Better: def.Better, Scope: q.scopeName(),
		Period: at.period, AsOf: Time{at.asOf}, Revision: t.positions.revision(at.asOf, at.clockBound), EvaluatedAt: Time{at.clock},
		Value: f.value, Numerator: f.numerator, Denominator: f.denominator, Baseline: f.baseline, Official: f.official, Suppressed: f.suppressed,
		Status: def.status(f.value), Coverage: e.coverage(q, of), Definition: e.definitions[def.ID],
		Notes: e.notes(def, of, &f, at.rounded), Exact: def.Kind != KindAge && def.Kind != KindQuantile,
	}
	if def.Target != nil {
		a.Target = &def.Target.Value
	}
	return a
}

func (q *question) rows(t *tallies) []Row {
	rows := make([]Row, len(t.rows))
	for i := range t.rows {
		f := q.def.values(&t.rows[i].tally, t.timing.clock)
		rows[i] = Row{Value: f.value, Numerator: f.numerator, Denominator: f.denominator, Baseline: f.baseline, Official: f.official, Suppressed: f.suppressed}
		for j, dimension := range q.By {
			rows[i].Dims = append(rows[i].Dims, Dim{dimension, t.rows[i].codes[j]})
		}
	}
	return rows
}

func (e *Evaluator) coverage(q *question, t *tally) Coverage {
	c := Coverage{Reporting: len(t.reporting)}
	switch {
	case q.def.source.form == reports:
		return Coverage{Reporting: boolInt(t.figure != nil), Expected: 1}
	case q.def.source.form == activity:
		c.Expected = len(t.expected)
		return c
	case t.hidden:
		c.Reporting = 0 // not even whether there was anything
	}
	c.Expected = len(e.deps.Catalogue.province)
	if q.provinces != nil {
		c.Expected = len(q.provinces)
	}
	return c
}
