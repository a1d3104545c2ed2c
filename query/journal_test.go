package query

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ioc.local/internal/access"
	"ioc.local/internal/reference"
)

// TestJournal reads rows of three scopes as principals of several.
func TestJournal(t *testing.T) {
	a := newScoped(t)
	eventually(t, "all authentications to be published", func() bool {
		return slices.Contains(numbers(t, a.get("/api/v1/kpis/auth_transactions").body), 7013)
	})
	now := time.Now().In(reference.TimeZone())
	on, next := now.AddDate(0, 0, -2).Format(time.DateOnly), now.AddDate(0, 0, -1).Format(time.DateOnly)
	for province, n := range map[string]int{"": 7013, "79": 1009, "01": 2003} {
		for minute, part := range []int{n - 1, n} {
			err := a.server.deps.Warehouse.Exec(t.Context(), fmt.Sprintf(`INSERT INTO kpi_journal (minute, kpi, province, period, value, numerator, status, as_of, revision, definition, published_at, version)
				VALUES ('%[1]s 17:0%[2]d:00', 'auth_transactions', '%[3]s', 'today', %[4]d, %[4]d, 'neutral', '%[1]s 16:59:59.5', 'r-1-a', 'sha256:00', '%[1]s 17:00:00', 1)`, on, minute, province, part))
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	const path = "/api/v1/kpis/auth_transactions/journal"
	day := "from=" + on + "&to=" + next
	f := func(scope, parameters string, status int, want ...float64) string {
		t.Helper()
		got := a.as(a.key(access.Viewer, scope, nil), path+"?"+parameters)
		if got.StatusCode != status {
			t.Errorf("%s as %s: %d %s, want %d", parameters, scope, got.StatusCode, got.body, status)
			return ""
		}
		if status != 200 {
			var p problem
			if err := json.Unmarshal([]byte(got.body), &p); err != nil {
				t.Fatal(err)
			}
			return p.Parameter + ": " + p.Detail
		}
		var seen struct {
			ID, Scope, Period string
			Entries           []struct {
				Value     float64
				Numerator int64
			}
		}
		if err := json.Unmarshal([]byte(got.body), &seen); err != nil {
			t.Fatal(err)
		}
		values := []float64{}
		for _, e := range seen.Entries {
			if values = append(values, e.Value); float64(e.Numerator) != e.Value {
				t.Errorf("%s as %s: %s", parameters, scope, got.body)
			}
		}
		if diff := cmp.Diff(append([]float64{}, want...), values); diff != "" {
			t.Errorf("%s as %s (-want +got):\n%s", parameters, scope, diff)
		}
		return seen.Scope
	}
	f("national", day, 200, 7012, 7013)
	f("national", day+"&limit=1", 200, 7012)
	f("national", day+"&province=79", 200, 1008, 1009)
	f("national", "at="+on+"T17:00:59%2B07:00", 200, 7012)
	f("national", "at="+on+"T17:01:00%2B07:00&period=today", 200, 7013)
	f("national", "at="+on+"T16:59:59%2B07:00", 200)
	f("national", day+"&period=month", 200)
	if scope := f("79", day, 200, 1008, 1009); scope != "province:79" {
		t.Errorf("one's own journal is of %s", scope)
	}
	f("79", day+"&province=79", 200, 1008, 1009)
	if scope := f("79", day+"&scope=national", 200, 7012, 7013); scope != "national" {
		t.Errorf("the nation's journal is of %s", scope)
	}
	f("01,79", day+"&province=01", 200, 2002, 2003)
	for _, mistake := range []struct {
		scope, parameters string
		status            int
		detail            string
	}{
		{"79", day + "&province=01", 403, "province: province 01 is outside your scope"},
		{"79", day + "&province=01&scope=national", 403, "province: "},
		{"79", "at=" + on + "T17:01:00%2B07:00&province=01", 403, "province: province 01"},
		{"01,79", day, 400, "province: province must be one of 01, 79"},
		{"national", day + "&province=01,79", 400, "province: province must be one of 01, 79"},
		{"national", day + "&province=99", 400, "province: province has no code"},
		{"national", day + "&province=01&province=79", 400, "province: "},
		{"national", day + "&outcome=success", 400, "outcome: outcome is unknown"},
		{"national", day + "&period=tonight", 400, "period: "},
		{"national", day + "&at=" + on, 400, "at: at asks for one entry"},
		{"national", "at=yesterday", 400, "at: "},
		{"national", "at=1969-12-31", 400, "at: at must be from 2022-01-01"},
		{"national", "from=" + next + "&to=" + on, 400, "to: to must be later"},
		{"national", "from=1900-01-01&to=" + on, 400, "from: from must be from"},
		{"national", day + "&limit=10001", 400, "limit: limit must be"},
		{"national", day + "&limit=", 400, "limit: "},
	} {
		if got := f(mistake.scope, mistake.parameters, mistake.status); !strings.HasPrefix(got, mistake.detail) {
			t.Errorf("%s as %s: %s, want %s", mistake.parameters, mistake.scope, got, mistake.detail)
		}
	}
	a.problem(a.get("/api/v1/kpis/none/journal"), 404, "not-found")
	a.problem(a.get("/api/v1/kpis/none/journal?foo=1"), 404, "not-found")
	for _, def := range a.server.deps.Catalogue.All() {
		if def.Sensitive {
			a.problem(a.as(a.key(access.Viewer, "79", nil), "/api/v1/kpis/"+def.ID+"/journal?scope=national"), 403, "forbidden")
		}
	}

	first := a.get(path + "?" + day)
	again := a.request("GET", path+"?"+day)
	again.Header.Set("If-None-Match", first.Header.Get("ETag"))
	if got := a.do(again); got.StatusCode != http.StatusNotModified {
		t.Errorf("the second time got %d", got.StatusCode)
	}
	again = a.request("GET", path+"?"+day+"&province=79")
	again.Header.Set("If-None-Match", first.Header.Get("ETag"))
	if got := a.do(again); got.StatusCode != 200 {
		t.Errorf("a province's journal is the nation's: %d", got.StatusCode)
	}
	// Until now, which is later each time, the same entries are the same answer.
	open := a.get(path + "?from=" + on)
	again = a.request("GET", path+"?from="+on)
	again.Header.Set("If-None-Match", open.Header.Get("ETag"))
	if got := a.do(again); got.StatusCode != http.StatusNotModified {
		t.Errorf("until now, the second time got %d", got.StatusCode)
	}

	boards := newAPI(t, evaluator(nil), func(_ *Config, d *Deps) { d.ScreenKPIs = []string{"on_time_rate"} })
	screen := boards.key(access.Screen, "national", nil)
	eventually(t, "the screen's key", func() bool { return boards.as(screen, "/api/v1/me").StatusCode == 200 })
	boards.problem(boards.as(screen, path), 403, "forbidden")
	if got := boards.as(screen, "/api/v1/kpis/on_time_rate/journal"); got.StatusCode != 200 {
		t.Errorf("a screen's own KPI has the journal %d", got.StatusCode)
	}
}
