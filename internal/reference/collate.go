package reference

import (
	"slices"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"
)

// SortByNameVI sorts items by a name in Vietnamese dictionary order (a, ă, â, b, … d, đ, e, ê …); equal names keep
// their order.
func SortByNameVI[T any](items []T, name func(T) string) {
	c := collate.New(language.Vietnamese) // not safe for concurrent use, so one for each call
	slices.SortStableFunc(items, func(a, b T) int { return c.CompareString(name(a), name(b)) })
}
