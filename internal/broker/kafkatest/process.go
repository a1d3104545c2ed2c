package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// watchdog becomes the command it is given, and leaves beside it, in the same
// process group, a process that kills the group when file descriptor 3 ends:
// that is, when whoever holds the other end of the pipe is gone.
const watchdog = `(cat <&3 >/dev/null; kill -9 0) & exec "$@" 3<&-`

// process is a command in a process group of its own, which does not outlive
// this process.
type process struct {
	cmd    *exec.Cmd
	alive  *os.File      // the watchdog's pipe: the group ends when it closes
	exited chan struct{} // closed when the command has ended
	log    string        // the file that takes the command's output
	stop   func()        // kills the group and waits for its end
}

func startProcess(cmd *exec.Cmd, log string) (*process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, fmt.Errorf("making the log: %w", err)
	}
	defer out.Close()
	watched, alive, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making the watchdog's pipe: %w", err)
	}
	defer watched.Close()
	cmd.Args = append([]string{"sh", "-c", watchdog, "sh"}, cmd.Args...)
	cmd.Path = "/bin/sh"
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{watched}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", cmd.Args[4], err), alive.Close())
	}
	p := &process{cmd: cmd, alive: alive, exited: make(chan struct{}), log: log}
	go func() {
		// How it ended does not matter: it is meant to be killed, and what it
		// said is in the log.
		_ = cmd.Wait()
		close(p.exited)
	}()
	p.stop = sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-p.exited
		_ = p.alive.Close()
	})
	return p, nil
}

// waitListening returns once the address takes connections, or with an error
// when the process has ended before.
func (p *process) waitListening(ctx context.Context, addr string) error {
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.exited:
			return errors.New("it ended before it was listening")
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", addr, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// output returns what the process has written so far.
func (p *process) output() []byte {
	out, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	return out
}

// signal sends a signal to the command. The watchdog is spared, or it could not end the group.
func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(p.cmd.Process.Pid, s) }
