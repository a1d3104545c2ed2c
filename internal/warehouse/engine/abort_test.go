package engine_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
)

// TestClientTriggeredAbort sends what makes this form of the engine abort: garbage on the native port. It
// must be back soon, on the same port, without waiting for the crash report of the old child.
func TestClientTriggeredAbort(t *testing.T) {
	e := run(t, testConfig(t.TempDir()), deps(zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel))))
	addr, pid := e.Addr(), e.PID()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write([]byte("\xff\xff\xff\xff\xff\xff this is not the native protocol"))
	_ = conn.(*net.TCPConn).SetLinger(0) // a reset, as from a process that was killed
	_ = conn.Close()
	started := time.Now()
	eventually(t, "another child", func() error {
		if now := e.PID(); now == 0 || now == pid {
			return errors.New("the old child, or none")
		}
		return nil
	})
	t.Logf("back after %s", time.Since(started).Round(time.Millisecond))
	if e.Addr() != addr {
		t.Errorf("the engine moved from %s to %s", addr, e.Addr())
	}
}
