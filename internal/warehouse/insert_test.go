package warehouse_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"go.uber.org/goleak"

	"ioc.local/internal/faultproxy"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

// numbersTable makes a table of numbers and gives rows for it.
func numbersTable(t *testing.T, db *enginetest.DB) proto.Input {
	t.Helper()
	if err := db.Client.Conn().Exec(t.Context(), "CREATE TABLE numbers (n UInt64, text String DEFAULT 'none') ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100"); err != nil {
		t.Fatal(err)
	}
	numbers := make(proto.ColUInt64, 100_000)
	for i := range numbers {
		numbers[i] = uint64(i) % 1000
	}
	return proto.Input{{Name: "n", Data: numbers}}
}

// openAt opens a client of the test's database that gives up a silent server soon.
func openAt(t *testing.T, db *enginetest.DB, addr ...string) *warehouse.Client {
	t.Helper()
	return openWithin(t, db, time.Second, addr...)
}

func openWithin(t *testing.T, db *enginetest.DB, dialTimeout time.Duration, addr ...string) *warehouse.Client {
	t.Helper()
	cfg := db.ClientConfig()
	cfg.Addr, cfg.DialTimeout = addr, dialTimeout
	client, err := warehouse.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// cutAll ends all connections, and waits until their ends have come: until the proxy has no more of them.
func cutAll(t *testing.T, proxy *faultproxy.Proxy) {
	t.Helper()
	proxy.Cut(faultproxy.Close)
	for deadline := time.Now().Add(20 * time.Second); proxy.Links() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections after they were cut", proxy.Links())
		}
	}
}

func numbersRows(t *testing.T, db *enginetest.DB) (rows uint64) {
	t.Helper()
	if err := db.Client.Conn().QueryRow(t.Context(), "SELECT countIf(text = 'none') FROM numbers").Scan(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// An insert is done once under its token, one that the server refuses has the server's error and does not harm the next, and
// nothing stays behind.
func TestInsert(t *testing.T) {
	db := enginetest.Start(t)
	columns := numbersTable(t, db)
	leaks := goleak.IgnoreCurrent()
	client := openAt(t, db, db.Engine.Addr())
	for range 2 {
		if err := client.Insert(t.Context(), "numbers", columns, "one"); err != nil {
			t.Fatal(err)
		}
	}
	if rows := numbersRows(t, db); rows != 100_000 {
		t.Errorf("%d rows under one token", rows)
	}
	for want, statement := range map[int32]struct {
		table string
		input proto.Input
	}{
		60: {"nothing", columns},                                                       // UNKNOWN_TABLE
		16: {"numbers", proto.Input{{Name: "absent", Data: proto.ColUInt64{1, 2, 3}}}}, // NO_SUCH_COLUMN_IN_TABLE
	} {
		err := client.Insert(t.Context(), statement.table, statement.input, "two")
		if exception, ok := errors.AsType[*clickhouse.Exception](err); !ok || exception.Code != want || warehouse.Retryable(err) {
			t.Errorf("got %v, want the exception %d", err, want)
		}
	}
	if err := client.Insert(t.Context(), "numbers", columns, "two"); err != nil {
		t.Fatal(err)
	}
	if rows := numbersRows(t, db); rows != 200_000 {
		t.Errorf("%d rows under two tokens", rows)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if err := client.Insert(t.Context(), "numbers", columns, "three"); err == nil {
		t.Error("a closed client inserts")
	}
	goleak.VerifyNone(t, leaks)
}

// Whoever does not answer is passed over.
func TestInsertByAnotherAddress(t *testing.T) {
	db := enginetest.Start(t)
	columns := numbersTable(t, db)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts nobody: the handshake has no answer
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = refused.Close()
	_, port, _ := net.SplitHostPort(db.Engine.Addr())
	client := openAt(t, db, silent.Addr().String(), refused.Addr().String(), net.JoinHostPort("0.0.0.0", port)) // the last does not look like loopback
	defer client.Close()
	if err := client.Insert(t.Context(), "numbers", columns, "one"); err != nil {
		t.Fatal(err)
	}
	if rows := numbersRows(t, db); rows != 100_000 {
		t.Errorf("%d rows", rows)
	}
}

// An insert ends when its context does, however the server is silent, and the next one goes by another connection.
func TestInsertIsGivenUp(t *testing.T) {
	db := enginetest.Start(t)
	columns := numbersTable(t, db)
	proxy := faultproxy.Start(t, db.Engine.Addr)
	client := openAt(t, db, proxy.Addr())
	defer client.Close()
	// A server that falls silent in the middle of its greeting is given up after DialTimeout.
	proxy.Add(faultproxy.Fault{Step: faultproxy.Down, After: 5, Action: faultproxy.Hold})
	if err := client.Insert(t.Context(), "numbers", columns, "one"); !warehouse.Retryable(err) {
		t.Errorf("after half a greeting: %v", err)
	}
	proxy.Release()
	for _, fault := range []faultproxy.Fault{
		{Step: faultproxy.Query}, {Step: faultproxy.Data}, {Step: faultproxy.End}, {Step: faultproxy.Answer},
		{Step: faultproxy.Down, After: 20}, // in the middle of a packet
	} {
		step := fault.Step
		if fault.Action = faultproxy.Hold; step != faultproxy.Down {
			fault.Statement = "INSERT INTO numbers"
		}
		struck := proxy.Add(fault)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- client.Insert(ctx, "numbers", columns, "one") }()
		<-struck
		cancel()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) || warehouse.Retryable(err) {
				t.Errorf("%s: given up with %v", step, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: the insert does not end", step)
		}
		proxy.Release()
		if err := client.Insert(t.Context(), "numbers", columns, "one"); err != nil {
			t.Fatalf("%s, again: %v", step, err)
		}
	}
	if rows := numbersRows(t, db); rows != 100_000 {
		t.Errorf("%d rows", rows)
	}
	// A server that restarts hangs up while nobody looks.
	cutAll(t, proxy)
	if err := client.Insert(t.Context(), "numbers", columns, "one"); err != nil {
		t.Errorf("after the connections were cut: %v", err)
	}
}

// What does not go by loopback is compressed.
func TestInsertIsCompressed(t *testing.T) {
	db := enginetest.Start(t)
	columns := numbersTable(t, db)
	for host, want := range map[string]bool{"127.0.0.1": false, "0.0.0.0": true} {
		proxy := faultproxy.Start(t, db.Engine.Addr)
		_, port, _ := net.SplitHostPort(proxy.Addr())
		client := openAt(t, db, net.JoinHostPort(host, port))
		defer client.Close()
		much := proxy.Add(faultproxy.Fault{Step: faultproxy.Up, After: 700_000, Action: faultproxy.Pass}) // of 800,000 bytes of numbers
		if err := client.Insert(t.Context(), "numbers", columns, host); err != nil {
			t.Fatal(err)
		}
		compressed := true
		select {
		case <-much:
			compressed = false
		default:
		}
		if compressed != want {
			t.Errorf("by %s an insert is compressed: %t", host, compressed)
		}
	}
}

// A server may take all of DialTimeout for its greeting.
func TestInsertAfterSlowGreeting(t *testing.T) {
	db := enginetest.Start(t)
	columns := numbersTable(t, db)
	proxy := faultproxy.Start(t, db.Engine.Addr)
	client := openWithin(t, db, time.Minute, proxy.Addr())
	defer client.Close()
	slow := proxy.Add(faultproxy.Fault{Step: faultproxy.Greeting, Action: faultproxy.Hold, For: 3500 * time.Millisecond})
	if err := client.Insert(t.Context(), "numbers", columns, "one"); err != nil {
		t.Error(err)
	}
	<-slow
}

// What the client has given up ends on the server as well, five seconds later: the insert carries that as its limit.
func TestInsertEndsOnTheServer(t *testing.T) {
	db := enginetest.Start(t)
	columns := numbersTable(t, db)
	for _, statement := range []string{
		"CREATE TABLE limits (seconds UInt64) ENGINE = MergeTree ORDER BY seconds",
		"CREATE MATERIALIZED VIEW limits_mv TO limits AS SELECT DISTINCT toUInt64(getSetting('max_execution_time')) AS seconds FROM numbers",
	} {
		if err := db.Client.Conn().Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := db.Client.Insert(ctx, "numbers", columns, "one"); err != nil {
		t.Fatal(err)
	}
	var limit uint64
	if err := db.Client.Conn().QueryRow(t.Context(), "SELECT max(seconds) FROM limits").Scan(&limit); err != nil {
		t.Fatal(err)
	}
	if limit < 30 || limit > 65 {
		t.Errorf("the server may work for %d s on it, want a minute and five seconds, or what was left of them", limit)
	}
}
