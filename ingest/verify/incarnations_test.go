package verify_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ioc.local/ingest/verify"
	"ioc.local/internal/warehouse"
)

// A log was given up for another one in the middle of a range. What is there of the range counts, everywhere; what is
// absent is named, and is no fault.
func TestGivenUpInTheMiddleOfARange(t *testing.T) {
	skipShort(t)
	for name, test := range map[string]struct {
		// begin leaves a range half inserted.
		begin func(t *testing.T, w *world, s *stream, values []string)
		// absent is how many offsets are in no table, unplaced says that dossier events have no place in the order.
		absent   uint64
		unplaced bool
		// rollups differ.
		rollups string
	}{
		"with the facts alone": {
			begin:  only("auth_attempts"),
			absent: 10, rollups: "feed_quality",
		},
		"with the dossier events alone": {
			begin:  only("dossier_events"),
			absent: 9, unplaced: true, rollups: "dossier_days dossier_deadlines dossier_state feed_quality",
		},
		"with all rows, and a rollup that lacks them": {
			begin: func(t *testing.T, w *world, s *stream, values []string) {
				w.exec("ALTER TABLE dossier_days ADD CONSTRAINT refused CHECK NOT (topic = 'mixed' AND partition = 0)")
				if err := s.write(t.Context(), values...); err == nil {
					t.Fatal("the range is whole")
				}
				w.exec("ALTER TABLE dossier_days DROP CONSTRAINT refused")
			},
			rollups: "dossier_days",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s, other := w.stream("mixed", 0, 0), w.stream("mixed", 1, 0)
			s.mustWrite(s.stepsOf(5)...)
			other.mustWrite(other.stepsOf(5)...)
			s.clock = s.clock.Add(time.Second)
			var values []string
			for i, step := range s.stepsOf(10) { // of five dossiers of the others, and five new ones
				values = append(values, step, auth(fmt.Sprintf("last-%d", i), i, s.clock))
			}
			first := s.next
			test.begin(t, w, s, values)
			if _, err := warehouse.AdoptTopic(t.Context(), w.db.Client, "mixed", 0, 0, "recreated"); err != nil {
				t.Fatal(err)
			}
			judge := func(when string) {
				t.Helper()
				r := w.verify(verify.Options{Patience: time.Millisecond})
				text := printed(t, r)
				var missing, absent uint64
				for _, p := range r.Partitions {
					missing += p.Missing
				}
				for _, l := range r.LeftBehind {
					absent += l.Absent
					if l.Topic != "mixed" || l.First != uint64(first) {
						t.Errorf("%s: %+v was left behind, want the range from %d", when, l, first)
					}
				}
				if r.OK() || missing > 0 || absent != test.absent || (len(r.Unplaced) == 1) != test.unplaced || strings.Contains(text, "GIVEN UP IN THE MIDDLE OF") != (absent > 0) {
					t.Errorf("%s: %d missing, %d absent, %+v without a place:\n%s", when, missing, absent, r.Unplaced, text)
				}
				for rollup := range strings.FieldsSeq(test.rollups) {
					if !strings.Contains(" "+differing(r)+" ", " "+rollup+" ") {
						t.Errorf("%s: %s does not differ:\n%s", when, rollup, text)
					}
				}
			}
			judge("before the new log has come to anything")
			next := w.stream("mixed@1", 0, 0)
			next.clock = s.clock.Add(time.Second)
			next.mustWrite(next.stepsOf(5)...)
			delete(w.committed, s.TopicPartition) // the commit is that of the new log
			judge("afterwards")
			r := w.verify(verify.Options{Rebuild: []string{verify.All}})
			if !r.OK() || len(r.Unplaced) > 0 {
				t.Fatalf("not ok after the rebuild:\n%s", printed(t, r))
			}
			for range 2 {
				next.mustWrite(next.stepsOf(10)...)
				other.mustWrite(other.stepsOf(10)...)
			}
			if r := w.verify(verify.Options{}); !r.OK() {
				t.Errorf("not ok after ingestion went on:\n%s", printed(t, r))
			}
		})
	}
}

// only lets a range come to one table.
func only(table string) func(t *testing.T, w *world, s *stream, values []string) {
	return func(t *testing.T, _ *world, s *stream, values []string) {
		s.only = table
		if err := s.write(t.Context(), values...); !errors.Is(err, errDied) {
			t.Fatal(err)
		}
	}
}

// Offsets that are missing before the last range of a log that was given up are a fault as everywhere.
func TestMissingBeforeTheLastRange(t *testing.T) {
	w := newWorld(t)
	s := w.stream("mixed", 0, 0)
	s.mustWrite(s.stepsOf(5)...)
	s.clock = s.clock.Add(time.Second)
	s.mustWrite(s.stepsOf(5)...)
	if _, err := warehouse.AdoptTopic(t.Context(), w.db.Client, "mixed", 0, 0, "recreated"); err != nil {
		t.Fatal(err)
	}
	w.exec("ALTER TABLE dossier_events DELETE WHERE offset IN (2, 7) SETTINGS mutations_sync = 2")
	r := w.verify(verify.Options{})
	if len(r.Ranges) != 1 || r.Ranges[0].First != 2 || r.Ranges[0].Last != 2 || len(r.LeftBehind) != 1 || r.LeftBehind[0].First != 5 || r.LeftBehind[0].Absent != 1 {
		t.Errorf("ranges %+v, left behind %+v, want 2 and 7:\n%s", r.Ranges, r.LeftBehind, printed(t, r))
	}
}

// A range whose place in the order is forgotten is refused, and the commands that the error names bring it in.
func TestForgottenPlaceIsResolved(t *testing.T) {
	w := newWorld(t)
	one, two := w.stream("overlap", 0, 0), w.stream("overlap", 1, 0)
	one.mustWrite(one.stepsOf(5)...)
	two.mustWrite(two.stepsOf(5)...)
	first, values := one.next, one.stepsOf(5)
	w.exec("ALTER TABLE dossier_days ADD CONSTRAINT refused CHECK NOT (topic = 'overlap' AND partition = 0)")
	if err := one.write(t.Context(), values...); err == nil {
		t.Fatal("the range is not held up")
	}
	w.exec("ALTER TABLE dossier_days DROP CONSTRAINT refused")
	two.mustWrite(two.stepsOf(5)...)
	w.exec(fmt.Sprintf("ALTER TABLE dossier_order DELETE WHERE partition = 0 AND first_offset = %d SETTINGS mutations_sync = 2", first))
	again := func() error {
		one.next = first
		clear(one.seen)
		return one.write(t.Context(), values...)
	}
	var forgotten *warehouse.ForgottenPlaceError
	if err := again(); !errors.As(err, &forgotten) {
		t.Fatalf("got %v, want that the place is forgotten", err)
	}
	_, rollups, _ := strings.Cut(forgotten.Error(), "ioc verify --at-rest --rebuild ")
	rollups, _, _ = strings.Cut(rollups, "`")
	atRest := verify.Deps{Client: w.db.Client, Calendar: w.calendar}
	if r, err := verify.Run(t.Context(), atRest, verify.Options{Rebuild: strings.Split(rollups, ",")}); err != nil || !r.OK() {
		t.Fatalf("%v, not ok:\n%s", err, printed(t, r))
	}
	if err := again(); err != nil {
		t.Fatalf("the range is still refused: %v", err)
	}
	one.mustWrite(one.stepsOf(5)...)
	two.mustWrite(two.stepsOf(5)...)
	if r := w.verify(verify.Options{}); !r.OK() {
		t.Errorf("not ok:\n%s", printed(t, r))
	}
}
