package verify

import (
	"context"
	"fmt"
	"strings"

	"ioc.local/internal/warehouse"
)

// comparison is of two tables by key: the snapshot of a rollup and its recomputation.
type comparison struct {
	target           target
	stored, expected string
	// where is the condition on the rows that are compared.
	where string
	// partial is the condition on keys that also count events whose raw rows are gone: they must only not be too small.
	partial string
	// fills are given when position rows are compared.
	fills []fill
	// into takes what the rollup lacks; it may be nil.
	into *correction
}

// The position rows of a cube of dossiers, and the times of its counts, are of the ranges that changed it, which no
// recomputation can know; nor can it know the position of feed_quality, which is the end of a range whatever the range holds.
// Of their position rows only what is too small is a difference, and of the others only the counts.
func (c comparison) loose() bool { return c.target.dossiers() || c.target.records != "" }

// positionRows is the condition on position rows. Those that count rebuilds are ours.
const positionRows = "topic NOT IN ('', '" + warehouse.RebuildTopic + "', '" + warehouse.VoidAgainTopic + "', '" + warehouse.UnfilledTopic + "')"

// positions says that position rows are compared.
func (c comparison) positions() bool { return c.fills != nil }

// judged says whether values of the column are compared.
func (c comparison) judged(v column) bool {
	return !v.key && (!c.loose() || c.positions() == (v.function() == "max"))
}

// rows is the query of the compared rows: the keys, of each value stored_ and expected_, partial, lower (a maximum is too
// great) and differs.
func (c comparison) rows() string {
	var values, differ, small, great []string
	for _, v := range c.target.columns {
		if v.key {
			continue
		}
		less := "stored_%[1]s < expected_%[1]s"
		one := "%[1]sIf(%[2]s, side = 0) AS stored_%[2]s, %[1]sIf(%[2]s, side = 1) AS expected_%[2]s"
		switch v.function() {
		case "sum": // of unsigned counts too, what is taken out is negative
			one = "toInt64(%[1]sIf(%[2]s, side = 0)) AS stored_%[2]s, toInt64(%[1]sIf(%[2]s, side = 1)) AS expected_%[2]s"
		case "sumMap": // a key whose numbers cancel stays; of some key there is less
			less = "mapExists((k, v) -> v > stored_%[1]s[k], expected_%[1]s)"
			one = "mapFilter((k, v) -> v != 0, %[1]sIf(%[2]s, side = 0)) AS stored_%[2]s, mapFilter((k, v) -> v != 0, %[1]sIf(%[2]s, side = 1)) AS expected_%[2]s"
		}
		values = append(values, fmt.Sprintf(one, v.function(), v.name))
		if !c.judged(v) {
			continue
		}
		less = fmt.Sprintf(less, v.name)
		small = append(small, less)
		if c.loose() && c.positions() {
			differ = append(differ, less)
			continue
		}
		differ = append(differ, fmt.Sprintf("stored_%[1]s != expected_%[1]s", v.name))
		if v.function() == "max" {
			great = append(great, fmt.Sprintf("stored_%[1]s > expected_%[1]s", v.name))
		}
	}
	if c.target.forgets && !c.positions() {
		small = []string{"0"}
	}
	impossible := []string{"0"}
	for _, f := range c.fills {
		impossible = append(impossible, "("+f.family+" AND "+f.bound.impossible("stored_position")+")")
	}
	keys := strings.Join(c.target.keys(), ", ")
	great = append(great, "0")
	return fmt.Sprintf(`SELECT *, (%s) AS partial, (%s) AS impossible, impossible OR (NOT partial AND (%s)) AS lower, impossible OR if(partial, %s, %s) AS differs FROM
		(SELECT %s, %s FROM (SELECT *, 0 AS side FROM %s WHERE %s UNION ALL SELECT *, 1 AS side FROM %s WHERE %s) GROUP BY %s)`,
		c.partial, strings.Join(impossible, " OR "), strings.Join(great, " OR "), strings.Join(small, " OR "), strings.Join(differ, " OR "),
		keys, strings.Join(values, ", "), c.stored, c.where, c.expected, c.where, keys)
}

// difference is an expression that describes how a row differs.
func (c comparison) difference() string {
	parts := []string{"toString(tuple(" + strings.Join(c.target.keys(), ", ") + ")) || ':'"}
	for _, v := range c.target.columns {
		if c.judged(v) {
			parts = append(parts, fmt.Sprintf("if(stored_%[1]s != expected_%[1]s, ' %[1]s ' || toString(stored_%[1]s) || ', raw gives ' || toString(expected_%[1]s), '')", v.name))
		}
	}
	return strings.Join(parts, " || ")
}

// compare adds what a comparison finds to the result, and gives what the rollup lacks to the correction.
func (r *run) compare(ctx context.Context, c comparison, result *Rollup) error {
	var compared, differ, partial, lower uint64
	var differences []string
	err := r.client.Conn().QueryRow(ctx, fmt.Sprintf("SELECT count(), countIf(differs), countIf(partial), countIf(lower), groupArrayIf(%d)(%s, differs) FROM (%s)", examples, c.difference(), c.rows())).
		Scan(&compared, &differ, &partial, &lower, &differences)
	if err != nil {
		return fmt.Errorf("comparing: %w", err)
	}
	result.Compared += compared
	result.Differ += differ
	result.Partial += partial
	result.Differences = append(result.Differences, differences[:min(len(differences), examples-len(result.Differences))]...)
	if c.into == nil || differ == 0 {
		return nil
	}
	if err := c.into.take(ctx, c); err != nil || lower == 0 {
		return err
	}
	return c.into.takeGreat(ctx, c)
}
