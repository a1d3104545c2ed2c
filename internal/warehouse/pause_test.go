package warehouse_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ioc.local/internal/warehouse"
)

// TestPauses decides several times about several things and reads back the newest decision for each.
func TestPauses(t *testing.T) {
	client := migrated(t).Client
	three := uint32(3)
	before, err := warehouse.Now(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	if off := time.Since(before).Abs(); off > time.Minute {
		t.Errorf("ClickHouse's clock is %s off, on the same machine", off)
	}
	decisions := []warehouse.Pause{
		{Topic: "a", Paused: true, Reason: "first", By: "x@m"},
		{Paused: true, Reason: "all", By: "y@m"},
		{Topic: "a", Partition: &three, AcceptClock: 1_763_700_000_123, Reason: "clock", By: "x@m"},
		{Topic: "a", Reason: "go on", By: "x@m"},
		{Topic: "a", Partition: &three, Paused: true, Reason: "later", By: "x@m"},
	}
	for i, d := range decisions {
		got, err := warehouse.DecidePause(t.Context(), client, d)
		if err != nil {
			t.Fatal(err)
		}
		if got.Number != uint64(i)+1 || got.Paused != d.Paused || got.At.Before(before.Add(-time.Second)) {
			t.Errorf("decision %d was recorded as %+v", i+1, got)
		}
	}
	got, err := warehouse.Pauses(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	want := []warehouse.Pause{decisions[1], decisions[3], decisions[4]}
	want[0].Number, want[1].Number, want[2].Number = 2, 4, 5
	want[2].AcceptClock = decisions[2].AcceptClock // stays accepted
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(warehouse.Pause{}, "At")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := warehouse.DecidePause(t.Context(), client, warehouse.Pause{Partition: &three}); err == nil {
		t.Error("a partition without a topic was accepted")
	}
}

func TestPauseCovers(t *testing.T) {
	three := uint32(3)
	for _, c := range []struct {
		pause     warehouse.Pause
		topic     string
		partition int
		want      bool
		scope     string
	}{
		{warehouse.Pause{}, "a", 0, true, ""},
		{warehouse.Pause{Topic: "a"}, "a", 5, true, "a"},
		{warehouse.Pause{Topic: "a"}, "b", 5, false, "a"},
		{warehouse.Pause{Topic: "a", Partition: &three}, "a", 3, true, "a --partition 3"},
		{warehouse.Pause{Topic: "a", Partition: &three}, "a", 0, false, "a --partition 3"},
	} {
		if got := c.pause.Covers(c.topic, c.partition); got != c.want || c.pause.Scope() != c.scope {
			t.Errorf("%+v covers %s/%d: %t, scope %q", c.pause, c.topic, c.partition, got, c.pause.Scope())
		}
	}
}
