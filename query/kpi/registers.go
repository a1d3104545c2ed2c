package kpi

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// registerStatement reads the entries of one source in register_events: each with its texts and numbers.
type registerStatement struct {
	src            *source
	rank           string // SQL of the rank among entries of one time; empty is none.
	texts, numbers []string
}

// registerEntry is one entry that no void has taken out.
type registerEntry struct {
	at                   time.Time
	rank                 int64
	id                   string // Of the event.
	province, province63 string
	texts                []string
	numbers              []float64
}

const voidType = "event.void"

// registerBelow is the condition of the events of the source that are below the positions and that no void below them takes
// out. ClickHouse gives the two readings of the table no common snapshot, and needs to give none: the rows of a partition
// come in the order of their offsets, so that all below a position that was read are there, and stay.
func registerBelow(b *builder, src *source, read *reading) string {
	below := "false"
	if len(read.positions) > 0 {
		var parts []string
		for i, p := range read.positions {
			parts = append(parts, fmt.Sprintf("(topic = {%s:String} AND partition = {%s:UInt32} AND offset < {%s:UInt64})",
				b.set(fmt.Sprintf("topic%d", i), p.topic), b.set(fmt.Sprintf("partition%d", i), p.partition), b.set(fmt.Sprintf("position%d", i), p.offset)))
		}
		below = "(" + strings.Join(parts, " OR ") + ")"
	}
	return fmt.Sprintf("type = '%s' AND %s AND (source, event_id) NOT IN (SELECT source, subject FROM register_events WHERE type = '%s' AND %s)",
		src.eventType(), below, voidType, below)
}

func (s *registerStatement) sql(read *reading) (string, []any) {
	b := &builder{}
	rank := s.rank
	if rank == "" {
		rank = "toInt64(0)"
	}
	return fmt.Sprintf(`SELECT toUnixTimestamp64Milli(occurred_at) AS at, %s AS place_in_time, event_id, toString(province), toString(province63),
    [%s]::Array(String), [%s]::Array(Float64)
FROM register_events
WHERE %s
ORDER BY at, place_in_time, event_id, source`, rank, strings.Join(s.texts, ", "), strings.Join(s.numbers, ", "), registerBelow(b, s.src, read)), b.parameters
}

// keptEntries are the entries that were read last of a source, by the statement and the positions; nothing changes them.
type keptEntries struct {
	of      string
	entries []registerEntry
}

// maxKeptEntries bounds what is kept of each source.
const maxKeptEntries = 20_000

// readRegister reads the entries below the positions, in the order of (time, rank, id): the last entry of a thing is the
// one that counts. The source is last, as it tells apart what is left. What was read last is kept, as registers move seldom.
func (e *Evaluator) readRegister(ctx context.Context, s *registerStatement, read *reading) ([]registerEntry, error) {
	sql, parameters := s.sql(read)
	of := sql + read.positions.hash()
	e.mu.Lock()
	kept := e.entries[s.src.name]
	e.mu.Unlock()
	if kept.of == of {
		return kept.entries, nil
	}
	var entries []registerEntry
	err := e.query(ctx, sql, parameters, func(rows driver.Rows) error {
		var (
			entry registerEntry
			at    int64
		)
		if err := rows.Scan(&at, &entry.rank, &entry.id, &entry.province, &entry.province63, &entry.texts, &entry.numbers); err != nil {
			return err
		}
		entry.at = moment(at)
		entries = append(entries, entry)
		return nil
	})
	if err == nil && len(entries) <= maxKeptEntries {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.entries[s.src.name] = keptEntries{of, entries}
	}
	return entries, err
}

// moment is a time of the warehouse in milliseconds since 1970.
func moment(milliseconds int64) time.Time { return time.UnixMilli(milliseconds).In(zone) }
