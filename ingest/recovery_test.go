package ingest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"ioc.local/ingest"
	"ioc.local/internal/warehouse"
)

// admin gives a client for what an operator or a crashed process would have left in the group.
func (h *harness) admin() (*kafka.Client, func()) {
	transport := &kafka.Transport{}
	return &kafka.Client{Addr: kafka.TCP(h.broker), Transport: transport, Timeout: 10 * time.Second}, transport.CloseIdleConnections
}

func (h *harness) commit(topic string, offset int64, metadata string) {
	h.t.Helper()
	h.commitTo("ioc", topic, offset, metadata)
}

// commitTo commits to a group that has no members.
func (h *harness) commitTo(group, topic string, offset int64, metadata string) {
	h.t.Helper()
	client, done := h.admin()
	defer done()
	response, err := client.OffsetCommit(h.t.Context(), &kafka.OffsetCommitRequest{
		GroupID: group, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{topic: {{Partition: 0, Offset: offset, Metadata: metadata}}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if err := response.Topics[topic][0].Error; err != nil {
		h.t.Fatal(err)
	}
}

// waitState polls until the partition is in the state, and returns what it says.
func waitState(t *testing.T, i *ingest.Ingester, state ingest.State) string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for _, p := range i.Status().Partitions {
			if p.State == state {
				return p.Problem
			}
		}
	}
	t.Fatalf("no partition is %s: %+v", state, i.Status())
	return ""
}

// TestRecordedRangeIsFormedAgain continues from the metadata that a crashed process left: the recorded
// clock and the recorded end of the range are used, not new ones.
func TestRecordedRangeIsFormedAgain(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	for n := range 100 {
		h.send("auth", h.auth(n))
	}
	clock := time.Now().Add(-10 * time.Minute).Truncate(time.Millisecond)
	h.commit("auth", 20, fmt.Sprintf(`{"ioc":1,"pending":{"last":49,"clock":%d,"contract":1,"window":500000,"token":"auth/0/20-49"}}`, clock.UnixMilli()))
	_, stop := h.run(h.config("auth"))
	h.wait("SELECT count() FROM auth_attempts", 80)
	stop()
	if got := h.count(fmt.Sprintf("SELECT countIf(received_at = fromUnixTimestamp64Milli(%d)) FROM auth_attempts WHERE offset BETWEEN 20 AND 49", clock.UnixMilli())); got != 30 {
		t.Errorf("%d of the 30 rows of the recorded range carry the recorded clock", got)
	}
	if got := h.count(fmt.Sprintf("SELECT countIf(received_at = fromUnixTimestamp64Milli(%d)) FROM auth_attempts", clock.UnixMilli())); got != 30 {
		t.Errorf("%d rows carry the recorded clock, want the 30 of the range", got)
	}

	// The same range once more, as if the commit after it had been lost: nothing changes.
	h.commit("auth", 20, fmt.Sprintf(`{"ioc":1,"pending":{"last":49,"clock":%d,"contract":1,"window":500000,"token":"auth/0/20-49"}}`, clock.UnixMilli()))
	i, stop := h.run(h.config("auth"))
	waitPosition(t, i, 50)
	stop()
	if got := h.count("SELECT sum(n) FROM auth_days WHERE topic = ''"); got < 80 {
		t.Errorf("day rollup holds %d", got)
	}
	if got := h.count("SELECT countIf(offset BETWEEN 20 AND 49) FROM auth_attempts"); got != 30 {
		t.Errorf("the recorded range has %d rows after a replay, want 30", got)
	}
}

func waitPosition(t testing.TB, i *ingest.Ingester, position int64) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for _, p := range i.Status().Partitions {
			if p.Position >= position {
				return
			}
		}
	}
	t.Fatalf("position %d is not reached: %+v", position, i.Status())
}

// TestRollupFailsHalfWay lets a view behind the raw table throw: the raw rows and the rollups before it are
// written already. The process is replaced, the view repaired, and everything is there once.
func TestRollupFailsHalfWay(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dossier": 1, "dead": 1})
	for _, statement := range []string{
		`CREATE TABLE broken (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100`,
		`CREATE MATERIALIZED VIEW broken_auth_mv TO broken AS SELECT throwIf(count() > 0, 'broken on purpose') + count() AS n FROM auth_attempts`,
		`CREATE MATERIALIZED VIEW broken_dossier_mv TO broken AS SELECT throwIf(count() > 0, 'broken on purpose') + count() AS n FROM dossier_changes`,
	} {
		if err := h.db.Client.Conn().Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 50 {
		h.send("auth", h.auth(n))
	}
	for n := range 20 {
		h.send("dossier", h.dossier(n, 2, h.base), h.dossier(n, 9, h.base.Add(time.Hour)))
	}
	_, stop := h.run(h.config("auth", "dossier"))
	h.wait("SELECT toUInt64(count() > 0) FROM auth_attempts", 1)
	h.wait("SELECT toUInt64(count() > 0) FROM dossier_events", 1)
	stop() // the ranges under way are left half-written and recorded
	for _, view := range []string{"broken_auth_mv", "broken_dossier_mv"} {
		if err := h.db.Client.Conn().Exec(t.Context(), "DROP VIEW "+view); err != nil {
			t.Fatal(err)
		}
	}
	_, stop = h.run(h.config("auth", "dossier"))
	h.wait("SELECT count() FROM auth_attempts", 50)
	h.wait("SELECT toUInt64(sum(n)) FROM dossier_savings WHERE topic = ''", 10)
	stop()
	for query, want := range map[string]uint64{
		"SELECT count() FROM auth_attempts":                                              50,
		"SELECT sum(n) FROM auth_minutes WHERE topic = ''":                               50,
		"SELECT sum(n) FROM auth_days WHERE topic = ''":                                  50,
		"SELECT sum(n) FROM source_activity WHERE topic = '' AND family='auth_attempts'": 50,
		"SELECT count() FROM dossier_events":                                             40,
		"SELECT toUInt64(sum(n)) FROM dossier_days WHERE topic = ''":                     20,
		"SELECT toUInt64(sum(n)) FROM dossier_deadlines WHERE topic = ''":                20,
		"SELECT toUInt64(sum(n)) FROM dossier_savings WHERE topic = ''":                  10,
		"SELECT count() FROM dossier_state FINAL":                                        20,
	} {
		if got := h.count(query); got != want {
			t.Errorf("%s: got %d, want %d", query, got, want)
		}
	}
}

// TestTopicIsItselfOnce holds a partition whose log is not the one that was read, and goes on once an
// operator has accepted it.
func TestTopicIsItselfOnce(t *testing.T) {
	const nothingPending = `{"ioc":1}`
	for name, test := range map[string]struct {
		prepare func(h *harness)
		want    string
		from    uint64
		rows    uint64
	}{
		"rows but no committed offset": {
			prepare: func(h *harness) {
				err := h.db.Client.Conn().Exec(t.Context(), "INSERT INTO auth_attempts (topic, partition, offset, outcome, received_at, occurred_at) VALUES ('auth', 0, 3, 'success', now(), now())")
				if err != nil {
					t.Fatal(err)
				}
			},
			want: "no committed offset for auth/0, but ClickHouse holds rows", from: 0, rows: 11,
		},
		"committed beyond the end": {
			prepare: func(h *harness) { h.commit("auth", 500, nothingPending) },
			want:    "beyond the end of the log at 10", from: 4, rows: 6,
		},
		"foreign commit": {
			prepare: func(h *harness) { h.commit("auth", 5, "") },
			want:    "not from this program", from: 5, rows: 5,
		},
		"recorded range beyond the end": {
			prepare: func(h *harness) {
				h.commit("auth", 5, `{"ioc":1,"pending":{"last":30,"clock":1763700000000,"contract":1,"window":500000,"token":"auth/0/5-30"}}`)
			},
			want: "reaches beyond the end of the log", from: 5, rows: 5,
		},
		"another record than was read": {
			prepare: func(h *harness) { h.commit("auth", 5, `{"ioc":1,"mark":{"offset":4,"time":1763700000000,"sum":1}}`) },
			want:    "the record at offset 4 is not the one that was read", from: 5, rows: 5,
		},
		"another record than was recorded": {
			prepare: func(h *harness) {
				h.commit("auth", 5, `{"ioc":1,"pending":{"last":7,"clock":1763700000000,"contract":1,"window":500000,"token":"auth/0/5-7","mark":{"offset":7,"time":1763700000000,"sum":1}}}`)
			},
			want: "the record at offset 7 is not the one that was read", from: 5, rows: 5,
		},
		"range of a newer contract": {
			prepare: func(h *harness) {
				h.commit("auth", 5, `{"ioc":1,"pending":{"last":7,"clock":1763700000000,"contract":99,"window":500000,"token":"auth/0/5-7"}}`)
			},
			want: "contract version 99", from: 5, rows: 5,
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
			for n := range 10 {
				h.send("auth", h.auth(n))
			}
			test.prepare(h)
			i, stop := h.run(h.config("auth"))
			problem := waitState(t, i, ingest.Stopped)
			if !strings.Contains(problem, test.want) {
				t.Errorf("the partition says %q, want %q", problem, test.want)
			}
			if !strings.Contains(problem, "ioc topics adopt auth --partition 0") {
				t.Errorf("%q does not name the command that resolves it", problem)
			}
			if _, err := warehouse.AdoptTopic(context.Background(), h.db.Client, "auth", 0, test.from, "test"); err != nil {
				t.Fatal(err)
			}
			h.wait("SELECT count() FROM auth_attempts", test.rows)
			h.wait("SELECT uniqExact(topic, partition, offset) FROM auth_attempts", test.rows)
			stop()
		})
	}
}
