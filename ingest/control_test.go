package ingest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"ioc.local/internal/warehouse"
)

// TestControls: what was known counts while ClickHouse is away and when an answer was overtaken; work stops when its
// partition is paused, and only then.
func TestControls(t *testing.T) {
	three := uint32(3)
	all := []warehouse.Pause{
		{Number: 1, Topic: "a", Partition: &three, Paused: true, At: time.Unix(1, 0)},
		{Number: 2, Topic: "b", At: time.Unix(2, 0)},
		{Number: 3, Paused: true, At: time.Unix(3, 0)},
		{Number: 4, Topic: "a", At: time.Unix(4, 0), AcceptClock: 40},
	}
	var answer []warehouse.Pause
	var away error
	c := newControls(func(context.Context) ([]warehouse.Pause, error) { return answer, away }, zap.NewNop())
	look := func(n int) {
		t.Helper()
		answer = all[:n]
		if err := c.look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	paused := func(topic string, partition int) bool {
		t.Helper()
		decision, _, err := c.decision(t.Context(), topic, partition)
		if err != nil {
			t.Fatal(err)
		}
		return decision.Paused
	}

	away = errors.New("away")
	if _, _, err := c.decision(t.Context(), "a", 0); err == nil {
		t.Error("before anything is known, a partition may begin")
	}
	away = nil
	if paused("a", 3) {
		t.Error("it is paused without a decision")
	}
	working, done := c.start(t.Context(), "a", 3)
	other, doneOther := c.start(t.Context(), "a", 2)
	_, changed, err := c.decision(t.Context(), "a", 3)
	if err != nil {
		t.Fatal(err)
	}
	look(1)
	if working.Err() == nil || other.Err() != nil {
		t.Error("the paused partition works on, or another was stopped")
	}
	select {
	case <-changed:
	default:
		t.Error("who waits for a change is not told")
	}
	done()
	if late, done := c.start(t.Context(), "a", 3); late.Err() == nil {
		t.Error("work began on a partition that was paused a moment before")
	} else {
		done()
	}
	look(2)
	look(3)
	if other.Err() == nil || !paused("b", 0) || !paused("c", 7) {
		t.Error("a pause of everything leaves something out")
	}
	doneOther()
	look(4)
	if paused("a", 3) || paused("a", 0) || !paused("b", 0) || c.accepted("a", 0) != 40 || c.accepted("b", 0) != 0 {
		t.Error("the newest decision about a partition does not count")
	}
	look(3) // as from a replica that is behind
	if paused("a", 3) {
		t.Error("an answer that was overtaken counts")
	}
	away = errors.New("away")
	if err := c.look(t.Context()); err == nil || !paused("b", 0) || paused("a", 0) {
		t.Error("what was known is forgotten while ClickHouse is away")
	}
	if len(c.working) != 0 {
		t.Errorf("%d partitions are kept that do not work any more", len(c.working))
	}
}

func TestPausedText(t *testing.T) {
	four := uint32(4)
	at := time.Date(2026, time.November, 22, 1, 0, 0, 0, time.UTC)
	for want, p := range map[string]warehouse.Pause{
		"all ingestion is paused since 2026-11-22 08:00:00 by b@m: upgrade; it goes on with: ioc resume":                    {At: at, By: "b@m", Reason: "upgrade"},
		"ingestion of t is paused since 2026-11-22 08:00:00 by b@m: upgrade; it goes on with: ioc resume t":                 {Topic: "t", At: at, By: "b@m", Reason: "upgrade"},
		"ingestion of t/4 is paused since 2026-11-22 08:00:00 by b@m: upgrade; it goes on with: ioc resume t --partition 4": {Topic: "t", Partition: &four, At: at, By: "b@m", Reason: "upgrade"},
	} {
		if got := pausedText(p); got != want || strings.HasSuffix(got, " ") {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
