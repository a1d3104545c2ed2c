package ingest

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ioc.local/ingest/event"
)

// The alert on personal data is about an increase, which the first record is only where the counter was there before.
func TestEveryReasonIsCountedFromNone(t *testing.T) {
	m, err := newMetrics(prometheus.NewRegistry(), &statusBoard{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := testutil.CollectAndCount(m.rejected), len(event.Reasons()); got != want {
		t.Errorf("%d reasons have a counter, want %d", got, want)
	}
}
