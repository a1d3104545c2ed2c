package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"ioc.local/internal/access"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse/enginetest"
	"ioc.local/query/kpi"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// feed is a hub on a loopback server, with publications injected.
type feed struct {
	t         testing.TB
	hub       *Hub
	server    *httptest.Server
	publisher *fakePublisher
	registry  *prometheus.Registry
	keys      *keys
	gate      *access.Gate
	stop      func()
}

// keys is a list of tokens that a test changes, in place of a table.
type keys struct {
	mu   sync.Mutex
	list []access.Token
	err  error
}

func (k *keys) List(context.Context) ([]access.Token, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.list), k.err
}

// set changes the list and waits until the gate has told of it.
func (f *feed) set(err error, list ...access.Token) {
	f.t.Helper()
	changed := f.gate.Changed()
	f.keys.mu.Lock()
	f.keys.list, f.keys.err = list, err
	f.keys.mu.Unlock()
	select {
	case <-changed:
	case <-time.After(patience):
		f.t.Fatal("the gate tells of no change")
	}
}

// fakePublisher stands in for the evaluator, so that a test can say what is published when.
type fakePublisher struct {
	mu       sync.Mutex
	current  *kpi.Publication
	out      chan *kpi.Publication
	interest []string
	released int
}

func (f *fakePublisher) Current() *kpi.Publication {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current
}

func (f *fakePublisher) Subscribe() (<-chan *kpi.Publication, func()) { return f.out, func() {} }

func (f *fakePublisher) AddInterest(id, period string) (func(), error) {
	if id == "unknown" {
		return nil, &kpi.Error{Kind: kpi.NotFound, Detail: "no such KPI"}
	}
	f.interest = append(f.interest, id+"/"+period)
	return func() { f.released++ }, nil
}

// publish hands a publication to the hub through its subscription.
func (f *fakePublisher) publish(p *kpi.Publication) {
	f.mu.Lock()
	f.current = p
	f.mu.Unlock()
	f.out <- p
}

var testBoards = []Board{
	{ID: "overview", Title: Title{"Toàn cảnh", "Overview"}, KPIs: []BoardKPI{{"dossiers_received", "today"}, {"on_time_rate", "month"}, {"auth_transactions", "today"}}},
	{ID: "second", Title: Title{"Bảng hai", "Second"}, KPIs: []BoardKPI{{"dossiers_received", "today"}, {"dossiers_received", "7d"}}},
}

// smallConfig has short times and small bounds.
func smallConfig() Config {
	cfg := DefaultConfig()
	cfg.MaxSubscriptions = 4
	cfg.QueueFrames = 16
	cfg.HistoryFrames = 5
	cfg.Heartbeat = time.Hour // beats by hand
	cfg.LateAfter = time.Hour
	return cfg
}

func newFeed(t testing.TB, cfg Config, change func(*Deps)) *feed {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) }) // the last thing that runs
	facts, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &feed{t: t, publisher: &fakePublisher{out: make(chan *kpi.Publication)}, registry: prometheus.NewRegistry(), keys: &keys{}}
	gateConfig := access.DefaultConfig()
	gateConfig.Loopback, gateConfig.Refresh, gateConfig.Keep = true, 10*time.Millisecond, time.Second
	if f.gate, err = access.New(gateConfig, access.Deps{List: f.keys.List, Logger: zap.NewNop(), Registry: f.registry}); err != nil {
		t.Fatal(err)
	}
	deps := Deps{Logger: zap.NewNop(), Registry: f.registry, Publisher: f.publisher, Gate: f.gate, Boards: testBoards, Reference: facts}
	if change != nil {
		change(&deps)
	}
	if f.hub, err = New(cfg, deps); err != nil {
		t.Fatal(err)
	}
	f.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		principal, err := f.gate.Authenticate(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		if p := r.Header.Get("Test-Provinces"); p != "" {
			principal.Scope = access.Scope{Provinces: strings.Split(p, ",")}
		}
		f.hub.ServeHTTP(w, r.WithContext(access.With(r.Context(), principal)))
	}))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- f.hub.Run(ctx) }()
	go func() { ended <- f.gate.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		for range cap(ended) {
			if err := <-ended; err != nil {
				t.Errorf("the hub ended with %v", err)
			}
		}
		f.server.Close()
	})
	t.Cleanup(f.stop)
	return f
}

// metric is a sample of the hub's metrics, 0 if there is none; labels as name=value.
func (f *feed) metric(name string, label ...string) float64 {
	families, err := f.registry.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
	metrics:
		for _, m := range family.GetMetric() {
			for _, want := range label {
				found := false
				for _, l := range m.GetLabel() {
					found = found || l.GetName()+"="+l.GetValue() == want
				}
				if !found {
					continue metrics
				}
			}
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return 0
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for: %s", patience, what)
		}
	}
}

var noon = time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC)

// publication is number n; values maps kpi/scope/period to a value.
func publication(n uint64, values map[string]int64) *kpi.Publication {
	at := noon.Add(time.Duration(n) * 500 * time.Millisecond)
	p := &kpi.Publication{Number: n, At: at, AsOf: at.Add(-time.Second), Values: make(map[kpi.Key]*kpi.Answer)}
	for name, v := range values {
		parts := strings.Split(name, "/")
		number := float64(v)
		p.Values[kpi.Key{KPI: parts[0], Scope: parts[1], Period: parts[2]}] = &kpi.Answer{
			ID: parts[0], Unit: "count", AsOf: kpi.Time{Time: noon}, Revision: fmt.Sprintf("r-%d", n), EvaluatedAt: kpi.Time{Time: at},
			Value: &number, Numerator: &v, Status: kpi.StatusNeutral, Exact: true, Definition: "sha256:00",
			Coverage: kpi.Coverage{Reporting: 1, Expected: 1},
		}
	}
	return p
}

// client is a websocket client of another implementation than the server's.
type client struct {
	t  testing.TB
	ws *websocket.Conn
}

func (f *feed) url() string { return "ws" + strings.TrimPrefix(f.server.URL, "http") + "/api/v1/live" }

func (f *feed) dial(header http.Header) *client {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, f.url(), &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		f.t.Fatalf("dialling: %v", err)
	}
	ws.SetReadLimit(-1)
	return &client{f.t, ws}
}

func (c *client) send(message string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.ws.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		c.t.Fatalf("sending %s: %v", message, err)
	}
}

// next is the next frame, as it came.
func (c *client) next() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, content, err := c.ws.Read(ctx)
	return string(content), err
}

// received is any frame of the server.
type received struct {
	Type      string
	Board     string
	Scope     string
	Epoch     string
	Offset    uint64
	Conflated bool
	Code      string
	Fatal     bool
	Values    []json.RawMessage
	Sources   []struct{ Source string }
	Protocol  int
	CaughtUp  *bool `json:"caught_up"`
	Watermark *string
}

// frame is the next frame, which must be of the type wanted.
func (c *client) frame(want string) received {
	c.t.Helper()
	content, err := c.next()
	if err != nil {
		c.t.Fatalf("waiting for %s: %v", want, err)
	}
	var r received
	if err := json.Unmarshal([]byte(content), &r); err != nil {
		c.t.Fatalf("frame %s: %v", content, err)
	}
	if r.Type != want {
		c.t.Fatalf("got frame %s, want type %s", content, want)
	}
	return r
}

// closed is the code that the server closes with.
func (c *client) closed() websocket.StatusCode {
	for {
		if _, err := c.next(); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

func (c *client) close() { _ = c.ws.CloseNow() }
