package warehouse_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

// released is how many schema files the first release had.
const released = 5

// A database of the first release keeps what it holds, and its dossiers are moved to their portals: at once, and once.
func TestUpgradeWithData(t *testing.T) {
	w := &world{t: t, db: enginetest.Start(t)}
	migrations, err := warehouse.Migrations()
	if err != nil {
		t.Fatal(err)
	}
	apply := func(migrations []warehouse.Migration) {
		t.Helper()
		for _, m := range migrations {
			for i, statement := range m.Statements() {
				if err := w.db.Client.Conn().Exec(t.Context(), statement); err != nil {
					t.Fatalf("%s, statement %d: %v", m.Name, i+1, err)
				}
			}
		}
	}
	apply(migrations[:released])
	// Today's program writes what the first one wrote, but takes a place in an order first. A database of the first release
	// has none.
	const order = "dossier_order"
	for _, m := range migrations {
		for _, statement := range m.Statements() {
			if strings.HasPrefix(statement, "CREATE TABLE IF NOT EXISTS "+order) {
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
	const others = `SELECT toString((SELECT groupArray(tuple(*)) FROM (SELECT * FROM dossier_state FINAL ORDER BY ALL))) || toString((SELECT (sum(n), max(p.position)) FROM dossier_days AS p))
		|| toString((SELECT (count(), sum(n)) FROM dossier_deadlines))`
	before := text(t, w.db.Client, others)

	apply(migrations[released:])
	if diff := cmp.Diff(before, text(t, w.db.Client, others)); diff != "" {
		t.Errorf("the upgrade changed more than portals:\n%s", diff)
	}
	if diff := cmp.Diff(cubesOf(w.states("dossier_state FINAL")), w.cubes()); diff != "" {
		t.Errorf("cubes are not the sums of the states (-sums +cubes):\n%s", diff)
	}
	cubes := w.cubes()

	// Once more from the beginning, as after a crash before it was recorded, and as it is done in earnest.
	apply(migrations)
	if err := warehouse.Migrate(t.Context(), w.db.Client); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(cubes, w.cubes()); diff != "" {
		t.Errorf("the second upgrade changed the cubes:\n%s", diff)
	}

	late := spans[len(early):]
	w.load(late...)
	w.mustApply(late...)
	w.check(dossiers)
}
