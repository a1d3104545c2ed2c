package event

import "fmt"

const lookupSlots = 256

// compiledField is a field with its place.
type compiledField struct {
	field
	path   string // data.<name>
	column int    // -1 where the table has none
}

// compiledType is an event type ready for decoding.
type compiledType struct {
	eventType
	full   string // The attribute type.
	short  []byte // The column type.
	fields []compiledField
	// required marks the columns that must have a value.
	required uint64
	lookup   [lookupSlots]uint8 // position in fields plus one, by hash, then the next free slot
	// Columns of the envelope, and those that are checked against one another.
	subjectAt, timeAt, typeAt, sourceAt, idAt, extraAt, receivedAt, recordTimeAt, topicAt, partitionAt, offsetAt int
	provinceCodeAt, schemeAt, provinceAt, province63At, communeAt, serviceAt, procedureAt, pseudonymAt           int
	registeredAt                                                                                                 int
}

// compile checks a type against its table. What it reports are mistakes in the program.
func compile(t eventType) (*compiledType, error) {
	if len(t.table.columns) > len(row{}.values) {
		return nil, fmt.Errorf("table %s has more than %d columns", t.table.name, len(row{}.values))
	}
	c := &compiledType{eventType: t, full: typePrefix + t.name + typeSuffix, short: []byte(t.name)}
	for _, f := range commonFields {
		if !c.owns(f.name) {
			c.add(f)
		}
	}
	for _, f := range t.fields {
		c.add(f)
	}
	if len(c.fields) > 64 {
		return nil, fmt.Errorf("type %s has more than 64 fields", t.name)
	}
	for i := range c.fields {
		f := &c.fields[i]
		if f.column < 0 && f.kind != pseudonymField {
			return nil, fmt.Errorf("field %s of %s: table %s has no column for it", f.name, t.name, t.table.name)
		}
		if f.required {
			c.required |= 1 << f.column
		}
		slot := hashName([]byte(f.name))
		for c.lookup[slot] != 0 {
			slot = (slot + 1) % lookupSlots
		}
		c.lookup[slot] = uint8(i + 1)
	}
	for name, at := range map[string]*int{"subject": &c.subjectAt, "occurred_at": &c.timeAt, "type": &c.typeAt, "source": &c.sourceAt,
		"event_id": &c.idAt, "extra": &c.extraAt, "received_at": &c.receivedAt, "record_time": &c.recordTimeAt, "topic": &c.topicAt,
		"partition": &c.partitionAt, "offset": &c.offsetAt, "province_code": &c.provinceCodeAt, "admin_scheme": &c.schemeAt,
		"province": &c.provinceAt, "province63": &c.province63At, "commune_code": &c.communeAt, "service_id": &c.serviceAt,
		"procedure_code": &c.procedureAt} {
		if *at = t.table.at(name); *at < 0 {
			return nil, fmt.Errorf("table %s lacks column %s", t.table.name, name)
		}
	}
	c.pseudonymAt, c.registeredAt = t.table.at("subject_pid"), t.table.at("registered_on")
	return c, nil
}

// owns tells whether the type has the field itself, which then goes before the common one.
func (c *compiledType) owns(name string) bool {
	for _, f := range c.eventType.fields {
		if f.name == name {
			return true
		}
	}
	return false
}

func (c *compiledType) add(f field) {
	if f.column == "" {
		f.column = f.name
	}
	c.fields = append(c.fields, compiledField{field: f, path: "data." + f.name, column: c.table.at(f.column)})
}

// find is the position of a field, -1 when the type has none of that name.
func (c *compiledType) find(name []byte) int {
	if len(name) == 0 {
		return -1
	}
	for slot := hashName(name); ; slot = (slot + 1) % lookupSlots {
		i := int(c.lookup[slot]) - 1
		if i < 0 || c.fields[i].name == string(name) {
			return i
		}
	}
}

// hashName spreads the contract's field names; a name has at least one byte.
func hashName(name []byte) uint {
	n := uint(len(name))
	return (uint(name[0])*7 + uint(name[n-1])*31 + uint(name[n/2])*3 + n*13) % lookupSlots
}
