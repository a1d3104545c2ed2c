package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"ioc.local/query/kpi"
)

// channel is a board at a scope: what somebody watches. Its offsets rise by one
// with each change and never return to an earlier one within the epoch, also after a
// pause in which nobody watched. Board and scope never change; the rest
// is guarded by the hub's lock.
type channel struct {
	board *Board
	scope string // as clients write it
	cells []cell // what there is to know
	limit int    // of history

	live      bool              // whether state follows the publications
	state     []json.RawMessage // by cell, nil where unknown
	contents  [][]byte          // the same values without their revision, to tell whether they changed
	offset    uint64            // of state
	asOf      time.Time
	published time.Time
	history   []*delta // those that lead to offset, oldest first
	snapshot  *frame   // of state, encoded when first asked for

	watchers  map[*conn]struct{}
	idleSince time.Time // when the last watcher left
}

// cell is a place for one value: a KPI of the board at one scope of the publications.
type cell struct {
	kpi      BoardKPI
	code     string // as publications write the scope
	province string // as values write it; empty in channels of one scope
}

// delta is what changed between two offsets.
type delta struct {
	offset    uint64
	asOf      time.Time
	published time.Time
	values    []json.RawMessage // by cell, nil where unchanged
	conflated bool
	frame     *frame // nil for a conflated delta, which belongs to one connection and is encoded when written
}

// wake makes a channel follow the publications, from p on, which is nil before the first.
func (c *channel) wake(p *kpi.Publication) error {
	c.live = true
	c.state = make([]json.RawMessage, len(c.cells))
	c.contents = make([][]byte, len(c.cells))
	c.offset++ // what the clients of before the pause know is not this state
	if p == nil {
		return nil
	}
	_, err := c.update(p)
	return err
}

// sleep forgets the state, which is then no longer computed.
func (c *channel) sleep() {
	c.live = false
	c.state, c.contents, c.history, c.snapshot = nil, nil, nil, nil
	c.asOf, c.published = time.Time{}, time.Time{}
}

// update takes over a publication's values and returns those that changed, by cell; nil if none did.
// A value that the publication lacks, or that has no JSON (which is the error), stays as it was. So does one
// of which only the revision is another: what it says of the older one is still true.
func (c *channel) update(p *kpi.Publication) (changed []json.RawMessage, err error) {
	c.asOf, c.published, c.snapshot = p.AsOf, p.At, nil
	var errs []error
	for i, place := range c.cells {
		k := place.kpi
		answer, ok := p.Values[kpi.Key{KPI: k.ID, Scope: place.code, Period: k.Period}]
		if !ok {
			continue
		}
		value := valueOf(place, answer)
		value.Revision = ""
		content, err := encode(value)
		if err != nil {
			errs = append(errs, fmt.Errorf("encoding %s over %s: %w", k.ID, k.Period, err))
			continue
		}
		if bytes.Equal(content, c.contents[i]) {
			continue
		}
		value.Revision = answer.Revision
		encoded, err := encode(value)
		if err != nil {
			errs = append(errs, fmt.Errorf("encoding %s over %s: %w", k.ID, k.Period, err))
			continue
		}
		if changed == nil {
			changed = make([]json.RawMessage, len(c.state))
		}
		changed[i], c.state[i], c.contents[i] = encoded, encoded, content
	}
	return changed, errors.Join(errs...)
}

// advance takes over a publication and returns the delta for the watchers, nil if nothing changed.
func (c *channel) advance(p *kpi.Publication) (*delta, error) {
	changed, err := c.update(p)
	if changed == nil {
		return nil, err
	}
	c.offset++
	d := &delta{offset: c.offset, asOf: p.AsOf, published: p.At, values: changed}
	frame, encodeErr := c.encodeDelta(d)
	if encodeErr != nil {
		return nil, errors.Join(err, encodeErr)
	}
	d.frame = frame
	c.history = append(c.history, d)
	if len(c.history) > c.limit {
		c.history = slices.Delete(c.history, 0, len(c.history)-c.limit)
	}
	return d, err
}

// missed returns the deltas after an offset; ok is false when they are not all there.
func (c *channel) missed(offset uint64) (deltas []*delta, ok bool) {
	first := c.offset - uint64(len(c.history)) // the state before the oldest delta
	if offset < first || offset > c.offset {
		return nil, false
	}
	return c.history[offset-first:], true
}

func (c *channel) encodeDelta(d *delta) (*frame, error) {
	return newFrame(kindDelta, deltaMessage{
		Type: kindDelta, Board: c.board.ID, Scope: c.scope, Offset: d.offset,
		AsOf: stampOf(d.asOf), Conflated: d.conflated, Values: present(d.values),
	}, d.published)
}

func (c *channel) encodeSnapshot(epoch string) (*frame, error) {
	if c.snapshot != nil {
		return c.snapshot, nil
	}
	frame, err := newFrame(kindSnapshot, snapshotMessage{
		Type: kindSnapshot, Board: c.board.ID, Scope: c.scope, Epoch: epoch, Offset: c.offset,
		AsOf: stampOf(c.asOf), Values: present(c.state),
	}, c.published)
	c.snapshot = frame
	return frame, err
}

func (c *channel) encodeResumed(epoch string, offset uint64) (*frame, error) {
	return newFrame(kindResumed, resumedMessage{
		Type: kindResumed, Board: c.board.ID, Scope: c.scope, Epoch: epoch, Offset: offset, AsOf: stampOf(c.asOf),
	}, c.published)
}

// present leaves out what is not there; never nil, so that it is [] in JSON.
func present(values []json.RawMessage) []json.RawMessage {
	list := make([]json.RawMessage, 0, len(values))
	for _, v := range values {
		if v != nil {
			list = append(list, v)
		}
	}
	return list
}

// merge is one delta with the effect of two that follow each other.
func merge(older, newer *delta) *delta {
	values := slices.Clone(newer.values)
	for i, v := range older.values {
		if values[i] == nil {
			values[i] = v
		}
	}
	return &delta{offset: newer.offset, asOf: newer.asOf, published: newer.published, values: values, conflated: true}
}
