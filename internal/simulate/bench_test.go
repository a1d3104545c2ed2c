package simulate

import (
	"testing"
	"time"

	"ioc.local/internal/reference"
)

// BenchmarkHistory makes thirty days of history, over and over.
func BenchmarkHistory(b *testing.B) {
	ref, err := reference.Load(reference.Options{})
	if err != nil {
		b.Fatal(err)
	}
	start := time.Date(2026, time.November, 21, 10, 0, 0, 0, reference.TimeZone())
	cfg := Config{Rate: 200, Seed: 1, Start: start, Origin: start.AddDate(0, 0, -30), Flaws: ExampleFlaws()}
	g, err := NewGenerator(cfg, ref)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	size, most := 0, 0
	var buf []byte
	for b.Loop() {
		if g.Live() {
			b.StopTimer()
			if g, err = NewGenerator(cfg, ref); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		buf, _ = g.Next(buf[:0])
		size += len(buf)
		most = max(most, len(g.country.queue))
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(size)/float64(b.N), "bytes/event")
	b.ReportMetric(float64(most), "waiting")
}
