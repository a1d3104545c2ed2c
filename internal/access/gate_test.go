package access_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ioc.local/internal/access"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// tokens is a list that a test changes, in place of a table.
type tokens struct {
	mu   sync.Mutex
	list []access.Token
	err  error
}

func (l *tokens) List(context.Context) ([]access.Token, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.list, l.err
}

func (l *tokens) set(err error, list ...access.Token) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list, l.err = list, err
}

// newGate runs a gate until the test ends.
func newGate(t *testing.T, list func(context.Context) ([]access.Token, error), change func(*access.Config, *access.Deps)) *access.Gate {
	t.Helper()
	before := goleak.IgnoreCurrent()
	cfg := access.DefaultConfig()
	cfg.Refresh = 10 * time.Millisecond
	deps := access.Deps{List: list, Logger: zap.NewNop(), Registry: prometheus.NewRegistry()}
	if change != nil {
		change(&cfg, &deps)
	}
	gate, err := access.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- gate.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the gate ended with %v", err)
		}
		goleak.VerifyNone(t, before)
	})
	return gate
}

// ask is a request with headers as name, value, …; "from" and "host" are its address and host.
func ask(headers ...string) *http.Request {
	r := httptest.NewRequest("GET", "http://ioc.example.vn/", nil)
	r.RemoteAddr = "192.0.2.1:4711"
	for i := 0; i < len(headers); i += 2 {
		switch headers[i] {
		case "from":
			r.RemoteAddr = headers[i+1]
		case "host":
			r.Host = headers[i+1]
		default:
			r.Header.Add(headers[i], headers[i+1])
		}
	}
	return r
}

// outcome is who a gate lets in, or why not.
func outcome(gate *access.Gate, r *http.Request) string {
	p, err := gate.Authenticate(r)
	var refusal *access.Refusal
	switch {
	case err == nil:
		return p.Name
	case errors.Is(err, access.ErrNoKey):
		return "no key"
	case errors.As(err, &refusal):
		return string(refusal.Reason)
	}
	return err.Error()
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for: %s", patience, what)
		}
	}
}

func TestAuthenticate(t *testing.T) {
	good, goodToken := mint(t, access.Spec{Name: "good", Role: access.Viewer, Scope: access.Scope{Provinces: []string{"79"}}})
	gone, goneToken := mint(t, access.Spec{Name: "gone", Role: access.Operator, Scope: national})
	goneToken.Revoked = time.Now()
	old, oldToken := mint(t, access.Spec{Name: "old", Role: access.Operator, Scope: national})
	oldToken.Expires = time.Now().Add(-time.Second)
	other, _ := mint(t, access.Spec{Name: "other", Role: access.Operator, Scope: national})
	list := &tokens{list: []access.Token{goodToken, goneToken, oldToken}}
	core, log := observer.New(zap.DebugLevel)
	gate := newGate(t, list.List, func(_ *access.Config, d *access.Deps) { d.Logger = zap.New(core) })
	eventually(t, "the keys to be read", func() bool { return outcome(gate, ask("Authorization", "Bearer "+good)) == "good" })

	n := 0
	f := func(want string, headers ...string) {
		t.Helper()
		n++
		from := []string{"from", "198.51.100." + string(rune('0'+n/10)) + string(rune('0'+n%10)) + ":1"} // an address of its own, so that none is limited
		if got := outcome(gate, ask(append(from, headers...)...)); got != want {
			t.Errorf("%v: got %s, want %s", headers, got, want)
		}
	}
	f("no key")
	f("good", "Authorization", "Bearer "+good)
	f("good", "Authorization", "bearer  "+good+" ")
	f("revoked", "Authorization", "Bearer "+gone)
	f("expired", "Authorization", "Bearer "+old)
	f("unknown", "Authorization", "Bearer "+other)
	f("unknown", "Authorization", "Bearer "+good[:len(good)-1]+flip(good[len(good)-1]))
	f("unknown", "Authorization", "Bearer ioc_"+goodToken.ID+other[len("ioc_")+len(goodToken.ID):]) // the id of one, the secret of another
	f("malformed", "Authorization", "Bearer "+good+"a")
	f("malformed", "Authorization", "Bearer "+strings.ToUpper(good))
	f("malformed", "Authorization", "Bearer")
	f("malformed", "Authorization", "Bearer "+goodToken.ID)
	f("malformed", "Authorization", good)
	f("malformed", "Authorization", "Basic "+good)
	f("malformed", "Authorization", "Bearer "+good, "Authorization", "Bearer "+good)
	f("no key", "Sec-WebSocket-Protocol", "ioc.v1, ioc.token."+good) // no websocket
	f("good", "Upgrade", "websocket", "Sec-WebSocket-Protocol", "ioc.v1, ioc.token."+good)
	f("good", "Upgrade", "WebSocket", "Sec-WebSocket-Protocol", "ioc.v1", "Sec-WebSocket-Protocol", "ioc.token."+good)
	f("revoked", "Upgrade", "websocket", "Sec-WebSocket-Protocol", "ioc.v1,ioc.token."+gone)
	f("malformed", "Upgrade", "websocket", "Sec-WebSocket-Protocol", "ioc.token."+good+", ioc.token."+good)
	f("malformed", "Upgrade", "websocket", "Sec-WebSocket-Protocol", "ioc.token.")
	f("malformed", "Upgrade", "websocket", "Sec-WebSocket-Protocol", "ioc.token."+good, "Authorization", "Bearer "+good)
	f("no key", "from", "127.0.0.1:1", "host", "localhost") // access.loopback is not set

	p, err := gate.Authenticate(ask("Authorization", "Bearer "+good))
	if err != nil || p.Token != goodToken.ID || p.Role != access.Viewer || p.Scope.String() != "79" {
		t.Errorf("the principal is %+v, %v", p, err)
	}
	refused := log.FilterMessage("a key was refused")
	if refused.Len() == 0 {
		t.Error("refusals are not logged")
	}
	for _, entry := range log.All() {
		text := entry.Message
		for name, value := range entry.ContextMap() {
			text += " " + name + " " + strings.ToLower(value.(string))
		}
		for _, key := range []string{good, gone, old, other} {
			if strings.Contains(text, key[len("ioc_")+len(goodToken.ID)+1:][:20]) {
				t.Errorf("the log shows a key: %s", text)
			}
		}
	}
}

// flip is another letter of keys.
func flip(b byte) string {
	if b == 'a' {
		return "b"
	}
	return "a"
}

func TestLoopback(t *testing.T) {
	list := &tokens{}
	gate := newGate(t, list.List, func(c *access.Config, _ *access.Deps) { c.Loopback = true })
	other, _ := mint(t, access.Spec{Name: "other", Role: access.Viewer, Scope: national})
	eventually(t, "the keys to be read", func() bool { return outcome(gate, ask("Authorization", "Bearer "+other)) != "unavailable" })
	f := func(want string, headers ...string) {
		t.Helper()
		if got := outcome(gate, ask(headers...)); got != want {
			t.Errorf("%v: got %s, want %s", headers, got, want)
		}
	}
	f("loopback", "from", "127.0.0.1:1", "host", "localhost:8080")
	f("loopback", "from", "[::1]:1", "host", "[::1]:8080")
	f("loopback", "from", "[::ffff:127.0.0.1]:1", "host", "127.0.0.1")
	f("unknown", "from", "127.0.0.1:1", "host", "localhost", "Authorization", "Bearer "+other)
	f("malformed", "from", "127.0.0.1:1", "host", "localhost", "Authorization", "Bearer x")
	f("no key", "from", "192.0.2.1:1", "host", "localhost")
	f("no key", "from", "127.0.0.1:1", "host", "ioc.example.vn")
	f("no key", "from", "127.0.0.1:1", "host", "localhost", "X-Forwarded-For", "192.0.2.1")
	f("no key", "from", "127.0.0.1:1", "host", "localhost", "Forwarded", "for=192.0.2.1")
	f("no key", "from", "@", "host", "localhost")
	if err := gate.Check(access.Loopback()); err != nil {
		t.Errorf("this machine is no longer allowed: %v", err)
	}
}

// TestRevocation: within a refresh a revoked key is refused and whoever stays is told, on a real engine.
func TestRevocation(t *testing.T) {
	store := newStore(t)
	key, token := mint(t, access.Spec{Name: "x", Role: access.Viewer, Scope: national})
	if err := store.Add(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	gate := newGate(t, store.List, nil)
	eventually(t, "the key to be known", func() bool { return outcome(gate, ask("Authorization", "Bearer "+key)) == "x" })
	changed := gate.Changed()
	p, err := gate.Authenticate(ask("Authorization", "Bearer "+key))
	if err != nil || gate.Check(p) != nil {
		t.Fatalf("%v, %v", err, gate.Check(p))
	}
	if _, err := store.Revoke(t.Context(), token.ID); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	case <-time.After(patience):
		t.Fatal("nobody is told of the revocation")
	}
	var refusal *access.Refusal
	if err := gate.Check(p); !errors.As(err, &refusal) || refusal.Reason != access.Revoked {
		t.Errorf("after it was revoked: %v", err)
	}
	if got := outcome(gate, ask("Authorization", "Bearer "+key)); got != "revoked" {
		t.Errorf("after it was revoked the key gets %s", got)
	}
}

// TestExpiry: a key ends by itself, and those who stay are told.
func TestExpiry(t *testing.T) {
	key, token := mint(t, access.Spec{Name: "x", Role: access.Viewer, Scope: national, Expires: time.Now().Add(time.Hour)})
	list := &tokens{list: []access.Token{token}}
	gate := newGate(t, list.List, nil)
	eventually(t, "the key to be known", func() bool { return outcome(gate, ask("Authorization", "Bearer "+key)) == "x" })
	changed := gate.Changed()
	token.Expires = time.Now().Add(50 * time.Millisecond)
	list.set(nil, token)
	select {
	case <-changed:
	case <-time.After(patience):
		t.Fatal("nobody is told of the expiry")
	}
	if got := outcome(gate, ask("Authorization", "Bearer "+key)); got != "expired" {
		t.Errorf("the key gets %s", got)
	}
}

// TestWarehouseAway: the last list is good for a while, then every key is refused, and good again after the first answer.
func TestWarehouseAway(t *testing.T) {
	key, token := mint(t, access.Spec{Name: "x", Role: access.Viewer, Scope: national})
	list := &tokens{err: errors.New("no answer")}
	var health struct {
		sync.Mutex
		err error
	}
	gate := newGate(t, list.List, func(c *access.Config, d *access.Deps) {
		c.Keep = 500 * time.Millisecond
		d.Health = func(err error) { health.Lock(); health.err = err; health.Unlock() }
	})
	eventually(t, "health to say so", func() bool { health.Lock(); defer health.Unlock(); return health.err != nil })
	if got := outcome(gate, ask("Authorization", "Bearer "+key)); got != "unavailable" {
		t.Errorf("before the first list the key gets %s", got)
	}
	list.set(nil, token)
	eventually(t, "the key to be known", func() bool { return outcome(gate, ask("Authorization", "Bearer "+key)) == "x" })
	p := token.Principal()
	since := time.Now()
	changed := gate.Changed()
	list.set(errors.New("no answer"), token)
	if got := outcome(gate, ask("Authorization", "Bearer "+key)); got != "x" && time.Since(since) < 300*time.Millisecond {
		t.Errorf("just after the last list the key gets %s", got)
	}
	select {
	case <-changed:
	case <-time.After(patience):
		t.Fatal("nobody is told that keys cannot be checked")
	}
	var refusal *access.Refusal
	if err := gate.Check(p); !errors.As(err, &refusal) || refusal.Reason != access.Unavailable {
		t.Errorf("after a while: %v", err)
	}
	if got := outcome(gate, ask("Authorization", "Bearer "+key)); got != "unavailable" {
		t.Errorf("after a while the key gets %s", got)
	}
	list.set(nil, token)
	eventually(t, "the key to be good again", func() bool { return outcome(gate, ask("Authorization", "Bearer "+key)) == "x" && gate.Check(p) == nil })
}

// TestFailuresAreLimited: per address, without locking out good keys that come from it.
func TestFailuresAreLimited(t *testing.T) {
	key, token := mint(t, access.Spec{Name: "x", Role: access.Viewer, Scope: national})
	wrong, _ := mint(t, access.Spec{Name: "y", Role: access.Viewer, Scope: national})
	list := &tokens{list: []access.Token{token}}
	registry := prometheus.NewRegistry()
	gate := newGate(t, list.List, func(_ *access.Config, d *access.Deps) { d.Registry = registry })
	eventually(t, "the key to be known", func() bool { return outcome(gate, ask("Authorization", "Bearer "+key)) == "x" })
	limited := 0
	for range 100 {
		switch got := outcome(gate, ask("Authorization", "Bearer "+wrong, "from", "[2001:db8::1]:1")); got {
		case "limited":
			limited++
		case "unknown":
		default:
			t.Fatalf("a wrong key gets %s", got)
		}
	}
	if limited < 70 || limited > 80 {
		t.Errorf("%d of 100 attempts were limited", limited)
	}
	if _, err := gate.Authenticate(ask("Authorization", "Bearer "+wrong, "from", "[2001:db8::2]:9")); !strings.Contains(err.Error(), "too many") {
		t.Errorf("the neighbour in the same network gets %v", err)
	}
	if got := outcome(gate, ask("Authorization", "Bearer "+key, "from", "[2001:db8::1]:1")); got != "x" {
		t.Errorf("the good key gets %s", got)
	}
	if got := outcome(gate, ask("Authorization", "Bearer "+wrong, "from", "[2001:db9::1]:1")); got != "unknown" {
		t.Errorf("another address gets %s", got)
	}
	want := `# HELP ioc_access_keys Keys that can be used.
# TYPE ioc_access_keys gauge
ioc_access_keys 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "ioc_access_keys"); err != nil {
		t.Error(err)
	}
}

func TestLimiterIsBounded(t *testing.T) {
	l := access.NewLimiter(0.001, 1, 3)
	for _, who := range []string{"a", "b", "c", "d"} {
		if _, ok := l.Allow(who); !ok {
			t.Errorf("the first of %s is refused", who)
		}
	}
	for _, who := range []string{"a", "b", "c", "d", "e"} { // e shares an allowance with d
		if wait, ok := l.Allow(who); ok || wait <= 0 {
			t.Errorf("%s is allowed again: %s", who, wait)
		}
	}
	soon := access.NewLimiter(1000, 1, 1)
	_, _ = soon.Allow("a")
	eventually(t, "room for another", func() bool { _, ok := soon.Allow("b"); return ok })
}

func TestConfigErrors(t *testing.T) {
	f := func(want string, change func(*access.Config)) {
		t.Helper()
		cfg := access.DefaultConfig()
		change(&cfg)
		if _, err := access.New(cfg, access.Deps{Logger: zap.NewNop(), Registry: prometheus.NewRegistry()}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f("refresh", func(c *access.Config) { c.Refresh = 0 })
	f("refresh", func(c *access.Config) { c.Refresh = time.Hour })
	f("keep", func(c *access.Config) { c.Keep = time.Second })
	f("keep", func(c *access.Config) { c.Keep = 2 * time.Hour })
}
