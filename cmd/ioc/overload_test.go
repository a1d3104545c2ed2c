package main

import (
	"context"
	"syscall"
	"testing"
	"time"

	"ioc.local/internal/broker/brokertest"
)

// Where the memory of an ingest process goes, in bytes.
const (
	// baseMemory is the program, its reference data and its connections.
	baseMemory = 160 << 20
	// fetchMemory is what one partition fetches ahead: the answer of a broker and its records.
	fetchMemory = 2 * 8 << 20
	// identityMemory is what one remembered identity takes, twice while the window grows.
	identityMemory = 2 * 70
	// perPayloadByte is what a byte of payload takes as columns, encoded, and not yet collected as garbage.
	perPayloadByte = 4
)

// memoryLimit is what the resident memory of an ingest process stays below, however much it has to read: for each
// partition two ranges, what was fetched and the remembered identities, and the base.
func memoryLimit(cfg Config, topics map[string]int) int64 {
	partitions := 0
	for topic, n := range topics {
		if topic != cfg.Kafka.DeadLetterTopic {
			partitions += n
		}
	}
	each := 2*perPayloadByte*cfg.Ingest.MaxBytes + fetchMemory + identityMemory*cfg.Ingest.DuplicateWindow
	return detectorMemory * (baseMemory + int64(partitions*each))
}

// TestOverloadMemory sends at least ten times as much as ClickHouse can take, through a slow network, for
// TEST_OVERLOAD_SECONDS (20 by default). The ingest process stays below its limit of memory all the time, and nothing
// is lost.
func TestOverloadMemory(t *testing.T) {
	seconds := envInt(t, "TEST_OVERLOAD_SECONDS", 20)
	cfg := defaultConfig()
	cfg.Ingest.MaxBytes, cfg.Ingest.DuplicateWindow = 1<<20, 100_000
	c, i := newOutage(t, brokertest.Start(t, chaosTopics), "--ingest.max_bytes", "1048576", "--ingest.duplicate_window", "100000", "--ingest.insert_timeout", "1m")
	const rate, bytesPerSecond = 8000, 40_000
	c.proxy.Limit(bytesPerSecond)
	watch := i.watch()
	before := c.eventually("SELECT count() FROM "+rawRows, func(uint64) bool { return true })
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	sent := c.sent.events.Load()
	c.produce(ctx, newProducer(t, c.broker), rate, 77)
	sent = c.sent.events.Load() - sent
	taken := c.eventually("SELECT count() FROM "+rawRows, func(uint64) bool { return true }) - before
	overload := max(watch.restart())
	c.proxy.Limit(0)
	c.settle()
	after := max(watch.end())
	limit := memoryLimit(cfg, chaosTopics)
	t.Logf("%d s: %d events sent, %d taken, %.1f times as much; resident memory at most %d MB, while catching up %d MB, the limit is %d MB",
		seconds, sent, taken, float64(sent)/float64(max(taken, 1)), overload>>20, after>>20, limit>>20)
	if taken*10 > sent {
		t.Errorf("%d of %d events were taken: this was no overload", taken, sent)
	}
	if most := max(overload, after); most > limit {
		t.Errorf("%d MB is over the limit of %d MB", most>>20, limit>>20)
	}
	i.end(syscall.SIGTERM)
}
