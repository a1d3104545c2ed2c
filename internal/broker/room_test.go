package broker_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"ioc.local/internal/broker"
	"ioc.local/internal/broker/brokertest"
)

// nobody commits without being a member, which Kafka allows while a group has none.
var nobody = &kafka.Generation{ID: -1}

// eventually polls until check gives nil.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// try produces one record and returns the broker's answer, without trying again.
func (u *user) try() error {
	w := u.writer(0)
	w.MaxAttempts = 1
	err := errors.Join(w.WriteMessages(u.ctx, message("tried")), w.Close())
	var each kafka.WriteErrors
	if errors.As(err, &each) {
		return each[0]
	}
	return err
}

// TestDiskFull takes the free space away in two steps and gives it back. Records are refused first, then commits, both
// with an error after which clients try again; what was acknowledged stays.
func TestDiskFull(t *testing.T) {
	checkLeaks(t)
	const floor = 256 << 20
	var free atomic.Uint64
	free.Store(floor)
	var told atomic.Value
	registry := prometheus.NewRegistry()
	cfg := config(t.TempDir(), broker.Topic{Name: topic, Partitions: partitions})
	cfg.MinFreeBytes = floor
	b, stop := startWith(t, cfg, broker.Deps{
		Logger: zap.NewNop(), Registry: registry,
		Free: func(string) (uint64, error) { return free.Load(), nil },
		Report: func(err error) {
			text := ""
			if err != nil {
				text = err.Error()
			}
			told.Store(text)
		},
	})
	u := newUser(t, b.Addr())
	want := u.produce(1, 5)
	says := func(want string) {
		t.Helper()
		eventually(t, func() error {
			if text, _ := told.Load().(string); (want == "") != (text == "") || !strings.Contains(text, want) {
				return errors.New("the broker says " + strconv.Quote(text) + ", want " + strconv.Quote(want))
			}
			return nil
		})
	}
	says("")

	free.Store(floor - 1)
	eventually(t, func() error { // at the next look
		if err := u.try(); !errors.Is(err, kafka.KafkaStorageError) {
			return errors.Join(errors.New("a record below the floor was not refused as full"), err)
		}
		return nil
	})
	if err := u.commit(nobody, 1, 3, "while records are refused"); err != nil {
		t.Errorf("a commit found no room: %v", err)
	}
	says("is nearly full: 255 MiB are free, and below 256 MiB records are refused; make room there, it goes on by itself")
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`# HELP ioc_broker_disk_free_bytes Free space of the embedded broker's data directory.
# TYPE ioc_broker_disk_free_bytes gauge
ioc_broker_disk_free_bytes 2.68435455e+08
# HELP ioc_broker_refusing 1 while the embedded broker refuses records because its disk is nearly full, else 0.
# TYPE ioc_broker_refusing gauge
ioc_broker_refusing 1
`)); err != nil {
		t.Error(err)
	}

	free.Store(floor/4 - 1)
	eventually(t, func() error {
		if err := u.commit(nobody, 1, 4, "refused"); !errors.Is(err, kafka.GroupCoordinatorNotAvailable) {
			return errors.Join(errors.New("a commit on a full disk was not refused"), err)
		}
		return nil
	})
	says("records and commits are refused")
	if got := u.committed(1); got.Offset != 3 && got.Offset != 4 { // one may have been taken before the look
		t.Errorf("committed is %+v", got)
	}
	if diff := cmp.Diff(want, u.read(1, 0, 5)); diff != "" { // reading needs no room
		t.Errorf("records differ (-produced +read):\n%s", diff)
	}

	free.Store(floor)
	eventually(t, u.try)
	eventually(t, func() error { return u.commit(nobody, 1, 5, "again") })
	says("")
	u.transport.CloseIdleConnections()
	stop()
}

// startWith makes and runs a broker until stop, or the test's end.
func startWith(t *testing.T, cfg broker.Config, deps broker.Deps) (b *broker.Broker, stop func()) {
	t.Helper()
	b, err := broker.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	if err := waitReady(t, b); err != nil {
		t.Fatal(err)
	}
	return b, stop
}

// TestRefusedWrite lets the operating system cut a write of the commits' file short, in a process whose files may not
// grow beyond a limit. kfake acknowledges that commit, and would not read back what it writes after it. The broker must
// acknowledge nothing more, write everything anew once it can, and then survive a kill.
func TestRefusedWrite(t *testing.T) {
	checkLeaks(t)
	dir := t.TempDir()
	p := startLimited(t, dir, 64<<10)
	u := newUser(t, p.addr)
	if err := p.limit(true); err != nil {
		t.Fatal(err)
	}
	want := u.produce(1, 5)
	padding := strings.Repeat("x", 3000)
	last := int64(0)
	for ; ; last++ {
		if last > 100 {
			t.Fatal("300 KB of commits went into a file of 64 KiB at most")
		}
		err := u.commit(nobody, 0, last+1, strconv.FormatInt(last+1, 10)+padding)
		if errors.Is(err, kafka.GroupCoordinatorNotAvailable) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := u.try(); !errors.Is(err, kafka.KafkaStorageError) {
		t.Errorf("a record after a write that failed gave %v", err)
	}

	if err := p.limit(false); err != nil {
		t.Fatal(err)
	}
	eventually(t, u.try) // it has started again, by itself and at the same address
	u.transport.CloseIdleConnections()
	u = newUser(t, p.addr) // with no connection of before
	if got := u.committed(0); got.Offset != last {
		t.Errorf("committed is %d after the broker started again, and %d was acknowledged", got.Offset, last)
	}
	if err := u.commit(nobody, 0, last+1, "later"); err != nil {
		t.Errorf("committing again: %v", err)
	}
	u.transport.CloseIdleConnections()
	p.kill()

	addr, stop := brokertest.StartAt(t, "127.0.0.1:0", dir, map[string]int{topic: partitions})
	u = newUser(t, addr)
	if diff := cmp.Diff(committed{last + 1, "later"}, u.committed(0)); diff != "" {
		t.Errorf("after the kill (-committed +found):\n%s", diff)
	}
	if diff := cmp.Diff(want, u.read(1, 0, 5)); diff != "" {
		t.Errorf("records differ (-produced +read):\n%s", diff)
	}
	u.transport.CloseIdleConnections()
	stop()
}

// limited is a broker in a process of its own, whose files can be kept from growing.
type limited struct {
	addr  string
	limit func(on bool) error
	kill  func()
}

func startLimited(t *testing.T, dir string, size int) limited {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveDirEnv+"="+dir, limitEnv+"="+strconv.Itoa(size))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceFunc(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Errorf("killing the broker: %v", err)
		}
		cmd.Wait() // it was killed: how it ended is known
		stdin.Close()
	})
	t.Cleanup(kill)
	answers := bufio.NewScanner(stdout)
	if !answers.Scan() {
		t.Fatal("the broker process did not start")
	}
	return limited{addr: answers.Text(), kill: kill, limit: func(on bool) error {
		order := "unlimited\n"
		if on {
			order = "limited\n"
		}
		if _, err := io.WriteString(stdin, order); err != nil {
			return err
		}
		if !answers.Scan() || answers.Text() != strings.TrimSpace(order) {
			return errors.New("the broker process answered " + strconv.Quote(answers.Text()))
		}
		return nil
	}}
}

// limitEnv makes serve obey startLimited.
const limitEnv = "IOC_TEST_FILE_SIZE"

// obey sets and lifts this process's limit on the size of files as stdin says.
func obey(size string) {
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		panic(err)
	}
	bytes, err := strconv.ParseUint(size, 10, 64)
	if err != nil {
		panic(err)
	}
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		limit := was
		if orders.Text() == "limited" {
			limit.Cur = bytes
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			panic(err)
		}
		os.Stdout.WriteString(orders.Text() + "\n")
	}
}
