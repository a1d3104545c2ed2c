package enginetest_test

import (
	"context"
	"testing"

	"ioc.local/internal/warehouse/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

func TestStartGivesEachTestItsOwnDatabase(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		t.Run("", func(t *testing.T) {
			db := enginetest.Start(t)
			if seen[db.Database] {
				t.Fatalf("database %s was given out before", db.Database)
			}
			seen[db.Database] = true
			ctx := context.Background()
			if err := db.Client.Conn().Exec(ctx, "CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n"); err != nil {
				t.Fatal(err)
			}
			var name string
			if err := db.Client.Conn().QueryRow(ctx, "SELECT currentDatabase()").Scan(&name); err != nil {
				t.Fatal(err)
			}
			if name != db.Database {
				t.Errorf("default database is %s, want %s", name, db.Database)
			}
		})
	}
	db := enginetest.Start(t)
	var left uint64
	if err := db.Client.Conn().QueryRow(context.Background(),
		"SELECT count() FROM system.databases WHERE name LIKE 'ioc\\\\_t\\\\_%'").Scan(&left); err != nil {
		t.Fatal(err)
	}
	if left != 1 {
		t.Errorf("%d test databases exist, want only this test's", left)
	}
}
