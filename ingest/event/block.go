package event

import (
	"fmt"
	"time"
	"unsafe"

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

	columns []column
	names   []string
	rows    int
	bytes   int
	width   int // bytes of a row without its texts

	// Parts of columns in the driver's forms.
	texts    []string
	pointers []*string
	dates    []time.Time
}

func newBlock(t *table) *Block {
	bl := &Block{Table: t.name, columns: make([]column, len(t.columns)), names: make([]string, len(t.columns))}
	for i, spec := range t.columns {
		bl.columns[i].columnSpec = spec
		bl.names[i] = spec.name
		bl.width += kindWidths[spec.kind]
		if spec.kind == dictionaryColumn {
			bl.columns[i].dictionary = newDictionary()
		}
	}
	return bl
}

var kindWidths = [...]int{textColumn: 4, dictionaryColumn: 4, fixedColumn: 4, enumColumn: 1, uint8Column: 1, uint16Column: 2,
	uint32Column: 4, uint64Column: 8, int32Column: 4, floatColumn: 8, dateColumn: 4, timeColumn: 8}

// Rows is the number of rows.
func (bl *Block) Rows() int { return bl.rows }

// Columns lists the columns in the order of AppendTo, for INSERT INTO table (columns). The caller must not change it.
func (bl *Block) Columns() []string { return bl.names }

func (bl *Block) reset() {
	bl.rows, bl.bytes = 0, 0
	for i := range bl.columns {
		c := &bl.columns[i]
		if c.dictionary != nil {
			c.dictionary.trim()
		}
		c.text, c.ends, c.ids, c.i8, c.u8, c.u16 = c.text[:0], c.ends[:0], c.ids[:0], c.i8[:0], c.u8[:0], c.u16[:0]
		c.i32, c.u32, c.u64, c.i64, c.f64 = c.i32[:0], c.u32[:0], c.u64[:0], c.i64[:0], c.f64[:0]
	}
}

// append adds a row. Values out of a column's range must not get here.
func (bl *Block) append(r *row) {
	for i := range bl.columns {
		c := &bl.columns[i]
		v := &r.values[i]
		present := r.has(i)
		n := c.absent
		if present {
			n = v.n
		}
		switch c.kind {
		case textColumn, fixedColumn:
			if present {
				c.text = append(c.text, v.s...)
				bl.bytes += len(v.s)
			}
			c.ends = append(c.ends, uint32(len(c.text)))
		case dictionaryColumn:
			id := uint32(0)
			if present && len(v.s) > 0 {
				var fresh bool
				if id, fresh = c.dictionary.id(v.s); fresh {
					bl.bytes += len(v.s)
				}
			}
			c.ids = append(c.ids, id)
		case enumColumn:
			c.i8 = append(c.i8, int8(n))
		case uint8Column:
			c.u8 = append(c.u8, uint8(n))
		case uint16Column:
			c.u16 = append(c.u16, uint16(n))
		case uint32Column:
			c.u32 = append(c.u32, uint32(n))
		case uint64Column:
			c.u64 = append(c.u64, uint64(n))
		case int32Column, dateColumn:
			c.i32 = append(c.i32, int32(n))
		case timeColumn:
			c.i64 = append(c.i64, n)
		case floatColumn:
			f := float64(c.absent)
			if present {
				f = v.f
			}
			c.f64 = append(c.f64, f)
		}
	}
	bl.rows++
	bl.bytes += bl.width
}

// AppendTo appends all rows to a batch that was prepared for INSERT INTO Table (Columns). After an error the batch is
// unusable.
func (bl *Block) AppendTo(batch driver.Batch) error {
	for i := range bl.columns {
		if err := bl.appendColumn(&bl.columns[i], batch.Column(i)); err != nil {
			return fmt.Errorf("appending column %s of %s: %w", bl.names[i], bl.Table, err)
		}
	}
	return nil
}

// appendColumn hands the driver each column in the form that costs it least: no form here allocates for each row.
func (bl *Block) appendColumn(c *column, to driver.BatchColumn) error {
	switch c.kind {
	case textColumn, fixedColumn:
		return bl.appendTexts(c, to)
	case dictionaryColumn:
		return bl.appendDictionary(c, to)
	case enumColumn:
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
	case timeColumn:
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

// appendDictionary gives pointers to the dictionary: the driver tells pointers apart faster than texts, and takes nil
// for the empty text without looking.
func (bl *Block) appendDictionary(c *column, to driver.BatchColumn) error {
	for from := 0; from < bl.rows; from += partRows {
		bl.pointers = bl.pointers[:0]
		for _, id := range c.ids[from:min(from+partRows, bl.rows)] {
			var p *string
			if id > 0 {
				p = &c.dictionary.texts[id]
			}
			bl.pointers = append(bl.pointers, p)
		}
		if err := to.Append(bl.pointers); err != nil {
			return err
		}
	}
	return nil
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
