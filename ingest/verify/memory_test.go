package verify_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"ioc.local/ingest/verify"
	"ioc.local/internal/warehouse"
)

// Statements of the proof, and of a rebuild of everything, stay below a limit that the data is many times larger than.
// TEST_VERIFY_ROWS is how many authentications there are, 600,000 if it is not set; one more in ten is a step of a
// dossier. TEST_VERIFY_MEMORY is the limit in MiB, 32 if it is not set.
func TestMemoryIsBounded(t *testing.T) {
	skipShort(t)
	number := func(variable string, otherwise int) int {
		if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
			return n
		}
		return otherwise
	}
	rows, limit := number("TEST_VERIFY_ROWS", 600_000), int64(number("TEST_VERIFY_MEMORY", 32))<<20
	w := newWorld(t)
	const block = 500_000
	insert := func(statement string) {
		settings := warehouse.InsertSettings("")
		delete(settings, "insert_deduplication_token")
		settings["insert_deduplicate"], settings["max_insert_threads"] = 0, 1
		if err := w.db.Client.Conn().Exec(clickhouse.Context(t.Context(), clickhouse.WithSettings(settings)), statement); err != nil {
			t.Fatal(err)
		}
	}
	for from := 0; from < rows; from += block {
		n := min(block, rows-from)
		// 80 days, nearly a cell of auth_minutes for each event.
		insert(fmt.Sprintf(`INSERT INTO auth_attempts (type, occurred_at, source, event_id, province, province63, service_id, relying_party, assurance_level, outcome, received_at, record_time, topic, partition, offset)
			SELECT 'auth.attempt', now64(3) - intDiv(number * 7000000, %[3]d) AS at, '/eid_auth/G01', 'auth-' || toString(generateUUIDv4()), toString(10 + number %% 34), toString(10 + number %% 63), 'DA06-' || toString(10 + number %% 25),
				'H' || toString(number %% 97), 3, 'success', at, at, 'auth', number %% 2, intDiv(number, 2) FROM numbers(%[1]d, %[2]d)`, from, n, rows))
	}
	for from := 0; from < rows/10; from += block / 5 {
		n := min(block/5, rows/10-from)
		insert(fmt.Sprintf(`INSERT INTO dossier_events (registered_on, subject, occurred_at, type, source, event_id, province, province63, service_id, status, channel, statutory_limit, limit_unit, received_at, record_time, topic, partition, offset)
			SELECT today() - 1 - dossier %% 400, 'd-' || toString(dossier), now64(3) - 86400 + step * 60, 'dossier.status', '/npsp/H26', 'd-' || toString(number), '79', '79', 'DA06-03', [2, 4, 5, 4, 9, 10][step + 1], 'online', 3, 'working_day',
				now64(3), now64(3), 'dossier', 0, number FROM (SELECT number, intDiv(number, 6) AS dossier, number %% 6 AS step FROM numbers(%d, %d))`, from, n))
	}
	// What is looked at, uncompressed: so much would be in memory if it were not looked at in pieces.
	size, err := strconv.ParseInt(w.text("SELECT toString(sum(data_uncompressed_bytes)) FROM system.parts WHERE database = currentDatabase() AND active"), 10, 64)
	if err != nil || size < 3*limit {
		t.Fatalf("%v, the data is %d MiB, which is not several times the limit of %d MiB", err, size>>20, limit>>20)
	}
	t.Logf("%d MiB of data, %d MiB of memory", size>>20, limit>>20)
	// The limit is one: with hardly any memory no proof is possible.
	if _, err := verify.Run(t.Context(), w.deps(), verify.Options{Memory: 1 << 20}); err == nil || !strings.Contains(err.Error(), "memory limit exceeded") {
		t.Errorf("with 1 MiB: %v, want that the limit is exceeded", err)
	}
	// The cubes are filled by the rebuild itself, which has to keep within the limit too.
	for _, rollup := range []string{"auth_minutes", "auth_days"} {
		w.exec("TRUNCATE TABLE " + rollup)
	}
	started, step := time.Now(), ""
	r, err := verify.Run(t.Context(), w.deps(), verify.Options{Memory: limit, Rebuild: []string{verify.All}, Progress: func(next string) {
		t.Logf("%8s %s", time.Since(started).Round(time.Millisecond), next)
		step = next
	}})
	if err != nil {
		t.Fatalf("at %s: %v", step, err)
	}
	t.Logf("%s for %d rows", time.Since(started).Round(time.Second), rows+rows/10)
	if !r.OK() || r.Identities.Events != uint64(rows+rows/10) {
		t.Errorf("not ok:\n%s", printed(t, r))
	}
	if n := w.text("SELECT toString(sum(n)) FROM auth_minutes WHERE topic = ''"); n != fmt.Sprint(rows) {
		t.Errorf("the rebuilt rollup counts %s events", n)
	}
	w.noTablesLeft()
}
