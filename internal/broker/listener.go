package broker

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxRequestBytes is the largest request that is read, Kafka's default for
// socket.request.max.bytes.
const maxRequestBytes = 100 << 20

// peekBytes is what is looked at of a request: its length and its API key.
const peekBytes = 4 + 2

// minRequestBytes is the shortest header: API key, version and correlation id.
const minRequestBytes = 2 + 2 + 4

// listener hands kfake connections that cannot bring it down, and gives it the
// address that clients are to be sent to.
type listener struct {
	net.Listener
	advertised net.Addr
}

func listen(addr string) (*listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("broker: listening on %s: %w", addr, err)
	}
	advertised := *ln.Addr().(*net.TCPAddr)
	if advertised.IP.IsUnspecified() {
		advertised.IP = net.IPv4(127, 0, 0, 1)
	}
	return &listener{Listener: ln, advertised: &advertised}, nil
}

// Addr returns the address that clients can connect to.
func (l *listener) Addr() net.Addr { return l.advertised }

// Accept returns the next connection, guarded.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &guard{Conn: c, in: bufio.NewReader(c)}, nil
}

// guard ends a connection whose next request is not one of Kafka's. kfake makes
// room for whatever length it is told and panics on an API key that it does not
// know, so one HTTP request to the wrong port would end the whole process.
type guard struct {
	net.Conn
	in   *bufio.Reader
	left int64 // bytes of the current request that are still to be read
}

// Read returns bytes of the current request, having checked its header first.
func (g *guard) Read(p []byte) (int, error) {
	if g.left == 0 {
		header, err := g.in.Peek(peekBytes)
		if err != nil {
			return 0, io.ErrUnexpectedEOF
		}
		size := int64(binary.BigEndian.Uint32(header))
		key := int16(binary.BigEndian.Uint16(header[4:]))
		if size < minRequestBytes || size > maxRequestBytes || kmsg.RequestForKey(key) == nil {
			return 0, fmt.Errorf("not a Kafka request: API key %d, %d bytes", key, size)
		}
		g.left = 4 + size
	}
	n, err := g.in.Read(p[:min(int64(len(p)), g.left)])
	g.left -= int64(n)
	return n, err
}
