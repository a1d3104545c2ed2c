package kpi

import (
	"math"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// stepOf is the upper bound of the step that a latency is in, as migration 0020 has it; a test of package warehouse compares them.
func stepOf(ms int64) int64 {
	if ms < 128 {
		return ms
	}
	return ms | (1<<(bits.Len64(uint64(ms))-7) - 1)
}

// A quantile of a histogram is at least the exact one, and at most 1/64 above it.
func TestQuantileOfSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		latencies := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, 300), rapid.Int64Range(0, 20_000), rapid.Int64Range(0, math.MaxInt32)), 1, 200).Draw(t, "latencies")
		share := rapid.IntRange(1, quantileUnit-1).Draw(t, "share")
		h := histogram{}
		for _, ms := range latencies {
			h[stepOf(ms)]++
		}
		slices.Sort(latencies)
		rank := (len(latencies)*share + quantileUnit - 1) / quantileUnit
		exact := float64(latencies[rank-1])
		got := h.quantile(float64(share) / quantileUnit)
		if got == nil || *got < exact || *got > exact*(1+1.0/64) || exact < 128 && *got != exact {
			t.Fatalf("the quantile %d/%d of %v is %v, exactly %v", share, quantileUnit, latencies, got, exact)
		}
	})
}

func TestQuantileRanks(t *testing.T) {
	for n := int64(1); n <= 1000; n++ {
		h := histogram{}
		for ms := range n {
			h[ms+1]++
		}
		// ceil(0.95 n) without floating point, in which 0.95 is less than itself.
		if got, want := h.quantile(0.95), float64((95*n+99)/100); got == nil || *got != want {
			t.Fatalf("of 1 to %d the quantile is %v, not %v", n, got, want)
		}
	}
	for what, h := range map[string]histogram{"nothing": nil, "what was taken out again": {5: 0}, "more taken out than counted": {5: -2, 7: 1}} {
		if got := h.quantile(0.5); got != nil {
			t.Errorf("the quantile of %s is %v", what, *got)
		}
	}
}

const ownQuantile = `id: own_rate
kind: quantile
name: {vi: Của tôi, en: Mine}
description: {vi: Thử, en: Test}
unit: ms
source: auth_latency
numerator: sum(attempts)
quantile: 0.5
default_period: today
coverage: provinces
dimensions: [province]
better: lower
origin: test
basis: proposal
`

func TestQuantileDefinitions(t *testing.T) {
	if _, err := Load(writeKPI(t, "own_rate.yaml", ownQuantile)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, old, new, at, says string }{
		{"no quantile", "quantile: 0.5\n", "", "1:1", "quantile: is missing"},
		{"the whole", "quantile: 0.5", "quantile: 1", "8:11", "less than 1"},
		{"nothing", "quantile: 0.5", "quantile: 0", "8:11", "more than 0"},
		{"too fine", "quantile: 0.5", "quantile: 0.99999", "8:11", "at most 4 decimals"},
		{"of what is not measured", "source: auth_latency", "source: auth_attempts", "2:7", "measures nothing"},
		{"of another kind", "kind: quantile", "kind: count", "8:11", "only for a KPI of kind quantile"},
		{"of two", "quantile: 0.5", "denominator: sum(attempts)\nquantile: 0.5", "8:14", "no meaning"},
		{"cumulative", "kind: quantile\n", "kind: cumulative\nmetric: x\n", "2:7", "choose another source"},
		{"sensitive", "origin: test", "sensitive: true\nmin_cell: 10\norigin: test", "13:12", "no count"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(ownQuantile, test.old) {
				t.Fatalf("the KPI has no %q", test.old)
			}
			text := strings.Replace(ownQuantile, test.old, test.new, 1)
			if test.name == "cumulative" {
				text = strings.Replace(text, "quantile: 0.5\n", "", 1)
			}
			_, err := Load(writeKPI(t, "own_rate.yaml", text))
			if err == nil || !strings.Contains(err.Error(), "own_rate.yaml:"+test.at+": ") || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, expected it at %s, saying %q", err, test.at, test.says)
			}
		})
	}
}
