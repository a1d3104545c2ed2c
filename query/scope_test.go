package query

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"ioc.local/internal/access"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
	"ioc.local/query/kpi"
)

// Authentications by province; no sum of some is that of others.
var attempts = map[string]int{"79": 1009, "01": 2003, "48": 4001}

// newScoped is an API on a real evaluator and engine, with authentications of three provinces.
func newScoped(t *testing.T) *api {
	t.Helper()
	db := enginetest.Start(t)
	ctx, cancel := context.WithCancel(context.Background())
	facts, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := warehouse.Migrate(ctx, db.Client); err != nil {
		t.Fatal(err)
	}
	if err := warehouse.LoadReference(ctx, db.Client, facts); err != nil {
		t.Fatal(err)
	}
	offset := 0
	for province, n := range attempts {
		rows := fmt.Sprintf(`INSERT INTO auth_attempts (topic, partition, offset, type, source, event_id, subject, occurred_at, received_at, outcome, province, province63)
			SELECT 'ioc.authentication.v1', 0, %d + number, 'auth.attempt', '/eid_auth/G01', toString(%[1]d + number), toString(number),
				(SELECT now64(3)) - 1, now64(3), 'success', '%[2]s', '%[2]s' FROM numbers(%[3]d)`, offset, province, n)
		if err := db.Client.Conn().Exec(ctx, rows); err != nil {
			t.Fatal(err)
		}
		offset += n
	}
	catalogue, err := kpi.Load("")
	if err != nil {
		t.Fatal(err)
	}
	evaluator, err := kpi.New(kpi.DefaultConfig(), kpi.Deps{Conn: db.Client.Conn(), Catalogue: catalogue, Coefficients: facts.Coefficients(), Calendar: facts.Calendar(), Logger: zaptest.NewLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- evaluator.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	a := newAPI(t, evaluator, func(c *Config, d *Deps) { c.RateBurst, d.Warehouse = 100_000, db.Client.Conn() })
	t.Cleanup(a.stop)
	return a
}

// numbers are all those under the names of results, wherever they are in an answer.
func numbers(t *testing.T, body string) []float64 {
	t.Helper()
	var answer any
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	var found []float64
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				if n, ok := inner.(float64); ok && (name == "value" || name == "numerator" || name == "denominator" || name == "change") {
					found = append(found, n)
				}
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(answer)
	return found
}

// ways are those in which somebody might try to learn what is another province's. "forbidden" lists the codes for
// which the answer must be 403 when they are outside of the scope.
var ways = []struct {
	parameters string
	forbidden  []string
}{
	{"", nil},
	{"period=all", nil},
	{"period=7d&by=province", nil},
	{"by=province", nil},
	{"by=province&sort=-value&limit=1", nil},
	{"by=province&limit=1&offset=1", nil},
	{"by=province,outcome", nil},
	{"by=outcome", nil},
	{"by=relying_party,assurance_level", nil},
	{"grain=hour", nil},
	{"grain=minute&period=today", nil},
	{"grain=day&period=7d&by=province", nil},
	{"compare=previous", nil},
	{"compare=previous_elapsed&by=province", nil},
	{"at=2100-01-01", nil},
	{"scheme=gso63", nil},
	{"scheme=gso63&by=province", nil},
	{"outcome=success", nil},
	{"outcome=success&by=province", nil},
	{"province=01", []string{"01"}},
	{"province=48&by=outcome", []string{"48"}},
	{"province=79,01,48", []string{"79", "01", "48"}},
	{"province=48&scheme=gso34", []string{"48"}},
	{"scheme=gso63&province=48", []string{"48"}},
	{"scheme=gso63&province=01&by=province", []string{"01"}},
	{"scheme=gso63&province=49", []string{"48"}}, // Quảng Nam is part of Đà Nẵng since 2025-07-01
	{"scheme=gso63&province=77,49", []string{"79", "48"}},
	{"province=01&period=all&grain=day", []string{"01"}},
	{"province=01&at=2100-01-01", []string{"01"}},
	{"scope=national", nil},
	{"scope=national&by=province", nil},
	{"scope=national&province=48", nil},
	{"scope=national&by=outcome", nil},
	{"scope=national&grain=hour", nil},
	{"scope=own", nil},
	{"scope=province:48", nil},
	{"scope=48", nil},
	{"province=48&province=79", nil},
	{"province=gso34:48&scheme=gso63", nil},
	{"province=%2A", nil},
	{"province=", nil},
	{"provinces=48", nil},
	{"Province=48", nil},
	{"province=79'%20OR%201=1", nil},
}

// TestScopes asks in every way, as principals of several scopes, after a national principal has asked the same, so that
// whatever is cached is there. What is answered must be of one's own provinces; national totals are for all, where asked for.
func TestScopes(t *testing.T) {
	a := newScoped(t)
	const path = "/api/v1/kpis/auth_transactions"
	eventually(t, "all authentications to be published", func() bool { return slices.Contains(numbers(t, a.get(path).body), 7013) })

	national := a.key(access.Viewer, "national", nil)
	etags := map[string]string{}
	answered, refused := 0, 0
	for _, scope := range []string{"national", "79", "01,79", "48", "10"} {
		provinces := strings.Split(scope, ",")
		key := a.key(access.Operator, scope, nil)
		allowed := map[float64]bool{0: true}
		if scope != "national" {
			sum := 0
			for _, p := range provinces {
				allowed[float64(attempts[p])] = true
				sum += attempts[p]
			}
			allowed[float64(sum)] = true
		}
		for _, way := range ways {
			url := path + "?" + way.parameters
			first := a.as(national, url)
			got := a.as(key, url)
			what := fmt.Sprintf("%s as %s", url, scope)
			if scope == "national" {
				if (got.StatusCode == 200) != (first.StatusCode == 200) {
					t.Errorf("%s: got %d", what, got.StatusCode)
				}
				continue
			}
			var foreign []string
			for _, code := range way.forbidden {
				if !slices.Contains(provinces, code) {
					foreign = append(foreign, code)
				}
			}
			if len(foreign) > 0 {
				p := a.problem(got, 403, "forbidden")
				if !slices.ContainsFunc(foreign, func(code string) bool { return strings.Contains(p.Detail, code) }) {
					t.Errorf("%s: the problem does not name what is outside: %s", what, p.Detail)
				}
			}
			if got.StatusCode != 200 {
				refused++
				if got.StatusCode != 400 && got.StatusCode != 403 {
					t.Errorf("%s: got %d %s", what, got.StatusCode, got.body)
				}
				var p problem
				if err := json.Unmarshal([]byte(got.body), &p); err != nil {
					t.Fatal(err)
				}
				for _, n := range []string{"2003", "4001", "7013", "1009"} {
					if strings.Contains(p.Title+p.Detail, n) {
						t.Errorf("%s: the problem holds a number: %s", what, got.body)
					}
				}
				continue
			}
			answered++
			own := allowed
			if strings.Contains(way.parameters, "scope=national") && !strings.Contains(way.parameters, "province") {
				own = map[float64]bool{7013: true, 0: true}
				for n := range allowed {
					own[n] = true
				}
			}
			for _, n := range numbers(t, got.body) {
				if !own[n] {
					t.Errorf("%s: the answer holds %v: %s", what, n, got.body)
				}
			}
			var answer struct{ Scope string }
			if err := json.Unmarshal([]byte(got.body), &answer); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(way.parameters, "scope=national") && !strings.Contains(way.parameters, "province=") && answer.Scope != "province:"+scope {
				t.Errorf("%s: the answer says its scope is %s", what, answer.Scope)
			}
			// Another's validator is none for one's own answer.
			for other, etag := range etags {
				if askedOf, _, _ := strings.Cut(other, " "); askedOf == scope {
					continue
				}
				if _, asked, _ := strings.Cut(other, " "); asked != url {
					continue
				}
				r := a.request("GET", url)
				r.Header.Set("Authorization", "Bearer "+key)
				r.Header.Set("If-None-Match", etag)
				if again := a.do(r); again.StatusCode == 304 {
					t.Errorf("%s: the validator of %s is good for it", what, other)
				}
			}
			etags[scope+" "+url] = got.Header.Get("ETag")
			if !strings.Contains(got.Header.Get("Cache-Control"), "private") || got.Header.Get("Vary") != "Authorization" {
				t.Errorf("%s: caches may share it: %v", what, got.Header)
			}
		}
	}
	t.Logf("%d answers of own provinces, %d refusals", answered, refused)
	if answered < 50 || refused < 30 {
		t.Errorf("only %d answers and %d refusals", answered, refused)
	}
}

// TestScopesAtOnce: identical questions that are evaluated together are answered each by its own scope.
func TestScopesAtOnce(t *testing.T) {
	a := newScoped(t)
	const path = "/api/v1/kpis/auth_transactions"
	eventually(t, "all authentications to be published", func() bool { return slices.Contains(numbers(t, a.get(path).body), 7013) })
	keys := map[string]string{}
	for _, scope := range []string{"national", "79", "01", "48", "01,79"} {
		keys[scope] = a.key(access.Viewer, scope, nil)
	}
	want := map[string]float64{"national": 7013, "79": 1009, "01": 2003, "48": 4001, "01,79": 3012}
	for round := range 5 {
		from := time.Now().AddDate(0, 0, -round-2).UTC().Format(time.DateOnly) // not asked before
		to := time.Now().AddDate(0, 0, 2).UTC().Format(time.DateOnly)
		var all sync.WaitGroup
		for scope, key := range keys {
			for range 3 {
				all.Go(func() {
					r, err := http.NewRequest("GET", a.url(path+"?"+url.Values{"from": {from}, "to": {to}}.Encode()), nil)
					if err != nil {
						t.Error(err)
						return
					}
					r.Header.Set("Authorization", "Bearer "+key)
					resp, err := a.client.Do(r)
					if err != nil {
						t.Error(err)
						return
					}
					defer func() { _ = resp.Body.Close() }()
					var answer struct{ Value float64 }
					if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Value != want[scope] {
						t.Errorf("%s got %d with %v, want %v (%v)", scope, resp.StatusCode, answer.Value, want[scope], err)
					}
				})
			}
		}
		all.Wait()
	}
}

// TestBodiesChangeNothing: what a client sends beside the address is no question.
func TestBodiesChangeNothing(t *testing.T) {
	a := newScoped(t)
	const path = "/api/v1/kpis/auth_transactions"
	eventually(t, "all authentications to be published", func() bool { return slices.Contains(numbers(t, a.get(path).body), 7013) })
	key := a.key(access.Viewer, "79", nil)
	send := func(method, body string, headers ...string) response {
		r, err := http.NewRequest(method, a.url(path), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return a.do(r)
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
		a.problem(send(method, "province=48"), 405, "method-not-allowed")
	}
	for _, got := range []response{
		send("GET", "province=48&scope=national"),
		send("GET", `{"province":"48","scope":"national"}`, "Content-Type", "application/json"),
		send("GET", "", "X-Original-Url", path+"?province=48", "X-Scope", "national", "X-Forwarded-User", "operator", "Cookie", "scope=national"),
	} {
		if own := numbers(t, got.body); got.StatusCode != 200 || !slices.Contains(own, 1009) || slices.Contains(own, 4001) || slices.Contains(own, 7013) {
			t.Errorf("got %d %s", got.StatusCode, got.body)
		}
	}
}
