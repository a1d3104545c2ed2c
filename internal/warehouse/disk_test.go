package warehouse_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"ioc.local/internal/warehouse"
)

// TestDisks asks the real engine: the alert on a full disk needs both numbers, with one label.
func TestDisks(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(warehouse.NewDisks(migrated(t).Client)); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	bytes := map[string]float64{}
	for _, family := range families {
		for _, sample := range family.GetMetric() {
			bytes[family.GetName()+" "+sample.GetLabel()[0].GetValue()] = sample.GetGauge().GetValue()
		}
	}
	free, size := bytes["ioc_warehouse_disk_free_bytes default"], bytes["ioc_warehouse_disk_size_bytes default"]
	if free <= 0 || size < free {
		t.Errorf("the disks are %v", bytes)
	}
}
