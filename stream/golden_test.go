package stream

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ioc.local/query/kpi"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata")

var serverTime = regexp.MustCompile(`"server_time":"[^"]*"`)

// TestProtocol holds the feed to the transcripts in testdata: lines with > are sent by the
// client, lines with < by the server, lines with # say what happened in between.
// Numbers have no other text than in the answers of the HTTP API.
func TestProtocol(t *testing.T) {
	f := newFeed(t, smallConfig(), func(d *Deps) { d.CaughtUp = func() bool { return true } })
	f.hub.epoch = "0123456789abcdef"
	var script strings.Builder
	line := func(mark, text string) { script.WriteString(mark + " " + text + "\n") }
	c := f.dial(nil)
	defer c.close()
	receive := func() {
		t.Helper()
		content, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		line("<", serverTime.ReplaceAllString(content, `"server_time":"2026-11-21T12:00:00.000+07:00"`))
	}
	send := func(message string) { line(">", message); c.send(message) }

	value, numerator, denominator, target := 21.0/46.0, int64(21), int64(46), 0.8
	rate := &kpi.Answer{
		Unit: "ratio", AsOf: kpi.Time{Time: noon}, Revision: "r-184467", Value: &value, Numerator: &numerator, Denominator: &denominator,
		Target: &target, Status: kpi.StatusBad, Coverage: kpi.Coverage{Reporting: 12, Expected: 34}, Definition: "sha256:5d41402a", Exact: true,
	}
	live, count := 57_912_345.0, int64(12_345)
	stock := &kpi.Answer{
		Unit: "count", AsOf: kpi.Time{Time: noon.Add(120 * time.Millisecond)}, Revision: "r-184467", Value: &live, Numerator: &count,
		Baseline: &kpi.Baseline{Value: 57_900_000, AsOf: "2024-11-22", Source: "530/TB-VPCP"}, Status: kpi.StatusNeutral,
		Coverage: kpi.Coverage{Reporting: 1, Expected: 1}, Definition: "sha256:7d793037", Exact: true,
		Notes: []kpi.Note{{Code: "illustrative", Text: kpi.Text{VI: "Minh họa", EN: "Illustrative"}}},
	}
	empty := &kpi.Answer{Unit: "ratio", AsOf: kpi.Time{Time: noon}, Revision: "r-184467", Status: kpi.StatusNoData, Definition: "sha256:5d41402a", Exact: true}
	p := &kpi.Publication{Number: 1, At: noon.Add(time.Second), AsOf: noon, Values: map[kpi.Key]*kpi.Answer{
		{KPI: "on_time_rate", Scope: "national", Period: "month"}:      rate,
		{KPI: "auth_transactions", Scope: "national", Period: "today"}: stock,
		{KPI: "on_time_rate", Scope: "79", Period: "month"}:            empty,
	}}

	receive()
	send(`{"type":"subscribe","board":"overview","scope":"national"}`)
	receive()
	line("#", "the first publication")
	f.hub.publish(p)
	receive()
	send(`{"type":"subscribe","board":"overview","scope":"province:79"}`)
	receive()
	line("#", "a second one, in which one national value changed")
	changed := *rate
	newValue, newNumerator := 22.0/46.0, int64(22)
	changed.Value, changed.Numerator, changed.Revision = &newValue, &newNumerator, "r-184468"
	p2 := *p
	p2.Number, p2.At, p2.AsOf = 2, noon.Add(1500*time.Millisecond), noon.Add(500*time.Millisecond)
	p2.Values = map[kpi.Key]*kpi.Answer{{KPI: "on_time_rate", Scope: "national", Period: "month"}: &changed}
	f.hub.publish(&p2)
	receive()
	line("#", "a heartbeat")
	f.hub.beat(time.Now())
	receive()
	send(`{"type":"subscribe","board":"overview","scope":"national","resume":{"epoch":"0123456789abcdef","offset":2}}`)
	receive()
	receive()
	send(`{"type":"subscribe","board":"overview","scope":"national","resume":{"epoch":"fedcba9876543210","offset":2}}`)
	receive()
	send(`{"type":"unsubscribe","board":"overview","scope":"province:79"}`)
	send(`{"type":"subscribe","board":"overvew","scope":"national"}`)
	receive()
	send(`{"type":"dance"}`)
	receive()
	_, err := c.next()
	line("#", strings.TrimPrefix(err.Error(), "failed to get reader: "))

	golden(t, "session.txt", script.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s, want against got:\n%s", path, diff)
	}
}
