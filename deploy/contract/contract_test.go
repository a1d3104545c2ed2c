package contract_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"net/http/httptest"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"ioc.local/deploy/contract"
	"ioc.local/ingest/event"
	"ioc.local/internal/reference"
)

var update = flag.Bool("update", false, "write the files instead of comparing them")

// clock is what events are judged by, after those of the examples.
var clock = time.Date(2026, 11, 25, 12, 0, 0, 0, time.FixedZone("", 7*3600))

// generated are the files that are made from the types of events.
func generated(t *testing.T) map[string][]byte {
	files := schemaFiles(t)
	files["asyncapi.yaml"] = asyncapi(t)
	return files
}

func TestCurrent(t *testing.T) {
	files := generated(t)
	if *update {
		for name, content := range files {
			if err := os.WriteFile(name, content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	for name, content := range files {
		if got, err := fs.ReadFile(contract.Files(), name); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s is stale, run go generate: %v\n%s", name, err, cmp.Diff(string(got), string(content)))
		}
	}
	for _, file := range list(t, "schemas/*.json") {
		if files[file] == nil {
			t.Errorf("%s is of no type", file)
		}
	}
}

func list(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := fs.Glob(contract.Files(), pattern)
	if err != nil || len(files) == 0 {
		t.Fatal(pattern, err)
	}
	return files
}

func readJSON(t testing.TB, file string) any {
	t.Helper()
	content, err := fs.ReadFile(contract.Files(), file)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return value
}

// judges are the decoder and the schemas.
type judges struct {
	decoder *event.Decoder
	batch   *event.Batch
	schemas map[string]*jsonschema.Schema // by attribute type
	data    map[string]*jsonschema.Schema // of data alone
}

func newJudges(t testing.TB) *judges {
	t.Helper()
	ref, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	j := &judges{decoder: event.NewDecoder(ref, event.Options{Identity: event.NewIdentityHash()}), batch: event.NewBatch(),
		schemas: make(map[string]*jsonschema.Schema), data: make(map[string]*jsonschema.Schema)}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	for _, e := range event.Types() {
		file := "schemas/" + e.Name + ".json"
		if err := compiler.AddResource(e.Name+".json", readJSON(t, file)); err != nil {
			t.Fatal(err)
		}
		if j.schemas[e.Name], err = compiler.Compile(e.Name + ".json"); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if j.data[e.Name], err = compiler.Compile(e.Name + ".json#/$defs/data"); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	return j
}

// decode gives the reason of the rejection, and the field; empty for an event that is accepted.
func (j *judges) decode(value []byte) (event.Reason, string) {
	j.batch.Reset("t", 0, clock.UnixMilli())
	if j.decoder.Decode(j.batch, &event.Record{Value: value}, nil) != event.Rejected {
		return "", ""
	}
	r := j.batch.Rejections()[0]
	return r.Reason, r.Field
}

// validate asks the schema of a type.
func (j *judges) validate(t rapid.TB, typ string, value []byte) error {
	t.Helper()
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err != nil {
		t.Fatal(err)
	}
	return j.schemas[typ].Validate(instance)
}

// Both accept the examples, and there is one of each type.
func TestExamples(t *testing.T) {
	j := newJudges(t)
	met := make(map[string]bool)
	for _, file := range list(t, "examples/*.json") {
		content, err := fs.ReadFile(contract.Files(), file)
		if err != nil {
			t.Fatal(err)
		}
		e := readJSON(t, file).(map[string]any)
		typ := e["type"].(string)
		met[typ] = true
		if reason, field := j.decode(content); reason != "" {
			t.Errorf("%s: the decoder says %s of %s", file, reason, field)
		}
		if err := j.validate(t, typ, content); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if err := j.data[typ].Validate(e["data"]); err != nil {
			t.Errorf("%s, data alone: %v", file, err)
		}
	}
	for typ := range j.schemas {
		if !met[typ] {
			t.Errorf("%s has no example", typ)
		}
	}
}

// invalidCase is an element of invalid/*.json.
type invalidCase struct {
	Description string
	Reason      event.Reason
	Field       string
	Event       json.RawMessage
}

// The decoder rejects each invalid event for the reason that it is there for, and so does the schema where it can.
func TestInvalid(t *testing.T) {
	j := newJudges(t)
	met := make(map[string]int)
	byReason := make(map[event.Reason]int)
	for _, file := range list(t, "invalid/*.json") {
		content, err := fs.ReadFile(contract.Files(), file)
		if err != nil {
			t.Fatal(err)
		}
		var cases []invalidCase
		if err := json.Unmarshal(content, &cases); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		typ := "vn.da06." + strings.TrimSuffix(path.Base(file), ".json") + ".v1"
		met[typ] += len(cases)
		for _, c := range cases {
			if reason, field := j.decode(c.Event); reason != c.Reason || field != c.Field {
				t.Errorf("%s, %q: the decoder says %s of %s, want %s of %s", file, c.Description, reason, field, c.Reason, c.Field)
			}
			if !says(typ, c.Reason, c.Field, c.Event) {
				continue
			}
			byReason[c.Reason]++
			if j.validate(t, typ, c.Event) == nil {
				t.Errorf("%s, %q: the schema accepts it", file, c.Description)
			}
		}
	}
	for typ := range j.schemas {
		if met[typ] < 3 {
			t.Errorf("%s has %d invalid events", typ, met[typ])
		}
	}
	for _, info := range event.Reasons() {
		_, silent := unsaid[info.Reason]
		if !silent && byReason[info.Reason] == 0 && !slices.Contains(elsewhere, info.Reason) {
			t.Errorf("no invalid event for %s, which a schema can say", info.Reason)
		}
	}
}

// unsaid are the reasons that a schema cannot say, and why.
var unsaid = map[event.Reason]string{
	event.TooLarge:               "the size of the record",
	event.NotUTF8:                "bytes, before there is any JSON",
	event.NotJSON:                "before there is any JSON",
	event.DuplicateField:         "a validator sees one of the two",
	event.TimeInFuture:           "the clock",
	event.TimeTooOld:             "an order of times in several offsets",
	event.RegisteredOnOutOfRange: "relative to the event's time, and to a day",
	event.SourceNotAllowed:       "the operator's registry",
}

// elsewhere are reasons that TestLimits and TestAgreement meet.
var elsewhere = []event.Reason{event.NotCloudEvent, event.UnsupportedContent}

// says tells whether the schema of a type can say that an event is rejected for this reason, where the contract's own
// cases and the values of TestAgreement are concerned.
func says(typ string, reason event.Reason, field string, value []byte) bool {
	if _, ok := unsaid[reason]; ok {
		return false
	}
	switch {
	case reason == event.PersonalData: // in free text, and in what the contract does not know, any part counts
		return field == "id" || field == "source" || field == "subject" || slices.Contains(identifiers[typ], field)
	case reason == event.InvalidValue && field == "data.passing": // relative to evaluated
		return false
	case reason == event.InvalidValue && field == "data.value": // what is relative to the denominator
		var figure struct {
			Data struct{ Value, Denominator float64 }
		}
		return json.Unmarshal(value, &figure) != nil || figure.Data.Denominator <= 0 || figure.Data.Value <= figure.Data.Denominator
	}
	return true
}

// identifiers are the fields that are looked at as a whole, by type.
var identifiers = func() map[string][]string {
	paths := make(map[string][]string)
	for _, e := range event.Types() {
		for _, f := range e.Fields {
			if f.Kind == "identifier" || f.Kind == "pseudonym" {
				paths[e.Name] = append(paths[e.Name], "data."+f.Name)
			}
		}
	}
	return paths
}()

// What a schema cannot say of reasons that it can say otherwise: the decoder rejects, the schema accepts.
func TestLimits(t *testing.T) {
	j := newJudges(t)
	long := strings.Repeat("ế", 200) // 600 bytes
	for name, c := range map[string]struct {
		file, old, new string
		reason         event.Reason
	}{
		"length in bytes":               {"dossier.status", `"id": "01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a10"`, `"id": "` + long + `"`, event.InvalidValue},
		"integer with a fraction of 0":  {"dossier.status", `"status": 2`, `"status": 2.0`, event.InvalidType},
		"integer with an exponent":      {"dossier.status", `"supplement_no": 0`, `"supplement_no": 1e1`, event.InvalidType},
		"integer beyond float64":        {"data.quality", `"weight": 1.0`, `"weight": 9007199254740993`, event.InvalidValue},
		"number beyond float64":         {"data.quality", `"weight": 1.0`, `"weight": 1e400`, event.InvalidValue},
		"days before the first":         {"petition.status", `"due_at": "2026-12-12T17:00:00+07:00"`, `"due_at": "2022-01-05T00:00:00+07:00"`, event.InvalidValue},
		"more passing than evaluated":   {"data.quality", `"passing": 124870`, `"passing": 125001`, event.InvalidValue},
		"a part of more than the whole": {"counter.report.of", `"value": 49`, `"value": 77`, event.InvalidValue},
		"a number that is somebody's":   {"dossier.sync", `"on_time": true`, `"on_time": true, "so_cccd": 79099012345`, event.PersonalData},
		"personal data in free text":    {"task.status", `"06/QĐ-TTg"`, `"06/QĐ-TTg 0912345678"`, event.PersonalData},
		"personal data elsewhere":       {"dossier.sync", `"on_time": true`, `"on_time": true, "note": ["a.nguyen@example.vn"]`, event.PersonalData},
		"a time too old":                {"dossier.sync", `"2026-11-21T08:20:00+07:00"`, `"2021-11-21T08:20:00+07:00"`, event.TimeTooOld},
		"a time to come":                {"dossier.sync", `"2026-11-21T08:20:00+07:00"`, `"2036-11-21T08:20:00+07:00"`, event.TimeInFuture},
		"the same member twice":         {"dossier.sync", `"on_time": true`, `"on_time": true, "on_time": true`, event.DuplicateField},
	} {
		content, err := fs.ReadFile(contract.Files(), "examples/"+c.file+".json")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(content), c.old) != 1 {
			t.Errorf("%s: %s is not in the example once", name, c.old)
		}
		value := []byte(strings.Replace(string(content), c.old, c.new, 1))
		if reason, field := j.decode(value); reason != c.reason {
			t.Errorf("%s: the decoder says %s of %s, want %s", name, reason, field, c.reason)
		}
		if err := j.validate(t, "vn.da06."+strings.TrimSuffix(c.file, ".of")+".v1", value); err != nil {
			t.Errorf("%s: the schema says it after all: %v", name, err)
		}
	}
}

func TestHandler(t *testing.T) {
	for target, want := range map[string]string{
		"/asyncapi.yaml": "application/yaml", "/schemas/vn.da06.event.void.v1.json": "application/schema+json",
		"/examples/event.void.json": "application/json", "/invalid/event.void.json": "application/json",
	} {
		answer := httptest.NewRecorder()
		contract.Handler().ServeHTTP(answer, httptest.NewRequest("GET", target, nil))
		content, err := fs.ReadFile(contract.Files(), strings.TrimPrefix(target, "/"))
		if err != nil {
			t.Fatal(err)
		}
		if answer.Code != 200 || answer.Header().Get("Content-Type") != want || !bytes.Equal(answer.Body.Bytes(), content) {
			t.Errorf("%s: %d %s", target, answer.Code, answer.Header().Get("Content-Type"))
		}
	}
	answer := httptest.NewRecorder()
	contract.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/contract.go", nil))
	if answer.Code != 404 {
		t.Errorf("what is no file of the contract: %d", answer.Code)
	}
}
