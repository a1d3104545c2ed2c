package sql

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	statements *prometheus.CounterVec
	duration   prometheus.Histogram
	rows       prometheus.Counter
	running    prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		statements: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ioc_sql_statements_total", Help: "Statements of analysts by outcome: ok, gone, or the last part of the problem's type.",
		}, []string{"outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ioc_sql_statement_seconds", Help: "Time from a statement's start to the end of its answer.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 14),
		}),
		rows: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ioc_sql_rows_total", Help: "Rows sent to analysts.",
		}),
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ioc_sql_running_statements", Help: "Statements that run now.",
		}),
	}
	for _, c := range []prometheus.Collector{m.statements, m.duration, m.rows, m.running} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("sql: registering metrics: %w", err)
		}
	}
	return m, nil
}
