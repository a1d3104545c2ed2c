package sandbox

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"ioc.local/query/sql/parse"
)

// tables are some of what analysts may read.
var tables = []string{"dossiers", "authentications", "reports", "provinces", "services"}

func newSandbox(t testing.TB) *Sandbox {
	t.Helper()
	s, err := New("warehouse", tables)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTablesAreOnesOfTheListOrNamedQueries(t *testing.T) {
	s := newSandbox(t)
	f := func(statement, want string) {
		t.Helper()
		got, err := s.Check(statement)
		if err != nil {
			t.Errorf("%s: %v", statement, err)
			return
		}
		if got.SQL != want {
			t.Errorf("%s\nbecomes %s\nwant    %s", statement, got.SQL, want)
		}
	}
	f("SELECT 1", "SELECT 1")
	f("SELECT COUNT(*) FROM ioc.dossiers", "SELECT count(*) FROM `warehouse`.`dossiers`")
	f("SELECT d.a FROM dossiers d, `reports` FINAL", "SELECT `d`.`a` FROM `warehouse`.`dossiers` AS `d`, `warehouse`.`reports` FINAL")
	f("SELECT * FROM kpi_values JOIN ioc.kpi_values AS k USING (kpi)", "SELECT * FROM `kpi_values` JOIN `kpi_values` AS `k` USING (`kpi`)")
	// A named query has a name that no table has, and its columns can be written with its own.
	f("WITH x AS (SELECT 1 AS a) SELECT x.a FROM x", "WITH `_cte_1_x` AS (SELECT 1 AS `a`) SELECT `x`.`a` FROM `_cte_1_x` AS `x`")
	f("WITH dossier_state AS (SELECT 1) SELECT * FROM dossier_state", "WITH `_cte_1_dossier_state` AS (SELECT 1) SELECT * FROM `_cte_1_dossier_state` AS `dossier_state`")
	// Under its own name it sees the table; those after it see the query.
	f("WITH dossiers AS (SELECT * FROM dossiers) SELECT * FROM dossiers AS d", "WITH `_cte_1_dossiers` AS (SELECT * FROM `warehouse`.`dossiers`) SELECT * FROM `_cte_1_dossiers` AS `d`")
	f("WITH x AS (SELECT 1), x2 AS (SELECT * FROM x) SELECT * FROM x2 JOIN x ON 1 = 1",
		"WITH `_cte_1_x` AS (SELECT 1), `_cte_2_x2` AS (SELECT * FROM `_cte_1_x` AS `x`) SELECT * FROM `_cte_2_x2` AS `x2` JOIN `_cte_1_x` AS `x` ON 1 = 1")
	// Inner ones hide outer ones.
	f("WITH x AS (SELECT 1) SELECT (WITH x AS (SELECT 2) SELECT * FROM x), (SELECT * FROM x)",
		"WITH `_cte_1_x` AS (SELECT 1) SELECT (WITH `_cte_2_x` AS (SELECT 2) SELECT * FROM `_cte_2_x` AS `x`), (SELECT * FROM `_cte_1_x` AS `x`)")
	f("WITH x AS (SELECT 1) SELECT * FROM x UNION ALL SELECT * FROM x", "WITH `_cte_1_x` AS (SELECT 1) SELECT * FROM `_cte_1_x` AS `x` UNION ALL SELECT * FROM `_cte_1_x` AS `x`")
	// The database's table is meant whatever a named query is called.
	f("WITH dossiers AS (SELECT 1) SELECT * FROM ioc.dossiers", "WITH `_cte_1_dossiers` AS (SELECT 1) SELECT * FROM `warehouse`.`dossiers`")
	// IN leaves ClickHouse no choice.
	f("SELECT 1 IN dossiers", "SELECT 1 IN (SELECT * FROM `warehouse`.`dossiers`)")
	f("SELECT 1 IN (dossiers)", "SELECT 1 IN (SELECT * FROM `warehouse`.`dossiers`)")
	f("WITH x AS (SELECT 1) SELECT 1 IN x, 2 NOT IN (x)", "WITH `_cte_1_x` AS (SELECT 1) SELECT 1 IN (SELECT * FROM `_cte_1_x` AS `x`), 2 NOT IN (SELECT * FROM `_cte_1_x` AS `x`)")
	f("SELECT 1 IN (dossier_state)", "SELECT 1 IN tuple(`dossier_state`)")
	f("SELECT 1 IN (ioc.dossier_state)", "SELECT 1 IN tuple(`ioc`.`dossier_state`)")
	f("SELECT 1 IN ((dossier_state AS x))", "SELECT 1 IN tuple((`dossier_state` AS `x`))")
	f("SELECT a IN (b, dossier_state)", "SELECT `a` IN (`b`, `dossier_state`)")
	f("SELECT Sum(a), CountIf(b), quantileIf(0.5)(a, b), toYYYYMM(a), DATE_TRUNC('month', a)", "SELECT sum(`a`), countIf(`b`), quantileIf(0.5)(`a`, `b`), toYYYYMM(`a`), date_trunc('month', `a`)")
	f("SELECT CAST(a AS VARCHAR(20)), b::int", "SELECT CAST(`a` AS String), `b`::Int32")
	f("SELECT * FROM numbers(3), generateSeries(1, 3) AS g", "SELECT * FROM numbers(3), generate_series(1, 3) AS `g`")
	f("SELECT {a:int}, {a:Int32}", "SELECT {a:Int32}, {a:Int32}")
}

func TestStatementSaysWhatItNeeds(t *testing.T) {
	got, err := newSandbox(t).Check("SELECT {a:Array(text)} FROM dossiers WHERE x IN (SELECT y FROM kpi_values, dossiers) AND b = {c:UInt8} GROUP BY x WITH TOTALS")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"dossiers", "kpi_values"}; !reflect.DeepEqual(got.Tables, want) {
		t.Errorf("tables are %v, want %v", got.Tables, want)
	}
	if want := map[string]string{"a": "Array(String)", "c": "UInt8"}; !reflect.DeepEqual(got.Params, want) {
		t.Errorf("parameters are %v, want %v", got.Params, want)
	}
	if !got.Totals {
		t.Error("it asks for totals")
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	s := newSandbox(t)
	f := func(statement, place string, reason parse.Reason, part string) {
		t.Helper()
		_, err := s.Check(statement)
		var e *parse.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: error is %v", statement, err)
			return
		}
		if e.String() != place || e.Reason != reason || !strings.Contains(e.Message, part) {
			t.Errorf("%s\ngives %s %s %q\nwant  %s %s …%s…", statement, e.Pos, e.Reason, e.Message, place, reason, part)
		}
	}
	f("SELECT *\nFROM dossier_state", "2:6", parse.BadTable, "the tables are authentications, dossiers, kpi_values")
	f("SELECT * FROM x JOIN y USING (a)", "1:15", parse.BadTable, "no table x")
	f("SELECT * FROM system.tables", "1:15", parse.BadTable, "no database system")
	f("SELECT * FROM a.b.dossiers", "1:15", parse.BadTable, "no database a.b")
	f("SELECT * FROM Dossiers", "1:15", parse.BadTable, "no table Dossiers")
	f("SELECT 1 IN dossier_state", "1:13", parse.BadTable, "has(dossier_state, …)")
	f("SELECT countt()", "1:8", parse.BadFunction, "did you mean count?")
	f("SELECT file('/etc/passwd')", "1:8", parse.BadFunction, "the function file is not allowed")
	f("SELECT * APPLY(file)", "1:16", parse.BadFunction, "file")
	f("SELECT sumState(1)", "1:8", parse.BadFunction, "sumState")
	f("SELECT * FROM file('x')", "1:15", parse.BadTable, "only numbers(n)")
	f("SELECT CAST('x' AS AggregateFunction(sum, UInt8))", "1:20", parse.BadType, "AggregateFunction")
	f("SELECT JSONExtract('{}', 'a', 'AggregateFunction(sum, UInt8)')", "1:31", parse.BadType, "AggregateFunction")
	f("SELECT JSONExtract('{}', 'a', concat('U', 'Int8'))", "1:31", parse.BadType, "as a text")
	f("SELECT a AS _cte_1_x", "1:10", parse.BadName, "_cte_")
	f("WITH x AS (SELECT 1), x AS (SELECT 2) SELECT 1", "1:23", parse.BadName, "twice")
	f("WITH x -> file(x) AS g SELECT g('a')", "1:6", parse.BadClause, "function of your own")
	f("SELECT (x -> 1) AS g", "1:8", parse.BadSyntax, "lambda")
	f("SELECT {a:UInt8}, {a:String}", "1:19", parse.BadParameter, "before")
}

func FuzzCheck(f *testing.F) {
	s := newSandbox(f)
	for _, seed := range []string{
		"SELECT count() FROM dossiers WHERE province = '79'", "WITH x AS (SELECT 1 AS a) SELECT * FROM x JOIN ioc.reports USING (a)",
		"SELECT * APPLY(sum) FROM provinces", "SELECT 1 IN dossiers, 2 IN (dossier_state)", "SELECT file('x')", "SELECT CAST(1 AS UInt8), {a:Array(String)}",
		"SELECT a FROM (SELECT * FROM kpi_values) AS k ORDER BY a WITH FILL", "SELECT sumIf(a, b) OVER (PARTITION BY c) FROM services, numbers(3)",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		statement, err := s.Check(text)
		if err != nil {
			return
		}
		if problem := foreign(s, statement.SQL); problem != "" {
			t.Fatalf("%s\nbecomes %s\nwhich has %s", text, statement.SQL, problem)
		}
	})
}

// foreign looks for what is not allowed in a statement as it would run. It does not use the walker of the sandbox: it goes
// through every field of every struct, so that a part that the walker forgot is found.
func foreign(s *Sandbox, printed string) string {
	q, err := parse.Statement(printed)
	if err != nil {
		var e *parse.Error
		if errors.As(err, &e) && e.Reason == parse.BadSize {
			return ""
		}
		return "no form: " + err.Error()
	}
	bad, named := "", map[string]bool{}
	everything(reflect.ValueOf(q), func(n any) {
		if w, ok := n.(*parse.With); ok && w.Query != nil {
			named[w.Name] = true
			if !strings.HasPrefix(w.Name, "_cte_") {
				bad = "the query " + w.Name
			}
		}
	})
	everything(reflect.ValueOf(q), func(n any) {
		switch n := n.(type) {
		case *parse.TableName:
			name := strings.Join(n.Parts, ".")
			base, inDatabase := strings.CutPrefix(name, "warehouse.")
			bare := len(n.Parts) == 1 && (named[name] || name == KPIValues)
			if !bare && (len(n.Parts) != 2 || !inDatabase || !contains(tables, base)) {
				bad = "the table " + name
			}
		case *parse.TableCall:
			if n.Name != "numbers" && n.Name != "generate_series" {
				bad = "the table function " + n.Name
			}
		case *parse.Call:
			if known, ok := s.functions.resolve(n.Name); !ok || known != n.Name {
				bad = "the function " + n.Name
			}
		case *parse.Type:
			if typeNames[strings.ToLower(n.Name)] != n.Name {
				bad = "the type " + n.Name
			}
		case *parse.In:
			switch right := n.Right.(type) {
			case *parse.Ident:
				bad = "IN a name"
			case *parse.InList:
				if len(right.Items) == 1 {
					switch right.Items[0].(type) {
					case *parse.Ident, *parse.Aliased:
						bad = "IN a name in parentheses"
					}
				}
			}
		}
	})
	return bad
}

// everything visits every pointer in a tree.
func everything(v reflect.Value, visit func(any)) {
	switch v.Kind() {
	case reflect.Interface:
		everything(v.Elem(), visit)
	case reflect.Pointer:
		if !v.IsNil() {
			visit(v.Interface())
			everything(v.Elem(), visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			everything(v.Index(i), visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			everything(v.Field(i), visit)
		}
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
