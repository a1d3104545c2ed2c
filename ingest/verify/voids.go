package verify

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ioc.local/internal/warehouse"
)

// voidsWithin is the time in which ingestion takes a voided event out of the rollups when it runs; it needs seconds.
const voidsWithin = time.Hour

// voidsDone is the time after which a rebuild takes a batch that is not out of a rollup as one that was, and is not any
// more. A process that takes it out late, in that very moment, would take it out twice; verify would see it.
const voidsDone = 2 * time.Minute

// voids looks for counted facts that a void names and that nothing is written down about: they still count.
func (r *run) voids(ctx context.Context, now time.Time) error {
	const open = "(SELECT source, subject FROM register_events WHERE type = 'event.void' AND (source, subject) NOT IN (SELECT source, event_id FROM voided))"
	var parts []string
	for _, raw := range r.catalog.raw {
		if raw.counted {
			parts = append(parts, "SELECT source, event_id FROM "+raw.name+" WHERE (source, event_id) IN "+open)
		}
	}
	found := &r.report.Voids
	err := r.client.Conn().QueryRow(ctx, "SELECT uniqExactIf((source, event_id), outcome = 'counted'), uniqExactIf((source, event_id), outcome = 'lost') FROM voided").Scan(&found.TakenOut, &found.Lost)
	if err != nil {
		return fmt.Errorf("counting voided events: %w", err)
	}
	if err := r.behind(ctx, now); err != nil {
		return err
	}
	if len(parts) == 0 {
		return nil
	}
	err = r.client.Conn().QueryRow(ctx, fmt.Sprintf(`SELECT countIf(since >= fromUnixTimestamp64Milli(%[1]d)), countIf(since < fromUnixTimestamp64Milli(%[1]d))
		FROM (SELECT min(received_at) AS since FROM register_events WHERE type = 'event.void' AND (source, subject) IN (%[2]s) GROUP BY source, subject)`,
		now.Add(-voidsWithin).UnixMilli(), strings.Join(parts, " UNION ALL "))).Scan(&found.Open, &found.Overdue)
	if err != nil {
		return fmt.Errorf("looking for voids that are open: %w", err)
	}
	return nil
}

// behind counts the voided events that some rollup still counts although it was written down long ago that they are to
// be taken out, and that are still there to be taken out.
func (r *run) behind(ctx context.Context, now time.Time) error {
	var parts []string
	for _, t := range r.catalog.rollups {
		for _, v := range t.views {
			if !v.Counts() || t.problem(r.catalog) != "" {
				continue
			}
			parts = append(parts, r.late(v, "source, event_id", now.Add(-voidsWithin)))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	var err error
	if r.report.Voids.Behind, err = r.count(ctx, "SELECT uniqExact((source, event_id)) FROM ("+strings.Join(parts, " UNION ALL ")+")"); err != nil {
		return fmt.Errorf("looking for rollups that are behind with voids: %w", err)
	}
	return nil
}

// late selects events that are to be taken out of a view's rollup and are not, although that was decided before a time.
func (r *run) late(v warehouse.RollupView, columns string, before time.Time) string {
	which := fmt.Sprintf("FROM voided WHERE family = '%s' AND batch > (%s) AND decided_at < fromUnixTimestamp64Milli(%d)", v.Source, v.VoidedBatch(), before.UnixMilli())
	return fmt.Sprintf("SELECT %s FROM %s WHERE (source, event_id) IN (SELECT source, event_id %s) AND (topic, partition, offset) IN (SELECT topic, partition, offset %[3]s)", columns, v.Source, which)
}
