package kpi

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"ioc.local/internal/warehouse"
)

// Whether anything has come is asked of one table of each family, its witness, as ClickHouse takes some milliseconds to plan a
// look at each. The tables that one insert fills follow each other by moments, and voids are taken out of each on its own: so a
// statement that counted less than the witness showed before is repeated with the next tick. What a rebuild puts right has no
// witness: its mark is looked for in all tables once a minute.

// witnesses are these tables by family: the first that a source of the family has.
func witnesses() map[string]*table {
	of := map[string]*table{}
	for _, src := range sources() {
		if src.form == rollup && of[src.family] == nil {
			of[src.family] = &src.tables[0]
		}
	}
	return of
}

// readPositions reads how far sources have counted, cheaply: position rows, and the types of events in register_events, lie
// at the start of the primary key. That of a rollup is the witness's.
func (e *Evaluator) readPositions(ctx context.Context, names []string) (map[string]*reading, error) {
	read, tells := map[string]*reading{}, map[witnessed][]string{}
	var parts, types []string
	for _, name := range names {
		src := e.deps.Catalogue.sources[name]
		read[name] = &reading{}
		switch {
		case src.form == rollup:
			of := witnessed{family: src.family}
			if tells[of] == nil {
				p := plan{table: e.witnesses[src.family]}
				parts = append(parts, fmt.Sprintf("SELECT '%s' AS kin, '' AS kind, topic, partition, max(position), max(latest) FROM %s WHERE topic != '' AND %s GROUP BY topic, partition",
					src.family, p.table.name, p.positionSQL()))
			}
			tells[of] = append(tells[of], name)
		case src.inRegister():
			types = append(types, src.eventType())
			tells[witnessed{kind: src.eventType()}] = append(tells[witnessed{kind: src.eventType()}], name)
			tells[witnessed{kind: voidType}] = append(tells[witnessed{kind: voidType}], name)
		case src.form == activity:
			parts = append(parts, "SELECT toString(family) AS kin, '"+activityKind+"' AS kind, topic, partition, max(position), max(latest) FROM source_activity WHERE topic != '' GROUP BY kin, topic, partition")
			tells[witnessed{kind: activityKind}] = append(tells[witnessed{kind: activityKind}], name)
		}
	}
	if len(types) > 0 {
		parts = append(parts, fmt.Sprintf("SELECT '' AS kin, toString(type) AS kind, topic, partition, max(offset) + 1, max(occurred_at) FROM register_events WHERE type IN ('%s') GROUP BY kind, topic, partition",
			strings.Join(append(types, voidType), "', '")))
	}
	if len(parts) == 0 {
		return read, nil
	}
	err := e.query(ctx, strings.Join(parts, "\nUNION ALL "), nil, func(rows driver.Rows) error {
		var (
			of     witnessed
			at     position
			latest time.Time
		)
		if err := rows.Scan(&of.family, &of.kind, &at.topic, &at.partition, &at.offset, &latest); err != nil {
			return err
		}
		switch of.kind {
		case activityKind:
			at.family, of.family = of.family, ""
		case voidType:
			latest = time.Time{} // of the correction, not of what it corrects
		}
		for _, name := range tells[of] {
			src := e.deps.Catalogue.sources[name]
			if src.form != activity {
				at.family = src.family
			}
			read[name].reach(at, latest)
		}
		return nil
	})
	return read, err
}

// witnessed is what a row of positions is about: the family of rollups, the type of events in register_events, or activityKind.
type witnessed struct{ family, kind string }

const activityKind = "source_activity"

// reach is see where a partition may have been seen before, with other events.
func (r *reading) reach(p position, latest time.Time) {
	at := slices.IndexFunc(r.positions, func(q position) bool {
		return q.family == p.family && q.topic == p.topic && q.partition == p.partition
	})
	if at < 0 {
		r.see(p, latest)
		return
	}
	r.positions[at].offset = max(r.positions[at].offset, p.offset)
	if latest.After(r.latest) && latest.Unix() > 0 {
		r.latest = latest
	}
}

// behind says whether a question was answered from tables that had counted less than the witnesses showed before. What a rebuild
// leaves in one table is no concern of others.
func (q *question) behind(t *tallies, cat *Catalogue, read map[string]*reading) bool {
	counted := map[position]uint64{}
	for _, p := range t.positions {
		at := p
		at.offset = 0
		counted[at] = max(counted[at], p.offset)
	}
	for _, name := range append(q.def.besides(), q.def.Source) {
		if cat.sources[name].form != rollup {
			continue // counted up to what was read
		}
		for _, p := range read[name].positions {
			at := p
			at.offset = 0
			own := strings.HasPrefix(p.topic, "~") && p.topic != warehouse.VoidTopic
			if !own && counted[at] < p.offset {
				return true
			}
		}
	}
	return false
}

// readMarks finds out, by source, what voids and rebuilds have left in its tables, and which of these hold what was before them.
func (e *Evaluator) readMarks(ctx context.Context) error {
	var parts []string
	keyed := map[string]*table{}
	for _, name := range e.sourceNames {
		src := e.deps.Catalogue.sources[name]
		for i := range src.tables {
			t := &src.tables[i]
			if t.key != "" {
				keyed[t.name] = t
			}
			p := plan{table: t}
			parts = append(parts, fmt.Sprintf("SELECT '%s' AS name, '%s' AS rollup, topic, max(position) AS position FROM %[2]s WHERE startsWith(topic, '~') AND %s GROUP BY topic",
				name, t.name, p.positionSQL()))
		}
	}
	marks, found := map[string]string{}, map[string]bool{}
	err := e.query(ctx, "SELECT name, rollup, topic, position FROM ("+strings.Join(parts, "\nUNION ALL ")+") ORDER BY name, rollup, topic", nil, func(rows driver.Rows) error {
		var name, rollup, topic string
		var position uint64
		err := rows.Scan(&name, &rollup, &topic, &position)
		marks[name] += fmt.Sprintf("%s %s %d\n", rollup, topic, position)
		found[rollup+topic] = true
		return err
	})
	if err != nil {
		return err
	}
	for name, t := range keyed {
		t.whole.Store(!found[name+warehouse.UnfilledTopic] || found[name+warehouse.RebuildTopic])
	}
	if !maps.Equal(marks, e.marks) {
		e.hidden.forget()
	}
	e.marks = marks
	return nil
}
