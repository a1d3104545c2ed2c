package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ioc.local/internal/warehouse"
)

const (
	// dossierChanges is the table without storage that the state of dossiers goes through on its way into its rollups.
	dossierChanges = "dossier_changes"
	// feedQuality is a rollup that ingestion fills itself, and not a view; feedRecords gives a row for each record that it
	// counts.
	feedQuality, feedRecords = "feed_quality", "feed_records"
)

// beside are tables that name offsets of rows that are elsewhere: what was done about them. They are no places of their
// own.
var beside = []string{"voided", "dossier_order", "dossier_bounds", "dead_letter_replays", "topic_incarnations", feedQuality}

// catalog is what the database says about itself, so that tables of later migrations are verified too.
type catalog struct {
	// raw are the tables with a row for each offset; those with identities hold events.
	raw []rawTable
	// rollups are the targets of materialized views.
	rollups []target
}

type rawTable struct {
	name string
	// ranges says that a row stands for a range of offsets.
	ranges bool
	// events says that the rows have an identity.
	events bool
	// counted says that a second row of an identity counts twice; dossiers and registers are sets.
	counted bool
	// forgets says that rows are dropped after a time.
	forgets bool
}

// bounds are the columns of the first and the last offset of a row.
func (t rawTable) bounds() (first, last string) {
	if t.ranges {
		return "first_offset", "last_offset"
	}
	return "offset", "offset"
}

type column struct {
	name, kind string
	key        bool
}

// function is how values of the column are added up, from SimpleAggregateFunction(sum, UInt64); empty on others.
func (c column) function() string {
	inner, ok := strings.CutPrefix(c.kind, "SimpleAggregateFunction(")
	if !ok {
		return ""
	}
	return inner[:strings.IndexByte(inner, ',')]
}

// target is a rollup.
type target struct {
	name    string
	columns []column
	// state says that it holds one row per dossier, not sums.
	state bool
	// forgets says that rows are dropped after a time.
	forgets bool
	// timeKey is the day or minute that its rows are of, empty without one.
	timeKey string
	// sorting is the sorting key.
	sorting string
	// views fill it; where there is none, it is the sum of the rows of records.
	views   []warehouse.RollupView
	records string
}

// dossiers says that it is filled from the state of dossiers.
func (t target) dossiers() bool { return len(t.views) > 0 && t.views[0].Source == dossierChanges }

// problem says why the target cannot be recomputed; it is empty when it can.
func (t target) problem(c *catalog) string {
	if t.records != "" {
		return ""
	}
	for _, v := range t.views {
		raw := slices.ContainsFunc(c.raw, func(raw rawTable) bool { return raw.name == v.Source && !raw.ranges })
		switch {
		case v.LeftBehind():
			return fmt.Sprintf("the view %s, which a migration that was cut off has left, fills it once more: DROP VIEW %[1]s", v.Name)
		case v.Over("") == "" || !raw && v.Source != dossierChanges:
			return fmt.Sprintf("the view %s reads from %q, which verify cannot recompute from", v.Name, v.Source)
		case t.state && (len(t.views) > 1 || v.Source != dossierChanges):
			return "it replaces rows, and only the state of dossiers is known to do that"
		case !t.state && (!t.has("topic") || !t.has("partition") || !t.has("position")):
			return "it has no position rows, so nothing says which raw rows it counts"
		case len(t.views) > 1 && (!t.has("family") || v.Source == dossierChanges):
			return "several views fill it, and it has no column family that tells them apart"
		}
	}
	for _, c := range t.columns {
		if f := c.function(); !t.state && !c.key && f != "sum" && f != "sumMap" && f != "max" {
			return fmt.Sprintf("verify does not know how to add up the column %s of type %s", c.name, c.kind)
		}
	}
	return ""
}

func (t target) has(name string) bool {
	return slices.ContainsFunc(t.columns, func(c column) bool { return c.name == name })
}

// firstTime is the first column of the sorting key that is a day or a moment; empty where none is.
func (t target) firstTime() string {
	for name := range strings.SplitSeq(t.sorting, ", ") {
		if slices.ContainsFunc(t.columns, func(c column) bool { return c.name == name && strings.HasPrefix(c.kind, "Date") }) {
			return name
		}
	}
	return ""
}

// keys and values are the names of the columns that identify a row, and of the others.
func (t target) keys() []string   { return t.pick(func(c column) bool { return c.key }) }
func (t target) values() []string { return t.pick(func(c column) bool { return !c.key }) }

func (t target) pick(want func(column) bool) (names []string) {
	for _, c := range t.columns {
		if want(c) {
			names = append(names, c.name)
		}
	}
	return names
}

// family is the condition on rows of the target that come from a view.
func (t target) family(v warehouse.RollupView) string {
	if t.has("family") {
		return "family = " + warehouse.Quote(v.Source)
	}
	return "1"
}

func readCatalog(ctx context.Context, client *warehouse.Client) (*catalog, error) {
	columns := map[string][]column{}
	rows, err := client.Conn().Query(ctx, "SELECT table, name, type, is_in_sorting_key FROM system.columns WHERE database = currentDatabase() ORDER BY table, position")
	if err != nil {
		return nil, fmt.Errorf("reading system.columns: %w", err)
	}
	err = warehouse.Each(rows, func() error {
		var table string
		var c column
		var key uint8
		if err := rows.Scan(&table, &c.name, &c.kind, &key); err != nil {
			return err
		}
		c.key = key == 1
		columns[table] = append(columns[table], c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading system.columns: %w", err)
	}

	c := &catalog{}
	type table struct{ name, engine, full, sorting string }
	rows, err = client.Conn().Query(ctx, "SELECT name, engine, engine_full, sorting_key FROM system.tables WHERE database = currentDatabase() ORDER BY name")
	if err != nil {
		return nil, fmt.Errorf("reading system.tables: %w", err)
	}
	tables, err := warehouse.Collect(rows, func(t *table) error { return rows.Scan(&t.name, &t.engine, &t.full, &t.sorting) })
	if err != nil {
		return nil, fmt.Errorf("reading system.tables: %w", err)
	}

	// A rollup that drops rows without a count loses nothing.
	forgets := func(t table) bool {
		return strings.Contains(t.full, " TTL ") && !strings.Contains(t.full, "WHERE (n = 0)")
	}
	all, err := warehouse.RollupViews(ctx, client)
	if err != nil {
		return nil, err
	}
	views := map[string][]warehouse.RollupView{}
	for _, v := range all {
		views[v.Target] = append(views[v.Target], v)
	}
	for _, t := range tables {
		has := func(column string) bool { return target{columns: columns[t.name]}.has(column) }
		if !slices.Contains(beside, t.name) && !warehouse.IsRestore(t.name) && strings.Contains(t.engine, "MergeTree") && has("topic") && has("partition") && has("received_at") && (has("offset") || has("first_offset")) {
			raw := rawTable{name: t.name, ranges: has("first_offset"), events: has("event_id"), forgets: forgets(t)}
			raw.counted = raw.events && t.name != "dossier_events" && t.name != "register_events"
			c.raw = append(c.raw, raw)
		}
	}
	records := slices.ContainsFunc(tables, func(t table) bool { return t.name == feedRecords })
	for _, in := range tables {
		if len(views[in.name]) == 0 && (in.name != feedQuality || !records) {
			continue
		}
		t := target{name: in.name, columns: columns[in.name], views: views[in.name], forgets: forgets(in), state: in.engine == "ReplacingMergeTree", sorting: in.sorting}
		if len(t.views) == 0 {
			t.records = feedRecords
		}
		if !t.state {
			t.timeKey = t.firstTime()
		}
		c.rollups = append(c.rollups, t)
	}
	return c, nil
}
