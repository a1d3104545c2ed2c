package ingest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ioc.local/ingest/event"
)

// dedupeWindow is non_replicated_deduplication_window of the schema: how many inserts into a table
// ClickHouse remembers the tokens of.
const dedupeWindow = 10_000

type metrics struct {
	events          *prometheus.CounterVec
	rejected        *prometheus.CounterVec
	unknownFields   *prometheus.CounterVec
	rangeEvents     prometheus.Histogram
	rangeBytes      prometheus.Histogram
	insertSeconds   *prometheus.HistogramVec
	insertRetries   *prometheus.CounterVec
	eventAge        prometheus.Histogram
	lag             *prometheus.GaugeVec
	duplicateWindow *prometheus.GaugeVec
	stopped         *prometheus.GaugeVec
	partitions      prometheus.Gauge
	generation      prometheus.Gauge
	replays         prometheus.Counter
	partitionErrors prometheus.Counter
	fetchErrors     prometheus.Counter
	groupErrors     prometheus.Counter
	lettersLost     prometheus.Counter

	mu      sync.Mutex
	inserts map[string]*insertRate
}

// insertRate counts the inserts into one table over the current and the last minute.
type insertRate struct {
	minute            int64
	current, previous int
}

var verdictNames = [...]string{event.Accepted: "accepted", event.Rejected: "rejected", event.Duplicate: "duplicate"}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	partition := []string{"topic", "partition"}
	m := &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ioc_ingest_events_total",
			Help: "Records committed, by verdict: accepted, rejected, duplicate."}, []string{"topic", "verdict"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ioc_ingest_rejected_total",
			Help: "Records rejected, by reason code."}, []string{"reason"}),
		unknownFields: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ioc_ingest_unknown_fields_total",
			Help: "Fields of data that the contract does not know, by name (at most 256 names, the rest as *); they are kept in the column extra."}, []string{"field"}),
		rangeEvents: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ioc_ingest_range_events",
			Help: "Records in a range.", Buckets: prometheus.ExponentialBuckets(1, 4, 10)}),
		rangeBytes: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ioc_ingest_range_bytes",
			Help: "Payload bytes of a range.", Buckets: prometheus.ExponentialBuckets(1024, 4, 10)}),
		insertSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "ioc_ingest_insert_seconds",
			Help: "Duration of one insert with its rollups.", Buckets: prometheus.ExponentialBuckets(0.002, 2, 14)}, []string{"table"}),
		insertRetries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ioc_ingest_insert_retries_total",
			Help: "Inserts that failed and were sent again."}, []string{"table"}),
		eventAge: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ioc_ingest_record_age_seconds",
			Help: "Age of the oldest record of a range when it was committed.", Buckets: prometheus.ExponentialBuckets(0.05, 2, 14)}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ioc_ingest_lag_offsets",
			Help: "Offsets between the position and the end of the log."}, partition),
		duplicateWindow: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ioc_ingest_duplicate_window_seconds",
			Help: "Record time that the remembered identities reach back."}, partition),
		stopped: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ioc_ingest_partition_stopped",
			Help: "1 while a partition waits for an operator's decision."}, partition),
		partitions:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "ioc_ingest_partitions", Help: "Partitions assigned to this process."}),
		generation:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "ioc_ingest_generation_id", Help: "Generation of the consumer group."}),
		replays:         counter("ioc_ingest_replays_total", "Recorded ranges that were formed again after a crash or rebalance."),
		partitionErrors: counter("ioc_ingest_partition_errors_total", "Times that a partition had to be established again."),
		fetchErrors:     counter("ioc_ingest_fetch_errors_total", "Fetches that failed and were tried again."),
		groupErrors:     counter("ioc_ingest_group_errors_total", "Failed attempts to join the consumer group."),
		lettersLost:     counter("ioc_ingest_dead_letters_refused_total", "Dead letters that the broker refused for good; their table row exists."),
		inserts:         map[string]*insertRate{},
	}
	window := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ioc_ingest_dedupe_window_seconds",
		Help: "Time that ClickHouse remembers a token at the insert rate of this process in its busiest table; the promise of exactly-once holds for stalls shorter than this."},
		func() float64 { return m.dedupeSeconds(time.Now()) })
	var errs []error
	for _, c := range []prometheus.Collector{m.events, m.rejected, m.unknownFields, m.rangeEvents, m.rangeBytes, m.insertSeconds, m.insertRetries,
		m.eventAge, m.lag, m.duplicateWindow, m.stopped, m.partitions, m.generation, m.replays, m.partitionErrors, m.fetchErrors,
		m.groupErrors, m.lettersLost, window} {
		errs = append(errs, registry.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("registering ingestion metrics: %w", err)
	}
	return m, nil
}

// committed counts a range that is in ClickHouse and committed.
func (m *metrics) committed(topic string, partition int, c *cut) {
	records := 0
	for verdict, n := range c.counts {
		records += n
		m.events.WithLabelValues(topic, verdictNames[verdict]).Add(float64(n))
	}
	for _, r := range c.batch.Rejections() {
		m.rejected.WithLabelValues(string(r.Reason)).Inc()
	}
	for field, n := range c.unknown {
		m.unknownFields.WithLabelValues(field).Add(float64(n))
	}
	m.rangeEvents.Observe(float64(records))
	m.rangeBytes.Observe(float64(c.batch.Bytes()))
	now := time.Now().UnixMilli()
	if c.oldest > 0 {
		m.eventAge.Observe(float64(now-c.oldest) / 1000)
	}
	id := strconv.Itoa(partition)
	m.lag.WithLabelValues(topic, id).Set(float64(max(0, c.end-c.pending.Last-1)))
	if c.reach > 0 {
		m.duplicateWindow.WithLabelValues(topic, id).Set(float64(now-c.reach) / 1000)
	}
}

// inserted counts one insert for the estimate of the deduplication window.
func (m *metrics) inserted(table string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rate := m.inserts[table]
	if rate == nil {
		rate = &insertRate{}
		m.inserts[table] = rate
	}
	rate.roll(time.Now())
	rate.current++
}

func (m *metrics) dedupeSeconds(now time.Time) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	busiest := 0.0
	for _, rate := range m.inserts {
		rate.roll(now)
		busiest = max(busiest, float64(max(rate.previous, rate.current))/60)
	}
	if busiest == 0 {
		return dedupeWindow * 60 // less than one insert a minute
	}
	return dedupeWindow / busiest
}

func (r *insertRate) roll(now time.Time) {
	minute := now.Unix() / 60
	switch minute - r.minute {
	case 0:
	case 1:
		r.previous, r.current = r.current, 0
	default:
		r.previous, r.current = 0, 0
	}
	r.minute = minute
}
