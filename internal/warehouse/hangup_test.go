package warehouse

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// hungUp gives both ends of a connection whose client's end hangs up politely.
func hungUp(t *testing.T) (client *lingeringConn, server *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); _ = accepted.Close() })
	return &lingeringConn{TCPConn: conn.(*net.TCPConn), leaving: new(departures)}, accepted.(*net.TCPConn)
}

// A server that is in the middle of an answer can write it to its end, and then reads that the client has gone: nothing
// tears the connection from it.
func TestHangUpDuringAnswer(t *testing.T) {
	client, server := hungUp(t)
	answer := make([]byte, 32<<20) // more than the buffers of sockets hold
	if _, err := server.Write(answer[:1000]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(client, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading after it: %v", err)
	}
	if err := client.SetReadDeadline(time.Unix(1, 0)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a deadline after it: %v", err)
	}
	if n, err := server.Write(answer); err != nil {
		t.Errorf("the server could write %d bytes: %v", n, err)
	}
	if n, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the server reads %d bytes, %v", n, err)
	}
	_ = server.Close()
	client.leaving.wait()
	if err := client.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
}

// Whoever waits for connections to hang up may do so while others begin to.
func TestHangUpWhileSomebodyWaits(t *testing.T) {
	var leaving departures
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 2000 {
				leaving.add(1)
				all.Go(leaving.wait)
				leaving.add(-1)
			}
		})
	}
	all.Wait()
	if leaving.n != 0 || leaving.none != nil {
		t.Errorf("%d are left", leaving.n)
	}
}

// Close wakes who waits for an answer, and leaves a server that never hangs up after its time.
func TestHangUpOfTheSilent(t *testing.T) {
	client, server := hungUp(t)
	woken := make(chan error)
	go func() {
		_, err := client.Read(make([]byte, 1))
		woken <- err
	}()
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-woken; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the reader was told %v", err)
	}
	client.leaving.wait()
	if err := server.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the server reads %v", err)
	}
}
