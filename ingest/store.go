package ingest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"ioc.local/ingest/event"
	"ioc.local/internal/warehouse"
)

// store is ClickHouse as the protocol sees it. The simulation of faults puts a model in its place; in the program it is
// always clickhouseStore.
type store interface {
	// Insert sends a block as one native block under the token. An error says nothing about what was written: the table
	// may have the rows, and any of the rollups behind it may have them too or not. The same block under the same token
	// again completes what is missing and adds nothing else.
	Insert(ctx context.Context, block *event.Block, token string) error
	// ApplyDossiers brings the dossiers that a range touched up to date; it may be repeated like Insert. It reports whether
	// there was anything to apply.
	ApplyDossiers(ctx context.Context, touched warehouse.TouchedDossiers) (applied bool, err error)
	// Landed looks what is there of a range's block for a table, or of its effect on dossiers for dossier_changes.
	Landed(ctx context.Context, table string, r warehouse.Range, token string) (warehouse.Landed, error)
	// Fill lets views that lack a range count it, from the rows of their table. Like Insert it may be repeated under the
	// token.
	Fill(ctx context.Context, views []string, r warehouse.Range, token string) error
	// Restore puts a block's rows into its table, and into no rollup. None of the range may be there.
	Restore(ctx context.Context, block *event.Block, r warehouse.Range, token string) error
	// Remove takes the rows of a range out of a table, and not out of its rollups, if there are fewer than whole.
	Remove(ctx context.Context, table string, r warehouse.Range, whole uint64) error
	// FillDossiers is Fill for views of dossiers, and for the state of dossiers.
	FillDossiers(ctx context.Context, touched warehouse.TouchedDossiers, views []string) error
	// Incarnation returns the newest life of the partition's log that an operator accepted, 0 for the first, and the
	// offset that it is read from.
	Incarnation(ctx context.Context, topic string, partition int) (number int, from int64, err error)
	// RowsExist tells whether anything of the partition is there, under the name that its rows carry.
	RowsExist(ctx context.Context, incarnation string, partition int) (bool, error)
	// Identities calls each with the newest events below an offset, at most window of them, in the order of their
	// offsets. Time is the record's, in Unix milliseconds.
	Identities(ctx context.Context, incarnation string, partition int, below int64, window int, each func(source, id string, time int64)) error
	// Replays calls each with the dead letters that records below an offset settled, those of the topic's earlier lives
	// included, at most the newest window of them, in the order of their records.
	Replays(ctx context.Context, incarnation string, partition int, below int64, window int, each func(letter event.Identity)) error
	// Pauses returns the newest decision of an operator for everything, each topic and each partition that has one.
	Pauses(ctx context.Context) ([]warehouse.Pause, error)
	// Now reads ClickHouse's clock.
	Now(ctx context.Context) (time.Time, error)
}

// clickhouseStore is the real one.
type clickhouseStore struct{ client *warehouse.Client }

// Insert implements store.
func (s clickhouseStore) Insert(ctx context.Context, block *event.Block, token string) error {
	return s.insertInto(ctx, block.Table, block, token)
}

func (s clickhouseStore) insertInto(ctx context.Context, table string, block *event.Block, token string) error {
	if err := s.client.Insert(ctx, table, block.Input(), token); err != nil {
		return fmt.Errorf("sending the block: %w", err)
	}
	return nil
}

// ApplyDossiers implements store.
func (s clickhouseStore) ApplyDossiers(ctx context.Context, touched warehouse.TouchedDossiers) (applied bool, err error) {
	return warehouse.ApplyDossiers(ctx, s.client, touched)
}

// Landed implements store.
func (s clickhouseStore) Landed(ctx context.Context, table string, r warehouse.Range, token string) (warehouse.Landed, error) {
	return warehouse.LandedOf(ctx, s.client, table, r, token)
}

// Fill implements store.
func (s clickhouseStore) Fill(ctx context.Context, views []string, r warehouse.Range, token string) error {
	return warehouse.FillRollups(ctx, s.client, views, r, token)
}

// Restore implements store.
func (s clickhouseStore) Restore(ctx context.Context, block *event.Block, r warehouse.Range, token string) error {
	return warehouse.RestoreRange(ctx, s.client, block.Table, r, func(ctx context.Context, into string) error {
		return s.insertInto(ctx, into, block, token)
	})
}

// Remove implements store.
func (s clickhouseStore) Remove(ctx context.Context, table string, r warehouse.Range, whole uint64) error {
	return warehouse.RemoveRange(ctx, s.client, table, r, whole)
}

// FillDossiers implements store.
func (s clickhouseStore) FillDossiers(ctx context.Context, touched warehouse.TouchedDossiers, views []string) error {
	return warehouse.FillDossiers(ctx, s.client, touched, views)
}

// Incarnation implements store.
func (s clickhouseStore) Incarnation(ctx context.Context, topic string, partition int) (number int, from int64, err error) {
	var n uint32
	var offset uint64
	row := s.client.Conn().QueryRow(ctx,
		"SELECT max(incarnation), argMax(first_offset, incarnation) FROM topic_incarnations WHERE topic = ? AND partition = ?", topic, uint32(partition))
	if err := row.Scan(&n, &offset); err != nil {
		return 0, 0, fmt.Errorf("reading topic_incarnations: %w", err)
	}
	return int(n), int64(offset), nil
}

// RowsExist implements store.
func (s clickhouseStore) RowsExist(ctx context.Context, incarnation string, partition int) (bool, error) {
	var exist bool
	row := s.client.Conn().QueryRow(ctx, `SELECT count() > 0 FROM (
		SELECT 1 FROM source_activity WHERE topic = {topic:String} AND partition = {partition:UInt32}
		UNION ALL SELECT 1 FROM dead_letters WHERE topic = {topic:String} AND partition = {partition:UInt32} LIMIT 1
		UNION ALL SELECT 1 FROM skipped_offsets WHERE topic = {topic:String} AND partition = {partition:UInt32} LIMIT 1)`,
		clickhouse.Named("topic", incarnation), clickhouse.Named("partition", fmt.Sprint(partition)))
	if err := row.Scan(&exist); err != nil {
		return false, fmt.Errorf("looking for rows of %s/%d: %w", incarnation, partition, err)
	}
	return exist, nil
}

// Identities implements store.
func (s clickhouseStore) Identities(ctx context.Context, incarnation string, partition int, below int64, window int, each func(source, id string, time int64)) error {
	type row struct {
		source, id string
		time       int64
	}
	// Rejected and skipped offsets take no place in the window, so look further back until it is full.
	for reach := 2 * int64(window); ; reach *= 4 {
		from := max(0, below-reach)
		rows, err := s.client.Conn().Query(ctx, `SELECT source, event_id, toUnixTimestamp64Milli(record_time) FROM (`+allEvents()+`)
			WHERE topic = {topic:String} AND partition = {partition:UInt32} AND offset >= {from:UInt64} AND offset < {to:UInt64}
			ORDER BY offset DESC LIMIT {window:UInt64}`,
			clickhouse.Named("topic", incarnation), clickhouse.Named("partition", fmt.Sprint(partition)),
			clickhouse.Named("from", fmt.Sprint(from)), clickhouse.Named("to", fmt.Sprint(below)),
			clickhouse.Named("window", fmt.Sprint(window)))
		if err != nil {
			return fmt.Errorf("restoring identities: %w", err)
		}
		found, err := warehouse.Collect(rows, func(r *row) error { return rows.Scan(&r.source, &r.id, &r.time) })
		if err != nil {
			return fmt.Errorf("restoring identities: %w", err)
		}
		if len(found) < window && from > 0 {
			continue
		}
		for i := len(found) - 1; i >= 0; i-- {
			each(found[i].source, found[i].id, found[i].time)
		}
		return nil
	}
}

// Pauses implements store.
func (s clickhouseStore) Pauses(ctx context.Context) ([]warehouse.Pause, error) {
	return warehouse.Pauses(ctx, s.client)
}

// Now implements store.
func (s clickhouseStore) Now(ctx context.Context) (time.Time, error) {
	return warehouse.Now(ctx, s.client)
}

// allEvents selects what identifies the events of all tables.
func allEvents() string {
	var selects []string
	for _, table := range event.Tables() {
		selects = append(selects, "SELECT source, event_id, record_time, offset, topic, partition FROM "+table)
	}
	return strings.Join(selects, " UNION ALL ")
}
