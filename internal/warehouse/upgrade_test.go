package warehouse_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

// released is how many schema files the first release had.
const released = 5

// apply runs migrations, without a record of them.
func apply(t *testing.T, db *enginetest.DB, migrations []warehouse.Migration) {
	t.Helper()
	for _, m := range migrations {
		for i, statement := range m.Statements() {
			if err := db.Client.Conn().Exec(t.Context(), statement); err != nil {
				t.Fatalf("%s, statement %d: %v", m.Name, i+1, err)
			}
		}
	}
}

// applyBefore runs the migrations before one, and gives that and those that follow it.
func applyBefore(t *testing.T, db *enginetest.DB, name string) (rest []warehouse.Migration) {
	t.Helper()
	migrations, err := warehouse.Migrations()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(migrations, func(m warehouse.Migration) bool { return m.Name == name })
	if i < 0 {
		t.Fatalf("there is no migration %s", name)
	}
	apply(t, db, migrations[:i])
	return migrations[i:]
}

// A database of the first release keeps what it holds, and its dossiers are moved to their portals: at once, and once.
func TestUpgradeWithData(t *testing.T) {
	w := &world{t: t, db: enginetest.Start(t)}
	migrations, err := warehouse.Migrations()
	if err != nil {
		t.Fatal(err)
	}
	apply(t, w.db, migrations[:released])
	// Today's program writes what the first one wrote, but takes a place in an order first, and knows more columns and
	// cubes. A database of the first release has none of these, and its views leave the columns out.
	const order = "dossier_order"
	for _, m := range migrations {
		for _, statement := range m.Statements() {
			if (m.Name == "0006_events.sql" || m.Name == "0024_rules_input.sql") && strings.HasPrefix(statement, "ALTER TABLE dossier_events") ||
				strings.HasPrefix(statement, "CREATE TABLE IF NOT EXISTS dossier_") || strings.HasPrefix(statement, "ALTER TABLE dossier_changes") ||
				strings.HasPrefix(statement, "CREATE MATERIALIZED VIEW IF NOT EXISTS dossier_history_mv") ||
				strings.HasPrefix(statement, "CREATE MATERIALIZED VIEW IF NOT EXISTS dossier_province_") ||
				strings.HasPrefix(statement, "CREATE MATERIALIZED VIEW IF NOT EXISTS dossier_service_days_mv") ||
				strings.HasPrefix(statement, "CREATE MATERIALIZED VIEW IF NOT EXISTS dossier_agency_deadlines_mv") {
				if err := w.db.Client.Conn().Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	w.data = loadReference(t, w.db)
	r := rand.New(rand.NewPCG(5, 5))
	dossiers := randomDossiers(r, 400)
	spans := logs(r, dossiers, 3, 200)
	early := spans[:2*len(spans)/3]
	w.load(early...)
	w.mustApply(early...)
	if err := w.db.Client.Conn().Exec(t.Context(), "DROP TABLE "+order+" SYNC"); err != nil {
		t.Fatal(err)
	}
	const others = `SELECT toString((SELECT groupArray(tuple(*)) FROM (SELECT registered_on, subject, version, accepted_at, ended_at, saved_at, due_at, overdue_at, province, service_id, channel, portal, latest
			FROM dossier_state FINAL ORDER BY ALL))) || toString((SELECT (sum(n), max(p.position)) FROM dossier_days AS p))
		|| toString((SELECT (count(), sum(total)) FROM (SELECT sum(n) AS total FROM dossier_deadlines GROUP BY day, province, province63, service_id, overdue_at HAVING total != 0)))`
	before := text(t, w.db.Client, others)

	// Each twice, as after a crash before it was recorded.
	for _, m := range migrations[released:] {
		apply(t, w.db, []warehouse.Migration{m, m})
	}
	if diff := cmp.Diff(before, text(t, w.db.Client, others)); diff != "" {
		t.Errorf("the upgrade changed more than portals:\n%s", diff)
	}
	if diff := cmp.Diff(cubesOf(w.states("dossier_state FINAL")), w.cubes()); diff != "" {
		t.Errorf("cubes are not the sums of the states (-sums +cubes):\n%s", diff)
	}
	cubes := w.cubes()

	// The newest once more, as it is done in earnest.
	if _, err := warehouse.MigrationStates(t.Context(), w.db.Client); err != nil {
		t.Fatal(err)
	}
	for _, m := range migrations[:len(migrations)-1] {
		if err := w.db.Client.Conn().Exec(t.Context(), "INSERT INTO schema_migrations (name, checksum) VALUES (?, ?)", m.Name, m.Checksum); err != nil {
			t.Fatal(err)
		}
	}
	if err := warehouse.Migrate(t.Context(), w.db.Client); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(cubes, w.cubes()); diff != "" {
		t.Errorf("the second upgrade changed the cubes:\n%s", diff)
	}

	late := spans[len(early):]
	w.load(late...)
	w.mustApply(late...)
	if diff := cmp.Diff(cubesOf(w.states("dossier_state FINAL")), w.cubes()); diff != "" {
		t.Errorf("after the upgrade cubes are not the sums of the states (-sums +cubes):\n%s", diff)
	}

	// What the first release did not know of early dossiers has to be computed anew.
	w.recompute("known")
	for _, statement := range []string{
		"TRUNCATE TABLE dossier_state", "TRUNCATE TABLE dossier_days", "TRUNCATE TABLE dossier_history", "TRUNCATE TABLE dossier_province_days", "TRUNCATE TABLE dossier_province_deadlines", "TRUNCATE TABLE dossier_deadlines",
		"TRUNCATE TABLE dossier_agency_deadlines", "TRUNCATE TABLE dossier_savings", "TRUNCATE TABLE dossier_service_days", "INSERT INTO dossier_changes SELECT * FROM known_changes",
	} {
		if err := w.db.Client.Conn().Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	w.check(dossiers)
}

// Rollups that a migration makes hold nothing of what was voided before: nobody goes through all that is to take it out.
func TestUpgradeWithVoids(t *testing.T) {
	db := enginetest.Start(t)
	rest := applyBefore(t, db, "0020_latency.sql")
	voided := func(batch int) {
		if err := db.Client.Conn().Exec(t.Context(), "INSERT INTO voided (batch, source, event_id, outcome, family) VALUES (?, '/eid_auth/G01', 'a', 'counted', 'auth_attempts')", batch); err != nil {
			t.Fatal(err)
		}
	}
	voided(7)
	apply(t, db, rest)
	voided(8) // by then the rollups count, and it has to be taken out of them
	apply(t, db, rest)
	const positions = "SELECT toString((SELECT max(p.position) FROM auth_latency AS p WHERE topic = '~void')) || ' ' || toString((SELECT max(p.position) FROM auth_latency_days AS p WHERE topic = '~void'))"
	if got := text(t, db.Client, positions); got != "7 7" {
		t.Errorf("the rollups begin behind the batches %s, want 7 7", got)
	}
}
