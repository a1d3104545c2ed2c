package ingest_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"ioc.local/ingest"
	"ioc.local/internal/broker/brokertest"
)

func (h *harness) exec(statement string) {
	h.t.Helper()
	if err := h.db.Client.Conn().Exec(h.t.Context(), statement); err != nil {
		h.t.Fatal(err)
	}
}

// sendTo sends to a partition, whatever the keys.
func (h *harness) sendTo(topic string, partition int, messages ...kafka.Message) {
	h.t.Helper()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	w := &kafka.Writer{Addr: kafka.TCP(h.broker), Topic: topic, Transport: transport, BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll,
		Balancer: kafka.BalancerFunc(func(kafka.Message, ...int) int { return partition })}
	defer func() { _ = w.Close() }()
	if err := w.WriteMessages(h.t.Context(), messages...); err != nil {
		h.t.Error(err)
	}
}

// TestRecreatedTopicIsNoticedWhileRunning deletes and recreates a topic under a running ingester, with more
// records than the old one had.
func TestRecreatedTopicIsNoticedWhileRunning(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	i, stop := h.run(h.config("auth"))
	for n := range 10 {
		h.send("auth", h.auth(n))
	}
	h.wait("SELECT count() FROM auth_attempts", 10)
	client, done := h.admin()
	defer done()
	if _, err := client.DeleteTopics(t.Context(), &kafka.DeleteTopicsRequest{Topics: []string{"auth"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateTopics(t.Context(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: "auth", NumPartitions: 1, ReplicationFactor: 1}}}); err != nil {
		t.Fatal(err)
	}
	var messages []kafka.Message
	for n := 100; n < 130; n++ {
		messages = append(messages, h.auth(n))
	}
	h.send("auth", messages...)
	if problem := waitState(t, i, ingest.Stopped); !strings.Contains(problem, "recreated") {
		t.Errorf("the partition says %q", problem)
	}
	stop()
	if got := h.count("SELECT count() FROM auth_attempts"); got != 10 {
		t.Errorf("%d rows, want the 10 of the old log", got)
	}
}

// TestMissingTopicIsToldAndTheOthersAreRead configures a topic that is created only later.
func TestMissingTopicIsToldAndTheOthersAreRead(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	h.send("auth", h.auth(0))
	i, stop := h.run(h.config("auth", "later"))
	h.wait("SELECT count() FROM auth_attempts", 1)
	if problem := h.problem(); !strings.Contains(problem, "topic later") {
		t.Errorf("health says %q, want the missing topic", problem)
	}
	client, done := h.admin()
	defer done()
	if _, err := client.CreateTopics(t.Context(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: "later", NumPartitions: 1, ReplicationFactor: 1}}}); err != nil {
		t.Fatal(err)
	}
	h.send("later", h.auth(1))
	h.wait("SELECT count() FROM auth_attempts", 2)
	waitHealthy(t, h, i)
	stop()
}

func waitHealthy(t *testing.T, h *harness, i *ingest.Ingester) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); h.problem() != ""; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("health still says %q: %+v", h.problem(), i.Status())
		}
	}
}

// TestReplayUnderOtherLimits replays a recorded range with a configuration that is smaller than the range.
func TestReplayUnderOtherLimits(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	var messages []kafka.Message
	for n := range 5000 {
		messages = append(messages, h.auth(n))
	}
	h.send("auth", messages...)
	h.send("auth", h.auth(10)) // a copy 4,990 records later, beyond the small window but within the recorded one
	h.commit("auth", 0, fmt.Sprintf(`{"ioc":1,"pending":{"last":5000,"clock":%d,"contract":1,"window":100000,"token":"auth/0/0-5000"}}`, time.Now().UnixMilli()))
	cfg := h.config("auth")
	cfg.MaxRows, cfg.DuplicateWindow = 1000, 1000
	i, stop := h.run(cfg)
	waitPosition(t, i, 5001)
	stop()
	if rows, copies := h.count("SELECT count() FROM auth_attempts"), h.count("SELECT count() FROM skipped_offsets"); rows != 5000 || copies != 1 {
		t.Errorf("%d rows and %d duplicates, want 5000 and 1", rows, copies)
	}
}

// TestRangeDoesNotGrowOld holds the inserts up and then sends an event that is ahead of the clock by less than
// what is allowed: a range that had been open all the time would reject it by its old clock.
func TestRangeDoesNotGrowOld(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	h.exec(`CREATE TABLE broken (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100`)
	h.exec(`CREATE MATERIALIZED VIEW broken_mv TO broken AS SELECT throwIf(count() > 0, 'outage') + count() AS n FROM auth_attempts`)
	i, stop := h.run(h.config("auth"))
	h.send("auth", h.auth(0)) // its range is held up
	waitState(t, i, ingest.Retrying)
	h.send("auth", h.auth(1)) // opens the next range
	opened := time.Now()
	for time.Since(opened) < 12*time.Second { // the time that passes is what is tested: a range may be open for ten seconds
		time.Sleep(100 * time.Millisecond)
	}
	h.base = time.Now().Add(4*time.Minute + 54*time.Second) // events of h.auth(0) happen at base
	ahead := h.auth(3000)
	h.send("auth", ahead)
	h.exec("DROP VIEW broken_mv")
	h.wait("SELECT toUInt64((SELECT count() FROM auth_attempts) + (SELECT count() FROM dead_letters))", 3)
	stop()
	if got := h.count("SELECT count() FROM auth_attempts"); got != 3 {
		t.Errorf("%d of 3 valid events were accepted", got)
	}
}

// TestDossierInTwoPartitions sends the same events, and different events of the same dossiers, to two
// partitions at the same time, as clients without a key do. State and cubes are those of the set.
func TestDossierInTwoPartitions(t *testing.T) {
	h := newHarness(t, map[string]int{"dossier": 2, "dead": 1})
	i, stop := h.run(h.config("dossier"))
	var senders sync.WaitGroup
	for partition := range 2 {
		senders.Go(func() {
			for round := range 15 {
				var messages []kafka.Message
				for n := range 100 {
					id := round*100 + n
					messages = append(messages, h.dossier(id, 2, h.base), h.dossier(id, []int{9, 4}[partition], h.base.Add(time.Hour)))
				}
				h.sendTo("dossier", partition, messages...)
			}
		})
	}
	senders.Wait()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		committed := int64(0)
		for _, p := range i.Status().Partitions {
			committed += p.Position
		}
		if committed == 6000 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("only %d of 6000 events are committed: %+v", committed, i.Status())
		}
	}
	stop()
	for query, want := range map[string]uint64{
		"SELECT count() FROM dossier_state FINAL":                         1500,
		"SELECT count() FROM dossier_state FINAL WHERE end_status = 9":    1500,
		"SELECT toUInt64(sum(n)) FROM dossier_days WHERE topic = ''":      1500,
		"SELECT toUInt64(sum(n)) FROM dossier_deadlines WHERE topic = ''": 1500,
		"SELECT toUInt64(sum(n)) FROM dossier_savings WHERE topic = ''":   750,
		"SELECT count() FROM (SELECT sum(n) AS s FROM dossier_days WHERE topic = '' GROUP BY day, province, province63, service_id, channel HAVING s < 0)": 0,
	} {
		if got := h.count(query); got != want {
			t.Errorf("%s: got %d, want %d", query, got, want)
		}
	}
}

// TestTimestampsThatNoColumnHolds sends records stamped in microseconds. A copy is recognised by a process
// that lived through them and by one that read them back.
func TestTimestampsThatNoColumnHolds(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	stamp := time.UnixMilli(time.Now().UnixMicro())
	first, second := h.auth(1), h.auth(2)
	first.Time, second.Time = stamp, stamp
	const all = "SELECT toUInt64((SELECT count() FROM auth_attempts) + (SELECT count() FROM skipped_offsets))"
	_, stop := h.run(h.config("auth"))
	h.send("auth", first, first, second)
	h.wait(all, 3)
	stop()
	_, stop = h.run(h.config("auth"))
	h.send("auth", second)
	h.wait(all, 4)
	stop()
	if got := h.count("SELECT count() FROM auth_attempts"); got != 2 {
		t.Errorf("%d rows, want 2", got)
	}
}

// TestBrokerRestart takes the broker away and brings it back. The outage is told, and is over by itself, with
// no new event; everything is there once.
func TestBrokerRestart(t *testing.T) {
	topics := map[string]int{"auth": 2, "dead": 1}
	h := newHarness(t, topics)
	dir := t.TempDir()
	addr, stopBroker := brokertest.StartAt(t, "127.0.0.1:0", dir, topics)
	h.broker = addr
	i, stop := h.run(h.config("auth"))
	for n := range 50 {
		h.send("auth", h.auth(n))
	}
	h.wait("SELECT count() FROM auth_attempts", 50)
	stopBroker()
	for deadline := time.Now().Add(30 * time.Second); h.problem() == ""; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody tells that the broker is gone")
		}
	}
	_, stopBroker = brokertest.StartAt(t, addr, dir, topics)
	waitHealthy(t, h, i)
	for n := 50; n < 60; n++ {
		h.send("auth", h.auth(n))
	}
	h.send("auth", h.auth(3))
	h.wait("SELECT count() FROM skipped_offsets WHERE kind = 'duplicate'", 1)
	h.wait("SELECT count() FROM auth_attempts", 60)
	stop()
	stopBroker()
	if got := h.count("SELECT uniqExact(event_id) FROM auth_attempts"); got != 60 {
		t.Errorf("%d different events, want 60", got)
	}
}
