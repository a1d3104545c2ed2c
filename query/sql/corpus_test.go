package sql_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ioc.local/internal/warehouse"
	"ioc.local/query/sql/sandbox"
)

// TestPrintedQueriesAnswerAsTheOriginals runs analysts' questions as they stand and as the sandbox prints them.
func TestPrintedQueriesAnswerAsTheOriginals(t *testing.T) {
	c := start(t)
	client := c.as(t, "national")
	var names []string
	for _, v := range warehouse.AnalystViews() {
		names = append(names, v.Name)
	}
	box, err := sandbox.New("ioc", names)
	if err != nil {
		t.Fatal(err)
	}
	run := func(statement string) ([]string, error) {
		rows, err := client.Conn().Query(t.Context(), statement)
		if err != nil {
			return nil, err
		}
		columns := strings.Join(rows.Columns(), "|")
		out := printed(rows)
		slices.Sort(out)
		return append([]string{columns}, out...), rows.Err()
	}
	questions := lines(t, "testdata/queries.sql")
	if len(questions) < 80 {
		t.Errorf("there are %d questions", len(questions))
	}
	for _, original := range questions {
		s, err := box.Check(original)
		if err != nil {
			t.Errorf("%s\nis refused: %v", original, err)
			continue
		}
		want, err := run(original)
		if err != nil {
			t.Errorf("%s\ncannot run as it stands: %v", original, err)
			continue
		}
		if len(want) == 1 {
			t.Logf("%s has no rows", original)
		}
		got, err := run(s.SQL)
		if err != nil {
			t.Errorf("%s\ncannot run: %v", s.SQL, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s\n%s\nanswer differently (-original +printed):\n%s", original, s.SQL, diff)
		}
	}
}
