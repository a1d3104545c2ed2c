package ingest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// errCut is what a connection that the simulation cuts says.
var errCut = errors.New("simulated: connection reset by peer")

// cutRule is what befalls one request of a process.
type cutRule struct {
	// key is the kind of request.
	key int16
	// skip is how many of the kind go through before.
	skip int
	// stall holds the request up.
	stall time.Duration
	// cut cuts the connection then; deliver lets the broker have the request before, so that only its answer is lost.
	cut, deliver bool
	// crash kills the process instead of cutting the connection.
	crash bool
}

// String says it for the log.
func (r cutRule) String() string {
	text := "nothing"
	switch {
	case r.crash && r.deliver:
		text = "killed after it is sent"
	case r.crash:
		text = "killed before it is sent"
	case r.cut && r.deliver:
		text = "its answer is lost"
	case r.cut:
		text = "lost"
	}
	if r.stall > 0 {
		text = fmt.Sprintf("held up for %v, then %s", r.stall, text)
	}
	return fmt.Sprintf("%s (after %d others)", text, r.skip)
}

// simConn is a connection of one process. It reads along in what the process writes to tell requests apart.
type simConn struct {
	net.Conn
	proc    *simProcess
	address string

	frame  []byte // a request that is not written whole yet
	once   sync.Once
	closed chan struct{}
}

// dial connects a process to a broker.
func (p *simProcess) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if !p.gate(nil) || p.world.unreachable(address) {
		return nil, errCut
	}
	inner, err := p.world.network.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		_ = inner.Close()
		return nil, errCut
	}
	c := &simConn{Conn: inner, proc: p, address: address, closed: make(chan struct{})}
	p.conns[c] = struct{}{}
	return c, nil
}

// Close implements net.Conn.
func (c *simConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.proc.mu.Lock()
		delete(c.proc.conns, c)
		c.proc.mu.Unlock()
	})
	return c.Conn.Close()
}

// Read implements net.Conn. A frozen process does not see what has arrived.
func (c *simConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if !c.proc.gate(c.closed) {
		return 0, errCut
	}
	return n, err
}

// Write implements net.Conn. It sends request by request, each when it is whole.
func (c *simConn) Write(b []byte) (int, error) {
	c.frame = append(c.frame, b...)
	for len(c.frame) >= 4 {
		size := 4 + int(binary.BigEndian.Uint32(c.frame))
		if len(c.frame) < size {
			break
		}
		if err := c.send(c.frame[:size]); err != nil {
			return 0, err
		}
		c.frame = c.frame[:copy(c.frame, c.frame[size:])]
	}
	return len(b), nil
}

// send decides what becomes of a request, and takes the time that it takes.
func (c *simConn) send(frame []byte) error {
	p := c.proc
	r := p.world.readRequest(frame)
	if r.key == int16(kmsg.JoinGroup) {
		p.name(frame)
	}
	if !p.gate(c.closed) || !c.pause(p.latency(r.String())) {
		return errCut
	}
	rule, found := p.rule(r.key)
	if found {
		if !c.pause(rule.stall) {
			return errCut
		}
		p.world.note("process %d: %s: %v", p.id, r, rule)
		if rule.cut && !rule.deliver {
			p.hit(c, rule)
			return errCut
		}
	}
	if _, err := c.Conn.Write(frame); err != nil {
		return err
	}
	if found && rule.cut {
		p.hit(c, rule)
	}
	return nil
}

// hit kills the process or cuts the connection.
func (p *simProcess) hit(c *simConn, rule cutRule) {
	if rule.crash {
		p.crash()
		return
	}
	_ = c.Close()
}

// simRequest is what a request is about, as far as it does not depend on chance.
type simRequest struct {
	key   int16
	about string
}

// String names the kind of the request and what it is about.
func (r simRequest) String() string { return kmsg.Key(r.key).Name() + r.about }

// name puts the number of the process into the client id of a request. Brokers make member ids of it, and partitions are
// given out in the order of member ids, which would be by chance otherwise.
func (p *simProcess) name(frame []byte) {
	const at, digits = 4 + 2 + 2 + 4 + 2, 3 // after size, kind, version, correlation and the length of the client id
	if end := at + len(clientID); len(frame) > end && string(frame[at:end]) == clientID {
		copy(frame[end-digits:], fmt.Sprintf("%0*d", digits, p.id))
	}
}

// readRequest reads a request.
func (w *simWorld) readRequest(frame []byte) simRequest {
	reader := kbin.Reader{Src: frame[4:]}
	r := simRequest{key: reader.Int16()}
	version := reader.Int16()
	reader.Int32() // correlation
	reader.NullableString()
	request := kmsg.RequestForKey(r.key)
	request.SetVersion(version)
	if request.IsFlexible() {
		kmsg.SkipTags(&reader)
	}
	switch r.key {
	case int16(kmsg.Fetch), int16(kmsg.OffsetCommit), int16(kmsg.OffsetFetch), int16(kmsg.ListOffsets):
	default:
		return r
	}
	if err := request.ReadFrom(reader.Src); err != nil {
		return r
	}
	switch request := request.(type) {
	case *kmsg.FetchRequest:
		for _, t := range request.Topics {
			r.about += " " + t.Topic + w.topics[t.TopicID]
			for _, p := range t.Partitions {
				r.about += fmt.Sprintf("/%d from %d", p.Partition, p.FetchOffset)
			}
		}
	case *kmsg.OffsetCommitRequest:
		for _, t := range request.Topics {
			for _, p := range t.Partitions {
				r.about += fmt.Sprintf(" %s/%d to %d", t.Topic, p.Partition, p.Offset)
			}
		}
	case *kmsg.OffsetFetchRequest:
		for _, t := range request.Topics {
			r.about += fmt.Sprintf(" %s/%v", t.Topic, t.Partitions)
		}
	case *kmsg.ListOffsetsRequest:
		for _, t := range request.Topics {
			for _, p := range t.Partitions {
				r.about += fmt.Sprintf(" %s/%d", t.Topic, p.Partition)
			}
		}
	}
	return r
}

// pause waits, or returns false when the connection is closed first.
func (c *simConn) pause(d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.closed:
		return false
	}
}
