package warehouse_test

import (
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"

	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

// TestTokensOutliveRestart repeats an insert into every table that rollups are behind, on a server that has loaded
// its tables again since: nothing counts twice. The ids of blocks must not depend on how a table or view came about.
func TestTokensOutliveRestart(t *testing.T) {
	db := migrated(t)
	again := insertEverywhere(t, db)
	again("by the same server")
	db.Crash(t)
	again("after a restart")
}

// TestTokensOutliveUpgrade does the same with a migration in between that puts views anew with other text: a range may have
// been inserted in part before it.
func TestTokensOutliveUpgrade(t *testing.T) {
	db := enginetest.Start(t)
	rest := applyBefore(t, db, "0018_two_steps.sql")
	again := insertEverywhere(t, db)
	apply(t, db, rest)
	again("after an upgrade")
}

// change is what dossier_changes gets of a dossier, in the schema that the database has, so that every rollup counts it.
func change(t *testing.T, db *enginetest.DB) string {
	t.Helper()
	if text(t, db.Client, "SELECT toString(count()) FROM system.columns WHERE database = currentDatabase() AND table = 'dossier_changes' AND name = 'seen'") == "0" {
		return "(registered_on, subject, sign, accepted_at, saved_at, due_at, overdue_at, topic, partition, position) VALUES (today(), 'd', 1, now64(3), now64(3), now64(3), now64(3), 't', 0, 1)"
	}
	return "(registered_on, subject, sign, accepted_on, timed, saving, seen, n, topic, partition, position) VALUES (today(), 'd', 1, today(), 1, 1, 0, 0, '', 0, 0), (0, '', 0, today(), 0, 0, today(), 1, '', 0, 0), (0, '', 0, 0, 0, 0, 0, 0, 't', 0, 1)"
}

// insertEverywhere inserts a row into every table that rollups are behind, and returns what repeats that and fails when any
// rollup counts it again.
func insertEverywhere(t *testing.T, db *enginetest.DB) (again func(when string)) {
	t.Helper()
	views, err := warehouse.RollupViews(t.Context(), db.Client)
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]bool{}
	for _, v := range views {
		sources[v.Source] = true
	}
	insert := func() {
		t.Helper()
		for source := range sources {
			values := "(topic, partition, offset, source, event_id, occurred_at, received_at) VALUES ('t', 0, 1, 's', 'e', now64(3), now64(3))"
			if source == "dossier_changes" {
				values = change(t, db)
			}
			settings := warehouse.InsertSettings("restart/" + source)
			var err error
			for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
				err = db.Client.Conn().Exec(clickhouse.Context(t.Context(), clickhouse.WithSettings(settings)), "INSERT INTO "+source+" "+values)
				if err == nil || !warehouse.Retryable(err) {
					break
				}
			}
			if err != nil {
				t.Fatalf("%s: %v", source, err)
			}
		}
	}
	counts := func() map[string]string {
		all := map[string]string{}
		for _, v := range views {
			query := "SELECT toString(count()) FROM " + v.Target
			if hasN := text(t, db.Client, "SELECT toString(count()) FROM system.columns WHERE database = currentDatabase() AND table = ? AND name = 'n'", v.Target); hasN == "1" {
				query = "SELECT toString(sum(n)) FROM " + v.Target
			}
			all[v.Target] = text(t, db.Client, query)
		}
		return all
	}
	insert()
	before := counts()
	for target, n := range before {
		if n == "0" {
			t.Errorf("%s counts nothing", target)
		}
	}
	return func(when string) {
		t.Helper()
		insert()
		if diff := cmp.Diff(before, counts()); diff != "" {
			t.Errorf("again, %s (-before +after):\n%s", when, diff)
		}
	}
}
