package warehouse_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/google/go-cmp/cmp"

	"ioc.local/internal/warehouse"
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
	dossiers := randomDossiers(r, 80)
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
	// All places are old, and the next number is the first of the next hundred thousand: the newest of a partition may be that
	// of a range which is not applied yet, so it stays, and what is beside it.
	const old = "ALTER TABLE dossier_order UPDATE taken_at = now() - INTERVAL 8 DAY WHERE 1 SETTINGS mutations_sync = 2"
	const further = "INSERT INTO dossier_order (number, topic, partition, first_offset, last_offset, before, taken_at) SELECT %d - row_number() OVER (ORDER BY number DESC), topic, partition, first_offset, last_offset, before, now() - INTERVAL 8 DAY FROM (SELECT * FROM dossier_order ORDER BY number DESC LIMIT %s)"
	numbers := func() string {
		return text(t, w.db.Client, "SELECT arrayStringConcat(arraySort(groupArray(number)), ' ') FROM (SELECT toString(number) AS number FROM dossier_order)")
	}
	exec(old)
	exec(fmt.Sprintf(further, 100000, "1"))
	rest := spans[len(spans)-3:]
	w.load(rest[0])
	w.mustApply(rest[0])
	if left := numbers(); !strings.HasPrefix(left, "1 ") || !strings.Contains(left, " 99999") {
		t.Errorf("places %s are left, want all", left)
	}
	// The next ones of all partitions are in a later hundred thousand.
	exec(fmt.Sprintf(further, 200000, "1 BY topic, partition"))
	for _, s := range rest[1:] {
		w.load(s)
		w.mustApply(s)
	}
	w.check(dossiers)
	if left := numbers(); !strings.HasPrefix(left, "100000 19999") || !strings.HasSuffix(left, " 199999 200000 200001") {
		t.Errorf("places %s are left", left)
	}
}

// A program was replaced by a newer one while it was applying a range, and partitions are taken up by the newer one in any
// order. The range is finished by what the older one has recorded of it, and counts as being there for all others.
func TestUpgradeInTheMiddleOfARange(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: the race detector has nothing to find")
	}
	for name, begin := range map[string]func(w *world, s span){
		"recorded":     func(*world, span) {},
		"half applied": func(w *world, s span) { w.mustFail(s) },
		"applied":      func(w *world, s span) { w.mustApply(s) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := rand.New(rand.NewPCG(10, 26))
			dossiers := randomDossiers(r, 30)
			var single [][]dossierEvent
			single, w.voided = withVoids(r, dossiers)
			spans := logs(r, single, 3, 30)
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
			s := spans[half]
			w.load(s)
			exec(fmt.Sprintf(`INSERT INTO dossier_bounds (topic, partition, since, others) SELECT '%s', %d, %d, groupArray((topic, partition, position)) FROM
				(SELECT topic, partition, max(dossier_days.position) AS position FROM dossier_days WHERE day = toDate(0) AND topic != '' GROUP BY topic, partition)`, s.topic, s.partition, s.first))
			begin(w, s)
			var own, others []span
			for _, next := range spans[half+1:] {
				if next.logOf == s.logOf {
					own = append(own, next)
				} else {
					others = append(others, next)
				}
			}
			for _, next := range others[:len(others)/2] {
				w.load(next)
				w.mustApply(next)
			}
			w.mustApply(s)
			for i, next := range others[len(others)/2:] {
				w.load(next)
				w.mustApply(next)
				if i < len(own) {
					w.load(own[i])
					w.mustApply(own[i])
				}
			}
			for i := len(others) - len(others)/2; i < len(own); i++ {
				w.load(own[i])
				w.mustApply(own[i])
			}
			w.check(dossiers)
			states, cells := w.states("dossier_state FINAL"), text(t, w.db.Client, allCells)
			w.recompute("recomputed")
			if diff := cmp.Diff(states, w.states("recomputed")); diff != "" {
				t.Errorf("the recomputation differs (-state +recomputed):\n%s", diff)
			}
			w.mustApply(s)
			w.mustApply(own...)
			if diff := cmp.Diff(cells, text(t, w.db.Client, allCells)); diff != "" {
				t.Errorf("applying ranges a second time changed something:\n%s", diff)
			}
		})
	}
}

// A range whose place is forgotten is not given another one, by which its difference would be wrong. Where it is in every
// rollup there is nothing to do.
func TestForgottenPlace(t *testing.T) {
	w := newWorld(t)
	r := rand.New(rand.NewPCG(11, 27))
	_, single := spreadDossiers(r, 60)
	spans := logs(r, single, 3, 20)
	s := spans[len(spans)/3]
	for _, before := range spans[:len(spans)/3] {
		w.load(before)
		w.mustApply(before)
	}
	w.load(s)
	exec := func(statement string) {
		if err := w.db.Client.Conn().Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("ALTER TABLE dossier_savings ADD CONSTRAINT refused CHECK topic = ''")
	if err := w.apply(s); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("got %v", err)
	}
	exec("ALTER TABLE dossier_savings DROP CONSTRAINT refused")
	for _, after := range spans[len(spans)/3+1:] {
		if after.logOf != s.logOf {
			w.load(after)
			w.mustApply(after)
		}
	}
	forget := fmt.Sprintf("ALTER TABLE dossier_order DELETE WHERE partition = %d AND first_offset = %d SETTINGS mutations_sync = 2", s.partition, s.first)
	exec(forget)
	err := w.apply(s)
	var forgotten *warehouse.ForgottenPlaceError
	if !errors.As(err, &forgotten) || !slices.Contains(forgotten.Lacking, "dossier_savings") {
		t.Fatalf("got %v, want that dossier_savings lacks the range", err)
	}
	if want := "ioc verify --at-rest --rebuild dossier_state,dossier_days,dossier_deadlines,dossier_agency_deadlines,dossier_history,dossier_province_days,dossier_province_deadlines,dossier_savings,dossier_service_days"; !strings.Contains(err.Error(), want) {
		t.Errorf("the error %q does not name %q", err, want)
	}
	for _, cube := range forgotten.Lacking { // as a rebuild does
		exec(fmt.Sprintf("INSERT INTO %s (topic, partition, position) VALUES ('%s', %d, %d)", cube, s.topic, s.partition, s.last+1))
	}
	cells := text(t, w.db.Client, allCells)
	w.mustApply(s)
	if diff := cmp.Diff(cells, text(t, w.db.Client, allCells)); diff != "" {
		t.Errorf("a range that is everywhere was applied again:\n%s", diff)
	}
}

// What a log that was given up has left behind is counted as being there by the ranges that come.
func TestPlaceLeftBehind(t *testing.T) {
	w := newWorld(t)
	r := rand.New(rand.NewPCG(12, 28))
	_, single := spreadDossiers(r, 60)
	spans := logs(r, single, 2, 20)
	s, client := spans[0], w.db.Client
	w.load(s)
	w.mustApply(s)
	placed := func() uint64 {
		n, err := warehouse.Placed(t.Context(), client, s.topic, s.partition)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := placed(); n != uint64(s.last+1) {
		t.Errorf("the order has come to %d, want %d", n, s.last+1)
	}
	end := uint64(s.last + 20)
	for range 2 {
		if err := warehouse.PlaceLeftBehind(t.Context(), client, s.topic, s.partition, end); err != nil {
			t.Fatal(err)
		}
	}
	if n := placed(); n != end {
		t.Errorf("the order has come to %d, want %d", n, end)
	}
	if n := text(t, client, "SELECT toString(count()) FROM dossier_order"); n != "2" {
		t.Errorf("there are %s places, want 2", n)
	}
}
