package kpi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// National is the scope of a Key over all facts.
const National = "national"

// Key names one published value.
type Key struct {
	KPI    string
	Scope  string // National or a province code of the 34-scheme.
	Period string
}

// Publication is the set of current values: every KPI over its default period, and over the periods asked for with
// AddInterest, in every scope. It never changes.
type Publication struct {
	Number uint64          // Counts publications of this process, from 1.
	At     time.Time       // When it was made.
	AsOf   time.Time       // Greatest as_of of its values.
	Values map[Key]*Answer // Without rows, series and comparison.

	rows        map[item][]Row    // By province.
	generations map[string]uint64 // Publication that last evaluated a source.
}

// item is one KPI over one named period.
type item struct{ kpi, period string }

// publishedSource is what the publication holds of one source.
type publishedSource struct {
	hash       string    // Of the positions that its values depend on, as the witnesses had them before.
	counted    string    // The positions that its values were counted at.
	behind     time.Time // Since when values count less than the witnesses show; zero where they do not.
	latest     time.Time // Of the live source.
	asOf       time.Time // The greatest.
	clock      time.Time // When it was evaluated.
	clockBound bool      // A value changes with the clock.
	daily      bool      // A value changes with the day.
	items      []item
	values     map[Key]*Answer
	rows       map[item][]Row
	generation uint64
}

// Current returns the newest publication; nil before the first.
func (e *Evaluator) Current() *Publication { return e.current.Load() }

// Subscribe returns a channel that holds the newest publication not yet received, if any: who is slow skips those
// between. cancel closes it.
func (e *Evaluator) Subscribe() (publications <-chan *Publication, cancel func()) {
	ch := make(chan *Publication, 1)
	e.mu.Lock()
	defer e.mu.Unlock()
	if p := e.current.Load(); p != nil {
		ch <- p
	}
	e.subscribers[ch] = true
	return ch, sync.OnceFunc(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.subscribers, ch)
		close(ch)
	})
}

// AddInterest asks for values of the KPI over a named period other than its default, in every scope, until release is
// called. Errors are *Error.
func (e *Evaluator) AddInterest(kpi, period string) (release func(), err error) {
	if _, err := e.deps.Catalogue.check(Query{KPI: kpi, Period: period, Scope: Scope{National: true}}); err != nil {
		return nil, err
	}
	wanted := item{kpi, period}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.interest[wanted]++
	return sync.OnceFunc(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.interest[wanted]--; e.interest[wanted] == 0 {
			delete(e.interest, wanted)
		}
	}), nil
}

// What was asked for and is not published is published for askedFor, at most maxAsked of it, so that those who ask again and
// again, as a wall does, are answered from the publication and cost no statement each.
const (
	askedFor = time.Minute
	maxAsked = 256
)

// ask notes that the item was asked for. What is published anyway needs no note.
func (e *Evaluator) ask(of item, def *Definition, published bool) {
	if def.Kind == KindFormula { // made of the values of its parts
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, known := e.asked[of]; known || !published && len(e.asked) < maxAsked {
		e.asked[of] = e.deps.Now()
	}
}

// Run publishes until ctx ends, and returns nil then. Errors of the warehouse do not end it: the last publication stays.
func (e *Evaluator) Run(ctx context.Context) error {
	ticker := time.NewTicker(e.cfg.Tick)
	defer ticker.Stop()
	failing := false
	for {
		started := time.Now()
		err := e.tick(ctx)
		if ctx.Err() != nil {
			return nil
		}
		e.deps.Health(err)
		if err != nil && !failing {
			e.deps.Logger.Warn("KPI values are not current: the last ones stay published", zap.Error(err))
		}
		if err == nil && failing {
			e.deps.Logger.Info("KPI values are current again")
		}
		failing = err != nil
		if !e.wait(ctx, ticker, time.Since(started)) {
			return nil
		}
	}
}

// wait returns when the next tick is due: when the ticker says so, or when events have landed, but then it first leaves the
// warehouse to ingestion for as long as the last tick took. It reports false when ctx ends.
func (e *Evaluator) wait(ctx context.Context, ticker *time.Ticker, took time.Duration) bool {
	if e.deps.Landed != nil {
		ticker.Reset(e.cfg.Tick) // it is for what comes from elsewhere, and need not follow on the heels of a tick
	}
	select {
	case <-ctx.Done():
		return false
	case <-ticker.C:
		return true
	case <-time.After(took):
	}
	select {
	case <-ctx.Done():
		return false
	case <-ticker.C:
	case <-e.deps.Landed:
	}
	return true
}

// tick evaluates the sources whose values may have changed, one after the other, so that they leave a processor to ingestion, and
// publishes each when it is evaluated: its values need not wait for others. The first publication has all.
func (e *Evaluator) tick(ctx context.Context) error {
	started := time.Now()
	defer func() { e.metrics.tick.Observe(time.Since(started).Seconds()) }()
	read, err := e.readPositions(ctx, e.sourceNames)
	if err != nil {
		return fmt.Errorf("reading positions: %w", err)
	}
	if now := minute.floor(e.deps.Now()); !now.Equal(e.marked) {
		if err = e.readMarks(ctx); err != nil {
			return fmt.Errorf("looking for rebuilds: %w", err)
		}
		e.marked = now
	}
	e.mu.Lock()
	maps.DeleteFunc(e.asked, func(_ item, at time.Time) bool { return e.deps.Now().Sub(at) > askedFor })
	e.mu.Unlock()
	var failures []error
	for _, name := range e.sourceNames {
		switch changed, err := e.refresh(ctx, name, read); {
		case err != nil:
			failures = append(failures, fmt.Errorf("evaluating %s: %w", name, err))
			continue
		case changed && e.current.Load() != nil:
			if err := e.publish(ctx); err != nil {
				return errors.Join(append(failures, err)...)
			}
		}
		e.mu.Lock()
		e.seen[name] = sourceSeen{latest: e.published[name].latest, at: e.deps.Now()}
		e.mu.Unlock()
	}
	return errors.Join(append(failures, e.publish(ctx))...)
}

// refresh evaluates the source if its values may differ from those published, and says whether it has.
func (e *Evaluator) refresh(ctx context.Context, name string, read map[string]*reading) (changed bool, err error) {
	items, known := e.items(name), e.published[name]
	hash := e.reached(read, name, items)
	stale := known == nil || known.stale(hash, items, e.deps.Now())
	if !stale && !known.lags(e.deps.Now()) {
		return false, nil
	}
	fresh, err := e.evaluateSource(ctx, items, read)
	if err != nil {
		return false, err
	}
	if known != nil && known.hash == hash && !known.behind.IsZero() && !fresh.behind.IsZero() {
		fresh.behind = known.behind
	}
	if !stale && fresh.counted == known.counted {
		known.behind = fresh.behind
		return false, nil
	}
	fresh.generation, fresh.hash = e.next(), hash
	e.published[name] = fresh
	return true, nil
}

// next is the number of the next publication.
func (e *Evaluator) next() uint64 {
	if p := e.current.Load(); p != nil {
		return p.Number + 1
	}
	return 1
}

// reached names the positions that the values of a source depend on: its own, and those of the sources besides; and the marks
// of rebuilds.
func (e *Evaluator) reached(read map[string]*reading, source string, items []item) string {
	hash := read[source].positions.hash() + " " + e.marks[source]
	var besides []string
	for _, it := range items {
		def, _ := e.deps.Catalogue.Get(it.kpi)
		besides = append(besides, def.besides()...)
	}
	slices.Sort(besides)
	for _, name := range slices.Compact(besides) {
		hash += "+" + read[name].positions.hash() + " " + e.marks[name]
	}
	return hash
}

// stale says whether the source's values may differ from those published.
func (p *publishedSource) stale(hash string, items []item, clock time.Time) bool {
	switch {
	case p.hash != hash, !slices.Equal(p.items, items):
		return true
	case p.daily && !dayStart(clock).Equal(dayStart(p.clock)):
		return true
	case p.clockBound:
		return true
	}
	// The minute is the as_of of a source without events.
	return p.latest.IsZero() && !minute.floor(clock).Equal(minute.floor(p.clock))
}

// maxLag is how long a table may take to show what its witness shows: longer than an insert. What it lacks then will not come, as in a
// rebuilt table that knows nothing of the end of a partition that was given up.
const maxLag = time.Minute

// lags says whether tables are awaited that count less than their witnesses.
func (p *publishedSource) lags(clock time.Time) bool {
	return !p.behind.IsZero() && clock.Sub(p.behind) < maxLag
}

// items are the KPIs and periods to publish of a source, in order.
func (e *Evaluator) items(source string) []item {
	wanted := map[item]bool{}
	for _, def := range e.deps.Catalogue.all {
		if def.Source == source {
			wanted[item{def.ID, def.DefaultPeriod}] = true
		}
		if def.Kind == KindFormula {
			e.partItems(def, source, wanted)
		}
	}
	e.mu.Lock()
	besides := slices.AppendSeq(slices.Collect(maps.Keys(e.interest)), maps.Keys(e.asked))
	e.mu.Unlock()
	for _, i := range besides {
		if def, _ := e.deps.Catalogue.Get(i.kpi); def.Source == source {
			wanted[i] = true
		}
	}
	return slices.SortedFunc(maps.Keys(wanted), func(a, b item) int {
		return strings.Compare(a.kpi+" "+a.period, b.kpi+" "+b.period)
	})
}

// evaluateSource computes all items of one source in all scopes with one statement, and one more for official figures.
func (e *Evaluator) evaluateSource(ctx context.Context, items []item, read map[string]*reading) (*publishedSource, error) {
	qs := make([]*question, len(items))
	for i, it := range items {
		def, _ := e.deps.Catalogue.Get(it.kpi)
		qs[i] = &question{def: def, Query: Query{KPI: it.kpi, Period: it.period, By: []string{"province"}, Scheme: SchemeGSO34, Scope: Scope{National: true}}}
	}
	e.metrics.evaluations.Add(float64(len(qs)))
	all, err := e.tallyAll(ctx, qs, read)
	if err != nil {
		return nil, err
	}
	p := &publishedSource{items: items, values: map[Key]*Answer{}, rows: map[item][]Row{}, clock: e.deps.Now(), latest: all[0].latest}
	for i, t := range all {
		e.scopes(p, items[i], qs[i], t)
		if qs[i].behind(t, e.deps.Catalogue, read) {
			p.behind = p.clock
		}
		p.counted += t.positions.hash()
		p.asOf = later(p.asOf, t.timing.asOf)
		if p.daily = p.daily || qs[i].def.Sensitive; !qs[i].def.Sensitive {
			p.clockBound = p.clockBound || t.timing.clockBound && !p.latest.IsZero() || qs[i].def.Kind == KindAge
		}
	}
	return p, nil
}

// scopes adds the answer of each scope.
func (e *Evaluator) scopes(p *publishedSource, it item, q *question, t *tallies) {
	p.values[Key{it.kpi, National, it.period}] = e.head(q, &t.total, t)
	p.rows[it] = q.rows(t)
	best := q.def.ranking(p.rows[it])
	for code, of := range t.byProvince(e.deps.Catalogue) {
		scoped := *q
		scoped.provinces = []string{code}
		a := e.head(&scoped, of, t)
		a.Rank = best.of(a.Value)
		p.values[Key{it.kpi, code, it.period}] = a
	}
}

// publish makes a publication of all sources and hands it out, if any of them changed since the last one.
func (e *Evaluator) publish(ctx context.Context) error {
	number := e.next()
	if err := e.judge(ctx, number); err != nil {
		return fmt.Errorf("looking for simulated events: %w", err)
	}
	changed := false
	for _, source := range e.published {
		changed = changed || source.generation == number
	}
	if !changed {
		return nil
	}
	p := &Publication{Number: number, At: e.deps.Now(), Values: map[Key]*Answer{}, rows: map[item][]Row{}, generations: map[string]uint64{}}
	for name, source := range e.published {
		maps.Copy(p.Values, source.values)
		maps.Copy(p.rows, source.rows)
		p.generations[name] = source.generation
		if source.asOf.After(p.AsOf) {
			p.AsOf = source.asOf
		}
	}
	e.publishFormulas(p)
	p.generations[formulaSource] = number // it depends on all
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current.Store(p)
	e.cache.keep(p.generations)
	for ch := range e.subscribers {
		select {
		case <-ch:
		default:
		}
		ch <- p // has room: only this goroutine sends, under the lock
	}
	return nil
}

// value is the value of a key; nil where there is none, or no publication.
func (p *Publication) value(key Key) *Answer {
	if p == nil {
		return nil
	}
	return p.Values[key]
}

// generation is the publication that last evaluated the KPI's source; 0 before the first.
func (p *Publication) generation(def *Definition) uint64 {
	if p == nil {
		return 0
	}
	return p.generations[def.Source]
}

// FromPublication answers from the current publication, with the same bits as Evaluate at the same revision; it is not
// ok when the publication does not hold the answer, or the query is wrong.
func (e *Evaluator) FromPublication(q Query) (*Answer, bool) {
	asked, err := e.deps.Catalogue.check(q)
	if err != nil {
		return nil, false
	}
	return e.from(e.current.Load(), asked)
}

// publishable says of which item the question asks a value or the rows by province, and in which scope, if it asks that.
func (q *question) publishable() (of item, scope string, ok bool) {
	if q.Period == "" || !q.At.IsZero() || q.grain != 0 || q.Compare != "" || q.Scheme != SchemeGSO34 || len(q.By) > 0 && !q.byProvince() || len(q.provinces) > 1 {
		return item{}, "", false
	}
	for dimension := range q.Filters {
		if dimension != "province" {
			return item{}, "", false
		}
	}
	scope = National
	if q.provinces != nil {
		scope = q.provinces[0]
	}
	return item{q.KPI, q.Period}, scope, true
}

func (q *question) byProvince() bool { return len(q.By) == 1 && q.By[0] == "province" }

// from answers from a publication, which may be nil.
func (e *Evaluator) from(p *Publication, q *question) (*Answer, bool) {
	of, scope, ok := q.publishable()
	if p == nil || !ok {
		return nil, false
	}
	found, ok := p.Values[Key{of.kpi, scope, of.period}]
	e.ask(of, q.def, ok)
	if !ok {
		return nil, false
	}
	if !q.byProvince() {
		return found, true
	}
	a := *found
	a.Rows = []Row{}
	for _, r := range p.rows[of] {
		if scope == National || r.Dims[0].Code == scope {
			a.Rows = append(a.Rows, r)
		}
	}
	paged, err := q.page(&a)
	if err == nil && q.def.Kind != KindReported && e.illustrative.Load() {
		paged = paged.markIllustrative()
	}
	return paged, err == nil // there are at most as many rows as provinces
}
