package parse_test

import (
	"os"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"

	"pgregory.net/rapid"

	"ioc.local/internal/warehouse/enginetest"
	"ioc.local/query/sql/parse"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// statements are the lines of a file that are no comments.
func statements(t testing.TB, file string) []string {
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

// tree is what ClickHouse's own parser makes of a statement.
func tree(t *testing.T, db *enginetest.DB, sql string) (string, error) {
	t.Helper()
	rows, err := db.Client.Conn().Query(clickhouse.Context(t.Context(), clickhouse.WithParameters(clickhouse.Parameters{
		"p": "1", "q": "['a']", "r": "2026-01-01", "n": "3",
	})), "EXPLAIN AST "+sql)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n"), rows.Err()
}

// TestClickHouseReadsThePrintingAsTheOriginal compares the trees that ClickHouse's parser makes of both.
func TestClickHouseReadsThePrintingAsTheOriginal(t *testing.T) {
	db := enginetest.Start(t)
	for _, original := range statements(t, "testdata/grammar.sql") {
		q, err := parse.Statement(original)
		if err != nil {
			t.Errorf("%s\n%v", original, err)
			continue
		}
		printed := parse.Print(q)
		want, err := tree(t, db, original)
		if err != nil {
			t.Errorf("ClickHouse refuses the original %s\n%v", original, err)
			continue
		}
		got, err := tree(t, db, printed)
		if err != nil {
			t.Errorf("ClickHouse refuses the printing %s\n%v", printed, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s\n%s\nClickHouse reads (-original +printing):\n%s", original, printed, diff)
		}
	}
}

// TestPrecedenceIsClickHouses does the same with drawn expressions. ClickHouse need not take them all; those that both
// take must be the same.
func TestPrecedenceIsClickHouses(t *testing.T) {
	db := enginetest.Start(t)
	tried, both := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		tried++
		original := "SELECT " + expression(rt, rapid.IntRange(1, 4).Draw(rt, "depth"))
		q, err := parse.Statement(original)
		if err != nil {
			return
		}
		want, err := tree(t, db, original)
		if err != nil {
			return
		}
		printed := parse.Print(q)
		got, err := tree(t, db, printed)
		if err != nil {
			rt.Fatalf("ClickHouse refuses the printing %s of %s\n%v", printed, original, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("%s\n%s\nClickHouse reads (-original +printing):\n%s", original, printed, diff)
		}
		both++
	})
	if both < tried/2 {
		t.Errorf("only %d of %d expressions were taken by both", both, tried)
	}
}
