package sql_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"ioc.local/internal/warehouse"
	"ioc.local/query/sql/sandbox"
)

// attack is a line of testdata/attacks.txt.
type attack struct{ sandbox, user, statement string }

func attacks(t *testing.T, file string, c *country) []attack {
	t.Helper()
	var out []attack
	for _, line := range lines(t, "testdata/attacks.txt") {
		parts := strings.SplitN(line, " | ", 3)
		if len(parts) != 3 {
			t.Fatalf("%q is not three parts", line)
		}
		statement := strings.NewReplacer("<nl>", "\n", "<tab>", "\t", "<file>", file, "<http>", c.Engine.HTTPAddr(), "<tcp>", c.Engine.Addr()).Replace(parts[2])
		out = append(out, attack{parts[0], parts[1], statement})
	}
	return out
}

// secretFile is a file that no analyst may read.
func secretFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("the word in the file"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// foreign are texts that an analyst of province 79 must never be shown: of another province, of facts without a province,
// and of files. Rows without a province are his in registers, one of which is reports.
func foreign(statement, answer string) string {
	secrets := []string{"secret of 01", "the word in the file"}
	if !strings.Contains(statement, "reports") {
		secrets = append(secrets, "secret of  ")
	}
	for _, secret := range secrets {
		if strings.Contains(answer, secret) {
			return secret
		}
	}
	return ""
}

func TestSandboxAloneStopsAttacks(t *testing.T) {
	c := start(t)
	file := secretFile(t)
	f := serve(t, c, nil)
	for _, a := range attacks(t, file, c) {
		r := f.ask("79", "", a.statement)
		if a.sandbox == "accepted" {
			if secret := foreign(a.statement, r.body); secret != "" && r.status == 200 {
				t.Errorf("%s\nis answered with %q: %.300s", a.statement, secret, r.body)
			}
			continue
		}
		p := r.problem(t)
		if p.Type != "sql-refused" || p.Reason != a.sandbox {
			t.Errorf("%s\nis met with %d %s %s: %s\nwant sql-refused %s", a.statement, r.status, p.Type, p.Reason, p.Detail, a.sandbox)
		}
		if len(p.Detail) < 20 || p.Line == 0 || p.Column == 0 {
			t.Errorf("%s\nis refused without saying where and why: %s", a.statement, p.Detail)
		}
	}
}

// TestAcceptedStatementsAskForNothingElse runs what the sandbox makes of accepted attacks as the administrator, whom nothing
// stops: even then no table but the views may be read. The views themselves show him everything, so this looks at names only.
func TestAcceptedStatementsAskForNothingElse(t *testing.T) {
	c := start(t)
	var names []string
	for _, v := range warehouse.AnalystViews() {
		names = append(names, v.Name)
	}
	box, err := sandbox.New("ioc", names)
	if err != nil {
		t.Fatal(err)
	}
	read := func(statement string) (string, error) {
		rows, err := c.Client.Conn().Query(t.Context(), "EXPLAIN QUERY TREE run_passes = 1 "+statement)
		if err != nil {
			return "", err
		}
		return strings.Join(printed(rows), "\n"), rows.Err()
	}
	if tree, err := read("SELECT 1 IN (SELECT * FROM ioc.dossier_state)"); err != nil || !strings.Contains(tree, "table_name: ioc.dossier_state") {
		t.Fatalf("this test would not see a table: %v\n%s", err, tree)
	}
	for _, a := range attacks(t, "x", c) {
		if a.sandbox != "accepted" {
			continue
		}
		s, err := box.Check(a.statement)
		if err != nil {
			t.Errorf("%s: %v", a.statement, err)
			continue
		}
		tree, err := read(s.SQL)
		if err != nil && code(err) == 0 {
			t.Errorf("%s: %v", s.SQL, err)
		}
		for line := range strings.Lines(tree) {
			if _, table, ok := strings.Cut(line, "table_name: "); ok && !strings.HasPrefix(table, "system.one") && !slices.Contains(names, strings.TrimPrefix(strings.TrimRight(strings.Split(table, ",")[0], "]\n"), "ioc.")) {
				t.Errorf("%s\nreads %s", s.SQL, table)
			}
		}
	}
}

func TestClickHouseUserAloneStopsAttacks(t *testing.T) {
	c := start(t)
	file := secretFile(t)
	client := c.as(t, "province_79")
	pid := c.Engine.PID()
	for _, a := range attacks(t, file, c) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		rows, err := client.Conn().Query(ctx, a.statement)
		var got []string
		if err == nil {
			got, err = printed(rows), rows.Err()
		} else if errors.Is(err, io.EOF) { // a statement without an answer
			err = nil
		}
		cancel()
		if err != nil && code(err) == 0 && !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), "unsupported column type") {
			t.Errorf("%s: %v", a.statement, err)
		}
		answer := strings.Join(got, "\n")
		switch a.user {
		case "refused":
			if err == nil && len(got) > 0 {
				t.Errorf("%s\nwas not refused: %.300s", a.statement, answer)
			}
		case "harmless":
			if secret := foreign(a.statement, answer); secret != "" {
				t.Errorf("%s\nshows %q: %.300s", a.statement, secret, answer)
			}
		case "gap":
			if err != nil {
				t.Errorf("%s\nis refused now (%v): the gap is closed, say so in attacks.txt", a.statement, err)
			}
		default:
			t.Errorf("attacks.txt does not know %q", a.user)
		}
		// What an error tells, apart from the statement itself, which is in it.
		if err != nil && !strings.Contains(a.statement, "secret of 01") && strings.Contains(err.Error(), "secret of 01") {
			t.Errorf("%s\nfails with %v", a.statement, err)
		}
	}
	if _, err := os.Stat(file + ".out"); err == nil {
		t.Error("INTO OUTFILE wrote a file")
	}
	if now := c.Engine.PID(); now != pid {
		t.Errorf("an attack ended the engine: process %d was %d", now, pid)
	}
}

// code is the ClickHouse error code, or 0.
func code(err error) int32 {
	if e, ok := errors.AsType[*clickhouse.Exception](err); ok {
		return e.Code
	}
	return 0
}

// printed are the rows of an answer as text, at most 100.
func printed(rows driver.Rows) []string {
	defer rows.Close()
	var out []string
	for rows.Next() && len(out) < 100 {
		row := make([]any, len(rows.ColumnTypes()))
		for i, column := range rows.ColumnTypes() {
			row[i] = reflect.New(column.ScanType()).Interface()
		}
		if err := rows.Scan(row...); err != nil {
			return append(out, err.Error())
		}
		for i := range row {
			v := reflect.ValueOf(row[i]).Elem()
			for v.Kind() == reflect.Pointer && !v.IsNil() {
				v = v.Elem()
			}
			row[i] = v.Interface()
		}
		out = append(out, fmt.Sprintf("%v", row))
	}
	return out
}
