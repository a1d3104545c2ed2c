package verify

import (
	"context"
	"fmt"
	"strings"

	"ioc.local/internal/warehouse"
)

const (
	// identitiesAtOnce bounds the identities whose hashes are grouped together; what is too much for memory is grouped on
	// disk.
	identitiesAtOnce = 1_000_000_000
	dayMillis        = 24 * 60 * 60 * 1000
)

// identities looks for events that are there more than once (contract rule 2).
func (r *run) identities(ctx context.Context) error {
	var parts, counted []string
	for _, raw := range r.catalog.raw {
		if !raw.events {
			continue
		}
		parts = append(parts, "SELECT '"+raw.name+"' AS family, source, event_id, topic, partition, offset, record_time, cityHash64(source, event_id) AS hash FROM "+
			raw.name+" WHERE received_at >= fromUnixTimestamp64Milli("+fmt.Sprint(r.cutoff.UnixMilli())+")")
		if raw.counted {
			counted = append(counted, warehouse.Quote(raw.name))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	events := "(" + strings.Join(parts, " UNION ALL ") + ")"
	found := &r.report.Identities
	if err := r.client.Conn().QueryRow(ctx, "SELECT count() FROM "+events+" WHERE offset < "+perPartition(r.settled)).Scan(&found.Events); err != nil {
		return fmt.Errorf("counting events: %w", err)
	}
	passes := 1 + found.Events/identitiesAtOnce
	for pass := range passes {
		which := fmt.Sprintf("hash %% %d = %d AND offset < %s", passes, pass, perPartition(r.settled))
		// Hashes find the few candidates in little memory; the rest is exact. Within a partition a copy is one that the
		// duplicate window had to see: at most 24 hours of record time after the copy before it.
		row := r.client.Conn().QueryRow(ctx, fmt.Sprintf(`SELECT countIf(again), countIf(late), countIf(partitions > 1 AND counting > 1), countIf(partitions > 1 AND counting <= 1),
				groupArrayIf(%[4]d)(place, again), groupArrayIf(%[4]d)(place, partitions > 1 AND counting > 1)
			FROM (
				SELECT max(soon) AS again, max(copies > 1 AND NOT soon) AS late, count() AS partitions, countIf(counts) AS counting,
					source || ' ' || event_id || ' at ' || arrayStringConcat(groupArray(4)(topic || '/' || toString(partition) || ' ' || offsets), ', ') AS place
				FROM (
					SELECT source, event_id, topic, partition, count() AS copies, countIf(family IN (%[3]s)) > 0 AS counts,
						arraySort(groupArray((offset, toUnixTimestamp64Milli(record_time)))) AS at,
						arrayExists((later, earlier) -> later.2 - earlier.2 <= %[5]d, arrayPopFront(at), arrayPopBack(at)) AS soon,
						arrayStringConcat(arrayMap(a -> toString(a.1), arraySlice(at, 1, 4)), '+') AS offsets
					FROM %[1]s
					WHERE %[2]s AND hash IN (SELECT hash FROM %[1]s WHERE %[2]s GROUP BY hash HAVING count() > 1)
					GROUP BY source, event_id, topic, partition)
				GROUP BY source, event_id
				HAVING again OR late OR partitions > 1)`,
			events, which, strings.Join(append(counted, "''"), ", "), examples, dayMillis))
		var repeated, late, doubled, copied uint64
		var repeatedAt, doubledAt []string
		if err := row.Scan(&repeated, &late, &doubled, &copied, &repeatedAt, &doubledAt); err != nil {
			return fmt.Errorf("looking for repeated identities: %w", err)
		}
		found.Repeated += repeated
		found.Late += late
		found.Doubled += doubled
		found.Copied += copied
		found.Examples = append(found.Examples, repeatedAt[:min(len(repeatedAt), examples-min(examples, len(found.Examples)))]...)
		found.Examples = append(found.Examples, doubledAt[:min(len(doubledAt), 2*examples-min(2*examples, len(found.Examples)))]...)
	}
	return nil
}
