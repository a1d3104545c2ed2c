package event

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// invalidCase is a file of testdata/invalid; testdata/README.md describes it.
type invalidCase struct {
	Description string
	Reason      Reason
	Field       string
	Headers     []struct{ Key, Value string }
	Event       json.RawMessage
	Text        *string
	Base64      []byte
	PadTo       int `json:"pad_to"`
	Registry    string
}

func (c *invalidCase) record(tb testing.TB) *Record {
	rec := &Record{Offset: 42, Time: testClock - 1000, Key: []byte("key")}
	switch {
	case c.Event != nil:
		rec.Value = compact(tb, c.Event)
	case c.Text != nil:
		rec.Value = []byte(*c.Text)
	default:
		rec.Value = c.Base64
	}
	for len(rec.Value) < c.PadTo {
		rec.Value = append(rec.Value, ' ')
	}
	for _, h := range c.Headers {
		rec.Headers = append(rec.Headers, Header{h.Key, []byte(h.Value)})
	}
	return rec
}

// invalidCases are the files of testdata/invalid, and the cases of each type that producers get.
func invalidCases(tb testing.TB) map[string]*invalidCase {
	tb.Helper()
	cases := make(map[string]*invalidCase)
	for _, file := range globbed(tb, "testdata/invalid/*.json") {
		c := &invalidCase{}
		decodeFile(tb, file, c)
		cases[strings.TrimSuffix(filepath.Base(file), ".json")] = c
	}
	for _, file := range globbed(tb, contractDir+"/invalid/*.json") {
		var list []*invalidCase
		decodeFile(tb, file, &list)
		for i, c := range list {
			cases[fmt.Sprintf("%s %d", filepath.Base(file), i)] = c
		}
	}
	return cases
}

func globbed(tb testing.TB, pattern string) []string {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		tb.Fatal("no files ", pattern, err)
	}
	return files
}

func decodeFile(tb testing.TB, file string, into any) {
	content, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		tb.Fatalf("%s: %v", file, err)
	}
}

func TestInvalid(t *testing.T) {
	seen := make(map[Reason]int)
	plain := newTestDecoder(t)
	for name, c := range invalidCases(t) {
		seen[c.Reason]++
		d := plain
		if c.Registry != "" {
			d = registryDecoder(t, c.Registry)
		}
		b := newTestBatch()
		rec := c.record(t)
		verdict := d.Decode(b, rec, func(Identity) bool { t.Errorf("%s: identity of an invalid event asked for", name); return false })
		if verdict != Rejected || b.Rows() != 1 || b.blocks[deadLetters].Rows() != 1 || len(b.Rejections()) != 1 {
			t.Errorf("%s: verdict %v, %d rows, %d dead letters", name, verdict, b.Rows(), b.blocks[deadLetters].Rows())
			continue
		}
		r := b.Rejections()[0]
		if r.Reason != c.Reason || r.Field != c.Field {
			t.Errorf("%s: rejected as %s of %q, want %s of %q", name, r.Reason, r.Field, c.Reason, c.Field)
		}
		private := c.Reason == PersonalData || c.Reason == SensitiveIdentity
		if r.KeepPayload == private {
			t.Errorf("%s: keeps payload: %v", name, r.KeepPayload)
		}
		if private {
			if r.Payload != nil || r.Key != nil || r.Headers != nil || r.SHA256 != [32]byte{} {
				t.Errorf("%s: something of the payload is kept: %+v", name, r)
			}
		} else if !bytes.Equal(r.Payload, rec.Value) || string(r.Key) != "key" || len(r.Headers) != len(rec.Headers) || r.SHA256 != sha256.Sum256(rec.Value) {
			t.Errorf("%s: the payload is not kept as it was", name)
		}
		if r.Offset != 42 || r.RecordTime != testClock-1000 || r.Size != len(rec.Value) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	for _, info := range Reasons() {
		if seen[info.Reason] == 0 {
			t.Errorf("no invalid event for %s", info.Reason)
		}
		delete(seen, info.Reason)
	}
	if len(seen) > 0 {
		t.Errorf("reasons that Reasons does not list: %v", seen)
	}
}

// Whatever the reason, nothing that looks like personal data gets into a dead letter.
func TestDeadLettersHoldNoPersonalData(t *testing.T) {
	secrets := []string{"001099012345", "012345678", "0912345678", "+84912345678", "a.nguyen@example.vn"}
	d := newTestDecoder(t)
	for name, c := range invalidCases(t) {
		for _, secret := range secrets {
			for _, place := range []string{"id", "source", "type", "time", "subject", "extension", "data"} {
				rec := c.record(t)
				if len(rec.Value) > 2000 {
					continue
				}
				// A second member of the name, or a first one of another, must not get out either.
				injected := `{"` + place + `":"` + secret + `",`
				if bytes.HasPrefix(rec.Value, []byte("{")) {
					rec.Value = append([]byte(injected), rec.Value[1:]...)
				} else {
					rec.Value = append([]byte(secret+" "), rec.Value...)
				}
				rec.Headers = append(rec.Headers, Header{"ce_" + place, []byte("/npsp/" + secret)})
				rec.Key = []byte(secret)
				b := newTestBatch()
				if d.Decode(b, rec, nil) != Rejected {
					continue // in binary mode a member of data that is not known, or an extension
				}
				r := b.Rejections()[0]
				all := r.Field + r.Type + r.Source + string(r.Payload) + string(r.Key)
				for i := range r.Headers {
					all += string(r.Headers[i].Value)
				}
				if strings.Contains(all, secret) || r.KeepPayload || r.SHA256 != [32]byte{} {
					t.Fatalf("%s with %s in %s: %+v", name, secret, place, r)
				}
			}
		}
	}
}
