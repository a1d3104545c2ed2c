package ingest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"ioc.local/internal/reference"
)

// clocks is a world of two clocks: this machine's, which can jump, and ClickHouse's.
type clocks struct {
	*clock
	t       *testing.T
	elapsed time.Duration // of the monotonic clock
	jumped  time.Duration // of this machine's clock
	theirs  time.Duration // how far ClickHouse's clock is ahead
	trip    time.Duration // how long ClickHouse takes to answer
	early   bool          // it reads its clock at the start of that, not at its end
	away    bool
}

var noon = time.Date(2026, time.November, 22, 12, 0, 0, 0, reference.TimeZone())

func newClocks(t *testing.T) *clocks {
	w := &clocks{t: t}
	w.clock = newClock(func(context.Context) (time.Time, error) {
		before := noon.Add(w.elapsed)
		w.elapsed += w.trip
		if w.away {
			return time.Time{}, errors.New("away")
		}
		if w.early {
			return before.Add(w.theirs), nil
		}
		return noon.Add(w.elapsed + w.theirs), nil
	}, func() time.Time { return noon.Add(w.elapsed) }, zap.NewNop())
	w.skew = func() time.Duration { return w.jumped }
	return w
}

func (w *clocks) compared() *clocks {
	w.t.Helper()
	if err := w.ready(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if err := w.compare(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return w
}

// judges checks that events are judged by the given reading, or refused with all the words.
func (w *clocks) judges(last, accepted int64, want time.Time, words ...string) {
	w.t.Helper()
	got, err := w.judge("t", 3, last, accepted)
	if len(words) == 0 {
		if err != nil || got != want.UnixMilli() {
			w.t.Errorf("judged by %s: %v, want %s", time.UnixMilli(got), err, want)
		}
		return
	}
	var wrong *clockError
	if !errors.As(err, &wrong) || wrong.last != last {
		w.t.Fatalf("judged by %s: %v, want a refusal", time.UnixMilli(got), err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			w.t.Errorf("%q does not say %q", err, word)
		}
	}
}

func TestClocksThatAgree(t *testing.T) {
	w := newClocks(t)
	for _, offset := range []time.Duration{0, 59 * time.Second, -59 * time.Second} {
		w.theirs = offset
		w.compared().judges(0, 0, noon)
	}
}

func TestClocksThatDoNot(t *testing.T) {
	w := newClocks(t)
	w.theirs = -432 * time.Second
	w.compared().judges(0, 0, noon, "at least 7m12s ahead of ClickHouse's (2026-11-22 12:00:00 here, 2026-11-22 11:52:48 there)", "check NTP (timedatectl, chronyc tracking)", "goes on by itself")
	w.theirs = 2 * time.Hour
	w.compared().judges(0, 0, noon, "at least 2h0m0s behind ClickHouse's (2026-11-22 12:00:00 here, 2026-11-22 14:00:00 there)")
	w.theirs = 0
	w.compared().judges(0, 0, noon)
}

// TestSlowAnswerIsNoClockError: what ClickHouse read somewhen within a long round trip says no more than that.
func TestSlowAnswerIsNoClockError(t *testing.T) {
	for _, early := range []bool{true, false} {
		w := newClocks(t)
		w.trip, w.early = 4*time.Second, early
		for _, offset := range []time.Duration{59 * time.Second, -59 * time.Second} {
			w.theirs = offset
			w.compared()
			w.judges(0, 0, noon.Add(w.elapsed))
		}
		w.theirs = 70 * time.Second // beyond what the round trip explains
		w.compared().judges(0, 0, noon, "behind")
	}
	w := newClocks(t)
	w.trip, w.early = time.Hour, true // the question was forgotten while the machine slept, say
	if err := w.compare(t.Context()); err == nil {
		t.Error("an answer of an hour ago was used")
	}
	w.judges(0, 0, noon.Add(w.elapsed)) // nothing is known of ClickHouse's clock
}

// TestJumpIsSeenAtOnce: the wall clock is held against the monotonic one, whoever is asked when.
func TestJumpIsSeenAtOnce(t *testing.T) {
	w := newClocks(t).compared()
	w.elapsed = 3 * time.Hour
	w.judges(0, 0, noon.Add(w.elapsed)) // time that passes is no jump
	for _, jump := range []struct {
		by   time.Duration
		word string
	}{{10 * time.Minute, "at least 10m0s ahead"}, {-10 * time.Minute, "at least 10m0s behind"}} {
		w.jumped = jump.by
		w.judges(0, 0, noon, jump.word)
		select {
		case <-w.again:
		default:
			t.Error("ClickHouse is not asked before its time")
		}
	}
	w.away = true
	if err := w.compare(t.Context()); err == nil {
		t.Error("nobody answered")
	}
	w.judges(0, 0, noon, "behind") // still
	<-w.again
	w.away, w.theirs = false, -10*time.Minute
	w.compared().judges(0, 0, noon.Add(w.elapsed+w.jumped)) // theirs has jumped too: it was NTP that set both right
	if len(w.again) != 0 {
		t.Error("ClickHouse is asked again without a reason")
	}
}

// TestRecordedReadingIsNotGoneBehind: ClickHouse's clock is wrong in the same way when it runs on the same machine.
func TestRecordedReadingIsNotGoneBehind(t *testing.T) {
	w := newClocks(t).compared()
	last := noon.Add(2 * time.Hour).UnixMilli()
	w.judges(noon.Add(59*time.Second).UnixMilli(), 0, noon)
	w.judges(last, 0, noon, "this machine's clock reads 2026-11-22 12:00:00, but the last range of t/3 was judged by one that read 2026-11-22 14:00:00",
		"ioc resume t --partition 3 --accept-clock 2026-11-22T14:00:00.000+07:00")
	w.judges(last, last-1, noon, "--accept-clock") // of another reading
	w.judges(last, last, noon)
	w.elapsed = 2*time.Hour - 59*time.Second
	w.judges(last, 0, noon.Add(w.elapsed))
}
