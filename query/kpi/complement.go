package kpi

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Ordinary KPIs count what is sensitive in their totals, under no code of its own. A reader who takes all other codes off
// a total, or off what another question gives, is left with it. So where a number of it is small the codes that follow it
// are hidden with it, in the order of the codes, until they and it are minCell together: its complements. They are the same
// for every question about the places and days, whatever else it asks, so that no two answers can be set against each
// other; a KPI that counts fewer may hide more of them, but always the first.
//
// A number is small where any is of those that questions can be told apart by: of one day and place, and of one code of
// every dimension of the table. Then a period that differs by a day, or the sum of the channels but one, is not small.

// minCell is the smallest count of what is sensitive that ordinary KPIs may give away.
const minCell = 10

// concealed are the codes, by dimension, that an answer must not tell.
type concealed map[string]map[string]bool

// tellsApart says whether the question names a dimension that tells what is sensitive from the rest.
func (q *question) tellsApart() bool {
	if q.def.Sensitive || q.def.source.form != rollup {
		return false // protected by itself, or of no facts about persons
	}
	for dimension := range sensitiveCodes() {
		if slices.Contains(q.By, dimension) || q.Filters[dimension] != nil {
			return true
		}
	}
	return false
}

// conceal hides what would give away small numbers of what is sensitive. The plan is the one that the tallies were read with.
func (e *Evaluator) conceal(ctx context.Context, p *plan, q *question, t *tallies) error {
	if !q.tellsApart() {
		return nil
	}
	counted := t.positions
	if p.table.key != "" { // what is hidden depends on no table that has fewer dimensions
		whole := *p
		whole.table = &p.source.tables[slices.IndexFunc(p.source.tables, func(t table) bool { return !t.narrow })]
		p = &whole
	}
	key := "service"
	if p.table.columns[key] == "" {
		key = "kind"
	}
	hidden, err := e.hidden.of(p.concealment(counted), func() (hidden concealed, lasting bool, err error) {
		if lasting, err = e.hasCounted(ctx, p, counted); err != nil {
			return nil, false, err
		}
		small, err := e.hasSmall(ctx, p)
		if err != nil || !small {
			return nil, lasting, err
		}
		hidden, err = e.complements(ctx, p, key)
		return hidden, lasting, err
	})
	if err != nil || hidden == nil {
		return err
	}
	t.hide(q, hidden)
	return nil
}

// concealment names all that decides what is hidden of a plan's answers: how far its table has counted, and what the statements
// about it ask.
func (p *plan) concealment(counted positions) string {
	b := &builder{}
	facts, parts := p.factSQL(b), p.partSQL(b)
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %s %q %v %q", counted.hash(), p.table.name, facts, parts, b.parameters, p.eligible)
	return string(h.Sum(nil))
}

// hasCounted says whether the plan's table has come as far as the positions, which may be another's.
func (e *Evaluator) hasCounted(ctx context.Context, p *plan, wanted positions) (bool, error) {
	has := positions{}
	sql := fmt.Sprintf("SELECT topic, partition, max(position) FROM %s WHERE topic != '' AND %s GROUP BY topic, partition", p.table.name, p.positionSQL())
	err := e.query(ctx, sql, nil, func(rows driver.Rows) error {
		at := position{family: p.source.family}
		err := rows.Scan(&at.topic, &at.partition, &at.offset)
		has = append(has, at)
		return err
	})
	lacks := func(want position) bool {
		return !strings.HasPrefix(want.topic, "~") && !slices.ContainsFunc(has, func(at position) bool {
			return at.topic == want.topic && at.partition == want.partition && at.offset >= want.offset
		})
	}
	return !slices.ContainsFunc(wanted, lacks), err
}

// maxConcealments bounds what is remembered of them.
const maxConcealments = 1024

// concealments remembers what is hidden, as it is the same for all services of the places and days that a question is about, and two
// statements to find out. The zero value is ready.
type concealments struct {
	mu    sync.Mutex
	known map[string]concealed
}

// of gives what is hidden, and finds it out if it is not remembered. It is remembered where that lasts.
func (c *concealments) of(key string, find func() (hidden concealed, lasting bool, err error)) (concealed, error) {
	c.mu.Lock()
	hidden, known := c.known[key]
	c.mu.Unlock()
	if known {
		return hidden, nil
	}
	hidden, lasting, err := find()
	if err != nil || !lasting {
		return hidden, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxConcealments {
		c.known = map[string]concealed{}
	}
	c.known[key] = hidden
	return hidden, nil
}

// forget forgets all.
func (c *concealments) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = nil
}

// hasSmall says whether the plan counts a small number of what is sensitive.
func (e *Evaluator) hasSmall(ctx context.Context, p *plan) (small bool, err error) {
	b := &builder{}
	var cells []string
	for dimension, column := range p.table.columns {
		if !p.source.derived(dimension) {
			cells = append(cells, column)
		}
	}
	cells = append(cells, p.table.time, "province63")
	slices.Sort(cells)
	sql := fmt.Sprintf("SELECT count() > 0 FROM (SELECT 1 FROM %s WHERE %s AND %s GROUP BY %s HAVING arrayExists(x -> abs(x) BETWEEN 1 AND %d, [%s]))",
		p.table.name, p.factSQL(b), p.sensitiveSQL(), strings.Join(cells, ", "), minCell-1, strings.Join(p.partSQL(b), ", "))
	if ctx, err = p.withEligible(ctx, sql); err != nil {
		return false, err
	}
	err = e.query(ctx, sql, b.parameters, func(rows driver.Rows) error { return rows.Scan(&small) })
	return small, err
}

// complements are what is sensitive and the codes of the key that hide it, with all that tells these.
func (e *Evaluator) complements(ctx context.Context, p *plan, key string) (concealed, error) {
	b := &builder{}
	procedure := "''"
	if column := p.table.columns[procedureCodes]; column != "" {
		procedure = "toString(" + column + ")"
	}
	sql := fmt.Sprintf("SELECT toBool(%s) AS is_sensitive, %s AS key_code, %s AS procedure_told, [%s]::Array(Int64) FROM %s WHERE %s GROUP BY is_sensitive, key_code, procedure_told",
		p.sensitiveSQL(), p.table.shownColumn(key, SchemeGSO34), procedure, strings.Join(p.partSQL(b), ", "), p.table.name, p.factSQL(b))
	ctx, err := p.withEligible(ctx, sql)
	if err != nil {
		return nil, err
	}
	var together []int64 // what is hidden, by part
	byCode, procedures := map[string][]int64{}, map[string][]string{}
	err = e.query(ctx, sql, b.parameters, func(rows driver.Rows) error {
		var (
			sensitive  bool
			code, told string
			parts      []int64
		)
		if err := rows.Scan(&sensitive, &code, &told, &parts); err != nil {
			return err
		}
		if sensitive {
			together = plus(together, parts)
			return nil
		}
		byCode[code] = plus(byCode[code], parts)
		procedures[code] = append(procedures[code], told)
		return nil
	})
	if err != nil {
		return nil, err
	}
	sensitive := slices.Clone(together)
	hidden := concealed{key: {sensitiveCodes()[key].shownAs: true}, procedureCodes: {"": true}}
	for _, code := range e.following(p.source, key) {
		hidden[key][code] = true
		for _, told := range procedures[code] {
			hidden[procedureCodes][told] = true
		}
		together = plus(together, byCode[code])
		if covers(together, sensitive) {
			break
		}
	}
	return hidden, nil
}

// following are the codes of the key after the first sensitive one, and then those before it.
func (e *Evaluator) following(src *source, key string) []string {
	codes := src.codes[key]
	if codes == nil {
		for _, s := range e.deps.Catalogue.places.Services() {
			codes = append(codes, s.ID)
		}
	}
	sensitive := sensitiveCodes()[key]
	at := slices.Index(codes, sensitive.codes[0])
	return slices.DeleteFunc(slices.Concat(codes[at+1:], codes[:at]), func(code string) bool {
		return slices.Contains(sensitive.codes, code) || code == sensitive.shownAs
	})
}

// covers says whether what is hidden together is no small number of anything that there is sensitive.
func covers(together, sensitive []int64) bool {
	for i, n := range together {
		if sensitive[i] != 0 && n < minCell {
			return false
		}
	}
	return true
}

func plus(sum, parts []int64) []int64 {
	if sum == nil {
		return slices.Clone(parts)
	}
	for i, n := range parts {
		sum[i] += n
	}
	return sum
}

// partSQL are the numbers that the plan gives away: the facts of each window, and what is counted of them. Money is not
// among them, as it says no more than the dossiers do.
func (p *plan) partSQL(b *builder) []string {
	conditions := make([]string, len(p.windows))
	var parts []string
	for i, w := range p.windows {
		conditions[i] = p.windowSQL(b, w)
		parts = append(parts, fmt.Sprintf("toInt64(sumIf(toInt64(n), %s))", conditions[i]))
	}
	if p.source.coefficients {
		return parts
	}
	for _, c := range p.columns {
		parts = append(parts, fmt.Sprintf("toInt64(%s)", sumSQL(p.source.measures[c.expression.measure].sql, append([]string{conditions[c.window]}, p.columnSQL(b, c)...))))
	}
	return parts
}

// factSQL admits the facts of the plan's places and windows, whatever its filters are.
func (p *plan) factSQL(b *builder) string {
	conditions := make([]string, len(p.windows))
	for i, w := range p.windows {
		conditions[i] = p.windowSQL(b, w)
	}
	sql := "topic = '' AND (" + strings.Join(conditions, " OR ") + ")"
	if p.provinces != nil {
		sql += fmt.Sprintf(" AND province IN {%s:Array(String)}", b.set("provinces", p.provinces))
	}
	return sql
}

// sensitiveSQL admits what is sensitive.
func (p *plan) sensitiveSQL() string {
	var parts []string
	hidden := sensitiveCodes()
	for _, dimension := range slices.Sorted(maps.Keys(hidden)) {
		if p.table.columns[dimension] != "" {
			parts = append(parts, p.conditionSQL(condition{dimension: dimension, codes: hidden[dimension].codes}))
		}
	}
	return "(" + strings.Join(parts, " OR ") + ")"
}

// hide hides what tells the concealed codes: everything where the question is confined to any of them, else their rows.
func (t *tallies) hide(q *question, hidden concealed) {
	for dimension, asked := range q.Filters {
		if slices.ContainsFunc(asked, func(code string) bool { return hidden[dimension][code] }) {
			t.hideAll()
		}
	}
	for i, dimension := range q.By {
		t.addRows(i, slices.Sorted(maps.Keys(hidden[dimension])))
	}
	t.hideRows(q, hidden)
	t.sortRows()
}

func (t *tallies) hideRows(q *question, hidden concealed) {
	for i := range t.rows {
		for k, dimension := range q.By {
			if hidden[dimension][t.rows[i].codes[k]] {
				t.rows[i].tally.hidden = true
			}
		}
	}
}

func (t *tallies) hideAll() {
	t.total.hidden, t.compared.hidden, t.none.hidden = true, true, true
	for i := range t.series {
		t.series[i].hidden = true
	}
	for i := range t.rows {
		t.rows[i].tally.hidden = true
	}
}

// addRows adds the rows that there are none of, beside the other codes of each row: where only some of what is hidden had
// a row, a reader would know of the others that there is nothing.
func (t *tallies) addRows(at int, codes []string) {
	seen := map[string]bool{}
	for _, row := range t.rows {
		seen[strings.Join(row.codes, "\x00")] = true
	}
	for _, row := range slices.Clone(t.rows) {
		for _, code := range codes {
			beside := slices.Clone(row.codes)
			beside[at] = code
			if key := strings.Join(beside, "\x00"); !seen[key] {
				seen[key] = true
				t.rows = append(t.rows, tallyRow{beside, tally{hidden: true}})
			}
		}
	}
}
