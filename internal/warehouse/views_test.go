package warehouse_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/engine"
	"ioc.local/internal/warehouse/enginetest"
)

// analystWorld is the database of the scope users, with the schema, and connections as them.
func analystWorld(t *testing.T) (admin *warehouse.Client, as map[string]*warehouse.Client) {
	t.Helper()
	db := enginetest.Start(t)
	exec := func(statement string) {
		if err := db.Client.Conn().Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("DROP DATABASE IF EXISTS " + analysts + " SYNC")
	exec("CREATE DATABASE " + analysts)
	db.Database = analysts
	admin = db.Open(t, engine.Credentials{Username: db.Engine.Username(), Password: db.Engine.Password()})
	if err := warehouse.Migrate(t.Context(), admin); err != nil {
		t.Fatal(err)
	}
	as = map[string]*warehouse.Client{}
	for _, scope := range []string{"national", "province_01", "province_79"} {
		credentials, err := db.Engine.ScopeCredentials(scope)
		if err != nil {
			t.Fatal(err)
		}
		as[scope] = db.Open(t, credentials)
	}
	return admin, as
}

// sensitive marks what no view may show.
const sensitive = "s-e-c-r-e-t"

// fill inserts rows of every family, of the provinces 01 and 79 and of none, sensitive ones and voided ones among them.
func fill(t *testing.T, admin *warehouse.Client) {
	t.Helper()
	exec := func(statement string) {
		t.Helper()
		if err := admin.Conn().Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	const common = "occurred_at, source, agency_code, subject_pid, received_at, record_time, topic, partition, "
	const values = "now64(3), '/npsp/H26', '%s', '" + sensitive + "', now64(3), now64(3), 't', 0, "
	for i, family := range []struct{ table, columns, values string }{
		{"auth_attempts", "type, outcome", "'auth.attempt', 'success'"},
		{"data_queries", "type, query_kind, outcome", "'data.query', 'verify', 'ok'"},
		{"eid_events", "type, account_action", "'eid.account', 'activated'"},
		{"eid_events", "type, document_kind, document_action", "'wallet.document', 'driving_licence', 'created'"},
	} {
		for k, row := range []struct{ province, service, agency string }{
			{"01", "DA06-03", "ok"}, {"79", "", "ok"}, {"", "", "ok"}, {"01", "DA06-22", sensitive}, {"79", "DA06-03", sensitive},
		} {
			id := fmt.Sprintf("%s-%d-%d", family.table, i, k)
			exec(fmt.Sprintf("INSERT INTO %s (%s %s, event_id, offset, province, service_id) VALUES (%s %s, '%s', %d, '%s', '%s')",
				family.table, common, family.columns, fmt.Sprintf(values, row.agency), family.values, id, i*100+k, row.province, row.service))
			if k == 4 { // the last is voided, and taken out
				exec(fmt.Sprintf("INSERT INTO register_events (type, subject, source, event_id) VALUES ('event.void', '%s', '/npsp/H26', 'v-%s')", id, id))
				exec(fmt.Sprintf("INSERT INTO voided (batch, source, event_id, outcome, family, topic, partition, offset) VALUES (1, '/npsp/H26', '%s', 'counted', '%s', 't', 0, %d)", id, family.table, i*100+k))
			}
		}
	}
	for _, kind := range []string{"health_book", "judicial_record"} {
		exec(fmt.Sprintf("INSERT INTO eid_events (%s type, document_kind, document_action, event_id, offset, province) VALUES (%s 'wallet.document', '%s', 'created', '%s', 1000, '79')",
			common, fmt.Sprintf(values, sensitive), kind, kind))
	}
	exec("INSERT INTO dossier_state (registered_on, subject, version, province, agency_code, service_id, latest) VALUES " +
		"(today(), 'a', 1, '01', 'ok', 'DA06-03', now64(3)), (today(), 'b', 1, '79', 'ok', '', now64(3)), (today(), 'c', 1, '', 'ok', '', now64(3)), " +
		"(today(), 'd', 1, '79', '" + sensitive + "', 'DA06-22', now64(3)), (today(), 'e', 1, '79', '" + sensitive + "', '', 0)")
	for _, province := range []string{"01", "79", ""} {
		exec("INSERT INTO feed_quality (hour, source, province, type, age_seconds, accepted) VALUES (now(), '/npsp/H26', '" + province + "', 'auth.attempt', 2, 5)")
	}
	for _, province := range []string{"01", "79", ""} {
		exec("INSERT INTO kpi_journal (minute, kpi, province, period, value, definition, version) VALUES (now(), 'auth_transactions', '" + province + "', 'today', 5, 'd', 1)")
	}
	exec("INSERT INTO feed_quality (hour, source, province, type, sensitive, age_seconds, accepted) VALUES (now(), '" + sensitive + "', '79', 'wallet.document', 1, 2, 5)")
	exec("INSERT INTO feed_quality (topic, partition, position) VALUES ('t', 0, 100)")
	n := 0
	register := func(columns, values, province, service, id string) {
		n++
		exec(fmt.Sprintf("INSERT INTO register_events (source, occurred_at, event_id, offset, province, service_id, %s) VALUES ('/npsp/H26', toDateTime64('2026-01-01 00:00:00', 3, 'Asia/Ho_Chi_Minh') + %d, '%s', %d, '%s', '%s', %s)",
			columns, n, id, n, province, service, values))
	}
	for _, r := range []struct{ columns, values string }{
		{"type, metric_id, value", "'counter.report', '%[1]s', 1"},
		{"type, list, level, procedure_code", "'service.catalog', 'E25', 'full', '%[1]s'"},
		{"type, subject, task_status, source_document", "'task.status', 't-%[2]s', 'assigned', '%[1]s'"},
		{"type, capability_kind, org_id, org_kind, capability_state", "'capability.status', 'ioc', '%[1]s-%[2]s', 'province', 'operating'"},
		{"type, database, criterion, rule_id, evaluated", "'data.quality', 'civil_status', 'dung', '%[1]s', 5"},
		{"type, subject, petition_status, agency_code", "'petition.status', 'p-%[2]s', 'received', '%[1]s'"},
	} {
		kind := strings.Split(r.values, "'")[1]
		for _, province := range []string{"01", "79", ""} {
			register(r.columns, fmt.Sprintf(r.values, "ok", province), province, "", "x-"+kind+province)
		}
		if kind != "service.catalog" { // what is offered is no secret, only who asked for it
			register(r.columns, fmt.Sprintf(r.values, sensitive, "secret"), "79", "DA06-22", "y-"+kind)
		}
		register(r.columns, fmt.Sprintf(r.values, sensitive, "voided"), "79", "", "z-"+kind)
		exec("INSERT INTO register_events (type, subject, source, event_id) VALUES ('event.void', 'z-" + kind + "', '/npsp/H26', 'v-z-" + kind + "')")
	}
}

// Each scope sees its province, and of registers what belongs to none; nobody sees sensitive or voided rows.
func TestAnalystViewsByScope(t *testing.T) {
	admin, as := analystWorld(t)
	fill(t, admin)
	for _, view := range warehouse.AnalystViews() {
		if view.Province == "" {
			continue
		}
		for scope, client := range as {
			var provinces []string
			var rows uint64
			if err := client.Conn().QueryRow(t.Context(), "SELECT arraySort(groupUniqArray(toString(province))), count() FROM "+view.Name).Scan(&provinces, &rows); err != nil {
				t.Errorf("%s as %s: %v", view.Name, scope, err)
				continue
			}
			want := []string{"", "01", "79"}
			if _, province, ok := strings.Cut(scope, "_"); ok {
				want = []string{province}
				if view.NationalRows {
					want = []string{"", province}
				}
			}
			if diff := cmp.Diff(want, provinces); diff != "" || rows != uint64(len(want)) {
				t.Errorf("%s sees %d rows in %s (-want +got):\n%s", scope, rows, view.Name, diff)
			}
		}
		var shown string
		if err := admin.Conn().QueryRow(t.Context(), "SELECT toString(groupArray(tuple(*))) FROM "+view.Name).Scan(&shown); err != nil {
			t.Fatal(err)
		}
		for _, hidden := range []string{sensitive, "DA06-22", "health_book", "judicial_record"} {
			if strings.Contains(shown, hidden) {
				t.Errorf("%s shows %s: %.300s", view.Name, hidden, shown)
			}
		}
		if columns := text(t, admin, "SELECT arrayStringConcat(groupArray(name), ' ') FROM system.columns WHERE database = currentDatabase() AND table = ?", view.Name); strings.Contains(columns, "pid") || strings.Contains(columns, "commune") {
			t.Errorf("%s has the columns %s", view.Name, columns)
		}
	}
	// Whatever else there is, no scope reads it.
	var tables []string
	if err := admin.Conn().QueryRow(t.Context(), "SELECT groupArray(name) FROM system.tables WHERE database = currentDatabase()").Scan(&tables); err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if slices.ContainsFunc(warehouse.AnalystViews(), func(v warehouse.View) bool { return v.Name == table }) {
			continue
		}
		if err := as["national"].Conn().Exec(t.Context(), "SELECT * FROM "+table+" LIMIT 0"); err == nil || !strings.Contains(err.Error(), "Not enough privileges") {
			t.Errorf("national reads %s: %v", table, err)
		}
	}
}

// Of a KPI that is sensitive the nation's values are for the national scope, and what was published of it by another definition,
// by which it may not have been sensitive, is for nobody. A KPI that is no longer sensitive has all.
func TestPublishedValuesOfSensitiveKPIs(t *testing.T) {
	admin, as := analystWorld(t)
	const today, yesterday = "toStartOfDay(now('Asia/Ho_Chi_Minh'))", "toStartOfDay(now('Asia/Ho_Chi_Minh')) - INTERVAL 1 DAY"
	for _, row := range []struct {
		minute, kpi, definition string
		sensitive, version      int
	}{
		{yesterday, "health_books_created", "before", 0, 3}, {today, "health_books_created", "now", 1, 5},
		{yesterday, "auth_transactions", "before", 1, 4}, {today, "auth_transactions", "now", 0, 6},
		{yesterday, "removed_from_the_catalogue", "before", 1, 7},
	} {
		for _, province := range []string{"01", "79", ""} {
			statement := fmt.Sprintf("INSERT INTO kpi_journal (minute, kpi, province, period, value, definition, sensitive, version) VALUES (%s, '%s', '%s', 'all', 5, '%s', %d, %d)",
				row.minute, row.kpi, province, row.definition, row.sensitive, row.version)
			if err := admin.Conn().Exec(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	const shown = "SELECT toString(arraySort(groupArray((kpi, definition, province)))) FROM published_values"
	for scope, want := range map[string]string{
		"national": "[('auth_transactions','before',''),('auth_transactions','before','01'),('auth_transactions','before','79')," +
			"('auth_transactions','now',''),('auth_transactions','now','01'),('auth_transactions','now','79')," +
			"('health_books_created','now',''),('health_books_created','now','01'),('health_books_created','now','79')]",
		// The nation's of auth_transactions was kept from provinces when it was published, and still is.
		"province_79": "[('auth_transactions','before','79'),('auth_transactions','now',''),('auth_transactions','now','79'),('health_books_created','now','79')]",
	} {
		if got := text(t, as[scope], shown); got != want {
			t.Errorf("%s sees %s, want %s", scope, got, want)
		}
	}
	// Of several rows of a value and minute one counts.
	if err := admin.Conn().Exec(t.Context(), "INSERT INTO kpi_journal (minute, kpi, period, value, definition, version) VALUES ("+today+", 'auth_transactions', 'all', 6, 'now', 9)"); err != nil {
		t.Fatal(err)
	}
	if got := text(t, as["province_79"], "SELECT toString(groupArray(value)) FROM published_values WHERE kpi = 'auth_transactions' AND province = '' AND period = 'all'"); got != "[6]" {
		t.Errorf("the value of the nation is %s", got)
	}
}

// A register view shows how things stand: what was said last, by time, then status. What moved to another province is
// no longer seen where it was.
func TestRegisterViewsShowTheNewest(t *testing.T) {
	admin, as := analystWorld(t)
	exec := func(statement string) {
		t.Helper()
		if err := admin.Conn().Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	exec(`INSERT INTO register_events (source, event_id, type, subject, occurred_at, province, task_status, due_at) VALUES
		('/s/G01', '1', 'task.status', 'T-1', '2026-01-01 00:00:00', '79', 'assigned', '2026-06-30 17:00:00'),
		('/s/G01', '2', 'task.status', 'T-1', '2026-01-02 00:00:00', '01', 'completed', '2026-06-30 17:00:00'),
		('/s/G01', '3', 'task.status', 'T-1', '2026-01-02 00:00:00', '01', 'in_progress', '2026-06-30 17:00:00'),
		('/s/G01', '4', 'task.status', 'T-2', '2026-01-03 00:00:00', '79', 'overdue', 0),
		('/s/G01', '5', 'task.status', 'T-2', '2026-01-02 00:00:00', '79', 'assigned', 0)`)
	exec("INSERT INTO register_events (source, event_id, type, subject) VALUES ('/s/G01', '6', 'event.void', '4')")
	tasks := "SELECT toString(arraySort(groupArray((task, province, toString(status))))) FROM tasks"
	for scope, want := range map[string]string{
		"national":    "[('T-1','01','completed'),('T-2','79','assigned')]",
		"province_01": "[('T-1','01','completed')]",
		"province_79": "[('T-2','79','assigned')]",
	} {
		if got := text(t, as[scope], tasks); got != want {
			t.Errorf("tasks as %s: %s, want %s", scope, got, want)
		}
	}

	exec(`INSERT INTO register_events (source, event_id, type, occurred_at, province, service_id, procedure_code, list, level) VALUES
		('/s/G01', '11', 'service.catalog', '2026-01-01 00:00:00', '', 'DA06-03', '1.1', 'E25', 'partial'),
		('/s/G01', '12', 'service.catalog', '2026-02-01 00:00:00', '', 'DA06-03', '1.1', 'E25', 'full'),
		('/s/G01', '13', 'service.catalog', '2026-01-01 00:00:00', '79', 'DA06-03', '1.1', 'E25', 'info'),
		('/s/G01', '14', 'service.catalog', '2026-01-01 00:00:00', '', '', '2.2', 'E53', 'info')`)
	if got, want := text(t, admin, "SELECT toString(arraySort(groupArray((toString(list), service_id, procedure_code, province, toString(level))))) FROM service_catalogue"),
		"[('E25','DA06-03','1.1','','full'),('E25','DA06-03','1.1','79','info'),('E53','','2.2','','info')]"; got != want {
		t.Errorf("service_catalogue: %s, want %s", got, want)
	}

	exec(`INSERT INTO register_events (source, event_id, type, subject, occurred_at, province, petition_status, petition_class, due_at, likes) VALUES
		('/s/G01', '21', 'petition.status', 'P', '2026-01-01 00:00:00', '79', 'received', 'staff', '2026-01-15 00:00:00', -128),
		('/s/G01', '22', 'petition.status', 'P', '2026-01-05 00:00:00', '', 'answered', 'none', 0, -128),
		('/s/G01', '23', 'petition.status', 'P', '2026-01-06 00:00:00', '', 'published', 'none', 0, -1),
		('/s/G01', '24', 'petition.status', 'Q', '2026-01-06 00:00:00', '01', 'received', 'none', 0, -128)`)
	if got, want := text(t, as["province_79"], "SELECT toString(groupArray((petition, province, toString(class), toString(status), toDate(received_at), toDate(answered_at), toDate(due_at), likes))) FROM petitions"),
		"[('P','79','staff','published','2026-01-01','2026-01-05','2026-01-15',-1)]"; got != want {
		t.Errorf("petitions: %s, want %s", got, want)
	}
	if got := text(t, as["province_01"], "SELECT toString(groupArray((petition, likes))) FROM petitions"); got != "[('Q',NULL)]" {
		t.Errorf("petitions of 01: %s", got)
	}
}
