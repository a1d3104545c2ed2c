// Package figure writes numbers, dates and ages as people read them, in
// Vietnamese or English: 3,12 nghìn tỷ đồng, 68,4%, cách đây 12 phút. The page
// of the wall does the same in TypeScript; both pass the cases of
// dashboards/web/format.golden.json.
package figure

import (
	"math"
	"math/big"
	"strings"
)

// Lang is a language to write in.
type Lang int

// The languages: VI groups with dots and has a decimal comma, EN the other way round.
const (
	VI Lang = iota
	EN
)

// Missing stands where there is no value; zero is a value.
const Missing = "–"

// minus is the sign that is as wide as a digit.
const minus = "−"

// Figure is a number and its unit, which may be empty.
type Figure struct{ Number, Unit string }

// String joins both; only the percent sign stands close.
func (f Figure) String() string {
	if f.Unit == "" || f.Unit == "%" {
		return f.Number + f.Unit
	}
	return f.Number + " " + f.Unit
}

// step is a size that has a name.
type step struct {
	size  float64
	names [2]string
}

var (
	money = []step{
		{1e15, [2]string{"triệu tỷ đồng", "quadrillion VND"}},
		{1e12, [2]string{"nghìn tỷ đồng", "trillion VND"}},
		{1e9, [2]string{"tỷ đồng", "billion VND"}},
		{1e6, [2]string{"triệu đồng", "million VND"}},
	}
	counts = []step{
		{1e15, [2]string{"triệu tỷ", "quadrillion"}},
		{1e12, [2]string{"nghìn tỷ", "trillion"}},
		{1e9, [2]string{"tỷ", "billion"}},
		{1e6, [2]string{"triệu", "million"}},
	}
	units = map[string][2]string{
		"vnd":         {"đồng", "VND"},
		"ratio":       {"%", "%"},
		"ms":          {"ms", "ms"},
		"s":           {"giây", "s"},
		"points":      {"điểm", "points"},
		"working_day": {"ngày làm việc", "working days"},
	}
)

// Decimal writes a number with so many digits after the comma, grouped by thousands, halves away from zero.
// Values that are not finite are Missing.
func Decimal(value float64, digits int, lang Lang) string {
	exact := new(big.Rat).SetFloat64(math.Abs(value)) // not strconv, which rounds halves to even, unlike browsers
	if exact == nil {
		return Missing
	}
	group, comma := ".", ","
	if lang == EN {
		group, comma = comma, group
	}
	text := exact.FloatString(digits)
	negative := value < 0 && strings.ContainsAny(text, "123456789")
	whole, part, _ := strings.Cut(text, ".")
	for at := len(whole) - 3; at > 0; at -= 3 {
		whole = whole[:at] + group + whole[at:]
	}
	if negative {
		whole = minus + whole
	}
	if part == "" {
		return whole
	}
	return whole + comma + part
}

// Wall is the number of a tile, with at most two decimals: three read as thousands to a hurried eye. The value is
// nil when it is missing; unit is one of the KPIs' units ("ratio" is from 0 to 1 and becomes percent).
func Wall(value *float64, unit string, lang Lang) Figure {
	if value == nil {
		return Figure{Number: Missing}
	}
	v := *value
	plain := func(v float64, digits int) Figure { return Figure{Decimal(v, digits, lang), units[unit][lang]} }
	switch unit {
	case "ratio":
		return plain(v*100, 1)
	case "vnd":
		if f, ok := scaled(v, money, lang); ok {
			return f
		}
	case "count":
		if f, ok := scaled(v, counts, lang); ok && math.Abs(v) >= 1e7 {
			return f
		}
	case "s":
		if math.Abs(v) < 99.95 {
			return plain(v, 1)
		}
	case "points":
		return plain(v, 2)
	case "working_day":
		return plain(v, 1)
	}
	return plain(v, 0)
}

// scaled writes a value in the largest unit that it fills; what rounds to 1000 of a unit is one of the next.
func scaled(value float64, steps []step, lang Lang) (Figure, bool) {
	size := math.Abs(value)
	for i, s := range steps {
		share := size / s.size
		if i > 0 && Decimal(share, 1, EN) == "1,000.0" {
			return Figure{Decimal(math.Copysign(1, value), 2, lang), steps[i-1].names[lang]}, true
		}
		if share >= 1 {
			digits := 2
			if share >= 99.995 {
				digits = 1
			}
			return Figure{Decimal(value/s.size, digits, lang), s.names[lang]}, true
		}
	}
	return Figure{}, false
}

// Exact is the line under a number: counts to the last digit, money in tỷ or triệu đồng with one decimal.
func Exact(value *float64, unit string, lang Lang) string {
	if value == nil {
		return Missing
	}
	size := math.Abs(*value)
	switch {
	case unit == "count":
		return Decimal(*value, 0, lang)
	case unit == "vnd" && size >= 1e9:
		return Figure{Decimal(*value/1e9, 1, lang), money[2].names[lang]}.String()
	case unit == "vnd" && size >= 1e6:
		return Figure{Decimal(*value/1e6, 1, lang), money[3].names[lang]}.String()
	}
	return Wall(value, unit, lang).String()
}

// Prose is a number within a sentence: the wall's, without zeros after the comma at its end.
func Prose(value *float64, unit string, lang Lang) string {
	f := Wall(value, unit, lang)
	comma := ","
	if lang == EN {
		comma = "."
	}
	whole, part, found := strings.Cut(f.Number, comma)
	if part = strings.TrimRight(part, "0"); found && part != "" {
		whole += comma + part
	}
	f.Number = whole
	return f.String()
}

// Change is the size of a change without its sign, which an arrow shows: a difference of ratios in percentage points,
// else a relative change in percent. 0.021 is 2.1.
func Change(value float64, points bool, lang Lang) string {
	text := Decimal(math.Abs(value)*100, 1, lang)
	if points {
		return text + " " + units["points"][lang]
	}
	return text + "%"
}
