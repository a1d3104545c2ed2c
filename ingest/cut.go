package ingest

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"ioc.local/ingest/event"
)

// maxGrowth bounds how long a range grows while the one before it is inserted. The range's clock is read when
// it opens, and events are judged by it, so it must not grow old.
const maxGrowth = 2 * time.Second

// busyWait is how long a range that is old enough grows at a time while the one before it is inserted.
const busyWait = 20 * time.Millisecond

// cut is one range, decoded.
type cut struct {
	// incarnation and partition are what its rows carry.
	incarnation string
	partition   int
	// first is the committed offset that the range begins at.
	first   int64
	pending Pending
	// last is its last record, and mark identifies it; nil when the log does not hold the last offset any more.
	last   kafka.Message
	mark   *Mark
	batch  *event.Batch
	counts [3]int // by event.Verdict
	// unknown counts the unknown fields that were met first in this range.
	unknown map[string]uint64
	// oldest is the record time of its first record in Unix milliseconds.
	oldest int64
	// end is the end of the log when the range was cut.
	end int64
	// reach is the record time of the oldest identity remembered.
	reach int64
}

// cutter fills batches from the log. It owns the decoder and the identities of its partition.
type cutter struct {
	cfg         Config
	fetch       *fetcher
	decoder     *event.Decoder
	seen        *identities
	incarnation string
	now         func() time.Time
	// failed is the error of a fetch that ended a range early.
	failed error
	// inserting is set while the range before this one is being inserted.
	inserting *atomic.Bool
	// record and isDuplicate are reused for every record, so that decoding allocates nothing.
	record      event.Record
	isDuplicate func(event.Identity) bool
	// unknown is what the decoder had counted of unknown fields at the end of the last range.
	unknown map[string]uint64
}

// unknownSince gives what the decoder has counted of unknown fields since the last call.
func (c *cutter) unknownSince() map[string]uint64 {
	counts := c.decoder.UnknownFields()
	since := map[string]uint64{}
	for field, n := range counts {
		if more := n - c.unknown[field]; more > 0 {
			since[field] = more
		}
	}
	c.unknown = counts
	return since
}

func newCutter(cfg Config, fetch *fetcher, decoder *event.Decoder, seen *identities, incarnation string) *cutter {
	c := &cutter{cfg: cfg, fetch: fetch, decoder: decoder, seen: seen, incarnation: incarnation, now: time.Now, inserting: new(atomic.Bool)}
	c.isDuplicate = func(id event.Identity) bool { return c.seen.check(id, c.record.Time) }
	return c
}

// next waits for records from first on and cuts a range when it is full or old enough. It returns nil
// when ctx ends first.
func (c *cutter) next(ctx context.Context, batch *event.Batch, first int64) (*cut, error) {
	if c.failed != nil {
		return nil, c.failed
	}
	for {
		message, ok, err := c.fetch.read(ctx, c.cfg.FlushInterval)
		if ctx.Err() != nil {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		opened := c.now()
		result := c.open(batch, first, opened.UnixMilli(), message)
		c.add(result, message)
		for batch.Rows() < c.cfg.MaxRows && batch.Bytes() < c.cfg.MaxBytes {
			age := c.now().Sub(opened)
			left := c.cfg.FlushInterval - age
			if left <= 0 {
				if !c.inserting.Load() || age >= maxGrowth {
					break
				}
				left = busyWait // the range could not be inserted yet, so it may as well grow
			}
			message, ok, err := c.fetch.read(ctx, left)
			if ctx.Err() != nil {
				return nil, nil
			}
			if err != nil {
				c.failed = err // what is in hand is a range of the log as it was; the next call returns the error
				break
			}
			if ok {
				c.add(result, message)
			}
		}
		c.close(result)
		return result, nil
	}
}

// replay forms the recorded range again.
func (c *cutter) replay(ctx context.Context, batch *event.Batch, first int64, pending Pending) (*cut, error) {
	c.fetch.next = first
	var result *cut
	for position := first; position <= pending.Last; position = c.fetch.next {
		message, ok, err := c.fetch.read(ctx, c.cfg.FlushInterval)
		if ctx.Err() != nil {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if !ok {
			if c.fetch.end <= pending.Last {
				return nil, stopped("the log ends at %d, within the recorded range %d..%d: it was truncated while it was read; %s",
					c.fetch.end, first, pending.Last, remedy(c.fetch.topic, c.fetch.partition, first))
			}
			continue
		}
		if message.Offset > pending.Last {
			c.fetch.unread(message)
			break
		}
		if result == nil {
			result = c.open(batch, first, pending.Clock, message)
		}
		c.add(result, message)
	}
	if result == nil { // compaction left nothing of the range
		batch.Reset(c.incarnation, int32(c.fetch.partition), pending.Clock)
		result = c.empty(batch, first)
	}
	if result.pending.Last < pending.Last {
		batch.Gap(result.pending.Last+1, pending.Last)
	}
	c.close(result)
	result.pending = pending
	c.fetch.next = max(c.fetch.next, pending.Last+1)
	return result, nil
}

func (c *cutter) open(batch *event.Batch, first, clock int64, message kafka.Message) *cut {
	batch.Reset(c.incarnation, int32(c.fetch.partition), clock)
	result := c.empty(batch, first)
	result.oldest = message.Time.UnixMilli()
	result.pending.Clock, result.pending.Contract, result.pending.Registry = clock, event.Version, c.decoder.Registry()
	return result
}

func (c *cutter) empty(batch *event.Batch, first int64) *cut {
	return &cut{
		incarnation: c.incarnation, partition: c.fetch.partition, first: first, batch: batch, pending: Pending{Last: first - 1, Window: c.seen.window},
	}
}

func (c *cutter) add(to *cut, message kafka.Message) {
	if expected := to.pending.Last + 1; message.Offset > expected {
		to.batch.Gap(expected, message.Offset-1)
	}
	to.pending.Last = message.Offset
	// The time as the column holds it, so that a restored identity has the same.
	c.record.Offset, c.record.Time = message.Offset, event.ClampTime(message.Time.UnixMilli())
	c.record.Key, c.record.Value = message.Key, message.Value
	c.record.Headers = c.record.Headers[:0]
	for _, h := range message.Headers {
		c.record.Headers = append(c.record.Headers, event.Header{Key: h.Key, Value: h.Value})
	}
	to.counts[c.decoder.Decode(to.batch, &c.record, c.isDuplicate)]++
	to.last = message
}

func (c *cutter) close(result *cut) {
	c.seen.trim()
	if records := result.counts[0] + result.counts[1] + result.counts[2]; records > 0 && result.last.Offset == result.pending.Last {
		result.mark = markOf(result.last)
	}
	result.pending.Token = rangeToken(c.incarnation, c.fetch.partition, result.first, result.pending.Last)
	result.end = c.fetch.end
	result.reach = c.seen.reach()
	result.unknown = c.unknownSince()
}
