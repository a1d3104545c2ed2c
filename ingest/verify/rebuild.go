package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ioc.local/internal/warehouse"
)

const (
	rebuildPrefix = "rebuild_"
	// rebuildRounds bounds how often a rollup is corrected: what was lowered is looked at again, since ingestion may have
	// added to the same rows meanwhile.
	rebuildRounds = 4
	// lowerings bounds the rows of one rollup that hold a maximum that is too great, or that nothing supports. They are
	// changed where they are; nothing that ioc does makes such rows.
	lowerings = 20_000
	// loweredAtOnce is how many of these one statement names.
	loweredAtOnce = 500
)

// UnderWayError says that a rollup cannot be rebuilt while rows are on their way into it.
type UnderWayError struct {
	// Rollup is the one, and What is under way.
	Rollup, What string
}

// Error says what to do.
func (e *UnderWayError) Error() string {
	return fmt.Sprintf("%s cannot be rebuilt while rows of %s are under way, since nothing says which of them it has counted: with ingestion running, run `ioc pause --reason …`, which lets it finish what it has begun, then rebuild, and run `ioc resume`", e.Rollup, e.What)
}

// rebuild brings rollups to what their raw rows give, and says how many rows of each were put right.
//
// What a rollup lacks is made beside it, as a table of one part for each partition, and added to it by one statement that
// shares the files: readers see the rollup before or after, and so does who starts it again after a crash. Since it is a
// difference, ingestion may go on, and what only the rollup remembers stays: its older rows, and the tokens of the blocks
// that it has had.
func (r *run) rebuild(ctx context.Context, targets []target) (map[string]uint64, error) {
	rebuilt := map[string]uint64{}
	if len(targets) == 0 {
		return rebuilt, nil
	}
	var missing, doubled uint64
	for _, p := range r.report.Partitions {
		missing, doubled = missing+p.Missing, doubled+p.Doubled
	}
	if missing > 0 || doubled > 0 {
		return nil, fmt.Errorf("nothing was rebuilt: %d offsets are missing and %d are there twice, so the raw rows are not what the rollups should be made of; run `ioc verify` to see them, and put them right first", missing, doubled)
	}
	for _, t := range targets {
		if problem := t.problem(r.catalog); problem != "" {
			return nil, fmt.Errorf("%s cannot be rebuilt: %s", t.name, problem)
		}
	}
	r.options.Progress("rebuild: what is under way")
	if err := r.settle(ctx); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(targets, target.dossiers) {
		if err := r.placeLeftBehind(ctx); err != nil {
			return nil, err
		}
	}
	for round := 1; len(targets) > 0; round++ {
		if round > rebuildRounds {
			return nil, fmt.Errorf("%s still differs after %d corrections: something else changes it", targets[0].name, rebuildRounds)
		}
		again, err := r.correct(ctx, targets, rebuilt)
		if err != nil {
			return nil, err
		}
		targets = again
	}
	return rebuilt, nil
}

// correct compares the targets and corrects those that differ. It returns those to be looked at again.
func (r *run) correct(ctx context.Context, targets []target, rebuilt map[string]uint64) (again []target, err error) {
	r.options.Progress("rebuild: what is lacking")
	corrections := map[string]*correction{}
	for _, t := range targets {
		if corrections[t.name], err = r.begin(ctx, t); err != nil {
			return nil, err
		}
	}
	found, err := r.rollups(ctx, targets, corrections)
	if err != nil {
		return nil, r.rival(ctx, corrections, err)
	}
	for i, t := range targets {
		c := corrections[t.name]
		if found[i].Problem != "" {
			return nil, fmt.Errorf("%s cannot be rebuilt: %s", t.name, found[i].Problem)
		}
		lost, err := r.voidsLost(ctx, t)
		if err != nil {
			return nil, err
		}
		if found[i].Differ > 0 || lost {
			r.options.Progress(fmt.Sprintf("rebuild: %s, %d rows", t.name, found[i].Differ))
			if err := c.apply(ctx, lost); err != nil {
				return nil, r.rival(ctx, corrections, fmt.Errorf("rebuilding %s: %w", t.name, err))
			}
			rebuilt[t.name] += found[i].Differ
			if len(c.lower) > 0 || len(c.remove) > 0 {
				again = append(again, t)
			}
		}
		if err := r.scratch.forget(ctx, c.table); err != nil {
			return nil, err
		}
	}
	return again, nil
}

// voidsLost says whether a rollup lacks voids that were to be taken out long ago. Ingestion does not take them out again:
// it has done so, and ClickHouse remembers that.
func (r *run) voidsLost(ctx context.Context, t target) (bool, error) {
	for _, v := range t.views {
		if !v.Counts() {
			continue
		}
		behind, err := r.count(ctx, r.late(v, "count()", r.options.Now.Add(-voidsDone)))
		if err != nil {
			return false, fmt.Errorf("looking for voids that %s lacks: %w", t.name, err)
		}
		if behind > 0 {
			return true, nil
		}
	}
	return false, nil
}

// correction is what a rollup lacks.
type correction struct {
	run    *run
	target target
	table  string
	// lower are the maxima that are too great: by column and key, what they should be.
	lower map[string]map[string]uint64
	// remove are rows of the state of dossiers that nothing supports, as tuples.
	remove []string
}

// begin makes the table of a correction. Of several runs that correct a rollup only one comes to its end: each makes its
// table, drops those of the others, and only then looks at what the rollup holds. Whoever adds its table after that has
// lost it, and whoever did before is seen.
func (r *run) begin(ctx context.Context, t target) (*correction, error) {
	c := &correction{run: r, target: t, table: rebuildPrefix + t.name + "_" + random(), lower: map[string]map[string]uint64{}}
	if err := r.scratch.make(ctx, c.table, "CREATE TABLE "+c.table+" AS "+t.name); err != nil {
		return nil, err
	}
	names, err := ours(ctx, r.client, "match(name, '^"+rebuildPrefix+t.name+"_[a-z0-9]{12}$') AND name != "+warehouse.Quote(c.table))
	if err != nil {
		return nil, fmt.Errorf("looking for other rebuilds of %s: %w", t.name, err)
	}
	return c, (&scratch{client: r.client, names: names}).drop(ctx)
}

// rival gives the reason of an error where it is that another run has dropped our tables.
func (r *run) rival(ctx context.Context, corrections map[string]*correction, err error) error {
	for name, c := range corrections {
		if !slices.Contains(r.scratch.names, c.table) {
			continue // done
		}
		left, lookErr := ours(ctx, r.client, "name = "+warehouse.Quote(c.table))
		if lookErr == nil && len(left) == 0 {
			return fmt.Errorf("another rebuild of %s has begun, and this one has ended before changing it: %w", name, err)
		}
	}
	return err
}

// take takes what a comparison finds.
func (c *correction) take(ctx context.Context, found comparison) error {
	columns, values := c.target.keys(), c.target.keys()
	for _, v := range c.target.columns {
		if !found.judged(v) {
			continue
		}
		value := fmt.Sprintf("if(partial, greatest(expected_%[1]s - stored_%[1]s, 0), expected_%[1]s - stored_%[1]s)", v.name)
		switch v.function() {
		case "sumMap": // each of its numbers is a sum
			value = fmt.Sprintf("mapFilter((k, n) -> n > 0 OR n < 0 AND NOT partial, mapSubtract(expected_%[1]s, stored_%[1]s))", v.name)
		case "max":
			value = fmt.Sprintf("if(expected_%[1]s > stored_%[1]s, expected_%[1]s, defaultValueOfArgumentType(expected_%[1]s))", v.name)
		}
		columns, values = append(columns, v.name), append(values, value)
	}
	err := c.run.exec(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM (%s) WHERE differs", c.table, strings.Join(columns, ", "), strings.Join(values, ", "), found.rows()))
	if err != nil {
		return fmt.Errorf("putting together what is lacking: %w", err)
	}
	return nil
}

// takeGreat takes the maxima that are too great.
func (c *correction) takeGreat(ctx context.Context, found comparison) error {
	rows := found.rows()
	for _, v := range c.target.columns {
		if !found.judged(v) || v.function() != "max" {
			continue
		}
		should, stored := "expected_"+v.name, "stored_"+v.name
		if found.positions() && v.name == "position" {
			highest := "expected_position"
			for _, f := range found.fills {
				highest = fmt.Sprintf("if(%s AND impossible, greatest(%s, %s), %s)", f.family, perPartition(f.bound.highest), should, highest)
			}
			should = fmt.Sprintf("if(partial OR %t, %s, expected_position)", found.loose(), highest)
		}
		if strings.Contains(v.kind, "DateTime64") {
			should, stored = "toUInt64(toUnixTimestamp64Milli("+should+"))", "toUInt64(toUnixTimestamp64Milli("+stored+"))"
		}
		if err := c.takeLower(ctx, v.name, fmt.Sprintf("SELECT toString(tuple(%s)), toUInt64(%s) FROM (%s) WHERE lower AND %s > %[2]s LIMIT %[5]d",
			strings.Join(c.target.keys(), ", "), should, rows, stored, lowerings+1)); err != nil {
			return err
		}
	}
	return nil
}

func (c *correction) takeLower(ctx context.Context, column, query string) error {
	rows, err := c.run.client.Conn().Query(ctx, query)
	if err != nil {
		return fmt.Errorf("looking for what is too great: %w", err)
	}
	found := c.lower[column]
	err = warehouse.Each(rows, func() error {
		var key string
		var should uint64
		if err := rows.Scan(&key, &should); err != nil {
			return err
		}
		if found == nil {
			found = map[string]uint64{}
			c.lower[column] = found
		}
		found[key] = should
		return nil
	})
	if err != nil {
		return fmt.Errorf("looking for what is too great: %w", err)
	}
	return c.limit(len(found))
}

// takeStates takes what the state of dossiers lacks. A row of the same version takes the place of the one before it.
func (c *correction) takeStates(ctx context.Context, found string) error {
	columns, values := c.target.keys(), c.target.keys()
	for _, name := range c.target.values() {
		columns, values = append(columns, name), append(values, "expected_"+name)
	}
	err := c.run.exec(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM (%s) WHERE difference != '' AND NOT unsupported", c.table, strings.Join(columns, ", "), strings.Join(values, ", "), found))
	if err != nil {
		return fmt.Errorf("putting together what is lacking: %w", err)
	}
	rows, err := c.run.client.Conn().Query(ctx, fmt.Sprintf("SELECT toString((%s, stored_version)) FROM (%s) WHERE unsupported OR (NOT lacking AND stored_version > expected_version) LIMIT %d",
		strings.Join(c.target.keys(), ", "), found, lowerings+1))
	if err != nil {
		return fmt.Errorf("looking for what nothing supports: %w", err)
	}
	remove, err := warehouse.Collect(rows, func(tuple *string) error { return rows.Scan(tuple) })
	if err != nil {
		return fmt.Errorf("looking for what nothing supports: %w", err)
	}
	c.remove = append(c.remove, remove...) // to those of other months
	return c.limit(len(c.remove))
}

// limit refuses what is not the damage of some rows any more.
func (c *correction) limit(n int) error {
	if n > lowerings {
		return fmt.Errorf("more than %d rows of %s hold what no raw row supports, which is more than a rebuild puts right: restore the table from a backup and rebuild it then", lowerings, c.target.name)
	}
	return nil
}

// apply adds the correction to the rollup. voidsLost lets ingestion take voided events out again.
func (c *correction) apply(ctx context.Context, voidsLost bool) error {
	for column, should := range c.lower {
		kind := ""
		for _, v := range c.target.columns {
			if v.name == column {
				kind = v.kind
			}
		}
		for keys := range slices.Chunk(slices.Sorted(maps.Keys(should)), loweredAtOnce) {
			if err := c.lowerRows(ctx, column, kind, keys, should); err != nil {
				return err
			}
		}
	}
	for rows := range slices.Chunk(c.remove, loweredAtOnce) {
		if err := c.run.exec(ctx, fmt.Sprintf("ALTER TABLE %s DELETE WHERE (%s, version) IN (%s) SETTINGS mutations_sync = 2",
			c.target.name, strings.Join(c.target.keys(), ", "), strings.Join(rows, ", "))); err != nil {
			return fmt.Errorf("removing what nothing supports: %w", err)
		}
	}
	if c.target.has("topic") {
		// Answers have another revision from now on.
		if err := c.next(ctx, warehouse.RebuildTopic); err != nil {
			return err
		}
	}
	if voidsLost {
		if err := c.next(ctx, warehouse.VoidAgainTopic); err != nil {
			return err
		}
	}
	return c.attach(ctx)
}

// next raises the position of a row that counts rebuilds.
func (c *correction) next(ctx context.Context, topic string) error {
	if err := c.run.exec(ctx, fmt.Sprintf("INSERT INTO %s (topic, position) SELECT '%s', (SELECT max(r.position) FROM %s AS r WHERE topic = '%[2]s') + 1", c.table, topic, c.target.name)); err != nil {
		return fmt.Errorf("counting the rebuild: %w", err)
	}
	return nil
}

// attach adds the table to the rollup, a part for each partition: a part is there or not, whatever is killed.
func (c *correction) attach(ctx context.Context) error {
	if err := c.run.exec(ctx, "OPTIMIZE TABLE "+c.table+" FINAL"); err != nil {
		return fmt.Errorf("joining what is lacking: %w", err)
	}
	rows, err := c.run.client.Conn().Query(ctx, "SELECT _partition_id, uniqExact(_part) FROM "+c.table+" GROUP BY _partition_id ORDER BY _partition_id")
	if err != nil {
		return fmt.Errorf("reading the parts of what is lacking: %w", err)
	}
	partitions, err := warehouse.Collect(rows, func(id *string) error {
		var parts uint64
		if err := rows.Scan(id, &parts); err != nil {
			return err
		}
		if parts != 1 {
			return fmt.Errorf("partition %s of %s is in %d parts", *id, c.table, parts)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the parts of what is lacking: %w", err)
	}
	for _, id := range partitions {
		if err := c.run.exec(ctx, "ALTER TABLE "+c.target.name+" ATTACH PARTITION ID "+warehouse.Quote(id)+" FROM "+c.table); err != nil {
			return fmt.Errorf("adding what is lacking: %w", err)
		}
	}
	return nil
}

// lowerRows makes maxima smaller where they are: nothing that is added can do that.
func (c *correction) lowerRows(ctx context.Context, column, kind string, keys []string, should map[string]uint64) error {
	texts, numbers := make([]string, len(keys)), make([]string, len(keys))
	for i, key := range keys {
		texts[i], numbers[i] = warehouse.Quote(key), fmt.Sprint(should[key])
	}
	key, list := "toString(tuple("+strings.Join(c.target.keys(), ", ")+"))", "["+strings.Join(texts, ", ")+"]"
	value := fmt.Sprintf("transform(%s, %s, CAST([%s], 'Array(UInt64)'), toUInt64(0))", key, list, strings.Join(numbers, ", "))
	if strings.Contains(kind, "DateTime64") {
		value = "fromUnixTimestamp64Milli(toInt64(" + value + "), " + zone + ")"
	}
	err := c.run.exec(ctx, fmt.Sprintf("ALTER TABLE %s UPDATE %s = least(%[2]s, %s) WHERE has(%s, %s) SETTINGS mutations_sync = 2", c.target.name, column, value, list, key))
	if err != nil {
		return fmt.Errorf("lowering %s: %w", column, err)
	}
	return nil
}
