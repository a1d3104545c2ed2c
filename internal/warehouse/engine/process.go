package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one run of the child.
type process struct {
	pid    int
	stdin  io.Closer
	exited chan struct{} // Closed after err is set.
	err    error
	dying  sync.Once
}

// crashReport is how long a child that reports its own crash is given for the report.
const crashReport = 200 * time.Millisecond

// hasten ends a child that is crashing: it would spend seconds on the symbols of its stack, which the
// library does not have, and the next child can only start when this one is gone.
func (p *process) hasten() {
	time.AfterFunc(crashReport, func() {
		select {
		case <-p.exited:
		default:
			_ = syscall.Kill(-p.pid, syscall.SIGKILL)
		}
	})
}

// startProcess starts the child, which inherits the lock. The caller must wait on exited.
func startProcess(cmd *exec.Cmd, lock *os.File, out *output) (*process, error) {
	p := &process{exited: make(chan struct{})}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting engine: %w", err)
	}
	p.stdin = stdin
	each := func(line string) {
		out.line(line)
		if strings.Contains(line, "<Fatal>") {
			p.dying.Do(p.hasten)
		}
	}
	stdout := &lineWriter{each: each}
	stderr := &lineWriter{each: each}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.ExtraFiles = []*os.File{lock} // Becomes lockFD.
	// A process group of its own: Ctrl-C in a terminal reaches only the parent, which then
	// stops its parts in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// A grandchild (the form with a binary) may hold the output open for longer than its parent.
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		stdin.Close()
		return nil, fmt.Errorf("starting engine: %w", err)
	}
	p.pid = cmd.Process.Pid
	go func() {
		p.err = cmd.Wait()
		stdout.flush()
		stderr.flush()
		close(p.exited)
	}()
	return p, nil
}

// stop ends the child cleanly, or hard when it does not end within the timeout.
func (p *process) stop(timeout time.Duration) error {
	p.stdin.Close()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.exited:
		return p.err
	case <-timer.C:
		p.kill()
		return fmt.Errorf("engine did not stop within %s and was killed", timeout)
	}
}

// kill ends the child and what it started, and waits for it to be gone.
func (p *process) kill() {
	_ = syscall.Kill(-p.pid, syscall.SIGKILL) // It may be gone already.
	p.stdin.Close()
	<-p.exited
}

// reason is how the child ended; it must have.
func (p *process) reason() error {
	if p.err == nil {
		return errors.New("exit status 0") // nobody asked it to end, so this is a failure too
	}
	return p.err
}

// listenPoll is how often the file that says that the engine listens is looked for.
const listenPoll = 5 * time.Millisecond

// waitListening returns nil once the child has bound its ports, and said so by making a file.
func (p *process) waitListening(ctx context.Context, file string) error {
	ticker := time.NewTicker(listenPoll)
	defer ticker.Stop()
	for {
		if _, err := os.Stat(file); err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return errors.New("engine ended before it listened")
		case <-ctx.Done():
			return fmt.Errorf("waiting for the engine to listen: %w", ctx.Err())
		case <-ticker.C:
		}
	}
}
