package stream

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"ioc.local/query/kpi"
)

const subscribeNational = `{"type":"subscribe","board":"overview","scope":"national"}`

func TestPublicationsArrive(t *testing.T) {
	f := newFeed(t, smallConfig(), nil)
	if diff := cmp.Diff([]string{"dossiers_received/today", "on_time_rate/month", "auth_transactions/today", "dossiers_received/today", "dossiers_received/7d"}, f.publisher.interest); diff != "" {
		t.Errorf("interest, want against got:\n%s", diff)
	}
	c := f.dial(nil)
	defer c.close()
	if hello := c.frame(kindHello); hello.Epoch == "" || hello.Protocol != 1 {
		t.Errorf("hello is %+v", hello)
	}
	c.send(subscribeNational)
	if s := c.frame(kindSnapshot); len(s.Values) != 0 {
		t.Errorf("a snapshot before the first publication has %d values", len(s.Values))
	}
	values := map[string]int64{"dossiers_received/national/today": 1, "on_time_rate/national/month": 2}
	f.publisher.publish(publication(1, values))
	first := c.frame(kindDelta)
	if len(first.Values) != 2 {
		t.Errorf("the first delta has %d values, want 2", len(first.Values))
	}
	f.publisher.publish(publication(2, values)) // only the revision is another
	values["on_time_rate/national/month"] = 3
	values["dossiers_received/79/today"] = 7 // nobody watches
	f.publisher.publish(publication(3, values))
	second := c.frame(kindDelta)
	if len(second.Values) != 1 || !strings.Contains(string(second.Values[0]), `"value":3`) || second.Offset != first.Offset+1 {
		t.Errorf("the second delta is %+v, want on_time_rate alone, at offset %d", second, first.Offset+1)
	}
	f.stop()
	if f.publisher.released != 5 {
		t.Errorf("%d interests released, want 5", f.publisher.released)
	}
}

func TestResume(t *testing.T) {
	cfg := smallConfig()
	f := newFeed(t, cfg, nil)
	publish := func(n int) {
		f.hub.publish(publication(uint64(n), map[string]int64{"dossiers_received/national/today": int64(n)}))
	}
	subscribe := func(r string) *client {
		c := f.dial(nil)
		c.frame(kindHello)
		c.send(`{"type":"subscribe","board":"overview","scope":"national","resume":` + r + `}`)
		return c
	}
	publish(1)
	c := subscribe("null")
	start := c.frame(kindSnapshot)
	c.close()
	eventually(t, "the client to be gone", func() bool { return f.metric("ioc_stream_connections") == 0 })
	if f.metric("ioc_stream_subscriptions") != 0 {
		t.Error("subscriptions are counted that nobody has")
	}

	at := func(epoch string, offset uint64) string {
		content, err := encode(resume{epoch, offset})
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	for i := range cfg.HistoryFrames {
		publish(i + 2)
	}
	newest := start.Offset + uint64(cfg.HistoryFrames)

	c = subscribe(at(start.Epoch, start.Offset)) // all that history holds
	if r := c.frame(kindResumed); r.Offset != start.Offset {
		t.Errorf("resumed at %d, want %d", r.Offset, start.Offset)
	}
	for offset := start.Offset + 1; offset <= newest; offset++ {
		if d := c.frame(kindDelta); d.Offset != offset || d.Conflated {
			t.Errorf("got delta %+v, want offset %d", d, offset)
		}
	}
	c.send(subscribeNational) // again: anew
	if s := c.frame(kindSnapshot); s.Offset != newest {
		t.Errorf("snapshot at %d, want %d", s.Offset, newest)
	}
	c.close()

	snapshot := func(why, r string) {
		t.Helper()
		c := subscribe(r)
		defer c.close()
		if s := c.frame(kindSnapshot); s.Offset < newest || len(s.Values) != 1 {
			t.Errorf("%s: snapshot is %+v", why, s)
		}
	}
	snapshot("another epoch", at("00", newest))
	snapshot("an offset that never was", at(start.Epoch, newest+1))
	publish(100)
	snapshot("an offset just out of history", at(start.Epoch, start.Offset))
	eventually(t, "all clients to be gone", func() bool { return f.metric("ioc_stream_connections") == 0 })
	f.hub.beat(time.Now().Add(2 * cfg.Linger))
	snapshot("after the channel slept", at(start.Epoch, newest+1))
}

func TestErrorsThatAreNotFatal(t *testing.T) {
	f := newFeed(t, smallConfig(), nil)
	c := f.dial(http.Header{"Test-Provinces": {"79,01"}})
	defer c.close()
	c.frame(kindHello)
	want := func(message, code string) {
		t.Helper()
		c.send(message)
		if e := c.frame(kindError); e.Code != code || e.Fatal {
			t.Errorf("%s: got %+v, want code %s", message, e, code)
		}
	}
	want(`{"type":"subscribe","board":"none","scope":"national"}`, "unknown_board")
	want(`{"type":"subscribe","board":"overview","scope":"province:00"}`, "unknown_scope")
	want(`{"type":"subscribe","board":"overview"}`, "unknown_scope")
	want(`{"type":"subscribe","board":"overview","scope":"province:48"}`, "forbidden_scope")
	want(`{"type":"unsubscribe","board":"overview","scope":"national"}`, "not_subscribed")
	for _, s := range []string{`"overview","scope":"national"`, `"overview","scope":"province:79"`, `"overview","scope":"province:01"`, `"second","scope":"national"`} {
		c.send(`{"type":"subscribe","board":` + s + `}`)
		c.frame(kindSnapshot)
	}
	want(`{"type":"subscribe","board":"second","scope":"province:79"}`, "too_many_subscriptions")
	c.send(`{"type":"unsubscribe","board":"overview","scope":"national"}`)
	c.send(`{"type":"subscribe","board":"second","scope":"province:79"}`)
	c.frame(kindSnapshot)
	if got := f.metric("ioc_stream_subscriptions"); got != 4 {
		t.Errorf("%v subscriptions, want 4", got)
	}
}

func TestFatalErrors(t *testing.T) {
	f := newFeed(t, smallConfig(), nil)
	want := func(code websocket.StatusCode, kind websocket.MessageType, messages ...string) {
		t.Helper()
		c := f.dial(nil)
		defer c.close()
		c.frame(kindHello)
		for _, m := range messages {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			_ = c.ws.Write(ctx, kind, []byte(m)) // late ones may meet a closed connection
			cancel()
		}
		var fatal bool
		for {
			content, err := c.next()
			if err != nil {
				if got := websocket.CloseStatus(err); got != code || !fatal {
					t.Errorf("%.40q: closed with %v, fatal error seen: %v; want %d", messages[0], err, fatal, code)
				}
				return
			}
			fatal = fatal || strings.Contains(content, `"fatal":true`)
		}
	}
	text, binary := websocket.MessageText, websocket.MessageBinary
	want(CodeBadMessage, text, `{`)
	want(CodeBadMessage, text, ``)
	want(CodeBadMessage, text, `[]`)
	want(CodeBadMessage, text, `{"type":"subscribe","board":7}`)
	want(CodeBadMessage, text, `{"type":"subscribe","bord":"overview"}`)
	want(CodeBadMessage, text, `{"type":"dance"}`)
	want(CodeBadMessage, text, subscribeNational+subscribeNational)
	want(CodeBadMessage, text, `{"type":"subscribe","board":"overview","scope":"national","resume":{"epoch":"x","offset":-1}}`)
	want(CodeBadMessage, binary, subscribeNational)
	want(CodeMessageTooBig, text, strings.Repeat(" ", maxMessageBytes+1))
	var many []string
	for range messageBurst + 2 {
		many = append(many, `{"type":"unsubscribe","board":"overview","scope":"national"}`)
	}
	f.hub.cfg.QueueFrames = 10 * messageBurst // so that the answers find room, however slow the client
	want(CodeTooManyMessages, text, many...)
	if got := f.metric("ioc_stream_dropped_total", "code=4100"); got != 9 {
		t.Errorf("%v connections dropped with 4100, want 9", got)
	}
}

func TestRefusals(t *testing.T) {
	cfg := smallConfig()
	cfg.MaxConnections = 1
	cfg.Origins = []string{"https://wall.example.vn"}
	f := newFeed(t, cfg, nil)
	refused := func(status int, header http.Header) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		ws, response, err := websocket.Dial(ctx, f.url(), &websocket.DialOptions{HTTPHeader: header})
		if err == nil {
			_ = ws.CloseNow()
			t.Fatalf("connected with %v, want status %d", header, status)
		}
		if response == nil || response.StatusCode != status || response.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("with %v: got %+v (%v), want problem %d", header, response, err, status)
		}
		if status == http.StatusServiceUnavailable && response.Header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
	}
	refused(http.StatusForbidden, http.Header{"Origin": {"https://attacker.example"}})
	refused(http.StatusForbidden, http.Header{"Origin": {"null"}})
	refused(http.StatusForbidden, http.Header{"Origin": {"https://wall.example.vn", "https://attacker.example"}})
	for _, origin := range []string{f.server.URL, "https://wall.example.vn"} {
		c := f.dial(http.Header{"Origin": {origin}})
		c.frame(kindHello)
		refused(http.StatusServiceUnavailable, nil)
		c.close()
		eventually(t, "room for another", func() bool {
			f.hub.mu.Lock()
			defer f.hub.mu.Unlock()
			return f.hub.admitted == 0
		})
	}
	response, err := http.Get(f.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("a plain GET got %d", response.StatusCode)
	}
}

func TestBeatAndLate(t *testing.T) {
	caughtUp := true
	var silent []LateSource
	f := newFeed(t, smallConfig(), func(d *Deps) {
		d.CaughtUp = func() bool { return caughtUp }
		d.Late = func() []LateSource { return silent }
	})
	c := f.dial(nil)
	defer c.close()
	c.frame(kindHello)
	f.hub.beat(time.Now())
	if b := c.frame(kindBeat); b.CaughtUp == nil || !*b.CaughtUp || b.Watermark != nil {
		t.Errorf("the first beat is %+v", b)
	}
	f.hub.publish(publication(1, nil))
	caughtUp = false
	silent = []LateSource{{"/npsp/G01", noon}}
	f.hub.beat(time.Now())
	if l := c.frame(kindLate); len(l.Sources) != 1 || l.Sources[0].Source != "/npsp/G01" {
		t.Errorf("late is %+v", l)
	}
	if b := c.frame(kindBeat); *b.CaughtUp || b.Watermark == nil {
		t.Errorf("the second beat is %+v", b)
	}
	f.hub.beat(time.Now())
	c.frame(kindBeat) // late did not change
	f.hub.beat(time.Now().Add(2 * f.hub.cfg.LateAfter))
	if l := c.frame(kindLate); len(l.Sources) != 2 || l.Sources[0].Source != "evaluator" {
		t.Errorf("late without publications is %+v", l)
	}
	c.frame(kindBeat)
	newcomer := f.dial(nil)
	defer newcomer.close()
	newcomer.frame(kindHello)
	if l := newcomer.frame(kindLate); len(l.Sources) != 2 {
		t.Errorf("late for a newcomer is %+v", l)
	}
	silent = nil
	f.hub.publish(publication(2, nil))
	f.hub.beat(time.Now())
	if l := c.frame(kindLate); len(l.Sources) != 0 {
		t.Errorf("late when all is well is %+v", l)
	}
}

func TestBeatsComeByThemselves(t *testing.T) {
	cfg := smallConfig()
	cfg.Heartbeat = 10 * time.Millisecond
	f := newFeed(t, cfg, nil)
	c := f.dial(nil)
	defer c.close()
	c.frame(kindHello)
	c.frame(kindBeat)
	if b := c.frame(kindBeat); b.CaughtUp != nil {
		t.Errorf("nobody knows whether ingestion has caught up, yet the beat is %+v", b)
	}
}

func TestSilentClientIsDropped(t *testing.T) {
	cfg := smallConfig()
	cfg.PongTimeout = 50 * time.Millisecond
	f := newFeed(t, cfg, nil)
	c := f.dial(nil) // answers pings only while it reads
	defer c.close()
	eventually(t, "the silent client to be dropped", func() bool { return f.metric("ioc_stream_dropped_total", "code=4002") == 1 })
	if code := c.closed(); code != CodeNoPong {
		t.Errorf("closed with %d, want %d", code, CodeNoPong)
	}
}

func TestShutdown(t *testing.T) {
	f := newFeed(t, smallConfig(), nil)
	clients := make([]*client, 20)
	for i := range clients {
		clients[i] = f.dial(nil)
		defer clients[i].close()
		clients[i].frame(kindHello)
		clients[i].send(subscribeNational)
		clients[i].frame(kindSnapshot)
	}
	codes := make(chan websocket.StatusCode)
	for _, c := range clients {
		go func() { codes <- c.closed() }()
	}
	start := time.Now()
	f.stop()
	if took := time.Since(start); took > f.hub.cfg.ShutdownTimeout {
		t.Errorf("clients that listen kept the hub for %s", took)
	}
	for range clients {
		if code := <-codes; code != CodeRestarting {
			t.Errorf("closed with %d, want %d", code, CodeRestarting)
		}
	}
	if n := f.metric("ioc_stream_connections"); n != 0 {
		t.Errorf("%v connections after the end", n)
	}
	if f.hub.admit() {
		t.Error("the stopped hub admits clients")
	}
}

func TestConfigErrors(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		cfg := DefaultConfig()
		change(&cfg)
		if err := cfg.validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f(func(c *Config) { c.Origins = []string{"wall.example.vn"} }, `origins[0] is "wall.example.vn"`)
	f(func(c *Config) { c.Origins = []string{"https://wall.example.vn/x"} }, "origins[0]")
	f(func(c *Config) { c.MaxConnections = 0 }, "max_connections is 0")
	f(func(c *Config) { c.QueueFrames = 10 }, "queue_frames is 10")
	f(func(c *Config) { c.StallTimeout = 0 }, "stall_timeout is 0s")
	if err := DefaultConfig().validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
}

func TestValueWithoutJSON(t *testing.T) {
	f := newFeed(t, smallConfig(), nil)
	c := f.dial(nil)
	defer c.close()
	c.frame(kindHello)
	c.send(subscribeNational)
	c.frame(kindSnapshot)
	p := publication(1, map[string]int64{"dossiers_received/national/today": 1, "on_time_rate/national/month": 2})
	zero := 0.0
	nan := zero / zero
	p.Values[kpi.Key{KPI: "on_time_rate", Scope: kpi.National, Period: "month"}].Value = &nan
	f.hub.publish(p)
	if d := c.frame(kindDelta); len(d.Values) != 1 {
		t.Errorf("the delta has %d values, want the one with JSON", len(d.Values))
	}
	if f.metric("ioc_stream_encode_failures_total") != 1 {
		t.Error("the failure is not counted")
	}
}
