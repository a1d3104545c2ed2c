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
				id[12] = byte(n)
				id[15] = byte(n & 1) // few marks
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

// BenchmarkIdentities checks identities that are all new, four partitions in turn as in a process that catches up, with the
// default window and largest range.
func BenchmarkIdentities(b *testing.B) {
	cfg := DefaultConfig()
	windows := make([]*identities, 4)
	for i := range windows {
		windows[i] = newIdentities(cfg.DuplicateWindow)
	}
	n := uint64(0)
	fill := func(rows int) {
		w := windows[n/uint64(cfg.MaxRows)%4]
		for range rows {
			n++
			var id event.Identity
			binary.LittleEndian.PutUint64(id[:], n*0x9e3779b97f4a7c15)
			w.check(id, int64(n))
		}
		w.trim()
	}
	for range 16 {
		fill(cfg.MaxRows)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += cfg.MaxRows {
		fill(min(cfg.MaxRows, b.N-done))
	}
}
