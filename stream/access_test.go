package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/coder/websocket"

	"ioc.local/internal/access"
	"ioc.local/query/kpi"
)

// key makes a key; set makes the gate know its token.
func key(t *testing.T, role access.Role, scope string) (string, access.Token) {
	t.Helper()
	parsed, err := access.ParseScope(scope)
	if err != nil {
		t.Fatal(err)
	}
	key, token, err := access.Mint(access.Spec{Name: scope, Role: role, Scope: parsed})
	if err != nil {
		t.Fatal(err)
	}
	return key, token
}

func bearer(key string) http.Header { return http.Header{"Authorization": {"Bearer " + key}} }

// TestScopesOfTheFeed asks every scope of the feed as every role and scope of keys.
func TestScopesOfTheFeed(t *testing.T) {
	cfg := smallConfig()
	cfg.MaxSubscriptions, cfg.QueueFrames = 40, 160
	f := newFeed(t, cfg, nil)
	values := map[string]int64{}
	codes := f.hub.scopes[scopeProvinces].codes
	for i, code := range codes {
		values["dossiers_received/"+code+"/today"] = int64(1000 + i)
	}
	values["dossiers_received/national/today"] = 7
	f.publisher.publish(publication(1, values))
	type credential struct {
		key       string
		provinces []string
		national  bool
	}
	var credentials []credential
	var tokens []access.Token
	for _, role := range []access.Role{access.Screen, access.Viewer, access.Analyst, access.Operator} {
		for _, scope := range []string{"national", "79", "01,79"} {
			k, token := key(t, role, scope)
			credentials = append(credentials, credential{k, token.Scope.Provinces, token.Scope.National})
			tokens = append(tokens, token)
		}
	}
	f.set(nil, tokens...)
	for _, who := range credentials {
		for name, scope := range f.hub.scopes {
			c := f.dial(bearer(who.key)) // each its own: a client may send so many messages only
			c.frame(kindHello)
			allowed := name == "national" || who.national || len(scope.codes) == 1 && slices.Contains(who.provinces, scope.codes[0])
			c.send(fmt.Sprintf(`{"type":"subscribe","board":"overview","scope":%q}`, name))
			if !allowed {
				if e := c.frame(kindError); e.Code != "forbidden_scope" || e.Fatal {
					t.Errorf("%s for %v: got %+v", name, who.provinces, e)
				}
				c.send(fmt.Sprintf(`{"type":"subscribe","board":"overview","scope":%q,"resume":{"epoch":%q,"offset":0}}`, name, f.hub.epoch))
				if e := c.frame(kindError); e.Code != "forbidden_scope" {
					t.Errorf("%s resumed for %v: got %+v", name, who.provinces, e)
				}
				c.send(fmt.Sprintf(`{"type":"unsubscribe","board":"overview","scope":%q}`, name))
				if e := c.frame(kindError); e.Code != "not_subscribed" {
					t.Errorf("%s given up by %v: got %+v", name, who.provinces, e)
				}
			} else if s := c.frame(kindSnapshot); len(s.Values) != len(scope.codes) {
				t.Errorf("%s for %v: %d values, want %d", name, who.provinces, len(s.Values), len(scope.codes))
			}
			c.close()
		}
		c := f.dial(bearer(who.key))
		c.frame(kindHello)
		for _, name := range []string{"", "*", "province:*", "province:79,48", "gso63:79", "province:gso34:48", "PROVINCE:48", "National", "all"} {
			c.send(fmt.Sprintf(`{"type":"subscribe","board":"overview","scope":%q}`, name))
			if e := c.frame(kindError); e.Code != "unknown_scope" {
				t.Errorf("scope %q: got %+v", name, e)
			}
		}
		c.close()
		eventually(t, "the client to be gone", func() bool { return f.metric("ioc_stream_connections") == 0 })
	}
	// What is published then reaches only those who may see it.
	c := f.dial(bearer(credentials[1].key)) // 79
	defer c.close()
	c.frame(kindHello)
	c.send(`{"type":"subscribe","board":"overview","scope":"provinces"}`)
	c.frame(kindError)
	c.send(`{"type":"subscribe","board":"overview","scope":"province:79"}`)
	c.frame(kindSnapshot)
	for code := range values {
		values[code]++
	}
	f.publisher.publish(publication(2, values))
	if d := c.frame(kindDelta); len(d.Values) != 1 || d.Scope != "province:79" {
		t.Errorf("the delta is %+v", d)
	}
	f.hub.beat(time.Now())
	c.frame(kindBeat) // nothing in between
}

// TestProvincesChannel: one channel holds all provinces, and a delta those that changed.
func TestProvincesChannel(t *testing.T) {
	f := newFeed(t, smallConfig(), nil)
	c := f.dial(nil)
	defer c.close()
	c.frame(kindHello)
	values := map[string]int64{"dossiers_received/national/today": 1, "on_time_rate/79/month": 5}
	for _, code := range f.hub.scopes[scopeProvinces].codes {
		values["dossiers_received/"+code+"/today"] = 1
	}
	f.publisher.publish(publication(1, values))
	c.send(`{"type":"subscribe","board":"overview","scope":"provinces"}`)
	s := c.frame(kindSnapshot)
	seen := map[string]bool{}
	for _, v := range s.Values {
		var value struct{ KPI, Province string }
		if err := json.Unmarshal(v, &value); err != nil {
			t.Fatal(err)
		}
		seen[value.KPI+" "+value.Province] = true
	}
	if len(s.Values) != 35 || len(seen) != 35 || !seen["on_time_rate 79"] || !seen["dossiers_received 01"] || s.Scope != "provinces" {
		t.Errorf("the snapshot has %d values: %v", len(s.Values), seen)
	}
	values["dossiers_received/79/today"], values["dossiers_received/national/today"] = 2, 2
	f.publisher.publish(publication(2, values))
	if d := c.frame(kindDelta); len(d.Values) != 1 || !strings.Contains(string(d.Values[0]), `"province":"79"`) || d.Offset != s.Offset+1 {
		t.Errorf("the delta is %s at %d", d.Values, d.Offset)
	}
	c.send(subscribeNational)
	if s := c.frame(kindSnapshot); len(s.Values) != 1 || strings.Contains(string(s.Values[0]), "province") {
		t.Errorf("a national value names a province: %s", s.Values)
	}
}

// TestKeyAmongProtocols: a page shows its key as a subprotocol; it is never in the answer.
func TestKeyAmongProtocols(t *testing.T) {
	f := newFeed(t, smallConfig(), nil)
	good, token := key(t, access.Screen, "79")
	f.set(nil, token)
	dial := func(protocols ...string) (*websocket.Conn, *http.Response, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return websocket.Dial(ctx, f.url(), &websocket.DialOptions{Subprotocols: protocols})
	}
	for _, protocols := range [][]string{{"ioc.v1", "ioc.token." + good}, {"ioc.token." + good, "ioc.v1"}} {
		ws, response, err := dial(protocols...)
		if err != nil {
			t.Fatal(err)
		}
		if ws.Subprotocol() != "ioc.v1" {
			t.Errorf("the protocol is %q", ws.Subprotocol())
		}
		for name, values := range response.Header {
			if strings.Contains(strings.Join(values, " "), good) {
				t.Errorf("the key is in the header %s of the answer", name)
			}
		}
		c := &client{t, ws}
		c.frame(kindHello)
		c.send(`{"type":"subscribe","board":"overview","scope":"province:01"}`)
		if e := c.frame(kindError); e.Code != "forbidden_scope" {
			t.Errorf("the key of 79 gets %+v", e)
		}
		c.close()
	}
	ws, _, err := dial("ioc.token." + good)
	if err != nil || ws.Subprotocol() != "" {
		t.Fatalf("without ioc.v1: %v", err)
	}
	_ = ws.CloseNow()
	wrong, _ := key(t, access.Operator, "national")
	for _, protocols := range [][]string{{"ioc.v1", "ioc.token." + wrong}, {"ioc.v1", "ioc.token."}, {"ioc.v1", "ioc.token.x"}} {
		if _, response, err := dial(protocols...); err == nil || response == nil || response.StatusCode != http.StatusUnauthorized {
			t.Errorf("a wrong key gets %+v, %v", response, err)
		}
	}
}

// TestRevokedKey: the connections of a revoked or expired key are closed for good, those of others stay.
func TestRevokedKey(t *testing.T) {
	f := newFeed(t, smallConfig(), nil)
	goneKey, gone := key(t, access.Viewer, "79")
	oldKey, old := key(t, access.Viewer, "national")
	stayKey, stay := key(t, access.Viewer, "national")
	f.set(nil, gone, old, stay)
	clients := map[string]*client{}
	for _, k := range []string{goneKey, oldKey, stayKey} {
		c := f.dial(bearer(k))
		defer c.close()
		c.frame(kindHello)
		c.send(subscribeNational)
		c.frame(kindSnapshot)
		clients[k] = c
	}
	gone.Revoked = time.Now()
	old.Expires = time.Now()
	f.set(nil, gone, old, stay)
	for _, k := range []string{goneKey, oldKey} {
		if code := clients[k].closed(); code != CodeNotAllowed {
			t.Errorf("closed with %d, want %d", code, CodeNotAllowed)
		}
	}
	if got := f.metric("ioc_stream_dropped_total", "code=4103"); got != 2 {
		t.Errorf("%v were dropped", got)
	}
	f.hub.beat(time.Now())
	clients[stayKey].frame(kindBeat)

	// A client that was let in just before, and joins just after.
	c := &conn{hub: f.hub, principal: gone.Principal(), out: newOutbox(16), watching: make(map[*channel]struct{})}
	f.hub.join(c)
	if _, end, _ := c.out.take(); end == nil || end.code != CodeNotAllowed {
		t.Errorf("it stays: %+v", end)
	}
	f.hub.part(c)
}

// TestKeysUnknown: when keys cannot be checked for too long, clients are sent away, to come back.
func TestKeysUnknown(t *testing.T) {
	f := newFeed(t, smallConfig(), nil)
	k, token := key(t, access.Viewer, "79")
	f.set(nil, token)
	c := f.dial(bearer(k))
	defer c.close()
	local := f.dial(nil)
	defer local.close()
	c.frame(kindHello)
	local.frame(kindHello)
	f.set(errors.New("no answer"), token) // waits until the list is too old
	if code := c.closed(); code != CodeInternal {
		t.Errorf("closed with %d, want %d", code, CodeInternal)
	}
	f.hub.beat(time.Now())
	local.frame(kindBeat)
}

// TestSensitiveBoards checks who may see national values of KPIs about health and judicial records.
func TestSensitiveBoards(t *testing.T) {
	catalogue, err := kpi.Load("")
	if err != nil {
		t.Fatal(err)
	}
	file := func(kpi string) string {
		return "id: b\ntitle: {vi: a, en: a}\nkpis: [{id: dossiers_received}, {id: " + kpi + "}]\n"
	}
	f := func(kpiID string, s scope, principal access.Scope, want bool) {
		t.Helper()
		boards, err := LoadBoards(fstest.MapFS{"b.yaml": {Data: []byte(file(kpiID))}}, catalogue)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.allows(access.Principal{Role: access.Viewer, Scope: principal}, &boards[0]); got != want {
			t.Errorf("%s at %v for %v: %v, want %v", kpiID, s.codes, principal, got, want)
		}
	}
	nation, hanoi := access.Scope{National: true}, access.Scope{Provinces: []string{"01"}}
	f("health_books_created", scope{codes: []string{kpi.National}}, nation, true)
	f("health_books_created", scope{codes: []string{kpi.National}}, hanoi, false)
	f("health_books_created", scope{codes: []string{"01"}}, hanoi, true)
	f("health_books_created", scope{codes: []string{"79"}}, hanoi, false)
	f("health_books_created", scope{codes: []string{"01", "79"}, each: true}, hanoi, false)
	f("auth_transactions", scope{codes: []string{kpi.National}}, hanoi, true)
}
