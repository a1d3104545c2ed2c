package kpi

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// journalLine is a value that became another one, in the publication of a moment.
type journalLine struct {
	*Answer
	publishedAt time.Time
	sensitive   bool // The KPI is.
}

// journalPage is what is put down of one minute: that at its end.
type journalPage struct {
	minute time.Time
	lines  map[Key]journalLine
}

// journalPages are the minutes that wait, the oldest first.
type journalPages []journalPage

// dropFirst forgets that what the first page says began then: it is said by the next page, where that says nothing newer.
// So no value of another minute becomes wrong.
func (p journalPages) dropFirst() journalPages {
	next := maps.Clone(p[0].lines)
	maps.Copy(next, p[1].lines)
	p[1].lines = next
	return p[1:]
}

// sameStanding says whether two published values say the same of how things stand. as_of and revision move with every
// event, and are no reason for a line.
func (a *Answer) sameStanding(other *Answer) bool {
	return sameFloat(a.Value, other.Value) && same(a.Numerator, other.Numerator) && same(a.Denominator, other.Denominator) &&
		sameFloat(a.baselineValue(), other.baselineValue()) && a.Status == other.Status && a.Suppressed == other.Suppressed && a.Definition == other.Definition
}

// baselineValue is the official figure that the value is made of; nil when there is none.
func (a *Answer) baselineValue() *float64 {
	if a.Baseline == nil {
		return nil
	}
	return &a.Baseline.Value
}

func same[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// sameFloat compares the bits.
func sameFloat(a, b *float64) bool {
	return a == b || a != nil && b != nil && math.Float64bits(*a) == math.Float64bits(*b)
}

// version orders the rows of one value and minute: by the moment of the publication, and within a millisecond by their
// content, so that it is not chance which of two processes' rows counts.
func (l journalLine) version() uint64 {
	h := fnv.New32a()
	fmt.Fprint(h, number(l.Value), number(l.Numerator), number(l.Denominator), number(l.baselineValue()), l.Status, l.Suppressed, l.AsOf.UnixMilli(), l.Revision, l.Definition)
	const bits = 20 // 44 are left for the milliseconds, which is until 2527
	return uint64(l.publishedAt.UnixMilli())<<bits | uint64(h.Sum32()>>(32-bits))
}

// number is the number as text; null when there is none.
func number[T any](v *T) string {
	if v == nil {
		return "null "
	}
	return fmt.Sprint(*v, " ")
}

// journalColumns are those that are written.
const journalColumns = "minute, kpi, province, period, value, numerator, denominator, baseline, status, suppressed, sensitive, as_of, revision, definition, published_at, version"

// insert sends the pages as one insert and returns how many rows they are.
func (p journalPages) insert(ctx context.Context, conn driver.Conn) (rows int, err error) {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0}))
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO kpi_journal ("+journalColumns+")")
	if err != nil {
		return 0, err
	}
	defer func() { _ = batch.Close() }()
	for _, page := range p {
		for key, l := range page.lines {
			if err := batch.Append(page.minute, key.KPI, key.province(), key.Period, l.Value, l.Numerator, l.Denominator, l.baselineValue(), string(l.Status),
				l.Suppressed, l.sensitive, l.AsOf.Time, l.Revision, l.Definition, l.publishedAt, l.version()); err != nil {
				return 0, err
			}
			rows++
		}
	}
	return rows, batch.Send()
}

// province is the code of the scope's province; empty for the nation.
func (k Key) province() string {
	if k.Scope == National {
		return ""
	}
	return k.Scope
}
