package ingest

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"ioc.local/ingest/event"
	"ioc.local/internal/reference"
)

const (
	// simSchedules is how many schedules are run, fewer with -short, as under the race detector.
	simSchedules, simShort = 2000, 150
	// simTime is for how long schedules are begun, unless their number is given: a busy machine runs fewer.
	simTime = 100 * time.Second
	// simWorkers is how many run at once.
	simWorkers = 2
	// simHang is how long a schedule, which takes some 50 ms, may take before it is taken for stuck.
	simHang = 2 * time.Minute
	// simTries is how often one seed is repeated until it fails.
	simTries = 20
)

// TestSimulatedFaults runs thousands of short histories of ingestion in which everything goes wrong, and looks whether
// each event is counted once in the end.
//
// A history is a bubble of testing/synctest: its clock stands still while anything can go on, and jumps to the next
// timer when nothing can, so that a minute takes milliseconds. In the bubble are two brokers (kfake, which speaks the
// real protocol, over a network in memory), one to three ingest processes that are the real ones from the group
// membership to the commit, and a model of ClickHouse in the place of [store], which TestModelIsTheEngine holds against
// the real one. What is sent: events of two topics, copies of them, broken records of several kinds, some at the edge of
// what counts as the future, dead letters that are sent again, batches in transactions that are committed or aborted.
//
// A seed decides what is sent, what goes wrong and when. It may be
//
//   - a process that is killed, at any moment, right before a request is sent, after it is sent and before the answer is
//     heard, or when an insert is half done; stopped; frozen for up to 40 s; or cut off from its group while it reads,
//     inserts and commits on, until another has its partitions. It comes back with another flush interval, largest range
//     and duplicate window, as after an upgrade;
//   - a request to a broker that is lost, or whose answer is, or that is held up, or answered with an error;
//   - a broker, or all of them, that goes away and comes back; leaders and coordinators that move; a partition more;
//   - an insert that fails before, between or after its parts and rollups, an answer that is lost, an insert that is
//     held up until after everybody has given it up and then goes on or not; ClickHouse gone, killed in the middle, or
//     failing at random;
//   - a clock that jumps; an operator who pauses and resumes.
//
// Then all faults end, and within ten minutes of the bubble's time everything that was sent must be committed. Then:
//
//   - every offset is exactly once in a raw table, in dead_letters or in skipped_offsets, with what the record said;
//   - no identity was accepted twice within the duplicate window, and none skipped that was not accepted before;
//   - a dead letter that was sent again is settled once;
//   - every rollup has counted every row once, dossiers and feed_quality included;
//   - every dead letter is in its topic too;
//   - no two attempts at a range held different rows;
//   - all processes end when they are told to, and no goroutine is left.
//
// A seed that fails is printed. TEST_FAULT_SEED=n repeats it up to 20 times until it fails again, and logs what happened:
// goroutines that are ready at the same moment run in an order that no seed decides, so two runs of a seed are not always
// the same. TEST_FAULT_SCHEDULES=n runs the schedules of seeds 1 to n; without it 2,000, or
// as many as fit into 100 s.
func TestSimulatedFaults(t *testing.T) {
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if text := os.Getenv("TEST_FAULT_SEED"); text != "" {
		repeatSeed(t, data, text)
		return
	}
	wanted := uint64(simSchedules)
	if testing.Short() {
		wanted = simShort
	}
	limit := time.Now().Add(simTime)
	if text := os.Getenv("TEST_FAULT_SCHEDULES"); text != "" {
		limit = limit.AddDate(1, 0, 0)
		if wanted, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("TEST_FAULT_SCHEDULES: %v", err)
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a quarter of the time would go there
	started := time.Now()
	var next, failed atomic.Uint64
	var total simCounts
	t.Run("workers", func(t *testing.T) {
		for worker := range simWorkers {
			t.Run(strconv.Itoa(worker), func(t *testing.T) {
				t.Parallel()
				for seed := next.Add(1); seed <= wanted && failed.Load() < 10 && time.Now().Before(limit); seed = next.Add(1) {
					w, wrong := simulate(t, data, seed, false, drawSchedule)
					total.add(w)
					if len(wrong) > 0 {
						failed.Add(1)
						t.Errorf("%s\nrepeat it with: TEST_FAULT_SEED=%d go test -count=1 -run 'TestSimulatedFaults$' ./ingest", strings.Join(wrong[:min(5, len(wrong))], "\n"), seed)
					}
				}
			})
		}
	})
	took := time.Since(started)
	t.Logf("%d schedules in %v, %v each: %s", total.schedules, took.Round(time.Second), (took / time.Duration(max(1, total.schedules))).Round(time.Millisecond), &total)
}

// repeatSeed repeats a seed until it fails.
func repeatSeed(t *testing.T, data *reference.Data, text string) {
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("TEST_FAULT_SEED: %v", err)
	}
	for try := range simTries {
		w, wrong := simulate(t, data, seed, true, drawSchedule)
		if len(wrong) > 0 || try == simTries-1 {
			t.Logf("run %d of the seed:\n%s", try+1, strings.Join(w.log, "\n"))
		}
		for _, text := range wrong {
			t.Error(text)
		}
		if len(wrong) > 0 {
			return
		}
	}
}

// simulate runs a schedule in a bubble of its own and lists what is wrong.
func simulate(t *testing.T, data *reference.Data, seed uint64, verbose bool, make func(*simWorld) *simSchedule) (w *simWorld, wrong []string) {
	w = &simWorld{seed: seed, data: data, hash: event.NewIdentityHash(), logger: zap.NewNop(), records: map[modelPlace]simRecord{}, ends: map[string][]int64{},
		topics: map[[16]byte]string{}, brokersDown: map[string]time.Time{}}
	if verbose {
		encoder := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{MessageKey: "message"})
		w.logger = zap.New(zapcore.NewCore(encoder, zapcore.AddSync(simLog{w}), zapcore.InfoLevel))
	}
	// A goroutine that waits for a mutex keeps the bubble's clock from going on.
	watchdog := time.AfterFunc(simHang, func() { panic(fmt.Sprintf("the schedule of seed %d is stuck", seed)) })
	defer watchdog.Stop()
	defer func() {
		if r := recover(); r != nil { // goroutines that are left over
			wrong = append(wrong, fmt.Sprint(r))
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		var err error
		if wrong, err = w.play(t, make); err != nil {
			wrong = append(wrong, err.Error())
		}
	})
	return w, wrong
}

// play runs a schedule.
func (w *simWorld) play(t *testing.T, make func(*simWorld) *simSchedule) (wrong []string, err error) {
	w.db = newModelDB(simTokens)
	s := make(w)
	if s.restarts {
		w.dir = t.TempDir()
	}
	topics := map[string]int{simTopic: s.partitions, simDead: 1}
	if s.dossiers > 0 {
		topics[simDossier] = s.dossiers
	}
	if err := w.startKafka(topics); err != nil {
		return nil, err
	}
	defer func() {
		w.kafka.Close()
		time.Sleep(time.Minute) // what is about to end may take its time; what is left then is left for ever
	}()
	for topic, partitions := range topics {
		for p := range partitions {
			if err := w.kafka.MoveTopicPartition(topic, int32(p), int32(p%simBrokers)); err != nil {
				return nil, err
			}
		}
	}
	w.client, err = kgo.NewClient(kgo.SeedBrokers(w.addresses()...), kgo.Dialer(w.network.DialContext), kgo.MaxVersions(kversion.V2_8_0()))
	if err != nil {
		return nil, err
	}
	defer w.client.Close()
	wrong, err = s.run(context.Background())
	if err != nil {
		for _, p := range w.processes {
			p.crash()
		}
		for _, p := range w.processes {
			<-p.ended
		}
		w.db.running.Wait()
	}
	return wrong, err
}

// simLog puts what processes log among what happens.
type simLog struct{ w *simWorld }

// Write implements io.Writer.
func (l simLog) Write(line []byte) (int, error) {
	l.w.note("    %s", strings.TrimSpace(string(line)))
	return len(line), nil
}

// simCounts is what happened in all schedules together.
type simCounts struct {
	mu                                                                                        sync.Mutex
	schedules, processes, offsets, steps, again, forgotten, filled, removed, restored, ghosts int
}

func (c *simCounts) add(w *simWorld) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.schedules++
	c.processes += len(w.processes)
	for _, partitions := range w.ends {
		for _, end := range partitions {
			c.offsets += int(end)
		}
	}
	c.steps += w.db.taken
	c.again += w.db.dropped
	c.forgotten += w.db.forgotten
	c.filled += w.db.filled
	c.removed += w.db.removed
	c.restored += w.db.restored
	c.ghosts += w.db.ghosts
}

// String says it in a line.
func (c *simCounts) String() string {
	return fmt.Sprintf("%d processes, %d offsets, %d blocks written, %d that were there already, %d forgotten, %d rollups filled, %d parts of blocks removed, %d blocks restored, %d remembered and not there", c.processes, c.offsets, c.steps, c.again, c.forgotten, c.filled, c.removed, c.restored, c.ghosts)
}
