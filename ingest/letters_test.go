package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sync/errgroup"

	"ioc.local/ingest"
	"ioc.local/ingest/event"
	"ioc.local/ingest/verify"
	"ioc.local/internal/broker/brokertest"
	"ioc.local/internal/broker/kafkatest"
	"ioc.local/internal/deadletter"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
)

// unregister makes ingestion judge by a registry of sources that does not have the source of h.auth; the function that
// it returns is the fix.
func (h *harness) unregister() (fix func()) {
	h.t.Helper()
	file := filepath.Join(h.t.TempDir(), "sources.csv")
	if err := os.WriteFile(file, []byte("source,types,provinces,expected_seconds\n/npsp/H26,*,*,3600\n"), 0o600); err != nil {
		h.t.Fatal(err)
	}
	good := h.data
	var err error
	if h.data, err = reference.Load(reference.Options{SourcesFile: file}); err != nil {
		h.t.Fatal(err)
	}
	return func() { h.data = good }
}

// letters are the dead letters of the harness's topics.
func (h *harness) letters(change func(*deadletter.Config), topics ...string) *deadletter.Letters {
	h.t.Helper()
	cfg := deadletter.DefaultConfig()
	cfg.Topic, cfg.Topics = "dead", topics
	if change != nil {
		change(&cfg)
	}
	letters, err := deadletter.New(cfg, deadletter.Deps{
		Logger: zap.NewNop(), Client: h.db.Client, Cluster: h.cluster(),
		NewDecoder: func() *event.Decoder { return event.NewDecoder(h.data, event.Options{}) },
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return letters
}

// replay sends the letters of a selection again.
func (h *harness) replay(l *deadletter.Letters, s deadletter.Selection) *deadletter.Receipt {
	h.t.Helper()
	receipt, err := l.Replay(h.t.Context(), s, deadletter.ReplayOptions{By: "test", Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	return receipt
}

// follow waits until ingestion has passed what a receipt sent.
func (h *harness) follow(l *deadletter.Letters, receipt *deadletter.Receipt) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	if err := l.Follow(ctx, receipt, nil); err != nil {
		h.t.Fatal(err)
	}
}

// expect compares what a receipt counts.
func (h *harness) expect(receipt *deadletter.Receipt, counts map[deadletter.Outcome]int, results map[deadletter.Result]int) {
	h.t.Helper()
	if diff := cmp.Diff(counts, receipt.Counts); diff != "" {
		h.t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(results, receipt.Results); results != nil && diff != "" {
		h.t.Errorf("results (-want +got):\n%s", diff)
	}
}

// verify proves that everything is there once.
func (h *harness) verify(topics ...string) {
	h.t.Helper()
	report, err := verify.Run(h.t.Context(), verify.Deps{Client: h.db.Client, Calendar: h.data.Calendar(), Committed: func(ctx context.Context) (map[verify.TopicPartition]int64, error) {
		offsets := map[verify.TopicPartition]int64{}
		err := ingest.Committed(ctx, h.config(topics...), h.cluster(), func(incarnation string, partition int, offset int64) {
			offsets[verify.TopicPartition{Topic: incarnation, Partition: uint32(partition)}] = offset
		})
		return offsets, err
	}}, verify.Options{})
	if err != nil {
		h.t.Fatal(err)
	}
	if !report.OK() {
		var text strings.Builder
		_ = report.Print(&text)
		h.t.Errorf("ioc verify finds a difference:\n%s", &text)
	}
}

// some are n authentication events from a number on.
func (h *harness) some(from, n int) []kafka.Message {
	var messages []kafka.Message
	for i := range n {
		messages = append(messages, h.auth(from+i))
	}
	return messages
}

func TestReplay(t *testing.T) { testReplay(t, brokertest.Start) }

// TestReplayRealKafka is the same on Apache Kafka.
func TestReplayRealKafka(t *testing.T) { testReplay(t, kafkatest.Start) }

// testReplay rejects events for a mistake on this side, corrects the mistake, and replays: everything counts once,
// whatever is replayed again. What nobody could correct is rejected again and stays one letter.
func testReplay(t *testing.T, start func(testing.TB, map[string]int) string) {
	h := newHarness(t, map[string]int{})
	h.broker = start(t, map[string]int{"auth": 2, "dead": 3})
	fix := h.unregister()
	_, stop := h.run(h.config("auth"))
	h.send("auth", h.some(0, 30)...)
	bad := kafka.Message{Key: []byte("bad"), Value: []byte("no json"), Headers: []kafka.Header{{Key: "x", Value: []byte("1")}, {Key: "x", Value: []byte("2")}, {Key: "content-type", Value: []byte("application/json")}}}
	h.send("auth", bad)
	h.wait("SELECT count() FROM dead_letters", 31)
	h.ingested("auth")
	stop()
	fix()
	l := h.letters(nil, "auth")

	// A page after the other, in a stable order, all of them once.
	var listed []deadletter.Letter
	for after, pages := "", 0; ; pages++ {
		page, err := l.List(t.Context(), deadletter.Selection{}, 7, after)
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, page.Letters...)
		if after = page.Next; after == "" {
			if pages != 4 {
				t.Errorf("%d pages", pages+1)
			}
			break
		}
	}
	seen := map[event.Place]bool{}
	for i, letter := range listed {
		seen[letter.Place] = true
		if i > 0 && letter.ReceivedAt.After(listed[i-1].ReceivedAt) || letter.State != deadletter.StateNew || letter.SHA256 == "" {
			t.Errorf("letter %d: %+v", i, letter)
		}
	}
	if len(listed) != 31 || len(seen) != 31 {
		t.Fatalf("%d letters, %d different ones", len(listed), len(seen))
	}
	for name, c := range map[string]struct {
		s    deadletter.Selection
		want int
	}{
		"reason":          {deadletter.Selection{Reasons: []string{"source_not_allowed"}}, 30},
		"reasons":         {deadletter.Selection{Reasons: []string{"source_not_allowed", "not_json"}}, 31},
		"field":           {deadletter.Selection{Fields: []string{"source"}}, 30},
		"whole record":    {deadletter.Selection{Fields: []string{""}}, 1},
		"source":          {deadletter.Selection{Sources: []string{"/eid_auth/G01"}}, 30},
		"other source":    {deadletter.Selection{Sources: []string{"/eid_auth/G0'1"}}, 0},
		"short type":      {deadletter.Selection{Types: []string{"auth.attempt"}}, 30},
		"type":            {deadletter.Selection{Types: []string{"vn.da06.auth.attempt.v1"}}, 30},
		"topic":           {deadletter.Selection{Topics: []string{"auth"}}, 31},
		"other topic":     {deadletter.Selection{Topics: []string{"dead"}}, 0},
		"from":            {deadletter.Selection{From: time.Now().Add(-time.Hour)}, 31},
		"from later":      {deadletter.Selection{From: time.Now().Add(time.Hour)}, 0},
		"until":           {deadletter.Selection{Until: time.Now().Add(-time.Hour)}, 0},
		"state":           {deadletter.Selection{States: []deadletter.State{deadletter.StateNew}}, 31},
		"other state":     {deadletter.Selection{States: []deadletter.State{deadletter.StateAccepted, deadletter.StateRejectedAgain}}, 0},
		"by name":         {deadletter.Selection{Letters: []event.Place{listed[3].Place, listed[4].Place}}, 2},
		"all together":    {deadletter.Selection{Reasons: []string{"not_json"}, Topics: []string{"auth"}, Fields: []string{""}}, 1},
		"nothing is both": {deadletter.Selection{Reasons: []string{"not_json"}, Types: []string{"auth.attempt"}}, 0},
	} {
		page, err := l.List(t.Context(), c.s, 100, "")
		if err != nil || len(page.Letters) != c.want {
			t.Errorf("%s: %d letters, want %d: %v", name, len(page.Letters), c.want, err)
		}
	}

	// What a dry run says comes true, and it does nothing.
	dry, err := l.Replay(t.Context(), deadletter.Selection{}, deadletter.ReplayOptions{By: "test", Limit: 1000, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	h.expect(dry, map[deadletter.Outcome]int{deadletter.WouldSend: 31}, nil)
	judged := map[string]int{}
	for _, e := range dry.Letters {
		judged[e.Judged]++
	}
	if diff := cmp.Diff(map[string]int{"valid": 30, "not_json": 1}, judged); diff != "" {
		t.Errorf("the dry run judges (-want +got):\n%s", diff)
	}

	_, stop = h.run(h.config("auth"))
	receipt := h.replay(l, deadletter.Selection{})
	h.follow(l, receipt)
	h.expect(receipt, map[deadletter.Outcome]int{deadletter.Sent: 31}, map[deadletter.Result]int{deadletter.ResultAccepted: 30, deadletter.ResultRejected: 1})
	if receipt.By != "test" || receipt.SHA256 == dry.SHA256 || len(receipt.SHA256) != 64 || receipt.Settled() {
		t.Errorf("the receipt is %+v", receipt)
	}
	for range 2 { // the second time by name
		s := deadletter.Selection{States: []deadletter.State{deadletter.StateAccepted}}
		again := h.replay(l, s)
		h.expect(again, map[deadletter.Outcome]int{deadletter.AlreadyAccepted: 30}, nil)
		if !again.Settled() {
			t.Errorf("what is settled is not: %+v", again)
		}
	}

	// What is rejected again is one letter, with its origin, however often.
	for range 2 {
		again := h.replay(l, deadletter.Selection{})
		h.follow(l, again)
		h.expect(again, map[deadletter.Outcome]int{deadletter.AlreadyAccepted: 30, deadletter.Sent: 1}, map[deadletter.Result]int{deadletter.ResultRejected: 1})
	}
	if n := h.count("SELECT count() FROM dead_letters"); n != 34 {
		t.Errorf("%d rejections, want 34", n)
	}
	page, err := l.List(t.Context(), deadletter.Selection{States: []deadletter.State{deadletter.StateRejectedAgain}}, 100, "")
	if err != nil || len(page.Letters) != 1 || page.Letters[0].Replays != 3 || page.Letters[0].Last.Reason != "not_json" {
		t.Fatalf("rejected again: %+v, %v", page, err)
	}
	letter := page.Letters[0]
	for _, place := range []event.Place{letter.Place, letter.Last.Record} {
		detail, err := l.Show(t.Context(), place, true)
		if err != nil {
			t.Fatal(err)
		}
		if detail.Place != letter.Place || len(detail.Attempts) != 3 || detail.Payload != deadletter.InTopic || string(detail.Record.Value) != "no json" || string(detail.Record.Key) != "bad" {
			t.Errorf("%s is shown as %+v", place, detail)
		}
		var headers []kafka.Header
		for _, header := range detail.Record.Headers {
			headers = append(headers, kafka.Header{Key: header.Key, Value: header.Value})
		}
		if diff := cmp.Diff(bad.Headers, headers); diff != "" {
			t.Errorf("the record's headers (-want +got):\n%s", diff)
		}
	}
	if _, err := l.Show(t.Context(), event.Place{Topic: "auth", Offset: 99999}, false); !strings.Contains(fmt.Sprint(err), deadletter.ErrNoLetter.Error()) {
		t.Errorf("a place without a letter: %v", err)
	}
	h.ingested("auth")
	stop()
	h.once(30)
	h.verify("auth")
}

// once checks that n authentication events are there, each once, in the raw table and behind it.
func (h *harness) once(n uint64) {
	h.t.Helper()
	for _, query := range []string{
		"SELECT count() FROM auth_attempts", "SELECT uniqExact(event_id) FROM auth_attempts",
		"SELECT toUInt64(sum(n)) FROM auth_days WHERE topic = ''", "SELECT toUInt64(sum(n)) FROM auth_minutes WHERE topic = ''",
	} {
		if got := h.count(query); got != n {
			h.t.Errorf("%s: got %d, want %d", query, got, n)
		}
	}
}

// TestReplaysAtOnce sends the same letters from three processes at the same time, one of which is cut off on the way,
// and then again, while nothing is ingested yet: each event counts once.
func TestReplaysAtOnce(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 3, "dead": 2})
	fix := h.unregister()
	_, stop := h.run(h.config("auth"))
	h.send("auth", h.some(0, 1200)...)
	h.wait("SELECT count() FROM dead_letters", 1200)
	h.ingested("auth")
	stop()
	fix()
	l := h.letters(nil, "auth")
	receipts := make([]*deadletter.Receipt, 3)
	var group errgroup.Group
	for i := range receipts {
		group.Go(func() (err error) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o := deadletter.ReplayOptions{By: "test", Limit: 2000}
			if i == 2 {
				o.Progress = func(done, _ int) {
					if done == 400 {
						cancel()
					}
				}
			}
			receipts[i], err = l.Replay(ctx, deadletter.Selection{}, o)
			if i == 2 && receipts[i] != nil && err != nil {
				err = nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	h.expect(receipts[0], map[deadletter.Outcome]int{deadletter.Sent: 1200}, nil)
	h.expect(receipts[1], map[deadletter.Outcome]int{deadletter.Sent: 1200}, nil)
	cut := receipts[2]
	if cut.Counts[deadletter.Sent] < 400 || cut.Counts[deadletter.NotReached] == 0 || cut.Problem == "" || cut.Settled() {
		t.Errorf("the replay that was cut off says %v %q", cut.Counts, cut.Problem)
	}
	again := h.replay(l, deadletter.Selection{Reasons: []string{"source_not_allowed"}})
	if again.Next == "" || len(again.Letters) != 1000 || again.Settled() {
		t.Errorf("%d letters of more than the bound, continued at %q", len(again.Letters), again.Next)
	}
	rest, err := l.Replay(t.Context(), again.Selection, deadletter.ReplayOptions{Limit: 1000, After: again.Next})
	if err != nil {
		t.Fatal(err)
	}
	h.expect(rest, map[deadletter.Outcome]int{deadletter.Sent: 200}, nil)

	_, stop = h.run(h.config("auth"))
	for _, r := range append(receipts, again, rest) {
		h.follow(l, r)
	}
	h.ingested("auth")
	stop()
	accepted := 0
	for _, r := range append(receipts, again, rest) {
		accepted += r.Results[deadletter.ResultAccepted]
	}
	// What was under way when the replay was cut off may be in Kafka, and be the copy that was accepted; its receipt cannot
	// know.
	if unknown := cut.Counts[deadletter.Failed]; accepted > 1200 || accepted < 1200-unknown {
		t.Errorf("%d records were accepted and %d may have been, want each letter once", accepted, unknown)
	}
	if n := h.count("SELECT count() FROM dead_letter_replays WHERE outcome = 'accepted'"); n != 1200 {
		t.Errorf("%d records were accepted, want each letter once", n)
	}
	h.once(1200)
	h.verify("auth")
}

// TestReplayAfterCorrection: the producer has sent the event again, corrected, with the same source and id, longer ago
// than ingestion remembers or to another partition: the letter is not sent.
func TestReplayAfterCorrection(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 2, "other": 1, "dead": 1})
	broken := func(n int) kafka.Message {
		m := h.auth(n)
		m.Value = bytes.Replace(m.Value, []byte(`"assurance_level":3`), []byte(`"assurance_level":9`), 1)
		return m
	}
	cfg := h.config("auth", "other")
	cfg.DuplicateWindow = 4 // next to nothing: the window cannot be what helps where the correction came long before
	_, stop := h.run(cfg)
	for n := range 4 {
		h.send("auth", broken(n))
	}
	h.wait("SELECT count() FROM dead_letters", 4)
	h.send("auth", h.auth(0))  // corrected long before, to the same partition
	h.send("other", h.auth(1)) // to another one
	h.send("auth", h.some(100, 20)...)
	h.wait("SELECT count() FROM auth_attempts", 22)
	stop()

	l := h.letters(nil, "auth", "other")
	first, err := l.List(t.Context(), deadletter.Selection{}, 10, "")
	if err != nil || len(first.Letters) != 4 {
		t.Fatalf("%+v %v", first, err)
	}
	dry, err := l.Replay(t.Context(), deadletter.Selection{}, deadletter.ReplayOptions{Limit: 10, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	h.expect(dry, map[deadletter.Outcome]int{deadletter.WouldSend: 2, deadletter.AlreadyAccepted: 2}, nil)
	for _, e := range dry.Letters {
		if e.Outcome == deadletter.AlreadyAccepted && !strings.Contains(e.Detail, "same source and id") {
			t.Errorf("%+v", e)
		}
	}
}

// TestCorrectionDuringReplay covers what the look into ClickHouse cannot see: a correction that is in Kafka, ahead of the
// replayed record or behind it, but not ingested.
func TestCorrectionDuringReplay(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	fix := h.unregister()
	_, stop := h.run(h.config("auth"))
	h.send("auth", h.some(0, 3)...)
	h.wait("SELECT count() FROM dead_letters", 3)
	h.ingested("auth")
	stop()
	fix()
	l := h.letters(nil, "auth")
	h.send("auth", h.auth(0)) // ahead of the replay
	receipt := h.replay(l, deadletter.Selection{})
	h.expect(receipt, map[deadletter.Outcome]int{deadletter.Sent: 3}, nil)
	h.send("auth", h.auth(1)) // behind it
	_, stop = h.run(h.config("auth"))
	h.follow(l, receipt)
	h.wait("SELECT count() FROM skipped_offsets", 2)
	h.expect(receipt, map[deadletter.Outcome]int{deadletter.Sent: 3}, map[deadletter.Result]int{deadletter.ResultAccepted: 2, deadletter.ResultDuplicate: 1})
	if !receipt.Settled() {
		t.Errorf("a duplicate is settled: %+v", receipt)
	}
	h.expect(h.replay(l, deadletter.Selection{}), map[deadletter.Outcome]int{deadletter.AlreadyAccepted: 3}, nil)
	h.ingested("auth")
	stop()
	h.once(3)
	h.verify("auth")
}

// TestReplayedRangeIsFormedAgain: a range with replays that was inserted, but not committed, gives the same rows when it
// is formed again, also by a process that remembers nothing and after the letters were replayed once more.
func TestReplayedRangeIsFormedAgain(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	fix := h.unregister()
	_, stop := h.run(h.config("auth"))
	h.send("auth", h.some(0, 10)...)
	h.wait("SELECT count() FROM dead_letters", 10)
	h.ingested("auth")
	stop()
	fix()
	l := h.letters(nil, "auth")
	h.replay(l, deadletter.Selection{}) // 10 to 19
	h.replay(l, deadletter.Selection{}) // 20 to 29, the same letters
	pending := func(first, last int) string {
		return fmt.Sprintf(`{"ioc":1,"pending":{"last":%d,"clock":%d,"contract":%d,"window":500000,"token":"auth/0/%d-%d"}}`, last, h.base.Add(time.Hour).UnixMilli(), event.Version, first, last)
	}
	outcomes := "SELECT arrayStringConcat(arraySort(groupArray(concat(toString(record_offset), ' ', toString(outcome)))), ',') FROM dead_letter_replays"
	text := func() (s string) {
		if err := h.db.Client.Conn().QueryRow(t.Context(), outcomes).Scan(&s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	var want string
	for range 3 {
		h.commit("auth", 10, pending(10, 19)) // its own rows of dead_letter_replays are there from the second time on
		i, stop := h.run(h.config("auth"))
		waitPosition(t, i, 30)
		stop()
		if want == "" {
			want = text()
		}
		if got := text(); got != want {
			t.Errorf("formed again the outcomes are %s, not %s", got, want)
		}
	}
	if accepted, repeated := strings.Count(want, "accepted"), strings.Count(want, "repeated"); accepted != 10 || repeated != 10 {
		t.Errorf("the outcomes are %s", want)
	}
	if events, skipped := h.count("SELECT count() FROM auth_attempts"), h.count("SELECT count() FROM skipped_offsets"); events != 10 || skipped != 10 {
		t.Errorf("%d events and %d duplicates, want 10 each", events, skipped)
	}
}

// TestReplaysAreRemembered: a letter that was settled is a duplicate for a process that reads that back from ClickHouse,
// and after the topic was made again; the window of identities has nothing to do with it.
func TestReplaysAreRemembered(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	fix := h.unregister()
	cfg := h.config("auth")
	cfg.DuplicateWindow = 0
	_, stop := h.run(cfg)
	h.send("auth", h.some(0, 5)...)
	h.wait("SELECT count() FROM dead_letters", 5)
	h.ingested("auth")
	stop()
	fix()
	l := h.letters(nil, "auth")
	_, stop = h.run(cfg)
	receipt := h.replay(l, deadletter.Selection{})
	h.follow(l, receipt)
	stop()
	replayed := func(n int) kafka.Message { // as a replay sends it that has not looked into ClickHouse
		m := h.auth(n)
		m.Headers = append(m.Headers, kafka.Header{Key: event.OriginHeader, Value: fmt.Appendf(nil, "auth/0/%d", n)})
		return m
	}
	h.send("auth", replayed(2))
	_, stop = h.run(cfg)
	h.wait("SELECT count() FROM dead_letter_replays WHERE outcome = 'repeated'", 1)
	stop()

	client, done := h.admin()
	defer done()
	if _, err := client.DeleteTopics(t.Context(), &kafka.DeleteTopicsRequest{Topics: []string{"auth"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateTopics(t.Context(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: "auth", NumPartitions: 1, ReplicationFactor: 1}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := warehouse.AdoptTopic(t.Context(), h.db.Client, "auth", 0, 0, "test"); err != nil {
		t.Fatal(err)
	}
	fix = h.unregister()
	h.send("auth", h.auth(50), h.auth(51))
	_, stop = h.run(cfg)
	h.wait("SELECT count() FROM dead_letters WHERE topic = 'auth@1'", 2)
	h.ingested("auth")
	stop()
	fix()
	h.send("auth", replayed(3), replayed(2)) // letters of the first life
	_, stop = h.run(cfg)
	h.wait("SELECT count() FROM dead_letter_replays WHERE outcome = 'repeated' AND topic = 'auth@1'", 2)
	// Letters of the second life have offsets that the first one had too.
	page, err := l.List(t.Context(), deadletter.Selection{States: []deadletter.State{deadletter.StateNew}}, 10, "")
	if err != nil || len(page.Letters) != 2 || page.Letters[0].Place.Topic != "auth@1" {
		t.Fatalf("%+v, %v", page, err)
	}
	again := h.replay(l, deadletter.Selection{})
	h.follow(l, again)
	h.expect(again, map[deadletter.Outcome]int{deadletter.AlreadyAccepted: 5, deadletter.Sent: 2}, map[deadletter.Result]int{deadletter.ResultAccepted: 2})
	h.ingested("auth")
	stop()
	h.once(7)
}

// TestLetterIsRejectedUntilItIsNot follows one letter through two rejections of different reasons to its acceptance.
func TestLetterIsRejectedUntilItIsNot(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	ahead := h.auth(0)
	soon := time.Now().Add(5*time.Minute + 8*time.Second)
	ahead.Value = bytes.Replace(ahead.Value, []byte(h.base.Format("2006-01-02T15:04:05.000-07:00")), []byte(soon.Format("2006-01-02T15:04:05.000-07:00")), 1)
	_, stop := h.run(h.config("auth"))
	h.send("auth", ahead)
	h.wait("SELECT count() FROM dead_letters WHERE reason = 'time_in_future'", 1)
	h.ingested("auth")
	stop()
	fix := h.unregister()
	l := h.letters(nil, "auth")
	_, stop = h.run(h.config("auth"))
	receipt := h.replay(l, deadletter.Selection{})
	h.follow(l, receipt)
	if e := receipt.Letters[0]; e.Result != deadletter.ResultRejected || e.ResultReason == "" {
		t.Errorf("%+v", e)
	}
	h.ingested("auth")
	stop()
	fix()
	for time.Until(soon) > 5*time.Minute { // the time that passes is what is tested
		time.Sleep(100 * time.Millisecond)
	}
	_, stop = h.run(h.config("auth"))
	receipt = h.replay(l, deadletter.Selection{})
	h.follow(l, receipt)
	stop()
	h.expect(receipt, map[deadletter.Outcome]int{deadletter.Sent: 1}, map[deadletter.Result]int{deadletter.ResultAccepted: 1})
	detail, err := l.Show(t.Context(), event.Place{Topic: "auth"}, false)
	if err != nil || detail.State != deadletter.StateAccepted || len(detail.Attempts) != 2 || detail.Attempts[0].Outcome != "rejected" || detail.Record != nil {
		t.Errorf("%+v, %v", detail, err)
	}
	// The second letter in the topic is of the same origin, says where the record was, and has the record's own headers.
	second := h.deadLetters(2)[1]
	var names []string
	for _, header := range second.Headers {
		names = append(names, header.Key)
	}
	if diff := cmp.Diff([]string{"ioc-reason", "ioc-field", "ioc-topic", "ioc-partition", "ioc-offset", "ioc-record", "ioc-sha256", "ioc-key"}, names); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if string(second.Key) != "auth/0/0" || string(second.Headers[5].Value) != "auth/0/1" || !bytes.Equal(second.Value, ahead.Value) {
		t.Errorf("%s %s", second.Key, second.Headers)
	}
	h.once(1)
}

// deadLetters reads n messages of the dead-letter topic, which has one partition.
func (h *harness) deadLetters(n int) []kafka.Message {
	h.t.Helper()
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{h.broker}, Topic: "dead", Partition: 0, MaxWait: 100 * time.Millisecond})
	defer func() { _ = r.Close() }()
	ctx, cancel := context.WithTimeout(h.t.Context(), 30*time.Second)
	defer cancel()
	var messages []kafka.Message
	for range n {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			h.t.Fatalf("only %d of %d letters: %v", len(messages), n, err)
		}
		messages = append(messages, m)
	}
	return messages
}

// capture is what all loggers write.
type capture struct{ bytes.Buffer }

func (*capture) Sync() error { return nil }

// TestPersonalDataStaysNowhere: neither the letter nor anything that lists, shows, replays or logs has the payload of a
// record that may hold personal data; also not of one that only a later look took for that.
func TestPersonalDataStaysNowhere(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	const number, mail, phone = "001099012345", "an.nguyen@example.com", "0912345678"
	inData := h.auth(1)
	inData.Value = bytes.Replace(inData.Value, []byte(`"H29"`), []byte(`"`+number+`"`), 1)
	otherReason := h.auth(2)
	otherReason.Value = bytes.Replace(otherReason.Value, []byte(`"assurance_level":3`), []byte(`"assurance_level":9,"note":"`+mail+`"`), 1)
	inKey := kafka.Message{Key: []byte(phone), Value: []byte("no json")}
	inHeader := kafka.Message{Key: []byte("k"), Value: []byte("no json"), Headers: []kafka.Header{{Key: event.OriginHeader, Value: []byte(mail)}}}
	inSource := kafka.Message{Key: []byte("k"), Value: bytes.Replace(h.auth(3).Value, []byte("/eid_auth/G01"), []byte("/eid_auth/"+number), 1)}
	inType := kafka.Message{Key: []byte("k"), Value: bytes.Replace(h.auth(4).Value, []byte("vn.da06.auth.attempt.v1"), []byte(phone), 1)}

	var logged capture
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.Lock(&logged), zap.DebugLevel)
	deps := h.deps()
	deps.Logger = zap.New(core)
	_, stop := h.runWith(h.config("auth"), deps)
	h.send("auth", inData, otherReason, inKey, inHeader, inSource, inType)
	h.wait("SELECT count() FROM dead_letters", 6)
	l := h.letters(nil, "auth")

	var told bytes.Buffer
	tell := func(v any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if err := json.NewEncoder(&told).Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	page, err := l.List(t.Context(), deadletter.Selection{}, 100, "")
	tell(page, err)
	for _, letter := range page.Letters {
		if !letter.Withheld || letter.SHA256 != "" {
			t.Errorf("%+v", letter)
		}
		detail, err := l.Show(t.Context(), letter.Place, true)
		tell(detail, err)
		if detail.Payload != deadletter.Withheld || detail.Record != nil {
			t.Errorf("%+v", detail)
		}
	}
	receipt, err := l.Replay(t.Context(), deadletter.Selection{}, deadletter.ReplayOptions{Limit: 100})
	tell(receipt, err)
	h.expect(receipt, map[deadletter.Outcome]int{deadletter.NotKept: 6}, nil)
	for _, m := range h.deadLetters(6) {
		tell(m, nil)
		told.Write(m.Value) // JSON has it as base64
		for _, header := range m.Headers {
			told.Write(header.Value)
		}
		if len(m.Headers) != 5 || len(m.Value) > 0 {
			t.Errorf("the letter %s has %d headers and %d bytes", m.Key, len(m.Headers), len(m.Value))
		}
	}
	stop()
	told.Write(logged.Bytes())
	if logged.Len() == 0 {
		t.Error("nothing was logged: the capture is wrong")
	}
	for _, secret := range []string{number, mail, phone, "example.com"} {
		if at := bytes.Index(told.Bytes(), []byte(secret)); at >= 0 {
			t.Errorf("%s is told: …%s…", secret, told.Bytes()[max(0, at-200):min(told.Len(), at+50)])
		}
	}
}

// TestLargeLetters: records whose letters the topic does not take as they are leave letters without payload, and hold
// nothing up, however many there are.
func TestLargeLetters(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1})
	client, done := h.admin()
	defer done()
	answer, err := client.CreateTopics(t.Context(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: "dead", NumPartitions: 1, ReplicationFactor: 1,
		ConfigEntries: []kafka.ConfigEntry{{ConfigName: "max.message.bytes", ConfigValue: "8192"}}}}})
	if err != nil || answer.Errors["dead"] != nil {
		t.Fatal(err, answer.Errors)
	}
	text := func(n int) []byte { return []byte(strings.Repeat("no json ", n)) }
	var messages []kafka.Message
	for range 10 {
		messages = append(messages, kafka.Message{Key: []byte("small"), Value: text(100)}, kafka.Message{Key: []byte("large"), Value: text(2000)})
	}
	messages = append(messages, kafka.Message{Key: []byte("huge"), Value: text(130_000)}) // more than a letter can be anywhere
	_, stop := h.run(h.config("auth"))
	started := time.Now()
	h.send("auth", messages...)
	h.wait("SELECT count() FROM dead_letters", 21)
	letters := h.deadLetters(21)
	if elapsed := time.Since(started); elapsed > 20*time.Second {
		t.Errorf("the letters took %s", elapsed)
	}
	stop()
	whole := 0
	for _, m := range letters {
		if len(m.Value) == 800 {
			whole++
		} else if len(m.Value) > 0 || m.Headers[len(m.Headers)-1].Key != "ioc-left-out" {
			t.Errorf("%s has %d bytes and %s", m.Key, len(m.Value), m.Headers)
		}
	}
	if whole != 10 {
		t.Errorf("%d small letters are whole", whole)
	}
	l := h.letters(nil, "auth")
	receipt := h.replay(l, deadletter.Selection{})
	h.expect(receipt, map[deadletter.Outcome]int{deadletter.Sent: 10, deadletter.NotThere: 11}, nil)
	at := slices.IndexFunc(receipt.Letters, func(e deadletter.Entry) bool { return e.Outcome == deadletter.NotThere })
	if e := receipt.Letters[at]; !strings.Contains(e.Detail, "too large") {
		t.Errorf("%+v", e)
	}
	detail, err := l.Show(t.Context(), receipt.Letters[at].Place, true)
	if err != nil || detail.Payload != deadletter.TooLarge || detail.Record != nil {
		t.Errorf("%+v, %v", detail, err)
	}
}

// TestReplayWithoutPayload: a letter whose payload is not in the topic any more, or was not found within the bound, says
// so; what a topic that nobody reads had is not sent.
func TestReplayWithoutPayload(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	_, stop := h.run(h.config("auth"))
	for n := range 5 {
		h.send("auth", kafka.Message{Key: fmt.Append(nil, n), Value: []byte("no json")})
	}
	h.wait("SELECT count() FROM dead_letters", 5)
	h.deadLetters(5)
	stop()
	bounded := h.letters(func(cfg *deadletter.Config) { cfg.MaxScan = 3 }, "auth")
	receipt, err := bounded.Replay(t.Context(), deadletter.Selection{}, deadletter.ReplayOptions{Limit: 100})
	if err == nil || !strings.Contains(receipt.Problem, "2 letters were not found among the 3") || receipt.Scanned != 3 {
		t.Errorf("%+v, %v", receipt, err)
	}
	h.expect(receipt, map[deadletter.Outcome]int{deadletter.Sent: 3, deadletter.NotReached: 2}, nil)
	if detail, err := bounded.Show(t.Context(), event.Place{Topic: "auth", Offset: 4}, true); err != nil || detail.Payload != deadletter.Unread {
		t.Errorf("%+v, %v", detail, err)
	}
	h.expect(h.replay(h.letters(nil, "others"), deadletter.Selection{}), map[deadletter.Outcome]int{deadletter.NotRead: 5}, nil)
	if _, err := h.letters(func(cfg *deadletter.Config) { cfg.Topic = "" }, "auth").Replay(t.Context(), deadletter.Selection{}, deadletter.ReplayOptions{Limit: 1}); err == nil {
		t.Error("there is nothing to replay from, and nobody says so")
	}

	client, done := h.admin()
	defer done()
	if _, err := client.DeleteTopics(t.Context(), &kafka.DeleteTopicsRequest{Topics: []string{"dead"}}); err != nil {
		t.Fatal(err)
	}
	l := h.letters(nil, "auth")
	h.expect(h.replay(l, deadletter.Selection{}), map[deadletter.Outcome]int{deadletter.NotThere: 5}, nil)
	if detail, err := l.Show(t.Context(), event.Place{Topic: "auth", Offset: 4}, true); err != nil || detail.Payload != deadletter.Gone {
		t.Errorf("%+v, %v", detail, err)
	}
}

// TestReplaysOutliveTheirLetters: what became of a letter is known as long as the letter is, and not for ever.
func TestReplaysOutliveTheirLetters(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	for _, statement := range []string{
		`INSERT INTO dead_letters (received_at, topic, offset) SELECT addMonths(now64(3), -number), 'auth', number FROM numbers(40)`,
		`INSERT INTO dead_letter_replays (received_at, origin_topic, origin_offset, topic, record_offset, outcome, letter)
			SELECT addMonths(now64(3), -number), 'auth', number, 'auth', 1000 + number, 'accepted', toString(number) FROM numbers(40)`,
		"OPTIMIZE TABLE dead_letters FINAL", "OPTIMIZE TABLE dead_letter_replays FINAL",
	} {
		if err := h.db.Client.Conn().Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if letters, replays := h.count("SELECT max(offset) FROM dead_letters"), h.count("SELECT max(origin_offset) FROM dead_letter_replays"); letters < 23 || letters > 25 || replays != 26 {
		t.Errorf("letters of %d months are kept and replays of %d, want 24 and 26", letters, replays)
	}
}
