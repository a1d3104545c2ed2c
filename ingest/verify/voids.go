package verify

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// voidsWithin is the time in which ingestion takes a voided event out of the rollups when it runs; it needs seconds.
const voidsWithin = time.Hour

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
