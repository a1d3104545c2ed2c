package warehouse_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"ioc.local/internal/dossier"
)

// This file is about what Quyết định 766/QĐ-TTg counts of a dossier beside its statuses.

// said is what an event says of documents, payments, ratings and synchronisation, as the columns of dossier_events number it.
type said struct {
	vneid, document, reused, store, file, payment, gateway, sync int8
	database                                                     string
	amount, fees                                                 int64
	like                                                         int8
}

var silent = said{gateway: -1, amount: -1, fees: -1, like: -128}

func randomSaid(r *rand.Rand) said {
	s := silent
	tri := func() int8 { return int8(r.IntN(3)) }
	switch r.IntN(10) {
	case 0, 1:
		s.document, s.reused, s.store, s.file = int8(1+r.IntN(2)), tri(), tri(), tri()
		s.database = []string{"", "popdb", "land"}[r.IntN(3)]
	case 2, 3:
		s.payment, s.gateway = int8(1+r.IntN(4)), int8(r.IntN(4)-1)
		s.amount, s.fees = []int64{-1, 0, 5000}[r.IntN(3)], []int64{-1, 0, 7000}[r.IntN(3)]
	case 4:
		s.like = []int8{-1, 0, 1}[r.IntN(3)]
	case 5:
		s.sync = tri()
	case 6:
		s.vneid = tri()
	}
	return s
}

const (
	no, yes                          = 1, 2
	component, result                = 1, 2
	due, paid, refunded, failed      = 1, 2, 3, 4
	formNone                    int8 = 4
)

// facts are the words of the dossier package for it.
func (s said) facts() (f dossier.Facts) {
	for fact, holds := range map[dossier.Facts]bool{
		dossier.ComponentFile: s.hasComponent(), dossier.ResultFile: s.hasResult(), dossier.ReusedComponent: s.hasReused(), dossier.StoreComponent: s.hasStored(),
		dossier.PopulationData: s.usesPopulation(), dossier.Fee: s.hasFee(), dossier.PaidOnline: s.isPaidOnline(),
		dossier.SyncedOnTime: s.sync == yes, dossier.SyncedLate: s.sync == no, dossier.Dislike: s.like == -1, dossier.Document: s.document != 0,
	} {
		if holds {
			f |= fact
		}
	}
	return f
}

func (s said) hasComponent() bool { return s.document == component && s.file == yes }
func (s said) hasResult() bool    { return s.document == result && s.file == yes }
func (s said) hasReused() bool    { return s.document == component && s.reused == yes }
func (s said) hasStored() bool    { return s.document == component && s.store == yes }
func (s said) usesPopulation() bool {
	return s.vneid == yes || s.document == component && s.database == "popdb"
}
func (s said) isPaidOnline() bool {
	return (s.payment == paid || s.payment == refunded) && (s.gateway == 1 || s.gateway == 2)
}

// hasFee: "fee lines; all 0 means no fee".
func (s said) hasFee() bool {
	if s.payment == 0 {
		return false
	}
	if s.fees >= 0 {
		return s.fees > 0
	}
	return s.amount > 0
}

// moments are the moments of a dossier in the order of the columns of dossier_state.
type moments [17]int64

func momentsOf(s *dossier.State) moments {
	m := &s.Moments
	return moments{s.Formed, s.Closed, m.Completed, m.Supplemented, m.Handled, int64(m.WorkingDays), m.Fee, m.Paid, m.Result, m.Digitised, m.Reused, m.Stored, m.Population,
		m.Synced, m.Unsynced, m.Disliked, m.Documented}
}

// happened are the moments as the items of 766 have them.
func (o *oracle) happened() (m moments) {
	when := func(holds func(said) bool) int64 {
		i := slices.IndexFunc(o.events, func(e dossierEvent) bool { return holds(e.said) })
		if i < 0 {
			return 0
		}
		return o.events[i].time
	}
	latest := func(all ...int64) int64 {
		if slices.Contains(all, 0) {
			return 0
		}
		return slices.Max(all)
	}
	m[0] = o.describing(func(e dossierEvent) bool { return e.form != 0 }).time
	m[1] = o.closed()
	reached, _ := first(o.steps, 9, 10)
	m[2] = reached.time
	if asked := requests(o.steps); len(asked) > 0 {
		m[3] = asked[0].from
	}
	if ended, ok := end(o.steps); ok && o.acceptedAt() > 0 && (ended.status == 9 || ended.status == 10) {
		m[4], m[5] = ended.time, o.workingDays(ended.time)
	}
	m[6] = when(said.hasFee)
	m[7] = latest(m[6], when(said.isPaidOnline))
	m[8] = when(said.hasResult)
	m[9] = latest(m[8], when(said.hasComponent))
	m[10], m[11], m[12] = when(said.hasReused), when(said.hasStored), when(said.usesPopulation)
	m[13], m[14] = when(func(s said) bool { return s.sync == yes }), when(func(s said) bool { return s.sync == no })
	if m[14] > 0 && m[14] <= m[13] {
		m[13] = 0
	}
	m[15] = when(func(s said) bool { return s.like == -1 })
	m[16] = when(func(s said) bool { return s.document != 0 })
	return m
}

// workingDays counts the hours of working days that pass between the acceptance and the end while nothing is waited for,
// in slices of a minute at the most, and rounds up to days.
func (o *oracle) workingDays(ended int64) int64 {
	accepted := o.acceptedAt()
	if ended <= accepted {
		return 0
	}
	cuts := []int64{accepted, ended}
	const day = 86400_000
	for midnight := (accepted+7*3600_000)/day*day - 7*3600_000; midnight < ended; midnight += day {
		cuts = append(cuts, midnight)
	}
	asked := requests(o.steps)
	for i := range asked {
		if asked[i].to == 0 {
			asked[i].to = ended
		}
		cuts = append(cuts, asked[i].from, asked[i].to)
	}
	slices.Sort(cuts)
	var worked int64
	for i := 1; i < len(cuts); i++ {
		from, to := cuts[i-1], cuts[i]
		waiting := slices.ContainsFunc(asked, func(w interval) bool { return w.from <= from && to <= w.to })
		if from < accepted || to > ended || waiting || !o.calendar.Working(time.UnixMilli(from)) {
			continue
		}
		worked += to - from
	}
	return (worked + day - 1) / day
}

// measures are what dossier_days and dossier_history count of an accepted dossier, and when it is counted.
func (r *dossierRow) measures() map[string]int64 {
	m := map[string]int64{"n": r.AcceptedAt, "completed": r.Moments[2], "supplemented": r.Moments[3], "handled": r.Moments[4],
		"with_fee": r.Moments[6], "paid_online": r.Moments[7], "digitised": r.Moments[9], "reused": r.Moments[10], "from_store": r.Moments[11], "population": r.Moments[12], "with_result": r.Moments[8], "sync_told": r.Moments[13], "documented": r.Moments[16]}
	if r.Moments[13] == 0 {
		m["sync_told"] = r.Moments[14]
	}
	if r.Form == formNone {
		m["with_result"] = max(r.AcceptedAt, r.Moments[0])
	}
	if r.Form != formNone {
		m["written"] = r.Moments[2]
		if r.Moments[2] > 0 && r.Moments[8] > 0 {
			m["e_result"] = max(r.Moments[2], r.Moments[8])
		}
	}
	return m
}

var measureNames = []string{"n", "completed", "supplemented", "handled", "working_days", "with_fee", "paid_online", "written", "e_result", "digitised", "reused", "from_store", "population", "with_result", "synced", "sync_told", "documented"}

// checkMeasures compares the measures of both rollups with the states: now, and dossier_history at the start of some days.
func (w *world) checkMeasures(states map[string]dossierRow) {
	w.t.Helper()
	day := func(ms int64) int64 { return (ms + 7*3600_000) / 86400_000 }
	const forever = int64(1) << 60
	cuts := []int64{forever}
	for _, s := range states {
		for _, at := range s.Moments {
			if at > 86400_000 && len(cuts) < 40 {
				cuts = append(cuts, day(at), day(at)+1)
			}
		}
	}
	for _, cut := range cuts {
		want := map[string]int64{}
		for _, s := range states {
			if s.AcceptedAt == 0 {
				continue
			}
			seen := func(at int64) bool { return at > 0 && day(max(at, s.AcceptedAt)) < cut }
			for name, at := range s.measures() {
				if seen(at) {
					want[name]++
				}
			}
			if seen(s.Moments[4]) {
				want["working_days"] += s.Moments[5]
			}
			if s.Form == formNone && s.Moments[0] > s.Moments[2] && seen(s.Moments[2]) && !seen(s.Moments[0]) {
				want["written"]++ // until it is said that nothing is written
			}
			if seen(s.Moments[13]) && !seen(s.Moments[14]) {
				want["synced"]++
			}
		}
		tables := map[string]string{"dossier_history": fmt.Sprintf("toInt64(toInt32(seen)) < %d", cut)}
		if cut == forever {
			tables["dossier_days"], tables["dossier_province_days"], tables["dossier_service_days"] = "1", "1", "1"
		}
		for table, where := range tables {
			got := w.sums(table, where)
			for _, name := range measureNames {
				if got[name] != want[name] {
					w.t.Errorf("%s before day %d: %s is %d, the states give %d", table, cut, name, got[name], want[name])
				}
			}
		}
	}
	if diff := cmp.Diff(w.cube("dossier_deadlines", "toInt32(day), toUnixTimestamp64Milli(overdue_at), ended_on, disliked_on"),
		w.cube("dossier_agency_deadlines", "toInt32(day), toUnixTimestamp64Milli(overdue_at), ended_on, disliked_on")); diff != "" {
		w.t.Errorf("deadlines by agency are others:\n%s", diff)
	}
	if diff := cmp.Diff(w.cube("dossier_deadlines", "toInt32(day), if(ended_on > toDate(0), 57600000, toUnixTimestamp64Milli(overdue_at)), ended_on > toDate(0), disliked_on > toDate(0)"),
		w.cube("dossier_province_deadlines", "toInt32(day), toUnixTimestamp64Milli(overdue_at), ended_on > toDate(0), disliked_on > toDate(0)")); diff != "" {
		w.t.Errorf("deadlines by place are others:\n%s", diff)
	}
}

// measureSQL are the measures, of a row of dossier_state that was accepted, in the order of measureNames.
var measureSQL = []string{"1", "completed_at > 0", "supplemented_at > 0", "handled_at > 0", "if(handled_at > 0, working_days, 0)", "fee_at > 0", "paid_at > 0",
	"completed_at > 0 AND result_form != 'none'", "completed_at > 0 AND result_form != 'none' AND result_at > 0", "digitised_at > 0", "reused_at > 0", "stored_at > 0", "population_at > 0",
	"result_form = 'none' OR result_at > 0", "synced_at > 0 AND unsynced_at = 0", "synced_at > 0 OR unsynced_at > 0", "documented_at > 0"}

// checkKeys compares the rollups with sums over dossier_state by all that they are kept by.
func (w *world) checkKeys() {
	w.t.Helper()
	const acceptedOn = "toDate(accepted_at, 'Asia/Ho_Chi_Minh') AS day"
	var all []string
	for i, name := range measureNames {
		all = append(all, fmt.Sprintf("toInt64(%s) AS %s", measureSQL[i], name))
	}
	measures, n := strings.Join(all, ", "), "toInt64(1) AS n"
	for _, cube := range []struct{ table, state, keys, where, values string }{
		{"dossier_days", acceptedOn, "province, province63, service_id, channel, portal, procedure_code, service_level", "accepted_at > 0", measures},
		{"dossier_province_days", acceptedOn, "province, province63, channel", "accepted_at > 0", measures},
		{"dossier_service_days", acceptedOn, "service_id, province, province63, channel, portal", "accepted_at > 0", measures},
		{"dossier_history", acceptedOn, "province, province63, agency_code, service_id, procedure_code, channel, portal, service_level", "accepted_at > 0", measures},
		{"dossier_savings", "toDate(saved_at, 'Asia/Ho_Chi_Minh') AS day", "province, province63, service_id", "saved_at > 0", n},
		{"dossier_agency_deadlines", acceptedOn + ", if(toYear(overdue_at) < 2261, toDate(closed_at, 'Asia/Ho_Chi_Minh'), toDate(0)) AS ended_on, toDate(disliked_at, 'Asia/Ho_Chi_Minh') AS disliked_on",
			"province, province63, agency_code, service_id, procedure_code, overdue_at, ended_on, disliked_on", "accepted_at > 0 AND due_at > 0", n},
	} {
		names := measureNames
		if cube.values == n {
			names = []string{"n"}
		}
		keys := "day, " + cube.keys
		query := fmt.Sprintf(`SELECT count(), toString(groupArray(3)((%[1]s))) FROM (
			SELECT %[1]s, [sum(%[2]s)] AS kept, [sum(of_%[3]s)] AS made FROM (
				SELECT %[1]s, %[4]s, toInt64(0) AS of_%[5]s FROM %[6]s WHERE topic = ''
				UNION ALL SELECT %[1]s, toInt64(0) AS zero_%[7]s, %[8]s FROM (SELECT *, %[9]s FROM dossier_state FINAL WHERE %[10]s))
			GROUP BY %[1]s HAVING kept != made)`,
			keys, strings.Join(names, "), sum("), strings.Join(names, "), sum(of_"), strings.Join(names, ", "), strings.Join(names, ", toInt64(0) AS of_"), cube.table,
			strings.Join(names, ", toInt64(0) AS zero_"), cube.values, cube.state, cube.where)
		var differ uint64
		var examples string
		if err := w.db.Client.Conn().QueryRow(w.t.Context(), query).Scan(&differ, &examples); err != nil {
			w.t.Fatalf("%v\n%s", err, query)
		}
		if differ > 0 {
			w.t.Errorf("%s differs from the states in %d keys, such as %s", cube.table, differ, examples)
		}
	}
}

// closed is the first moment after which the dossier is seen to have ended.
func (o *oracle) closed() int64 {
	for i := range o.steps {
		if _, ok := end(o.steps[:i+1]); ok {
			return o.steps[i].time
		}
	}
	return 0
}

// checkOverdue compares how many dossiers are open and overdue at the start of days with what the rules say then.
func (w *world) checkOverdue(oracles map[string]*oracle) {
	w.t.Helper()
	const day = 86400_000
	cuts := map[int64]bool{}
	for _, o := range oracles {
		if o.acceptedAt() > 0 && o.due() > 0 && o.due() < stays && len(cuts) < 30 {
			cuts[(max(o.due(), o.acceptedAt())+7*3600_000)/day+1] = true
		}
	}
	for cut := range cuts {
		now := cut*day - 7*3600_000
		var want, got int64
		for _, o := range oracles {
			if o.acceptedAt() == 0 || o.acceptedAt() >= now || o.due() == 0 || o.onTime(now) {
				continue
			}
			var seen []step
			for _, s := range o.steps {
				if s.time < now {
					seen = append(seen, s)
				}
			}
			if _, ended := end(seen); !ended {
				want++
			}
		}
		if err := w.db.Client.Conn().QueryRow(w.t.Context(), fmt.Sprintf(`SELECT sum(n) FROM dossier_deadlines
			WHERE topic = '' AND toInt32(day) < %[1]d AND overdue_at < fromUnixTimestamp64Milli(%[2]d) AND (ended_on = toDate(0) OR toInt32(ended_on) >= %[1]d)`, cut, now)).Scan(&got); err != nil {
			w.t.Fatal(err)
		}
		if got != want {
			w.t.Errorf("%d dossiers are open and overdue at %s, the rules say %d", got, clock(now), want)
		}
	}
}

func (w *world) sums(table, where string) map[string]int64 {
	w.t.Helper()
	var sums []int64
	if err := w.db.Client.Conn().QueryRow(w.t.Context(), "SELECT [sum("+strings.Join(measureNames, "), sum(")+")] FROM "+table+" WHERE topic = '' AND "+where).Scan(&sums); err != nil {
		w.t.Fatal(err)
	}
	found := map[string]int64{}
	for i, name := range measureNames {
		found[name] = sums[i]
	}
	return found
}
