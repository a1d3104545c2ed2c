package event

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

const lookupSlots = 256

// compiledField is a field with its place.
type compiledField struct {
	field
	path   string // data.<name>
	column int    // -1 where the table has none
}

// compiledType is an event type ready for decoding by one Decoder.
type compiledType struct {
	eventType
	index  int    // In eventTypes.
	full   string // The attribute type.
	short  []byte // The column type.
	fields []compiledField
	// required marks the columns that must have a value.
	required uint64
	// expected marks the columns that should have a value, expectedOf those of which one should; more of both where the
	// dossier is accepted. statusAt is the column that says so, -1 for none.
	expected, expectedMore     uint64
	expectedOf, expectedOfMore []uint64
	statusAt                   int
	lookup                     [lookupSlots]uint8 // position in fields plus one, by hash, then the next free slot
	// likely has what came last behind each field, positions in fields plus one; behind none the first.
	likely [65]uint8
	// Columns that only some tables have, and those that are checked against one another; -1 for none.
	pseudonymAt, registeredAt, documentAt int
	eitherAt, mostAt                      [2]int
	mostIsFloat                           bool
}

// compile checks a type against its table. What it reports are mistakes in the program.
func compile(t eventType) (_ *compiledType, err error) {
	table := &tables[t.table]
	if len(table.columns) > len(row{}.values) {
		return nil, fmt.Errorf("table %s has more than %d columns", table.name, len(row{}.values))
	}
	if t.table >= deadLetters {
		return nil, fmt.Errorf("table %s holds no events", table.name)
	}
	c := &compiledType{eventType: t, full: typePrefix + t.name + typeSuffix, short: []byte(t.name)}
	for _, f := range fieldsOf(t) {
		if f.column == "" {
			f.column = f.name
		}
		c.fields = append(c.fields, compiledField{field: f, path: "data." + f.name, column: table.at(f.column)})
	}
	if len(c.fields) > 64 {
		return nil, fmt.Errorf("type %s has more than 64 fields", t.name)
	}
	for i := range c.fields {
		f := &c.fields[i]
		if f.column < 0 && f.kind != pseudonymField {
			return nil, fmt.Errorf("field %s of %s: table %s has no column for it", f.name, t.name, table.name)
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
	c.pseudonymAt, c.registeredAt, c.documentAt = table.at(pseudonym.name), table.at("registered_on"), table.at("document_kind")
	for _, pair := range []struct {
		names [2]string
		at    *[2]int
	}{{t.either, &c.eitherAt}, {t.most, &c.mostAt}} {
		for i, name := range pair.names {
			pair.at[i] = -1
			if name == "" {
				continue
			}
			if pair.at[i] = table.at(name); pair.at[i] < 0 {
				return nil, fmt.Errorf("type %s names %s, which table %s lacks", t.name, name, table.name)
			}
		}
	}
	for _, f := range c.fields {
		if f.required {
			c.expected |= 1 << f.column
		}
	}
	if c.expectedOf, err = c.expect(t.expects, &c.expected); err != nil {
		return nil, err
	}
	if c.expectedOfMore, err = c.expect(t.expectsAccepted, &c.expectedMore); err != nil {
		return nil, err
	}
	if c.statusAt = -1; t.expectsAccepted != nil {
		c.statusAt = table.at("status")
	}
	c.mostIsFloat = c.mostAt[0] >= 0 && table.columns[c.mostAt[0]].kind == floatColumn
	return c, nil
}

// expect adds the columns of names to single, and gives those of alternatives such as a|b.
func (c *compiledType) expect(names []string, single *uint64) (alternatives []uint64, err error) {
	for _, name := range names {
		mask := uint64(0)
		for one := range strings.SplitSeq(name, "|") {
			i := c.find([]byte(one))
			if i < 0 || c.fields[i].column < 0 {
				return nil, fmt.Errorf("type %s expects %s, which is none of its fields", c.name, one)
			}
			mask |= 1 << c.fields[i].column
		}
		if bits.OnesCount64(mask) == 1 {
			*single |= mask
		} else {
			alternatives = append(alternatives, mask)
		}
	}
	return alternatives, nil
}

// completeness counts the fields that the event should have, and those of them that it has.
func (c *compiledType) completeness(r *row) (expected, present int64) {
	single := c.expected
	expected = int64(len(c.expectedOf))
	for _, mask := range c.expectedOf {
		if r.present&mask != 0 {
			present++
		}
	}
	if c.statusAt >= 0 && r.values[c.statusAt].n == statusAccepted { // which is required
		single |= c.expectedMore
		expected += int64(len(c.expectedOfMore))
		for _, mask := range c.expectedOfMore {
			if r.present&mask != 0 {
				present++
			}
		}
	}
	return expected + int64(bits.OnesCount64(single)), present + int64(bits.OnesCount64(single&r.present))
}

// moreThanMost tells whether the first of the two numbers is more than the second.
func (c *compiledType) moreThanMost(r *row) bool {
	a, b := &r.values[c.mostAt[0]], &r.values[c.mostAt[1]]
	if c.mostIsFloat {
		return a.f > b.f
	}
	return a.n > b.n
}

// fieldsOf lists the fields of a type: the common ones that it does not have itself, and its own.
func fieldsOf(t eventType) []field {
	var fields []field
	for _, f := range commonFields {
		if !slices.ContainsFunc(t.fields, func(own field) bool { return own.name == f.name }) {
			fields = append(fields, f)
		}
	}
	return append(fields, t.fields...)
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
