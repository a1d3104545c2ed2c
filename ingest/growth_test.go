package ingest_test

import (
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// TestBacklogIsCutLarge: while the log holds more, age does not end a range. Each range has a clock of its own.
func TestBacklogIsCutLarge(t *testing.T) {
	const events, ranges = 5000, 2
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	var messages []kafka.Message
	for n := range events {
		messages = append(messages, h.auth(n))
	}
	h.send("auth", messages...)
	cfg := h.config("auth")
	cfg.FlushInterval, cfg.MaxRows = time.Millisecond, events/ranges
	h.run(cfg)
	h.wait("SELECT count() FROM auth_attempts", events)
	if got := h.count("SELECT uniqExact(received_at) FROM auth_attempts"); got != ranges {
		t.Errorf("the backlog was cut into %d ranges, want %d", got, ranges)
	}
}
