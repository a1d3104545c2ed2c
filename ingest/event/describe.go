package event

import "slices"

// Type describes a type of event, for those who write schemas and documents.
type Type struct {
	// Name is the attribute type, such as vn.da06.dossier.status.v1; Short is the same without prefix and version.
	Name, Short string
	// Doc says in a sentence what it tells.
	Doc string
	// Topic is where producers send it unless agreed otherwise.
	Topic string
	// Table is the raw table that it becomes a row of.
	Table string
	// Subject tells whether the attribute subject is required.
	Subject bool
	// Fields are the members of data: those that every type may have, then its own.
	Fields []Field
	// Either names two fields of which one must be there; empty for most types.
	Either []string
	// Sensitive names a field and those of its values that forbid subject_pid and commune_code.
	Sensitive map[string][]string
}

// Field describes a member of data.
type Field struct {
	// Name is the member's name.
	Name string
	// Kind is identifier, prose, digits, service, enum, enums, integer, flag, number, date, time or pseudonym; it is
	// forbidden where the field must be absent.
	Kind string
	// Required tells whether the event is rejected without it.
	Required bool
	// Min and Max bound integers, and numbers, which have no upper bound where Max is 0; Max is the length of texts in
	// bytes, and of digits exactly.
	Min, Max int64
	// Positive says that a number must be more than 0.
	Positive bool
	// Values are those of enumerations, Choices the only integers where there are few.
	Values  []string
	Choices []int64
	// Doc says in a sentence what it means.
	Doc string
}

var kindNames = [...]string{identifierField: "identifier", proseField: "prose", digitsField: "digits", serviceField: "service",
	enumField: "enum", enumsField: "enums", integerField: "integer", flagField: "flag", numberField: "number", dateField: "date",
	timeField: "time", pseudonymField: "pseudonym"}

// Types lists the types of events that this version of the contract knows.
func Types() []Type {
	var types []Type
	for _, t := range eventTypes {
		d := Type{Name: typePrefix + t.name + typeSuffix, Short: t.name, Doc: t.doc, Topic: t.topic, Table: tables[t.table].name,
			Subject: t.subject, Sensitive: map[string][]string{"service_id": {sensitiveService}}}
		if t.either[0] != "" {
			d.Either = t.either[:]
		}
		for _, f := range fieldsOf(t) {
			kind := kindNames[f.kind]
			if f.kind == pseudonymField && tables[t.table].at(pseudonym.name) < 0 {
				kind = "forbidden"
			}
			if f.column == "document_kind" {
				d.Sensitive[f.name] = slices.Clone(sensitiveDocuments)
			}
			if f.sign != anySign {
				f.min, f.max = 0, maxExact
			}
			d.Fields = append(d.Fields, Field{Name: f.name, Kind: kind, Required: f.required, Min: f.min, Max: f.max, Positive: f.sign == positive,
				Values: slices.Clone(f.values), Choices: slices.Clone(f.choices), Doc: f.doc})
		}
		types = append(types, d)
	}
	return types
}
