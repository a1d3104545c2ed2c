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
			f := q.def.figures(&t.series[i], t.timing.clock)
			a.Series[i] = Point{Time{t.timing.buckets[i]}, f.value, f.numerator, f.denominator}
		}
	}
	if q.Compare != "" {
		f := q.def.figures(&t.compared, t.timing.clock)
		a.Compare = &Compare{Period: t.timing.compared, Value: f.value, Numerator: f.numerator, Denominator: f.denominator}
		if a.Value != nil && f.value != nil {
			a.Compare.Change = pointer(*a.Value - *f.value)
		}
	}
	return a
}

// head is the answer of one tally, without rows, series and comparison.
func (e *Evaluator) head(q *question, of *tally, t *tallies) *Answer {
	def, at := q.def, t.timing
	f := def.figures(of, at.clock)
	a := &Answer{
		ID: def.ID, Name: def.Name, Unit: def.Unit, Better: def.Better, Scope: q.scopeName(),
		Period: at.period, AsOf: Time{at.asOf}, Revision: t.positions.revision(at.asOf, at.clockBound), EvaluatedAt: Time{at.clock},
		Value: f.value, Numerator: f.numerator, Denominator: f.denominator, Baseline: f.baseline,
		Status: def.status(f.value), Coverage: e.coverage(q, of), Definition: e.definitions[def.ID],
		Notes: e.notes(def, of, at.rounded), Exact: def.Kind != KindAge,
	}
	if def.Target != nil {
		a.Target = &def.Target.Value
	}
	return a
}

func (q *question) rows(t *tallies) []Row {
	rows := make([]Row, len(t.rows))
	for i := range t.rows {
		f := q.def.figures(&t.rows[i].tally, t.timing.clock)
		rows[i] = Row{Value: f.value, Numerator: f.numerator, Denominator: f.denominator, Baseline: f.baseline}
		for j, dimension := range q.By {
			rows[i].Dims = append(rows[i].Dims, Dim{dimension, t.rows[i].codes[j]})
		}
	}
	return rows
}

func (e *Evaluator) coverage(q *question, t *tally) Coverage {
	switch q.def.source.form {
	case reports:
		c := Coverage{Expected: 1}
		if t.baseline != nil {
			c.Reporting = 1
		}
		return c
	case activity:
		return Coverage{Reporting: len(t.reporting), Expected: len(t.expected)}
	}
	expected := len(e.deps.Catalogue.province)
	if q.provinces != nil {
		expected = len(q.provinces)
	}
	return Coverage{Reporting: len(t.reporting), Expected: expected}
}
