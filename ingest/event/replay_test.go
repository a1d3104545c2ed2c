package event

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlaces(t *testing.T) {
	for _, text := range []string{"a/0/0", "ioc.dossier.v1/4/17", "A_b-c.9@12/2147483647/9223372036854775807"} {
		p, err := ParsePlace(text)
		if err != nil || p.String() != text {
			t.Errorf("%s is read as %v: %v", text, p, err)
		}
	}
	for _, text := range []string{"", "/", "//", "a/0", "a/0/", "a//0", "/0/0", "a/0/-1", "a/0/+1", "a/00/1", "a/0/01", "a/2147483648/0", "a/0/9223372036854775808",
		"a@/0/0", "a@0/0/0", "a@01/0/0", "a@1@2/0/0", "a b/0/0", "a/b/0/0", "á/0/0", strings.Repeat("a", 250) + "/0/0", "a/0/0 ", "a/ 0/0"} {
		if p, err := ParsePlace(text); err == nil {
			t.Errorf("%q is read as %v", text, p)
		}
	}
	p := Place{Topic: "a.b@3", Partition: 1, Offset: 2}
	if p.KafkaTopic() != "a.b" || p.Incarnation() != 3 || (Place{Topic: "a"}).Incarnation() != 0 {
		t.Errorf("%v is incarnation %d of %s", p, p.Incarnation(), p.KafkaTopic())
	}
	var read Place
	text, _ := p.MarshalText()
	if err := read.UnmarshalText(text); err != nil || read != p {
		t.Errorf("%s is read as %v: %v", text, read, err)
	}
}

// replayer is a decoder that remembers settled letters.
type replayer struct {
	*Decoder
	batch   *Batch
	settled map[Identity]bool
}

func newReplayer(t *testing.T, topic string) *replayer {
	r := &replayer{Decoder: newTestDecoder(t), batch: NewBatch(), settled: map[Identity]bool{}}
	r.UseReplays(Replays{Settled: func(id Identity) bool { return r.settled[id] }, Settle: func(id Identity) { r.settled[id] = true }})
	r.batch.Reset(topic, 3, testClock)
	return r
}

// again decodes a record with the headers at an offset.
func (r *replayer) again(offset int64, value []byte, seen bool, headers ...string) Verdict {
	rec := &Record{Offset: offset, Time: testClock, Key: []byte("k"), Value: value}
	for i := 0; i < len(headers); i += 2 {
		rec.Headers = append(rec.Headers, Header{headers[i], []byte(headers[i+1])})
	}
	return r.Decode(r.batch, rec, func(Identity) bool { return seen })
}

// Which records are dead letters sent again, and what becomes of them.
func TestReplayOutcomes(t *testing.T) {
	valid, invalid := example(t, "auth.attempt.json"), []byte("no json")
	const topic = "ioc.a.v1@2"
	for name, c := range map[string]struct {
		origin  string
		value   []byte
		seen    bool
		verdict Verdict
		outcome string // "" when the header is one like any other
	}{
		"accepted":                {origin: "ioc.a.v1@2/3/5", value: valid, outcome: "accepted"},
		"of an earlier life":      {origin: "ioc.a.v1/3/999", value: valid, outcome: "accepted"},
		"duplicate by identity":   {origin: "ioc.a.v1@2/3/5", value: valid, seen: true, verdict: Duplicate, outcome: "duplicate"},
		"rejected again":          {origin: "ioc.a.v1@2/3/5", value: invalid, verdict: Rejected, outcome: "rejected"},
		"its own offset":          {origin: "ioc.a.v1@2/3/10", value: valid},
		"a later offset":          {origin: "ioc.a.v1@2/3/11", value: valid},
		"a later life":            {origin: "ioc.a.v1@3/3/5", value: valid},
		"another partition":       {origin: "ioc.a.v1@2/2/5", value: valid},
		"another topic":           {origin: "ioc.b.v1@2/3/5", value: valid},
		"not a place":             {origin: "ioc.a.v1@2/3/05", value: valid},
		"not a place, not valid":  {origin: "ioc.a.v1@2/3/05", value: invalid, verdict: Rejected},
		"offset like a person's":  {origin: "ioc.a.v1/3/123456789", value: invalid, verdict: Rejected, outcome: "rejected"},
		"personal data elsewhere": {origin: "me@example.com", value: invalid, verdict: Rejected},
	} {
		r := newReplayer(t, topic)
		if got := r.again(10, c.value, c.seen, "x", "1", OriginHeader, c.origin, "y", "2"); got != c.verdict {
			t.Errorf("%s: %v, want %v", name, got, c.verdict)
		}
		var want map[string]int
		if c.outcome != "" {
			want = map[string]int{c.outcome: 1}
		}
		if diff := cmp.Diff(want, r.batch.Replays()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if settled := c.outcome == "accepted" || c.outcome == "duplicate"; settled != (len(r.settled) == 1) {
			t.Errorf("%s: %d letters are settled", name, len(r.settled))
		}
		for _, rejection := range r.batch.Rejections() {
			kept := []Header{{"x", []byte("1")}, {OriginHeader, []byte(c.origin)}, {"y", []byte("2")}}
			switch {
			case c.outcome != "":
				from, _ := ParsePlace(c.origin)
				if diff := cmp.Diff([]Header{kept[0], kept[2]}, rejection.Headers); diff != "" || rejection.Origin != from || !rejection.KeepPayload {
					t.Errorf("%s: origin %v, kept %v, headers (-want +got):\n%s", name, rejection.Origin, rejection.KeepPayload, diff)
				}
			case name == "personal data elsewhere":
				if rejection.KeepPayload || len(rejection.Headers) > 0 {
					t.Errorf("%s: kept", name)
				}
			default:
				if diff := cmp.Diff(kept, rejection.Headers); diff != "" || rejection.Origin != (Place{}) {
					t.Errorf("%s: origin %v, headers (-want +got):\n%s", name, rejection.Origin, diff)
				}
			}
		}
		if rows := r.batch.Rows(); rows != 1+len(r.batch.Replays()) {
			t.Errorf("%s: %d rows", name, rows)
		}
		r.batch.Reset(topic, 3, testClock)
		if r.batch.Replays() != nil || len(r.batch.Blocks()) != 0 {
			t.Errorf("%s: a reset batch has %v", name, r.batch.Replays())
		}
	}
}

// A letter that is settled is a duplicate, whatever it would be judged now; and only that letter is.
func TestSettledLettersAreDuplicates(t *testing.T) {
	valid, invalid := example(t, "auth.attempt.json"), []byte("no json")
	r := newReplayer(t, "ioc.a.v1")
	const origin = "ioc.a.v1/3/5"
	// Somebody else's record with the origin of the letter is not the letter.
	if got := r.again(10, example(t, "data.query.json"), false, OriginHeader, origin); got != Accepted {
		t.Fatalf("the foreign record is %v", got)
	}
	if got := r.again(11, valid, false, "x", "1", OriginHeader, origin); got != Accepted {
		t.Fatalf("the letter is %v", got)
	}
	for offset := int64(12); offset < 15; offset++ {
		if got := r.again(offset, valid, false, "x", "1", OriginHeader, origin); got != Duplicate {
			t.Fatalf("its repetition is %v", got)
		}
	}
	// The same bytes that another contract rejects, as when a type was taken away.
	letter := letterOf(Place{"ioc.a.v1", 3, 6}, &Record{Key: []byte("k"), Value: invalid})
	r.settled[LetterIdentity(letter[:])] = true
	if got := r.again(15, invalid, false, OriginHeader, "ioc.a.v1/3/6"); got != Duplicate {
		t.Errorf("a settled letter that is not valid any more is %v", got)
	}
	if diff := cmp.Diff(map[string]int{"accepted": 2, "repeated": 4}, r.batch.Replays()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n, skipped := r.batch.blocks[authAttempts].Rows(), r.batch.blocks[skippedOffsets].Rows(); n != 1 || skipped != 4 {
		t.Errorf("%d rows of the event, %d skipped", n, skipped)
	}
	if got := rowOf(r.batch.blocks[skippedOffsets], 0)["source"]; got != "/eid_auth/G01" {
		t.Errorf("the duplicate is of %v", got)
	}
}

// A range that an older version recorded is read as that version read it.
func TestOlderVersionsKnowNoReplays(t *testing.T) {
	r := newReplayer(t, "ioc.a.v1")
	r.UseVersion(2)
	for offset := range int64(2) {
		if got := r.again(10+offset, example(t, "auth.attempt.json"), false, OriginHeader, "ioc.a.v1/3/5"); got != Accepted {
			t.Errorf("version 2 says %v", got)
		}
	}
	if r.batch.Replays() != nil {
		t.Errorf("version 2 knows %v", r.batch.Replays())
	}
}
