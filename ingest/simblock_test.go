package ingest

import (
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"ioc.local/ingest/event"
)

// modelRows reads a block as the driver would.
func modelRows(block *event.Block) ([]modelRow, error) {
	names := block.Columns()
	capture := &blockCapture{columns: make([]columnCapture, len(names))}
	if err := block.AppendTo(capture); err != nil {
		return nil, err
	}
	rows := make([]modelRow, block.Rows())
	var text strings.Builder
	for i := range rows {
		r := &rows[i]
		text.Reset()
		for at, name := range names {
			value := capture.columns[at].at(i)
			fmt.Fprintf(&text, "%s=%v ", name, value)
			switch name {
			case "topic":
				r.topic = value.(string)
			case "partition":
				r.partition = int(value.(uint32))
			case "offset", "first_offset", "record_offset":
				r.offset = int64(value.(uint64))
			case "last_offset", "position":
				r.last = int64(value.(uint64))
			case "source":
				r.source = value.(string)
			case "event_id":
				r.id = value.(string)
			case "subject":
				r.subject = value.(string)
			case "record_time":
				r.time = value.(int64)
			case "received_at":
				r.received = value.(int64)
			case "occurred_at":
				r.occurred = value.(int64)
			case "latency_ms":
				r.latency = int64(value.(int32))
			case "reason":
				r.reason = value.(string)
			case "kind":
				r.kind = value.(int8)
			case "size":
				r.size = int64(value.(uint32))
			case "letter":
				r.letter = value.(string)
			case "accepted":
				r.counts[event.Accepted] = int(value.(uint64))
			case "rejected":
				r.counts[event.Rejected] = int(value.(uint64))
			case "duplicates":
				r.counts[event.Duplicate] = int(value.(uint64))
			}
			if outcome, ok := value.(int8); ok && name == "outcome" {
				r.outcome = outcome
			}
		}
		switch block.Table {
		case "auth_attempts":
			r.part = time.UnixMilli(r.occurred).UTC().Format("200601")
		case "dead_letters", "skipped_offsets", "dead_letter_replays":
			r.part = time.UnixMilli(r.received).UTC().Format("200601")
		}
		r.all = text.String()
	}
	return rows, nil
}

// blockCapture is a prepared insert that keeps what is appended to it.
type blockCapture struct {
	driver.Batch
	columns []columnCapture
	last    int // the column that was asked for last
}

// Column implements driver.Batch.
func (b *blockCapture) Column(i int) driver.BatchColumn {
	b.last = i
	return &b.columns[i]
}

// Columns implements driver.Batch. What is appended in the form of the driver are texts of a dictionary, to the column
// that was asked for last.
func (b *blockCapture) Columns() []column.Interface {
	columns := make([]column.Interface, len(b.columns))
	texts, err := column.Type("LowCardinality(String)").Column("", nil)
	if err != nil {
		panic(err)
	}
	columns[b.last], b.columns[b.last].texts = texts, texts
	return columns
}

type columnCapture struct {
	driver.BatchColumn
	values []any
	texts  column.Interface
}

// Append implements driver.BatchColumn.
func (c *columnCapture) Append(values any) error {
	switch v := values.(type) {
	case []string:
		capture(c, v, strings.Clone)
	case []int8:
		capture(c, v, same)
	case []uint8:
		capture(c, v, same)
	case []uint16:
		capture(c, v, same)
	case []int32:
		capture(c, v, same)
	case []uint32:
		capture(c, v, same)
	case []int64:
		capture(c, v, same)
	case []uint64:
		capture(c, v, same)
	case []float64:
		capture(c, v, same)
	case []time.Time:
		capture(c, v, func(t time.Time) string { return t.Format(time.DateOnly) })
	default:
		return fmt.Errorf("the model does not know columns of %T", values)
	}
	return nil
}

func same[T any](v T) T { return v }

func capture[T, U any](c *columnCapture, values []T, as func(T) U) {
	for _, v := range values {
		c.values = append(c.values, as(v))
	}
}

func (c *columnCapture) at(i int) any {
	if c.texts != nil {
		return c.texts.Row(i, false)
	}
	return c.values[i]
}
