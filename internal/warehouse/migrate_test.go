package warehouse_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

// schemaText is the whole schema of the test's database as one text.
const schemaText = `SELECT arrayStringConcat(arraySort(groupArray(name || ' ' || create_table_query)), '\n') FROM system.tables WHERE database = currentDatabase()`

func TestMigrateTwice(t *testing.T) {
	db := migrated(t)
	before := text(t, db.Client, schemaText)
	if !strings.Contains(before, "dossier_state_mv") {
		t.Fatalf("the schema lacks its last objects:\n%s", before)
	}
	if err := warehouse.Migrate(t.Context(), db.Client); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, text(t, db.Client, schemaText)); diff != "" {
		t.Errorf("the second run changed the schema:\n%s", diff)
	}
	states, err := warehouse.MigrationStates(t.Context(), db.Client)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range states {
		if !s.Applied {
			t.Errorf("%s is not recorded as applied", s.Name)
		}
	}
}

func TestMigrateConcurrently(t *testing.T) {
	one := migrated(t)
	want := text(t, one.Client, schemaText)
	db := enginetest.Start(t)
	var group errgroup.Group
	for range 2 {
		group.Go(func() error { return warehouse.Migrate(t.Context(), db.Client) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(text(t, db.Client, schemaText), db.Database+".", one.Database+".")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("two at once made another schema than one:\n%s", diff)
	}
	if n := text(t, db.Client, "SELECT toString(count() = (SELECT uniqExact(name) FROM schema_migrations)) FROM schema_migrations FINAL"); n != "1" {
		t.Error("a migration is recorded with two checksums")
	}
	if err := warehouse.Migrate(t.Context(), db.Client); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A run that stopped between two statements is completed by the next.
func TestMigrateAfterHalf(t *testing.T) {
	whole := migrated(t)
	want := text(t, whole.Client, schemaText)
	db := enginetest.Start(t)
	migrations, err := warehouse.Migrations()
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range migrations[0].Statements()[:2] {
		if err := db.Client.Conn().Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := warehouse.Migrate(t.Context(), db.Client); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, strings.ReplaceAll(text(t, db.Client, schemaText), db.Database+".", whole.Database+".")); diff != "" {
		t.Errorf("the schema differs:\n%s", diff)
	}
}

func TestMigrateRefuses(t *testing.T) {
	for name, test := range map[string]struct{ row, want string }{
		"changed checksum": {"('0002_counted.sql', 'deadbeef', now() + 60)", "migration 0002_counted.sql was applied with checksum deadbeef"},
		"newer schema":     {"('9999_later.sql', 'deadbeef', now())", "the database has migration 9999_later.sql, which this binary does not know"},
	} {
		t.Run(name, func(t *testing.T) {
			db := migrated(t)
			if err := db.Client.Conn().Exec(t.Context(), "INSERT INTO schema_migrations VALUES "+test.row); err != nil {
				t.Fatal(err)
			}
			err := warehouse.Migrate(t.Context(), db.Client)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// Analysts read tables, views and columns, so each says what it is. Materialized views hold nothing, and the table
// that stores nothing (ENGINE = Null) has the columns of dossier_state, the view live_register_events those of register_events.
func TestEverythingHasAComment(t *testing.T) {
	db := migrated(t)
	without := text(t, db.Client, `SELECT arrayStringConcat(groupArray(name), ', ') FROM system.tables
		WHERE database = currentDatabase() AND engine != 'MaterializedView' AND comment = ''`)
	if without != "" {
		t.Errorf("tables without a comment: %s", without)
	}
	without = text(t, db.Client, `SELECT arrayStringConcat(groupArray(table || '.' || name), ', ') FROM system.columns
		WHERE database = currentDatabase() AND comment = ''
		AND table NOT IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine IN ('MaterializedView', 'Null')) AND table != 'live_register_events'`)
	if without != "" {
		t.Errorf("columns without a comment: %s", without)
	}
	if n := text(t, db.Client, "SELECT toString(count() > 100) FROM system.columns WHERE database = currentDatabase() AND comment != ''"); n != "1" {
		t.Error("hardly any column has a comment: the questions above are wrong")
	}
}

func TestLoadReferenceTwice(t *testing.T) {
	const contents = `SELECT arrayStringConcat(arraySort(groupArray(line)), '\n') FROM (
		SELECT toString(tuple('provinces', *)) AS line FROM provinces FINAL
		UNION ALL SELECT toString(tuple('services', *)) FROM services FINAL
		UNION ALL SELECT toString(tuple('savings', *)) FROM savings_coefficients FINAL
		UNION ALL SELECT toString(tuple('calendar', *)) FROM working_calendar FINAL)`
	db := migrated(t)
	data := loadReference(t, db)
	before := text(t, db.Client, contents)
	for _, table := range []string{"provinces", "services", "savings", "calendar"} {
		if !strings.Contains(before, "('"+table+"',") {
			t.Errorf("%s is empty", table)
		}
	}
	if err := warehouse.LoadReference(t.Context(), db.Client, data); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, text(t, db.Client, contents)); diff != "" {
		t.Errorf("the second run changed the tables:\n%s", diff)
	}
}
