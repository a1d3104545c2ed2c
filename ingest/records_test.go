package ingest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"ioc.local/ingest/event"
	"ioc.local/internal/reference"
)

// logBatch is a record batch that a test writes.
type logBatch struct {
	base       int64
	deltas     []int32 // of the records that are there
	lastDelta  int32
	codec      int16
	attributes int16
	producer   int64
	abort      bool // of a control batch
	payload    func(offset int64) []byte
}

var codecs = map[int16]kgo.CompressionCodec{
	codecGzip: kgo.GzipCompression(), codecSnappy: kgo.SnappyCompression(), codecLZ4: kgo.Lz4Compression(), codecZstd: kgo.ZstdCompression(),
}

func (b logBatch) bytes(t testing.TB) []byte {
	t.Helper()
	const baseTime, maxTime = 1_763_700_000_000, 1_763_700_099_999
	var body []byte
	for _, delta := range b.deltas {
		r := kmsg.Record{TimestampDelta64: int64(delta) * 7, OffsetDelta: delta}
		offset := b.base + int64(delta)
		switch {
		case b.attributes&batchControl != 0:
			kind := uint16(1)
			if b.abort {
				kind = abortMarker
			}
			r.Key, r.Value = binary.BigEndian.AppendUint16([]byte{0, 0}, kind), make([]byte, 6)
		case b.payload != nil:
			r.Value = b.payload(offset)
		default:
			r.Key, r.Value = fmt.Appendf(nil, "key %d", offset), bytes.Repeat(fmt.Appendf(nil, "value %d", offset), int(offset%5))
			if offset%3 == 0 {
				r.Key = nil
			}
			if offset%7 == 0 {
				r.Value = nil // a tombstone
			}
			for n := range offset % 4 {
				h := kmsg.Header{Key: fmt.Sprintf("ce_%d", n), Value: fmt.Append(nil, offset)}
				if n == 2 {
					h.Value = nil
				}
				r.Headers = append(r.Headers, h)
			}
		}
		encoded := r.AppendTo(nil) // with a length of 0, which is one byte
		body = append(binary.AppendVarint(body, int64(len(encoded)-1)), encoded[1:]...)
	}
	if codec, ok := codecs[b.codec]; ok {
		compressor, err := kgo.DefaultCompressor(codec)
		if err != nil {
			t.Fatal(err)
		}
		body, _ = compressor.Compress(new(bytes.Buffer), body)
	}
	batch := kmsg.RecordBatch{
		FirstOffset: b.base, Length: int32(batchHeader - batchEpochAt + len(body)), PartitionLeaderEpoch: 3, Magic: 2,
		Attributes: b.codec | b.attributes, LastOffsetDelta: b.lastDelta, FirstTimestamp: baseTime, MaxTimestamp: maxTime,
		ProducerID: b.producer, NumRecords: int32(len(b.deltas)), Records: body,
	}
	return sum(batch.AppendTo(nil))
}

// sum gives a batch the checksum of what it holds.
func sum(batch []byte) []byte {
	binary.BigEndian.PutUint32(batch[batchSumAt:], crc32.Checksum(batch[batchAttributesAt:], castagnoli))
	return batch
}

// deltas is 0 to n-1.
func deltas(n int) []int32 {
	all := make([]int32, n)
	for i := range all {
		all[i] = int32(i)
	}
	return all
}

// batchOf is a plain batch of n records.
func batchOf(base int64, n int, codec int16) logBatch {
	return logBatch{base: base, deltas: deltas(n), lastDelta: int32(n - 1), codec: codec}
}

type plainRecord struct {
	Offset, Time int64
	Key, Value   []byte
	Headers      []event.Header
}

// readAll reads a response to its end.
func readAll(r *records, response *kmsg.FetchResponseTopicPartition) ([]plainRecord, error) {
	var all []plainRecord
	r.load(response)
	for {
		record, err := r.next()
		if err != nil || record == nil {
			return all, err
		}
		p := plainRecord{record.Offset, record.Time, bytes.Clone(record.Key), bytes.Clone(record.Value), nil}
		for _, h := range record.Headers {
			p.Headers = append(p.Headers, event.Header{Key: h.Key, Value: bytes.Clone(h.Value)})
		}
		all = append(all, p)
	}
}

// readByKgo is what franz-go's consumer reads from the same response.
func readByKgo(t interface{ Fatal(...any) }, response kmsg.FetchResponseTopicPartition, position int64) ([]plainRecord, int64) {
	fetched, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: position, IsolationLevel: kgo.ReadCommitted()},
		&response, kgo.DefaultDecompressor(), nil)
	if fetched.Err != nil {
		t.Fatal(fetched.Err)
	}
	var all []plainRecord
	for _, r := range fetched.Records {
		p := plainRecord{r.Offset, r.Timestamp.UnixMilli(), r.Key, r.Value, nil}
		for _, h := range r.Headers {
			p.Headers = append(p.Headers, event.Header{Key: h.Key, Value: h.Value})
		}
		all = append(all, p)
	}
	return all, next
}

// TestRecordsAreThoseOfKgo compares with another implementation: logs with all codecs, gaps of compaction within and at
// the ends of batches, empty batches, both kinds of timestamps, transactions of several producers, committed and
// aborted, read from offsets in the middle and cut off where a broker would.
func TestRecordsAreThoseOfKgo(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var log []byte
		var aborted []kmsg.FetchResponseTopicPartitionAbortedTransaction
		since := map[int64]int64{} // first offsets of open transactions
		offset := rapid.Int64Range(0, 1<<40).Draw(rt, "base")
		first := offset
		for range rapid.IntRange(1, 12).Draw(rt, "batches") {
			b := logBatch{base: offset, codec: int16(rapid.IntRange(0, 4).Draw(rt, "codec")), producer: -1}
			b.lastDelta = int32(rapid.IntRange(0, 20).Draw(rt, "last"))
			for delta := range b.lastDelta + 1 {
				if rapid.IntRange(0, 4).Draw(rt, "kept") > 0 {
					b.deltas = append(b.deltas, delta)
				}
			}
			if rapid.Bool().Draw(rt, "stamped") {
				b.attributes |= batchLogAppendTime
			}
			switch rapid.IntRange(0, 3).Draw(rt, "kind") {
			case 1:
				b.producer = rapid.Int64Range(1, 3).Draw(rt, "producer")
				b.attributes |= batchTransactional
				if _, open := since[b.producer]; !open {
					since[b.producer] = offset
				}
			case 2:
				b.producer = rapid.Int64Range(1, 3).Draw(rt, "producer")
				b.deltas, b.lastDelta, b.codec = []int32{0}, 0, codecNone
				b.attributes = batchTransactional | batchControl
				if from, open := since[b.producer]; open && rapid.Bool().Draw(rt, "abort") {
					b.abort = true
					aborted = append(aborted, kmsg.FetchResponseTopicPartitionAbortedTransaction{ProducerID: b.producer, FirstOffset: from})
				}
				delete(since, b.producer)
			}
			log = append(log, b.bytes(t)...)
			offset += int64(b.lastDelta) + 1 + rapid.Int64Range(0, 3).Draw(rt, "gap")
		}
		position := rapid.Int64Range(first, offset-1).Draw(rt, "position")
		response := kmsg.FetchResponseTopicPartition{RecordBatches: log, AbortedTransactions: aborted}
		if rapid.Bool().Draw(rt, "cut") {
			response.RecordBatches = log[:len(log)-rapid.IntRange(0, min(len(log), 80)).Draw(rt, "off")]
		}
		want, next := readByKgo(rt, response, position)
		r := newRecords(position)
		got, err := readAll(r, &response)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("records (-kgo +ours):\n%s", diff)
		}
		if r.position != next {
			rt.Fatalf("ended at %d, kgo at %d", r.position, next)
		}
	})
}

// bombLimit is what a batch may decompress to in tests of what is beyond it.
const bombLimit = 1 << 20

// TestUnreadable names the place of what cannot be read, and what is behind it.
func TestUnreadable(t *testing.T) {
	plain := func(change func([]byte)) []byte {
		b := batchOf(10, 3, codecNone).bytes(t)
		change(b)
		return b
	}
	bomb := func(codec int16) []byte {
		zeros := make([]byte, bombLimit/3)
		return logBatch{base: 10, deltas: deltas(4), lastDelta: 3, codec: codec, payload: func(int64) []byte { return zeros }}.bytes(t)
	}
	record := func(b []byte) []byte {
		return sum(append(plain(func(h []byte) { binary.BigEndian.PutUint32(h[batchLengthAt:], uint32(batchHeader-batchEpochAt+len(b))) })[:batchHeader], b...))
	}
	for name, c := range map[string]struct {
		log   []byte
		want  string
		after int64
	}{
		"format 0":                {plain(func(b []byte) { b[batchMagicAt] = 0 })[:40], "messages of format 0", -1},
		"format 1":                {plain(func(b []byte) { b[batchMagicAt] = 1 }), "messages of format 1", -1},
		"format 3":                {plain(func(b []byte) { b[batchMagicAt] = 3 }), "messages of format 3", -1},
		"a flipped bit":           {plain(func(b []byte) { b[70] ^= 4 }), "corrupt", 13},
		"no length":               {plain(func(b []byte) { binary.BigEndian.PutUint32(b[batchLengthAt:], 0) }), "a batch of 12 bytes", -1},
		"negative length":         {plain(func(b []byte) { binary.BigEndian.PutUint32(b[batchLengthAt:], 1<<31) }), "a batch of -2147483636 bytes", -1},
		"negative offset":         {plain(func(b []byte) { binary.BigEndian.PutUint64(b, 1<<63) }), "begins at -9223372036854775808", -1},
		"offsets overflow":        {plain(func(b []byte) { binary.BigEndian.PutUint64(b, 1<<63-2) }), "begins at 9223372036854775806", -1},
		"negative offsets":        {sum(plain(func(b []byte) { binary.BigEndian.PutUint32(b[batchLastAt:], 1<<31) })), "a batch of -2147483647 offsets", -1},
		"too many records":        {sum(plain(func(b []byte) { binary.BigEndian.PutUint32(b[batchCountAt:], 4) })), "ends within a record", 13},
		"very many records":       {sum(plain(func(b []byte) { binary.BigEndian.PutUint32(b[batchCountAt:], 1<<30) })), "1073741824 records in", 13},
		"negative records":        {sum(plain(func(b []byte) { binary.BigEndian.PutUint32(b[batchCountAt:], 1<<31) })), "-2147483648 records in", 13},
		"too few records":         {sum(plain(func(b []byte) { binary.BigEndian.PutUint32(b[batchCountAt:], 2) })), "bytes behind the last record", 13},
		"record beyond the batch": {sum(plain(func(b []byte) { binary.BigEndian.PutUint32(b[batchLastAt:], 1) })), "2 behind the first offset", 12},
		"unknown codec":           {sum(plain(func(b []byte) { b[batchAttributesAt+1] = 5 })), "codec is not known", 13},
		"not gzip":                {sum(plain(func(b []byte) { b[batchAttributesAt+1] = codecGzip })), "decompressing the batch", 13},
		"not snappy":              {sum(plain(func(b []byte) { b[batchAttributesAt+1] = codecSnappy })), "decompressing the batch", 13},
		"not lz4":                 {sum(plain(func(b []byte) { b[batchAttributesAt+1] = codecLZ4 })), "decompressing the batch", 13},
		"not zstd":                {sum(plain(func(b []byte) { b[batchAttributesAt+1] = codecZstd })), "decompressing the batch", 13},
		"overlapping batches":     {append(batchOf(9, 3, 0).bytes(t), batchOf(11, 3, 0).bytes(t)...), "begins at 11, behind one that ends before 12", -1},
		"same offset twice":       {logBatch{base: 10, deltas: []int32{0, 1, 1}, lastDelta: 2}.bytes(t), "after the record at 11", 13},
		"offsets backwards":       {logBatch{base: 10, deltas: []int32{0, 2, 1}, lastDelta: 2}.bytes(t), "after the record at 12", 13},
		"endless varint":          {record(bytes.Repeat([]byte{0xff}, 40)), "ends within a record", 13},
		"negative record":         {record([]byte{1, 0, 0, 0, 0, 0, 0, 0}), "ends within a record", 13},
		"record with a rest":      {record([]byte{14, 0, 0, 0, 1, 1, 0, 0}), "do not make up its length", 13},
		"key longer than all":     {record([]byte{12, 0, 0, 0, 100, 1, 0}), "do not make up its length", 13},
		"headers without end":     {record([]byte{12, 0, 0, 0, 1, 1, 100}), "do not make up its length", 13},
		"key of length -2":        {record([]byte{12, 0, 0, 0, 3, 1, 0}), "do not make up its length", 13},
		"gzip bomb":               {bomb(codecGzip), "decompresses to more than", 14},
		"snappy bomb":             {bomb(codecSnappy), "decompresses to more than", 14},
		"lz4 bomb":                {bomb(codecLZ4), "decompresses to more than", 14},
		"zstd bomb":               {bomb(codecZstd), "decompresses to more than", 14},
		"xerial bomb":             {xerialBomb(t), "decompresses to more than", 14},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecords(10)
			r.inflate.limit = bombLimit
			_, err := readAll(r, &kmsg.FetchResponseTopicPartition{RecordBatches: c.log})
			var unreadable *unreadableError
			if !errors.As(err, &unreadable) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if unreadable.after != c.after {
				t.Errorf("what is behind it begins at %d, want %d", unreadable.after, c.after)
			}
		})
	}
}

// xerialBomb is a batch of many blocks that are within the limit each.
func xerialBomb(t testing.TB) []byte {
	compressor, err := kgo.DefaultCompressor(kgo.SnappyCompression())
	if err != nil {
		t.Fatal(err)
	}
	block, _ := compressor.Compress(new(bytes.Buffer), make([]byte, 1<<10))
	body := append(bytes.Clone(xerial), 0, 0, 0, 1, 0, 0, 0, 1)
	for range bombLimit>>10 + 1 {
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(block))), block...)
	}
	batch := kmsg.RecordBatch{Length: int32(batchHeader - batchEpochAt + len(body)), FirstOffset: 10, LastOffsetDelta: 3, Magic: 2, Attributes: codecSnappy, NumRecords: 4, Records: body}
	return sum(batch.AppendTo(nil))
}

// TestXerial reads blocks as Java producers frame them.
func TestXerial(t *testing.T) {
	compressor, err := kgo.DefaultCompressor(kgo.SnappyCompression())
	if err != nil {
		t.Fatal(err)
	}
	in := append(bytes.Clone(xerial), 0, 0, 0, 1, 0, 0, 0, 1)
	for _, part := range []string{"one ", "", "two"} {
		block, _ := compressor.Compress(new(bytes.Buffer), []byte(part))
		in = append(binary.BigEndian.AppendUint32(in, uint32(len(block))), block...)
	}
	i := inflater{limit: bombLimit}
	if out, err := i.inflate(in, codecSnappy); err != nil || string(out) != "one two" {
		t.Errorf("got %q, %v", out, err)
	}
	for cut := range len(in) - xerialHeader - 1 {
		if out, err := i.inflate(in[:len(in)-1-cut], codecSnappy); err == nil && string(out) == "one two" {
			t.Errorf("%d bytes less gave everything", cut+1)
		}
	}
}

// TestManyHeaders: neither their number nor their names take more memory than stated.
func TestManyHeaders(t *testing.T) {
	r := newRecords(0)
	for round := range 3 {
		record := kmsg.Record{OffsetDelta: 0}
		for n := range 5 * maxHeaders {
			record.Headers = append(record.Headers, kmsg.Header{Key: fmt.Sprintf("%d %d %s", round, n, strings.Repeat("x", n%100)), Value: []byte("v")})
		}
		encoded := record.AppendTo(nil)
		body := append(binary.AppendVarint(nil, int64(len(encoded)-1)), encoded[1:]...)
		batch := kmsg.RecordBatch{FirstOffset: int64(round), Length: int32(batchHeader - batchEpochAt + len(body)), Magic: 2, NumRecords: 1, Records: body}
		r.load(&kmsg.FetchResponseTopicPartition{RecordBatches: sum(batch.AppendTo(nil))})
		got, err := r.next()
		if err != nil || got == nil {
			t.Fatal(got, err)
		}
		if len(got.Headers) != maxHeaders || got.Headers[7].Key != fmt.Sprintf("%d 7 xxxxxxx", round) {
			t.Errorf("%d headers, the eighth is %q", len(got.Headers), got.Headers[7].Key)
		}
	}
	if len(r.names) != maxNames || cap(r.record.Headers) > 2*maxHeaders {
		t.Errorf("%d names and room for %d headers are kept", len(r.names), cap(r.record.Headers))
	}
	for name := range r.names {
		if len(name) > maxName {
			t.Errorf("a name of %d bytes is kept", len(name))
		}
	}
}

// TestHeadersBehindTheLimit: what decides about a record is read wherever it stands among its headers, and what is kept
// of a record stays what it is when it is sent again as a dead letter.
func TestHeadersBehindTheLimit(t *testing.T) {
	read := func(headers []event.Header) *event.Record {
		t.Helper()
		record := kmsg.Record{Value: []byte(`{"province_code":"01","admin_scheme":"gso34","relying_party":"H29","assurance_level":3,"auth_method":["password"],"outcome":"success","latency_ms":412}`)}
		for _, h := range headers {
			record.Headers = append(record.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
		}
		encoded := record.AppendTo(nil)
		body := append(binary.AppendVarint(nil, int64(len(encoded)-1)), encoded[1:]...)
		batch := kmsg.RecordBatch{FirstOffset: 7, Length: int32(batchHeader - batchEpochAt + len(body)), Magic: 2, NumRecords: 1, Records: body}
		r := newRecords(0)
		r.load(&kmsg.FetchResponseTopicPartition{RecordBatches: sum(batch.AppendTo(nil))})
		got, err := r.next()
		if err != nil || got == nil {
			t.Fatal(got, err)
		}
		return got
	}
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	attributes := []event.Header{
		{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte("1")}, {Key: "ce_source", Value: []byte("/eid_auth/G01")},
		{Key: "ce_type", Value: []byte("vn.da06.auth.attempt.v1")}, {Key: "ce_time", Value: []byte(now.Format(time.RFC3339))}, {Key: "ce_subject", Value: []byte("s")},
		{Key: "Content-Type", Value: []byte("application/json")},
	}
	origin := event.Header{Key: event.OriginHeader, Value: []byte("t/0/3")}
	// judge decodes a record, and tells whether it was settled as the letter of a place.
	judge := func(record *event.Record) (verdict event.Verdict, settled []event.Identity) {
		decoder := event.NewDecoder(data, event.Options{Identity: event.NewIdentityHash()})
		decoder.UseReplays(event.Replays{Settled: func(event.Identity) bool { return false }, Settle: func(letter event.Identity) { settled = append(settled, letter) }})
		batch := event.NewBatch()
		batch.Reset("t", 0, now.UnixMilli())
		return decoder.Decode(batch, record, nil), settled
	}
	ballast := make([]event.Header, maxHeaders)
	for n := range ballast {
		ballast[n] = event.Header{Key: fmt.Sprint(n)}
	}
	if verdict, _ := judge(read(append(slices.Clone(ballast), attributes...))); verdict != event.Accepted {
		t.Errorf("an event with its attributes behind the limit is %v", verdict)
	}
	if verdict, _ := judge(read(append(slices.Clone(ballast), append(attributes, attributes[1])...))); verdict != event.Rejected {
		t.Errorf("an event with an attribute twice behind the limit is %v", verdict)
	}
	other := []event.Header{{Key: "content-type", Value: []byte("text/plain")}, {Key: "CONTENT-TYPE", Value: []byte("application/json")}}
	if verdict, _ := judge(read(slices.Concat(ballast, attributes[:6], other))); verdict != event.Rejected {
		t.Errorf("an event of which the first content type is none of JSON is %v", verdict)
	}
	for name, headers := range map[string][]event.Header{
		"its own before the limit": append(slices.Clone(attributes), ballast[len(attributes):]...),
		"its own behind the limit": append(slices.Clone(ballast), attributes...),
		"many twice":               slices.Concat(ballast, attributes, ballast, attributes[:1], attributes, attributes[:3]),
	} {
		letter := slices.Clone(read(headers).Headers) // as the dead-letter topic has it
		again := read(append(slices.Clone(letter), origin))
		if diff := cmp.Diff(append(slices.Clone(letter), origin), again.Headers); diff != "" {
			t.Errorf("%s: sent again it has other headers (-letter +record):\n%s", name, diff)
		}
		verdict, settled := judge(again)
		if name == "many twice" {
			continue // which is an error
		}
		want := event.LetterOf(event.Place{Topic: "t", Offset: 3}, &event.Record{Value: again.Value, Headers: letter})
		if verdict != event.Accepted || len(settled) != 1 || settled[0] != want {
			t.Errorf("%s: sent again it is %v and settles %d letters", name, verdict, len(settled))
		}
	}
	flood := slices.Clone(ballast)
	for range 5000 {
		flood = slices.Concat(flood, attributes[:1], other[1:], []event.Header{origin, {Key: "ce_other"}})
		if len(flood) > 20*maxHeaders {
			break
		}
	}
	if got := read(flood).Headers; len(got) > maxHeaders+4 {
		t.Errorf("%d headers are kept", len(got))
	}
}

// TestRecordsAllocateNothing reads batches of all codecs, with headers.
func TestRecordsAllocateNothing(t *testing.T) {
	for codec, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run(name, func(t *testing.T) {
			const batches, each = 4, 500
			var log []byte
			for n := range batches {
				log = append(log, batchOf(int64(n*each), each, int16(codec)).bytes(t)...)
			}
			r := newRecords(0)
			response := kmsg.FetchResponseTopicPartition{RecordBatches: log}
			all := 0
			allocations := testing.AllocsPerRun(20, func() {
				r.position = 0
				r.load(&response)
				for {
					record, err := r.next()
					if err != nil {
						t.Fatal(err)
					}
					if record == nil {
						return
					}
					all++
				}
			})
			if all != 21*batches*each {
				t.Fatalf("%d records were read", all)
			}
			if perBatch := allocations / batches; perBatch > 8 { // of the decompressors
				t.Errorf("%.1f allocations per batch of %d records", perBatch, each)
			}
		})
	}
}

// FuzzRecordBatches: whatever a broker sends, reading ends, gives offsets in order from the one wanted, and skips
// nothing without saying so.
func FuzzRecordBatches(f *testing.F) {
	for codec := range int16(5) {
		f.Add(append(batchOf(5, 4, codec).bytes(f), batchOf(9, 2, codec).bytes(f)...), int64(7), int64(-1))
	}
	marker := logBatch{base: 12, deltas: []int32{0}, attributes: batchTransactional | batchControl, producer: 1, abort: true}
	f.Add(append(logBatch{base: 10, deltas: deltas(2), lastDelta: 1, attributes: batchTransactional, producer: 1}.bytes(f), marker.bytes(f)...), int64(10), int64(10))
	f.Add(xerialBomb(f)[:2000], int64(0), int64(0))
	f.Fuzz(func(t *testing.T, log []byte, position, aborted int64) {
		for at := log; len(at) >= batchHeader; { // the checksums are no obstacle
			end := batchEpochAt + int64(int32(binary.BigEndian.Uint32(at[batchLengthAt:])))
			if end < batchHeader || end > int64(len(at)) {
				break
			}
			sum(at[:end])
			at = at[end:]
		}
		r := newRecords(position)
		response := kmsg.FetchResponseTopicPartition{RecordBatches: log}
		if aborted >= 0 {
			response.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{{ProducerID: 1, FirstOffset: aborted}}
		}
		r.load(&response)
		before := position
		for {
			record, err := r.next()
			if r.position < before {
				t.Fatalf("the position went back from %d to %d", before, r.position)
			}
			if err != nil || record == nil {
				return
			}
			if record.Offset < before || r.position != record.Offset+1 {
				t.Fatalf("offset %d after %d, then %d", record.Offset, before, r.position)
			}
			before = r.position
		}
	})
}
