package event

import "testing"

// A block of a backlog gets room for all rows of the range at once, but for no more texts than the range may hold.
func TestRoomOfBlocks(t *testing.T) {
	const rows, bytes = 200_000, 4 << 20
	// fill gives the block n rows, of which the first have a text.
	fill := func(bytes, n, texts, length int) *Block {
		batch := NewBatch()
		batch.Expect(rows, bytes)
		block := batch.blocks[authAttempts]
		for i := range n {
			var r row
			r.setInt(occurredAt, 1)
			if i < texts {
				r.setText(extraAt, make([]byte, length))
			}
			block.append(&r)
		}
		return block
	}
	large := fill(bytes, 300, 300, 10_000)
	if got := cap(large.columns[extraAt].text); got < 300*10_000 || got > bytes+bytes/2 {
		t.Errorf("300 texts of 10,000 bytes take %d bytes, in a range of %d", got, bytes)
	}
	one := fill(bytes, 5001, 1, 60_000)
	if got := cap(one.columns[extraAt].text); got > bytes {
		t.Errorf("a text of 60,000 bytes in the first of 5,001 rows takes %d bytes, in a range of %d", got, bytes)
	}
	small := fill(bytes, fewRows+1, fewRows+1, 0)
	if got := cap(small.columns[occurredAt].i64); got < fewRows+1 || got > bytes/8 {
		t.Errorf("%d times have room for %d, in a range of %d bytes", fewRows+1, got, bytes)
	}
	wide := fill(1<<30, fewRows+1, 0, 0)
	if got := cap(wide.columns[occurredAt].i64); got < rows || got > rows+rows/4 {
		t.Errorf("there is room for %d times, not for the %d that are expected", got, rows)
	}
}
