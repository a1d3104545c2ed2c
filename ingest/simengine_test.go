package ingest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ioc.local/ingest/event"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

// TestModelIsTheEngine holds the model of ClickHouse, on which the simulation rests, against the real one: both get the
// same scripts of inserts, repetitions, other rows under a token that was there, inserts that fail at a view, and
// tokens that are forgotten, and both hold the same after each of them.
func TestModelIsTheEngine(t *testing.T) {
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := &modelScript{t: t, client: enginetest.Start(t).Client, random: rand.New(rand.NewPCG(seed, 0)), decoder: event.NewDecoder(data, event.Options{})}
			if err := warehouse.Migrate(t.Context(), s.client); err != nil {
				t.Fatal(err)
			}
			const window = 6
			s.model = newModelDB(window)
			for _, table := range []string{"auth_attempts", "dossier_events", "auth_minutes", "auth_days", "auth_latency", "auth_latency_days", "source_activity"} {
				s.exec(fmt.Sprintf("ALTER TABLE %s MODIFY SETTING non_replicated_deduplication_window = %d", table, window))
			}
			s.exec("CREATE TABLE broken (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100")
			for range 30 {
				s.act()
			}
		})
	}
}

// modelScript does the same to the model and to the engine.
type modelScript struct {
	t       *testing.T
	client  *warehouse.Client
	model   *modelDB
	random  *rand.Rand
	decoder *event.Decoder
	offset  int64
	ranges  []modelRange
}

// modelRange is a range that was inserted.
type modelRange struct {
	token string
	batch *event.Batch
}

func (s *modelScript) exec(statement string) {
	s.t.Helper()
	if err := s.client.Conn().Exec(s.t.Context(), statement); err != nil {
		s.t.Fatal(err)
	}
}

// make makes a range of both kinds of events, in up to three months.
func (s *modelScript) make() *event.Batch {
	batch := event.NewBatch()
	now := time.Now() // rows that were received long ago are deleted
	batch.Reset("t", 0, now.UnixMilli())
	for range 1 + s.random.IntN(6) {
		at := now.AddDate(0, 0, -1-31*s.random.IntN(3))
		value := fmt.Appendf(nil, `{"specversion":"1.0","id":"e-%d","source":"/eid_auth/G01","type":"vn.da06.auth.attempt.v1","time":"%s","subject":"s","data":{"province_code":"79","admin_scheme":"gso34","relying_party":"H29","assurance_level":3,"auth_method":["password"],"outcome":"success","latency_ms":1}}`,
			s.offset, at.Format(simTimeFormat))
		if s.random.IntN(3) == 0 {
			value = fmt.Appendf(nil, `{"specversion":"1.0","id":"e-%d","source":"/npsp/H26","type":"vn.da06.dossier.status.v1","time":"%s","subject":"d","data":{"province_code":"79","admin_scheme":"gso34","agency_code":"H29.1","agency_level":"province","service_id":"DA06-03","registered_on":"%s","status":2,"channel":1}}`,
				s.offset, at.Format(simTimeFormat), at.AddDate(0, 0, -1).Format(time.DateOnly))
		}
		if verdict := s.decoder.Decode(batch, &event.Record{Offset: s.offset, Time: at.UnixMilli(), Value: value}, nil); verdict != event.Accepted {
			s.t.Fatalf("the record %s is %s", value, verdict)
		}
		s.offset++
	}
	return batch
}

// act does the next thing.
func (s *modelScript) act() {
	r := modelRange{token: fmt.Sprintf("t/0/%d", s.offset)}
	what := s.random.IntN(10)
	switch {
	case what < 4 || len(s.ranges) == 0: // a new range
		r.batch = s.make()
		s.ranges = append(s.ranges, r)
	case what < 9: // one again: often one of the last, sometimes one that is forgotten
		back := len(s.ranges)
		if s.random.IntN(3) > 0 {
			back = min(back, 4)
		}
		r = s.ranges[len(s.ranges)-1-s.random.IntN(back)]
	default: // other rows under a token that was there
		r.token, r.batch = s.ranges[len(s.ranges)-1].token, s.make()
	}
	fails := s.random.IntN(3) == 0
	s.t.Logf("%s: %d rows, fails %v", r.token, r.batch.Rows(), fails)
	for _, block := range r.batch.Blocks() {
		if block.Table == event.FeedTable {
			continue
		}
		if fails {
			s.exec("CREATE MATERIALIZED VIEW broken_mv TO broken AS SELECT throwIf(count() > 0, 'broken on purpose') + count() AS n FROM " + block.Table)
		}
		err := clickhouseStore{s.client}.Insert(s.t.Context(), block, r.token)
		if fails != (err != nil) {
			s.t.Fatalf("inserting into %s under %s: %v", block.Table, r.token, err)
		}
		if fails {
			s.exec("DROP VIEW broken_mv")
		}
		s.take(block, r.token, fails)
	}
}

// take has the model take the block, and compares. Which of its steps an insert that failed has done is the engine's
// affair: the model takes those that the engine did. Each must have been done whole, and none that it remembered.
func (s *modelScript) take(block *event.Block, token string, failed bool) {
	s.t.Helper()
	rows, err := modelRows(block)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range rows {
		if block.Table == "dossier_events" {
			rows[i].part = time.UnixMilli(rows[i].occurred).UTC().AddDate(0, 0, -1).Format("200601") // of its registration
		}
	}
	got := s.engineHolds()
	for _, step := range s.model.steps(block.Table, rows) {
		before := s.modelHolds()
		if failed && cmp.Equal(got[step.key()], before[step.key()]) {
			continue
		}
		s.model.take(step, rows, token)
	}
	if diff := cmp.Diff(s.modelHolds(), got); diff != "" {
		s.t.Fatalf("after inserting into %s under %s (failed: %v), the model (-) and the engine (+) hold:\n%s", block.Table, token, failed, diff)
	}
	r := warehouse.Range{Topic: "t", First: uint64(max(0, s.offset-int64(s.random.IntN(9)))), Last: uint64(s.offset)}
	landed, err := clickhouseStore{s.client}.Landed(s.t.Context(), block.Table, r, token)
	if err != nil {
		s.t.Fatal(err)
	}
	if diff := cmp.Diff(s.model.landed(block.Table, r, token), landed); diff != "" {
		s.t.Fatalf("of %v there is in the model (-) and the engine (+):\n%s", r, diff)
	}
}

// key names what a step adds to.
func (s step) key() string {
	if s.view != "" {
		return s.target
	}
	return s.target + " " + s.part
}

// engineHolds counts what each part of the tables and each rollup holds.
func (s *modelScript) engineHolds() map[string]int {
	held := map[string]int{}
	rows, err := s.client.Conn().Query(context.Background(), `
		SELECT concat('auth_attempts ', toString(toYYYYMM(occurred_at))) AS what, count() AS n FROM auth_attempts GROUP BY what
		UNION ALL SELECT concat('dossier_events ', toString(toYYYYMM(registered_on))) AS what, count() AS n FROM dossier_events GROUP BY what
		UNION ALL SELECT 'auth_minutes', sum(n) FROM auth_minutes WHERE topic = '' HAVING count() > 0
		UNION ALL SELECT 'auth_latency', toUInt64(sum(n)) FROM auth_latency WHERE topic = '' HAVING count() > 0
		UNION ALL SELECT 'auth_latency_days', toUInt64(sum(n)) FROM auth_latency_days WHERE topic = '' HAVING count() > 0
		UNION ALL SELECT 'auth_days', sum(n) FROM auth_days WHERE topic = '' HAVING count() > 0
		UNION ALL SELECT 'source_activity', sum(n) FROM source_activity WHERE topic = '' HAVING count() > 0`)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var what string
		var n uint64
		if err := rows.Scan(&what, &n); err != nil {
			s.t.Fatal(err)
		}
		held[what] = int(n)
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	return held
}

// modelHolds is engineHolds of the model.
func (s *modelScript) modelHolds() map[string]int {
	held := map[string]int{}
	for _, table := range modelEventTables {
		for _, r := range s.model.targets[table].rows {
			held[table+" "+r.part]++
		}
		for _, view := range modelViews[table] {
			n := 0
			for _, counted := range s.model.targets[view.rollup].counts {
				n += counted
			}
			if n > 0 {
				held[view.rollup] = n
			}
		}
	}
	return held
}
