package ingest_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"ioc.local/ingest"
	"ioc.local/ingest/event"
	"ioc.local/internal/reference"
)

// examples are the contract's valid events of all types, as of this hour.
func (h *harness) examples() []kafka.Message {
	h.t.Helper()
	files, err := filepath.Glob("../deploy/contract/examples/*.json")
	if err != nil || len(files) == 0 {
		h.t.Fatal("no examples ", err)
	}
	var messages []kafka.Message
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			h.t.Fatal(err)
		}
		var e map[string]any
		if err := json.Unmarshal(content, &e); err != nil {
			h.t.Fatal(err)
		}
		e["time"] = h.base.Format(time.RFC3339)
		if data := e["data"].(map[string]any); data["registered_on"] != nil {
			data["registered_on"] = h.base.In(reference.TimeZone()).Format(time.DateOnly)
		}
		value, err := json.Marshal(e)
		if err != nil {
			h.t.Fatal(err)
		}
		messages = append(messages, kafka.Message{Key: fmt.Append(nil, e["subject"]), Value: value})
	}
	return messages
}

// TestAllTypesReachTheirTables sends every type on one topic; sent again, all are duplicates, also after a restart that
// reads the identities back from all tables.
func TestAllTypesReachTheirTables(t *testing.T) {
	h := newHarness(t, map[string]int{"mixed": 1, "dead": 1})
	messages := h.examples()
	h.send("mixed", messages...)
	_, stop := h.run(h.config("mixed"))
	total := uint64(0)
	for table, want := range map[string]uint64{"dossier_events": 5, "auth_attempts": 1, "data_queries": 1, "eid_events": 2, "register_events": 8} {
		h.wait("SELECT count() FROM "+table, want)
		total += want
	}
	stop()
	if n := h.count("SELECT count() FROM dead_letters"); n != 0 || total != uint64(len(messages)) {
		t.Errorf("%d dead letters, %d rows of %d events", n, total, len(messages))
	}
	h.send("mixed", messages...)
	_, stop = h.run(h.config("mixed"))
	h.wait("SELECT count() FROM skipped_offsets WHERE kind = 'duplicate'", uint64(len(messages)))
	stop()
	for _, table := range event.Tables() {
		if n := h.count("SELECT toUInt64(count() - uniqExact(source, event_id)) FROM " + table); n != 0 {
			t.Errorf("%s holds %d events twice", table, n)
		}
	}
}

// TestRangeOfAnOlderContract forms a range that version 1 recorded as version 1 would have, and goes on with the newest.
func TestRangeOfAnOlderContract(t *testing.T) {
	h := newHarness(t, map[string]int{"mixed": 1, "dead": 1})
	messages := h.examples()
	h.send("mixed", messages...)
	h.send("mixed", h.auth(1), h.auth(2))
	h.commit("mixed", 0, fmt.Sprintf(`{"ioc":1,"pending":{"last":%d,"clock":%d,"contract":1,"window":500000,"token":"mixed/0/0-16"}}`, len(messages)-1, time.Now().UnixMilli()))
	h.send("mixed", messages...)
	_, stop := h.run(h.config("mixed"))
	h.wait("SELECT count() FROM auth_attempts", 3)
	// What version 1 did not know was no event then, so its second copy is no duplicate now.
	h.wait("SELECT count() FROM eid_events", 2)
	h.wait("SELECT count() FROM skipped_offsets", 4) // of the four examples that version 1 knew
	stop()
	if n := h.count("SELECT countIf(reason = 'unknown_type') FROM dead_letters"); n != 13 {
		t.Errorf("%d events were of unknown type to version 1, want 13", n)
	}
}

// TestRangeOfAnotherRegistry holds a partition whose recorded range was judged by other rules.
func TestRangeOfAnotherRegistry(t *testing.T) {
	h := newHarness(t, map[string]int{"auth": 1, "dead": 1})
	h.send("auth", h.auth(1), h.auth(2))
	h.commit("auth", 0, `{"ioc":1,"pending":{"last":1,"clock":1763700000000,"contract":2,"registry":"0123456789abcdef","window":500000,"token":"auth/0/0-1"}}`)
	i, _ := h.run(h.config("auth"))
	problem := waitState(t, i, ingest.Stopped)
	if want := `judged by another registry of sources ("0123456789abcdef", now "")`; !strings.Contains(problem, want) {
		t.Errorf("the partition says %q, want %q", problem, want)
	}
	// The command that adopts a log looks with the registry of its own configuration.
	for registry, want := range map[string]string{
		"": `("0123456789abcdef", now "")`, "fedcba9876543210": `("0123456789abcdef", now "fedcba9876543210")`, "0123456789abcdef": "",
	} {
		reason, err := ingest.StopReason(t.Context(), h.config("auth"), h.cluster(), h.db.Client, registry, "auth", 0)
		if err != nil || (reason == nil) != (want == "") || reason != nil && !strings.Contains(reason.Reason, "judged by another registry of sources "+want) {
			t.Errorf("with the registry %q StopReason gives %v, %v", registry, reason, err)
		}
	}
	fix := h.unregister()
	defer fix()
	registry := event.NewDecoder(h.data, event.Options{Identity: event.NewIdentityHash()}).Registry()
	reason, err := ingest.StopReason(t.Context(), h.config("auth"), h.cluster(), h.db.Client, registry, "auth", 0)
	if err != nil || registry == "" || reason == nil || !strings.Contains(reason.Reason, fmt.Sprintf("now %q", registry)) {
		t.Errorf("with a registry of sources StopReason gives %v, %v", reason, err)
	}
}
