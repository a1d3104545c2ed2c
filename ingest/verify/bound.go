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

// settlePoll is how often it is asked whether ranges that are under way have been committed.
const settlePoll = 200 * time.Millisecond

// bound says how far a rollup has counted each partition.
//
// A position says exactly which rows a rollup has counted, as the two change together. But it may be damaged. Below what
// is settled it is not needed: there a rollup must hold everything. Above, where rows are under way, one that is greater
// than there are rows is seen to be wrong. One that is too small is not: it looks like that of a range that the rollup
// does not have yet. So a rebuild first waits until everything that it finds under way is settled (settle). What comes
// after that, every position tells truly, whatever had happened to it before. Where that does not come to an end, as
// where ingestion has died, it is unclear what of the rows under way is counted, and nothing that differs is changed.
type bound struct {
	// below are the offsets below which it must hold everything: its own positions, and where it lags or has lost them,
	// what has been inserted everywhere.
	below map[TopicPartition]uint64
	// highest are the greatest positions that it can have; only of partitions that are known.
	highest map[TopicPartition]uint64
	// unclear names a partition of which rows are under way and nothing says which of these the rollup has counted. Empty
	// when there is none.
	unclear string
}

// sql is an expression over topic and partition: the offset that the rollup has come to.
func (b bound) sql() string { return perPartition(b.below) }

// impossible is the condition that a position is one that the rollup cannot have.
func (b bound) impossible(position string) string {
	highest := perPartition(b.highest)
	return fmt.Sprintf("(%[1]s > 0 AND %[2]s > %[1]s)", highest, position)
}

// settle waits until what is under way in the raw tables has been committed, and takes note of what is not after the time
// that is to be waited.
func (r *run) settle(ctx context.Context) error {
	if r.committed == nil {
		return nil
	}
	ends, err := r.ends(ctx, r.rawEnds())
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(r.options.Patience); ; {
		committed, err := r.committed(ctx)
		if err != nil {
			return fmt.Errorf("reading committed offsets: %w", err)
		}
		r.stuck = map[TopicPartition]bool{}
		for tp, end := range ends {
			offset, ok := committed[tp]
			if !ok || r.givenUp(tp) {
				continue
			}
			r.settled[tp] = max(r.settled[tp], uint64(max(offset, 0)))
			if r.settled[tp] < end {
				r.stuck[tp] = true
			}
		}
		if len(r.stuck) == 0 || time.Now().After(deadline) {
			return nil
		}
		if err := sleep(ctx, settlePoll); err != nil {
			return err
		}
	}
}

// rawEnds are queries of the last offsets of all raw rows.
func (r *run) rawEnds() (queries []string) {
	for _, raw := range r.catalog.raw {
		_, last := raw.bounds()
		queries = append(queries, "SELECT topic, partition, "+last+" AS offset FROM "+raw.name)
	}
	return queries
}

// bound reads the positions of a rollup's snapshot, of the rows that the condition family admits. counted are queries of
// the offsets of the rows that it counts.
func (r *run) bound(ctx context.Context, stored, family string, counted []string) (bound, error) {
	b := bound{below: maps.Clone(r.settled), highest: maps.Clone(r.settled)}
	ahead := map[TopicPartition]uint64{}
	rows, err := r.client.Conn().Query(ctx, "SELECT topic, partition, max(position) FROM "+stored+" WHERE topic != '' AND NOT startsWith(topic, '~') AND "+family+" GROUP BY topic, partition")
	if err != nil {
		return b, fmt.Errorf("reading positions: %w", err)
	}
	err = warehouse.Each(rows, func() error {
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
	if err != nil {
		return b, fmt.Errorf("reading positions: %w", err)
	}
	if len(ahead) > 0 {
		// What it counts was inserted into the raw tables before.
		ends, err := r.endsOf(ctx, r.rawEnds(), slices.Collect(maps.Keys(ahead)))
		if err != nil {
			return b, err
		}
		for tp, position := range ahead {
			b.highest[tp] = max(r.settled[tp], ends[tp])
			b.below[tp] = min(position, b.highest[tp])
			if position > b.highest[tp] && b.highest[tp] > r.settled[tp] {
				b.unclear = tp.name()
			}
		}
	}
	if len(r.stuck) > 0 {
		ends, err := r.endsOf(ctx, counted, slices.Collect(maps.Keys(r.stuck)))
		if err != nil {
			return b, err
		}
		for tp, end := range ends {
			if end > b.below[tp] {
				b.unclear = tp.name()
			}
		}
	}
	return b, nil
}

// endsOf are the ends of some partitions, above what is settled.
func (r *run) endsOf(ctx context.Context, queries []string, partitions []TopicPartition) (map[TopicPartition]uint64, error) {
	settled := map[TopicPartition]uint64{}
	for _, tp := range partitions {
		settled[tp] = r.settled[tp]
	}
	var above []string
	for _, query := range queries {
		above = append(above, "SELECT topic, partition, offset FROM ("+query+") WHERE (topic, partition) IN ("+tuples(partitions)+") AND offset >= "+perPartition(settled))
	}
	return r.ends(ctx, above)
}

// tuples lists partitions for IN.
func tuples(partitions []TopicPartition) string {
	var all []string
	for _, tp := range slices.SortedFunc(slices.Values(partitions), TopicPartition.compare) {
		all = append(all, fmt.Sprintf("(%s, %d)", warehouse.Quote(tp.Topic), tp.Partition))
	}
	return strings.Join(all, ", ")
}
