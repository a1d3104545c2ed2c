package telemetry

import (
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// Build says what binary this is.
type Build struct {
	Version  string `json:"version"`            // Module version, "(devel)" for a build from a work tree.
	Revision string `json:"revision,omitempty"` // Commit, with "+dirty" when files had changed; empty when unknown.
	Go       string `json:"go"`                 // Go version.
}

// ReadBuild reads what the Go toolchain stamped into the binary.
func ReadBuild() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Build{Version: "unknown", Go: "unknown"}
	}
	b := Build{Version: info.Main.Version, Go: info.GoVersion}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	dirty := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty && b.Revision != "" {
		b.Revision += "+dirty"
	}
	return b
}

// collector is the constant build information metric.
func (b Build) collector() prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "ioc_build_info",
		Help:        "Always 1; the labels say which binary runs.",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "go_version": b.Go},
	})
	g.Set(1)
	return g
}

// probeCollector turns the probes into a metric at each scrape, so that readiness can be alerted on.
type probeCollector struct{ health *Health }

var probeDesc = prometheus.NewDesc("ioc_telemetry_probe_ok", "1 when the component's probe is ok, 0 when it fails.", []string{"probe"}, nil)

// Describe implements prometheus.Collector.
func (c probeCollector) Describe(ch chan<- *prometheus.Desc) { ch <- probeDesc }

// Collect implements prometheus.Collector.
func (c probeCollector) Collect(ch chan<- prometheus.Metric) {
	_, states := c.health.Ready()
	for _, s := range states {
		value := 0.0
		if s.OK {
			value = 1
		}
		ch <- prometheus.MustNewConstMetric(probeDesc, prometheus.GaugeValue, value, s.Name)
	}
}
