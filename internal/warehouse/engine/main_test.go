package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/engine"
	"ioc.local/internal/warehouse/enginetest"
)

const (
	// parentEnv makes the test binary a parent that a test can kill: it holds the data directory.
	parentEnv = "IOC_ENGINE_TEST_PARENT"
	// configEnv is that parent's Config.Library.
	configEnv = "IOC_ENGINE_TEST_CONFIG_LIBRARY"
	// libraryEnv is the library that the test binary loads as a `clickhouse` binary.
	libraryEnv = "IOC_ENGINE_TEST_LIBRARY"
)

// queryTime is below Limits.MaxExecution, as it must be for the users of scopes.
const queryTime = 20 * time.Second

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "clickhouse" {
		os.Exit(clickhouseBinary(os.Args[1:]))
	}
	enginetest.Child()
	if dir := os.Getenv(parentEnv); dir != "" {
		os.Exit(parent(dir))
	}
	enginetest.Main(m)
}

// clickhouseBinary is what a `clickhouse` executable does with `local` and its arguments.
func clickhouseBinary(args []string) int {
	if len(args) == 0 || args[0] != "local" {
		fmt.Fprintf(os.Stderr, "first argument of %q is not local\n", args)
		return 1
	}
	if err := engine.RunLibrary(os.Getenv(libraryEnv), args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// parent runs an engine until it is killed, and prints the child's process id once it is up.
func parent(dir string) int {
	cfg := testConfig(dir)
	cfg.Library = os.Getenv(configEnv)
	e, err := engine.New(cfg, deps(zap.NewNop()))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	go func() {
		if err := e.WaitReady(context.Background()); err == nil {
			fmt.Println("pid", e.PID(), e.Addr(), e.Password())
		}
	}()
	if err := e.Run(context.Background()); err != nil {
		fmt.Println(err)
	}
	return 1
}

func deps(log *zap.Logger) engine.Deps {
	return engine.Deps{Logger: log, Registry: prometheus.NewRegistry(), Command: enginetest.Command}
}

func testConfig(dir string) engine.Config {
	cfg := engine.DefaultConfig()
	cfg.Dir = dir
	cfg.Library = os.Getenv(engine.LibraryEnv)
	cfg.MemoryLimit = 1 << 30
	return cfg
}

// running is an engine that a test runs and stops.
type running struct {
	*engine.Engine
	cancel context.CancelFunc
	ended  chan error
}

// run starts an engine and waits until it answers. The test stops it, or its end does; both
// check that no goroutine is left.
func run(t *testing.T, cfg engine.Config, deps engine.Deps) *running {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	e, err := engine.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Engine: e, cancel: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		r.cancel()
		select {
		case <-r.ended:
		case <-time.After(time.Minute):
			t.Error("engine did not stop")
		}
		goleak.VerifyNone(t, leaks)
	})
	if err := e.WaitReady(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	return r
}

// stop stops the engine and returns what Run returned.
func (r *running) stop(t *testing.T) error {
	t.Helper()
	r.cancel()
	select {
	case err := <-r.ended:
		r.ended <- err // For the cleanup.
		return err
	case <-time.After(time.Minute):
		t.Fatal("engine did not stop")
		return nil
	}
}

func (r *running) connect(t *testing.T, c engine.Credentials) *warehouse.Client {
	t.Helper()
	return connect(t, r.Addr(), c)
}

func (r *running) admin() engine.Credentials {
	return engine.Credentials{Username: r.Username(), Password: r.Password()}
}

func connect(t *testing.T, addr string, c engine.Credentials) *warehouse.Client {
	t.Helper()
	cfg := warehouse.DefaultClientConfig()
	cfg.Addr, cfg.Username, cfg.Password = []string{addr}, c.Username, c.Password
	client, err := warehouse.Open(within(t, time.Minute), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func exec1(t *testing.T, c *warehouse.Client, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if err := c.Conn().Exec(within(t, time.Minute), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func count(t *testing.T, c *warehouse.Client, query string) uint64 {
	t.Helper()
	var n uint64
	eventually(t, query, func() error {
		err := c.Conn().QueryRow(within(t, queryTime), query).Scan(&n)
		if err != nil && !warehouse.Retryable(err) {
			t.Fatalf("%s: %v", query, err)
		}
		return err
	})
	return n
}

// code is the ClickHouse error code, or 0.
func code(err error) int32 {
	if e, ok := errors.AsType[*clickhouse.Exception](err); ok {
		return e.Code
	}
	return 0
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// eventually polls a condition for half a minute.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: still: %v", what, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func waitGone(t *testing.T, pid int) {
	t.Helper()
	if pid <= 0 {
		t.Fatalf("no process to wait for: pid %d", pid)
	}
	eventually(t, "end of the engine process", func() error {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) || zombie(pid) {
			return nil
		}
		return fmt.Errorf("process %d lives", pid)
	})
}

// zombie says that a process is dead and only not yet collected, as an orphan is in a container
// whose first process collects nobody.
func zombie(pid int) bool {
	out, err := exec.Command("ps", "-o", "stat=", "-p", fmt.Sprint(pid)).Output()
	return err == nil && len(out) > 0 && out[0] == 'Z'
}
