package kpi

import (
	"context"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"ioc.local/internal/simulate"
)

// simulatedSources matches the sources of a simulator: /npsp/SIM.79, /eid_auth/SIM.
const simulatedSources = "^/[a-z_]+/" + simulate.Org + "($|[.])"

// lookForSimulated finds out whether the data holds simulated events. Once it does it always will, so that the
// warehouse is asked only until then.
func (e *Evaluator) lookForSimulated(ctx context.Context) error {
	if e.illustrative.Load() {
		return nil
	}
	const sql = "SELECT toString(source) FROM source_activity WHERE match(source, {pattern:String}) LIMIT 1"
	return e.query(ctx, sql, []any{clickhouse.Named("pattern", simulatedSources)}, func(driver.Rows) error {
		e.illustrative.Store(true)
		return nil
	})
}

// judge looks for simulated events if what was evaluated reaches further than when it last looked, and marks what was
// evaluated before they were known. It comes after the evaluation and before the publication, so that a number that
// counts a simulated event has the note; only where ClickHouse shows an insert in a rollup before it shows it in
// source_activity, the note comes with the next tick.
func (e *Evaluator) judge(ctx context.Context, number uint64) error {
	var reached strings.Builder
	for _, name := range e.sourceNames {
		if source := e.published[name]; source != nil {
			reached.WriteString(source.hash + " ")
		}
	}
	if reached.String() != e.judged {
		if err := e.lookForSimulated(ctx); err != nil {
			return err
		}
		e.judged = reached.String()
	}
	if !e.illustrative.Load() || e.noted {
		return nil
	}
	e.noted = true
	for _, source := range e.published {
		source.generation = number
		for key, a := range source.values {
			if def, _ := e.deps.Catalogue.Get(key.KPI); def.Kind != KindReported && !a.has(NoteOfficial) {
				source.values[key] = a.markIllustrative()
			}
		}
	}
	return nil
}

// has says whether the answer has the note.
func (a *Answer) has(code string) bool {
	return slices.ContainsFunc(a.Notes, func(n Note) bool { return n.Code == code })
}

// markIllustrative is the answer with the note that it is illustrative.
func (a *Answer) markIllustrative() *Answer {
	if len(a.Notes) > 0 && a.Notes[0].Code == NoteIllustrative {
		return a
	}
	marked := *a
	marked.Notes = append([]Note{note(NoteIllustrative)}, a.Notes...)
	return &marked
}
