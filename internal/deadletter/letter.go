package deadletter

import (
	"slices"
	"time"

	"ioc.local/ingest/event"
)

// Letter is what is known of a rejected record. Nothing of it is the record's content, but for a type and a source that
// are well-formed.
type Letter struct {
	// Place is the origin, where the record was rejected first; it identifies the letter.
	Place event.Place `json:"letter"`
	// ReceivedAt is the clock of the range that rejected it, RecordTime the timestamp of the Kafka record.
	ReceivedAt time.Time `json:"received_at"`
	RecordTime time.Time `json:"record_time"`
	// Reason and Field are why it was rejected first; Field is empty when the record as a whole is at fault.
	Reason string `json:"reason"`
	Field  string `json:"field"`
	// Type and Source are empty where they were not readable, or not well-formed.
	Type   string `json:"type"`
	Source string `json:"source"`
	// Size is that of the payload in bytes, SHA256 its hash in hexadecimal, empty when the payload is withheld.
	Size   uint32 `json:"size"`
	SHA256 string `json:"sha256,omitempty"`
	// Withheld says that the payload is kept nowhere, or is not given any more: it may hold personal data.
	Withheld bool `json:"withheld"`
	// State is how the letter stands, Replays how often it was sent again and ingested, Last the newest of these. In a
	// list they go by the letter's name, which any producer can put into a header; Show compares with the record, where
	// the dead-letter topic has it.
	State   State    `json:"state"`
	Replays int      `json:"replays"`
	Last    *Attempt `json:"last_replay,omitempty"`

	// hash is SHA256, also where that is not told; attempts are those that may be its own.
	hash     string
	attempts []Attempt
}

// Settled says that the letter needs no other replay: its event counts.
func (l *Letter) Settled() bool { return l.State == StateAccepted || l.State == StateDuplicate }

// Attempt is a replay that was ingested.
type Attempt struct {
	// Record is the place of the record that was sent again.
	Record event.Place `json:"record"`
	// At is the clock of the range that judged it.
	At time.Time `json:"at"`
	// Outcome is accepted, duplicate (an event with the same source and id was there), repeated (the letter was settled
	// before) or rejected.
	Outcome string `json:"outcome"`
	// Reason and Field say why it was rejected again.
	Reason string `json:"reason,omitempty"`
	Field  string `json:"field,omitempty"`

	// hash is that of what was rejected again, withheld says that it may hold personal data; letter is the identity of
	// the letter that was sent.
	hash     string
	withheld bool
	letter   event.Identity
}

// Payload says where the payload of a letter is.
type Payload string

// Where a payload can be.
const (
	// InTopic: the dead-letter topic has it.
	InTopic Payload = "in_topic"
	// Withheld: it is kept nowhere, or not given any more, since it may hold personal data.
	Withheld Payload = "withheld"
	// Gone: the dead-letter topic does not have it: its retention is over, or the broker never took it.
	Gone Payload = "gone"
	// TooLarge: it was left out, since the topic does not take letters of that size.
	TooLarge Payload = "too_large"
	// Unread: it was not found within the bounds on what is read of the topic and how long, or Kafka did not answer.
	Unread Payload = "unread"
	// Off: no dead-letter topic is configured, and payloads are kept nowhere.
	Off Payload = "off"
)

// Detail is everything about one letter.
type Detail struct {
	Letter
	// Attempts are the replays that were ingested, in the order of their records.
	Attempts []Attempt `json:"attempts"`
	// Payload says where the payload is.
	Payload Payload `json:"payload"`
	// Record is the record as it was sent, when it was asked for and is there.
	Record *Record `json:"record,omitempty"`
}

// Record is a rejected record. In JSON its bytes are base64.
type Record struct {
	Key     []byte         `json:"key"`
	Headers []RecordHeader `json:"headers"`
	Value   []byte         `json:"value"`
}

// RecordHeader is one of its headers.
type RecordHeader struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

// stand works out the state from all attempts.
func (l *Letter) stand(attempts []Attempt) {
	l.State, l.Replays, l.Last = StateNew, len(attempts), nil
	hidden := l.Withheld
	for i := range attempts {
		a := &attempts[i]
		l.Last = a
		hidden = hidden || a.withheld
		switch {
		case a.Outcome == "accepted":
			l.State = StateAccepted
		case a.Outcome == "duplicate" && l.State != StateAccepted:
			l.State = StateDuplicate
		case a.Outcome == "rejected" && l.State == StateNew:
			l.State = StateRejectedAgain
		}
	}
	if l.SHA256 = l.hash; hidden {
		l.SHA256 = ""
	}
}

// possible leaves out what was another record under the letter's name, as far as hashes of payloads tell.
func (l *Letter) possible(attempts []Attempt) []Attempt {
	return slices.DeleteFunc(attempts, func(a Attempt) bool { return a.Outcome == "rejected" && !a.withheld && a.hash != l.hash })
}

// identify completes what is known of the letter with the identity that its record has: an attempt with another one was
// not the letter's. One that was rejected for personal data now says so of the letter.
func (l *Letter) identify(id event.Identity) {
	l.attempts = slices.DeleteFunc(l.attempts, func(a Attempt) bool { return a.letter != id })
	l.Withheld = l.Withheld || slices.ContainsFunc(l.attempts, func(a Attempt) bool { return a.withheld })
	l.stand(l.attempts)
}
