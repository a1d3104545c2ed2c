package event

import "ioc.local/internal/reference"

// Enumerations, in the order of the schema's.
var (
	systems       = reference.Systems()
	schemes       = []string{"gso63", "gso34"}
	agencyLevels  = []string{"central", "province", "commune"}
	serviceLevels = []string{"full", "partial", "info", "none"}
	subjectTypes  = []string{"citizen", "enterprise", "household_business", "organisation", "agency", "foreigner"}
	portals       = []string{"npsp", "vneid", "ministry", "province", "counter"}
	limitUnits    = []string{"working_day", "working_hour", "day"}
	resultForms   = []string{"electronic", "paper", "both", "none"}
	documentRoles = []string{"component", "result"}
	paymentStates = []string{"due", "paid", "refunded", "failed"}
	authMethods   = []string{"password", "pin", "barcode_qr", "device", "otp", "crypto_device", "id_card_chip", "passport",
		"face", "fingerprint", "voice", "iris"}
	outcomes = []string{"success", "wrong_credential", "expired", "locked", "no_match", "level_too_low", "user_cancelled",
		"timeout", "system_error"}
	accountActions   = []string{"registered", "approved", "activated", "upgraded", "locked", "unlocked", "deactivated"}
	documentKinds    = []string{"health_book", "driving_licence", "vehicle_registration", "insurance_card", "judicial_record", "other"}
	documentActions  = []string{"created", "integrated", "removed", "presented"}
	queryKinds       = []string{"lookup", "verify", "clean", "sync"}
	queryOutcomes    = []string{"ok", "not_found", "denied", "error", "timeout"}
	criteria         = []string{"dung", "du", "sach", "song", "thong_nhat"}
	petitionStatuses = []string{"received", "refused", "info_required", "answered", "published"}
	petitionClasses  = []string{"regulation", "staff"}
	lists            = []string{"E25", "E53", "E76"}
	taskStatuses     = []string{"assigned", "in_progress", "completed", "completed_late", "overdue", "continuous"}
	capabilityKinds  = []string{"ioc", "platform", "popdb_connection", "data_centre"}
	capabilityStates = []string{"planned", "building", "operating", "suspended", "closed"}
	qualifiers       = []string{"exact", "over", "nearly"}
)
