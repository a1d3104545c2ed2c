package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/ClickHouse/ch-go/proto"

	"ioc.local/ingest/event"
	"ioc.local/internal/warehouse"
)

// driverBlock is a block as clickhouse-go takes it fastest: one slice a column, of its own types, and the texts of
// LowCardinality columns boxed before.
type driverBlock struct {
	names  []string
	values []any
}

// newDriverBlock copies a block.
func newDriverBlock(block *event.Block) (b driverBlock, err error) {
	for _, c := range block.Input() {
		var buf proto.Buffer
		c.Data.EncodeColumn(&buf)
		values, err := driverValues(c.Data.Type(), proto.NewReader(bytes.NewReader(buf.Buf)), block.Rows())
		if err != nil {
			return b, fmt.Errorf("column %s: %w", c.Name, err)
		}
		b.names, b.values = append(b.names, c.Name), append(b.values, values)
	}
	return b, nil
}

func driverBlocks(b *testing.B, batches []*event.Batch) []driverBlock {
	b.Helper()
	blocks := make([]driverBlock, len(batches))
	for i, batch := range batches {
		var err error
		if blocks[i], err = newDriverBlock(batch.Blocks()[0]); err != nil {
			b.Fatal(err)
		}
	}
	return blocks
}

func driverValues(kind proto.ColumnType, sent *proto.Reader, rows int) (any, error) {
	switch kind {
	case "String":
		var texts proto.ColStr
		err := texts.DecodeColumn(sent, rows)
		values := make([]string, rows)
		for i := range values {
			values[i] = texts.Row(i)
		}
		return values, err
	case "LowCardinality(String)":
		texts := new(proto.ColStr).LowCardinality()
		err := texts.DecodeColumn(sent, rows)
		values, boxed := make([]any, rows), map[string]any{}
		for i := range values {
			text := texts.Row(i)
			if boxed[text] == nil {
				boxed[text] = text
			}
			values[i] = boxed[text]
		}
		return values, err
	case "Enum8(", "Int8":
		var numbers proto.ColInt8
		err := numbers.DecodeColumn(sent, rows)
		return []int8(numbers), err
	case "UInt8":
		var numbers proto.ColUInt8
		err := numbers.DecodeColumn(sent, rows)
		return []uint8(numbers), err
	case "UInt16":
		var numbers proto.ColUInt16
		err := numbers.DecodeColumn(sent, rows)
		return []uint16(numbers), err
	case "UInt32":
		var numbers proto.ColUInt32
		err := numbers.DecodeColumn(sent, rows)
		return []uint32(numbers), err
	case "UInt64":
		var numbers proto.ColUInt64
		err := numbers.DecodeColumn(sent, rows)
		return []uint64(numbers), err
	case "Int32":
		var numbers proto.ColInt32
		err := numbers.DecodeColumn(sent, rows)
		return []int32(numbers), err
	case "DateTime64(3": // milliseconds
		var numbers proto.ColInt64
		err := numbers.DecodeColumn(sent, rows)
		return []int64(numbers), err
	}
	return nil, fmt.Errorf("no form for %s", kind)
}

// insert sends the block with clickhouse-go.
func (b driverBlock) insert(ctx context.Context, client *warehouse.Client, table, token string) error {
	batch, err := client.PrepareInsert(ctx, table, strings.Join(b.names, ", "), token)
	if err != nil {
		return err
	}
	defer func() { _ = batch.Close() }()
	for i, values := range b.values {
		if err := batch.Column(i).Append(values); err != nil {
			return fmt.Errorf("column %s: %w", b.names[i], err)
		}
	}
	return batch.Send()
}
