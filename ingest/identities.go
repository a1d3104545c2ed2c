package ingest

import (
	"encoding/binary"

	"ioc.local/ingest/event"
)

// dayMillis bounds the duplicate window in time of records (contract rule 2).
const dayMillis = 24 * 60 * 60 * 1000

// identities remembers the last accepted identities of one partition. It holds exactly the newest
// `window` of them at each start of a range, whether it lived through the ranges or was restored: the
// same records are duplicates in the first attempt at a range and in every later one.
//
// It is a ring in offset order with an open-addressed index over it. It grows until it holds the window and the largest
// range, so a quiet partition takes little and nothing is allocated per event.
//
// Neither fits into the processor's caches, so what counts is how often memory is waited for. An entry of the index has
// some bits of the identity, so that the ring is looked at only for what is most likely a duplicate; entries of what was
// evicted stay, and are swept out together; and the entry is asked for ahead of time, while the event's data are read.
type identities struct {
	window int
	ring   []identity // ring[head] is the oldest; its length is a power of two
	head   int
	count  int
	// index has position in ring + 1 in the lower bits of an entry, those of places, and of the identity in the others;
	// 0 is free.
	index  []uint32
	places uint32
	// dead is how many entries of the index may be of identities that were evicted.
	dead int
}

type identity struct {
	id   event.Identity
	time int64
}

// firstRing is the size of an empty ring, a power of two.
const firstRing = 16

// newIdentities makes a window of the given size; within a range more are remembered.
func newIdentities(window int) *identities {
	w := &identities{window: window, ring: make([]identity, firstRing)}
	w.reindex()
	return w
}

// check reports whether id was accepted before, at most 24 hours of record time earlier; if not, it is
// accepted now.
func (w *identities) check(id event.Identity, time int64) (duplicate bool) {
	slot, found := w.find(id)
	if found && w.ring[w.at(w.index[slot])].time >= time-dayMillis {
		return true
	}
	if w.count == len(w.ring) {
		w.grow()
		slot, _ = w.find(id)
	}
	// Where an older acceptance is too old to count, the new one takes its place in the index; the old entry
	// stays in the ring until it is evicted.
	at := w.position(w.count)
	w.ring[at] = identity{id: id, time: time}
	w.count++
	w.index[slot] = w.entry(id, at)
	return false
}

// foresee says that check will most likely be called for id in a moment.
func (w *identities) foresee(id event.Identity) { prefetch(&w.index[w.home(id)]) }

// home is the slot of the index where the search for id begins.
func (w *identities) home(id event.Identity) int {
	return int(binary.LittleEndian.Uint32(id[:4])) & (len(w.index) - 1)
}

// position is that of the n-th oldest in the ring.
func (w *identities) position(n int) int { return (w.head + n) & (len(w.ring) - 1) }

// grow makes the ring and its index four times as large, or twice where that is enough for the window and half as much again:
// each time all that is remembered has to be put into the index anew.
func (w *identities) grow() {
	factor := 4
	if 2*len(w.ring) >= w.window+w.window/2 {
		factor = 2
	}
	ring := make([]identity, factor*len(w.ring))
	n := copy(ring, w.ring[w.head:])
	copy(ring[n:], w.ring[:w.head])
	w.ring, w.head = ring, 0
	w.reindex()
}

// reindex makes the index of what is in the ring.
func (w *identities) reindex() {
	if len(w.index) == 2*len(w.ring) {
		clear(w.index)
	} else {
		w.index, w.places = make([]uint32, 2*len(w.ring)), uint32(2*len(w.ring)-1)
	}
	w.dead = 0
	for n := range w.count { // in order, so that the newest acceptance of an identity counts
		at := w.position(n)
		slot, _ := w.find(w.ring[at].id)
		w.index[slot] = w.entry(w.ring[at].id, at)
	}
}

// trim evicts the oldest identities beyond the window. It is called between ranges only.
func (w *identities) trim() {
	more := w.count - w.window
	if more <= 0 {
		return
	}
	w.head, w.count, w.dead = w.position(more), w.window, w.dead+more
	if w.dead > len(w.ring)/2 { // the index is three quarters full at most
		w.reindex()
	}
}

// reach returns the record time of the oldest identity remembered, or 0.
func (w *identities) reach() int64 {
	if w.count == 0 {
		return 0
	}
	return w.ring[w.head].time
}

// entry is that of an identity in the index.
func (w *identities) entry(id event.Identity, at int) uint32 { return w.mark(id) | uint32(at+1) }

// mark is what an entry has of the identity.
func (w *identities) mark(id event.Identity) uint32 {
	return binary.LittleEndian.Uint32(id[len(id)-4:]) &^ w.places
}

// at is the position in the ring that an entry names.
func (w *identities) at(entry uint32) int { return int(entry&w.places) - 1 }

// find returns the slot of id, or the free slot where it belongs.
func (w *identities) find(id event.Identity) (slot int, found bool) {
	mask, mark := len(w.index)-1, w.mark(id)
	for slot = w.home(id); w.index[slot] != 0; slot = (slot + 1) & mask {
		if e := w.index[slot]; e&^w.places == mark {
			// What the ring has there may be gone, or be another by now.
			if at := w.at(e); (at-w.head)&(len(w.ring)-1) < w.count && w.ring[at].id == id {
				return slot, true
			}
		}
	}
	return slot, false
}
