package event

import "slices"

// Reason says why a record was rejected. The codes are part of the contract: they are stored, and never renamed.
type Reason string

// The reasons.
const (
	TooLarge               Reason = "too_large"
	NotUTF8                Reason = "not_utf8"
	NotJSON                Reason = "not_json"
	UnsupportedContent     Reason = "unsupported_content"
	NotCloudEvent          Reason = "not_cloudevent"
	DuplicateField         Reason = "duplicate_field"
	MissingField           Reason = "missing_field"
	InvalidType            Reason = "invalid_type"
	InvalidValue           Reason = "invalid_value"
	InvalidSource          Reason = "invalid_source"
	SourceNotAllowed       Reason = "source_not_allowed"
	UnknownType            Reason = "unknown_type"
	TimeInFuture           Reason = "time_in_future"
	TimeTooOld             Reason = "time_too_old"
	RegisteredOnOutOfRange Reason = "registered_on_out_of_range"
	UnknownProvince        Reason = "unknown_province"
	AmbiguousProvince      Reason = "ambiguous_province"
	PersonalData           Reason = "personal_data"
	SensitiveIdentity      Reason = "sensitive_identity"
)

// ReasonInfo describes a reason.
type ReasonInfo struct {
	Reason  Reason
	Meaning string // One sentence for the producer's team.
}

var reasons = []ReasonInfo{
	{TooLarge, "The record's value is larger than 64 KiB."},
	{NotUTF8, "The value or an attribute header is not valid UTF-8."},
	{NotJSON, "The value is not one JSON text as RFC 8259 defines it, nests deeper than 32 levels, or has an unpaired surrogate."},
	{UnsupportedContent, "The content is not JSON: another content-type or datacontenttype, or data_base64."},
	{NotCloudEvent, "The value is not a CloudEvent: not an object, or without specversion 1.0."},
	{DuplicateField, "A member or an attribute appears twice."},
	{MissingField, "A required field is absent, null or empty."},
	{InvalidType, "The field has another JSON type than the contract says."},
	{InvalidValue, "The value is outside its enumeration, range, length or format."},
	{InvalidSource, "The source is not /<system>/<org> with a known system."},
	{SourceNotAllowed, "The registry of sources does not have the source, or does not let it send this type or for this province."},
	{UnknownType, "The event type is not known."},
	{TimeInFuture, "The time is more than 5 minutes ahead of the clock."},
	{TimeTooOld, "The time is before 2022-01-06 in Asia/Ho_Chi_Minh."},
	{RegisteredOnOutOfRange, "registered_on is before 2022-01-06 or more than one day after the event's date."},
	{UnknownProvince, "province_code does not exist in its scheme."},
	{AmbiguousProvince, "province_code is one of 15, 24, 44, 52, 80, 82, 91, which name different places in the two schemes, and admin_scheme is absent."},
	{PersonalData, "The field holds what looks like an identity number, a phone number or an e-mail address."},
	{SensitiveIdentity, "subject_pid or commune_code where the contract forbids it: service DA06-22, wallet documents health_book and judicial_record, and subject_pid in registers."},
}

// Reasons lists every reason with its meaning.
func Reasons() []ReasonInfo { return slices.Clone(reasons) }
