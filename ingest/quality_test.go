package ingest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ioc.local/ingest/event"
)

func TestQualityMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := newQualityMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		m.committed([]event.Feed{
			{Source: "/npsp/H26", Accepted: 10, Rejected: 4, Duplicates: 2, Personal: 1, Expected: 50, Present: 40, Late: 3, Future: 1},
			{Rejected: 5, Personal: 2},
			{Source: "/npsp/H1", Rejected: 7}, // which has sent nothing valid
		})
	}
	if err := testutil.CollectAndCompare(registry, strings.NewReader(`
# HELP ioc_ingest_future_events_total Accepted events whose time was more than a minute ahead of the clock.
# TYPE ioc_ingest_future_events_total counter
ioc_ingest_future_events_total 2
# HELP ioc_ingest_late_events_total Accepted events that were more than 24 hours old at arrival.
# TYPE ioc_ingest_late_events_total counter
ioc_ingest_late_events_total 6
# HELP ioc_ingest_quality_good_total What of ioc_ingest_quality_total is good: dung valid, du fields present, sach neither sent twice nor with personal data, song at most 24 hours old at arrival.
# TYPE ioc_ingest_quality_good_total counter
ioc_ingest_quality_good_total{dimension="dung",source="*"} 0
ioc_ingest_quality_good_total{dimension="dung",source="/npsp/H26"} 24
ioc_ingest_quality_good_total{dimension="dung",source="unreadable"} 0
ioc_ingest_quality_good_total{dimension="du",source="*"} 0
ioc_ingest_quality_good_total{dimension="du",source="/npsp/H26"} 80
ioc_ingest_quality_good_total{dimension="du",source="unreadable"} 0
ioc_ingest_quality_good_total{dimension="sach",source="*"} 14
ioc_ingest_quality_good_total{dimension="sach",source="/npsp/H26"} 26
ioc_ingest_quality_good_total{dimension="sach",source="unreadable"} 6
ioc_ingest_quality_good_total{dimension="song",source="*"} 0
ioc_ingest_quality_good_total{dimension="song",source="/npsp/H26"} 14
ioc_ingest_quality_good_total{dimension="song",source="unreadable"} 0
# HELP ioc_ingest_quality_total What a dimension of a feed's quality is the share of: dung (đúng, valid) and sach (sạch, clean) records, du (đủ, complete) fields expected in accepted events, song (sống, live) accepted events. At most 200 sources, the rest as *.
# TYPE ioc_ingest_quality_total counter
ioc_ingest_quality_total{dimension="dung",source="*"} 14
ioc_ingest_quality_total{dimension="dung",source="/npsp/H26"} 32
ioc_ingest_quality_total{dimension="dung",source="unreadable"} 10
ioc_ingest_quality_total{dimension="du",source="*"} 0
ioc_ingest_quality_total{dimension="du",source="/npsp/H26"} 100
ioc_ingest_quality_total{dimension="du",source="unreadable"} 0
ioc_ingest_quality_total{dimension="sach",source="*"} 14
ioc_ingest_quality_total{dimension="sach",source="/npsp/H26"} 32
ioc_ingest_quality_total{dimension="sach",source="unreadable"} 10
ioc_ingest_quality_total{dimension="song",source="*"} 0
ioc_ingest_quality_total{dimension="song",source="/npsp/H26"} 20
ioc_ingest_quality_total{dimension="song",source="unreadable"} 0
`)); err != nil {
		t.Error(err)
	}
	for i := range 2 * maxFeeds {
		m.committed([]event.Feed{{Source: fmt.Sprintf("/npsp/X%d", i), Accepted: 1}})
	}
	if n := testutil.CollectAndCount(m.total); n != 4*(maxFeeds+2) {
		t.Errorf("%d series, want four of each of %d sources, of * and of unreadable", n, maxFeeds)
	}
}

// Every partition's decoder has names of its own, and there may be ever new decoders.
func TestUnknownFieldsAreBoundedForTheProcess(t *testing.T) {
	m, err := newMetrics(prometheus.NewRegistry(), &statusBoard{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * maxFields {
		m.committed("t", 0, &cut{batch: event.NewBatch(), unknown: map[string]uint64{fmt.Sprintf("f%d", i): 1, "*": 1}})
	}
	if n := testutil.CollectAndCount(m.unknownFields); n > maxFields+1 {
		t.Errorf("%d names have a counter", n)
	}
	if n := testutil.ToFloat64(m.unknownFields.WithLabelValues("f7")); n != 1 {
		t.Errorf("f7 is counted %v times", n)
	}
	if n := testutil.ToFloat64(m.unknownFields.WithLabelValues(otherLabel)); n != 3*maxFields+2*maxFields+1 {
		t.Errorf("others are counted %v times", n)
	}
}
