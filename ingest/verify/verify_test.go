package verify_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"ioc.local/ingest"
	"ioc.local/ingest/verify"
)

// filled is a world with a little of everything, in three partitions.
func filled(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	for i, s := range []*stream{w.stream("mixed", 0, 0), w.stream("mixed", 1, 1_048_500), w.stream("mixed@1", 0, 40)} {
		for range 2 - min(i, 1) {
			from := s.next
			s.mustWrite(s.someEvents(60)...)
			s.mustWrite(s.someVoids(from)...)
		}
	}
	w.takeOut()
	return w
}

// rounds is how often what is random is repeated: TEST_VERIFY_ROUNDS, 1 if it is not set.
func rounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("TEST_VERIFY_ROUNDS")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("TEST_VERIFY_ROUNDS is %q, which is no number of rounds", text)
	}
	return n
}

// keep remembers what all tables hold. back lets them hold that again.
func (w *world) keep() (back func()) {
	w.t.Helper()
	tables := strings.Fields(w.text("SELECT arrayStringConcat(groupArray(name), ' ') FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"))
	other := w.db.Database + "_kept"
	w.exec("CREATE DATABASE " + other)
	t := w.t // which subtests set
	t.Cleanup(func() {
		if err := w.db.Client.Conn().Exec(context.Background(), "DROP DATABASE "+other+" SYNC"); err != nil {
			t.Error(err)
		}
	})
	for _, table := range tables {
		w.exec(fmt.Sprintf("CREATE TABLE %s.%s AS %[2]s", other, table))
		w.exec(fmt.Sprintf("ALTER TABLE %s.%s ATTACH PARTITION ALL FROM %[2]s", other, table))
	}
	return func() {
		for _, table := range tables {
			w.exec("TRUNCATE TABLE " + table)
			w.exec(fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION ALL FROM %s.%[1]s", table, other))
		}
	}
}

func TestCleanDatabasePasses(t *testing.T) {
	w := filled(t)
	r := w.verify(verify.Options{})
	text := printed(t, r)
	if !r.OK() {
		t.Fatalf("not ok:\n%s", text)
	}
	// A proof over nothing would be ok as well.
	if len(r.Partitions) != 3 || r.Partitions[0].First != 0 || r.Partitions[1].First != 1_048_500 || r.Partitions[2].Topic != "mixed@1" {
		t.Errorf("partitions: %+v", r.Partitions)
	}
	for _, p := range r.Partitions {
		if p.End-p.First < 130 || p.Hours == 0 {
			t.Errorf("hardly anything of %+v was judged", p)
		}
	}
	if r.Identities.Events < 480 {
		t.Errorf("only %d identities were judged", r.Identities.Events)
	}
	names := map[string]bool{}
	for _, rollup := range r.Rollups {
		names[rollup.Name] = true
		if rollup.Compared == 0 || rollup.Partial > 0 {
			t.Errorf("%s was not compared: %+v", rollup.Name, rollup)
		}
	}
	for _, name := range []string{"auth_minutes", "auth_days", "auth_latency", "auth_latency_days", "query_minutes", "query_days", "eid_minutes", "eid_days", "source_activity", "feed_quality", "dossier_state", "dossier_days", "dossier_deadlines", "dossier_agency_deadlines", "dossier_history", "dossier_province_days", "dossier_province_deadlines", "dossier_savings", "dossier_service_days"} {
		if !names[name] {
			t.Errorf("%s was not verified", name)
		}
	}
	if r.Voids.TakenOut != 12 || r.Voids.Open > 0 {
		t.Errorf("voids: %+v, want 3 taken out of each of 4 ranges", r.Voids)
	}
	for _, want := range []string{"PARTITION  FIRST", "mixed/1", "auth_minutes", "ok: every offset once"} {
		if !strings.Contains(text, want) {
			t.Errorf("the print lacks %q:\n%s", want, text)
		}
	}
}

func TestEmptyDatabasePasses(t *testing.T) {
	w := newWorld(t)
	if r := w.verify(verify.Options{}); !r.OK() {
		t.Errorf("not ok:\n%s", printed(t, r))
	}
}

// Each fault is made in the same database, which is put back in between.
func TestEachFaultIsFound(t *testing.T) {
	skipShort(t)
	const authAt = "(SELECT min(offset) FROM auth_attempts WHERE topic = 'mixed' AND partition = 0 AND offset > 100)"
	copyAuth := "INSERT INTO auth_attempts SELECT * REPLACE (%s) FROM (SELECT * FROM auth_attempts WHERE topic = 'mixed' AND partition = 0 AND offset = " + authAt + ")"
	// The rollups of a copy that is made here are put right again, so that only the fault in question remains.
	tests := map[string]struct {
		breaking []string
		want     []string // parts of the print
		rollups  string   // those that must differ, and no others
	}{
		"a counted row is gone": {
			breaking: []string{"ALTER TABLE auth_attempts DELETE WHERE topic = 'mixed' AND partition = 0 AND offset = " + authAt + " SETTINGS mutations_sync = 2"},
			want:     []string{"mixed/0: offsets 101 to 101 are in no table, hour 20"},
			rollups:  "auth_days auth_latency auth_latency_days auth_minutes feed_quality source_activity",
		},
		"an event of a dossier is gone": {
			breaking: []string{"ALTER TABLE dossier_events DELETE WHERE topic = 'mixed' AND status = 2 AND offset = (SELECT min(offset) FROM dossier_events WHERE topic = 'mixed' AND partition = 1 AND status = 2 AND event_id NOT IN (SELECT subject FROM register_events)) SETTINGS mutations_sync = 2"},
			want:     []string{"are in no table", "dossier_state: 1 rows differ"},
			rollups:  "dossier_agency_deadlines dossier_days dossier_deadlines dossier_history dossier_province_days dossier_province_deadlines dossier_service_days dossier_state feed_quality source_activity",
		},
		"skipped offsets are gone": {
			breaking: []string{"ALTER TABLE skipped_offsets DELETE WHERE topic = 'mixed' AND partition = 1 AND first_offset = (SELECT min(first_offset) FROM skipped_offsets WHERE topic = 'mixed' AND partition = 1 AND kind = 'gap') SETTINGS mutations_sync = 2"},
			want:     []string{"mixed/1: offsets 1048526 to 1048528 are in no table"},
		},
		"all dead letters are gone": {
			breaking: []string{"TRUNCATE TABLE dead_letters"},
			want:     []string{"mixed/0: offsets 8 to 8 are in no table", "and 2 more ranges"},
			rollups:  "feed_quality",
		},
		"an offset has a row in two tables": {
			breaking: []string{"INSERT INTO skipped_offsets (topic, partition, first_offset, last_offset, kind, received_at) VALUES ('mixed', 0, 100, 103, 'gap', now64(3))"},
			want:     []string{"mixed/0: offsets 100 to 100 are there twice", "skipped_offsets", "103 to 103 are there twice"},
		},
		"a row too many and one too few": {
			breaking: []string{
				"ALTER TABLE dead_letters DELETE WHERE topic = 'mixed' AND partition = 0 AND offset = 8 SETTINGS mutations_sync = 2",
				"INSERT INTO dead_letters (received_at, topic, partition, offset) VALUES (now64(3), 'mixed', 0, 9)",
			},
			want:    []string{"mixed/0: offsets 8 to 8 are in no table", "mixed/0: offsets 9 to 9 are there twice"},
			rollups: "feed_quality",
		},
		"an identity is in a partition twice": {
			breaking: []string{fmt.Sprintf(copyAuth, "toUInt64(offset + 1000000) AS offset"), "INSERT INTO skipped_offsets (topic, partition, first_offset, last_offset, kind, received_at) VALUES ('mixed', 0, {end}, 1000100, 'gap', now64(3))"},
			want:     []string{"1 identities are twice in one partition", "/eid_auth/G01 auth-mixed-0-"},
			rollups:  "feed_quality",
		},
		"a counted fact came by two partitions": {
			breaking: []string{fmt.Sprintf(copyAuth, "'mixed@1' AS topic, toUInt64(1000) AS offset")},
			want:     []string{"1 identities of counted facts came by several partitions", "an event.void takes all copies"},
			rollups:  "feed_quality",
		},
		"a fact was taken out that no void names": {
			breaking: []string{"ALTER TABLE register_events DELETE WHERE type = 'event.void' AND subject = (SELECT min(subject) FROM register_events WHERE type = 'event.void' AND subject LIKE 'a-%') SETTINGS mutations_sync = 2"},
			want:     []string{"eid_days: 1 rows differ", "n 32, raw gives 33"},
			rollups:  "eid_days eid_minutes feed_quality source_activity",
		},
		"a voided fact still counts": {
			breaking: []string{"INSERT INTO register_events (type, source, subject, event_id, received_at) SELECT 'event.void', '/eid_auth/G01', max(event_id), 'late', now() - INTERVAL 2 HOUR FROM auth_attempts"},
			want:     []string{"1 voided events still count after an hour"},
		},
		"a rollup never heard of a void": {
			breaking: []string{"ALTER TABLE voided UPDATE decided_at = now64(3) - INTERVAL 2 HOUR WHERE 1 SETTINGS mutations_sync = 2", "ALTER TABLE auth_days DELETE WHERE topic = '~void' SETTINGS mutations_sync = 2"},
			want:     []string{"4 voided events are still in some rollup"},
			rollups:  "auth_days",
		},
	}
	w := filled(t)
	committed, putBack := maps.Clone(w.committed), w.keep()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w.t, w.committed = t, maps.Clone(committed)
			defer putBack()
			end := fmt.Sprint(w.committed[verify.TopicPartition{Topic: "mixed"}])
			for _, statement := range test.breaking {
				w.exec(strings.ReplaceAll(statement, "{end}", end))
			}
			// What these statements insert into raw tables reaches the rollups too: it is counted, so nothing differs there.
			for tp := range w.committed {
				w.committed[tp] = 1 << 40
			}
			r := w.verify(verify.Options{})
			text := printed(t, r)
			if r.OK() {
				t.Fatalf("the fault was not found:\n%s", text)
			}
			for _, want := range append(test.want, "NOT OK") {
				if !strings.Contains(text, want) {
					t.Errorf("the print lacks %q:\n%s", want, text)
				}
			}
			if got := differing(r); got != test.rollups {
				t.Errorf("%q differ, want %q:\n%s", got, test.rollups, text)
			}
		})
	}
}

// differing are the rollups that differ.
func differing(r *verify.Report) string {
	var differ []string
	for _, rollup := range r.Rollups {
		if rollup.Differ > 0 {
			differ = append(differ, rollup.Name)
		}
	}
	return strings.Join(differ, " ")
}

// Copies of dossier and register events in other partitions, and repeats a day later, are remarks and no faults.
func TestHarmlessCopies(t *testing.T) {
	w := newWorld(t)
	now := time.Now()
	one, two := w.stream("one", 0, 0), w.stream("two", 0, 0)
	one.mustWrite(dossier("1", "d-1", 2, now), report("1", now))
	two.mustWrite(dossier("1", "d-1", 2, now), report("1", now))
	early := w.stream("three", 0, 0)
	early.clock = now.Add(-25 * time.Hour)
	early.mustWrite(auth("late", 1, early.clock))
	late := w.stream("three", 0, early.next)
	late.mustWrite(auth("late", 1, early.clock))
	r := w.verify(verify.Options{})
	if !r.OK() {
		t.Errorf("not ok:\n%s", printed(t, r))
	}
	if r.Identities.Copied != 2 || r.Identities.Late != 1 {
		t.Errorf("copied %d, late %d, want 2 and 1", r.Identities.Copied, r.Identities.Late)
	}
}

// Raw rows of counted facts go after 90 days and their rollups stay. What can still be proved then is proved.
func TestAfterRetention(t *testing.T) {
	w := newWorld(t)
	s := w.stream("old", 0, 0)
	s.clock = time.Now().Add(-100 * 24 * time.Hour)
	s.mustWrite(s.someEvents(60)...)
	s.clock = time.Now()
	// One that is late has the longest latency of its day, of which the others are gone.
	s.mustWrite(append(s.someEvents(60), auth("late", 0, time.Now().Add(-100*24*time.Hour)))...)
	w.exec("OPTIMIZE TABLE auth_attempts FINAL")
	if left := w.text("SELECT toString(count() > 0 AND min(received_at) > now() - INTERVAL 1 DAY) FROM auth_attempts"); left != "1" {
		t.Fatal("the old rows are still there, or the new ones are not")
	}
	r := w.verify(verify.Options{})
	if !r.OK() {
		t.Fatalf("not ok:\n%s", printed(t, r))
	}
	var partial uint64
	for _, rollup := range r.Rollups {
		partial += rollup.Partial
	}
	if partial == 0 {
		t.Errorf("no row counts as partial:\n%s", printed(t, r))
	}
	w.exec("INSERT INTO auth_days (day, province, n) VALUES (today(), '01', 1)")
	if r := w.verify(verify.Options{}); r.OK() {
		t.Errorf("a row too many today was not found:\n%s", printed(t, r))
	}
}

func TestRunWhileRowsAreInserted(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var group errgroup.Group
	for i, s := range []*stream{w.stream("busy", 0, 0), w.stream("busy", 1, 7)} {
		s.mustWrite(s.someEvents(20)...)
		group.Go(func() error {
			for n := 0; ctx.Err() == nil; n++ {
				// A statement is not cancelled half-way: ingestion lets it end as well.
				from := s.next
				if err := s.write(context.WithoutCancel(ctx), s.someEvents(20+30*(n%3)+i)...); err != nil {
					return err
				}
				if err := s.write(context.WithoutCancel(ctx), s.someVoids(from)...); err != nil {
					return err
				}
			}
			return nil
		})
	}
	voids, err := ingest.NewVoids(ingest.DefaultVoidsConfig(), ingest.VoidsDeps{Logger: zap.NewNop(), Registry: prometheus.NewRegistry(), Warehouse: w.db.Client})
	if err != nil {
		t.Fatal(err)
	}
	group.Go(func() error { return voids.Run(ctx) })
	before := w.verify(verify.Options{})
	for range rounds(t) {
		if r := w.verify(verify.Options{}); !r.OK() {
			t.Errorf("not ok:\n%s", printed(t, r))
		}
	}
	after := w.verify(verify.Options{})
	if after.Identities.Events <= before.Identities.Events {
		t.Error("nothing was inserted meanwhile")
	}
	stop()
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	w.takeOut()
	if r := w.verify(verify.Options{}); !r.OK() || r.Voids.TakenOut < 3 || r.Voids.Open > 0 {
		t.Errorf("at rest:\n%s", printed(t, r))
	}
}

// A range that is inserted in part is under way, not a fault: it lies above the committed offset.
func TestRangeUnderWay(t *testing.T) {
	w := filled(t)
	w.exec("INSERT INTO dossier_events SELECT * REPLACE (toUInt64(offset + 1000) AS offset, event_id || 'x' AS event_id, subject || 'x' AS subject) FROM dossier_events WHERE topic = 'mixed' AND partition = 0")
	if r := w.verify(verify.Options{}); !r.OK() {
		t.Errorf("not ok:\n%s", printed(t, r))
	}
}

func TestViewThatCannotBeRecomputed(t *testing.T) {
	w := newWorld(t)
	w.exec("CREATE TABLE odd (n UInt64) ENGINE = MergeTree ORDER BY n")
	w.exec("CREATE MATERIALIZED VIEW odd_mv TO odd AS SELECT count() AS n FROM auth_attempts")
	r := w.verify(verify.Options{})
	if text := printed(t, r); r.OK() || !strings.Contains(text, "odd: it has no position rows") {
		t.Errorf("a rollup that was not verified passes:\n%s", text)
	}
}

func TestErrorsLeaveNoTables(t *testing.T) {
	skipShort(t)
	w := filled(t)
	deps := verify.Deps{Client: w.db.Client, Calendar: w.calendar}
	failed := errors.New("no broker")
	_, err := verify.Run(t.Context(), verify.Deps{Client: w.db.Client, Committed: func(context.Context) (map[verify.TopicPartition]int64, error) {
		return nil, failed
	}}, verify.Options{})
	if !errors.Is(err, failed) {
		t.Errorf("got %v, want %v", err, failed)
	}
	// The context ends at each step in turn.
	var steps int
	if _, err := verify.Run(t.Context(), deps, verify.Options{Progress: func(string) { steps++ }}); err != nil {
		t.Fatal(err)
	}
	// Of the rollups, which are all alike, some will do.
	stride := max(1, 4-rounds(t))
	for stop := 1 + rand.IntN(stride); stop <= steps; stop += stride {
		ctx, cancel := context.WithCancel(t.Context())
		at := 0
		_, err := verify.Run(ctx, deps, verify.Options{Progress: func(string) {
			if at++; at == stop {
				cancel()
			}
		}})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("step %d: got %v, want %v", stop, err, context.Canceled)
		}
		w.noTablesLeft()
	}
	// A statement fails after tables were made.
	w.exec("DROP TABLE dossier_events")
	if _, err := verify.Run(t.Context(), deps, verify.Options{}); err == nil || !strings.Contains(err.Error(), "dossier_events") {
		t.Errorf("got %v, want an error that names the table", err)
	}
	w.noTablesLeft()
}
