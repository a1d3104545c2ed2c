package event

import "time"

// MonthSpan is how many calendar months lie between the earliest and the latest row, both included, by the
// column that the table is partitioned by; 1 for tables that are not, 0 for an empty block. It bounds the parts
// that an insert of the block makes, and so what it takes of ClickHouse's deduplication window.
func (bl *Block) MonthSpan() int {
	if bl.rows == 0 {
		return 0
	}
	var first, last time.Time
	switch bl.Table {
	case dossierEvents.name: // registered_on, days
		low, high := bounds(bl.columns[0].i32)
		first, last = time.Unix(int64(low)*86400, 0).UTC(), time.Unix(int64(high)*86400, 0).UTC()
	case authAttempts.name: // occurred_at, milliseconds
		low, high := bounds(bl.columns[0].i64)
		first, last = time.UnixMilli(low+zone).UTC(), time.UnixMilli(high+zone).UTC()
	default:
		return 1
	}
	return (last.Year()-first.Year())*12 + int(last.Month()) - int(first.Month()) + 1
}

func bounds[T int32 | int64](values []T) (low, high T) {
	low, high = values[0], values[0]
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	return low, high
}
