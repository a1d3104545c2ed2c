package ingest

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"ioc.local/ingest/event"
)

const (
	// maxFeeds is how many sources the metrics of quality tell apart. Only a source that has sent a valid event takes a
	// place, so that rejected names cannot use them up.
	maxFeeds = 200
	// maxFields is how many unknown fields the metrics tell apart, over all partitions that the process ever has.
	maxFields = 256
	// otherLabel is what is counted without a place of its own.
	otherLabel = "*"
	// unreadable is the label of records whose source is not readable.
	unreadable = "unreadable"
)

// The dimensions of quality, as data.quality reports name them too: đúng (valid), đủ (complete), sạch (clean), sống (live).
const (
	dung = "dung"
	du   = "du"
	sach = "sach"
	song = "song"
)

// labels gives the first names that it meets a place of their own.
type labels struct {
	most int

	mu    sync.Mutex
	known map[string]string
}

func newLabels(most int) *labels { return &labels{most: most, known: map[string]string{}} }

// of is the label of a name: itself, or otherLabel when there is no place, or when it may not take one.
func (l *labels) of(name string, mayTake bool) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	label, ok := l.known[name]
	if !ok {
		if !mayTake || len(l.known) == l.most {
			return otherLabel
		}
		label = strings.Clone(name)
		l.known[label] = label
	}
	return label
}

// qualityMetrics count what ranges say of the quality of their feeds.
type qualityMetrics struct {
	sources      *labels
	total, good  *prometheus.CounterVec
	late, future prometheus.Counter
}

func newQualityMetrics(registry prometheus.Registerer) (*qualityMetrics, error) {
	labels := []string{"source", "dimension"}
	m := &qualityMetrics{
		sources: newLabels(maxFeeds),
		total: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ioc_ingest_quality_total",
			Help: "What a dimension of a feed's quality is the share of: dung (đúng, valid) and sach (sạch, clean) records, du (đủ, complete) fields expected in accepted events, song (sống, live) accepted events. At most 200 sources, the rest as *."}, labels),
		good: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ioc_ingest_quality_good_total",
			Help: "What of ioc_ingest_quality_total is good: dung valid, du fields present, sach neither sent twice nor with personal data, song at most 24 hours old at arrival."}, labels),
		late: prometheus.NewCounter(prometheus.CounterOpts{Name: "ioc_ingest_late_events_total",
			Help: "Accepted events that were more than 24 hours old at arrival."}),
		future: prometheus.NewCounter(prometheus.CounterOpts{Name: "ioc_ingest_future_events_total",
			Help: "Accepted events whose time was more than a minute ahead of the clock."}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.total, m.good, m.late, m.future} {
		errs = append(errs, registry.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("registering metrics of quality: %w", err)
	}
	return m, nil
}

// committed counts the feeds of a range that is committed.
func (m *qualityMetrics) committed(feeds []event.Feed) {
	for _, f := range feeds {
		source := unreadable
		if f.Source != "" {
			source = m.sources.of(f.Source, f.Accepted+f.Duplicates > 0)
		}
		records := f.Accepted + f.Rejected + f.Duplicates
		for dimension, share := range map[string][2]uint64{
			dung: {records - f.Rejected, records}, du: {f.Present, f.Expected},
			sach: {records - f.Duplicates - f.Personal, records}, song: {f.Accepted - f.Late, f.Accepted},
		} {
			m.good.WithLabelValues(source, dimension).Add(float64(share[0]))
			m.total.WithLabelValues(source, dimension).Add(float64(share[1]))
		}
		m.late.Add(float64(f.Late))
		m.future.Add(float64(f.Future))
	}
}
