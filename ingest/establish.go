package ingest

import (
	"context"
	"fmt"
	"time"

	"ioc.local/ingest/event"
)

// restoreTimeout bounds the reading of identities from ClickHouse.
const restoreTimeout = 2 * time.Minute

// start is where a partition continues.
type start struct {
	// incarnation is the number of the topic's life; name is what its rows carry.
	incarnation int
	name        string
	// topic is the id that the topic has in Kafka.
	topic topicID
	// offset is the first offset that is not known to be in ClickHouse.
	offset int64
	// end is the end of the log.
	end int64
	// mark identifies the last record below offset, where that is known.
	mark *Mark
	// clock is the reading that the last range below offset was judged by, in Unix milliseconds; 0 where that is not known.
	clock int64
	// pending is the recorded range that begins at offset, if one was.
	pending *Pending
}

// establish finds out where the partition continues, and refuses to guess: see [StoppedError].
func (p *partition) establish(ctx context.Context) (start, error) {
	incarnation, from, err := p.store.Incarnation(ctx, p.topic, p.id)
	if err != nil {
		return start{}, err
	}
	at := start{incarnation: incarnation, name: incarnationName(p.topic, incarnation)}
	if at.topic, err = p.log.lookup(ctx); err != nil {
		return start{}, err
	}
	p.log.id = at.topic
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
		at.offset, at.pending, at.mark, at.clock = committed, meta.Pending, meta.Mark, meta.Clock
	} else {
		// Nothing is committed for this life of the log, so nothing of it may be in ClickHouse either.
		exist, err := p.store.RowsExist(ctx, at.name, p.id)
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
	case foreign == nil && meta.Incarnation == incarnation && meta.Topic != "" && at.topic != topicID{} && meta.Topic != at.topic.String():
		return start{}, stopped("the topic %s was recreated: its id is %s now and was %s; %s", p.topic, at.topic, meta.Topic, remedy(p.topic, p.id, first))
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
		return start{}, stopped("the recorded range %s was decoded by contract version %d, this program has versions %d to %d: start the version that recorded it once to finish the range; only where that cannot be, and knowing that what of it is in ClickHouse already counts twice then, %s",
			at.pending.Token, at.pending.Contract, event.OldestVersion, event.Version, remedy(p.topic, p.id, at.offset))
	case at.pending != nil && at.pending.Contract >= event.RegistrySince && at.pending.Registry != p.registry:
		return start{}, stopped("the recorded range %s was judged by another registry of sources (%q, now %q): start once with the registry as it was to finish the range; only where that cannot be, and knowing that what of it is in ClickHouse already counts twice then, %s",
			at.pending.Token, at.pending.Registry, p.registry, remedy(p.topic, p.id, at.offset))
	}
	marks := []*Mark{at.mark}
	if at.pending != nil {
		marks = append(marks, at.pending.Mark)
	}
	for _, mark := range marks {
		if mark == nil || mark.Offset < first {
			continue
		}
		replaced, err := p.replaced(ctx, mark)
		if err != nil {
			return start{}, err
		}
		if replaced {
			return start{}, stopped("the record at offset %d is not the one that was read there: the topic was recreated, or a new leader had another log; %s",
				mark.Offset, remedy(p.topic, p.id, first))
		}
	}
	return at, nil
}

// replaced tells whether the log holds another record where mark was read. A record that is gone, as
// compaction takes them, says nothing.
func (p *partition) replaced(ctx context.Context, mark *Mark) (bool, error) {
	fetch := newFetcher(p.log, mark.Offset, nil)
	record, err := fetch.read(ctx, kafkaTimeout)
	if err != nil {
		return false, fmt.Errorf("looking at the last record read: %w", err)
	}
	return record != nil && record.Offset == mark.Offset && *fetch.lastMark() != *mark, nil
}

// readable looks whether a record can be read where the partition continues. It does not wait for one.
func (p *partition) readable(ctx context.Context, at start) error {
	if err := p.log.whole(ctx, at.offset, at.pending); err != nil {
		return err
	}
	_, err := newFetcher(p.log, at.offset, nil).read(ctx, 0)
	return err
}

// incarnationName is the value of the column topic.
func incarnationName(topic string, incarnation int) string {
	if incarnation == 0 {
		return topic
	}
	return fmt.Sprintf("%s@%d", topic, incarnation)
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
	err := p.store.Identities(ctx, at.name, p.id, at.offset, size, func(source, id string, time int64) {
		window.check(decoder.Identify([]byte(source), []byte(id)), time)
	})
	if err != nil {
		return nil, err
	}
	return window, nil
}
