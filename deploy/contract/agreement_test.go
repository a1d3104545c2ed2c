package contract_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ioc.local/ingest/event"
)

// replacements are values that a member may get in place of its own: none of those that TestLimits has.
var replacements = []string{`null`, `""`, `"x"`, `0`, `1`, `2`, `-1`, `3`, `4`, `5`, `10`, `11`, `255`, `256`, `65535`, `65536`, `2147483647`, `2147483648`,
	`4294967296`, `9007199254740992`, `2.5`, `-0.5`, `true`, `false`, `[]`, `{}`, `["face"]`, `["face","pin","face"]`, `[null]`, `[1]`, `["palm"]`,
	`"gso63"`, `"gso34"`, `"01"`, `"15"`, `"79"`, `"74"`, `"46"`, `"03"`, `"1"`, `"00004"`, `"0000x"`, `"DA06-22"`, `"DA06-25"`, `"DA06-26"`, `"1.004222"`, `"9.999999"`,
	`"full"`, `"none"`, `"citizen"`, `"npsp"`, `"day"`, `"both"`, `"success"`, `"over"`, `"central"`, `"component"`, `"paid"`, `"activated"`, `"health_book"`,
	`"judicial_record"`, `"other"`, `"integrated"`, `"verify"`, `"ok"`, `"dung"`, `"received"`, `"staff"`, `"E25"`, `"completed"`, `"platform"`, `"operating"`,
	`"2026-11-21"`, `"2024-02-29"`, `"2023-02-29"`, `"2026-11-21T08:15:30.250+07:00"`, `"2022-01-06T00:00:00+07:00"`, `"2099-12-31T23:59:59Z"`, `"2026-11-21T08:15:60Z"`,
	`"2026-11-21T24:00:00Z"`, `"2026-02-30T00:00:00Z"`, `"2026-11-21t08:15:30z"`, `"2026-11-21 08:15:30Z"`, `"2026-11-21T08:15:30"`, `"2026-11-21T08:15:30.Z"`,
	`"001099012345"`, `"012345678"`, `" 012345678 "`, `"\u00a0012345678"`, `"+84 912 345 678"`, `"(024) 3825 1234"`, `"+84 (0)912 345 678"`, `"0084912345678"`, `"0612345678"`, `"01612345678"`,
	`"123.456.789"`, `"a@b.vn"`, `"a@b"`, `"nguyễn@ví-dụ.vn"`, `"a@b.c1"`, `"a b@c.vn"`, `"d-001099012345"`, `"01930a5e-7c1a-7b52-9a3e-012345678901"`,
	`"/npsp/H26"`, `"/npsp/"`, `"/npsp/012345678"`, `"/popdb/0912-345-678"`, `"npsp/H26"`, `"\u0000"`, `"\u0009x"`, `"😀"`, `"1.0"`, `"0.3"`, `"application/json"`, `"text/json; charset=utf-8"`,
	`"application/vnd.da06+json"`, `"+json"`, `"text/xml"`, `"vn.da06.dossier.status.v1"`, `"vn.da06.event.void.v1"`, `"vn.da06.dossier.status.v2"`,
	`"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"`, `"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"`}

// The decoder and the schema agree on events with some members exchanged, left out or added, wherever the schema can
// say what is wrong.
func TestAgreement(t *testing.T) {
	j := newJudges(t)
	var examples []map[string]any
	for _, file := range list(t, "examples/*.json") {
		examples = append(examples, readJSON(t, file).(map[string]any))
	}
	var names []string
	known := make(map[string]bool)
	for _, e := range event.Types() {
		for _, f := range e.Fields {
			if !known[f.Name] {
				known[f.Name] = true
				names = append(names, f.Name)
			}
		}
	}
	attributes := []string{"specversion", "id", "source", "type", "time", "subject", "datacontenttype", "data_base64", "data", "extension"}
	met := make(map[event.Reason]int)
	check := func(rt *rapid.T) {
		example := rapid.SampledFrom(examples).Draw(rt, "example")
		e := copied(example)
		if data, ok := e["data"].(map[string]any); ok {
			data = copied(data)
			mutate(rt, data, names, rapid.SampledFrom([]int{0, 1, 1, 2}).Draw(rt, "in data"))
			e["data"] = data
		}
		mutate(rt, e, attributes, rapid.SampledFrom([]int{0, 0, 1}).Draw(rt, "in the envelope"))
		value, err := json.Marshal(e)
		if err != nil {
			rt.Fatal(err)
		}
		typ := j.typeOf(value, example)
		reason, field := j.decode(value)
		met[reason]++
		err = j.validate(rt, typ, value)
		switch {
		case reason == "" && err != nil:
			rt.Fatalf("the decoder accepts, the schema says %v\n%s", err, value)
		case reason != "" && says(typ, reason, field, value) && err == nil:
			rt.Fatalf("the decoder says %s of %s, the schema accepts\n%s", reason, field, value)
		}
	}
	for range 10 { // a short run of 20 events meets too little
		rapid.Check(t, check)
	}
	if met[""] == 0 || len(met) < 5 {
		t.Errorf("the events met only these: %v", met)
	}
}

// typeOf gives the type whose schema judges an event that was made of an example: the one that it names, which is JSON
// and no string where it was exchanged; and that of the example, whose schema must not fit, where it names none.
func (j *judges) typeOf(value []byte, example map[string]any) string {
	var envelope struct {
		Type any `json:"type"`
	}
	if json.Unmarshal(value, &envelope) == nil {
		if typ, _ := envelope.Type.(string); j.schemas[typ] != nil {
			return typ
		}
	}
	return example["type"].(string)
}

func copied(object map[string]any) map[string]any {
	c := make(map[string]any, len(object))
	for name, v := range object {
		c[name] = v
	}
	return c
}

// mutate exchanges, leaves out or adds n members.
func mutate(rt *rapid.T, object map[string]any, names []string, n int) {
	for range n {
		name := rapid.SampledFrom(names).Draw(rt, "name")
		if rapid.IntRange(0, 3).Draw(rt, "mutation") == 0 {
			delete(object, name)
			continue
		}
		object[name] = json.RawMessage(rapid.SampledFrom(replacements).Draw(rt, "value"))
	}
}

// shared are the examples whose envelope and common fields stand for those of all: a table with pseudonyms, one
// without, and a type with sensitive values.
var shared = []string{"examples/dossier.status.json", "examples/petition.status.json", "examples/wallet.document.json"}

// Every single replacement of every member of the examples: what TestAgreement may miss in a hundred tries.
func TestAgreementOfEachMember(t *testing.T) {
	j := newJudges(t)
	met := make(map[event.Reason]int)
	own := make(map[string]int) // members of data that not every type has
	for _, e := range event.Types() {
		for _, f := range e.Fields {
			own[f.Name]++
		}
	}
	maps.DeleteFunc(own, func(_ string, n int) bool { return n == len(event.Types()) })
	for _, file := range list(t, "examples/*.json") {
		example := readJSON(t, file).(map[string]any)
		for _, inData := range []bool{true, false} {
			of := example
			if inData {
				of = example["data"].(map[string]any)
			}
			for name := range of {
				if name == "data" || (!inData || own[name] == 0) && !slices.Contains(shared, file) {
					continue
				}
				for _, replacement := range replacements {
					e := copied(example)
					target := e
					if inData {
						target = copied(of)
						e["data"] = target
					}
					target[name] = json.RawMessage(replacement)
					value, err := json.Marshal(e)
					if err != nil {
						t.Fatal(err)
					}
					typ := j.typeOf(value, example)
					reason, field := j.decode(value)
					met[reason]++
					err = j.validate(t, typ, value)
					if reason == "" && err != nil {
						t.Errorf("%s, %s: %s: the decoder accepts, the schema says %v", file, name, replacement, err)
					}
					if reason != "" && says(typ, reason, field, value) && err == nil {
						t.Errorf("%s, %s: %s: the decoder says %s of %s, the schema accepts", file, name, replacement, reason, field)
					}
				}
			}
		}
	}
	for _, reason := range elsewhere {
		if met[reason] == 0 {
			t.Errorf("%s was not met", reason)
		}
	}
}
