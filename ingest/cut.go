package ingest

import (
	"context"
	"sync/atomic"
	"time"

	"ioc.local/ingest/event"
)

// maxGrowth bounds how long a range grows while the one before it is inserted, or while the log holds more. The range's
// clock is read when it opens, and events are judged by it, so it must not grow old: this is little beside the five minutes
// that an event may be ahead of it.
const maxGrowth = 10 * time.Second

// busyWait is how long a range that is old enough grows at a time.
const busyWait = 20 * time.Millisecond

// clockEvery is after how many records at hand the clock is read. To read it for each would cost a tenth of all that
// ingestion does, on machines where that takes a system call.
const clockEvery = 128

// cut is one range, decoded.
type cut struct {
	// incarnation and partition are what its rows carry.
	incarnation string
	partition   int
	// first is the committed offset that the range begins at.
	first int64
	// opened is when the range was, by the clock of which only differences count.
	opened time.Time
	// unsure says that something of the range may have been inserted before, doubted that what its token promised is not
	// there, and fresh that nothing has been inserted under its token yet.
	unsure, doubted, fresh bool
	pending                Pending
	// mark identifies the last record up to its end; nil when none was read since the partition was assigned.
	mark   *Mark
	batch  *event.Batch
	counts [3]int // by event.Verdict
	// unknown counts the unknown fields that were met first in this range.
	unknown map[string]uint64
	// oldest is the record time of its first record in Unix milliseconds, 0 when it has none.
	oldest int64
	// reach is the record time of the oldest identity remembered.
	reach int64
}

// cutter fills batches from the log. It owns the decoder and the identities of its partition.
type cutter struct {
	cfg         Config
	fetch       *fetcher
	decoder     *event.Decoder
	seen        *identities
	replays     *replays
	incarnation string
	// now tells how long a range has been open; only differences of it count.
	now func() time.Time
	// judge gives the clock reading, in Unix milliseconds, that a new range's events are judged by, after that of the range
	// before; or an error where the clock is wrong.
	judge func(last int64) (int64, error)
	// clock is the reading of the range before, 0 where that is not known.
	clock int64
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
	c := &cutter{cfg: cfg, fetch: fetch, decoder: decoder, seen: seen, replays: newReplays(), incarnation: incarnation, now: time.Now, inserting: new(atomic.Bool)}
	c.isDuplicate = func(id event.Identity) bool { return c.seen.check(id, c.record.Time) }
	decoder.Foresee(func(id event.Identity) { c.seen.foresee(id) })
	return c
}

// next waits for records from first on and cuts a range when it is full or old enough. Offsets without a record, such as
// those of markers of transactions, begin and end a range like records do. It returns nil when ctx ends first.
func (c *cutter) next(ctx context.Context, batch *event.Batch, first int64) (*cut, error) {
	if c.failed != nil {
		return nil, c.failed
	}
	for {
		record, err := c.fetch.read(ctx, c.cfg.FlushInterval)
		if ctx.Err() != nil {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if record == nil && c.fetch.position() <= first {
			continue
		}
		opened := c.now()
		if c.clock, err = c.judge(c.clock); err != nil {
			return nil, err
		}
		result := c.open(batch, first, c.clock)
		batch.Expect(int(min(c.fetch.backlog()+1, int64(c.cfg.MaxRows))), c.cfg.MaxBytes)
		c.add(result, record)
		var left time.Duration
		for n := 0; batch.Rows() < c.cfg.MaxRows && batch.Bytes() < c.cfg.MaxBytes; n++ {
			if n%clockEvery == 0 || !c.fetch.ready() {
				age := c.now().Sub(opened)
				if left = c.cfg.FlushInterval - age; left <= 0 {
					if age >= maxGrowth || !c.inserting.Load() && !c.fetch.behind() {
						break
					}
					// It could not be inserted yet, so it may as well grow; or there is a backlog, which is worked off
					// faster in large ranges: each insert costs, and the more parts there are, the more are merged.
					left = busyWait
				}
			}
			record, err := c.fetch.read(ctx, left)
			if record == nil && ctx.Err() != nil {
				return nil, nil
			}
			if err != nil {
				c.failed = err // what is in hand is a range of the log as it was; the next call returns the error
				break
			}
			c.add(result, record)
		}
		c.skipTo(result, c.fetch.position()-1)
		c.close(result)
		return result, nil
	}
}

// replay forms the recorded range again.
func (c *cutter) replay(ctx context.Context, batch *event.Batch, first int64, pending Pending) (*cut, error) {
	result := c.open(batch, first, pending.Clock)
	batch.Expect(pending.Records, c.cfg.MaxBytes)
	for c.fetch.position() <= pending.Last {
		record, err := c.fetch.read(ctx, c.cfg.FlushInterval)
		if ctx.Err() != nil {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if record == nil {
			if end := c.fetch.end; end >= 0 && end <= pending.Last {
				return nil, stopped("the log ends at %d, within the recorded range %d..%d: it was truncated while it was read; %s",
					end, first, pending.Last, remedy(c.fetch.log.topic, c.fetch.log.partition, first))
			}
			continue
		}
		if record.Offset > pending.Last {
			c.fetch.unread()
			break
		}
		c.add(result, record)
		result.mark = c.fetch.lastMark()
	}
	if err := c.fetch.log.vanished(first, pending, result.records()); err != nil {
		return nil, err
	}
	mark := result.mark
	c.skipTo(result, pending.Last)
	c.close(result)
	result.pending, result.mark = pending, mark
	return result, nil
}

func (c *cutter) open(batch *event.Batch, first, clock int64) *cut {
	batch.Reset(c.incarnation, int32(c.fetch.log.partition), clock)
	return &cut{
		incarnation: c.incarnation, partition: c.fetch.log.partition, first: first, opened: c.now(), batch: batch,
		pending: Pending{Last: first - 1, Clock: clock, Contract: event.Version, Registry: c.decoder.Registry(), Window: c.seen.window},
	}
}

// add decodes a record, if there is one, into the range.
func (c *cutter) add(to *cut, record *event.Record) {
	if record == nil {
		return
	}
	c.skipTo(to, record.Offset-1)
	to.pending.Last = record.Offset
	c.record = *record
	// The time as the column holds it, so that a restored identity has the same.
	c.record.Time = event.ClampTime(record.Time)
	if to.oldest == 0 {
		to.oldest = c.record.Time
	}
	to.counts[c.decoder.Decode(to.batch, &c.record, c.isDuplicate)]++
}

// records is how many the range holds.
func (c *cut) records() (n int) {
	for _, verdict := range c.counts {
		n += verdict
	}
	return n
}

// skipTo notes that the log holds nothing from the end of the range to an offset.
func (c *cutter) skipTo(to *cut, last int64) {
	if last > to.pending.Last {
		to.batch.Gap(to.pending.Last+1, last)
		to.pending.Last = last
	}
}

func (c *cutter) close(result *cut) {
	c.seen.trim()
	c.replays.trim()
	result.mark = c.fetch.lastMark()
	if result.mark != nil && result.mark.Offset >= result.first {
		result.pending.Mark = result.mark
	}
	result.pending.Records = result.records()
	result.pending.Token = rangeToken(c.incarnation, c.fetch.log.partition, result.first, result.pending.Last)
	result.reach = c.seen.reach()
	result.unknown = c.unknownSince()
}
