package ingest_test

import (
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// TestEveryEventOnce follows events, a duplicate and a rejected record into every table behind them,
// over a clean restart.
func TestEveryEventOnce(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 2, "dossier": 1, "dead": 1})
	_, stop := h.run(h.config("auth", "dossier"))

	var messages []kafka.Message
	for n := range 1000 {
		messages = append(messages, h.auth(n))
	}
	h.send("auth", messages...)
	h.wait("SELECT count() FROM auth_attempts", 1000)
	h.send("auth", h.auth(7), h.auth(8))
	h.send("auth", kafka.Message{Key: []byte("x"), Value: []byte("no json")})
	h.wait("SELECT count() FROM skipped_offsets WHERE kind = 'duplicate'", 2)
	h.wait("SELECT count() FROM dead_letters WHERE reason = 'not_json'", 1)
	stop()

	h.send("dossier", h.dossier(1, 2, h.base), h.dossier(2, 2, h.base), h.dossier(1, 4, h.base.Add(time.Minute)))
	_, stop = h.run(h.config("auth", "dossier"))
	h.send("auth", h.auth(9), h.auth(1000)) // the identity of 9 is restored from ClickHouse
	h.send("dossier", h.dossier(1, 9, h.base.Add(time.Hour)))
	h.wait("SELECT count() FROM skipped_offsets WHERE kind = 'duplicate'", 3)
	h.wait("SELECT count() FROM auth_attempts", 1001)
	h.wait("SELECT count() FROM dossier_events", 4)
	h.wait("SELECT toUInt64(sum(n)) FROM dossier_savings WHERE topic = ''", 1) // dossier 1 came online and is completed
	h.wait("SELECT toUInt64(sum(n)) FROM dossier_deadlines WHERE topic = ''", 2)
	h.ingested("auth", "dossier")
	stop()

	for query, want := range map[string]uint64{
		"SELECT sum(n) FROM auth_minutes WHERE topic = ''":                               1001,
		"SELECT sum(n) FROM auth_days WHERE topic = ''":                                  1001,
		"SELECT sum(n) FROM source_activity WHERE topic = '' AND family='auth_attempts'": 1001,
		"SELECT toUInt64(sum(n)) FROM dossier_days WHERE topic = ''":                     2,
		"SELECT toUInt64(sum(n)) FROM dossier_deadlines WHERE topic = ''":                2,
		"SELECT count() FROM dossier_state FINAL WHERE ended_at > 0":                     1,
		"SELECT count() FROM dossier_state FINAL WHERE channel = 'online'":               1,
		"SELECT uniqExact(topic, partition, offset) FROM auth_attempts":                  1001,
		"SELECT max(position) FROM auth_days WHERE topic = 'auth' AND partition = 0":     h.count("SELECT max(offset) + 1 FROM auth_attempts WHERE partition = 0"),
		"SELECT toUInt64(max(assurance_level)) FROM auth_days WHERE day > toDate(0)":     3,
	} {
		if got := h.count(query); got != want {
			t.Errorf("%s: got %d, want %d", query, got, want)
		}
	}
}

// TestLandedIsTold: who is told that a range has landed finds its rows and all that the rollups make of it.
func TestLandedIsTold(t *testing.T) {
	h := newHarness(t, map[string]int{"dossier": 1, "dead": 1})
	deps := h.deps()
	found := make(chan uint64, 100)
	deps.Landed = func() {
		found <- h.count("SELECT toUInt64(sum(n)) FROM dossier_days WHERE topic = ''")
	}
	_, stop := h.runWith(h.config("dossier"), deps)
	defer stop()
	for n := 1; n <= 3; n++ {
		h.send("dossier", h.dossier(n, 2, h.base))
		select {
		case got := <-found:
			if got != uint64(n) {
				t.Errorf("%d dossiers are counted when the range of number %d is said to have landed", got, n)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("nobody was told of dossier %d", n)
		}
	}
}
