package kpi

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// aboutServices are the KPIs of which every fact is of a service that their definitions name.
var aboutServices = []string{"exam_online_registration_rate", "judicial_records_vneid"}

// enrolments adds random events of dossiers of some services over two years, in several ranges of two partitions. A range tells
// other things of the dossiers of the one before: an acceptance that is earlier, another service, an end. Some events come again.
func enrolments(w *world, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 2))
	pick := func(choices ...string) string { return choices[random.IntN(len(choices))] }
	for batch := range 4 {
		var events []event
		for i := range 200 {
			dossier := i + 100*batch // half of them are of the range before
			accepted := w.now().Add(-2*24*time.Hour - time.Duration(random.Int64N(int64(500*24*time.Hour)))).Truncate(time.Millisecond)
			step := func(id string, at time.Time, fields string) {
				events = append(events, ev("dossier.status", fmt.Sprintf("id=%s subject=s%d partition=%d time=%s %s", id, dossier, dossier%2, at.Format(time.RFC3339Nano), fields)))
			}
			like := fmt.Sprintf("channel=%s portal=%s %s", pick("online", "online", "direct", "postal"), pick("vneid", "vneid", "npsp"),
				pick("province=01", "province=79", "province=02 scheme=gso63", ""))
			service := pick("service=DA06-21", "service=DA06-21", "service=DA06-22", "service=DA06-03", "service=DA06-04", "")
			id := fmt.Sprintf("e%d-%d", batch, i)
			step(id, accepted, "status=2 "+like+" "+service)
			switch random.IntN(5) {
			case 0:
				step(id+"-early", accepted.Add(-36*time.Hour), "status=2 "+like+" service="+pick("DA06-21", "DA06-22"))
			case 1:
				step(id, accepted, "status=2 "+like+" "+service)
			case 2:
				step(id+"-end", accepted.Add(-time.Hour), "status=9")
			case 3:
				step(id+"-end", earliest(accepted.AddDate(0, 0, random.IntN(90)), w.now().Add(-time.Hour)), "status=10")
			}
		}
		w.load(events...)
	}
	w.load(ev("counter.report", "subject=c time=2024-11-22 metric=judicial_records_vneid value=81000 qualifier=over as_of=2024-11-22 source_ref=530/TB-VPCP"))
}

// asked is the table that a question is asked of.
func (w *world) asked(q Query) *timing {
	w.t.Helper()
	checked, err := w.e.deps.Catalogue.check(withScope(q))
	if err != nil {
		w.t.Fatal(err)
	}
	placed, err := checked.timing(w.now(), w.now())
	if err != nil {
		w.t.Fatal(err)
	}
	return placed
}

// TestQuestionsAboutServicesHaveTheirTable: what is about given services only is asked of the rollup that has the service first.
func TestQuestionsAboutServicesHaveTheirTable(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00"))
	w.tick()
	service := func(codes ...string) map[string][]string { return map[string][]string{"service": codes} }
	for _, tt := range []struct {
		query Query
		table string
	}{
		{Query{KPI: "exam_online_registration_rate"}, "dossier_service_days"},
		{Query{KPI: "exam_online_registration_rate", By: []string{"province"}, Scheme: SchemeGSO63, Period: PeriodToday}, "dossier_service_days"},
		{Query{KPI: "judicial_records_vneid", By: []string{"province"}}, "dossier_service_days"},
		{Query{KPI: "dossiers_received", Filters: service("DA06-03", "DA06-04"), By: []string{"channel", "portal", "service"}, Period: PeriodAll}, "dossier_service_days"},
		{Query{KPI: "dossiers_received", Filters: service("DA06-03"), Grain: "month"}, "dossier_service_days"},
		{Query{KPI: "completion_rate", Filters: service("DA06-03")}, "dossier_service_days"},
		// What became of dossiers by a past moment, and what has other dimensions, are kept elsewhere.
		{Query{KPI: "completion_rate", Filters: service("DA06-03"), Grain: "month"}, "dossier_history"},
		{Query{KPI: "dossiers_received", Filters: service("DA06-03"), By: []string{"procedure"}}, "dossier_days"},
		{Query{KPI: "full_online_dossier_rate", Filters: service("DA06-03")}, "dossier_days"},
		// Of all services.
		{Query{KPI: "dossiers_received"}, "dossier_province_days"},
		{Query{KPI: "dossiers_received", By: []string{"service"}}, "dossier_days"},
		{Query{KPI: "dossiers_received", By: []string{"portal"}}, "dossier_days"},
	} {
		if got := w.asked(tt.query).table.name; got != tt.table {
			t.Errorf("%+v is asked of %s, want %s", tt.query, got, tt.table)
		}
	}
}

// withoutServiceTable makes the evaluator ask other tables what it asked of dossier_service_days.
func (w *world) withoutServiceTable() {
	src := w.e.deps.Catalogue.sources[dossierSource]
	src.tables = slices.DeleteFunc(src.tables, func(t table) bool { return t.key != "" })
	clear(w.e.published)
}

// TestServicesCountAlike: to the last bit the rollup by service gives what dossier_days does, at the same positions.
func TestServicesCountAlike(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00"))
	enrolments(w, 7)
	w.tick()
	questions := []Query{
		{KPI: "exam_online_registration_rate", By: []string{"province"}}, {KPI: "exam_online_registration_rate", By: []string{"province"}, Scheme: SchemeGSO63, Period: PeriodYTD},
		{KPI: "exam_online_registration_rate", Period: PeriodMonth, Compare: ComparePrevious}, {KPI: "exam_online_registration_rate", Grain: "month"},
		{KPI: "exam_online_registration_rate", Filters: map[string][]string{"province": {"79"}}}, {KPI: "exam_online_registration_rate", At: local(t, "2026-03-01")},
		{KPI: "judicial_records_vneid"}, {KPI: "judicial_records_vneid", By: []string{"province"}},
	}
	for _, codes := range [][]string{{"DA06-03"}, {"DA06-04", "DA06-21"}, {"DA06-01"}} {
		of := map[string][]string{"service": codes}
		questions = append(questions, Query{KPI: "dossiers_received", Filters: of, Period: PeriodAll, By: []string{"service", "channel"}},
			Query{KPI: "online_dossier_rate", Filters: of, Period: PeriodAll, Grain: "month"}, Query{KPI: "completion_rate", Filters: of, Period: PeriodYTD, By: []string{"province"}})
	}
	answers := func() (all []*Answer, published map[Key]*Answer) {
		for _, q := range questions {
			all = append(all, w.ask(q))
		}
		return all, w.tick().Values
	}
	for _, q := range []Query{questions[0], questions[1], {KPI: "judicial_records_vneid"}} {
		if a := w.ask(q); a.Numerator == nil || *a.Numerator == 0 {
			t.Fatalf("%s counts nothing: nothing is tested", q.KPI)
		}
	}
	got, gotPublished := answers()
	w.withoutServiceTable()
	want, wantPublished := answers()
	for i, q := range questions {
		if diff := cmp.Diff(want[i], got[i]); diff != "" {
			t.Errorf("%+v (-dossier_days +dossier_service_days):\n%s", q, diff)
		}
	}
	if diff := cmp.Diff(wantPublished, gotPublished); diff != "" {
		t.Errorf("published (-dossier_days +dossier_service_days):\n%s", diff)
	}
}

// TestServicesBehindTheWitness: what the rollup by service counts later than the witness is published, though the witness does not move.
func TestServicesBehindTheWitness(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00:30"))
	w.load(ev("dossier.status", "subject=a time=2026-11-20T08:00 status=2 channel=online province=79 service=DA06-21"))
	exam := Key{aboutServices[0], National, PeriodAll}
	tick := func() *Answer { return w.tick().Values[exam] }
	first := tick()
	w.exec(at("dossier_province_days", "dossier", 100), at("dossier_days", "dossier", 100))
	if second := tick(); second.Revision != first.Revision {
		t.Errorf("the revision is %s before the rollup has come to the position, was %s", second.Revision, first.Revision)
	}
	w.exec("INSERT INTO dossier_service_days (day, service_id, province, province63, channel, n) VALUES ('2026-11-20', 'DA06-21', '79', '79', 'online', 2)", at("dossier_service_days", "dossier", 100))
	third := tick()
	if *third.Denominator != *first.Denominator+2 || third.Revision == first.Revision {
		t.Errorf("two more came after the witness; published are %+v", third)
	}
	if tick() != third {
		t.Error("a source that has caught up with the witness was evaluated again")
	}
}

// TestServicesAreReadByTheKey: the statement of a tick about single services reads their rows and the position rows, and no others.
func TestServicesAreReadByTheKey(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00"))
	w.exec(`INSERT INTO dossier_service_days (day, service_id, province, province63, channel, portal, n)
		SELECT toDate('2026-11-20') - intDiv(number, 1000), concat('DA06-', leftPad(toString(number % 25), 2, '0')), toString(10 + number % 34), 'x', 2, 2, 1 FROM numbers(400000)`,
		at("dossier_service_days", "dossier", 100), "OPTIMIZE TABLE dossier_service_days FINAL")
	w.tick()
	var qs []*question
	for _, id := range aboutServices {
		q, err := w.e.deps.Catalogue.check(Query{KPI: id, By: []string{"province"}, Scope: national})
		if err != nil {
			t.Fatal(err)
		}
		qs = append(qs, q)
	}
	filtered, err := w.e.deps.Catalogue.check(Query{KPI: "dossiers_received", Filters: map[string][]string{"service": {"DA06-21"}}, Period: PeriodAll, Scope: national})
	if err != nil {
		t.Fatal(err)
	}
	for _, together := range [][]*question{qs, {filtered}} {
		p, _, err := w.e.plan(together, w.now(), w.now(), time.Minute, &figuresReading{reading: &reading{}})
		if err != nil {
			t.Fatal(err)
		}
		sql, parameters, _ := p.statement()
		var database, table string
		var parts, rows, marks uint64
		if err := w.db.Client.Conn().QueryRow(t.Context(), "EXPLAIN ESTIMATE "+sql, parameters...).Scan(&database, &table, &parts, &rows, &marks); err != nil {
			t.Fatal(err)
		}
		// Two services of 25, and the granules at their ends.
		if table != "dossier_service_days" || rows > 400000/25*2+5*1024 {
			t.Errorf("%d rows of %s would be read for %s:\n%s", rows, table, together[0].KPI, strings.TrimSpace(sql))
		}
	}
}

// TestUnfilledTableIsNotAsked: until it is rebuilt, a rollup that was made beside others that had counted is not asked.
func TestUnfilledTableIsNotAsked(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00:30"))
	w.load(ev("dossier.status", "subject=a time=2026-11-20T08:00 status=2 channel=online province=79 service=DA06-21"))
	w.exec("TRUNCATE TABLE dossier_service_days", "INSERT INTO dossier_service_days (topic, position) SELECT '~unfilled', 1 FROM dossier_days LIMIT 1")
	exam := Key{aboutServices[0], National, PeriodAll}
	if a := w.tick().Values[exam]; float(a.Value) != "1" || *a.Denominator != 1 {
		t.Errorf("without the rebuild the exam has %s of %d", float(a.Value), *a.Denominator)
	}
	w.exec("INSERT INTO dossier_service_days (day, service_id, province, province63, channel, n) VALUES ('2026-11-20', 'DA06-21', '79', '79', 'online', 7)",
		at("dossier_service_days", "~rebuild", 1))
	w.set(local(t, "2026-11-21T10:01:00"))
	if a := w.tick().Values[exam]; *a.Denominator != 7 {
		t.Errorf("after the rebuild the exam has %d", *a.Denominator)
	}
}
