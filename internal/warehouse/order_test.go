package warehouse_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/google/go-cmp/cmp"
)

// byPartition are the spans of each partition, in order.
func byPartition(spans []span) map[*logOf][]span {
	found := map[*logOf][]span{}
	for _, s := range spans {
		found[s.logOf] = append(found[s.logOf], s)
	}
	return found
}

// spreadDossiers are dossiers of which every event is on its own, so that logs spreads a dossier over all partitions.
func spreadDossiers(r *rand.Rand, n int) (dossiers, single [][]dossierEvent) {
	dossiers = randomDossiers(r, n)
	for _, events := range dossiers {
		for _, e := range events {
			single = append(single, []dossierEvent{e})
		}
	}
	return dossiers, single
}

// Processes that know nothing of each other apply the events of the same dossiers in the same moment.
func TestDossiersOfSeveralPartitionsAtOnce(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 22))
			dossiers := randomDossiers(r, 100)
			w := newWorld(t)
			var single [][]dossierEvent
			single, w.voided = withVoids(r, dossiers)
			spans := logs(r, single, 4, 25)
			var group errgroup.Group
			for _, queue := range byPartition(spans) {
				group.Go(func() error {
					for i, s := range queue {
						w.load(s)
						if err := w.apply(s); err != nil {
							return err
						}
						if i%3 == 0 { // a second attempt, when others have gone on
							if err := w.apply(s); err != nil {
								return err
							}
						}
					}
					return nil
				})
			}
			if err := group.Wait(); err != nil {
				t.Fatal(err)
			}
			w.check(dossiers)
			if n := text(t, w.db.Client, "SELECT toString(max(number) - uniqExact(number) + count() - uniqExact(topic, partition, first_offset)) FROM dossier_order"); n != "0" {
				t.Errorf("the order has gaps, or a range twice: %s", n)
			}
		})
	}
}

// A range that has its place and was not applied, because its process died, is applied by the next owner after the
// others have gone on, in every rollup that lacks it.
func TestDossiersOfARangeThatComesLate(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 23))
	dossiers := randomDossiers(r, 150)
	var single [][]dossierEvent
	w := newWorld(t)
	single, w.voided = withVoids(r, dossiers)
	spans := logs(r, single, 4, 40)
	queues := byPartition(spans)
	late := map[*logOf]bool{}
	for len(queues) > 0 {
		var group errgroup.Group
		for log, queue := range queues {
			if late[log] {
				continue
			}
			fails := r.IntN(3) == 0
			late[log] = fails
			group.Go(func() error {
				w.load(queue[0])
				if fails {
					return nil
				}
				return w.apply(queue[0])
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		// Those that fail have their place before the others of the next round, and are applied after some of them.
		for log, queue := range queues {
			if late[log] {
				if r.IntN(2) == 0 {
					w.mustFail(queue[0])
					continue
				}
				w.mustApply(queue[0])
				late[log] = false
			}
			if queues[log] = queue[1:]; len(queues[log]) == 0 {
				delete(queues, log)
			}
		}
	}
	w.check(dossiers)
	states, cells := w.states("dossier_state FINAL"), text(t, w.db.Client, allCells)
	w.recompute("recomputed")
	if diff := cmp.Diff(states, w.states("recomputed")); diff != "" {
		t.Errorf("the recomputation differs (-state +recomputed):\n%s", diff)
	}
	w.mustApply(spans...)
	if diff := cmp.Diff(cells, text(t, w.db.Client, allCells)); diff != "" {
		t.Errorf("applying every range a second time changed something:\n%s", diff)
	}
}

// What an older version has recorded of a range that it began stays what the range is applied on.
func TestRangeBegunByAnOlderVersion(t *testing.T) {
	w := newWorld(t)
	r := rand.New(rand.NewPCG(8, 24))
	dossiers, single := spreadDossiers(r, 60)
	spans := logs(r, single, 2, 20)
	s := spans[len(spans)-1]
	for _, other := range spans[:len(spans)-1] {
		w.load(other)
		w.mustApply(other)
	}
	w.load(s)
	if err := w.db.Client.Conn().Exec(t.Context(), fmt.Sprintf(`INSERT INTO dossier_bounds (topic, partition, since, others) SELECT '%s', %d, %d, groupArray((topic, partition, position)) FROM
		(SELECT topic, partition, max(dossier_days.position) AS position FROM dossier_days WHERE day = toDate(0) AND topic != '' GROUP BY topic, partition)`, s.topic, s.partition, s.first)); err != nil {
		t.Fatal(err)
	}
	w.mustApply(s)
	w.check(dossiers)
	if n := text(t, w.db.Client, fmt.Sprintf("SELECT toString(count()) FROM dossier_order WHERE topic = '%s' AND partition = %d AND first_offset = %d", s.topic, s.partition, s.first)); n != "0" {
		t.Error("the range has taken a place of its own")
	}
}

// The first place is after all that an older version has applied, and old places go, never the newest.
func TestOrderBeginsAndForgets(t *testing.T) {
	w := newWorld(t)
	r := rand.New(rand.NewPCG(9, 25))
	dossiers, single := spreadDossiers(r, 60)
	spans := logs(r, single, 3, 20)
	half := len(spans) / 2
	for _, s := range spans[:half] {
		w.load(s)
		w.mustApply(s)
	}
	exec := func(statement string) {
		if err := w.db.Client.Conn().Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("TRUNCATE TABLE dossier_order") // an older version had none
	w.load(spans[half])
	w.mustApply(spans[half])
	if before := text(t, w.db.Client, "SELECT toString(length(before)) FROM dossier_order WHERE number = 1"); before != "3" {
		t.Errorf("the first place is after %s partitions, want 3", before)
	}
	for _, s := range spans[half+1 : len(spans)-3] {
		w.load(s)
		w.mustApply(s)
	}
	// The next number is the last of its hundred thousand; what is before is old.
	exec("ALTER TABLE dossier_order UPDATE taken_at = now() - INTERVAL 8 DAY WHERE 1 SETTINGS mutations_sync = 2")
	exec("INSERT INTO dossier_order (number, topic, partition, first_offset, last_offset, before, taken_at) SELECT 199999, topic, partition, first_offset, last_offset, before, now() - INTERVAL 8 DAY FROM dossier_order ORDER BY number DESC LIMIT 1")
	for _, s := range spans[len(spans)-3:] {
		w.load(s)
		w.mustApply(s)
	}
	w.check(dossiers)
	if numbers := text(t, w.db.Client, "SELECT arrayStringConcat(arraySort(groupArray(toString(number))), ' ') FROM dossier_order"); numbers != "199999 200000 200001 200002" {
		t.Errorf("places %s are left", strings.TrimSpace(numbers))
	}
}
