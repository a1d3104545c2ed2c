package sql_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestListedFunctionsExist looks every function of the allow-list up in the engine: one that does not exist is a slip, and
// what is no aggregate function must not stand among those, since their names may get suffixes.
func TestListedFunctionsExist(t *testing.T) {
	c := start(t)
	rows, err := c.Client.Conn().Query(t.Context(), "SELECT name, is_aggregate, case_insensitive FROM system.functions")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	aggregate, folded := map[string]bool{}, map[string]bool{}
	for rows.Next() {
		var name string
		var isAggregate, caseInsensitive uint8
		if err := rows.Scan(&name, &isAggregate, &caseInsensitive); err != nil {
			t.Fatal(err)
		}
		aggregate[name] = isAggregate == 1
		if caseInsensitive == 1 {
			folded[strings.ToLower(name)] = isAggregate == 1
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("sandbox/functions.txt")
	if err != nil {
		t.Fatal(err)
	}
	dangerous := regexp.MustCompile(`(?i)^(file|url|dict|joinGet|getSetting|current(User|Database|Query)|host|sleep|catboost|evalML|remote|s3|throw|generateRandom|__|initializeAgg|finalizeAgg|arrayReduce|.*(State|Merge)$)`)
	section, n := "", 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
		}
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "[") {
			continue
		}
		for _, name := range strings.Fields(line) {
			n++
			isAggregate, ok := aggregate[name]
			if !ok {
				isAggregate, ok = folded[strings.ToLower(name)]
			}
			if !ok && name != "grouping" { // it is a function of the grammar
				t.Errorf("ClickHouse has no function %s", name)
			}
			if section == "[aggregate]" && !isAggregate || section != "[aggregate]" && section != "[window]" && isAggregate {
				t.Errorf("%s stands in %s: aggregate is %v", name, section, isAggregate)
			}
			if dangerous.MatchString(name) {
				t.Errorf("%s is on the list of functions", name)
			}
		}
	}
	if n < 500 {
		t.Errorf("%d functions were looked at", n)
	}
}
