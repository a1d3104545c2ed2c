package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"ioc.local/internal/access"
)

const (
	// maxMessageBytes is the largest message that a client may send.
	maxMessageBytes = 4 << 10
	// messageRate and messageBurst are how many messages and pings a second, and at once, a client may send.
	messageRate  = 10
	messageBurst = 100
	// closeTimeout is how long the server waits for the other side of the closing handshake.
	closeTimeout = time.Second
)

// conn is one client. The goroutine of its HTTP request reads, another one writes.
type conn struct {
	hub       *Hub
	ws        *websocket.Conn
	principal access.Principal
	out       *outbox
	limiter   *rate.Limiter
	readEnded chan struct{}

	watching map[*channel]struct{} // guarded by the hub's lock
}

// message is what a client sends.
type message struct {
	Type   string  `json:"type"`
	Board  string  `json:"board"`
	Scope  string  `json:"scope"`
	Resume *resume `json:"resume"`
}

type resume struct {
	Epoch  string `json:"epoch"`
	Offset uint64 `json:"offset"`
}

// serve runs the connection until both sides have ended it.
func (c *conn) serve() {
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write()
	}()
	c.read()
	if c.out.finish(&closing{}) {
		c.cut() // the client has ended it, so a write in progress has nobody to go to
	}
	close(c.readEnded)
	<-written
	_ = c.ws.Close()
}

// read takes messages until the connection breaks. After the server has decided to
// end it, what comes is thrown away: closing with unread bytes would reset
// the connection, and the client might never see the close code.
func (c *conn) read() {
	extend := func(string) error { return c.ws.SetReadDeadline(time.Now().Add(c.hub.cfg.PongTimeout)) }
	_ = extend("")
	c.ws.SetPongHandler(extend)
	answer := c.ws.PingHandler()
	c.ws.SetPingHandler(func(data string) error {
		if !c.limiter.Allow() {
			c.fail(CodeTooManyMessages, "too_many_messages", "more than %d messages and pings a second", messageRate)
			return nil
		}
		return answer(data)
	})
	for {
		kind, r, err := c.ws.NextReader()
		var content []byte
		if err == nil {
			content, err = io.ReadAll(io.LimitReader(r, maxMessageBytes+1))
		}
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				c.out.finish(&closing{code: CodeNoPong})
				_ = c.ws.SetReadDeadline(time.Time{})
				_, _ = io.Copy(io.Discard, c.ws.NetConn()) // until either side breaks it, which the writer does in time
			}
			return
		}
		switch {
		case !c.limiter.Allow():
			c.fail(CodeTooManyMessages, "too_many_messages", "more than %d messages and pings a second", messageRate)
		case len(content) > maxMessageBytes:
			c.fail(CodeMessageTooBig, "message_too_big", "a message may have %d bytes", maxMessageBytes)
		case kind != websocket.TextMessage:
			c.fail(CodeBadMessage, "bad_message", "messages must be text")
		default:
			c.handle(content)
		}
	}
}

func (c *conn) handle(content []byte) {
	var m message
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		c.fail(CodeBadMessage, "bad_message", "%s", jsonDetail(err))
		return
	}
	if decoder.More() {
		c.fail(CodeBadMessage, "bad_message", "a message must be one JSON object")
		return
	}
	switch m.Type {
	case "subscribe":
		c.hub.subscribe(c, m)
	case "unsubscribe":
		c.hub.unsubscribe(c, m)
	default:
		c.fail(CodeBadMessage, "bad_message", "there is no message of type %.40q", m.Type)
	}
}

// jsonDetail is what a client may know of its mistake; the decoder's own words name Go types.
func jsonDetail(err error) string {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		if wrong.Field == "" {
			return "a message must be a JSON object"
		}
		return fmt.Sprintf("%s must not be a %s", wrong.Field, wrong.Value)
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "a message must be JSON"
	}
	return "a message has only the members type, board, scope and resume"
}

// reject answers a message that cannot be done; the connection goes on.
func (c *conn) reject(m message, code, format string, args ...any) {
	c.hub.push(c, item{frame: plainFrame(kindError, errorMessage{
		Type: kindError, Code: code, Detail: fmt.Sprintf(format, args...), Board: m.Board, Scope: m.Scope,
	})})
}

// fail ends the connection with an error frame and a close code.
func (c *conn) fail(code int, name, format string, args ...any) {
	c.out.finish(&closing{code: code, last: plainFrame(kindError, errorMessage{
		Type: kindError, Code: name, Detail: fmt.Sprintf(format, args...), Fatal: true,
	})})
}

// write sends what is in line until the connection ends.
func (c *conn) write() {
	for {
		next, end, ok := c.out.take()
		switch {
		case !ok:
			<-c.out.wake
		case end != nil:
			c.close(end)
			return
		default:
			if err := c.send(next); err != nil {
				var timeout net.Error
				if errors.As(err, &timeout) && timeout.Timeout() {
					c.hub.dropped(CodeSlow)
				}
				c.cut()
				return
			}
		}
	}
}

// send writes one frame. A write that took too long, but came to an end, closes the
// connection in a way that the client can see.
func (c *conn) send(next item) error {
	f := next.frame
	if f == nil {
		var err error
		if f, err = next.channel.encodeDelta(next.delta); err != nil {
			c.out.finish(&closing{code: CodeInternal})
			return nil
		}
	}
	start := time.Now()
	deadline := start.Add(2 * c.hub.cfg.StallTimeout)
	if f.kind == kindPing {
		if err := c.ws.WriteControl(websocket.PingMessage, nil, deadline); err != nil {
			return err
		}
	} else {
		_ = c.ws.SetWriteDeadline(deadline)
		if err := c.ws.WritePreparedMessage(f.message); err != nil {
			return err
		}
	}
	c.hub.sent[f.kind].Inc()
	if f.kind == kindDelta && !next.replayed {
		c.hub.metrics.latency.Observe(time.Since(f.published).Seconds())
	}
	if time.Since(start) > c.hub.cfg.StallTimeout {
		c.out.finish(&closing{code: CodeSlow})
	}
	return nil
}

// close says good-bye and waits, for a while, until the client has too.
func (c *conn) close(end *closing) {
	if end.code == 0 {
		return
	}
	c.hub.dropped(end.code)
	deadline := time.Now().Add(closeTimeout)
	if end.last != nil {
		_ = c.ws.SetWriteDeadline(deadline)
		if err := c.ws.WritePreparedMessage(end.last.message); err != nil {
			c.cut()
			return
		}
		c.hub.sent[kindError].Inc()
	}
	content := websocket.FormatCloseMessage(end.code, reasons[end.code])
	if err := c.ws.WriteControl(websocket.CloseMessage, content, deadline); err == nil {
		timer := time.NewTimer(closeTimeout)
		defer timer.Stop()
		select {
		case <-c.readEnded:
		case <-timer.C:
		}
	}
	c.cut()
}

// cut breaks the connection, which also ends whoever reads from it or writes to it.
func (c *conn) cut() { _ = c.ws.NetConn().Close() }
