package warehouse_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"

	"ioc.local/internal/dossier"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

// dossierRow is a row of dossier_state. Times are Unix milliseconds.
type dossierRow struct {
	RegisteredOn         int32
	Subject              string
	Version              uint32
	AcceptedAt, EndedAt  int64
	EndStatus            uint8
	SavedAt, DueAt       int64
	OverdueAt            int64
	Supplements          uint16
	SupplementMS         int64
	Province, Province63 string
	Agency, Service      string
	Procedure            string
	Level, Channel       int8
	Portal, Form         int8
	Latest               int64
	Moments              moments
}

// log is where the events of a test are: in one partition of one topic, by offset.
type logOf struct {
	topic     string
	partition uint32
	events    []dossierEvent
}

// span is one range of a log; both ends are included.
type span struct {
	*logOf
	first, last int
}

func (s span) events() []dossierEvent { return s.logOf.events[s.first : s.last+1] }

// world is a database with the state of some dossiers.
type world struct {
	t    testing.TB
	db   *enginetest.DB
	data *reference.Data
	// voided are the identities that voids name.
	voided map[identity]bool
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, db: migrated(t)}
	w.data = loadReference(t, w.db)
	return w
}

// load inserts the events of a span into dossier_events.
func (w *world) load(spans ...span) {
	w.t.Helper()
	batch, err := w.db.Client.Conn().PrepareBatch(clickhouse.Context(w.t.Context(), clickhouse.WithSettings(warehouse.InsertSettings(""))),
		`INSERT INTO dossier_events (registered_on, subject, occurred_at, type, source, event_id, province, province63, agency_code,
			service_id, procedure_code, service_level, status, channel, portal, result_form, due_at, statutory_limit, limit_unit, vneid_authenticated,
			doc_kind, reused, from_national_store, source_db, has_file, payment_state, paid_online, amount_vnd, fee_total_vnd, likes, sync_on_time,
			received_at, record_time, topic, partition, offset)`)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = batch.Close() }()
	var voids [][]any
	for _, s := range spans {
		for i, e := range s.events() {
			if e.void != "" {
				voids = append(voids, []any{"event.void", e.void, time.UnixMilli(e.time), e.source, e.id, s.topic, s.partition, uint64(s.first + i)})
				continue
			}
			kind := "dossier.status"
			if e.status == 0 {
				kind = "dossier.document"
			}
			err := batch.Append(time.Unix(int64(e.registeredOn)*86400, 0).UTC(), e.subject, time.UnixMilli(e.time), kind, e.source, e.id,
				e.province, e.province63, e.agency, e.service, e.procedure, e.level, e.status, e.channel, e.portal, e.form, time.UnixMilli(e.due), e.limit, e.unit,
				e.said.vneid, e.said.document, e.said.reused, e.said.store, e.said.database, e.said.file, e.said.payment, e.said.gateway, e.said.amount, e.said.fees,
				e.said.like, e.said.sync, time.Now(), time.Now(), s.topic, s.partition, uint64(s.first+i))
			if err != nil {
				w.t.Fatal(err)
			}
		}
	}
	if err := batch.Send(); err != nil {
		w.t.Fatal(err)
	}
	registers, err := w.db.Client.Conn().PrepareBatch(w.t.Context(), "INSERT INTO register_events (type, subject, occurred_at, source, event_id, topic, partition, offset)")
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = registers.Close() }()
	for _, row := range voids {
		if err := registers.Append(row...); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := registers.Send(); err != nil {
		w.t.Fatal(err)
	}
}

// apply brings the dossiers of a span up to date.
func (w *world) apply(s span) error {
	touched := warehouse.TouchedDossiers{
		Topic: s.topic, Partition: s.partition, First: uint64(s.first), Last: uint64(s.last), Calendar: w.data.Calendar(),
		Token: fmt.Sprintf("%s/%d/%d-%d", s.topic, s.partition, s.first, s.last),
	}
	for _, e := range s.events() {
		if e.void != "" {
			touched.Registers = true
			continue
		}
		touched.RegisteredOn = append(touched.RegisteredOn, e.registeredOn)
		touched.Subjects = append(touched.Subjects, e.subject)
	}
	_, err := warehouse.ApplyDossiers(w.t.Context(), w.db.Client, touched)
	return err
}

func (w *world) mustApply(spans ...span) {
	w.t.Helper()
	for _, s := range spans {
		if err := w.apply(s); err != nil {
			w.t.Fatalf("applying %s/%d %d..%d: %v", s.topic, s.partition, s.first, s.last, err)
		}
	}
}

const stateColumns = `toInt32(registered_on), subject, version, toUnixTimestamp64Milli(accepted_at), toUnixTimestamp64Milli(ended_at), end_status,
	toUnixTimestamp64Milli(saved_at), toUnixTimestamp64Milli(due_at), toUnixTimestamp64Milli(overdue_at), supplements, supplement_ms,
	province, province63, agency_code, service_id, procedure_code, toInt8(service_level), toInt8(channel), toInt8(portal), toInt8(result_form), toUnixTimestamp64Milli(latest),
	[toUnixTimestamp64Milli(formed_at), toUnixTimestamp64Milli(closed_at), toUnixTimestamp64Milli(completed_at), toUnixTimestamp64Milli(supplemented_at), toUnixTimestamp64Milli(handled_at), toInt64(working_days),
		toUnixTimestamp64Milli(fee_at), toUnixTimestamp64Milli(paid_at), toUnixTimestamp64Milli(result_at), toUnixTimestamp64Milli(digitised_at),
		toUnixTimestamp64Milli(reused_at), toUnixTimestamp64Milli(stored_at), toUnixTimestamp64Milli(population_at), toUnixTimestamp64Milli(synced_at), toUnixTimestamp64Milli(unsynced_at),
		toUnixTimestamp64Milli(disliked_at), toUnixTimestamp64Milli(documented_at)]`

// states reads dossier states by subject.
func (w *world) states(from string) map[string]dossierRow {
	w.t.Helper()
	rows, err := w.db.Client.Conn().Query(w.t.Context(), "SELECT "+stateColumns+" FROM "+from)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	found := map[string]dossierRow{}
	for rows.Next() {
		var r dossierRow
		var m []int64
		err := rows.Scan(&r.RegisteredOn, &r.Subject, &r.Version, &r.AcceptedAt, &r.EndedAt, &r.EndStatus, &r.SavedAt, &r.DueAt, &r.OverdueAt,
			&r.Supplements, &r.SupplementMS, &r.Province, &r.Province63, &r.Agency, &r.Service, &r.Procedure, &r.Level, &r.Channel, &r.Portal, &r.Form, &r.Latest, &m)
		if err != nil {
			w.t.Fatal(err)
		}
		r.Moments = moments(m)
		if _, twice := found[r.Subject]; twice {
			w.t.Errorf("dossier %s has two states", r.Subject)
		}
		found[r.Subject] = r
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return found
}

// recompute makes a table with the state of all dossiers from their raw events.
func (w *world) recompute(table string) {
	w.t.Helper()
	columns := strings.Join([]string{"registered_on, subject, version, accepted_at, ended_at, end_status, saved_at, due_at, overdue_at, supplements, supplement_ms",
		"province, province63, agency_code, service_id, procedure_code, service_level, channel, portal, result_form",
		"formed_at, closed_at, completed_at, supplemented_at, handled_at, working_days, fee_at, paid_at, result_at, digitised_at, reused_at, stored_at, population_at, synced_at, unsynced_at, disliked_at, documented_at, latest"}, ", ")
	execute := func(statement string) {
		if err := w.db.Client.Conn().Exec(w.t.Context(), statement); err != nil {
			w.t.Fatal(err)
		}
	}
	execute("CREATE TABLE " + table + " AS dossier_state ENGINE = Memory")
	execute("CREATE TABLE " + table + "_changes AS dossier_changes ENGINE = Memory")
	if err := warehouse.RecomputeDossiers(w.t.Context(), w.db.Client, w.data.Calendar(), table+"_changes", "1", "1"); err != nil {
		w.t.Fatal(err)
	}
	execute("INSERT INTO " + table + " (" + columns + ") SELECT " + columns + " FROM " + table + "_changes WHERE sign = 1")
}

// counts is a cube: what it counts by its dimensions.
type counts map[string]int64

// cubes reads the counts of the three cubes; cells that came to nothing are left out, as a sum over them is the same.
func (w *world) cubes() map[string]counts {
	w.t.Helper()
	return map[string]counts{
		"dossier_days":      w.cube("dossier_days", "toInt32(day), province, province63, service_id, toInt8(channel), toInt8(portal)"),
		"dossier_deadlines": w.cube("dossier_deadlines", "toInt32(day), province, province63, service_id, toUnixTimestamp64Milli(overdue_at)"),
		"dossier_savings":   w.cube("dossier_savings", "toInt32(day), province, province63, service_id"),
	}
}

func (w *world) cube(table, dimensions string) counts {
	w.t.Helper()
	rows, err := w.db.Client.Conn().Query(w.t.Context(), "SELECT toString(("+dimensions+")) AS cell, sum(n) AS total FROM "+table+
		" WHERE topic = '' GROUP BY cell HAVING total != 0")
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	found := counts{}
	for rows.Next() {
		var cell string
		var n int64
		if err := rows.Scan(&cell, &n); err != nil {
			w.t.Fatal(err)
		}
		found[cell] = n
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return found
}

// cubesOf adds up what the cubes must hold, from the states.
func cubesOf(states map[string]dossierRow) map[string]counts {
	days, deadlines, savings := counts{}, counts{}, counts{}
	day := func(ms int64) int64 { return (ms + 7*3600_000) / 86400_000 }
	for _, s := range states {
		place := fmt.Sprintf("'%s','%s','%s'", s.Province, s.Province63, s.Service)
		if s.AcceptedAt > 0 {
			days[fmt.Sprintf("(%d,%s,%d,%d)", day(s.AcceptedAt), place, s.Channel, s.Portal)]++
		}
		if s.AcceptedAt > 0 && s.DueAt > 0 {
			deadlines[fmt.Sprintf("(%d,%s,%d)", day(s.AcceptedAt), place, s.OverdueAt)]++
		}
		if s.SavedAt > 0 {
			savings[fmt.Sprintf("(%d,%s)", day(s.SavedAt), place)]++
		}
	}
	return map[string]counts{"dossier_days": days, "dossier_deadlines": deadlines, "dossier_savings": savings}
}

// check compares all states with the oracle, at every moment that matters, and the cubes with the sums.
func (w *world) check(dossiers [][]dossierEvent) {
	w.t.Helper()
	got := w.states("dossier_state FINAL")
	if len(got) != len(dossiers) {
		w.t.Errorf("%d states of %d dossiers", len(got), len(dossiers))
	}
	wrong := 0
	oracles := map[string]*oracle{}
	for _, events := range dossiers {
		o := newOracle(events, w.voided, w.data.Calendar())
		row := got[events[0].subject]
		oracles[row.Subject] = o
		problem := o.compare(row)
		if problem == "" {
			continue
		}
		if wrong++; wrong <= 3 {
			w.t.Errorf("dossier %s: %s\nevents:\n%s", row.Subject, problem, describe(o.events))
		}
	}
	if wrong > 0 {
		w.t.Fatalf("%d of %d dossiers are wrong", wrong, len(dossiers))
	}
	if diff := cmp.Diff(cubesOf(got), w.cubes()); diff != "" {
		w.t.Fatalf("cubes are not the sums of the states (-sums +cubes):\n%s", diff)
	}
	w.checkMeasures(got)
	w.checkKeys()
	w.checkOverdue(oracles)
}

// compare says in what a state differs from the rules; it is empty when it does not.
func (o *oracle) compare(got dossierRow) string {
	want := o.state()
	want.OverdueAt = got.OverdueAt
	if want != got {
		return cmp.Diff(want, got)
	}
	return overdueProblem(o, got)
}

// overdueProblem says where "on time at T means overdue_at >= T" fails.
func overdueProblem(o *oracle, row dossierRow) string {
	if o.acceptedAt() == 0 || o.due() == 0 {
		return ""
	}
	moments := o.moments()
	for _, near := range []int64{row.OverdueAt - 1, row.OverdueAt, row.OverdueAt + 1} {
		if near > o.acceptedAt() && near <= stays {
			moments = append(moments, near)
		}
	}
	for _, now := range moments {
		if want, got := o.onTime(now), row.OverdueAt >= now; want != got {
			return fmt.Sprintf("on time at %s: the rule says %v, overdue_at %s says %v (accepted %s, due %s)",
				clock(now), want, clock(row.OverdueAt), got, clock(o.acceptedAt()), clock(o.due()))
		}
	}
	return ""
}

func clock(ms int64) string {
	return time.UnixMilli(ms).In(reference.TimeZone()).Format("2006-01-02 15:04:05.000")
}

func describe(events []dossierEvent) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "  %s status %d %+v\n", clock(e.time), e.status, e)
	}
	return b.String()
}

// randomDossiers are small dossiers on few moments, so that ties, disorder and contradictions are common.
func randomDossiers(r *rand.Rand, n int) [][]dossierEvent {
	const hour = 3600_000
	chance := func(p float64) bool { return r.Float64() < p }
	places := [][2]string{{"01", "01"}, {"79", "74"}, {"79", "gso34:79"}}
	ids := 0
	var dossiers [][]dossierEvent
	for i := range n {
		// Around Tết, the national days and the end of the year, where working days are few.
		base := time.Date(2024+r.IntN(3), []time.Month{1, 2, 4, 8, 12}[r.IntN(5)], 1+r.IntN(31), r.IntN(24), 0, 0, 0, reference.TimeZone()).UnixMilli()
		registered := int32(base/86400_000) - 1
		steps := []int64{6 * hour, 24 * hour}[r.IntN(2)]
		moment := func() int64 {
			at := base + int64(r.IntN(9))*steps
			if chance(0.1) {
				at += int64(r.IntN(3)) - 1
			}
			return at
		}
		events := make([]dossierEvent, 1+r.IntN(8))
		withDue, withLimit := chance(0.5), chance(0.5)
		for k := range events {
			ids++
			e := dossierEvent{registeredOn: registered, subject: fmt.Sprintf("d-%05d", i), time: moment(),
				source: []string{"/npsp/H26", "/province_portal/H29"}[r.IntN(2)], id: fmt.Sprintf("e-%06d", r.IntN(1_000_000)*1000+ids%1000)}
			e.status = []uint8{0, 0, 1, 2, 2, 2, 2, 3, 4, 4, 5, 5, 5, 5, 6, 7, 8, 9, 9, 10, 10}[r.IntN(21)]
			if chance(0.6) {
				place := places[r.IntN(len(places))]
				e.province, e.province63 = place[0], place[1]
			}
			if chance(0.6) {
				e.agency = []string{"H29.1", "H26.2", "G01"}[r.IntN(3)]
			}
			if chance(0.6) {
				e.service = []string{"DA06-01", "DA06-03"}[r.IntN(2)]
			}
			if chance(0.5) {
				e.channel, e.level, e.portal = int8(r.IntN(4)), int8(r.IntN(5)), int8(r.IntN(6))
			}
			if chance(0.4) {
				e.procedure, e.form = []string{"1.004222", "2.000889"}[r.IntN(2)], int8(r.IntN(5))
			}
			e.said = randomSaid(r)
			if withDue && chance(0.4) {
				e.due = base + int64(r.IntN(16)-3)*steps
			}
			if withLimit && chance(0.5) {
				e.unit = int8(r.IntN(4))
				e.limit = uint16(1 + r.IntN(12))
				switch {
				case e.unit == unitWorkingHour:
					e.limit = uint16(1 + r.IntN(60))
				case chance(0.02):
					e.limit = uint16(1 + r.IntN(50_000))
				}
			}
			if k > 0 && chance(0.05) {
				// Another source used the same id at the same moment for something else.
				e.id, e.time, e.status, e.source = events[k-1].id, events[k-1].time, events[k-1].status, events[k-1].source+"9"
			}
			events[k] = e
		}
		dossiers = append(dossiers, events)
	}
	return dossiers
}

// logs spreads the dossiers over partitions, in random order of events, and cuts them into ranges. Each partition's
// ranges are in order; partitions alternate.
func logs(r *rand.Rand, dossiers [][]dossierEvent, partitions, mean int) []span {
	all := make([]*logOf, partitions)
	for i := range all {
		all[i] = &logOf{topic: fmt.Sprintf("dossier.%d", i%2), partition: uint32(i / 2)}
	}
	for _, events := range dossiers {
		l := all[r.IntN(partitions)]
		l.events = append(l.events, events...)
	}
	var queues [][]span
	for _, l := range all {
		r.Shuffle(len(l.events), func(i, k int) { l.events[i], l.events[k] = l.events[k], l.events[i] })
		var queue []span
		for first := 0; first < len(l.events); {
			last := min(first+r.IntN(2*mean), len(l.events)-1)
			queue = append(queue, span{l, first, last})
			first = last + 1
		}
		if len(queue) > 0 {
			queues = append(queues, queue)
		}
	}
	var spans []span
	for len(queues) > 0 {
		i := r.IntN(len(queues))
		spans = append(spans, queues[i][0])
		if queues[i] = queues[i][1:]; len(queues[i]) == 0 {
			queues = slices.Delete(queues, i, i+1)
		}
	}
	return spans
}

// repeat adds events that say the same under another id.
func repeat(r *rand.Rand, dossiers [][]dossierEvent) [][]dossierEvent {
	repeated := make([][]dossierEvent, len(dossiers))
	for i, events := range dossiers {
		repeated[i] = slices.Clone(events)
		for _, e := range events {
			if r.IntN(4) == 0 {
				e.id += "-again"
				repeated[i] = append(repeated[i], e)
			}
		}
	}
	return repeated
}

// The evaluation alone, without a database, on many more dossiers.
func TestEvaluationFollowsTheReadingRules(t *testing.T) {
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dossiers := 150_000
	if testing.Short() {
		dossiers = 15_000
	}
	evaluator := dossier.NewEvaluator(data.Calendar())
	r := rand.New(rand.NewPCG(3, 3))
	for _, events := range randomDossiers(r, dossiers) {
		var given []dossier.Event
		for _, e := range events {
			given = append(given, dossier.Event{At: e.time, Status: e.status, ID: e.id, Source: e.source, Province: e.province, Province63: e.province63,
				Agency: e.agency, Service: e.service, Procedure: e.procedure, Level: e.level, Channel: e.channel, Portal: e.portal, Form: e.form,
				DueAt: e.due, Limit: e.limit, LimitUnit: dossier.LimitUnit(e.unit), Facts: e.said.facts()})
		}
		s := evaluator.State(given)
		got := dossierRow{RegisteredOn: events[0].registeredOn, Subject: events[0].subject, Version: s.Version, AcceptedAt: s.Accepted,
			EndedAt: s.Ended, EndStatus: s.EndStatus, SavedAt: s.Saved, DueAt: s.Due, OverdueAt: s.Overdue, Supplements: s.Supplements,
			SupplementMS: s.SupplementMillis, Province: s.Province, Province63: s.Province63, Agency: s.Agency, Service: s.Service, Procedure: s.Procedure,
			Level: s.Level, Channel: s.Channel, Portal: s.Portal, Form: s.Form, Latest: s.Latest, Moments: momentsOf(&s)}
		o := newOracle(events, nil, data.Calendar())
		if problem := o.compare(got); problem != "" {
			t.Fatalf("dossier %s: %s\nevents:\n%s", got.Subject, problem, describe(o.events))
		}
	}
}

func TestDossierStateFollowsTheReadingRules(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 20220106))
			dossiers := randomDossiers(r, 1500)
			w := newWorld(t)
			spans := logs(r, dossiers, 5, 600)
			w.load(spans...)
			w.mustApply(spans...)
			w.check(dossiers)

			cubes, states := w.cubes(), w.states("dossier_state FINAL")
			everything := text(t, w.db.Client, allCells)
			w.mustApply(spans...)
			if diff := cmp.Diff(everything, text(t, w.db.Client, allCells)); diff != "" {
				t.Errorf("applying every range a second time changed something:\n%s", diff)
			}

			w.recompute("recomputed")
			recomputed := w.states("recomputed")
			if diff := cmp.Diff(states, recomputed); diff != "" {
				t.Errorf("the recomputation differs (-state +recomputed):\n%s", diff)
			}

			t.Run("other order, other ranges, repeated events", func(t *testing.T) {
				w := newWorld(t)
				repeated := repeat(r, dossiers)
				for _, s := range logs(r, repeated, 3, 1000) {
					w.load(s)
					w.mustApply(s)
				}
				w.check(repeated)
				if diff := cmp.Diff(cubes, w.cubes()); diff != "" {
					t.Errorf("cubes differ:\n%s", diff)
				}
			})
		})
	}
}

// allCells gives every row of the state and the cubes, position rows included, as one text.
const allCells = `SELECT arrayStringConcat(arraySort(groupArray(line)), '\n') FROM (
	SELECT toString(tuple(*)) AS line FROM dossier_state FINAL
	UNION ALL SELECT toString(('days', day, province, province63, service_id, channel, portal, topic, partition, sum(n), max(position), max(latest))) FROM dossier_days
		GROUP BY day, province, province63, service_id, channel, portal, topic, partition
	UNION ALL SELECT toString(('deadlines', day, province, province63, service_id, overdue_at, topic, partition, sum(n), max(position), max(latest))) FROM dossier_deadlines
		GROUP BY day, province, province63, service_id, overdue_at, topic, partition
	UNION ALL SELECT toString(('savings', day, province, province63, service_id, topic, partition, sum(n), max(position), max(latest))) FROM dossier_savings
		GROUP BY day, province, province63, service_id, topic, partition)`

// A dossier whose events come by two partitions is exact as long as one range is inserted and applied after the other.
func TestDossierStateAcrossPartitions(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	dossiers := randomDossiers(r, 1500)
	w := newWorld(t)
	var single [][]dossierEvent // each event on its own, so that a dossier is spread over the partitions
	for _, events := range dossiers {
		for _, e := range events {
			single = append(single, []dossierEvent{e})
		}
	}
	for _, s := range logs(r, single, 4, 500) {
		w.load(s)
		w.mustApply(s)
	}
	w.check(dossiers)
}

// A range that failed half-way, because a rollup refused it, is made whole by applying it again.
func TestApplyDossiersAfterFailure(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 11))
	dossiers := randomDossiers(r, 1000)
	w := newWorld(t)
	conn := w.db.Client.Conn()
	spans := logs(r, dossiers, 2, 400)
	w.load(spans...)
	halfway := false
	for i, s := range spans {
		// Views are served in an order of their own: names and times of creation differ, so that the failure finds
		// the other rollups written or not.
		name := []string{"aaa_mv", "dossier_mmm_mv", "zzz_mv"}[i%3]
		if err := conn.Exec(t.Context(), "CREATE MATERIALIZED VIEW "+name+" (x UInt8) ENGINE = Memory AS SELECT throwIf(1, 'made to fail')::UInt8 AS x FROM dossier_changes"); err != nil {
			t.Fatal(err)
		}
		before := text(t, w.db.Client, allCells)
		if err := w.apply(s); err == nil || !strings.Contains(err.Error(), "made to fail") {
			t.Fatalf("applying under a failing rollup gave %v", err)
		}
		halfway = halfway || before != text(t, w.db.Client, allCells)
		if err := conn.Exec(t.Context(), "DROP VIEW "+name+" SYNC"); err != nil {
			t.Fatal(err)
		}
		w.mustApply(s)
	}
	if !halfway {
		t.Error("no failure left a part of a range behind, so this test has not seen what it is for")
	}
	w.check(dossiers)
}

// Legal limits end where the calendar's own arithmetic says, also on days that the calendar in ClickHouse does not reach.
func TestLegalLimits(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 13))
	w := newWorld(t)
	calendar := w.data.Calendar()
	beyond := calendar.End().AddDate(8, 0, 0)
	var dossiers [][]dossierEvent
	want := map[string]string{}
	for at := calendar.Start().AddDate(0, 0, 5); at.Before(beyond); at = at.Add(17*time.Hour + 13*time.Minute) {
		e := dossierEvent{registeredOn: int32(at.Unix()/86400) - 1, subject: at.Format(time.RFC3339), source: "/npsp/H26", id: at.String(),
			time: at.UnixMilli(), status: 2, limit: uint16(1 + r.IntN(40)), unit: int8(r.IntN(4))}
		if r.IntN(50) == 0 {
			e.limit = uint16(1 + r.IntN(50_000))
		}
		due := calendar.AddWorkingDays(at, int(e.limit))
		switch e.unit {
		case unitDay:
			due = at.AddDate(0, 0, int(e.limit))
		case unitWorkingHour:
			due = calendar.AddWorkingDays(at, (int(e.limit)+7)/8)
		}
		want[e.subject] = fmt.Sprintf("%d of unit %d: %s", e.limit, e.unit, clock(due.UnixMilli()))
		dossiers = append(dossiers, []dossierEvent{e})
	}
	spans := logs(r, dossiers, 1, 1<<20)
	w.load(spans...)
	w.mustApply(spans...)
	got := map[string]string{}
	states := w.states("dossier_state FINAL")
	for _, events := range dossiers {
		e := events[0]
		got[e.subject] = fmt.Sprintf("%d of unit %d: %s", e.limit, e.unit, clock(states[e.subject].DueAt))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("due times differ (-calendar +SQL):\n%s", diff)
	}
}
