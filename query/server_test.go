package query

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ioc.local/internal/access"
	"ioc.local/query/kpi"
)

const ask = "/api/v1/kpis/on_time_rate"

func TestPaths(t *testing.T) {
	a := newAPI(t, nil, nil)
	index := a.get("/")
	if index.StatusCode != 200 || !strings.Contains(index.body, "GET /api/v1/kpis/{id}") {
		t.Errorf("the index is %d %s", index.StatusCode, index.body)
	}
	a.problem(a.get("/api/v2"), 404, "not-found")
	a.problem(a.get("/api/v1/kpis/a/b"), 404, "not-found")
	post := a.do(a.request("POST", "/api/v1/kpis"))
	a.problem(post, 405, "method-not-allowed")
	if got := post.Header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow is %q", got)
	}
	a.problem(a.get("/api/v1/kpis?"+strings.Repeat("x", a.server.cfg.MaxURLBytes)), 414, "uri-too-long")
	long := a.request("GET", "/")
	long.Header.Set("X", strings.Repeat("x", a.server.cfg.MaxHeaderBytes+8<<10))
	if r := a.do(long); r.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("large headers got %d", r.StatusCode)
	}
	if got := a.metric("ioc_query_requests_total", map[string]string{"route": "none", "code": "404"}); got != 2 {
		t.Errorf("%v requests without a route counted, want 2", got)
	}
	if got := a.metric("ioc_query_requests_in_flight", nil); got != 0 {
		t.Errorf("%v requests in flight when there are none", got)
	}
}

func TestHosts(t *testing.T) {
	a := newAPI(t, nil, func(c *Config, _ *Deps) { c.Hosts = []string{"ioc.example.vn"} })
	f := func(host string, want int) {
		t.Helper()
		r := a.request("GET", "/")
		r.Host = host
		got := a.do(r)
		if got.StatusCode != want {
			t.Errorf("host %s got %d, want %d", host, got.StatusCode, want)
		}
		if want == http.StatusMisdirectedRequest {
			a.problem(got, want, "host")
		}
	}
	f("localhost:8080", 200)
	f("127.0.0.1", 200)
	f("IOC.example.vn:443", 200)
	f("attacker.example", 421)
	f("ioc.example.vn.attacker.example", 421)
}

func TestListeners(t *testing.T) {
	closed := newAPI(t, nil, nil)
	closed.stop()
	facts := closed.server.deps
	f := func(listen string, change func(*Config), want string) {
		t.Helper()
		cfg := DefaultConfig()
		cfg.Listen = listen
		if change != nil {
			change(&cfg)
		}
		s, err := New(cfg, Deps{Logger: facts.Logger, Registry: prometheus.NewRegistry(), Catalogue: facts.Catalogue, Reference: facts.Reference, Gate: facts.Gate})
		if err == nil {
			_ = s.listener.Close()
			t.Fatalf("listening on %s is no error, want %s", listen, want)
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f("127.0.0.1", nil, "address")
	f("127.0.0.1:0", func(c *Config) { c.MaxConcurrent = 0 }, "max_concurrent is 0")
	f("127.0.0.1:0", func(c *Config) { c.RateLimit = 0 }, "rate_limit is 0")
	f("127.0.0.1:0", func(c *Config) { c.RequestTimeout = -1 }, "request_timeout is -1ns")

	open := newAPI(t, nil, func(c *Config, _ *Deps) { c.Listen = "0.0.0.0:0" })
	key := open.key(access.Viewer, "national", nil)
	named := func(path string, headers ...string) response { // by another name, as other machines do
		r := open.request("GET", path)
		r.URL.Host = fmt.Sprintf("127.0.0.1:%d", open.server.Addr().(*net.TCPAddr).Port)
		r.Host = "ioc.example.vn"
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return open.do(r)
	}
	if got := named("/api/v1/kpis", "Authorization", "Bearer "+key); got.StatusCode != 200 {
		t.Errorf("with a key the open listener answers %d", got.StatusCode)
	}
	open.problem(named("/api/v1/kpis"), 401, "unauthorized")
	if got := named("/"); got.StatusCode != 200 || !strings.Contains(got.body, `"principal":null`) {
		t.Errorf("without a key the index is %d %s", got.StatusCode, got.body)
	}
}

func TestPanic(t *testing.T) {
	fail := true
	a := newAPI(t, evaluator(func(context.Context, kpi.Query) (*kpi.Answer, error) {
		if fail {
			panic("secret")
		}
		return someAnswer(), nil
	}), func(c *Config, _ *Deps) { c.MaxConcurrent = 1 })
	if r := a.get(ask); strings.Contains(r.body, "secret") || strings.Contains(r.body, ".go") {
		t.Errorf("the problem shows what it must not: %s", r.body)
	} else {
		a.problem(r, 500, "internal")
	}
	fail = false
	if r := a.get(ask); r.StatusCode != 200 {
		t.Errorf("after a panic got %d", r.StatusCode)
	}
}

// blocking is an evaluator that tells when it was asked and answers when released, or when its context ends.
type blocking struct {
	asked, ended chan struct{}
	release      chan struct{}
}

func newBlocking() *blocking {
	return &blocking{asked: make(chan struct{}, 10), ended: make(chan struct{}, 10), release: make(chan struct{})}
}

func (b *blocking) answer(ctx context.Context, _ kpi.Query) (*kpi.Answer, error) {
	b.asked <- struct{}{}
	select {
	case <-ctx.Done():
		b.ended <- struct{}{}
		return nil, ctx.Err()
	case <-b.release:
		return someAnswer(), nil
	}
}

func TestBusy(t *testing.T) {
	b := newBlocking()
	a := newAPI(t, evaluator(b.answer), func(c *Config, _ *Deps) { c.MaxConcurrent = 1 })
	first := make(chan response)
	go func() { first <- a.get(ask) }()
	<-b.asked
	refused := a.get(ask)
	a.problem(refused, 503, "busy")
	if refused.Header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	close(b.release)
	if r := <-first; r.StatusCode != 200 {
		t.Errorf("the first got %d", r.StatusCode)
	}
	if r := a.get(ask); r.StatusCode != 200 {
		t.Errorf("once there was room, got %d", r.StatusCode)
	}
}

func TestTimeout(t *testing.T) {
	b := newBlocking()
	a := newAPI(t, evaluator(b.answer), func(c *Config, _ *Deps) { c.RequestTimeout = 20 * time.Millisecond })
	a.problem(a.get(ask), 504, "timeout")
}

func TestCancelledRequestCancelsItsQuery(t *testing.T) {
	b := newBlocking()
	a := newAPI(t, evaluator(b.answer), nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, err := a.client.Do(a.request("GET", ask).WithContext(ctx))
		done <- err
	}()
	<-b.asked
	cancel()
	if err := <-done; err == nil {
		t.Error("the cancelled request was answered")
	}
	select {
	case <-b.ended:
	case <-time.After(patience):
		t.Fatal("the query went on")
	}
	eventually(t, "the metric", func() bool {
		return a.metric("ioc_query_requests_total", map[string]string{"route": "GET /api/v1/kpis/{id}", "code": "499"}) == 1
	})
}

func TestShutdownFinishesRequests(t *testing.T) {
	b := newBlocking()
	a := newAPI(t, evaluator(b.answer), nil)
	got := make(chan response)
	go func() { got <- a.get(ask) }()
	<-b.asked
	stopped := make(chan struct{})
	go func() { a.stop(); close(stopped) }()
	eventually(t, "the listener to be closed", func() bool {
		conn, err := net.Dial("tcp", a.server.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	select {
	case <-stopped:
		t.Error("the server did not wait for the request")
	default:
	}
	close(b.release)
	if r := <-got; r.StatusCode != 200 {
		t.Errorf("the last request got %d", r.StatusCode)
	}
	<-stopped
}

func TestShutdownIsBounded(t *testing.T) {
	b := newBlocking()
	a := newAPI(t, evaluator(b.answer), func(c *Config, _ *Deps) { c.ShutdownTimeout = 20 * time.Millisecond })
	done := make(chan error)
	go func() {
		_, err := a.client.Do(a.request("GET", ask))
		done <- err
	}()
	<-b.asked
	a.stop()
	select {
	case <-b.ended:
	default:
		t.Error("the query still runs after the end of Run")
	}
	if err := <-done; err == nil {
		t.Error("the request that was cut off was answered")
	}
}

func TestMountedRoute(t *testing.T) {
	principals := make(chan access.Principal, 1)
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := access.From(r.Context())
		principals <- p
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(conn, rw)
	})
	b := newBlocking()
	close(b.release)
	a := newAPI(t, evaluator(b.answer), func(c *Config, d *Deps) {
		c.MaxConcurrent, c.RequestTimeout = 1, 20*time.Millisecond
		d.Routes = map[string]Route{"GET /api/v1/live": {access.Screen, echo}}
	})
	conn, err := net.Dial("tcp", a.server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprint(conn, "GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrading: %+v %v", resp, err)
	}
	if p := <-principals; !p.Scope.National {
		t.Errorf("the route got the principal %+v", p)
	}
	if got := a.get(ask); got.StatusCode != 200 {
		t.Errorf("beside the open connection got %d", got.StatusCode)
	}
	if _, err := fmt.Fprint(conn, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := r.ReadString('\n'); line != "hello\n" {
		t.Errorf("echo is %q %v", line, err)
	}
	_ = conn.Close()
	eventually(t, "the connection to be counted", func() bool {
		return a.metric("ioc_query_requests_total", map[string]string{"route": "GET /api/v1/live", "code": "101"}) == 1
	})
	if got := a.metric("ioc_query_duration_seconds", map[string]string{"route": "GET /api/v1/live"}); got != 0 {
		t.Errorf("%v durations of connections observed", got)
	}
}
