package ingest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"ioc.local/ingest/event"
)

// restoreTimeout bounds the reading of identities from ClickHouse.
const restoreTimeout = 2 * time.Minute

// start is where a partition continues.
type start struct {
	// incarnation is the number of the topic's life; name is what its rows carry.
	incarnation int
	name        string
	// offset is the first offset that is not known to be in ClickHouse.
	offset int64
	// end is the end of the log.
	end int64
	// mark identifies the last record below offset, where that is known.
	mark *Mark
	// pending is the recorded range that begins at offset, if one was.
	pending *Pending
}

// establish finds out where the partition continues, and refuses to guess: see [StoppedError].
func (p *partition) establish(ctx context.Context) (start, error) {
	incarnation, from, err := p.incarnation(ctx)
	if err != nil {
		return start{}, err
	}
	at := start{incarnation: incarnation, name: incarnationName(p.topic, incarnation)}
	first, end, err := p.offsets.bounds(ctx, p.topic, p.id)
	if err != nil {
		return start{}, err
	}
	at.end = end
	committed, text, err := p.offsets.committed(ctx, p.as.group, p.topic, p.id)
	if err != nil {
		return start{}, err
	}
	var meta metadata
	var foreign error
	if committed >= 0 {
		meta, foreign = decodeMetadata(text, committed)
	}
	if committed >= 0 && foreign == nil && meta.Incarnation == incarnation {
		at.offset, at.pending, at.mark = committed, meta.Pending, meta.Mark
	} else {
		// Nothing is committed for this life of the log, so nothing of it may be in ClickHouse either.
		exist, err := p.rowsExist(ctx, at.name)
		switch {
		case err != nil:
			return start{}, err
		case exist:
			return start{}, stopped("the group %s has no committed offset for %s/%d, but ClickHouse holds rows of it: the topic was recreated, the group was reset or the group id changed; %s",
				p.as.group, at.name, p.id, remedy(p.topic, p.id, first))
		case incarnation > 0:
			at.offset = from
		case foreign != nil:
			return start{}, stopped("%v; %s", foreign, remedy(p.topic, p.id, committed))
		default:
			at.offset = first
		}
	}
	switch {
	case at.offset > end:
		return start{}, stopped("the committed offset %d is beyond the end of the log at %d: the topic was recreated or truncated; %s",
			at.offset, end, remedy(p.topic, p.id, first))
	case at.offset < first:
		return start{}, stopped("the committed offset %d is before the start of the log at %d: %d offsets were deleted unread; %s",
			at.offset, first, first-at.offset, remedy(p.topic, p.id, first))
	case at.pending != nil && at.pending.Last >= end:
		return start{}, stopped("the recorded range %d..%d reaches beyond the end of the log at %d: records that were acknowledged are gone; %s",
			at.offset, at.pending.Last, end, remedy(p.topic, p.id, first))
	case at.pending != nil && (at.pending.Contract < event.OldestVersion || at.pending.Contract > event.Version):
		return start{}, stopped("the recorded range %s was decoded by contract version %d, this program has versions %d to %d: start the version that recorded it once to finish the range, or %s",
			at.pending.Token, at.pending.Contract, event.OldestVersion, event.Version, remedy(p.topic, p.id, at.offset))
	case at.pending != nil && at.pending.Registry != p.registry:
		return start{}, stopped("the recorded range %s was judged by another registry of sources (%q, now %q): start once with the registry as it was to finish the range, or %s",
			at.pending.Token, at.pending.Registry, p.registry, remedy(p.topic, p.id, at.offset))
	}
	if at.mark != nil && at.mark.Offset >= first {
		replaced, err := p.replaced(ctx, at.mark)
		if err != nil {
			return start{}, err
		}
		if replaced {
			return start{}, stopped("the record at offset %d is not the one that was read there: the topic was recreated; %s", at.mark.Offset, remedy(p.topic, p.id, first))
		}
	}
	return at, nil
}

// replaced tells whether the log holds another record where mark was read. A record that is gone, as
// compaction takes them, says nothing.
func (p *partition) replaced(ctx context.Context, mark *Mark) (bool, error) {
	fetch := &fetcher{dialer: p.dialer, brokers: p.cfg.Brokers, topic: p.topic, partition: p.id, next: mark.Offset}
	defer fetch.close()
	message, ok, err := fetch.read(ctx, kafkaTimeout)
	if err != nil {
		return false, fmt.Errorf("looking at the last record read: %w", err)
	}
	return ok && message.Offset == mark.Offset && *markOf(message) != *mark, nil
}

// incarnation returns the newest life of the partition's log that an operator accepted, 0 for the first.
func (p *partition) incarnation(ctx context.Context) (number int, from int64, err error) {
	var n uint32
	var offset uint64
	row := p.deps.Warehouse.Conn().QueryRow(ctx,
		"SELECT max(incarnation), argMax(first_offset, incarnation) FROM topic_incarnations WHERE topic = ? AND partition = ?", p.topic, uint32(p.id))
	if err := row.Scan(&n, &offset); err != nil {
		return 0, 0, fmt.Errorf("reading topic_incarnations: %w", err)
	}
	return int(n), int64(offset), nil
}

// incarnationName is the value of the column topic.
func incarnationName(topic string, incarnation int) string {
	if incarnation == 0 {
		return topic
	}
	return fmt.Sprintf("%s@%d", topic, incarnation)
}

func (p *partition) rowsExist(ctx context.Context, name string) (bool, error) {
	var exist bool
	row := p.deps.Warehouse.Conn().QueryRow(ctx, `SELECT count() > 0 FROM (
		SELECT 1 FROM source_activity WHERE topic = {topic:String} AND partition = {partition:UInt32}
		UNION ALL SELECT 1 FROM dead_letters WHERE topic = {topic:String} AND partition = {partition:UInt32} LIMIT 1
		UNION ALL SELECT 1 FROM skipped_offsets WHERE topic = {topic:String} AND partition = {partition:UInt32} LIMIT 1)`,
		clickhouse.Named("topic", name), clickhouse.Named("partition", fmt.Sprint(p.id)))
	if err := row.Scan(&exist); err != nil {
		return false, fmt.Errorf("looking for rows of %s/%d: %w", name, p.id, err)
	}
	return exist, nil
}

// allEvents selects what identifies the events of all tables.
func allEvents() string {
	var selects []string
	for _, table := range event.Tables() {
		selects = append(selects, "SELECT source, event_id, record_time, offset, topic, partition FROM "+table)
	}
	return strings.Join(selects, " UNION ALL ")
}

// restore reads the newest accepted identities below offset back from ClickHouse.
// size is how many are remembered.
func (p *partition) restore(ctx context.Context, at start, size int, decoder *event.Decoder) (*identities, error) {
	window := newIdentities(size)
	if size == 0 || at.offset == 0 {
		return window, nil
	}
	ctx, cancel := context.WithTimeout(ctx, restoreTimeout)
	defer cancel()
	// Rejected and skipped offsets take no place in the window, so look further back until it is full.
	for reach := 2 * int64(size); ; reach *= 4 {
		from := max(0, at.offset-reach)
		rows, err := p.deps.Warehouse.Conn().Query(ctx, `SELECT source, event_id, toUnixTimestamp64Milli(record_time), offset FROM (`+allEvents()+`)
			WHERE topic = {topic:String} AND partition = {partition:UInt32} AND offset >= {from:UInt64} AND offset < {to:UInt64}
			ORDER BY offset DESC LIMIT {window:UInt64}`,
			clickhouse.Named("topic", at.name), clickhouse.Named("partition", fmt.Sprint(p.id)),
			clickhouse.Named("from", fmt.Sprint(from)), clickhouse.Named("to", fmt.Sprint(at.offset)),
			clickhouse.Named("window", fmt.Sprint(size)))
		if err != nil {
			return nil, fmt.Errorf("restoring identities: %w", err)
		}
		found := make([]identity, 0, 1024)
		for rows.Next() {
			var source, id string
			var time int64
			var offset uint64
			if err := rows.Scan(&source, &id, &time, &offset); err != nil {
				_ = rows.Close()
				return nil, fmt.Errorf("restoring identities: %w", err)
			}
			found = append(found, identity{id: decoder.Identify([]byte(source), []byte(id)), time: time})
		}
		if err := rows.Close(); err != nil {
			return nil, fmt.Errorf("restoring identities: %w", err)
		}
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("restoring identities: %w", err)
		}
		if len(found) < size && from > 0 {
			continue
		}
		for i := len(found) - 1; i >= 0; i-- {
			window.check(found[i].id, found[i].time)
		}
		return window, nil
	}
}
