package suggest

import (
	"slices"
	"testing"
)

func TestNearest(t *testing.T) {
	known := []string{"count", "countIf", "sum", "sun", "uniq"}
	for _, c := range []struct {
		name  string
		bound int
		want  string
	}{
		{"countt", 3, "count"},
		{"cuont", 3, "count"},
		{"su", 2, "sum"}, // and sun, later in the alphabet
		{"sux", 1, ""},   // one letter is not fewer than one
		{"quantile", 3, ""},
		{"", 3, ""},
	} {
		for _, names := range [][]string{known, {"uniq", "sun", "sum", "countIf", "count"}} {
			if got := Nearest(c.name, slices.Values(names), c.bound); got != c.want {
				t.Errorf("Nearest(%q, %v, %d) = %q, want %q", c.name, names, c.bound, got, c.want)
			}
		}
	}
}
