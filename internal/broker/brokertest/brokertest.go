// Package brokertest starts the embedded Kafka broker for tests.
package brokertest

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"ioc.local/internal/broker"
)

// startTimeout bounds how long a broker may take to be ready.
const startTimeout = 30 * time.Second

// Start runs a broker in memory on a free loopback port until the test ends,
// with the given topics (name to number of partitions), and returns its address.
// It fails the test if the broker does not start.
//
// Group members may ask for session timeouts from 100 ms on. The broker stops in
// the test's cleanup, so a test that checks for leaked goroutines registers that
// check with t.Cleanup before it calls Start.
func Start(t testing.TB, topics map[string]int) (addr string) {
	t.Helper()
	addr, _ = StartAt(t, "127.0.0.1:0", "", topics)
	return addr
}

// StartAt is Start with an address to listen on and a data directory (empty for
// memory), for tests that stop a broker and start it again. The function it
// returns stops the broker and may be called more than once.
func StartAt(t testing.TB, listen, dir string, topics map[string]int) (addr string, stop func()) {
	t.Helper()
	cfg := broker.DefaultConfig()
	cfg.Listen, cfg.Dir = listen, dir
	for name, partitions := range topics {
		cfg.Topics = append(cfg.Topics, broker.Topic{Name: name, Partitions: partitions})
	}
	b, err := broker.New(cfg, broker.Deps{Logger: zap.NewNop()})
	if err != nil {
		t.Fatalf("broker: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("broker: %v", err)
		}
	})
	t.Cleanup(stop)

	ready, cancelReady := context.WithTimeout(ctx, startTimeout)
	defer cancelReady()
	if err := b.WaitReady(ready); err != nil {
		t.Fatalf("broker: %v", err)
	}
	return b.Addr(), stop
}
