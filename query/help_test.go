package query

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

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

// evaluator is a function that stands in for the real one, so that a test can have it fail or wait.
type evaluator func(context.Context, kpi.Query) (*kpi.Answer, error)

func (e evaluator) Answer(ctx context.Context, q kpi.Query) (*kpi.Answer, error) { return e(ctx, q) }

// AnswerAll asks the function each question.
func (e evaluator) AnswerAll(ctx context.Context, qs []kpi.Query) (*kpi.Batch, error) {
	batch := &kpi.Batch{Clock: time.Now()}
	for _, q := range qs {
		a, err := e(ctx, q)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		batch.Outcomes = append(batch.Outcomes, kpi.Outcome{Answer: a, Err: err})
	}
	return batch, nil
}

// Journal has nothing.
func (e evaluator) Journal(_ context.Context, q kpi.JournalQuery) (*kpi.JournalAnswer, error) {
	return &kpi.JournalAnswer{ID: q.KPI, Unit: "ratio", Scope: kpi.National, Period: q.Period, Entries: []kpi.JournalEntry{}}, nil
}

type api struct {
	t        *testing.T
	keys     keys
	server   *Server
	registry *prometheus.Registry
	client   *http.Client
	stop     func()
}

// keys is a list of tokens that a test changes, in place of a table.
type keys struct {
	mu   sync.Mutex
	list []access.Token
}

func (k *keys) List(context.Context) ([]access.Token, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.list), nil
}

// key makes a key and waits until the server knows it. scope is as ioc token create takes it.
func (a *api) key(role access.Role, scope string, change func(*access.Token)) string {
	a.t.Helper()
	parsed, err := access.ParseScope(scope)
	if err != nil {
		a.t.Fatal(err)
	}
	key, token, err := access.Mint(access.Spec{Name: string(role) + " of " + scope, Role: role, Scope: parsed})
	if err != nil {
		a.t.Fatal(err)
	}
	if change != nil {
		change(&token)
	}
	a.keys.mu.Lock()
	a.keys.list = append(a.keys.list, token)
	a.keys.mu.Unlock()
	if token.State(time.Now()) != "active" {
		return key
	}
	for gate := a.server.deps.Gate; ; {
		changed := gate.Changed() // maybe by an earlier reading of the list
		if gate.Check(token.Principal()) == nil {
			return key
		}
		select {
		case <-changed:
		case <-time.After(patience):
			a.t.Fatal("the key is not taken up")
		}
	}
}

func newAPI(t *testing.T, e Evaluator, change func(*Config, *Deps)) *api {
	t.Helper()
	if _, stand := e.(evaluator); stand || e == nil { // a real one has goroutines of its own, which end later
		before := goleak.IgnoreCurrent()
		t.Cleanup(func() { goleak.VerifyNone(t, before) }) // the last thing that runs
	}
	facts, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := kpi.Load("")
	if err != nil {
		t.Fatal(err)
	}
	a := &api{t: t, registry: prometheus.NewRegistry(), client: &http.Client{Transport: &http.Transport{}, Timeout: patience}}
	cfg := DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	gateConfig := access.DefaultConfig()
	gateConfig.Loopback, gateConfig.Refresh = true, 10*time.Millisecond
	gate, err := access.New(gateConfig, access.Deps{List: a.keys.List, Logger: zap.NewNop(), Registry: a.registry})
	if err != nil {
		t.Fatal(err)
	}
	deps := Deps{Logger: zap.NewNop(), Registry: a.registry, Evaluator: e, Catalogue: catalogue, Reference: facts, Gate: gate}
	if change != nil {
		change(&cfg, &deps)
	}
	if a.server, err = New(cfg, deps); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- a.server.Run(ctx) }()
	go func() { ended <- gate.Run(ctx) }()
	a.stop = sync.OnceFunc(func() {
		cancel()
		for range cap(ended) {
			if err := <-ended; err != nil {
				t.Errorf("the server ended with %v", err)
			}
		}
		a.client.CloseIdleConnections()
	})
	t.Cleanup(a.stop)
	return a
}

func (a *api) url(path string) string { return "http://" + a.server.Addr().String() + path }

// response is an answer, read to its end.
type response struct {
	*http.Response
	body string
}

func (a *api) do(r *http.Request) response {
	a.t.Helper()
	resp, err := a.client.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	_ = resp.Body.Close()
	checkContract(a.t, r, resp, body)
	return response{resp, string(body)}
}

func (a *api) request(method, path string) *http.Request {
	a.t.Helper()
	r, err := http.NewRequest(method, a.url(path), nil)
	if err != nil {
		a.t.Fatal(err)
	}
	return r
}

// as is a GET with a key.
func (a *api) as(key, path string) response {
	a.t.Helper()
	r := a.request("GET", path)
	r.Header.Set("Authorization", "Bearer "+key)
	return a.do(r)
}

func (a *api) get(path string) response { a.t.Helper(); return a.do(a.request("GET", path)) }

// problem checks that an answer is a problem document of a code.
func (a *api) problem(r response, status int, code string) problem {
	a.t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(r.body), &p); err != nil {
		a.t.Fatalf("not a problem: %v: %d %s", err, r.StatusCode, r.body)
	}
	if r.StatusCode != status || p.Status != status || p.Type != "urn:ioc:problem:"+code || r.Header.Get("Content-Type") != "application/problem+json" {
		a.t.Errorf("got %d %s %s, want problem %d %s", r.StatusCode, r.Header.Get("Content-Type"), r.body, status, code)
	}
	if p.Title == "" || p.Detail == "" || p.Instance != "urn:ioc:request:"+r.Header.Get("X-Request-Id") {
		a.t.Errorf("the problem lacks something: %s", r.body)
	}
	return p
}

// metric is the value of a metric with these labels.
func (a *api) metric(name string, labels map[string]string) float64 {
	families, err := a.registry.Gather()
	if err != nil {
		a.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
	metrics:
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if want, ok := labels[l.GetName()]; ok && want != l.GetValue() {
					continue metrics
				}
			}
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return 0
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for: %s", patience, what)
		}
	}
}
