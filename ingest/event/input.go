package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/ClickHouse/ch-go/proto"
)

// Input gives the rows as an insert sends them, column by column and out of the block's own memory: those columns that any
// row has a value in, and those that are the same in every row, since the others have the default of the schema. It is
// valid until the block is reset, and for one insert at a time. The insert fails, before it sends any row, where a column
// of the table has another type than is expected.
func (bl *Block) Input() proto.Input {
	var columns proto.Input
	for i := range bl.columns {
		if c := &bl.columns[i]; c.n > 0 || c.same {
			c.fill(bl.rows)
			columns = append(columns, proto.InputColumn{Name: c.name, Data: &columnInput{column: c, kind: nativeTypes[c.kind]}})
		}
	}
	return columns
}

// columnInput is a column of one insert.
type columnInput struct {
	*column
	kind proto.ColumnType // that is expected, as nativeTypes has it; then that of the table
	told bool             // the server has told that of the table
}

// nativeTypes are the types of the table, or what they begin with where they have parameters, by the kind of column.
var nativeTypes = [...]proto.ColumnType{textColumn: "String", dictionaryColumn: "LowCardinality(String)", fixedColumn: "FixedString(32)", enumColumn: "Enum8(",
	int8Column: "Int8", uint8Column: "UInt8", uint16Column: "UInt16", uint32Column: "UInt32", uint64Column: "UInt64", int32Column: "Int32",
	int64Column: "Int64", floatColumn: "Float64", dateColumn: "Date", timeColumn: "DateTime64(3", hourColumn: "DateTime("}

// Infer implements proto.Inferable: it is told the type that the column of the table has.
func (in *columnInput) Infer(kind proto.ColumnType) error {
	plain := string(kind)
	if aggregate, ok := strings.CutPrefix(plain, "SimpleAggregateFunction("); ok { // of a rollup, which is given what it adds up
		_, plain, _ = strings.Cut(strings.TrimSuffix(aggregate, ")"), ", ")
	}
	if want := string(nativeTypes[in.column.kind]); plain != want && (!strings.Contains(want, "(") || !strings.HasPrefix(plain, want)) {
		return fmt.Errorf("the table has %s where %s is expected", kind, want)
	}
	in.kind, in.told = kind, true
	return nil
}

// Prepare implements proto.Preparable. Rows are sent only after the server has told the types: where it refuses the insert
// instead, the client might still come here, and the server would not know what to do with rows.
func (in *columnInput) Prepare() error {
	if !in.told {
		return errors.New("the server does not take rows")
	}
	return nil
}

// Type implements proto.ColInput: the type of the table's column, or how it has to begin while that is not known.
func (in *columnInput) Type() proto.ColumnType { return in.kind }

// Rows implements proto.ColInput.
func (in *columnInput) Rows() int { return in.n }

// EncodeState implements proto.StateEncoder.
func (in *columnInput) EncodeState(b *proto.Buffer) {
	if in.column.kind == dictionaryColumn {
		b.PutInt64(dictionaryVersion)
	}
}

// WriteColumn implements proto.ColInput. What the column holds as it is sent is not copied.
func (in *columnInput) WriteColumn(w *proto.Writer) {
	switch in.column.kind {
	case textColumn, fixedColumn:
		w.ChainWrite(in.text)
	case dictionaryColumn, dateColumn, hourColumn:
		w.ChainBuffer(in.EncodeColumn)
	default:
		in.numbers().WriteColumn(w)
	}
}

// EncodeColumn implements proto.ColInput.
func (in *columnInput) EncodeColumn(b *proto.Buffer) {
	switch in.column.kind {
	case textColumn, fixedColumn:
		b.PutRaw(in.text)
	case dictionaryColumn:
		in.encodeDictionary(b)
	case dateColumn:
		for _, day := range in.i32 {
			b.PutUInt16(uint16(day))
		}
	case hourColumn:
		for _, second := range in.i64 {
			b.PutUInt32(uint32(second))
		}
	default:
		in.numbers().EncodeColumn(b)
	}
}

// numbers are the numbers of a column whose values are held as they are sent.
func (c *column) numbers() proto.ColInput {
	switch c.kind {
	case enumColumn, int8Column:
		return (*proto.ColInt8)(&c.i8)
	case uint8Column:
		return (*proto.ColUInt8)(&c.u8)
	case uint16Column:
		return (*proto.ColUInt16)(&c.u16)
	case uint32Column:
		return (*proto.ColUInt32)(&c.u32)
	case uint64Column:
		return (*proto.ColUInt64)(&c.u64)
	case int32Column:
		return (*proto.ColInt32)(&c.i32)
	case floatColumn:
		return (*proto.ColFloat64)(&c.f64)
	default:
		return (*proto.ColInt64)(&c.i64)
	}
}

// Of a LowCardinality column in the native protocol: the version of its form, and what stands before its dictionary and its
// numbers, which are as wide as the size of the dictionary takes.
const (
	dictionaryVersion = 1
	dictionaryFollows = 1<<9 | 1<<10 // it is the block's own, and replaces any of before
	numbers8          = 0
	numbers16         = 1
	numbers32         = 2
)

// encodeDictionary appends numbers into a dictionary. The dictionary may hold texts that no row has, or one twice: the
// engine keeps what it needs.
func (c *column) encodeDictionary(b *proto.Buffer) {
	texts := c.dictionary.texts
	width := numbers8
	switch {
	case len(texts) > math.MaxUint16+1:
		width = numbers32
	case len(texts) > math.MaxUint8+1:
		width = numbers16
	}
	b.PutInt64(int64(dictionaryFollows | width))
	b.PutInt64(int64(len(texts)))
	for _, text := range texts {
		b.PutString(text)
	}
	b.PutInt64(int64(len(c.ids)))
	buf := b.Buf
	for _, id := range c.ids {
		switch width {
		case numbers8:
			buf = append(buf, byte(id))
		case numbers16:
			buf = binary.LittleEndian.AppendUint16(buf, uint16(id))
		default:
			buf = binary.LittleEndian.AppendUint32(buf, id)
		}
	}
	b.Buf = buf
}
