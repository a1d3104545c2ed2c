package verify_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ioc.local/ingest/verify"
)

// A position that is too small, or lost, while rows are under way that the rollup has counted: a rebuild by that position
// would take them out, and nothing would bring them again. It waits until they are settled, and changes nothing before.
func TestRebuildWithAPositionThatIsTooSmall(t *testing.T) {
	skipShort(t)
	w := newWorld(t)
	s := w.stream("mixed", 0, 0)
	s.mustWrite(s.someEvents(20)...)
	settled := w.committed[s.TopicPartition]
	s.mustWrite(s.someEvents(20)...)
	end := w.committed[s.TopicPartition]
	w.committed[s.TopicPartition] = settled // the range is in, and its commit is not
	if r := w.verify(verify.Options{}); !r.OK() {
		t.Fatalf("a range under way is a fault:\n%s", printed(t, r))
	}
	for _, rollup := range []string{"auth_days", "dossier_days", "feed_quality"} {
		for name, position := range map[string]int64{"lost": 0, "that of the range before": settled} {
			if position > 0 && rollup == "feed_quality" {
				continue // as the others
			}
			t.Run(rollup+" "+name, func(t *testing.T) {
				w.t = t
				w.committed[s.TopicPartition] = settled
				good := w.content(rollup)
				w.exec("ALTER TABLE " + rollup + " DELETE WHERE topic = 'mixed' SETTINGS mutations_sync = 2")
				if position > 0 {
					w.exec(fmt.Sprintf("INSERT INTO %s (topic, partition, position) VALUES ('mixed', 0, %d)", rollup, position))
				}
				damaged := w.content(rollup)
				_, err := verify.Run(t.Context(), w.deps(), verify.Options{Rebuild: []string{rollup}, Patience: time.Millisecond})
				var underWay *verify.UnderWayError
				if !errors.As(err, &underWay) || underWay.Rollup != rollup || underWay.What != "mixed/0" || !strings.Contains(err.Error(), "ioc pause") {
					t.Errorf("got %v, want that rows are under way", err)
				}
				if diff := cmp.Diff(damaged, w.content(rollup)); diff != "" {
					t.Errorf("the rollup was changed:\n%s", diff)
				}
				// Ingestion goes on, and repeats the range: what has its token takes nothing.
				deps, asked := w.deps(), 0
				deps.Committed = func(context.Context) (map[verify.TopicPartition]int64, error) {
					if asked++; asked > 3 {
						w.committed[s.TopicPartition] = end
					}
					return w.committed, nil
				}
				r, err := verify.Run(t.Context(), deps, verify.Options{Rebuild: []string{rollup}})
				if err != nil || !r.OK() || asked < 4 {
					t.Fatalf("%v, asked %d times, not ok:\n%s", err, asked, printed(t, r))
				}
				if diff := cmp.Diff(counts(good), counts(w.content(rollup))); diff != "" {
					t.Errorf("the rollup is not what it was:\n%s", diff)
				}
			})
		}
	}
	w.t = t
	// What has counted all that is under way can be rebuilt meanwhile.
	w.committed[s.TopicPartition] = settled
	w.exec("INSERT INTO auth_minutes (minute, province, n) VALUES (now(), '01', 5)")
	r, err := verify.Run(t.Context(), w.deps(), verify.Options{Rebuild: []string{"auth_minutes"}, Patience: time.Millisecond})
	if err != nil || !r.OK() {
		t.Errorf("%v, not ok:\n%s", err, printed(t, r))
	}
}

// counts are the lines of a rollup's content that are no positions.
func counts(content string) (lines []string) {
	for line := range strings.Lines(content) {
		if !strings.Contains(line, "'mixed'") {
			lines = append(lines, line)
		}
	}
	return lines
}

// The first range of a partition is under way: nothing is settled of it, and it is no fault.
func TestFirstRangeUnderWay(t *testing.T) {
	w := newWorld(t)
	s := w.stream("mixed", 0, 0)
	s.mustWrite(s.someEvents(10)...)
	w.committed[s.TopicPartition] = 0
	if r := w.verify(verify.Options{}); !r.OK() {
		t.Errorf("not ok:\n%s", printed(t, r))
	}
}
