package query

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ioc.local/internal/access"
	"ioc.local/internal/reference"
	"ioc.local/internal/silence"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

// newFeeds is an API on a real engine with the quality of a few feeds in the present hour and the one two days ago.
func newFeeds(t *testing.T) *api {
	t.Helper()
	db := enginetest.Start(t)
	if err := warehouse.Migrate(t.Context(), db.Client); err != nil {
		t.Fatal(err)
	}
	insert := `INSERT INTO feed_quality (hour, source, province, province63, type, sensitive, age_seconds, accepted, rejected, personal, duplicates, fields_expected, fields_present, late, future) VALUES `
	now, before := time.Now().Truncate(time.Hour).Unix(), time.Now().AddDate(0, 0, -2).Truncate(time.Hour).Unix()
	for _, row := range []string{
		fmt.Sprintf("(%d, '/npsp/H26', '01', '01', 'dossier.status', 0, 2, 90, 0, 0, 0, 450, 440, 0, 0)", now),
		fmt.Sprintf("(%d, '/npsp/H26', '01', '01', 'dossier.status', 0, 98304, 9, 0, 0, 0, 45, 45, 9, 0)", now),
		fmt.Sprintf("(%d, '/npsp/H26', '01', '01', 'dossier.status', 0, 163840, 1, 0, 0, 0, 5, 5, 1, 1)", now),
		fmt.Sprintf("(%d, '/npsp/H26', '01', '01', 'dossier.status', 0, 0, 0, 20, 5, 0, 0, 0, 0, 0)", now),
		fmt.Sprintf("(%d, '/npsp/H26', '01', '01', 'dossier.status', 0, 0, 0, 0, 0, 5, 0, 0, 0, 0)", now),
		fmt.Sprintf("(%d, '/npsp/H26', '01', '01', 'dossier.status', 1, 2, 1000, 0, 0, 0, 5000, 0, 0, 0)", now), // sensitive
		fmt.Sprintf("(%d, '/vneid/G01', '79', '74', 'eid.account', 0, 1, 7, 0, 0, 0, 14, 14, 0, 0)", now),
		fmt.Sprintf("(%d, '/vneid/G01', '79', 'gso34:79', 'eid.account', 0, 1, 3, 0, 0, 0, 6, 6, 0, 0)", now),
		fmt.Sprintf("(%d, '', '', '', '', 0, 0, 0, 4, 2, 0, 0, 0, 0, 0)", now),
		fmt.Sprintf("(%d, '/npsp/H26', '01', '01', 'dossier.status', 0, 2, 100, 0, 0, 0, 500, 500, 0, 0)", before),
	} {
		if err := db.Client.Conn().Exec(t.Context(), insert+row); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Client.Conn().Exec(t.Context(), "INSERT INTO feed_quality (topic, partition, position) VALUES ('t', 1, 1000)"); err != nil {
		t.Fatal(err)
	}
	registry := filepath.Join(t.TempDir(), "sources.csv")
	if err := os.WriteFile(registry, []byte("source,types,provinces,expected_seconds\n/npsp/H26,*,01,60\n/ldop/H29,*,79,60\n/popdb/G01,*,*,60\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	facts, err := reference.Load(reference.Options{SourcesFile: registry})
	if err != nil {
		t.Fatal(err)
	}
	since := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	a := newAPI(t, nil, func(c *Config, d *Deps) {
		c.RateBurst, d.Warehouse, d.Reference = 100_000, db.Client.Conn(), facts
		d.Silent = func() []silence.Source {
			return []silence.Source{{Name: "/ldop/H29", Since: since}, {Name: "/popdb/G01", Since: since}}
		}
	})
	t.Cleanup(a.stop)
	return a
}

// feedsOf asks and gives the feeds in one line each.
func feedsOf(t *testing.T, r response) []string {
	t.Helper()
	if r.StatusCode != http.StatusOK {
		t.Fatalf("got %d %s", r.StatusCode, r.body)
	}
	var answer feedsAnswer
	if err := json.Unmarshal([]byte(r.body), &answer); err != nil {
		t.Fatal(err)
	}
	lines := []string{}
	for _, f := range answer.Feeds {
		line := "-"
		if f.Source != nil {
			line = *f.Source
		}
		if f.Province != nil {
			line += " in " + *f.Province
		}
		line += fmt.Sprintf(": %d", f.Records)
		for _, s := range []share{f.Dung, f.Du, f.Sach, f.Song.share} {
			line += fmt.Sprintf(", %d/%d", s.Numerator, s.Denominator)
			if (s.Percent == nil) != (s.Denominator == 0) || s.Percent != nil && *s.Percent != 100*float64(s.Numerator)/float64(s.Denominator) {
				t.Errorf("%s: %v per cent", line, s.Percent)
			}
		}
		if f.Song.P50 != nil {
			line += fmt.Sprintf(", %d s, %d s", *f.Song.P50, *f.Song.P99)
		}
		lines = append(lines, fmt.Sprintf("%s, %d late, %d ahead", line, f.Song.Late, f.Future))
	}
	return lines
}

func TestFeeds(t *testing.T) {
	a := newFeeds(t)
	const (
		unreadable = " in : 4, 0/4, 0/0, 2/4, 0/0, 0 late, 0 ahead"
		hanoi      = "/npsp/H26 in 01: 125, 105/125, 490/500, 115/125, 90/100, 2 s, 98304 s, 10 late, 1 ahead"
		city       = "/vneid/G01 in 79: 10, 10/10, 20/20, 10/10, 10/10, 1 s, 1 s, 0 late, 0 ahead"
	)
	from, to := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339)
	now := "from=" + from + "&to=" + to
	for _, c := range []struct {
		scope, parameters string
		want              []string
	}{
		{"national", now, []string{unreadable, hanoi, city}},
		{"national", now + "&by=source,province&province=79", []string{city}},
		{"national", now + "&source=/npsp/H26", []string{hanoi}},
		{"national", now + "&type=eid.account", []string{city}},
		{"national", now + "&by=source", []string{strings.Replace(unreadable, " in ", "", 1), strings.Replace(hanoi, " in 01", "", 1), strings.Replace(city, " in 79", "", 1)}},
		{"national", now + "&by=province&province=01", []string{strings.Replace(hanoi, "/npsp/H26", "-", 1)}},
		{"national", now + "&scheme=gso63&source=/vneid/G01", []string{
			"/vneid/G01 in 74: 7, 7/7, 14/14, 7/7, 7/7, 1 s, 1 s, 0 late, 0 ahead", "/vneid/G01 in gso34:79: 3, 3/3, 6/6, 3/3, 3/3, 1 s, 1 s, 0 late, 0 ahead"}},
		{"national", now + "&scheme=gso63&province=74", []string{"/vneid/G01 in 74: 7, 7/7, 14/14, 7/7, 7/7, 1 s, 1 s, 0 late, 0 ahead"}},
		{"national", "period=7d&province=01", []string{"/npsp/H26 in 01: 225, 205/225, 990/1000, 215/225, 190/200, 2 s, 98304 s, 10 late, 1 ahead"}},
		{"79", now, []string{city}},
		{"01", now + "&by=source", []string{strings.Replace(hanoi, " in 01", "", 1)}},
		{"01,79", now + "&province=79", []string{city}},
		{"79", now + "&scheme=gso63&province=74", []string{"/vneid/G01 in 74: 7, 7/7, 14/14, 7/7, 7/7, 1 s, 1 s, 0 late, 0 ahead"}},
		{"48", "period=all", []string{}},
	} {
		key := a.key(access.Viewer, c.scope, nil)
		if diff := cmp.Diff(c.want, feedsOf(t, a.as(key, "/api/v1/feeds?"+c.parameters))); diff != "" {
			t.Errorf("%s as %s (-want +got):\n%s", c.parameters, c.scope, diff)
		}
	}
	for scope, want := range map[string]string{
		"national": `"silent":[{"source":"/ldop/H29","since":"2026-11-21T15:00:00+07:00"},{"source":"/popdb/G01","since":"2026-11-21T15:00:00+07:00"}]`,
		"79":       `"silent":[{"source":"/ldop/H29","since":"2026-11-21T15:00:00+07:00"},{"source":"/popdb/G01","since":"2026-11-21T15:00:00+07:00"}]`,
		"01":       `"silent":[{"source":"/popdb/G01","since":"2026-11-21T15:00:00+07:00"}]`,
	} {
		r := a.as(a.key(access.Viewer, scope, nil), "/api/v1/feeds?"+now)
		if !strings.Contains(r.body, want) || !strings.Contains(r.body, `"dung":{"vi":"Đúng","en":"Valid"}`) {
			t.Errorf("as %s: %s lacks %s", scope, r.body, want)
		}
	}
	key := a.key(access.Viewer, "79", nil)
	for parameters, code := range map[string]int{"province=01": 403, "province=79,01": 403, "scheme=gso63&province=01": 403, "province=xx": 400, "scheme=iso": 400, "by=type": 400,
		"period=fortnight": 400, "from=2026-01-01": 400, "province=74": 400, "limit=3": 400, "province=79&province=01": 400} {
		kind := map[int]string{400: "parameter", 403: "forbidden"}[code]
		a.problem(a.as(key, "/api/v1/feeds?"+parameters), code, kind)
	}
	a.problem(a.as(a.key(access.Screen, "national", nil), "/api/v1/feeds"), 403, "forbidden")
	r := a.request("GET", "/api/v1/feeds?"+now)
	r.Header.Set("If-None-Match", a.get("/api/v1/feeds?"+now).Header.Get("ETag"))
	if again := a.do(r); again.StatusCode != http.StatusNotModified {
		t.Errorf("the second time got %d", again.StatusCode)
	}
}

func TestFeedsWithoutWarehouse(t *testing.T) {
	a := newAPI(t, nil, nil)
	a.problem(a.get("/api/v1/feeds"), 503, "unavailable")
	a.problem(a.get("/api/v1/feeds?x=1"), 400, "parameter")
}

// TestInventedFeeds: sources that somebody makes up in rejected records, however many, hide no real feed, and add up.
func TestInventedFeeds(t *testing.T) {
	db := enginetest.Start(t)
	if err := warehouse.Migrate(t.Context(), db.Client); err != nil {
		t.Fatal(err)
	}
	for _, rows := range []string{
		"SELECT toStartOfHour(now()), concat('/npsp/A', toString(number)), '', '', '', 0, 0, 0, 3 FROM numbers(12000)",
		"SELECT toStartOfHour(now()), '/vneid/G01', '79', '79', 'eid.account', 0, 2, 1, 0",
	} {
		if err := db.Client.Conn().Exec(t.Context(), "INSERT INTO feed_quality (hour, source, province, province63, type, sensitive, age_seconds, accepted, rejected) "+rows); err != nil {
			t.Fatal(err)
		}
	}
	a := newAPI(t, nil, func(c *Config, d *Deps) { c.RateBurst, d.Warehouse = 100_000, db.Client.Conn() })
	t.Cleanup(a.stop)
	now := "?from=" + time.Now().Add(-time.Minute).UTC().Format(time.RFC3339) + "&to=" + time.Now().UTC().Format(time.RFC3339)
	for _, by := range []string{"", "&by=source", "&by=province", "&scheme=gso63"} {
		feeds := feedsOf(t, a.get("/api/v1/feeds"+now+by))
		records, real, folded := 0, 0, 0
		for _, line := range feeds {
			var n int
			if _, err := fmt.Sscanf(line[strings.LastIndex(line, ": "):], ": %d,", &n); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			records += n
			if strings.HasPrefix(line, "/vneid/G01") {
				real++
			}
			if strings.HasPrefix(line, "* in :") || strings.HasPrefix(line, "*:") {
				folded += n
			}
		}
		if len(feeds) > maxFeeds || records != 36_001 || by != "&by=province" && (real != 1 || folded != 3*(12_001-(maxFeeds-maxPlaces))) {
			t.Errorf("%q: %d rows with %d records, %d real, %d folded", by, len(feeds), records, real, folded)
		}
	}
}
