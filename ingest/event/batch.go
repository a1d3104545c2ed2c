package event

import (
	"crypto/sha256"
	"unsafe"
)

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
	replays    []replayOutcome
	words      []byte
	touched    []*Block
	subjects   []string
	// expectRows and expectBytes are what the range may come to in all, 0 where that is not known.
	expectRows, expectBytes int

	// The quality of the feeds in the range, made of the blocks when these are asked for.
	feed     *Block
	tally    feedTally
	feeds    []Feed
	bySource map[string]int // in feeds
	summed   int            // rows that feed was made of
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
	// Origin is where the record was rejected first, when it is a dead letter sent again; else it is zero.
	Origin Place
}

// NewBatch makes an empty batch. Reset must be called before its first use.
func NewBatch() *Batch {
	b := &Batch{touched: make([]*Block, 0, tableCount+1), feed: newBlock(&feedTable), bySource: make(map[string]int)}
	for i := range tables {
		b.blocks[i] = newBlock(&tables[i])
		b.blocks[i].batch = b
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
	b.expectRows, b.expectBytes = 0, 0
	for _, bl := range b.blocks[:deadLetters] {
		id, _ := bl.columns[topicAt].dictionary.id(b.topic)
		bl.fillWith(topicAt, int64(id))
		bl.fillWith(partitionAt, b.partition)
		bl.fillWith(receivedAt, clock)
	}
	clear(b.rejections) // they may point at large payloads
	clear(b.headers)
	b.rejections, b.headers, b.replays = b.rejections[:0], b.headers[:0], b.replays[:0]
	b.text.reset()
	b.feed.reset()
	b.summed = -1
}

// Expect says how many rows and bytes the range may come to, until the batch is reset. A block of many rows gets room for all of
// them at once, and none for more than the bytes.
func (b *Batch) Expect(rows, bytes int) {
	b.expectRows, b.expectBytes = rows, bytes
}

// Blocks lists the blocks that have rows, in the fixed order of inserts: tables of events, dead_letters,
// skipped_offsets, dead_letter_replays, feed_quality. The slice is valid until the next call.
func (b *Batch) Blocks() []*Block {
	b.sumFeeds()
	b.touched = b.touched[:0]
	for _, bl := range b.blocks {
		if bl.rows > 0 {
			b.touched = append(b.touched, bl)
		}
	}
	if b.feed.rows > 0 {
		b.touched = append(b.touched, b.feed)
	}
	return b.touched
}

// Rows is the number of rows in all blocks but that of feed_quality.
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
	b.skip(first, last, skippedGap, b.clock)
	b.blocks[skippedOffsets].append(&b.row)
}

// duplicate adds a row of skipped_offsets for a record whose event came before.
func (b *Batch) duplicate(rec *Record, l letter) {
	r := &b.row
	b.skip(rec.Offset, rec.Offset, skippedDuplicate, rec.Time)
	r.setText(skippedSource, l.source)
	if l.contract >= qualitySince {
		b.words = append(b.words[:0], shortType(unsafe.String(unsafe.SliceData(l.eventType), len(l.eventType)))...)
		r.setText(skippedType, b.words)
		r.setText(skippedProvince, l.province)
		r.setText(skippedProvince63, l.province63)
		r.setInt(skippedSensitive, l.sensitive)
		r.setInt(skippedContract, l.contract)
	}
	b.blocks[skippedOffsets].append(r)
}

func (b *Batch) skip(first, last int64, kind int64, recordTime int64) {
	r := &b.row
	r.present = 0
	r.setText(skippedTopic, b.topic)
	r.setInt(skippedPartition, b.partition)
	r.setInt(skippedFirst, first)
	r.setInt(skippedLast, last)
	r.setInt(skippedKind, kind)
	r.setInt(skippedReceived, b.clock)
	r.setInt(skippedTime, ClampTime(recordTime))
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
	r.setInt(letterReceived, b.clock)
	r.setText(letterReason, b.words[:len(l.reason)])
	r.setText(letterField, b.words[len(l.reason):])
	r.setText(letterType, l.eventType)
	r.setText(letterSource, l.source)
	r.setText(letterHash, rejection.SHA256[:])
	r.setInt(letterSize, int64(len(rec.Value)))
	r.setInt(letterTime, ClampTime(rec.Time))
	r.setText(letterTopic, b.topic)
	r.setInt(letterPartition, b.partition)
	r.setInt(letterOffset, rec.Offset)
	if l.contract >= qualitySince {
		r.setText(letterProvince, l.province)
		r.setText(letterProvince63, l.province63)
		r.setInt(letterSensitive, l.sensitive)
		r.setInt(letterContract, l.contract)
	}
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
