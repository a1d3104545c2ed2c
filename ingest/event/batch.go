package event

import "crypto/sha256"

// Batch collects the rows of one range of offsets of one partition. It is reused from range to range and keeps its
// memory. It is not safe for concurrent use.
type Batch struct {
	blocks     [tableCount]*Block // by table
	topic      []byte
	partition  int64
	clock      int64
	text       arena // of rejections
	row        row   // of the two tables that no event describes
	rejections []Rejection
	headers    []Header
	words      []byte
	touched    []*Block
	subjects   []string
}

// Rejection is a rejected record as the dead-letter topic gets it. Its memory is valid until the batch is reset.
type Rejection struct {
	Offset     int64
	RecordTime int64 // Unix milliseconds.
	Reason     Reason
	Field      string // Path of the field, such as data.due_at; empty when the whole record is at fault.
	Type       string // Event type where it was readable.
	Source     string // Source where it was readable and well-formed.
	Size       int    // Bytes of the payload.
	// SHA256 is the hash of the payload, zeros when the payload is not kept.
	SHA256 [32]byte
	// KeepPayload tells whether Payload, Key and Headers are there. They are not when the record may hold personal data.
	KeepPayload bool
	Payload     []byte
	Key         []byte
	Headers     []Header
}

// NewBatch makes an empty batch. Reset must be called before its first use.
func NewBatch() *Batch {
	b := &Batch{touched: make([]*Block, 0, tableCount)}
	for i := range tables {
		b.blocks[i] = newBlock(&tables[i])
	}
	return b
}

// Reset empties the batch and keeps its memory. topic is the incarnation of the log that the rows will name, clock the
// recorded clock of the range in unix milliseconds: times are judged by it, and it is the received_at of every row.
func (b *Batch) Reset(topic string, partition int32, clock int64) {
	for _, bl := range b.blocks {
		bl.reset()
	}
	b.topic = append(b.topic[:0], topic...)
	b.partition, b.clock = int64(partition), clock
	clear(b.rejections) // they may point at large payloads
	clear(b.headers)
	b.rejections, b.headers = b.rejections[:0], b.headers[:0]
	b.text.reset()
}

// Blocks lists the blocks that have rows, in the fixed order of inserts: tables of events, dead_letters,
// skipped_offsets. The slice is valid until the next call.
func (b *Batch) Blocks() []*Block {
	b.touched = b.touched[:0]
	for _, bl := range b.blocks {
		if bl.rows > 0 {
			b.touched = append(b.touched, bl)
		}
	}
	return b.touched
}

// Rows is the number of rows in all blocks.
func (b *Batch) Rows() int {
	n := 0
	for _, bl := range b.blocks {
		n += bl.rows
	}
	return n
}

// Bytes is about the memory that the rows and the rejected payloads take.
func (b *Batch) Bytes() int {
	n := b.text.used
	for _, bl := range b.blocks {
		n += bl.bytes
	}
	return n
}

// Gap adds a row of skipped_offsets for the offsets from first to last, which the log does not hold.
func (b *Batch) Gap(first, last int64) {
	b.skip(first, last, skippedGap, nil, b.clock)
}

func (b *Batch) skip(first, last int64, kind int64, source []byte, recordTime int64) {
	r := &b.row
	r.present = 0
	r.setText(0, b.topic)
	r.setInt(1, b.partition)
	r.setInt(2, first)
	r.setInt(3, last)
	r.setInt(4, kind)
	r.setText(5, source)
	r.setInt(6, b.clock)
	r.setInt(7, ClampTime(recordTime))
	b.blocks[skippedOffsets].append(r)
}

// reject adds a dead letter, with the record itself if keep says so.
func (b *Batch) reject(rec *Record, l letter, keep bool) {
	b.rejections = append(b.rejections, Rejection{Offset: rec.Offset, RecordTime: rec.Time, Reason: l.reason, Field: l.field,
		Type: b.text.text(l.eventType), Source: b.text.text(l.source), Size: len(rec.Value), KeepPayload: keep})
	rejection := &b.rejections[len(b.rejections)-1]
	if keep {
		rejection.SHA256 = sha256.Sum256(rec.Value)
		rejection.Payload = b.text.bytes(rec.Value)
		rejection.Key = b.text.bytes(rec.Key)
		first := len(b.headers)
		for _, h := range rec.Headers {
			b.headers = append(b.headers, Header{h.Key, b.text.bytes(h.Value)})
		}
		rejection.Headers = b.headers[first:len(b.headers):len(b.headers)]
	}

	r := &b.row
	r.present = 0
	b.words = append(append(b.words[:0], l.reason...), l.field...)
	r.setInt(0, b.clock)
	r.setText(1, b.words[:len(l.reason)])
	r.setText(2, b.words[len(l.reason):])
	r.setText(3, l.eventType)
	r.setText(4, l.source)
	r.setText(5, rejection.SHA256[:])
	r.setInt(6, int64(len(rec.Value)))
	r.setInt(7, ClampTime(rec.Time))
	r.setText(8, b.topic)
	r.setInt(9, b.partition)
	r.setInt(10, rec.Offset)
	b.blocks[deadLetters].append(r)
}

// Rejections lists the rejected records in the order of their offsets, valid until Reset.
func (b *Batch) Rejections() []Rejection { return b.rejections }

// TouchedDossiers gives the registration day (days since 1970-01-01) and the id of the dossier of every accepted
// dossier event, repeated where events share a dossier. Both are valid until Reset, and the caller must not change them.
func (b *Batch) TouchedDossiers() (registeredOn []int32, subjects []string) {
	dossiers := b.blocks[dossierEvents]
	b.subjects = b.subjects[:0]
	for i := range dossiers.rows { // each row has both
		b.subjects = append(b.subjects, dossiers.columns[subjectAt].textAt(i))
	}
	return dossiers.columns[dossiers.table.at("registered_on")].i32, b.subjects
}
