package query

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ioc.local/query/kpi"
)

func someAnswer() *kpi.Answer {
	value, numerator, denominator := 21.0/46.0, int64(21), int64(46)
	at := time.Date(2026, 11, 21, 3, 42, 17, 120_000_000, time.UTC)
	return &kpi.Answer{
		ID: "on_time_rate", Name: kpi.Text{VI: "Tỷ lệ <đúng hạn> & trước hạn", EN: "On-time rate"}, Unit: "ratio", Better: "higher",
		AsOf: kpi.Time{Time: at}, EvaluatedAt: kpi.Time{Time: at}, Revision: "r-184467", Definition: "sha256:00",
		Value: &value, Numerator: &numerator, Denominator: &denominator, Status: kpi.StatusNeutral, Exact: true,
	}
}

func TestAnswer(t *testing.T) {
	current := someAnswer()
	var asked kpi.Query
	a := newAPI(t, evaluator(func(_ context.Context, q kpi.Query) (*kpi.Answer, error) { asked = q; return current, nil }), nil)
	first := a.get("/api/v1/kpis/on_time_rate?period=month&province=79")
	if first.StatusCode != 200 || first.Header.Get("Content-Type") != "application/json" || first.Header.Get("Cache-Control") != "private, no-cache" {
		t.Fatalf("got %d %v", first.StatusCode, first.Header)
	}
	if first.Header.Get("Vary") != "Authorization" {
		t.Errorf("Vary is %s", first.Header.Get("Vary"))
	}
	for _, want := range []string{`"value":0.45652173913043476`, "<đúng hạn> & trước"} {
		if !strings.Contains(first.body, want) {
			t.Errorf("the answer lacks %s: %s", want, first.body)
		}
	}
	if asked.KPI != "on_time_rate" || asked.Period != "month" || !asked.Scope.National || cmp.Diff([]string{"79"}, asked.Filters["province"]) != "" {
		t.Errorf("the question was %+v", asked)
	}
	etag := first.Header.Get("ETag")
	if !strings.HasPrefix(etag, `"`) || len(etag) < 10 {
		t.Fatalf("ETag is %s", etag)
	}

	head := a.do(a.request("HEAD", "/api/v1/kpis/on_time_rate?period=month&province=79"))
	if head.StatusCode != 200 || head.body != "" || head.Header.Get("ETag") != etag || head.ContentLength != int64(len(first.body)) {
		t.Errorf("HEAD got %d, ETag %s, length %d, body %q", head.StatusCode, head.Header.Get("ETag"), head.ContentLength, head.body)
	}
	conditional := func(path, header string, want int) {
		t.Helper()
		r := a.request("GET", path)
		r.Header.Set("If-None-Match", header)
		if got := a.do(r); got.StatusCode != want || want == 304 && (got.body != "" || got.Header.Get("ETag") != etag) {
			t.Errorf("If-None-Match %s for %s: got %d %q, want %d", header, path, got.StatusCode, got.body, want)
		}
	}
	const path = "/api/v1/kpis/on_time_rate?province=79&period=month" // the same question in another order
	conditional(path, etag, 304)
	conditional(path, `"other", W/`+etag, 304)
	conditional(path, `*`, 304)
	conditional(path, `"other"`, 200)
	conditional("/api/v1/kpis/on_time_rate?period=month&province=01", etag, 200)
	conditional("/api/v1/kpis/dossiers_received?period=month&province=79", etag, 200)

	later := *current
	later.EvaluatedAt = kpi.Time{Time: later.EvaluatedAt.Add(time.Second)}
	current = &later
	conditional(path, etag, 304)
	revised := later
	revised.Revision = "r-184468"
	current = &revised
	conditional(path, etag, 200)
	other, value := later, 0.5 // as of an age, which the time alone changes
	other.Value = &value
	current = &other
	conditional(path, etag, 200)
	noted := later
	noted.Notes = []kpi.Note{{Code: kpi.NoteIllustrative}}
	current = &noted
	conditional(path, etag, 200)
	redefined := later
	redefined.Definition = "sha256:01"
	current = &redefined
	conditional(path, etag, 200)
}

func TestAnswerErrors(t *testing.T) {
	var failure error
	a := newAPI(t, evaluator(func(context.Context, kpi.Query) (*kpi.Answer, error) { return nil, failure }), nil)
	secret := errors.New("SELECT 1 FROM ioc.secret at db.internal:9000")
	f := func(err error, status int, code string) response {
		t.Helper()
		failure = err
		r := a.get("/api/v1/kpis/on_time_rate")
		a.problem(r, status, code)
		if strings.Contains(r.body, "SELECT") || strings.Contains(r.body, "db.internal") {
			t.Errorf("the problem shows what it must not: %s", r.body)
		}
		return r
	}
	f(&kpi.Error{Kind: kpi.BadRequest, Param: "grain", Detail: "is too fine", Err: secret}, 400, "parameter")
	f(&kpi.Error{Kind: kpi.Forbidden, Param: "province", Detail: "is not yours", Err: secret}, 403, "forbidden")
	f(&kpi.Error{Kind: kpi.NotFound, Detail: "no such KPI", Err: secret}, 404, "not-found")
	if r := f(&kpi.Error{Kind: kpi.Unavailable, Detail: "ask again", Err: secret}, 503, "unavailable"); r.Header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	f(secret, 500, "internal")
	f(context.DeadlineExceeded, 504, "timeout")

	unknown := a.problem(a.get("/api/v1/kpis/on_time_rate?perod=today"), 400, "parameter")
	if unknown.Parameter != "perod" || !strings.HasPrefix(unknown.Detail, "perod is unknown") {
		t.Errorf("the unknown parameter is not named: %+v", unknown)
	}
	a.problem(a.get("/api/v1/kpis/none"), 404, "not-found")
	a.problem(a.get("/api/v1/kpis/on_time_rate?a=%zz"), 400, "parameter")
	a.problem(a.get("/api/v1/kpis/on_time_rate?period=today;province=79"), 400, "parameter")
}

func TestCatalogue(t *testing.T) {
	a := newAPI(t, nil, nil)
	r := a.get("/api/v1/kpis")
	var got struct {
		KPIs []struct {
			ID            string
			Name          kpi.Text
			Unit, Better  string
			Dimensions    []string
			DefaultPeriod string `json:"default_period"`
			Definition    string
		}
	}
	if err := json.Unmarshal([]byte(r.body), &got); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
	all := a.server.deps.Catalogue.All()
	if len(got.KPIs) != len(all) || len(all) < 8 {
		t.Fatalf("%d KPIs are listed of %d", len(got.KPIs), len(all))
	}
	for i, k := range got.KPIs {
		if k.ID != all[i].ID || k.Name != all[i].Name || k.DefaultPeriod == "" || k.Dimensions == nil || !strings.HasPrefix(k.Definition, "sha256:") {
			t.Errorf("entry %d is %+v", i, k)
		}
	}
	again := a.request("GET", "/api/v1/kpis")
	again.Header.Set("If-None-Match", r.Header.Get("ETag"))
	if got := a.do(again); got.StatusCode != http.StatusNotModified {
		t.Errorf("the second time got %d", got.StatusCode)
	}
	if p := a.problem(a.get("/api/v1/kpis?lang=vi"), 400, "parameter"); p.Parameter != "lang" {
		t.Errorf("the problem is %+v", p)
	}
}

func TestReference(t *testing.T) {
	a := newAPI(t, nil, nil)
	f := func(path, list string, want int, contains string) {
		t.Helper()
		r := a.get(path)
		var got map[string]json.RawMessage
		var items []map[string]any
		if err := errors.Join(json.Unmarshal([]byte(r.body), &got), json.Unmarshal(got[list], &items)); err != nil {
			t.Fatalf("%s: %v: %s", path, err, r.body)
		}
		if len(items) != want || !strings.Contains(r.body, contains) || r.Header.Get("ETag") == "" {
			t.Errorf("%s: %d items, want %d, with %s: %.300s", path, len(items), want, contains, r.body)
		}
	}
	f("/api/v1/reference/provinces", "provinces", 34, `"code":"79"`)
	f("/api/v1/reference/provinces?scheme=gso34", "provinces", 34, `"scheme":"gso34"`)
	f("/api/v1/reference/provinces?scheme=gso63", "provinces", 63, `"code_gso34":"79"`)
	f("/api/v1/reference/services", "services", 25, `"id":"DA06-01"`)
	f("/api/v1/reference/agencies", "agencies", len(a.server.deps.Reference.Agencies()), `"code":"G01"`)
	a.problem(a.get("/api/v1/reference/provinces?scheme=iso"), 400, "parameter")
	a.problem(a.get("/api/v1/reference/provinces?scheme=gso34&scheme=gso63"), 400, "parameter")
	a.problem(a.get("/api/v1/reference/services?scheme=gso34"), 400, "parameter")
	a.problem(a.get("/api/v1/reference/planets"), 404, "not-found")
}
