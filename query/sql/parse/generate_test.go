package parse_test

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// expressions draws expressions as an analyst could type them: few parentheses, so that precedence matters.
func expression(t *rapid.T, depth int) string {
	sub := func() string { return expression(t, depth-1) }
	pick := func(options ...string) string { return rapid.SampledFrom(options).Draw(t, "pick") }
	if depth <= 0 {
		return pick("a", "b", "`c d`", "t.a", "1", "2.5", "-3", "'x'", "'it''s'", "NULL", "true", "[1, 2]", "(1, 'x')", "x.1", "m['k']", "f(a)", "count()", "sum(DISTINCT b)")
	}
	switch rapid.IntRange(0, 16).Draw(t, "kind") {
	case 0, 1, 2:
		return sub() + pick(" + ", " - ", " * ", " / ", " % ", " || ", "-", " DIV ", " MOD ") + sub()
	case 3, 4:
		return sub() + pick(" = ", " != ", " < ", " >= ", " LIKE ", " NOT ILIKE ", " <=> ") + sub()
	case 5, 6:
		return sub() + pick(" AND ", " OR ") + sub()
	case 7:
		return "NOT " + sub()
	case 8:
		return "(" + sub() + ")"
	case 9:
		return sub() + pick(" IS NULL", " IS NOT NULL", " IN (1, 2)", " NOT IN ('x')", " IN [1]")
	case 10:
		return sub() + pick(" BETWEEN ", " NOT BETWEEN ") + sub() + " AND " + sub()
	case 11:
		return fmt.Sprintf("g(%s, %s)", sub(), sub())
	case 12:
		return fmt.Sprintf("CASE WHEN %s THEN %s ELSE %s END", sub(), sub(), sub())
	case 13:
		if rapid.Bool().Draw(t, "cast") { // of a constant in parentheses ClickHouse casts the text, with the parentheses
			return pick("a", "1", "-1", "'1'", "f(a)", "(a + b)") + pick("::String", "::Nullable(Int64)")
		}
		return "(" + sub() + ")" + pick("[1]", ".1")
	case 14:
		return fmt.Sprintf("arrayMap(x -> %s, [%s])", sub(), sub())
	case 15:
		return "-" + pick("a", "(a)", "f(a)", "(1)", "1") // a sign before anything more would be a matter of taste
	}
	return "(" + strings.Join([]string{sub(), sub()}, ", ") + ")"
}
