package config

import (
	"fmt"
	"strings"
)

// suggestion is `; did you mean "…"?` with the known name nearest to an unknown one, or nothing when none is near.
func suggestion(name string, known []string) string {
	best, nearest := "", len(strings.TrimPrefix(name, envPrefix))/3+2 // the prefix says nothing
	for _, candidate := range known {
		if d := distance(name, candidate); d < nearest {
			best, nearest = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is the number of inserted, deleted or changed bytes between two names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
