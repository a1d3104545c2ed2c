package faultproxy

import (
	"net"
	"sync"
	"sync/atomic"
)

// direction is up, to the server, or down, to the client.
type direction int

const (
	up direction = iota
	down
)

// chunkBytes is how much is read at a time.
const chunkBytes = 64 << 10

// link is one connection of a client and the one to the server that belongs to it.
type link struct {
	proxy          *Proxy
	client, server *net.TCPConn
	// dead is set when the link has been cut: what still arrives is thrown away.
	dead atomic.Bool

	mu     sync.Mutex
	native native
}

// close ends both sides at once.
func (l *link) close() {
	l.dead.Store(true)
	_ = l.client.Close()
	_ = l.server.Close()
}

// cut ends the link as the action says. What arrives afterwards is read and thrown away, since closing a connection
// with unread bytes would reset it.
func (l *link) cut(action Action) {
	l.dead.Store(true)
	switch action {
	case Abort:
		_ = l.server.SetLinger(0)
		_ = l.server.Close()
		fallthrough
	case Reset:
		_ = l.client.SetLinger(0)
		_ = l.client.Close()
	default:
		_ = l.client.CloseWrite()
	}
	_ = l.server.CloseWrite()
}

// pump forwards one direction until its source ends.
func (l *link) pump(d direction) {
	from := l.client
	if d == down {
		from = l.server
	}
	chunk := make([]byte, chunkBytes)
	for {
		n, err := from.Read(chunk)
		if n > 0 && !l.dead.Load() && l.proxy.wait(d, n) {
			l.forward(d, chunk[:n])
		}
		if err != nil {
			l.ended(d)
			return
		}
	}
}

// ended passes the end of a direction on, in order, also where it was a reset.
func (l *link) ended(d direction) {
	if d == up {
		if !l.dead.Load() && l.proxy.wait(up, 0) {
			_ = l.server.CloseWrite()
		}
		return
	}
	if fault := l.abandoned(); fault != nil {
		l.strike(fault)
	}
	if !l.dead.Load() && l.proxy.wait(down, 0) {
		_ = l.client.CloseWrite()
	}
	_ = l.client.CloseRead() // the server takes nothing any more, so its client need not go on
}

// forward passes a chunk on, piece by piece where faults strike in between.
func (l *link) forward(d direction, chunk []byte) {
	for len(chunk) > 0 && !l.dead.Load() {
		piece, fault := l.proxy.count(d, chunk)
		chunk = chunk[len(piece):]
		l.follow(d, piece)
		if fault != nil && !l.strike(fault) {
			return
		}
	}
}

// follow passes a piece on, with what faults of the native protocol's steps do to it.
func (l *link) follow(d direction, piece []byte) {
	for len(piece) > 0 && !l.dead.Load() {
		var before, after []byte
		var fault *armed
		if d == up {
			before, fault, after = l.fromClient(piece)
		} else {
			before, fault, after = l.fromServer(piece)
		}
		if len(before) > 0 && !l.write(d, before) {
			return
		}
		if fault != nil && !l.strike(fault) {
			return
		}
		piece = after
	}
}

// write forwards bytes. A client that has given up is no obstacle: the server is still to get what it had sent.
func (l *link) write(d direction, bytes []byte) bool {
	if d == down {
		_, _ = l.client.Write(bytes)
		return true
	}
	_, err := l.server.Write(bytes)
	return err == nil
}

// strike lets a fault happen. It returns true when the link goes on.
func (l *link) strike(fault *armed) bool {
	if fault.passes(l.proxy) {
		return true
	}
	if fault.Action == Fail {
		_, _ = l.client.Write(exception(fault.Code))
	}
	l.cut(fault.Action)
	return false
}
