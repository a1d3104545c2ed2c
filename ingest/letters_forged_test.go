package ingest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"

	"ioc.local/ingest/event"
	"ioc.local/internal/deadletter"
)

// from names an origin in a message, as a replay does, and as any producer can.
func from(m kafka.Message, origin string) kafka.Message {
	m.Headers = append(m.Headers, kafka.Header{Key: event.OriginHeader, Value: []byte(origin)})
	return m
}

// TestForgedOrigins: what a producer sends under the name of somebody else's letter neither settles the letter, nor
// withholds it, nor hides behind it; and what is sent under the name of no letter is found at its own place.
func TestForgedOrigins(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	fix := h.unregister()
	i, stop := h.run(h.config("auth"))
	h.send("auth", h.some(0, 3)...)
	waitPosition(t, i, 3) // a range that is not committed is judged by the registry that it began with
	stop()
	fix()
	_, stop = h.run(h.config("auth"))
	bad := func(value string) kafka.Message { return kafka.Message{Key: []byte("k"), Value: []byte(value)} }
	h.send("auth", from(h.auth(10), "auth/0/0"), from(bad("no json"), "auth/0/1"), from(bad("0912345678"), "auth/0/2"), from(bad("no letter"), "auth/0/3"))
	h.wait("SELECT count() FROM dead_letter_replays", 4)
	h.wait("SELECT count() FROM dead_letters", 6)
	h.deadLetters(6)

	l := h.letters(nil, "auth")
	page, err := l.List(t.Context(), deadletter.Selection{}, 100, "")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, letter := range page.Letters {
		listed[letter.Place.String()] = fmt.Sprint(letter.State, " ", letter.Withheld)
	}
	if diff := cmp.Diff(map[string]string{"auth/0/0": "accepted false", "auth/0/1": "new false", "auth/0/2": "rejected_again false", "auth/0/4": "new false", "auth/0/6": "new false"}, listed); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
	for offset, want := range map[int64]string{0: `"new" in_topic 0 attempts`, 1: `"new" in_topic 0 attempts`, 2: `"new" in_topic 0 attempts`, 4: `"new" in_topic 0 attempts`, 6: `"new" in_topic 0 attempts`} {
		place := event.Place{Topic: "auth", Offset: offset}
		d, err := l.Show(t.Context(), place, true)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%q %s %d attempts", d.State, d.Payload, len(d.Attempts)); got != want || d.Place != place || d.SHA256 == "" || d.Record == nil {
			t.Errorf("%s is shown as %s: %+v", place, got, d)
		}
	}

	receipt := h.replay(l, deadletter.Selection{})
	h.follow(l, receipt)
	h.expect(receipt, map[deadletter.Outcome]int{deadletter.Sent: 5}, map[deadletter.Result]int{deadletter.ResultAccepted: 3, deadletter.ResultRejected: 2})
	h.expect(h.replay(l, deadletter.Selection{}), map[deadletter.Outcome]int{deadletter.AlreadyAccepted: 3, deadletter.Sent: 2}, nil)
	d, err := l.Show(t.Context(), event.Place{Topic: "auth"}, false)
	if err != nil || d.State != deadletter.StateAccepted || len(d.Attempts) != 1 {
		t.Errorf("after its replay it is shown as %+v, %v", d, err)
	}
	h.ingested("auth")
	stop()
	h.once(4)
	h.verify("auth")
}

// TestRefusedLetters: a letter that its partition does not take any more holds no younger one up.
func TestRefusedLetters(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "gone": 1, "dead": 1})
	_, stop := h.run(h.config("auth", "gone"))
	h.send("gone", kafka.Message{Value: []byte("no json")})
	h.wait("SELECT count() FROM dead_letters", 1)
	small := kafka.Message{Key: []byte("small"), Value: []byte("no json")}
	h.send("auth", small, kafka.Message{Key: []byte("large"), Value: bytes.Repeat([]byte("no json "), 2000)}, small, small, small)
	h.wait("SELECT count() FROM dead_letters", 6)
	h.deadLetters(6)
	stop()
	client, done := h.admin()
	defer done()
	if _, err := client.DeleteTopics(t.Context(), &kafka.DeleteTopicsRequest{Topics: []string{"gone"}}); err != nil {
		t.Fatal(err)
	}
	answer, err := client.IncrementalAlterConfigs(t.Context(), &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: "auth", Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "max.message.bytes", Value: "8192", ConfigOperation: kafka.ConfigOperationSet}}}}})
	if err != nil || answer.Resources[0].Error != nil {
		t.Fatal(err, answer)
	}
	l := h.letters(nil, "auth", "gone")
	receipt, err := l.Replay(t.Context(), deadletter.Selection{}, deadletter.ReplayOptions{Limit: 100})
	if !errors.Is(err, deadletter.ErrRefused) || !strings.HasPrefix(receipt.Problem, "Kafka says: ") {
		t.Errorf("the replay says %q: %v", receipt.Problem, err)
	}
	h.expect(receipt, map[deadletter.Outcome]int{deadletter.Sent: 4, deadletter.Failed: 2}, nil)
	for _, e := range receipt.Letters {
		if e.Outcome == deadletter.Failed && !strings.HasPrefix(e.Detail, "Kafka says: ") {
			t.Errorf("%+v", e)
		}
	}
	_, stop = h.run(h.config("auth"))
	h.follow(l, receipt)
	stop()
}

// TestPersonalDataIsNotSentAgain: a payload that was kept, and that the contract takes for personal data now, stays where
// it is.
func TestPersonalDataIsNotSentAgain(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	m := h.auth(1)
	m.Value = bytes.Replace(m.Value, []byte(`"H29"`), []byte(`"001099012345"`), 1)
	r := event.Rejection{Reason: "unknown_type", KeepPayload: true, Payload: m.Value, Key: m.Key, SHA256: sha256.Sum256(m.Value)}
	for _, header := range m.Headers {
		r.Headers = append(r.Headers, event.Header{Key: header.Key, Value: header.Value})
	}
	if err := h.db.Client.Conn().Exec(t.Context(), fmt.Sprintf("INSERT INTO dead_letters (received_at, reason, sha256, topic, partition, offset) VALUES (now64(3), 'unknown_type', unhex('%x'), 'auth', 0, 0)", r.SHA256)); err != nil {
		t.Fatal(err)
	}
	h.send("dead", deadletter.Message(event.Place{Topic: "auth"}, &r))
	l := h.letters(nil, "auth")
	for _, dry := range []bool{true, false} {
		receipt, err := l.Replay(t.Context(), deadletter.Selection{}, deadletter.ReplayOptions{Limit: 10, DryRun: dry})
		if err != nil {
			t.Fatal(err)
		}
		h.expect(receipt, map[deadletter.Outcome]int{deadletter.NotKept: 1}, nil)
		if !strings.Contains(receipt.Letters[0].Detail, "now takes it for personal data") {
			t.Errorf("%+v", receipt.Letters[0])
		}
	}
}

// TestFollowKnowsLives: what became of a record of an earlier life of the topic, at the same offset and of the same
// letter, is not what became of this one.
func TestFollowKnowsLives(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	_, stop := h.run(h.config("auth"))
	h.send("auth", kafka.Message{Value: []byte("no json")})
	h.wait("SELECT count() FROM dead_letters", 1)
	h.deadLetters(1)
	stop()
	if err := h.db.Client.Conn().Exec(t.Context(), `INSERT INTO dead_letter_replays (origin_topic, origin_offset, topic, partition, record_offset, received_at, outcome)
		VALUES ('auth', 0, 'auth', 0, 1, now64(3) - INTERVAL 1 HOUR, 'repeated')`); err != nil {
		t.Fatal(err)
	}
	l := h.letters(nil, "auth")
	receipt := h.replay(l, deadletter.Selection{})
	if e := receipt.Letters[0]; e.Record == nil || e.Record.Offset != 1 {
		t.Fatalf("%+v", e)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	err := l.Follow(ctx, receipt, nil)
	cancel()
	if err == nil {
		t.Errorf("nothing ingests, and the result is %+v", receipt.Letters[0])
	}
	_, stop = h.run(h.config("auth"))
	defer stop()
	h.follow(l, receipt)
	h.expect(receipt, map[deadletter.Outcome]int{deadletter.Sent: 1}, map[deadletter.Result]int{deadletter.ResultRejected: 1})
}

// TestShowWithoutKafka: the facts of a letter are told within seconds, also when the broker takes connections and says
// nothing.
func TestShowWithoutKafka(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	_, stop := h.run(h.config("auth"))
	h.send("auth", kafka.Message{Value: []byte("no json")})
	h.wait("SELECT count() FROM dead_letters", 1)
	stop()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	for name, address := range map[string]string{"silent": silent.Addr().String(), "down": "127.0.0.1:1"} {
		h.broker = address
		started := time.Now()
		d, err := h.letters(nil, "auth").Show(t.Context(), event.Place{Topic: "auth"}, true)
		if err != nil || d.Payload != deadletter.Unread || d.Reason != "not_json" || d.Record != nil {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
		if elapsed := time.Since(started); elapsed > 9*time.Second {
			t.Errorf("%s: it took %s", name, elapsed)
		}
	}
}
