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
	integerField                     // Number without fraction from min to max, or one of choices.
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
	choices  []int64
	required bool
	column   string
	sign     sign   // Of numbers.
	doc      string // For producers; the schemas show it.
}

// sign is what version 3 of the contract brought for numbers that are official figures: none is negative, and none beyond
// maxExact. Before, a number had only to be min or more.
type sign uint8

const (
	anySign     sign = iota
	notNegative      // From 0 to maxExact.
	positive         // More than 0, and up to maxExact.
)

// admits tells whether a number has the sign.
func (s sign) admits(value float64) bool {
	switch s {
	case notNegative:
		return 0 <= value && value <= maxExact
	case positive:
		return 0 < value && value <= maxExact
	}
	return true
}

// eventType is one type of event: to add one, add it to eventTypes, and its columns to the table.
type eventType struct {
	name    string // Without prefix and version.
	since   int    // The version of the contract that brought it.
	table   int
	topic   string
	subject bool    // Whether the attribute subject is required.
	fields  []field // Besides those common to all; one of the same name goes before the common one.
	// either names two fields of which one must be there, the first being reported as missing.
	either [2]string
	// most names two numbers of which the first must not be more than the second, since version mostSince.
	most      [2]string
	mostSince int
	// expects names the fields that an event of the type should have besides the required ones, and expectsAccepted those
	// that one with status statusAccepted should have as well; "a|b" is one of the two. The share of these fields that is
	// there is the completeness (đủ) of a feed.
	//
	// What is expected is our reading, and no law: what is required, and what a KPI reads of an event of the type: where it
	// belongs (province), what it is about (service or procedure), and by what its KPIs are computed. Of a dossier that is
	// what the acceptance says (reading rule 2). Fields that are rightly absent as often as not are not expected: the
	// province of what may be national, the service of an authentication, the level of an organisation's account. Other
	// lists are another version of the contract, as a range that is formed again must count the same.
	expects, expectsAccepted []string
	doc                      string
}

// Lengths in bytes.
const (
	maxID      = 256
	maxSubject = 256
	maxOrg     = 64
	maxCode    = 64
	maxProse   = 1024
)

// statusAccepted is the status of a dossier that is accepted.
const statusAccepted = 2

// maxExact is the largest integer up to which float64, and with it most readers of JSON, hold each.
const maxExact = 1 << 53

// voidType takes back an event; a source may do that to its own.
const voidType = "event.void"

// sensitiveService is the criminal record certificate: whom an event about it concerns must not be told.
const sensitiveService = "DA06-22"

// sensitiveDocuments are the kinds of wallet documents that whom they concern must not be told of.
var sensitiveDocuments = []string{"health_book", "judicial_record"}

// Topics that producers send to unless agreed otherwise; any topic may carry any type.
const (
	dossierTopic        = "ioc.dossier.v1"
	authenticationTopic = "ioc.authentication.v1"
	dataTopic           = "ioc.data.v1"
	programmeTopic      = "ioc.programme.v1"
)

// commonFields are the fields that every type may have.
var commonFields = []field{
	{name: "province_code", kind: identifierField, max: maxCode, doc: "Code of the province, two digits; without it the event is national."},
	{name: "admin_scheme", kind: enumField, values: schemes, doc: "List that province_code is of: gso63 until 2025-06-30, gso34 since then. Seven codes need it."},
	{name: "commune_code", kind: digitsField, max: 5, doc: "Code of the commune, five digits; not with sensitive kinds."},
	{name: "agency_code", kind: identifierField, max: maxCode, doc: "Code of the agency, such as H26.12 or G01; opaque."},
	{name: "agency_level", kind: enumField, values: agencyLevels, doc: "Level of the agency."},
	{name: "service_id", kind: serviceField, max: maxCode, doc: "Essential service; derived from procedure_code where absent."},
	{name: "procedure_code", kind: identifierField, max: maxCode, doc: "Code of the administrative procedure, such as 1.004222."},
	{name: "service_level", kind: enumField, values: serviceLevels, doc: "Online level of the service."},
	{name: "subject_type", kind: enumField, values: subjectTypes, doc: "Who the event is about."},
	{name: "subject_pid", kind: pseudonymField, max: maxCode, doc: "Pseudonym of the person, made by the producer; kept for 30 days; not in registers and not with sensitive kinds."},
}

// dossier puts the fields of every dossier event before a type's own.
func dossier(own ...field) []field {
	return append([]field{
		{name: "agency_code", kind: identifierField, max: maxCode, required: true, doc: "Code of the agency that handles the dossier; opaque."},
		{name: "registered_on", kind: dateField, required: true, doc: "Date the dossier was registered: from 2022-01-06 to one day after the event's date."},
	}, own...)
}

// eventTypes are the types that are built.
var eventTypes = []eventType{
	{
		name: "dossier.status", since: 1, table: dossierEvents, topic: dossierTopic, subject: true,
		doc:     "One step of a dossier; subject is the dossier.",
		expects: []string{"province_code", "service_id|procedure_code"}, expectsAccepted: []string{"channel", "portal", "due_at|statutory_limit"},
		fields: dossier(
			field{name: "status", kind: integerField, min: 1, max: 10, required: true, doc: "Status of the national portal: 1 registered, 2 accepted, 3 not accepted, 4 processing, 5 supplement required, 6 payment required, 7 withdrawn, 8 stopped, 9 completed, 10 result returned."},
			field{name: "channel", kind: integerField, min: 1, max: 3, doc: "How it was submitted: 1 direct, 2 online, 3 postal; absent counts as direct."},
			field{name: "portal", kind: enumField, values: portals, doc: "Where it was submitted."},
			field{name: "due_at", kind: timeField, doc: "Appointed time of return."},
			field{name: "statutory_limit", kind: integerField, max: 1<<16 - 1, doc: "Legal time limit, in limit_unit."},
			field{name: "limit_unit", kind: enumField, values: limitUnits, doc: "Unit of statutory_limit."},
			field{name: "supplement_no", kind: integerField, max: 1<<8 - 1, doc: "Number of the supplement request."},
			field{name: "vneid_authenticated", kind: flagField, doc: "Whether the applicant authenticated through VNeID."},
			field{name: "result_form", kind: enumField, values: resultForms, doc: "Form of the result."},
		),
	},
	{
		name: "dossier.document", since: 2, table: dossierEvents, topic: dossierTopic, subject: true,
		doc:     "One document of a dossier: a component that was submitted, or the result.",
		expects: []string{"province_code"},
		fields: dossier(
			field{name: "kind", kind: enumField, values: documentRoles, required: true, column: "doc_kind", doc: "A component that was submitted, or the result."},
			field{name: "digitised", kind: flagField, doc: "Whether the document is digitised."},
			field{name: "reused", kind: flagField, doc: "Whether it was reused and not asked for again."},
			field{name: "from_national_store", kind: flagField, doc: "Whether it was taken from the national data store."},
			field{name: "source_db", kind: identifierField, max: maxCode, doc: "Database that the document or its data came from."},
			field{name: "has_file", kind: flagField, doc: "Whether an electronic file is attached."},
		),
	},
	{
		name: "dossier.payment", since: 2, table: dossierEvents, topic: dossierTopic, subject: true,
		doc:     "One payment of a dossier, or the demand for it.",
		expects: []string{"province_code"},
		fields: dossier(
			field{name: "state", kind: enumField, values: paymentStates, required: true, column: "payment_state", doc: "State of the payment."},
			field{name: "paid_online", kind: integerField, max: 2, doc: "0 not online, 1 gateway of the national portal, 2 gateway of a ministry or province."},
			field{name: "amount_vnd", kind: integerField, max: maxExact, doc: "Amount of this payment, VND."},
			field{name: "fee_total_vnd", kind: integerField, max: maxExact, doc: "All fees of the dossier, VND; 0 means that there are none."},
			field{name: "collect_when", kind: integerField, choices: []int64{1, 2, 4}, doc: "When the fee is collected: 1 at intake, 2 on supplement, 4 on return of the result."},
		),
	},
	{
		name: "dossier.rating", since: 2, table: dossierEvents, topic: dossierTopic, subject: true,
		doc:     "The applicant's rating of how a dossier was handled.",
		expects: []string{"province_code"},
		fields: dossier(
			field{name: "like", kind: integerField, min: -1, max: 1, required: true, column: "likes", doc: "-1 dislike, 0 neither, 1 like."},
			field{name: "score", kind: integerField, min: 1, max: 5, doc: "Score from 1 to 5."},
		),
	},
	{
		name: "dossier.sync", since: 2, table: dossierEvents, topic: dossierTopic, subject: true,
		doc:     "One synchronisation of a dossier with the national portal.",
		expects: []string{"province_code"},
		fields: dossier(
			field{name: "on_time", kind: flagField, required: true, column: "sync_on_time", doc: "Whether it was synchronised in time."},
		),
	},
	{
		name: "auth.attempt", since: 1, table: authAttempts, topic: authenticationTopic,
		doc:     "One attempt at electronic authentication; subject is the session.",
		expects: []string{"province_code"},
		fields: []field{
			{name: "relying_party", kind: identifierField, max: maxCode, required: true, doc: "Agency that asked for the authentication."},
			{name: "assurance_level", kind: integerField, min: 1, max: 4, required: true, doc: "Assurance level (Nghị định 69/2024/NĐ-CP)."},
			{name: "auth_method", kind: enumsField, values: authMethods, required: true, column: "auth_methods", doc: "Means used, one at least."},
			{name: "outcome", kind: enumField, values: outcomes, required: true, doc: "Outcome of the attempt."},
			{name: "error_code", kind: identifierField, max: maxCode, doc: "Error code of the source."},
			{name: "latency_ms", kind: integerField, max: 1<<31 - 1, doc: "Duration in milliseconds."},
		},
	},
	{
		name: "eid.account", since: 2, table: eidEvents, topic: authenticationTopic,
		doc:     "What happened to one electronic identity account; subject is the account.",
		expects: []string{"province_code"},
		fields: []field{
			{name: "action", kind: enumField, values: accountActions, required: true, column: "account_action", doc: "What happened."},
			{name: "eid_level", kind: integerField, min: 1, max: 2, doc: "Level of the account; organisations have none."},
		},
	},
	{
		name: "wallet.document", since: 2, table: eidEvents, topic: authenticationTopic,
		doc:     "What happened to one document in a wallet. health_book and judicial_record are sensitive: no subject_pid, no commune_code.",
		expects: []string{"province_code"},
		fields: []field{
			{name: "kind", kind: enumField, values: documentKinds, required: true, column: "document_kind", doc: "Kind of document."},
			{name: "action", kind: enumField, values: documentActions, required: true, column: "document_action", doc: "What happened."},
		},
	},
	{
		name: "data.query", since: 2, table: dataQueries, topic: dataTopic,
		doc: "One query to the population database.",
		fields: []field{
			{name: "consumer_agency", kind: identifierField, max: maxCode, required: true, doc: "Agency that asked."},
			{name: "query_kind", kind: enumField, values: queryKinds, required: true, doc: "What the query was for."},
			{name: "outcome", kind: enumField, values: queryOutcomes, required: true, doc: "Outcome of the query."},
			{name: "latency_ms", kind: integerField, max: 1<<31 - 1, doc: "Duration in milliseconds."},
			{name: "records", kind: integerField, max: 1<<32 - 1, doc: "Number of records returned or handled."},
		},
	},
	{
		name: "data.quality", since: 2, table: registerEvents, topic: dataTopic, most: [2]string{"passing", "evaluated"},
		doc:     "The result of one quality rule over one database.",
		expects: []string{"field", "rule_id"},
		fields: []field{
			{name: "database", kind: identifierField, max: maxCode, required: true, doc: "Database that was measured."},
			{name: "criterion", kind: enumField, values: criteria, required: true, doc: "đúng, đủ, sạch, sống or thống nhất."},
			{name: "field", kind: identifierField, max: maxCode, column: "quality_field", doc: "Field of the database that the rule is about."},
			{name: "rule_id", kind: identifierField, max: maxCode, doc: "The rule."},
			{name: "evaluated", kind: integerField, max: maxExact, required: true, doc: "Records that the rule was applied to."},
			{name: "passing", kind: integerField, max: maxExact, required: true, doc: "Records of these that the rule holds for; never more than evaluated."},
			{name: "weight", kind: numberField, doc: "Weight of the rule; 1 where absent."},
		},
	},
	{
		name: "petition.status", since: 2, table: registerEvents, topic: programmeTopic, subject: true,
		doc:     "One step of a petition or complaint; subject is the petition.",
		expects: []string{"province_code", "due_at"},
		fields: []field{
			{name: "status", kind: enumField, values: petitionStatuses, required: true, column: "petition_status", doc: "The step."},
			{name: "class", kind: enumField, values: petitionClasses, column: "petition_class", doc: "About a regulation, or about the conduct of staff."},
			{name: "due_at", kind: timeField, doc: "When the answer is due."},
			{name: "like", kind: integerField, min: -1, max: 1, column: "likes", doc: "Rating of the answer: -1 dislike, 0 neither, 1 like."},
		},
	},
	{
		name: "service.catalog", since: 2, table: registerEvents, topic: programmeTopic, either: [2]string{"service_id", "procedure_code"},
		doc:     "How a service is offered, nationally or in a province.",
		expects: []string{"service_id|procedure_code", "list"},
		fields: []field{
			{name: "list", kind: enumField, values: lists, doc: "Smallest list that the service is in: E76 contains E53 contains E25."},
			{name: "level", kind: enumField, values: serviceLevels, required: true, doc: "Online level that it is offered at."},
			{name: "full_eligible", kind: flagField, doc: "Whether it can be offered at level full."},
			{name: "written_result", kind: flagField, doc: "Whether its result is in writing."},
			{name: "fee_offline_vnd", kind: integerField, max: maxExact, doc: "Fee at the counter, VND."},
			{name: "fee_online_vnd", kind: integerField, max: maxExact, doc: "Fee online, VND."},
		},
	},
	{
		name: "task.status", since: 2, table: registerEvents, topic: programmeTopic, subject: true,
		doc:     "The state of one task of the programme; subject is the task.",
		expects: []string{"due_at", "source_document"},
		fields: []field{
			{name: "status", kind: enumField, values: taskStatuses, required: true, column: "task_status", doc: "State of the task."},
			{name: "lead_agency", kind: identifierField, max: maxCode, required: true, doc: "Agency that leads it."},
			{name: "source_document", kind: proseField, max: maxProse, doc: "Document that assigned it."},
			{name: "due_at", kind: timeField, doc: "When it is due."},
		},
	},
	{
		name: "capability.status", since: 2, table: registerEvents, topic: programmeTopic,
		doc: "Whether an organisation has a centre, platform, connection or data centre.",
		fields: []field{
			{name: "kind", kind: enumField, values: capabilityKinds, required: true, column: "capability_kind", doc: "What the organisation has."},
			{name: "org_id", kind: identifierField, max: maxCode, required: true, doc: "The organisation."},
			{name: "org_kind", kind: identifierField, max: maxCode, required: true, doc: "Kind of the organisation, for example province or ministry."},
			{name: "state", kind: enumField, values: capabilityStates, required: true, column: "capability_state", doc: "State; a connection that is live is operating."},
		},
	},
	{
		name: "counter.report", since: 1, table: registerEvents, topic: programmeTopic, most: [2]string{"value", "denominator"}, mostSince: strictSince,
		doc: "An official figure, as published.",
		fields: []field{
			{name: "metric_id", kind: identifierField, max: maxCode, required: true, doc: "A KPI's id where it is that KPI's figure."},
			{name: "value", kind: numberField, min: -maxExact, sign: notNegative, required: true, doc: "The figure; never more than denominator where that is given."},
			{name: "denominator", kind: numberField, sign: positive, doc: "The known whole, 76 in \"49 of 76\"."},
			{name: "qualifier", kind: enumField, values: qualifiers, doc: "exact, over (trên, hơn) or nearly (gần)."},
			{name: "as_of", kind: dateField, required: true, doc: "Date that the figure holds for."},
			{name: "source_ref", kind: proseField, max: maxProse, required: true, doc: "Document that it was published in."},
		},
	},
	{
		name: voidType, since: 2, table: registerEvents, topic: programmeTopic, subject: true,
		doc:     "Takes an earlier event out of every KPI from now on; subject is the id of that event, which has the same source.",
		expects: []string{"reason"},
		fields: []field{
			{name: "reason", kind: proseField, max: maxProse, column: "void_reason", doc: "Why."},
		},
	},
}
