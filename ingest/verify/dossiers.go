package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ioc.local/internal/warehouse"
)

// snapshotTries bounds the attempts to find all cubes at the same positions, which saves evaluating every dossier once
// for each of them.
const snapshotTries = 5

// cube is a rollup of the state of dossiers.
type cube struct {
	target   target
	stored   string
	expected string
	bound    bound
}

// dossiers compares rollups of dossiers, a month of registration at a time: every dossier is evaluated from its events.
func (r *run) dossiers(ctx context.Context, targets []target, into map[string]*correction) ([]Rollup, error) {
	results := map[string]*Rollup{}
	var states []target
	var cubed []target
	for _, t := range targets {
		results[t.name] = &Rollup{Name: t.name}
		switch {
		case t.state:
			states = append(states, t)
		case r.options.Since.IsZero():
			cubed = append(cubed, t)
		default:
			results[t.name].Skipped = "it adds up all dossiers, so that it cannot be compared since a time"
		}
	}
	cubes, problem, err := r.cubes(ctx, cubed)
	if err != nil {
		return nil, err
	}
	if problem != "" {
		for _, t := range cubed {
			results[t.name].Problem = problem
		}
	}
	if err := r.evaluate(ctx, cubes, states, results, into); err != nil {
		return nil, err
	}
	for _, c := range cubes {
		r.options.Progress("rollup " + c.target.name)
		if err := r.cube(ctx, c, into[c.target.name], results[c.target.name]); err != nil {
			return nil, fmt.Errorf("verifying %s: %w", c.target.name, err)
		}
		if into != nil && results[c.target.name].Differ > 0 && c.bound.unclear != "" {
			return nil, &UnderWayError{c.target.name, c.bound.unclear}
		}
	}
	var all []Rollup
	for _, t := range targets {
		all = append(all, *results[t.name])
	}
	return all, nil
}

// cubes takes snapshots of the cubes, at the same positions if that can be had. A process that is held up leaves a range
// that has its place in the order and is not in the cubes, and others after it are: what the cubes hold then no
// evaluation gives. problem says so when it lasts.
func (r *run) cubes(ctx context.Context, targets []target) (cubes []cube, problem string, err error) {
	deadline := time.Now().Add(r.options.Patience)
	for try := 1; ; try++ {
		same := true
		problem = ""
		for _, t := range targets {
			c := cube{target: t}
			if c.stored, err = r.scratch.snapshot(ctx, t.name); err != nil {
				return nil, "", err
			}
			if c.bound, err = r.bound(ctx, c.stored, "1", []string{dossierOffsets}); err != nil {
				return nil, "", err
			}
			overtaken, err := r.overtaken(ctx, c.bound)
			if err != nil {
				return nil, "", err
			}
			if overtaken != "" {
				problem = overtaken
			}
			cubes = append(cubes, c)
			same = same && c.bound.sql() == cubes[0].bound.sql()
		}
		if problem == "" && (same || try >= snapshotTries) {
			break
		}
		for _, c := range cubes {
			if err := r.scratch.forget(ctx, c.stored); err != nil {
				return nil, "", err
			}
		}
		cubes = nil
		if time.Now().After(deadline) {
			return nil, problem, nil
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return nil, "", err
		}
	}
	for i, c := range cubes {
		if cubes[i].expected, err = r.scratch.adding(ctx, c.target, "expected"); err != nil {
			return nil, "", err
		}
	}
	return cubes, "", nil
}

// overtaken names a range that the bound leaves out although one that is in counts it as being there; it is empty when
// there is none. Ranges that an older version has begun are before all that have a place.
func (r *run) overtaken(ctx context.Context, b bound) (string, error) {
	var n uint64
	var topic string
	var partition uint32
	var first uint64
	err := r.client.Conn().QueryRow(ctx, fmt.Sprintf(`WITH (SELECT max(number) FROM dossier_order WHERE last_offset + 1 <= %[1]s) AS newest
		SELECT count(), toString(argMin(topic, number)), argMin(partition, number), argMin(first_offset, number) FROM
		(SELECT number, topic, partition, first_offset FROM dossier_order WHERE last_offset + 1 > %[1]s
			UNION ALL SELECT 0, topic, partition, since FROM dossier_bounds WHERE since >= %[1]s)
		WHERE number < newest AND %[2]s`, b.sql(), r.live())).Scan(&n, &topic, &partition, &first)
	if err != nil {
		return "", fmt.Errorf("reading the order of ranges: %w", err)
	}
	if n == 0 {
		return "", nil
	}
	return fmt.Sprintf("the range of %s/%d from offset %d has been under way for %s or more, and later ones are in: run ioc verify again when ingestion has caught up", topic, partition, first, r.options.Patience), nil
}

// evaluate evaluates all dossiers, adds the counts to the cubes' working tables, and compares the states.
func (r *run) evaluate(ctx context.Context, cubes []cube, states []target, results map[string]*Rollup, into map[string]*correction) error {
	if len(cubes)+len(states) == 0 {
		return nil
	}
	evaluated, err := r.scratch.like(ctx, dossierChanges, "states")
	if err != nil {
		return err
	}
	tables := []string{"dossier_events"}
	stored, expected := map[string]string{}, map[string]string{}
	for _, t := range states {
		tables = append(tables, t.name)
		if stored[t.name], err = r.scratch.like(ctx, t.name, "stored"); err != nil {
			return err
		}
		if expected[t.name], err = r.scratch.like(ctx, t.name, "expected"); err != nil {
			return err
		}
	}
	months, err := r.months(ctx, tables...)
	if err != nil {
		return err
	}
	bounds := boundsOf(cubes)
	if len(bounds) == 0 {
		bounds = []string{perPartition(r.settled)}
	}
	for _, month := range months {
		r.options.Progress(fmt.Sprintf("dossiers of %04d-%02d", month/100, month%100))
		in := fmt.Sprintf("toYYYYMM(registered_on) = %d", month)
		if !r.options.Since.IsZero() {
			in += " AND (registered_on, subject) IN (SELECT registered_on, subject FROM dossier_events WHERE received_at >= fromUnixTimestamp64Milli(" + fmt.Sprint(r.cutoff.UnixMilli()) + "))"
		}
		// First the state, then the raw rows: whatever the state has seen is found among them.
		for _, t := range states {
			if err := r.truncate(ctx, stored[t.name], expected[t.name]); err != nil {
				return err
			}
			if err := r.exec(ctx, "INSERT INTO "+stored[t.name]+" SELECT * FROM "+t.name+" FINAL WHERE "+in); err != nil {
				return fmt.Errorf("copying %s: %w", t.name, err)
			}
		}
		for i, below := range bounds {
			if err := r.truncate(ctx, evaluated); err != nil {
				return err
			}
			if err := warehouse.RecomputeDossiers(ctx, r.client, r.calendar, evaluated, in, "offset < "+below); err != nil {
				return fmt.Errorf("recomputing dossiers: %w", err)
			}
			rows := "SELECT * FROM " + evaluated
			for _, c := range cubes {
				if c.bound.sql() != below {
					continue
				}
				if err := r.recompute(ctx, c.target.views[0], c.expected, rows, "topic = ''"); err != nil {
					return err
				}
			}
			if i > 0 {
				continue
			}
			for _, t := range states {
				if err := r.recompute(ctx, t.views[0], expected[t.name], rows, "1"); err != nil {
					return err
				}
				if err := r.state(ctx, t, stored[t.name], expected[t.name], in, results[t.name], into[t.name]); err != nil {
					return fmt.Errorf("verifying %s: %w", t.name, err)
				}
			}
		}
	}
	return r.scratch.forget(ctx, append(slices.Concat(slices.Collect(maps.Values(stored)), slices.Collect(maps.Values(expected))), evaluated)...)
}

// boundsOf are the different bounds of the cubes, as SQL; usually one.
func boundsOf(cubes []cube) (bounds []string) {
	seen := map[string]bool{}
	for _, c := range cubes {
		if sql := c.bound.sql(); !seen[sql] {
			seen[sql] = true
			bounds = append(bounds, sql)
		}
	}
	return bounds
}

// recompute adds what a view gives over other rows than its source's to a working table, as far as a condition admits.
func (r *run) recompute(ctx context.Context, v warehouse.RollupView, into, rows, which string) error {
	if err := r.exec(ctx, "INSERT INTO "+into+" ("+strings.Join(v.Columns, ", ")+") SELECT * FROM ("+v.Over(rows)+") WHERE "+which); err != nil {
		return fmt.Errorf("recomputing %s: %w", v.Name, err)
	}
	return nil
}

// cube compares a cube with the counts of all dossiers and the least positions.
func (r *run) cube(ctx context.Context, c cube, into *correction, result *Rollup) error {
	err := r.insertPositions(ctx, c.expected, "topic, partition, position, latest", "topic, partition, max(offset) + 1, max(occurred_at)", "dossier_events",
		"offset < "+c.bound.sql()+" GROUP BY topic, partition")
	if err != nil {
		return err
	}
	day := "SELECT toDate(" + c.target.timeKey + ", " + zone + ") AS day FROM "
	if c.target.timeKey == "" {
		day = "SELECT toDate(0) AS day FROM "
	}
	cut, err := r.slices(ctx, day+c.stored+" WHERE topic = ''", day+c.expected+" WHERE topic = ''")
	if err != nil {
		return err
	}
	compare := comparison{target: c.target, stored: c.stored, expected: c.expected, partial: "0", into: into}
	for _, s := range cut {
		compare.where = "topic = ''"
		if c.target.timeKey != "" {
			compare.where += " AND " + s.of(c.target.timeKey)
		}
		if err := r.compare(ctx, compare, result); err != nil {
			return err
		}
	}
	compare.where = positionRows
	compare.fills = []fill{{target: c.target, family: "1", bound: c.bound}}
	if err := r.compare(ctx, compare, result); err != nil {
		return err
	}
	return r.scratch.forget(ctx, c.stored, c.expected)
}

// state compares the state of dossiers of a month. It has no positions: dossiers that have events, or voids of events,
// beyond what has been inserted everywhere are left out, as they are under way.
func (r *run) state(ctx context.Context, t target, stored, expected, in string, result *Rollup, into *correction) error {
	keys, settled := strings.Join(t.keys(), ", "), "offset < "+perPartition(r.settled)
	var values, shown []string
	for _, name := range t.values() {
		values = append(values, fmt.Sprintf("anyIf(%[1]s, side = 0) AS stored_%[1]s, anyIf(%[1]s, side = 1) AS expected_%[1]s", name))
		shown = append(shown, fmt.Sprintf("if(stored_%[1]s = expected_%[1]s, '', ' %[1]s ' || toString(stored_%[1]s) || ', raw gives ' || toString(expected_%[1]s))", name))
	}
	rows := fmt.Sprintf(`SELECT %[1]s, %[2]s, max(side) = 0 AS unsupported, min(side) = 1 AS lacking, multiIf(unsupported, ' is stored without events', lacking, ' is not stored', count() != 2, ' is stored twice', %[3]s) AS difference
		FROM (SELECT *, 0 AS side FROM %[4]s UNION ALL SELECT *, 1 AS side FROM %[5]s)
		WHERE (%[1]s) NOT IN (SELECT %[1]s FROM dossier_events WHERE %[6]s AND
			(NOT (%[7]s) OR (source, event_id) IN (SELECT source, subject FROM register_events WHERE type = 'event.void' AND NOT (%[7]s))))
		GROUP BY %[1]s`, keys, strings.Join(values, ", "), strings.Join(shown, " || "), stored, expected, in, settled)
	var compared, differ uint64
	var differences []string
	err := r.client.Conn().QueryRow(ctx, fmt.Sprintf("SELECT count(), countIf(difference != ''), groupArrayIf(%d)(toString(tuple(%s)) || ':' || difference, difference != '') FROM (%s)",
		examples, keys, rows)).Scan(&compared, &differ, &differences)
	if err != nil {
		return fmt.Errorf("comparing: %w", err)
	}
	result.Compared += compared
	result.Differ += differ
	result.Differences = append(result.Differences, differences[:min(len(differences), examples-len(result.Differences))]...)
	if into == nil || differ == 0 {
		return nil
	}
	return into.takeStates(ctx, rows)
}

// months are those that tables have dossiers registered in.
func (r *run) months(ctx context.Context, tables ...string) ([]uint32, error) {
	var parts []string
	for _, table := range tables {
		parts = append(parts, "SELECT toYYYYMM(registered_on) AS month FROM "+table+" GROUP BY month")
	}
	rows, err := r.client.Conn().Query(ctx, "SELECT DISTINCT month FROM ("+strings.Join(parts, " UNION ALL ")+") ORDER BY month")
	if err != nil {
		return nil, fmt.Errorf("reading months: %w", err)
	}
	months, err := warehouse.Collect(rows, func(month *uint32) error { return rows.Scan(month) })
	if err != nil {
		return nil, fmt.Errorf("reading months: %w", err)
	}
	return months, nil
}

// sleep waits, or returns the error of ctx.
func sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
