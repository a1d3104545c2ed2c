package engine

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"pgregory.net/rapid"
)

func TestLinesDoNotDependOnHowTheStreamIsCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOf(rapid.StringMatching(`[a-z]{1,20}`)).Draw(t, "lines")
		stream := strings.Join(lines, "\n")
		var got []string
		w := &lineWriter{each: func(line string) { got = append(got, line) }}
		for rest := stream; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			if written, err := w.Write([]byte(rest[:n])); written != n || err != nil {
				t.Fatalf("Write returned %d, %v for %d bytes", written, err, n)
			}
			rest = rest[n:]
		}
		w.flush()
		if diff := cmp.Diff(append([]string(nil), lines...), got); diff != "" {
			t.Fatalf("lines (-want +got):\n%s", diff)
		}
	})
}

func TestLongLineIsCutAndTheNextOneIsWhole(t *testing.T) {
	var got []string
	w := &lineWriter{each: func(line string) { got = append(got, line) }}
	long := strings.Repeat("x", maxLine+100)
	for _, part := range []string{long[:100], long[100:], long + "\nnext\n"} {
		if _, err := w.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{long[:maxLine], "next"}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestFloodOfLinesIsBoundedAndCounted(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	dropped := prometheus.NewCounter(prometheus.CounterOpts{Name: "dropped"})
	registry := prometheus.NewRegistry()
	registry.MustRegister(dropped)
	out := newOutput(zap.New(core), dropped)
	const printed = 20 * linesAtOnce
	for range printed {
		out.line("2026.11.21 18:43:18.1 [ 1 ] {} <Warning> Something: again")
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	lost := int(families[0].GetMetric()[0].GetCounter().GetValue())
	logged := logs.FilterMessageSnippet("Something").Len()
	if lost+logged != printed || logged < linesAtOnce || logged > 2*linesAtOnce {
		t.Errorf("%d lines logged and %d dropped of %d; want at least %d logged", logged, lost, printed, linesAtOnce)
	}
	if level := logs.All()[0].Level; level != zap.WarnLevel {
		t.Errorf("level is %s, want warn", level)
	}
}
