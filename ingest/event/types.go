package event

// typePrefix and typeSuffix surround a type's name in the attribute type.
const (
	typePrefix = "vn.da06."
	typeSuffix = ".v1"
)

// fieldKind says which JSON values a field takes and how they are stored.
type fieldKind uint8

const (
	identifierField fieldKind = iota // Text of at most max bytes that stands for something; opaque.
	proseField                       // Free text of at most max bytes.
	digitsField                      // Text of exactly max digits.
	serviceField                     // One of the 25 essential services.
	enumField                        // Text of the enumeration, stored as its position from 1.
	enumsField                       // Array of texts of the enumeration, stored as one bit each.
	integerField                     // Number without fraction from min to max.
	flagField                        // true, false, 1 or 0, stored as 2 or 1.
	numberField                      // Finite number from min; integers must be exact as float64.
	dateField                        // Date, in text.
	timeField                        // Time of RFC 3339 with offset, in text.
	pseudonymField                   // Like identifierField, and not allowed in tables that lack its column.
)

// field is one field of data. It is stored in the column of its name unless column says otherwise.
type field struct {
	name     string
	kind     fieldKind
	min, max int64
	values   []string
	required bool
	column   string
}

// eventType is one type of event: to add one, add it to eventTypes, and its columns to the table.
type eventType struct {
	name    string // Without prefix and version.
	table   *table
	block   func(*Batch) *Block
	subject bool    // Whether the attribute subject is required.
	fields  []field // Besides those common to all.
}

// Lengths in bytes.
const (
	maxID      = 256
	maxSubject = 256
	maxOrg     = 64
	maxCode    = 64
	maxProse   = 1024
)

// Enumerations, in the order of the schema's.
var (
	systems = []string{"npsp", "mps_portal", "vneid", "eid_auth", "popdb", "ministry_portal", "province_portal", "ldop",
		"health_book", "task_force", "ioc", "manual_report"}
	schemes       = []string{"gso63", "gso34"}
	agencyLevels  = []string{"central", "province", "commune"}
	serviceLevels = []string{"full", "partial", "info", "none"}
	subjectTypes  = []string{"citizen", "enterprise", "household_business", "organisation", "agency", "foreigner"}
	portals       = []string{"npsp", "vneid", "ministry", "province", "counter"}
	limitUnits    = []string{"working_day", "working_hour", "day"}
	resultForms   = []string{"electronic", "paper", "both", "none"}
	authMethods   = []string{"password", "pin", "barcode_qr", "device", "otp", "crypto_device", "id_card_chip", "passport",
		"face", "fingerprint", "voice", "iris"}
	outcomes = []string{"success", "wrong_credential", "expired", "locked", "no_match", "level_too_low", "user_cancelled",
		"timeout", "system_error"}
	qualifiers = []string{"exact", "over", "nearly"}
)

// sensitiveService is the criminal record certificate: whom an event about it concerns must not be told.
const sensitiveService = "DA06-22"

// commonFields are the fields that every type may have.
var commonFields = []field{
	{name: "province_code", kind: identifierField, max: maxCode},
	{name: "admin_scheme", kind: enumField, values: schemes},
	{name: "commune_code", kind: digitsField, max: 5},
	{name: "agency_code", kind: identifierField, max: maxCode},
	{name: "agency_level", kind: enumField, values: agencyLevels},
	{name: "service_id", kind: serviceField, max: maxCode},
	{name: "procedure_code", kind: identifierField, max: maxCode},
	{name: "service_level", kind: enumField, values: serviceLevels},
	{name: "subject_type", kind: enumField, values: subjectTypes},
	{name: "subject_pid", kind: pseudonymField, max: maxCode},
}

// eventTypes are the types that are built.
var eventTypes = []eventType{
	{
		name: "dossier.status", table: &dossierEvents, block: func(b *Batch) *Block { return b.Dossiers }, subject: true,
		fields: []field{
			{name: "agency_code", kind: identifierField, max: maxCode, required: true},
			{name: "registered_on", kind: dateField, required: true},
			{name: "status", kind: integerField, min: 1, max: 10, required: true},
			{name: "channel", kind: integerField, min: 1, max: 3},
			{name: "portal", kind: enumField, values: portals},
			{name: "due_at", kind: timeField},
			{name: "statutory_limit", kind: integerField, max: 1<<16 - 1},
			{name: "limit_unit", kind: enumField, values: limitUnits},
			{name: "supplement_no", kind: integerField, max: 1<<8 - 1},
			{name: "vneid_authenticated", kind: flagField},
			{name: "result_form", kind: enumField, values: resultForms},
		},
	},
	{
		name: "auth.attempt", table: &authAttempts, block: func(b *Batch) *Block { return b.Auth },
		fields: []field{
			{name: "relying_party", kind: identifierField, max: maxCode, required: true},
			{name: "assurance_level", kind: integerField, min: 1, max: 4, required: true},
			{name: "auth_method", kind: enumsField, values: authMethods, required: true, column: "auth_methods"},
			{name: "outcome", kind: enumField, values: outcomes, required: true},
			{name: "error_code", kind: identifierField, max: maxCode},
			{name: "latency_ms", kind: integerField, max: 1<<31 - 1},
		},
	},
	{
		name: "counter.report", table: &registerEvents, block: func(b *Batch) *Block { return b.Register },
		fields: []field{
			{name: "metric_id", kind: identifierField, max: maxCode, required: true},
			{name: "value", kind: numberField, min: -maxExact, required: true},
			{name: "denominator", kind: numberField, min: 0},
			{name: "qualifier", kind: enumField, values: qualifiers},
			{name: "as_of", kind: dateField, required: true},
			{name: "source_ref", kind: proseField, max: maxProse, required: true},
		},
	},
}

// maxExact is the largest integer up to which float64 holds each.
const maxExact = 1 << 53
