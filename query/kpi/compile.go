package kpi

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"ioc.local/internal/reference"
)

// plan is one statement over one table: sums by dimensions, for several windows at once. The statement reads counts and
// position rows in one SELECT of one table, so what it counts is exactly the events below the positions that it returns.
type plan struct {
	source       *source
	table        *table
	coefficients *reference.Coefficients
	by           []string
	scheme       string
	filters      map[string][]string
	provinces    []string // Of the 34-scheme; nil is all.
	windows      []window
	columns      []column
	bucket       grain // 0 sums over time.
	eligible     []string
	// place is a column that cells are told apart by, besides by; empty is none.
	place string

	// floor and ceiling bound as_of, which is known only once the statement has read the position rows. Deadlines are
	// counted at floor; those between the two come in rows of their own, so that they can be judged at as_of exactly.
	floor, ceiling time.Time
}

// column is one sum of the statement.
type column struct {
	expression *expression
	window     int
	series     bool // Each bucket is its own period: Now is at most the bucket's end.
}

// column adds a sum, once, and returns its place.
func (p *plan) column(e *expression, window int, series bool) int {
	series = series && p.source.measures[e.measure].dated()
	for i, c := range p.columns {
		if c.window == window && c.series == series && c.expression.equal(e) {
			return i
		}
	}
	p.columns = append(p.columns, column{e, window, series})
	return len(p.columns) - 1
}

// window adds a window, once, and returns its place.
func (p *plan) window(w window) int {
	for i, known := range p.windows {
		if known.from.Equal(w.from) && known.upper.Equal(w.upper) && known.end.Equal(w.end) && known.seen.Equal(w.seen) && slices.EqualFunc(known.about, w.about, condition.equal) {
			return i
		}
	}
	p.windows = append(p.windows, w)
	return len(p.windows) - 1
}

const zoneSQL = "'Asia/Ho_Chi_Minh'"

// statement is the SQL, its parameters, and what its rows hold. Nothing that a user wrote is in the text.
//
// It sums by province besides, to tell which report. Where these sums may be many, as those of buckets, agencies, or services with
// coefficients, ClickHouse sums them up again, which takes it some milliseconds to plan.
func (p *plan) statement() (string, []any, *layout) {
	b := &builder{}
	l := p.layout(b)
	var names []string
	for i, dimension := range p.by {
		name := fmt.Sprintf("d%d", i)
		b.inner("%s AS %s", p.table.groupedColumn(dimension, p.scheme), name)
		names = append(names, name)
		if dimension == "province" && p.scheme == SchemeGSO34 {
			l.province = i
		}
	}
	if p.place != "" {
		b.inner("toString(%s) AS place", p.place)
		names = append(names, "place")
	}
	l.dims = len(names)
	names = append(names, "bucket", "topic", "partition", "crossing", "segment")
	b.inner("%s AS bucket", p.bucketSQL()).inner("topic").inner("partition")
	crossing := "toInt64(0)"
	if p.floats() {
		crossing = fmt.Sprintf("if(topic = '' AND overdue_at >= %s AND overdue_at < %s, toUnixTimestamp64Milli(overdue_at), toInt64(0))",
			b.moment(p.floor), b.moment(p.ceiling))
	}
	b.inner("%s AS crossing", crossing).inner("%s AS segment", p.segmentSQL(b, l.segments))
	b.inner("max(position) AS seen_position").inner("max(latest) AS seen_latest")
	for i, sum := range l.sums {
		b.inner("%s AS c%d", sum.sql, i)
	}
	for i, about := range l.abouts {
		b.inner("%s AS base%d", sumSQL("toInt64(n)", about), i)
	}
	l.nested = p.source.coefficients || l.province < 0 && (p.bucket != 0 || slices.ContainsFunc(p.by, p.source.open))
	groups := strings.Join(names, ", ")
	parts := groups
	if l.province < 0 {
		b.inner("province AS area")
		parts += ", area"
	}
	if p.source.coefficients {
		b.inner("service_id AS service")
		parts += ", service"
	}
	from := fmt.Sprintf("FROM %s\nWHERE (topic = '' AND (%s)%s) OR (topic != '' AND %s)\nGROUP BY %s",
		p.table.name, strings.Join(p.admitted(b), " OR "), p.filterSQL(b), p.positionSQL(), parts)
	sql := "SELECT " + strings.Join(b.columns, ", ") + "\n" + from
	if l.nested {
		with, sums := p.nest(b, l)
		sql = fmt.Sprintf("%sSELECT %s, max(seen_position), max(seen_latest), %s\nFROM (\n%s\n)\nGROUP BY %s", with, groups, sums, sql, groups)
	}
	return sql, b.parameters, l
}

// nest says how the sums by province, and by service, are summed up, and what is defined for that.
func (p *plan) nest(b *builder, l *layout) (with, sums string) {
	var all []string
	area := "area"
	if l.province >= 0 {
		area = fmt.Sprintf("d%d", l.province)
	}
	for i, sum := range l.sums {
		weight := ""
		if sum.weighed {
			weight = " * coefficient"
		}
		all = append(all, fmt.Sprintf("sum(c%d%s)", i, weight))
	}
	for i := range l.abouts {
		all = append(all, fmt.Sprintf("sum(base%d)", i))
	}
	for i := range l.abouts {
		all = append(all, fmt.Sprintf("groupUniqArrayIf(toString(%s), %[1]s != '' AND base%d > 0)", area, i))
		if p.source.coefficients {
			all = append(all, fmt.Sprintf("groupUniqArrayIf(toString(service), base%d > 0 AND without_coefficient)", i))
		}
	}
	if p.source.coefficients {
		with = p.coefficientSQL(b, l)
	}
	return with, strings.Join(all, ", ")
}

// floats says whether the plan counts deadlines at a moment that depends on as_of.
func (p *plan) floats() bool {
	for _, c := range p.columns {
		if p.source.measures[c.expression.measure].deadline != 0 && p.windows[c.window].now(p.ceiling).After(p.floor) {
			return true
		}
	}
	return false
}

// columnSQL are the conditions of the rows that the column counts of its window.
func (p *plan) columnSQL(b *builder, c column) []string {
	var parts []string
	for _, condition := range c.expression.conditions {
		parts = append(parts, p.conditionSQL(condition))
	}
	w, m := p.windows[c.window], p.source.measures[c.expression.measure]
	now := func(asOf time.Time) string {
		sql := b.moment(w.now(asOf))
		if c.series {
			sql = fmt.Sprintf("least(toDateTime64(%s, 3, %s), %s)", p.bucketEndSQL(), zoneSQL, sql)
		}
		return sql
	}
	switch m.deadline {
	case onTime:
		parts = append(parts, "overdue_at >= "+now(p.floor))
	case openLate: // those that cross the line between floor and ceiling come in rows of their own
		parts = append(parts, "overdue_at < "+now(p.ceiling))
	}
	seen := p.seenSQL(b, c)
	if m.follows && p.table.seen != "" && seen != "" {
		parts = append(parts, p.table.seen+" < "+seen)
	}
	if m.until != "" {
		never := m.until + " = toDate(0)"
		if seen != "" {
			never = fmt.Sprintf("(%s OR %s >= %s)", never, m.until, seen)
		}
		parts = append(parts, never)
	}
	return parts
}

// seenSQL is the day before which the column sees what happened; empty where it sees everything.
func (p *plan) seenSQL(b *builder, c column) string {
	w := p.windows[c.window]
	switch {
	case w.seen.IsZero() && c.series:
		return p.bucketEndSQL()
	case w.seen.IsZero():
		return ""
	case c.series:
		return fmt.Sprintf("least(%s, %s)", p.bucketEndSQL(), b.date(w.seen))
	}
	return b.date(w.seen)
}

func (p *plan) conditionSQL(c condition) string {
	in := "IN"
	if c.not {
		in = "NOT IN"
	}
	// The catalogue lets only letters, digits and _-./: into codes. They are compared with the column itself, not with its text,
	// which would be made of each row.
	return fmt.Sprintf("%s %s ('%s')", p.table.columns[c.dimension], in, strings.Join(c.codes, "', '"))
}

// windowSQL is the condition of what is about a window.
func (p *plan) windowSQL(b *builder, w window) string {
	return "(" + strings.Join(append(p.spanSQL(b, w), p.aboutSQL(w)...), " AND ") + ")"
}

// admitted are the conditions of the rows that are read for the windows. Codes that another source tells are looked up in what was
// read, not in all rows of the table, and windows that lie in others need no condition.
func (p *plan) admitted(b *builder) []string {
	stored := slices.Clone(p.windows)
	for i, w := range stored {
		stored[i].about = slices.DeleteFunc(slices.Clone(w.about), func(c condition) bool { return p.source.derived(c.dimension) })
	}
	var conditions []string
windows:
	for i, w := range stored {
		for j, other := range stored {
			if i != j && other.holds(w) && (j < i || !w.holds(other)) {
				continue windows
			}
		}
		conditions = append(conditions, p.windowSQL(b, w))
	}
	return conditions
}

func (p *plan) spanSQL(b *builder, w window) []string {
	return []string{p.table.time + " >= " + p.boundSQL(b, w.from), p.table.time + " < " + p.boundSQL(b, w.upper)}
}

// positionSQL finds the position rows by the primary key: their time is the zero of its type, and what stands before it is empty.
func (p *plan) positionSQL() string {
	switch {
	case p.table.key != "":
		return p.table.columns[p.table.key] + " = '' AND " + p.table.time + " = toDate(0)"
	case p.table.grain == day:
		return p.table.time + " = toDate(0)"
	}
	return fmt.Sprintf("%s = toDateTime(0, %s)", p.table.time, zoneSQL)
}

// bucketSQL is the start of the row's bucket in seconds since 1970; 0 on position rows.
func (p *plan) bucketSQL() string {
	if p.bucket == 0 {
		return "toInt64(0)"
	}
	return fmt.Sprintf("if(topic = '', toInt64(toUnixTimestamp(toDateTime(%s, %s))), toInt64(0))", p.bucketStartSQL(), zoneSQL)
}

func (p *plan) bucketStartSQL() string {
	switch p.bucket {
	case p.table.grain:
		return p.table.time
	case minute:
		return "toStartOfMinute(" + p.table.time + ")"
	case hour:
		return "toStartOfHour(" + p.table.time + ")"
	case week:
		return "toMonday(" + p.table.time + ")"
	case month:
		return "toStartOfMonth(" + p.table.time + ")"
	}
	return "toStartOfDay(" + p.table.time + ")"
}

// bucketEndSQL is used with deadlines, whose table is by day.
func (p *plan) bucketEndSQL() string {
	switch p.bucket {
	case week:
		return "addDays(toMonday(day), 7)"
	case month:
		return "addMonths(toStartOfMonth(day), 1)"
	}
	return "addDays(day, 1)"
}

func (p *plan) filterSQL(b *builder) string {
	sql := ""
	for _, dimension := range p.source.dimensionNames() {
		if wanted := p.filters[dimension]; wanted != nil {
			in := fmt.Sprintf("IN {%s:Array(String)}", b.set("filter_"+dimension, wanted))
			sql += " AND " + p.table.groupedColumn(dimension, p.scheme) + " " + in
			if dimension == p.table.key { // what is shown of a code is not in the primary key, the code is
				sql += " AND " + p.table.columns[dimension] + " " + in
			}
		}
	}
	if p.provinces != nil {
		sql += fmt.Sprintf(" AND province IN {%s:Array(String)}", b.set("provinces", p.provinces))
	}
	return sql
}

// builder collects the inner columns and the parameters of a statement.
type builder struct {
	columns    []string
	parameters []any
	known      map[string]string
}

func (b *builder) inner(format string, args ...any) *builder {
	b.columns = append(b.columns, fmt.Sprintf(format, args...))
	return b
}

func (b *builder) set(name string, value any) string {
	b.parameters = append(b.parameters, clickhouse.Named(name, value))
	return name
}

// date, second and moment are parameters of the three types of time; equal times share one.
func (b *builder) date(t time.Time) string {
	return b.timed("{%s:Date}", t.In(zone).Format(time.DateOnly))
}

func (b *builder) second(t time.Time) string {
	return b.timed("toDateTime({%s:Int64}, "+zoneSQL+")", t.Unix())
}

func (b *builder) moment(t time.Time) string {
	return b.timed("fromUnixTimestamp64Milli({%s:Int64}, "+zoneSQL+")", t.UnixMilli())
}

func (b *builder) timed(format string, value any) string {
	key := fmt.Sprint(format, value)
	if b.known[key] == "" {
		if b.known == nil {
			b.known = map[string]string{}
		}
		b.known[key] = fmt.Sprintf("t%d", len(b.known))
		b.set(b.known[key], value)
	}
	return fmt.Sprintf(format, b.known[key])
}

// equal says whether the expressions are the same sum.
func (e *expression) equal(other *expression) bool {
	return e.measure == other.measure && slices.EqualFunc(e.conditions, other.conditions, condition.equal)
}

func (c condition) equal(other condition) bool {
	return c.dimension == other.dimension && c.not == other.not && slices.Equal(c.codes, other.codes)
}

// about are the conditions of all that the definition counts: what does not meet them is no fact of the KPI's.
func (d *Definition) about() []condition {
	shared := slices.Clone(d.numerator.conditions)
	for _, e := range d.sums() {
		if e == d.feed {
			continue // it is of the same facts
		}
		shared = slices.DeleteFunc(shared, func(c condition) bool { return !slices.ContainsFunc(e.conditions, c.equal) })
	}
	return shared
}

// follows says whether the definition counts what happens to things later.
func (d *Definition) follows() bool {
	return slices.ContainsFunc(d.sums(), func(e *expression) bool { return d.source.measures[e.measure].follows })
}

// dated says whether what the definition counts depends on the moment at which it is asked.
func (d *Definition) dated() bool {
	return slices.ContainsFunc(d.sums(), func(e *expression) bool { return d.source.measures[e.measure].dated() })
}

// within says whether a table has every dimension that the definition names.
func (d *Definition) within(t *table) bool {
	return !slices.ContainsFunc(d.sums(), func(e *expression) bool {
		return slices.ContainsFunc(e.conditions, func(c condition) bool { return t.columns[c.dimension] == "" })
	})
}

// names says whether a sum of the definition has a condition on one of the dimensions.
func (d *Definition) names(dimensions ...string) bool {
	return slices.ContainsFunc(d.sums(), func(e *expression) bool {
		return slices.ContainsFunc(e.conditions, func(c condition) bool { return slices.Contains(dimensions, c.dimension) })
	})
}

// sums are all sums that the definition is made of.
func (d *Definition) sums() (all []*expression) {
	for _, e := range []*expression{d.numerator, d.denominator, d.feed} {
		if e != nil {
			all = append(all, e)
		}
	}
	return all
}
