package stream

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"ioc.local/internal/access"
)

const (
	// bufferBytes is the size of the buffers of a connection. Frames of any size go
	// through; small buffers keep the thousands of connections that only listen small.
	bufferBytes = 1 << 10
	// handshakeTimeout bounds the write of the answer to the upgrade.
	handshakeTimeout = 5 * time.Second
)

// ServeHTTP upgrades a request to the live feed and returns when the connection has ended.
// The request's context must carry an access.Principal.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	principal, ok := access.From(r.Context())
	if !ok {
		h.refuse(w, http.StatusUnauthorized, "unauthorized", "the feed needs to know who asks")
		return
	}
	if !h.admit() {
		w.Header().Set("Retry-After", "5")
		h.refuse(w, http.StatusServiceUnavailable, "busy", "there are too many connections, or the server is stopping")
		return
	}
	defer h.release()
	ws, err := h.upgrader().Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	c := &conn{
		hub: h, ws: ws, principal: principal, out: newOutbox(h.cfg.QueueFrames),
		limiter:   rate.NewLimiter(messageRate, messageBurst),
		readEnded: make(chan struct{}), watching: make(map[*channel]struct{}),
	}
	h.join(c)
	defer h.part(c)
	c.serve()
}

func (h *Hub) upgrader() *websocket.Upgrader {
	return &websocket.Upgrader{
		HandshakeTimeout: handshakeTimeout,
		ReadBufferSize:   bufferBytes,
		WriteBufferSize:  bufferBytes,
		WriteBufferPool:  &h.buffers,
		Subprotocols:     []string{access.Protocol}, // never the one with the key
		CheckOrigin:      h.allowedOrigin,
		Error: func(w http.ResponseWriter, _ *http.Request, status int, _ error) {
			switch status {
			case http.StatusForbidden:
				h.refuse(w, status, "origin", "pages of this origin may not connect")
			case http.StatusBadRequest:
				w.Header().Set("Sec-WebSocket-Version", "13")
				h.refuse(w, status, "upgrade", "this is a websocket: connect with a websocket client, version 13")
			default:
				h.refuse(w, status, "upgrade", "the connection cannot be upgraded")
			}
		},
	}
}

// allowedOrigin tells whether a request comes from no page at all, from a page of
// this host or from one of an allowed origin.
func (h *Hub) allowedOrigin(r *http.Request) bool {
	origins := r.Header["Origin"]
	if len(origins) == 0 {
		return true
	}
	if len(origins) > 1 {
		return false
	}
	u, err := url.Parse(origins[0])
	if err != nil || u.Host == "" {
		return false
	}
	return strings.EqualFold(u.Host, r.Host) ||
		slices.ContainsFunc(h.cfg.Origins, func(o string) bool { return strings.EqualFold(o, origins[0]) })
}

// refuse answers with a problem document (RFC 9457).
func (h *Hub) refuse(w http.ResponseWriter, status int, code, detail string) {
	h.metrics.refused.WithLabelValues(strconv.Itoa(status)).Inc()
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // the client may be gone
		"type": "urn:ioc:problem:" + code, "title": http.StatusText(status), "status": status, "detail": detail,
	})
}

// admit counts a request in, unless there is no room or the hub is stopping.
func (h *Hub) admit() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closing || h.admitted >= h.cfg.MaxConnections {
		return false
	}
	h.admitted++
	h.open.Add(1)
	return true
}

func (h *Hub) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.admitted--
	h.open.Done()
}

// join greets a client.
func (h *Hub) join(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[c] = struct{}{}
	h.metrics.connections.Inc()
	if h.closing {
		c.out.finish(&closing{code: CodeRestarting})
		return
	}
	c.out.replace(plainFrame(kindHello, helloMessage{
		Type: kindHello, Protocol: 1, Epoch: h.epoch,
		HeartbeatMS: h.cfg.Heartbeat.Milliseconds(), ServerTime: stampOf(time.Now()),
	}))
	if len(h.late) > 0 {
		c.out.replace(h.lateFrame())
	}
	h.check(c) // what changed since the request was let in, and before it was among the connections
}

// part forgets a client.
func (h *Hub) part(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range c.watching {
		h.leave(c, ch)
	}
	delete(h.conns, c)
	h.metrics.connections.Dec()
}
