package ingest

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ioc.local/ingest/event"
)

// Where the fields of a record batch of format 2 are. The length counts what follows it, the checksum covers what
// follows that.
const (
	batchLengthAt     = 8
	batchEpochAt      = 12
	batchMagicAt      = 16
	batchSumAt        = 17
	batchAttributesAt = 21
	batchLastAt       = 23
	batchBaseTimeAt   = 27
	batchMaxTimeAt    = 35
	batchProducerAt   = 43
	batchCountAt      = 57
	batchHeader       = 61
)

// The attributes of a batch.
const (
	batchCodec         = 0x07
	batchLogAppendTime = 0x08
	batchTransactional = 0x10
	batchControl       = 0x20
)

const (
	// maxNames bounds the header names that are remembered, so that a name costs no memory of its own each time, and
	// maxName their length.
	maxNames = 256
	maxName  = 64
	// maxHeaders bounds the headers of a record; of those behind only what decides about the record is kept. They take 40
	// bytes each, where a hostile producer needs two, or less when they are compressed.
	maxHeaders = 1024
	// abortMarker is the type of the control record that ends an aborted transaction.
	abortMarker = 0
)

// unreadableError says that a batch cannot be read, and that reading it again would not help unless the broker's copy
// of it is replaced.
type unreadableError struct {
	// offset is the first of the batch, or of the record in it; after is the first behind the batch, -1 where unknown.
	offset, after int64
	reason        string
}

// Error implements error.
func (e *unreadableError) Error() string { return fmt.Sprintf("offset %d: %s", e.offset, e.reason) }

// records reads the records of one partition out of the bytes of fetch responses, batch by batch. It leaves out what is
// not for consumers: markers of transactions and the records of aborted ones. Steps in the offsets that it returns are
// such records, or what compaction took; position says how far the batches reach, records or not.
type records struct {
	// position is the offset that is wanted next. Only what is below it has been read or left out.
	position int64
	// epoch is the leader epoch of the last batch opened, -1 before the first.
	epoch int32

	batches  []byte // those of the response that are not opened yet
	aborted  []kmsg.FetchResponseTopicPartitionAbortedTransaction
	aborting map[int64]bool // producers whose records are of an aborted transaction

	body     []byte // of the open batch, what is not read yet
	left     int    // records in it
	open     bool
	base     int64 // its first offset
	after    int64 // the first offset behind it
	previous int64 // the offset of its record that was read last
	baseTime int64
	appended int64 // when the broker appended it, if that is what its records are stamped with; else -1

	inflate inflater
	record  event.Record
	stamp   int64 // of record, as its producer set it
	names   map[string]string
}

func newRecords(position int64) *records {
	return &records{position: position, epoch: -1, aborting: map[int64]bool{}, inflate: inflater{limit: maxInflated}, names: map[string]string{}}
}

// load begins with a response. What was returned before is not valid any more.
func (r *records) load(response *kmsg.FetchResponseTopicPartition) {
	r.batches, r.open = response.RecordBatches, false
	r.aborted = response.AbortedTransactions
	slices.SortFunc(r.aborted, func(a, b kmsg.FetchResponseTopicPartitionAbortedTransaction) int {
		return cmp.Compare(a.FirstOffset, b.FirstOffset)
	})
	clear(r.aborting)
	r.after = 0
}

// next returns the next record, or nil at the end of the response. It is valid until the next call.
func (r *records) next() (*event.Record, error) {
	for {
		for r.open && r.left > 0 {
			wanted, err := r.read()
			if err != nil {
				return nil, err
			}
			if wanted {
				return &r.record, nil
			}
		}
		if r.open {
			if len(r.body) > 0 {
				return nil, r.unreadable("%d bytes behind the last record of the batch", len(r.body))
			}
			r.skip()
		}
		more, err := r.openBatch()
		if err != nil || !more {
			return nil, err
		}
	}
}

// drained tells whether nothing of the response is left.
func (r *records) drained() bool { return !r.open && len(r.batches) == 0 }

// drop forgets the rest of the response.
func (r *records) drop() { r.batches, r.body, r.open, r.left = nil, nil, false, 0 }

// skip goes on behind the open batch.
func (r *records) skip() {
	r.position = max(r.position, r.after)
	r.open, r.body, r.left = false, nil, 0
}

func (r *records) unreadable(format string, args ...any) error {
	return &unreadableError{offset: max(r.base, r.position), after: r.after, reason: fmt.Sprintf(format, args...)}
}

// openBatch opens the next batch that has a record for a consumer. It returns false at the end of the response, also
// where the broker cut its last batch off.
func (r *records) openBatch() (bool, error) {
	for len(r.batches) > batchMagicAt {
		b := r.batches
		base, length := int64(binary.BigEndian.Uint64(b)), int64(int32(binary.BigEndian.Uint32(b[batchLengthAt:])))
		before := r.after
		r.base, r.after = base, -1
		if magic := b[batchMagicAt]; magic != 2 {
			return false, r.unreadable("the log has messages of format %d here, as brokers before Kafka 0.11 wrote them; only format 2 is read", magic)
		}
		end := batchEpochAt + length
		if end < batchHeader {
			return false, r.unreadable("a batch of %d bytes", end)
		}
		if end > int64(len(b)) {
			break
		}
		lastDelta := int64(int32(binary.BigEndian.Uint32(b[batchLastAt:])))
		if base < before || lastDelta < 0 || base > math.MaxInt64-lastDelta-1 {
			return false, r.unreadable("a batch of %d offsets that begins at %d, behind one that ends before %d", lastDelta+1, base, before)
		}
		r.after = base + lastDelta + 1
		if sum := binary.BigEndian.Uint32(b[batchSumAt:]); crc32.Checksum(b[batchAttributesAt:end], castagnoli) != sum {
			return false, r.unreadable("the batch is corrupt, its checksum is not %08x; by its header it ends before %d", sum, r.after)
		}
		r.batches = b[end:]
		if r.after <= r.position {
			continue // the broker returns batches whole, from the one that holds the offset wanted
		}
		r.epoch = int32(binary.BigEndian.Uint32(b[batchEpochAt:]))
		wanted, err := r.prepare(b[:end])
		if err != nil {
			return false, err
		}
		if wanted {
			return true, nil
		}
		r.skip()
	}
	r.batches = nil
	return false, nil
}

// prepare makes the records of a batch ready, unless none of them is for consumers.
func (r *records) prepare(b []byte) (wanted bool, err error) {
	attributes := binary.BigEndian.Uint16(b[batchAttributesAt:])
	producer := int64(binary.BigEndian.Uint64(b[batchProducerAt:]))
	control := attributes&batchControl != 0
	for len(r.aborted) > 0 && r.aborted[0].FirstOffset < r.after {
		r.aborting[r.aborted[0].ProducerID] = true
		r.aborted = r.aborted[1:]
	}
	if !control && attributes&batchTransactional != 0 && r.aborting[producer] {
		return false, nil
	}
	r.left = int(int32(binary.BigEndian.Uint32(b[batchCountAt:])))
	r.body, err = r.inflate.inflate(b[batchHeader:], attributes&batchCodec)
	if err != nil {
		return false, r.unreadable("%v", err)
	}
	if r.left < 0 || r.left > len(r.body) {
		return false, r.unreadable("%d records in %d bytes", r.left, len(r.body))
	}
	r.baseTime, r.appended = int64(binary.BigEndian.Uint64(b[batchBaseTimeAt:])), -1
	if attributes&batchLogAppendTime != 0 {
		r.appended = int64(binary.BigEndian.Uint64(b[batchMaxTimeAt:]))
	}
	r.open, r.previous = true, r.base-1
	if !control {
		return true, nil
	}
	if r.left > 0 { // a log that was compacted keeps empty batches
		if _, err := r.read(); err != nil {
			return false, err
		}
		if key := r.record.Key; len(key) >= 4 && binary.BigEndian.Uint16(key[2:]) == abortMarker {
			delete(r.aborting, producer)
		}
	}
	return false, nil
}

// read takes the next record off the open batch, and tells whether it is one that is wanted.
func (r *records) read() (wanted bool, err error) {
	batch := fields{b: r.body}
	f := fields{b: batch.bytes(batch.count())}
	f.bytes(1) // attributes, of which there are none
	stamp, delta := r.baseTime+f.varint(), f.varint()
	if batch.bad || f.bad {
		return false, r.unreadable("the batch ends within a record")
	}
	if delta >= r.after-r.base || delta <= r.previous-r.base {
		return false, r.unreadable("a record %d behind the first offset, in a batch of %d offsets and after the record at %d", delta, r.after-r.base, r.previous)
	}
	r.body, r.left, r.previous = batch.b, r.left-1, r.base+delta
	if r.previous < r.position {
		return false, nil
	}
	key, value := f.nullable(), f.nullable()
	headers := r.record.Headers[:0]
	for range f.count() {
		name, value := f.bytes(f.count()), f.nullable()
		switch {
		case f.bad:
		case len(headers) < maxHeaders:
			headers = append(headers, event.Header{Key: r.name(name), Value: value})
		default:
			headers = r.keepBehind(headers, name, value)
		}
	}
	if f.bad || len(f.b) > 0 {
		return false, r.unreadable("the parts of the record at %d do not make up its length", r.previous)
	}
	// Only now, since the record before it is whole as long as this one is not: a range may end with it, and its mark.
	r.record.Offset, r.record.Time, r.stamp = r.previous, stamp, stamp
	if r.appended >= 0 {
		r.record.Time = r.appended
	}
	r.record.Key, r.record.Value, r.record.Headers = key, value, headers
	r.position = r.previous + 1
	return true, nil
}

// keepBehind keeps a header behind maxHeaders if what becomes of the record may depend on it: the first content type, an
// attribute of the event and its first repetition, which is an error, and the last origin of a dead letter, since a
// replay adds it behind the letter's own headers. A record must not be another one because of headers that nobody reads.
func (r *records) keepBehind(headers []event.Header, name, value []byte) []event.Header {
	const contentType = "content-type"
	most := 2
	switch string(name) {
	case "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject":
	case event.OriginHeader:
		behind := slices.DeleteFunc(headers[maxHeaders:], func(h event.Header) bool { return h.Key == event.OriginHeader })
		headers = headers[:maxHeaders+len(behind)]
	default:
		if len(name) != len(contentType) || !strings.EqualFold(string(name), contentType) {
			return headers
		}
		most = 1
	}
	header := event.Header{Key: r.name(name), Value: value}
	same := 0
	for i := range headers[maxHeaders:] {
		if strings.EqualFold(headers[maxHeaders+i].Key, header.Key) {
			same++
		}
	}
	if same >= most {
		return headers
	}
	return append(headers, header)
}

// name gives a header's name without allocating for one that is known.
func (r *records) name(b []byte) string {
	if name, ok := r.names[string(b)]; ok {
		return name
	}
	name := string(b)
	if len(r.names) < maxNames && len(name) <= maxName {
		r.names[name] = name
	}
	return name
}

// fields takes the fields of a record off its bytes. What does not fit sets bad, and from then on everything is empty.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) varint() int64 {
	if len(f.b) > 0 && f.b[0] < 0x80 { // most are one byte
		u := int64(f.b[0])
		f.b = f.b[1:]
		return u>>1 ^ -(u & 1)
	}
	return f.longVarint()
}

func (f *fields) longVarint() int64 {
	v, n := binary.Varint(f.b)
	if n <= 0 {
		f.b, f.bad = nil, true
		return 0
	}
	f.b = f.b[n:]
	return v
}

// count is a number of things of at least one byte each, such as the length of a text.
func (f *fields) count() int { return f.atMost(f.varint()) }

func (f *fields) atMost(v int64) int {
	if v < 0 || v > int64(len(f.b)) {
		f.b, f.bad = nil, true
		return 0
	}
	return int(v)
}

func (f *fields) bytes(n int) []byte {
	if n > len(f.b) {
		f.b, f.bad = nil, true
		return nil
	}
	b := f.b[:n:n]
	f.b = f.b[n:]
	return b
}

// nullable is a text that may be missing.
func (f *fields) nullable() []byte {
	n := f.varint()
	if n == -1 {
		return nil
	}
	return f.bytes(f.atMost(n))
}
