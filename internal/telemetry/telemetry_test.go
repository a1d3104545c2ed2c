package telemetry

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHealth(t *testing.T) {
	h := NewHealth()
	if ok, detail := h.Ready(); !ok || len(detail) != 0 {
		t.Errorf("without probes: %v %v", ok, detail)
	}
	ingest, query := h.Probe("ingest"), h.Probe("clickhouse")
	if h.Probe("ingest") != ingest {
		t.Error("the same name gives another probe")
	}
	for _, step := range []struct {
		do     func()
		ok     bool
		ingest string
	}{
		{func() {}, false, "starting"},
		{ingest.OK, false, ""},
		{query.OK, true, ""},
		{func() { ingest.Fail(errors.New("no broker")) }, false, "no broker"},
		{func() { ingest.Fail(nil) }, false, "failing"},
		{ingest.OK, true, ""},
	} {
		step.do()
		ok, detail := h.Ready()
		if ok != step.ok || len(detail) != 2 || detail[0].Name != "clickhouse" || detail[1].Error != step.ingest || detail[1].OK != (step.ingest == "") {
			t.Errorf("want %v %q, got %v %+v", step.ok, step.ingest, ok, detail)
		}
	}
}

func TestSinceIsTheLastChange(t *testing.T) {
	h := NewHealth()
	p := h.Probe("x")
	since := func() time.Time { _, d := h.Ready(); return d[0].Since }
	started := since()
	p.Fail(errors.New("another reason"))
	if since() != started {
		t.Error("another reason moved the time")
	}
	for !time.Now().After(started) { // clocks may be coarse
	}
	p.OK()
	if !since().After(started) {
		t.Error("becoming ok did not move the time")
	}
}

func TestHealthConcurrently(t *testing.T) {
	h := NewHealth()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			p := h.Probe(string(rune('a' + i%4)))
			for range 100 {
				p.Fail(errors.New("x"))
				h.Ready()
				p.OK()
			}
		})
	}
	wg.Wait()
	if ok, detail := h.Ready(); !ok || len(detail) != 4 {
		t.Errorf("%v %v", ok, detail)
	}
}

// start runs a server on a free port; stop ends it and gives Run's error.
func start(t *testing.T) (base string, h *Health, stop func() error) {
	t.Helper()
	h = NewHealth()
	s, err := New(Config{Listen: "127.0.0.1:0"}, Deps{Logger: zap.NewNop(), Registry: prometheus.NewRegistry(), Health: h, Runbooks: fstest.MapFS{"IocDown.md": {Data: []byte("# IocDown\nÝ nghĩa")}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	return "http://" + s.Addr(), h, stop
}

func get(t *testing.T, url, accept string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestServer(t *testing.T) {
	base, h, stop := start(t)
	p := h.Probe("clickhouse")

	res, body := get(t, base+"/healthz", "")
	var health struct{ Status, Version, Go string }
	if err := json.Unmarshal([]byte(body), &health); err != nil || res.StatusCode != 200 || health.Status != "ok" || health.Version == "" || health.Go == "" {
		t.Errorf("/healthz: %d %s %v", res.StatusCode, body, err)
	}

	type ready struct {
		Ready  bool
		Probes []ProbeState
	}
	check := func(code int, want ready) {
		t.Helper()
		res, body := get(t, base+"/readyz", "")
		var got ready
		if err := json.Unmarshal([]byte(body), &got); err != nil || res.StatusCode != code {
			t.Errorf("/readyz: %d %s %v", res.StatusCode, body, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(ProbeState{}, "Since")); diff != "" {
			t.Error(diff)
		}
	}
	check(503, ready{false, []ProbeState{{Name: "clickhouse", Error: "starting"}}})
	p.OK()
	check(200, ready{true, []ProbeState{{Name: "clickhouse", OK: true}}})

	for accept, contentType := range map[string]string{"": "text/plain", "application/openmetrics-text;version=1.0.0": "application/openmetrics-text"} {
		res, body = get(t, base+"/metrics", accept)
		if !strings.HasPrefix(res.Header.Get("Content-Type"), contentType) {
			t.Errorf("/metrics is %s", res.Header.Get("Content-Type"))
		}
		for _, want := range []string{`ioc_telemetry_probe_ok{probe="clickhouse"} 1`, "ioc_build_info{", "go_goroutines", "process_open_fds", "promhttp_metric_handler_errors_total"} {
			if !strings.Contains(body, want) {
				t.Errorf("/metrics lacks %s", want)
			}
		}
	}
	for path, code := range map[string]int{"/debug/pprof/": 200, "/debug/pprof/heap?debug=1": 200, "/debug/pprof/cmdline": 404, "/": 404, "/nothing": 404} {
		if res, _ := get(t, base+path, ""); res.StatusCode != code {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, code)
		}
	}

	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := net.DialTimeout("tcp", strings.TrimPrefix(base, "http://"), time.Second); err == nil {
		t.Error("still listens after Run returned")
	}
}

// TestForeignHosts: on loopback a page of another site must not read what is here through a name of its own; where
// operators reach the listener, it has names that it does not know.
func TestForeignHosts(t *testing.T) {
	status := func(base, path, host string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	base, _, _ := start(t)
	for host, want := range map[string]int{"localhost": 200, "LOCALHOST:9090": 200, "127.0.0.1:1": 200, "[::1]:9090": 200, "evil.example": 421, "localhost.evil.example:9090": 421, "10.0.0.1": 421} {
		for _, path := range []string{"/healthz", "/metrics", "/debug/pprof/"} {
			if got := status(base, path, host); got != want {
				t.Errorf("%s with Host %s: %d, want %d", path, host, got, want)
			}
		}
	}
	open, err := New(Config{Listen: "0.0.0.0:0"}, Deps{Logger: zap.NewNop(), Registry: prometheus.NewRegistry(), Health: NewHealth()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- open.Run(ctx) }()
	_, port, _ := net.SplitHostPort(open.Addr())
	if got := status("http://127.0.0.1:"+port, "/healthz", "ioc.internal"); got != 200 {
		t.Errorf("a listener for other machines answers %d to another name", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestHeadersAreBounded(t *testing.T) {
	base, _, _ := start(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	go func() {
		_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 4*maxHeaderBytes)+"\r\n\r\n")
	}()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%v %v", res, err)
	}
}

// TestStopWithRunningRequest: a request that runs when the server is told to stop is answered, unless it would take
// longer than the server waits.
func TestStopWithRunningRequest(t *testing.T) {
	for seconds, answered := range map[string]bool{"1": true, "60": false} {
		base, _, stop := start(t)
		conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		// The trace sends its first bytes when it starts, so the request is known to run.
		if _, err := io.WriteString(conn, "GET /debug/pprof/trace?seconds="+seconds+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(conn)
		if _, err := r.Peek(1); err != nil {
			t.Fatal(err)
		}
		stopped := make(chan error, 1)
		go func() { stopped <- stop() }()
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); (err == nil) != answered {
			t.Errorf("a trace of %s s: %v", seconds, err)
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	}
}

func TestNewErrors(t *testing.T) {
	base, _, _ := start(t)
	deps := Deps{Logger: zap.NewNop(), Registry: prometheus.NewRegistry(), Health: NewHealth()}
	if _, err := New(Config{Listen: strings.TrimPrefix(base, "http://")}, deps); err == nil || !strings.Contains(err.Error(), "opening the internal listener") {
		t.Errorf("port in use: %v", err)
	}
	if _, err := New(Config{Listen: "127.0.0.1:0"}, deps); err == nil || !strings.Contains(err.Error(), "registering process metrics") {
		t.Errorf("registry used twice: %v", err)
	}
}

func TestNewLogger(t *testing.T) {
	for _, c := range []struct{ level, format, want string }{
		{"info", "json", ""},
		{"debug", "console", ""},
		{"loud", "json", `log level "loud" is not one of debug, info, warn, error`},
		{"fatal", "json", `log level "fatal" is not one of debug, info, warn, error`},
		{"info", "xml", `log format "xml" is neither console nor json`},
	} {
		_, err := NewLogger(c.level, c.format)
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestLoggerWritesToStandardError(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	old := os.Stderr
	os.Stderr = w
	l, err := NewLogger("warn", "json")
	if err == nil {
		l.Info("hidden")
		l.Warn("shown", zap.String("k", "v"))
	}
	os.Stderr = old
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var line struct{ Level, TS, Msg, K string }
	if err := json.Unmarshal(out, &line); err != nil || line.Level != "warn" || line.Msg != "shown" || line.K != "v" {
		t.Errorf("%s %v", out, err)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000Z0700", line.TS); err != nil {
		t.Error(err)
	}
}

func TestRunbooks(t *testing.T) {
	base, _, _ := start(t)
	for path, want := range map[string]int{"/runbooks/IocDown": 200, "/runbooks/IocOther": 404, "/runbooks/..%2fIocDown": 404, "/runbooks/": 404} {
		response, body := get(t, base+path, "")
		if response.StatusCode != want {
			t.Errorf("%s answers %d, want %d", path, response.StatusCode, want)
		}
		if want == 200 && (body != "# IocDown\nÝ nghĩa" || response.Header.Get("Content-Type") != "text/plain; charset=utf-8") {
			t.Errorf("%s answers %q as %s", path, body, response.Header.Get("Content-Type"))
		}
	}
}

func TestNotesDoNotMakeUnready(t *testing.T) {
	base, health, _ := start(t)
	health.Note("there is no source registry")
	response, body := get(t, base+"/readyz", "")
	if response.StatusCode != 200 || !strings.Contains(body, `"notes":["there is no source registry"]`) {
		t.Errorf("/readyz answers %d %s", response.StatusCode, body)
	}
}

// TestNotesAboutAMatterAreTakenBack replaces one and takes it back; what stays, stays.
func TestNotesAboutAMatterAreTakenBack(t *testing.T) {
	base, health, _ := start(t)
	health.NoteAbout("ingest", "")
	health.NoteAbout("ingest", "paused by x")
	health.Note("there is no source registry")
	for _, step := range []struct{ text, want string }{
		{"paused by y", `"notes":["paused by y","there is no source registry"]`},
		{"", `"notes":["there is no source registry"]`},
		{"paused again", `"notes":["there is no source registry","paused again"]`},
	} {
		health.NoteAbout("ingest", step.text)
		if response, body := get(t, base+"/readyz", ""); response.StatusCode != 200 || !strings.Contains(body, step.want) {
			t.Errorf("/readyz answers %d %s, want 200 with %s", response.StatusCode, body, step.want)
		}
	}
}
