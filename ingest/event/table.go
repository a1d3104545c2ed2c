package event

// columnKind says how a column is held in memory and handed to the driver.
type columnKind uint8

const (
	textColumn       columnKind = iota // String
	dictionaryColumn                   // LowCardinality(String)
	fixedColumn                        // FixedString
	enumColumn                         // Enum8
	int8Column                         // Int8
	uint8Column                        // UInt8
	uint16Column                       // UInt16
	uint32Column                       // UInt32
	uint64Column                       // UInt64
	int32Column                        // Int32
	int64Column                        // Int64
	floatColumn                        // Float64
	dateColumn                         // Date, days since 1970-01-01
	hourColumn                         // DateTime, unix seconds
	timeColumn                         // DateTime64(3), unix milliseconds
)

// columnSpec is one column of a table. absent is its value where the event has none, which is also the default of the
// schema; texts are then empty.
type columnSpec struct {
	name   string
	kind   columnKind
	absent int64
}

// absentLike marks the absence of a like, which is -1, 0 or 1.
const absentLike = -128

// table is one raw table.
type table struct {
	name    string
	columns []columnSpec // In any order: an insert names them.
	month   string       // The column by whose months it is partitioned, where rows of one insert may differ in them.
	window  int          // How many inserted parts it remembers the tokens of (non_replicated_deduplication_window).
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

// The raw tables, in the order of inserts. Those before deadLetters hold events.
const (
	dossierEvents = iota
	authAttempts
	dataQueries
	eidEvents
	registerEvents
	deadLetters
	skippedOffsets
	deadLetterReplays // a row beside that of an offset, not instead
	tableCount
)

// Tables lists the tables that hold events. Each has the columns source, event_id, record_time, topic, partition
// and offset, among others.
func Tables() []string {
	names := make([]string, deadLetters)
	for i := range names {
		names[i] = tables[i].name
	}
	return names
}

// DedupeWindow is how many inserted parts a raw table remembers the tokens of; 0 for other tables.
func DedupeWindow(name string) int {
	for i := range tables {
		if tables[i].name == name {
			return tables[i].window
		}
	}
	if name == feedTable.name {
		return feedTable.window
	}
	return 0
}

// The columns that every table of events has, at these positions.
const (
	occurredAt = iota
	subjectAt
	typeAt
	sourceAt
	idAt
	provinceCodeAt
	schemeAt
	provinceAt
	province63At
	communeAt
	agencyAt
	agencyLevelAt
	serviceAt
	procedureAt
	serviceLevelAt
	subjectTypeAt
	extraAt
	receivedAt
	recordTimeAt
	topicAt
	partitionAt
	offsetAt
	expectedAt
	presentAt
)

// Positions of columns of dead_letters.
const (
	letterReceived = iota
	letterReason
	letterField
	letterType
	letterSource
	letterHash
	letterSize
	letterTime
	letterTopic
	letterPartition
	letterOffset
	letterProvince
	letterProvince63
	letterSensitive
	letterContract
)

// Positions of columns of skipped_offsets.
const (
	skippedTopic = iota
	skippedPartition
	skippedFirst
	skippedLast
	skippedKind
	skippedSource
	skippedReceived
	skippedTime
	skippedType
	skippedProvince
	skippedProvince63
	skippedSensitive
	skippedContract
)

var commonColumns = [...]columnSpec{
	occurredAt:     {name: "occurred_at", kind: timeColumn},
	subjectAt:      {name: "subject", kind: textColumn},
	typeAt:         {name: "type", kind: dictionaryColumn},
	sourceAt:       {name: "source", kind: dictionaryColumn},
	idAt:           {name: "event_id", kind: textColumn},
	provinceCodeAt: {name: "province_code", kind: dictionaryColumn},
	schemeAt:       {name: "admin_scheme", kind: enumColumn},
	provinceAt:     {name: "province", kind: dictionaryColumn},
	province63At:   {name: "province63", kind: dictionaryColumn},
	communeAt:      {name: "commune_code", kind: dictionaryColumn},
	agencyAt:       {name: "agency_code", kind: dictionaryColumn},
	agencyLevelAt:  {name: "agency_level", kind: enumColumn},
	serviceAt:      {name: "service_id", kind: dictionaryColumn},
	procedureAt:    {name: "procedure_code", kind: dictionaryColumn},
	serviceLevelAt: {name: "service_level", kind: enumColumn},
	subjectTypeAt:  {name: "subject_type", kind: enumColumn},
	extraAt:        {name: "extra", kind: textColumn},
	receivedAt:     {name: "received_at", kind: timeColumn},
	recordTimeAt:   {name: "record_time", kind: timeColumn},
	topicAt:        {name: "topic", kind: dictionaryColumn},
	partitionAt:    {name: "partition", kind: uint32Column},
	offsetAt:       {name: "offset", kind: uint64Column},
	expectedAt:     {name: "fields_expected", kind: uint8Column},
	presentAt:      {name: "fields_present", kind: uint8Column},
}

// eventColumns are the columns of a table of events: the common ones and its own.
func eventColumns(own ...columnSpec) []columnSpec {
	return append(commonColumns[:len(commonColumns):len(commonColumns)], own...)
}

// pseudonym is the column of a person's pseudonym. Tables that keep their rows for ever do not have it.
var pseudonym = columnSpec{name: "subject_pid", kind: textColumn}

var tables = [tableCount]table{
	dossierEvents: {name: "dossier_events", month: "registered_on", window: 100_000, columns: eventColumns(pseudonym,
		columnSpec{name: "registered_on", kind: dateColumn},
		columnSpec{name: "status", kind: uint8Column},
		columnSpec{name: "channel", kind: enumColumn},
		columnSpec{name: "portal", kind: enumColumn},
		columnSpec{name: "due_at", kind: timeColumn},
		columnSpec{name: "statutory_limit", kind: uint16Column},
		columnSpec{name: "limit_unit", kind: enumColumn},
		columnSpec{name: "supplement_no", kind: uint8Column},
		columnSpec{name: "vneid_authenticated", kind: enumColumn},
		columnSpec{name: "result_form", kind: enumColumn},
		columnSpec{name: "doc_kind", kind: enumColumn},
		columnSpec{name: "digitised", kind: enumColumn},
		columnSpec{name: "reused", kind: enumColumn},
		columnSpec{name: "from_national_store", kind: enumColumn},
		columnSpec{name: "source_db", kind: dictionaryColumn},
		columnSpec{name: "has_file", kind: enumColumn},
		columnSpec{name: "payment_state", kind: enumColumn},
		columnSpec{name: "paid_online", kind: int8Column, absent: -1},
		columnSpec{name: "amount_vnd", kind: int64Column, absent: -1},
		columnSpec{name: "fee_total_vnd", kind: int64Column, absent: -1},
		columnSpec{name: "collect_when", kind: uint8Column},
		columnSpec{name: "likes", kind: int8Column, absent: absentLike},
		columnSpec{name: "score", kind: uint8Column},
		columnSpec{name: "sync_on_time", kind: enumColumn},
	)},
	authAttempts: {name: "auth_attempts", month: "occurred_at", window: 100_000, columns: eventColumns(pseudonym,
		columnSpec{name: "relying_party", kind: dictionaryColumn},
		columnSpec{name: "assurance_level", kind: uint8Column},
		columnSpec{name: "auth_methods", kind: uint16Column},
		columnSpec{name: "outcome", kind: enumColumn},
		columnSpec{name: "error_code", kind: dictionaryColumn},
		columnSpec{name: "latency_ms", kind: int32Column, absent: -1},
	)},
	dataQueries: {name: "data_queries", month: "occurred_at", window: 100_000, columns: eventColumns(pseudonym,
		columnSpec{name: "consumer_agency", kind: dictionaryColumn},
		columnSpec{name: "query_kind", kind: enumColumn},
		columnSpec{name: "outcome", kind: enumColumn},
		columnSpec{name: "latency_ms", kind: int32Column, absent: -1},
		columnSpec{name: "records", kind: uint32Column},
	)},
	eidEvents: {name: "eid_events", month: "occurred_at", window: 100_000, columns: eventColumns(pseudonym,
		columnSpec{name: "account_action", kind: enumColumn},
		columnSpec{name: "eid_level", kind: uint8Column},
		columnSpec{name: "document_kind", kind: enumColumn},
		columnSpec{name: "document_action", kind: enumColumn},
	)},
	registerEvents: {name: "register_events", window: 10_000, columns: eventColumns(
		columnSpec{name: "metric_id", kind: dictionaryColumn},
		columnSpec{name: "value", kind: floatColumn},
		columnSpec{name: "denominator", kind: floatColumn},
		columnSpec{name: "qualifier", kind: enumColumn},
		columnSpec{name: "as_of", kind: dateColumn},
		columnSpec{name: "source_ref", kind: textColumn},
		columnSpec{name: "database", kind: dictionaryColumn},
		columnSpec{name: "criterion", kind: enumColumn},
		columnSpec{name: "quality_field", kind: dictionaryColumn},
		columnSpec{name: "rule_id", kind: dictionaryColumn},
		columnSpec{name: "evaluated", kind: uint64Column},
		columnSpec{name: "passing", kind: uint64Column},
		columnSpec{name: "weight", kind: floatColumn, absent: 1},
		columnSpec{name: "petition_status", kind: enumColumn},
		columnSpec{name: "petition_class", kind: enumColumn},
		columnSpec{name: "due_at", kind: timeColumn},
		columnSpec{name: "likes", kind: int8Column, absent: absentLike},
		columnSpec{name: "list", kind: enumColumn},
		columnSpec{name: "level", kind: enumColumn},
		columnSpec{name: "full_eligible", kind: enumColumn},
		columnSpec{name: "written_result", kind: enumColumn},
		columnSpec{name: "fee_offline_vnd", kind: int64Column, absent: -1},
		columnSpec{name: "fee_online_vnd", kind: int64Column, absent: -1},
		columnSpec{name: "task_status", kind: enumColumn},
		columnSpec{name: "source_document", kind: textColumn},
		columnSpec{name: "lead_agency", kind: dictionaryColumn},
		columnSpec{name: "capability_kind", kind: enumColumn},
		columnSpec{name: "org_id", kind: dictionaryColumn},
		columnSpec{name: "org_kind", kind: dictionaryColumn},
		columnSpec{name: "capability_state", kind: enumColumn},
		columnSpec{name: "void_reason", kind: textColumn},
	)},
	deadLetters: {name: "dead_letters", window: 10_000, columns: []columnSpec{
		letterReceived:   {name: "received_at", kind: timeColumn},
		letterReason:     {name: "reason", kind: dictionaryColumn},
		letterField:      {name: "field", kind: dictionaryColumn},
		letterType:       {name: "type", kind: dictionaryColumn},
		letterSource:     {name: "source", kind: dictionaryColumn},
		letterHash:       {name: "sha256", kind: fixedColumn},
		letterSize:       {name: "size", kind: uint32Column},
		letterTime:       {name: "record_time", kind: timeColumn},
		letterTopic:      {name: "topic", kind: dictionaryColumn},
		letterPartition:  {name: "partition", kind: uint32Column},
		letterOffset:     {name: "offset", kind: uint64Column},
		letterProvince:   {name: "province", kind: dictionaryColumn},
		letterProvince63: {name: "province63", kind: dictionaryColumn},
		letterSensitive:  {name: "sensitive", kind: uint8Column},
		letterContract:   {name: "contract", kind: uint8Column},
	}},
	skippedOffsets: {name: "skipped_offsets", window: 10_000, columns: []columnSpec{
		skippedTopic:      {name: "topic", kind: dictionaryColumn},
		skippedPartition:  {name: "partition", kind: uint32Column},
		skippedFirst:      {name: "first_offset", kind: uint64Column},
		skippedLast:       {name: "last_offset", kind: uint64Column},
		skippedKind:       {name: "kind", kind: enumColumn},
		skippedSource:     {name: "source", kind: dictionaryColumn},
		skippedReceived:   {name: "received_at", kind: timeColumn},
		skippedTime:       {name: "record_time", kind: timeColumn},
		skippedType:       {name: "type", kind: dictionaryColumn},
		skippedProvince:   {name: "province", kind: dictionaryColumn},
		skippedProvince63: {name: "province63", kind: dictionaryColumn},
		skippedSensitive:  {name: "sensitive", kind: uint8Column},
		skippedContract:   {name: "contract", kind: uint8Column},
	}},
	deadLetterReplays: {name: "dead_letter_replays", window: 10_000, columns: []columnSpec{
		{name: "origin_topic", kind: dictionaryColumn},
		{name: "origin_offset", kind: uint64Column},
		{name: "topic", kind: dictionaryColumn},
		{name: "partition", kind: uint32Column},
		{name: "record_offset", kind: uint64Column},
		{name: "received_at", kind: timeColumn},
		{name: "outcome", kind: enumColumn},
		{name: "letter", kind: fixedColumn},
	}},
}

// Kinds of skipped offsets, as in the schema's enumeration.
const (
	skippedDuplicate = 1
	skippedGap       = 2
)
