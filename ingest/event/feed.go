package event

import (
	"bytes"
	"math/bits"
	"slices"
	"strings"
)

// lateAfter is the age at arrival, in milliseconds, from which an event is late: so old it reaches a day that is closed
// for feeds that report daily. It is counted as it comes; nothing is refused for it.
const lateAfter = day

// aheadAfter is how far ahead of the clock, in milliseconds, an event is counted as one of the future. The clock is read when
// the range opens, so that prompt events are ahead of it by less.
const aheadAfter = 60_000

// personalReasons are those of records that are not free of personal data.
var personalReasons = []Reason{PersonalData, SensitiveIdentity}

// sensitiveSystem is the system whose events are all about somebody's health.
const sensitiveSystem = "/health_book/"

// Positions of columns of feed_quality.
const (
	feedHour = iota
	feedSource
	feedProvince
	feedProvince63
	feedType
	feedSensitive
	feedAge
	feedTopic
	feedPartition
	feedAccepted
	feedRejected
	feedPersonal
	feedDuplicates
	feedExpected
	feedPresent
	feedLate
	feedFuture
	feedPosition
)

// FeedTable is the table that each range's block of the quality of its feeds goes into.
const FeedTable = "feed_quality"

var feedTable = table{name: FeedTable, window: 10_000, columns: []columnSpec{
	feedHour:       {name: "hour", kind: hourColumn},
	feedSource:     {name: "source", kind: dictionaryColumn},
	feedProvince:   {name: "province", kind: dictionaryColumn},
	feedProvince63: {name: "province63", kind: dictionaryColumn},
	feedType:       {name: "type", kind: dictionaryColumn},
	feedSensitive:  {name: "sensitive", kind: uint8Column},
	feedAge:        {name: "age_seconds", kind: uint32Column},
	feedTopic:      {name: "topic", kind: dictionaryColumn},
	feedPartition:  {name: "partition", kind: uint32Column},
	feedAccepted:   {name: "accepted", kind: uint64Column},
	feedRejected:   {name: "rejected", kind: uint64Column},
	feedPersonal:   {name: "personal", kind: uint64Column},
	feedDuplicates: {name: "duplicates", kind: uint64Column},
	feedExpected:   {name: "fields_expected", kind: uint64Column},
	feedPresent:    {name: "fields_present", kind: uint64Column},
	feedLate:       {name: "late", kind: uint64Column},
	feedFuture:     {name: "future", kind: uint64Column},
	feedPosition:   {name: "position", kind: uint64Column},
}}

// Feed is what one range says of the quality of one source, for metrics. Records of ranges that an older contract judges
// are not in it.
type Feed struct {
	// Source as events carry it, empty where it was not readable. Its memory is valid until the batch is reset.
	Source string
	// Accepted, Rejected and Duplicates count records, Personal those rejected that hold personal data.
	Accepted, Rejected, Duplicates, Personal uint64
	// Expected and Present count fields of accepted events: those that should be there, and those of them that are.
	Expected, Present uint64
	// Late counts accepted events that were more than 24 hours old, Future those more than a minute ahead of the clock.
	Late, Future uint64
}

// feedKey is what feed_quality counts by, in the numbers of the dictionaries of a block.
type feedKey struct {
	source, kind, age uint32
	table             uint8
	place             uint8 // of province63, which has fewer than 128 values and gives province
	sensitive         bool
}

type feedCounts struct {
	Feed
	feedKey
	province uint32 // in its dictionary
}

// feedTally counts the records of a range by key.
type feedTally struct {
	slots  []uint32 // number of the counts plus one; a power of two of them
	counts []feedCounts
}

// feedSlots counts the keys of most ranges without growing.
const feedSlots = 1 << 12

func (t *feedTally) reset() {
	if len(t.slots) != feedSlots {
		t.slots = make([]uint32, feedSlots)
	} else {
		clear(t.slots)
	}
	t.counts = t.counts[:0]
}

func (k feedKey) hash() uint32 {
	h := uint64(k.source)<<32 | uint64(k.kind)<<8 | uint64(k.table)
	if k.sensitive {
		h ^= 1 << 31
	}
	h = (h ^ uint64(k.age)<<16 ^ uint64(k.place)<<48) * 0x9e3779b97f4a7c15
	return uint32(h >> 32)
}

// of gives the counts of a key, new ones with the province's number.
func (t *feedTally) of(k feedKey, province uint32) *feedCounts {
	mask := uint32(len(t.slots) - 1)
	at := k.hash() & mask
	for ; t.slots[at] != 0; at = (at + 1) & mask {
		if c := &t.counts[t.slots[at]-1]; c.feedKey == k {
			return c
		}
	}
	t.counts = append(t.counts, feedCounts{feedKey: k, province: province})
	t.slots[at] = uint32(len(t.counts))
	if 2*len(t.counts) > len(t.slots) {
		t.slots = make([]uint32, 2*len(t.slots))
		for i := range t.counts {
			at := t.counts[i].hash() & uint32(len(t.slots)-1)
			for t.slots[at] != 0 {
				at = (at + 1) & uint32(len(t.slots)-1)
			}
			t.slots[at] = uint32(i + 1)
		}
	}
	return &t.counts[len(t.counts)-1]
}

// roundedAge is an age in seconds, rounded up to 1 to 8, 10, 12, 14, 16, 20, 24, …: four steps from each power of two to
// the next, so that it is less than a quarter too much, or a second.
func roundedAge(ms int64) uint32 {
	s := uint64(max(ms, 1)+999) / 1000
	if s <= 4 {
		return uint32(s)
	}
	step := uint64(1) << (bits.Len64(s-1) - 3)
	return uint32((s + step - 1) &^ (step - 1))
}

// sumFeeds makes the block of feed_quality out of the other blocks: it says nothing that they do not hold, so that the
// table can be computed again from theirs (the view feed_records).
func (b *Batch) sumFeeds() {
	if b.summed == b.Rows() {
		return
	}
	b.summed = b.Rows()
	b.feed.reset()
	b.tally.reset()
	b.feeds = b.feeds[:0]
	clear(b.bySource)
	position := int64(-1)
	for t := range deadLetters {
		position = max(position, b.sumEvents(t))
	}
	position = max(position, b.sumDeadLetters(), b.sumDuplicates())
	if position < 0 {
		return
	}
	for i := range b.tally.counts {
		b.appendFeed(&b.tally.counts[i])
	}
	r := &b.row
	r.present = 0
	r.setInt(feedHour, 0)
	r.setText(feedTopic, b.topic)
	r.setInt(feedPartition, b.partition)
	r.setInt(feedPosition, position+1)
	b.feed.append(r)
}

// sumEvents counts the rows of a table of events and gives the last offset counted, -1 for none.
func (b *Batch) sumEvents(t int) (last int64) {
	bl := b.blocks[t]
	expected, present := bl.columns[expectedAt].u8, bl.columns[presentAt].u8
	services := &bl.columns[serviceAt]
	criminal := services.dictionary.known[sensitiveService]
	var documents []int8
	if at := tables[t].at("document_kind"); at >= 0 {
		documents = bl.columns[at].i8
	}
	sources, types, occurred, offsets := bl.columns[sourceAt].ids, bl.columns[typeAt].ids, bl.columns[occurredAt].i64, bl.columns[offsetAt].u64
	provinces, places := bl.columns[provinceAt].ids, bl.columns[province63At].ids
	last = -1
	for i, n := range expected {
		if n == 0 { // judged by an older contract
			continue
		}
		age := b.clock - occurred[i]
		k := feedKey{source: sources[i], kind: types[i], age: roundedAge(age), table: uint8(t), place: uint8(at(places, i))}
		k.sensitive = criminal != 0 && at(services.ids, i) == criminal || i < len(documents) && isSensitiveDocument(documents[i])
		c := b.tally.of(k, at(provinces, i))
		c.Accepted++
		c.Expected += uint64(n)
		c.Present += uint64(present[i])
		if age > lateAfter {
			c.Late++
		}
		if age < -aheadAfter {
			c.Future++
		}
		last = int64(offsets[i])
	}
	return last
}

// at is a value of a column that may have fewer than there are rows.
func at(ids []uint32, i int) uint32 {
	if i < len(ids) {
		return ids[i]
	}
	return 0
}

func isSensitiveDocument(kind int8) bool {
	return kind > 0 && slices.Contains(sensitiveDocuments, documentKinds[kind-1])
}

func (b *Batch) sumDeadLetters() (last int64) {
	bl := b.blocks[deadLetters]
	reasons := &bl.columns[letterReason]
	last = -1
	for i, version := range bl.columns[letterContract].u8 {
		if version == 0 {
			continue
		}
		c := b.tally.of(feedKey{source: at(bl.columns[letterSource].ids, i), kind: at(bl.columns[letterType].ids, i), table: deadLetters,
			place: uint8(at(bl.columns[letterProvince63].ids, i)), sensitive: bl.columns[letterSensitive].u8[i] != 0}, at(bl.columns[letterProvince].ids, i))
		c.Rejected++
		if slices.Contains(personalReasons, Reason(reasons.dictionary.texts[reasons.ids[i]])) {
			c.Personal++
		}
		last = int64(bl.columns[letterOffset].u64[i])
	}
	return last
}

func (b *Batch) sumDuplicates() (last int64) {
	bl := b.blocks[skippedOffsets]
	last = -1
	for i, version := range bl.columns[skippedContract].u8 {
		if version == 0 || bl.columns[skippedKind].i8[i] != skippedDuplicate {
			continue
		}
		c := b.tally.of(feedKey{source: at(bl.columns[skippedSource].ids, i), kind: at(bl.columns[skippedType].ids, i), table: skippedOffsets,
			place: uint8(at(bl.columns[skippedProvince63].ids, i)), sensitive: bl.columns[skippedSensitive].u8[i] != 0}, at(bl.columns[skippedProvince].ids, i))
		c.Duplicates++
		last = int64(bl.columns[skippedLast].u64[i])
	}
	return last
}

// appendFeed adds a row to the block, and the counts to those of the source.
func (b *Batch) appendFeed(c *feedCounts) {
	columns := b.blocks[c.table].columns
	text := func(at int, id uint32) string { return columns[at].dictionary.texts[id] }
	at := [...]int{sourceAt, provinceAt, province63At, typeAt}
	switch c.table {
	case deadLetters:
		at = [...]int{letterSource, letterProvince, letterProvince63, letterType}
	case skippedOffsets:
		at = [...]int{skippedSource, skippedProvince, skippedProvince63, skippedType}
	}
	c.Source = text(at[0], c.source)
	kind := shortType(text(at[3], c.kind))
	texts := [...]string{c.Source, text(at[1], c.province), text(at[2], uint32(c.place)), kind}
	b.words = b.words[:0]
	for _, t := range texts {
		b.words = append(b.words, t...)
	}
	rest := b.words
	r := &b.row
	r.present = 0
	for i, t := range texts {
		r.setText(feedSource+i, rest[:len(t)])
		rest = rest[len(t):]
	}
	r.setInt(feedHour, b.clock/3_600_000*3600)
	sensitive := int64(0)
	if c.sensitive || strings.HasPrefix(c.Source, sensitiveSystem) {
		sensitive = 1
	}
	r.setInt(feedSensitive, sensitive)
	r.setInt(feedAge, int64(c.age))
	for i, n := range [...]uint64{c.Accepted, c.Rejected, c.Personal, c.Duplicates, c.Expected, c.Present, c.Late, c.Future} {
		r.setInt(feedAccepted+i, int64(n))
	}
	b.feed.append(r)

	i, known := b.bySource[c.Source]
	if !known {
		i = len(b.feeds)
		b.feeds = append(b.feeds, Feed{Source: c.Source})
		b.bySource[c.Source] = i
	}
	f := &b.feeds[i]
	f.Accepted, f.Rejected, f.Duplicates, f.Personal = f.Accepted+c.Accepted, f.Rejected+c.Rejected, f.Duplicates+c.Duplicates, f.Personal+c.Personal
	f.Expected, f.Present, f.Late, f.Future = f.Expected+c.Expected, f.Present+c.Present, f.Late+c.Late, f.Future+c.Future
}

// shortType takes prefix and version off the type of a dead letter; the other tables hold it without.
func shortType(t string) string {
	return strings.TrimSuffix(strings.TrimPrefix(t, typePrefix), typeSuffix)
}

// Feeds sums the batch by source, in no particular order. The slice is valid until rows are added.
func (b *Batch) Feeds() []Feed {
	b.sumFeeds()
	return b.feeds
}

// isSensitive tells whether the event that was read is about a criminal record or somebody's health.
func (d *Decoder) isSensitive() bool {
	t, r := d.event, &d.row
	if bytes.HasPrefix(d.attributes[attributeSource], []byte(sensitiveSystem)) {
		return true
	}
	if t == nil {
		return false
	}
	if r.has(serviceAt) && string(r.values[serviceAt].s) == sensitiveService {
		return true
	}
	if t.documentAt >= 0 && r.has(t.documentAt) && isSensitiveDocument(int8(r.values[t.documentAt].n)) {
		return true
	}
	if r.has(procedureAt) {
		service, _ := d.ref.ServiceOfProcedure(r.values[procedureAt].s)
		return service == sensitiveService
	}
	return false
}
