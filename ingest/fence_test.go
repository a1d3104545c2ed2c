package ingest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ioc.local/ingest"
	"ioc.local/ingest/verify"
)

// oldRange is a range that was recorded so long ago that ClickHouse has forgotten its token.
type oldRange struct {
	topic    string
	dossiers bool
	// inserted says that it was inserted; lost are rollups that have nothing of it, and after is done to what is there of it.
	inserted bool
	lost     []string
	after    string
}

// of is how many events are in the topic before the range, in it, and after it.
const of = 20

// fenced is a world in which ClickHouse remembers no token: what is sent again is new to it.
type fenced struct {
	*harness
	cfg ingest.Config
}

func newFenced(t *testing.T, ranges ...oldRange) *fenced {
	topics := map[string]int{"dead": 1}
	for _, r := range ranges {
		topics[r.topic] = 1
	}
	topics["auth"] = 1
	f := &fenced{harness: newHarness(t, topics)}
	for _, table := range []string{"auth_attempts", "auth_days", "auth_latency", "auth_latency_days", "auth_minutes", "source_activity", "dossier_events", "dossier_agency_deadlines", "dossier_days", "dossier_deadlines", "dossier_history", "dossier_province_days", "dossier_province_deadlines", "dossier_savings", "dossier_service_days", "feed_quality", "skipped_offsets"} {
		f.exec("ALTER TABLE " + table + " MODIFY SETTING non_replicated_deduplication_window = 0")
	}
	f.prepareAll(ranges...)
	return f
}

// prepareAll prepares ranges of topics that nothing was sent to before.
func (f *fenced) prepareAll(ranges ...oldRange) {
	f.t.Helper()
	for n, r := range ranges {
		f.prepare(1000*n, r)
	}
	f.cfg = f.config()
	for _, r := range ranges {
		f.cfg.Topics = append(f.cfg.Topics, r.topic)
	}
	f.cfg.InsertTimeout = time.Second
}

// prepare leaves behind what a process that was killed in the middle of a range has left; from numbers the events.
func (f *fenced) prepare(from int, r oldRange) {
	f.t.Helper()
	f.produce(from, r)
	f.ingest(r.topic, of)
	f.produce(from+of, r)
	clock := uint64(time.Now().UnixMilli())
	if r.inserted {
		for _, rollup := range r.lost {
			f.exec("CREATE TABLE kept_" + rollup + " AS " + rollup)
			f.exec("ALTER TABLE kept_" + rollup + " ATTACH PARTITION ALL FROM " + rollup)
		}
		f.ingest(r.topic, 2*of)
		table := "auth_attempts"
		if r.dossiers {
			table = "dossier_events"
		}
		clock = f.count("SELECT toUInt64(toUnixTimestamp64Milli(any(received_at))) FROM " + table + " WHERE topic = '" + r.topic + "' AND offset >= " + fmt.Sprint(of))
		if n := f.count("SELECT uniqExact(received_at) FROM " + table + " WHERE topic = '" + r.topic + "'"); n != 2 {
			f.t.Fatalf("what are to be two ranges of %s are %d", r.topic, n)
		}
		for _, rollup := range r.lost {
			f.exec("TRUNCATE TABLE " + rollup)
			f.exec("ALTER TABLE " + rollup + " ATTACH PARTITION ALL FROM kept_" + rollup)
			f.exec("DROP TABLE kept_" + rollup)
		}
	}
	if r.after != "" {
		f.exec(r.after)
	}
	f.produce(from+2*of, r)
	f.commit(r.topic, of, fmt.Sprintf(`{"ioc":1,"pending":{"last":%d,"clock":%d,"contract":3,"window":500000,"token":"%s/0/%d-%d"}}`,
		2*of-1, clock, r.topic, of, 2*of-1))
}

func (f *fenced) produce(from int, r oldRange) {
	var messages []kafka.Message
	for n := from; n < from+of; n++ {
		if r.dossiers {
			messages = append(messages, f.dossier(n/2, 1+n%2, f.base.Add(time.Duration(n%1000)*time.Second)))
		} else {
			messages = append(messages, f.auth(n))
		}
	}
	f.send(r.topic, messages...)
}

// ingest ingests what is in a topic, as one range.
func (f *fenced) ingest(topic string, end int64) {
	f.t.Helper()
	i, err := ingest.New(f.config(topic), f.deps())
	if err != nil {
		f.t.Fatal(err)
	}
	stop := f.start(i)
	waitPosition(f.t, i, end)
	stop()
}

// finish starts an ingester that finds ranges of which all tokens are forgotten.
func (f *fenced) finish() (i *ingest.Ingester, stop func()) {
	f.t.Helper()
	i, err := ingest.New(f.cfg, f.deps())
	if err != nil {
		f.t.Fatal(err)
	}
	i.TrustNoToken()
	return i, f.start(i)
}

func (f *fenced) exec(statement string) {
	f.t.Helper()
	if err := f.db.Client.Conn().Exec(f.t.Context(), statement); err != nil {
		f.t.Fatalf("%s: %v", statement, err)
	}
}

// verify proves that everything is there once, after the rollups were rebuilt if that is asked for.
func (f *fenced) verify(rebuild ...string) {
	f.t.Helper()
	report, err := verify.Run(f.t.Context(), verify.Deps{Client: f.db.Client, Calendar: f.data.Calendar()}, verify.Options{Rebuild: rebuild})
	if err != nil {
		f.t.Fatal(err)
	}
	if !report.OK() && len(rebuild) == 0 {
		var text strings.Builder
		_ = report.Print(&text)
		f.t.Errorf("not everything is there once:\n%s", &text)
	}
}

// waitAll polls until all partitions have come to the position.
func waitAll(t *testing.T, i *ingest.Ingester, position int64) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		partitions := i.Status().Partitions
		if len(partitions) > 0 && !slices.ContainsFunc(partitions, func(p ingest.PartitionStatus) bool { return p.Position < position }) {
			return
		}
	}
	t.Fatalf("not every partition is at %d: %+v", position, i.Status())
}

// TestForgottenTokens finishes ranges whose tokens are forgotten and that had landed as far as an insert can end, and further:
// not at all, wholly, without some of the rollups or all of them, with some of the rows or none of them.
func TestForgottenTokens(t *testing.T) {
	authRollups := []string{"auth_days", "auth_latency", "auth_latency_days", "auth_minutes", "source_activity"}
	cubes := []string{"dossier_agency_deadlines", "dossier_days", "dossier_deadlines", "dossier_history", "dossier_province_days", "dossier_province_deadlines", "dossier_savings", "dossier_service_days", "dossier_state"}
	remove := func(topic string, from int) string {
		return fmt.Sprintf("DELETE FROM auth_attempts WHERE topic = '%s' AND offset >= %d", topic, from)
	}
	f := newFenced(t,
		oldRange{topic: "nothing"},
		oldRange{topic: "everything", inserted: true},
		oldRange{topic: "no-days", inserted: true, lost: authRollups[:1]},
		oldRange{topic: "no-rollup", inserted: true, lost: authRollups},
		oldRange{topic: "some-rows", inserted: true, lost: authRollups, after: remove("some-rows", 30)},
		oldRange{topic: "all-rollups", inserted: true, after: remove("all-rollups", 20)},
		oldRange{topic: "rollups-and-some-rows", inserted: true, lost: authRollups[:1], after: remove("rollups-and-some-rows", 30)},
		oldRange{topic: "no-dossiers", dossiers: true},
		oldRange{topic: "all-dossiers", dossiers: true, inserted: true},
		oldRange{topic: "no-cube", dossiers: true, inserted: true, lost: []string{"dossier_days", "dossier_state"}},
		oldRange{topic: "no-cubes", dossiers: true, inserted: true, lost: cubes},
	)
	i, stop := f.finish()
	waitAll(t, i, 3*of)
	stop()
	f.verify()
}

// TestRememberedAndNotThere finishes ranges whose tokens ClickHouse remembers while it lacks the rows, as a server may that was
// killed between writing down and adding.
func TestRememberedAndNotThere(t *testing.T) {
	f := newFenced(t)
	for _, table := range []string{"auth_attempts", "dead_letters", "auth_days"} {
		f.exec("ALTER TABLE " + table + " MODIFY SETTING non_replicated_deduplication_window = 100")
	}
	f.prepareAll(
		oldRange{topic: "auth", inserted: true, after: "DELETE FROM auth_attempts WHERE topic = 'auth' AND offset >= 20"},
	)
	i, stop := f.finish()
	waitAll(t, i, 3*of)
	stop()
	f.verify()
}

// TestTornRange stops at a range that something else has inserted too. The commands that it names resolve it.
func TestTornRange(t *testing.T) {
	f := newFenced(t, oldRange{topic: "auth", inserted: true, after: "INSERT INTO auth_attempts SELECT * FROM auth_attempts WHERE offset >= 30"})
	i, stop := f.finish()
	problem := waitState(t, i, ingest.Stopped)
	stop()
	if want := "range 20..39 of auth/0 is in auth_attempts with 30 rows of 20"; !strings.Contains(problem, want) {
		t.Fatalf("it says %q, want %q", problem, want)
	}
	_, remedy, _ := strings.Cut(problem, "remove the range with: ")
	statements, command, _ := strings.Cut(remedy, "; put the rollups right with: ")
	if command != "ioc verify --at-rest --rebuild all; and start ioc" {
		t.Fatalf("the command is %q", command)
	}
	for statement := range strings.SplitSeq(statements, "; ") {
		f.exec(statement)
	}
	f.verify(verify.All)
	i, stop = f.finish()
	waitPosition(t, i, 3*of)
	stop()
	f.verify()
}

// TestForgottenPlaceStops stops at a range of dossiers whose place in the order is forgotten, once, until the command that
// it names has put the rollups right.
func TestForgottenPlaceStops(t *testing.T) {
	f := newFenced(t,
		oldRange{topic: "no-place", dossiers: true, inserted: true, lost: []string{"dossier_days"}},
		oldRange{topic: "later", dossiers: true, inserted: true},
	)
	f.exec(fmt.Sprintf("ALTER TABLE dossier_order DELETE WHERE topic = 'no-place' AND first_offset = %d SETTINGS mutations_sync = 2", of))
	errs, logged := observer.New(zap.ErrorLevel)
	deps := f.deps()
	deps.Logger = zap.New(errs)
	i, err := ingest.New(f.cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	i.TrustNoToken()
	stop := f.start(i)
	problem := waitState(t, i, ingest.Stopped)
	if !strings.Contains(problem, "is not in dossier_days, its place in the order of dossier events is forgotten") {
		t.Fatalf("it says %q", problem)
	}
	for deadline := time.Now().Add(3 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) { // longer than it takes to look again
		if n := slices.IndexFunc(i.Status().Partitions, func(p ingest.PartitionStatus) bool { return p.State == ingest.Stopped }); n < 0 {
			t.Fatalf("it goes on: %+v", i.Status())
		}
	}
	_, rollups, _ := strings.Cut(problem, "ioc verify --at-rest --rebuild ")
	rollups, _, _ = strings.Cut(rollups, "`")
	f.verify(strings.Split(rollups, ",")...)
	waitAll(t, i, 3*of)
	stop()
	f.verify()
	if n := logged.FilterMessageSnippet("partition stopped").Len(); n != 1 {
		t.Errorf("it has stopped %d times", n)
	}
}
