package config

import (
	"fmt"
	"slices"
	"strings"

	"ioc.local/internal/suggest"
)

// suggestion is `; did you mean "…"?` with the known name nearest to an unknown one, or nothing when none is near.
func suggestion(name string, known []string) string {
	bound := len(strings.TrimPrefix(name, envPrefix))/3 + 2 // the prefix says nothing
	nearest := suggest.Nearest(name, slices.Values(known), bound)
	if nearest == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", nearest)
}
