package event

import (
	"slices"
	"strconv"
	"unsafe"
)

// fieldDepth is how deep the value of a field lies: in data, in the envelope.
const fieldDepth = 2

// readData reads data at its first byte. Like all that reads values it returns false only for faulty JSON.
func (d *Decoder) readData() bool {
	s := &d.scan
	switch s.peek() {
	case '{':
		s.pos++
	case 'n':
		return s.literal("null")
	default:
		d.hasData = true
		d.body.fail(InvalidType, "data")
		return s.skip(fieldDepth - 1)
	}
	d.hasData = true
	if d.event == nil { // the type is unknown in binary mode
		return s.members(fieldDepth - 1)
	}
	if source, id := d.attributes[attributeSource], d.attributes[attributeID]; d.foresee != nil && source != nil && id != nil &&
		len(source) <= maxID && len(id) <= maxID { // else it is rejected, and no memory is taken for its sake
		d.identify()
		d.foresee(d.id)
	}
	likely, i := &d.event.likely, -1
	for first := true; ; first = false {
		guess := &likely[i+1]
		var name []byte
		var ok bool
		if *guess > 0 && s.memberNamed(first, d.event.fields[*guess-1].name) {
			i = int(*guess) - 1
		} else {
			var more bool
			if name, more, ok = s.member(first); !more {
				return ok
			}
			i = d.event.find(name)
			*guess = uint8(i + 1)
		}
		if i < 0 {
			ok = d.readUnknown(name)
		} else if d.fieldsMet&(1<<i) != 0 {
			d.body.fail(DuplicateField, d.event.fields[i].path)
			ok = s.skip(fieldDepth)
		} else {
			d.fieldsMet |= 1 << i
			ok = d.readField(&d.event.fields[i])
		}
		if !ok {
			return false
		}
	}
}

// readField reads the value of a known field.
func (d *Decoder) readField(f *compiledField) bool {
	s := &d.scan
	c := s.peek()
	switch {
	case c == 'n':
		return s.literal("null")
	case c == '"' && f.kind.isText():
		text, ok := s.text()
		if ok {
			d.setField(f, text)
		}
		return ok
	case (c == '-' || c-'0' <= 9) && f.kind.isNumber():
		text, integral, ok := s.number()
		if ok {
			d.setNumber(f, text, integral)
		}
		return ok
	case c == 't' && f.kind == flagField:
		d.row.setInt(f.column, 2)
		return s.literal("true")
	case c == 'f' && f.kind == flagField:
		d.row.setInt(f.column, 1)
		return s.literal("false")
	case c == '[' && f.kind == enumsField:
		return d.readEnums(f)
	}
	d.body.fail(InvalidType, f.path)
	return s.skip(fieldDepth)
}

func (k fieldKind) isText() bool {
	switch k {
	case enumsField, integerField, flagField, numberField:
		return false
	}
	return true
}

func (k fieldKind) isNumber() bool { return k == integerField || k == flagField || k == numberField }

// setField stores a text.
func (d *Decoder) setField(f *compiledField, text []byte) {
	if d.scan.control {
		d.body.fail(InvalidValue, f.path)
	}
	switch f.kind {
	case enumField:
		if i := position(f.values, text); i > 0 {
			d.row.setInt(f.column, i)
		} else {
			d.body.fail(InvalidValue, f.path)
		}
	case dateField:
		days, ok := parseDate(text)
		inRange := days >= 0 && days < maxDay || f.column == d.event.registeredAt // which has a reason of its own
		if !ok || !inRange {
			d.body.fail(InvalidValue, f.path)
		}
		d.row.setInt(f.column, days)
	case timeField:
		ms, ok := parseTime(text)
		if !ok || ms < minTime || ms > maxTime {
			d.body.fail(InvalidValue, f.path)
		}
		d.row.setInt(f.column, ms)
	default:
		d.setText(f, text)
	}
}

// setText stores a text that is kept as it is. The empty text is no value.
func (d *Decoder) setText(f *compiledField, text []byte) {
	if len(text) == 0 {
		return
	}
	if f.kind == proseField {
		if textHasPersonalData(text) {
			d.body.fail(PersonalData, f.path)
		}
	} else if identifierIsPersonal(text) {
		d.body.fail(PersonalData, f.path)
	}
	if int64(len(text)) > f.max {
		d.body.fail(InvalidValue, f.path)
	}
	switch f.kind {
	case digitsField:
		if int64(len(text)) != f.max || !allDigits(text) {
			d.body.fail(InvalidValue, f.path)
		}
	case serviceField:
		if d.services[string(text)] == nil {
			d.body.fail(InvalidValue, f.path)
		}
	case pseudonymField:
		if f.column < 0 {
			d.body.fail(SensitiveIdentity, f.path)
			return
		}
	}
	d.row.setText(f.column, text)
}

// setNumber stores a number.
func (d *Decoder) setNumber(f *compiledField, text []byte, integral bool) {
	if f.kind == numberField {
		value, ok := parseNumber(text, integral)
		if !ok || value < float64(f.min) || d.version >= strictSince && !f.sign.admits(value) {
			d.body.fail(InvalidValue, f.path)
		}
		d.row.set(f.column).f = value
		return
	}
	if !integral {
		d.body.fail(InvalidType, f.path)
		return
	}
	n, ok := parseInteger(text)
	if f.kind == flagField {
		if n != 0 && n != 1 {
			ok = false
		}
		n++
	} else if f.choices != nil {
		ok = ok && slices.Contains(f.choices, n)
	} else if n < f.min || n > f.max {
		ok = false
	}
	if !ok {
		d.body.fail(InvalidValue, f.path)
	}
	d.row.setInt(f.column, n)
}

// readEnums reads an array of names as one bit each.
func (d *Decoder) readEnums(f *compiledField) bool {
	s := &d.scan
	s.pos++
	mask := int64(0)
	for first := true; ; first = false {
		more, ok := s.element(first)
		if !more {
			if mask == 0 {
				d.body.fail(InvalidValue, f.path)
			}
			d.row.setInt(f.column, mask)
			return ok
		}
		if s.peek() != '"' {
			d.body.fail(InvalidType, f.path)
			if !s.skip(fieldDepth + 1) {
				return false
			}
			continue
		}
		text, ok := s.text()
		if !ok {
			return false
		}
		i := position(f.values, text)
		if i == 0 {
			d.body.fail(InvalidValue, f.path)
		}
		mask |= 1 << i >> 1
	}
}

// position is the position of a name from 1, or 0.
func position(names []string, name []byte) int64 {
	for i := range names {
		if names[i] == string(name) {
			return int64(i) + 1
		}
	}
	return 0
}

func allDigits(s []byte) bool {
	for _, c := range s {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}

// parseInteger reads the text of an integral JSON number. Numbers of more than 18 digits are not ok: no field is so
// large.
func parseInteger(text []byte) (n int64, ok bool) {
	digits := text
	if digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) > 18 {
		return 0, false
	}
	for _, c := range digits {
		n = n*10 + int64(c-'0')
	}
	if text[0] == '-' {
		n = -n
	}
	return n, true
}

// parseNumber reads a JSON number. Integers that float64 does not hold exactly are not ok, nor are numbers beyond its
// range.
func parseNumber(text []byte, integral bool) (value float64, ok bool) {
	if integral {
		n, ok := parseInteger(text)
		return float64(n), ok && -maxExact <= n && n <= maxExact
	}
	value, err := strconv.ParseFloat(unsafe.String(&text[0], len(text)), 64)
	if value == 0 {
		value = 0 // and not -0
	}
	return value, err == nil
}
