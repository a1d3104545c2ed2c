package event

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
)

// OriginHeader is the header of a record that is a dead letter sent again: its value is the Place where the record was
// rejected first. The rest of the record is as it was.
const OriginHeader = "ioc-origin"

// replaysSince is the version of the contract that brought replays: a range that was recorded by an older one knows no
// OriginHeader.
const replaysSince = 3

// Replays remembers the dead letters that are settled: one that was sent again was accepted, or its event was there
// already. A letter that is settled is a duplicate for ever.
type Replays struct {
	// Settled tells whether a letter is.
	Settled func(letter Identity) bool
	// Settle remembers that it is.
	Settle func(letter Identity)
}

// replayOutcome is what became of a record that was sent again, as in the schema's enumeration.
type replayOutcome int64

const (
	replayAccepted  replayOutcome = 1
	replayDuplicate replayOutcome = 2 // by source and id
	replayRepeated  replayOutcome = 3 // by the letter
	replayRejected  replayOutcome = 4
)

var replayOutcomes = map[replayOutcome]string{
	replayAccepted: "accepted", replayDuplicate: "duplicate", replayRepeated: "repeated", replayRejected: "rejected",
}

// ReplayOutcomes lists what can become of a record that was sent again, as the table dead_letter_replays says it.
func ReplayOutcomes() []string { return []string{"accepted", "duplicate", "repeated", "rejected"} }

// SettledOutcomes are those after which a letter was settled by the record, for reading them back.
func SettledOutcomes() []string { return []string{"accepted", "duplicate"} }

// LetterIdentity is the identity of a letter by the column letter of dead_letter_replays.
func LetterIdentity(letter []byte) (id Identity) {
	copy(id[:], letter)
	return id
}

// UseReplays makes the decoder honour OriginHeader. Without it the header is one like any other.
func (d *Decoder) UseReplays(r Replays) { d.replays = r }

// replayOf finds out whether the record is a dead letter sent again to its own partition, and takes the header away, so
// that what is left is the record as it was. A header that names another partition, or an offset that is not below the
// record's own, is one like any other. Of several only the last is looked at: a replay adds it at the end.
func (d *Decoder) replayOf(b *Batch, rec *Record) (Place, bool) {
	if d.replays.Settled == nil || d.version < replaysSince {
		return Place{}, false
	}
	for i := len(rec.Headers) - 1; i >= 0; i-- {
		if rec.Headers[i].Key != OriginHeader {
			continue
		}
		from, err := ParsePlace(string(rec.Headers[i].Value))
		own := Place{Topic: string(b.topic), Partition: int32(b.partition), Offset: rec.Offset}
		if err != nil || from.KafkaTopic() != own.KafkaTopic() || from.Partition != own.Partition ||
			from.Incarnation() > own.Incarnation() || from.Topic == own.Topic && from.Offset >= own.Offset {
			return Place{}, false
		}
		rec.Headers = slices.Concat(rec.Headers[:i], rec.Headers[i+1:])
		return from, true
	}
	return Place{}, false
}

// decodeReplay is Decode for a record that is a dead letter sent again.
func (d *Decoder) decodeReplay(b *Batch, rec *Record, seen func(Identity) bool, from Place) Verdict {
	letter := letterOf(from, rec)
	id := LetterIdentity(letter[:])
	if d.replays.Settled(id) {
		d.start()
		f := d.read(rec, b.clock)
		if f == nil {
			f = &fault{}
		}
		b.duplicate(rec, d.tell(f))
		b.replay(rec, from, letter, replayRepeated)
		return Duplicate
	}
	verdict := d.decode(b, rec, seen)
	switch verdict {
	case Rejected:
		b.rejections[len(b.rejections)-1].Origin = from
		b.replay(rec, from, letter, replayRejected)
	case Duplicate:
		d.replays.Settle(id)
		b.replay(rec, from, letter, replayDuplicate)
	default:
		d.replays.Settle(id)
		b.replay(rec, from, letter, replayAccepted)
	}
	return verdict
}

// LetterOf is the identity of the letter of a place whose record was this one, without the OriginHeader of a replay: what
// ingestion goes by, and what the column letter of dead_letter_replays says.
func LetterOf(from Place, rec *Record) Identity {
	sum := letterOf(from, rec)
	return LetterIdentity(sum[:])
}

// letterOf identifies a letter by what it is, not only by where it is said to be from: a record that a producer gave
// the origin of somebody else's letter does not settle that letter.
func letterOf(from Place, rec *Record) (sum [sha256.Size]byte) {
	h := sha256.New()
	part := func(p []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		write(h, n[:])
		write(h, p)
	}
	part([]byte(from.String()))
	part(rec.Key)
	part(rec.Value)
	for i := range rec.Headers {
		part([]byte(rec.Headers[i].Key))
		part(rec.Headers[i].Value)
	}
	h.Sum(sum[:0])
	return sum
}

func write(h hash.Hash, p []byte) { _, _ = h.Write(p) } // never fails

// replay adds a row of dead_letter_replays.
func (b *Batch) replay(rec *Record, from Place, letter [sha256.Size]byte, outcome replayOutcome) {
	r := &b.row
	r.present = 0
	r.setText(0, []byte(from.Topic))
	r.setInt(1, from.Offset)
	r.setText(2, b.topic)
	r.setInt(3, b.partition)
	r.setInt(4, rec.Offset)
	r.setInt(5, b.clock)
	r.setInt(6, int64(outcome))
	r.setText(7, letter[:])
	b.blocks[deadLetterReplays].append(r)
	b.replays = append(b.replays, outcome)
}

// Replays counts the records of the range that were dead letters sent again, by outcome. It is nil where there are none.
func (b *Batch) Replays() map[string]int {
	if len(b.replays) == 0 {
		return nil
	}
	n := map[string]int{}
	for _, outcome := range b.replays {
		n[replayOutcomes[outcome]]++
	}
	return n
}

// Judgement is what a Decoder says of a record without making a row of it.
type Judgement struct {
	// Source and ID identify the event, where the record has both.
	Source, ID string
	// Reason and Field say why the record would be rejected; Reason is empty when it is valid.
	Reason Reason
	Field  string
}

// Judge reads a record by the contract in use, at a clock reading in Unix milliseconds.
func (d *Decoder) Judge(rec *Record, clock int64) Judgement {
	d.start()
	var j Judgement
	if f := d.read(rec, clock); f != nil {
		j.Reason, j.Field = f.reason, f.field
	}
	j.Source, j.ID = string(d.attributes[attributeSource]), string(d.attributes[attributeID])
	return j
}
