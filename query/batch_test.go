package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ioc.local/internal/access"
	"ioc.local/query/kpi"
)

const several = "/api/v1/kpis/query"

// post asks several at once. Without a key it is loopback's national operator.
func (a *api) post(key, body string, headers ...string) response {
	a.t.Helper()
	r, err := http.NewRequest("POST", a.url(several), strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return a.do(r)
}

// batchSeen is what a client reads.
type batchSeen struct {
	AsOf        *kpi.Time `json:"as_of"`
	Revision    *string
	EvaluatedAt kpi.Time `json:"evaluated_at"`
	Problems    int
	Answers     []struct {
		ID, Scope, Revision string
		AsOf                kpi.Time `json:"as_of"`
		EvaluatedAt         kpi.Time `json:"evaluated_at"`
		Value               *float64
		Problem             *problem
	}
}

func readBatch(t *testing.T, r response) batchSeen {
	t.Helper()
	var seen batchSeen
	if err := json.Unmarshal([]byte(r.body), &seen); err != nil || r.StatusCode != 200 {
		t.Fatalf("%d %s: %v", r.StatusCode, r.body, err)
	}
	return seen
}

func TestSeveral(t *testing.T) {
	var asked []kpi.Query
	current := someAnswer()
	failures := map[string]error{}
	a := newAPI(t, evaluator(func(_ context.Context, q kpi.Query) (*kpi.Answer, error) {
		asked = append(asked, q)
		if err := failures[q.KPI]; err != nil {
			return nil, err
		}
		own := *current
		own.ID = q.KPI
		return &own, nil
	}), nil)
	const body = `{"queries": [
		{"id": "on_time_rate", "period": "month", "by": ["province", "service"], "sort": "-value", "limit": 10, "offset": 2},
		{"id": "auth_transactions", "province": ["79", "01"], "outcome": "success,timeout", "from": "2026-11-01", "to": "2026-11-02T00:00:00+07:00"},
		{"id": "on_time_rate", "period": "month", "by": "province,service", "sort": "-value", "limit": 10, "offset": 2}]}`
	first := a.post("", body)
	seen := readBatch(t, first)
	if len(seen.Answers) != 3 || seen.Answers[0].ID != "on_time_rate" || seen.Answers[1].ID != "auth_transactions" || seen.Problems != 0 {
		t.Fatalf("got %s", first.body)
	}
	if fmt.Sprint(asked[0]) != fmt.Sprint(asked[2]) || fmt.Sprint(asked[0].By) != "[province service]" || asked[0].Limit != 10 || asked[0].Offset != 2 {
		t.Errorf("the first question was %+v, the last %+v", asked[0], asked[2])
	}
	if f := asked[1].Filters; fmt.Sprint(f["province"]) != "[01 79]" || fmt.Sprint(f["outcome"]) != "[success timeout]" || !asked[1].To.Equal(asked[1].From.Add(24*time.Hour)) {
		t.Errorf("the second question was %+v", asked[1])
	}

	etag := first.Header.Get("ETag")
	conditional := func(body, etag string, want int) {
		t.Helper()
		if got := a.post("", body, "If-None-Match", etag); got.StatusCode != want {
			t.Errorf("got %d, want %d", got.StatusCode, want)
		}
	}
	conditional(body, etag, 304)
	conditional(strings.Replace(body, "month", "today", 1), etag, 200)
	revised := *current
	revised.EvaluatedAt = kpi.Time{Time: revised.EvaluatedAt.Add(time.Hour)}
	current = &revised
	conditional(body, etag, 304)
	revised.Revision = "r-2"
	conditional(body, etag, 200)

	// What only the warehouse knows is the problem of one question.
	failures["auth_transactions"] = &kpi.Error{Kind: kpi.BadRequest, Param: "grain", Detail: "is too fine", Err: errors.New("SELECT secret")}
	got := a.post("", body)
	seen = readBatch(t, got)
	if p := seen.Answers[1].Problem; seen.Problems != 1 || p == nil || p.Status != 400 || p.Parameter != "queries[1].grain" || p.Detail != "queries[1].grain is too fine" || strings.Contains(got.body, "SELECT") {
		t.Errorf("got %s", got.body)
	}
	if seen.Answers[1].ID != "auth_transactions" || seen.Answers[0].Problem != nil || *seen.Answers[2].Value != *current.Value || got.Header.Get("ETag") != "" || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %s with %v", got.body, got.Header)
	}
	failures["on_time_rate"] = &kpi.Error{Kind: kpi.Unavailable, Detail: "ask again"}
	failures["auth_transactions"] = failures["on_time_rate"]
	a.problem(a.post("", body), 503, "unavailable")
}

func TestSeveralMistakes(t *testing.T) {
	a := newAPI(t, evaluator(func(_ context.Context, q kpi.Query) (*kpi.Answer, error) {
		if q.KPI == "none" {
			return nil, &kpi.Error{Kind: kpi.NotFound, Param: "id", Detail: "there is no such KPI"}
		}
		return someAnswer(), nil
	}), func(_ *Config, d *Deps) {
		d.ScreenKPIs = []string{"on_time_rate"}
	})
	f := func(body, parameter, detail string) {
		t.Helper()
		p := a.problem(a.post("", body), 400, "parameter")
		if p.Parameter != parameter || !strings.Contains(p.Detail, detail) || !strings.HasPrefix(p.Detail, parameter) {
			t.Errorf("%s: %s: %s; want %s with %s", body, p.Parameter, p.Detail, parameter, detail)
		}
	}
	one := func(query string) string { return `{"queries": [{"id": "on_time_rate"}, ` + query + `]}` }
	f(``, "body", "not JSON")
	f(`{"queries": [{"id": "on_time_rate"}]} {}`, "body", "not JSON")
	f(`[]`, "body", "must be an object")
	f(`{}`, "queries", "1 to 64")
	f(`{"queries": []}`, "queries", "1 to 64")
	f(`{"queries": null}`, "queries", "1 to 64")
	f(`{"queries": {}}`, "queries", "must be a list")
	f(`{"queries": [`+strings.Repeat(`{"id": "on_time_rate"},`, 64)+`{"id": "on_time_rate"}]}`, "queries", "1 to 64")
	f(`{"queries": [{"id": "on_time_rate"}], "query": 1}`, "query", "is unknown")
	f(`{"queries": [{"id": "on_time_rate"}], "queries": []}`, "queries", "twice")
	f(one(`7`), "queries[1]", "must be an object")
	f(one(`null`), "queries[1]", "must be an object")
	f(one(`{}`), "queries[1].id", "is missing")
	f(one(`{"id": 7}`), "queries[1].id", "must be a text")
	f(one(`{"id": "on_time_rate", "foo": "x"}`), "queries[1].foo", "is unknown")
	f(one(`{"id": "on_time_rate", "ID": "x"}`), "queries[1].ID", "is unknown")
	f(one(`{"id": "on_time_rate", "by": "province", "by": "service"}`), "queries[1].by", "twice")
	f(one(`{"id": "on_time_rate", "period": ["today"]}`), "queries[1].period", "must be a text")
	f(one(`{"id": "on_time_rate", "period": null}`), "queries[1].period", "must be a text")
	f(one(`{"id": "on_time_rate", "period": "tonight"}`), "queries[1].period", "is unknown")
	f(one(`{"id": "on_time_rate", "period": ""}`), "queries[1].period", "is empty")
	f(one(`{"id": "on_time_rate", "by": ["province"], "limit": "7"}`), "queries[1].limit", "whole number")
	f(one(`{"id": "on_time_rate", "by": ["province"], "limit": 1.5}`), "queries[1].limit", "whole number")
	f(one(`{"id": "on_time_rate", "by": ["province"], "limit": null}`), "queries[1].limit", "whole number")
	f(one(`{"id": "on_time_rate", "by": ["province"], "limit": 0}`), "queries[1].limit", "whole number")
	f(one(`{"id": "on_time_rate", "by": []}`), "queries[1].by", "is empty")
	f(one(`{"id": "on_time_rate", "province": 79}`), "queries[1].province", "text or a list")
	f(one(`{"id": "on_time_rate", "province": [79]}`), "queries[1].province", "text or a list")
	f(one(`{"id": "on_time_rate", "province": ["79", null]}`), "queries[1].province", "list of codes")
	f(one(`{"id": "on_time_rate", "province": ["79,01"]}`), "queries[1].province", "list of codes")
	f(one(`{"id": "on_time_rate", "province": "99"}`), "queries[1].province", "no code")
	a.problem(a.post("", one(`{"id": "`+strings.Repeat("x", batchBody)+`"}`)), 413, "too-large")
	a.problem(a.post("", one(`{"id": "on_time_rate"}`), "Content-Type", "text/plain"), 415, "media-type")
	a.problem(a.do(a.request("GET", several)), 404, "not-found") // no KPI has this name

	seen := readBatch(t, a.post("", one(`{"id": "none"}`)))
	if p := seen.Answers[1].Problem; p == nil || p.Status != 404 || seen.Answers[1].ID != "none" || seen.Answers[0].Problem != nil || seen.Revision != nil {
		t.Errorf("an unknown KPI gives %+v", seen)
	}
	screen := a.key(access.Screen, "national", nil)
	if p := a.problem(a.post(screen, one(`{"id": "auth_transactions"}`)), 403, "forbidden"); p.Parameter != "queries[1].id" {
		t.Errorf("a screen's other KPI is %+v", p)
	}
	if got := a.post(screen, one(`{"id": "on_time_rate"}`)); got.StatusCode != 200 {
		t.Errorf("a screen's own KPI is %d", got.StatusCode)
	}
}

// TestSeveralCount: a request with many questions is no way around the limit of requests.
func TestSeveralCount(t *testing.T) {
	a := newAPI(t, evaluator(func(context.Context, kpi.Query) (*kpi.Answer, error) { return someAnswer(), nil }), func(c *Config, _ *Deps) {
		c.RateBurst, c.RateLimit = 50, 0.001
	})
	body := `{"queries": [` + strings.Repeat(`{"id": "on_time_rate"},`, 39) + `{"id": "on_time_rate"}]}`
	if got := a.post("", body); got.StatusCode != 200 {
		t.Fatalf("40 questions of 50 got %d %s", got.StatusCode, got.body)
	}
	if got := a.post("", body); got.StatusCode != 429 || got.Header.Get("Retry-After") == "" {
		t.Errorf("80 questions of 50 got %d", got.StatusCode)
	}
}

// TestSeveralScopes asks in every way of TestScopes, several at once: what is answered is what GET answers, and another
// province refuses the whole request and is named.
func TestSeveralScopes(t *testing.T) {
	a := newScoped(t)
	eventually(t, "all authentications to be published", func() bool {
		return slices.Contains(numbers(t, a.get("/api/v1/kpis/auth_transactions").body), 7013)
	})
	refused, answered := 0, 0
	for _, scope := range []string{"national", "79", "01,79"} {
		key := a.key(access.Viewer, scope, nil)
		for _, way := range ways {
			query, ok := queryOf(way.parameters)
			if !ok {
				continue
			}
			got := a.post(key, `{"queries": [{"id": "auth_success_rate"}, `+query+`]}`)
			single := a.as(key, "/api/v1/kpis/auth_transactions?"+way.parameters)
			if got.StatusCode != single.StatusCode {
				t.Errorf("%s as %s: %d, alone %d: %s", query, scope, got.StatusCode, single.StatusCode, got.body)
				continue
			}
			if got.StatusCode != 200 {
				refused++
				var p, alone problem
				if err := errors.Join(json.Unmarshal([]byte(got.body), &p), json.Unmarshal([]byte(single.body), &alone)); err != nil {
					t.Fatal(err)
				}
				if p.Parameter != place(1, alone.Parameter) || !strings.Contains(p.Detail, alone.Detail) {
					t.Errorf("%s as %s: %s: %s, alone %s", query, scope, p.Parameter, p.Detail, alone.Detail)
				}
				continue
			}
			answered++
			seen := readBatch(t, got)
			var alone struct {
				Value           *float64
				Scope, Revision string
			}
			if err := json.Unmarshal([]byte(single.body), &alone); err != nil {
				t.Fatal(err)
			}
			if one := seen.Answers[1]; one.Revision == alone.Revision && (*one.Value != *alone.Value || one.Scope != alone.Scope) {
				t.Errorf("%s as %s: %v of %s, alone %v of %s", query, scope, *one.Value, one.Scope, *alone.Value, alone.Scope)
			}
			for _, one := range seen.Answers {
				if seen.AsOf == nil || one.AsOf.After(seen.AsOf.Time) || one.EvaluatedAt.After(seen.EvaluatedAt.Time) {
					t.Errorf("%s as %s: an answer is as of %s and of %s, all together %s and %s", query, scope, one.AsOf, one.EvaluatedAt, seen.AsOf, seen.EvaluatedAt)
				}
			}
		}
	}
	if refused < 20 || answered < 50 {
		t.Errorf("only %d refused and %d answered", refused, answered)
	}
}

// queryOf writes parameters of an address as members; not those that are given twice or escaped.
func queryOf(parameters string) (string, bool) {
	members := []string{`"id": "auth_transactions"`}
	for part := range strings.SplitSeq(parameters, "&") {
		name, value, _ := strings.Cut(part, "=")
		if strings.Contains(value, "%") || strings.Count(parameters, name+"=") > 1 && name != "scope" {
			return "", false
		}
		switch name {
		case "":
		case "limit", "offset":
			members = append(members, fmt.Sprintf("%q: %s", name, value))
		default:
			members = append(members, fmt.Sprintf("%q: %q", name, value))
		}
	}
	return "{" + strings.Join(members, ", ") + "}", true
}
