package verify_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"ioc.local/ingest/verify"
	"ioc.local/internal/reference"
)

const allRollups = "auth_days auth_latency auth_latency_days auth_minutes dossier_agency_deadlines dossier_days dossier_deadlines dossier_history dossier_province_days dossier_province_deadlines dossier_savings dossier_service_days dossier_state eid_days eid_minutes feed_quality query_days query_minutes source_activity"

// Whatever happens to rollups is found and put right, and ingestion goes on from there.
func TestDamageIsFoundAndRebuilt(t *testing.T) {
	skipShort(t)
	w := filled(t)
	s := w.stream("mixed", 0, w.committed[verify.TopicPartition{Topic: "mixed"}])
	for _, round := range []struct {
		name    string
		damage  []string
		want    []string
		rollups string
	}{
		{
			name: "counts too many and too few",
			damage: []string{
				"INSERT INTO auth_minutes (minute, province, n) VALUES (now(), '01', 1)",
				"INSERT INTO auth_days SELECT * REPLACE (1 AS n) FROM auth_days FINAL WHERE topic = '' LIMIT 1",
				"INSERT INTO auth_latency SELECT * REPLACE (0 AS n, map(413, -1, 5, 2) AS latencies) FROM auth_latency FINAL WHERE topic = '' LIMIT 1",
				"ALTER TABLE auth_latency_days DELETE WHERE topic = '' AND province = '01' SETTINGS mutations_sync = 2",
				"INSERT INTO query_days SELECT * REPLACE (-1 AS n) FROM query_days FINAL WHERE topic = '' LIMIT 1",
				"ALTER TABLE eid_days DELETE WHERE topic = '' AND document_kind != 'none' OR topic = '' AND account_action = 'activated' SETTINGS mutations_sync = 2",
				"INSERT INTO eid_minutes SELECT * FROM eid_minutes",
				"INSERT INTO source_activity (family, source, n) VALUES ('nothing', '/npsp/H26', 1)",
				"INSERT INTO feed_quality SELECT * REPLACE (1 AS accepted) FROM feed_quality FINAL WHERE topic = '' LIMIT 1",
				"INSERT INTO dossier_days (day, province, province63, service_id, channel, n) VALUES (today(), '79', 'gso34:79', 'DA06-03', 'online', 1)",
				"INSERT INTO dossier_state (registered_on, subject, version) SELECT toDate('2025-03-01') + INTERVAL number MONTH, 'nobody', 1 FROM numbers(6)", // more months than corrections
			},
			want: []string{"auth_minutes: 1 rows differ", "n 1, raw gives 0", "auth_days: 1 rows differ", "auth_latency: 1 rows differ", " latencies {5:2,", "dossier_days: 1 rows differ", "ioc verify --rebuild dossier_days",
				"('2025-03-01','nobody'): is stored without events"},
			rollups: "auth_days auth_latency auth_latency_days auth_minutes dossier_days dossier_state eid_days eid_minutes feed_quality query_days source_activity",
		},
		{
			name: "positions and maxima",
			damage: []string{
				"INSERT INTO auth_days (topic, partition, position) VALUES ('mixed', 0, 1000000000)",
				"INSERT INTO dossier_days (topic, partition, position) VALUES ('mixed', 1, 2000000000)",
				"ALTER TABLE feed_quality DELETE WHERE topic = 'mixed' SETTINGS mutations_sync = 2",
				"INSERT INTO query_minutes SELECT * REPLACE (0 AS n, toDateTime64('2100-01-01 00:00:00', 3, 'Asia/Ho_Chi_Minh') AS latest) FROM query_minutes FINAL WHERE topic = '' LIMIT 1",
				"ALTER TABLE dossier_savings DELETE WHERE topic = 'mixed' SETTINGS mutations_sync = 2",
				"ALTER TABLE voided UPDATE decided_at = decided_at - INTERVAL 10 MINUTE WHERE 1 SETTINGS mutations_sync = 2",
				"ALTER TABLE eid_minutes DELETE WHERE topic = '~void' SETTINGS mutations_sync = 2",
				"INSERT INTO dossier_state SELECT * REPLACE ('48' AS province, version + 1 AS version) FROM dossier_state FINAL ORDER BY subject LIMIT 1",
			},
			want:    []string{"position 1000000000, raw gives", "dossier_savings: 2 rows differ", "latest 2100-01-01", "province 48, raw gives 79"},
			rollups: "auth_days dossier_days dossier_savings dossier_state eid_minutes feed_quality query_minutes",
		},
		{
			name: "everything is gone, or the parts of some ranges",
			damage: []string{
				"ALTER TABLE voided UPDATE decided_at = decided_at - INTERVAL 10 MINUTE WHERE 1 SETTINGS mutations_sync = 2",
				"TRUNCATE TABLE auth_minutes", "TRUNCATE TABLE auth_latency", "TRUNCATE TABLE auth_latency_days", "TRUNCATE TABLE dossier_deadlines", "TRUNCATE TABLE dossier_state", "TRUNCATE TABLE source_activity", "TRUNCATE TABLE query_days",
				"TRUNCATE TABLE query_minutes", "TRUNCATE TABLE auth_days", "TRUNCATE TABLE eid_days", "TRUNCATE TABLE eid_minutes", "TRUNCATE TABLE dossier_savings", "TRUNCATE TABLE dossier_history", "TRUNCATE TABLE dossier_province_days", "TRUNCATE TABLE dossier_service_days", "TRUNCATE TABLE dossier_province_deadlines", "TRUNCATE TABLE dossier_agency_deadlines", "TRUNCATE TABLE dossier_days", "TRUNCATE TABLE feed_quality",
			},
			rollups: allRollups,
		},
	} {
		for _, statement := range round.damage {
			w.exec(statement)
		}
		r := w.verify(verify.Options{})
		text := printed(t, r)
		for _, want := range append(round.want, "NOT OK") {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the print lacks %q:\n%s", round.name, want, text)
			}
		}
		if got := differing(r); got != round.rollups {
			t.Errorf("%s: %q differ, want %q:\n%s", round.name, got, round.rollups, text)
		}
		revisions := w.text("SELECT toString(sum(p.position)) FROM merge(currentDatabase(), '^(auth|query|eid|dossier)_(minutes|days)$') AS p WHERE topic = '~rebuild'")
		r = w.verify(verify.Options{Rebuild: strings.Fields(round.rollups)})
		if !r.OK() {
			t.Fatalf("%s: not ok after the rebuild:\n%s", round.name, printed(t, r))
		}
		for _, rollup := range r.Rollups {
			if damaged := strings.Contains(" "+round.rollups+" ", " "+rollup.Name+" "); damaged != (rollup.Rebuilt > 0) {
				t.Errorf("%s: %d rows of %s were put right", round.name, rollup.Rebuilt, rollup.Name)
			}
		}
		if revisions == w.text("SELECT toString(sum(p.position)) FROM merge(currentDatabase(), '^(auth|query|eid|dossier)_(minutes|days)$') AS p WHERE topic = '~rebuild'") {
			t.Errorf("%s: the answers keep their revision", round.name)
		}
		from := s.next
		s.mustWrite(s.someEvents(20)...)
		s.mustWrite(s.someVoids(from)...)
		w.takeOut()
	}
	// The next round, and this one after the last, find nothing else.
	if r := w.verify(verify.Options{Rebuild: []string{verify.All}}); !r.OK() || strings.Contains(printed(t, r), "put right") {
		t.Errorf("a rebuild of what is exact:\n%s", printed(t, r))
	}
}

// What raw rows do not give any more stays, and what they give is the least that there must be.
func TestRebuildAfterRetention(t *testing.T) {
	skipShort(t)
	w := newWorld(t)
	s := w.stream("old", 0, 0)
	s.clock = time.Now().Add(-100 * 24 * time.Hour)
	s.mustWrite(s.someEvents(60)...)
	s.clock = time.Now()
	s.mustWrite(s.someEvents(60)...)
	before := w.rollups()
	w.exec("OPTIMIZE TABLE auth_attempts FINAL")
	w.exec("OPTIMIZE TABLE data_queries FINAL")
	w.exec("OPTIMIZE TABLE eid_events FINAL")
	// As after a migration that has just made them.
	w.exec("TRUNCATE TABLE auth_latency")
	w.exec("TRUNCATE TABLE auth_latency_days")
	w.exec("ALTER TABLE auth_days DELETE WHERE topic = '' AND day >= today() - 1 SETTINGS mutations_sync = 2")
	w.exec("INSERT INTO query_minutes SELECT * FROM query_minutes WHERE topic = '' AND minute > now() - INTERVAL 2 DAY")
	if r := w.verify(verify.Options{Rebuild: []string{"auth_days", "auth_latency", "auth_latency_days", "query_minutes", "eid_days"}}); !r.OK() {
		t.Fatalf("not ok:\n%s", printed(t, r))
	}
	after := w.rollups()
	for _, name := range []string{"auth_latency", "auth_latency_days"} {
		delete(before, name)
		delete(after, name)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the rollups are not what they were:\n%s", diff)
	}
}

// rollups is what all rollups hold, added up, without the count of rebuilds.
func (w *world) rollups() map[string]string {
	w.t.Helper()
	found := map[string]string{}
	for _, name := range strings.Fields(allRollups) {
		found[name] = w.content(name)
	}
	return found
}

func (w *world) content(rollup string) string {
	w.t.Helper()
	counted := "n"
	if rollup == "dossier_history" { // a day on which nothing was accepted
		counted = "n, completed, supplemented, handled, working_days, with_fee, paid_online, written, e_result, with_result, digitised, reused, from_store, population, synced, sync_told, documented"
	}
	rows := fmt.Sprintf("SELECT * FROM %s FINAL WHERE NOT startsWith(topic, '~') AND (topic != '' OR arrayExists(x -> x != 0, [%s]))", rollup, counted)
	switch {
	case rollup == "dossier_state":
		rows = "SELECT * FROM dossier_state FINAL"
	case rollup == "feed_quality":
		rows = "SELECT * FROM feed_quality FINAL WHERE topic = ''"
	case strings.HasPrefix(rollup, "dossier_"): // the positions are those of the ranges that changed the rows
		rows = "SELECT * REPLACE (if(topic = '', n, 0) AS n, if(topic = '', toDateTime64(0, 3), latest) AS latest, toUInt64(topic != '') AS position) FROM (" + rows + ")"
	}
	return w.text("SELECT arrayStringConcat(arraySort(groupArray(toString(tuple(*)))), '\n') FROM (" + rows + ")")
}

// A change of what is counted, such as of the working calendar, needs a rebuild; it gives the same as ingestion by the
// new calendar would have.
func TestRebuildByAnotherCalendar(t *testing.T) {
	w := newWorld(t)
	var holiday time.Time
	for _, h := range w.calendar.Holidays() {
		if day := h.Date; day.Before(time.Now().AddDate(0, 0, -7)) && day.Weekday() != time.Saturday && day.Weekday() != time.Sunday {
			holiday = day
		}
	}
	now := time.Now()
	write := func(w *world) {
		s := w.stream("mixed", 0, 0)
		s.clock = holiday.Add(-12 * time.Hour)
		var values []string
		for i, status := range []int{2, 2, 2, 5, 9, 9} {
			value := dossier(fmt.Sprint(i), fmt.Sprintf("d-%d", i%3), status, s.clock.Add(time.Duration(i/3)*80*time.Hour))
			values = append(values, strings.ReplaceAll(value, time.Now().AddDate(0, 0, -20).Format(time.DateOnly), holiday.AddDate(0, 0, -1).Format(time.DateOnly)))
		}
		s.clock = s.clock.AddDate(0, 0, 5)
		s.mustWrite(values...)
		s.clock = now
		s.mustWrite(s.someEvents(10)...)
	}
	write(w)
	w.calendar = new(reference.Calendar) // without holidays
	r := w.verify(verify.Options{})
	if got := differing(r); got != "dossier_agency_deadlines dossier_days dossier_deadlines dossier_history dossier_province_days dossier_province_deadlines dossier_service_days dossier_state" {
		t.Fatalf("%q differ by the new calendar:\n%s", got, printed(t, r))
	}
	if r := w.verify(verify.Options{Rebuild: strings.Fields(differing(r))}); !r.OK() {
		t.Fatalf("not ok:\n%s", printed(t, r))
	}
	got := w.rollups()
	s := w.stream("mixed", 0, w.committed[verify.TopicPartition{Topic: "mixed"}])
	s.mustWrite(s.someEvents(10)...)
	if r := w.verify(verify.Options{}); !r.OK() {
		t.Errorf("not ok after ingestion went on:\n%s", printed(t, r))
	}

	other := newWorld(t)
	other.calendar = w.calendar
	write(other)
	for _, name := range []string{"dossier_deadlines", "dossier_agency_deadlines", "dossier_history", "dossier_province_days", "dossier_province_deadlines", "dossier_state", "dossier_days", "dossier_savings", "dossier_service_days"} {
		if diff := cmp.Diff(strings.Split(other.content(name), "\n"), strings.Split(got[name], "\n")); diff != "" {
			t.Errorf("%s is not what ingestion by the new calendar gives (-ingestion +rebuild):\n%s", name, diff)
		}
	}
}

// Raw rows that are missing are no reason to take out of the rollups what they had counted.
func TestRebuildNeedsTheRawRows(t *testing.T) {
	w := filled(t)
	before := w.rollups()
	deps := verify.Deps{Client: w.db.Client, Calendar: w.calendar}
	for name, want := range map[string]string{"auth_dais": `there is no rollup "auth_dais"; there are auth_days, `} {
		if _, err := verify.Run(t.Context(), deps, verify.Options{Rebuild: []string{name}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	if _, err := verify.Run(t.Context(), deps, verify.Options{Rebuild: []string{"auth_days"}, Since: time.Now().Add(-time.Hour)}); err == nil || !strings.Contains(err.Error(), "cannot be limited") {
		t.Errorf("got %v", err)
	}
	w.exec("ALTER TABLE auth_attempts DELETE WHERE topic = 'mixed' AND offset = (SELECT min(offset) FROM auth_attempts WHERE topic = 'mixed' AND partition = 0 AND offset > 100) SETTINGS mutations_sync = 2")
	if _, err := verify.Run(t.Context(), deps, verify.Options{Rebuild: []string{verify.All}}); err == nil || !strings.Contains(err.Error(), "1 offsets are missing") {
		t.Errorf("got %v, want a refusal", err)
	}
	if diff := cmp.Diff(before, w.rollups()); diff != "" {
		t.Errorf("the rollups have changed:\n%s", diff)
	}
	w.noTablesLeft()
}

// A position that cannot be right, in a partition of which rows are under way, says nothing about what is counted.
func TestRebuildWaitsForWhatIsUnderWay(t *testing.T) {
	w := filled(t)
	w.exec("INSERT INTO auth_days (topic, partition, position) VALUES ('mixed', 0, 1000000000)")
	w.exec("INSERT INTO skipped_offsets (topic, partition, first_offset, last_offset, kind, received_at) SELECT 'mixed', 0, 5000, 5000, 'gap', now64(3)")
	_, err := verify.Run(t.Context(), verify.Deps{Client: w.db.Client, Calendar: w.calendar,
		Committed: func(context.Context) (map[verify.TopicPartition]int64, error) { return w.committed, nil }}, verify.Options{Rebuild: []string{"auth_days"}, Patience: time.Millisecond})
	var underWay *verify.UnderWayError
	if !errors.As(err, &underWay) || !strings.Contains(err.Error(), "ioc pause") {
		t.Errorf("got %v, want that rows are under way", err)
	}
	w.noTablesLeft()
}

// The engine is killed at random moments of a rebuild. Each rollup then is what it was before or what it should be, and
// never anything else. It is killed twice as often as rounds says.
func TestRebuildIsKilled(t *testing.T) {
	w := filled(t)
	good := w.rollups()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	damaged := []string{"auth_minutes", "auth_days", "source_activity", "dossier_days", "dossier_state"}
	unfinished, took := 0, 3*time.Second
	for round := 0; unfinished < 2*rounds(t); round++ {
		if round == 20*rounds(t) {
			t.Fatalf("of %d rebuilds %d were interrupted, so this test has not seen what it is for", round, unfinished)
		}
		for _, statement := range []string{
			"ALTER TABLE auth_minutes DELETE WHERE topic = '' AND province = '01' SETTINGS mutations_sync = 2",
			"INSERT INTO auth_days SELECT * FROM auth_days FINAL WHERE topic = ''",
			"TRUNCATE TABLE source_activity",
			"ALTER TABLE dossier_days DELETE WHERE 1 SETTINGS mutations_sync = 2",
			"ALTER TABLE dossier_state UPDATE province = '01' WHERE 1 SETTINGS mutations_sync = 2",
		} {
			w.exec(statement)
		}
		bad := w.rollups()
		ended := make(chan error, 1)
		started := time.Now()
		go func() {
			_, err := verify.Run(context.Background(), verify.Deps{Client: w.db.Client, Calendar: w.calendar}, verify.Options{Rebuild: damaged})
			ended <- err
		}()
		var err error
		select {
		case err = <-ended:
			took = time.Since(started)
		case <-time.After(time.Duration(r.Int64N(int64(took)))):
			if err := syscall.Kill(w.db.Engine.PID(), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			err = <-ended
			w.ready()
		}
		if err != nil {
			unfinished++
		}
		for _, name := range damaged {
			if now := w.content(name); now != bad[name] && now != good[name] {
				t.Fatalf("round %d: %s is neither what it was nor what it should be:\n%s", round, name, cmp.Diff(good[name], now))
			}
		}
		report, err := verify.Run(t.Context(), verify.Deps{Client: w.db.Client, Calendar: w.calendar}, verify.Options{Rebuild: damaged})
		if err != nil || !report.OK() {
			t.Fatalf("round %d: the rebuild after it: %v", round, err)
		}
		if diff := cmp.Diff(good, w.rollups()); diff != "" {
			t.Fatalf("round %d: not what it was before the damage:\n%s", round, diff)
		}
	}
	// Tables of the killed are dropped by the next rebuild of their rollup; those of others are not.
	w.exec("CREATE TABLE rebuild_auth_days_ofsomebodyel (x UInt8) ENGINE = Memory")
	if _, err := verify.Run(t.Context(), w.deps(), verify.Options{Rebuild: damaged}); err != nil {
		t.Error(err)
	}
	if left := w.text("SELECT arrayStringConcat(groupArray(name), ' ') FROM system.tables WHERE database = currentDatabase() AND name LIKE 'rebuild_%'"); left != "rebuild_auth_days_ofsomebodyel" {
		t.Errorf("the tables %s are left", left)
	}
}

// ready waits for the engine that was killed.
func (w *world) ready() {
	w.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
		err := w.db.Engine.WaitReady(ctx)
		if err == nil {
			err = w.db.Client.Conn().Exec(ctx, "SELECT 1")
		}
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("the engine does not come back: %v", err)
		}
	}
}

// Of several rebuilds at once one comes to its end, or none, and none adds to what another has added.
func TestRebuildsAtOnce(t *testing.T) {
	w := filled(t)
	good := w.rollups()
	for range rounds(t) {
		w.exec("INSERT INTO auth_minutes SELECT * FROM auth_minutes WHERE topic = ''")
		w.exec("ALTER TABLE dossier_savings DELETE WHERE 1 SETTINGS mutations_sync = 2")
		var group errgroup.Group
		for range 3 {
			group.Go(func() error {
				_, err := verify.Run(t.Context(), w.deps(), verify.Options{Rebuild: []string{"auth_minutes", "dossier_savings"}})
				if err != nil && !strings.Contains(err.Error(), "another rebuild of ") {
					return err
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		if r := w.verify(verify.Options{Rebuild: []string{"auth_minutes", "dossier_savings"}}); !r.OK() {
			t.Fatalf("not ok:\n%s", printed(t, r))
		}
		if diff := cmp.Diff(good, w.rollups()); diff != "" {
			t.Fatalf("not what it was before the damage:\n%s", diff)
		}
	}
}

// Ingestion and voids go on while rollups are damaged and rebuilt.
func TestRebuildWhileRowsAreInserted(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var group errgroup.Group
	for i, s := range []*stream{w.stream("busy", 0, 0), w.stream("busy", 1, 7)} {
		s.mustWrite(s.someEvents(20)...)
		group.Go(func() error {
			for n := 0; ctx.Err() == nil; n++ {
				from := s.next
				if err := s.write(context.WithoutCancel(ctx), s.someEvents(20+10*(n%3)+i)...); err != nil {
					return err
				}
				if err := s.write(context.WithoutCancel(ctx), s.someVoids(from)...); err != nil {
					return err
				}
			}
			return nil
		})
	}
	stopVoids := w.startVoids()
	for range rounds(t) {
		for _, statement := range []string{
			"INSERT INTO auth_minutes (minute, province, n) VALUES (now(), '01', 5)",
			"INSERT INTO auth_days SELECT * REPLACE (toUInt64(0) AS position) FROM auth_days WHERE topic = '' LIMIT 3",
			"INSERT INTO query_days SELECT * REPLACE (-n AS n) FROM query_days WHERE topic = '' LIMIT 1",
			"INSERT INTO source_activity (family, source, n) VALUES ('auth_attempts', '/eid_auth/G01', 3)",
			"INSERT INTO dossier_days SELECT * FROM dossier_days WHERE topic = '' LIMIT 2",
			"INSERT INTO dossier_deadlines SELECT * REPLACE (-n AS n) FROM dossier_deadlines WHERE topic = '' LIMIT 2",
		} {
			w.exec(statement)
		}
		r, err := verify.Run(t.Context(), w.deps(), verify.Options{Rebuild: []string{verify.All}})
		if err != nil || !r.OK() {
			t.Fatalf("%v, not ok:\n%s", err, printed(t, r))
		}
	}
	stop()
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	stopVoids()
	w.takeOut()
	if r := w.verify(verify.Options{Rebuild: []string{verify.All}}); !r.OK() {
		t.Errorf("at rest:\n%s", printed(t, r))
	}
}
