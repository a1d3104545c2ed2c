package warehouse_test

import (
	"strings"
	"testing"

	"github.com/ClickHouse/ch-go/proto"

	"ioc.local/internal/faultproxy"
	"ioc.local/internal/warehouse"
)

// insertAttempt inserts a row that has a source only.
func insertAttempt(t *testing.T, client *warehouse.Client, token string) error {
	t.Helper()
	source := new(proto.ColStr).LowCardinality()
	source.Append("/npsp/H26")
	return client.Insert(t.Context(), "auth_attempts", proto.Input{{Name: "source", Data: source}}, token)
}

// TestViewLeftBehind: a view that a migration has left would count what the one in its place counts, so nothing is inserted
// until it is gone.
func TestViewLeftBehind(t *testing.T) {
	db := migrated(t)
	exec := func(statement string) {
		t.Helper()
		if err := db.Client.Conn().Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE MATERIALIZED VIEW _tmp_replace_1_2 TO source_activity AS SELECT 'auth_attempts' AS family, source, count() AS n FROM auth_attempts GROUP BY source")
	_, prepared := db.Client.PrepareInsert(t.Context(), "auth_attempts", "source", "token")
	for _, err := range []error{prepared, insertAttempt(t, db.Client, "token")} {
		if err == nil || !strings.Contains(err.Error(), "DROP VIEW _tmp_replace_1_2") {
			t.Fatalf("with the view: %v", err)
		}
	}
	exec("DROP VIEW _tmp_replace_1_2 SYNC")
	batch, err := db.Client.PrepareInsert(t.Context(), "auth_attempts", "source", "token")
	if err != nil {
		t.Fatalf("without it: %v", err)
	}
	_ = batch.Close()
	if err := insertAttempt(t, db.Client, "token"); err != nil {
		t.Fatalf("without it: %v", err)
	}
}

// TestViewLostByARestart: a server that has started again may lack a view, so the views are looked for when a connection is
// new, also where they were seen before.
func TestViewLostByARestart(t *testing.T) {
	db := migrated(t)
	proxy := faultproxy.Start(t, db.Engine.Addr)
	client := openAt(t, db, proxy.Addr())
	defer client.Close()
	for _, token := range []string{"one", "two"} { // by a connection that is new, and by one that is not
		if err := insertAttempt(t, client, token); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Client.Conn().Exec(t.Context(), "DROP VIEW auth_days_mv SYNC"); err != nil {
		t.Fatal(err)
	}
	cutAll(t, proxy)
	if err := insertAttempt(t, client, "three"); err == nil || !strings.Contains(err.Error(), "auth_days_mv") {
		t.Errorf("without the view: %v", err)
	}
}
