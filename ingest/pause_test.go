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

// poll repeats check until it gives an empty text, which says what is missing.
func poll(t *testing.T, check func() string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		missing := check()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(missing)
		}
	}
}

// allIn waits until all n partitions are in the state.
func allIn(t *testing.T, i *ingest.Ingester, state ingest.State, n int) {
	t.Helper()
	poll(t, func() string {
		status, in := i.Status(), 0
		for _, p := range status.Partitions {
			if p.State == state {
				in++
			}
		}
		if in == n {
			return ""
		}
		return fmt.Sprintf("%d of %d partitions are %s: %+v", in, n, state, status)
	})
}

// lag waits until the partitions together are so far behind.
func lag(t *testing.T, i *ingest.Ingester, want int64) {
	t.Helper()
	poll(t, func() string {
		behind := int64(0)
		for _, p := range i.Status().Partitions {
			behind += p.End - p.Position
		}
		if behind == want {
			return ""
		}
		return fmt.Sprintf("the lag is %d, want %d: %+v", behind, want, i.Status())
	})
}

func (h *harness) decide(p warehouse.Pause) {
	h.t.Helper()
	p.By = "tester@bench"
	if _, err := warehouse.DecidePause(h.t.Context(), h.db.Client, p); err != nil {
		h.t.Fatal(err)
	}
}

// gauges gives the samples of a metric as topic/partition.
func gauges(t *testing.T, registry *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	samples := map[string]float64{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			samples[labels["topic"]+"/"+labels["partition"]] = m.GetGauge().GetValue()
		}
	}
	return samples
}

// TestPause holds a topic over a restart and a rebalance, and lets it go on in two steps. While it is held nothing is
// written, its lag grows, and the process is well but says who holds it.
func TestPause(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 2, "dossier": 1, "dead": 1})
	var note atomic.Value
	deps := func() ingest.Deps {
		d := h.deps()
		d.Note = func(text string) { note.Store(text) }
		return d
	}
	const rows = "SELECT count() FROM auth_attempts"
	var messages [][]kafka.Message
	for round := range 3 {
		var batch []kafka.Message
		for n := range 40 {
			batch = append(batch, h.auth(round*40+n))
		}
		messages = append(messages, batch)
	}
	first := deps()
	i, stop := h.runWith(h.config("auth", "dossier"), first)
	h.send("auth", messages[0]...)
	h.wait(rows, 40)
	h.decide(warehouse.Pause{Topic: "auth", Paused: true, Reason: "the schema is changed"})
	allIn(t, i, ingest.Paused, 2)
	h.send("auth", messages[1]...)
	h.send("dossier", h.dossier(1, 2, h.base))
	h.wait("SELECT count() FROM dossier_events", 1) // other topics go on
	lag(t, i, 40)
	if text, _ := note.Load().(string); !strings.HasPrefix(text, "ingestion of auth is paused since 20") ||
		!strings.HasSuffix(text, " by tester@bench: the schema is changed; it goes on with: ioc resume auth") || h.problem() != "" {
		t.Errorf("the note is %q, the problem %q", text, h.problem())
	}
	if got := gauges(t, first.Registry.(*prometheus.Registry), "ioc_ingest_paused"); len(got) != 2 || got["auth/0"] != 1 || got["auth/1"] != 1 {
		t.Errorf("ioc_ingest_paused is %v", got)
	}
	if i.Status().CaughtUp() {
		t.Error("it says to have caught up")
	}
	stop()

	// Another process reads nothing of it either, not even before its first look at the decisions, nor do two.
	i, stop = h.runWith(h.config("auth", "dossier"), deps())
	allIn(t, i, ingest.Paused, 2)
	other, stopOther := h.runWith(h.config("auth", "dossier"), deps())
	poll(t, func() string {
		paused := 0
		for _, p := range append(i.Status().Partitions, other.Status().Partitions...) {
			if p.State == ingest.Paused {
				paused++
			}
		}
		if paused == 2 && len(other.Status().Partitions) > 0 {
			return ""
		}
		return fmt.Sprintf("%d partitions are paused: %+v %+v", paused, i.Status(), other.Status())
	})
	h.send("auth", messages[2]...)
	if got := h.count(rows); got != 40 {
		t.Errorf("%d rows were written, 40 of them before the pause", got)
	}

	zero := uint32(0)
	h.decide(warehouse.Pause{Topic: "auth", Partition: &zero})
	h.wait("SELECT toUInt64(count() > 20) FROM auth_attempts WHERE partition = 0", 1)
	if got := h.count("SELECT count() FROM auth_attempts WHERE partition = 1 AND received_at > (SELECT max(received_at) FROM auth_attempts WHERE partition = 0) - INTERVAL 1 SECOND"); got != 0 {
		t.Errorf("%d rows of the partition that is still paused were written", got)
	}
	h.decide(warehouse.Pause{})
	h.wait(rows, 120)
	poll(t, func() string {
		text, _ := note.Load().(string)
		return text
	})
	stopOther()
	stop()
	h.wait("SELECT sum(n) FROM auth_minutes WHERE topic = ''", 120)
	if got := h.count("SELECT uniqExact(event_id) FROM auth_attempts"); got != 120 {
		t.Errorf("%d different events, want 120", got)
	}
	if got := gauges(t, first.Registry.(*prometheus.Registry), "ioc_ingest_paused"); len(got) != 0 {
		t.Errorf("after the end ioc_ingest_paused is %v", got)
	}
}

// TestPauseBeforeRecordedRange starts a process while the partition is paused and a range of a killed one is recorded:
// the range is formed first, with its own clock, once, and nothing more is read until the pause ends.
func TestPauseBeforeRecordedRange(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	for n := range 100 {
		h.send("auth", h.auth(n))
	}
	clock := time.Now().Add(-10 * time.Minute).Truncate(time.Millisecond)
	h.commit("auth", 20, fmt.Sprintf(`{"ioc":1,"pending":{"last":49,"clock":%d,"contract":1,"window":500000,"token":"auth/0/20-49"}}`, clock.UnixMilli()))
	h.decide(warehouse.Pause{Paused: true, Reason: "maintenance"})
	i, stop := h.run(h.config("auth"))
	waitState(t, i, ingest.Paused)
	lag(t, i, 50)
	// A recorded range does not wait: ClickHouse remembers its token by the number of inserts, which others go on making.
	if got := h.count("SELECT count() FROM auth_attempts"); got != 30 {
		t.Errorf("%d rows were written, want those of the recorded range", got)
	}
	h.decide(warehouse.Pause{})
	h.wait("SELECT count() FROM auth_attempts", 80)
	stop()
	if got := h.count(fmt.Sprintf("SELECT countIf(received_at = fromUnixTimestamp64Milli(%d)) FROM auth_attempts WHERE offset BETWEEN 20 AND 49", clock.UnixMilli())); got != 30 {
		t.Errorf("%d of the 30 rows of the recorded range carry the recorded clock", got)
	}
}

// TestPauseWhileInserting pauses while a range is half-written and its insert fails again and again. The pause takes
// hold when the range is complete: a half must not wait until ClickHouse has forgotten its token.
func TestPauseWhileInserting(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	h.exec(`CREATE TABLE broken (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100`)
	h.exec(`CREATE MATERIALIZED VIEW broken_mv TO broken AS SELECT throwIf(count() > 0, 'outage') + count() AS n FROM auth_attempts`)
	i, stop := h.run(h.config("auth"))
	var messages []kafka.Message
	for n := range 50 {
		messages = append(messages, h.auth(n))
	}
	h.send("auth", messages...)
	waitState(t, i, ingest.Retrying)
	h.decide(warehouse.Pause{Topic: "auth", Paused: true, Reason: "the view is mended"})
	lag(t, i, 50) // nothing of it is committed
	h.exec("DROP VIEW broken_mv")
	waitState(t, i, ingest.Paused) // not before the range is finished
	waitPosition(t, i, 50)
	stop()
	for query, want := range map[string]uint64{
		"SELECT count() FROM auth_attempts":                50,
		"SELECT uniqExact(event_id) FROM auth_attempts":    50,
		"SELECT sum(n) FROM auth_minutes WHERE topic = ''": 50,
		"SELECT sum(n) FROM auth_days WHERE topic = ''":    50,
	} {
		if got := h.count(query); got != want {
			t.Errorf("%s: got %d, want %d", query, got, want)
		}
	}
}

// TestPausesUnderLoad pauses and resumes again and again while events come, with a restart in the middle.
func TestPausesUnderLoad(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 2, "dead": 1})
	const rounds, each = 4, 500
	i, stop := h.run(h.config("auth"))
	for round := range rounds {
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for part := range 5 {
				var messages []kafka.Message
				for n := range each / 5 {
					messages = append(messages, h.auth(round*each+part*each/5+n))
				}
				h.send("auth", messages...)
			}
		}()
		h.decide(warehouse.Pause{Topic: "auth", Paused: true, Reason: fmt.Sprint(round)})
		allIn(t, i, ingest.Paused, 2)
		if round == rounds/2 {
			stop()
			i, stop = h.run(h.config("auth"))
		}
		<-sent
		h.decide(warehouse.Pause{})
	}
	h.wait("SELECT count() FROM auth_attempts", rounds*each)
	poll(t, func() string {
		if i.Status().CaughtUp() {
			return ""
		}
		return fmt.Sprintf("%+v", i.Status())
	})
	stop()
	for _, query := range []string{
		"SELECT uniqExact(event_id) FROM auth_attempts", "SELECT uniqExact(partition, offset) FROM auth_attempts",
		"SELECT sum(n) FROM auth_minutes WHERE topic = ''",
	} {
		if got := h.count(query); got != rounds*each {
			t.Errorf("%s: got %d, want %d", query, got, rounds*each)
		}
	}
}

// TestDiskOfClickHouseFull sets the floor of a rollup above what any disk has: the raw rows are there, the rollup is
// not. The partition is held and says what to do, and goes on by itself when there is room.
func TestDiskOfClickHouseFull(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	i, stop := h.run(h.config("auth"))
	for round, table := range []string{"auth_attempts", "auth_minutes"} {
		h.exec("ALTER TABLE " + table + " MODIFY SETTING min_free_disk_bytes_to_perform_insert = 1000000000000000")
		for n := range 20 {
			h.send("auth", h.auth(round*20+n))
		}
		if problem := waitState(t, i, ingest.Retrying); !strings.HasPrefix(problem, "the disk of ClickHouse is full: nothing is lost") {
			t.Errorf("the partition says %q", problem)
		}
		poll(t, func() string {
			if strings.Contains(h.problem(), "auth/0 is retrying: the disk of ClickHouse is full") {
				return ""
			}
			return "health says " + h.problem()
		})
		h.exec("ALTER TABLE " + table + " RESET SETTING min_free_disk_bytes_to_perform_insert")
		h.wait("SELECT sum(n) FROM auth_minutes WHERE topic = ''", uint64(round+1)*20)
		waitHealthy(t, h, i)
	}
	waitPosition(t, i, 40)
	stop()
	if got := h.count("SELECT uniqExact(event_id) FROM auth_attempts"); got != 40 || h.count("SELECT count() FROM auth_attempts") != 40 {
		t.Errorf("%d different events, want 40", got)
	}
}
