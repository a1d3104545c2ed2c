package query

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"ioc.local/internal/access"
	"ioc.local/query/kpi"
)

// outside makes requests those of another machine: by a name that is not loopback's.
const outside = "ioc.example.vn"

// leastRoles are the roles that routes need at least, written down a second time: a change of the table is to be seen.
var leastRoles = map[string]access.Role{
	"GET /{$}":                        access.Anyone,
	"GET /openapi.yaml":               access.Anyone,
	"GET /api/v1/me":                  access.Screen,
	"GET /api/v1/kpis":                access.Screen,
	"GET /api/v1/kpis/{id}":           access.Screen,
	"GET /api/v1/kpis/{id}/journal":   access.Screen,
	"POST /api/v1/kpis/query":         access.Screen,
	"GET /api/v1/reference/provinces": access.Screen,
	"GET /api/v1/reference/services":  access.Screen,
	"GET /api/v1/reference/agencies":  access.Screen,
	"GET /api/v1/feeds":               access.Viewer,
	// Mounted by the test, as ioc mounts its own.
	"GET /test/live":         access.Screen,
	"POST /test/sql":         access.Analyst,
	"POST /test/administer":  access.Operator,
	"GET /test/wall/":        access.Anyone,
	"DELETE /test/view/{id}": access.Viewer,
}

// TestRoutesByRole asks every route as every role, scope and kind of key.
func TestRoutesByRole(t *testing.T) {
	mounted := map[string]Route{}
	for pattern, least := range leastRoles {
		if strings.Contains(pattern, "/test/") {
			mounted[pattern] = Route{least, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if p, ok := access.From(r.Context()); ok != (p.Role != "") {
					t.Errorf("the mounted route got %+v, %v", p, ok)
				}
				writeJSON(w, []byte("{}"))
			})}
		}
	}
	a := newAPI(t, evaluator(func(context.Context, kpi.Query) (*kpi.Answer, error) { return someAnswer(), nil }), func(c *Config, d *Deps) {
		c.Hosts, c.RateBurst = []string{outside}, 100_000
		d.Routes, d.ScreenKPIs = mounted, []string{"on_time_rate"}
	})
	if len(a.server.faces) != len(leastRoles) {
		t.Errorf("the server has %v", a.server.faces)
	}
	type credential struct {
		name, header string
		role         access.Role // "" if the key is refused, Anyone without a key
	}
	credentials := []credential{{"no key", "", access.Anyone}, {"no key at all", "Bearer", ""}, {"no key of ioc", "Bearer 0123456789", ""}, {"password", "Basic aW9jOmlvYw==", ""}}
	wrong, _, err := access.Mint(access.Spec{Name: "wrong", Role: access.Operator, Scope: access.Scope{National: true}})
	if err != nil {
		t.Fatal(err)
	}
	credentials = append(credentials, credential{"wrong", "Bearer " + wrong, ""})
	for _, role := range []access.Role{access.Screen, access.Viewer, access.Analyst, access.Operator} {
		for _, scope := range []string{"national", "79", "01,79"} {
			credentials = append(credentials,
				credential{string(role) + " of " + scope, "Bearer " + a.key(role, scope, nil), role},
				credential{"revoked " + string(role) + " of " + scope, "Bearer " + a.key(role, scope, func(t *access.Token) { t.Revoked = time.Now() }), ""},
				credential{"expired " + string(role) + " of " + scope, "Bearer " + a.key(role, scope, func(t *access.Token) { t.Expires = time.Now().Add(-time.Second) }), ""})
		}
	}
	asked := 0
	for _, face := range a.server.faces {
		least, known := leastRoles[face]
		if !known {
			t.Fatalf("%s is not in the test's table", face)
		}
		method, path, _ := strings.Cut(strings.NewReplacer("{$}", "", "{id}/journal", "on_time_rate/journal?scope=national", "{id}", "on_time_rate").Replace(face), " ")
		for _, c := range credentials {
			asked++
			r := a.request(method, path)
			r.Host = outside
			if c.header != "" {
				r.Header.Set("Authorization", c.header)
			}
			got := a.do(r)
			want := http.StatusOK
			switch {
			case c.role == "":
				want = http.StatusUnauthorized
			case c.role.Allows(least):
				switch face {
				case "GET /api/v1/feeds": // there is no warehouse here
					want = http.StatusServiceUnavailable
				case "POST /api/v1/kpis/query": // without a body
					want = http.StatusUnsupportedMediaType
				}
			case c.role == access.Anyone:
				want = http.StatusUnauthorized
			default:
				want = http.StatusForbidden
			}
			if c.role == "" && got.StatusCode == http.StatusTooManyRequests { // many wrong keys from one address
				want = http.StatusTooManyRequests
			}
			if got.StatusCode != want {
				t.Errorf("%s as %s: got %d %s, want %d", face, c.name, got.StatusCode, got.body, want)
			}
			switch want {
			case http.StatusUnauthorized:
				a.problem(got, want, "unauthorized")
				challenge := got.Header.Get("WWW-Authenticate")
				if !strings.HasPrefix(challenge, `Bearer realm="ioc"`) || strings.Contains(challenge, "invalid_token") != (c.role == "") {
					t.Errorf("%s as %s: the challenge is %s", face, c.name, challenge)
				}
			case http.StatusForbidden:
				if p := a.problem(got, want, "forbidden"); !strings.Contains(p.Detail, string(least)) || !strings.Contains(p.Detail, string(c.role)) {
					t.Errorf("%s as %s: the problem does not say which role is needed: %s", face, c.name, p.Detail)
				}
			case http.StatusTooManyRequests:
				if a.problem(got, want, "too-many-requests"); got.Header.Get("Retry-After") == "" {
					t.Error("429 without Retry-After")
				}
			}
			if got.Header.Get("Vary") != "Authorization" {
				t.Errorf("%s as %s: Vary is %q", face, c.name, got.Header.Get("Vary"))
			}
		}
	}
	t.Logf("%d routes × %d kinds of keys", len(a.server.faces), len(credentials))
	if asked < 13*41 {
		t.Errorf("only %d cases", asked)
	}
}

// TestHowOneIsSeen: / and /api/v1/me.
func TestHowOneIsSeen(t *testing.T) {
	a := newAPI(t, nil, nil)
	f := func(r response, want seen) {
		t.Helper()
		var got seen
		if err := json.Unmarshal([]byte(r.body), &got); err != nil || r.StatusCode != 200 {
			t.Fatalf("%d %s %v", r.StatusCode, r.body, err)
		}
		if got.Name != want.Name || got.Role != want.Role || got.Scope != want.Scope || fmt.Sprint(got.Provinces) != fmt.Sprint(want.Provinces) || (got.Key == nil) != (want.Key == nil) {
			t.Errorf("got %s, want %+v", r.body, want)
		}
	}
	f(a.get("/api/v1/me"), seen{Name: "loopback", Role: access.Operator, Scope: "national"})
	some := "some"
	two := a.key(access.Analyst, "79,01", nil)
	f(a.as(two, "/api/v1/me"), seen{Name: "analyst of 79,01", Role: access.Analyst, Scope: "province:01,79", Provinces: []string{"01", "79"}, Key: &some})
	for _, r := range []response{a.get("/"), a.as(two, "/")} {
		if !strings.Contains(r.body, `"principal":{"name":`) || strings.Contains(r.body, two) {
			t.Errorf("the index is %s", r.body)
		}
	}
	if r := a.get("/"); !strings.Contains(r.body, "loopback without key: national operator") {
		t.Errorf("the index does not say that there is no key: %s", r.body)
	}
	conditional := a.request("GET", "/api/v1/me")
	conditional.Header.Set("If-None-Match", a.as(two, "/api/v1/me").Header.Get("ETag"))
	if r := a.do(conditional); r.StatusCode != 200 {
		t.Errorf("another's ETag gets %d", r.StatusCode)
	}
	a.problem(a.get("/api/v1/me?as=other"), 400, "parameter")
}

func TestScreen(t *testing.T) {
	a := newAPI(t, evaluator(func(context.Context, kpi.Query) (*kpi.Answer, error) { return someAnswer(), nil }), func(_ *Config, d *Deps) {
		d.ScreenKPIs = []string{"on_time_rate"}
	})
	screen, viewer := a.key(access.Screen, "national", nil), a.key(access.Viewer, "national", nil)
	if r := a.as(screen, "/api/v1/kpis/on_time_rate"); r.StatusCode != 200 {
		t.Errorf("a KPI of a board gets %d", r.StatusCode)
	}
	if p := a.problem(a.as(screen, "/api/v1/kpis/dossiers_received"), 403, "forbidden"); p.Parameter != "id" || !strings.Contains(p.Detail, "dossiers_received") {
		t.Errorf("the problem is %+v", p)
	}
	if r := a.as(viewer, "/api/v1/kpis/dossiers_received"); r.StatusCode != 200 {
		t.Errorf("a viewer gets %d", r.StatusCode)
	}
}

func TestRateLimit(t *testing.T) {
	a := newAPI(t, nil, func(c *Config, _ *Deps) { c.RateLimit, c.RateBurst = 0.01, 3 })
	one, two := a.key(access.Viewer, "79", nil), a.key(access.Viewer, "79", nil)
	for range 3 {
		if r := a.as(one, "/api/v1/me"); r.StatusCode != 200 {
			t.Errorf("within the limit got %d", r.StatusCode)
		}
	}
	limited := a.as(one, "/api/v1/me")
	a.problem(limited, 429, "too-many-requests")
	if after := limited.Header.Get("Retry-After"); after != "100" {
		t.Errorf("Retry-After is %s", after)
	}
	if r := a.as(two, "/api/v1/me"); r.StatusCode != 200 {
		t.Errorf("another key gets %d", r.StatusCode)
	}
	if r := a.get("/api/v1/me"); r.StatusCode != 200 {
		t.Errorf("this machine gets %d", r.StatusCode)
	}
	if got := a.metric("ioc_query_requests_total", map[string]string{"code": "429"}); got != 1 {
		t.Errorf("%v refusals are counted", got)
	}
}

// TestOtherSites: pages of other sites cannot have this machine's principal do something.
func TestOtherSites(t *testing.T) {
	done := 0
	a := newAPI(t, nil, func(_ *Config, d *Deps) {
		d.Routes = map[string]Route{"POST /test/sql": {access.Analyst, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			done++
			writeJSON(w, []byte("{}"))
		})}}
	})
	post := func(headers ...string) response {
		r, err := http.NewRequest("POST", a.url("/test/sql"), strings.NewReader("SELECT 1"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "text/plain")
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return a.do(r)
	}
	a.problem(post("Origin", "https://attacker.example"), 403, "origin")
	a.problem(post("Sec-Fetch-Site", "cross-site"), 403, "origin")
	if done != 0 {
		t.Errorf("%d were done", done)
	}
	key := a.key(access.Analyst, "national", nil)
	for _, headers := range [][]string{nil, {"Origin", a.url("")}, {"Sec-Fetch-Site", "same-origin"}, {"Origin", "https://tool.example", "Authorization", "Bearer " + key}} {
		if r := post(headers...); r.StatusCode != 200 {
			t.Errorf("%v gets %d %s", headers, r.StatusCode, r.body)
		}
	}
}
