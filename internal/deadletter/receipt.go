package deadletter

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"ioc.local/ingest/event"
)

// Outcome is what a replay did with a letter.
type Outcome string

// The outcomes.
const (
	// Sent: the record is in Kafka again.
	Sent Outcome = "sent"
	// WouldSend is Sent in a dry run.
	WouldSend Outcome = "would_send"
	// AlreadyAccepted: an earlier replay settled the letter, or an event with its source and id is in ClickHouse.
	AlreadyAccepted Outcome = "already_accepted"
	// NotKept: it may hold personal data, so that the payload is kept nowhere; or the contract takes it for that now, and
	// it is not sent.
	NotKept Outcome = "payload_not_kept"
	// NotThere: the dead-letter topic does not have the payload: its retention is over, the letter was too large for it,
	// or the broker never took it. The detail says when a record under the letter's name was accepted: whether it was
	// this one cannot be told any more.
	NotThere Outcome = "payload_gone"
	// NotRead: the topic is not among those that ingestion reads (kafka.topics), so nobody would read the record.
	NotRead Outcome = "topic_not_read"
	// Failed: the broker did not take the record, or did not say so; the detail says whether it refuses it. Sending it
	// once more does no harm.
	Failed Outcome = "failed"
	// NotReached: the replay ended before it came to the letter.
	NotReached Outcome = "not_reached"
)

// Result is what became of a letter that was sent.
type Result string

// The results.
const (
	// ResultAccepted: the event counts.
	ResultAccepted Result = "accepted"
	// ResultDuplicate: the event was there already, by its source and id or by another replay of the letter.
	ResultDuplicate Result = "duplicate"
	// ResultRejected: it was rejected again.
	ResultRejected Result = "rejected"
)

// Entry is a letter in a receipt.
type Entry struct {
	Place  event.Place `json:"letter"`
	Reason string      `json:"reason"`
	Field  string      `json:"field"`
	Type   string      `json:"type"`
	Source string      `json:"source"`
	// Outcome is what the replay did, Detail why, where there is more to say.
	Outcome Outcome `json:"outcome"`
	Detail  string  `json:"detail,omitempty"`
	// Record is the place of the record that was sent.
	Record *event.Place `json:"record,omitempty"`
	// Judged is the verdict of this process's contract in a dry run: valid, or the reason of a rejection.
	Judged string `json:"judged,omitempty"`
	// Result is what ingestion said of the record, empty when it was not waited for; ResultReason and ResultField say why
	// it was rejected again.
	Result       Result `json:"result,omitempty"`
	ResultReason string `json:"result_reason,omitempty"`
	ResultField  string `json:"result_field,omitempty"`
}

// Receipt says what a replay did.
type Receipt struct {
	// At is when it began, By who wanted it.
	At time.Time `json:"at"`
	By string    `json:"by"`
	// DryRun says that nothing was sent.
	DryRun    bool      `json:"dry_run"`
	Selection Selection `json:"selection"`
	// Counts are the letters by outcome, Results those that were waited for by result.
	Counts  map[Outcome]int `json:"counts"`
	Results map[Result]int  `json:"results,omitempty"`
	// Scanned is how many letters of the dead-letter topic were read.
	Scanned int `json:"scanned"`
	// Problem says why letters were not reached or failed; empty when all went well.
	Problem string `json:"problem,omitempty"`
	// Next continues where the bound on letters ended this replay; empty when the selection was done.
	Next string `json:"next,omitempty"`
	// Letters are in the order of the selection, the oldest first.
	Letters []Entry `json:"letters"`
	// SHA256 is the hash of the letters and outcomes, by which the receipt can be quoted: of lines
	// "topic/partition/offset outcome", each with a line feed, in the order of Letters.
	SHA256 string `json:"sha256"`
}

// seal counts the outcomes and computes the hash.
func (r *Receipt) seal() {
	r.Counts = map[Outcome]int{}
	sum := sha256.New()
	for i := range r.Letters {
		r.Counts[r.Letters[i].Outcome]++
		fmt.Fprintf(sum, "%s %s\n", r.Letters[i].Place, r.Letters[i].Outcome)
	}
	r.SHA256 = hex.EncodeToString(sum.Sum(nil))
}

// Settled says that every letter of the selection needs no other replay, as far as is known: each was sent or is settled,
// and none that was waited for was rejected again.
func (r *Receipt) Settled() bool {
	ok := r.Counts[Sent] + r.Counts[WouldSend] + r.Counts[AlreadyAccepted]
	return r.Problem == "" && r.Next == "" && ok == len(r.Letters) && r.Results[ResultRejected] == 0
}
