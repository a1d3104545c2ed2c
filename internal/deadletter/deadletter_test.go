package deadletter

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/segmentio/kafka-go"
	"pgregory.net/rapid"

	"ioc.local/ingest/event"
)

func readMessage(m kafka.Message) (stored, error) {
	var headers []event.Header
	for _, h := range m.Headers {
		headers = append(headers, event.Header{Key: h.Key, Value: h.Value})
	}
	return parse(headers, m.Value)
}

// A letter gives back the record that it was made of, whatever that is, and a replay sends it as it was.
func TestLettersKeepTheRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		place := event.Place{Topic: rapid.SampledFrom([]string{"ioc.a.v1", "ioc.a.v1@3"}).Draw(t, "topic"), Partition: rapid.Int32Min(0).Draw(t, "partition"), Offset: rapid.Int64Min(1).Draw(t, "offset")}
		r := event.Rejection{
			Reason: "not_json", Field: rapid.SampledFrom([]string{"", "data.x"}).Draw(t, "field"), KeepPayload: rapid.Bool().Draw(t, "keep"),
			Payload: rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "payload"), Key: rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "key"),
		}
		r.SHA256 = sha256.Sum256(r.Payload)
		name := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{headerReason, headerRecord, headerLeftOut, headerSHA256, headerKey, event.OriginHeader, "ce_id"}))
		for range rapid.IntRange(0, 4).Draw(t, "headers") {
			r.Headers = append(r.Headers, event.Header{Key: name.Draw(t, "header"), Value: rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "value")})
		}
		origin := place
		if rapid.Bool().Draw(t, "again") {
			r.Origin = event.Place{Topic: "ioc.a.v1", Partition: place.Partition, Offset: place.Offset - 1}
			origin = r.Origin
		}
		m := Message(place, &r)
		if string(m.Key) != origin.String() {
			t.Errorf("the key is %s, want %s", m.Key, origin)
		}
		s, err := readMessage(m)
		if err != nil {
			t.Fatal(err)
		}
		want := stored{origin: origin, place: place, kept: r.KeepPayload}
		if r.KeepPayload {
			want.record = event.Record{Offset: origin.Offset, Key: r.Key, Value: r.Payload, Headers: r.Headers}
		} else if len(m.Value) > 0 || len(m.Headers) > 6 {
			t.Errorf("a letter without payload has %d bytes and %d headers", len(m.Value), len(m.Headers))
		}
		if diff := cmp.Diff(want, s, cmp.AllowUnexported(stored{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("read (-want +got):\n%s", diff)
		}
		if bare, err := readMessage(WithoutPayload(place, &r)); err != nil || bare.kept || (bare.leftOut == leftOutTooLarge) != r.KeepPayload || bare.origin != origin {
			t.Errorf("without payload it is %+v: %v", bare, err)
		}
		if !r.KeepPayload {
			return
		}
		s.own()
		again := s.replay(origin, time.Now())
		value, _ := kafka.ReadAll(again.Value)
		var headers []event.Header
		for _, h := range again.Headers[:len(again.Headers)-1] {
			headers = append(headers, event.Header{Key: h.Key, Value: h.Value})
		}
		last := again.Headers[len(again.Headers)-1]
		if !bytes.Equal(value, r.Payload) || last.Key != event.OriginHeader || string(last.Value) != origin.String() || !s.is(hex.EncodeToString(r.SHA256[:])) {
			t.Errorf("replayed as %q %s", value, again.Headers)
		}
		if diff := cmp.Diff(r.Headers, headers, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("headers of the replay (-want +got):\n%s", diff)
		}
	})
}

// Letters that earlier versions wrote are read: those had five headers, or seven and those of the record.
func TestLettersOfEarlierVersions(t *testing.T) {
	payload := []byte("no json")
	sum := sha256.Sum256(payload)
	own := []kafka.Header{{Key: "ioc-reason", Value: []byte("not_json")}, {Key: "ioc-field"}, {Key: "ioc-topic", Value: []byte("auth")}, {Key: "ioc-partition", Value: []byte("0")}, {Key: "ioc-offset", Value: []byte("7")}}
	s, err := readMessage(kafka.Message{Headers: own})
	if err != nil || s.kept || s.leftOut != "" || s.origin != (event.Place{Topic: "auth", Offset: 7}) {
		t.Errorf("%+v, %v", s, err)
	}
	kept := append(append([]kafka.Header{}, own...), kafka.Header{Key: "ioc-sha256", Value: []byte(hex.EncodeToString(sum[:]))}, kafka.Header{Key: "ioc-key", Value: []byte("k")}, kafka.Header{Key: "ioc-record", Value: []byte("mine")})
	s, err = readMessage(kafka.Message{Headers: kept, Value: payload})
	if err != nil || !s.kept || string(s.record.Key) != "k" || len(s.record.Headers) != 1 || !s.is(hex.EncodeToString(sum[:])) {
		t.Errorf("%+v, %v", s, err)
	}
	// They did not say which life of the topic the record was of: the payload decides.
	for _, topic := range []string{"auth", "auth@2"} {
		one := newSearch()
		letter := &Letter{Place: event.Place{Topic: topic, Offset: 7}, hash: hex.EncodeToString(sum[:])}
		one.want(letter, nil)
		if w := one.match(&s); w == nil || w.letter != letter {
			t.Errorf("%s is not found", topic)
		}
		other := s
		other.record.Value = []byte("other")
		if w := one.match(&other); w != nil {
			t.Errorf("another payload is taken for that of %s", topic)
		}
	}
	for name, headers := range map[string][]kafka.Header{
		"nothing": nil, "too few": own[:4], "another order": {own[1], own[0], own[2], own[3], own[4]}, "no key": kept[:6],
		"no place": {own[0], own[1], own[2], own[3], {Key: "ioc-offset", Value: []byte("x")}}, "a slash": {own[0], own[1], {Key: "ioc-topic", Value: []byte("a/b")}, own[3], own[4]},
	} {
		if s, err := readMessage(kafka.Message{Headers: headers}); err == nil {
			t.Errorf("%s is read as %+v", name, s)
		}
	}
}

// A letter that no broker takes by default goes without its payload.
func TestLargestLetter(t *testing.T) {
	place := event.Place{Topic: "a"}
	r := event.Rejection{KeepPayload: true, Payload: make([]byte, MaxMessage)}
	if m := Message(place, &r); len(m.Value) > 0 || m.Headers[len(m.Headers)-1].Key != headerLeftOut || len(m.Headers) != 6 {
		t.Errorf("%d bytes, %s", len(m.Value), m.Headers)
	}
	r.Payload = make([]byte, MaxMessage-1000)
	if m := Message(place, &r); len(m.Value) != MaxMessage-1000 {
		t.Errorf("%d bytes", len(m.Value))
	}
}

func TestSelections(t *testing.T) {
	many := make([]string, maxValues+1)
	for filter, s := range map[string]Selection{
		"reason": {Reasons: []string{"x"}}, "state": {States: []State{"x"}}, "field": {Fields: many}, "source": {Sources: []string{strings.Repeat("x", maxText+1)}},
		"letters": {Letters: make([]event.Place, maxLetters+1)}, "from": {From: time.Unix(0, 0)}, "until": {From: time.Now(), Until: time.Now().Add(-time.Hour)},
	} {
		var wrong *SelectionError
		if err := s.Validate(); !errors.As(err, &wrong) || wrong.Filter != filter {
			t.Errorf("%s: %v", filter, err)
		}
		if s.Empty() {
			t.Errorf("%s selects nothing", filter)
		}
	}
	if !(Selection{}).Empty() || (Selection{}).Validate() != nil {
		t.Error("all letters are not all letters")
	}
	if err := (Selection{States: []State{"x"}}).Validate(); !strings.HasSuffix(err.Error(), "the states are new, rejected_again, accepted, duplicate") {
		t.Error(err)
	}
	c := cursor{at: 1763700000000, place: event.Place{Topic: "a@2", Partition: 3, Offset: 4}, oldest: true}
	if got, err := parseCursor(c.String(), true); err != nil || *got != c {
		t.Errorf("%s is read as %v: %v", c, got, err)
	}
	for _, text := range []string{"x", "o", "o1", "o1.", "o1.a/0", "n1.a/0/0", "o01.a/0/0", "o1.a/0/0 ", "o1x.a/0/0", "o-1 .a/0/0"} {
		if got, err := parseCursor(text, true); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

// The hash of a receipt is what a reader computes from its lines.
func TestReceipts(t *testing.T) {
	r := Receipt{Letters: []Entry{{Place: event.Place{Topic: "a", Offset: 1}, Outcome: Sent}, {Place: event.Place{Topic: "b@1", Partition: 2, Offset: 3}, Outcome: AlreadyAccepted}}}
	r.seal()
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte("a/0/1 sent\nb@1/2/3 already_accepted\n"))); r.SHA256 != want {
		t.Errorf("the hash is %s, want %s", r.SHA256, want)
	}
	if diff := cmp.Diff(map[Outcome]int{Sent: 1, AlreadyAccepted: 1}, r.Counts); diff != "" || !r.Settled() {
		t.Errorf("settled %v, counts (-want +got):\n%s", r.Settled(), diff)
	}
	for _, change := range []func(*Receipt){
		func(r *Receipt) { r.Next = "x" }, func(r *Receipt) { r.Problem = "x" }, func(r *Receipt) { r.Results = map[Result]int{ResultRejected: 1} },
		func(r *Receipt) { r.Letters = append(r.Letters, Entry{Outcome: NotKept}) },
	} {
		other := r
		change(&other)
		if other.Settled() {
			t.Errorf("%+v is settled", other)
		}
	}
}

// A letter's state is that of all its replays, whatever order they came in.
func TestStates(t *testing.T) {
	for outcomes, want := range map[string]State{
		"": StateNew, "rejected": StateRejectedAgain, "rejected rejected": StateRejectedAgain, "rejected accepted": StateAccepted, "accepted repeated": StateAccepted,
		"duplicate": StateDuplicate, "duplicate repeated": StateDuplicate, "accepted rejected": StateAccepted, "duplicate accepted": StateAccepted, "repeated": StateNew,
	} {
		var attempts []Attempt
		for _, outcome := range strings.Fields(outcomes) {
			attempts = append(attempts, Attempt{Outcome: outcome})
		}
		l := Letter{hash: "x"}
		if l.stand(attempts); l.State != want || l.Replays != len(attempts) || l.SHA256 != "x" {
			t.Errorf("%q is %+v, want %s", outcomes, l, want)
		}
	}
	// Another record under the letter's name: only of what was rejected the table knows the payload.
	me, other := event.Identity{1}, event.Identity{2}
	l := Letter{hash: "x"}
	l.attempts = l.possible([]Attempt{{Outcome: "accepted", letter: other}, {Outcome: "rejected", Reason: "a", hash: "y", letter: other}, {Outcome: "rejected", withheld: true, letter: other}, {Outcome: "rejected", Reason: "b", hash: "x", letter: me}})
	if l.stand(l.attempts); l.Replays != 3 || l.State != StateAccepted || l.Withheld || l.SHA256 != "" {
		t.Errorf("by its name the letter is %+v", l)
	}
	if l.identify(me); l.Replays != 1 || l.State != StateRejectedAgain || l.Last.Reason != "b" || l.Withheld || l.SHA256 != "x" {
		t.Errorf("by its record the letter is %+v", l)
	}
	l = Letter{hash: "x", attempts: []Attempt{{Outcome: "rejected", withheld: true, letter: me}}}
	if l.identify(me); !l.Withheld || l.SHA256 != "" {
		t.Errorf("what was found to be personal data later is %+v", l)
	}
}

// What a receipt says of an error names no host and no statement.
func TestProblemsLeakNothing(t *testing.T) {
	for _, err := range []error{errors.New("dial tcp 10.0.0.1:9092: refused"), fmt.Errorf("x 10.0.0.1: %w", kafka.NotLeaderForPartition)} {
		if text := problemText(err); strings.Contains(text, "10.0.0.1") || text == "" {
			t.Errorf("%v is told as %q", err, text)
		}
	}
}

// A search that has found its letters holds nothing of them, and a batch is measured with its headers.
func TestSearchesLetGo(t *testing.T) {
	s := newSearch()
	var all []*wanted
	for offset := range int64(3) {
		for _, topic := range []string{"a", "a@1", "a@2"} {
			s.want(&Letter{Place: event.Place{Topic: topic, Offset: offset}}, nil)
			all = append(all, s.wanted[event.Place{Topic: topic, Offset: offset}])
		}
	}
	for i, w := range all {
		if len(s.wanted) != len(all)-i {
			t.Errorf("%d of %d letters are looked for", len(s.wanted), len(all)-i)
		}
		s.drop(w)
	}
	if len(s.wanted)+len(s.unnamed) > 0 {
		t.Errorf("after all were found the search has %v and %v", s.wanted, s.unnamed)
	}
	w := all[0]
	w.found = &stored{record: event.Record{Key: make([]byte, 1000), Value: make([]byte, 2000), Headers: []event.Header{{Key: "x", Value: make([]byte, 3000)}}}}
	if n := w.size(); n < 6000 || n > 6300 {
		t.Errorf("a record of 6,001 bytes is measured as %d", n)
	}
}
