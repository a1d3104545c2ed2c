package query

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"ioc.local/query/kpi"
)

// contract is the document that the server publishes.
var contract = sync.OnceValues(func() (*openapi3.T, error) {
	loader := openapi3.NewLoader()
	document, err := loader.LoadFromData(openAPI)
	if err != nil {
		return nil, err
	}
	return document, document.Validate(loader.Context, openapi3.IsOpenAPI31OrLater())
})

var contractRouter = sync.OnceValues(func() (routers.Router, error) {
	document, err := contract()
	if err != nil {
		return nil, err
	}
	return legacy.NewRouter(document)
})

// checkContract compares an exchange with the document: of requests those that succeeded, of answers all whose path and
// method it has.
func checkContract(t *testing.T, r *http.Request, resp *http.Response, body []byte) {
	t.Helper()
	if strings.HasPrefix(r.URL.Path, "/test/") { // mounted by a test
		return
	}
	router, err := contractRouter()
	if err != nil {
		t.Fatalf("openapi.yaml: %v", err)
	}
	asked := r.Clone(r.Context())
	asked.URL.Scheme, asked.URL.Host, asked.Host = "", "", ""
	if asked.Method == http.MethodHead {
		asked.Method = http.MethodGet
	}
	if asked.Body != nil && r.GetBody != nil {
		if asked.Body, err = r.GetBody(); err != nil {
			t.Fatal(err)
		}
	}
	route, parameters, err := router.FindRoute(asked)
	if err != nil {
		if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed && resp.StatusCode < 420 {
			t.Errorf("%s %s answers %d and is not in openapi.yaml: %v", r.Method, r.URL.Path, resp.StatusCode, err)
		}
		return
	}
	input := &openapi3filter.RequestValidationInput{
		Request: asked, PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true},
	}
	if resp.StatusCode < 400 {
		if err := openapi3filter.ValidateRequest(t.Context(), input); err != nil {
			t.Errorf("the request %s %s is not as openapi.yaml has it: %v", r.Method, r.URL, err)
		}
	}
	if r.Method == http.MethodHead || resp.StatusCode == http.StatusRequestHeaderFieldsTooLarge { // net/http's own
		return
	}
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(body)), Options: input.Options,
	}
	if err := openapi3filter.ValidateResponse(t.Context(), answer); err != nil {
		t.Errorf("the answer to %s %s is not as openapi.yaml has it: %v\n%.500s", r.Method, r.URL, err, body)
	}
}

// TestContractSeesMistakes: the check can fail.
func TestContractSeesMistakes(t *testing.T) {
	if _, err := contract(); err != nil {
		t.Fatal(err)
	}
	document, _ := contract()
	answer, err := encode(someAnswer())
	if err != nil {
		t.Fatal(err)
	}
	f := func(change func(map[string]any), ok bool) {
		t.Helper()
		var v map[string]any
		if err := json.Unmarshal(answer, &v); err != nil {
			t.Fatal(err)
		}
		change(v)
		err := document.Components.Schemas["Answer"].Value.VisitJSON(v, openapi3.EnableJSONSchema2020())
		if (err == nil) != ok {
			t.Errorf("%v is valid: %v", v, err)
		}
	}
	f(func(v map[string]any) {}, true)
	f(func(v map[string]any) { v["more"] = 1 }, true)
	f(func(v map[string]any) { v["value"] = nil }, true)
	f(func(v map[string]any) { v["value"] = "0.5" }, false)
	f(func(v map[string]any) { delete(v, "scope") }, false)
	f(func(v map[string]any) { v["status"] = "fine" }, false)
}

// TestContractNamesEveryMember: no member of an answer is missing in the document, and no endpoint.
func TestContractNamesEveryMember(t *testing.T) {
	document, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	f := func(schema string, v any) {
		t.Helper()
		properties := document.Components.Schemas[schema].Value.Properties
		for i := range reflect.TypeOf(v).NumField() {
			name, _, _ := strings.Cut(reflect.TypeOf(v).Field(i).Tag.Get("json"), ",")
			if name != "" && name != "-" && properties[name] == nil {
				t.Errorf("schema %s lacks %s; it has %v", schema, name, slices.Sorted(maps.Keys(properties)))
			}
		}
	}
	f("Answer", kpi.Answer{})
	f("KPIAnswers", batchAnswer{})
	f("Unanswered", unanswered{})
	f("Journal", kpi.JournalAnswer{})
	f("JournalEntry", kpi.JournalEntry{})
	f("Baseline", kpi.Baseline{})
	f("Score", kpi.Score{})
	f("Point", kpi.Point{})
	f("Rank", kpi.Rank{})
	f("Definition", catalogueEntry{})
	f("Principal", seen{})
	f("Problem", problem{})
	f("Province", provinceEntry{})
	f("Service", serviceEntry{})
	f("Agency", agencyEntry{})
	f("Feeds", feedsAnswer{})
	f("Feed", feedEntry{})
	f("Share", share{})

	a := newAPI(t, nil, nil)
	for _, face := range a.server.faces {
		method, path, _ := strings.Cut(strings.ReplaceAll(face, "{$}", ""), " ")
		if item := document.Paths.Find(path); item == nil || item.GetOperation(method) == nil {
			t.Errorf("%s is not in openapi.yaml", face)
		}
	}
	if r := a.get("/openapi.yaml"); r.StatusCode != 200 || r.body != string(openAPI) || r.Header.Get("Content-Type") != "application/yaml" {
		t.Errorf("/openapi.yaml is %d %s", r.StatusCode, r.Header.Get("Content-Type"))
	}
}
