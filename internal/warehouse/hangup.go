package warehouse

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// hangUpTime bounds how long a connection that is closed still takes what the server sends.
const hangUpTime = 3 * time.Second

// lingeringConn hangs up politely: Close says that nothing more comes, and what the server still sends is taken until it
// hangs up too, for hangUpTime. If it were not, the kernel would reset a connection whose answer was abandoned midway, as by
// an analyst who gives up a query, and the embedded engine may end altogether when it writes to one just then ("Terminate
// called for uncaught exception: Connection reset by peer").
type lingeringConn struct {
	*net.TCPConn
	leaving *departures
	// reading is held while bytes are read, so that nobody reads together with Close.
	reading sync.Mutex

	mu     sync.Mutex
	closed bool
}

// Read implements net.Conn.
func (c *lingeringConn) Read(p []byte) (int, error) {
	if c.isClosed() {
		return 0, net.ErrClosed // it does not wait for the server to hang up
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	if c.isClosed() {
		return 0, net.ErrClosed
	}
	n, err := c.TCPConn.Read(p)
	if err != nil && c.isClosed() {
		return n, net.ErrClosed // it was woken by Close
	}
	return n, err
}

// Close implements net.Conn. It wakes whoever reads or writes, and does not wait for the server.
func (c *lingeringConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	_ = c.TCPConn.SetDeadline(time.Unix(1, 0)) // wakes who reads or writes
	if err := c.CloseWrite(); err != nil {
		return c.TCPConn.Close() // the server has reset it already
	}
	c.leaving.add(1)
	go func() {
		defer c.leaving.add(-1)
		c.reading.Lock()
		defer c.reading.Unlock()
		_ = c.TCPConn.SetReadDeadline(time.Now().Add(hangUpTime))
		_, _ = io.Copy(io.Discard, c.TCPConn)
		_ = c.TCPConn.Close()
	}()
	return nil
}

// departures counts connections that are hanging up. Others may begin to while somebody waits, which a sync.WaitGroup does
// not allow: the driver closes connections after it has been closed, when their queries end.
type departures struct {
	mu sync.Mutex
	n  int
	// none is closed when n falls to 0; nil when nobody waits.
	none chan struct{}
}

func (d *departures) add(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n += n; d.n == 0 && d.none != nil {
		close(d.none)
		d.none = nil
	}
}

// wait returns when no connection is hanging up.
func (d *departures) wait() {
	d.mu.Lock()
	if d.n == 0 {
		d.mu.Unlock()
		return
	}
	if d.none == nil {
		d.none = make(chan struct{})
	}
	none := d.none
	d.mu.Unlock()
	<-none
}

// silent says whether nothing has come since the last answer: a server that has restarted, or given up an idle connection,
// has hung up.
func (c *lingeringConn) silent() bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var got error
	err = raw.Read(func(fd uintptr) bool {
		_, _, got = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	return err == nil && got == syscall.EAGAIN
}

func (c *lingeringConn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// SetDeadline implements net.Conn.
func (c *lingeringConn) SetDeadline(t time.Time) error {
	return c.unlessClosed(c.TCPConn.SetDeadline, t)
}

// SetReadDeadline implements net.Conn.
func (c *lingeringConn) SetReadDeadline(t time.Time) error {
	return c.unlessClosed(c.TCPConn.SetReadDeadline, t)
}

// SetWriteDeadline implements net.Conn.
func (c *lingeringConn) SetWriteDeadline(t time.Time) error {
	return c.unlessClosed(c.TCPConn.SetWriteDeadline, t)
}

// unlessClosed sets a deadline of the connection, which has its own while it hangs up.
func (c *lingeringConn) unlessClosed(set func(time.Time) error, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	return set(t)
}
