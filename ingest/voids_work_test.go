package ingest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

// A hundred thousand voids of events that never come cost a listing and a search now and then, and nothing in between;
// what comes meanwhile is taken out in the very next pass. The bound is on the rows that ClickHouse reads for it, and on
// what is held in memory.
func TestWorkOfVoidsThatWait(t *testing.T) {
	db := enginetest.Start(t)
	if err := warehouse.Migrate(t.Context(), db.Client); err != nil {
		t.Fatal(err)
	}
	const voids, events = maxVoids + 20_000, 50_000
	exec := func(statement string) {
		t.Helper()
		if err := db.Client.Conn().Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	count := func(query string) (n uint64) {
		t.Helper()
		if err := db.Client.Conn().QueryRow(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	exec(fmt.Sprintf(`INSERT INTO auth_attempts (type, outcome, occurred_at, source, event_id, received_at, topic, partition, offset)
		SELECT 'auth.attempt', 'success', now64(3), '/eid_auth/G01', 'e-' || toString(number), now64(3), 'auth', 1, number FROM numbers(%d)`, events))
	void := func(from, n int, name string) {
		exec(fmt.Sprintf(`INSERT INTO register_events (type, subject, source, event_id, received_at, topic, partition, offset)
			SELECT 'event.void', %s, '/eid_auth/G01', 'void-' || toString(number), now64(3), 'programme', 1, number FROM numbers(%d, %d)`, name, from, n))
	}
	void(0, voids, "'never-' || toString(number)")

	v, err := NewVoids(DefaultVoidsConfig(), VoidsDeps{Logger: zap.NewNop(), Registry: prometheus.NewRegistry(), Warehouse: db.Client})
	if err != nil {
		t.Fatal(err)
	}
	var read atomic.Uint64
	ctx := clickhouse.Context(t.Context(), clickhouse.WithProgress(func(p *clickhouse.Progress) { read.Add(p.Rows) }))
	now := time.Now()
	pass := func() (rows uint64) {
		t.Helper()
		before := read.Load()
		for more := true; more; {
			var err error
			if more, err = v.pass(ctx, now); err != nil {
				t.Fatal(err)
			}
		}
		if len(v.open) > maxVoids || len(v.waiting) > maxVoids {
			t.Fatalf("%d voids and %d waits are in memory", len(v.open), len(v.waiting))
		}
		return read.Load() - before
	}
	// What one listing and one search read: both tables in several places.
	const once = 6 * (voids + events)
	if n := pass(); n < events || n > once {
		t.Errorf("the first pass read %d rows, want at most %d", n, once)
	}
	if len(v.waiting) != maxVoids {
		t.Fatalf("%d voids wait, want %d", len(v.waiting), maxVoids)
	}
	for range 20 {
		if n := pass(); n > events/2 {
			t.Fatalf("a pass with nothing to do read %d rows", n)
		}
	}
	// Twenty minutes: each event is due after twice the time that it was due after before, up to five minutes.
	var busy int
	var all uint64
	for range 40 {
		now = now.Add(30 * time.Second)
		n := pass()
		if all += n; n > events/2 {
			busy++
		}
	}
	if busy < 8 || busy > 12 || all > 12*once {
		t.Errorf("%d passes of 40 looked for events, and read %d rows; want about ten", busy, all)
	}
	for i := range 3 {
		void(voids+i, 1, fmt.Sprintf("'e-%d'", i))
		if n := pass(); n > 2*once { // of which the second is that what was taken out is listed no more
			t.Errorf("a new void took %d rows", n)
		}
		if n := count("SELECT count() FROM voided WHERE outcome = 'counted'"); n != uint64(i+1) {
			t.Fatalf("%d events are written down after %d voids", n, i+1)
		}
	}
	pass()
	if n := count("SELECT toUInt64(sum(n)) FROM auth_days WHERE topic = ''"); n != events-3 {
		t.Errorf("%d events count, want %d", n, events-3)
	}
}
