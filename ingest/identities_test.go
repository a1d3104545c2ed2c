package ingest

import (
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"

	"ioc.local/ingest/event"
)

// model is the window as the package comment states it: the last accepted identities, in order.
type model struct {
	window   int
	accepted []identity
}

func (m *model) check(id event.Identity, time int64) bool {
	for i := len(m.accepted) - 1; i >= 0; i-- {
		if m.accepted[i].id == id {
			if m.accepted[i].time >= time-dayMillis {
				return true
			}
			break // only the newest acceptance of an identity counts
		}
	}
	m.accepted = append(m.accepted, identity{id, time})
	return false
}

func (m *model) trim() {
	if extra := len(m.accepted) - m.window; extra > 0 {
		m.accepted = m.accepted[extra:]
	}
}

// TestIdentitiesAreTheLastAccepted compares the ring with the model, and with a ring that is restored
// from the model's rows between any two ranges, as after a crash.
func TestIdentitiesAreTheLastAccepted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const slack = 40 // more than the first ring, so that it grows
		window := rapid.IntRange(1, 60).Draw(t, "window")
		m := &model{window: window}
		w := newIdentities(window)
		clock := int64(1_700_000_000_000)
		for range rapid.IntRange(1, 60).Draw(t, "ranges") {
			if rapid.Bool().Draw(t, "crash") {
				w = newIdentities(window)
				for _, row := range m.accepted {
					w.check(row.id, row.time)
				}
			}
			for range rapid.IntRange(0, slack).Draw(t, "records") {
				var id event.Identity
				// Few identities and few homes, so that chains form and wrap around.
				n := rapid.Uint64Range(0, 120).Draw(t, "id")
				binary.LittleEndian.PutUint64(id[:], n%3)
				id[15] = byte(n)
				clock += rapid.Int64Range(0, dayMillis/4).Draw(t, "step")
				if got, want := w.check(id, clock), m.check(id, clock); got != want {
					t.Fatalf("duplicate: got %v, want %v", got, want)
				}
			}
			w.trim()
			m.trim()
			if w.count != len(m.accepted) {
				t.Fatalf("remembered %d, want %d", w.count, len(m.accepted))
			}
		}
	})
}

func BenchmarkIdentities(b *testing.B) {
	w := newIdentities(500_000)
	b.ReportAllocs()
	for n := range b.N {
		var id event.Identity
		binary.LittleEndian.PutUint64(id[:], uint64(n)*0x9e3779b97f4a7c15)
		binary.LittleEndian.PutUint64(id[8:], uint64(n))
		w.check(id, 1)
		if n%65_536 == 0 {
			w.trim()
		}
	}
}
