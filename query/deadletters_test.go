package query

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"ioc.local/ingest/event"
	"ioc.local/internal/access"
	"ioc.local/internal/broker/brokertest"
	"ioc.local/internal/cluster"
	"ioc.local/internal/deadletter"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
	"ioc.local/query/kpi"
)

// letterWorld is an API over a real table and a real topic of dead letters.
type letterWorld struct {
	*api
	broker string
	mu     sync.Mutex
	audit  []LetterAudit
	deaf   error // what the audit log answers
}

// noEvaluator is never asked. It is no stand-in of newAPI's, whose look for leaks would come before the broker's end.
type noEvaluator struct{ Evaluator }

func (noEvaluator) Answer(context.Context, kpi.Query) (*kpi.Answer, error) {
	return nil, errors.New("nobody asks for KPIs here")
}

// audited gives what the audit log has got, and empties it.
func (w *letterWorld) audited() []LetterAudit {
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.audit
	w.audit = nil
	return got
}

func newLetterWorld(t *testing.T) *letterWorld {
	t.Helper()
	db := enginetest.Start(t)
	if err := warehouse.Migrate(t.Context(), db.Client); err != nil {
		t.Fatal(err)
	}
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	w := &letterWorld{broker: brokertest.Start(t, map[string]int{"ioc.a.v1": 1, "dead": 1})}
	kafkaCluster, err := cluster.New(cluster.Config{Brokers: []string{w.broker}}, cluster.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	facts, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := deadletter.DefaultConfig()
	cfg.Topic, cfg.Topics = "dead", []string{"ioc.a.v1"}
	letters, err := deadletter.New(cfg, deadletter.Deps{Logger: zap.NewNop(), Client: db.Client, Cluster: kafkaCluster,
		NewDecoder: func() *event.Decoder { return event.NewDecoder(facts, event.Options{}) }})
	if err != nil {
		t.Fatal(err)
	}
	w.api = newAPI(t, noEvaluator{}, func(_ *Config, deps *Deps) {
		deps.DeadLetters = letters
		deps.AuditLetters = func(_ context.Context, a LetterAudit) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.audit = append(w.audit, a)
			return w.deaf
		}
	})

	// Three records as ingestion rejects them: of no JSON, of an unknown type, and of personal data.
	decoder, batch := event.NewDecoder(facts, event.Options{}), event.NewBatch()
	batch.Reset("ioc.a.v1", 0, time.Now().UnixMilli())
	for offset, value := range []string{"no json", `{"specversion":"1.0","id":"a","source":"/npsp/H26","type":"vn.da06.new.type.v1","time":"2026-01-01T00:00:00Z"}`, "0912345678"} {
		decoder.Decode(batch, &event.Record{Offset: int64(offset), Time: time.Now().UnixMilli(), Key: []byte("k"), Value: []byte(value)}, nil)
	}
	for _, block := range batch.Blocks() {
		if err := db.Client.Insert(t.Context(), block.Table, block.Input(), "letters"); err != nil {
			t.Fatal(err)
		}
	}
	writer := &kafka.Writer{Addr: kafka.TCP(w.broker), Topic: "dead", Transport: &kafka.Transport{}, BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll}
	defer func() { _ = writer.Close(); writer.Transport.(*kafka.Transport).CloseIdleConnections() }()
	for i, r := range batch.Rejections() {
		if err := writer.WriteMessages(t.Context(), deadletter.Message(event.Place{Topic: "ioc.a.v1", Offset: int64(i)}, &r)); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// post sends a body with a key, or as this machine without one.
func (w *letterWorld) post(key, body string) response {
	w.t.Helper()
	r, err := http.NewRequest("POST", w.url("/api/v1/dead-letters/replay"), strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	return w.do(r)
}

func decodeInto[T any](t *testing.T, r response) (v T) {
	t.Helper()
	if r.StatusCode != 200 || r.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDeadLetters(t *testing.T) {
	w := newLetterWorld(t)
	type page struct {
		Letters []deadletter.Letter
		Next    string
	}
	all := decodeInto[page](t, w.get("/api/v1/dead-letters"))
	if len(all.Letters) != 3 || all.Next != "" {
		t.Fatalf("%+v", all)
	}
	first := decodeInto[page](t, w.get("/api/v1/dead-letters?limit=2"))
	rest := decodeInto[page](t, w.get("/api/v1/dead-letters?limit=2&after="+first.Next))
	if diff := cmp.Diff(all.Letters, append(first.Letters, rest.Letters...), cmpopts.IgnoreUnexported(deadletter.Letter{})); diff != "" || rest.Next != "" {
		t.Errorf("the pages are not the whole (-whole +pages):\n%s", diff)
	}
	for query, want := range map[string]int{
		"reason=not_json": 2, "reason=not_json,unknown_type": 3, "reason=unknown_type": 1, "source=/npsp/H26": 1, "type=new.type": 1, "topic=ioc.a.v1": 3, "topic=b": 0,
		"state=new": 3, "state=accepted,duplicate": 0, "from=2026-01-01": 3, "until=2026-01-01T00:00:00Z": 0, "field=type": 1,
	} {
		if got := decodeInto[page](t, w.get("/api/v1/dead-letters?"+query)); len(got.Letters) != want {
			t.Errorf("%s: %d letters, want %d", query, len(got.Letters), want)
		}
	}
	for query, parameter := range map[string]string{
		"reason=x": "reason", "state=x": "state", "from=x": "from", "until=x": "until", "limit=0": "limit", "limit=1001": "limit", "limit=x": "limit", "after=x": "after",
		"from=2026-02-01&until=2026-01-01": "until", "x=1": "x", "from=1026-01-01": "from",
	} {
		if p := w.problem(w.get("/api/v1/dead-letters?"+query), 400, "parameter"); p.Parameter != parameter {
			t.Errorf("%s: %+v", query, p)
		}
	}
	if p, want := w.problem(w.get("/api/v1/dead-letters?reason=x"), 400, "parameter"), `reason: there is no reason "x"`; p.Detail != want {
		t.Errorf("the detail is %q, want %q", p.Detail, want)
	}

	const path = "/api/v1/dead-letters/ioc.a.v1/0/"
	w.audited()
	if d := decodeInto[deadletter.Detail](t, w.get(path+"0")); d.Payload != deadletter.InTopic || d.Record != nil || d.Reason != "not_json" {
		t.Errorf("%+v", d)
	}
	if d := decodeInto[deadletter.Detail](t, w.get(path+"0?payload=true")); string(d.Record.Value) != "no json" || string(d.Record.Key) != "k" {
		t.Errorf("%+v", d)
	}
	withheld := w.get(path + "2?payload=true")
	if d := decodeInto[deadletter.Detail](t, withheld); d.Payload != deadletter.Withheld || d.Record != nil {
		t.Errorf("%+v", d)
	}
	w.problem(w.get(path+"3"), 404, "not-found")
	w.problem(w.get(path+"x"), 404, "not-found")
	w.problem(w.get(path+"0?payload=yes"), 400, "parameter")
	var actions []string
	for _, a := range w.audited() {
		actions = append(actions, string(a.Phase)+" "+a.Action+" "+a.Selection)
	}
	if diff := cmp.Diff([]string{`started show {"letters":["ioc.a.v1/0/0"]}`, `started payload {"letters":["ioc.a.v1/0/0"]}`, `started payload {"letters":["ioc.a.v1/0/2"]}`,
		`started show {"letters":["ioc.a.v1/0/3"]}`}, actions); diff != "" {
		t.Errorf("audited (-want +got):\n%s", diff)
	}

	dry := decodeInto[deadletter.Receipt](t, w.post("", `{"all": true, "dry_run": true}`))
	if diff := cmp.Diff(map[deadletter.Outcome]int{deadletter.WouldSend: 2, deadletter.NotKept: 1}, dry.Counts); diff != "" {
		t.Errorf("dry run (-want +got):\n%s", diff)
	}
	key := w.key(access.Operator, "national", nil)
	receipt := decodeInto[deadletter.Receipt](t, w.post(key, `{"selection": {"reason": ["not_json"], "letters": ["ioc.a.v1/0/0", "ioc.a.v1/0/2"]}}`))
	if diff := cmp.Diff(map[deadletter.Outcome]int{deadletter.Sent: 1, deadletter.NotKept: 1}, receipt.Counts); diff != "" || !strings.HasPrefix(receipt.By, "operator of national (key ") {
		t.Errorf("replay by %s (-want +got):\n%s", receipt.By, diff)
	}
	audit := w.audited()
	end := audit[len(audit)-1]
	if len(audit) != 4 || end.Phase != AuditEnded || end.Action != "replay" || end.Receipt != receipt.SHA256 || end.Counts[deadletter.Sent] != 1 || end.Request == "" || end.Principal.Token == "" {
		t.Errorf("audited %+v", audit)
	}
	// Nothing told of the one that may hold personal data.
	for _, text := range []string{w.get("/api/v1/dead-letters").body, withheld.body, fmt.Sprint(dry, audit)} {
		if strings.Contains(text, "0912345678") {
			t.Errorf("the payload is told: %s", text)
		}
	}
}

// TestDeadLettersAreForNationalOperators: nobody else sees one, and what cannot be audited is not done.
func TestDeadLettersAreForNationalOperators(t *testing.T) {
	w := newLetterWorld(t)
	paths := []string{"/api/v1/dead-letters", "/api/v1/dead-letters/ioc.a.v1/0/0"}
	for _, role := range []access.Role{access.Viewer, access.Analyst, access.Operator} {
		for _, scope := range []string{"national", "79", "01,79"} {
			key := w.key(role, scope, nil)
			may := role == access.Operator && scope == "national"
			for _, path := range paths {
				if r := w.as(key, path); may != (r.StatusCode == 200) || !may && r.StatusCode != 403 {
					t.Errorf("%s as %s of %s is a %d", path, role, scope, r.StatusCode)
				}
			}
			if r := w.post(key, `{"all": true, "dry_run": true}`); may != (r.StatusCode == 200) || !may && r.StatusCode != 403 {
				t.Errorf("a replay as %s of %s is a %d", role, scope, r.StatusCode)
			}
		}
	}
	refused := 0
	for _, a := range w.audited() {
		if a.Phase == AuditRefused {
			refused++
		}
	}
	if refused != 6 { // of operators of provinces; others do not get that far
		t.Errorf("%d refusals are audited", refused)
	}
	w.mu.Lock()
	w.deaf = errors.New("the disk is full")
	w.mu.Unlock()
	for _, path := range paths {
		w.problem(w.get(path), 500, "internal")
	}
	w.problem(w.post("", `{"all": true}`), 500, "internal")
	if n := w.records("ioc.a.v1"); n != 0 {
		t.Errorf("%d records were sent without an audit", n)
	}
}

// records counts what is in a topic's only partition.
func (w *letterWorld) records(topic string) int64 {
	w.t.Helper()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	answer, err := (&kafka.Client{Addr: kafka.TCP(w.broker), Transport: transport}).ListOffsets(w.t.Context(),
		&kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: {kafka.LastOffsetOf(0)}}})
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.Topics[topic][0].LastOffset
}

// TestReplayRequestsAreStrict: what is not understood could have been a filter.
func TestReplayRequestsAreStrict(t *testing.T) {
	w := newLetterWorld(t)
	for body, parameter := range map[string]string{
		`{}`: "selection", `{"selection": {}}`: "selection", `{"selection": {"reason": ["not_json"]}, "all": true}`: "selection",
		`{"all": true, "limit": 1001}`: "limit", `{"all": true, "limit": -1}`: "limit", `{"all": true, "dry": true}`: "body", `{"selection": {"reasons": ["x"]}}`: "body",
		`{"all": true} {}`: "body", `{"all": tru`: "body", ``: "body", `{"selection": {"letters": ["a"]}}`: "body", `{"selection": {"reason": ["x"]}}`: "reason",
		`{"selection": {"state": ["x"]}}`: "state", `{"all": true, "after": "x"}`: "after",
	} {
		if p := w.problem(w.post("", body), 400, "parameter"); p.Parameter != parameter {
			t.Errorf("%s: %+v", body, p)
		}
	}
	w.problem(w.post("", `{"all": true, "after": "`+strings.Repeat("x", lettersBody)+`"}`), 413, "too-large")
	r := w.request("POST", "/api/v1/dead-letters/replay")
	r.Body, r.GetBody = io.NopCloser(bytes.NewReader([]byte(`{"all": true}`))), nil
	w.problem(w.do(r), 415, "media-type")
	if n := w.records("ioc.a.v1"); n != 0 {
		t.Errorf("%d records were sent", n)
	}
	// Only so many read the topic at once.
	w.audited()
	for range lettersAtOnce {
		w.server.letterSlots <- struct{}{}
	}
	w.problem(w.post("", `{"all": true, "dry_run": true}`), 503, "busy")
	w.problem(w.get("/api/v1/dead-letters/ioc.a.v1/0/0"), 503, "busy")
	if audit := w.audited(); len(audit) > 0 {
		t.Errorf("what was not done stands in the audit as %+v", audit)
	}
	for range lettersAtOnce {
		<-w.server.letterSlots
	}
}

// TestContractNamesEveryMemberOfLetters is TestContractNamesEveryMember for dead letters.
func TestContractNamesEveryMemberOfLetters(t *testing.T) {
	document, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	attempt := deadletter.Attempt{Reason: "x", Field: "x"}
	letter := deadletter.Letter{SHA256: "x", Last: &attempt}
	for schema, v := range map[string]any{
		"Letter": letter, "Attempt": attempt, "LetterDetail": deadletter.Detail{Letter: letter, Record: &deadletter.Record{}},
		"Receipt":      deadletter.Receipt{Results: map[deadletter.Result]int{}, Problem: "x", Next: "x"},
		"ReceiptEntry": deadletter.Entry{Detail: "x", Record: &event.Place{}, Judged: "x", Result: "x", ResultReason: "x", ResultField: "x"},
		"LetterSelection": deadletter.Selection{Reasons: []string{""}, Fields: []string{""}, Types: []string{""}, Sources: []string{""}, Topics: []string{""},
			States: []deadletter.State{""}, From: time.Now(), Until: time.Now(), Letters: []event.Place{{}}},
	} {
		content, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal(content, &members); err != nil {
			t.Fatal(err)
		}
		for name := range members {
			if document.Components.Schemas[schema].Value.Properties[name] == nil {
				t.Errorf("schema %s lacks %s", schema, name)
			}
		}
	}
	w := newLetterWorld(t)
	for _, route := range w.server.letterRoutes() {
		method, path, _ := strings.Cut(route.pattern, " ")
		if item := document.Paths.Find(path); item == nil || item.GetOperation(method) == nil {
			t.Errorf("%s is not in openapi.yaml", route.pattern)
		}
	}
}
