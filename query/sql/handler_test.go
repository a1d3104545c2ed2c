package sql_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"ioc.local/internal/warehouse"
	"ioc.local/query/sql"
)

func TestFormats(t *testing.T) {
	f := serve(t, start(t), nil)
	const statement = "SELECT number AS n, if(number = 1, NULL, concat('a\"b,', toString(number))) AS s, number / 2 AS x FROM numbers(3) ORDER BY n"

	r := f.ask("79", "", statement)
	var answer struct {
		Scope      string
		Columns    []struct{ Name, Type string }
		Rows       [][]any
		Row_count  int
		Elapsed_ms *int
		Complete   bool
	}
	if err := json.Unmarshal([]byte(r.body), &answer); err != nil || r.status != 200 {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	if diff := cmp.Diff([][]any{{"0", "a\"b,0", 0.0}, {"1", nil, 0.5}, {"2", "a\"b,2", 1.0}}, answer.Rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if answer.Scope != "79" || answer.Row_count != 3 || !answer.Complete || answer.Elapsed_ms == nil || len(answer.Columns) != 3 ||
		answer.Columns[1].Name != "s" || answer.Columns[1].Type != "Nullable(String)" {
		t.Errorf("answer is %+v", answer)
	}
	if got := r.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type is %s", got)
	}
	if r.trailer.Get("X-Ioc-Complete") != "true" || r.header.Get("X-Ioc-Scope") != "79" {
		t.Errorf("trailer %v, header %v", r.trailer, r.header)
	}

	r = f.send("79", "", "", "application/x-ndjson", statement)
	lines := strings.Split(strings.TrimSpace(r.body), "\n")
	if want := `{"n":"1","s":null,"x":0.5}`; len(lines) != 4 || lines[1] != want {
		t.Errorf("lines are %q, the second should be %s", lines, want)
	}
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, `{"complete":true,"rows":3,`) {
		t.Errorf("last line is %s", last)
	}
	if r.trailer.Get("X-Ioc-Complete") != "true" {
		t.Errorf("trailer is %v", r.trailer)
	}

	r = f.send("79", "?format=csv", "", "application/json", statement)
	if want := "n,s,x\r\n0,\"a\"\"b,0\",0\r\n1,,0.5\r\n2,\"a\"\"b,2\",1\r\n"; r.body != want {
		t.Errorf("CSV is %q, want %q", r.body, want)
	}
	if _, err := csv.NewReader(strings.NewReader(r.body)).ReadAll(); err != nil {
		t.Error(err)
	}
	if r.trailer.Get("X-Ioc-Complete") != "true" {
		t.Errorf("trailer is %v", r.trailer)
	}
	if r := f.ask("79", "?format=csv", "SELECT '' AS a, '=1+1' AS b WHERE 1"); r.body != "a,b\r\n\"\",=1+1\r\n" {
		t.Errorf("CSV is %q", r.body)
	}
	if r := f.ask("79", "", "SELECT 1 AS a WHERE 0"); !strings.Contains(r.body, `"rows":[`) || !strings.Contains(r.body, `"row_count":0`) || !json.Valid([]byte(r.body)) {
		t.Errorf("empty answer is %s", r.body)
	}
	if r := f.ask("79", "?format=csv", "SELECT 1 AS a WHERE 0"); r.body != "a\r\n" {
		t.Errorf("empty CSV is %q", r.body)
	}
}

func TestTotals(t *testing.T) {
	f := serve(t, start(t), nil)
	const statement = "SELECT number % 2 AS k, count() AS n FROM numbers(5) GROUP BY k WITH TOTALS ORDER BY k"
	if r := f.ask("79", "", statement); !strings.Contains(r.body, `"totals":[0,"5"]`) || !json.Valid([]byte(r.body)) {
		t.Errorf("answer is %s", r.body)
	}
	if r := f.ask("79", "?format=ndjson", statement); !strings.Contains(r.body, `"totals":{"k":0,"n":"5"}}`) {
		t.Errorf("answer is %s", r.body)
	}
	if r := f.ask("79", "?format=csv", statement); r.status != 400 || r.problem(t).Parameter != "format" {
		t.Errorf("CSV of totals: %d %s", r.status, r.body)
	}
}

// TestValuesAreExact asks for a value of every type.
func TestValuesAreExact(t *testing.T) {
	f := serve(t, start(t), nil)
	check := func(expression, want, wantCSV string) {
		t.Helper()
		r := f.ask("79", "", "SELECT "+expression+" AS v")
		var answer struct{ Rows [][]json.RawMessage }
		if err := json.Unmarshal([]byte(r.body), &answer); err != nil || r.status != 200 || len(answer.Rows) != 1 {
			t.Errorf("%s: %d %s %v", expression, r.status, r.body, err)
			return
		}
		if got := string(answer.Rows[0][0]); got != want {
			t.Errorf("%s is %s, want %s", expression, got, want)
		}
		if r := f.ask("79", "?format=csv", "SELECT "+expression+" AS v"); r.body != "v\r\n"+wantCSV+"\r\n" {
			t.Errorf("%s in CSV is %q, want %q", expression, r.body, wantCSV)
		}
	}
	check("toUInt64(18446744073709551615)", `"18446744073709551615"`, "18446744073709551615")
	check("toInt64(-9223372036854775808)", `"-9223372036854775808"`, "-9223372036854775808")
	check("toUInt32(4294967295)", `4294967295`, "4294967295")
	check("toInt8(-128)", `-128`, "-128")
	check("toInt128('170141183460469231731687303715884105727')", `"170141183460469231731687303715884105727"`, "170141183460469231731687303715884105727")
	check("toUInt256(5)", `"5"`, "5")
	check("toNullable(toUInt64(7))", `"7"`, "7")
	check("NULL", `null`, "")
	check("CAST(NULL AS Nullable(Float64))", `null`, "")
	check("0.1 + 0.2", `0.30000000000000004`, "0.30000000000000004")
	check("toFloat32(0.1)", `0.1`, "0.1")
	check("1e300", `1e+300`, "1e+300")
	check("21 / 46", `0.45652173913043476`, "0.45652173913043476")
	check("nan", `null`, "null")
	check("1 / 0", `null`, "null")
	check("toDecimal64('12.50', 4)", `"12.5000"`, "12.5000")
	check("toDecimal128('-12345678901234567890.123', 3)", `"-12345678901234567890.123"`, "-12345678901234567890.123")
	check("true", `true`, "true")
	check("'Hà Nội <&> \"x\" \\\\ \\n'", `"Hà Nội <&> \"x\" \\ \n"`, "\"Hà Nội <&> \"\"x\"\" \\ \n\"")
	check("unhex('ff41')", `"\ufffdA"`, "\xffA")
	check("toFixedString('ab', 2)", `"ab"`, "ab")
	check("toLowCardinality('x')", `"x"`, "x")
	check("CAST('b' AS Enum8('a' = 1, 'b' = 2))", `"b"`, "b")
	check("toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')", `"61f0c404-5cb3-11e7-907b-a6006ad3dba0"`, "61f0c404-5cb3-11e7-907b-a6006ad3dba0")
	check("toDate('2026-11-21')", `"2026-11-21"`, "2026-11-21")
	check("toDate32('1900-01-01')", `"1900-01-01"`, "1900-01-01")
	check("toDateTime('2026-11-21 10:42:17')", `"2026-11-21T10:42:17+07:00"`, "2026-11-21T10:42:17+07:00")
	check("toDateTime('2026-11-21 10:42:17', 'UTC')", `"2026-11-21T10:42:17Z"`, "2026-11-21T10:42:17Z")
	check("toDateTime64('2026-11-21 10:42:17.120', 3, 'Asia/Ho_Chi_Minh')", `"2026-11-21T10:42:17.120+07:00"`, "2026-11-21T10:42:17.120+07:00")
	check("toDateTime64('2261-12-31 00:00:00', 0)", `"2261-12-31T00:00:00+07:00"`, "2261-12-31T00:00:00+07:00")
	check("[toUInt64(1), 2]", `["1","2"]`, `"[""1"",""2""]"`)
	check("[[1], []]", `[[1],[]]`, `"[[1],[]]"`)
	check("[1, NULL]", `[1,null]`, `"[1,null]"`)
	check("(1, 'x', NULL)", `[1,"x",null]`, `"[1,""x"",null]"`)
	check("CAST((1, 'x') AS Tuple(b UInt8, a Nullable(String)))", `{"b":1,"a":"x"}`, `"{""b"":1,""a"":""x""}"`)
	check("[(toDate('2026-01-01'), 1.5)]", `[["2026-01-01",1.5]]`, `"[[""2026-01-01"",1.5]]"`)
	check("map('b', [1], 'a', [2, 3])", `{"a":[2,3],"b":[1]}`, `"{""a"":[2,3],""b"":[1]}"`)
	check("map(toUInt64(3), NULL)", `{"3":null}`, `"{""3"":null}"`)
	check("INTERVAL 3 DAY", `"3 Days"`, "3 Days")
	check("(SELECT max(accepted_at) FROM dossiers)", `"2026-11-01T15:00:00.000+07:00"`, "2026-11-01T15:00:00.000+07:00")
	check("(SELECT any(service_level) FROM dossiers)", `"unknown"`, "unknown")
}

func TestParameters(t *testing.T) {
	f := serve(t, start(t), nil)
	one := func(r reply) string {
		t.Helper()
		var answer struct{ Rows [][]json.RawMessage }
		if err := json.Unmarshal([]byte(r.body), &answer); err != nil || len(answer.Rows) != 1 {
			t.Fatalf("%d %s: %v", r.status, r.body, err)
		}
		return string(answer.Rows[0][0])
	}
	ask := func(typ, value string) string {
		t.Helper()
		body, err := json.Marshal(map[string]any{"query": "SELECT {p:" + typ + "} AS v", "params": map[string]any{"p": json.RawMessage(value)}})
		if err != nil {
			t.Fatal(err)
		}
		return one(f.send("79", "", "application/json", "", string(body)))
	}
	for _, c := range []struct{ typ, value, want string }{
		{"String", `"it's \\n \t \n Hà"`, `"it's \\n \t \n Hà"`},
		{"String", `"'); DROP TABLE x --"`, `"'); DROP TABLE x --"`},
		{"UInt8", `7`, `7`}, {"UInt8", `"7"`, `7`}, {"Int64", `-9223372036854775808`, `"-9223372036854775808"`},
		{"Float64", `1.5`, `1.5`}, {"Bool", `true`, `true`}, {"Date", `"2026-01-02"`, `"2026-01-02"`},
		{"Nullable(String)", `null`, `null`}, {"Array(String)", `["a","it's \\ \n"]`, `["a","it's \\ \n"]`},
		{"Array(UInt8)", `"[1,2]"`, `[1,2]`}, {"Array(Array(UInt8))", `[[1],[2,3]]`, `[[1],[2,3]]`}, {"Array(Nullable(UInt8))", `[1,null]`, `[1,null]`},
		{"Tuple(UInt8, String)", `[1,"x"]`, `[1,"x"]`}, {"Array(String)", `[]`, `[]`},
	} {
		if got := ask(c.typ, c.value); got != c.want {
			t.Errorf("{p:%s} of %s is %s, want %s", c.typ, c.value, got, c.want)
		}
	}
	if got := one(f.ask("79", "?param_p=%27%5C%09x", "SELECT {p:String}")); got != `"'\\\tx"` {
		t.Errorf("from the address: %s", got)
	}
	if got := one(f.ask("79", "?param_p=%5B%27a%27%5D", "SELECT 'a' IN {p:Array(String)}")); got != "1" {
		t.Errorf("IN a parameter: %s", got)
	}
	if got := one(f.ask("79", "?param_n=2", "SELECT count() FROM (SELECT 1 FROM numbers(5) LIMIT {n:UInt64})")); got != `"2"` {
		t.Errorf("LIMIT of a parameter: %s", got)
	}
	for _, c := range []struct{ body, part string }{
		{`{"query": "SELECT {p:UInt8}"}`, "has no value"},
		{`{"query": "SELECT 1", "params": {"p": 1}}`, "is not in the statement"},
		{`{"query": "SELECT {p:UInt8}", "params": {"p": [1]}}`, "an array cannot be of type UInt8"},
		{`{"query": "SELECT {p:UInt8}", "params": {"p": {"a": 1}}}`, "is an object"},
		{`{"query": "SELECT {p:UInt8}", "params": {"p-q": 1}}`, "is not a name"},
		{`{"query": "SELECT 1", "settings": {}}`, "unknown field"},
		{`{"params": {}}`, "no member query"},
		{`{"query": "SELECT 1"} x`, "something follows"},
		{`{"query": "SELECT {p:UInt8}", "params": {"p": "x"}}`, "Value x cannot be parsed as UInt8"},
	} {
		if r := f.send("79", "", "application/json", "", c.body); r.status != 400 || !strings.Contains(r.body, c.part) {
			t.Errorf("%s: %d %s, want …%s…", c.body, r.status, r.body, c.part)
		}
	}
}

func TestProblems(t *testing.T) {
	f := serve(t, start(t), nil)
	check := func(r reply, status int, typ, part string) {
		t.Helper()
		p := r.problem(t)
		if r.status != status || p.Status != status || p.Type != typ || !strings.Contains(p.Detail, part) || !strings.HasPrefix(p.Instance, "urn:ioc:request:") ||
			r.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%d %+v, want %d %s …%s…", r.status, p, status, typ, part)
		}
		for _, leak := range []string{"_cte_", "DB::", "127.0.0.1", "scope SELECT", "version"} {
			if strings.Contains(r.body, leak) {
				t.Errorf("%s tells %q", r.body, leak)
			}
		}
	}
	check(f.ask("nobody", "", "SELECT 1"), 403, "forbidden", "role analyst")
	check(f.ask("viewer", "", "SELECT 1"), 403, "forbidden", "role analyst")
	check(f.ask("79", "", "SELECT\n 1 +"), 400, "sql-refused", "line 2, column 5")
	check(f.ask("79", "", "SELECT * FROM dossier_state"), 400, "sql-refused", "no table dossier_state")
	check(f.ask("79", "", "SELECT provnce FROM dossiers"), 400, "sql-failed", "Maybe you meant: ['province'")
	check(f.ask("79", "", "WITH x AS (SELECT 1 AS a) SELECT x.b FROM x"), 400, "sql-failed", "x.b")
	check(f.ask("79", "", "SELECT 1 + 'a'"), 400, "sql-failed", "")
	check(f.ask("79", "", "SELECT toUInt8(source) FROM authentications"), 400, "sql-failed", "OrNull")
	check(f.ask("79", "", "SELECT province, count() FROM dossiers"), 400, "sql-failed", "province")
	check(f.ask("79", "", "SELECT intDiv(1, number) FROM numbers(3)"), 400, "sql-failed", "nullIf")
	check(f.ask("79", "?format=xml", "SELECT 1"), 400, "parameter", "format must be json")
	check(f.ask("79", "?database=x", "SELECT 1"), 400, "parameter", "database is unknown")
	check(f.ask("79", "?max_threads=1", "SELECT 1"), 400, "parameter", "max_threads is unknown")
	check(f.ask("79", "?scope=79&scope=01", "SELECT 1"), 400, "parameter", "given 2 times")
	check(f.send("79", "", "text/plain", "image/png", "SELECT 1"), 406, "not-acceptable", "text/csv")
	check(f.send("79", "", "application/xml", "", "SELECT 1"), 415, "media-type", "application/json")
	check(f.send("79", "", "text/plain; charset=latin1", "", "SELECT 1"), 415, "media-type", "UTF-8")
	check(f.ask("79", "", strings.Repeat(" ", 300<<10)), 413, "too-large", "262144")
	check(f.ask("79", "", strings.Repeat(" ", 100<<10)), 400, "sql-refused", "at most 65536")
	check(f.ask("79", "?format=ndjson", "SELECT number AS a, a FROM numbers(1)"), 400, "sql-failed", "two columns are called a")
	check(f.ask("79", "", "SELECT length(groupArray(number)) FROM numbers(300000000)"), 422, "sql-limit", "memory")
	check(f.ask("79", "", "SELECT count() FROM numbers(2000000000)"), 422, "sql-limit", "too many rows")
	if r := f.ask("79", "", "SELECT number FROM numbers(1000001)"); !strings.Contains(r.body[len(r.body)-500:], `"complete":false,"error":{"type":"urn:ioc:problem:sql-limit"`) {
		t.Errorf("an answer that is too large ends with %s", r.body[len(r.body)-500:])
	}
	if p := f.ask("79", "", "SELECT\n 'ầ', file('/etc/passwd')").problem(t); p.Line != 2 || p.Column != 7 || p.Reason != "function" {
		t.Errorf("place is %d:%d, reason %s", p.Line, p.Column, p.Reason)
	}
}

func TestScopes(t *testing.T) {
	f := serve(t, start(t), nil)
	count := func(principal, address, want string) {
		t.Helper()
		r := f.ask(principal, address, "SELECT groupUniqArray(province) AS p FROM dossiers")
		if r.status != 200 {
			t.Errorf("%s %s: %d %s", principal, address, r.status, r.body)
			return
		}
		var answer struct{ Rows [][][]string }
		if err := json.Unmarshal([]byte(r.body), &answer); err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, p := range answer.Rows[0][0] {
			got[p] = true
		}
		for _, p := range provinces {
			if got[p] != strings.Contains(want, "<"+p+">") {
				t.Errorf("%s %s sees %q, want %s", principal, address, answer.Rows[0][0], want)
			}
		}
	}
	count("national", "", "<01><79><>")
	count("national", "?scope=national", "<01><79><>")
	count("national", "?scope=79", "<79>")
	count("79", "", "<79>")
	count("79", "?scope=79", "<79>")
	count("01", "", "<01>")
	count("both", "?scope=01", "<01>")
	count("both", "?scope=79", "<79>")
	refuse := func(principal, address string, status int, typ string) {
		t.Helper()
		r := f.ask(principal, address, "SELECT 1")
		if p := r.problem(t); p.Status != status || p.Type != typ {
			t.Errorf("%s %s: %+v, want %d %s", principal, address, p, status, typ)
		}
	}
	refuse("both", "", 400, "parameter")
	refuse("both", "?scope=01,79", 400, "parameter")
	refuse("both", "?scope=national", 403, "forbidden")
	refuse("79", "?scope=01", 403, "forbidden")
	refuse("79", "?scope=national", 403, "forbidden")
	refuse("79", "?scope=", 400, "parameter")
	refuse("79", "?scope=79'", 400, "parameter")
	refuse("none", "", 403, "forbidden")
}

func TestKPIValues(t *testing.T) {
	f := serve(t, start(t), nil)
	check := func(principal, statement, want string) {
		t.Helper()
		r := f.ask(principal, "?format=csv", statement)
		if r.body != want {
			t.Errorf("%s: %s\nis %q, want %q", principal, statement, r.body, want)
		}
	}
	check("79", "SELECT * FROM kpi_values WHERE province = '79'",
		"kpi,province,period,unit,value,numerator,denominator,status,as_of,revision,reporting,expected,baseline,baseline_as_of,official,official_as_of,official_source,official_qualifier,illustrative,suppressed\r\n"+
			"on_time_rate,79,month,ratio,0.25,1,4,good,2026-11-21T10:04:05.678+07:00,r-1,1,2,,,,,\"\",\"\",false,false\r\n")
	check("79", "SELECT province FROM ioc.kpi_values ORDER BY province", "province\r\n\"\"\r\n79\r\n")
	check("national", "SELECT province FROM kpi_values ORDER BY province", "province\r\n\"\"\r\n01\r\n79\r\n")
	// Joined with facts, twice, in a subquery and beside a query of the same name.
	check("79", "SELECT k.province, k.value, d.n FROM kpi_values AS k JOIN (SELECT province, count() AS n FROM dossiers GROUP BY province) AS d USING (province) WHERE kpi IN (SELECT kpi FROM kpi_values)",
		"province,value,n\r\n79,0.25,8\r\n")
	check("79", "WITH kpi_values AS (SELECT province FROM kpi_values WHERE province != '') SELECT * FROM kpi_values", "province\r\n79\r\n")
}

func TestEveryStatementIsAudited(t *testing.T) {
	f := serve(t, start(t), nil)
	f.ask("79", "?param_p=x", "SELECT {p:String} FROM numbers(3) -- mine")
	f.ask("79", "", "SELECT file('x')")
	f.ask("79", "", "SELECT nothing FROM dossiers")
	f.ask("both", "", "SELECT 1")
	type short struct {
		Phase                                     sql.Phase
		Who, Scope, Text, SQL, Param, Outcome     string
		Rows                                      uint64
		HasRequest, HasRemote, HasDetail, Elapsed bool
	}
	var got []short
	for _, r := range f.audited() {
		got = append(got, short{r.Phase, r.Principal.Name, r.Scope, r.Text, r.SQL, r.Params["p"], r.Outcome, r.Rows, r.Request != "", r.Remote != "", r.Detail != "", r.Elapsed > 0})
	}
	want := []short{
		{sql.Started, "of 79", "79", "SELECT {p:String} FROM numbers(3) -- mine", "SELECT {p:String} FROM numbers(3)", "x", "", 0, true, true, false, false},
		{sql.Ended, "of 79", "79", "SELECT {p:String} FROM numbers(3) -- mine", "SELECT {p:String} FROM numbers(3)", "x", "ok", 3, true, true, false, true},
		{sql.Refused, "of 79", "79", "SELECT file('x')", "", "", "sql-refused", 0, true, true, true, true},
		{sql.Started, "of 79", "79", "SELECT nothing FROM dossiers", "SELECT `nothing` FROM `ioc`.`dossiers`", "", "", 0, true, true, false, false},
		{sql.Ended, "of 79", "79", "SELECT nothing FROM dossiers", "SELECT `nothing` FROM `ioc`.`dossiers`", "", "sql-failed", 0, true, true, true, true},
		{sql.Refused, "of both", "", "SELECT 1", "", "", "parameter", 0, true, true, true, true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	f.mu.Lock()
	f.refuse = errors.New("the disk is full")
	f.mu.Unlock()
	if r := f.ask("79", "", "SELECT 1"); r.status != 500 || strings.Contains(r.body, "disk") {
		t.Errorf("a statement that cannot be audited: %d %s", r.status, r.body)
	}
}

// slow is a statement that runs for many seconds and gives rows all the time.
const slow = "SELECT number FROM numbers(900000000) WHERE sipHash128(repeat(toString(number), 200)) != toFixedString('0', 16) AND number % 10 = 0"

// silent is one that gives none.
const silent = "SELECT count() FROM numbers(900000000) WHERE sipHash128(repeat(toString(number), 200)) = toFixedString('0', 16)"

// TestCancelledStatementsEnd drops clients in the middle of 20 answers, at various moments. ClickHouse must be rid of the
// queries soon, and must be the same process.
func TestCancelledStatementsEnd(t *testing.T) {
	c := start(t)
	f := serve(t, c, func(cfg *sql.Config, _ *sql.Deps) { cfg.MaxConcurrent, cfg.MaxPerPrincipal = 8, 8 })
	pid := c.Engine.PID()
	phases := func() map[sql.Phase]int {
		out := map[sql.Phase]int{}
		for _, r := range f.audited() {
			out[r.Phase]++
		}
		return out
	}
	for round := range 5 {
		var clients sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 4 {
			clients.Go(func() {
				statement := slow
				if i%2 == 0 {
					statement = silent
				}
				request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.server.URL+"?format=ndjson", strings.NewReader(statement))
				if err != nil {
					t.Error(err)
					return
				}
				request.Header.Set("Principal", "national")
				response, err := f.server.Client().Do(request)
				if err != nil {
					return
				}
				defer response.Body.Close()
				_, _ = response.Body.Read(make([]byte, 1<<10)) // a slow reader: most is still to come when it leaves
				<-ctx.Done()
			})
		}
		eventually(t, "the statements of this round run", func() bool { return phases()[sql.Started] == 4*(round+1) })
		time.Sleep(time.Duration(round*round) * 30 * time.Millisecond) // another moment in each round
		cancel()
		clients.Wait()
		eventually(t, "every statement is recorded as ended", func() bool { return phases()[sql.Ended] == 4*(round+1) })
	}
	eventually(t, "no query of an analyst runs", func() bool {
		var n uint64
		err := c.Client.Conn().QueryRow(t.Context(), "SELECT count() FROM system.processes WHERE query_id LIKE 'ioc-sql-%'").Scan(&n)
		return err == nil && n == 0
	})
	for _, r := range f.audited() {
		if r.Phase == sql.Refused || r.Phase == sql.Ended && r.Outcome != "gone" {
			t.Errorf("%s: outcome is %s: %s", r.Phase, r.Outcome, r.Detail)
		}
	}
	if now := c.Engine.PID(); now != pid {
		t.Errorf("the engine was restarted: process %d was %d", now, pid)
	}
	if r := f.ask("national", "", "SELECT count() FROM dossiers"); r.status != 200 {
		t.Errorf("afterwards: %d %s", r.status, r.body)
	}
}

// TestBrokenAnswersSaySo lets statements run into their time after the answer has begun.
func TestBrokenAnswersSaySo(t *testing.T) {
	f := serve(t, start(t), func(cfg *sql.Config, _ *sql.Deps) { cfg.Timeout = 3 * time.Second })
	r := f.ask("79", "", slow)
	var answer struct {
		Complete *bool
		Error    problem
	}
	if err := json.Unmarshal([]byte(r.body), &answer); err != nil {
		t.Fatalf("…%s: %v", r.body[max(0, len(r.body)-500):], err)
	}
	if answer.Complete == nil || *answer.Complete || answer.Error.Limit != "time" || r.trailer.Get("X-Ioc-Complete") != "false" {
		t.Errorf("ends with %v %+v, trailer %v", answer.Complete, answer.Error, r.trailer)
	}
	r = f.ask("79", "?format=ndjson", slow)
	body := strings.TrimSpace(r.body)
	if last := body[strings.LastIndexByte(body, '\n')+1:]; !strings.HasPrefix(last, `{"complete":false,"error":{"type":"urn:ioc:problem:sql-limit"`) || r.trailer.Get("X-Ioc-Complete") != "false" {
		t.Errorf("the last line is %s, trailer %v", last, r.trailer)
	}
	if r := f.ask("79", "?format=csv", slow); r.err == nil || r.trailer.Get("X-Ioc-Complete") == "true" {
		t.Errorf("a broken CSV was read to its end; trailer %v", r.trailer)
	}
	// Before the answer has begun there is a problem and nothing else.
	if r := f.ask("79", "", silent); r.status != 422 || r.problem(t).Limit != "time" {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	f := serve(t, start(t), func(cfg *sql.Config, _ *sql.Deps) {
		cfg.MaxConcurrent, cfg.MaxPerPrincipal, cfg.Timeout = 3, 2, 20*time.Second
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running sync.WaitGroup
	begin := func(principal string) {
		running.Go(func() {
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.server.URL, strings.NewReader(silent))
			if err != nil {
				t.Error(err)
				return
			}
			request.Header.Set("Principal", principal)
			if response, err := f.server.Client().Do(request); err == nil {
				response.Body.Close()
			}
		})
	}
	started := func(n int) func() bool {
		return func() bool {
			count := 0
			for _, r := range f.audited() {
				if r.Phase == sql.Started {
					count++
				}
			}
			return count >= n
		}
	}
	begin("79")
	begin("79")
	eventually(t, "two statements run", started(2))
	if r := f.ask("79", "", "SELECT 1"); r.status != 429 || r.header.Get("Retry-After") == "" || r.problem(t).Type != "quota" {
		t.Errorf("a third of one principal: %d %s", r.status, r.body)
	}
	if r := f.ask("01", "", "SELECT 1"); r.status != 200 {
		t.Errorf("another principal's: %d %s", r.status, r.body)
	}
	begin("01")
	eventually(t, "three statements run", started(4))
	if r := f.ask("national", "", "SELECT 1"); r.status != 503 || r.header.Get("Retry-After") == "" || r.problem(t).Type != "busy" {
		t.Errorf("a fourth: %d %s", r.status, r.body)
	}
	cancel()
	running.Wait()
	eventually(t, "there is room again", func() bool { return f.ask("79", "", "SELECT 1").status == 200 })
}

// TestAnswersAreStreamed reads the beginning of a large answer and stops: the rest must not pile up in the server.
func TestAnswersAreStreamed(t *testing.T) {
	f := serve(t, start(t), nil)
	if r := f.ask("national", "?format=ndjson", "SELECT number, repeat('x', 100) AS s FROM numbers(300000)"); strings.Count(r.body, "\n") != 300001 || r.trailer.Get("X-Ioc-Complete") != "true" {
		t.Errorf("%d lines, trailer %v", strings.Count(r.body, "\n"), r.trailer)
	}
	request, err := http.NewRequest(http.MethodPost, f.server.URL+"?format=ndjson", strings.NewReader("SELECT number, repeat('x', 250) AS s FROM numbers(1000000)"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Principal", "national")
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	response, err := f.server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.CopyN(io.Discard, response.Body, 1<<20); err != nil {
		t.Fatal(err)
	}
	// The answer is 260 MB; the driver's blocks are 16 MB each, and a few of them wait.
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); {
		if grown := heap() - before; grown > 150<<20 {
			t.Fatalf("the server holds %d MB more", grown>>20)
		}
	}
}

func TestWarehouseAway(t *testing.T) {
	c := start(t)
	f := serve(t, c, func(_ *sql.Config, deps *sql.Deps) {
		deps.Connection = func(scope string) (warehouse.ClientConfig, error) {
			if scope == "province_01" {
				return warehouse.ClientConfig{}, errors.New("there is no such user")
			}
			cfg, err := c.connection(scope)
			cfg.Addr = []string{"127.0.0.1:1"}
			return cfg, err
		}
		deps.Logger = zap.NewNop() // these are errors, and it says so
	})
	if r := f.ask("79", "", "SELECT 1"); r.status != 503 || r.problem(t).Type != "unavailable" || r.header.Get("Retry-After") == "" || strings.Contains(r.body, "127.0.0.1") {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := f.ask("01", "", "SELECT 1"); r.status != 500 || r.problem(t).Type != "internal" || strings.Contains(r.body, "no such user") {
		t.Errorf("%d %s", r.status, r.body)
	}
}
