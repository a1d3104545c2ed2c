package stream

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"ioc.local/query/kpi"
)

// large is a publication with one value of about n bytes.
func large(number uint64, bytes int) *kpi.Publication {
	p := publication(number, map[string]int64{"dossiers_received/national/today": int64(number)})
	for _, a := range p.Values {
		a.Notes = []kpi.Note{{Code: strings.Repeat("x", bytes)}}
	}
	return p
}

// stalled is a client that subscribes and reads nothing until told so.
func (f *feed) stalled() net.Conn {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.server.Listener.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		f.t.Fatal(err)
	}
	_, err = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	if err != nil {
		f.t.Fatal(err)
	}
	r := bufio.NewReaderSize(conn, 16)
	if response, err := http.ReadResponse(r, nil); err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		f.t.Fatalf("upgrading: %v %v", response, err)
	}
	// A masked text frame; with a mask of zeros the payload stays as it is.
	frame := append([]byte{0x81, 0x80 | byte(len(subscribeNational)), 0, 0, 0, 0}, subscribeNational...)
	if _, err := conn.Write(frame); err != nil {
		f.t.Fatal(err)
	}
	return conn
}

func (f *feed) watchers() int {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	n := 0
	for _, ch := range f.hub.channels {
		n += len(ch.watchers)
	}
	return n
}

// TestStalledClient has one client that never reads among others that do. The others get
// every delta, unconflated; the stalled one is conflated, then cut.
func TestStalledClient(t *testing.T) {
	cfg := smallConfig()
	cfg.StallTimeout = time.Second
	f := newFeed(t, cfg, nil)
	stalled := f.stalled()
	defer func() { _ = stalled.Close() }()
	healthy := []*client{f.dial(nil), f.dial(nil), f.dial(nil)}
	for _, c := range healthy {
		defer c.close()
		c.frame(kindHello)
		c.send(subscribeNational)
		c.frame(kindSnapshot)
	}
	eventually(t, "all to watch", func() bool { return f.watchers() == 4 })
	number := uint64(0)
	publish := func() {
		number++
		f.hub.publish(large(number, 64<<10))
		for i, c := range healthy {
			if d := c.frame(kindDelta); d.Conflated || !strings.Contains(string(d.Values[0]), fmt.Sprintf(`"numerator":%d,`, number)) {
				t.Fatalf("client %d got conflated %v at publication %d", i, d.Conflated, number)
			}
		}
	}
	eventually(t, "the stalled client to be conflated", func() bool {
		publish()
		return f.metric("ioc_stream_conflated_total") > 0
	})
	eventually(t, "the stalled client to be cut", func() bool {
		publish()
		return f.metric("ioc_stream_connections") == 3
	})
	if got := f.metric("ioc_stream_dropped_total", "code=4001"); got != 1 {
		t.Errorf("%v dropped as too slow, want 1", got)
	}
	publish()
}

// TestStalledClientAndShutdown: a client that never reads keeps the server no longer than ShutdownTimeout.
func TestStalledClientAndShutdown(t *testing.T) {
	cfg := smallConfig()
	cfg.StallTimeout = time.Hour
	cfg.ShutdownTimeout = 50 * time.Millisecond
	f := newFeed(t, cfg, nil)
	stalled := f.stalled()
	defer func() { _ = stalled.Close() }()
	eventually(t, "it to watch", func() bool { return f.watchers() == 1 })
	f.hub.publish(large(1, 16<<20)) // more than the kernel holds
	eventually(t, "the write to be under way", func() bool {
		for _, c := range f.conns() {
			if next, _, ok := peek(c.out); !ok && next == 0 && f.metric("ioc_stream_frames_sent_total", "type=snapshot") == 1 {
				return true
			}
		}
		return false
	})
	start := time.Now()
	f.stop()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

func (f *feed) conns() []*conn {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	var list []*conn
	for c := range f.hub.conns {
		list = append(list, c)
	}
	return list
}

func peek(o *outbox) (waiting int, closing, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.items), o.closing != nil, len(o.items) > 0
}

// TestSlowClientGetsCode: a client that comes back to life in the middle of a write is told why it has to go.
func TestSlowClientGetsCode(t *testing.T) {
	cfg := smallConfig()
	cfg.StallTimeout = time.Second
	f := newFeed(t, cfg, nil)
	c := f.dial(nil)
	defer c.close()
	c.frame(kindHello)
	c.send(subscribeNational)
	c.frame(kindSnapshot)
	f.hub.publish(large(1, 16<<20))
	<-time.After(cfg.StallTimeout * 14 / 10) // what is tested is the passing of this time
	if code := c.closed(); code != CodeSlow {
		t.Errorf("closed with %d, want %d", code, CodeSlow)
	}
}

func TestConflation(t *testing.T) {
	board := &testBoards[0]
	a, b := &channel{board: board, scope: "a"}, &channel{board: board, scope: "b"}
	d := func(offset uint64, values ...string) *delta {
		d := &delta{offset: offset}
		for _, v := range values {
			var raw []byte
			if v != "" {
				raw = []byte(v)
			}
			d.values = append(d.values, raw)
		}
		return d
	}
	snapshot := &frame{kind: kindSnapshot}
	o := newOutbox(6)
	o.push(item{frame: snapshot, channel: a})
	o.push(item{channel: a, delta: d(1, "x1", "", "")})
	o.push(item{channel: b, delta: d(1, "", "", "z1")})
	o.push(item{channel: a, delta: d(2, "", "y2", "")})
	o.push(item{channel: a, delta: d(3, "x3", "", "")})
	o.push(item{channel: b, delta: d(2, "", "", "z2")})
	if merged := o.push(item{channel: a, delta: d(4, "", "", "z4")}); merged != 3 {
		t.Errorf("merged %d, want 3", merged)
	}
	var got []string
	for {
		next, _, ok := o.take()
		if !ok {
			break
		}
		if next.delta == nil {
			got = append(got, next.frame.kind)
			continue
		}
		got = append(got, fmt.Sprintf("%s %d %v %s", next.channel.scope, next.delta.offset, next.delta.conflated, next.delta.values))
	}
	want := "snapshot|a 3 true [x3 y2 ]|b 2 true [  z2]|a 4 false [  z4]"
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
}

func TestOutboxOverflow(t *testing.T) {
	o := newOutbox(2)
	for range 3 {
		o.push(item{frame: &frame{kind: kindError}})
	}
	if _, end, _ := o.take(); end == nil || end.code != CodeSlow {
		t.Errorf("an outbox full of answers ends with %+v, want code %d", end, CodeSlow)
	}
}
