package event

// columnKind says how a column is held in memory and handed to the driver.
type columnKind uint8

const (
	textColumn       columnKind = iota // String
	dictionaryColumn                   // LowCardinality(String)
	fixedColumn                        // FixedString
	enumColumn                         // Enum8
	uint8Column                        // UInt8
	uint16Column                       // UInt16
	uint32Column                       // UInt32
	uint64Column                       // UInt64
	int32Column                        // Int32
	floatColumn                        // Float64
	dateColumn                         // Date, days since 1970-01-01
	timeColumn                         // DateTime64(3), unix milliseconds
)

// columnSpec is one column of a table. absent is stored where the event has no value; texts are then empty.
type columnSpec struct {
	name   string
	kind   columnKind
	absent int64
}

// table is one raw table: the columns of the schema, in its order.
type table struct {
	name    string
	columns []columnSpec
}

// at is the position of a column, -1 where the table lacks it.
func (t *table) at(column string) int {
	for i := range t.columns {
		if t.columns[i].name == column {
			return i
		}
	}
	return -1
}

var dossierEvents = table{"dossier_events", []columnSpec{
	{name: "registered_on", kind: dateColumn},
	{name: "subject", kind: textColumn},
	{name: "occurred_at", kind: timeColumn},
	{name: "type", kind: dictionaryColumn},
	{name: "source", kind: dictionaryColumn},
	{name: "event_id", kind: textColumn},
	{name: "province_code", kind: dictionaryColumn},
	{name: "admin_scheme", kind: enumColumn},
	{name: "province", kind: dictionaryColumn},
	{name: "province63", kind: dictionaryColumn},
	{name: "commune_code", kind: dictionaryColumn},
	{name: "agency_code", kind: dictionaryColumn},
	{name: "agency_level", kind: enumColumn},
	{name: "service_id", kind: dictionaryColumn},
	{name: "procedure_code", kind: dictionaryColumn},
	{name: "service_level", kind: enumColumn},
	{name: "subject_type", kind: enumColumn},
	{name: "subject_pid", kind: textColumn},
	{name: "status", kind: uint8Column},
	{name: "channel", kind: enumColumn},
	{name: "portal", kind: enumColumn},
	{name: "due_at", kind: timeColumn},
	{name: "statutory_limit", kind: uint16Column},
	{name: "limit_unit", kind: enumColumn},
	{name: "supplement_no", kind: uint8Column},
	{name: "vneid_authenticated", kind: enumColumn},
	{name: "result_form", kind: enumColumn},
	{name: "extra", kind: textColumn},
	{name: "received_at", kind: timeColumn},
	{name: "record_time", kind: timeColumn},
	{name: "topic", kind: dictionaryColumn},
	{name: "partition", kind: uint32Column},
	{name: "offset", kind: uint64Column},
}}

var authAttempts = table{"auth_attempts", []columnSpec{
	{name: "occurred_at", kind: timeColumn},
	{name: "subject", kind: textColumn},
	{name: "type", kind: dictionaryColumn},
	{name: "source", kind: dictionaryColumn},
	{name: "event_id", kind: textColumn},
	{name: "province_code", kind: dictionaryColumn},
	{name: "admin_scheme", kind: enumColumn},
	{name: "province", kind: dictionaryColumn},
	{name: "province63", kind: dictionaryColumn},
	{name: "commune_code", kind: dictionaryColumn},
	{name: "agency_code", kind: dictionaryColumn},
	{name: "agency_level", kind: enumColumn},
	{name: "service_id", kind: dictionaryColumn},
	{name: "procedure_code", kind: dictionaryColumn},
	{name: "service_level", kind: enumColumn},
	{name: "subject_type", kind: enumColumn},
	{name: "subject_pid", kind: textColumn},
	{name: "relying_party", kind: dictionaryColumn},
	{name: "assurance_level", kind: uint8Column},
	{name: "auth_methods", kind: uint16Column},
	{name: "outcome", kind: enumColumn},
	{name: "error_code", kind: dictionaryColumn},
	{name: "latency_ms", kind: int32Column, absent: -1},
	{name: "extra", kind: textColumn},
	{name: "received_at", kind: timeColumn},
	{name: "record_time", kind: timeColumn},
	{name: "topic", kind: dictionaryColumn},
	{name: "partition", kind: uint32Column},
	{name: "offset", kind: uint64Column},
}}

var registerEvents = table{"register_events", []columnSpec{
	{name: "type", kind: dictionaryColumn},
	{name: "subject", kind: textColumn},
	{name: "occurred_at", kind: timeColumn},
	{name: "source", kind: dictionaryColumn},
	{name: "event_id", kind: textColumn},
	{name: "province_code", kind: dictionaryColumn},
	{name: "admin_scheme", kind: enumColumn},
	{name: "province", kind: dictionaryColumn},
	{name: "province63", kind: dictionaryColumn},
	{name: "commune_code", kind: dictionaryColumn},
	{name: "agency_code", kind: dictionaryColumn},
	{name: "agency_level", kind: enumColumn},
	{name: "service_id", kind: dictionaryColumn},
	{name: "procedure_code", kind: dictionaryColumn},
	{name: "service_level", kind: enumColumn},
	{name: "subject_type", kind: enumColumn},
	{name: "metric_id", kind: dictionaryColumn},
	{name: "value", kind: floatColumn},
	{name: "denominator", kind: floatColumn},
	{name: "qualifier", kind: enumColumn},
	{name: "as_of", kind: dateColumn},
	{name: "source_ref", kind: textColumn},
	{name: "extra", kind: textColumn},
	{name: "received_at", kind: timeColumn},
	{name: "record_time", kind: timeColumn},
	{name: "topic", kind: dictionaryColumn},
	{name: "partition", kind: uint32Column},
	{name: "offset", kind: uint64Column},
}}

var deadLetters = table{"dead_letters", []columnSpec{
	{name: "received_at", kind: timeColumn},
	{name: "reason", kind: dictionaryColumn},
	{name: "field", kind: dictionaryColumn},
	{name: "type", kind: dictionaryColumn},
	{name: "source", kind: dictionaryColumn},
	{name: "sha256", kind: fixedColumn},
	{name: "size", kind: uint32Column},
	{name: "record_time", kind: timeColumn},
	{name: "topic", kind: dictionaryColumn},
	{name: "partition", kind: uint32Column},
	{name: "offset", kind: uint64Column},
}}

var skippedOffsets = table{"skipped_offsets", []columnSpec{
	{name: "topic", kind: dictionaryColumn},
	{name: "partition", kind: uint32Column},
	{name: "first_offset", kind: uint64Column},
	{name: "last_offset", kind: uint64Column},
	{name: "kind", kind: enumColumn},
	{name: "source", kind: dictionaryColumn},
	{name: "received_at", kind: timeColumn},
	{name: "record_time", kind: timeColumn},
}}

// Kinds of skipped offsets, as in the schema's enumeration.
const (
	skippedDuplicate = 1
	skippedGap       = 2
)
