package event

import (
	"unicode/utf8"

	"ioc.local/internal/reference"
)

// Options configures a Decoder.
type Options struct {
	// Identity is the key of identities, the same for every Decoder of a process.
	Identity IdentityHash
}

// Decoder turns records of one partition into rows. It is not safe for concurrent use, and is reused for ever.
type Decoder struct {
	ref      *reference.Data
	identity IdentityHash
	compiled []*compiledType
	version  int
	types    map[string]*compiledType // of the version in use
	registry map[string]*origin       // nil without a registry of sources
	origins  map[string]*origin       // the registry, nil also where the version in use does not know it
	services map[string][]byte
	places   places
	unknown  unknownFields
	hashed   []byte
	replays  Replays
	names    *vocabulary
	foresee  func(Identity) // may be nil
	lastType *compiledType  // of the version in use
	// likely has what came last behind each attribute, positions plus one; behind none the first. A producer writes its
	// members in the same order each time, so that a look at the likely one saves reading the name.
	likely [attributeCount + 1]uint8

	// What follows belongs to the event being read.
	scan       scanner
	attributes [attributeCount][]byte
	given      uint32        // attributes met
	event      *compiledType // nil while the type is not known
	id         Identity
	identified bool    // id is that of the event
	origin     *origin // nil while the source is not known, or not looked up
	occurred   int64
	data       int // where data begins if it is still to be read, else -1
	hasData    bool
	fieldsMet  uint64
	row        row
	extra      []byte
	// Faults by the part that they are in: what is wrong outside data goes before what is wrong inside.
	whole, envelope, body fault
}

// fault is why a record is rejected.
type fault struct {
	reason Reason
	field  string
}

// fail keeps the first fault, but puts personal data before any other.
func (f *fault) fail(reason Reason, field string) {
	if f.reason == "" || reason == PersonalData && f.reason != PersonalData {
		*f = fault{reason, field}
	}
}

// NewDecoder makes a decoder that reads events against ref.
func NewDecoder(ref *reference.Data, opts Options) *Decoder {
	d := &Decoder{ref: ref, identity: opts.Identity, services: make(map[string][]byte), registry: newOrigins(ref.Sources())}
	for i, t := range eventTypes {
		compiled, err := compile(t)
		if err != nil {
			panic(err) // a mistake in the tables of this package, which any test would meet
		}
		compiled.index = i
		d.compiled = append(d.compiled, compiled)
	}
	for _, s := range ref.Services() {
		d.services[s.ID] = []byte(s.ID)
	}
	d.places = newPlaces(ref)
	d.unknown = newUnknownFields()
	d.names = newVocabulary()
	d.UseVersion(Version)
	return d
}

// UseVersion makes the decoder read events by a version of the contract from OldestVersion to Version, until the next
// call. A new decoder uses Version.
func (d *Decoder) UseVersion(version int) {
	d.version = version
	if d.scan.names = nil; version >= strictSince {
		d.scan.names = d.names
	}
	d.types, d.lastType = make(map[string]*compiledType, len(d.compiled)), nil
	for _, t := range d.compiled {
		if t.since <= version {
			d.types[t.full] = t
		}
	}
	d.origins = nil
	if version >= RegistrySince {
		d.origins = d.registry
	}
}

// Registry is the fingerprint of the registry of sources that the decoder judges by, empty without one. Records are
// judged the same only by decoders of which it is equal.
func (d *Decoder) Registry() string {
	if sources := d.ref.Sources(); sources != nil {
		return sources.Fingerprint()
	}
	return ""
}

// Identify is the identity of an event.
func (d *Decoder) Identify(source, id []byte) Identity {
	d.hashed = append(d.hashed[:0], source...)
	d.hashed = append(d.hashed, 0) // neither of the two can hold it
	d.hashed = append(d.hashed, id...)
	return d.identity.sum(d.hashed)
}

// Foresee has f called with the identity of most events before their data are read, so that what it takes to tell whether an
// event is a duplicate can be brought along meanwhile: of those whose source and id come before data, whatever becomes of them
// then. Calls may also be for records that are not asked about.
func (d *Decoder) Foresee(f func(id Identity)) { d.foresee = f }

// identify makes the identity of the event whose source and id were read.
func (d *Decoder) identify() {
	if !d.identified {
		d.id, d.identified = d.Identify(d.attributes[attributeSource], d.attributes[attributeID]), true
	}
}

// UnknownFields counts the fields of data that the contract does not know, by name, since the decoder was made. At most
// 256 names are told apart; the rest, and names that are no plain words, are counted as "*".
func (d *Decoder) UnknownFields() map[string]uint64 { return d.unknown.counts() }

// Decode reads one record. It appends a row to the block of the event's table and returns Accepted, or a row to
// b.DeadLetters and returns Rejected, or, when seen tells that the valid event is a duplicate, a row to b.Skipped and
// returns Duplicate. seen may be nil. The record may be reused after Decode.
func (d *Decoder) Decode(b *Batch, rec *Record, seen func(id Identity) bool) Verdict {
	if from, ok := d.replayOf(b, rec); ok {
		return d.decodeReplay(b, rec, seen, from)
	}
	return d.decode(b, rec, seen)
}

// decode is Decode for a record that comes for the first time.
func (d *Decoder) decode(b *Batch, rec *Record, seen func(id Identity) bool) Verdict {
	d.start()
	if f := d.read(rec, b.clock); f != nil {
		b.reject(rec, d.tell(f), !d.mustWithhold(rec, f))
		return Rejected
	}
	source := d.attributes[attributeSource]
	d.identify()
	if seen != nil && seen(d.id) {
		l := d.tell(&fault{})
		l.source = source // which is that of a valid event
		b.duplicate(rec, l)
		return Duplicate
	}
	d.accept(b, rec)
	return Accepted
}

func (d *Decoder) start() {
	d.attributes = [attributeCount][]byte{}
	d.origin, d.identified = nil, false
	d.given, d.event, d.occurred, d.data, d.hasData, d.fieldsMet = 0, nil, 0, -1, false, 0
	d.row.present = 0
	d.extra, d.scan.scratch = d.extra[:0], d.scan.scratch[:0]
	d.whole, d.envelope, d.body = fault{}, fault{}, fault{}
	d.unknown.start()
}

// read reads and validates the record and gives its fault, if any.
func (d *Decoder) read(rec *Record, clock int64) *fault {
	structured := d.content(rec.Headers)
	if !structured {
		d.readHeaders(rec.Headers)
	}
	switch {
	case len(rec.Value) > MaxPayload:
		d.whole.fail(TooLarge, "")
	case d.whole.reason != "":
	case !utf8.Valid(rec.Value):
		d.whole.fail(NotUTF8, "")
	default:
		d.scan.start(rec.Value)
		if !d.readValue(structured) || !d.scan.end() {
			d.whole.fail(NotJSON, "")
		}
	}
	if d.whole.reason != "" {
		return &d.whole
	}
	d.checkEnvelope(clock)
	if d.data >= 0 && d.event != nil {
		d.scan.pos = d.data
		d.readData() // its syntax was checked before
	}
	if d.event != nil {
		d.checkData()
	}
	switch {
	case d.body.reason == PersonalData && d.envelope.reason != PersonalData:
		return &d.body
	case d.envelope.reason != "":
		return &d.envelope
	case d.body.reason != "":
		return &d.body
	}
	return nil
}

func (d *Decoder) readValue(structured bool) bool {
	if structured {
		return d.readEnvelope()
	}
	return d.readData()
}

// accept appends the row of the event that was read.
func (d *Decoder) accept(b *Batch, rec *Record) {
	t, r := d.event, &d.row
	r.setText(subjectAt, d.attributes[attributeSubject])
	r.setInt(occurredAt, d.occurred)
	r.setText(typeAt, t.short)
	r.setText(sourceAt, d.attributes[attributeSource])
	r.setText(idAt, d.attributes[attributeID])
	if len(d.extra) > 0 {
		d.extra = append(d.extra, '}')
		r.setText(extraAt, d.extra)
	}
	r.setInt(recordTimeAt, ClampTime(rec.Time))
	r.setInt(offsetAt, rec.Offset)
	if d.version >= qualitySince {
		expected, present := t.completeness(r)
		r.setInt(expectedAt, expected)
		r.setInt(presentAt, present)
	}
	b.blocks[t.table].append(r)
}
