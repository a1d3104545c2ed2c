package engine

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// lockFD is the descriptor on which the child inherits the lock of the data directory.
// The child never touches it: the kernel lets the lock go when the last copy is closed.
const lockFD = 3

// childArgs are the arguments of the hidden command, as the parent gives them to the child.
type childArgs struct {
	location    Location
	config      string
	store       string
	queries     string
	tcpPort     int
	httpPort    int
	stopTimeout time.Duration
}

func (a childArgs) list() []string {
	kind := "--library"
	if a.location.Binary {
		kind = "--binary"
	}
	return []string{
		kind, a.location.Path,
		"--config", a.config,
		"--store", a.store,
		"--queries", a.queries,
		"--tcp-port", strconv.Itoa(a.tcpPort),
		"--http-port", strconv.Itoa(a.httpPort),
		"--stop-timeout", a.stopTimeout.String(),
	}
}

func parseChildArgs(args []string) (childArgs, error) {
	var a childArgs
	var library, binary string
	set := flag.NewFlagSet("engine", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&library, "library", "", "")
	set.StringVar(&binary, "binary", "", "")
	set.StringVar(&a.config, "config", "", "")
	set.StringVar(&a.store, "store", "", "")
	set.StringVar(&a.queries, "queries", "", "")
	set.IntVar(&a.tcpPort, "tcp-port", 0, "")
	set.IntVar(&a.httpPort, "http-port", 0, "")
	set.DurationVar(&a.stopTimeout, "stop-timeout", 0, "")
	if err := set.Parse(args); err != nil {
		return a, err
	}
	if set.NArg() > 0 {
		return a, fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	if (library == "") == (binary == "") {
		return a, errors.New("exactly one of --library and --binary is needed")
	}
	if a.config == "" || a.store == "" || a.queries == "" || a.tcpPort <= 0 || a.httpPort <= 0 || a.stopTimeout <= 0 {
		return a, errors.New("--config, --store, --queries, --tcp-port, --http-port and --stop-timeout are needed")
	}
	a.location = Location{Path: library + binary, Binary: binary != ""}
	return a, nil
}

// engineArgs are the arguments of `clickhouse local`. The second query file is standard input:
// reading it keeps the engine alive, and its end is the order to stop.
func (a childArgs) engineArgs() []string {
	return []string{
		"--config-file", a.config,
		"--path", a.store,
		"--tcp_port", strconv.Itoa(a.tcpPort),
		"--http_port", strconv.Itoa(a.httpPort),
		"--listen_host", "127.0.0.1",
		"--queries-file", a.queries, "/dev/stdin",
	}
}

// Main is the body of the hidden command `ioc engine`: it runs the engine in this process until
// standard input ends (the parent closed it, or died) or SIGTERM or SIGINT arrives, and returns
// the exit code. An engine that has not ended within the stop timeout after that is cut off by
// exiting hard, so that it never outlives its parent.
func Main(args []string) int {
	a, err := parseChildArgs(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "ioc engine: %v; this command is started by ioc itself\n", err)
		return 2
	}
	// The engine expects to live on one thread, as a program's main function does.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := runChild(a); err != nil {
		fmt.Fprintf(os.Stderr, "ioc engine: %v\n", err)
		return 1
	}
	return 0
}

func runChild(a childArgs) error {
	inner, stop, err := forwardEnd(os.Stdin)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	if !a.location.Binary {
		if err := dupTo(inner, 0); err != nil {
			return fmt.Errorf("giving the engine its standard input: %w", err)
		}
		go endHard(stop, signals, a.stopTimeout, nil)
		return runLibrary(a.location.Path, a.engineArgs())
	}

	cmd := exec.Command(a.location.Path, append([]string{"local"}, a.engineArgs()...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inner, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{os.NewFile(lockFD, "lock")}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting engine: %w", err)
	}
	go endHard(stop, signals, a.stopTimeout, cmd.Process)
	err = cmd.Wait()
	if stop.hard.Load() {
		select {} // endHard is about to exit, with its own code.
	}
	return err
}

// ender closes the engine's input once, from whichever side asks first.
type ender struct {
	once  sync.Once
	input *os.File
	ended chan struct{}
	hard  atomic.Bool // The engine overstayed, and is being cut off.
}

func (e *ender) end() {
	e.once.Do(func() {
		e.input.Close()
		close(e.ended)
	})
}

// forwardEnd returns the reading end of a pipe that ends when outer ends, and the ender that
// ends it earlier. A plain pass-through of outer would leave no way to turn a signal into an end.
func forwardEnd(outer *os.File) (*os.File, *ender, error) {
	fd, err := syscall.Dup(int(outer.Fd()))
	if err != nil {
		return nil, nil, fmt.Errorf("keeping standard input: %w", err)
	}
	syscall.CloseOnExec(fd)
	inner, input, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("making the engine's input: %w", err)
	}
	e := &ender{input: input, ended: make(chan struct{})}
	go func() {
		// Nothing is ever sent: what might come is dropped, only the end counts.
		_, _ = io.Copy(io.Discard, os.NewFile(uintptr(fd), "parent"))
		e.end()
	}()
	return inner, e, nil
}

// endHard waits for a signal or the end of input, and exits when the engine then overstays.
func endHard(e *ender, signals <-chan os.Signal, timeout time.Duration, process *os.Process) {
	select {
	case <-signals:
		e.end()
	case <-e.ended:
	}
	time.Sleep(timeout)
	fmt.Fprintf(os.Stderr, "ioc engine: did not stop within %s, exiting\n", timeout)
	e.hard.Store(true)
	if process != nil {
		_ = process.Kill()
	}
	os.Exit(3)
}
