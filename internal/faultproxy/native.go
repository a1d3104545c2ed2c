package faultproxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/ClickHouse/ch-go/proto"
)

// The first bytes of a client's packets.
const (
	packetQuery = 1
	packetData  = 2
)

// endMarks are the empty block that ends a statement, and the rows of an insert, as clickhouse-go and ch-go write it. They
// are of the same length.
var endMarks = [...][]byte{{packetData, 0, 1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0}, {packetData, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0}}

const endLength = 12

// revision is the revision of the protocol that both clients speak at most; servers that tests use know it.
const revision = 54460

// maxStatement bounds what is remembered of a statement.
const maxStatement = 64 << 10

// phase is where a connection of the native protocol stands.
type phase int

const (
	greeting    phase = iota // the server has said nothing yet
	idle                     // no statement, or its answer is on its way
	querying                 // a statement is being sent
	ready                    // the server has sent the header of an insert
	sending                  // the rows of an insert are being sent
	sent                     // an insert has been sent to its end
	withholding              // its answer is kept back
)

// native follows the native protocol as far as steps need it: clients and server take turns, and an empty block ends
// what a client has to say.
type native struct {
	phase     phase
	statement []byte
	tail      []byte // the last bytes from the client, as many as an end mark has
	fault     *armed // what strikes within the step under way
	left      int64  // how many bytes before
	ended     bool   // the step End has been
	answer    []byte // what is kept back
}

// take is Proxy.take for a step of the statement under way.
func (l *link) take(step Step) *armed { return l.proxy.take(step, l.native.statement) }

// fromClient says what to do with a chunk from the client: forward before, strike, and go on with after.
func (l *link) fromClient(chunk []byte) (before []byte, fault *armed, after []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := &l.native
	switch n.phase {
	case greeting:
		if fault := l.take(Greeting); fault != nil {
			return nil, fault, chunk
		}
		return chunk, nil, nil
	case ready:
		if chunk[0] == packetData {
			n.phase, n.ended, n.tail = sending, false, nil
			n.enter(l.take(Data))
			return l.rows(chunk)
		}
		n.phase = idle // it was no insert of rows after all, or the server has refused it
	case sending:
		return l.rows(chunk)
	case sent, withholding:
		return chunk, nil, nil
	}
	if n.phase == idle {
		if chunk[0] != packetQuery { // the addendum to the greeting, a ping, a cancellation
			rest := bytes.IndexByte(chunk, packetQuery)
			if chunk[0] != 0 || rest != 1 {
				return chunk, nil, nil
			}
			return chunk[:1], nil, chunk[1:]
		}
		n.phase, n.tail = querying, nil
		n.statement = append(n.statement[:0], chunk[:min(len(chunk), maxStatement)]...)
		n.enter(l.take(Query))
	} else if len(n.statement) < maxStatement {
		n.statement = append(n.statement, chunk...)
	}
	_, mark := n.end(chunk)
	switch {
	case n.fault == nil:
		return chunk, nil, nil
	case n.left <= int64(len(chunk)):
		before, after = chunk[:n.left], chunk[n.left:]
	case mark != nil:
		before = chunk
	default:
		n.left -= int64(len(chunk))
		return chunk, nil, nil
	}
	fault, n.fault = n.fault, nil
	return before, fault, after
}

// enter begins a step.
func (n *native) enter(fault *armed) {
	n.fault = fault
	if fault != nil {
		n.left = fault.After
	}
}

// end splits the mark off that ends what the client has to say, if the chunk brings it.
func (n *native) end(chunk []byte) (body, mark []byte) {
	last := append(n.tail, chunk[max(0, len(chunk)-endLength):]...)
	last = last[max(0, len(last)-endLength):]
	if bytes.Equal(last, endMarks[0]) || bytes.Equal(last, endMarks[1]) {
		at := max(0, len(chunk)-endLength)
		return chunk[:at], chunk[at:]
	}
	n.tail = bytes.Clone(last)
	return chunk, nil
}

// rows says what to do with rows of an insert.
func (l *link) rows(chunk []byte) (before []byte, fault *armed, after []byte) {
	n := &l.native
	known := n.tail
	body, mark := n.end(chunk)
	if n.fault != nil {
		if n.left > int64(len(body)) && mark == nil {
			n.left -= int64(len(body))
			return chunk, nil, nil
		}
		at := min(n.left, int64(len(body)))
		n.tail = known
		n.end(chunk[:at])
		fault, n.fault = n.fault, nil
		return chunk[:at], fault, chunk[at:]
	}
	if mark == nil {
		return chunk, nil, nil
	}
	if !n.ended {
		n.ended = true
		if fault := l.take(End); fault != nil {
			n.tail = known
			n.end(body)
			return body, fault, mark
		}
	}
	n.phase = sent
	return chunk, l.take(Sent), nil
}

// fromServer is fromClient for the other direction.
func (l *link) fromServer(chunk []byte) (before []byte, fault *armed, after []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := &l.native
	switch n.phase {
	case greeting:
		n.phase = idle
	case querying:
		if bytes.Contains(n.statement, []byte("INSERT INTO")) {
			n.phase = ready
			return chunk, nil, nil
		}
		n.phase = idle
		if fault := l.take(Answer); fault != nil {
			return nil, fault, chunk
		}
	case sent:
		n.enter(l.take(Answer))
		if n.phase = idle; n.fault != nil {
			n.phase, n.answer = withholding, nil
			return l.withhold(chunk)
		}
	case withholding:
		return l.withhold(chunk)
	}
	return chunk, nil, nil
}

// withhold keeps the answer of an insert back until it is complete.
func (l *link) withhold(chunk []byte) (before []byte, fault *armed, after []byte) {
	n := &l.native
	n.answer = append(n.answer, chunk...)
	if complete, err := answered(n.answer); !complete && err == nil {
		return nil, nil, nil
	} else if err != nil {
		l.proxy.tb.Errorf("faultproxy: reading the answer of an insert: %v", err)
	}
	n.phase = idle
	fault, n.fault = n.fault, nil
	return nil, fault, n.answer
}

// abandoned is the fault that waited for an answer which does not come any more, since the server is gone.
func (l *link) abandoned() (fault *armed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.native.phase == withholding {
		fault, l.native.fault, l.native.phase = l.native.fault, nil, idle
	}
	return fault
}

// answered says whether the packets of an answer are complete: whether they end with the end of the stream or with
// an exception.
func answered(packets []byte) (bool, error) {
	r := proto.NewReader(bytes.NewReader(packets))
	for {
		done, err := packet(r)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return false, nil
		case err != nil || done:
			return done, err
		}
	}
}

// packet reads one packet of an answer.
func packet(r *proto.Reader) (last bool, err error) {
	code, err := r.UInt8()
	if err != nil {
		return false, err
	}
	switch proto.ServerCode(code) {
	case proto.ServerCodeEndOfStream:
		return true, nil
	case proto.ServerCodeException:
		return true, new(proto.Exception).DecodeAware(r, revision)
	case proto.ServerCodeProgress:
		return false, new(proto.Progress).DecodeAware(r, revision)
	case proto.ServerCodeProfile:
		return false, new(proto.Profile).DecodeAware(r, revision)
	case proto.ServerProfileEvents, proto.ServerCodeLog, proto.ServerCodeData:
		if _, err := r.Str(); err != nil { // the name of a table, empty here
			return false, err
		}
		var columns proto.Results
		return false, new(proto.Block).DecodeBlock(r, revision, columns.Auto())
	}
	return false, fmt.Errorf("unexpected packet %d", code)
}

// exception is the packet of an exception.
func exception(code int32) []byte {
	var b proto.Buffer
	proto.ServerCodeException.Encode(&b)
	e := proto.Exception{Code: proto.Error(code), Name: "DB::Exception", Message: "injected by faultproxy"}
	e.EncodeAware(&b, revision)
	return b.Buf
}
