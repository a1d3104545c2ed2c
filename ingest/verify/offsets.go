package verify

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
)

const (
	// bucketSize is how many offsets are looked at together; a bitmap of them takes at most 128 KiB.
	bucketSize = 1 << 20
	// bucketsAtOnce bounds the bitmaps of one statement.
	bucketsAtOnce = 256
)

// extent is the part of a partition that is judged: offsets from first up to end.
type extent struct {
	first, end uint64
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

// empty says that no row stands on any of its offsets.
func (b bucket) empty() bool { return !b.ranges && b.rows == 0 }

// faults collects what is missing or doubled: the first ranges, and numbers by partition and hour.
type faults struct {
	ranges []Range
	more   int
	hours  map[hourOf]*Hour
	// last is the newest range, which the next one may continue.
	last Range
}

// hourOf is an hour of receipt of a partition. Its time is zero where no row near says when it was.
type hourOf struct {
	TopicPartition
	hour int64
}

// add takes ranges in order.
func (f *faults) add(found Range) {
	key := hourOf{found.TopicPartition, found.Hour.Unix()}
	h := f.hours[key]
	if h == nil {
		h = &Hour{TopicPartition: found.TopicPartition, Hour: found.Hour}
		f.hours[key] = h
	}
	n := found.Last - found.First + 1
	if found.Doubled {
		h.Doubled += n
	} else {
		h.Missing += n
	}
	continues := f.last.TopicPartition == found.TopicPartition && f.last.Doubled == found.Doubled && f.last.Tables == found.Tables &&
		f.last.Last+1 == found.First && f.last.Last > 0
	f.last = found
	switch {
	case continues && f.more == 0 && len(f.ranges) > 0:
		f.ranges[len(f.ranges)-1].Last = found.Last
	case continues:
	case len(f.ranges) < examples:
		f.ranges = append(f.ranges, found)
	default:
		f.more++
	}
}

// offsets checks that every offset is in exactly one table, and sets r.settled.
func (r *run) offsets(ctx context.Context, committed map[TopicPartition]int64) error {
	extents, err := r.extents(ctx, committed)
	if err != nil {
		return err
	}
	found, since := &faults{hours: map[hourOf]*Hour{}}, map[TopicPartition]uint64{}
	add := func(faulty Range) {
		if !r.absent(faulty, since, extents[faulty.TopicPartition]) {
			found.add(faulty)
		}
	}
	all := bucketsOf(extents)
	for from := 0; from < len(all); from += bucketsAtOnce {
		buckets := all[from:min(from+bucketsAtOnce, len(all))]
		if err := r.fill(ctx, buckets); err != nil {
			return err
		}
		for _, b := range buckets {
			if b.clean() {
				continue
			}
			if _, known := since[b.TopicPartition]; !known && r.givenUp(b.TopicPartition) {
				if since[b.TopicPartition], err = r.lastRange(ctx, b.TopicPartition, extents[b.TopicPartition]); err != nil {
					return err
				}
			}
			if b.empty() {
				near := found.last.Hour
				if found.last.TopicPartition != b.TopicPartition {
					near = time.Time{}
				}
				add(Range{TopicPartition: b.TopicPartition, First: b.first, Last: b.end - 1, Hour: near})
				continue
			}
			if err := r.examine(ctx, b, add); err != nil {
				return err
			}
		}
	}
	r.report.Ranges, r.report.RangesMore = found.ranges, found.more
	return r.hours(ctx, extents, found.hours)
}

// extents reads what each partition has retained. A partition begins at the lowest offset that was received since the
// cutoff; from there on rows count whatever their clock says, as clocks of two owners may differ.
func (r *run) extents(ctx context.Context, committed map[TopicPartition]int64) (map[TopicPartition]extent, error) {
	var parts []string
	for _, raw := range r.catalog.raw {
		first, last := raw.bounds()
		parts = append(parts, "SELECT topic, partition, "+first+" AS first, "+last+" AS last, received_at FROM "+raw.name)
	}
	rows, err := r.client.Conn().Query(ctx, `SELECT topic, partition, minIf(first, recent), max(last) + 1, countIf(recent)
		FROM (SELECT *, received_at >= fromUnixTimestamp64Milli(`+fmt.Sprint(r.cutoff.UnixMilli())+`) AS recent FROM (`+strings.Join(parts, " UNION ALL ")+`))
		GROUP BY topic, partition`)
	if err != nil {
		return nil, fmt.Errorf("reading the extent of partitions: %w", err)
	}
	extents := map[TopicPartition]extent{}
	r.settled = map[TopicPartition]uint64{}
	err = warehouse.Each(rows, func() error {
		var tp TopicPartition
		var e extent
		if err := rows.Scan(&tp.Topic, &tp.Partition, &e.first, &e.end, &e.rows); err != nil {
			return err
		}
		r.settled[tp] = e.end
		// Nothing is under way in a log that was given up, whatever was committed of it.
		if offset, ok := committed[tp]; ok && !r.givenUp(tp) {
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
	first, end := bounds(extents)
	return "offset >= " + perPartition(first) + " AND offset < " + perPartition(end)
}

// bounds are the ends of extents, for perPartition.
func bounds(extents map[TopicPartition]extent) (first, end map[TopicPartition]uint64) {
	first, end = map[TopicPartition]uint64{}, map[TopicPartition]uint64{}
	for tp, e := range extents {
		first[tp], end[tp] = e.first, e.end
	}
	return first, end
}

// perPartition is an expression over the columns topic and partition that gives the number of the row's partition, 0
// where there is none.
func perPartition(numbers map[TopicPartition]uint64) string {
	if len(numbers) == 0 {
		return "0"
	}
	var names, values []string
	for _, tp := range slices.SortedFunc(maps.Keys(numbers), TopicPartition.compare) {
		names = append(names, warehouse.Quote(fmt.Sprintf("%s %d", tp.Topic, tp.Partition)))
		values = append(values, fmt.Sprint(numbers[tp]))
	}
	return "transform(concat(toString(topic), ' ', toString(partition)), [" + strings.Join(names, ", ") + "], CAST([" +
		strings.Join(values, ", ") + "], 'Array(UInt64)'), toUInt64(0))"
}

// bucketsOf are the empty buckets of all extents, in order.
func bucketsOf(extents map[TopicPartition]extent) []bucket {
	var buckets []bucket
	for tp, e := range extents {
		for n := e.first / bucketSize; n <= (e.end-1)/bucketSize; n++ {
			buckets = append(buckets, bucket{TopicPartition: tp, number: n, first: max(e.first, n*bucketSize), end: min(e.end, (n+1)*bucketSize)})
		}
	}
	slices.SortFunc(buckets, func(a, b bucket) int {
		return cmp.Or(a.compare(b.TopicPartition), cmp.Compare(a.number, b.number))
	})
	return buckets
}

// fill counts the offsets of the buckets, which are neighbours, exactly: bitmaps see a row too many and a row too few even
// where they balance.
func (r *run) fill(ctx context.Context, buckets []bucket) error {
	type key struct {
		TopicPartition
		number uint64
	}
	found, extents := map[key]*bucket{}, map[TopicPartition]extent{}
	for i, b := range buckets {
		found[key{b.TopicPartition, b.number}] = &buckets[i]
		e, ok := extents[b.TopicPartition]
		if !ok {
			e.first = b.first
		}
		e.end = b.end
		extents[b.TopicPartition] = e
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
		return fmt.Errorf("counting offsets: %w", err)
	}
	err = warehouse.Each(rows, func() error {
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
		return fmt.Errorf("counting offsets: %w", err)
	}
	first, end := bounds(extents)
	rows, err = r.client.Conn().Query(ctx, fmt.Sprintf(`SELECT DISTINCT topic, partition, arrayJoin(range(intDiv(greatest(first, %[2]s), %[1]d), intDiv(least(last, toUInt64(%[3]s - 1)), %[1]d) + 1)) FROM (%[4]s)
		WHERE last >= %[2]s AND first < %[3]s`, bucketSize, perPartition(first), perPartition(end), strings.Join(several, " UNION ALL ")))
	if err != nil {
		return fmt.Errorf("reading skipped ranges: %w", err)
	}
	err = warehouse.Each(rows, func() error {
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
		return fmt.Errorf("reading skipped ranges: %w", err)
	}
	return nil
}

// examine walks through the offsets of a bucket and names what is missing or doubled, in order.
func (r *run) examine(ctx context.Context, b bucket, each func(Range)) error {
	// Each table's rows as ranges cut to the bucket, and one more, of no table, at the bucket's end.
	var parts []string
	for _, raw := range r.catalog.raw {
		first, last := raw.bounds()
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
		return fmt.Errorf("looking for missing and doubled offsets: %w", err)
	}
	err = warehouse.Each(rows, func() error {
		var f, l, next uint64
		var source, before string
		var at time.Time
		if err := rows.Scan(&f, &l, &next, &source, &before, &at); err != nil {
			return err
		}
		found := Range{TopicPartition: b.TopicPartition}
		if at.Year() > 1970 {
			found.Hour = at.In(reference.TimeZone()).Truncate(time.Hour)
		}
		switch {
		case f > next:
			found.First, found.Last = next, f-1
		case source == "": // the bucket's end lies under a row, as it may
			return nil
		default:
			found.First, found.Last, found.Doubled, found.Tables = f, min(l, next-1), true, before+", "+source
		}
		each(found)
		return nil
	})
	if err != nil {
		return fmt.Errorf("looking for missing and doubled offsets: %w", err)
	}
	return nil
}
