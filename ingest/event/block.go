package event

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"time"
	"unsafe"

	"github.com/ClickHouse/ch-go/proto"
	chcolumn "github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

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

	text []byte // texts one after another
	ends []uint32
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

// textAt is a text of a text column, valid until the block is reset.
func (c *column) textAt(i int) string {
	begin := uint32(0)
	if i > 0 {
		begin = c.ends[i-1]
	}
	return unsafe.String(unsafe.SliceData(c.text[begin:]), c.ends[i]-begin)
}

// Block holds rows of one table, by column. It belongs to a Batch.
type Block struct {
	// Table is the name of the table.
	Table string

	table   *table
	columns []column
	names   []string
	rows    int
	bytes   int
	width   int // bytes of a row without its texts

	// Parts of columns in the driver's forms.
	texts  []string
	native []byte
	dates  []time.Time
}

func newBlock(t *table) *Block {
	bl := &Block{Table: t.name, table: t, columns: make([]column, len(t.columns)), names: make([]string, 0, len(t.columns))}
	for i, spec := range t.columns {
		bl.columns[i].columnSpec = spec
		bl.width += kindWidths[spec.kind]
		if spec.kind == dictionaryColumn {
			bl.columns[i].dictionary = newDictionary()
		}
	}
	return bl
}

var kindWidths = [...]int{textColumn: 4, dictionaryColumn: 4, fixedColumn: 4, enumColumn: 1, int8Column: 1, uint8Column: 1,
	uint16Column: 2, uint32Column: 4, uint64Column: 8, int32Column: 4, int64Column: 8, floatColumn: 8, dateColumn: 4, timeColumn: 8, hourColumn: 8}

// Rows is the number of rows.
func (bl *Block) Rows() int { return bl.rows }

// Columns lists the columns in the order of AppendTo, for INSERT INTO table (columns): those that any row has a value
// in, since the others have the default of the schema. The slice is valid until the next call.
func (bl *Block) Columns() []string {
	bl.names = bl.names[:0]
	for i := range bl.columns {
		if c := &bl.columns[i]; c.n > 0 {
			bl.names = append(bl.names, c.name)
		}
	}
	return bl.names
}

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

// append adds a row. Values out of a column's range must not get here. Columns without a value are left behind, so that
// what most types lack costs nothing.
func (bl *Block) append(r *row) {
	for left := r.present; left != 0; left &= left - 1 {
		i := bits.TrailingZeros64(left)
		c := &bl.columns[i]
		if c.n != bl.rows {
			c.fill(bl.rows)
		}
		c.n++
		v := &r.values[i]
		switch c.kind {
		case textColumn, fixedColumn:
			c.text = append(c.text, v.s...)
			bl.bytes += len(v.s)
			c.ends = append(c.ends, uint32(len(c.text)))
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

// fill adds absent values up to n.
func (c *column) fill(n int) {
	switch c.kind {
	case textColumn, fixedColumn:
		c.ends = filled(c.ends, n, uint32(len(c.text)))
	case dictionaryColumn:
		c.ids = filled(c.ids, n, 0)
	case enumColumn, int8Column:
		c.i8 = filled(c.i8, n, int8(c.absent))
	case uint8Column:
		c.u8 = filled(c.u8, n, uint8(c.absent))
	case uint16Column:
		c.u16 = filled(c.u16, n, uint16(c.absent))
	case uint32Column:
		c.u32 = filled(c.u32, n, uint32(c.absent))
	case uint64Column:
		c.u64 = filled(c.u64, n, uint64(c.absent))
	case int32Column, dateColumn:
		c.i32 = filled(c.i32, n, int32(c.absent))
	case int64Column, timeColumn, hourColumn:
		c.i64 = filled(c.i64, n, c.absent)
	case floatColumn:
		c.f64 = filled(c.f64, n, float64(c.absent))
	}
	c.n = n
}

func filled[T any](s []T, n int, v T) []T {
	for len(s) < n {
		s = append(s, v)
	}
	return s
}

// AppendTo appends all rows to a batch that was prepared for INSERT INTO Table (Columns). After an error the batch is
// unusable.
func (bl *Block) AppendTo(batch driver.Batch) error {
	at := 0
	for i := range bl.columns {
		c := &bl.columns[i]
		if c.n == 0 {
			continue
		}
		c.fill(bl.rows)
		if err := bl.appendColumn(c, batch, at); err != nil {
			return fmt.Errorf("appending column %s of %s: %w", c.name, bl.Table, err)
		}
		at++
	}
	return nil
}

// appendColumn hands the driver each column in the form that costs it least: no form here allocates for each row.
func (bl *Block) appendColumn(c *column, batch driver.Batch, at int) error {
	to := batch.Column(at)
	switch c.kind {
	case textColumn, fixedColumn:
		return bl.appendTexts(c, to)
	case dictionaryColumn:
		return bl.appendDictionary(c, batch.Columns()[at])
	case enumColumn, int8Column:
		return to.Append(c.i8)
	case uint8Column:
		return to.Append(c.u8)
	case uint16Column:
		return to.Append(c.u16)
	case uint32Column:
		return to.Append(c.u32)
	case uint64Column:
		return to.Append(c.u64)
	case int32Column:
		return to.Append(c.i32)
	case floatColumn:
		return to.Append(c.f64)
	case int64Column, timeColumn, hourColumn:
		return to.Append(c.i64)
	case dateColumn:
		return bl.appendDates(c, to)
	}
	return fmt.Errorf("column kind %d is not known", c.kind)
}

// partRows is how many rows of a column are converted at a time.
const partRows = 4096

func (bl *Block) appendTexts(c *column, to driver.BatchColumn) error {
	for from := 0; from < bl.rows; from += partRows {
		bl.texts = bl.texts[:0]
		for i := from; i < min(from+partRows, bl.rows); i++ {
			bl.texts = append(bl.texts, c.textAt(i))
		}
		if err := to.Append(bl.texts); err != nil {
			return err
		}
	}
	return nil
}

// Of a LowCardinality column in the native protocol: what stands before its dictionary and its numbers, which are as wide as
// the size of the dictionary takes.
const (
	dictionaryFollows = 1<<9 | 1<<10 // it is the block's own, and replaces any of before
	numbers8          = 0
	numbers16         = 1
	numbers32         = 2
)

// appendDictionary gives the driver the column in the form in which a server sends one, numbers into a dictionary. Given
// texts, the driver would look each of them up in a map. The dictionary may hold texts that no row has, or one twice: the
// engine keeps what it needs.
func (bl *Block) appendDictionary(c *column, to chcolumn.Interface) error {
	low, ok := to.(*chcolumn.LowCardinality)
	if !ok {
		return fmt.Errorf("the table has %s where LowCardinality(String) is expected", to.Type())
	}
	texts := c.dictionary.texts
	width := uint64(numbers8)
	switch {
	case len(texts) > math.MaxUint16+1:
		width = numbers32
	case len(texts) > math.MaxUint8+1:
		width = numbers16
	}
	buf := binary.LittleEndian.AppendUint64(bl.native[:0], dictionaryFollows|width)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(len(texts)))
	for _, text := range texts {
		buf = append(binary.AppendUvarint(buf, uint64(len(text))), text...)
	}
	buf = binary.LittleEndian.AppendUint64(buf, uint64(bl.rows))
	for _, id := range c.ids[:bl.rows] {
		switch width {
		case numbers8:
			buf = append(buf, byte(id))
		case numbers16:
			buf = binary.LittleEndian.AppendUint16(buf, uint16(id))
		default:
			buf = binary.LittleEndian.AppendUint32(buf, id)
		}
	}
	bl.native = buf
	return low.Decode(proto.NewReader(bytes.NewReader(buf)), bl.rows)
}

// appendDates goes through time.Time, the only form that the driver takes without parsing a text.
func (bl *Block) appendDates(c *column, to driver.BatchColumn) error {
	for from := 0; from < bl.rows; from += partRows {
		bl.dates = bl.dates[:0]
		for _, day := range c.i32[from:min(from+partRows, bl.rows)] {
			bl.dates = append(bl.dates, time.Unix(int64(day)*86400, 0).UTC())
		}
		if err := to.Append(bl.dates); err != nil {
			return err
		}
	}
	return nil
}
