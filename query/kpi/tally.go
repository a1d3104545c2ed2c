package kpi

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// tally is what one value is made of: a total, a row or a bucket.
type tally struct {
	numerator, denominator int64
	feed                   int64           // What shows that the events are sent which a ratio rests on, in the place and period.
	base                   int64           // Facts, whatever the expressions count of them.
	reporting              map[string]bool // Provinces, or sources.
	expected               map[string]bool // Sources seen in the last 30 days.
	missing                map[string]bool // Services without a coefficient.
	newest                 time.Time       // Newest event of an age.
	steps                  histogram       // Of a quantile.
	figure                 *figure         // Newest official figure of the place; nil when there is none.
	hidden                 bool            // Too small to show, or the complement of what is.
	mixed                  bool            // Of several codes of the dimension that the KPI has values by.
}

// values are the numbers that an answer shows of a tally.
type values struct {
	value                  *float64
	numerator, denominator *int64
	baseline, official     *Baseline
	suppressed             bool
}

// empty says whether the live source has nothing about the value.
func (d *Definition) empty(t *tally) bool {
	return t.base == 0 || d.Kind == KindRatio && t.denominator == 0 || d.lacksFeed(t)
}

// lacksFeed says whether there are cases, but none of the events by which they are judged: the rate is not known, and not 0.
func (d *Definition) lacksFeed(t *tally) bool {
	return d.feed != nil && t.feed == 0 && t.denominator != 0
}

// values computes the value: one division, or one sum, of integers. It copies them, so that an answer that is kept does
// not keep what it was made of.
func (d *Definition) values(t *tally, now time.Time) values {
	v := values{}
	if t.figure != nil {
		v.official = t.figure.Baseline
	}
	switch {
	case t.hidden:
		v.suppressed = true
	case t.mixed:
	case d.Kind == KindAge:
		if !t.newest.IsZero() {
			v.value = pointer(float64(max(0, now.Sub(t.newest).Milliseconds())) / 1000)
		}
	case d.Kind == KindQuantile:
		v.value = t.steps.quantile(d.Quantile)
	case d.Kind == KindCumulative:
		d.addStock(&v, t)
	case d.Kind == KindReported || v.official != nil && d.empty(t):
		d.takeFigure(&v)
	case d.lacksFeed(t):
		v.denominator = pointer(t.denominator)
	case d.Kind == KindRatio:
		v.numerator, v.denominator = pointer(t.numerator), pointer(t.denominator)
		if t.denominator != 0 {
			v.value = pointer(float64(t.numerator) / float64(t.denominator))
		}
	default:
		v.numerator = pointer(t.numerator)
		if d.source.form != registry || t.base != 0 { // a register without entries does not say that there are none
			v.value = pointer(float64(t.numerator))
		}
		if d.Whole > 0 {
			v.denominator = pointer(t.denominator)
		}
	}
	return v
}

// takeFigure makes the official figure the value, with nothing counted live.
func (d *Definition) takeFigure(v *values) {
	if v.official == nil {
		return
	}
	v.baseline, v.value, v.numerator = v.official, pointer(v.official.Value), pointer(int64(0))
	switch {
	case d.Unit == "ratio":
		v.denominator = pointer(int64(0))
	case d.Whole > 0:
		v.denominator = pointer(d.Whole)
	case v.official.Denominator != nil:
		v.denominator = pointer(int64(*v.official.Denominator))
	}
}

// addStock adds what was counted since the official figure to it. A ratio of two needs both parts of the figure.
func (d *Definition) addStock(v *values, t *tally) {
	if v.official == nil && t.base == 0 {
		return
	}
	v.numerator, v.baseline = pointer(t.numerator), v.official
	if d.denominator == nil {
		v.value = pointer(float64(t.numerator))
		if v.baseline != nil {
			v.value = pointer(v.baseline.Value + float64(t.numerator))
		}
		return
	}
	v.denominator = pointer(t.denominator)
	numerator, denominator := float64(t.numerator), float64(t.denominator)
	switch {
	case v.baseline == nil:
	case v.baseline.Numerator != nil && v.baseline.Denominator != nil:
		numerator, denominator = *v.baseline.Numerator+numerator, *v.baseline.Denominator+denominator
	case t.denominator == 0:
		v.value = pointer(v.baseline.Value)
		return
	default:
		v.baseline = nil
	}
	if denominator != 0 {
		v.value = pointer(numerator / denominator)
	}
}

func pointer[T any](v T) *T { return &v }

func add(set *map[string]bool, members ...string) {
	if *set == nil && len(members) > 0 {
		*set = map[string]bool{}
	}
	for _, m := range members {
		(*set)[m] = true
	}
}

// tallyRow is the tally of one combination of codes.
type tallyRow struct {
	codes []string
	tally tally
}

// tallies is everything that an answer is made of.
type tallies struct {
	timing    *timing
	positions positions
	latest    time.Time // Greatest event time of the source.
	total     tally
	compared  tally
	none      tally      // Of a province without a row.
	rows      []tallyRow // By codes.
	series    []tally    // By bucket.
}

// sums are the columns of a plan that make up one KPI over one window.
type sums struct{ window, numerator, denominator, feed int }

const none = -1

// mixes says whether the question's total is of several codes of the one dimension that the KPI has values by.
func (q *question) mixes() bool { return q.def.Per != "" && len(q.Filters[q.def.Per]) != 1 }

// mix takes the values of all but rows by that dimension.
func (t *tallies) mix(rows bool) {
	t.total.mixed, t.compared.mixed, t.none.mixed = true, true, true
	for i := range t.series {
		t.series[i].mixed = true
	}
	for i := range t.rows {
		t.rows[i].tally.mixed = rows || slices.Contains(t.rows[i].codes, "") // several that nobody named are no one
	}
}

// cut is one question's place in time, and the columns of a plan that answer it.
type cut struct {
	q      *question
	timing *timing
	stock  *stockCut // nil unless the KPI is cumulative.
	// now and before have one member, or for a stock one for each of its starts.
	now, before []sums
	series      sums
}

// cut places the question in time and, for a cumulative KPI, after its official figures.
func (q *question) cut(clock, latest time.Time, figures *figuresReading) (*cut, error) {
	t, err := q.timing(clock, q.latest(latest, figures))
	if err != nil {
		return nil, err
	}
	c := &cut{q: q, timing: t}
	if q.def.Kind == KindCumulative {
		c.stock = q.stockCut(t, figures)
	}
	return c, nil
}

// same says whether a statement made for one cut reads what the other asks. Only as_of may differ.
func (c *cut) same(other *cut) bool {
	return c.timing.sameCut(other.timing) && c.stock.equal(other.stock)
}

// choose adds the columns that the cut needs to the plan.
func (c *cut) choose(p *plan) {
	t := c.timing
	pick := func(w window, series bool) sums {
		w.about = c.q.def.about()
		s := sums{window: p.window(w), denominator: none, feed: none}
		s.numerator = p.column(c.q.def.numerator, s.window, series)
		if c.q.def.denominator != nil {
			s.denominator = p.column(c.q.def.denominator, s.window, series)
		}
		if c.q.def.feed != nil && !series {
			s.feed = p.column(c.q.def.feed, s.window, false)
		}
		return s
	}
	if c.q.def.Kind == KindQuantile {
		p.place = c.q.def.source.histogram
	}
	if c.stock == nil {
		c.now = []sums{pick(t.windows[0], false)}
		if len(t.buckets) > 0 {
			c.series = pick(t.windows[0], true)
		}
		if len(t.windows) > 1 {
			c.before = []sums{pick(t.windows[1], false)}
		}
		return
	}
	for _, w := range c.stock.now.windows(t.windows[0].upper) {
		c.now = append(c.now, pick(w, false))
	}
	if c.stock.before != nil {
		for _, w := range c.stock.before.windows(t.windows[1].upper) {
			c.before = append(c.before, pick(w, false))
		}
	}
	if len(t.buckets) > 0 {
		first := t.windows[0].upper
		for _, s := range c.stock.series {
			first = earliest(append(s.starts, first)...)
		}
		c.series = pick(window{from: first, upper: later(first, t.windows[0].upper)}, false)
	}
	p.place = c.q.placeColumn()
}

// placeColumn is the column of the places that the question's official figures are of; empty for the nation's.
func (q *question) placeColumn() string {
	switch {
	case q.Scheme == SchemeGSO63 && q.Filters["province"] != nil:
		return "province63"
	case q.provinces != nil:
		return "province"
	}
	return ""
}

// places are the codes of a cell: its place of the total, and that of its row; empty when they are not told apart.
func (c *cut) places(p *plan, of *cell) (total, row string) {
	if p.place != "" {
		total = of.dims[len(p.by)]
	}
	if at := slices.Index(p.by, "province"); at >= 0 {
		return total, of.dims[at]
	}
	return total, total
}

// count is one sum of a cell, judged at as_of.
func (p *plan) count(c *cell, column int, asOf, bucketEnd time.Time) int64 {
	if column == none {
		return 0
	}
	col := p.columns[column]
	if judged := p.source.measures[col.expression.measure].deadline; c.crossing != 0 && judged != 0 {
		now := p.windows[col.window].now(asOf)
		if col.series {
			now = earliest(now, bucketEnd)
		}
		if late := c.crossing < now.UnixMilli(); late != (judged == openLate) {
			return 0
		}
	}
	return c.counts[column]
}

// tallies sums the cells for one cut.
func (p *plan) tallies(r *reading, c *cut) *tallies {
	t := c.timing
	out := &tallies{timing: t, positions: r.positions, latest: r.latest, series: make([]tally, len(t.buckets))}
	rows := map[string]*tallyRow{}
	daily := dailySums{}
	for i := range r.cells {
		of := &r.cells[i]
		total, row := c.places(p, of)
		at, rowAt := 0, 0
		if c.stock != nil {
			at, rowAt = c.stock.now.total[total], c.stock.now.rows[row]
		}
		p.add(&out.total, of, c.now[at], t)
		if len(p.by) > 0 && of.bases[c.now[rowAt].window] != 0 {
			codes := of.dims[:len(p.by)]
			key := strings.Join(codes, "\x00")
			if rows[key] == nil {
				rows[key] = &tallyRow{codes: codes}
			}
			p.add(&rows[key].tally, of, c.now[rowAt], t)
		}
		if c.before != nil {
			if c.stock != nil {
				at = c.stock.before.total[total]
			}
			p.add(&out.compared, of, c.before[at], t)
		}
		switch bucket, ok := t.bucketAt(of.bucket); {
		case len(t.buckets) == 0:
		case c.stock != nil:
			daily.add(total, of.bucket, of.counts[c.series.numerator], p.count(of, c.series.denominator, t.asOf, time.Time{}), of.bases[c.series.window])
		case ok:
			end := t.bucketEnd(bucket)
			out.series[bucket].numerator += p.count(of, c.series.numerator, t.asOf, end)
			out.series[bucket].denominator += p.count(of, c.series.denominator, t.asOf, end)
			out.series[bucket].base += of.bases[c.series.window]
			p.addStep(&out.series[bucket], of, c.series)
		}
	}
	if c.stock != nil {
		for i := range out.series {
			out.series[i] = daily.at(c.stock.series[i], t.bucketEnd(i))
		}
	}
	for _, row := range rows {
		if row.tally.base != 0 {
			out.rows = append(out.rows, *row)
		}
	}
	out.sortRows()
	out.spreadFeed(p.by)
	return out
}

// spreadFeed makes the feed of each row that of its province, or of all that was asked: events come from a place, and where it
// sends them a service without any has none. That of a bucket is the feed of the whole period.
func (t *tallies) spreadFeed(by []string) {
	for i := range t.series {
		t.series[i].feed = t.total.feed
	}
	at := slices.Index(by, "province")
	place := func(row tallyRow) string {
		if at < 0 {
			return ""
		}
		return row.codes[at]
	}
	feeds := map[string]int64{}
	for _, row := range t.rows {
		feeds[place(row)] += row.tally.feed
	}
	for i, row := range t.rows {
		t.rows[i].tally.feed = feeds[place(row)]
	}
}

// add adds a cell's sums.
func (p *plan) add(target *tally, of *cell, s sums, t *timing) {
	target.numerator += p.count(of, s.numerator, t.asOf, time.Time{})
	target.denominator += p.count(of, s.denominator, t.asOf, time.Time{})
	target.feed += p.count(of, s.feed, t.asOf, time.Time{})
	target.base += of.bases[s.window]
	p.addStep(target, of, s)
	add(&target.reporting, of.reporting[s.window]...)
	add(&target.missing, of.missing[s.window]...)
}

func (t *tallies) sortRows() {
	slices.SortFunc(t.rows, func(a, b tallyRow) int { return slices.Compare(a.codes, b.codes) })
}

// bucketAt is the place of the bucket that starts at a second since 1970.
func (t *timing) bucketAt(unix int64) (int, bool) {
	return slices.BinarySearchFunc(t.buckets, unix, func(start time.Time, unix int64) int { return cmp.Compare(start.Unix(), unix) })
}

// bucketEnd is the end of a bucket, or of the period where that ends before.
func (t *timing) bucketEnd(i int) time.Time {
	if i+1 < len(t.buckets) {
		return t.buckets[i+1]
	}
	return t.bucketsEnd
}
