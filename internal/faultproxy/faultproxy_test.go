package faultproxy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"go.uber.org/goleak"

	"ioc.local/internal/faultproxy"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/engine"
	"ioc.local/internal/warehouse/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// echo runs a server that sends back what it gets, and returns its address.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// say sends a text and returns what comes back, up to its length, and how that ended.
func say(conn net.Conn, text string) (string, error) {
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	back := make([]byte, len(text))
	n, err := io.ReadFull(conn, back)
	return string(back[:n]), err
}

// TestBytes lets faults strike at numbers of bytes.
func TestBytes(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	for name, test := range map[string]struct {
		fault faultproxy.Fault
		back  string
		want  error
	}{
		"passes":      {faultproxy.Fault{Step: faultproxy.Up, After: 3, Action: faultproxy.Pass}, "hello", nil},
		"reset":       {faultproxy.Fault{Step: faultproxy.Dial, Action: faultproxy.Reset}, "", syscall.ECONNRESET},
		"close up":    {faultproxy.Fault{Step: faultproxy.Up, After: 3, Action: faultproxy.Close}, "", io.EOF},
		"close down":  {faultproxy.Fault{Step: faultproxy.Down, After: 3, Action: faultproxy.Close}, "hel", io.ErrUnexpectedEOF},
		"hold":        {faultproxy.Fault{Step: faultproxy.Up, After: 3, Action: faultproxy.Hold, For: 20 * time.Millisecond}, "hello", nil},
		"lost answer": {faultproxy.Fault{Step: faultproxy.Down, Action: faultproxy.Reset}, "", syscall.ECONNRESET},
	} {
		t.Run(name, func(t *testing.T) {
			upstream := echo(t)
			p := faultproxy.Start(t, func() string { return upstream })
			struck := p.Add(test.fault)
			var back string
			conn, err := net.Dial("tcp", p.Addr()) // a reset may already be met here
			if err == nil {
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				back, err = say(conn, "hello")
				_ = conn.Close()
			}
			if back != test.back || !errors.Is(err, test.want) {
				t.Errorf("got %q and %v, want %q and %v", back, err, test.back, test.want)
			}
			<-struck
			if back, err := say(dial(t, p.Addr()), "again"); back != "again" || err != nil {
				t.Errorf("the fault strikes twice: %q, %v", back, err)
			}
		})
	}
}

// TestCommands refuses, stalls, limits and cuts.
func TestCommands(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	upstream := echo(t)
	p := faultproxy.Start(t, func() string { return upstream })
	conn := dial(t, p.Addr())
	p.Refuse()
	if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a connection that is refused ends with %v", err)
	}
	if back, err := say(conn, "still there"); back != "still there" || err != nil {
		t.Errorf("refusing others ends this: %q, %v", back, err)
	}
	p.Accept()
	other := dial(t, p.Addr())

	p.Stall()
	if _, err := io.WriteString(conn, "held"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	var timeout net.Error
	if n, err := conn.Read(make([]byte, 4)); n > 0 || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("a stalled connection gave %d bytes and %v", n, err)
	}
	p.Resume()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	back := make([]byte, 4)
	if _, err := io.ReadFull(conn, back); string(back) != "held" || err != nil {
		t.Errorf("after a stall: %q, %v", back, err)
	}

	p.Limit(100_000)
	started := time.Now()
	text := strings.Repeat("x", 30_000)
	if back, err := say(other, text); back != text || err != nil {
		t.Errorf("a slow connection gave %d bytes, %v", len(back), err)
	}
	if took := time.Since(started); took < 200*time.Millisecond {
		t.Errorf("30,000 bytes at 100,000 bytes/s took %s", took)
	}
	p.Limit(0)

	if n := p.Links(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
	p.Cut(faultproxy.Reset)
	if _, err := say(conn, "x"); err == nil {
		t.Error("a connection lives that was cut")
	}
}

// world is a table behind a proxy.
type world struct {
	*testing.T
	proxy           *faultproxy.Proxy
	direct, through *warehouse.Client
	engine          *engine.Engine
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db := enginetest.Start(t)
	w := &world{T: t, direct: db.Client, engine: db.Engine, proxy: faultproxy.Start(t, db.Engine.Addr)}
	w.exec("CREATE TABLE numbers (n UInt64, text String) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100")
	cfg := db.ClientConfig()
	cfg.Addr = []string{w.proxy.Addr()}
	var err error
	if w.through, err = warehouse.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.through.Close() })
	return w
}

func (w *world) exec(statement string) {
	w.Helper()
	if err := w.direct.Conn().Exec(w.Context(), statement); err != nil {
		w.Fatalf("%s: %v", statement, err)
	}
}

func (w *world) rows() uint64 {
	w.Helper()
	var n uint64
	if err := w.direct.Conn().QueryRow(w.Context(), "SELECT count() FROM numbers").Scan(&n); err != nil {
		w.Fatal(err)
	}
	return n
}

// senders insert 1000 rows of 100 bytes through the proxy: by the driver, and as ingestion sends its blocks.
var senders = map[string]func(w *world, timeout time.Duration) error{"driver": (*world).insertRows, "block": (*world).insertBlock}

func (w *world) insertBlock(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(w.Context(), timeout)
	defer cancel()
	var numbers proto.ColUInt64
	var texts proto.ColStr
	for n := range uint64(1000) {
		numbers.Append(n)
		texts.Append(strings.Repeat("x", 100))
	}
	return w.through.Insert(ctx, "numbers", proto.Input{{Name: "n", Data: numbers}, {Name: "text", Data: texts}}, "token")
}

func (w *world) insertRows(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(w.Context(), timeout)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(warehouse.InsertSettings("token")))
	batch, err := w.through.Conn().PrepareBatch(ctx, "INSERT INTO numbers (n, text)")
	if err != nil {
		return err
	}
	defer func() { _ = batch.Close() }()
	for n := range uint64(1000) {
		if err := batch.Append(n, string(bytes.Repeat([]byte{'x'}, 100))); err != nil {
			return err
		}
	}
	return batch.Send()
}

// runs runs a test with each sender.
func runs(t *testing.T, name string, test func(t *testing.T, insert func(*world, time.Duration) error)) {
	for sender, insert := range senders {
		t.Run(name+"-"+sender, func(t *testing.T) { test(t, insert) })
	}
}

// TestInsertSteps lets an insert fail at every step, and says what the server made of it.
func TestInsertSteps(t *testing.T) {
	const nothing, all, unknown = 0, 1000, -1
	for _, test := range []struct {
		step   faultproxy.Step
		after  int64
		action faultproxy.Action
		rows   int
	}{
		{faultproxy.Query, 0, faultproxy.Reset, nothing},
		{faultproxy.Query, 100, faultproxy.Close, nothing},
		{faultproxy.Query, 100, faultproxy.Fail, nothing},
		{faultproxy.Data, 0, faultproxy.Reset, nothing},
		{faultproxy.Data, 50_000, faultproxy.Reset, nothing},
		{faultproxy.Data, 50_000, faultproxy.Close, nothing},
		{faultproxy.Data, 1 << 30, faultproxy.Close, nothing},
		{faultproxy.End, 0, faultproxy.Reset, nothing},
		{faultproxy.End, 0, faultproxy.Fail, nothing},
		{faultproxy.Sent, 0, faultproxy.Reset, unknown},
		{faultproxy.Answer, 0, faultproxy.Reset, all},
		{faultproxy.Answer, 0, faultproxy.Close, all},
		{faultproxy.Answer, 0, faultproxy.Fail, all},
	} {
		runs(t, fmt.Sprintf("%s-%d-%s", test.step, test.after, test.action), func(t *testing.T, insert func(*world, time.Duration) error) {
			w := newWorld(t)
			pid := w.engine.PID()
			struck := w.proxy.Add(faultproxy.Fault{Step: test.step, After: test.after, Action: test.action, Code: 241, Statement: "INSERT INTO numbers"})
			err := insert(w, 30*time.Second)
			if err == nil {
				t.Fatal("the insert succeeded")
			}
			select {
			case <-struck:
			default:
				t.Fatalf("the fault has not struck, the insert failed with %v", err)
			}
			var exception *clickhouse.Exception
			if test.action == faultproxy.Fail && (!errors.As(err, &exception) || exception.Code != 241) {
				t.Errorf("got %v, want code 241", err)
			}
			if got := w.rows(); test.rows != unknown && got != uint64(test.rows) {
				t.Errorf("%d rows after the fault, want %d", got, test.rows)
			}
			if test.action != faultproxy.Fail && !warehouse.Retryable(err) {
				t.Errorf("%v is not retryable", err)
			}
			if err := insert(w, 30*time.Second); err != nil {
				t.Fatalf("again: %v", err)
			}
			if got := w.rows(); got != all {
				t.Errorf("%d rows in the end, want %d", got, all)
			}
			if now := w.engine.PID(); now != pid {
				t.Errorf("the engine aborted")
			}
		})
	}
}

// TestHeldInsertLandsLate holds rows back until their client has given up, and lets them go when the same rows are
// there by another connection.
func TestHeldInsertLandsLate(t *testing.T) {
	for _, step := range []faultproxy.Step{faultproxy.Data, faultproxy.End, faultproxy.Answer} {
		runs(t, step.String(), func(t *testing.T, insert func(*world, time.Duration) error) {
			w := newWorld(t)
			struck := w.proxy.Add(faultproxy.Fault{Step: step, Action: faultproxy.Hold})
			if err := insert(w, time.Second); !warehouse.Retryable(err) {
				t.Fatalf("the insert ends with %v", err)
			}
			<-struck
			w.exec("ALTER TABLE numbers MODIFY SETTING non_replicated_deduplication_window = 0") // both are to be seen
			if err := insert(w, 30*time.Second); err != nil {
				t.Fatal(err)
			}
			w.proxy.Release()
			for deadline := time.Now().Add(20 * time.Second); w.rows() != 2000; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%d rows, want those of both inserts", w.rows())
				}
			}
		})
	}
}

// TestAnswerOfQuery cuts the answer of a statement that is no insert.
func TestAnswerOfQuery(t *testing.T) {
	w := newWorld(t)
	struck := w.proxy.Add(faultproxy.Fault{Step: faultproxy.Answer, Action: faultproxy.Reset, Statement: "SELECT 4"})
	ask := func(query string) error {
		var n uint8
		return w.through.Conn().QueryRow(t.Context(), query).Scan(&n)
	}
	if err := ask("SELECT 3"); err != nil {
		t.Error(err)
	}
	if err := ask("SELECT 4"); err == nil {
		t.Error("the answer came")
	}
	<-struck
	if err := ask("SELECT 4"); err != nil {
		t.Error(err)
	}
}
