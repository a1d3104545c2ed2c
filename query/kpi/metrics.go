package kpi

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of the evaluator itself. The KPIs' values come from a collector that reads the publication.
type metrics struct {
	tick        prometheus.Histogram
	evaluations prometheus.Counter
	statements  prometheus.Counter
	failures    prometheus.Counter
	resets      prometheus.Counter
}

func newMetrics(registry prometheus.Registerer, e *Evaluator) (metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := metrics{
		tick: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ioc_kpi_tick_seconds", Help: "Time that one tick of the publisher takes.",
			Buckets: []float64{.005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10},
		}),
		evaluations: counter("ioc_kpi_evaluations_total", "KPI evaluations, by ticks and by questions that the publication could not answer."),
		statements:  counter("ioc_kpi_statements_total", "Statements sent to the warehouse."),
		failures:    counter("ioc_kpi_failures_total", "Statements that the warehouse failed or did not answer in time."),
		resets:      counter("ioc_kpi_cache_resets_total", "Times that the cache of answers was full and emptied."),
	}
	if registry == nil {
		return m, nil
	}
	illustrative := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ioc_kpi_illustrative", Help: "1 when the data holds simulated events: the KPIs are illustrative, not official figures.",
	}, func() float64 { return float64(boolInt(e.illustrative.Load())) })
	for _, c := range []prometheus.Collector{m.tick, m.evaluations, m.statements, m.failures, m.resets, illustrative, &collector{e}} {
		if err := registry.Register(c); err != nil {
			return m, fmt.Errorf("registering KPI metrics: %w", err)
		}
	}
	return m, nil
}

// collector shows the current publication: for each KPI over its default period 35 scopes with up to three series and
// an official figure, and one age. A value that is null has no sample.
type collector struct{ e *Evaluator }

var (
	valueLabels  = []string{"kpi", "province", "scheme", "period"}
	valueDesc    = prometheus.NewDesc("ioc_kpi_value", "Current value of the KPI over its default period, in its unit; province is empty for the nation.", valueLabels, nil)
	numerDesc    = prometheus.NewDesc("ioc_kpi_numerator", "Numerator of the KPI.", valueLabels, nil)
	denomDesc    = prometheus.NewDesc("ioc_kpi_denominator", "Denominator of the KPI.", valueLabels, nil)
	officialDesc = prometheus.NewDesc("ioc_kpi_official", "Newest official figure of the KPI, in its unit, with its date, source and qualifier.",
		[]string{"kpi", "province", "scheme", "as_of", "source", "qualifier"}, nil)
	// The thresholds are there so that one alert rule serves every KPI, those of an operator's own too.
	thresholdDesc = prometheus.NewDesc("ioc_kpi_threshold", "Threshold of the KPI's status, in its unit: level good is reached to be good, level warn not to be bad; better tells the direction.",
		[]string{"kpi", "level", "better"}, nil)
	ageDesc = prometheus.NewDesc("ioc_kpi_age_seconds", "Time since the published value was last found to be that of the newest events.", []string{"kpi"}, nil)
)

// Describe sends the descriptions of the six series.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{valueDesc, numerDesc, denomDesc, officialDesc, thresholdDesc, ageDesc} {
		out <- d
	}
}

// thresholds sends the levels that the definition has.
func thresholds(out chan<- prometheus.Metric, def *Definition) {
	if def.Thresholds == nil {
		return
	}
	for name, level := range map[string]*Level{"good": def.Thresholds.Good, "warn": def.Thresholds.Warn} {
		if level != nil {
			out <- prometheus.MustNewConstMetric(thresholdDesc, prometheus.GaugeValue, level.Value, def.ID, name, def.Better)
		}
	}
}

// Collect sends the values of the current publication; nothing before the first.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	p := c.e.Current()
	if p == nil {
		return
	}
	for key, a := range p.Values {
		if def, _ := c.e.deps.Catalogue.Get(key.KPI); def.DefaultPeriod != key.Period {
			continue
		}
		province := key.Scope
		if province == National {
			province = ""
		}
		send := func(desc *prometheus.Desc, value float64) {
			out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, key.KPI, province, SchemeGSO34, key.Period)
		}
		if b := a.Official; b != nil {
			out <- prometheus.MustNewConstMetric(officialDesc, prometheus.GaugeValue, b.Value, key.KPI, province, SchemeGSO34, b.AsOf, b.Source, b.Qualifier)
		}
		if a.Value != nil {
			send(valueDesc, *a.Value)
		}
		if a.Numerator != nil {
			send(numerDesc, float64(*a.Numerator))
		}
		if a.Denominator != nil {
			send(denomDesc, float64(*a.Denominator))
		}
	}
	for _, def := range c.e.deps.Catalogue.all {
		thresholds(out, def)
		if confirmed := c.e.Confirmed(def.ID); !confirmed.IsZero() {
			out <- prometheus.MustNewConstMetric(ageDesc, prometheus.GaugeValue, max(0, c.e.deps.Now().Sub(confirmed).Seconds()), def.ID)
		}
	}
}
