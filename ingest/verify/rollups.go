package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ioc.local/internal/warehouse"
)

// forgotten says which raw tables have, or may have, dropped rows that their rollups still count. One that keeps rows
// only for a time has dropped none yet when a rollup that keeps its rows for ever counts nothing from before the horizon.
func (r *run) forgotten(ctx context.Context) (map[string]bool, error) {
	forgotten := map[string]bool{}
	for _, raw := range r.catalog.raw {
		if !raw.forgets {
			continue
		}
		forgotten[raw.name] = true
		for _, t := range r.catalog.rollups {
			if t.timeKey == "" || t.forgets || !slices.ContainsFunc(t.views, func(v warehouse.RollupView) bool { return v.Source == raw.name }) {
				continue
			}
			var old uint64
			if err := r.client.Conn().QueryRow(ctx, "SELECT count() FROM "+t.name+" WHERE topic = '' AND NOT ("+r.recent(t)+")").Scan(&old); err != nil {
				return nil, fmt.Errorf("looking for the oldest rows of %s: %w", t.name, err)
			}
			forgotten[raw.name] = forgotten[raw.name] && old > 0
		}
	}
	return forgotten, nil
}

// recent is the condition that all raw rows of a rollup's row are certainly retained.
func (r *run) recent(t target) string {
	if t.timeKey == "" {
		return "0"
	}
	return "toDate(" + t.timeKey + ") >= " + quote(r.horizon)
}

// rollup compares one rollup with its recomputation.
func (r *run) rollup(ctx context.Context, t target, forgotten map[string]bool) (Rollup, error) {
	result := Rollup{Name: t.name}
	for _, v := range t.views {
		raw := slices.ContainsFunc(r.catalog.raw, func(raw rawTable) bool { return raw.name == v.Source && !raw.ranges })
		switch {
		case v.Over("") == "" || !raw && v.Source != dossierChanges:
			result.Problem = fmt.Sprintf("the view %s reads from %q, which verify cannot recompute from", v.Name, v.Source)
		case t.state && (len(t.views) > 1 || v.Source != dossierChanges):
			result.Problem = "it replaces rows, and only the state of dossiers is known to do that"
		case !t.state && (!t.has("topic") || !t.has("partition") || !t.has("position")):
			result.Problem = "it has no position rows, so nothing says which raw rows it counts"
		case len(t.views) > 1 && !t.has("family"):
			result.Problem = "several views fill it, and it has no column family that tells them apart"
		}
	}
	if result.Problem != "" {
		return result, nil
	}
	if t.state {
		return result, r.state(ctx, t, &result)
	}
	stored, err := r.scratch.like(ctx, t.name, "stored")
	if err != nil {
		return result, err
	}
	expected, err := r.scratch.like(ctx, t.name, "expected")
	if err != nil {
		return result, err
	}
	// Counts and positions come from one reading, so they belong together.
	if err := r.exec(ctx, "INSERT INTO "+stored+" SELECT * FROM "+t.name); err != nil {
		return result, fmt.Errorf("copying: %w", err)
	}
	var partial []string // rows of which some raw rows may be gone
	dossiers := false
	for _, v := range t.views {
		positions, err := r.positions(ctx, stored, t.family(v))
		if err != nil {
			return result, err
		}
		if v.Source == dossierChanges {
			dossiers = true
			err = r.recomputeCube(ctx, v, expected, positions)
		} else {
			below := "SELECT * FROM " + v.Source + " WHERE offset < " + perPartition(positions)
			if err = r.recompute(ctx, v, expected, below, "1"); err == nil && v.Counts() {
				err = r.takeOut(ctx, v, stored, expected, below)
			}
		}
		if err != nil {
			return result, err
		}
		if forgotten[v.Source] {
			partial = append(partial, "("+t.family(v)+" AND NOT ("+r.recent(t)+"))")
		}
	}
	if len(partial) == 0 {
		partial = []string{"0"}
	}
	return result, r.compare(ctx, t, stored, expected, strings.Join(partial, " OR "), dossiers, &result)
}

// positions are the offsets below which the copied rollup must hold everything: its own positions, and where it lags
// or has lost them, what has been inserted everywhere.
func (r *run) positions(ctx context.Context, stored, family string) (map[TopicPartition]uint64, error) {
	positions := map[TopicPartition]uint64{}
	for tp, settled := range r.settled {
		positions[tp] = settled
	}
	rows, err := r.client.Conn().Query(ctx, "SELECT topic, partition, max(position) FROM "+stored+" WHERE topic != '' AND "+family+" GROUP BY topic, partition")
	if err != nil {
		return nil, fmt.Errorf("reading positions: %w", err)
	}
	err = scanAll(rows, func() error {
		var tp TopicPartition
		var position uint64
		if err := rows.Scan(&tp.Topic, &tp.Partition, &position); err != nil {
			return err
		}
		positions[tp] = max(positions[tp], position)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading positions: %w", err)
	}
	return positions, nil
}

// recompute adds what a view gives over other rows than its source's to a working table, as far as a condition admits.
func (r *run) recompute(ctx context.Context, v warehouse.RollupView, into, rows, which string) error {
	if err := r.exec(ctx, "INSERT INTO "+into+" ("+strings.Join(v.Columns, ", ")+") SELECT * FROM ("+v.Over(rows)+") WHERE "+which); err != nil {
		return fmt.Errorf("recomputing %s: %w", v.Name, err)
	}
	return nil
}

// takeOut takes the voided events out of the recomputation, up to the batch that the copied rollup has come to. Only
// what a void really names is taken out: a row of the table voided does not prove itself.
func (r *run) takeOut(ctx context.Context, v warehouse.RollupView, stored, expected, rows string) error {
	var batch uint64
	if err := r.client.Conn().QueryRow(ctx, "SELECT max(c.position) FROM "+stored+" AS c WHERE topic = "+quote(warehouse.VoidTopic)).Scan(&batch); err != nil {
		return fmt.Errorf("reading the position of voids: %w", err)
	}
	rows += fmt.Sprintf(" AND (source, event_id) IN (SELECT source, subject FROM register_events WHERE type = 'event.void')"+
		" AND (topic, partition, offset) IN (SELECT topic, partition, offset FROM voided WHERE family = '%s' AND batch BETWEEN 1 AND %d)", v.Source, batch)
	if err := r.exec(ctx, "INSERT INTO "+expected+" ("+strings.Join(v.Columns, ", ")+") "+v.Minus(rows, fmt.Sprint(batch))); err != nil {
		return fmt.Errorf("taking voided events out of %s: %w", v.Name, err)
	}
	return nil
}

// recomputeCube adds the counts of all dossiers, a month of registration at a time, and the least positions.
func (r *run) recomputeCube(ctx context.Context, v warehouse.RollupView, into string, positions map[TopicPartition]uint64) error {
	months, err := r.months(ctx, "dossier_events")
	if err != nil {
		return err
	}
	below := "offset < " + perPartition(positions)
	for _, month := range months {
		states, err := r.dossiers(ctx, fmt.Sprintf("toYYYYMM(registered_on) = %d", month), below)
		if err != nil {
			return err
		}
		if err := r.recompute(ctx, v, into, states, "topic = ''"); err != nil {
			return err
		}
	}
	err = r.exec(ctx, "INSERT INTO "+into+" (topic, partition, position, latest) SELECT topic, partition, max(offset) + 1, max(occurred_at) FROM dossier_events WHERE "+
		below+" GROUP BY topic, partition")
	if err != nil {
		return fmt.Errorf("recomputing positions: %w", err)
	}
	return nil
}

// dossiers evaluates the dossiers that the condition which admits, from the events and voids at offsets that bound
// admits, and gives the SELECT of their states as rows of dossier_changes. The next call overwrites them.
func (r *run) dossiers(ctx context.Context, which, bound string) (string, error) {
	if r.states == "" {
		var err error
		if r.states, err = r.scratch.like(ctx, dossierChanges, "states"); err != nil {
			return "", err
		}
	}
	if err := r.exec(ctx, "TRUNCATE TABLE "+r.states); err != nil {
		return "", fmt.Errorf("emptying a working table: %w", err)
	}
	if err := warehouse.RecomputeDossiers(ctx, r.client, r.calendar, r.states, which, bound); err != nil {
		return "", fmt.Errorf("recomputing dossiers: %w", err)
	}
	return "SELECT * FROM " + r.states, nil
}

// months are those that a table has dossiers registered in.
func (r *run) months(ctx context.Context, tables ...string) (months []uint32, err error) {
	var parts []string
	for _, table := range tables {
		parts = append(parts, "SELECT toYYYYMM(registered_on) AS month FROM "+table+" GROUP BY month")
	}
	rows, err := r.client.Conn().Query(ctx, "SELECT DISTINCT month FROM ("+strings.Join(parts, " UNION ALL ")+") ORDER BY month")
	if err != nil {
		return nil, fmt.Errorf("reading months: %w", err)
	}
	err = scanAll(rows, func() error {
		var month uint32
		defer func() { months = append(months, month) }()
		return rows.Scan(&month)
	})
	if err != nil {
		return nil, fmt.Errorf("reading months: %w", err)
	}
	return months, nil
}

func (r *run) exec(ctx context.Context, statement string) error {
	return r.client.Conn().Exec(ctx, statement)
}

// compare compares the sums and maxima of two working tables by key. Rows that match partial must only not be too
// small, unless the rollup itself has dropped them. The rows of a cube of dossiers (dossiers) name the position of the
// range that last changed them, which no recomputation can know: only their counts are compared, and their positions
// must only not be too small.
func (r *run) compare(ctx context.Context, t target, stored, expected, partial string, dossiers bool, result *Rollup) error {
	var values, differ, small, shown []string
	for _, c := range t.columns {
		if c.key {
			continue
		}
		f := c.function()
		if f != "sum" && f != "max" {
			result.Problem = fmt.Sprintf("verify does not know how to add up the column %s of type %s", c.name, c.kind)
			return nil
		}
		values = append(values, fmt.Sprintf("%[1]sIf(%[2]s, side = 0) AS stored_%[2]s, %[1]sIf(%[2]s, side = 1) AS expected_%[2]s", f, c.name))
		unequal, less := fmt.Sprintf("stored_%[1]s != expected_%[1]s", c.name), fmt.Sprintf("stored_%[1]s < expected_%[1]s", c.name)
		switch {
		case dossiers && f == "max":
			unequal = "topic != '' AND " + less
		case dossiers:
			unequal = "topic = '' AND " + unequal
		}
		differ, small = append(differ, unequal), append(small, less)
		shown = append(shown, fmt.Sprintf("if(%[2]s, ' %[1]s ' || toString(stored_%[1]s) || ', raw gives ' || toString(expected_%[1]s), '')", c.name, unequal))
	}
	tooSmall := "(" + strings.Join(small, " OR ") + ")"
	if t.forgets {
		tooSmall = "0"
	}
	keys := strings.Join(t.keys(), ", ")
	query := fmt.Sprintf(`SELECT count(), countIf(differs), countIf(partial), groupArrayIf(%d)(toString(tuple(%s)) || ':' || %s, differs) FROM
		(SELECT *, %s AS partial, if(partial, %s, (%s)) AS differs FROM
			(SELECT %s, %s FROM (SELECT *, 0 AS side FROM %s UNION ALL SELECT *, 1 AS side FROM %s) GROUP BY %s))`,
		examples, keys, strings.Join(shown, " || "), partial, tooSmall, strings.Join(differ, ") OR ("), keys, strings.Join(values, ", "), stored, expected, keys)
	if err := r.client.Conn().QueryRow(ctx, query).Scan(&result.Compared, &result.Differ, &result.Partial, &result.Differences); err != nil {
		return fmt.Errorf("comparing: %w", err)
	}
	return nil
}

// state compares the state of dossiers, a month of registration at a time. It has no positions: dossiers that have
// events, or voids of events, beyond what has been inserted everywhere are left out, as they are under way.
func (r *run) state(ctx context.Context, t target, result *Rollup) error {
	months, err := r.months(ctx, "dossier_events", t.name)
	if err != nil {
		return err
	}
	stored, err := r.scratch.like(ctx, t.name, "stored")
	if err != nil {
		return err
	}
	expected, err := r.scratch.like(ctx, t.name, "expected")
	if err != nil {
		return err
	}
	keys, settled := strings.Join(t.keys(), ", "), "offset < "+perPartition(r.settled)
	var values, shown []string
	for _, name := range t.values() {
		values = append(values, fmt.Sprintf("anyIf(%[1]s, side = 0) AS stored_%[1]s, anyIf(%[1]s, side = 1) AS expected_%[1]s", name))
		shown = append(shown, fmt.Sprintf("if(stored_%[1]s = expected_%[1]s, '', ' %[1]s ' || toString(stored_%[1]s) || ', raw gives ' || toString(expected_%[1]s))", name))
	}
	difference := strings.Join(shown, " || ")
	for _, month := range months {
		in := fmt.Sprintf("toYYYYMM(registered_on) = %d", month)
		for _, table := range []string{stored, expected} {
			if err := r.exec(ctx, "TRUNCATE TABLE "+table); err != nil {
				return fmt.Errorf("emptying a working table: %w", err)
			}
		}
		// First the state, then the raw rows: whatever the state has seen is found among them.
		if err := r.exec(ctx, "INSERT INTO "+stored+" SELECT * FROM "+t.name+" FINAL WHERE "+in); err != nil {
			return fmt.Errorf("copying: %w", err)
		}
		states, err := r.dossiers(ctx, in, settled)
		if err != nil {
			return err
		}
		if err := r.recompute(ctx, t.views[0], expected, states, "1"); err != nil {
			return err
		}
		var compared, differ uint64
		var differences []string
		err = r.client.Conn().QueryRow(ctx, fmt.Sprintf(`SELECT count(), countIf(difference != ''), groupArrayIf(%[1]d)(toString(tuple(%[2]s)) || ':' || difference, difference != '') FROM
			(SELECT %[2]s, %[3]s, multiIf(max(side) = 0, ' is stored without events', min(side) = 1, ' is not stored', count() != 2, ' is stored twice', %[4]s) AS difference
			FROM (SELECT *, 0 AS side FROM %[5]s UNION ALL SELECT *, 1 AS side FROM %[6]s)
			WHERE (%[2]s) NOT IN (SELECT %[2]s FROM dossier_events WHERE %[7]s AND
				(NOT (%[8]s) OR (source, event_id) IN (SELECT source, subject FROM register_events WHERE type = 'event.void' AND NOT (%[8]s))))
			GROUP BY %[2]s)`, examples, keys, strings.Join(values, ", "), difference, stored, expected, in, settled)).Scan(&compared, &differ, &differences)
		if err != nil {
			return fmt.Errorf("comparing: %w", err)
		}
		result.Compared += compared
		result.Differ += differ
		result.Differences = append(result.Differences, differences[:min(len(differences), examples-len(result.Differences))]...)
	}
	return nil
}
