package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"ioc.local/internal/produce"
	"ioc.local/internal/reference"
	"ioc.local/query/kpi"
)

// drawnDays is how far the events of a drawn country reach back, so that a whole calendar month lies among them.
const drawnDays = 70

// drawn is a small country of a seed: events of every type of the contract, which contradict one another, happen at
// the same moments, leave out what may be absent, name provinces by either scheme and take one another back.
type drawn struct {
	testing.TB
	*rand.Rand
	clock  time.Time
	events []kafka.Message
	places []map[string]any
	named  [][2]string     // source and id of each event
	last   map[string]drew // by type
}

// drew is an event that was drawn.
type drew struct {
	id, subject string
	at          time.Time
}

// fields are the data of an event. A nil value is left out.
type fields map[string]any

// drawCountry draws the country of a seed, as it is at the clock.
func drawCountry(tb testing.TB, seed uint64, clock time.Time, data *reference.Data, catalogue *kpi.Catalogue) []kafka.Message {
	tb.Helper()
	d := &drawn{TB: tb, Rand: rand.New(rand.NewPCG(seed, 766)), clock: clock, places: []map[string]any{{}}, last: map[string]drew{}}
	for _, p := range data.Provinces34()[:5] {
		d.places = append(d.places, map[string]any{"province_code": p.Code, "admin_scheme": "gso34"})
		for _, old := range p.MergedFrom {
			d.places = append(d.places, map[string]any{"province_code": old, "admin_scheme": "gso63"})
		}
	}
	for n := range 60 {
		d.dossier(n)
	}
	for n := range 40 {
		d.facts(n)
		d.registers(n)
	}
	for _, def := range catalogue.All() {
		for range 3 {
			if def.Metric != "" {
				d.report(def)
			}
		}
	}
	for n := range 30 {
		at := d.named[d.IntN(len(d.named))]
		d.add(produce.TopicProgramme, "event.void", at[0], at[1], d.moment(), fields{"reason": fmt.Sprint("drawn ", n)})
	}
	return d.events
}

// one picks one of the values, nil among them for what is left out.
func (d *drawn) one(values ...any) any { return values[d.IntN(len(values))] }

// moment is a moment of the drawn days; every third is a full hour, so that several events share it.
func (d *drawn) moment() time.Time {
	return d.after(d.clock.AddDate(0, 0, -drawnDays), drawnDays)
}

// after is a moment of the days from a moment on, and not after the clock.
func (d *drawn) after(from time.Time, days int) time.Time {
	at := from.Add(time.Duration(d.Int64N(int64(days) * 24 * int64(time.Hour)))).Truncate(time.Millisecond)
	if d.IntN(3) == 0 {
		at = at.Truncate(time.Hour)
	}
	if at.After(d.clock) {
		return d.clock
	}
	return at
}

func rfc3339(at time.Time) string {
	return at.In(reference.TimeZone()).Format("2006-01-02T15:04:05.000-07:00")
}

// add adds an event. Some have the id and the time of the event of their type before them, from another source: what
// counts of the two must not depend on which comes first.
func (d *drawn) add(topic, kind, source, subject string, at time.Time, data fields) {
	d.Helper()
	for name, value := range data {
		if value == nil {
			delete(data, name)
		}
	}
	id := fmt.Sprintf("e-%d", len(d.events))
	if before := d.last[kind]; before.subject == subject && d.IntN(5) == 0 {
		id, at, source = before.id, before.at, fmt.Sprint(source, len(d.events))
	}
	d.last[kind] = drew{id, subject, at}
	value, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": id, "source": source, "type": "vn.da06." + kind + ".v1", "time": rfc3339(at), "subject": subject, "data": data,
	})
	if err != nil {
		d.Fatal(err)
	}
	d.events = append(d.events, kafka.Message{Topic: topic, Key: []byte(subject), Value: value})
	if kind != "event.void" {
		d.named = append(d.named, [2]string{source, id})
	}
}

// placed adds the fields of one of the places.
func (d *drawn) placed(data fields) fields {
	for name, value := range d.places[d.IntN(len(d.places))] {
		data[name] = value
	}
	return data
}

// dossier adds the events of a dossier, some of which may say nothing that makes sense together.
func (d *drawn) dossier(n int) {
	subject, begin := fmt.Sprintf("d-%d", n), d.moment()
	due := rfc3339(begin.Add(time.Duration(d.IntN(30*24)) * time.Hour))
	place := d.placed(fields{})
	service := d.one("DA06-01", "DA06-03", "DA06-21", "DA06-22", nil)
	add := func(kind string, own fields) {
		own["agency_code"], own["registered_on"] = d.one("H29.3", "H26.12"), begin.In(reference.TimeZone()).Format(time.DateOnly)
		if d.IntN(5) > 0 {
			own["service_id"] = service
			for name, value := range place {
				own[name] = value
			}
		}
		d.add(produce.TopicDossier, kind, "/npsp/H26", subject, d.after(begin, 20), own)
	}
	for range 2 + d.IntN(5) {
		add("dossier.status", fields{
			"status": d.one(1, 2, 2, 2, 3, 4, 4, 5, 5, 6, 7, 8, 9, 9, 9, 10, 10), "channel": d.one(1, 2, 2, 3, nil), "portal": d.one("npsp", "vneid", nil),
			"procedure_code": d.one("1.004222", "1.004222.000.00.00.H29", "1.004194", nil), "service_level": d.one("full", "partial", nil),
			"due_at": d.one(due, due, nil), "statutory_limit": d.one(3, nil), "limit_unit": d.one("working_day", "day", nil),
			"vneid_authenticated": d.one(true, false, nil), "result_form": d.one("electronic", "paper", "none", nil),
		})
	}
	for range d.IntN(3) {
		add("dossier.document", fields{"kind": d.one("component", "result"), "has_file": d.one(true, false, nil), "reused": d.one(true, false, nil),
			"from_national_store": d.one(true, nil), "source_db": d.one("popdb", "land", nil)})
	}
	for range d.IntN(3) {
		add("dossier.payment", fields{"state": d.one("due", "paid", "failed"), "paid_online": d.one(0, 1, 2, nil), "amount_vnd": d.one(0, 8000, nil), "fee_total_vnd": d.one(0, 8000, nil)})
	}
	if d.IntN(3) == 0 {
		add("dossier.rating", fields{"like": d.one(-1, 0, 1), "score": d.one(1, 5, nil)})
	}
	if d.IntN(3) > 0 {
		add("dossier.sync", fields{"on_time": d.one(true, true, false)})
	}
}

// facts adds one event of each type that is counted.
func (d *drawn) facts(n int) {
	for range 3 {
		d.add(produce.TopicAuthentication, "auth.attempt", "/eid_auth/G01", fmt.Sprintf("a-%d", n), d.moment(), d.placed(fields{
			"relying_party": d.one("H29", "G01"), "assurance_level": d.one(1, 2, 3), "auth_method": []string{"face"}, "outcome": d.one("success", "success", "no_match", "user_cancelled", "timeout"),
			"service_id": d.one("DA06-01", nil), "latency_ms": d.one(d.IntN(100), d.IntN(9000), nil)}))
	}
	d.add(produce.TopicAuthentication, "eid.account", "/vneid/G01", fmt.Sprintf("i-%d", n), d.moment(), d.placed(fields{
		"action": d.one("activated", "activated", "upgraded", "deactivated"), "eid_level": d.one(1, 2, nil)}))
	for range 3 {
		d.add(produce.TopicAuthentication, "wallet.document", "/health_book/G18", fmt.Sprintf("w-%d", n), d.moment(), d.placed(fields{
			"kind": d.one("health_book", "health_book", "driving_licence"), "action": d.one("created", "integrated")}))
	}
	d.add(produce.TopicData, "data.query", "/popdb/G01", fmt.Sprintf("q-%d", n), d.moment(), d.placed(fields{
		"consumer_agency": d.one("G01", "H29"), "query_kind": d.one("verify", "lookup"), "outcome": d.one("ok", "denied")}))
}

// registers adds one event of each type whose last entry counts.
func (d *drawn) registers(n int) {
	due := rfc3339(d.moment())
	d.add(produce.TopicData, "data.quality", "/ldop/H26", "quality", d.moment(), d.placed(fields{
		"database": d.one("civil", "land"), "criterion": d.one("dung", "du"), "field": "f", "rule_id": d.one("R1", "R2"), "evaluated": 100, "passing": d.IntN(100), "weight": d.one(1, 2.5, nil)}))
	for range 3 {
		d.add(produce.TopicProgramme, "petition.status", "/npsp/H26", fmt.Sprintf("p-%d", n/2), d.moment(), d.placed(fields{
			"status": d.one("received", "refused", "info_required", "answered", "published"), "class": d.one("regulation", "staff", nil), "due_at": d.one(due, nil),
			"like": d.one(-1, 1, nil), "agency_code": d.one("H29.3", nil)}))
	}
	d.add(produce.TopicProgramme, "service.catalog", "/npsp/G01", "service", d.moment(), d.placed(fields{
		"service_id": d.one("DA06-01", "DA06-03", "DA06-21"), "procedure_code": d.one("1.004222", nil), "list": d.one("E25", "E53", "E76", nil), "level": d.one("full", "partial", "info"),
		"full_eligible": d.one(true, false, nil), "fee_offline_vnd": d.one(0, 9000, nil), "fee_online_vnd": d.one(0, 8000, nil), "agency_code": d.one("G01", nil)}))
	d.add(produce.TopicProgramme, "task.status", "/task_force/G01", fmt.Sprintf("t-%d", n/2), d.moment(), d.placed(fields{
		"status": d.one("assigned", "completed", "completed_late", "overdue"), "lead_agency": d.one("G01", "G18"), "source_document": d.one("06/QĐ-TTg", nil), "due_at": d.one(due, nil)}))
	d.add(produce.TopicProgramme, "capability.status", "/ioc/G01", "capability", d.moment(), d.placed(fields{
		"kind": d.one("ioc", "popdb_connection"), "org_id": d.one("a", "b", "c", "d", "e"), "org_kind": d.one("ministry", "province"), "state": d.one("planned", "operating", "closed")}))
}

// report adds an official figure, of the nation or of a place. That of a rate is given as two numbers.
func (d *drawn) report(of *kpi.Definition) {
	whole := d.one(21, 25, nil)
	if of.Unit == "ratio" {
		whole = 25
	}
	d.add(produce.TopicProgramme, "counter.report", "/manual_report/G01", of.Metric, d.moment(), d.placed(fields{
		"metric_id": of.Metric, "value": 1 + d.IntN(20), "denominator": whole, "qualifier": d.one("exact", "over", nil),
		"as_of": d.one("2024-11-22", "2025-10-01", d.moment().Format(time.DateOnly)), "source_ref": d.one("x", "y")}))
}
