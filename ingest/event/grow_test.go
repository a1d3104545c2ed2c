package event

import "testing"

// A block of a backlog gets room for all rows of the range at once, but for no more texts than the range may hold.
func TestRoomOfBlocks(t *testing.T) {
	const rows, bytes = 200_000, 4 << 20
	fill := func(n, length int) *Block {
		batch := NewBatch()
		batch.Expect(rows, bytes)
		block := batch.blocks[authAttempts]
		var r row
		for range n {
			r.setText(extraAt, make([]byte, length))
			r.setInt(occurredAt, 1)
			block.append(&r)
		}
		return block
	}
	large := fill(300, 10_000)
	if got := cap(large.columns[extraAt].text); got < 300*10_000 || got > bytes+bytes/2 {
		t.Errorf("300 texts of 10,000 bytes take %d bytes, in a range of %d", got, bytes)
	}
	one := NewBatch()
	one.Expect(rows, bytes)
	var first, others row
	first.setText(extraAt, make([]byte, 60_000))
	others.setInt(occurredAt, 1)
	one.blocks[authAttempts].append(&first)
	for range 5000 {
		one.blocks[authAttempts].append(&others)
	}
	if got := cap(one.blocks[authAttempts].columns[extraAt].text); got > bytes {
		t.Errorf("a text of 60,000 bytes in the first of 5,001 rows takes %d bytes, in a range of %d", got, bytes)
	}
	small := fill(fewRows+1, 0)
	if got := cap(small.columns[occurredAt].i64); got < fewRows+1 || got > bytes/8 {
		t.Errorf("%d times have room for %d, in a range of %d bytes", fewRows+1, got, bytes)
	}
	batch := NewBatch()
	batch.Expect(rows, 1<<30)
	var r row
	r.setInt(occurredAt, 1)
	for range fewRows + 1 {
		batch.blocks[authAttempts].append(&r)
	}
	if got := cap(batch.blocks[authAttempts].columns[occurredAt].i64); got < rows || got > rows+rows/4 {
		t.Errorf("there is room for %d times, not for the %d that are expected", got, rows)
	}
}
