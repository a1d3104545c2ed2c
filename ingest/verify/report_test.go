package verify_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ioc.local/ingest/verify"
	"ioc.local/internal/reference"
)

// hourly is a world with ranges of three hours in two partitions, without the offsets that are named.
func hourly(t *testing.T) (w *world, hour func(ago int) time.Time) {
	t.Helper()
	w = newWorld(t)
	now := time.Now().In(reference.TimeZone()).Truncate(time.Hour).Add(20 * time.Minute)
	one, two := w.stream("mixed", 0, 0), w.stream("mixed", 1, 500)
	for ago := 3; ago > 0; ago-- {
		for _, s := range []*stream{one, two} {
			s.clock = now.Add(-time.Duration(ago) * time.Hour)
			s.mustWrite(s.someEvents(20)...)
		}
	}
	return w, func(ago int) time.Time { return now.Add(-20*time.Minute - time.Duration(ago)*time.Hour) }
}

func TestHours(t *testing.T) {
	w, hour := hourly(t)
	r := w.verify(verify.Options{})
	if len(r.Hours) != 0 || strings.Contains(printed(t, r), "HOUR OF RECEIPT") {
		t.Errorf("hours are listed without a fault: %+v", r.Hours)
	}
	all := w.verify(verify.Options{Hours: true}).Hours
	if len(all) != 6 {
		t.Fatalf("%d hours, want 6: %+v", len(all), all)
	}
	for i, h := range all {
		// Twenty authentications and as many steps of dossiers, 27 others, a broken one, a repeated one, a gap of three, a report.
		want := verify.Hour{TopicPartition: verify.TopicPartition{Topic: "mixed", Partition: uint32(i / 3)}, Hour: hour(3 - i%3),
			Counts: verify.Counts{Accepted: 68, Rejected: 1, Duplicates: 1, Gaps: 3}}
		if diff := cmp.Diff(want, h); diff != "" {
			t.Errorf("hour %d (-want +got):\n%s", i, diff)
		}
	}

	// A row in the middle of an hour, the last of an hour with the first of the next, and one too many.
	middle := w.text("SELECT toString(min(offset)) FROM auth_attempts WHERE partition = 1 AND offset > 520")
	w.exec("ALTER TABLE auth_attempts DELETE WHERE partition = 1 AND offset = " + middle + " SETTINGS mutations_sync = 2")
	for _, table := range []string{"auth_attempts", "data_queries", "eid_events", "dossier_events"} {
		w.exec("ALTER TABLE " + table + " DELETE WHERE partition = 0 AND offset BETWEEN 72 AND 74 SETTINGS mutations_sync = 2")
	}
	w.exec("INSERT INTO dead_letters (received_at, topic, partition, offset) VALUES (now64(3), 'mixed', 0, 2)")
	r = w.verify(verify.Options{})
	text := printed(t, r)
	faulty := map[string]verify.Counts{}
	for _, h := range r.Hours {
		faulty[fmt.Sprintf("%d %s", h.Partition, h.Hour.Format("15:04"))] = verify.Counts{Missing: h.Missing, Doubled: h.Doubled}
	}
	at := func(ago int) string { return hour(ago).Format("15:04") }
	// Of missing offsets it is the hour of the row before them; of doubled ones that of the row before, too.
	want := map[string]verify.Counts{"0 " + at(3): {Missing: 3, Doubled: 1}, "1 " + at(3): {Missing: 1}}
	if diff := cmp.Diff(want, faulty); diff != "" {
		t.Errorf("faulty hours (-want +got):\n%s\n%s", diff, text)
	}
	if p := r.Partitions[0]; p.Missing != 3 || p.Doubled != 1 || !strings.Contains(text, "HOUR OF RECEIPT") || !strings.Contains(text, hour(3).Format("2006-01-02 15:04")) {
		t.Errorf("%+v\n%s", p, text)
	}

	var out strings.Builder
	if err := r.PrintJSON(&out); err != nil {
		t.Fatal(err)
	}
	var back struct {
		OK    bool `json:"ok"`
		Hours []struct {
			Topic     string    `json:"topic"`
			Partition uint32    `json:"partition"`
			Hour      time.Time `json:"hour"`
			Missing   uint64    `json:"missing"`
		} `json:"hours"`
		Rollups []struct{ Name string } `json:"rollups"`
	}
	if err := json.Unmarshal([]byte(out.String()), &back); err != nil {
		t.Fatal(err)
	}
	if back.OK || len(back.Hours) != len(r.Hours) || back.Hours[0].Topic != "mixed" || len(back.Rollups) != len(r.Rollups) {
		t.Errorf("the JSON says %+v", back)
	}
}

// What was received before the time that is asked for is not looked at.
func TestSince(t *testing.T) {
	w, hour := hourly(t)
	w.exec("ALTER TABLE auth_attempts DELETE WHERE received_at < fromUnixTimestamp64Milli(" + millis(hour(2)) + ") SETTINGS mutations_sync = 2")
	if r := w.verify(verify.Options{}); r.OK() {
		t.Fatal("the fault is not found at all")
	}
	r := w.verify(verify.Options{Since: hour(2), Hours: true})
	text := printed(t, r)
	if !r.OK() || len(r.Hours) != 4 {
		t.Errorf("since an hour without faults:\n%s", text)
	}
	for _, rollup := range r.Rollups {
		skipped := rollup.Name == "source_activity" || strings.HasPrefix(rollup.Name, "dossier_") && rollup.Name != "dossier_state"
		if skipped != (rollup.Skipped != "") {
			t.Errorf("%s: skipped %q", rollup.Name, rollup.Skipped)
		}
	}
	if !strings.Contains(text, "skipped: it adds up all dossiers") {
		t.Errorf("the print does not say what was left out:\n%s", text)
	}
	w.exec("ALTER TABLE dossier_state UPDATE province = '01' WHERE subject IN (SELECT subject FROM dossier_events WHERE received_at > now() - INTERVAL 2 HOUR) SETTINGS mutations_sync = 2")
	w.exec("ALTER TABLE data_queries DELETE WHERE received_at >= fromUnixTimestamp64Milli(" + millis(hour(1)) + ") SETTINGS mutations_sync = 2")
	r = w.verify(verify.Options{Since: hour(2)})
	if text := printed(t, r); differing(r) == "" || len(r.Hours) != 2 || !strings.Contains(text, "dossier_state") || !strings.Contains(differing(r), "dossier_state") {
		t.Errorf("faults since then are not found:\n%s", text)
	}
}

func millis(at time.Time) string { return fmt.Sprint(at.UnixMilli()) }
