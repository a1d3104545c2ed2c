package broker

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// TestRestartsAreApart: a disk that refuses a write after each start makes the broker start again at once the first time,
// and then after pauses that grow to a bound and are over when a start has held.
func TestRestartsAreApart(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	pause := time.Duration(0)
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		if pause = nextPause(pause, time.Second); pause != want*time.Second {
			t.Errorf("the next pause is %s, want %s", pause, want*time.Second)
		}
	}
	if pause = nextPause(pause, maxRestartPause); pause != minRestartPause {
		t.Errorf("after a start that held the next pause is %s", pause)
	}

	core, logs := observer.New(zapcore.InfoLevel)
	cfg := DefaultConfig()
	cfg.Listen, cfg.Dir, cfg.MinFreeBytes = "127.0.0.1:0", t.TempDir(), 0
	b, err := New(cfg, Deps{Logger: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	// ready waits until the broker has started so often, and says when the last start was.
	ready := func(starts int) time.Time {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if all := logs.FilterMessage("broker ready").All(); len(all) >= starts {
				return all[starts-1].Time
			}
			if time.Now().After(deadline) {
				t.Fatalf("the broker has not started %d times", starts)
			}
		}
	}
	last := ready(1)
	for start, least := range []time.Duration{0, minRestartPause, 2 * minRestartPause} {
		b.room.wrote("persist %s", []any{"a test"})
		next := ready(start + 2)
		if apart := next.Sub(last); apart < least {
			t.Errorf("start %d came %s after the one before, want %s at least", start+2, apart, least)
		}
		last = next
	}
}
