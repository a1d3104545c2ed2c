package ingest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ioc.local/internal/reference"
)

// TestSimulatedCases runs the histories that other pipelines are known to have lost or doubled events in, each of which
// TestSimulatedFaults meets by chance, and sees to it that what they are about did happen.
func TestSimulatedCases(t *testing.T) {
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const records = 10
	for name, test := range map[string]struct {
		happens func(s *simSchedule, cfg Config)
		// replays is how many recorded ranges are formed again, dropped how many blocks are there already, at least.
		replays, dropped int
		// forgets says that ClickHouse forgets tokens after simKeep; filled is how many rollups are filled, at least.
		forgets bool
		filled  int
	}{
		// An owner whose insert hangs loses its partition to another, which goes on; then the insert comes through
		// (clickhouse-kafka-connect#24).
		"a zombie wakes after a rebalance": {func(s *simSchedule, cfg Config) {
			cfg.InsertTimeout = time.Minute
			s.start(0, 0, cfg)
			s.start(5*time.Second, 1, cfg)
			s.insert(20*time.Second, storeFault{stall: 45 * time.Second, linger: true})
			s.rule(20*time.Second, 0, cutRule{key: int16(kmsg.Heartbeat), stall: 30 * time.Second})
			s.send(21*time.Second, records)
			s.send(50*time.Second, records)
		}, 1, 4, false, 0},
		// The insert was done, its answer was lost: the same block under the same token again, never another
		// (clickhouse-kafka-connect#801).
		"the answer of an insert is lost": {func(s *simSchedule, cfg Config) {
			s.start(0, 0, cfg)
			s.insert(time.Second, storeFault{fail: true, after: -1})
			s.send(2*time.Second, records)
		}, 0, 4, false, 0},
		"a rollup fails half-way": {func(s *simSchedule, cfg Config) {
			s.start(0, 0, cfg)
			s.insert(time.Second, storeFault{fail: true, after: 2})
			s.send(2*time.Second, records)
		}, 0, 2, false, 0},
		"killed half-way through an insert": {func(s *simSchedule, cfg Config) {
			s.start(0, 0, cfg)
			s.insert(time.Second, storeFault{fail: true, after: 2, crash: true})
			s.send(2*time.Second, records)
			s.start(5*time.Second, 0, cfg)
		}, 1, 2, false, 0},
		"another version between insert and commit": {func(s *simSchedule, cfg Config) {
			s.start(0, 0, cfg)
			s.rule(time.Second, 0, cutRule{key: int16(kmsg.OffsetCommit), skip: 1, cut: true, crash: true})
			s.send(2*time.Second, records)
			cfg.FlushInterval, cfg.MaxRows, cfg.DuplicateWindow = 50*time.Millisecond, 2, 3
			s.start(5*time.Second, 0, cfg)
		}, 1, 4, false, 0},
		"the answer of a commit is lost": {func(s *simSchedule, cfg Config) {
			s.start(0, 0, cfg)
			s.rule(time.Second, 0, cutRule{key: int16(kmsg.OffsetCommit), skip: 1, cut: true, deliver: true})
			s.send(2*time.Second, records)
			s.send(4*time.Second, records)
		}, 0, 0, false, 0},
		// ClickHouse is killed when it has written down a token and not yet added the part.
		"remembered and not there": {func(s *simSchedule, cfg Config) {
			s.length = 8 * time.Minute
			s.start(0, 0, cfg)
			s.insert(time.Second, storeFault{dies: true, after: 0})
			s.send(2*time.Second, records)
		}, 0, 1, false, 0},
		"a rollup is remembered and not there": {func(s *simSchedule, cfg Config) {
			s.length = 8 * time.Minute
			s.start(0, 0, cfg)
			s.insert(time.Second, storeFault{dies: true, after: 2})
			s.send(2*time.Second, records)
		}, 0, 1, false, 1},
		"what fills a rollup is remembered and not there": {func(s *simSchedule, cfg Config) {
			s.length = 10 * time.Minute
			s.start(0, 0, cfg)
			s.insert(time.Second, storeFault{dies: true, after: 2})
			s.insert(200*time.Second, storeFault{dies: true, after: 0})
			s.send(2*time.Second, records)
		}, 0, 1, false, 2},
		// The process dies half-way through an insert, and nothing is left that could finish the range until its token is
		// forgotten.
		"killed half-way, and its token forgotten": {func(s *simSchedule, cfg Config) {
			cfg.InsertTimeout = time.Second
			s.start(0, 0, cfg)
			s.insert(time.Second, storeFault{fail: true, after: 2, crash: true})
			s.send(2*time.Second, records)
			s.start(2*simKeep, 0, cfg)
			s.send(2*simKeep+20*time.Second, records)
		}, 1, 0, true, 2},
		"wholly inserted, and its token forgotten": {func(s *simSchedule, cfg Config) {
			cfg.InsertTimeout = time.Second
			s.start(0, 0, cfg)
			s.rule(time.Second, 0, cutRule{key: int16(kmsg.OffsetCommit), skip: 1, cut: true, crash: true})
			s.send(2*time.Second, records)
			s.start(2*simKeep, 0, cfg)
			s.send(2*simKeep+20*time.Second, records)
		}, 1, 0, true, 0},
		// ClickHouse is away for longer than tokens are remembered; the process goes on trying.
		"tried again until its token is forgotten": {func(s *simSchedule, cfg Config) {
			cfg.InsertTimeout = time.Second
			s.start(0, 0, cfg)
			s.insert(time.Second, storeFault{fail: true, after: 2})
			s.send(2*time.Second, records)
			s.add(2*time.Second+cfg.FlushInterval+50*time.Millisecond, "", func(context.Context) error {
				s.world.mu.Lock()
				defer s.world.mu.Unlock()
				s.world.storeUntil = bubbleEpoch.Add(2 * simKeep)
				return nil
			})
			s.send(2*simKeep, records)
		}, 0, 0, true, 2},
		// An owner wakes when its range is committed by another one and its token forgotten: it looks before it inserts.
		"a zombie wakes when its token is forgotten": {func(s *simSchedule, cfg Config) {
			cfg.InsertTimeout = time.Second
			s.start(0, 0, cfg)
			s.insert(time.Second, storeFault{fail: true, stall: 500 * time.Millisecond})
			s.send(2*time.Second, records)
			s.add(2500*time.Millisecond, "", s.on(0, (*simProcess).freeze))
			s.start(5*time.Second, 1, cfg)
			s.add(2*simKeep, "", s.on(0, (*simProcess).thaw))
			s.send(2*simKeep, records)
		}, 1, 0, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w, wrong := simulate(t, data, 1, true, func(w *simWorld) *simSchedule {
				s := newSimSchedule(w, 2*time.Minute, 1, 0, 2)
				if test.forgets {
					s.length, w.db.keep = 2*simKeep+2*time.Minute, simKeep
				}
				cfg := DefaultConfig()
				cfg.Group, cfg.Topics, cfg.DeadLetterTopic = simGroup, []string{simTopic}, simDead
				test.happens(s, cfg)
				return s
			})
			replays := 0
			for _, p := range w.processes {
				replays += int(testutil.ToFloat64(p.ingester.metrics.replays))
			}
			if replays < test.replays || w.db.dropped < test.dropped || w.db.filled < test.filled || test.forgets && w.db.forgotten == 0 {
				wrong = append(wrong, "what the case is about did not happen")
			}
			if len(wrong) > 0 {
				t.Errorf("%d ranges were formed again, %d blocks were there already, %d forgotten, %d rollups filled\n%s\n%s", replays, w.db.dropped, w.db.forgotten, w.db.filled, strings.Join(wrong, "\n"), strings.Join(w.log, "\n"))
			}
		})
	}
}
