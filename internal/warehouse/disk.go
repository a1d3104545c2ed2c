package warehouse

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// notEnoughSpace is ClickHouse's code for a disk below MinFreeDisk, and for a part or merge that has no room.
const notEnoughSpace = 243

// DiskFull says whether ClickHouse refused a statement because its disk is full, or nearly: see [MinFreeDisk]. The same
// statement succeeds once there is room. A write that the operating system refused comes under several codes, so it is
// recognised by the system's own words.
func DiskFull(err error) bool {
	exception, ok := errors.AsType[*clickhouse.Exception](err)
	return ok && (exception.Code == notEnoughSpace || strings.Contains(exception.Message, "No space left on device"))
}

// diskTimeout bounds the question to ClickHouse at a scrape; Prometheus waits ten seconds by default.
const diskTimeout = 2 * time.Second

// Disks exports the free and total space of ClickHouse's disks, asked at each scrape. While ClickHouse does not answer
// there are no samples, which the alerts on its absence see.
type Disks struct{ client *Client }

// NewDisks returns a collector for the client's server.
func NewDisks(client *Client) Disks { return Disks{client} }

var (
	diskFree = prometheus.NewDesc("ioc_warehouse_disk_free_bytes", "Free space of a disk of ClickHouse.", []string{"disk"}, nil)
	diskSize = prometheus.NewDesc("ioc_warehouse_disk_size_bytes", "Size of a disk of ClickHouse.", []string{"disk"}, nil)
)

// Describe implements prometheus.Collector.
func (Disks) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- diskFree
	descriptions <- diskSize
}

// Collect implements prometheus.Collector.
func (d Disks) Collect(samples chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), diskTimeout)
	defer cancel()
	rows, err := d.client.Conn().Query(ctx, "SELECT name, free_space, total_space FROM system.disks")
	if err != nil {
		return
	}
	_ = Each(rows, func() error {
		var name string
		var free, size uint64
		if err := rows.Scan(&name, &free, &size); err != nil {
			return err
		}
		samples <- prometheus.MustNewConstMetric(diskFree, prometheus.GaugeValue, float64(free), name)
		samples <- prometheus.MustNewConstMetric(diskSize, prometheus.GaugeValue, float64(size), name)
		return nil
	})
}
