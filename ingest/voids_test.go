package ingest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"ioc.local/ingest"
	"ioc.local/ingest/verify"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

// facts is a database with counted facts and voids, inserted as ingestion inserts them.
type facts struct {
	*harness
	next map[string]uint64
}

func newFacts(t *testing.T) *facts {
	t.Helper()
	f := &facts{harness: &harness{t: t, db: enginetest.Start(t)}, next: map[string]uint64{}}
	if err := warehouse.Migrate(t.Context(), f.db.Client); err != nil {
		t.Fatal(err)
	}
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, append(enginetest.Goroutines(), leaks)...) })
	return f
}

func (f *facts) exec(statement string) {
	f.t.Helper()
	settings := warehouse.InsertSettings("")
	delete(settings, "insert_deduplication_token")
	settings["insert_deduplicate"] = 0
	if err := f.db.Client.Conn().Exec(clickhouse.Context(f.t.Context(), clickhouse.WithSettings(settings)), statement); err != nil {
		f.t.Fatalf("%s: %v", statement, err)
	}
}

// families are the tables of counted facts, with what they are counted by.
var families = map[string]struct{ dimensions, minutes, days string }{
	"auth_attempts": {"province, province63, outcome", "auth_minutes", "auth_days"},
	"data_queries":  {"province, province63, query_kind, outcome", "query_minutes", "query_days"},
	"eid_events":    {"province, province63, type, account_action, eid_level, document_kind, document_action", "eid_minutes", "eid_days"},
}

// add inserts n events of a family, with the ids prefix-0 and on.
func (f *facts) add(family, prefix string, n int) {
	f.t.Helper()
	columns := map[string]string{
		"auth_attempts": "'auth.attempt' AS type, ['success', 'no_match'][1 + number % 2] AS outcome",
		"data_queries":  "'data.query' AS type, 'verify' AS query_kind, ['ok', 'denied'][1 + number % 2] AS outcome",
		"eid_events":    "'eid.account' AS type, 'activated' AS account_action, 1 + number % 2 AS eid_level",
	}[family]
	names := map[string]string{"auth_attempts": "type, outcome", "data_queries": "type, query_kind, outcome", "eid_events": "type, account_action, eid_level"}[family]
	from := f.next[family]
	f.next[family] += uint64(n)
	f.exec(fmt.Sprintf(`INSERT INTO %s (%s, occurred_at, source, event_id, province, received_at, record_time, topic, partition, offset)
		SELECT %s, now64(3) - number %% 7200, '/eid_auth/G01', '%s-' || toString(number), ['01', '79', ''][1 + number %% 3], now64(3), now64(3), '%s', 1, %d + number FROM numbers(%d)`,
		family, names, columns, prefix, family, from, n))
}

// void inserts voids of the source's events, received some time ago.
func (f *facts) void(ago time.Duration, source string, ids ...string) {
	f.t.Helper()
	var rows []string
	for _, id := range ids {
		f.next["voids"]++
		rows = append(rows, fmt.Sprintf("('event.void', '%s', '%s', 'void-%d', now64(3) - INTERVAL %d SECOND, 'programme', 0, %d)", id, source, f.next["voids"], int(ago.Seconds()), f.next["voids"]))
	}
	f.exec("INSERT INTO register_events (type, subject, source, event_id, received_at, topic, partition, offset) VALUES " + strings.Join(rows, ", "))
}

// start runs voids until stop.
func (f *facts) start() (registry *prometheus.Registry, stop func()) {
	f.t.Helper()
	cfg := ingest.DefaultVoidsConfig()
	cfg.Poll = 10 * time.Millisecond
	registry = prometheus.NewRegistry()
	v, err := ingest.NewVoids(cfg, ingest.VoidsDeps{Logger: zaptest.NewLogger(f.t, zaptest.Level(zap.ErrorLevel)), Registry: registry, Warehouse: f.db.Client})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(f.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			f.t.Errorf("voids ended with %v", err)
		}
	})
	f.t.Cleanup(stop)
	return registry, stop
}

// exact compares all rollups with the raw rows that no void names. Counts are compared as they are added up: a count
// below nothing would show as well.
func (f *facts) exact() {
	f.t.Helper()
	for family, by := range families {
		for rollup, at := range map[string]string{
			by.minutes: "toStartOfMinute(toDateTime(occurred_at, 'Asia/Ho_Chi_Minh')) AS minute",
			by.days:    "toDate(occurred_at, 'Asia/Ho_Chi_Minh') AS day",
		} {
			key := at[strings.LastIndex(at, " ")+1:]
			want := fmt.Sprintf("SELECT %s, %s, toInt64(count()) AS total FROM %s WHERE (source, event_id) NOT IN (SELECT source, subject FROM register_events WHERE type = 'event.void') GROUP BY ALL", at, by.dimensions, family)
			got := fmt.Sprintf("SELECT %s, %s, toInt64(sum(n)) AS total FROM %s WHERE topic = '' GROUP BY ALL HAVING total != 0", key, by.dimensions, rollup)
			if n := f.count(fmt.Sprintf("SELECT (SELECT count() FROM (%s EXCEPT %s)) + (SELECT count() FROM (%s EXCEPT %s))", want, got, got, want)); n > 0 {
				f.t.Errorf("%s: %d rows differ from raw without the voided", rollup, n)
			}
		}
	}
}

// position is how far a rollup is with voids.
func (f *facts) position(rollup string) uint64 {
	return f.count("SELECT max(p.position) FROM " + rollup + " AS p WHERE topic = '" + warehouse.VoidTopic + "'")
}

const source = "/eid_auth/G01"

func TestVoidsOfCountedFacts(t *testing.T) {
	f := newFacts(t)
	for family := range families {
		f.add(family, family, 300)
	}
	f.exec("SYSTEM STOP MERGES auth_days")
	registry, stop := f.start()
	f.void(0, source, "auth_attempts-1", "auth_attempts-2", "data_queries-7", "eid_events-9")
	f.wait("SELECT uniqExact(event_id) FROM voided", 4)
	f.wait("SELECT count() FROM (SELECT max(position) AS at FROM merge(currentDatabase(), '^(auth|query|eid)_(minutes|days)$') AS p WHERE topic = '~void' GROUP BY _table) WHERE at > 0", 6)
	f.exact()

	// What is taken out and the position that says so are in one part: there is no moment with the one and not the other.
	if n := f.count("SELECT uniqExact(_part) FROM auth_days WHERE topic = '~void' OR toInt64(n) < 0"); n != f.count("SELECT uniqExact(batch) FROM voided WHERE family = 'auth_attempts'") {
		t.Errorf("%d parts take events out", n)
	}
	// Which batch took an event out must not be seen in what the rollup counts: a recomputation cannot know it.
	if n := f.count("SELECT countIf(p.position > 0) FROM auth_days AS p WHERE topic = '' AND toInt64(n) < 0"); n != 0 {
		t.Errorf("%d rows that take events out have a position", n)
	}
	first := f.position("auth_days")
	// Twice, a void's void, another source, nothing of that name: none of them moves a rollup.
	f.void(0, source, "auth_attempts-1", "void-1")
	f.void(0, "/somebody/else", "auth_attempts-3")
	f.void(0, source, "nothing of this name")
	f.void(25*time.Hour, source, "nothing of that name")
	f.wait("SELECT count() FROM voided WHERE outcome = 'void' AND event_id = 'void-1'", 1)
	f.wait("SELECT count() FROM voided WHERE outcome = 'lost' AND event_id = 'nothing of that name'", 1)
	f.exact()
	if at := f.position("auth_days"); at != first {
		t.Errorf("the position moved from %d to %d with nothing taken out", first, at)
	}

	// The event comes after its void.
	f.void(0, source, "late-0", "late-5")
	for deadline := time.Now().Add(time.Minute); metric(t, registry, "ioc_ingest_voids_pending") < 4; { // those of before, too
		if time.Now().After(deadline) {
			t.Fatal("the voids are not seen")
		}
		time.Sleep(10 * time.Millisecond)
	}
	f.add("auth_attempts", "late", 10)
	f.wait("SELECT countIf(event_id LIKE 'late%') FROM voided", 2)
	f.wait("SELECT toUInt64(max(p.position) > "+fmt.Sprint(first)+") FROM auth_days AS p WHERE topic = '~void'", 1)
	f.wait("SELECT toUInt64(max(p.position) > "+fmt.Sprint(first)+") FROM auth_minutes AS p WHERE topic = '~void'", 1)
	f.exact()

	// Events of dossiers and registers leave themselves out.
	f.exec("INSERT INTO dossier_events (registered_on, subject, source, event_id, topic, offset) VALUES (today(), 'd', '/eid_auth/G01', 'd-1', 'dossier', 0)")
	f.exec("INSERT INTO register_events (type, subject, source, event_id, topic, offset) VALUES ('task.status', 't', '/eid_auth/G01', 't-1', 'programme', 1000000), ('task.status', 't', '/eid_auth/G01', 't-2', 'programme', 1000001)")
	f.void(0, source, "d-1", "t-1")
	f.wait("SELECT countIf(outcome = 'set' AND event_id IN ('d-1', 't-1')) FROM voided", 2)
	if n := f.count("SELECT countIf(event_id = 't-2') * 10 + count() FROM live_register_events"); n != 11 {
		t.Errorf("live_register_events is wrong: %d", n)
	}
	stop()
	f.exact()
	text := `
# HELP ioc_ingest_voids_total Voided events decided by this process, by outcome: counted (taken out of rollups), set (of a dossier or register), void (a void cannot be voided), lost (no such event came in time).
# TYPE ioc_ingest_voids_total counter
ioc_ingest_voids_total{outcome="counted"} 6
ioc_ingest_voids_total{outcome="lost"} 1
ioc_ingest_voids_total{outcome="set"} 2
ioc_ingest_voids_total{outcome="void"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(text), "ioc_ingest_voids_total"); err != nil {
		t.Error(err)
	}
}

// Several processes take out what comes while they run, and each event once.
func TestVoidsOfSeveralProcesses(t *testing.T) {
	f := newFacts(t)
	r := rand.New(rand.NewPCG(1, 1))
	var stops []func()
	for range 4 {
		_, stop := f.start()
		stops = append(stops, stop)
	}
	for round := range 15 {
		for family := range families {
			prefix := fmt.Sprintf("%s-%d", family, round)
			var ids []string
			for i := range 40 {
				if r.IntN(4) == 0 {
					ids = append(ids, fmt.Sprintf("%s-%d", prefix, i))
				}
			}
			if r.IntN(2) == 0 {
				f.void(0, source, ids...)
				f.add(family, prefix, 40)
			} else {
				f.add(family, prefix, 40)
				f.void(0, source, ids...)
			}
		}
		if round%5 == 4 { // one dies and another takes its place
			stops[round/5]()
			_, stop := f.start()
			stops[round/5] = stop
		}
	}
	f.wait("SELECT uniqExact(source, subject) FROM register_events WHERE type = 'event.void' AND (source, subject) NOT IN (SELECT source, event_id FROM voided)", 0)
	f.settled("auth_attempts", "data_queries", "eid_events")
	for _, stop := range stops {
		stop()
	}
	f.exact()
	if n := f.count("SELECT toUInt64(count() - uniqExact(topic, partition, offset)) FROM voided"); n != 0 {
		t.Errorf("%d rows were taken out twice", n)
	}
	if n := f.count("SELECT toUInt64(max(batch) - uniqExact(batch)) FROM voided"); n != 0 {
		t.Errorf("the numbers of batches have gaps: %d", n)
	}
}

// settled waits until the rollups of the families have come to their last batch.
func (f *facts) settled(names ...string) {
	f.t.Helper()
	for _, family := range names {
		by := families[family]
		for _, rollup := range []string{by.minutes, by.days} {
			f.wait(fmt.Sprintf("SELECT toUInt64((SELECT max(p.position) FROM %s AS p WHERE topic = '~void') = (SELECT max(batch) FROM voided WHERE family = '%s'))", rollup, family), 1)
		}
	}
}

// A process that dies between the record and the rollups, or between two rollups, leaves work that any other ends, also
// when ClickHouse has long forgotten the tokens.
func TestVoidsAfterACrash(t *testing.T) {
	for name, refuse := range map[string][2]string{
		"before the first rollup":                     {"ALTER TABLE auth_days ADD CONSTRAINT refused CHECK topic != '~void'", "ALTER TABLE auth_days DROP CONSTRAINT refused"},
		"between two rollups":                         {"ALTER TABLE auth_minutes ADD CONSTRAINT refused CHECK topic != '~void'", "ALTER TABLE auth_minutes DROP CONSTRAINT refused"},
		"in a rollup of a rollup, the insert says no": {"CREATE MATERIALIZED VIEW refusing_mv (x UInt8) ENGINE = Memory AS SELECT throwIf(topic = '~void')::UInt8 AS x FROM auth_days", "DROP VIEW refusing_mv SYNC"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFacts(t)
			f.add("auth_attempts", "a", 100)
			for _, rollup := range []string{"auth_minutes", "auth_days"} {
				f.exec("ALTER TABLE " + rollup + " MODIFY SETTING non_replicated_deduplication_window = 2")
			}
			f.exec(refuse[0])
			f.void(0, source, "a-1", "a-2", "a-2", "a-50")
			registry, stop := f.start()
			f.wait("SELECT count() FROM voided WHERE batch = 1", 3)
			for deadline := time.Now().Add(time.Minute); metric(t, registry, "ioc_ingest_voids_errors_total") == 0; {
				if time.Now().After(deadline) {
					t.Fatal("nothing failed")
				}
				time.Sleep(10 * time.Millisecond)
			}
			stop()
			// Later ranges push the token of what was half-done out of the window.
			for i := range 5 {
				f.add("auth_attempts", fmt.Sprintf("later-%d", i), 10)
			}
			f.exec(refuse[1])
			f.void(0, source, "a-51")
			_, stop = f.start()
			f.wait("SELECT max(batch) FROM voided", 2)
			f.wait("SELECT min(at) FROM (SELECT max(position) AS at FROM merge(currentDatabase(), '^auth_(minutes|days)$') AS p WHERE topic = '~void' GROUP BY _table)", 2)
			stop()
			f.exact()
		})
	}
}

// metric is the value of a metric without labels.
func metric(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			m := family.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return 0
}

// Rows that are in the raw table before their rollup has them wait for it: no count may be below nothing.
func TestVoidsWaitForTheRollup(t *testing.T) {
	f := newFacts(t)
	f.add("auth_attempts", "a", 10)
	f.exec("ALTER TABLE auth_minutes ADD CONSTRAINT refused CHECK n < 0")
	insert := `INSERT INTO auth_attempts (type, outcome, occurred_at, source, event_id, received_at, topic, partition, offset)
		VALUES ('auth.attempt', 'success', now64(3), '/eid_auth/G01', 'half', now64(3), 'auth_attempts', 1, 10)`
	token := clickhouse.Context(t.Context(), clickhouse.WithSettings(warehouse.InsertSettings("half")))
	if err := f.db.Client.Conn().Exec(token, insert); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("got %v", err)
	}
	if n := f.count("SELECT count() FROM auth_attempts WHERE event_id = 'half'"); n != 1 {
		t.Fatal("the raw row is not there before the rollups")
	}
	f.exec("ALTER TABLE auth_minutes DROP CONSTRAINT refused")
	_, stop := f.start()
	f.void(0, source, "half", "a-3")
	f.wait("SELECT count() FROM voided", 1)
	if n := f.count("SELECT countIf(event_id = 'half') FROM voided"); n != 0 {
		t.Error("an event was voided that its rollups do not have")
	}
	if err := f.db.Client.Conn().Exec(token, insert); err != nil {
		t.Fatal(err)
	}
	f.wait("SELECT count() FROM voided", 2)
	f.wait("SELECT min(at) FROM (SELECT max(position) AS at FROM merge(currentDatabase(), '^auth_(minutes|days)$') AS p WHERE topic = '~void' GROUP BY _table)", 2)
	stop()
	f.exact()
}

// More voids than are held in memory, of events that never come, hold up neither those of other sources nor the next of
// their own.
func TestVoidsOfEventsThatNeverCome(t *testing.T) {
	f := newFacts(t)
	f.add("auth_attempts", "a", 20)
	f.exec(`INSERT INTO register_events (type, subject, source, event_id, received_at, topic, partition, offset)
		SELECT 'event.void', 'never-' || toString(number), ['/eid_auth/G01', '/eid_auth/G02'][1 + number % 2], 'void-never-' || toString(number), now64(3) - 7200 + number % 3600, 'programme', 1, number
		FROM numbers(210000)`)
	f.exec("INSERT INTO auth_attempts (type, outcome, occurred_at, source, event_id, received_at, topic, partition, offset) VALUES ('auth.attempt', 'success', now64(3), '/npsp/H26', 'other', now64(3), 'auth_attempts', 2, 0)")
	f.void(0, source, "a-3")
	f.void(0, "/npsp/H26", "other")
	f.void(25*time.Hour, source, "nothing of that name")
	registry, stop := f.start()
	f.wait("SELECT countIf(outcome = 'counted') * 10 + countIf(outcome = 'lost') FROM voided", 21)
	f.settled("auth_attempts")
	if n := metric(t, registry, "ioc_ingest_voids_pending"); n < 100_000 {
		t.Errorf("only %v voids wait, so this test has not seen what it is for", n)
	}
	stop()
	f.exact()
}

// Voids come by Kafka like everything: of authentications and of dossiers, before and after, from another topic.
func TestVoidsThroughKafka(t *testing.T) {
	h := newHarness(t, map[string]int{"events": 2, "voids": 1, "dead": 1})
	void := func(source, id string) kafka.Message {
		return kafka.Message{Key: []byte(id), Value: fmt.Appendf(nil, `{"specversion":"1.0","id":"v-%s","source":"%s","type":"vn.da06.event.void.v1","time":"%s","subject":"%s","data":{"reason":"sent by mistake"}}`,
			id, source, h.base.Format("2006-01-02T15:04:05.000-07:00"), id)}
	}
	_, stop := h.run(h.config("events", "voids"))
	h.send("voids", void(source, "auth-3"), void("/npsp/H26", "d-3-9"), void("/npsp/H26", "d-4-2"))
	h.wait("SELECT count() FROM register_events", 3)
	var events []kafka.Message
	for n := range 50 {
		events = append(events, h.auth(n))
	}
	for d := range 10 {
		events = append(events, h.dossier(d, 2, h.base), h.dossier(d, 9, h.base.Add(time.Minute)))
	}
	h.send("events", events...)
	h.wait("SELECT count() FROM dossier_events", 20)
	h.send("voids", void(source, "auth-10"), void("/npsp/H26", "d-5-9"), void("/npsp/H26", "d-6-2"))
	h.wait("SELECT toUInt64(sum(n)) FROM auth_minutes WHERE topic = ''", 48)
	h.wait("SELECT toUInt64(sum(n)) FROM auth_days WHERE topic = ''", 48)
	h.wait("SELECT toUInt64(sum(n)) FROM dossier_days WHERE topic = ''", 8)
	h.wait("SELECT countIf(ended_at > 0) * 100 + countIf(accepted_at > 0) FROM dossier_state FINAL", 808)
	stop()
	report, err := verify.Run(t.Context(), verify.Deps{Client: h.db.Client, Calendar: h.data.Calendar()}, verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() || report.Voids.TakenOut != 2 {
		t.Errorf("verify says %+v", report)
	}
}
