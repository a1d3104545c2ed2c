package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// errLocked says that another process holds a lock.
var errLocked = errors.New("locked")

// tryLock opens the file and takes its lock, or returns errLocked and the text that the
// holder wrote into it (a process id). The lock goes with the last copy of the descriptor,
// so it never outlives its holders, however they die.
func tryLock(path string) (*os.File, string, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, "", fmt.Errorf("opening lock: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, "", nil
	}
	defer file.Close()
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, "", fmt.Errorf("locking %s: %w", path, err)
	}
	holder := make([]byte, 32)
	n, _ := file.ReadAt(holder, 0)
	return nil, strings.TrimSpace(string(holder[:n])), errLocked
}

// waitLock is tryLock, tried again until the timeout.
func waitLock(ctx context.Context, path string, timeout time.Duration) (*os.File, string, error) {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		file, holder, err := tryLock(path)
		if !errors.Is(err, errLocked) {
			return file, holder, err
		}
		select {
		case <-ctx.Done():
			return nil, holder, ctx.Err()
		case <-deadline.C:
			return nil, holder, errLocked
		case <-tick.C:
		}
	}
}

// writeHolder records the process id that an error message will name.
func writeHolder(file *os.File, pid int) error {
	if err := file.Truncate(0); err != nil {
		return fmt.Errorf("writing lock: %w", err)
	}
	if _, err := file.WriteAt([]byte(strconv.Itoa(pid)+"\n"), 0); err != nil {
		return fmt.Errorf("writing lock: %w", err)
	}
	return nil
}
