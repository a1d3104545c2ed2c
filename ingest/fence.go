package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"ioc.local/internal/warehouse"
)

// tokenTrust is how long after a range was opened its token is relied on: longer than any insert of it that an earlier
// owner had sent takes to end, and far below the ten minutes of deduplication window that IocDedupeWindowShort alerts
// on. It is the same in every process, whatever its configuration.
const tokenTrust = 2 * time.Minute

// place names the offsets of a range as its rows do.
func (c *cut) place() warehouse.Range {
	return warehouse.Range{Topic: c.incarnation, Partition: uint32(c.partition), First: uint64(c.first), Last: uint64(c.pending.Last)}
}

// forgotten tells whether ClickHouse may have forgotten the token of a range.
func (w *writer) forgotten(c *cut) bool { return w.now().Sub(c.opened) > w.trust }

// abandoned tells whether nobody relies on the token of a range any more, whatever clock he measures its age by.
func (w *writer) abandoned(c *cut) bool { return w.now().Sub(c.opened) > w.trust+2*maxClockOffset }

// openedAt is when a range that another process may have recorded was opened, by the clock that now reads. ClickHouse's
// clock tells its age. A reading ahead of that is of a clock that was wrong, and says nothing: the range counts as old.
func (p *partition) openedAt(ctx context.Context, pending *Pending) (time.Time, error) {
	clock, err := p.store.Now(ctx)
	if err != nil {
		return time.Time{}, err
	}
	age := clock.Sub(time.UnixMilli(pending.Clock))
	if age < -2*maxClockOffset {
		age = 2 * (p.writer.trust + 2*maxClockOffset)
	}
	return p.now().Add(-age), nil
}

// part is one part of a range, which goes to one table: a block, or the effect on dossiers.
type part struct {
	table string
	place warehouse.Range
	rows  uint64 // that the block has; 0 where the table names no offsets
	// insert does it as a whole, fill for views that lack it.
	insert func(ctx context.Context, token string) error
	fill   func(ctx context.Context, lacking []string, token string) error
	// always says that fill is for what landed wholly too, since it also does what has no position and may be repeated.
	always bool
}

// attempt does a part of a range. It relies on the token as long as ClickHouse certainly has it. own records the range once
// more, which only the owner of the partition can.
func (w *writer) attempt(ctx context.Context, c *cut, o *part, own func(context.Context) error) error {
	if w.forgotten(c) {
		return w.complete(ctx, c, o, own)
	}
	return o.insert(ctx, c.pending.Token)
}

// complete does an insert of an old range without relying on its token. It looks what is there: nothing, and it inserts;
// everything, and there is nothing to do; the rows but not all rollups, and these are filled one by one; some of the rows
// and no rollup, and they are removed first. Anything else stops the partition.
func (w *writer) complete(ctx context.Context, c *cut, o *part, own func(context.Context) error) (err error) {
	landed, err := w.landed(ctx, c, o)
	if err != nil {
		return err
	}
	if w.abandoned(c) && !(landed.Rows == o.rows && len(landed.Lacking) == 0) {
		if err := own(ctx); err != nil { // two must not work on it at once
			return err
		}
	}
	if landed.Rows == 0 && len(landed.Holding) == 0 {
		if err := o.insert(ctx, c.pending.Token); err != nil {
			c.halfway = time.Time{}
			return err
		}
		if landed, err = w.landed(ctx, c, o); err != nil {
			return err
		}
	}
	if landed.Rows == o.rows && len(landed.Lacking) == 0 {
		if o.always {
			return o.fill(ctx, nil, c.pending.Token)
		}
		return nil
	}
	// An insert may be under way: of an owner who was stalled, or one of ours of which nothing was heard. It reaches ClickHouse
	// within its deadline or not at all, and everybody who begins another one looks first.
	if c.halfway.IsZero() {
		c.halfway = w.now()
	}
	if landed.UnderWay || w.now().Sub(c.halfway) <= w.timeout+lingerGrace || !w.abandoned(c) {
		return errHalfway
	}
	if landed.Rows == o.rows {
		return o.fill(ctx, landed.Lacking, c.pending.Token)
	}
	// Rows are removed, by us or by an operator. ClickHouse may remember them still, so from now on the range has another
	// token.
	c.pending.Token += renewed
	if err := own(ctx); err != nil {
		return err
	}
	if landed.Rows < o.rows && len(landed.Holding) == 0 {
		// Parts of some months went in and others did not. Nothing has counted them, and the range is at hand.
		if err := w.store.Remove(ctx, o.table, o.place, o.rows); err != nil {
			return err
		}
		return errHalfway
	}
	return w.torn(c, o, landed)
}

// renewed is what a token ends with once more each time that rows of its range are removed.
const renewed = "+"

// landed looks what is there of a part.
func (w *writer) landed(ctx context.Context, c *cut, o *part) (warehouse.Landed, error) {
	landed, err := w.store.Landed(ctx, o.table, o.place, strings.TrimRight(c.pending.Token, renewed))
	if err != nil {
		c.halfway = time.Time{} // a server that did not answer may hold inserts that it has not looked at
	}
	return landed, err
}

// errHalfway says that an old range has to be looked at again.
var errHalfway = errors.New("what is there of this old range is looked at again until no earlier insert of it can be under way")

// halfwayPoll is how often it is looked at.
const halfwayPoll = time.Second

// torn is the error of a range of which there are other rows than rollups have counted.
func (w *writer) torn(c *cut, o *part, landed warehouse.Landed) error {
	r := o.place
	return &StoppedError{
		Reason: fmt.Sprintf("range %d..%d of %s/%d is in %s with %d rows of %d (rollups that have it: %d of %d), and is so old that ClickHouse may take what is sent again for new; remove it with: DELETE FROM %s WHERE topic = '%s' AND partition = %d AND offset BETWEEN %d AND %d; and then: ioc verify --rebuild all",
			r.First, r.Last, r.Topic, r.Partition, o.table, landed.Rows, o.rows, len(landed.Holding), len(landed.Holding)+len(landed.Lacking),
			o.table, r.Topic, r.Partition, r.First, r.Last),
		over: func(ctx context.Context) bool {
			now, err := w.landed(ctx, c, o)
			return err == nil && (now.Rows == o.rows || now.Rows == 0 && len(now.Holding) == 0)
		},
	}
}
