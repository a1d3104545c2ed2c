package stream

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of the feed. All labels have few values: types of frames,
// close codes and reasons of refusal.
type metrics struct {
	connections   prometheus.Gauge
	subscriptions prometheus.Gauge
	sent          *prometheus.CounterVec
	conflated     prometheus.Counter
	dropped       *prometheus.CounterVec
	refused       *prometheus.CounterVec
	latency       prometheus.Histogram
	failed        prometheus.Counter
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ioc_stream_connections", Help: "Clients connected to the live feed.",
		}),
		subscriptions: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ioc_stream_subscriptions", Help: "Boards and scopes that clients watch, each counted per client.",
		}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ioc_stream_frames_sent_total", Help: "Frames written, by type.",
		}, []string{"type"}),
		conflated: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ioc_stream_conflated_total", Help: "Deltas merged into others because a client read too slowly.",
		}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ioc_stream_dropped_total", Help: "Connections ended by the server, by close code.",
		}, []string{"code"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ioc_stream_refused_total", Help: "Connections refused before the upgrade, by HTTP status.",
		}, []string{"code"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ioc_stream_publish_to_write_seconds", Help: "Time from a publication to the end of the write of a delta to one client.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ioc_stream_encode_failures_total", Help: "Publications of which a value could not be encoded for a board and scope.",
		}),
	}
	for _, c := range []prometheus.Collector{m.connections, m.subscriptions, m.sent, m.conflated, m.dropped, m.refused, m.latency, m.failed} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// counters are the children of sent, looked up once: a lookup per frame and client would cost as much as queueing it.
type counters map[string]prometheus.Counter

func (m *metrics) counters() counters {
	c := make(counters)
	for _, kind := range []string{kindHello, kindSnapshot, kindResumed, kindDelta, kindBeat, kindLate, kindError, kindPing} {
		c[kind] = m.sent.WithLabelValues(kind)
	}
	return c
}
