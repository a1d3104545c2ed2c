package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"

	"ioc.local/internal/warehouse/engine"
	"ioc.local/internal/warehouse/enginetest"
)

func TestDeadEngineComesBackOnTheSamePortsWithItsData(t *testing.T) {
	registry := prometheus.NewRegistry()
	dir := t.TempDir()
	r := run(t, testConfig(dir), engine.Deps{Logger: zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel)), Registry: registry, Command: enginetest.Command})
	client := r.connect(t, r.admin())
	exec1(t, client, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n", "INSERT INTO t SELECT number FROM numbers(1000)")
	addr, http := r.Addr(), r.HTTPAddr()

	for restarts, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGABRT} {
		old := r.PID()
		if err := syscall.Kill(old, signal); err != nil {
			t.Fatal(err)
		}
		killed := time.Now()
		eventually(t, "restart after "+signal.String(), func() error {
			if pid := r.PID(); pid == 0 || pid == old {
				return fmt.Errorf("pid is %d, was %d", pid, old)
			}
			return nil
		})
		if took := time.Since(killed); took > 10*time.Second {
			t.Errorf("restart after %s took %s, want a few seconds", signal, took)
		}
		if r.Addr() != addr || r.HTTPAddr() != http {
			t.Errorf("addresses changed from %s, %s to %s, %s", addr, http, r.Addr(), r.HTTPAddr())
		}
		// The same pool of connections, as a component of ioc would have it.
		if n := count(t, client, "SELECT count() FROM t"); n != 1000 {
			t.Errorf("%d rows after %s, want 1000", n, signal)
		}
		if got := metric(t, registry, "ioc_engine_restarts_total"); got != float64(restarts+1) {
			t.Errorf("ioc_engine_restarts_total is %v, want %d", got, restarts+1)
		}
	}
	if got := metric(t, registry, "ioc_engine_up"); got != 1 {
		t.Errorf("ioc_engine_up is %v, want 1", got)
	}

	for _, name := range []string{"config.xml", "users.xml", "start.sql"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, info.Mode().Perm())
		}
	}

	pid := r.PID()
	client.Close()
	if err := r.stop(t); err != nil {
		t.Errorf("stop was not clean: %v", err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there after Run returned: %v", pid, err)
	}
	if got := metric(t, registry, "ioc_engine_up"); got != 0 {
		t.Errorf("ioc_engine_up is %v after the stop, want 0", got)
	}
	if err := r.WaitReady(t.Context()); err == nil {
		t.Error("WaitReady of a stopped engine returned nil")
	}
}

func metric(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestEngineEndsWithItsKilledParentAndLeavesTheDataUsable(t *testing.T) {
	for _, form := range []string{"library", "binary"} {
		t.Run(form, func(t *testing.T) {
			dir := t.TempDir()
			cfg := testConfig(dir)
			if form == "binary" {
				cfg.Library = fakeBinary(t)
			}
			parent := exec.Command(os.Args[0])
			parent.Env = append(os.Environ(), parentEnv+"="+dir, configEnv+"="+cfg.Library)
			out, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			defer parent.Process.Kill()
			var pid int
			var addr, password string
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Sscanf(line, "pid %d %s %s", &pid, &addr, &password); err != nil {
				t.Fatalf("parent said %q: %v", line, err)
			}
			client := connect(t, addr, engine.Credentials{Username: engine.AdminUser, Password: password})
			exec1(t, client, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n", "INSERT INTO t SELECT number FROM numbers(1000)")
			// A running statement keeps the old engine busy while the new one starts.
			busy := make(chan struct{})
			go func() {
				defer close(busy)
				_ = client.Conn().Exec(within(t, time.Minute), "SELECT sleepEachRow(1) FROM numbers(30) SETTINGS max_block_size = 1 FORMAT Null")
			}()
			other := connect(t, addr, engine.Credentials{Username: engine.AdminUser, Password: password})
			eventually(t, "start of the statement", func() error {
				if count(t, other, "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleepEachRow%'") == 0 {
					return errors.New("not running")
				}
				return nil
			})

			if err := parent.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = parent.Wait() // It was killed: an error.

			r := run(t, cfg, deps(zap.NewNop()))
			waitGone(t, pid)
			<-busy
			if n := count(t, r.connect(t, r.admin()), "SELECT count() FROM t"); n != 1000 {
				t.Errorf("%d rows after the parent's death, want 1000", n)
			}
			if err := r.stop(t); err != nil {
				t.Errorf("stop was not clean: %v", err)
			}
		})
	}
}

// fakeBinary is a `clickhouse` executable: this test binary under that name.
func fakeBinary(t *testing.T) string {
	t.Helper()
	location, err := engine.Find(testConfig(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(libraryEnv, location.Path)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "clickhouse")
	if err := os.Link(self, path); err != nil {
		if err := os.Symlink(self, path); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestBinaryServesAndStopsCleanly(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Library = fakeBinary(t)
	r := run(t, cfg, deps(zaptest.NewLogger(t)))
	if n := count(t, r.connect(t, r.admin()), "SELECT count() FROM numbers(7)"); n != 7 {
		t.Errorf("counted %d, want 7", n)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("stop was not clean: %v", err)
	}
}

func TestSecondEngineOnADirectoryIsRefused(t *testing.T) {
	cfg := testConfig(t.TempDir())
	run(t, cfg, deps(zap.NewNop()))
	second, err := engine.New(cfg, deps(zap.NewNop()))
	if err != nil {
		t.Fatal(err)
	}
	err = second.Run(t.Context())
	if err == nil {
		t.Fatal("a second engine ran on the same directory")
	}
	for _, want := range []string{cfg.Dir, fmt.Sprintf("in use by process %d", os.Getpid())} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	if werr := second.WaitReady(t.Context()); !errors.Is(werr, err) {
		t.Errorf("WaitReady says %v, want what Run returned", werr)
	}
}

func TestStaleEngineIsNamedWhenItDoesNotEnd(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.StopTimeout = time.Millisecond
	file, err := os.Create(filepath.Join(cfg.Dir, "engine.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("4711\n"); err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(cfg, deps(zap.NewNop()))
	if err != nil {
		t.Fatal(err)
	}
	err = e.Run(within(t, time.Minute))
	if err == nil || !strings.Contains(err.Error(), "process 4711, still uses data directory "+cfg.Dir) {
		t.Errorf("Run returned %v, want an error that names process 4711 and the directory", err)
	}
}

// script is a `clickhouse` executable that is not the engine.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clickhouse")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEngineThatNeverStartsIsAnError(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Library = script(t, "echo 'Code: 36. Broken configuration' >&2; exit 1")
	e, err := engine.New(cfg, deps(zap.NewNop()))
	if err != nil {
		t.Fatal(err)
	}
	err = e.Run(within(t, time.Minute))
	if err == nil || !strings.Contains(err.Error(), "did not start in 3 tries") || !strings.Contains(err.Error(), "Broken configuration") {
		t.Errorf("Run returned %v, want an error with what the engine said", err)
	}
}

func TestEngineThatDoesNotStopIsEndedHard(t *testing.T) {
	for _, how := range []string{"end of input", "SIGTERM"} {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			pidFile := filepath.Join(dir, "pid")
			binary := script(t, "trap '' TERM INT; echo $$ >"+pidFile+".tmp; mv "+pidFile+".tmp "+pidFile+"; exec sleep 600")
			cmd := enginetest.Command("--binary", binary, "--config", "c", "--store", "s", "--queries", "q",
				"--tcp-port", "1", "--http-port", "1", "--stop-timeout", "200ms")
			lock, err := os.Create(filepath.Join(dir, "lock"))
			if err != nil {
				t.Fatal(err)
			}
			defer lock.Close()
			cmd.ExtraFiles = []*os.File{lock}
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var pid int
			eventually(t, "start of the script", func() error {
				text, err := os.ReadFile(pidFile)
				if err != nil {
					return err
				}
				_, err = fmt.Sscan(string(text), &pid)
				return err
			})
			if how == "SIGTERM" {
				err = cmd.Process.Signal(syscall.SIGTERM)
			} else {
				err = stdin.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 3 {
				t.Errorf("launcher ended with %v, want exit code 3", err)
			}
			waitGone(t, pid)
		})
	}
}

func TestMemoryLimitFailsTheQueryAndSparesTheEngine(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.MemoryLimit = 512 << 20
	r := run(t, cfg, deps(zap.NewNop()))
	client := r.connect(t, r.admin())
	pid := r.PID()
	err := client.Conn().Exec(within(t, time.Minute), "SELECT length(groupArray(number)) FROM numbers(1000000000) FORMAT Null")
	if code(err) != 241 {
		t.Errorf("error is %v, want code 241, MEMORY_LIMIT_EXCEEDED", err)
	}
	if n := count(t, client, "SELECT count() FROM numbers(3)"); n != 3 || r.PID() != pid {
		t.Errorf("counted %d in process %d, want 3 in process %d", n, r.PID(), pid)
	}
}

func TestEngineOutputReachesTheLog(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	cfg := testConfig(t.TempDir())
	cfg.LogLevel = "error"
	r := run(t, cfg, deps(zap.New(core)))
	client := r.connect(t, r.admin())
	if err := client.Conn().Exec(within(t, time.Minute), "SELECT throwIf(1, 'a word for the log')"); err == nil {
		t.Fatal("throwIf did not throw")
	}
	eventually(t, "log line", func() error {
		for _, entry := range logs.FilterLevelExact(zap.ErrorLevel).All() {
			if strings.Contains(entry.Message, "a word for the log") && strings.Contains(entry.Message, "<Error>") {
				return nil
			}
		}
		return fmt.Errorf("not among %d entries", logs.Len())
	})
	for _, entry := range logs.All() {
		if strings.Contains(fmt.Sprint(entry.Message, entry.ContextMap()), r.Password()) {
			t.Errorf("a log entry shows the password: %s", entry.Message)
		}
	}
}

func TestEngineSettingsAreInForce(t *testing.T) {
	r := run(t, testConfig(t.TempDir()), deps(zap.NewNop()))
	client := r.connect(t, r.admin())
	for query, want := range map[string]string{
		"SELECT value FROM system.server_settings WHERE name = 'background_pool_size'":                        "2",
		"SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'":                     fmt.Sprint(1 << 30),
		"SELECT value FROM system.settings WHERE name = 'async_insert'":                                       "0",
		"SELECT value FROM system.settings WHERE name = 'deduplicate_blocks_in_dependent_materialized_views'": "1",
		"SELECT timezone()": "Asia/Ho_Chi_Minh",
		"SELECT toString(count()) FROM system.tables WHERE database = 'system' AND name LIKE '%\\\\_log' AND engine LIKE '%MergeTree'": "0",
	} {
		var got string
		if err := client.Conn().QueryRow(within(t, time.Minute), query).Scan(&got); err != nil {
			t.Errorf("%s: %v", query, err)
		} else if got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

func TestRunEndsWithItsContextWhileStarting(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.StopTimeout = 200 * time.Millisecond
	cfg.Library = script(t, "exec sleep 600") // Never listens.
	ctx, cancel := context.WithCancel(context.Background())
	core, logs := observer.New(zap.InfoLevel)
	e, err := engine.New(cfg, deps(zap.New(core)))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	eventually(t, "start", func() error {
		if logs.FilterMessage("engine started").Len() == 0 {
			return errors.New("not started")
		}
		return nil
	})
	cancel()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("an engine that had to be cut off counts as a clean stop")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Run did not end with its context")
	}
}
