package event

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ioc.local/internal/reference"
)

// testClock is the clock of tests, a little after the events of the examples.
var testClock = time.Date(2026, 11, 25, 12, 0, 0, 0, time.FixedZone("", 7*3600)).UnixMilli()

func newTestDecoder(tb testing.TB) *Decoder {
	tb.Helper()
	ref, err := reference.Load(reference.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return NewDecoder(ref, Options{Identity: NewIdentityHash()})
}

func newTestBatch() *Batch {
	b := NewBatch()
	b.Reset("ioc.dossier.v1", 3, testClock)
	return b
}

// contractDir holds the contract as producers get it.
const contractDir = "../../deploy/contract"

// exampleFiles are the names of the valid examples, one at least of each type.
func exampleFiles(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(contractDir, "examples", "*.json"))
	if err != nil || len(files) < len(eventTypes) {
		tb.Fatal(files, err)
	}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	return files
}

func example(tb testing.TB, name string) []byte {
	tb.Helper()
	content, err := os.ReadFile(filepath.Join(contractDir, "examples", name))
	if err != nil {
		tb.Fatal(err)
	}
	return content
}

func compact(tb testing.TB, value []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// binaryOf is a structured event in binary mode.
func binaryOf(tb testing.TB, structured []byte) *Record {
	tb.Helper()
	var envelope map[string]json.RawMessage
	if err := json.Unmarshal(structured, &envelope); err != nil {
		tb.Fatal(err)
	}
	rec := &Record{Value: envelope["data"], Headers: []Header{{"content-type", []byte("application/json; charset=utf-8")}}}
	for name, raw := range envelope {
		if name == "data" || name == "datacontenttype" {
			continue
		}
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			tb.Fatal(err)
		}
		rec.Headers = append(rec.Headers, Header{"ce_" + name, []byte(text)})
	}
	return rec
}
