package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// sample is an event to make others of.
type sample struct {
	envelope, data []member // without data; both nil where the value is no event
	value          []byte
	headers        []Header
}

// mutator makes records that are like events, and not.
type mutator struct {
	r       *rand.Rand
	samples []sample
	names   []string
	values  []string
	value   []byte
	rec     Record
}

// samples are the valid and the invalid examples.
func samples(tb testing.TB) (all []sample) {
	add := func(value []byte, headers []Header) {
		s := sample{value: value, headers: headers}
		if members, ok := membersOf(value); ok {
			for _, m := range members {
				if m.name == "data" {
					s.data, _ = membersOf(m.raw)
				} else {
					s.envelope = append(s.envelope, m)
				}
			}
		}
		all = append(all, s)
	}
	for _, file := range exampleFiles(tb) {
		for range 12 {
			add(compact(tb, example(tb, file)), nil)
		}
		add(compact(tb, example(tb, file)), nil)
		add(example(tb, file), nil)
		add(escapeAll(tb, compact(tb, example(tb, file))), nil)
	}
	cases := invalidCases(tb)
	for _, name := range sortedNames(cases) {
		if rec := cases[name].record(tb); len(rec.Value) < 4096 {
			add(rec.Value, rec.Headers)
		}
	}
	return all
}

func sortedNames(cases map[string]*invalidCase) []string {
	var names []string
	for name := range cases {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func newMutator(all []sample) *mutator {
	m := &mutator{samples: all}
	m.names = append([]string{"note", "n\\u006fte", "ghi chú", "cccd", "so_dinh_danh", "phone", "amount", "0912345678", "001099012345", "a@b.vn", "", "*", "data.x", "\\ud83d\\ude00", "\\ud83d",
		strings.Repeat("x", 70), strings.Repeat("é", 300), "DATA", "Id", "traceparent"}, attributeNames[:]...)
	for _, e := range eventTypes {
		for _, f := range fieldsOf(e) {
			m.names = append(m.names, f.name)
		}
	}
	nested := func(open, inner, end string, n int) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
	}
	m.values = append([]string{"1e999", "-1e999", "1e-999", "0." + strings.Repeat("0", 300) + "1", strings.Repeat("9", 400), "-" + strings.Repeat("9", 19), "00", "01", "+1", "1.", ".5", "NaN", "Infinity",
		"79099012345", "912345678", "123456789012", "1763700000000", `"001099012345"`, `"x 0912345678 y"`, `"+84 (0)912 345 678"`, `"d-001099012345"`, `"a.nguyen@example.vn"`, `["0912345678"]`,
		`{"phone":912345678}`, `{"cccd":{"number":79099012345}}`, nested("[", "", "]", 28), nested("[", "", "]", 29), nested("[", "", "]", 30), nested("[", "", "]", 31), nested("[", "1", "]", 400),
		nested(`{"a":`, "1", "}", 29), nested(`{"a":`, "1", "}", 30), nested(`{"a":`, "", "", 5000), `"` + strings.Repeat("x", 2000) + `"`, `"` + strings.Repeat("ế", 400) + `"`, `"\u0000"`, `"\u202e"`, `"\udc00"`, `"\x"`,
		"\"\xff\"", "\"\xc3\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xc0\xaf\"", "\"\x01\"", `"`, "", "tru", "nul", "[,]", "{,}", `{"a"}`, `{"a":1,"a":2}`, `[1,]`}, interesting...)
	return m
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// oneIn is true once in so many times.
func (m *mutator) oneIn(n int) bool { return m.r.IntN(n) == 0 }

// next makes a record, which is valid until the next call.
func (m *mutator) next() *Record {
	s := pick(m.r, m.samples)
	rec := &m.rec
	*rec = Record{Key: rec.Key[:0], Headers: rec.Headers[:0]}
	rec.Offset = int64(m.r.IntN(1 << 30))
	rec.Time = testClock - int64(m.r.IntN(1<<20))
	if m.oneIn(20) {
		rec.Time = pick(m.r, []int64{-1, 0, 1 << 62, -1 << 62})
	}
	rec.Key = append(rec.Key, pick(m.r, []string{"", "d-7f3a9c21e0b84d55", "x", "0912345678", "\xff"})...)
	value := append(m.value[:0], s.value...)
	rec.Headers = append(rec.Headers, s.headers...)
	if s.envelope != nil && !m.oneIn(4) {
		envelope, data := m.members(s.envelope), m.members(s.data)
		if m.oneIn(8) { // of another type
			data = m.members(pick(m.r, m.samples).data)
		}
		binary := m.oneIn(3)
		inner := object(data, m.oneIn(4))
		if binary {
			value = append(value[:0], inner...)
			rec.Headers = rec.Headers[:0]
			for _, e := range envelope {
				text, ok := textOf(e.raw)
				if !ok {
					text = string(e.raw)
				}
				rec.Headers = append(rec.Headers, Header{"ce_" + e.name, []byte(text)})
			}
			if !m.oneIn(4) {
				rec.Headers = append(rec.Headers, Header{"content-type", []byte("application/json")})
			}
		} else {
			at := m.r.IntN(len(envelope) + 1)
			value = append(value[:0], object(slices.Insert(envelope, at, member{"data", inner}), m.oneIn(4))...)
		}
	}
	if m.oneIn(3) {
		for range 1 + m.r.IntN(3) {
			value = m.bytes(value)
		}
	}
	if m.oneIn(8) || len(rec.Headers) > 0 && m.oneIn(3) {
		for range 1 + m.r.IntN(2) {
			m.headers(rec)
		}
	}
	m.value, rec.Value = value, value
	return rec
}

// members changes a list of members, or not.
func (m *mutator) members(list []member) []member {
	list = slices.Clone(list)
	for range pick(m.r, []int{0, 0, 0, 0, 0, 1, 1, 2, 5}) {
		if len(list) == 0 {
			return append(list, member{pick(m.r, m.names), json.RawMessage(pick(m.r, m.values))})
		}
		i := m.r.IntN(len(list))
		switch m.r.IntN(9) {
		case 0:
			list = slices.Delete(list, i, i+1)
		case 1: // twice
			list = append(list, list[i])
		case 2, 3:
			list[i].raw = json.RawMessage(pick(m.r, m.values))
		case 4:
			list = append(list, member{pick(m.r, m.names), json.RawMessage(pick(m.r, m.values))})
		case 5: // from another event
			if other := pick(m.r, m.samples); len(other.data) > 0 {
				list = append(list, pick(m.r, other.data))
			}
		case 6:
			list[i].name = pick(m.r, m.names)
		case 7:
			list[i].raw = fmt.Appendf(nil, pick(m.r, []string{"[%s]", `{"a":%s}`, " \n%s\t", "[[[[%s]]]]", `"%s"`}), list[i].raw)
		case 8: // many
			if m.oneIn(20) {
				for n := range 300 {
					list = append(list, member{fmt.Sprintf("f%d", n), json.RawMessage("1")})
				}
			}
		}
	}
	if m.oneIn(8) {
		m.r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	return list
}

// bytes damages a text.
func (m *mutator) bytes(b []byte) []byte {
	i := m.r.IntN(len(b) + 1)
	j := min(len(b), i+m.r.IntN(20))
	switch m.r.IntN(10) {
	case 0, 1: // a bit
		if i < len(b) {
			b[i] ^= 1 << m.r.IntN(8)
		}
	case 2: // a byte
		if i < len(b) {
			b[i] = byte(m.r.IntN(256))
		}
	case 3:
		return b[:i]
	case 4:
		return slices.Delete(b, i, j)
	case 5: // again
		return slices.Insert(b, i, slices.Clone(b[i:j])...)
	case 6:
		other := pick(m.r, m.samples).value
		return append(b[:i], other[m.r.IntN(len(other)+1):]...)
	case 7:
		return slices.Insert(b, i, []byte(pick(m.r, []string{"\xff", "\xc3", "\xe1\xba", "\xed\xa0\x80", "\u00a0", "\ufeff", "\x00", "\u0301", " 0912345678 ", "\"", "\\", "{", "]", ",", "e", "-"}))...)
	case 8:
		if len(b) > 0 && m.oneIn(100) { // about the largest that is taken
			size := MaxPayload - 2 + m.r.IntN(5)
			return append(b, bytes.Repeat([]byte(" "), max(0, size-len(b)))...)
		}
	case 9:
		if k := bytes.IndexAny(b[i:], "0123456789"); k >= 0 {
			b[i+k] = '0' + byte(m.r.IntN(10))
		}
	}
	return b
}

// headers changes the headers.
func (m *mutator) headers(rec *Record) {
	h := rec.Headers
	i := m.r.IntN(len(h) + 1)
	switch n := m.r.IntN(8); {
	case n == 0 && i < len(h):
		h = slices.Delete(h, i, i+1)
	case n == 1 && i < len(h):
		h = append(h, h[i])
	case n == 2 && i < len(h):
		h[i].Value = m.bytes(slices.Clone(h[i].Value))
	case n == 3 && i < len(h):
		h[i].Key = pick(m.r, []string{strings.ToUpper(h[i].Key), h[i].Key + " ", "ce_" + pick(m.r, m.names), "", "content-type", "\xff"})
	case n == 4:
		h = slices.Insert(h, i, Header{pick(m.r, []string{"content-type", "Content-Type", "CONTENT-TYPE"}), []byte(pick(m.r, []string{"application/json", "application/cloudevents+json; charset=UTF-8",
			"application/cloudevents-batch+json", "text/plain", "", "application/JSON ;x", "application/vnd.x+json", "+json", "\xff", "0912345678"}))})
	case n == 5:
		h = append(h, Header{OriginHeader, []byte(pick(m.r, []string{"ioc.dossier.v1/3/7", "ioc.dossier.v1/3/9223372036854775807", "ioc.dossier.v1@1/3/7", "ioc.dossier.v1/4/7", "x/3/7", "ioc.dossier.v1/3/-1",
			"", "//", "ioc.dossier.v1/3/00", "\xff/3/7", strings.Repeat("a", 400) + "/3/7", "ioc.dossier.v1/3/0912345678"}))})
	case n == 6:
		h = append(h, Header{"ce_" + pick(m.r, m.names), []byte(strings.Trim(pick(m.r, m.values), `"`))})
	case n == 7 && len(h) > 1:
		j := m.r.IntN(len(h))
		h[i%len(h)].Value, h[j].Value = h[j].Value, h[i%len(h)].Value
	}
	rec.Headers = h
}
