// Package suggest finds what somebody who misspelt a name may have meant.
package suggest

import "iter"

// Nearest is the known name that differs from name in the fewest letters, in fewer than bound; of equals the first in
// the alphabet. It is empty when none is that near.
func Nearest(name string, known iter.Seq[string], bound int) string {
	best, least := "", bound
	for candidate := range known {
		// A bound for a distance is the difference of lengths, which spares most of the work on long lists.
		if max(len(name)-len(candidate), len(candidate)-len(name)) > least {
			continue
		}
		d := distance(name, candidate)
		if d < least || d == least && best != "" && candidate < best {
			best, least = candidate, d
		}
	}
	return best
}

// distance is how many bytes must be inserted, deleted or changed to make one text the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := corner
			if a[i] != b[j] {
				changed++
			}
			corner, row[j+1] = row[j+1], min(changed, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
