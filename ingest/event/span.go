package event

import "time"

// MonthSpan is how many calendar months lie between the earliest and the latest row, both included, by the
// column that the table is partitioned by; 1 for tables that are not, 0 for an empty block. It bounds the parts
// that an insert of the block makes, and so what it takes of ClickHouse's deduplication window.
func (bl *Block) MonthSpan() int {
	if bl.rows == 0 {
		return 0
	}
	by := bl.table.at(bl.table.month)
	if by < 0 {
		return 1
	}
	var first, last time.Time
	if c := &bl.columns[by]; c.kind == dateColumn { // each row has a value
		low, high := bounds(c.i32)
		first, last = time.Unix(int64(low)*86400, 0).UTC(), time.Unix(int64(high)*86400, 0).UTC()
	} else {
		low, high := bounds(c.i64)
		first, last = time.UnixMilli(low+zone).UTC(), time.UnixMilli(high+zone).UTC()
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
