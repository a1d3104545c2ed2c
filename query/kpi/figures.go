package kpi

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// The qualifiers of official figures: how the source of a figure qualified it.
const (
	QualifierExact  = "exact"
	QualifierOver   = "over"   // "trên", "hơn"
	QualifierNearly = "nearly" // "gần"
)

// report is an official figure as it was reported.
type report struct {
	asOf               time.Time // Date, its first moment.
	moment             time.Time // When it was reported.
	id                 string
	value, denominator float64 // Denominator 0 is absent.
	qualifier          string
	source             string
	simulated          bool
}

// places are the reports of one metric by place, the newest last. Figures without a province are national, under the
// empty code.
type places map[string][]report

// metricReports are the reports of one metric in both schemes.
type metricReports struct {
	by34, by63 places
}

// figuresReading is every official figure.
type figuresReading struct {
	*reading
	metrics map[string]*metricReports
}

// of is the reports of a metric, never nil.
func (r *figuresReading) of(metric string) *metricReports {
	if found := r.metrics[metric]; found != nil {
		return found
	}
	return &metricReports{}
}

// in is the reports by the codes of a scheme.
func (m *metricReports) in(scheme string) places {
	if scheme == SchemeGSO63 {
		return m.by63
	}
	return m.by34
}

// figureSource is the source of official figures.
const figureSource = "official_reports"

// figuresBelow is the official figures below the positions: those read last while no other came.
func (e *Evaluator) figuresBelow(ctx context.Context, read *reading) (*figuresReading, error) {
	e.mu.Lock()
	last := e.figures
	e.mu.Unlock()
	if last != nil && last.positions.hash() == read.positions.hash() {
		return last, nil
	}
	fresh, err := e.readFigures(ctx, read)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.figures = fresh
	return fresh, nil
}

// readFigures reads the official figures of all metrics below the positions, with one statement.
func (e *Evaluator) readFigures(ctx context.Context, read *reading) (*figuresReading, error) {
	src := e.deps.Catalogue.sources[figureSource]
	out := &figuresReading{reading: read, metrics: map[string]*metricReports{}}
	s := &registerStatement{
		src:     src,
		texts:   []string{"toString(metric_id)", "source_ref", "if(qualifier = 'none', '', toString(qualifier))"},
		numbers: []string{"value", "denominator", "toFloat64(toUnixTimestamp(toDateTime(as_of, " + zoneSQL + ")))", "toFloat64(match(source, '" + simulatedSources + "'))"},
	}
	entries, err := e.readRegister(ctx, s, read)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		entry := &entries[i]
		f := report{
			asOf: time.Unix(int64(entry.numbers[2]), 0).In(zone), moment: entry.at, id: entry.id, value: entry.numbers[0], denominator: entry.numbers[1],
			source: entry.texts[1], qualifier: entry.texts[2], simulated: entry.numbers[3] != 0,
		}
		m := out.metrics[entry.texts[0]]
		if m == nil {
			m = &metricReports{by34: places{}, by63: places{}}
			out.metrics[entry.texts[0]] = m
		}
		if entry.province != "" {
			m.by63[entry.province63] = append(m.by63[entry.province63], f)
		} else {
			m.by63[""] = append(m.by63[""], f)
		}
		// A figure of an old province is no figure of the new one that it is a part of.
		if entry.province == "" || entry.province63 == undivided(entry.province) || e.deps.Catalogue.unmerged(entry.province) {
			m.by34[entry.province] = append(m.by34[entry.province], f)
		}
	}
	for _, m := range out.metrics {
		m.by34.sort()
		m.by63.sort()
	}
	return out, nil
}

// sort puts the figures of each place in order. Of those for one date the one that was reported last counts; what is left
// stays in the order of the register.
func (p places) sort() {
	for _, figures := range p {
		slices.SortStableFunc(figures, func(a, b report) int {
			return cmp.Or(a.asOf.Compare(b.asOf), a.moment.Compare(b.moment), cmp.Compare(a.id, b.id))
		})
	}
}

// horizon says which reports a question sees: those for a date up to last that were reported before the moment seen,
// which is zero when every report is.
type horizon struct{ last, seen time.Time }

// newest is the figure of a place that a question sees; nil when there is none.
func (p places) newest(code string, h horizon) *report {
	figures := p[code]
	for i := len(figures) - 1; i >= 0; i-- {
		if f := &figures[i]; !f.asOf.After(h.last) && (h.seen.IsZero() || f.moment.Before(h.seen)) {
			return f
		}
	}
	return nil
}

// figure is an official figure as answers show it.
type figure struct {
	*Baseline
	simulated bool
}

// figure is the newest figure of the places together: nil unless each has one.
func (p places) figure(def *Definition, codes []string, h horizon) *figure {
	var sum *figure
	for _, code := range codes {
		r := p.newest(code, h)
		if r == nil {
			return nil
		}
		sum = sum.plus(def.figureOf(r))
	}
	return sum
}

// figureOf is a report in the unit of the KPI: "21 of 46" is a ratio, "23 of 25" a count.
func (d *Definition) figureOf(r *report) *figure {
	b := &Baseline{Value: r.value, Qualifier: r.qualifier, AsOf: r.asOf.Format(time.DateOnly), Source: r.source}
	if r.denominator != 0 {
		b.Denominator = pointer(r.denominator)
		if d.Unit == "ratio" {
			b.Value, b.Numerator = r.value/r.denominator, pointer(r.value)
		}
	}
	return &figure{b, r.simulated}
}

// plus adds the figure of another place: its date is the older one.
func (f *figure) plus(other *figure) *figure {
	if f == nil {
		return other
	}
	sum := &figure{&Baseline{Value: f.Value + other.Value, Qualifier: f.Qualifier, AsOf: min(f.AsOf, other.AsOf), Source: f.Source}, f.simulated || other.simulated}
	if f.Source != other.Source {
		sum.Source += "; " + other.Source
	}
	if f.Denominator != nil && other.Denominator != nil {
		sum.Denominator = pointer(*f.Denominator + *other.Denominator)
	}
	if f.Numerator != nil && other.Numerator != nil && sum.Denominator != nil {
		sum.Numerator = pointer(*f.Numerator + *other.Numerator)
		sum.Value = *sum.Numerator / *sum.Denominator
	}
	switch {
	case f.Qualifier == other.Qualifier || other.Qualifier == QualifierExact:
	case f.Qualifier == QualifierExact:
		sum.Qualifier = other.Qualifier
	default:
		sum.Qualifier = "" // over one and nearly another says nothing of the sum
	}
	return sum
}

// horizon is which reports the question sees, for a period that ends before the moment end; zero is as_of.
func (q *question) horizon(t *timing, end time.Time) horizon {
	// A figure holds for the end of its day, so one for the day that an excluded bound starts is too new; one for the
	// day of as_of itself is the newest known.
	h := horizon{last: dayStart(t.asOf), seen: q.At}
	for _, bound := range []time.Time{q.To, q.At, end} {
		if !bound.IsZero() {
			h.last = earliest(h.last, before(bound))
		}
	}
	return h
}

// before is the date that ends at or before the excluded bound.
func before(bound time.Time) time.Time { return dayStart(bound.Add(-time.Millisecond)) }

// hasFigure says whether official figures are about what the question asks: they are known by place only.
func (q *question) hasFigure() bool {
	for dimension := range q.Filters {
		if dimension != "province" {
			return false
		}
	}
	return q.def.Metric != ""
}

// rowsHaveFigures says whether the rows are places.
func (q *question) rowsHaveFigures() bool {
	return q.hasFigure() && len(q.By) == 1 && q.By[0] == "province"
}

// figurePlaces are the places that the total is about, and the codes that they are known by.
func (q *question) figurePlaces(m *metricReports) (places, []string) {
	switch asked := q.Filters["province"]; {
	case q.Scheme == SchemeGSO63 && asked != nil:
		return m.by63, asked
	case q.provinces != nil:
		return m.by34, q.provinces
	}
	return m.by34, []string{""} // the national figure
}

// attach gives the tallies of a question their official figures. A province that has a figure and nothing else gets a
// row. Only a stock has figures in the buckets of a series, and in the period before.
func (q *question) attach(t *tallies, r *figuresReading, cat *Catalogue) {
	if !q.hasFigure() {
		return
	}
	m := r.of(q.def.Metric)
	found, codes := q.figurePlaces(m)
	now := q.horizon(t.timing, time.Time{})
	t.total.figure = found.figure(q.def, codes, now)
	if q.rowsHaveFigures() {
		q.attachRows(t, m.in(q.Scheme), cat, now)
	}
	if !q.def.standsStill() {
		return
	}
	for i := range t.series {
		t.series[i].figure = found.figure(q.def, codes, q.horizon(t.timing, t.timing.bucketEnd(i)))
	}
	if len(t.timing.windows) > 1 {
		t.compared.figure = found.figure(q.def, codes, q.horizon(t.timing, t.timing.windows[1].upper))
	}
}

func (q *question) attachRows(t *tallies, found places, cat *Catalogue, now horizon) {
	byCode := map[string]*tally{}
	for i := range t.rows {
		byCode[t.rows[i].codes[0]] = &t.rows[i].tally
	}
	var more []tallyRow // appended at the end, so that byCode stays true
	for code := range found {
		f := found.figure(q.def, []string{code}, now)
		if code == "" || f == nil || !q.mayShow(code, cat) {
			continue
		}
		if row := byCode[code]; row != nil {
			row.figure = f
			continue
		}
		row := t.none
		row.figure = f
		more = append(more, tallyRow{[]string{code}, row})
	}
	t.rows = append(t.rows, more...)
	t.sortRows()
}

// mayShow says whether the question is about the province, a code of its scheme.
func (q *question) mayShow(code string, cat *Catalogue) bool {
	if asked := q.Filters["province"]; asked != nil && !slices.Contains(asked, code) {
		return false
	}
	if q.Scheme == SchemeGSO63 {
		code = cat.parent63[code]
	}
	return q.provinces == nil || slices.Contains(q.provinces, code)
}
