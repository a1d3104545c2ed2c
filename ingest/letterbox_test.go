package ingest

import (
	"encoding/binary"
	"testing"
	"time"

	"ioc.local/ingest/event"
)

// A refusal is waited out once, and not for every range with a bad record; a later one is a new one.
func TestRefusalIsWaitedOutOnce(t *testing.T) {
	l := &letterbox{}
	now := time.Now()
	for _, step := range []struct {
		after time.Duration
		want  bool
	}{
		{0, false}, {refusalGrace, false}, {time.Millisecond, true}, {0, true}, {refusalMemory, true}, {refusalMemory + time.Second, false}, {refusalGrace + time.Second, true},
	} {
		now = now.Add(step.after)
		if got := l.givenUp(now); got != step.want {
			t.Errorf("%s later: given up is %v, want %v", step.after, got, step.want)
		}
	}
}

// Settled letters are remembered by number, and forgotten between ranges only.
func TestReplaysAreBounded(t *testing.T) {
	letter := func(n int) (id event.Identity) {
		binary.LittleEndian.PutUint64(id[:], uint64(n)*0x9E3779B97F4A7C15)
		return id
	}
	r := newReplays()
	for n := range maxReplays + 10 {
		r.settle(letter(n))
		r.settle(letter(n)) // once is enough
	}
	if !r.settled(letter(0)) || r.settled(letter(maxReplays+10)) {
		t.Error("within a range something is forgotten, or invented")
	}
	r.trim()
	for n := range maxReplays + 10 {
		if got, want := r.settled(letter(n)), n >= 10; got != want {
			t.Fatalf("letter %d is settled: %v", n, got)
		}
	}
}
