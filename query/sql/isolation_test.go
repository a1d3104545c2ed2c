package sql_test

import (
	"fmt"
	"strings"
	"testing"

	"ioc.local/internal/warehouse"
)

// object is a table or view of the database.
type object struct {
	name    string
	columns []string
}

func objects(t *testing.T, c *country) []object {
	t.Helper()
	rows, err := c.Client.Conn().Query(t.Context(), `SELECT t.name, c.columns FROM system.tables AS t
		LEFT JOIN (SELECT table, groupArray(name) AS columns FROM system.columns WHERE database = 'ioc' GROUP BY table) AS c ON c.table = t.name
		WHERE t.database = 'ioc' ORDER BY t.name`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []object
	for rows.Next() {
		var o object
		if err := rows.Scan(&o.name, &o.columns); err != nil {
			t.Fatal(err)
		}
		out = append(out, o)
	}
	if err := rows.Err(); err != nil || len(out) < 20 {
		t.Fatalf("%d objects: %v", len(out), err)
	}
	return out
}

// TestEveryScopeSeesItsRowsOfEveryObject goes through everything in the database, for every scope, by each layer alone.
func TestEveryScopeSeesItsRowsOfEveryObject(t *testing.T) {
	c := start(t)
	f := serve(t, c, nil)
	views := map[string]warehouse.View{}
	for _, v := range warehouse.AnalystViews() {
		views[v.Name] = v
	}
	all := objects(t, c)
	present := map[string]bool{}
	for _, o := range all {
		present[o.name] = true
	}
	for name := range views {
		if !present[name] {
			t.Errorf("the database has no %s", name)
		}
	}
	// What each scope may see of a province's rows.
	visible := func(scope, province string, v warehouse.View) bool {
		return v.Province == "" || scope == "national" || "province_"+province == scope || province == "" && v.NationalRows
	}
	for scope, principal := range map[string]string{"national": "national", "province_01": "01", "province_79": "79"} {
		client := c.as(t, scope)
		for _, o := range all {
			statement := "SELECT * FROM ioc." + o.name
			// The ClickHouse user alone.
			var direct string
			rows, err := client.Conn().Query(t.Context(), statement)
			if err == nil {
				direct = strings.Join(printed(rows), "\n")
				err = rows.Err()
			}
			v, isView := views[o.name]
			if !isView {
				if code(err) != 497 {
					t.Errorf("%s reads %s directly: %v %.200s", scope, o.name, err, direct)
				}
				for _, variant := range []string{"SELECT count() FROM ioc.%s", "SELECT 1 FROM ioc.%s LIMIT 1", "SELECT (SELECT count() FROM ioc.%s)", "SELECT 1 IN (SELECT 1 FROM ioc.%s)"} {
					var n uint64
					if err := client.Conn().QueryRow(t.Context(), fmt.Sprintf(variant, o.name)).Scan(&n); code(err) != 497 {
						t.Errorf("%s: "+variant+" gives %d, %v", scope, o.name, n, err)
					}
				}
			} else if err != nil {
				t.Errorf("%s cannot read %s: %v", scope, o.name, err)
			}
			// The sandbox, in front of a user who sees everything, must refuse what is no view.
			r := f.ask("national", "", statement)
			if !isView {
				if p := r.problem(t); p.Type != "sql-refused" || p.Reason != "table" {
					t.Errorf("the sandbox lets %s through: %d %s", o.name, r.status, r.body)
				}
				continue
			}
			r = f.ask(principal, "?format=csv", statement)
			if r.status != 200 {
				t.Errorf("%s through the sandbox: %d %s", statement, r.status, r.body)
			}
			if v.Province == "" {
				continue
			}
			for _, province := range provinces {
				mark := "secret of " + province + " "
				want := visible(scope, province, v)
				for layer, answer := range map[string]string{"directly": direct, "through the sandbox": r.body} {
					if got := strings.Contains(answer, mark); got != want {
						t.Errorf("%s sees rows of province %q in %s %s: %v, want %v", scope, province, o.name, layer, got, want)
					}
				}
				count := "SELECT count() AS n FROM ioc." + o.name + " WHERE province = '" + province + "'"
				var n uint64
				if err := client.Conn().QueryRow(t.Context(), count).Scan(&n); err != nil || (n > 0) != want {
					t.Errorf("%s counts %d of province %q in %s, %v", scope, n, province, o.name, err)
				}
				if r := f.ask(principal, "?format=csv", count); (r.body != "n\r\n0\r\n") != want {
					t.Errorf("%s counts %q of province %q in %s through the sandbox", scope, r.body, province, o.name)
				}
			}
		}
	}
}
