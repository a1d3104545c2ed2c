package event

import "bytes"

// letter is what may be told of a record that becomes no event.
type letter struct {
	fault
	eventType, source    []byte
	province, province63 []byte // where they are readable and valid
	sensitive            int64  // 1 for an event about a criminal record or somebody's health
	contract             int64  // version that judged it
}

// tell adds type, source and place to a fault where they are readable and harmless: they go where anyone may look.
func (d *Decoder) tell(f *fault) letter {
	l := letter{fault: *f, contract: int64(d.version)}
	if t := d.attributes[attributeType]; d.event != nil || f.reason != PersonalData && isTypeName(t) {
		l.eventType = t
	}
	source := d.attributes[attributeSource]
	if org, ok := sourceOrg(source); ok && len(org) <= maxOrg && !textHasPersonalData(org) {
		l.source = source
	}
	if d.event != nil && d.whole.reason == "" {
		at, _ := d.placeOf()
		l.province, l.province63 = at.province, at.province63
	}
	if d.isSensitive() {
		l.sensitive = 1
	}
	return l
}

// isTypeName matches vn.da06.<words>.v<number>.
func isTypeName(t []byte) bool {
	const longest = 64
	if len(t) > longest || !bytes.HasPrefix(t, []byte(typePrefix)) {
		return false
	}
	at := bytes.LastIndex(t, []byte(".v"))
	if at < len(typePrefix) {
		return false
	}
	version := t[at+2:]
	if len(version) == 0 || len(version) > 2 || !allDigits(version) {
		return false
	}
	for _, c := range t[len(typePrefix):at] {
		if c-'a' > 25 && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// mustWithhold tells whether the payload of a rejected record must be kept nowhere: by the reason, or because anything
// in it looks like personal data, whatever the reason.
func (d *Decoder) mustWithhold(rec *Record, f *fault) bool {
	if f.reason == PersonalData || f.reason == SensitiveIdentity || payloadHasPersonalData(rec.Key) {
		return true
	}
	for i := range rec.Headers {
		if payloadHasPersonalData(rec.Headers[i].Value) {
			return true
		}
	}
	// In JSON only texts count; numbers are amounts and durations. Anything else is text as a whole.
	if d.whole.reason != "" {
		return payloadHasPersonalData(rec.Value)
	}
	s := &d.scan
	s.start(rec.Value)
	s.watch = true
	s.skip(0)
	return s.found
}
