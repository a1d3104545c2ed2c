package sql_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"ioc.local/internal/access"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/engine"
	"ioc.local/internal/warehouse/enginetest"
	"ioc.local/query/kpi"
	"ioc.local/query/sql"
)

// provinces are those of which the tests have rows; "" is rows without a province.
var provinces = []string{"01", "79", ""}

func TestMain(m *testing.M) {
	enginetest.Main(m, users(engine.DefaultLimits()))
}

func users(limits engine.Limits) engine.Users {
	u := engine.Users{
		Database: "ioc", Scopes: []engine.Scope{engine.NationalScope(), engine.ProvinceScope("01"), engine.ProvinceScope("79")}, Limits: limits,
	}
	for _, v := range warehouse.AnalystViews() {
		u.Objects = append(u.Objects, engine.Object{Name: v.Name, Province: v.Province, NationalRows: v.NationalRows, Sensitive: v.Sensitive})
	}
	return u
}

// country is the shared engine with the database ioc, in which every table that has a province has rows of each.
type country struct {
	*enginetest.DB
}

var shared struct {
	sync.Once
	db  *enginetest.DB
	err error
}

// start returns the country, made by the first test that asks.
func start(t testing.TB) *country {
	t.Helper()
	db := enginetest.Start(t)
	db.Database = "ioc"
	shared.Do(func() {
		if shared.err = db.Client.Conn().Exec(context.Background(), "CREATE DATABASE ioc"); shared.err != nil {
			return
		}
		admin := db.Open(t, engine.Credentials{Username: db.Engine.Username(), Password: db.Engine.Password()})
		if shared.err = warehouse.Migrate(context.Background(), admin); shared.err == nil {
			shared.err = fill(admin.Conn())
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	db.Client = db.Open(t, engine.Credentials{Username: db.Engine.Username(), Password: db.Engine.Password()})
	return &country{db}
}

// fill puts rows of every province into every table that has a province and is not filled by another, with the province's
// code in every text that has no meaning, so that a row seen by whom it is not for is known by any of its texts.
func fill(conn driver.Conn) error {
	ctx := context.Background()
	rows, err := conn.Query(ctx, `SELECT table, groupArray((name, type)) FROM system.columns
		WHERE database = 'ioc' AND table IN (SELECT name FROM system.tables WHERE database = 'ioc' AND engine LIKE '%MergeTree') AND default_kind = ''
		GROUP BY table HAVING has(groupArray(name), 'province') AND NOT endsWith(table, 'provinces') ORDER BY table`)
	if err != nil {
		return err
	}
	type column struct{ name, typ string }
	tables := map[string][]column{}
	for rows.Next() {
		var table string
		var columns [][]any
		if err := rows.Scan(&table, &columns); err != nil {
			return err
		}
		for _, c := range columns {
			tables[table] = append(tables[table], column{c[0].(string), c[1].(string)})
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	types := map[string][]string{
		"register_events": {"counter.report", "data.quality", "petition.status", "service.catalog", "task.status", "capability.status"},
		"eid_events":      {"eid.account", "wallet.document"},
	}
	for table, columns := range tables {
		for _, kind := range append(types[table], "") {
			if kind == "" && types[table] != nil {
				continue
			}
			var names, values []string
			for _, c := range columns {
				text := c.typ == "String" || c.typ == "LowCardinality(String)"
				value := ""
				switch {
				case c.name == "province" || c.name == "province63" || c.name == "province_code":
					value = "p"
				case c.name == "topic" && table == "feed_quality": // the rows with a topic are positions
					continue
				case c.name == "age_seconds" || c.name == "accepted" || c.name == "rejected":
					value = "n + 1"
				case c.name == "kpi": // each has values of the nation
					value = "'auth_transactions'"
				case c.name == "type" && kind != "":
					value = "'" + kind + "'"
				case c.name == "service_id":
					value = "'DA06-03'"
				case text:
					value = "concat('secret of ', p, ' ', toString(n % 3))"
				case c.typ == "Date":
					value = "toDate('2026-11-01') + n"
				case strings.HasPrefix(c.typ, "DateTime"):
					value = "toDateTime('2026-11-01 08:00:00', 'Asia/Ho_Chi_Minh') + n * 3600"
				case c.name == "offset" || c.name == "n" || c.name == "latency_ms" || c.name == "value":
					value = "n + 1"
				case c.name == "supplement_ms":
					value = "n * 86400000"
				case c.name == "supplements":
					value = "n % 3"
				case c.name == "auth_methods":
					value = "n + 1"
				default:
					continue
				}
				names, values = append(names, "`"+c.name+"`"), append(values, value)
			}
			err := conn.Exec(ctx, fmt.Sprintf("INSERT INTO ioc.%s (%s) SELECT %s FROM (SELECT arrayJoin(['01', '79', '']) AS p) AS a CROSS JOIN (SELECT number AS n FROM numbers(8)) AS b",
				table, strings.Join(names, ", "), strings.Join(values, ", ")))
			if err != nil {
				return fmt.Errorf("filling %s: %w", table, err)
			}
		}
	}
	for _, statement := range []string{
		"INSERT INTO ioc.provinces SELECT 'gso34', p, concat('Tỉnh ', p), concat('Province ', p), p FROM (SELECT arrayJoin(['01', '79']) AS p)",
		"INSERT INTO ioc.services SELECT 'DA06-03', 'Đăng ký thường trú', 'Residence', 'Bộ Công an'",
		"INSERT INTO ioc.savings_coefficients SELECT 'v1', 'DA06-03', '2022-01-01', '2149-06-06', 50000, 'example', 'example'",
		"INSERT INTO ioc.working_calendar SELECT toDate('2026-10-01') + number, toDayOfWeek(toDate('2026-10-01') + number) < 6, number FROM numbers(90)",
	} {
		if err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// as connects as the ClickHouse user of a scope.
func (c *country) as(t testing.TB, scope string) *warehouse.Client {
	t.Helper()
	credentials, err := c.Engine.ScopeCredentials(scope)
	if err != nil {
		t.Fatal(err)
	}
	return c.Open(t, credentials)
}

func (c *country) connection(scope string) (warehouse.ClientConfig, error) {
	credentials, err := c.Engine.ScopeCredentials(scope)
	if err != nil {
		return warehouse.ClientConfig{}, err
	}
	cfg := warehouse.DefaultClientConfig()
	cfg.Addr, cfg.Database = []string{c.Engine.Addr()}, "ioc"
	cfg.Username, cfg.Password = credentials.Username, credentials.Password
	return cfg, nil
}

// kpiValues lists a value for the nation and one for each province of the scope.
func kpiValues(_ context.Context, scope access.Scope) ([]kpi.PublishedValue, error) {
	var out []kpi.PublishedValue
	for _, p := range provinces {
		if !scope.Contains(p) && p != "" {
			continue
		}
		value, n := 0.25, int64(1)
		d := int64(4)
		out = append(out, kpi.PublishedValue{
			KPI: "on_time_rate", Province: p, Period: "month", Unit: "ratio", Value: &value, Numerator: &n, Denominator: &d, Status: "good",
			AsOf: kpi.Time{Time: time.Date(2026, 11, 21, 3, 4, 5, 678e6, time.UTC)}, Revision: "r-1", Coverage: kpi.Coverage{Reporting: 1, Expected: 2},
		})
	}
	return out, nil
}

// face is a Handler behind a real HTTP server.
type face struct {
	*country
	t      testing.TB
	server *httptest.Server

	mu      sync.Mutex
	records []sql.Record
	refuse  error // of the audit
}

// serve starts a Handler; the header Principal of a request names who asks, as principals has it.
func serve(t testing.TB, c *country, change func(*sql.Config, *sql.Deps)) *face {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	f := &face{country: c, t: t}
	cfg := sql.DefaultConfig()
	deps := sql.Deps{
		Logger: zaptest.NewLogger(t, zaptest.Level(zap.DPanicLevel)), Registry: prometheus.NewRegistry(), Connection: c.connection,
		Admin: c.Client.Conn(), KPIValues: kpiValues, Audit: f.audit,
	}
	if change != nil {
		change(&cfg, &deps)
	}
	h, err := sql.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	f.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := principals[r.Header.Get("Principal")]; ok {
			r = r.WithContext(access.With(r.Context(), p))
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		f.server.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		goleak.VerifyNone(t, leaks)
	})
	return f
}

var principals = map[string]access.Principal{
	"national": {Name: "national", Role: access.Analyst, Scope: access.Scope{National: true}},
	"79":       {Name: "of 79", Role: access.Analyst, Scope: access.Scope{Provinces: []string{"79"}}, Token: "t79"},
	"01":       {Name: "of 01", Role: access.Operator, Scope: access.Scope{Provinces: []string{"01"}}},
	"both":     {Name: "of both", Role: access.Analyst, Scope: access.Scope{Provinces: []string{"01", "79"}}},
	"none":     {Name: "of none", Role: access.Analyst},
	"viewer":   {Name: "viewer", Role: access.Viewer, Scope: access.Scope{National: true}},
}

func (f *face) audit(_ context.Context, r sql.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records = append(f.records, r)
	return f.refuse
}

// audited are the records so far.
func (f *face) audited() []sql.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.records)
}

// reply is what a client got.
type reply struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
	err     error // of reading the body
}

// problem is a problem document.
type problem struct {
	Type, Title, Detail, Instance, Parameter, Reason, Limit string
	Status, Line, Column                                    int
	Code                                                    int32
}

func (r reply) problem(t testing.TB) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(r.body), &p); err != nil {
		t.Fatalf("%s is no problem: %v", r.body, err)
	}
	p.Type = strings.TrimPrefix(p.Type, "urn:ioc:problem:")
	return p
}

// ask sends a statement as plain text.
func (f *face) ask(principal, address, statement string) reply {
	f.t.Helper()
	return f.send(principal, address, "text/plain; charset=utf-8", "", statement)
}

func (f *face) send(principal, address, contentType, accept, body string) reply {
	f.t.Helper()
	request, err := http.NewRequest(http.MethodPost, f.server.URL+"/api/v1/sql"+address, bytes.NewReader([]byte(body)))
	if err != nil {
		f.t.Fatal(err)
	}
	request.Header.Set("Principal", principal)
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	response, err := f.server.Client().Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return reply{status: response.StatusCode, header: response.Header, trailer: response.Trailer, body: string(content), err: err}
}

// lines are those of a file that are neither empty nor comments.
func lines(t testing.TB, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "--") {
			out = append(out, line)
		}
	}
	return out
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}
