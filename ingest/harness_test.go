package ingest_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"ioc.local/ingest"
	"ioc.local/ingest/event"
	"ioc.local/internal/broker/brokertest"
	"ioc.local/internal/cluster"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// harness is one ingester's world: a database with the schema, a broker, events to send.
type harness struct {
	t      testing.TB
	db     *enginetest.DB
	broker string
	data   *reference.Data
	base   time.Time
	// registry has the metrics of the ingester that was started last.
	registry *prometheus.Registry
	// health is a string: what the ingester reports, empty when it is well.
	health atomic.Value
}

// newHarness starts a broker with the given topics. All goroutines that the test starts must have ended
// when it has, those of the broker included.
func newHarness(t testing.TB, topics map[string]int) *harness {
	t.Helper()
	h := &harness{t: t, db: enginetest.Start(t), base: time.Now().Add(-time.Hour).Truncate(time.Second)}
	var err error
	if h.data, err = reference.Load(reference.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := warehouse.Migrate(t.Context(), h.db.Client); err != nil {
		t.Fatal(err)
	}
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, append(enginetest.Goroutines(), leaks)...) })
	h.broker = brokertest.Start(t, topics)
	return h
}

func (h *harness) config(topics ...string) ingest.Config {
	cfg := ingest.DefaultConfig()
	cfg.Topics, cfg.DeadLetterTopic = topics, "dead"
	cfg.FlushInterval = 50 * time.Millisecond
	return cfg
}

// cluster is how the broker is reached.
func (h *harness) cluster() *cluster.Cluster {
	h.t.Helper()
	reached, err := cluster.New(cluster.Config{Brokers: []string{h.broker}}, cluster.Deps{})
	if err != nil {
		h.t.Fatal(err)
	}
	return reached
}

// deps is what an ingester works with here.
func (h *harness) deps() ingest.Deps {
	h.t.Helper()
	hash := event.NewIdentityHash()
	h.registry = prometheus.NewRegistry()
	return ingest.Deps{
		Cluster: h.cluster(),
		Logger:  zaptest.NewLogger(h.t, zaptest.Level(zap.ErrorLevel)), Registry: h.registry, Warehouse: h.db.Client, Calendar: h.data.Calendar(),
		NewDecoder: func() *event.Decoder { return event.NewDecoder(h.data, event.Options{Identity: hash}) },
		Report: func(err error) {
			text := ""
			if err != nil {
				text = err.Error()
			}
			h.health.Store(text)
		},
	}
}

// run starts an ingester and returns a function that stops it and waits for its end.
func (h *harness) run(cfg ingest.Config) (i *ingest.Ingester, stop func()) {
	h.t.Helper()
	return h.runWith(cfg, h.deps())
}

// runWith is run with other parts.
func (h *harness) runWith(cfg ingest.Config, deps ingest.Deps) (i *ingest.Ingester, stop func()) {
	h.t.Helper()
	i, err := ingest.New(cfg, deps)
	if err != nil {
		h.t.Fatal(err)
	}
	return i, h.start(i)
}

// start runs an ingester until stop, or the test's end.
func (h *harness) start(i *ingest.Ingester) (stop func()) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- i.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("ingester ended with %v", err)
		}
	}
	h.t.Cleanup(stop)
	return stop
}

// problem is what the ingester reports of its health.
func (h *harness) problem() string {
	text, _ := h.health.Load().(string)
	return text
}

func (h *harness) send(topic string, messages ...kafka.Message) {
	h.t.Helper()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	w := &kafka.Writer{Transport: transport, Addr: kafka.TCP(h.broker), Topic: topic, Balancer: &kafka.Hash{}, BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll}
	defer func() { _ = w.Close() }()
	if err := w.WriteMessages(h.t.Context(), messages...); err != nil {
		h.t.Fatal(err)
	}
}

// auth is an authentication event; equal n gives the equal identity.
func (h *harness) auth(n int) kafka.Message {
	at := h.base.Add(time.Duration(n%3000) * time.Second)
	outcome := [...]string{"success", "success", "success", "no_match", "user_cancelled"}[n%5]
	return kafka.Message{Key: fmt.Appendf(nil, "s-%d", n), Value: fmt.Appendf(nil,
		`{"specversion":"1.0","id":"auth-%d","source":"/eid_auth/G01","type":"vn.da06.auth.attempt.v1","time":"%s","subject":"s-%d","data":{"province_code":"%s","admin_scheme":"gso34","relying_party":"H29","assurance_level":3,"auth_method":["password","face"],"outcome":"%s","latency_ms":412}}`,
		n, at.Format("2006-01-02T15:04:05.000-07:00"), n, [...]string{"01", "79", "48"}[n%3], outcome)}
}

// dossier is a status event of a dossier.
func (h *harness) dossier(dossier, status int, at time.Time) kafka.Message {
	return kafka.Message{Key: fmt.Appendf(nil, "d-%d", dossier), Value: fmt.Appendf(nil,
		`{"specversion":"1.0","id":"d-%d-%d","source":"/npsp/H26","type":"vn.da06.dossier.status.v1","time":"%s","subject":"d-%d","data":{"province_code":"79","admin_scheme":"gso34","agency_code":"H29.1","agency_level":"province","service_id":"DA06-03","registered_on":"%s","status":%d,"channel":%d,"due_at":"%s"}}`,
		dossier, status, at.Format("2006-01-02T15:04:05.000-07:00"), dossier, h.base.Add(-time.Hour).In(reference.TimeZone()).Format(time.DateOnly), status, 1+dossier%2,
		h.base.Add(240*time.Hour).Format("2006-01-02T15:04:05.000-07:00"))}
}

func (h *harness) count(query string) uint64 {
	h.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var n uint64
		err := h.db.Client.Conn().QueryRow(h.t.Context(), query).Scan(&n)
		if err == nil {
			return n
		}
		// The engine aborts now and then when a client ends a connection, and is started again.
		if !warehouse.Retryable(err) || time.Now().After(deadline) {
			h.t.Fatalf("%s: %v", query, err)
		}
	}
}

// ingested waits until everything that the topics hold is committed. Its rows are there a little earlier: where ingestion
// is stopped in between, the last range is left to the next owner, and what follows the rows is not there yet.
func (h *harness) ingested(topics ...string) {
	h.t.Helper()
	client, done := h.admin()
	defer done()
	requests := map[string][]kafka.OffsetRequest{}
	meta, err := client.Metadata(h.t.Context(), &kafka.MetadataRequest{Topics: topics})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, topic := range meta.Topics {
		for _, p := range topic.Partitions {
			requests[topic.Name] = append(requests[topic.Name], kafka.LastOffsetOf(p.ID))
		}
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		missing := map[string]int64{}
		ends, err := client.ListOffsets(h.t.Context(), &kafka.ListOffsetsRequest{Topics: requests})
		if err != nil {
			h.t.Fatal(err)
		}
		for topic, partitions := range ends.Topics {
			for _, p := range partitions {
				missing[fmt.Sprintf("%s/%d", topic, p.Partition)] = p.LastOffset
			}
		}
		err = ingest.Committed(h.t.Context(), h.config(topics...), h.cluster(), func(incarnation string, partition int, offset int64) {
			topic, _, _ := strings.Cut(incarnation, "@")
			missing[fmt.Sprintf("%s/%d", topic, partition)] -= offset
		})
		maps.DeleteFunc(missing, func(_ string, left int64) bool { return left == 0 })
		if err == nil && len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("not everything is committed: %v are missing, %v", missing, err)
		}
	}
}

// wait polls until the query gives want.
func (h *harness) wait(query string, want uint64) {
	h.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		var got uint64
		err := h.db.Client.Conn().QueryRow(h.t.Context(), query).Scan(&got)
		if err == nil && got == want {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("%s: got %d (%v), want %d", query, got, err, want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
