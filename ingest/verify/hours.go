package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
)

// hours counts what the judged offsets of each partition are, by hour of receipt, and fills the partitions of the report.
// faulty has what is missing and doubled; only these hours are listed unless all were asked for.
func (r *run) hours(ctx context.Context, extents map[TopicPartition]extent, faulty map[hourOf]*Hour) error {
	partitions := map[TopicPartition]*Partition{}
	for tp, e := range extents {
		partitions[tp] = &Partition{TopicPartition: tp, First: e.first, End: e.end}
	}
	var parts []string
	for _, raw := range r.catalog.raw {
		first, last := raw.bounds()
		kind := "'accepted'"
		switch {
		case raw.ranges:
			kind = "toString(kind)"
		case !raw.events:
			kind = "'rejected'"
		}
		parts = append(parts, fmt.Sprintf("SELECT topic, partition, %[1]s AS offset, received_at, %[2]s - %[1]s + 1 AS n, %[3]s AS what FROM %[4]s", first, last, kind, raw.name))
	}
	rows, err := r.client.Conn().Query(ctx, `SELECT topic, partition, toStartOfHour(toDateTime(received_at, 'Asia/Ho_Chi_Minh')) AS hour,
			toUInt64(sumIf(n, what = 'accepted')), toUInt64(sumIf(n, what = 'rejected')), toUInt64(sumIf(n, what = 'duplicate')), toUInt64(sumIf(n, what = 'gap'))
		FROM (`+strings.Join(parts, " UNION ALL ")+") WHERE "+within(extents)+" GROUP BY topic, partition, hour")
	if err != nil {
		return fmt.Errorf("counting offsets by hour: %w", err)
	}
	err = warehouse.Each(rows, func() error {
		var h Hour
		if err := rows.Scan(&h.Topic, &h.Partition, &h.Hour, &h.Accepted, &h.Rejected, &h.Duplicates, &h.Gaps); err != nil {
			return err
		}
		p := partitions[h.TopicPartition]
		if p == nil {
			return nil
		}
		p.Hours++
		p.Accepted += h.Accepted
		p.Rejected += h.Rejected
		p.Duplicates += h.Duplicates
		p.Gaps += h.Gaps
		h.Hour = h.Hour.In(reference.TimeZone())
		key := hourOf{h.TopicPartition, h.Hour.Unix()}
		if f := faulty[key]; f != nil {
			h.Missing, h.Doubled = f.Missing, f.Doubled
			delete(faulty, key)
			r.report.addHour(p, h)
		} else if r.options.Hours {
			r.report.addHour(p, h)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("counting offsets by hour: %w", err)
	}
	for key, f := range faulty { // of which no row says when it was
		r.report.addHour(partitions[key.TopicPartition], *f)
	}
	slices.SortFunc(r.report.Hours, func(a, b Hour) int {
		return cmp.Or(a.compare(b.TopicPartition), a.Hour.Compare(b.Hour))
	})
	for _, p := range partitions {
		r.report.Partitions = append(r.report.Partitions, *p)
	}
	slices.SortFunc(r.report.Partitions, func(a, b Partition) int { return a.compare(b.TopicPartition) })
	return nil
}

// addHour lists an hour of a partition.
func (r *Report) addHour(p *Partition, h Hour) {
	p.Missing += h.Missing
	p.Doubled += h.Doubled
	r.Hours = append(r.Hours, h)
}

// clock is how an hour is shown.
func (h Hour) clock() string {
	if h.Hour.IsZero() {
		return "unknown"
	}
	return h.Hour.Format("2006-01-02 15:00")
}
