// Package engine runs the real ClickHouse engine as a supervised child process.
//
// The child is this same program, started as `ioc engine` (Main). It loads the engine's shared
// library, or starts a `clickhouse` binary, and serves the native and the HTTP protocol on
// loopback. The parent holds the child's standard input open: its end stops the engine, so that
// the engine ends with its parent, however the parent dies.
//
// This form of the engine aborts on some protocol errors of its clients (a wrong password among
// them). Therefore nobody but ioc may talk to it, its passwords are random and its ports are on
// loopback, and a dead engine is started again on the same ports at once.
package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
	// maxFirstStarts is how often an engine that never answered is started: with a broken
	// installation or data directory, trying for ever would only hide the reason.
	maxFirstStarts = 3
	// timeZone is the engine's: that of every KPI.
	timeZone = "Asia/Ho_Chi_Minh"
	// killGrace is how long the parent waits beyond StopTimeout, at which the child ends itself.
	killGrace = 5 * time.Second
	// answerTimeout bounds the greeting of an engine that already listens.
	answerTimeout = 10 * time.Second
)

// Deps are what an Engine needs from outside.
type Deps struct {
	// Logger receives the engine's output and what happens to it.
	Logger *zap.Logger
	// Registry receives the metrics ioc_engine_up, ioc_engine_restarts_total and
	// ioc_engine_dropped_lines_total.
	Registry prometheus.Registerer
	// Command makes the command that runs Main with these arguments. Nil: this executable
	// with `engine` before them.
	Command func(args ...string) *exec.Cmd
}

// Engine supervises one engine. Its methods may be called from any goroutine.
type Engine struct {
	cfg      Config
	location Location
	paths    paths
	log      *zap.Logger
	command  func(args ...string) *exec.Cmd
	out      *output
	up       prometheus.Gauge
	restarts prometheus.Counter
	users    map[string]Credentials

	mu       sync.Mutex
	ready    chan struct{} // Closed while the engine answers, open while it does not.
	tcpPort  int
	httpPort int
	pid      int

	ended chan struct{} // Closed when Run returns, after err is set.
	err   error
}

// New finds the engine and prepares it; Run starts it.
func New(cfg Config, deps Deps) (*Engine, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("resolving data directory: %w", err)
	}
	location, err := Find(cfg)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		cfg: cfg, location: location, paths: pathsOf(dir), log: deps.Logger, command: deps.Command,
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ioc_engine_up", Help: "1 while the embedded engine answers, else 0.",
		}),
		restarts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ioc_engine_restarts_total", Help: "Starts of the embedded engine after the first.",
		}),
		users: map[string]Credentials{AdminUser: newCredentials(AdminUser)},
		ready: make(chan struct{}), ended: make(chan struct{}),
	}
	for _, scope := range cfg.Users.Scopes {
		e.users[scope.User()] = newCredentials(scope.User())
	}
	if e.command == nil {
		if e.command, err = ownCommand(); err != nil {
			return nil, err
		}
	}
	dropped := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "ioc_engine_dropped_lines_total", Help: "Lines of the embedded engine's output that were not logged because there were too many.",
	})
	e.out = newOutput(e.log, dropped)
	for _, metric := range []prometheus.Collector{e.up, e.restarts, dropped} {
		if err := deps.Registry.Register(metric); err != nil {
			return nil, fmt.Errorf("registering engine metrics: %w", err)
		}
	}
	return e, nil
}

func ownCommand() (func(args ...string) *exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	return func(args ...string) *exec.Cmd {
		return exec.Command(self, append([]string{"engine"}, args...)...)
	}, nil
}

// Run starts the engine, starts it again whenever it dies, and stops it when ctx ends. It returns
// nil after a clean stop. It returns an error when the data directory is in use, when the engine
// never comes to answer, or when it could not be stopped cleanly. Run may be called once.
func (e *Engine) Run(ctx context.Context) error {
	err := e.run(ctx)
	e.mu.Lock()
	e.err = err
	e.mu.Unlock()
	close(e.ended)
	return err
}

func (e *Engine) run(ctx context.Context) error {
	if err := os.MkdirAll(e.paths.store, 0o700); err != nil {
		return fmt.Errorf("making data directory: %w", err)
	}
	lock, holder, err := tryLock(e.paths.supervisorLock)
	if errors.Is(err, errLocked) {
		return fmt.Errorf("data directory %s is in use by process %s; stop that process or use another directory", e.paths.dir, holder)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := writeHolder(lock, os.Getpid()); err != nil {
		return err
	}
	usersFile, err := UsersFile(e.cfg.Users, e.users, true)
	if err != nil {
		return err
	}
	if err := e.paths.write(e.cfg, usersFile); err != nil {
		return err
	}
	return e.supervise(ctx)
}

// supervise runs one child after the other. The ports stay once an engine has answered on them,
// so that clients reconnect to where they were.
func (e *Engine) supervise(ctx context.Context) error {
	backoff := minBackoff
	answered := false
	for failures := 0; ; {
		if !answered {
			if err := e.pickPorts(); err != nil {
				return err
			}
		}
		wasUp, err := e.runChild(ctx)
		if ctx.Err() != nil || errors.Is(err, errLocked) {
			return err
		}
		if wasUp {
			answered, failures, backoff = true, 0, minBackoff
		} else if failures++; !answered && failures == maxFirstStarts {
			return fmt.Errorf("engine did not start in %d tries: %w", failures, err)
		}
		e.log.Error("engine is down, starting it again", zap.Error(err), zap.Duration("after", backoff))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
		e.restarts.Inc()
	}
}

func (e *Engine) pickPorts() error {
	tcp, http := e.cfg.NativePort, e.cfg.HTTPPort
	var err error
	if tcp == 0 {
		if tcp, err = freePort(http); err != nil {
			return fmt.Errorf("choosing the engine's native port: %w", err)
		}
	}
	if http == 0 {
		if http, err = freePort(tcp); err != nil {
			return fmt.Errorf("choosing the engine's HTTP port: %w", err)
		}
	}
	e.mu.Lock()
	e.tcpPort, e.httpPort = tcp, http
	e.mu.Unlock()
	return nil
}

// runChild runs one child until it ends or ctx does. It reports whether the child ever answered,
// and why it ended: nil only for a clean stop at the end of ctx.
func (e *Engine) runChild(ctx context.Context) (wasUp bool, err error) {
	p, err := e.start(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return false, nil
		}
		return false, err
	}
	e.log.Info("engine started", zap.Int("pid", p.pid), zap.String("addr", e.Addr()), zap.String("engine", e.location.Path))
	if err := e.waitAnswer(ctx, p); err != nil {
		if ctx.Err() != nil {
			return false, p.stop(e.cfg.StopTimeout + killGrace)
		}
		p.kill()
		return false, fmt.Errorf("%w (%w)\n%s", err, p.reason(), e.out.last())
	}
	e.setUp(p.pid)
	defer e.setDown()
	select {
	case <-p.exited:
		return true, fmt.Errorf("engine process %d ended: %w\n%s", p.pid, p.reason(), e.out.last())
	case <-ctx.Done():
		// The child cuts itself off after StopTimeout; the rest is for a child that cannot.
		return true, p.stop(e.cfg.StopTimeout + killGrace)
	}
}

// start waits until no earlier engine holds the data, and starts the child with the lock.
func (e *Engine) start(ctx context.Context) (*process, error) {
	// An engine whose parent was killed is still writing its last parts.
	wait := e.cfg.StopTimeout + killGrace
	lock, holder, err := waitLock(ctx, e.paths.engineLock, wait)
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("an earlier engine, process %s, still uses data directory %s after %s; end it first: %w",
			holder, e.paths.dir, wait, err)
	}
	if err != nil {
		return nil, err
	}
	defer lock.Close() // The child has its own copy of the descriptor, and with it the lock.
	if err := os.Remove(e.paths.listening); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing the sign of an earlier engine: %w", err)
	}
	args := childArgs{
		location: e.location, config: e.paths.config, store: e.paths.store, queries: e.paths.queries,
		tcpPort: e.tcpPort, httpPort: e.httpPort, stopTimeout: e.cfg.StopTimeout,
	}
	cmd := e.command(args.list()...)
	cmd.Dir = e.paths.dir
	// The engine heeds this variable and not its <timezone> key. Without it, what an analyst's
	// today() means would depend on the machine.
	cmd.Env = append(cmd.Environ(), "TZ="+timeZone)
	p, err := startProcess(cmd, lock, e.out)
	if err != nil {
		return nil, err
	}
	if err := writeHolder(lock, p.pid); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// waitAnswer returns nil once the child answers a ping on the native port.
func (e *Engine) waitAnswer(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.StartTimeout)
	defer cancel()
	if err := p.waitListening(ctx, e.paths.listening); err != nil {
		return err
	}
	admin := e.users[AdminUser]
	conn, err := clickhouse.Open(&clickhouse.Options{
		Addr:        []string{e.Addr()},
		Auth:        clickhouse.Auth{Username: admin.Username, Password: admin.Password},
		DialTimeout: min(answerTimeout, e.cfg.StartTimeout),
	})
	if err != nil {
		return fmt.Errorf("connecting to the engine: %w", err)
	}
	defer conn.Close()
	if err := conn.Ping(ctx); err != nil {
		return fmt.Errorf("asking the engine whether it answers: %w", err)
	}
	return nil
}

func (e *Engine) setUp(pid int) {
	e.mu.Lock()
	e.pid = pid
	close(e.ready)
	e.mu.Unlock()
	e.up.Set(1)
	e.log.Info("engine answers", zap.Int("pid", pid))
}

func (e *Engine) setDown() {
	e.up.Set(0)
	e.mu.Lock()
	e.pid = 0
	e.ready = make(chan struct{})
	e.mu.Unlock()
}

// WaitReady returns nil once the engine answers, at once if it does. It returns an error when ctx
// ends before, or when Run has returned.
func (e *Engine) WaitReady(ctx context.Context) error {
	e.mu.Lock()
	ready := e.ready
	e.mu.Unlock()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the engine: %w", ctx.Err())
	case <-e.ended:
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.err != nil {
			return e.err
		}
		return errors.New("engine is stopped")
	}
}

// Addr returns host:port of the native protocol; it is fixed once WaitReady has returned nil.
func (e *Engine) Addr() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return loopback(e.tcpPort)
}

// HTTPAddr returns host:port of the HTTP protocol; it is fixed once WaitReady has returned nil.
func (e *Engine) HTTPAddr() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return loopback(e.httpPort)
}

// Username returns the name of the administrator.
func (e *Engine) Username() string { return AdminUser }

// Password returns the administrator's password, which is new for every Engine.
func (e *Engine) Password() string { return e.users[AdminUser].Password }

// ScopeCredentials returns the user of a scope by the scope's name, such as "province_79". An
// unknown scope is an error.
func (e *Engine) ScopeCredentials(scope string) (Credentials, error) {
	c, ok := e.users[Scope{Name: scope}.User()]
	if !ok {
		return Credentials{}, fmt.Errorf("engine has no user for scope %q", scope)
	}
	return c, nil
}

// PID returns the process id of the child that answers, or 0 while none does.
func (e *Engine) PID() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pid
}
