package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ioc.local/internal/warehouse"
)

// rowMemory is about what a row takes while it is compared. So many rows, raw and of the rollup, are compared at once as
// stay in memory, unless a single day has more.
const rowMemory = 1024

// zone is the time zone of days.
const zone = "'Asia/Ho_Chi_Minh'"

// findForgotten says which raw tables have, or may have, dropped rows that their rollups still count. One that keeps rows
// only for a time has dropped none yet when no rollup that keeps its rows for ever counts anything from before the horizon.
func (r *run) findForgotten(ctx context.Context) (map[string]bool, error) {
	forgotten := map[string]bool{}
	for _, raw := range r.catalog.raw {
		if !raw.forgets && r.options.Since.IsZero() {
			continue
		}
		kept, dropped := false, false
		for _, t := range r.catalog.rollups {
			if t.timeKey == "" || t.forgets || !slices.ContainsFunc(t.views, func(v warehouse.RollupView) bool { return v.Source == raw.name }) {
				continue
			}
			old, err := r.count(ctx, "SELECT count() FROM "+t.name+" WHERE topic = '' AND NOT ("+r.recent(t)+")")
			if err != nil {
				return nil, fmt.Errorf("looking for the oldest rows of %s: %w", t.name, err)
			}
			kept, dropped = true, dropped || old > 0 // one that a migration has just made counts nothing either
		}
		forgotten[raw.name] = !kept || dropped
	}
	return forgotten, nil
}

// recent is the condition that all raw rows of a rollup's row are certainly retained.
func (r *run) recent(t target) string {
	if t.timeKey == "" {
		return "0"
	}
	return "toDate(" + t.timeKey + ") >= " + warehouse.Quote(r.horizon)
}

// partial is the condition that some raw rows of a rollup's row may be gone.
func (r *run) partial(t target) string {
	parts := []string{"0"}
	for _, v := range t.views {
		if r.forgotten[v.Source] {
			parts = append(parts, "("+t.family(v)+" AND NOT ("+r.recent(t)+"))")
		}
	}
	for _, forgotten := range r.forgotten {
		if t.records != "" && forgotten { // its records are of all raw tables
			parts = append(parts, "(topic = '' AND NOT ("+r.recent(t)+"))")
		}
	}
	return strings.Join(parts, " OR ")
}

// slice is a run of days, of which the last is not included; empty is without bound.
type slice struct{ from, until string }

// of is the condition that a time is in the slice.
func (s slice) of(column string) string {
	parts := []string{"1"}
	if s.from != "" {
		parts = append(parts, "toDate("+column+", "+zone+") >= "+warehouse.Quote(s.from))
	}
	if s.until != "" {
		parts = append(parts, "toDate("+column+", "+zone+") < "+warehouse.Quote(s.until))
	}
	return strings.Join(parts, " AND ")
}

// slices cuts time into runs of days that stay in memory, by the rows of queries that give days.
func (r *run) slices(ctx context.Context, days ...string) ([]slice, error) {
	rows, err := r.client.Conn().Query(ctx, "SELECT day, count() FROM ("+strings.Join(days, " UNION ALL ")+") GROUP BY day ORDER BY day")
	if err != nil {
		return nil, fmt.Errorf("reading days: %w", err)
	}
	all := []slice{{}}
	var n uint64
	err = warehouse.Each(rows, func() error {
		var day time.Time
		var more uint64
		if err := rows.Scan(&day, &more); err != nil {
			return err
		}
		if n > 0 && n+more > uint64(r.options.Memory/rowMemory) {
			last := &all[len(all)-1]
			last.until = day.Format(time.DateOnly)
			all = append(all, slice{from: last.until})
			n = 0
		}
		n += more
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading days: %w", err)
	}
	if !r.options.Since.IsZero() {
		all = slices.DeleteFunc(all, func(s slice) bool { return s.until != "" && s.until <= r.horizon })
		all[0].from = r.horizon
	}
	return all, nil
}

// timeSlices are the slices of a rollup by time and its raw rows.
func (r *run) timeSlices(ctx context.Context, t target, stored string) ([]slice, error) {
	if t.timeKey == "" || len(t.views) != 1 {
		return []slice{{}}, nil
	}
	return r.slices(ctx, "SELECT toDate(occurred_at, "+zone+") AS day FROM "+t.views[0].Source,
		"SELECT toDate("+t.timeKey+", "+zone+") AS day FROM "+stored+" WHERE topic = ''")
}

// counted compares a rollup of events with its recomputation. into takes what the rollup lacks; it may be nil.
func (r *run) counted(ctx context.Context, t target, into *correction) (Rollup, error) {
	result := Rollup{Name: t.name}
	if !r.options.Since.IsZero() && t.timeKey == "" {
		result.Skipped = "it has no time, so that it cannot be compared since one"
		return result, nil
	}
	// Counts and positions come from one moment, so they belong together.
	stored, err := r.scratch.snapshot(ctx, t.name)
	if err != nil {
		return result, err
	}
	expected, err := r.scratch.like(ctx, t.name, "expected")
	if err != nil {
		return result, err
	}
	fills, err := r.fills(ctx, t, stored)
	if err != nil {
		return result, err
	}
	cut, err := r.timeSlices(ctx, t, stored)
	if err != nil {
		return result, err
	}
	compare := comparison{target: t, stored: stored, expected: expected, partial: r.partial(t), into: into}
	for _, s := range cut {
		if err := r.truncate(ctx, expected); err != nil {
			return result, err
		}
		for _, f := range fills {
			if err := f.counts(ctx, r, expected, s); err != nil {
				return result, err
			}
		}
		compare.where = "topic = ''"
		if t.timeKey != "" {
			compare.where += " AND " + s.of(t.timeKey)
		}
		if err := r.compare(ctx, compare, &result); err != nil {
			return result, err
		}
	}
	if err := r.truncate(ctx, expected); err != nil {
		return result, err
	}
	for _, f := range fills {
		if err := f.positions(ctx, r, expected); err != nil {
			return result, err
		}
	}
	compare.fills = fills
	compare.where = positionRows
	if err := r.compare(ctx, compare, &result); err != nil {
		return result, err
	}
	for _, f := range fills {
		if into != nil && result.Differ > 0 && f.bound.unclear != "" {
			return result, &UnderWayError{t.name, f.bound.unclear}
		}
	}
	return result, r.scratch.forget(ctx, stored, expected)
}

// fill is one source of a rollup: a view, or the records of feed_quality.
type fill struct {
	target target
	view   warehouse.RollupView
	family string // condition on rows of the target
	bound  bound
	batch  uint64 // of voids that the rollup has come to
}

// fills reads how far each source of a rollup has been counted.
func (r *run) fills(ctx context.Context, t target, stored string) (fills []fill, err error) {
	if t.records != "" {
		f := fill{target: t, family: "1"}
		f.bound, err = r.bound(ctx, stored, "1", r.rawEnds())
		return []fill{f}, err
	}
	for _, v := range t.views {
		f := fill{target: t, view: v, family: t.family(v)}
		if f.bound, err = r.bound(ctx, stored, f.family, []string{"SELECT topic, partition, offset FROM " + v.Source}); err != nil {
			return nil, err
		}
		if v.Counts() {
			if f.batch, err = r.count(ctx, "SELECT max(c.position) FROM "+stored+" AS c WHERE topic = "+warehouse.Quote(warehouse.VoidTopic)); err != nil {
				return nil, fmt.Errorf("reading the position of voids: %w", err)
			}
		}
		fills = append(fills, f)
	}
	return fills, nil
}

// counts adds the counts of a slice to a working table, less what is voided.
func (f fill) counts(ctx context.Context, r *run, into string, s slice) error {
	if f.target.records != "" {
		return f.records(ctx, r, into)
	}
	rows := "SELECT * FROM " + f.view.Source + " WHERE offset < " + f.bound.sql()
	if s != (slice{}) {
		rows += " AND " + s.of("occurred_at")
	}
	columns := strings.Join(f.view.Columns, ", ")
	if err := r.exec(ctx, "INSERT INTO "+into+" ("+columns+") SELECT * FROM ("+f.view.Over(rows)+") WHERE topic = ''"); err != nil {
		return fmt.Errorf("recomputing %s: %w", f.view.Name, err)
	}
	if f.batch == 0 {
		return nil
	}
	if err := r.exec(ctx, "INSERT INTO "+into+" ("+columns+") SELECT * FROM ("+f.view.Minus(rows+f.voided(), fmt.Sprint(f.batch))+") WHERE topic = ''"); err != nil {
		return fmt.Errorf("taking voided events out of %s: %w", f.view.Name, err)
	}
	return nil
}

// voided is the condition that a raw row was to be taken out up to the batch that the rollup has come to. Only what a
// void really names is taken out: a row of the table voided does not prove itself.
func (f fill) voided() string {
	which := fmt.Sprintf("FROM voided WHERE family = '%s' AND batch BETWEEN 1 AND %d", f.view.Source, f.batch)
	return " AND (source, event_id) IN (SELECT source, event_id " + which + " AND (source, event_id) IN (SELECT source, subject FROM register_events WHERE type = 'event.void'))" +
		" AND (topic, partition, offset) IN (SELECT topic, partition, offset " + which + ")"
}

// positions adds the position rows: of each partition the number of events, the offset after the last and the greatest
// time, and of voids the batch.
func (f fill) positions(ctx context.Context, r *run, into string) error {
	if f.target.records != "" {
		return r.insertPositions(ctx, into, "topic, partition, position", "topic, partition, max(offset) + 1", f.target.records, "offset < "+f.bound.sql()+" GROUP BY topic, partition")
	}
	columns, values := "topic, partition, n, position, latest", "topic, partition, count(), max(offset) + 1, max(occurred_at)"
	if f.target.has("family") {
		columns, values = "family, "+columns, warehouse.Quote(f.view.Source)+", "+values
	}
	if err := r.insertPositions(ctx, into, columns, values, f.view.Source, "offset < "+f.bound.sql()+" GROUP BY topic, partition"); err != nil || f.batch == 0 {
		return err
	}
	values = fmt.Sprintf("%s, 0, 0, %d, max(occurred_at)", warehouse.Quote(warehouse.VoidTopic), f.batch)
	return r.insertPositions(ctx, into, columns, values, f.view.Source, "1"+f.voided()+" HAVING count() > 0")
}

func (r *run) insertPositions(ctx context.Context, into, columns, values, from, where string) error {
	if err := r.exec(ctx, "INSERT INTO "+into+" ("+columns+") SELECT "+values+" FROM "+from+" WHERE "+where); err != nil {
		return fmt.Errorf("recomputing the positions that %s gives: %w", from, err)
	}
	return nil
}

// records adds up the rows that feed_quality is the sum of.
func (f fill) records(ctx context.Context, r *run, into string) error {
	var keys, sums []string
	for _, c := range f.target.columns {
		switch {
		case c.name == "topic" || c.name == "partition": // of position rows
		case c.key:
			keys = append(keys, c.name)
		case c.function() == "sum":
			sums = append(sums, c.name)
		}
	}
	names, values := slices.Concat(keys, sums), slices.Clone(keys)
	for _, sum := range sums {
		values = append(values, "sum("+sum+")")
	}
	err := r.exec(ctx, "INSERT INTO "+into+" ("+strings.Join(names, ", ")+") SELECT "+strings.Join(values, ", ")+" FROM "+f.target.records+
		" WHERE offset < "+f.bound.sql()+" GROUP BY "+strings.Join(keys, ", "))
	if err != nil {
		return fmt.Errorf("recomputing %s: %w", f.target.name, err)
	}
	return nil
}
