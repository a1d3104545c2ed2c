package contract_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ioc.local/ingest/event"
	"ioc.local/internal/reference"
)

// schema is a JSON Schema of draft 2020-12, as far as it is needed here, with its keywords in the order of reading.
type schema struct {
	Schema      string             `json:"$schema,omitempty"`
	ID          string             `json:"$id,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Comment     string             `json:"$comment,omitempty"`
	Ref         string             `json:"$ref,omitempty"`
	Type        any                `json:"type,omitempty"`
	Const       any                `json:"const,omitempty"`
	Enum        []any              `json:"enum,omitempty"`
	Format      string             `json:"format,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	MinLength   int                `json:"minLength,omitempty"`
	MaxLength   int64              `json:"maxLength,omitempty"`
	Minimum     *int64             `json:"minimum,omitempty"`
	Above       *int64             `json:"exclusiveMinimum,omitempty"`
	Maximum     *int64             `json:"maximum,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	MinItems    int                `json:"minItems,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Properties  properties         `json:"properties,omitempty"`
	If          *schema            `json:"if,omitempty"`
	Then        *schema            `json:"then,omitempty"`
	Not         *schema            `json:"not,omitempty"`
	AllOf       []*schema          `json:"allOf,omitempty"`
	AnyOf       []*schema          `json:"anyOf,omitempty"`
	Defs        map[string]*schema `json:"$defs,omitempty"`
}

// properties keep their order.
type properties []property

type property struct {
	name string
	is   *schema
}

// MarshalJSON writes an object.
func (p properties) MarshalJSON() ([]byte, error) {
	out := []byte("{")
	for i, m := range p {
		if i > 0 {
			out = append(out, ',')
		}
		value, err := marshal(m.is)
		if err != nil {
			return nil, err
		}
		out = append(fmt.Appendf(out, "%q:", m.name), value...)
	}
	return append(out, '}'), nil
}

// marshal is json.Marshal without the escapes that are meant for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return b.Bytes(), err
}

// Patterns for ECMA 262 and RE2 alike.
const (
	noControl = `^[^\x00-\x1f]*$`
	blank     = "[ \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*"
	sign      = `[.() -]*` // between the digits of a phone number
	phone     = `(?:(?:\(` + sign + `)?(?:0` + sign + `|(?:0` + sign + `0` + sign + `)?8` + sign + `4` + sign + `(?:0` + sign + `)?)|\+` + sign + `8` + sign + `4` + sign + `(?:0` + sign + `)?)` +
		`(?:[35789]` + sign + `(?:[0-9]` + sign + `){8}|2` + sign + `(?:[0-9]` + sign + `){9}|1` + sign + `[2689]` + sign + `(?:[0-9]` + sign + `){8})`
	personalNumber = `(?:[0-9]{9}|[0-9]{12}|` + phone + `)`
	letter         = "[^\\x00-@\\[-`{-\\x7f]" // or not ASCII
	labelSign      = "[^\\x00-,./:-@\\[-`{-\\x7f]"
	email          = `[^ ]+@` + labelSign + `+(?:\.` + labelSign + `+)*\.(?:` + letter + `{2,}|[^\x00-\x7f])(?:\.` + labelSign + `+)*\.?`
	clockTime      = `T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	jsonMedia      = `^$|^\s*([aA][pP][pP][lL][iI][cC][aA][tT][iI][oO][nN]/[jJ][sS][oO][nN]|[tT][eE][xX][tT]/[jJ][sS][oO][nN]|[^;\s][^;]*\+[jJ][sS][oO][nN])\s*(;[^\x00-\x1f]*)?$`
)

// definitions are shared by the fields of a schema.
func definitions() map[string]*schema {
	const year = `^(20(2[2-9]|[3-9][0-9])-[0-9]{2}-[0-9]{2}|2100-01-01)`
	return map[string]*schema{
		"personal": {Type: "string", Description: "An identifier that is, as a whole, a number of 9 or 12 digits, a Vietnamese phone number or an e-mail address.",
			AnyOf: []*schema{{Pattern: "^" + blank + personalNumber + blank + "$"}, {Pattern: "^" + blank + email + blank + "$"}}},
		"identifier": {Description: "Opaque; never personal data.", Pattern: noControl, Not: &schema{Ref: "#/$defs/personal"}},
		"prose":      {Description: "Free text; no part of it may be personal data, which this schema cannot say.", Pattern: noControl},
		"time":       {Description: "RFC 3339 with offset, from 2022-01-06 in Viet Nam and before 2100.", Format: "date-time", Pattern: year + clockTime},
		"nobody":     {Properties: properties{{"subject_pid", absent()}, {"commune_code", absent()}}},
	}
}

// absent is a text that is not there: null counts as absent, and so does the empty text.
func absent() *schema { return &schema{Enum: []any{nil, ""}} }

// optional adds null to the type of what may be absent.
func optional(kind string, required bool) any {
	if required {
		return kind
	}
	return []string{kind, "null"}
}

func values[T any](list []T, more ...any) []any {
	var all []any
	for _, v := range list {
		all = append(all, v)
	}
	return append(all, more...)
}

// fieldSchema is the schema of one member of data.
func fieldSchema(f event.Field, ref *reference.Data) *schema {
	s := &schema{Description: f.Doc}
	var none []any
	if !f.Required {
		none = []any{nil}
	}
	switch f.Kind {
	case "identifier", "pseudonym", "prose":
		s.Type, s.MaxLength, s.Ref = optional("string", f.Required), f.Max, "#/$defs/identifier"
		if f.Kind == "prose" {
			s.Ref = "#/$defs/prose"
		}
		if f.Required {
			s.MinLength = 1
		}
	case "forbidden":
		s.Enum, s.Description = absent().Enum, "Not in registers, which are kept for ever."
	case "digits":
		s.Type, s.Pattern = optional("string", f.Required), fmt.Sprintf("^([0-9]{%d})?$", f.Max)
	case "service":
		for _, service := range ref.Services() {
			s.Enum = append(s.Enum, service.ID)
		}
		s.Enum = append(s.Enum, "", nil)
	case "enum":
		s.Enum = values(f.Values, none...)
	case "enums":
		s.Type, s.MinItems, s.Items = "array", 1, &schema{Enum: values(f.Values)}
	case "integer":
		if f.Choices != nil {
			s.Enum = values(f.Choices, none...)
			break
		}
		s.Type, s.Minimum, s.Maximum = optional("integer", f.Required), &f.Min, &f.Max
	case "flag":
		s.Enum = append([]any{true, false, 1, 0}, none...)
	case "number":
		s.Type, s.Minimum = optional("number", f.Required), &f.Min
		if f.Positive {
			s.Minimum, s.Above = nil, &f.Min
		}
		if f.Max != 0 {
			s.Maximum = &f.Max
		}
	case "date":
		s.Type, s.Format, s.Pattern = optional("string", f.Required), "date", `^(19[7-9][0-9]|20[0-9]{2})-`
		if f.Name == "registered_on" {
			s.Pattern = `^20(2[2-9]|[3-9][0-9])-`
		}
	case "time":
		s.Type, s.Ref = optional("string", f.Required), "#/$defs/time"
	default:
		panic(f.Kind)
	}
	return s
}

// places says which codes go with which scheme.
func places(ref *reference.Data) []*schema {
	var codes [3][]string
	for i := range 100 {
		code := fmt.Sprintf("%02d", i)
		for scheme := range codes {
			_, ok := ref.ProvinceOf(reference.Scheme(scheme), code)
			if ok && (scheme != int(reference.None) || !ref.Reused(code)) {
				codes[scheme] = append(codes[scheme], code)
			}
		}
	}
	in := func(comment string, scheme *schema, codes []string, required ...string) *schema {
		return &schema{Comment: comment, Required: required, Properties: properties{{"admin_scheme", scheme}, {"province_code", &schema{Enum: values(codes)}}}}
	}
	return []*schema{
		{Comment: "National.", Properties: properties{{"province_code", absent()}}},
		in("The 34 provinces since 2025-07-01.", &schema{Const: "gso34"}, codes[reference.GSO34], "admin_scheme"),
		in("The 63 provinces until 2025-06-30.", &schema{Const: "gso63"}, codes[reference.GSO63], "admin_scheme"),
		in("Without a scheme: codes that do not name two places.", &schema{Type: "null"}, codes[reference.None]),
	}
}

// dataSchema is the schema of data, which is the value of a record in binary mode.
func dataSchema(t event.Type, ref *reference.Data) *schema {
	s := &schema{Description: "The value of the record in binary mode. Other members are kept as they are, and must not hold personal data.", Type: "object", AnyOf: places(ref)}
	for _, f := range t.Fields {
		if f.Required {
			s.Required = append(s.Required, f.Name)
		}
		s.Properties = append(s.Properties, property{f.Name, fieldSchema(f, ref)})
	}
	for _, name := range []string{"service_id", "kind"} {
		if sensitive := t.Sensitive[name]; sensitive != nil {
			s.AllOf = append(s.AllOf, &schema{Comment: "Sensitive: no one is named.", Then: &schema{Ref: "#/$defs/nobody"},
				If: &schema{Required: []string{name}, Properties: properties{{name, &schema{Enum: values(sensitive)}}}}})
		}
	}
	if t.Either != nil {
		either := &schema{Comment: "One of the two at least."}
		for _, name := range t.Either {
			either.AnyOf = append(either.AnyOf, &schema{Required: []string{name}, Properties: properties{{name, &schema{Type: "string", MinLength: 1}}}})
		}
		s.AllOf = append(s.AllOf, either)
	}
	return s
}

// typeSchema is the schema of an event in structured mode.
func typeSchema(t event.Type, ref *reference.Data) *schema {
	const maxID = 256
	s := &schema{
		Schema: "https://json-schema.org/draft/2020-12/schema", ID: t.Name + ".json", Title: t.Name,
		Description: t.Doc + " A CloudEvent 1.0 in structured mode; $defs/data is its data alone, for binary mode. Lengths are in bytes of UTF-8, which a schema cannot say.",
		Type:        "object", Required: []string{"specversion", "id", "source", "type", "time"}, Defs: definitions(),
		Properties: properties{
			{"specversion", &schema{Const: "1.0"}},
			{"id", &schema{Description: "Unique for its source; the two are the identity of the event.", Type: "string", MinLength: 1, MaxLength: maxID, Ref: "#/$defs/identifier"}},
			{"source", &schema{Description: "/<system>/<org>, where org is the agency's code.", Type: "string",
				Pattern: "^/(" + strings.Join(reference.Systems(), "|") + ")/[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", Not: &schema{Pattern: "^/[^/]*/" + personalNumber + "$"}}},
			{"type", &schema{Const: t.Name}},
			{"time", &schema{Description: "When it happened at the source: RFC 3339 with offset, from 2022-01-06 in Viet Nam to 5 minutes ahead of the clock.",
				Type: "string", Format: "date-time", Pattern: clockTime}},
			{"subject", &schema{Description: "What the event is about; also the key of the record.", Type: optional("string", t.Subject), MaxLength: maxID, Ref: "#/$defs/identifier"}},
			{"datacontenttype", &schema{Type: []string{"string", "null"}, Pattern: jsonMedia}},
			{"data_base64", &schema{Type: "null"}},
			{"data", &schema{Ref: "#/$defs/data"}},
		},
	}
	data := dataSchema(t, ref)
	if t.Subject {
		s.Required = append(s.Required, "subject")
		s.Properties[slices.IndexFunc(s.Properties, func(p property) bool { return p.name == "subject" })].is.MinLength = 1
	}
	if data.Required != nil || t.Either != nil {
		s.Required = append(s.Required, "data")
	} else {
		data.Type = optional("object", false)
	}
	s.Defs["data"] = data
	return s
}

// schemaFiles are all schemas by file name.
func schemaFiles(t *testing.T) map[string][]byte {
	ref, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for _, e := range event.Types() {
		text, err := marshal(typeSchema(e, ref))
		if err != nil {
			t.Fatal(err)
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, text, "", "  "); err != nil {
			t.Fatal(err)
		}
		files["schemas/"+e.Name+".json"] = indented.Bytes()
	}
	return files
}
