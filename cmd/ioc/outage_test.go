package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ioc.local/internal/broker/brokertest"
	"ioc.local/internal/broker/kafkatest"
	"ioc.local/internal/faultproxy"
	"ioc.local/internal/produce"
	"ioc.local/internal/simulate"
)

// outageEvents is how many events pile up during an outage: 1 % of 24 hours at 200 events/s, unless TEST_OUTAGE_EVENTS
// says more. The whole of it is TEST_OUTAGE_EVENTS=17280000, with TEST_KAFKA_HOME and -run RealKafka, since the
// embedded broker keeps its records in memory.
const outageEvents = 172_800

// flatEvents is from how many events on the memory of the second half of catching up has to be that of the first: until
// then the remembered identities become more.
const flatEvents = 8_000_000

// TestCatchUpAfterOutage takes ClickHouse, and then the broker, away for as long as many events come. Ingestion says so,
// loses nothing, and catches up in no more memory than it takes for any load.
func TestCatchUpAfterOutage(t *testing.T) {
	t.Run("clickhouse", func(t *testing.T) {
		catchUpAfterClickHouse(t, brokertest.Start(t, chaosTopics))
	})
	t.Run("broker", func(t *testing.T) {
		dir := t.TempDir()
		addr, stop := brokertest.StartAt(t, "127.0.0.1:0", dir, chaosTopics)
		catchUpAfterBroker(t, addr, stop, func() { brokertest.StartAt(t, addr, dir, chaosTopics) })
	})
}

// TestCatchUpAfterOutageRealKafka is the same with Apache Kafka.
func TestCatchUpAfterOutageRealKafka(t *testing.T) {
	t.Run("clickhouse", func(t *testing.T) {
		catchUpAfterClickHouse(t, kafkatest.Start(t, chaosTopics))
	})
	t.Run("broker", func(t *testing.T) {
		kafka := kafkatest.Run(t, kafkatest.Options{Topics: chaosTopics})
		catchUpAfterBroker(t, kafka.Addr, kafka.Kill, kafka.Restart)
	})
}

// newOutage is a pipeline that has ingested some events, with ClickHouse behind a proxy.
func newOutage(t *testing.T, broker string, flags ...string) (*chaos, *ingester) {
	t.Helper()
	c := newChaos(t, broker)
	c.proxy = faultproxy.Start(t, c.db.Engine.Addr)
	i := c.startIngest(flags...)
	c.pileUp(1000)
	c.eventually("SELECT count() FROM "+rawRows, func(n uint64) bool { return n == 1000 })
	i.waitReady(true, "")
	return c, i
}

// catchUpAfterClickHouse lets events pile up in the broker while ClickHouse is away.
func catchUpAfterClickHouse(t *testing.T, broker string) {
	c, i := newOutage(t, broker)
	n := envInt(t, "TEST_OUTAGE_EVENTS", outageEvents)
	c.proxy.Refuse()
	c.proxy.Cut(faultproxy.Close)
	watch := i.watch()
	c.pileUp(n)
	i.waitReady(false, "ClickHouse")
	_, during := watch.restart()
	began := time.Now()
	c.proxy.Accept()
	c.caughtUp(i, began, n, during, watch)
}

// catchUpAfterBroker takes the broker away. Its producers hold their events back, and send them all at once when it is
// there again.
func catchUpAfterBroker(t *testing.T, broker string, stop, start func()) {
	c, i := newOutage(t, broker)
	n := envInt(t, "TEST_OUTAGE_EVENTS", outageEvents)
	c.retried = true
	stop()
	watch := i.watch()
	i.waitReady(false, "Kafka")
	_, during := watch.restart()
	start()
	began := time.Now()
	c.pileUp(n)
	c.caughtUp(i, began, n, during, watch)
}

// caughtUp waits until all events are there, and says how that went.
func (c *chaos) caughtUp(i *ingester, began time.Time, n int, during int64, watch *watch) {
	c.Helper()
	c.eventually("SELECT sum(n) FROM source_activity WHERE topic = ''", func(rows uint64) bool { return rows >= c.sent.events.Load() })
	took := time.Since(began)
	i.waitReady(true, "")
	first, second := watch.end()
	limit := memoryLimit(defaultConfig(), chaosTopics)
	c.Logf("%d events caught up in %s: %.0f events/s; resident memory at most %d MB during the outage, %d MB in the first half of catching up, %d MB in the second; the limit is %d MB",
		n, took.Round(time.Millisecond), float64(n)/took.Seconds(), during>>20, first>>20, second>>20, limit>>20)
	if max(first, second) > limit {
		c.Errorf("%d MB is over the limit of %d MB", max(first, second)>>20, limit>>20)
	}
	if n >= flatEvents && second > first+first/5 {
		c.Errorf("memory grows while catching up: %d MB in the first half, %d MB in the second", first>>20, second>>20)
	}
	c.settle()
	i.end(syscall.SIGTERM)
}

// pileUp sends n simulated events as fast as the broker takes them.
func (c *chaos) pileUp(n int) {
	c.Helper()
	kafka := newProducer(c, c.broker)
	// Every call has a seed of its own, so that no event comes twice.
	generator, err := simulate.NewGenerator(simulate.Config{Rate: 5000, Seed: 1 + c.sent.events.Load(), Start: time.Now().Add(-2 * time.Hour)}, c.data)
	if err != nil {
		c.Fatal(err)
	}
	for n > 0 {
		messages := make([]produce.Message, 0, 10_000)
		for range min(n, cap(messages)) {
			_, event := generator.Next(nil)
			messages = append(messages, event.Message)
		}
		n -= len(messages)
		c.sent.events.Add(uint64(len(messages)))
		err := kafka.Write(c.Context(), messages)
		for deadline := time.Now().Add(2 * time.Minute); err != nil && c.retried && time.Now().Before(deadline); {
			err = kafka.Write(c.Context(), messages)
		}
		if err != nil {
			c.Fatal(err)
		}
	}
}

// ready asks the process whether it is, and for what it says.
func (i *ingester) ready() (code int, problems string) {
	ctx, cancel := context.WithTimeout(i.Context(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+i.internal+"/readyz", nil)
	if err != nil {
		return 0, err.Error()
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	var state struct {
		Probes []struct{ Name, Error string }
	}
	text, err := io.ReadAll(answer.Body)
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	if err != nil {
		return answer.StatusCode, err.Error()
	}
	for _, p := range state.Probes {
		if p.Error != "" {
			problems += p.Name + ": " + p.Error + "\n"
		}
	}
	return answer.StatusCode, problems
}

// waitReady waits until the process says that it is ready, or that it is not, naming what is missing.
func (i *ingester) waitReady(ready bool, naming string) {
	i.Helper()
	want := map[bool]int{true: http.StatusOK, false: http.StatusServiceUnavailable}[ready]
	var code int
	var problems string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if code, problems = i.ready(); code == want && strings.Contains(problems, naming) {
			return
		}
	}
	i.Fatalf("/readyz answers %d %q, want %d naming %q\n%s", code, problems, want, naming, i.output())
}

// memory is the resident memory of the process, in bytes.
func (i *ingester) memory() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", i.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			kilobytes, err := strconv.ParseInt(fields[1], 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("there is no VmRSS in:\n%s", text)
}

// watch samples the memory of a process, ten times a second.
type watch struct {
	mu      sync.Mutex
	samples []int64
	stop    chan struct{}
	done    chan struct{}
}

func (i *ingester) watch() *watch {
	w := &watch{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for {
			if now, err := i.memory(); err == nil { // a process that has ended takes none
				w.mu.Lock()
				w.samples = append(w.samples, now)
				w.mu.Unlock()
			}
			select {
			case <-w.stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return w
}

// restart gives the most that was seen in the first and in the second half, and begins anew.
func (w *watch) restart() (first, second int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for at, sample := range w.samples {
		if at < len(w.samples)/2 {
			first = max(first, sample)
		} else {
			second = max(second, sample)
		}
	}
	w.samples = nil
	return first, second
}

// end is restart, once and for all.
func (w *watch) end() (first, second int64) {
	close(w.stop)
	<-w.done
	return w.restart()
}
