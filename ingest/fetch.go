package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ioc.local/ingest/event"
)

const (
	// movePatience is how long a leader that moves, or a connection that breaks, is nothing to tell: a broker that is
	// restarted hands its partitions over in less.
	movePatience = 5 * time.Second
	// movePause is how long the new leader is waited for before it is looked up again.
	movePause = 100 * time.Millisecond
)

// fetcher reads the records of one partition in the order of their offsets.
type fetcher struct {
	log     *partitionLog
	records *records
	// end is the end of the log as of the last answer, -1 before the first; stable is the end of what can be read of it,
	// which is before the first transaction that is open.
	end, stable int64
	// seen is told the end of the log after each answer.
	seen func(end int64)

	// last is the record that was returned last, while its memory is valid; mark is of the one before that.
	last *event.Record
	mark *Mark
	held bool
	// answered is when the broker last answered, and byID whether it compared the topic's id then.
	answered time.Time
	byID     bool
}

func newFetcher(log *partitionLog, from int64, seen func(end int64)) *fetcher {
	return &fetcher{log: log, records: newRecords(from), end: -1, seen: seen}
}

// position is the first offset that was not read. Below it, what was not returned is a gap: the log has no record for
// consumers there.
func (f *fetcher) position() int64 { return f.records.position }

// read returns the next record, or nil when none arrived within wait. It is valid until the next call.
func (f *fetcher) read(ctx context.Context, wait time.Duration) (*event.Record, error) {
	if f.held {
		f.held = false
		return f.last, nil
	}
	if f.last != nil && f.records.left == 0 { // its memory will be used again
		f.mark, f.last = markOf(f.last, f.records.stamp), nil
	}
	size, before := 0, f.records.position
	if f.records.drained() {
		if answered, err := f.fetch(ctx, wait); err != nil || !answered {
			return nil, err
		}
		size = len(f.records.batches)
	}
	record, err := f.records.next()
	// Brokers cut answers off at a number of bytes, so what is left of one may be nothing; but never a whole answer.
	if err == nil && record == nil && f.records.position == before && size > 0 {
		err = &unreadableError{offset: before, after: -1, reason: fmt.Sprintf("the broker's answer of %d bytes has no whole batch with this offset", size)}
	}
	if err != nil {
		f.records.drop()
		return nil, f.explain(err)
	}
	f.last = record
	return record, nil
}

// explain stops the partition where the log cannot be read. It is tried again then, since another replica may have a
// good copy, but only an operator can say that the records are given up.
func (f *fetcher) explain(err error) error {
	var unreadable *unreadableError
	if !errors.As(err, &unreadable) {
		return err
	}
	return stopped("%s/%d cannot be read at %v; %s", f.log.topic, f.log.partition, unreadable,
		remedy(f.log.topic, f.log.partition, max(unreadable.after, unreadable.offset+1)))
}

// ready tells whether the next record is at hand.
func (f *fetcher) ready() bool { return f.records.left > 0 }

// behind tells whether the log held more, at the last answer, than has been read.
func (f *fetcher) behind() bool { return f.backlog() > 0 }

// backlog is how many offsets more the log held, at the last answer, than have been read.
func (f *fetcher) backlog() int64 { return max(f.stable-f.position(), 0) }

// unread makes the next read return the last record again.
func (f *fetcher) unread() { f.held = true }

// lastMark identifies the last record that was returned; it is nil when there was none.
func (f *fetcher) lastMark() *Mark {
	if f.last != nil {
		return markOf(f.last, f.records.stamp)
	}
	return f.mark
}

// fetch gets the next response. It returns false when there is none yet but may be soon.
func (f *fetcher) fetch(ctx context.Context, wait time.Duration) (answered bool, err error) {
	response, byID, err := f.log.fetch(ctx, f.position(), f.records.epoch, wait)
	if errors.Is(err, errMoved) && f.byID && time.Since(f.answered) < movePatience {
		sleep(ctx, min(wait, movePause))
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("fetching %s/%d at %d: %w", f.log.topic, f.log.partition, f.position(), err)
	}
	f.answered, f.byID, f.end, f.stable = time.Now(), byID, response.HighWatermark, response.LastStableOffset
	if f.seen != nil {
		f.seen(f.end)
	}
	f.records.load(response)
	return true, nil
}
