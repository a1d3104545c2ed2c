package kpi

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

// world is a database of one test, a clock that the test sets, and an evaluator over both.
type world struct {
	t      testing.TB
	db     *enginetest.DB
	places *reference.Data
	e      *Evaluator

	mu         sync.Mutex
	clock      time.Time
	offsets    map[string]uint64
	registered map[string]time.Time
}

func newWorld(t testing.TB, clock time.Time, change ...func(*Config, *Deps)) *world {
	t.Helper()
	w := &world{t: t, db: enginetest.Start(t), clock: clock, offsets: map[string]uint64{}, registered: map[string]time.Time{}}
	ctx := context.Background()
	if err := warehouse.Migrate(ctx, w.db.Client); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.places, err = reference.Load(reference.Options{}); err != nil {
		t.Fatal(err)
	}
	if err = warehouse.LoadReference(ctx, w.db.Client, w.places); err != nil {
		t.Fatal(err)
	}
	cat, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	deps := Deps{Conn: w.db.Client.Conn(), Catalogue: cat, Coefficients: w.places.Coefficients(), Calendar: w.places.Calendar(), Logger: zaptest.NewLogger(t), Now: w.now}
	for _, c := range change {
		c(&cfg, &deps)
	}
	if w.e, err = New(cfg, deps); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) set(clock time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = clock
}

// local reads a time as the .kpi files write it: RFC 3339, or without offset in Asia/Ho_Chi_Minh.
func local(t testing.TB, s string) time.Time {
	t.Helper()
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999", "2006-01-02T15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, s, zone); err == nil {
			return at
		}
	}
	t.Fatalf("%q is not a time", s)
	return time.Time{}
}

// load inserts events as ingestion would: raw rows under topic, partition and offset, then the dossiers' state. Each
// event is its type and fields.
func (w *world) load(events ...event) {
	w.t.Helper()
	byTable := map[string][]event{}
	for _, e := range events {
		byTable[tableOf(e.kind)] = append(byTable[tableOf(e.kind)], e)
	}
	for table := range topics {
		if len(byTable[table]) > 0 {
			w.insert(table, byTable[table])
		}
	}
}

var topics = map[string]string{
	"dossier_events": "ioc.dossier.v1", "auth_attempts": "ioc.authentication.v1", "eid_events": "ioc.authentication.eid",
	"data_queries": "ioc.data.v1", "register_events": "ioc.programme.v1",
}

func tableOf(kind string) string {
	if kind == "data.query" {
		return "data_queries"
	}
	family, _, _ := strings.Cut(kind, ".")
	if table, ok := map[string]string{"dossier": "dossier_events", "auth": "auth_attempts", "eid": "eid_events", "wallet": "eid_events"}[family]; ok {
		return table
	}
	return "register_events"
}

type event struct {
	kind   string
	fields map[string]string
}

// columnsOf is the column by field, for the fields that are stored as written.
var columnsOf = map[string]map[string]string{
	"dossier.status": {"status": "status", "channel": "channel", "portal": "portal", "service": "service_id", "due": "due_at", "limit": "statutory_limit",
		"limit_unit": "limit_unit", "agency": "agency_code", "procedure": "procedure_code", "level": "service_level", "vneid": "vneid_authenticated", "form": "result_form"},
	"dossier.document": {"kind": "doc_kind", "digitised": "digitised", "reused": "reused", "database": "source_db", "file": "has_file", "store": "from_national_store"},
	"dossier.payment":  {"state": "payment_state", "online": "paid_online", "amount": "amount_vnd", "fee": "fee_total_vnd"},
	"dossier.rating":   {"like": "likes", "score": "score"},
	"dossier.sync":     {"on_time": "sync_on_time"},
	"auth.attempt":     {"outcome": "outcome", "service": "service_id", "relying_party": "relying_party", "level": "assurance_level", "latency": "latency_ms"},
	"eid.account":      {"action": "account_action", "level": "eid_level"},
	"wallet.document":  {"kind": "document_kind", "action": "document_action"},
	"data.query":       {"consumer_agency": "consumer_agency", "query_kind": "query_kind", "outcome": "outcome"},
	"counter.report":   {"metric": "metric_id", "value": "value", "denominator": "denominator", "qualifier": "qualifier", "as_of": "as_of", "source_ref": "source_ref"},
	"service.catalog": {"service": "service_id", "procedure": "procedure_code", "list": "list", "level": "level", "agency": "agency_code",
		"full_eligible": "full_eligible", "written_result": "written_result", "fee_offline": "fee_offline_vnd", "fee_online": "fee_online_vnd"},
	"petition.status":   {"status": "petition_status", "class": "petition_class", "due": "due_at", "like": "likes", "agency": "agency_code"},
	"task.status":       {"status": "task_status", "agency": "lead_agency", "document": "source_document", "due": "due_at"},
	"capability.status": {"kind": "capability_kind", "org": "org_id", "org_kind": "org_kind", "state": "capability_state"},
	"data.quality": {"database": "database", "criterion": "criterion", "field": "quality_field", "rule": "rule_id", "evaluated": "evaluated",
		"passing": "passing", "weight": "weight"},
	"event.void": {},
}

func (w *world) insert(table string, events []event) {
	w.t.Helper()
	topic := topics[table]
	byPartition := map[string][]event{}
	for _, e := range events {
		byPartition[e.fields["partition"]] = append(byPartition[e.fields["partition"]], e)
	}
	for partition, events := range byPartition {
		if partition == "" {
			partition = "0"
		}
		w.insertPartition(table, topic, partition, events)
	}
}

func (w *world) insertPartition(table, topic, partition string, events []event) {
	w.t.Helper()
	key := topic + "/" + partition
	first := w.offsets[key]
	touched := warehouse.TouchedDossiers{Topic: topic, First: first, Calendar: w.places.Calendar()}
	fmt.Sscan(partition, &touched.Partition)
	var values []string
	for _, e := range repeated(w.t, events) {
		offset := w.offsets[key]
		w.offsets[key]++
		row := map[string]string{
			"type": e.kind, "topic": topic, "partition": partition, "offset": fmt.Sprint(offset),
			"event_id": fmt.Sprintf("%s-%d", partition, offset), "weight": "1", "source": "/npsp/G22", "received_at": w.now().In(zone).Format("2006-01-02 15:04:05.000"),
		}
		switch table {
		case "dossier_events":
			delete(row, "weight")
			row["likes"], row["paid_online"], row["amount_vnd"], row["fee_total_vnd"] = "-128", "-1", "-1", "-1" // absent
		case "auth_attempts":
			delete(row, "weight")
			row["latency_ms"] = "-1" // absent
		case "register_events":
			row["likes"], row["fee_offline_vnd"], row["fee_online_vnd"] = "-128", "-1", "-1" // absent
		default:
			delete(row, "weight")
		}
		at := local(w.t, e.fields["time"])
		row["occurred_at"] = at.In(zone).Format("2006-01-02 15:04:05.000")
		for field, value := range e.fields {
			switch field {
			case "time", "partition":
			case "subject", "source":
				row[field] = value
			case "id":
				row["event_id"] = value
			case "times":
			case "due":
				row["due_at"] = local(w.t, value).In(zone).Format("2006-01-02 15:04:05.000")
			case "province", "scheme":
				w.place(row, e.fields["province"], e.fields["scheme"])
			default:
				column, ok := columnsOf[e.kind][field]
				if !ok {
					w.t.Fatalf("an event %s has no field %s here", e.kind, field)
				}
				row[column] = value
			}
		}
		if table == "dossier_events" {
			subject := e.fields["subject"]
			if _, ok := w.registered[subject]; !ok {
				w.registered[subject] = dayStart(at)
			}
			day := w.registered[subject]
			row["registered_on"] = day.Format(time.DateOnly)
			touched.RegisteredOn = append(touched.RegisteredOn, int32((day.Unix()+7*3600)/86400))
			touched.Subjects = append(touched.Subjects, subject)
		}
		values = append(values, jsonRow(row))
	}
	ctx := context.Background()
	sql := "INSERT INTO " + table + " SETTINGS async_insert=0, input_format_null_as_default=1 FORMAT JSONEachRow " + strings.Join(values, "\n")
	if err := w.insertJSON(ctx, table, values); err != nil {
		w.t.Fatalf("%v\n%s", err, sql)
	}
	if table == "dossier_events" {
		touched.Last = w.offsets[key] - 1
		touched.Token = fmt.Sprintf("%s/%d", key, first)
		if _, err := warehouse.ApplyDossiers(ctx, w.db.Client, touched); err != nil {
			w.t.Fatal(err)
		}
	}
}

// repeated has each event as many times as its field times says; the subjects are then numbered.
func repeated(t testing.TB, events []event) []event {
	t.Helper()
	var out []event
	for _, e := range events {
		times := 1
		if e.fields["times"] != "" {
			if _, err := fmt.Sscan(e.fields["times"], &times); err != nil {
				t.Fatal(err)
			}
		}
		for i := range times {
			one := event{kind: e.kind, fields: maps.Clone(e.fields)}
			if times > 1 {
				one.fields["subject"] += fmt.Sprintf("-%d", i)
			}
			out = append(out, one)
		}
	}
	return out
}

// insertJSON lets the engine read the rows as text, so that codes and enumerations need no types here.
func (w *world) insertJSON(ctx context.Context, table string, rows []string) error {
	text := strings.Join(rows, "\n")
	text = strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text)
	columns := []string{}
	scan, err := w.db.Client.Conn().Query(ctx, "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = '"+table+"' AND default_kind != 'MATERIALIZED' ORDER BY position")
	if err != nil {
		return err
	}
	defer scan.Close()
	names := []string{}
	for scan.Next() {
		var name, kind string
		if err := scan.Scan(&name, &kind); err != nil {
			return err
		}
		names = append(names, name)
		columns = append(columns, name+" "+strings.ReplaceAll(kind, "'", `\'`))
	}
	sql := fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM format(JSONEachRow, '%s', '%s') SETTINGS async_insert = 0",
		table, strings.Join(names, ", "), strings.Join(names, ", "), strings.Join(columns, ", "), text)
	return w.db.Client.Conn().Exec(ctx, sql)
}

func jsonRow(row map[string]string) string {
	keys := []string{}
	for k := range row {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	parts := []string{}
	for _, k := range keys {
		parts = append(parts, fmt.Sprintf("%q: %q", k, row[k]))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// place fills the province in both schemes, as ingestion does.
func (w *world) place(row map[string]string, code, scheme string) {
	w.t.Helper()
	s := reference.GSO34
	if scheme == "gso63" {
		s = reference.GSO63
	}
	code34, ok := w.places.ProvinceOf(s, code)
	if !ok {
		w.t.Fatalf("province %s is unknown in %s", code, s)
	}
	row["province_code"], row["admin_scheme"], row["province"] = code, s.String(), code34
	row["province63"] = code
	if s == reference.GSO34 {
		row["province63"] = undivided(code)
	}
}

// ev makes an event from its type and fields: ev("auth.attempt", "time=… outcome=success").
func ev(kind, fields string) event {
	e := event{kind: kind, fields: map[string]string{}}
	for field := range strings.FieldsSeq(fields) {
		name, value, _ := strings.Cut(field, "=")
		e.fields[name] = value
	}
	return e
}

// national is the scope of most tests.
var national = Scope{National: true}

func (w *world) ask(q Query) *Answer {
	w.t.Helper()
	if !q.Scope.National && q.Scope.Provinces == nil {
		q.Scope = national
	}
	a, err := w.e.Evaluate(context.Background(), q)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}
