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
// It is a ring in offset order with an open-addressed index over it. It grows by doubling until it holds the
// window and the largest range, so a quiet partition takes little and nothing is allocated per event.
type identities struct {
	window int
	ring   []identity // ring[head] is the oldest
	head   int
	count  int
	index  []int32 // slot -> position in ring + 1; 0 is free
}

type identity struct {
	id   event.Identity
	time int64
}

// firstRing is the size of an empty ring, a power of two.
const firstRing = 16

// newIdentities makes a window of the given size; within a range more are remembered.
func newIdentities(window int) *identities {
	return &identities{window: window, ring: make([]identity, firstRing), index: make([]int32, 2*firstRing)}
}

// check reports whether id was accepted before, at most 24 hours of record time earlier; if not, it is
// accepted now.
func (w *identities) check(id event.Identity, time int64) (duplicate bool) {
	slot, found := w.find(id)
	if found && w.ring[w.index[slot]-1].time >= time-dayMillis {
		return true
	}
	if w.count == len(w.ring) {
		w.grow()
		slot, _ = w.find(id)
	}
	// Where an older acceptance is too old to count, the new one takes its place in the index; the old entry
	// stays in the ring until it is evicted.
	at := (w.head + w.count) % len(w.ring)
	w.ring[at] = identity{id: id, time: time}
	w.count++
	w.index[slot] = int32(at + 1)
	return false
}

// grow doubles the ring and its index.
func (w *identities) grow() {
	ring := make([]identity, 2*len(w.ring))
	n := copy(ring, w.ring[w.head:])
	copy(ring[n:], w.ring[:w.head])
	w.ring, w.head = ring, 0
	w.index = make([]int32, 2*len(ring))
	for at := range w.count { // in order, so that the newest acceptance of an identity counts
		slot, _ := w.find(ring[at].id)
		w.index[slot] = int32(at + 1)
	}
}

// trim evicts the oldest identities beyond the window. It is called between ranges only.
func (w *identities) trim() {
	for w.count > w.window {
		oldest := w.ring[w.head]
		if slot, found := w.find(oldest.id); found && int(w.index[slot]-1) == w.head {
			w.remove(slot)
		}
		w.head = (w.head + 1) % len(w.ring)
		w.count--
	}
}

// reach returns the record time of the oldest identity remembered, or 0.
func (w *identities) reach() int64 {
	if w.count == 0 {
		return 0
	}
	return w.ring[w.head].time
}

func (w *identities) home(id event.Identity) int {
	return int(binary.LittleEndian.Uint64(id[:8]) & uint64(len(w.index)-1))
}

// find returns the slot of id, or the free slot where it belongs.
func (w *identities) find(id event.Identity) (slot int, found bool) {
	for slot = w.home(id); w.index[slot] != 0; slot = (slot + 1) & (len(w.index) - 1) {
		if w.ring[w.index[slot]-1].id == id {
			return slot, true
		}
	}
	return slot, false
}

// remove frees a slot and moves later entries of its probe sequence back.
func (w *identities) remove(slot int) {
	mask := len(w.index) - 1
	for next := (slot + 1) & mask; w.index[next] != 0; next = (next + 1) & mask {
		home := w.home(w.ring[w.index[next]-1].id)
		if (next-home)&mask >= (next-slot)&mask {
			w.index[slot] = w.index[next]
			slot = next
		}
	}
	w.index[slot] = 0
}
