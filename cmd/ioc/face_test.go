package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket/wsjson"
	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"

	"ioc.local/ingest/event"
	"ioc.local/internal/produce"
	"ioc.local/internal/reference"
	"ioc.local/query/kpi"
)

// input is real input to a demo: what clients outside produce, counted by hand in its tests.
type input struct {
	*testing.T
	demo *demoProcess
	at   time.Time // All events happen within this minute, so that they share a day, a month and a year.
}

func (in *input) time(second int) string {
	return in.at.Add(time.Duration(second) * time.Second).Format("2006-01-02T15:04:05.000-07:00")
}

// envelope is an event in structured mode; change edits its members and those of data.
func (in *input) envelope(kind, id string, second int, data map[string]any, change ...func(envelope, data map[string]any)) []byte {
	in.Helper()
	e := map[string]any{
		"specversion": "1.0", "id": id, "source": "/npsp/H26", "type": "vn.da06." + kind + ".v1", "time": in.time(second), "subject": "s-" + id, "data": data,
	}
	for _, c := range change {
		c(e, data)
	}
	text, err := json.Marshal(e)
	if err != nil {
		in.Fatal(err)
	}
	return text
}

func (in *input) dossier(id, province string, status, channel, second, due int) []byte {
	data := map[string]any{
		"province_code": province, "admin_scheme": "gso34", "agency_code": "H26.12", "service_id": "DA06-03",
		"registered_on": in.at.Format(time.DateOnly), "status": status, "channel": channel,
	}
	if due > 0 {
		data["due_at"] = in.time(due)
	}
	return in.envelope("dossier.status", fmt.Sprintf("%s-%d", id, status), second, data, func(e, _ map[string]any) { e["subject"] = id })
}

func (in *input) auth(id, province, outcome string) map[string]any {
	return map[string]any{
		"province_code": province, "admin_scheme": "gso34", "relying_party": "H29", "assurance_level": 3, "auth_method": []string{"face"}, "outcome": outcome,
	}
}

// kcat produces structured events as a shell user would. Without the program kafka-go sends the same records.
func (in *input) kcat(topic string, events ...[]byte) {
	in.Helper()
	if _, err := exec.LookPath("kcat"); err != nil {
		in.Log("kcat is not installed; the records are sent without it")
		for _, e := range events {
			in.produce(kafka.Message{Topic: topic, Value: e})
		}
		return
	}
	for _, e := range events { // an event a call: lines of one call are spread over partitions
		cmd := exec.Command("kcat", "-P", "-b", in.demo.addresses["Kafka"], "-t", topic, "-p", "0")
		cmd.Stdin = bytes.NewReader(e)
		if out, err := cmd.CombinedOutput(); err != nil {
			in.Fatalf("kcat: %v\n%s", err, out)
		}
	}
}

func (in *input) produce(messages ...kafka.Message) {
	in.Helper()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	w := &kafka.Writer{Addr: kafka.TCP(in.demo.addresses["Kafka"]), Transport: transport, BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll, Balancer: kafka.Murmur2Balancer{}}
	defer func() { _ = w.Close() }()
	if err := w.WriteMessages(in.Context(), messages...); err != nil {
		in.Fatal(err)
	}
}

// binary is an event in binary mode: attributes in headers, data alone as value.
func (in *input) binary(kind, id string, data map[string]any) kafka.Message {
	in.Helper()
	value, err := json.Marshal(data)
	if err != nil {
		in.Fatal(err)
	}
	message := kafka.Message{Topic: produce.TopicAuthentication, Key: []byte(id), Value: value, Headers: []kafka.Header{{Key: "content-type", Value: []byte("application/json")}}}
	for name, value := range map[string]string{
		"specversion": "1.0", "id": id, "source": "/eid_auth/G01", "type": "vn.da06." + kind + ".v1", "time": in.time(25), "subject": "s-" + id,
	} {
		message.Headers = append(message.Headers, kafka.Header{Key: "ce_" + name, Value: []byte(value)})
	}
	return message
}

// ioc runs another command of ioc against the demo and returns what it prints.
func (in *input) ioc(args ...string) string {
	in.Helper()
	cmd := exec.Command(os.Args[0], append(args, "--config", in.demo.connection)...)
	cmd.Env = append(os.Environ(), runEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		in.Fatalf("ioc %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// expected is a KPI counted by hand.
type expected struct {
	value                  float64
	numerator, denominator any
}

// api asks the HTTP API, the default period of each KPI.
func (in *input) api(id, parameters string) map[string]any {
	in.Helper()
	response, err := http.Get(in.demo.addresses["KPIs"] + "/" + id + parameters)
	if err != nil {
		in.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		in.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		in.Fatalf("%s: %d %v", id, response.StatusCode, answer)
	}
	return answer
}

// feed takes one snapshot of the board overview.
func (in *input) feed() map[string]map[string]any {
	in.Helper()
	ctx, cancel := context.WithTimeout(in.Context(), 30*time.Second)
	defer cancel()
	conn := in.demo.dialFeed(ctx, in)
	defer func() { _ = conn.CloseNow() }()
	if err := wsjson.Write(ctx, conn, map[string]string{"type": "subscribe", "board": "overview", "scope": "national"}); err != nil {
		in.Fatal(err)
	}
	for {
		var frame struct {
			Type   string           `json:"type"`
			Values []map[string]any `json:"values"`
		}
		if err := wsjson.Read(ctx, conn, &frame); err != nil {
			in.Fatal(err)
		}
		if frame.Type == "snapshot" {
			values := map[string]map[string]any{}
			for _, v := range frame.Values {
				values[v["kpi"].(string)] = v
			}
			return values
		}
	}
}

// gauge is the value of a metric without labels, as it is written.
func (in *input) gauge(name string) string {
	in.Helper()
	for line := range strings.Lines(in.scrape()) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

var metricLine = regexp.MustCompile(`^ioc_kpi_value\{kpi="([a-z_]+)",period="[a-z0-9]+",province="",scheme="gso34"\} (\S+)$`)

func (in *input) scrape() string {
	in.Helper()
	response, err := http.Get(in.demo.addresses["metrics"])
	if err != nil {
		in.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		in.Fatal(err)
	}
	return string(text)
}

func (in *input) metrics() map[string]float64 {
	in.Helper()
	var err error
	values := map[string]float64{}
	for line := range strings.Lines(in.scrape()) {
		if m := metricLine.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			if values[m[1]], err = strconv.ParseFloat(m[2], 64); err != nil {
				in.Fatal(err)
			}
		}
	}
	return values
}

// agree waits until the API shows what was counted by hand, then asks that all faces show the same.
func (in *input) agree(want map[string]expected) {
	in.Helper()
	for id, e := range want {
		var got expected
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			answer := in.api(id, "")
			got = expected{numerator: answer["numerator"], denominator: answer["denominator"]}
			got.value, _ = answer["value"].(float64)
			if got == e {
				break
			}
			if time.Now().After(deadline) {
				in.Fatalf("API, %s: got %+v, want %+v", id, got, e)
			}
		}
	}
	feed, metrics := in.feed(), in.metrics()
	for id, e := range want {
		v := feed[id]
		if v["value"] != e.value || v["numerator"] != e.numerator || v["denominator"] != e.denominator {
			in.Errorf("feed, %s: got %v of %v/%v, want %+v", id, v["value"], v["numerator"], v["denominator"], e)
		}
		if metrics[id] != e.value {
			in.Errorf("/metrics, %s: got %v, want %v", id, metrics[id], e.value)
		}
	}
}

// TestRealInput produces to `ioc demo --no-simulate` as its users would: kcat, a client that sets headers, and
// the official figures through ioc ingest-file. API, feed and /metrics agree to the digit with a count by hand;
// a record of each reason code is among the dead letters; a second start on the same data continues.
func TestRealInput(t *testing.T) {
	data := t.TempDir()
	in := &input{T: t, demo: startDemo(t, data), at: time.Now().In(reference.TimeZone()).Add(-10 * time.Minute).Truncate(time.Minute)}
	facts, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	saving, ok := facts.Coefficients().At("DA06-03", in.at)
	if !ok {
		t.Fatal("no coefficient for DA06-03")
	}

	// Received in all: d1 to d5, of which online d1, d2, d3. With a due time: d1 (ended in time), d2 (open, due
	// later), d3 (ended late), d4 (open, overdue). Saved: d1 and d3, online and completed. d6 is not accepted.
	in.kcat(produce.TopicDossier,
		in.dossier("d1", "01", 2, 2, 1, 40), in.dossier("d2", "01", 2, 2, 2, 50), in.dossier("d3", "79", 2, 2, 3, 10),
		in.dossier("d4", "79", 2, 1, 4, 15), in.dossier("d5", "01", 2, 3, 5, 0), in.dossier("d6", "01", 1, 2, 6, 40),
		in.dossier("d1", "01", 9, 2, 20, 0), in.dossier("d3", "79", 9, 2, 30, 0))
	for i, outcome := range []string{"success", "success", "success", "success", "success", "user_cancelled", "no_match", "timeout"} {
		id := fmt.Sprintf("a%d", i)
		in.produce(in.binary("auth.attempt", id, in.auth(id, "79", outcome)))
	}
	if out := in.ioc("ingest-file", "../../testdata/seeds.ndjson"); !strings.Contains(out, "33") {
		t.Errorf("ingest-file does not tell of the 33 figures: %s", out)
	}
	want := map[string]expected{
		"dossiers_received":      {5, 5.0, nil},
		"online_dossier_rate":    {3.0 / 5.0, 3.0, 5.0},
		"on_time_rate":           {2.0 / 4.0, 2.0, 4.0},
		"savings_vnd_year":       {float64(2 * saving.Saving()), float64(2 * saving.Saving()), nil},
		"auth_transactions":      {8, 8.0, nil},
		"auth_success_rate":      {5.0 / 7.0, 5.0, 7.0},
		"eid_accounts_activated": {57_900_000, 0.0, nil},
	}
	in.agree(want)
	for _, row := range in.api("dossiers_received", "?by=province")["rows"].([]any) {
		r := row.(map[string]any)
		if byHand := map[string]float64{"01": 3, "79": 2}; r["value"] != byHand[r["province"].(string)] {
			t.Errorf("province %v has %v dossiers", r["province"], r["value"])
		}
	}
	baseline, _ := in.api("eid_accounts_activated", "")["baseline"].(map[string]any)
	if diff := cmp.Diff(map[string]any{"value": 57_900_000.0, "as_of": "2024-11-22", "source": "530/TB-VPCP"}, baseline, cmp.FilterPath(func(p cmp.Path) bool {
		step, ok := p.Last().(cmp.MapIndex)
		return ok && step.Key().String() == "qualifier"
	}, cmp.Ignore())); diff != "" {
		t.Errorf("baseline (-want +got):\n%s", diff)
	}

	in.everyReason()
	in.ioc("verify")
	in.demo.stop()

	// A second start continues: the same values, and what comes now is added to them.
	in.demo = startDemo(t, data)
	in.agree(want)
	in.produce(in.binary("auth.attempt", "a8", in.auth("a8", "01", "success")), in.binary("auth.attempt", "a0", in.auth("a0", "79", "success")))
	want["auth_transactions"], want["auth_success_rate"] = expected{9, 9.0, nil}, expected{6.0 / 8.0, 6.0, 8.0}
	in.agree(want)
	in.ioc("verify")
	in.simulated()
}

// simulated produces one event of a simulator to a demo that runs without: from then on every face says so, also of the
// KPIs that do not count it.
func (in *input) simulated() {
	in.Helper()
	marked := func(notes any) bool { return strings.Contains(fmt.Sprint(notes), kpi.NoteIllustrative) }
	faces := func() map[string]bool {
		return map[string]bool{
			"API": marked(in.api("dossiers_received", "")["notes"]), "API, evaluated": marked(in.api("on_time_rate", "?grain=day")["notes"]),
			"feed": marked(in.feed()["dossiers_received"]["notes"]), "kpi eval": strings.Contains(in.ioc("kpi", "eval", "on_time_rate"), kpi.NoteIllustrative),
			"metrics": in.gauge("ioc_kpi_illustrative") == "1",
		}
	}
	for face, yes := range faces() {
		if yes {
			in.Errorf("%s: real data is called illustrative", face)
		}
	}
	message := in.binary("auth.attempt", "a9", in.auth("a9", "01", "success"))
	for i, h := range message.Headers {
		if h.Key == "ce_source" {
			message.Headers[i].Value = []byte("/eid_auth/SIM")
		}
	}
	in.produce(message)
	for deadline := time.Now().Add(30 * time.Second); !marked(in.api("dossiers_received", "")["notes"]); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			in.Fatal("the API does not say that the data holds a simulated event")
		}
	}
	for face, yes := range faces() {
		if !yes {
			in.Errorf("%s: simulated data is not called illustrative", face)
		}
	}
}

// everyReason produces one record of each reason code and finds it in the table and in the dead-letter topic.
func (in *input) everyReason() {
	in.Helper()
	edit := func(change func(envelope, data map[string]any)) kafka.Message {
		data := in.auth("x", "79", "success")
		return kafka.Message{Value: in.envelope("auth.attempt", "invalid", 25, data, func(e, d map[string]any) { e["source"] = "/eid_auth/G01" }, change)}
	}
	set := func(name string, value any) kafka.Message { return edit(func(e, _ map[string]any) { e[name] = value }) }
	setData := func(values map[string]any) kafka.Message {
		return edit(func(_, d map[string]any) { maps.Copy(d, values) })
	}
	valid := edit(func(_, _ map[string]any) {})
	records := map[event.Reason]kafka.Message{
		event.TooLarge:           {Value: append(bytes.Clone(valid.Value), bytes.Repeat([]byte(" "), 64<<10)...)},
		event.NotUTF8:            {Value: bytes.Replace(valid.Value, []byte("H29"), []byte("H\xff9"), 1)},
		event.NotJSON:            {Value: valid.Value[:len(valid.Value)-1]},
		event.UnsupportedContent: {Value: valid.Value, Headers: []kafka.Header{{Key: "content-type", Value: []byte("application/avro")}}},
		event.NotCloudEvent:      {Value: []byte("[]")},
		event.DuplicateField:     {Value: bytes.Replace(valid.Value, []byte(`"specversion"`), []byte(`"id":"again","specversion"`), 1)},
		event.MissingField:       edit(func(_, d map[string]any) { delete(d, "outcome") }),
		event.InvalidType:        setData(map[string]any{"latency_ms": "12"}),
		event.InvalidValue:       setData(map[string]any{"outcome": "perhaps"}),
		event.InvalidSource:      set("source", "/nobody/G01"),
		event.UnknownType:        set("type", "vn.da06.auth.nothing.v1"),
		event.TimeInFuture:       set("time", time.Now().Add(time.Hour).Format(time.RFC3339)),
		event.TimeTooOld:         set("time", "2022-01-05T23:59:59+07:00"),
		event.UnknownProvince:    setData(map[string]any{"province_code": "99"}),
		event.AmbiguousProvince:  edit(func(_, d map[string]any) { d["province_code"] = "15"; delete(d, "admin_scheme") }),
		event.PersonalData:       setData(map[string]any{"relying_party": "001099012345"}),
		event.SensitiveIdentity:  setData(map[string]any{"service_id": "DA06-22", "subject_pid": "9f8e7d6c5b4a39281706f5e4d3c2b1a0"}),
		event.RegisteredOnOutOfRange: {Value: bytes.Replace(in.dossier("d9", "01", 2, 2, 1, 0), []byte(in.at.Format(time.DateOnly)+`","s`),
			[]byte(`2022-01-05","s`), 1)},
	}
	wantRows := map[string]uint64{}
	for _, info := range event.Reasons() {
		if info.Reason == event.SourceNotAllowed { // there is no registry here
			continue
		}
		record, ok := records[info.Reason]
		if !ok {
			in.Fatalf("no record for the reason %s", info.Reason)
		}
		record.Topic = produce.TopicAuthentication
		in.produce(record)
		wantRows[string(info.Reason)] = 1
	}
	client := in.demo.clickhouse(in)
	defer func() { _ = client.Close() }()
	got := map[string]uint64{}
	for deadline := time.Now().Add(30 * time.Second); !maps.Equal(got, wantRows); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			in.Fatalf("dead letters (-want +got):\n%s", cmp.Diff(wantRows, got))
		}
		rows, err := client.Conn().Query(in.Context(), "SELECT reason, count() FROM dead_letters GROUP BY reason")
		if err != nil {
			in.Fatal(err)
		}
		got = map[string]uint64{}
		for rows.Next() {
			var reason string
			var n uint64
			if err := rows.Scan(&reason, &n); err != nil {
				in.Fatal(err)
			}
			got[reason] = n
		}
		if err := rows.Close(); err != nil {
			in.Fatal(err)
		}
	}
	in.letters(records)
}

// letters reads the dead-letter topic: each letter names its reason and keeps its payload, except for personal data.
func (in *input) letters(records map[event.Reason]kafka.Message) {
	in.Helper()
	ctx, cancel := context.WithTimeout(in.Context(), 30*time.Second)
	defer cancel()
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{in.demo.addresses["Kafka"]}, Topic: "ioc.dead-letter.v1", Partition: 0, MaxWait: 100 * time.Millisecond})
	defer func() { _ = reader.Close() }()
	for found := map[event.Reason]bool{}; len(found) < len(records); {
		message, err := reader.ReadMessage(ctx)
		if err != nil {
			in.Fatalf("reading the dead-letter topic after %d letters: %v", len(found), err)
		}
		for _, h := range message.Headers {
			if h.Key != "ioc-reason" {
				continue
			}
			reason := event.Reason(h.Value)
			found[reason] = true
			secret := reason == event.PersonalData || reason == event.SensitiveIdentity
			if secret && len(message.Value) > 0 {
				in.Errorf("the letter for %s keeps its payload", reason)
			}
			if !secret && !bytes.Equal(message.Value, records[reason].Value) {
				in.Errorf("the letter for %s has another payload than its record", reason)
			}
		}
	}
}
