package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"ioc.local/query/kpi"
)

// TestJournalOutlivesTheProcess: what a process published until its end is known to the next one.
func TestJournalOutlivesTheProcess(t *testing.T) {
	data := t.TempDir()
	in := &input{T: t, demo: startDemo(t, data)}
	in.ioc("ingest-file", "../../testdata/seeds.ndjson")
	const id = "eid_accounts_activated"
	get := func(address string, v any) {
		t.Helper()
		response, err := http.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		if err := json.NewDecoder(response.Body).Decode(v); err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s answers %d: %v", address, response.StatusCode, err)
		}
	}
	var shown kpi.Answer
	for deadline := time.Now().Add(time.Minute); shown.Baseline == nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not become what the seeds say", id)
		}
		get(in.demo.addresses["KPIs"]+"/"+id, &shown)
	}
	in.demo.stop()
	stopped := time.Now()
	again := startDemo(t, data)
	var journal kpi.JournalAnswer
	span := url.Values{"from": {stopped.Add(-time.Hour).Format(time.RFC3339)}, "to": {stopped.Add(time.Hour).Format(time.RFC3339)}}
	get(again.addresses["KPIs"]+"/"+id+"/journal?"+span.Encode(), &journal)
	found := false
	for _, e := range journal.Entries {
		found = found || e.PublishedAt.Before(stopped) && e.Value != nil && *e.Value == *shown.Value && e.Revision == shown.Revision && e.Definition == shown.Definition
	}
	if !found {
		t.Errorf("the journal has %+v, and not the %v that stood at the end", journal.Entries, *shown.Value)
	}
}
