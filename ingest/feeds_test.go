package ingest_test

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/segmentio/kafka-go"
)

// TestTimesOfEvents follows events that are late, ahead of the clock, too far ahead and too old from Kafka to the tables,
// the quality of their feed, and the metrics.
func TestTimesOfEvents(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	sent := 0
	send := func(at time.Time) {
		message := h.auth(3 * sent) // of Hà Nội
		old := h.base.Add(time.Duration(3*sent) * time.Second).Format("2006-01-02T15:04:05.000-07:00")
		message.Value = bytes.Replace(message.Value, []byte(old), []byte(at.Format("2006-01-02T15:04:05.000-07:00")), 1)
		h.send("auth", message)
		sent++
	}
	now := time.Now()
	send(now.Add(-25 * time.Hour))
	send(now.Add(-365 * 24 * time.Hour))
	send(now.Add(-23 * time.Hour))
	send(now.Add(-time.Second))
	send(now.Add(4 * time.Minute))
	send(now.Add(20 * time.Minute))
	send(time.Date(2022, 1, 6, 0, 0, 0, 0, time.FixedZone("", 7*3600)))
	send(time.Date(2022, 1, 5, 23, 59, 59, 999_000_000, time.FixedZone("", 7*3600)))
	h.send("auth", h.auth(0))                                            // a duplicate of the first, as its identity goes
	h.send("auth", kafka.Message{Value: []byte(`{"note":"0912345678"`)}) // whose source is not readable
	_, stop := h.run(h.config("auth"))
	h.wait("SELECT (SELECT count() FROM auth_attempts) + (SELECT count() FROM dead_letters) + (SELECT count() FROM skipped_offsets)", uint64(sent+2))
	h.ingested("auth")
	stop()
	for query, want := range map[string]uint64{
		"SELECT count() FROM auth_attempts":                                                                                6,
		"SELECT count() FROM auth_attempts WHERE fields_expected = 5 AND fields_present = 5":                               6,
		"SELECT count() FROM auth_attempts WHERE occurred_at > received_at":                                                1,
		"SELECT count() FROM dead_letters WHERE reason = 'time_in_future' AND field = 'time' AND province = '01'":          1,
		"SELECT count() FROM dead_letters WHERE reason = 'time_too_old' AND field = 'time' AND province63 = 'gso34:01'":    1,
		"SELECT count() FROM dead_letters WHERE reason = 'not_json' AND contract = 3 AND sha256 = unhex(repeat('00', 32))": 1,
		"SELECT sum(late) FROM feed_quality":                                                                               3,
		"SELECT sum(future) FROM feed_quality":                                                                             1,
		"SELECT sum(accepted) FROM feed_quality":                                                                           6,
		"SELECT sum(rejected) FROM feed_quality":                                                                           3,
		"SELECT sum(duplicates) FROM feed_quality":                                                                         1,
		"SELECT max(position) FROM feed_quality":                                                                           uint64(sent + 2),
		"SELECT sum(accepted) FROM feeds WHERE source = '/eid_auth/G01' AND province = '01'":                               6,
	} {
		if got := h.count(query); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
	page := httptest.NewRecorder()
	promhttp.HandlerFor(h.registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest("GET", "/", nil))
	for _, want := range []string{
		"ioc_ingest_late_events_total 3", "ioc_ingest_future_events_total 1",
		`ioc_ingest_quality_good_total{dimension="song",source="/eid_auth/G01"} 3`, `ioc_ingest_quality_total{dimension="song",source="/eid_auth/G01"} 6`,
		`ioc_ingest_quality_good_total{dimension="dung",source="/eid_auth/G01"} 7`, `ioc_ingest_quality_total{dimension="dung",source="/eid_auth/G01"} 9`,
		`ioc_ingest_quality_good_total{dimension="sach",source="/eid_auth/G01"} 8`, `ioc_ingest_quality_total{dimension="dung",source="unreadable"} 1`,
	} {
		if !strings.Contains(page.Body.String(), want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

// TestFeedQualityIsExact compares the quality of the feeds with the rows that it is made of, over restarts and a range
// that an older contract judges.
func TestFeedQualityIsExact(t *testing.T) {
	h := newHarness(t, map[string]int{"mixed": 1, "dead": 1})
	messages := h.examples()
	h.send("mixed", messages...)
	// A range that version 2 recorded.
	h.commit("mixed", 0, fmt.Sprintf(`{"ioc":1,"pending":{"last":3,"clock":%d,"contract":2,"window":500000,"token":"mixed/0/0-3"}}`, time.Now().UnixMilli()))
	cfg := h.config("mixed")
	for round := range 3 {
		_, stop := h.run(cfg)
		h.wait("SELECT max(position) FROM source_activity", uint64(len(messages)))
		h.wait("SELECT count() FROM skipped_offsets", uint64(len(messages)*round))
		h.send("mixed", messages...)
		stop() // in the middle of the range, perhaps
	}
	_, stop := h.run(cfg)
	h.ingested("mixed")
	stop()
	const sums = "hour, source, province, province63, type, sensitive, age_seconds, sum(accepted) AS a, sum(rejected) AS r, sum(duplicates) AS d, sum(fields_expected) AS e, sum(fields_present) AS p"
	stored, computed := "SELECT "+sums+" FROM feed_quality WHERE topic = '' GROUP BY ALL", "SELECT "+sums+" FROM feed_records GROUP BY ALL"
	if n := h.count("SELECT count() FROM (" + stored + " EXCEPT " + computed + ")"); n != 0 {
		t.Errorf("%d rows of the table are not those of the view", n)
	}
	if n := h.count("SELECT count() FROM (" + computed + " EXCEPT " + stored + ")"); n != 0 {
		t.Errorf("%d rows of the view are not those of the table", n)
	}
	if n := h.count("SELECT sum(accepted) FROM feed_quality"); n != uint64(len(messages)-4) {
		t.Errorf("%d events are counted, want all but the four of version 2", n)
	}
}
