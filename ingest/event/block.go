package event

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// fixedWidth is that of the FixedString columns, which hold hashes; where a row has none, they hold zeros.
const fixedWidth = 32

// value is the value of one column of one row. Which member counts follows from the column's kind.
type value struct {
	n int64
	f float64
	s []byte
}

// row is a row being built, by column position. Only positions marked in present count.
type row struct {
	present uint64
	values  [64]value
}

func (r *row) has(i int) bool { return r.present&(1<<i) != 0 }

func (r *row) set(i int) *value {
	r.present |= 1 << i
	return &r.values[i]
}

func (r *row) setInt(i int, n int64)   { r.set(i).n = n }
func (r *row) setText(i int, s []byte) { r.set(i).s = s }

// column holds the values of one column; the slice of its kind is in use. None has pointers, so that the garbage
// collector need not look at the millions of values of a batch.
type column struct {
	columnSpec
	dictionary *dictionary
	n          int // Values held. It lags behind the block's rows while rows have none: see fill.
	// filler is the value that fill writes: absent, or what fillWith set; of a dictionary a number. same tells that fillWith
	// set it, and that the column is there even where no row has a value of its own.
	filler int64
	same   bool

	text []byte   // texts one after another, as an insert sends them
	ends []uint32 // of texts
	ids  []uint32 // in dictionary
	i8   []int8
	u8   []uint8
	u16  []uint16
	i32  []int32
	u32  []uint32
	u64  []uint64
	i64  []int64
	f64  []float64
}

// textAt is a text of a text column, or the bytes of a fixed one, valid until the block is reset.
func (c *column) textAt(i int) string {
	if c.kind == fixedColumn {
		return unsafe.String(&c.text[i*fixedWidth], fixedWidth)
	}
	begin := uint32(0)
	if i > 0 {
		begin = c.ends[i-1]
	}
	text := c.text[begin:c.ends[i]]
	_, length := binary.Uvarint(text)
	return unsafe.String(unsafe.SliceData(text[length:]), len(text)-length)
}

// Block holds rows of one table, by column. It belongs to a Batch.
type Block struct {
	// Table is the name of the table.
	Table string

	table   *table
	columns []column
	rows    int
	room    int    // rows that the columns have been given room for
	batch   *Batch // that it belongs to, which knows what the range may come to; nil where it stands alone
	bytes   int
	width   int // bytes of a row without its texts
}

func newBlock(t *table) *Block {
	bl := &Block{Table: t.name, table: t, columns: make([]column, len(t.columns))}
	for i, spec := range t.columns {
		bl.columns[i].columnSpec, bl.columns[i].filler = spec, spec.absent
		bl.width += kindWidths[spec.kind]
		if spec.kind == dictionaryColumn {
			bl.columns[i].dictionary = newDictionary()
		}
	}
	return bl
}

var kindWidths = [...]int{textColumn: 5, dictionaryColumn: 4, fixedColumn: fixedWidth, enumColumn: 1, int8Column: 1, uint8Column: 1,
	uint16Column: 2, uint32Column: 4, uint64Column: 8, int32Column: 4, int64Column: 8, floatColumn: 8, dateColumn: 4, timeColumn: 8, hourColumn: 8}

// Rows is the number of rows.
func (bl *Block) Rows() int { return bl.rows }

func (bl *Block) reset() {
	bl.rows, bl.bytes = 0, 0
	for i := range bl.columns {
		c := &bl.columns[i]
		if c.dictionary != nil {
			c.dictionary.trim()
		}
		c.n = 0
		c.text, c.ends, c.ids, c.i8, c.u8, c.u16 = c.text[:0], c.ends[:0], c.ids[:0], c.i8[:0], c.u8[:0], c.u16[:0]
		c.i32, c.u32, c.u64, c.i64, c.f64 = c.i32[:0], c.u32[:0], c.u64[:0], c.i64[:0], c.f64[:0]
	}
}

// fillWith gives a column the same value in all rows that append gives none, until it is called again: a number, or that of a
// text in its dictionary.
func (bl *Block) fillWith(column int, value int64) {
	bl.columns[column].filler, bl.columns[column].same = value, true
}

// append adds a row. Values out of a column's range must not get here. Columns without a value are left behind, so that
// what most types lack costs nothing.
func (bl *Block) append(r *row) {
	if bl.rows == bl.room {
		bl.grow()
	}
	for left := r.present; left != 0; left &= left - 1 {
		i := bits.TrailingZeros64(left)
		c := &bl.columns[i]
		if c.n != bl.rows {
			c.fill(bl.rows)
		}
		c.n++
		v := &r.values[i]
		switch c.kind {
		case textColumn:
			c.text = append(binary.AppendUvarint(c.text, uint64(len(v.s))), v.s...)
			bl.bytes += len(v.s)
			c.ends = append(c.ends, uint32(len(c.text)))
		case fixedColumn:
			c.text = append(c.text, v.s[:fixedWidth]...)
		case dictionaryColumn:
			id := uint32(0)
			if len(v.s) > 0 {
				var fresh bool
				if id, fresh = c.dictionary.id(v.s); fresh {
					bl.bytes += len(v.s)
				}
			}
			c.ids = append(c.ids, id)
		case enumColumn, int8Column:
			c.i8 = append(c.i8, int8(v.n))
		case uint8Column:
			c.u8 = append(c.u8, uint8(v.n))
		case uint16Column:
			c.u16 = append(c.u16, uint16(v.n))
		case uint32Column:
			c.u32 = append(c.u32, uint32(v.n))
		case uint64Column:
			c.u64 = append(c.u64, uint64(v.n))
		case int32Column, dateColumn:
			c.i32 = append(c.i32, int32(v.n))
		case int64Column, timeColumn, hourColumn:
			c.i64 = append(c.i64, v.n)
		case floatColumn:
			c.f64 = append(c.f64, v.f)
		}
	}
	bl.rows++
	bl.bytes += bl.width
}

const (
	firstRoom = 256
	// fewRows is below how many rows of a block room grows fourfold. Above it room is made for all that is expected.
	fewRows = 1 << 16
)

// grow makes room in the columns that have values. It does so in fewer and larger steps than append would, which copies four
// times of what a large column has in the end, on the way there.
func (bl *Block) grow() {
	bl.room = max(firstRoom, 4*bl.rows)
	if bl.rows >= fewRows {
		bl.room = 2 * bl.rows
	}
	if b := bl.batch; b != nil && b.expectBytes > 0 && bl.bytes > 0 {
		if bl.rows >= fewRows {
			bl.room = max(bl.room, bl.rows+b.expectRows-b.Rows())
		}
		// No room for rows that make the range full before.
		bl.room = min(bl.room, bl.rows+max(bl.rows*max(b.expectBytes-b.Bytes(), 0)/bl.bytes, bl.rows/4))
	}
	for i := range bl.columns {
		if c := &bl.columns[i]; c.n > 0 {
			c.reserve(bl.room, bl.rows)
		}
	}
}

// reserve makes room for n values in a column of a block of so many rows. Texts are taken to be as long as those of these rows,
// of which many may have none.
func (c *column) reserve(n, rows int) {
	switch c.kind {
	case textColumn:
		c.text, c.ends = reserved(c.text, (len(c.text)+rows-c.n)/rows*n), reserved(c.ends, n)
	case fixedColumn:
		c.text = reserved(c.text, n*fixedWidth)
	case dictionaryColumn:
		c.ids = reserved(c.ids, n)
	case enumColumn, int8Column:
		c.i8 = reserved(c.i8, n)
	case uint8Column:
		c.u8 = reserved(c.u8, n)
	case uint16Column:
		c.u16 = reserved(c.u16, n)
	case uint32Column:
		c.u32 = reserved(c.u32, n)
	case uint64Column:
		c.u64 = reserved(c.u64, n)
	case int32Column, dateColumn:
		c.i32 = reserved(c.i32, n)
	case int64Column, timeColumn, hourColumn:
		c.i64 = reserved(c.i64, n)
	case floatColumn:
		c.f64 = reserved(c.f64, n)
	}
}

// reserved gives a slice room for n values. Unlike slices.Grow it leaves new memory untouched where that is zero already.
func reserved[T any](s []T, n int) []T {
	if n <= cap(s) {
		return s
	}
	grown := make([]T, len(s), n)
	copy(grown, s)
	return grown
}

// fill adds values to a column that was left behind, up to n.
func (c *column) fill(n int) {
	switch c.kind {
	case textColumn:
		for len(c.ends) < n {
			c.text = append(c.text, 0) // the length of an empty text
			c.ends = append(c.ends, uint32(len(c.text)))
		}
	case fixedColumn:
		c.text = filled(c.text, n*fixedWidth, 0)
	case dictionaryColumn:
		c.ids = filled(c.ids, n, uint32(c.filler))
	case enumColumn, int8Column:
		c.i8 = filled(c.i8, n, int8(c.filler))
	case uint8Column:
		c.u8 = filled(c.u8, n, uint8(c.filler))
	case uint16Column:
		c.u16 = filled(c.u16, n, uint16(c.filler))
	case uint32Column:
		c.u32 = filled(c.u32, n, uint32(c.filler))
	case uint64Column:
		c.u64 = filled(c.u64, n, uint64(c.filler))
	case int32Column, dateColumn:
		c.i32 = filled(c.i32, n, int32(c.filler))
	case int64Column, timeColumn, hourColumn:
		c.i64 = filled(c.i64, n, c.filler)
	case floatColumn:
		c.f64 = filled(c.f64, n, float64(c.filler))
	}
	c.n = n
}

func filled[T any](s []T, n int, v T) []T {
	s = reserved(s, n)
	for len(s) < n {
		s = append(s, v)
	}
	return s
}
