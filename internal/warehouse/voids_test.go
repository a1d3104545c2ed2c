package warehouse_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// withVoids adds voids of about one event in five: some twice, and some that mean nothing (of an event that there is
// not, by another source, of another void). It gives each event on its own, so that a dossier is spread over partitions.
func withVoids(r *rand.Rand, dossiers [][]dossierEvent) (single [][]dossierEvent, voided map[identity]bool) {
	voided = map[identity]bool{}
	n := 0
	add := func(source, id string) {
		n++
		single = append(single, []dossierEvent{{source: source, id: fmt.Sprintf("v-%d", n), time: time.Now().UnixMilli(), void: id}})
	}
	for i, events := range dossiers {
		for _, e := range events {
			single = append(single, []dossierEvent{e})
			// Some dossiers lose all that they have.
			for range 2 {
				if r.IntN(5) == 0 || i%50 == 0 {
					add(e.source, e.id)
					voided[identity{e.source, e.id}] = true
				}
			}
		}
		switch r.IntN(8) {
		case 0:
			add(events[0].source, "nothing of this name")
		case 1:
			add("/somebody/else", events[0].id)
		case 2:
			add(events[0].source, events[0].id)
			voided[identity{events[0].source, events[0].id}] = true
			add(events[0].source, fmt.Sprintf("v-%d", n))
		}
	}
	return single, voided
}

// A void takes its event out wherever it comes: before the event or after, in the same range or in another partition.
func TestVoidedDossierEvents(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: the race detector has nothing to find")
	}
	for name, at := range map[string]func(w *world, spans []span){
		"range after range": func(w *world, spans []span) {
			for _, s := range spans {
				w.load(s)
				w.mustApply(s)
			}
		},
		"all raw rows before the first range is applied": func(w *world, spans []span) {
			w.load(spans...)
			w.mustApply(spans...)
		},
		"a rollup fails in between": func(w *world, spans []span) {
			w.load(spans[:len(spans)/2]...)
			for i, s := range spans {
				if i >= len(spans)/2 {
					w.load(s)
				}
				if i%3 == 0 {
					w.mustFail(s)
				}
				w.mustApply(s)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 9))
			dossiers := randomDossiers(r, 500)
			w := newWorld(t)
			var single [][]dossierEvent
			single, w.voided = withVoids(r, dossiers)
			spans := logs(r, single, 4, 200)
			at(w, spans)
			w.check(dossiers)

			states, cells := w.states("dossier_state FINAL"), text(t, w.db.Client, allCells)
			w.mustApply(spans...)
			if diff := cmp.Diff(cells, text(t, w.db.Client, allCells)); diff != "" {
				t.Errorf("applying every range a second time changed something:\n%s", diff)
			}
			w.recompute("recomputed")
			if diff := cmp.Diff(states, w.states("recomputed")); diff != "" {
				t.Errorf("the recomputation differs (-state +recomputed):\n%s", diff)
			}
			gone := 0
			for _, s := range states {
				if s.Latest == 0 {
					gone++
				}
			}
			if n := text(t, w.db.Client, "SELECT toString(count()) FROM dossiers"); gone == 0 || n != fmt.Sprint(len(dossiers)-gone) {
				t.Errorf("the view shows %s of %d dossiers, of which %d have lost all events", n, len(dossiers), gone)
			}
		})
	}
}

// mustFail applies a span while one of the rollups refuses it.
func (w *world) mustFail(s span) {
	w.t.Helper()
	name := []string{"aaa_mv", "dossier_mmm_mv", "zzz_mv"}[s.first%3]
	if err := w.db.Client.Conn().Exec(w.t.Context(), "CREATE MATERIALIZED VIEW "+name+" (x UInt8) ENGINE = Memory AS SELECT throwIf(1, 'made to fail')::UInt8 AS x FROM dossier_changes"); err != nil {
		w.t.Fatal(err)
	}
	if err := w.apply(s); err == nil || !strings.Contains(err.Error(), "made to fail") {
		w.t.Fatalf("applying under a failing rollup gave %v", err)
	}
	if err := w.db.Client.Conn().Exec(w.t.Context(), "DROP VIEW "+name+" SYNC"); err != nil {
		w.t.Fatal(err)
	}
}

// The search for voids costs a batch little, however many there are of other things.
func TestVoidsAreFoundByIndex(t *testing.T) {
	w := newWorld(t)
	conn := w.db.Client.Conn()
	for _, statement := range []string{
		"INSERT INTO dossier_events (registered_on, subject, event_id, source) SELECT '2025-01-01', 'd-' || toString(number), generateUUIDv4(), '/npsp/H26' FROM numbers(200000)",
		"INSERT INTO dossier_events (registered_on, subject, event_id, source) VALUES ('2025-01-01', 'd-x', 'wanted', '/npsp/H26')",
		"INSERT INTO register_events (type, subject, source, event_id) VALUES ('event.void', 'wanted', '/npsp/H26', 'v')",
	} {
		if err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	plan := text(t, w.db.Client, `SELECT arrayStringConcat(groupArray(explain), '\n') FROM (EXPLAIN indexes = 1 SELECT subject FROM dossier_events
		WHERE (source, event_id) IN (SELECT source, subject FROM register_events WHERE type = 'event.void'))`)
	if !strings.Contains(plan, "Name: event_ids") {
		t.Errorf("the index is not used:\n%s", plan)
	}
}
