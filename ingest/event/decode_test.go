package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// rowOf is a row as names and values; absent values are left out.
func rowOf(bl *Block, i int) map[string]any {
	out := make(map[string]any)
	for k := range bl.columns {
		c := &bl.columns[k]
		c.fill(bl.rows)
		var v any
		absent := false
		integer := func(n int64) { v, absent = int(n), n == c.absent }
		switch c.kind {
		case textColumn, fixedColumn:
			v, absent = c.textAt(i), c.textAt(i) == ""
		case dictionaryColumn:
			v, absent = c.dictionary.texts[c.ids[i]], c.ids[i] == 0
		case enumColumn, int8Column:
			integer(int64(c.i8[i]))
		case uint8Column:
			integer(int64(c.u8[i]))
		case uint16Column:
			integer(int64(c.u16[i]))
		case uint32Column:
			integer(int64(c.u32[i]))
		case uint64Column:
			integer(int64(c.u64[i]))
		case int32Column:
			integer(int64(c.i32[i]))
		case int64Column:
			integer(c.i64[i])
		case dateColumn:
			v, absent = time.Unix(int64(c.i32[i])*86400, 0).UTC().Format(time.DateOnly), c.i32[i] == 0
		case timeColumn:
			v = time.UnixMilli(c.i64[i]).In(time.FixedZone("", 7*3600)).Format("2006-01-02T15:04:05.000Z07:00")
			absent = c.i64[i] == 0
		case hourColumn:
			v, absent = time.Unix(c.i64[i], 0).In(time.FixedZone("", 7*3600)).Format(time.DateTime), c.i64[i] == 0
		case floatColumn:
			v, absent = c.f64[i], c.f64[i] == float64(c.absent)
		}
		if !absent {
			out[c.name] = v
		}
	}
	return out
}

func mustAccept(t testing.TB, d *Decoder, b *Batch, rec *Record) {
	t.Helper()
	if v := d.Decode(b, rec, nil); v != Accepted {
		t.Fatalf("verdict %v: %+v\n%s", v, b.Rejections(), rec.Value)
	}
}

func TestExamples(t *testing.T) {
	// What all examples have besides their own: the record, and the place where they say it.
	record := map[string]any{"received_at": "2026-11-25T12:00:00.000+07:00", "record_time": "2026-11-25T11:59:59.000+07:00",
		"topic": "ioc.dossier.v1", "partition": 3, "offset": 42}
	hanoi := map[string]any{"province_code": "01", "admin_scheme": 2, "province": "01", "province63": "gso34:01"}
	city := map[string]any{"province_code": "79", "admin_scheme": 2, "province": "79", "province63": "gso34:79"}
	dossier := map[string]any{"registered_on": "2026-11-21", "subject": "d-7f3a9c21e0b84d55", "source": "/npsp/H26.12",
		"agency_code": "H26.12", "agency_level": 2}
	none := map[string]any{}
	cases := map[string]struct {
		table       int
		place, kind map[string]any
		want        map[string]any
	}{
		"dossier.status": {dossierEvents, hanoi, dossier, map[string]any{
			"occurred_at": "2026-11-21T08:15:30.250+07:00", "event_id": "01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a10", "commune_code": "00004",
			"service_id": "DA06-03", "procedure_code": "1.004222", "service_level": 1,
			"subject_type": 1, "subject_pid": "9f8e7d6c5b4a39281706f5e4d3c2b1a0", "status": 2, "channel": 2, "portal": 1,
			"due_at": "2026-11-28T17:00:00.000+07:00", "statutory_limit": 7, "limit_unit": 1, "vneid_authenticated": 2, "result_form": 1}},
		"dossier.document": {dossierEvents, hanoi, dossier, map[string]any{
			"occurred_at": "2026-11-21T08:15:31.000+07:00", "event_id": "01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a11", "service_id": "DA06-03",
			"doc_kind": 1, "digitised": 2, "reused": 2, "from_national_store": 1, "source_db": "popdb", "has_file": 2}},
		"dossier.payment": {dossierEvents, hanoi, dossier, map[string]any{
			"occurred_at": "2026-11-21T08:16:02.000+07:00", "event_id": "01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a12", "service_id": "DA06-03",
			"payment_state": 2, "paid_online": 1, "amount_vnd": 10000, "fee_total_vnd": 10000, "collect_when": 1}},
		"dossier.rating": {dossierEvents, hanoi, dossier, map[string]any{
			"occurred_at": "2026-11-25T09:00:00.000+07:00", "event_id": "01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a13", "service_id": "DA06-03",
			"likes": 1, "score": 5}},
		"dossier.sync": {dossierEvents, hanoi, dossier, map[string]any{"source": "/ldop/H26.12",
			"occurred_at": "2026-11-21T08:20:00.000+07:00", "event_id": "01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a14", "sync_on_time": 2}},
		"auth.attempt": {authAttempts, city, none, map[string]any{"occurred_at": "2026-11-21T10:00:01.123+07:00", "subject": "s-0001",
			"source": "/eid_auth/G01", "event_id": "01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a18", "relying_party": "H29", "assurance_level": 3,
			"auth_methods": 1<<0 | 1<<8, "outcome": 1, "latency_ms": 412}},
		"eid.account": {eidEvents, city, none, map[string]any{"occurred_at": "2026-11-21T10:00:00.000+07:00", "subject": "a-55aa01",
			"source": "/vneid/G01", "event_id": "01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a17", "subject_type": 1, "account_action": 3, "eid_level": 2}},
		"wallet.document": {eidEvents, city, none, map[string]any{"occurred_at": "2026-11-21T10:05:00.000+07:00", "subject": "w-0001",
			"source": "/health_book/G18", "event_id": "01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a19", "document_kind": 1, "document_action": 2}},
		"data.query": {dataQueries, none, none, map[string]any{"occurred_at": "2026-11-21T10:05:01.000+07:00", "subject": "q-0001",
			"source": "/popdb/G01", "event_id": "01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a1a", "consumer_agency": "H29.3", "query_kind": 2,
			"outcome": 1, "latency_ms": 85, "records": 1}},
		"data.quality": {registerEvents, city, none, map[string]any{"occurred_at": "2026-11-21T02:00:00.000+07:00",
			"subject": "civil_status/identity_number/R01", "source": "/popdb/G01", "event_id": "01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a1b",
			"database": "civil_status", "criterion": 1, "quality_field": "identity_number", "rule_id": "R01", "evaluated": 125000, "passing": 124870}},
		"petition.status": {registerEvents, hanoi, none, map[string]any{"occurred_at": "2026-11-21T09:00:00.000+07:00", "subject": "p-102938",
			"source": "/npsp/H26", "event_id": "01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a15", "agency_code": "H26.12", "agency_level": 2,
			"petition_status": 1, "petition_class": 1, "due_at": "2026-12-12T17:00:00.000+07:00", "likes": 0}},
		"service.catalog": {registerEvents, none, none, map[string]any{"occurred_at": "2026-11-01T00:00:00.000+07:00", "subject": "DA06-03",
			"source": "/npsp/G01", "event_id": "01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a16", "agency_code": "G01", "agency_level": 1,
			"service_id": "DA06-03", "procedure_code": "1.004222", "list": 1, "level": 1, "full_eligible": 2, "written_result": 2,
			"fee_offline_vnd": 20000, "fee_online_vnd": 10000}},
		"task.status": {registerEvents, none, none, map[string]any{"occurred_at": "2022-06-30T17:00:00.000+07:00", "subject": "T-2022-017",
			"source": "/task_force/G01", "event_id": "01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a1c", "source_document": "06/QĐ-TTg", "lead_agency": "G18",
			"due_at": "2022-06-30T17:00:00.000+07:00", "task_status": 3}},
		"capability.status": {registerEvents, none, none, map[string]any{"occurred_at": "2022-12-25T08:00:00.000+07:00", "subject": "ioc/79",
			"source": "/ioc/H29", "event_id": "01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a1d", "province_code": "79", "admin_scheme": 1, "province": "79",
			"province63": "79", "capability_kind": 1, "org_id": "79", "org_kind": "province", "capability_state": 3}},
		"counter.report": {registerEvents, none, none, map[string]any{"occurred_at": "2024-11-22T00:00:00.000+07:00", "source": "/manual_report/G01",
			"event_id": "01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a1e", "subject": "eid_accounts_activated", "metric_id": "eid_accounts_activated",
			"as_of": "2024-11-22", "source_ref": "530/TB-VPCP", "value": 57900000.0, "qualifier": 2}},
		"counter.report.of": {registerEvents, none, none, map[string]any{"occurred_at": "2024-11-22T00:00:00.000+07:00", "source": "/manual_report/G01",
			"event_id": "01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a1f", "subject": "essential_services_deployed", "type": "counter.report",
			"metric_id": "essential_services_deployed", "as_of": "2024-11-22", "source_ref": "530/TB-VPCP", "value": 49.0, "denominator": 76.0, "qualifier": 1}},
		"event.void": {registerEvents, none, none, map[string]any{"occurred_at": "2026-11-21T09:00:00.000+07:00", "source": "/npsp/H26.12",
			"event_id": "01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a20", "subject": "01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a12", "void_reason": "sent by mistake"}},
	}
	// How many fields are expected, and are there.
	fields := map[string][2]int{"dossier.status": {8, 8}, "dossier.document": {4, 4}, "dossier.payment": {4, 4}, "dossier.rating": {4, 4},
		"dossier.sync": {4, 4}, "auth.attempt": {5, 5}, "eid.account": {2, 2}, "wallet.document": {3, 3}, "data.query": {3, 3}, "data.quality": {6, 6},
		"petition.status": {3, 3}, "service.catalog": {3, 3}, "task.status": {4, 4}, "capability.status": {4, 4}, "counter.report": {4, 4},
		"counter.report.of": {4, 4}, "event.void": {1, 1}}
	d := newTestDecoder(t)
	for _, file := range exampleFiles(t) {
		name := strings.TrimSuffix(file, ".json")
		c, ok := cases[name]
		if !ok {
			t.Errorf("no case for %s", file)
			continue
		}
		want := maps.Clone(record)
		want["type"], want["fields_expected"], want["fields_present"] = name, fields[name][0], fields[name][1]
		for _, more := range []map[string]any{c.place, c.kind, c.want} {
			maps.Copy(want, more)
		}
		structured := example(t, file)
		records := map[string]*Record{
			"structured": {Value: structured},
			"compact":    {Value: compact(t, structured)},
			"typed":      {Value: structured, Headers: []Header{{"Content-Type", []byte("application/cloudevents+json; charset=UTF-8")}}},
			"binary":     binaryOf(t, structured),
			"data first": {Value: dataFirst(t, structured)},
			"escaped":    {Value: escapeAll(t, structured)},
		}
		for mode, rec := range records {
			rec.Offset, rec.Time = 42, testClock-1000
			b := newTestBatch()
			mustAccept(t, d, b, rec)
			bl := b.blocks[c.table]
			if diff := cmp.Diff(want, rowOf(bl, 0)); diff != "" {
				t.Errorf("%s, %s:\n%s", file, mode, diff)
			}
			if len(b.Blocks()) != 2 || b.Rows() != 1 || b.Blocks()[0] != bl || b.Blocks()[1] != b.feed {
				t.Errorf("%s, %s: blocks %v", file, mode, b.Blocks())
			}
		}
	}
}

// dataFirst moves data before the other members.
func dataFirst(t testing.TB, structured []byte) []byte {
	var envelope map[string]json.RawMessage
	if err := json.Unmarshal(structured, &envelope); err != nil {
		t.Fatal(err)
	}
	out := []byte(`{"data":` + string(envelope["data"]))
	for name, raw := range envelope {
		if name != "data" {
			out = fmt.Appendf(out, ",\n%q :\t%s", name, raw)
		}
	}
	return append(out, '}')
}

// escapeAll writes every character of every text as an escape.
func escapeAll(t testing.TB, structured []byte) []byte {
	var out []byte
	inText := false
	for _, c := range string(structured) {
		switch {
		case c == '"':
			inText = !inText
			fallthrough
		case !inText:
			out = append(out, string(c)...)
		default:
			out = fmt.Appendf(out, `\u%04X`, c)
		}
	}
	return out
}

// edit decodes the JSON of an example, changes it, and encodes it again.
func edit(t testing.TB, file string, change func(envelope, data map[string]any)) *Record {
	t.Helper()
	var envelope map[string]any
	if err := json.Unmarshal(example(t, file), &envelope); err != nil {
		t.Fatal(err)
	}
	change(envelope, envelope["data"].(map[string]any))
	value, err := json.Marshal(envelope)
	if err != nil {
		t.Fatal(err)
	}
	return &Record{Value: value}
}

func TestProvinces(t *testing.T) {
	cases := []struct {
		code, scheme, time               string
		wantProvince, want63, wantReason string
	}{
		{"79", "gso34", "2026-01-01T00:00:00+07:00", "79", "gso34:79", ""},
		{"79", "gso63", "2026-01-01T00:00:00+07:00", "79", "79", ""},
		{"74", "gso63", "2026-01-01T00:00:00+07:00", "79", "74", ""},
		{"74", "", "2026-01-01T00:00:00+07:00", "79", "74", ""},
		{"79", "", "2026-01-01T00:00:00+07:00", "79", "gso34:79", ""},
		{"79", "", "2025-07-01T00:00:00+07:00", "79", "gso34:79", ""},
		{"79", "", "2025-06-30T23:59:59+07:00", "79", "79", ""},
		{"15", "gso34", "2026-01-01T00:00:00+07:00", "15", "gso34:15", ""}, // Lào Cai
		{"15", "gso63", "2026-01-01T00:00:00+07:00", "15", "15", ""},       // Yên Bái, now in Lào Cai
		{"80", "gso63", "2026-01-01T00:00:00+07:00", "80", "80", ""},
		{"15", "", "2024-01-01T00:00:00+07:00", "", "", "ambiguous_province"},
		{"74", "gso34", "2026-01-01T00:00:00+07:00", "", "", "unknown_province"},
		{"00", "", "2026-01-01T00:00:00+07:00", "", "", "unknown_province"},
		{"", "", "2026-01-01T00:00:00+07:00", "", "", ""},
		{"", "gso34", "2026-01-01T00:00:00+07:00", "", "", ""},
	}
	d := newTestDecoder(t)
	for _, c := range cases {
		b := newTestBatch()
		rec := edit(t, "auth.attempt.json", func(e, data map[string]any) {
			e["time"], data["province_code"], data["admin_scheme"] = c.time, c.code, c.scheme
			if c.scheme == "" {
				data["admin_scheme"] = nil
			}
		})
		if d.Decode(b, rec, nil) == Rejected {
			if got := string(b.Rejections()[0].Reason); got != c.wantReason {
				t.Errorf("%+v: %s", c, got)
			}
			continue
		}
		row := rowOf(b.blocks[authAttempts], 0)
		want := map[string]any{"province_code": c.code, "province": c.wantProvince, "province63": c.want63}
		for name, v := range want {
			if got := row[name]; v != got && (v != "" || got != nil) {
				t.Errorf("%+v: %s is %v", c, name, got)
			}
		}
		if scheme := map[string]any{"gso63": 1, "gso34": 2}[c.scheme]; row["admin_scheme"] != scheme {
			t.Errorf("%+v: admin_scheme is %v", c, row["admin_scheme"])
		}
	}
}

func TestServiceOfProcedure(t *testing.T) {
	d := newTestDecoder(t)
	b := newTestBatch()
	mustAccept(t, d, b, edit(t, "dossier.status.json", func(_, data map[string]any) {
		delete(data, "service_id")
		data["procedure_code"] = "1.004222.000.00.00.H38"
	}))
	mustAccept(t, d, b, edit(t, "dossier.status.json", func(_, data map[string]any) {
		delete(data, "service_id")
		data["procedure_code"] = "9.999999"
	}))
	if first, second := rowOf(b.blocks[dossierEvents], 0), rowOf(b.blocks[dossierEvents], 1); first["service_id"] != "DA06-03" || second["service_id"] != nil {
		t.Errorf("services %v, %v", first["service_id"], second["service_id"])
	}
}

func TestBounds(t *testing.T) {
	d := newTestDecoder(t)
	for name, rec := range map[string]*Record{
		"five minutes ahead": edit(t, "dossier.status.json", func(e, data map[string]any) { e["time"] = "2026-11-25T12:05:00+07:00" }),
		"first moment":       edit(t, "counter.report.json", func(e, _ map[string]any) { e["time"] = "2022-01-05T17:00:00Z" }),
		"registered a day after": edit(t, "dossier.status.json", func(e, data map[string]any) {
			e["time"], data["registered_on"] = "2026-11-20T17:00:00Z", "2026-11-22"
		}),
		"registered first": edit(t, "dossier.status.json", func(_, data map[string]any) { data["registered_on"] = "2022-01-06" }),
		"exact integer":    edit(t, "counter.report.json", func(_, data map[string]any) { data["value"] = json.Number("9007199254740992") }),
		"fraction":         edit(t, "counter.report.json", func(_, data map[string]any) { data["value"] = json.Number("86.97") }),
		"exponent":         edit(t, "counter.report.json", func(_, data map[string]any) { data["value"] = json.Number("1.5E+3") }),
		"payload":          {Value: append(example(t, "dossier.status.json"), bytes.Repeat([]byte(" "), MaxPayload-len(example(t, "dossier.status.json")))...)},
		"no subject":       edit(t, "auth.attempt.json", func(e, _ map[string]any) { delete(e, "subject") }),
		"extension":        edit(t, "auth.attempt.json", func(e, _ map[string]any) { e["traceparent"], e["sequence"] = "00-x", 3 }),
		"content":          edit(t, "auth.attempt.json", func(e, _ map[string]any) { e["datacontenttype"] = "application/vnd.da06+json; v=1" }),
		"schema":           edit(t, "auth.attempt.json", func(e, _ map[string]any) { e["dataschema"] = "https://example.vn/schema" }),
		"nulls":            edit(t, "dossier.status.json", func(_, data map[string]any) { data["commune_code"], data["due_at"], data["portal"] = nil, nil, nil }),
		"authenticated 1":  edit(t, "dossier.status.json", func(_, data map[string]any) { data["vneid_authenticated"] = 1 }),
		"no like":          edit(t, "dossier.rating.json", func(_, data map[string]any) { data["like"], data["score"] = 0, nil }),
		"paid at the counter": edit(t, "dossier.payment.json", func(_, data map[string]any) {
			data["paid_online"], data["amount_vnd"], data["collect_when"] = 0, 0, 4
		}),
		"all passing":       edit(t, "data.quality.json", func(_, data map[string]any) { data["passing"] = data["evaluated"] }),
		"nothing to judge":  edit(t, "data.quality.json", func(_, data map[string]any) { data["evaluated"], data["passing"], data["weight"] = 0, 0, 0 }),
		"most records":      edit(t, "data.query.json", func(_, data map[string]any) { data["records"] = 1<<32 - 1 }),
		"procedure alone":   edit(t, "service.catalog.json", func(_, data map[string]any) { data["service_id"], data["procedure_code"] = nil, "9.999999" }),
		"service alone":     edit(t, "service.catalog.json", func(_, data map[string]any) { delete(data, "procedure_code") }),
		"void without data": edit(t, "event.void.json", func(e, _ map[string]any) { delete(e, "data") }),
		"void with null":    edit(t, "event.void.json", func(e, _ map[string]any) { e["data"] = nil }),
		"licence of a person": edit(t, "wallet.document.json", func(_, data map[string]any) {
			data["kind"], data["subject_pid"], data["commune_code"] = "driving_licence", "p-1", "00004"
		}),
		"long opaque texts": edit(t, "dossier.status.json", func(e, data map[string]any) { e["id"] = strings.Repeat("é", 128) }),
	} {
		b := newTestBatch()
		if d.Decode(b, rec, nil) != Accepted {
			t.Errorf("%s: %+v", name, b.Rejections())
		}
	}
	b := newTestBatch()
	mustAccept(t, d, b, edit(t, "counter.report.json", func(_, data map[string]any) { data["value"] = json.Number("-0.0") }))
	if v := b.blocks[registerEvents].columns[tables[registerEvents].at("value")].f64[0]; math.Signbit(v) {
		t.Errorf("-0.0 is kept as %v", v)
	}
}

func TestExtra(t *testing.T) {
	d := newTestDecoder(t)
	b := newTestBatch()
	value := compact(t, example(t, "dossier.status.json"))
	value = bytes.Replace(value, []byte(`"status":2`), []byte(`"n\u006fte" : {"a":[1, 2.50,"x\/y"]},"status":2,"other":null`), 1)
	mustAccept(t, d, b, &Record{Value: value})
	row := rowOf(b.blocks[dossierEvents], 0)
	if want := `{"n\u006fte" : {"a":[1, 2.50,"x\/y"]},"other":null}`; row["extra"] != want || row["status"] != 2 {
		t.Errorf("extra is %v, want %s", row["extra"], want)
	}
	if want := map[string]uint64{"note": 1, "other": 1}; !maps.Equal(d.UnknownFields(), want) {
		t.Errorf("unknown fields %v, want %v", d.UnknownFields(), want)
	}
	// Names are bounded, and one event may have very many.
	var many []byte
	for i := range 3000 {
		many = fmt.Appendf(many, `"f%d":%d,`, i, i)
	}
	value = bytes.Replace(value, []byte(`"status":2`), append(many, `"status":2`...), 1)
	for range 2 {
		mustAccept(t, d, b, &Record{Value: value})
	}
	counts := d.UnknownFields()
	if len(counts) != 257 || counts["f7"] != 2 || counts["*"] != 2*(3000-254) {
		t.Errorf("%d names, f7: %d, others: %d", len(counts), counts["f7"], counts["*"])
	}
	if extra := rowOf(b.blocks[dossierEvents], 2)["extra"].(string); !json.Valid([]byte(extra)) || strings.Count(extra, ":") != 3003 {
		t.Errorf("extra of many fields is not kept whole")
	}
	twice := bytes.Replace(value, []byte(`"status":2`), []byte(`"f2999":1,"status":2`), 1)
	if d.Decode(b, &Record{Value: twice}, nil) != Rejected || b.Rejections()[0].Reason != DuplicateField || b.Rejections()[0].Field != "data.f2999" {
		t.Errorf("a field that is there twice: %+v", b.Rejections())
	}
}

func TestDuplicateAndGap(t *testing.T) {
	d := newTestDecoder(t)
	b := newTestBatch()
	rec := &Record{Offset: 7, Time: testClock, Value: example(t, "dossier.status.json")}
	var ids []Identity
	seen := func(id Identity) bool { ids = append(ids, id); return len(ids) > 1 }
	if v := d.Decode(b, rec, seen); v != Accepted {
		t.Fatal(v)
	}
	rec.Offset = 8
	if v := d.Decode(b, rec, seen); v != Duplicate {
		t.Fatal(v)
	}
	b.Gap(9, 12)
	if ids[0] != ids[1] || ids[0] != d.Identify([]byte("/npsp/H26.12"), []byte("01930a5e-7c1a-7b52-9a3e-1f7d2c9b4a10")) {
		t.Errorf("identities %x", ids)
	}
	want := []map[string]any{
		{"topic": "ioc.dossier.v1", "partition": 3, "first_offset": 8, "last_offset": 8, "kind": 1, "source": "/npsp/H26.12",
			"type": "dossier.status", "province": "01", "province63": "gso34:01", "contract": 3,
			"received_at": "2026-11-25T12:00:00.000+07:00", "record_time": "2026-11-25T12:00:00.000+07:00"},
		{"topic": "ioc.dossier.v1", "partition": 3, "first_offset": 9, "last_offset": 12, "kind": 2,
			"received_at": "2026-11-25T12:00:00.000+07:00", "record_time": "2026-11-25T12:00:00.000+07:00"},
	}
	if diff := cmp.Diff(want, []map[string]any{rowOf(b.blocks[skippedOffsets], 0), rowOf(b.blocks[skippedOffsets], 1)}); diff != "" {
		t.Error(diff)
	}
	days, subjects := b.TouchedDossiers()
	if !slices.Equal(days, []int32{20778}) || !slices.Equal(subjects, []string{"d-7f3a9c21e0b84d55"}) {
		t.Errorf("touched %v %v", days, subjects)
	}
	if b.Rows() != 3 || b.Bytes() == 0 {
		t.Errorf("%d rows, %d bytes", b.Rows(), b.Bytes())
	}
	b.Reset("x", 1, 2)
	if b.Rows() != 0 || b.Bytes() != 0 || len(b.Blocks()) != 0 {
		t.Errorf("after Reset: %d rows, %d bytes, %d blocks", b.Rows(), b.Bytes(), len(b.Blocks()))
	}
}

func TestDeadLetterRow(t *testing.T) {
	d := newTestDecoder(t)
	b := newTestBatch()
	rec := edit(t, "dossier.status.json", func(_, data map[string]any) { data["status"] = 11 })
	rec.Offset, rec.Time = 42, -1 // a record without a timestamp
	d.Decode(b, rec, nil)
	sum := b.Rejections()[0].SHA256
	want := map[string]any{"received_at": "2026-11-25T12:00:00.000+07:00", "reason": "invalid_value", "field": "data.status",
		"province": "01", "province63": "gso34:01", "contract": 3,
		"type": "vn.da06.dossier.status.v1", "source": "/npsp/H26.12", "sha256": string(sum[:]), "size": len(rec.Value),
		"topic": "ioc.dossier.v1", "partition": 3, "offset": 42}
	if diff := cmp.Diff(want, rowOf(b.blocks[deadLetters], 0)); diff != "" {
		t.Error(diff)
	}
}

// Rows do not depend on what was decoded before them, nor on how records are cut into batches.
func TestOneByOne(t *testing.T) {
	cases := invalidCases(t)
	names := slices.Sorted(maps.Keys(cases))
	pool := []*Record{binaryOf(t, example(t, "dossier.status.json")), {Value: escapeAll(t, example(t, "auth.attempt.json"))},
		{Value: dataFirst(t, example(t, "dossier.status.json"))}}
	for _, file := range exampleFiles(t) {
		pool = append(pool, &Record{Value: example(t, file)})
	}
	for _, name := range names {
		pool = append(pool, cases[name].record(t))
	}
	together, alone := newTestDecoder(t), newTestDecoder(t)
	whole := newTestBatch()
	rapid.Check(t, func(rt *rapid.T) {
		whole.Reset("t", 1, testClock)
		single := NewBatch()
		next := make(map[*Block]int)
		picks := rapid.SliceOfN(rapid.IntRange(0, len(pool)-1), 1, 20).Draw(rt, "records")
		for i, pick := range picks {
			rec := *pool[pick]
			rec.Offset = int64(i)
			single.Reset("t", 1, testClock)
			v := together.Decode(whole, &rec, nil)
			if w := alone.Decode(single, &rec, nil); v != w {
				rt.Fatalf("verdict %v together, %v alone", v, w)
			}
			for k, bl := range single.blocks {
				if bl.Rows() == 0 {
					continue
				}
				both := whole.blocks[k]
				if diff := cmp.Diff(rowOf(bl, 0), rowOf(both, next[both])); diff != "" {
					rt.Fatal(diff)
				}
				next[both]++
			}
		}
		if whole.Rows() != len(picks) {
			rt.Fatalf("%d rows of %d records", whole.Rows(), len(picks))
		}
	})
}

func TestDecodeAllocatesNothing(t *testing.T) {
	d, b := newTestDecoder(t), newTestBatch()
	records := benchmarkRecords(t)
	records["escaped"] = &Record{Value: escapeAll(t, compact(t, example(t, "dossier.status.json")))}
	records["extra"] = edit(t, "dossier.status.json", func(_, data map[string]any) { data["note"], data["list"] = "x", []int{1, 2} })
	seen := func(Identity) bool { return false }
	const rows = 2000
	run := func() {
		b.Reset("ioc.dossier.v1", 3, testClock)
		for range rows / len(records) {
			for _, rec := range records {
				mustAccept(t, d, b, rec)
				d.Decode(b, rec, seen)
			}
		}
		b.Gap(1, 2)
	}
	run()
	if n := testing.AllocsPerRun(20, run); n > 0 {
		t.Errorf("%v allocations for %d rows", n, b.Rows())
	}
}

// A range that was recorded by an older contract is read by it.
func TestVersions(t *testing.T) {
	d := newTestDecoder(t)
	for _, e := range eventTypes {
		for version := OldestVersion; version <= Version; version++ {
			d.UseVersion(version)
			b := newTestBatch()
			verdict := d.Decode(b, &Record{Value: example(t, e.name+".json")}, nil)
			if e.since <= version && verdict != Accepted {
				t.Errorf("version %d does not accept %s: %+v", version, e.name, b.Rejections())
			}
			if e.since > version && (verdict != Rejected || b.Rejections()[0].Reason != UnknownType) {
				t.Errorf("version %d knows %s", version, e.name)
			}
		}
	}
}

// Values that never repeat must not grow what outlives the batch.
func TestDictionaryIsBounded(t *testing.T) {
	d := newDictionary()
	for round := range 2 {
		for i := range 3 * dictionaryLimit {
			if id, fresh := d.id(fmt.Appendf(nil, "v%d", i)); !fresh || d.texts[id] != fmt.Sprintf("v%d", i) || id == 0 {
				t.Fatal(round, i, id, fresh)
			}
		}
		if id, fresh := d.id([]byte("v1")); id != 2 || fresh {
			t.Error(round, id, fresh)
		}
		if id, fresh := d.id(fmt.Appendf(nil, "v%d", dictionaryLimit)); d.texts[id] != fmt.Sprintf("v%d", dictionaryLimit) || !fresh {
			t.Error(round, id, fresh)
		}
		if len(d.known) != dictionaryLimit {
			t.Errorf("%d texts are remembered", len(d.known))
		}
		if d.trim(); len(d.known) != 0 || len(d.texts) != 1 {
			t.Errorf("%d texts are remembered after trim", len(d.known))
		}
	}
}
