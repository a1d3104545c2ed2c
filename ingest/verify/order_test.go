package verify_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"ioc.local/ingest/verify"
)

// stepsOf are steps of the same dossiers, as every partition gets them from producers without keys.
func (s *stream) stepsOf(dossiers int) (values []string) {
	for i := range dossiers {
		k := int(s.next) + i
		values = append(values, dossier(fmt.Sprintf("%s-%d-%d", s.Topic, s.Partition, k), fmt.Sprintf("d-%d", i), []int{2, 4, 5, 4, 9, 10}[k/dossiers%6],
			s.clock.Add(time.Duration(k-10_000)*time.Second)))
	}
	return values
}

// Dossiers whose events come through two processes at once are exact, also while they come.
func TestRunWhileDossiersOverlap(t *testing.T) {
	w := newWorld(t)
	var group errgroup.Group
	for partition := range uint32(3) {
		s := w.stream("overlap", partition, 0)
		group.Go(func() error {
			for range 8 {
				if err := s.write(t.Context(), s.stepsOf(12)...); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for range 1 + rounds(t) {
		if r := w.verify(verify.Options{}); !r.OK() {
			t.Errorf("not ok:\n%s", printed(t, r))
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if r := w.verify(verify.Options{}); !r.OK() {
		t.Errorf("at rest:\n%s", printed(t, r))
	}
}

// A range that has its place and is held up, while a later one is in: what the cubes hold meanwhile is no fault of
// theirs, and cannot be judged.
func TestOvertakenRange(t *testing.T) {
	w := newWorld(t)
	one, two := w.stream("overlap", 0, 0), w.stream("overlap", 1, 0)
	one.mustWrite(one.stepsOf(5)...)
	two.mustWrite(two.stepsOf(5)...)
	committed, values := w.committed[one.TopicPartition], one.stepsOf(5)
	w.exec("ALTER TABLE dossier_days ADD CONSTRAINT refused CHECK NOT (topic = 'overlap' AND partition = 0)")
	if err := one.write(t.Context(), values...); err == nil {
		t.Fatal("the range is not held up")
	}
	two.mustWrite(two.stepsOf(5)...)
	w.exec("ALTER TABLE dossier_days DROP CONSTRAINT refused")
	r := w.verify(verify.Options{Patience: time.Millisecond})
	if text := printed(t, r); r.OK() || !strings.Contains(text, fmt.Sprintf("the range of overlap/0 from offset %d has been under way", committed)) {
		t.Errorf("a range under way was judged:\n%s", text)
	}
	one.next = committed
	clear(one.seen)
	one.mustWrite(values...)
	if r := w.verify(verify.Options{}); !r.OK() {
		t.Errorf("not ok after the range came in:\n%s", printed(t, r))
	}
}

// A range that an older version has begun is before all that have a place: while it is not in, what the cubes hold of
// later ones cannot be judged.
func TestOvertakenRangeOfAnOlderVersion(t *testing.T) {
	w := newWorld(t)
	one, two := w.stream("overlap", 0, 0), w.stream("overlap", 1, 0)
	one.mustWrite(one.stepsOf(5)...)
	w.exec("TRUNCATE TABLE dossier_order") // an older version had none
	first, values := one.next, one.stepsOf(10)
	one.only = "dossier_events"
	if err := one.write(t.Context(), values...); !errors.Is(err, errDied) {
		t.Fatal(err)
	}
	w.exec(fmt.Sprintf("INSERT INTO dossier_bounds (topic, partition, since, others) VALUES ('overlap', 0, %d, [('overlap', 0, %[1]d)])", first))
	if r := w.verify(verify.Options{Patience: time.Millisecond}); !r.OK() {
		t.Errorf("nothing has come after it, and not ok:\n%s", printed(t, r))
	}
	two.mustWrite(two.stepsOf(10)...)
	r := w.verify(verify.Options{Patience: time.Millisecond})
	if text := printed(t, r); r.OK() || !strings.Contains(text, fmt.Sprintf("the range of overlap/0 from offset %d has been under way", first)) || differing(r) != "" {
		t.Errorf("a range under way was judged:\n%s", text)
	}
	one.only, one.next = "", first
	clear(one.seen)
	one.mustWrite(values...)
	one.mustWrite(one.stepsOf(10)...)
	two.mustWrite(two.stepsOf(10)...)
	if r := w.verify(verify.Options{}); !r.OK() {
		t.Errorf("not ok after the range came in:\n%s", printed(t, r))
	}
}
