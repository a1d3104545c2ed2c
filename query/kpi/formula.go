package kpi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// formulaSource is the source of KPIs that are made of other KPIs.
const formulaSource = "formula"

// Version is how a KPI of kind formula is made of others, from a date on: the one in force at as_of counts.
type Version struct {
	From   string  `json:"from" yaml:"from"`     // Date from which it is in force.
	Source string  `json:"source" yaml:"source"` // The text that sets it.
	Groups []Group `json:"groups" yaml:"groups"`

	from time.Time
}

// Group is some items of a formula, whose points add up.
type Group struct {
	ID     string  `json:"id" yaml:"id"`
	Name   Text    `json:"name" yaml:"name"`
	Points float64 `json:"points" yaml:"points"` // The most that it can have: the sum of its items.
	Items  []Item  `json:"items" yaml:"items"`
}

// Item gives points for a rate: points × rate, or with full points × rate ÷ full; never below 0 or above points.
type Item struct {
	KPI    string  `json:"kpi" yaml:"kpi"`                               // A KPI of unit ratio.
	Times  string  `json:"times,omitempty" yaml:"times"`                 // Another, which the rate is multiplied by.
	Points float64 `json:"points" yaml:"points"`                         // The most that it can have.
	Full   float64 `json:"full,omitempty" yaml:"full"`                   // The rate that earns all points; 0 is 1.
	None   string  `json:"without_cases,omitempty" yaml:"without_cases"` // "full" gives all points where there was nothing to be counted.
}

// Score is what a value of a formula is made of.
type Score struct {
	From   string       `json:"from"`   // Date of the version in force.
	Source string       `json:"source"` // The text that sets it.
	Points *float64     `json:"points"` // The sum; null while an item is missing.
	Max    float64      `json:"max"`
	Known  float64      `json:"known"` // The most that the items which are known can have.
	Groups []ScoreGroup `json:"groups"`
}

// ScoreGroup is a group of a score. Points are null while an item is missing.
type ScoreGroup struct {
	ID     string      `json:"id"`
	Name   Text        `json:"name"`
	Points *float64    `json:"points"`
	Max    float64     `json:"max"`
	Items  []ScoreItem `json:"items"`
}

// ScoreItem is an item of a score. Points are null where its KPI has no value.
type ScoreItem struct {
	KPI    string   `json:"kpi"`
	Rate   *float64 `json:"rate"`
	Points *float64 `json:"points"`
	Max    float64  `json:"max"`
}

// part is what a formula reads of a KPI.
type part struct {
	value *float64
	none  bool // There was nothing to be counted.
}

func partOf(value *float64, denominator *int64) part {
	return part{value, value == nil && denominator != nil && *denominator == 0}
}

// inForce is the version in force at a moment; the first is of all time before.
func (d *Definition) inForce(at time.Time) *Version {
	v := &d.Versions[0]
	for i := range d.Versions {
		if !d.Versions[i].from.After(at) {
			v = &d.Versions[i]
		}
	}
	return v
}

// parts are the KPIs that any version names, in order.
func (d *Definition) parts() []string {
	named := map[string]bool{}
	for _, v := range d.Versions {
		for _, g := range v.Groups {
			for _, it := range g.Items {
				named[it.KPI] = true
				if it.Times != "" {
					named[it.Times] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(named))
}

// score computes the points, always in the same order, so that equal parts give equal bits. Missing are the KPIs without a
// value that it would need.
func (v *Version) score(of func(kpi string) part) (s *Score, missing []string) {
	s = &Score{From: v.From, Source: v.Source, Groups: make([]ScoreGroup, len(v.Groups))}
	var total float64
	for i, g := range v.Groups {
		group := ScoreGroup{ID: g.ID, Name: g.Name, Max: g.Points, Items: make([]ScoreItem, len(g.Items))}
		var sum float64
		complete := true
		for k, it := range g.Items {
			item, lacking := it.score(of)
			group.Items[k] = item
			if item.Points == nil {
				complete, missing = false, append(missing, lacking...)
				continue
			}
			sum += *item.Points
			s.Known += item.Max
		}
		if complete {
			group.Points = pointer(sum)
		}
		total += sum
		s.Max += g.Points
		s.Groups[i] = group
	}
	slices.Sort(missing)
	if missing = slices.Compact(missing); len(missing) == 0 {
		s.Points = pointer(total)
	}
	return s, missing
}

func (it *Item) score(of func(kpi string) part) (item ScoreItem, missing []string) {
	item = ScoreItem{KPI: it.KPI, Max: it.Points}
	rate := of(it.KPI)
	if rate.none && it.None == "full" {
		item.Points = pointer(it.Points)
		return item, nil
	}
	if rate.value == nil {
		missing = append(missing, it.KPI)
	}
	if it.Times != "" {
		times := of(it.Times)
		if times.value == nil {
			missing = append(missing, it.Times)
		} else if rate.value != nil {
			rate.value = pointer(*rate.value * *times.value)
		}
	}
	if len(missing) > 0 {
		return item, missing
	}
	item.Rate = rate.value
	points := it.Points * *rate.value
	if it.Full > 0 {
		points = it.Points * *rate.value / it.Full
	}
	item.Points = pointer(max(0, min(it.Points, points)))
	return item, nil
}

// formula makes the answer of the question from those to its parts, which are about the same scope and period. It is the same
// whether they were published or evaluated, as it reads nothing else.
func (e *Evaluator) formula(q *question, parts []*Answer) *Answer {
	def := q.def
	byID := map[string]*Answer{}
	newest := e.newestFlow(parts)
	h := sha256.New()
	var sum uint64
	fmt.Fprintf(h, "%s\n", e.definitions[def.ID])
	for _, a := range parts {
		byID[a.ID] = a
		fmt.Fprintf(h, "%s %s\n", a.ID, a.Revision)
		offsets, _, _ := strings.Cut(strings.TrimPrefix(a.Revision, "r-"), "-")
		n, _ := strconv.ParseUint(offsets, 10, 64) // what is no number only does not grow
		sum += n
	}
	version := def.inForce(newest.AsOf.Time)
	score, missing := version.score(func(kpi string) part {
		if e.before(byID[kpi], newest) {
			return part{none: true}
		}
		return partOf(byID[kpi].Value, byID[kpi].Denominator)
	})
	a := &Answer{
		ID: def.ID, Name: def.Name, Unit: def.Unit, Better: def.Better, Scope: q.scopeName(), Period: newest.Period, AsOf: newest.AsOf,
		Revision: fmt.Sprintf("r-%d-%s", sum, hex.EncodeToString(h.Sum(nil)[:6])), EvaluatedAt: newest.EvaluatedAt,
		Value: score.Points, Status: def.status(score.Points), Definition: e.definitions[def.ID], Notes: []Note{}, Exact: true, Score: score,
	}
	var without, unsent []string
	for _, g := range score.Groups {
		for _, item := range g.Items {
			a.Coverage.Expected++
			if item.Points != nil {
				a.Coverage.Reporting++
			}
			if item.Points != nil && item.Rate == nil {
				without = append(without, item.KPI)
			}
		}
	}
	for _, p := range parts {
		if p.has(NoteIllustrative) && !a.has(NoteIllustrative) {
			a.Notes = append(a.Notes, note(NoteIllustrative))
		}
		a.Exact = a.Exact && p.Exact
		for _, n := range p.Notes {
			if n.Code == NoteNoFeed {
				unsent = append(unsent, n.Items...)
			}
		}
	}
	if len(missing) > 0 {
		a.Notes = append(a.Notes, note(NoteMissingItems, missing...))
	}
	if slices.Sort(unsent); len(unsent) > 0 {
		a.Notes = append(a.Notes, note(NoteNoFeed, slices.Compact(unsent)...))
	}
	if slices.Sort(without); len(without) > 0 {
		a.Notes = append(a.Notes, note(NoteWithoutCases, without...))
	}
	if def.Target != nil {
		a.Target = &def.Target.Value
	}
	return a
}

// newestFlow is the part whose source has come furthest, of those that are counted in a period where there is one: its period
// is that of the score.
func (e *Evaluator) newestFlow(parts []*Answer) *Answer {
	var newest *Answer
	for _, a := range parts {
		if !e.deps.Catalogue.byID[a.ID].standsStill() && (newest == nil || a.AsOf.After(newest.AsOf.Time)) {
			newest = a
		}
	}
	if newest == nil {
		return parts[0]
	}
	return newest
}

// before says that the part is counted in a period before that of the newest: its source has had nothing since that began.
func (e *Evaluator) before(a, newest *Answer) bool {
	return !e.deps.Catalogue.byID[a.ID].standsStill() && a.Period.From.Before(newest.Period.From.Time)
}

// formulaRows are the values of the provinces that any part has a row of.
func (e *Evaluator) formulaRows(q *question, parts []*Answer, asOf time.Time) []Row {
	byPlace := map[string]map[string]part{}
	newest := e.newestFlow(parts)
	for _, a := range parts {
		if e.before(a, newest) {
			continue // it has no cases in the period
		}
		for i := range a.Rows {
			r := &a.Rows[i]
			code := r.Dims[0].Code
			if code == "" {
				continue
			}
			if byPlace[code] == nil {
				byPlace[code] = map[string]part{}
			}
			byPlace[code][a.ID] = partOf(r.Value, r.Denominator)
		}
	}
	version := q.def.inForce(asOf)
	rows := make([]Row, 0, len(byPlace))
	for _, code := range slices.Sorted(maps.Keys(byPlace)) {
		score, _ := version.score(func(kpi string) part {
			found, ok := byPlace[code][kpi]
			if !ok {
				return part{none: true} // no row is a province without cases
			}
			return found
		})
		rows = append(rows, Row{Dims: []Dim{{"province", code}}, Value: score.Points})
	}
	return rows
}

// evaluateFormula evaluates the parts at one reading of the clock.
func (e *Evaluator) evaluateFormula(ctx context.Context, q *question) (*Answer, error) {
	clock := e.now(q)
	var parts []*Answer
	for _, id := range q.def.parts() {
		query := q.Query
		query.KPI, query.Limit, query.Offset, query.Sort = id, 0, 0, ""
		asked, err := e.deps.Catalogue.check(query)
		if err != nil {
			return nil, fmt.Errorf("asking for %s, a part of %s: %w", id, q.KPI, err)
		}
		asked.clock = clock
		a, err := e.answerBy(ctx, e.current.Load(), asked)
		if err != nil {
			return nil, err
		}
		parts = append(parts, a)
	}
	a := e.formula(q, parts)
	if len(q.By) > 0 {
		a.Rows = e.formulaRows(q, parts, a.AsOf.Time)
	}
	return a, nil
}

// publishFormulas adds the values of formulas to a publication, from the values of their parts in it.
func (e *Evaluator) publishFormulas(p *Publication) {
	before := e.current.Load()
	for _, def := range e.deps.Catalogue.all {
		if def.Kind != KindFormula {
			continue
		}
		for _, period := range e.formulaPeriods(def) {
			e.publishFormula(p, before, def, period)
		}
	}
}

func (e *Evaluator) publishFormula(p, before *Publication, def *Definition, period string) {
	q := &question{def: def, Query: Query{KPI: def.ID, Period: period, By: []string{"province"}, Scheme: SchemeGSO34, Scope: Scope{National: true}}}
	rows := make([]*Answer, 0, len(def.parts()))
	var best ranking
	for _, scope := range append([]string{National}, slices.Sorted(maps.Keys(e.deps.Catalogue.province))...) {
		var parts []*Answer
		for _, id := range def.parts() {
			if a := p.Values[Key{id, scope, period}]; a != nil {
				parts = append(parts, a)
			}
		}
		if len(parts) < len(def.parts()) {
			return // a source could not be read yet
		}
		scoped := *q
		if scope == National {
			for _, a := range parts {
				with := *a
				with.Rows = p.rows[item{a.ID, period}]
				rows = append(rows, &with)
			}
		} else {
			scoped.provinces = []string{scope}
		}
		a := e.formula(&scoped, parts)
		if scope == National {
			p.rows[item{def.ID, period}] = e.formulaRows(q, rows, a.AsOf.Time)
			best = def.ranking(p.rows[item{def.ID, period}])
		} else {
			a.Rank = best.of(a.Value)
		}
		key := Key{def.ID, scope, period}
		if was := before.value(key); was != nil && was.Revision == a.Revision && slices.EqualFunc(was.Notes, a.Notes, Note.equal) && was.Rank.equal(a.Rank) {
			a = was // nothing of it has moved
		}
		p.Values[key] = a
	}
}

// formulaHash is the identity of a formula and of all that it is made of.
func (e *Evaluator) formulaHash(def *Definition) string {
	h := sha256.New()
	fmt.Fprintln(h, def.Hash(e.coefficients))
	for _, id := range def.parts() {
		fmt.Fprintln(h, id, e.definitions[id])
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// formulaPeriods are the periods that values of a formula are published over.
func (e *Evaluator) formulaPeriods(def *Definition) []string {
	wanted := []string{def.DefaultPeriod}
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.interest {
		if i.kpi == def.ID && i.period != def.DefaultPeriod {
			wanted = append(wanted, i.period)
		}
	}
	return wanted
}

// partItems adds what a formula reads of a source.
func (e *Evaluator) partItems(def *Definition, source string, wanted map[item]bool) {
	for _, id := range def.parts() {
		if part, _ := e.deps.Catalogue.Get(id); part.Source == source {
			for _, period := range e.formulaPeriods(def) {
				wanted[item{id, period}] = true
			}
		}
	}
}
