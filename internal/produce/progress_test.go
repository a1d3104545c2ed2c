package produce_test

import (
	"bytes"
	"strings"
	"testing"

	"ioc.local/internal/produce"
)

func TestProgressOfLongWork(t *testing.T) {
	var out bytes.Buffer
	p := produce.NewProgress("history", &out)
	for _, share := range []float64{0, 0.25, 0.5, 1, 1} {
		p.Set(share)
	}
	if text := out.String(); !strings.Contains(text, "history") || !strings.Contains(text, "100%") || strings.Count(text, "\n") != 1 {
		t.Errorf("the display was %q", text)
	}
}

// TestLines reads what is open already, as the demo reads the figures that are shipped.
func TestLines(t *testing.T) {
	sink, got := collect()
	in := `{"specversion":"1.0","id":"1","source":"/npsp/H26","type":"vn.da06.event.void.v1","subject":"s"}`
	s, err := produce.Lines(t.Context(), "figures", strings.NewReader(in), int64(len(in)), produce.FileOptions{}, produce.FileDeps{Sink: sink})
	if err != nil || s.Name != "figures" || s.Produced[produce.TopicProgramme] != 1 || len(*got) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := produce.Lines(t.Context(), "figures", strings.NewReader("no event"), 8, produce.FileOptions{}, produce.FileDeps{Sink: sink}); err == nil || !strings.Contains(err.Error(), "figures") {
		t.Errorf("a line that is no event gives %v", err)
	}
}
