package ingest_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"

	"ioc.local/ingest"
	"ioc.local/internal/warehouse"
)

// skewed starts an ingester whose machine's clock is off by what is stored.
func (h *harness) skewed(skew *atomic.Int64, topics ...string) (i *ingest.Ingester, registry *prometheus.Registry, stop func()) {
	h.t.Helper()
	deps := h.deps()
	i, err := ingest.New(h.config(topics...), deps)
	if err != nil {
		h.t.Fatal(err)
	}
	i.SkewClock(func() time.Duration { return time.Duration(skew.Load()) })
	return i, deps.Registry.(*prometheus.Registry), h.start(i)
}

// ahead is an event that happens so long from now.
func (h *harness) ahead(n int, by time.Duration) kafka.Message {
	was := h.base
	defer func() { h.base = was }()
	h.base = time.Now().Add(by - time.Duration(n%3000)*time.Second)
	return h.auth(n)
}

// TestWrongClockJudgesNothing jumps in both directions, before the start and while it runs, against the real engine's
// clock. Nothing is judged meanwhile; afterwards everything is, by the right clock.
func TestWrongClockJudgesNothing(t *testing.T) {
	const decided = "SELECT toUInt64((SELECT count() FROM auth_attempts) + (SELECT count() FROM dead_letters))"
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	var skew atomic.Int64
	skew.Store(int64(7 * time.Minute)) // by this clock the first event below would be accepted
	i, registry, stop := h.skewed(&skew, "auth")
	h.send("auth", h.ahead(1, 10*time.Minute), h.auth(2))
	problem := waitState(t, i, ingest.Held)
	if !strings.Contains(problem, "ahead of ClickHouse's") || !strings.Contains(problem, "check NTP (timedatectl, chronyc tracking)") {
		t.Errorf("the partition says %q", problem)
	}
	if !strings.Contains(h.problem(), "auth/0 is held: this machine's clock") {
		t.Errorf("health says %q", h.problem())
	}
	if got := gauges(t, registry, "ioc_ingest_clock_offset_seconds")["/"]; got < 415 || got > 425 {
		t.Errorf("ioc_ingest_clock_offset_seconds is %g, want about 420", got)
	}
	if got := gauges(t, registry, "ioc_ingest_clock_wrong"); got["auth/0"] != 1 {
		t.Errorf("ioc_ingest_clock_wrong is %v", got)
	}
	lag(t, i, 2) // it is still looked at
	if got := h.count(decided); got != 0 {
		t.Errorf("%d events were judged", got)
	}
	skew.Store(0)
	h.wait(decided, 2)
	waitHealthy(t, h, i)

	skew.Store(-int64(10 * time.Minute)) // by this clock the event would be rejected
	h.send("auth", h.ahead(3, 4*time.Minute))
	if problem := waitState(t, i, ingest.Held); !strings.Contains(problem, "behind ClickHouse's") {
		t.Errorf("the partition says %q", problem)
	}
	skew.Store(int64(20 * time.Second)) // near enough
	h.wait(decided, 3)
	stop()
	if got := h.count("SELECT count() FROM dead_letters WHERE reason = 'time_in_future' AND offset = 0"); got != 1 {
		t.Error("the event of the future was not rejected")
	}
	if got := h.count("SELECT count() FROM auth_attempts"); got != 2 {
		t.Errorf("%d events were accepted, want 2", got)
	}
	if got := h.count("SELECT countIf(abs(dateDiff('second', received_at, now())) > 120) FROM auth_attempts"); got != 0 {
		t.Errorf("%d events carry a wrong clock", got)
	}
}

// TestRecordedClockAhead: the last range was judged by a clock two hours ahead, as may be when ClickHouse runs on the
// same machine. The partition waits; an operator who knows can say that that reading was wrong.
func TestRecordedClockAhead(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	for n := range 10 {
		h.send("auth", h.auth(n))
	}
	recorded := time.Now().Add(2 * time.Hour).Truncate(time.Millisecond)
	h.commit("auth", 5, fmt.Sprintf(`{"ioc":1,"clock":%d}`, recorded.UnixMilli()))
	var skew atomic.Int64
	i, _, stop := h.skewed(&skew, "auth")
	problem := waitState(t, i, ingest.Held)
	_, command, _ := strings.Cut(problem, "say so with: ioc resume auth --partition 0 --accept-clock ")
	reading, err := time.Parse(time.RFC3339Nano, command)
	if err != nil || !reading.Equal(recorded) {
		t.Fatalf("the partition says %q: %v", problem, err)
	}
	zero := uint32(0)
	h.decide(warehouse.Pause{Topic: "auth", Partition: &zero, AcceptClock: reading.UnixMilli(), Reason: "it was two hours ahead"})
	h.wait("SELECT count() FROM auth_attempts", 5)
	stop()

	// The reading of the last range is what the next process finds.
	client, done := h.admin()
	defer done()
	answer, err := client.OffsetFetch(t.Context(), &kafka.OffsetFetchRequest{GroupID: "ioc", Topics: map[string][]int{"auth": {0}}})
	if err != nil {
		t.Fatal(err)
	}
	last := h.count("SELECT toUInt64(max(toUnixTimestamp64Milli(received_at))) FROM auth_attempts")
	if text := answer.Topics["auth"][0].Metadata; !strings.Contains(text, fmt.Sprintf(`"clock":%d`, last)) {
		t.Errorf("the commit says %s, want the clock %d", text, last)
	}
}

// TestRecordedRangeNeedsNoClock: a range that is recorded was judged already, whatever the clock is now.
func TestRecordedRangeNeedsNoClock(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	for n := range 10 {
		h.send("auth", h.auth(n))
	}
	clock := time.Now().Add(-10 * time.Minute)
	h.commit("auth", 0, fmt.Sprintf(`{"ioc":1,"pending":{"last":5,"clock":%d,"contract":1,"window":500000,"token":"auth/0/0-5"}}`, clock.UnixMilli()))
	var skew atomic.Int64
	skew.Store(int64(time.Hour))
	i, _, stop := h.skewed(&skew, "auth")
	waitState(t, i, ingest.Held)
	if got := h.count(fmt.Sprintf("SELECT countIf(received_at = fromUnixTimestamp64Milli(%d)) FROM auth_attempts", clock.UnixMilli())); got != 6 || h.count("SELECT count() FROM auth_attempts") != 6 {
		t.Errorf("%d rows of the recorded range, want 6", got)
	}
	stop()
}
