// Package faultproxy is a TCP proxy for tests that fails on command: it cuts, stalls, slows and refuses connections,
// and loses answers. For ClickHouse's native protocol it knows the steps of a statement, so that a fault can strike
// exactly between the rows of an insert and its acknowledgement. It is for tests only.
//
// Towards the server a connection always ends in order (FIN), whatever its client sees, unless the fault is [Abort]:
// the embedded engine takes a reset of a native connection as a reason to abort, which a server does not.
package faultproxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// dialTimeout bounds connecting to the server.
const dialTimeout = 5 * time.Second

// listenTimeout bounds taking the port again after Refuse.
const listenTimeout = 10 * time.Second

// Proxy forwards connections to one server, and does to them what it is told. Its methods may be called from any
// goroutine.
type Proxy struct {
	tb       testing.TB
	addr     string
	upstream func() string
	group    sync.WaitGroup
	ctx      context.Context
	cancel   context.CancelFunc

	mu       sync.Mutex
	listener net.Listener // nil while connections are refused
	links    map[*link]bool
	faults   []*armed
	gate     chan struct{} // closed while bytes may pass
	released chan struct{} // closed by Release, then another
	limit    *rate.Limiter // nil without a limit
}

// Start runs a proxy on a free loopback port until the test ends. upstream gives the server's address for each
// connection.
func Start(tb testing.TB, upstream func() string) *Proxy {
	tb.Helper()
	p := &Proxy{tb: tb, upstream: upstream, links: map[*link]bool{}, gate: make(chan struct{}), released: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	close(p.gate)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("faultproxy: %v", err)
	}
	p.addr = listener.Addr().String()
	p.serve(listener)
	tb.Cleanup(p.Close)
	return p
}

// Addr is the address, host:port, that clients connect to. It stays while connections are refused.
func (p *Proxy) Addr() string { return p.addr }

// Close ends every connection and the proxy. It may be called more than once.
func (p *Proxy) Close() {
	p.cancel()
	p.mu.Lock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	for l := range p.links {
		l.close()
	}
	p.mu.Unlock()
	p.group.Wait()
}

// Refuse closes the port: whoever connects is refused, as with a server that is down. Connections that exist stay.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
}

// Accept opens the port again after Refuse.
func (p *Proxy) Accept() {
	p.mu.Lock()
	open := p.listener != nil
	p.mu.Unlock()
	if open {
		return
	}
	for deadline := time.Now().Add(listenTimeout); ; time.Sleep(10 * time.Millisecond) {
		listener, err := net.Listen("tcp", p.addr)
		if err == nil {
			p.serve(listener)
			return
		}
		if time.Now().After(deadline) { // another process took the port for an outgoing connection
			p.tb.Errorf("faultproxy: listening again: %v", err)
			return
		}
	}
}

// Cut ends every connection that exists, as the action does.
func (p *Proxy) Cut(action Action) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.cut(action)
	}
}

// Stall holds all bytes of all connections, in both directions, until Resume. Connections are still accepted.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
		p.gate = make(chan struct{})
	default:
	}
}

// Resume lets the bytes that Stall holds pass, also those of clients that have given up meanwhile.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

// Limit lets clients together send at most so many bytes a second; 0 removes the limit.
func (p *Proxy) Limit(bytesPerSecond int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = nil
	if bytesPerSecond > 0 {
		p.limit = rate.NewLimiter(rate.Limit(bytesPerSecond), max(bytesPerSecond/20, 1024))
	}
}

// Add arms a fault. The channel is closed when it has struck.
func (p *Proxy) Add(f Fault) (struck <-chan struct{}) {
	a := &armed{Fault: f, struck: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, a)
	return a.struck
}

// Clear disarms every fault that has not struck, and releases those that stall.
func (p *Proxy) Clear() {
	p.mu.Lock()
	p.faults = nil
	p.mu.Unlock()
	p.Release()
}

// Release ends the stalls of faults: what they hold is forwarded.
func (p *Proxy) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.released)
	p.released = make(chan struct{})
}

// Links is how many connections exist.
func (p *Proxy) Links() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

func (p *Proxy) serve(listener net.Listener) {
	p.mu.Lock()
	p.listener = listener
	p.mu.Unlock()
	p.group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					p.tb.Errorf("faultproxy: accepting: %v", err)
				}
				return
			}
			p.group.Go(func() { p.connect(conn.(*net.TCPConn)) })
		}
	})
}

// connect forwards one connection until both of its directions have ended.
func (p *Proxy) connect(client *net.TCPConn) {
	if f := p.take(Dial, nil); f != nil {
		if !f.passes(p) {
			_ = client.SetLinger(0)
			_ = client.Close()
			return
		}
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	server, err := dialer.DialContext(p.ctx, "tcp", p.upstream())
	if err != nil { // the server is down: its clients see a connection that ends at once
		_ = client.SetLinger(0)
		_ = client.Close()
		return
	}
	l := &link{proxy: p, client: client, server: server.(*net.TCPConn)}
	p.mu.Lock()
	p.links[l] = true
	closed := p.ctx.Err() != nil
	p.mu.Unlock()
	if closed {
		l.close()
	}
	var directions sync.WaitGroup
	directions.Go(func() { l.pump(up) })
	directions.Go(func() { l.pump(down) })
	directions.Wait()
	l.close()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// take gives the fault that strikes at the step, if there is one, and disarms it.
func (p *Proxy) take(step Step, statement []byte) *armed {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, f := range p.faults {
		if !f.suits(step, statement) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		p.faults = append(p.faults[:i:i], p.faults[i+1:]...)
		return f
	}
	return nil
}

// count gives as much of the chunk as may pass before the next fault that counts bytes of its direction.
func (p *Proxy) count(d direction, chunk []byte) ([]byte, *armed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, f := range p.faults {
		if f.Step != [...]Step{Up, Down}[d] {
			continue
		}
		if f.After <= int64(len(chunk)) {
			p.faults = append(p.faults[:i:i], p.faults[i+1:]...)
			return chunk[:f.After], f
		}
		f.After -= int64(len(chunk))
		break
	}
	return chunk, nil
}

// wait returns when bytes may pass: neither stalled nor over the limit. It returns false when the proxy ends.
func (p *Proxy) wait(d direction, n int) bool {
	p.mu.Lock()
	gate, limit := p.gate, p.limit
	p.mu.Unlock()
	select {
	case <-gate:
	case <-p.ctx.Done():
		return false
	}
	for limit != nil && d == up && n > 0 {
		part := min(n, limit.Burst())
		if limit.WaitN(p.ctx, part) != nil {
			return false
		}
		n -= part
	}
	return true
}
