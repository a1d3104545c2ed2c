package parse_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ioc.local/query/sql/parse"
)

// withoutPlaces compares trees and not where they were written.
var withoutPlaces = cmp.Options{cmpopts.IgnoreTypes(parse.Pos{}), cmpopts.EquateEmpty()}

func TestPrintingIsReadAsItself(t *testing.T) {
	for _, original := range statements(t, "testdata/grammar.sql") {
		roundTrip(t, original)
	}
}

// roundTrip checks that a statement, if it is one, and its printing are the same tree, and the same printing.
func roundTrip(t *testing.T, original string) {
	t.Helper()
	q, err := parse.Statement(original)
	if err != nil {
		return
	}
	printed := parse.Print(q)
	again, err := parse.Statement(printed)
	if err != nil {
		var e *parse.Error
		if errors.As(err, &e) && e.Reason == parse.BadSize { // escapes and quotes make it longer
			return
		}
		t.Fatalf("%s\nis printed as\n%s\nwhich cannot be read: %v", original, printed, err)
	}
	if diff := cmp.Diff(q, again, withoutPlaces); diff != "" {
		t.Fatalf("%s\nis printed as\n%s\nwhich is another tree (-first +second):\n%s", original, printed, diff)
	}
	if twice := parse.Print(again); twice != printed {
		t.Fatalf("printed once:  %s\nprinted twice: %s", printed, twice)
	}
}

func TestGolden(t *testing.T) {
	f := func(original, want string) {
		t.Helper()
		q, err := parse.Statement(original)
		if err != nil {
			t.Errorf("%s: %v", original, err)
			return
		}
		if got := parse.Print(q); got != want {
			t.Errorf("%s\nis printed as %s\nwant          %s", original, got, want)
		}
	}
	f("select 1", "SELECT 1")
	f("SELECT a+b*c FROM t", "SELECT `a` + (`b` * `c`) FROM `t`")
	f("SELECT 'it''s \\n' -- x", `SELECT 'it\'s \x0A'`)
	f("SELECT `a\\`b`, \"c\"\"d\"", "SELECT `a\\`b`, `c\"d`")
	f("SELECT -1, -a, - -1, 1 - -1", "SELECT -1, - `a`, - (-1), 1 - -1")
	f("SELECT a FROM t WHERE a IN (1,2) OR b IS NULL ORDER BY 1 DESC LIMIT 2, 3",
		"SELECT `a` FROM `t` WHERE (`a` IN (1, 2)) OR (`b` IS NULL) ORDER BY 1 DESC LIMIT 3 OFFSET 2")
	f("WITH x AS (SELECT 1) SELECT * FROM x y ALL LEFT JOIN z USING k", "WITH `x` AS (SELECT 1) SELECT * FROM `x` AS `y` LEFT ALL JOIN `z` USING (`k`)")
	f("SELECT sum(x) over (partition by y order by z rows 1 preceding)", "SELECT sum(`x`) OVER (PARTITION BY `y` ORDER BY `z` ASC ROWS 1 PRECEDING)")
	f("SELECT CAST(x AS Nullable(DateTime64(3,'UTC'))), y::UInt8", "SELECT CAST(`x` AS Nullable(DateTime64(3, 'UTC'))), `y`::UInt8")
	f("SELECT /* a /* b */ 1", "SELECT 1")
	f("SELECT {x:Array(UInt8)}", "SELECT {x:Array(UInt8)}")
}

func TestErrorsSayWhereAndWhat(t *testing.T) {
	f := func(statement, place string, reason parse.Reason, part string) {
		t.Helper()
		_, err := parse.Statement(statement)
		var e *parse.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: error is %v", statement, err)
			return
		}
		if e.String() != place || e.Reason != reason || !strings.Contains(e.Message, part) {
			t.Errorf("%.100s\ngives %s %s %q\nwant  %s %s …%s…", statement, e.Pos, e.Reason, e.Message, place, reason, part)
		}
	}
	f("", "1:1", parse.BadStatement, "empty")
	f("  -- nothing", "1:13", parse.BadStatement, "empty")
	f("DROP TABLE x", "1:1", parse.BadStatement, "only one SELECT")
	f("EXPLAIN ESTIMATE SELECT 1", "1:1", parse.BadStatement, "only one SELECT")
	f("SELECT 1; SELECT 2", "1:11", parse.BadStatement, "one by one")
	f("SELECT 1 SETTINGS max_threads = 1", "1:10", parse.BadClause, "SETTINGS is not allowed")
	f("SELECT 1 FORMAT JSON", "1:10", parse.BadClause, "FORMAT is not allowed")
	f("SELECT 1 INTO OUTFILE 'x'", "1:10", parse.BadClause, "INTO is not allowed")
	f("SELECT 1 FROM t PREWHERE x", "1:17", parse.BadClause, "use WHERE")
	f("SELECT 1 FROM t SAMPLE 0.1", "1:17", parse.BadClause, "SAMPLE is not allowed")
	f("SELECT\n  a b c", "2:7", parse.BadSyntax, "the end of the statement should stand here, not “c”")
	f("SELECT a,\n\nFROM t", "3:1", parse.BadSyntax, "an expression should stand here, not “FROM”")
	f("SELECT 'Hà Nội', ©", "1:18", parse.BadSyntax, "U+00A9")
	f("SELECT 'x", "1:8", parse.BadSyntax, "never closed")
	f("SELECT 1 /* x", "1:10", parse.BadSyntax, "does not end")
	f("SELECT 12abc", "1:8", parse.BadSyntax, "neither a number nor a name")
	f("SELECT f(1", "1:11", parse.BadSyntax, "“,” or “)” should stand here, not the end of the statement")
	f("SELECT 1 UNION SELECT 2", "1:10", parse.BadSyntax, "UNION ALL")
	f("SELECT {x:Identifier}", "1:11", parse.BadParameter, "cannot stand for a name")
	f("SELECT * FROM {x:Identifier}", "1:15", parse.BadTable, "must be named")
	f("SELECT * FROM 'file'", "1:15", parse.BadTable, "must be named")
	f("WITH RECURSIVE x AS (SELECT 1) SELECT 1", "1:6", parse.BadClause, "RECURSIVE")
	f("SELECT a IN (1, 2) + 1", "1:20", parse.BadSyntax, "in parentheses")
	f("SELECT 1 LIMIT 1 LIMIT 2", "1:18", parse.BadSyntax, "already")
	f("SELECT \xff", "1:8", parse.BadSyntax, "UTF-8")
	f("SELECT '\x00'", "1:9", parse.BadSyntax, "null characters")
	f(strings.Repeat(" ", parse.MaxBytes)+"SELECT 1", "1:1", parse.BadSize, "bytes")
	f("SELECT "+strings.Repeat("(", 500)+"1"+strings.Repeat(")", 500), "1:167", parse.BadSize, "nested too deeply")
	f("SELECT "+strings.Repeat("-a+", 100)+"1", "1:1", parse.BadSize, "deep")
	f("SELECT "+strings.Repeat("[", 30000), "1:167", parse.BadSize, "nested too deeply")
	f("SELECT 1"+strings.Repeat(",1", 6000), "1:10004", parse.BadSize, "parts")
}

// TestReadingTakesLinearTime reads what would take for ever if some form were tried in two ways, level by level.
func TestReadingTakesLinearTime(t *testing.T) {
	for _, part := range []string{"DATE_ADD(d, ", "(a, ", "f((x) -> ", "position(", "substring(", "trim(both from ", "extract(day from ", "case when ", "[", "x IN (", "(SELECT ", "INTERVAL (", "cast("} {
		started := time.Now()
		for n := 1; n < 60; n++ {
			_, _ = parse.Statement("SELECT " + strings.Repeat(part, n))
			_, _ = parse.Statement("SELECT " + strings.Repeat(part, n) + "1" + strings.Repeat(")", n))
		}
		if took := time.Since(started); took > 2*time.Second {
			t.Errorf("%s nested: %s", part, took)
		}
	}
	started := time.Now()
	_, _ = parse.Statement("SELECT " + strings.Repeat("a+", 30000))
	_, _ = parse.Statement("SELECT " + strings.Repeat("\n", 60000) + "©")
	if took := time.Since(started); took > 2*time.Second {
		t.Errorf("long statements: %s", took)
	}
}

// FuzzStatement reads anything. It must not panic, and what it takes must survive being printed.
func FuzzStatement(f *testing.F) {
	for _, s := range statements(f, "testdata/grammar.sql") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, statement string) { roundTrip(t, statement) })
}
