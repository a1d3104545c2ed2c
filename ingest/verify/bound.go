package verify

import (
	"context"
	"fmt"
	"maps"
	"strings"
)

// bound says how far a rollup has counted each partition.
type bound struct {
	// below are the offsets below which it must hold everything: its own positions, and where it lags or has lost them,
	// what has been inserted everywhere.
	below map[TopicPartition]uint64
	// highest are the greatest positions that it can have; only of partitions that are known.
	highest map[TopicPartition]uint64
	// unclear names a partition whose position cannot be right while rows of it are under way: which of these the rollup
	// has counted, nothing says. Empty when there is none.
	unclear string
}

// sql is an expression over topic and partition: the offset that the rollup has come to.
func (b bound) sql() string { return perPartition(b.below) }

// impossible is the condition that a position is one that the rollup cannot have.
func (b bound) impossible(position string) string {
	highest := perPartition(b.highest)
	return fmt.Sprintf("(%[1]s > 0 AND %[2]s > %[1]s)", highest, position)
}

// bound reads the positions of a rollup's snapshot, of the rows that the condition family admits.
func (r *run) bound(ctx context.Context, stored, family string) (bound, error) {
	b := bound{below: maps.Clone(r.settled), highest: maps.Clone(r.settled)}
	ahead := map[TopicPartition]uint64{}
	rows, err := r.client.Conn().Query(ctx, "SELECT topic, partition, max(position) FROM "+stored+" WHERE topic != '' AND NOT startsWith(topic, '~') AND "+family+" GROUP BY topic, partition")
	if err != nil {
		return b, fmt.Errorf("reading positions: %w", err)
	}
	err = scanAll(rows, func() error {
		var tp TopicPartition
		var position uint64
		if err := rows.Scan(&tp.Topic, &tp.Partition, &position); err != nil {
			return err
		}
		settled, known := r.settled[tp]
		if known && position > settled {
			ahead[tp] = position
		}
		b.below[tp] = max(settled, position)
		return nil
	})
	if err != nil || len(ahead) == 0 {
		return b, err
	}
	// What it counts was inserted into the raw tables before.
	from := map[TopicPartition]uint64{}
	for tp := range ahead {
		from[tp] = r.settled[tp]
		b.below[tp] = r.settled[tp]
	}
	var parts []string
	for _, raw := range r.catalog.raw {
		_, last := raw.bounds()
		parts = append(parts, "SELECT topic, partition, "+last+" + 1 AS upto FROM "+raw.name)
	}
	rows, err = r.client.Conn().Query(ctx, "SELECT topic, partition, max(upto) FROM ("+strings.Join(parts, " UNION ALL ")+") WHERE "+perPartition(from)+" > 0 AND upto > "+perPartition(from)+" GROUP BY topic, partition")
	if err != nil {
		return b, fmt.Errorf("reading the ends of partitions: %w", err)
	}
	err = scanAll(rows, func() error {
		var tp TopicPartition
		var end uint64
		if err := rows.Scan(&tp.Topic, &tp.Partition, &end); err != nil {
			return err
		}
		b.highest[tp] = max(b.highest[tp], end)
		b.below[tp] = min(ahead[tp], b.highest[tp])
		if ahead[tp] > b.highest[tp] {
			b.unclear = tp.name()
		}
		return nil
	})
	if err != nil {
		return b, fmt.Errorf("reading the ends of partitions: %w", err)
	}
	return b, nil
}
