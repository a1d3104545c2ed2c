package main

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// demoProcess is a running `ioc demo`.
type demoProcess struct {
	// addresses are those that it prints: KPIs, live feed, metrics, Kafka.
	addresses map[string]string
	// connection is the configuration file for other commands.
	connection string
	stop       func()
}

// startDemo runs ioc demo without its simulator on a data directory, with further flags, and waits until it is ready.
func startDemo(tb testing.TB, data string, flags ...string) *demoProcess {
	tb.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"demo", "--no-simulate", "--data", data, "--listen", "127.0.0.1:0",
		"--internal-listen", "127.0.0.1:0", "--kafka-listen", "127.0.0.1:0", "--log.level", "error"}, flags...)...)
	cmd.Env = append(os.Environ(), runEnv+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	stopped := false
	demo := &demoProcess{addresses: map[string]string{}, connection: data + "/connection.yaml"}
	demo.stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			tb.Errorf("ioc demo ended with %v", err)
		}
	}
	tb.Cleanup(demo.stop)
	lines := bufio.NewScanner(out)
	for len(demo.addresses) < 4 && lines.Scan() {
		for _, name := range []string{"KPIs", "live feed", "metrics", "Kafka"} {
			if rest, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
				demo.addresses[name], _, _ = strings.Cut(strings.TrimSpace(rest), " ")
			}
		}
	}
	if len(demo.addresses) < 4 {
		tb.Fatalf("ioc demo printed only %v", demo.addresses)
	}
	ready := strings.Replace(demo.addresses["metrics"], "/metrics", "/readyz", 1)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		response, err := http.Get(ready)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return demo
			}
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%s does not answer 200: %v", ready, err)
		}
	}
}
