package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"ioc.local/dashboards"
	"ioc.local/internal/access"
	"ioc.local/internal/reference"
	"ioc.local/query/kpi"
	"ioc.local/stream"
)

// leastRoles are the roles that the faces of a whole ioc need at least. A face that is not here fails the test: whoever
// adds one says who may see it, and that it keeps to the scope.
var leastRoles = map[string]access.Role{
	"GET /{$}":                        access.Anyone,
	"GET /openapi.yaml":               access.Anyone,
	"GET /asyncapi.yaml":              access.Anyone,
	"GET /schemas/":                   access.Anyone,
	"GET /wall/":                      access.Anyone,
	"GET /api/v1/me":                  access.Screen,
	"GET /api/v1/kpis":                access.Screen,
	"GET /api/v1/kpis/{id}":           access.Screen,
	"GET /api/v1/kpis/{id}/journal":   access.Screen,
	"POST /api/v1/kpis/query":         access.Screen,
	"GET /api/v1/reference/provinces": access.Screen,
	"GET /api/v1/reference/services":  access.Screen,
	"GET /api/v1/reference/agencies":  access.Screen,
	"GET /api/v1/feeds":               access.Viewer,
	"GET /api/v1/live":                access.Screen,
	"POST /api/v1/sql":                access.Analyst,

	"GET /api/v1/dead-letters":                              access.Operator,
	"GET /api/v1/dead-letters/{topic}/{partition}/{offset}": access.Operator,
	"POST /api/v1/dead-letters/replay":                      access.Operator,
}

// nationalFaces are for principals of the whole country only.
var nationalFaces = []string{"GET /api/v1/dead-letters", "GET /api/v1/dead-letters/{topic}/{partition}/{offset}", "POST /api/v1/dead-letters/replay"}

// TestAccess asks every face of a running ioc as every role and scope, with keys that the command made.
func TestAccess(t *testing.T) {
	in := &input{T: t, demo: startDemo(t, t.TempDir()), at: time.Now().In(reference.TimeZone()).Add(-10 * time.Minute).Truncate(time.Minute)}
	for province, n := range map[string]int{"79": 3, "01": 5} {
		for i := range n {
			id := fmt.Sprintf("%s-%d", province, i)
			in.produce(in.binary("auth.attempt", id, in.auth(id, province, "success")))
		}
	}
	base := strings.TrimSuffix(in.demo.addresses["KPIs"], "/api/v1/kpis")
	type who struct {
		name, key  string
		role       access.Role // "" if the key is not good
		scope      string
		byProvince map[string]bool
	}
	create := func(role access.Role, scope, expires string) string {
		args := []string{"token", "create", "--name", string(role) + " " + scope, "--role", string(role), "--scope", scope}
		if expires != "" {
			args = append(args, "--expires", expires)
		}
		lines := strings.Fields(in.ioc(args...))
		return lines[len(lines)-1]
	}
	var all []who
	for _, role := range []access.Role{access.Screen, access.Viewer, access.Analyst, access.Operator} {
		for _, scope := range []string{"national", "79", "01,79"} {
			provinces := map[string]bool{}
			for _, code := range []string{"01", "48", "79"} {
				provinces[code] = scope == "national" || strings.Contains(scope, code)
			}
			all = append(all, who{string(role) + " of " + scope, create(role, scope, ""), role, scope, provinces})
		}
	}
	revoked, expired := create(access.Operator, "national", ""), create(access.Operator, "national", "1s")
	wrong, _, err := access.Mint(access.Spec{Name: "x", Role: access.Operator, Scope: access.Scope{National: true}})
	if err != nil {
		t.Fatal(err)
	}

	ask := func(method, path, key string, headers ...string) (int, map[string]any) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		var body map[string]any
		_ = json.NewDecoder(response.Body).Decode(&body) // not all is JSON
		return response.StatusCode, body
	}
	within := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("waited for %s", what)
			}
		}
	}
	within("all events", func() bool { _, a := ask("GET", "/api/v1/kpis/auth_transactions", ""); return a["value"] == 8.0 })
	within("the keys", func() bool { status, _ := ask("GET", "/api/v1/me", all[len(all)-1].key); return status == 200 })
	within("the key that will be revoked", func() bool { status, _ := ask("GET", "/api/v1/me", revoked); return status == 200 })

	// A connection of the key that is revoked is closed, and told not to come back.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dial := func(key string) (*websocket.Conn, error) {
		options := &websocket.DialOptions{Subprotocols: []string{access.Protocol}}
		if key != "" {
			options.Subprotocols = append(options.Subprotocols, "ioc.token."+key)
		}
		conn, _, err := websocket.Dial(ctx, in.demo.addresses["live feed"], options)
		return conn, err
	}
	watching, err := dial(revoked)
	if err != nil {
		t.Fatal(err)
	}
	in.ioc("token", "revoke", strings.Split(revoked, "_")[1])
	for {
		if _, _, err = watching.Read(ctx); err != nil {
			break
		}
	}
	if code := websocket.CloseStatus(err); code != 4103 {
		t.Errorf("the connection of a revoked key ended with %v", err)
	}
	within("the key to expire", func() bool { status, _ := ask("GET", "/api/v1/me", expired); return status == 401 })
	all = append(all, who{name: "revoked", key: revoked}, who{name: "expired", key: expired}, who{name: "wrong", key: wrong}, who{name: "no key of ioc", key: "x"})

	_, index := ask("GET", "/", "")
	if principal, _ := index["principal"].(map[string]any); principal["name"] != "loopback" || principal["role"] != "operator" {
		t.Errorf("the demo sees this machine as %v", index["principal"])
	}
	for _, face := range index["faces"].([]any) {
		least, known := leastRoles[face.(string)]
		if !known {
			t.Errorf("the face %s is in no table: say who may see it", face)
			continue
		}
		method, path, _ := strings.Cut(strings.NewReplacer("{$}", "", "{id}", "auth_transactions", "{topic}", "x", "{partition}", "0", "{offset}", "0").Replace(face.(string)), " ")
		for _, w := range all {
			status, body := ask(method, path, w.key)
			refused := status == 401 || status == 403 || status == 429
			switch {
			case w.role == "" && status != 401 && status != 429, w.role != "" && refused == (w.role.Allows(least) && (w.scope == "national" || !slices.Contains(nationalFaces, face.(string)))):
				t.Errorf("%s as %s is a %d %v", face, w.name, status, body)
			}
		}
		// As through a proxy on this machine, without a key.
		if status, _ := ask(method, path, "", "X-Forwarded-For", "192.0.2.1"); (status == 401) != (least != access.Anyone) {
			t.Errorf("%s without a key is a %d", face, status)
		}
	}

	for _, w := range all {
		if w.role == "" {
			if conn, err := dial(w.key); err == nil {
				_ = conn.CloseNow()
				t.Errorf("the feed lets %s in", w.name)
			}
			continue
		}
		want := map[string]float64{"national": 8, "79": 3, "01,79": 8}[w.scope]
		if _, a := ask("GET", "/api/v1/kpis/auth_transactions", w.key); a["value"] != want {
			t.Errorf("%s sees %v of %v", w.name, a["value"], a["scope"])
		}
		for code, allowed := range w.byProvince {
			if status, _ := ask("GET", "/api/v1/kpis/auth_transactions?province="+code, w.key); (status == 200) != allowed {
				t.Errorf("province %s as %s is a %d", code, w.name, status)
			}
		}
		conn, err := dial(w.key)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetReadLimit(8 << 20)
		scopes := map[string]bool{"national": true, "provinces": w.scope == "national"}
		for code, allowed := range w.byProvince {
			scopes["province:"+code] = allowed
		}
		for scope, allowed := range scopes {
			if err := wsjson.Write(ctx, conn, map[string]string{"type": "subscribe", "board": "overview", "scope": scope}); err != nil {
				t.Fatal(err)
			}
			for {
				var frame struct{ Type, Scope, Code string }
				if err := wsjson.Read(ctx, conn, &frame); err != nil {
					t.Fatal(err)
				}
				if frame.Scope != scope || frame.Type != "snapshot" && frame.Type != "error" {
					continue
				}
				if (frame.Type == "snapshot") != allowed || !allowed && frame.Code != "forbidden_scope" {
					t.Errorf("the feed's scope %s as %s: %+v", scope, w.name, frame)
				}
				break
			}
		}
		_ = conn.CloseNow()
	}
}

// TestScreensMayAskForTheWall: whatever KPI the wall's page names, a screen may ask for.
func TestScreensMayAskForTheWall(t *testing.T) {
	source, err := os.ReadFile("../../dashboards/web/src/kpis.ts")
	if err != nil {
		t.Fatal(err)
	}
	asked := regexp.MustCompile(`'([a-z0-9]+(?:_[a-z0-9]+)+)'`).FindAllSubmatch(source, -1)
	if len(asked) < 10 {
		t.Fatalf("only %d KPIs are named", len(asked))
	}
	catalogue, err := kpi.Load("")
	if err != nil {
		t.Fatal(err)
	}
	boards, err := stream.LoadBoards(dashboards.Boards(), catalogue)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range asked {
		if !slices.Contains(screenKPIs(boards), string(id[1])) && string(id[1]) != "example_coefficients" { // which is a note
			t.Errorf("the wall asks for %s, and a screen may not: add it to a board", id[1])
		}
	}
}
