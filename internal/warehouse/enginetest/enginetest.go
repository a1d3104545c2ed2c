// Package enginetest gives tests a real ClickHouse engine: one for each test binary, started by
// the first test that wants it, with a fresh database for each test.
//
// A package that uses it has, in its tests (in the package name_test, where an import cycle
// would arise):
//
//	func TestMain(m *testing.M) { enginetest.Main(m) }
package enginetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/engine"
)

// childEnv tells the test binary that it is to be the engine's child process.
const childEnv = "IOC_ENGINETEST_CHILD"

const startTimeout = 2 * time.Minute

// shared is the engine of this test binary. It is a variable because a testing.TB is all that
// links a test to TestMain.
var shared struct {
	sync.Mutex
	inMain    bool
	users     engine.Users
	engine    *engine.Engine
	stop      func() error
	err       error
	databases int
}

// DB is a test's own database on the shared engine.
type DB struct {
	// Client is connected as the administrator, with the test's database as default.
	Client *warehouse.Client
	// Database is the name of the test's database.
	Database string
	// Engine is the shared engine. A test that kills it disturbs the tests that run in parallel.
	Engine *engine.Engine
}

// Crash kills the engine and waits until it has started again.
func (db *DB) Crash(t testing.TB) {
	t.Helper()
	pid := db.Engine.PID()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); db.Engine.PID() == pid || db.Client.Conn().Ping(t.Context()) != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the engine is not started again")
		}
	}
}

// Main runs the tests and stops the engine after them. It does not return. users, at most one,
// are the users that the engine is to have besides the administrator.
func Main(m *testing.M, users ...engine.Users) {
	Child()
	shared.inMain = true
	shared.users = engine.DefaultConfig().Users
	if len(users) > 0 {
		shared.users = users[0]
	}
	code := m.Run()
	if shared.stop != nil {
		if err := shared.stop(); err != nil {
			fmt.Fprintf(os.Stderr, "enginetest: %v\n", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// Child becomes the engine's child process, and does not return, if this process was started by
// Command. Main calls it; a TestMain without Main that uses Command must call it first.
func Child() {
	if os.Getenv(childEnv) != "" {
		os.Exit(engine.Main(os.Args[1:]))
	}
}

// Command is an engine.Deps.Command for tests: it starts this test binary as the child.
func Command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	if self, err := os.Executable(); err == nil {
		cmd = exec.Command(self, args...)
	}
	cmd.Env = append(os.Environ(), childEnv+"=1")
	return cmd
}

// Start returns a fresh, empty database on the shared engine, dropped when the test ends. The
// engine's goroutines outlive the test: call goleak.IgnoreCurrent after Start.
func Start(t testing.TB) *DB {
	t.Helper()
	e := startShared(t)
	shared.Lock()
	shared.databases++
	name := fmt.Sprintf("ioc_t_%d", shared.databases)
	shared.Unlock()
	return open(t, e, name)
}

// StartOwn returns a database on an engine of the test's own, which it may kill without disturbing tests that run in
// parallel. The engine stops when the test ends.
func StartOwn(t testing.TB) *DB {
	t.Helper()
	e, stop, err := start(engine.DefaultConfig().Users)
	if err != nil {
		t.Fatalf("enginetest: %v", err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("enginetest: %v", err)
		}
	})
	return open(t, e, "ioc_own")
}

// ClientConfig is how to connect to the test's database, as the user of Client.
func (db *DB) ClientConfig() warehouse.ClientConfig {
	cfg := warehouse.DefaultClientConfig()
	cfg.Addr, cfg.Database = []string{db.Engine.Addr()}, db.Database
	cfg.Username, cfg.Password = db.Engine.Username(), db.Engine.Password()
	return cfg
}

// Open connects to the test's database as another user, until the test ends.
func (db *DB) Open(t testing.TB, user engine.Credentials) *warehouse.Client {
	t.Helper()
	cfg := db.ClientConfig()
	cfg.Username, cfg.Password = user.Username, user.Password
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	client, err := warehouse.Open(ctx, cfg)
	if err != nil {
		t.Fatalf("enginetest: %v", err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Errorf("enginetest: %v", err)
		}
	})
	return client
}

func open(t testing.TB, e *engine.Engine, database string) *DB {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := e.WaitReady(ctx); err != nil {
		t.Fatalf("enginetest: %v", err)
	}
	db := &DB{Engine: e}
	admin := engine.Credentials{Username: e.Username(), Password: e.Password()}
	// The making and the dropping go by a connection of their own: one whose default
	// database does not exist is refused.
	server := db.Open(t, admin)
	if err := server.Conn().Exec(ctx, "CREATE DATABASE `"+database+"`"); err != nil {
		t.Fatalf("enginetest: making database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		if err := e.WaitReady(ctx); err != nil {
			t.Errorf("enginetest: %v", err)
			return
		}
		err := server.Conn().Exec(ctx, "DROP DATABASE IF EXISTS `"+database+"` SYNC")
		for warehouse.Retryable(err) && ctx.Err() == nil { // The test may have killed the engine.
			err = server.Conn().Exec(ctx, "DROP DATABASE IF EXISTS `"+database+"` SYNC")
		}
		if err != nil {
			t.Errorf("enginetest: dropping database: %v", err)
		}
	})
	db.Database = database
	db.Client = db.Open(t, admin)
	return db
}

func startShared(t testing.TB) *engine.Engine {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.inMain {
		t.Fatal("enginetest: TestMain of this package must call enginetest.Main")
	}
	if shared.engine == nil && shared.err == nil {
		shared.engine, shared.stop, shared.err = start(shared.users)
	}
	if shared.err != nil {
		t.Fatalf("enginetest: %v", shared.err)
	}
	return shared.engine
}

// start runs an engine on a temporary directory; the function that it returns stops it.
func start(users engine.Users) (*engine.Engine, func() error, error) {
	dir, err := os.MkdirTemp("", "ioc-engine-")
	if err != nil {
		return nil, nil, fmt.Errorf("making data directory: %w", err)
	}
	cfg := engine.DefaultConfig()
	cfg.Dir = dir
	cfg.Library = os.Getenv(engine.LibraryEnv)
	cfg.MemoryLimit = 2 << 30
	cfg.LogLevel = "fatal" // Tests make statements fail on purpose, and see the errors themselves.
	cfg.Users = users
	logConfig := zap.NewDevelopmentConfig()
	logConfig.Level = zap.NewAtomicLevelAt(zap.WarnLevel)
	log, err := logConfig.Build()
	if err != nil {
		return nil, nil, fmt.Errorf("making logger: %w", err)
	}
	e, err := engine.New(cfg, engine.Deps{Logger: log, Registry: prometheus.NewRegistry(), Command: Command})
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	stop := func() error {
		cancel()
		return errors.Join(<-ended, os.RemoveAll(dir))
	}
	ready, cancelReady := context.WithTimeout(ctx, startTimeout)
	defer cancelReady()
	if err := e.WaitReady(ready); err != nil {
		_ = stop() // Its error is the one that WaitReady returned.
		return nil, nil, err
	}
	return e, stop, nil
}
