package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ioc.local/internal/warehouse"
)

// dossierOffsets are the offsets of all that changes dossiers.
const dossierOffsets = "SELECT topic, partition, offset FROM dossier_events UNION ALL SELECT topic, partition, offset FROM register_events WHERE type = 'event.void'"

// A log that was given up for another one (ioc topics adopt) may have been in the middle of a range. Nobody inserts the
// rest of it any more. What is there of it counts, like every raw row; what is not is no fault of the tables, as long as
// it lies in that range.

// readGivenUp reads which incarnation each log has come to.
func (r *run) readGivenUp(ctx context.Context) error {
	r.newest = map[TopicPartition]uint32{}
	rows, err := r.client.Conn().Query(ctx, "SELECT topic, partition, max(incarnation) FROM topic_incarnations GROUP BY topic, partition")
	if err != nil {
		return fmt.Errorf("reading topic_incarnations: %w", err)
	}
	err = warehouse.Each(rows, func() error {
		var tp TopicPartition
		var incarnation uint32
		err := rows.Scan(&tp.Topic, &tp.Partition, &incarnation)
		r.newest[tp] = incarnation
		return err
	})
	if err != nil {
		return fmt.Errorf("reading topic_incarnations: %w", err)
	}
	return nil
}

// givenUp says that the log of a partition was given up for another one.
func (r *run) givenUp(tp TopicPartition) bool {
	topic, number, _ := strings.Cut(tp.Topic, "@")
	incarnation, _ := strconv.ParseUint("0"+number, 10, 32)
	return uint32(incarnation) < r.newest[TopicPartition{Topic: topic, Partition: tp.Partition}]
}

// live is the condition that a row is of a log that was not given up.
func (r *run) live() string {
	var parts []string
	for _, tp := range slices.SortedFunc(maps.Keys(r.newest), TopicPartition.compare) {
		name := warehouse.Quote(tp.Topic)
		parts = append(parts, fmt.Sprintf("NOT (partition = %d AND (topic = %s OR startsWith(topic, concat(%[2]s, '@')) AND toUInt32OrZero(splitByChar('@', toString(topic))[2]) < %d))", tp.Partition, name, r.newest[tp]))
	}
	return strings.Join(append(parts, "1"), " AND ")
}

// lastRange is where the last range of a partition begins. All rows of a range have the clock reading that was recorded
// with it.
func (r *run) lastRange(ctx context.Context, tp TopicPartition, e extent) (first uint64, err error) {
	var parts []string
	for _, raw := range r.catalog.raw {
		_, last := raw.bounds()
		parts = append(parts, fmt.Sprintf("SELECT %s AS last, received_at FROM %s WHERE topic = %s AND partition = %d", last, raw.name, warehouse.Quote(tp.Topic), tp.Partition))
	}
	all := "(" + strings.Join(parts, " UNION ALL ") + ")"
	first, err = r.count(ctx, "SELECT maxIf(last + 1, received_at != (SELECT argMax(received_at, last) FROM "+all+")) FROM "+all)
	if err != nil {
		return 0, fmt.Errorf("looking for the last range of %s: %w", tp.name(), err)
	}
	return max(first, e.first), nil
}

// absent takes note of offsets that are missing, if they are of the last range of a log that was given up.
func (r *run) absent(found Range, since map[TopicPartition]uint64, e extent) bool {
	first, ok := since[found.TopicPartition]
	if !ok || found.Doubled || found.First < first {
		return false
	}
	last := len(r.report.LeftBehind) - 1
	if last < 0 || r.report.LeftBehind[last].TopicPartition != found.TopicPartition {
		r.report.LeftBehind = append(r.report.LeftBehind, LeftBehind{TopicPartition: found.TopicPartition, First: first, Last: e.end - 1})
		last++
	}
	r.report.LeftBehind[last].Absent += found.Last - found.First + 1
	return true
}

// unplaced finds the logs that were given up with rows of dossiers that have no place in the order of ranges: ranges that
// come do not count them as being there, as the raw rows do.
func (r *run) unplaced(ctx context.Context) ([]Unplaced, error) {
	if len(r.newest) == 0 {
		return nil, nil
	}
	ends, err := r.ends(ctx, []string{dossierOffsets})
	if err != nil {
		return nil, err
	}
	var found []Unplaced
	for _, tp := range slices.SortedFunc(maps.Keys(ends), TopicPartition.compare) {
		if !r.givenUp(tp) {
			continue
		}
		placed, err := warehouse.Placed(ctx, r.client, tp.Topic, tp.Partition)
		if err != nil {
			return nil, err
		}
		if placed < ends[tp] {
			found = append(found, Unplaced{TopicPartition: tp, First: placed, End: ends[tp]})
		}
	}
	return found, nil
}

// placeLeftBehind gives them their place, before the cubes are looked at: a range that took its own before and is not in
// the cubes is then waited for, as one that was overtaken.
func (r *run) placeLeftBehind(ctx context.Context) error {
	found, err := r.unplaced(ctx)
	if err != nil {
		return err
	}
	for _, u := range found {
		if err := warehouse.PlaceLeftBehind(ctx, r.client, u.Topic, u.Partition, u.End); err != nil {
			return err
		}
	}
	return nil
}

// ends gives, by partition, the offset after the last of queries of topic, partition and offset.
func (r *run) ends(ctx context.Context, queries []string) (map[TopicPartition]uint64, error) {
	ends := map[TopicPartition]uint64{}
	rows, err := r.client.Conn().Query(ctx, "SELECT topic, partition, max(offset) + 1 FROM ("+strings.Join(queries, " UNION ALL ")+") GROUP BY topic, partition")
	if err != nil {
		return nil, fmt.Errorf("reading the ends of partitions: %w", err)
	}
	err = warehouse.Each(rows, func() error {
		var tp TopicPartition
		var end uint64
		err := rows.Scan(&tp.Topic, &tp.Partition, &end)
		ends[tp] = end
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the ends of partitions: %w", err)
	}
	return ends, nil
}
