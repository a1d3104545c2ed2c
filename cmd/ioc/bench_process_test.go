package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"ioc.local/internal/broker"
	"ioc.local/internal/broker/kafkatest"
	"ioc.local/internal/warehouse/engine"
	"ioc.local/internal/warehouse/enginetest"
)

// brokerEnv makes the test binary run the embedded broker alone, so that its processor time can be told from that of
// the program that measures. Its value is the number of partitions of the topic of authentications.
const brokerEnv = "TEST_RUN_BROKER"

// keptBytes is what a partition of the broker keeps: more than a benchmark produces.
const keptBytes = 16 << 30

// runBroker serves until standard input ends, and returns the exit code.
func runBroker() int {
	partitions, err := strconv.Atoi(os.Getenv(brokerEnv))
	if err == nil {
		err = serveBroker(partitions)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func serveBroker(partitions int) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cfg := broker.DefaultConfig()
	cfg.Listen, cfg.RetentionBytes = "127.0.0.1:0", keptBytes
	for topic, n := range benchTopics(partitions) {
		cfg.Topics = append(cfg.Topics, broker.Topic{Name: topic, Partitions: n})
	}
	b, err := broker.New(cfg, broker.Deps{Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	go func() {
		if err := b.WaitReady(ctx); err == nil {
			fmt.Println(b.Addr())
		}
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return b.Run(ctx)
}

// startBroker starts the embedded broker as a process of its own, until the benchmark ends.
func startBroker(b *testing.B, partitions int) (addr string, pid int) {
	b.Helper()
	return brokerProcess(b, partitions)
}

// brokerProcess is startBroker for tests too.
func brokerProcess(b testing.TB, partitions int) (addr string, pid int) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), brokerEnv+"="+strconv.Itoa(partitions))
	cmd.Stderr = os.Stderr
	input, err1 := cmd.StdinPipe()
	output, err2 := cmd.StdoutPipe()
	if err := cmp.Or(err1, err2, cmd.Start()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = input.Close()
		if err := cmd.Wait(); err != nil {
			b.Errorf("the broker: %v", err)
		}
	})
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		b.Fatalf("the broker did not start: %v", err)
	}
	return strings.TrimSpace(line), cmd.Process.Pid
}

// startKafka starts Apache Kafka until the benchmark ends.
func startKafka(b *testing.B, partitions int) (addr string, pid int) {
	b.Helper()
	addr = kafkatest.Start(b, benchTopics(partitions))
	for _, child := range children(b, os.Getpid()) {
		if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", child)); err == nil && strings.TrimSpace(string(name)) == "java" {
			return addr, child
		}
	}
	b.Fatal("the process of Apache Kafka was not found")
	return "", 0
}

// children are the processes that descend from a process.
func children(tb testing.TB, of int) []int {
	tb.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		tb.Fatal(err)
	}
	parents := map[int]int{}
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		parents[number(tb, filepath.Base(filepath.Dir(file)))] = number(tb, fields[1])
	}
	var found []int
	for pid := range parents {
		for up := parents[pid]; up > 0; up = parents[up] {
			if up == of {
				found = append(found, pid)
				break
			}
		}
	}
	return found
}

func number(tb testing.TB, text string) int {
	tb.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// startEngine starts an engine of its own, with the configuration of `ioc demo`, until the benchmark ends.
func startEngine(b *testing.B) *engine.Engine {
	b.Helper()
	return startEngineIn(b, b.TempDir())
}

func startEngineIn(b *testing.B, dir string) *engine.Engine {
	b.Helper()
	cfg := engine.DefaultConfig()
	cfg.Dir, cfg.LogLevel, cfg.Library = dir, "fatal", os.Getenv(engine.LibraryEnv)
	e, err := engine.New(cfg, engine.Deps{Logger: zap.NewNop(), Registry: prometheus.NewRegistry(), Command: enginetest.Command})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Errorf("the engine: %v", err)
		}
	})
	ready, cancelReady := context.WithTimeout(ctx, time.Minute)
	defer cancelReady()
	if err := e.WaitReady(ready); err != nil {
		b.Fatal(err)
	}
	return e
}

// ownCPU is the processor time that this process has used, in seconds.
func ownCPU(tb testing.TB) float64 {
	tb.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// peakMemory is the most resident memory that a process has had, in MB.
func peakMemory(tb testing.TB, pid int) float64 {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
			return float64(number(tb, fields[1])) / 1000
		}
	}
	tb.Fatalf("there is no peak of memory in:\n%s", text)
	return 0
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// machine describes the processors and the versions that figures hold for.
func machine() string {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d processors, %s", model, runtime.NumCPU(), runtime.Version())
}
