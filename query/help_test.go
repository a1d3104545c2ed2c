package query

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"ioc.local/internal/reference"
	"ioc.local/query/kpi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// evaluator is a function that stands in for the real one, so that a test can have it fail or wait.
type evaluator func(context.Context, kpi.Query) (*kpi.Answer, error)

func (e evaluator) Answer(ctx context.Context, q kpi.Query) (*kpi.Answer, error) { return e(ctx, q) }

type api struct {
	t        *testing.T
	server   *Server
	registry *prometheus.Registry
	client   *http.Client
	stop     func()
}

func newAPI(t *testing.T, e evaluator, change func(*Config, *Deps)) *api {
	t.Helper()
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
	deps := Deps{Logger: zap.NewNop(), Registry: a.registry, Evaluator: e, Catalogue: catalogue, Reference: facts}
	if change != nil {
		change(&cfg, &deps)
	}
	if a.server, err = New(cfg, deps); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.server.Run(ctx) }()
	a.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
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
