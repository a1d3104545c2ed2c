package simulate

// badRecord is a record that ingestion must reject, an index of badRecords.
type badRecord int

// badRecords are the kinds, by the reason that is due. A body is what comes after the subject's opening quote in an
// authentication or dossier of no province in particular; nothing in it belongs to a person.
var badRecords = [...]struct {
	reason    string
	eventType string
	body      string // data, and what closes the event
	edit      func(*envelope)
}{
	{"not_json", typeAuth, `"relying_party":"SIM","assurance_level":2,`, nil},
	{"missing_field", typeAuth, `"relying_party":"SIM","assurance_level":2,"auth_method":["otp"]}}`, nil},
	{"invalid_type", typeAuth, `"relying_party":"SIM","assurance_level":2,"auth_method":["otp"],"outcome":"success","latency_ms":"fast"}}`, nil},
	{"invalid_value", typeAuth, `"relying_party":"SIM","assurance_level":9,"auth_method":["otp"],"outcome":"success"}}`, nil},
	{"duplicate_field", typeAuth, `"relying_party":"SIM","assurance_level":2,"auth_method":["otp"],"outcome":"success","outcome":"success"}}`, nil},
	{"unknown_province", typeAuth, `"province_code":"99","admin_scheme":"gso34","relying_party":"SIM","assurance_level":2,"auth_method":["otp"],"outcome":"success"}}`, nil},
	{"ambiguous_province", typeAuth, `"province_code":"24","relying_party":"SIM","assurance_level":2,"auth_method":["otp"],"outcome":"success"}}`, nil},
	{"personal_data", typeAuth, `"relying_party":"000000000000","assurance_level":2,"auth_method":["otp"],"outcome":"success"}}`, nil},
	{"personal_data", typeAuth, `"relying_party":"nobody@example.invalid","assurance_level":2,"auth_method":["otp"],"outcome":"success"}}`, nil},
	{"sensitive_identity", typeStatus, `"agency_code":"SIM","registered_on":"2022-02-01","service_id":"` + judicialRecords + `","subject_pid":"00000000000000000000000000000000","status":1}}`, nil},
	{"registered_on_out_of_range", typeStatus, `"agency_code":"SIM","registered_on":"2021-01-01","status":1}}`, nil},
	{"unknown_type", "sim.unknown", `"relying_party":"SIM"}}`, nil},
	{"invalid_source", typeAuth, goodBody, func(e *envelope) { e.system = "nowhere" }},
	{"not_cloudevent", typeAuth, goodBody, func(e *envelope) { e.version = '0' }},
	{"time_in_future", typeAuth, goodBody, func(e *envelope) { e.at = midnight(47_482) }}, // 2100-01-01
	{"time_too_old", typeAuth, goodBody, func(e *envelope) { e.at = midnight(18_992) }},   // 2021-12-31
}

// goodBody has nothing wrong.
const goodBody = `"relying_party":"SIM","assurance_level":2,"auth_method":["otp"],"outcome":"success"}}`

// envelope is what a bad record may change outside of its data.
type envelope struct {
	system  string
	version byte // the first digit
	at      int64
}

func (b badRecord) act(c *country, buf []byte, at int64) ([]byte, int64) {
	kind := &badRecords[b]
	topic := ofIdentity
	if kind.eventType == typeStatus {
		topic = ofDossier
	}
	e := envelope{system: eidAuth, version: '1', at: at}
	if kind.edit != nil {
		kind.edit(&e)
	}
	version := len(buf) + len(`{"specversion":"`)
	buf = c.begin(buf, e.at, topic, e.system, "", kind.eventType)
	buf[version] = e.version
	buf = c.subject(appendHex(append(buf, "b-"...), c.rnd.Uint64()))
	c.made.final, c.made.reject = true, kind.reason
	return append(buf, kind.body...), 0
}
