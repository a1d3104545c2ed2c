package access

import "github.com/prometheus/client_golang/prometheus"

// metrics are those of the gate. Labels have few values: the reasons.
type metrics struct {
	failures        *prometheus.CounterVec
	keys            prometheus.Gauge
	refreshFailures prometheus.Counter
}

func newMetrics(registry prometheus.Registerer, age func() float64) (*metrics, error) {
	m := &metrics{
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ioc_access_failures_total", Help: "Requests whose key was refused, by reason; limited ones are counted under their reason too.",
		}, []string{"reason"}),
		keys: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ioc_access_keys", Help: "Keys that can be used.",
		}),
		refreshFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ioc_access_refresh_failures_total", Help: "Readings of the keys that failed.",
		}),
	}
	listAge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ioc_access_list_age_seconds", Help: "Age of the list of keys in use; beyond access.keep all keys are refused.",
	}, age)
	for _, c := range []prometheus.Collector{m.failures, m.keys, m.refreshFailures, listAge} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	for _, reason := range []Reason{Malformed, Unknown, Revoked, Expired, Limited, Unavailable} {
		m.failures.WithLabelValues(string(reason)) // so that each is there from the start
	}
	return m, nil
}
