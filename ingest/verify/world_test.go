package verify_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"ioc.local/ingest"
	"ioc.local/ingest/event"
	"ioc.local/ingest/verify"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// skipShort leaves out, with -short, tests that are long statements of ClickHouse, one after the other in one goroutine: the
// race detector, which -short is for, has nothing to find in them.
func skipShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("one goroutine")
	}
}

// world is a database that ranges of records are inserted into, as ingestion does it: same blocks, same order, same
// settings.
type world struct {
	t        *testing.T
	db       *enginetest.DB
	data     *reference.Data
	calendar *reference.Calendar

	lock      sync.Mutex
	committed map[verify.TopicPartition]int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, db: enginetest.Start(t), committed: map[verify.TopicPartition]int64{}}
	var err error
	if w.data, err = reference.Load(reference.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := warehouse.Migrate(t.Context(), w.db.Client); err != nil {
		t.Fatal(err)
	}
	w.calendar = w.data.Calendar()
	return w
}

// stream is one partition.
type stream struct {
	*world
	verify.TopicPartition
	decoder *event.Decoder
	batch   *event.Batch
	next    int64
	seen    map[event.Identity]bool
	clock   time.Time
	// only names the one table that the next ranges come to before their process dies; empty for all.
	only string
}

var errDied = errors.New("the process has died")

func (w *world) stream(topic string, partition uint32, from int64) *stream {
	return &stream{world: w, TopicPartition: verify.TopicPartition{Topic: topic, Partition: partition}, next: from, clock: time.Now(),
		decoder: event.NewDecoder(w.data, event.Options{Identity: event.NewIdentityHash()}), batch: event.NewBatch(), seen: map[event.Identity]bool{}}
}

// write inserts the values as one range and commits it. An empty value is an offset that the log does not hold.
func (s *stream) write(ctx context.Context, values ...string) error {
	first := s.next
	s.batch.Reset(s.Topic, int32(s.Partition), s.clock.UnixMilli())
	for _, value := range values {
		if value == "" {
			s.batch.Gap(s.next, s.next+2)
			s.next += 3
			continue
		}
		record := event.Record{Offset: s.next, Time: s.clock.UnixMilli(), Value: []byte(value)}
		s.decoder.Decode(s.batch, &record, func(id event.Identity) bool {
			again := s.seen[id]
			s.seen[id] = true
			return again
		})
		s.next++
	}
	token := fmt.Sprintf("%s/%d/%d", s.Topic, s.Partition, first)
	registers := false
	for _, block := range s.batch.Blocks() {
		if s.only != "" && s.only != block.Table {
			continue
		}
		registers = registers || block.Table == "register_events"
		if err := s.db.Client.Insert(ctx, block.Table, block.Input(), token); err != nil {
			return err
		}
	}
	if s.only != "" {
		return errDied
	}
	touched := warehouse.TouchedDossiers{Topic: s.Topic, Partition: s.Partition, First: uint64(first), Last: uint64(s.next - 1), Token: token, Calendar: s.calendar, Registers: registers}
	touched.RegisteredOn, touched.Subjects = s.batch.TouchedDossiers()
	if _, err := warehouse.ApplyDossiers(ctx, s.db.Client, touched); err != nil {
		return err
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	s.committed[s.TopicPartition] = s.next
	return nil
}

func (s *stream) mustWrite(values ...string) {
	s.t.Helper()
	if err := s.write(s.t.Context(), values...); err != nil {
		s.t.Fatal(err)
	}
}

// someEvents are n authentications and dossier steps with, in between, what else a log may hold.
func (s *stream) someEvents(n int) []string {
	var values []string
	for i := range n {
		k := int(s.next) + i
		values = append(values, auth(fmt.Sprintf("%s-%d-%d", s.Topic, s.Partition, k), k, s.clock),
			dossier(fmt.Sprintf("%s-%d-%d", s.Topic, s.Partition, k), fmt.Sprintf("d-%s-%d-%d", s.Topic, s.Partition, k/7), []int{2, 4, 5, 4, 9, 10}[k%6], s.clock.Add(time.Duration(k-n-int(s.next))*time.Minute)))
		switch i % 20 {
		case 3:
			values = append(values, "not an event")
		case 7:
			values = append(values, values[len(values)-1]) // a producer's retry
		case 11:
			values = append(values, "")
		case 15:
			values = append(values, report(fmt.Sprintf("%s-%d-%d", s.Topic, s.Partition, k), s.clock))
		}
	}
	for i := range 9 {
		id := fmt.Sprintf("%s-%d-%d", s.Topic, s.Partition, int(s.next)+i)
		values = append(values, query(id, s.clock), account(id, s.clock), document(id, s.clock))
	}
	return values
}

// someVoids void one event of each kind that someEvents gave for the offset from, and one that is not there.
func (s *stream) someVoids(from int64) []string {
	id := fmt.Sprintf("%s-%d-%d", s.Topic, s.Partition, from)
	return []string{
		void("/eid_auth/G01", "auth-"+id, s.clock), void("/npsp/H26", "d-"+id, s.clock), void("/manual_report/G01", fmt.Sprintf("r-%s-%d-%d", s.Topic, s.Partition, from+15), s.clock),
		void("/popdb/G01", "q-"+id, s.clock), void("/vneid/G01", "a-"+id, s.clock), void("/vneid/G01", "nothing-"+id, s.clock),
	}
}

// takeOut lets ingestion take voided facts out of the rollups until none is open.
func (w *world) takeOut() {
	w.t.Helper()
	defer w.startVoids()()
	open := "SELECT toString((SELECT countIf((source, subject) NOT IN (SELECT source, event_id FROM voided) AND subject NOT LIKE 'nothing%') FROM register_events WHERE type = 'event.void')"
	for rollup, family := range map[string]string{"auth_minutes": "auth_attempts", "auth_days": "auth_attempts", "auth_latency": "auth_attempts", "auth_latency_days": "auth_attempts", "query_minutes": "data_queries", "query_days": "data_queries", "eid_minutes": "eid_events", "eid_days": "eid_events"} {
		open += fmt.Sprintf(" + ((SELECT max(p.position) FROM %s AS p WHERE topic = '~void') != (SELECT max(batch) FROM voided WHERE family = '%s'))", rollup, family)
	}
	open += ")"
	for deadline := time.Now().Add(2 * time.Minute); w.text(open) != "0"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s voids are still open: %s", w.text(open), w.text("SELECT toString(groupArray((source, subject, received_at))) FROM (SELECT * FROM register_events WHERE type = 'event.void' AND (source, subject) NOT IN (SELECT source, event_id FROM voided) LIMIT 20)"))
		}
	}
}

// startVoids runs what takes voided facts out of the rollups, until stop.
func (w *world) startVoids() (stop func()) {
	w.t.Helper()
	cfg := ingest.DefaultVoidsConfig()
	cfg.Poll = 50 * time.Millisecond
	v, err := ingest.NewVoids(cfg, ingest.VoidsDeps{Logger: zap.NewNop(), Registry: prometheus.NewRegistry(), Warehouse: w.db.Client})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	}
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }

func auth(id string, k int, at time.Time) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"auth-%s","source":"/eid_auth/G01","type":"vn.da06.auth.attempt.v1","time":"%s","subject":"s-%s","data":{"province_code":"%s","admin_scheme":"gso34","relying_party":"H29","assurance_level":3,"auth_method":["password"],"outcome":"%s"%s}}`,
		id, stamp(at.Add(-time.Duration(k%90)*time.Second)), id, []string{"01", "79", "48"}[k%3], []string{"success", "success", "no_match"}[k%3], []string{`,"latency_ms":412`, `,"latency_ms":90`, ""}[k%5%3])
}

func dossier(id, dossier string, status int, at time.Time) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"d-%s","source":"/npsp/H26","type":"vn.da06.dossier.status.v1","time":"%s","subject":"%s","data":{"province_code":"79","admin_scheme":"gso34","agency_code":"H29.1","service_id":"DA06-03","registered_on":"%s","status":%d,"channel":2,"statutory_limit":3,"limit_unit":"working_day"}}`,
		id, stamp(at), dossier, time.Now().AddDate(0, 0, -20).Format(time.DateOnly), status)
}

func query(id string, at time.Time) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"q-%s","source":"/popdb/G01","type":"vn.da06.data.query.v1","time":"%s","subject":"q-%s","data":{"consumer_agency":"H29.3","query_kind":"verify","outcome":"ok","latency_ms":85,"records":1}}`, id, stamp(at), id)
}

func account(id string, at time.Time) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"a-%s","source":"/vneid/G01","type":"vn.da06.eid.account.v1","time":"%s","subject":"a-%s","data":{"province_code":"79","admin_scheme":"gso34","action":"activated","eid_level":2}}`, id, stamp(at), id)
}

func document(id string, at time.Time) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"doc-%s","source":"/npsp/H26","type":"vn.da06.dossier.document.v1","time":"%s","subject":"d-%s","data":{"province_code":"01","admin_scheme":"gso34","agency_code":"H26.12","registered_on":"%s","kind":"component","digitised":true}}`,
		id, stamp(at), id, time.Now().AddDate(0, 0, -20).Format(time.DateOnly))
}

func void(source, id string, at time.Time) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"void-%s","source":"%s","type":"vn.da06.event.void.v1","time":"%s","subject":"%s","data":{"reason":"sent by mistake"}}`, id, source, stamp(at), id)
}

func report(id string, at time.Time) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"r-%s","source":"/manual_report/G01","type":"vn.da06.counter.report.v1","time":"%s","subject":"r-%s","data":{"metric_id":"essential_services","value":23,"denominator":25,"as_of":"2026-10-31","source_ref":"BC 1"}}`, id, stamp(at), id)
}

// verify runs the verification and checks that it leaves no table behind.
func (w *world) verify(options verify.Options) *verify.Report {
	w.t.Helper()
	found, err := verify.Run(w.t.Context(), w.deps(), options)
	if err != nil {
		w.t.Fatal(err)
	}
	w.noTablesLeft()
	return found
}

// deps are those of a verification that knows what is committed.
func (w *world) deps() verify.Deps {
	return verify.Deps{Client: w.db.Client, Calendar: w.calendar,
		Committed: func(context.Context) (map[verify.TopicPartition]int64, error) {
			w.lock.Lock()
			defer w.lock.Unlock()
			return maps.Clone(w.committed), nil
		}}
}

func (w *world) noTablesLeft() {
	w.t.Helper()
	if left := w.text("SELECT arrayStringConcat(groupArray(name), ', ') FROM system.tables WHERE database = currentDatabase() AND match(name, '^(verify|rebuild)_')"); left != "" {
		w.t.Errorf("tables left behind: %s", left)
	}
}

func (w *world) text(query string) string {
	w.t.Helper()
	var value string
	if err := w.db.Client.Conn().QueryRow(w.t.Context(), query).Scan(&value); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	return value
}

func (w *world) exec(statement string) {
	w.t.Helper()
	if err := w.db.Client.Conn().Exec(w.t.Context(), statement); err != nil {
		w.t.Fatalf("%s: %v", statement, err)
	}
}

func printed(t *testing.T, r *verify.Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
