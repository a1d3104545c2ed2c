package broker_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"ioc.local/internal/broker"
	"ioc.local/internal/broker/brokertest"
)

// serveDirEnv makes the test binary a broker on the directory it names, for
// tests that kill one.
const serveDirEnv = "IOC_TEST_SERVE_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveDirEnv); dir != "" {
		serve(dir)
		return
	}
	os.Exit(m.Run())
}

// serve runs a broker, says where on stdout, and ends with its stdin.
func serve(dir string) {
	cfg := broker.DefaultConfig()
	cfg.Listen, cfg.Dir = "127.0.0.1:0", dir
	cfg.Topics = []broker.Topic{{Name: topic, Partitions: partitions}}
	b, err := broker.New(cfg, broker.Deps{Logger: zap.NewNop()})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		if b.WaitReady(ctx) == nil {
			os.Stdout.WriteString(b.Addr() + "\n")
		}
		if size := os.Getenv(limitEnv); size != "" {
			obey(size)
		}
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := b.Run(ctx); err != nil {
		panic(err)
	}
}

func checkLeaks(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
}

// start makes and runs a broker until the test ends.
func start(t *testing.T, cfg broker.Config) (b *broker.Broker, runErr chan error) {
	t.Helper()
	b, err := broker.New(cfg, broker.Deps{Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	runErr = make(chan error, 1)
	done := make(chan struct{})
	go func() { runErr <- b.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return b, runErr
}

func config(dir string, topics ...broker.Topic) broker.Config {
	cfg := broker.DefaultConfig()
	cfg.Listen, cfg.Dir, cfg.Topics = "127.0.0.1:0", dir, topics
	return cfg
}

func waitReady(t *testing.T, b *broker.Broker) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return b.WaitReady(ctx)
}

func TestRestart(t *testing.T) {
	checkLeaks(t)
	dir := t.TempDir()
	topics := map[string]int{topic: partitions}
	addr, stop := brokertest.StartAt(t, "127.0.0.1:0", dir, topics)
	u := newUser(t, addr)
	want := u.produce(1, 50)
	g := u.join()
	gen := u.next(g)
	if err := u.commit(gen, 1, 20, "range 20-39"); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	u.transport.CloseIdleConnections()
	stop()

	again, _ := brokertest.StartAt(t, addr, dir, topics)
	if again != addr {
		t.Fatalf("the broker is at %s after a restart, was at %s", again, addr)
	}
	checkSurvived(t, newUser(t, addr), gen, want)
}

// TestKill kills a broker that is writing: what it has acknowledged must be there.
func TestKill(t *testing.T) {
	checkLeaks(t)
	dir := t.TempDir()
	addr, kill := startProcess(t, dir)
	u := newUser(t, addr)
	want := u.produce(1, 50)
	g := u.join()
	gen := u.next(g)
	if err := u.commit(gen, 1, 20, "range 20-39"); err != nil {
		t.Fatal(err)
	}

	// Partition 0 is busy at the time: a record, then a commit behind it.
	acknowledged := make(chan int64)
	go func() {
		defer close(acknowledged)
		w := u.writer(0)
		w.MaxAttempts = 1
		defer w.Close()
		for offset := int64(1); ; offset++ {
			if w.WriteMessages(u.ctx, message(strconv.FormatInt(offset-1, 10))) != nil {
				return
			}
			if u.commit(gen, 0, offset, strconv.FormatInt(offset, 10)) != nil {
				return
			}
			acknowledged <- offset
		}
	}()
	var last int64
	for offset := range acknowledged {
		if last = offset; last == 200 {
			go kill()
		}
	}
	kill()
	g.Close()
	u.transport.CloseIdleConnections()
	if last < 200 {
		t.Fatalf("the broker took %d records, then failed before it was killed", last)
	}

	addr, _ = brokertest.StartAt(t, "127.0.0.1:0", dir, map[string]int{topic: partitions})
	u = newUser(t, addr)
	for i, value := range u.read(0, 0, int(last)) {
		if value != strconv.Itoa(i) {
			t.Fatalf("record %d is %q", i, value)
		}
	}
	// The commit after the last acknowledged one may have been taken or not.
	if got := u.committed(0); got.Offset < last || got.Offset > last+1 || got.Metadata != strconv.FormatInt(got.Offset, 10) {
		t.Errorf("committed is %+v, want offset and metadata %d or one more", got, last)
	}
	checkSurvived(t, u, gen, want)
}

// startProcess runs a broker in a process of its own, which kill ends with
// SIGKILL.
func startProcess(t *testing.T, dir string) (addr string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveDirEnv+"="+dir)
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
	kill = sync.OnceFunc(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Errorf("killing the broker: %v", err)
		}
		cmd.Wait() // it was killed: how it ended is known
		stdin.Close()
	})
	t.Cleanup(kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the broker process did not start: %v", err)
	}
	return strings.TrimSpace(line), kill
}

// checkSurvived checks what a broker knows after 50 records on partition 1 and a
// commit of offset 20 in gen.
func checkSurvived(t *testing.T, u *user, gen *kafka.Generation, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, u.read(1, 0, len(want))); diff != "" {
		t.Errorf("records differ (-produced +read):\n%s", diff)
	}
	if diff := cmp.Diff(committed{20, "range 20-39"}, u.committed(1)); diff != "" {
		t.Errorf("committed (-want +got):\n%s", diff)
	}
	g := u.join()
	defer g.Close()
	next := u.next(g)
	if next.ID <= gen.ID {
		t.Errorf("generation %d follows %d: it must grow, or a stale commit is taken", next.ID, gen.ID)
	}
	if err := u.commit(gen, 1, 30, "stale"); err == nil {
		t.Error("a commit from before the restart was taken")
	}
	for _, a := range next.Assignments[topic] {
		if a.ID == 1 && a.Offset != 20 {
			t.Errorf("partition 1 is assigned at offset %d, want 20", a.Offset)
		}
	}
	more := u.produce(1, 1)
	if diff := cmp.Diff(more, u.read(1, int64(len(want)), 1)); diff != "" {
		t.Errorf("a record after the restart (-produced +read):\n%s", diff)
	}
}

func TestAddressInUse(t *testing.T) {
	checkLeaks(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cfg := config(t.TempDir())
	cfg.Listen = ln.Addr().String()
	_, err = broker.New(cfg, broker.Deps{Logger: zap.NewNop()})
	if err == nil || !strings.Contains(err.Error(), cfg.Listen) {
		t.Fatalf("error is %v, want one that names %s", err, cfg.Listen)
	}
	// The directory is free again.
	cfg.Listen = "127.0.0.1:0"
	b, _ := start(t, cfg)
	if err := waitReady(t, b); err != nil {
		t.Fatal(err)
	}
}

func TestDirectoryInUse(t *testing.T) {
	checkLeaks(t)
	dir := t.TempDir()
	b, _ := start(t, config(dir))
	if err := waitReady(t, b); err != nil {
		t.Fatal(err)
	}
	_, err := broker.New(config(dir), broker.Deps{Logger: zap.NewNop()})
	if err == nil || !strings.Contains(err.Error(), dir) {
		t.Fatalf("error is %v, want one that names %s", err, dir)
	}
}

func TestWildcardIsConnectable(t *testing.T) {
	checkLeaks(t)
	cfg := config("", broker.Topic{Name: topic, Partitions: partitions})
	cfg.Listen = "0.0.0.0:0"
	b, _ := start(t, cfg)
	if err := waitReady(t, b); err != nil {
		t.Fatal(err)
	}
	u := newUser(t, b.Addr())
	res, err := u.client.Metadata(u.ctx, &kafka.MetadataRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Brokers[0].Host; got != "127.0.0.1" {
		t.Errorf("clients are sent to %s", got)
	}
}

func TestConfigErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*broker.Config)
		want   string
	}{
		"address":    {func(c *broker.Config) { c.Listen = "nowhere" }, "nowhere"},
		"no name":    {func(c *broker.Config) { c.Topics = []broker.Topic{{Partitions: 1}} }, "topic 1 has no name"},
		"partitions": {func(c *broker.Config) { c.Topics = []broker.Topic{{Name: "a"}} }, "topic a has 0 partitions"},
		"retention":  {func(c *broker.Config) { c.RetentionBytes = 0 }, "retention bytes is 0"},
		"floor":      {func(c *broker.Config) { c.MinFreeBytes = -1 }, "free bytes to keep is -1"},
		"directory":  {func(c *broker.Config) { c.Dir = os.Args[0] }, filepath.Base(os.Args[0])},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t.TempDir())
			c.change(&cfg)
			_, err := broker.New(cfg, broker.Deps{Logger: zap.NewNop()})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestPartitionsOfEarlierRun(t *testing.T) {
	checkLeaks(t)
	dir := t.TempDir()
	addr, stop := brokertest.StartAt(t, "127.0.0.1:0", dir, map[string]int{topic: 2})
	u := newUser(t, addr)
	want := u.produce(1, 3)
	u.transport.CloseIdleConnections()
	stop()

	addr, stop = brokertest.StartAt(t, "127.0.0.1:0", dir, map[string]int{topic: 5})
	u = newUser(t, addr)
	if diff := cmp.Diff(want, u.read(1, 0, 3)); diff != "" {
		t.Errorf("records differ (-produced +read):\n%s", diff)
	}
	want = u.produce(4, 1)
	if diff := cmp.Diff(want, u.read(4, 0, 1)); diff != "" {
		t.Errorf("records of the new partition differ (-produced +read):\n%s", diff)
	}
	u.transport.CloseIdleConnections()
	stop()

	addr, _ = brokertest.StartAt(t, "127.0.0.1:0", dir, map[string]int{topic: 3})
	if diff := cmp.Diff(want, newUser(t, addr).read(4, 0, 1)); diff != "" {
		t.Errorf("records of a partition that is not configured differ (-produced +read):\n%s", diff)
	}
}

func TestRetention(t *testing.T) {
	checkLeaks(t)
	dir := t.TempDir()
	addr, stop := brokertest.StartAt(t, "127.0.0.1:0", dir, map[string]int{topic: partitions})
	u := newUser(t, addr)
	var last []string
	for range 10 {
		last = u.produce(0, 100)
	}
	u.transport.CloseIdleConnections()
	stop()

	cfg := config(dir, broker.Topic{Name: topic, Partitions: partitions})
	cfg.RetentionBytes = 8 << 10 // a batch of 100 records takes about 7 KB
	b, _ := start(t, cfg)
	if err := waitReady(t, b); err != nil {
		t.Fatal(err)
	}
	u = newUser(t, b.Addr())
	res, err := u.client.ListOffsets(u.ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
		topic: {kafka.FirstOffsetOf(0), kafka.LastOffsetOf(0)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if p := res.Topics[topic][0]; p.FirstOffset < 500 || p.FirstOffset >= 1000 || p.LastOffset != 1000 {
		t.Errorf("offsets are %d to %d, want most of the first gone and 1000", p.FirstOffset, p.LastOffset)
	}
	if diff := cmp.Diff(last, u.read(0, 900, 100)); diff != "" {
		t.Errorf("the newest records differ (-produced +read):\n%s", diff)
	}
}

// TestRetentionByAge: a topic with a retention loses what is older, also one of an earlier run; others keep it.
func TestRetentionByAge(t *testing.T) {
	checkLeaks(t)
	const letters = "letters"
	dir := t.TempDir()
	addr, stop := brokertest.StartAt(t, "127.0.0.1:0", dir, map[string]int{topic: 1, letters: 1})
	transport := &kafka.Transport{}
	w := &kafka.Writer{Addr: kafka.TCP(addr), Transport: transport, BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll}
	for _, age := range []time.Duration{3 * time.Hour, 2 * time.Hour, 0} {
		for _, name := range []string{topic, letters} {
			if err := w.WriteMessages(t.Context(), kafka.Message{Topic: name, Value: []byte("x"), Time: time.Now().Add(-age)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = w.Close()
	transport.CloseIdleConnections()
	stop()

	b, _ := start(t, config(dir, broker.Topic{Name: topic, Partitions: 1}, broker.Topic{Name: letters, Partitions: 1, Retention: time.Hour}))
	if err := waitReady(t, b); err != nil {
		t.Fatal(err)
	}
	u := newUser(t, b.Addr())
	for name, want := range map[string]int64{topic: 0, letters: 2} {
		res, err := u.client.ListOffsets(u.ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{name: {kafka.FirstOffsetOf(0)}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := res.Topics[name][0].FirstOffset; got != want {
			t.Errorf("%s begins at %d, want %d", name, got, want)
		}
	}
}

func TestUnreadableDirectory(t *testing.T) {
	checkLeaks(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "meta.json"), []byte("not json"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, _ := start(t, config(dir))
	if err := waitReady(t, b); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("error is %v, want one that names %s", err, dir)
	}
}

func TestStoppedBeforeReady(t *testing.T) {
	checkLeaks(t)
	b, err := broker.New(config(""), broker.Deps{Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.WaitReady(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting gave %v", err)
	}
	if err := b.Run(ctx); err != nil {
		t.Errorf("Run gave %v", err)
	}
	if ln, err := net.Listen("tcp", b.Addr()); err != nil {
		t.Errorf("the address is not free after Run: %v", err)
	} else {
		ln.Close()
	}
}

// TestKcat produces with another client library than ours.
func TestKcat(t *testing.T) {
	checkLeaks(t)
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("kcat is not installed")
	}
	addr := brokertest.Start(t, map[string]int{topic: partitions})
	cmd := exec.CommandContext(t.Context(), kcat, "-b", addr, "-t", topic, "-p", "1", "-P", "-H", "content-type=application/cloudevents+json")
	cmd.Stdin = strings.NewReader("one\ntwo\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kcat: %v\n%s", err, out)
	}
	if diff := cmp.Diff([]string{"one", "two"}, newUser(t, addr).read(1, 0, 2)); diff != "" {
		t.Errorf("records differ (-produced +read):\n%s", diff)
	}
}

// TestForeignRequests sends what kfake alone would die of, then uses the broker.
func TestForeignRequests(t *testing.T) {
	checkLeaks(t)
	addr := brokertest.Start(t, map[string]int{topic: partitions})
	for name, request := range map[string]string{
		"http":        "GET /metrics HTTP/1.1\r\nHost: ioc\r\n\r\n",
		"unknown key": "\x00\x00\x00\x08\x7f\xff\x00\x00\x00\x00\x00\x01",
		"too long":    "\x7f\xff\xff\xff\x00\x12\x00\x00\x00\x00\x00\x01",
		"cut short":   "\x00\x00\x00\x20\x00\x12",
		"two bytes":   "\x00\x00\x00\x02\x00\x12",
		"no bytes":    "\x00\x00\x00\x00\x00\x12",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write([]byte(request)); err != nil {
				t.Fatal(err)
			}
			conn.(*net.TCPConn).CloseWrite()
			conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) || err == nil {
				t.Errorf("reading gave %v, want the end of the connection", err)
			}
		})
	}
	u := newUser(t, addr)
	want := u.produce(0, 1)
	if diff := cmp.Diff(want, u.read(0, 0, 1)); diff != "" {
		t.Errorf("records differ (-produced +read):\n%s", diff)
	}
}
