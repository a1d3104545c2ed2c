// Package event is the contract with producers: which events there are, which fields they have, what makes them valid,
// and how they become rows.
//
// Events are CloudEvents 1.0 in JSON, in both content modes of the Kafka binding. A Decoder reads one record at a time
// and appends one row to a Batch: to the block of the event's table, to the dead letters when the record is not valid,
// or to the skipped offsets when the event was seen before. In steady state it allocates nothing.
//
// Where the contract leaves a choice:
//
//   - A member name that appears twice in the envelope or in data is rejected (duplicate_field), so that no two readers
//     can take different meanings from one event. Inside a value of an unknown field nothing is interpreted.
//   - null means absent, and so does the empty text in an optional text field.
//   - Integers are written without fraction and exponent. Times may have more digits than milliseconds; the rest is cut.
//   - province_code without admin_scheme is accepted unless it is one of the seven reused codes. The row keeps the scheme
//     as reported (none). Codes that only the 63-scheme has, and events before 2025-07-01, count as reported in it; any
//     other counts as reported in the 34-scheme, where it is known only as a whole (province63 is gso34:79).
//   - The first fault found decides the reason, except that personal_data goes before any other. Whatever the reason, a
//     payload in which anything looks like personal data is withheld from the dead-letter topic, and its hash with it.
//   - With a registry of sources, an entry that names provinces may send no national events. A source may void its own
//     events even where its entry does not name that type, and whatever their province was.
//   - data may be absent where a type requires no field (event.void).
//   - An official figure is from 0 to 2^53, its denominator more than 0, and it is not more than its denominator.
//   - Events are late from an age of 24 hours at arrival on, which is counted and changes nothing else.
//   - A number in a field that the contract does not know is personal data when it has as many digits as an identity or
//     phone number (8 to 12: leading zeros are lost) and the names that lead to it say so (cccd, so_dinh_danh, phone, …; see
//     names.go). Without such a name it may as well be an amount, and passes.
//   - A register entry is kept for ever, a pseudonym for 30 days: subject_pid is not allowed in registers.
package event

// Version is the version of this contract. It is recorded with each range of offsets, so that a range that is read
// again is read by the same rules. Version 2 brought all types but dossier.status, auth.attempt and counter.report, and
// the registry of sources. Version 3 brought dead letters that are sent again, the quality of feeds, bounds for official
// figures, and numbers as personal data.
const Version = 3

// OldestVersion is the oldest version that a Decoder can still read by.
const OldestVersion = 1

// RegistrySince is the version that brought the registry of sources.
const RegistrySince = 2

// strictSince is the version that brought bounds for official figures, and that looks at numbers in fields that the
// contract does not know.
const strictSince = 3

// qualitySince is the version that brought the quality of feeds.
const qualitySince = 3

// MaxPayload is the size in bytes of the largest record value that is accepted.
const MaxPayload = 64 << 10

// Header is one header of a Kafka record.
type Header struct {
	Key   string
	Value []byte
}

// Record is one Kafka record. A Decoder keeps nothing of it.
type Record struct {
	Offset  int64
	Time    int64 // Timestamp of the record, unix milliseconds.
	Key     []byte
	Value   []byte
	Headers []Header
}

// Verdict says what became of a record.
type Verdict uint8

// The verdicts.
const (
	Accepted  Verdict = iota // A row in the table of the event's type.
	Rejected                 // A row in dead_letters, and a Rejection.
	Duplicate                // A row in skipped_offsets.
)

// String is the verdict as metrics label it.
func (v Verdict) String() string {
	switch v {
	case Accepted:
		return "accepted"
	case Rejected:
		return "rejected"
	case Duplicate:
		return "duplicate"
	}
	return "unknown"
}
