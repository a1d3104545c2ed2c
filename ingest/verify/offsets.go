package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"ioc.local/internal/reference"
)

const (
	// bucketSize is how many offsets are counted together; a bitmap of them takes at most 128 KiB.
	bucketSize = 1 << 20
	// Buckets with faults are looked into offset by offset, up to maxSpan neighbours at once, which sorts their rows;
	// buckets beyond maxExamined of these spans are only counted.
	maxSpan     = 16 * bucketSize
	maxExamined = 200
)

// extent is the part of a partition that is judged: offsets from first up to end.
type extent struct {
	first, end uint64
	hours      uint64
	rows       uint64
}

// bucket is a run of bucketSize offsets of a partition, cut to its extent.
type bucket struct {
	TopicPartition
	number     uint64
	first, end uint64
	// rows and distinct count the rows of one offset each; ranges says that there are rows of several offsets.
	rows, distinct uint64
	ranges         bool
}

func (b bucket) clean() bool {
	return !b.ranges && b.rows == b.distinct && b.distinct == b.end-b.first
}

// offsets checks that every offset is in exactly one table, and sets r.settled.
func (r *run) offsets(ctx context.Context, committed map[TopicPartition]int64) error {
	extents, err := r.extents(ctx, committed)
	if err != nil {
		return err
	}
	buckets, err := r.buckets(ctx, extents)
	if err != nil {
		return err
	}
	partitions := map[TopicPartition]*Partition{}
	for tp, e := range extents {
		partitions[tp] = &Partition{TopicPartition: tp, First: e.first, End: e.end, Hours: e.hours}
	}
	var faulty []bucket
	for _, b := range buckets {
		last := len(faulty) - 1
		switch {
		case b.clean():
		case last >= 0 && faulty[last].TopicPartition == b.TopicPartition && faulty[last].end == b.first && b.end-faulty[last].first <= maxSpan:
			faulty[last].end = b.end
		case len(faulty) < maxExamined:
			faulty = append(faulty, b)
		default:
			p := partitions[b.TopicPartition]
			p.Missing += b.end - b.first - min(b.distinct, b.end-b.first)
			p.Doubled += b.rows - b.distinct
		}
	}
	ranges, err := r.examine(ctx, faulty)
	if err != nil {
		return err
	}
	for _, found := range ranges {
		p := partitions[found.TopicPartition]
		if found.Doubled {
			p.Doubled += found.Last - found.First + 1
		} else {
			p.Missing += found.Last - found.First + 1
		}
	}
	for _, p := range partitions {
		r.report.Partitions = append(r.report.Partitions, *p)
	}
	slices.SortFunc(r.report.Partitions, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	r.report.Ranges = ranges[:min(len(ranges), examples)]
	r.report.RangesMore = len(ranges) - len(r.report.Ranges)
	return nil
}

// extents reads what each partition has retained. A partition begins at the lowest offset that was received since the
// cutoff; from there on rows count whatever their clock says, as clocks of two owners may differ.
func (r *run) extents(ctx context.Context, committed map[TopicPartition]int64) (map[TopicPartition]extent, error) {
	var parts []string
	for _, raw := range r.catalog.raw {
		first, last := "offset", "offset"
		if raw.ranges {
			first, last = "first_offset", "last_offset"
		}
		parts = append(parts, "SELECT topic, partition, "+first+" AS first, "+last+" AS last, received_at FROM "+raw.name)
	}
	rows, err := r.client.Conn().Query(ctx, `SELECT topic, partition, minIf(first, recent), max(last) + 1, uniqExactIf(toStartOfHour(received_at), recent), countIf(recent)
		FROM (SELECT *, received_at >= fromUnixTimestamp64Milli(`+fmt.Sprint(r.cutoff.UnixMilli())+`) AS recent FROM (`+strings.Join(parts, " UNION ALL ")+`))
		GROUP BY topic, partition`)
	if err != nil {
		return nil, fmt.Errorf("reading the extent of partitions: %w", err)
	}
	extents := map[TopicPartition]extent{}
	r.settled = map[TopicPartition]uint64{}
	err = scanAll(rows, func() error {
		var tp TopicPartition
		var e extent
		if err := rows.Scan(&tp.Topic, &tp.Partition, &e.first, &e.end, &e.hours, &e.rows); err != nil {
			return err
		}
		r.settled[tp] = e.end
		if offset, ok := committed[tp]; ok {
			r.settled[tp] = uint64(max(offset, 0))
			e.end = min(e.end, r.settled[tp])
		}
		if e.rows > 0 && e.first < e.end {
			extents[tp] = e
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the extent of partitions: %w", err)
	}
	return extents, nil
}

// within is the condition that an offset is in the extent of its partition.
func within(extents map[TopicPartition]extent) string {
	first, end := map[TopicPartition]uint64{}, map[TopicPartition]uint64{}
	for tp, e := range extents {
		first[tp], end[tp] = e.first, e.end
	}
	return "offset >= " + perPartition(first) + " AND offset < " + perPartition(end)
}

// perPartition is an expression over the columns topic and partition that gives the number of the row's partition, 0
// where there is none.
func perPartition(numbers map[TopicPartition]uint64) string {
	if len(numbers) == 0 {
		return "0"
	}
	var names, values []string
	for tp, n := range numbers {
		names = append(names, quote(fmt.Sprintf("%s %d", tp.Topic, tp.Partition)))
		values = append(values, fmt.Sprint(n))
	}
	return "transform(concat(toString(topic), ' ', toString(partition)), [" + strings.Join(names, ", ") + "], CAST([" +
		strings.Join(values, ", ") + "], 'Array(UInt64)'), toUInt64(0))"
}

// buckets counts the offsets of all extents, exactly: bitmaps see a row too many and a row too few even where they
// balance.
func (r *run) buckets(ctx context.Context, extents map[TopicPartition]extent) ([]bucket, error) {
	type key struct {
		TopicPartition
		number uint64
	}
	found := map[key]*bucket{}
	var order []*bucket
	for tp, e := range extents {
		for n := e.first / bucketSize; n <= (e.end-1)/bucketSize; n++ {
			b := &bucket{TopicPartition: tp, number: n, first: max(e.first, n*bucketSize), end: min(e.end, (n+1)*bucketSize)}
			found[key{tp, n}] = b
			order = append(order, b)
		}
	}
	var single, several []string
	for _, raw := range r.catalog.raw {
		if !raw.ranges {
			single = append(single, "SELECT topic, partition, offset FROM "+raw.name)
			continue
		}
		single = append(single, "SELECT topic, partition, first_offset AS offset FROM "+raw.name+" WHERE first_offset = last_offset")
		several = append(several, "SELECT topic, partition, first_offset AS first, last_offset AS last FROM "+raw.name+" WHERE first_offset < last_offset")
	}
	rows, err := r.client.Conn().Query(ctx, fmt.Sprintf(`SELECT topic, partition, intDiv(offset, %d) AS bucket, count(), toUInt64(groupBitmap(toUInt32(offset %% %d))) FROM (%s) WHERE %s GROUP BY topic, partition, bucket`,
		bucketSize, bucketSize, strings.Join(single, " UNION ALL "), within(extents)))
	if err != nil {
		return nil, fmt.Errorf("counting offsets: %w", err)
	}
	err = scanAll(rows, func() error {
		var k key
		var n, distinct uint64
		if err := rows.Scan(&k.Topic, &k.Partition, &k.number, &n, &distinct); err != nil {
			return err
		}
		if b := found[k]; b != nil {
			b.rows, b.distinct = n, distinct
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("counting offsets: %w", err)
	}
	rows, err = r.client.Conn().Query(ctx, fmt.Sprintf(`SELECT DISTINCT topic, partition, arrayJoin(range(intDiv(first, %d), intDiv(last, %d) + 1)) FROM (%s)`,
		bucketSize, bucketSize, strings.Join(several, " UNION ALL ")))
	if err != nil {
		return nil, fmt.Errorf("reading skipped ranges: %w", err)
	}
	err = scanAll(rows, func() error {
		var k key
		if err := rows.Scan(&k.Topic, &k.Partition, &k.number); err != nil {
			return err
		}
		if b := found[k]; b != nil {
			b.ranges = true
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading skipped ranges: %w", err)
	}
	buckets := make([]bucket, len(order))
	for i, b := range order {
		buckets[i] = *b
	}
	slices.SortFunc(buckets, func(a, b bucket) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.number, b.number))
	})
	return buckets, nil
}

// examine walks through the offsets of spans and lists what is missing or doubled, in order.
func (r *run) examine(ctx context.Context, spans []bucket) ([]Range, error) {
	var ranges []Range
	for _, b := range spans {
		// Each table's rows as ranges cut to the span, and one more, of no table, at the span's end.
		var parts []string
		for _, raw := range r.catalog.raw {
			first, last := "offset", "offset"
			if raw.ranges {
				first, last = "first_offset", "last_offset"
			}
			parts = append(parts, fmt.Sprintf(`SELECT greatest(%s, {first:UInt64}) AS f, least(%s, toUInt64({end:UInt64} - 1)) AS l, received_at, '%s' AS source FROM %s
				WHERE topic = {topic:String} AND partition = {partition:UInt32} AND %s < {end:UInt64} AND %s >= {first:UInt64}`, first, last, raw.name, raw.name, first, last))
		}
		parts = append(parts, "SELECT {end:UInt64}, {end:UInt64}, toDateTime64(0, 3, 'Asia/Ho_Chi_Minh'), ''")
		rows, err := r.client.Conn().Query(ctx, `SELECT f, l, next, source, before, if(source = '' OR before_at > 0, before_at, received_at) FROM
			(SELECT f, l, source, received_at, lagInFrame(source) OVER rest AS before, lagInFrame(received_at) OVER rest AS before_at,
				if(row_number() OVER rest = 1, {first:UInt64}, max(l + 1) OVER (ORDER BY f, l, source ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS next
			FROM (`+strings.Join(parts, " UNION ALL ")+`)
			WINDOW rest AS (ORDER BY f, l, source ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))
			WHERE f != next ORDER BY f, l, source`,
			clickhouse.Named("topic", b.Topic), clickhouse.Named("partition", fmt.Sprint(b.Partition)),
			clickhouse.Named("first", fmt.Sprint(b.first)), clickhouse.Named("end", fmt.Sprint(b.end)))
		if err != nil {
			return nil, fmt.Errorf("looking for missing and doubled offsets: %w", err)
		}
		err = scanAll(rows, func() error {
			var f, l, next uint64
			var source, before string
			var at time.Time
			if err := rows.Scan(&f, &l, &next, &source, &before, &at); err != nil {
				return err
			}
			found := Range{TopicPartition: b.TopicPartition, Hour: at.In(reference.TimeZone()).Truncate(time.Hour)}
			switch {
			case f > next:
				found.First, found.Last = next, f-1
			case source == "": // the span's end lies under a row, as it may
				return nil
			default:
				found.First, found.Last, found.Doubled, found.Tables = f, min(l, next-1), true, before+", "+source
			}
			ranges = appendRange(ranges, found)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("looking for missing and doubled offsets: %w", err)
		}
	}
	return ranges, nil
}

// appendRange joins a range to the one before it where they touch.
func appendRange(ranges []Range, next Range) []Range {
	if len(ranges) > 0 {
		last := &ranges[len(ranges)-1]
		if last.TopicPartition == next.TopicPartition && last.Doubled == next.Doubled && last.Tables == next.Tables && last.Last+1 == next.First {
			last.Last = next.Last
			return ranges
		}
	}
	return append(ranges, next)
}
