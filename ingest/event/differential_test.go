package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// compareWithOracle decodes a record and compares verdict and row with the oracle's.
func compareWithOracle(t rapid.TB, d *Decoder, b *Batch, rec *Record, o *oracle, structured bool) Verdict {
	t.Helper()
	b.Reset("t", 1, testClock)
	verdict := d.Decode(b, rec, nil)
	var table string
	var valid bool
	if structured {
		table, valid = o.structured(rec.Value)
	} else {
		table, valid = o.binary(rec.Headers, rec.Value)
	}
	if valid != (verdict == Accepted) {
		t.Fatalf("the oracle says valid: %v, Decode says %v %+v\n%q\n%q", valid, verdict, b.Rejections(), rec.Headers, rec.Value)
	}
	if !valid {
		r := b.Rejections()[0]
		if r.KeepPayload && (r.Reason == PersonalData || !bytes.Equal(r.Payload, rec.Value)) {
			t.Fatalf("rejection %+v", r)
		}
		return verdict
	}
	bl := b.Blocks()[0]
	got := rowOf(bl, 0)
	for _, name := range []string{"received_at", "record_time", "topic", "partition", "offset"} {
		delete(got, name)
	}
	if extra, ok := got["extra"].(string); ok {
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(extra), &members); err != nil {
			t.Fatalf("extra %s: %v", extra, err)
		}
		got["extra"] = members
	}
	for name, v := range o.row { // rowOf leaves such values out
		absent := 0
		if at := bl.table.at(name); at >= 0 {
			absent = int(bl.table.columns[at].absent)
		}
		if v == absent || v == float64(absent) || v == "1970-01-01" {
			delete(o.row, name)
		}
	}
	same := cmp.Comparer(func(a, b json.RawMessage) bool { return bytes.Equal(bytes.TrimSpace(a), bytes.TrimSpace(b)) })
	if diff := cmp.Diff(o.row, got, same); diff != "" || bl.Table != table {
		t.Fatalf("%s, %s\n%s\n%s", table, bl.Table, diff, rec.Value)
	}
	return verdict
}

// interesting are values that a field may get in place of its own.
var interesting = []string{`null`, `""`, `"x"`, `0`, `1`, `2`, `-0`, `-1`, `3`, `10`, `11`, `255`, `256`, `65535`, `65536`, `2147483647`, `2147483648`,
	`9007199254740992`, `9007199254740993`, `123456789012345678901`, `1.0`, `2.5`, `1e2`, `1e400`, `-0.0`, `true`, `false`, `[]`, `{}`, `["face"]`,
	`["face","pin","face"]`, `[null]`, `[1]`, `["palm"]`, `{"a":["001099012345"]}`, `{"0912345678":1}`, `"gso63"`, `"gso34"`, `"01"`, `"15"`, `"79"`, `"74"`, `"46"`, `"00004"`,
	`"DA06-22"`, `"DA06-25"`, `"1.004222"`, `"full"`, `"none"`, `"citizen"`, `"npsp"`, `"day"`, `"both"`, `"success"`, `"component"`, `"paid"`, `"activated"`, `"health_book"`, `"judicial_record"`,
	`"integrated"`, `"verify"`, `"ok"`, `"dung"`, `"received"`, `"staff"`, `"E25"`, `"completed"`, `"platform"`, `"operating"`, `-128`, `4`, `5`, `124999`, `125001`,
	`4294967295`, `4294967296`, `"9.999999"`, `"over"`, `"central"`,
	`"2022-01-05"`, `"2022-01-06"`, `"2026-11-22"`, `"2026-11-23"`, `"2024-02-29"`, `"2023-02-29"`, `"2026-11-21T08:15:30.250+07:00"`,
	`"2026-11-25T12:05:00+07:00"`, `"2026-11-25T12:05:00.001+07:00"`, `"2022-01-05T17:00:00Z"`, `"2022-01-05T16:59:59.999Z"`, `"2025-06-30T16:59:59Z"`,
	`"2026-11-21T08:15:60Z"`, `"2026-11-21t08:15:30z"`, `"001099012345"`, `"012345678"`, `" 012345678 "`, `"+84 912 345 678"`, `"a@b.vn"`, `"gọi 0912345678."`, `"H26.12"`,
	`"/npsp/H26"`, `"/npsp/"`, `"\u0000"`, `"\ud83d\ude00"`, `"\ud83d"`, `"` + strings.Repeat("x", 65) + `"`, `"` + strings.Repeat("ế", 86) + `"`, `"1.0"`, `"application/json"`, `"text/xml"`}

// Events with some members exchanged, left out or added, in any order and both modes.
func TestDifferential(t *testing.T) {
	d, b, o := newTestDecoder(t), NewBatch(), newOracle(t)
	var examples [][]member
	for _, file := range exampleFiles(t) {
		members, ok := membersOf(example(t, file))
		if !ok {
			t.Fatal(file)
		}
		examples = append(examples, members)
	}
	names := append([]string{"note", "n\\u006fte", "extension", "status", "st\\u0061tus", "0912345678", ""}, attributeNames[:]...)
	for _, e := range eventTypes {
		for _, f := range fieldsOf(e) {
			names = append(names, f.name)
		}
	}
	accepted := 0
	mutate := func(rt *rapid.T, members []member) []member {
		members = append([]member(nil), members...)
		for range rapid.SampledFrom([]int{0, 0, 1, 1, 2}).Draw(rt, "mutations") {
			i := rapid.IntRange(0, len(members)-1).Draw(rt, "member")
			value := json.RawMessage(rapid.SampledFrom(interesting).Draw(rt, "value"))
			switch rapid.IntRange(0, 3).Draw(rt, "mutation") {
			case 0, 1:
				members[i].raw = value
			case 2:
				members = append(members[:i], members[i+1:]...)
			case 3:
				members = append(members, member{rapid.SampledFrom(names).Draw(rt, "name"), value})
			}
			if len(members) == 0 {
				break
			}
		}
		return rapid.Permutation(members).Draw(rt, "order")
	}
	rapid.Check(t, func(rt *rapid.T) {
		envelope := append([]member(nil), rapid.SampledFrom(examples).Draw(rt, "example")...)
		var data []byte
		for i := range envelope {
			if envelope[i].name == "data" {
				members, _ := membersOf(envelope[i].raw)
				data = object(mutate(rt, members), rapid.Bool().Draw(rt, "spaces"))
				envelope[i].raw = data
			}
		}
		if rapid.Bool().Draw(rt, "binary") {
			rec := &Record{Value: data, Headers: []Header{{"content-type", []byte("application/json")}}}
			for _, m := range mutate(rt, envelope) {
				if s, ok := textOf(m.raw); ok && m.name != "data" {
					rec.Headers = append(rec.Headers, Header{"ce_" + m.name, []byte(s)})
				}
			}
			if compareWithOracle(rt, d, b, rec, o, false) == Accepted {
				accepted++
			}
			return
		}
		rec := &Record{Value: object(mutate(rt, envelope), rapid.Bool().Draw(rt, "spaces"))}
		if compareWithOracle(rt, d, b, rec, o, true) == Accepted {
			accepted++
		}
	})
	if accepted == 0 {
		t.Error("no event was accepted")
	}
}

func object(members []member, spaces bool) []byte {
	out := []byte("{")
	space := ""
	if spaces {
		space = " \r\n\t"
	}
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		out = fmt.Appendf(out, `%s"%s"%s:%s%s%s`, space, m.name, space, space, m.raw, space)
	}
	return append(out, '}')
}

// FuzzDecode compares verdict and values of any record value in structured mode.
func FuzzDecode(f *testing.F) {
	for _, file := range exampleFiles(f) {
		f.Add(compact(f, example(f, file)))
		f.Add(example(f, file))
		f.Add(escapeAll(f, example(f, file)))
	}
	for _, c := range invalidCases(f) {
		if rec := c.record(f); len(rec.Headers) == 0 && len(rec.Value) < 4096 {
			f.Add(rec.Value)
		}
	}
	d, b, o := newTestDecoder(f), NewBatch(), newOracle(f)
	f.Fuzz(func(t *testing.T, value []byte) {
		compareWithOracle(t, d, b, &Record{Value: value}, o, true)
	})
}

// FuzzBinary compares verdict and values of any headers and data in binary mode.
func FuzzBinary(f *testing.F) {
	for _, file := range exampleFiles(f) {
		rec := binaryOf(f, example(f, file))
		at := make(map[string][]byte)
		for _, h := range rec.Headers {
			at[h.Key] = h.Value
		}
		f.Add(at["ce_specversion"], at["ce_id"], at["ce_source"], at["ce_type"], at["ce_time"], at["ce_subject"], "ce_extension", []byte("x"), rec.Value)
		f.Add(at["ce_specversion"], at["ce_id"], at["ce_source"], at["ce_type"], at["ce_time"], at["ce_subject"], "ce_id", []byte("2"), rec.Value)
	}
	d, b, o := newTestDecoder(f), NewBatch(), newOracle(f)
	f.Fuzz(func(t *testing.T, version, id, source, typ, when, subject []byte, key string, value, data []byte) {
		if strings.EqualFold(key, "content-type") {
			return
		}
		rec := &Record{Value: data, Headers: []Header{{"ce_specversion", version}, {"ce_id", id}, {"ce_source", source},
			{"ce_type", typ}, {"ce_time", when}, {"ce_subject", subject}, {key, value}}}
		compareWithOracle(t, d, b, rec, o, false)
	})
}

// FuzzScanner compares what is JSON, and the values of texts and numbers in it.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{`{}`, `[]`, `{"a":[1,-0.5e+3,true,false,null,"\u00e9\ud83d\ude00\n"]}`, `[1,]`, `{,}`, `{"a"}`, `{"a":1,}`, `01`, `-`, `1.`, `.5`, `1e`, `+1`,
		`"\x"`, `"\u12"`, `"\ud800"`, `"\udc00\ud800"`, "\"\x01\"", "\"\x7f\"", "\xff", "\"\xff\"", "\ufeff{}", `nul`, `truefalse`, `[[[[`, ` 1 `, "\v1", `""x`,
		strings.Repeat("[", 32) + strings.Repeat("]", 32), strings.Repeat("[", 33) + strings.Repeat("]", 33), `"` + strings.Repeat("é\\\"", 20) + `"`, `[1 2]`, `{"a" 1}`, `[1}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if !utf8.Valid(value) {
			return // not for the scanner to judge
		}
		var s scanner
		s.start(value)
		valid := oracleJSON(value)
		if got := s.skip(0) && s.end(); got != valid {
			t.Fatalf("%q: the scanner says %v, encoding/json %v", value, got, valid)
		}
		if !valid {
			return
		}
		s = scanner{}
		s.start(value)
		switch c := s.peek(); {
		case c == '"':
			var want string
			if err := json.Unmarshal(value, &want); err != nil {
				t.Fatal(err)
			}
			if got, ok := s.text(); !ok || string(got) != want || s.control && !hasControl(want) {
				t.Fatalf("%q: %q, want %q", value, got, want)
			}
		case c == '-' || '0' <= c && c <= '9':
			text, integral, ok := s.number()
			if !ok || string(text) != strings.Trim(string(value), " \t\r\n") || integral == strings.ContainsAny(string(text), ".eE") {
				t.Fatalf("%q: %q %v %v", value, text, integral, ok)
			}
			var want float64
			err := json.Unmarshal(value, &want)
			if got, ok := parseNumber(text, integral); ok && (err != nil || got != want || got == 0 && math.Signbit(got)) || !ok && err == nil && math.Abs(want) <= maxExact {
				t.Fatalf("%q: %v %v, want %v %v", value, got, ok, want, err)
			}
		}
	})
}

// FuzzTime compares times with package time.
func FuzzTime(f *testing.F) {
	for _, seed := range []string{"2026-11-21T08:15:30.250+07:00", "2026-11-21T08:15:30Z", "2026-11-21T08:15:30.1234567Z", "2024-02-29T23:59:59.999-23:59", "2023-02-29T00:00:00Z",
		"1900-02-29T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-11-21T24:00:00Z", "2026-11-21T08:15:60Z", "2026-11-21T08:15:30+24:00", "2026-11-21T08:15:30.+07:00",
		"2026-11-21T08:15:30,5Z", "2026-11-21 08:15:30Z", "2026-11-21t08:15:30z", "2026-1-21T08:15:30Z", "2026-11-21T8:15:30Z", "2026-11-21T08:15:30", "2026-11-21T08:15:30+0700", "2026-13-21T08:15:30Z", "2026-11-21T08:15:30-00:00", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, valid := oracleTime(s)
		if got, ok := parseTime([]byte(s)); ok != valid || ok && got != want.UnixMilli() {
			t.Fatalf("%q: %d %v, want %d %v", s, got, ok, want.UnixMilli(), valid)
		}
		day, err := time.Parse(time.DateOnly, s)
		if got, ok := parseDate([]byte(s)); ok != (err == nil) || ok && got*86400 != day.Unix() {
			t.Fatalf("date %q: %d %v, want %v %v", s, got, ok, day, err)
		}
	})
}

// FuzzPersonal compares the search for personal data with regular expressions.
func FuzzPersonal(f *testing.F) {
	for text := range personalTexts {
		f.Add(text)
	}
	for text := range personalIdentifiers {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := textHasPersonalData([]byte(s)), oracleTextIsPersonal(s); got != want {
			t.Errorf("text %q: %v, want %v", s, got, want)
		}
		if got, want := identifierIsPersonal([]byte(s)), oracleIdentifierIsPersonal(s); got != want {
			t.Errorf("identifier %q: %v, want %v", s, got, want)
		}
		if payloadHasPersonalData([]byte(s)) && !textHasPersonalData([]byte(s)) {
			t.Errorf("payload %q is personal, the text is not", s)
		}
	})
}
