package kpi

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"
)

// thing is the newest entry of one thing of a register. An entry that lacks a field leaves it as it was.
type thing struct {
	item, province, province63 string
	codes                      map[string]string
	due                        time.Time // Zero is none.
	order                      int
}

// statement is what reads the register. Its texts are the item and then the columns, in the order of their names.
func (s *source) statement() *registerStatement {
	r := &registerStatement{src: s, rank: s.register.rank, texts: []string{s.register.item}}
	for _, name := range s.register.names() {
		r.texts = append(r.texts, s.register.columns[name])
	}
	if s.register.due != "" {
		r.numbers = []string{s.register.due}
	}
	return r
}

func (r *register) names() []string { return slices.Sorted(maps.Keys(r.columns)) }

// tallyRegisters reads the register once for all questions. dossiers is the greatest event time that is expected of the
// dossiers, for questions that ask which services were used.
func (e *Evaluator) tallyRegisters(ctx context.Context, qs []*question, read *reading, placed []*timing, dossiers time.Time) ([]*tallies, error) {
	entries, err := e.readRegister(ctx, qs[0].def.source.statement(), read)
	if err != nil {
		return nil, err
	}
	out := make([]*tallies, len(qs))
	uses := map[string]*use{} // by period: the questions differ in nothing else
	for i, q := range qs {
		var used *use
		if q.def.asksUse() {
			if used = uses[q.Period]; used == nil {
				if used, err = e.readUse(ctx, q, read.latest, dossiers); err != nil {
					return nil, err
				}
				uses[q.Period] = used
			}
			if placed[i], err = q.timing(e.now(q), later(read.latest, used.latest)); err != nil {
				return nil, err
			}
		}
		out[i] = q.tallyRegister(entries, read, placed[i], used, e.deps.Catalogue)
	}
	return out, nil
}

// tallyRegister looks at the register at the end of the period, and of each bucket.
func (q *question) tallyRegister(entries []registerEntry, read *reading, t *timing, used *use, cat *Catalogue) *tallies {
	out := &tallies{timing: t, positions: read.positions, latest: read.latest, series: make([]tally, len(t.buckets))}
	if used != nil {
		out.positions = slices.Concat(out.positions, used.positions)
	}
	// An excluded bound ends what is seen; without one the moment of as_of itself is seen.
	end := earliest(q.To, q.At, t.asOf.Add(time.Millisecond))
	view := registerView{q: q, cat: cat, fold: newFold(q, entries), from: t.period.From.Time, to: t.period.To.Time, used: used, period: wholePeriod}
	for i, start := range t.buckets {
		bucket := view
		bucket.from, bucket.to, bucket.period = later(start, view.from), t.bucketEnd(i), i
		out.series[i] = bucket.total(earliest(end, bucket.to))
	}
	out.total = view.total(end)
	out.rows = view.rows(end)
	if used != nil { // whether there was any dossier about what is sensitive
		out.hideRows(q, concealed{"service": {sensitiveCodes()["service"].codes[0]: true}})
	}
	out.none.denominator = q.def.Whole
	if len(t.windows) > 1 {
		past := registerView{q: q, cat: cat, fold: newFold(q, entries), from: t.compared.From.Time, to: t.compared.To.Time, used: used, period: comparedPeriod}
		out.compared = past.total(earliest(end, past.to))
	}
	out.sortRows()
	return out
}

// fold is the state of a register, which moves on in time.
type fold struct {
	q       *question
	entries []registerEntry
	next    int
	things  map[string]*thing
	names   []string
}

func newFold(q *question, entries []registerEntry) *fold {
	return &fold{q: q, entries: entries, things: map[string]*thing{}, names: q.def.source.register.names()}
}

// until applies the entries before the moment. Moments must not go back.
func (f *fold) until(end time.Time) {
	for ; f.next < len(f.entries) && f.entries[f.next].at.Before(end); f.next++ {
		e := &f.entries[f.next]
		place := ""
		if f.q.def.source.register.byPlace {
			if place = e.province; f.q.Scheme == SchemeGSO63 {
				place = e.province63
			}
		}
		next := &thing{item: e.texts[0], province: e.province, province63: e.province63, codes: map[string]string{}, order: f.next}
		for i, name := range f.names {
			next.codes[name] = e.texts[i+1]
		}
		if len(e.numbers) > 0 && e.numbers[0] > 0 {
			next.due = moment(int64(e.numbers[0]))
		}
		key := strings.Join([]string{next.codes[listCodes], place, next.item}, "\x00")
		if was := f.things[key]; was != nil {
			next.complete(was)
		}
		f.things[key] = next
	}
}

func (t *thing) complete(was *thing) {
	if t.province == "" {
		t.province, t.province63 = was.province, was.province63
	}
	for name, code := range was.codes {
		if t.codes[name] == "" || t.codes[name] == "unknown" {
			t.codes[name] = code
		}
	}
	if t.due.IsZero() {
		t.due = was.due
	}
}

// code is the thing's code of a dimension.
func (t *thing) code(dimension, scheme string) string {
	switch {
	case dimension != "province":
		return t.codes[dimension]
	case scheme == SchemeGSO63:
		return t.province63
	}
	return t.province
}

// within says whether an entry that names the smallest list it is in belongs to a list: E76 contains E53, which contains
// E25. The codes are in the order of size.
func within(smallest, list string) bool {
	return smallest >= "E25" && smallest <= list
}

// registerView is the part of a register that a question is about.
type registerView struct {
	q        *question
	cat      *Catalogue
	fold     *fold
	from, to time.Time // Of the things that are due.
	used     *use      // Which services had dossiers in the period; nil where nothing asks for it.
	period   int
}

// total counts all that the question is about.
func (v *registerView) total(end time.Time) tally {
	v.fold.until(end)
	things := v.chosen(v.list())
	t := v.count(things, nil, end)
	if v.q.def.Whole > 0 {
		t.denominator = v.whole(v.list()) * int64(max(1, len(v.placesAsked())))
	}
	return t
}

// rows counts by the codes of the question's dimensions. Lists are nested, so a thing may be in several rows.
func (v *registerView) rows(end time.Time) []tallyRow {
	if len(v.q.By) == 0 {
		return nil
	}
	v.fold.until(end)
	lists := []string{v.list()}
	if slices.Contains(v.q.By, listCodes) {
		lists = slices.DeleteFunc(slices.Clone(v.q.def.source.codes[listCodes]), func(list string) bool { return lists[0] != "" && !within(list, lists[0]) })
	}
	var rows []tallyRow
	for _, list := range lists {
		groups := map[string][]*thing{}
		things := v.everywhere(list)
		if !slices.Contains(v.q.By, "province") {
			things = v.chosen(list)
		}
		for _, t := range things {
			if v.ofNation(t) && slices.Contains(v.q.By, "province") {
				continue // the total
			}
			codes := make([]string, len(v.q.By))
			for i, dimension := range v.q.By {
				if codes[i] = t.code(dimension, v.q.Scheme); dimension == listCodes {
					codes[i] = list
				}
			}
			key := strings.Join(codes, "\x00")
			groups[key] = append(groups[key], t)
		}
		for key, things := range groups {
			codes := strings.Split(key, "\x00")
			row := v.count(things, codes, end)
			if v.q.def.Whole > 0 {
				row.denominator = v.whole(list)
			}
			if row.base > 0 {
				rows = append(rows, tallyRow{codes, row})
			}
		}
	}
	return rows
}

// list is the list that the question is about: the smaller of the definition's and the filter's; empty is none.
func (v *registerView) list() string {
	list := v.q.def.list()
	if asked := v.q.Filters[listCodes]; len(asked) > 0 {
		if widest := asked[len(asked)-1]; list == "" || widest < list { // sorted, and a list contains those before it
			list = widest
		}
	}
	return list
}

// list is the list that a definition names; empty is none.
func (d *Definition) list() string {
	for _, c := range d.numerator.conditions {
		if c.dimension == listCodes {
			return c.codes[0]
		}
	}
	return ""
}

// whole is what a count over a list is out of: the lists are named for their size.
func (v *registerView) whole(list string) int64 {
	if size, ok := map[string]int64{"E25": 25, "E53": 53, "E76": 76}[list]; ok && list != v.q.def.list() {
		return size
	}
	return v.q.def.Whole
}

// placesAsked are the provinces that a question names, in its scheme.
func (v *registerView) placesAsked() []string {
	if asked := v.q.Filters["province"]; asked != nil {
		return asked
	}
	return v.q.provinces
}

// chosen are the things that the total counts. Where each place has entries of its own, the nation's total is of the
// nation's entries.
func (v *registerView) chosen(list string) []*thing {
	things := v.everywhere(list)
	if v.q.def.source.register.byPlace && v.placesAsked() == nil {
		things = slices.DeleteFunc(things, func(t *thing) bool { return !v.ofNation(t) })
	}
	return things
}

// ofNation says whether the thing is an entry of the nation's own, beside those of the provinces.
func (v *registerView) ofNation(t *thing) bool {
	return v.q.def.source.register.byPlace && t.province == ""
}

// everywhere are the things that the filters, the list and the period admit, each once though several lists hold it.
func (v *registerView) everywhere(list string) []*thing {
	same := map[string][]*thing{}
	for _, t := range v.fold.things {
		if list != "" && !within(t.codes[listCodes], list) || !v.admits(t) {
			continue
		}
		key := t.item
		if v.q.def.source.register.byPlace {
			key += "\x00" + t.code("province", v.q.Scheme)
		}
		same[key] = append(same[key], t)
	}
	things := make([]*thing, 0, len(same))
	for _, one := range same {
		things = append(things, v.once(one, list))
	}
	return things
}

// once is the newest of what lists say about one thing. Where no list is asked about, a field that it lacks is that of the
// one before, and the highest level of all counts.
func (v *registerView) once(same []*thing, list string) *thing {
	slices.SortFunc(same, func(a, b *thing) int { return cmp.Compare(b.order, a.order) })
	highest := v.q.def.source.register.highest
	if len(same) == 1 || highest == "" || list != "" {
		return same[0]
	}
	one := *same[0]
	one.codes = maps.Clone(one.codes)
	best := v.q.def.source.codes[highest][1:]
	for _, other := range same[1:] {
		one.complete(other)
		at, than := slices.Index(best, other.codes[highest]), slices.Index(best, one.codes[highest])
		if at >= 0 && (than < 0 || at < than) {
			one.codes[highest] = other.codes[highest]
		}
	}
	return &one
}

func (v *registerView) admits(t *thing) bool {
	if v.q.provinces != nil && !slices.Contains(v.q.provinces, t.province) {
		return false
	}
	for dimension, codes := range v.q.Filters {
		if dimension != listCodes && !slices.Contains(codes, t.code(dimension, v.q.Scheme)) {
			return false
		}
	}
	return !v.q.def.source.register.byDue || !t.due.Before(v.from) && t.due.Before(v.to) // without a due time it is in no period
}

// count tallies things, of the row of codes where there is one. Its base are those that the definition is about,
// whatever their state.
func (v *registerView) count(things []*thing, codes []string, end time.Time) tally {
	var t tally
	met := [2]map[string]bool{{}, {}}
	for _, one := range things {
		code := func(dimension string) string {
			if slices.Contains(useCodes, dimension) {
				return v.used.code(dimension, v.period, one, v.q.Scheme)
			}
			return one.code(dimension, SchemeGSO34)
		}
		if !v.about(one) {
			continue
		}
		t.base++
		if one.province != "" {
			add(&t.reporting, one.province)
		}
		for i, e := range []*expression{v.q.def.numerator, v.q.def.denominator} {
			if e == nil || !e.without(listCodes).holds(code) {
				continue
			}
			if e.measure != "provinces" {
				met[i][one.item+"\x00"+one.code("province", v.q.Scheme)] = true
			} else if place := v.placeThen(one, end); place != "" {
				met[i][place] = true
			}
		}
	}
	t.numerator, t.denominator = int64(len(met[0])), int64(len(met[1]))
	if e := v.q.def.denominator; e != nil && e.measure == "all_provinces" && t.base > 0 {
		t.denominator = v.allProvinces(codes, end)
	}
	return t
}

// about says whether the definition is about the thing, in whatever state it is.
func (v *registerView) about(t *thing) bool {
	states := append(append([]string{listCodes}, useCodes...), v.q.def.source.register.states...)
	return v.q.def.numerator.without(states...).holds(func(dimension string) string { return t.code(dimension, SchemeGSO34) })
}

// merged is when the 63 provinces became 34.
var merged = time.Date(2025, 7, 1, 0, 0, 0, 0, zone)

// placeThen is the province of the thing in the scheme of the date.
func (v *registerView) placeThen(t *thing, end time.Time) string {
	if v.now(end).Before(merged) {
		return t.province63
	}
	return t.province
}

// now is the last moment that is seen.
func (v *registerView) now(end time.Time) time.Time { return end.Add(-time.Millisecond) }

// allProvinces is how many provinces there are in the scheme of the date, of those asked for.
func (v *registerView) allProvinces(codes []string, end time.Time) int64 {
	asked := v.placesAsked()
	if at := slices.Index(v.q.By, "province"); at >= 0 && codes != nil {
		asked = []string{codes[at]}
	}
	old := v.now(end).Before(merged)
	switch {
	case asked == nil && old:
		return int64(len(v.cat.places.Provinces63()))
	case asked == nil:
		return int64(len(v.cat.province))
	case old && v.q.Scheme == SchemeGSO34:
		n := 0
		for _, code := range asked {
			p, _ := v.cat.places.Province34(code)
			n += len(p.MergedFrom)
		}
		return int64(n)
	case !old && v.q.Scheme == SchemeGSO63:
		parents := map[string]bool{}
		for _, code := range asked {
			parents[v.cat.parent63[code]] = true
		}
		return int64(len(parents))
	}
	return int64(len(asked))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
