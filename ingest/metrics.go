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

// rollupWindow is non_replicated_deduplication_window of a rollup: how many parts that were inserted into it ClickHouse
// remembers the tokens of. One insert into a raw table makes one part in each rollup.
const rollupWindow = 10_000

type metrics struct {
	events          *prometheus.CounterVec
	rejected        *prometheus.CounterVec
	unknownFields   *prometheus.CounterVec
	rangeEvents     prometheus.Histogram
	rangeBytes      prometheus.Histogram
	insertSeconds   *prometheus.HistogramVec
	insertRetries   *prometheus.CounterVec
	eventAge        prometheus.Histogram
	duplicateWindow *prometheus.GaugeVec
	stopped         *prometheus.GaugeVec
	paused          *prometheus.GaugeVec
	clockWrong      *prometheus.GaugeVec
	partitions      prometheus.Gauge
	generation      prometheus.Gauge
	replays         prometheus.Counter
	partitionErrors prometheus.Counter
	groupErrors     prometheus.Counter
	lettersLost     prometheus.Counter
	lettersBare     prometheus.Counter
	lettersAgain    *prometheus.CounterVec
	quality         *qualityMetrics
	fields          *labels

	mu      sync.Mutex
	inserts map[string]*insertRate
}

// insertRate counts the inserts into one table, and the parts that they made, over the current and the last minute.
type insertRate struct {
	minute                   int64
	inserts, previousInserts int
	parts, previousParts     int
}

var verdictNames = [...]string{event.Accepted: "accepted", event.Rejected: "rejected", event.Duplicate: "duplicate"}

func newMetrics(registry prometheus.Registerer, status *statusBoard) (*metrics, error) {
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
		duplicateWindow: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ioc_ingest_duplicate_window_seconds",
			Help: "Record time that the remembered identities reach back."}, partition),
		stopped: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ioc_ingest_partition_stopped",
			Help: "1 while a partition waits for an operator's decision."}, partition),
		paused: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ioc_ingest_paused",
			Help: "1 while an operator holds the partition (ioc pause)."}, partition),
		clockWrong: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ioc_ingest_clock_wrong",
			Help: "1 while the partition is held because this machine's clock may not judge its events."}, partition),
		partitions:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "ioc_ingest_partitions", Help: "Partitions assigned to this process."}),
		generation:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "ioc_ingest_generation_id", Help: "Generation of the consumer group."}),
		replays:         counter("ioc_ingest_replays_total", "Recorded ranges that were formed again after a crash or rebalance."),
		partitionErrors: counter("ioc_ingest_partition_errors_total", "Times that a partition had to be established again."),
		groupErrors:     counter("ioc_ingest_group_errors_total", "Failed attempts to join the consumer group."),
		lettersBare:     counter("ioc_ingest_dead_letters_shortened_total", "Dead letters without their payload, since the topic does not take letters of that size."),
		lettersAgain: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ioc_ingest_dead_letter_replays_total",
			Help: "Dead letters that were sent again and committed, by outcome: accepted, duplicate (by source and id), repeated (the letter was settled before), rejected."}, []string{"outcome"}),
		lettersLost: counter("ioc_ingest_dead_letters_refused_total", "Dead letters that the broker refused for good; their table row exists."),
		inserts:     map[string]*insertRate{},
	}
	window := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ioc_ingest_dedupe_window_seconds",
		Help: "Time that ClickHouse remembers a token at the insert rate of this process in its busiest table; the promise of exactly-once holds for stalls shorter than this."},
		func() float64 { return m.dedupeSeconds(time.Now()) })
	for _, r := range event.Reasons() { // from 0, so that the first record of a reason is an increase
		m.rejected.WithLabelValues(string(r.Reason))
	}
	for _, outcome := range event.ReplayOutcomes() {
		m.lettersAgain.WithLabelValues(outcome)
	}
	m.fields = newLabels(maxFields)
	var err error
	if m.quality, err = newQualityMetrics(registry); err != nil {
		return nil, err
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.events, m.rejected, m.unknownFields, m.rangeEvents, m.rangeBytes, m.insertSeconds, m.insertRetries,
		m.eventAge, m.duplicateWindow, m.stopped, m.paused, m.clockWrong, m.partitions, m.generation, m.replays, m.partitionErrors,
		m.groupErrors, m.lettersLost, m.lettersBare, m.lettersAgain, window, lag{status}} {
		errs = append(errs, registry.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("registering ingestion metrics: %w", err)
	}
	return m, nil
}

// lag exports how far each assigned partition is behind. It is asked of the status at each scrape, so that it
// grows while nothing is committed and is gone with the partition.
type lag struct{ status *statusBoard }

var lagDescription = prometheus.NewDesc("ioc_ingest_lag_offsets", "Offsets between the committed position and the end of the log, of the partitions assigned to this process.",
	[]string{"topic", "partition"}, nil)

// Describe implements prometheus.Collector.
func (lag) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- lagDescription }

// Collect implements prometheus.Collector.
func (l lag) Collect(samples chan<- prometheus.Metric) {
	for _, p := range l.status.snapshot().Partitions {
		if p.End < 0 {
			continue // nobody knows yet; 0 would say that all is well
		}
		samples <- prometheus.MustNewConstMetric(lagDescription, prometheus.GaugeValue, float64(max(0, p.End-p.Position)), p.Topic, strconv.Itoa(p.Partition))
	}
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
	for outcome, n := range c.batch.Replays() {
		m.lettersAgain.WithLabelValues(outcome).Add(float64(n))
	}
	for field, n := range c.unknown {
		m.unknownFields.WithLabelValues(m.fields.of(field, true)).Add(float64(n))
	}
	m.quality.committed(c.batch.Feeds())
	m.rangeEvents.Observe(float64(records))
	m.rangeBytes.Observe(float64(c.batch.Bytes()))
	now := time.Now().UnixMilli()
	if c.oldest > 0 {
		m.eventAge.Observe(float64(now-c.oldest) / 1000)
	}
	id := strconv.Itoa(partition)
	if c.reach > 0 {
		m.duplicateWindow.WithLabelValues(topic, id).Set(float64(now-c.reach) / 1000)
	}
}

// inserted counts one insert, and the parts that it made at most, for the estimate of the deduplication window.
func (m *metrics) inserted(table string, parts int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rate := m.inserts[table]
	if rate == nil {
		rate = &insertRate{}
		m.inserts[table] = rate
	}
	rate.roll(time.Now())
	rate.inserts++
	rate.parts += parts
}

// dedupeSeconds is the least time that a token is remembered, over the tables and their rollups. A table with
// less than one insert a minute is taken to have one.
func (m *metrics) dedupeSeconds(now time.Time) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	least := float64(rollupWindow * 60)
	inserts := 0
	for table, rate := range m.inserts {
		rate.roll(now)
		least = min(least, 60*float64(event.DedupeWindow(table))/float64(max(rate.parts, rate.previousParts, 1)))
		if table != event.FeedTable {
			inserts += max(rate.inserts, rate.previousInserts)
		}
	}
	// All raw tables feed source_activity.
	return min(least, 60*rollupWindow/float64(max(inserts, 1)))
}

func (r *insertRate) roll(now time.Time) {
	minute := now.Unix() / 60
	switch minute - r.minute {
	case 0:
		return
	case 1:
		r.previousInserts, r.previousParts = r.inserts, r.parts
	default:
		r.previousInserts, r.previousParts = 0, 0
	}
	r.inserts, r.parts, r.minute = 0, 0, minute
}
