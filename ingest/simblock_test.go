package ingest

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"

	"ioc.local/ingest/event"
)

// modelRows reads a block as the engine would.
func modelRows(block *event.Block) ([]modelRow, error) {
	input := block.Input()
	columns := make([]column.Interface, len(input))
	for i, c := range input {
		var err error
		if columns[i], err = sentColumn(c, block.Rows()); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", block.Table, c.Name, err)
		}
	}
	rows := make([]modelRow, block.Rows())
	var text strings.Builder
	for i := range rows {
		r := &rows[i]
		text.Reset()
		for at, c := range input {
			name, value := c.Name, columns[at].Row(i, false)
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

// numbersOf are the types of which a model needs the numbers only, with those it may read them by.
var numbersOf = map[proto.ColumnType]column.Type{"Enum8(": "Int8", "DateTime64(3": "Int64", "DateTime(": "UInt32"}

// sentColumn reads a column as it is sent to a table that has the type which the column expects.
func sentColumn(c proto.InputColumn, rows int) (column.Interface, error) {
	kind, ok := numbersOf[c.Data.Type()]
	if !ok {
		kind = column.Type(c.Data.Type())
	}
	of, err := kind.Column(c.Name, &column.ServerContext{Timezone: time.UTC})
	if err != nil {
		return nil, err
	}
	var buf proto.Buffer
	c.Data.EncodeColumn(&buf)
	return of, of.Decode(proto.NewReader(bytes.NewReader(buf.Buf)), rows)
}
