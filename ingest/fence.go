package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"ioc.local/internal/warehouse"
)

// tokenTrust is how long after a range was opened its token is relied on: longer than any insert of it that an earlier
// owner had sent takes to end, and far below the ten minutes of deduplication window that IocDedupeWindowShort alerts
// on. It is the same in every process, whatever its configuration.
const tokenTrust = 2 * time.Minute

// settleTime is how long an owner waits for inserts that another one has sent: the longest deadline that an insert may have,
// and what it may be late.
const settleTime = tokenTrust/2 + lingerGrace

// place names the offsets of a range as its rows do.
func (c *cut) place() warehouse.Range {
	return warehouse.Range{Topic: c.incarnation, Partition: uint32(c.partition), First: uint64(c.first), Last: uint64(c.pending.Last)}
}

// forgotten tells whether ClickHouse may have forgotten the token of a range. A machine that was suspended notices by one
// clock or the other.
func (w *writer) forgotten(c *cut) bool {
	now := w.now()
	return max(now.Sub(c.opened), now.Round(0).Sub(c.opened.Round(0))) > w.trust
}

// abandoned tells whether nobody relies on the token of a range any more, whatever clock he measures its age by. Only time
// that has certainly passed counts.
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
	// restore puts the rows into the table and into no rollup; nil where there are none.
	restore func(ctx context.Context) error
	// dossiers says that what landed wholly is to be filled too, since that also does the state of dossiers, which does not
	// say what it holds and may be filled again. nothing says that there was nothing to apply.
	dossiers, nothing bool
	// halfway is since when this owner has seen that an earlier insert of the part did not do all; zero before.
	halfway time.Time
}

// whole tells whether all of a part is there.
func (o *part) whole(landed warehouse.Landed) bool {
	return o.nothing || landed.Rows == o.rows && len(landed.Lacking) == 0
}

// attempt does a part of a range. It relies on the token as long as ClickHouse certainly has it, and as far: a server that
// is killed may remember a token of which it has nothing, since it writes that down first. So whoever inserts what may have
// been inserted before looks afterwards whether it is there. own records the range once more, which only the owner of the
// partition can.
func (w *writer) attempt(ctx context.Context, c *cut, o *part, own func(context.Context) error) error {
	if c.doubted || w.forgotten(c) {
		c.doubted = true // from now on, whatever the clocks say
		return w.complete(ctx, c, o, own)
	}
	insert := func(ctx context.Context) error { return o.insert(ctx, c.pending.Token) }
	if err := w.step(ctx, insert); err != nil {
		c.unsure = true
		return err
	}
	if !c.unsure || o.nothing {
		return nil
	}
	landed, err := w.landed(ctx, c, o)
	if err != nil {
		return err
	}
	if o.whole(landed) {
		return w.fillState(ctx, c, o)
	}
	c.doubted = true
	w.logger.Warn("ClickHouse took a range for one that it has, and lacks some of it", zap.String("range", c.pending.Token), zap.String("table", o.table),
		zap.Uint64("rows", landed.Rows), zap.Uint64("of", o.rows), zap.Strings("lacking", landed.Lacking))
	return errHalfway
}

// step does one thing with ClickHouse, within the deadline of an insert.
func (w *writer) step(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	return do(ctx)
}

// fillState fills what does not say whether it is there, which is the state of dossiers.
func (w *writer) fillState(ctx context.Context, c *cut, o *part) error {
	if !o.dossiers || o.nothing {
		return nil
	}
	return w.step(ctx, func(ctx context.Context) error { return o.fill(ctx, nil, c.pending.Token) })
}

// complete does an insert without relying on its token. It looks what is there: nothing, and it inserts; everything, and
// there is nothing to do; the rows but not all rollups, and these are filled one by one; some of the rows, and they are
// removed first; rollups without the rows, and these alone are restored. More rows than there should be stop the partition.
func (w *writer) complete(ctx context.Context, c *cut, o *part, own func(context.Context) error) error {
	landed, err := w.landed(ctx, c, o)
	if err != nil {
		return err
	}
	if w.abandoned(c) && !o.whole(landed) {
		if err := own(ctx); err != nil { // two must not work on it at once
			return err
		}
	}
	if landed.Rows == 0 && len(landed.Holding) == 0 {
		if err := w.insertAgain(ctx, c, o); err != nil {
			return err
		}
		if landed, err = w.landed(ctx, c, o); err != nil {
			return err
		}
	}
	if o.whole(landed) {
		return w.fillState(ctx, c, o)
	}
	// An insert may be under way: of an owner who was stalled, or one of ours of which nothing was heard. It reaches ClickHouse
	// within its deadline or not at all, and everybody who begins another one looks first.
	if o.halfway.IsZero() {
		o.halfway = w.now()
	}
	if landed.UnderWay || w.now().Sub(o.halfway) <= w.settle || !w.abandoned(c) {
		return errHalfway
	}
	if landed.Rows > o.rows {
		return w.torn(c, o, landed)
	}
	if err := w.renew(ctx, c, own); err != nil {
		return err
	}
	err = w.step(ctx, func(ctx context.Context) error {
		switch {
		case landed.Rows == o.rows:
			c.fresh = false
			return o.fill(ctx, landed.Lacking, c.pending.Token)
		case landed.Rows > 0:
			// Parts of some months went in and others did not; the range is at hand.
			return w.store.Remove(ctx, o.table, o.place, o.rows)
		case len(landed.Holding) > 0:
			return o.restore(ctx)
		default: // ClickHouse remembers it and does not have it
			c.fresh = false
			return o.insert(ctx, c.pending.Token)
		}
	})
	if err != nil {
		o.halfway = time.Time{} // ClickHouse may still be about to do it
		return err
	}
	return errHalfway // look again
}

// insertAgain inserts a part under the token that the range has now.
func (w *writer) insertAgain(ctx context.Context, c *cut, o *part) error {
	c.fresh = false
	err := w.step(ctx, func(ctx context.Context) error { return o.insert(ctx, c.pending.Token) })
	if err != nil {
		o.halfway = time.Time{}
	}
	return err
}

// renew gives a range another token, since ClickHouse may remember what it does not have under this one.
func (w *writer) renew(ctx context.Context, c *cut, own func(context.Context) error) error {
	if c.fresh {
		return nil
	}
	c.pending.Token += renewed
	c.fresh = true
	return own(ctx)
}

// renewed is what a token ends with once more each time that it is renewed.
const renewed = "+"

// landed looks what is there of a part.
func (w *writer) landed(ctx context.Context, c *cut, o *part) (warehouse.Landed, error) {
	var landed warehouse.Landed
	err := w.step(ctx, func(ctx context.Context) (err error) {
		landed, err = w.store.Landed(ctx, o.table, o.place, strings.TrimRight(c.pending.Token, renewed))
		return err
	})
	if err != nil {
		o.halfway = time.Time{} // a server that did not answer may hold inserts that it has not looked at
	}
	return landed, err
}

// errHalfway says that an old range has to be looked at again.
var errHalfway = errors.New("what is there of this old range is looked at again until no earlier insert of it can be under way")

// halfwayPoll is how often it is looked at.
const halfwayPoll = time.Second

// torn is the error of a range that is in a table more than once.
func (w *writer) torn(c *cut, o *part, landed warehouse.Landed) error {
	r := o.place
	return &StoppedError{
		Reason: fmt.Sprintf("range %d..%d of %s/%d is in %s with %d rows of %d: something else has inserted them, and rollups may count them too; stop ioc, remove the range with: %s; put the rollups right with: ioc verify --at-rest --rebuild all; and start ioc",
			r.First, r.Last, r.Topic, r.Partition, o.table, landed.Rows, o.rows, strings.Join(r.Deletes(), "; ")),
		over: func(ctx context.Context) bool {
			now, err := w.landed(ctx, c, o)
			return err == nil && now.Rows <= o.rows
		},
	}
}
