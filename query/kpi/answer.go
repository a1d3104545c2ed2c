package kpi

import (
	"fmt"
	"slices"
	"time"
)

// Text is a text in both languages, NFC.
type Text struct {
	VI string `json:"vi" yaml:"vi"`
	EN string `json:"en" yaml:"en"`
}

// Status is a value's standing against its thresholds.
type Status string

// The statuses.
const (
	StatusGood    Status = "good"
	StatusWarn    Status = "warn"
	StatusBad     Status = "bad"
	StatusNeutral Status = "neutral" // No thresholds.
	StatusNoData  Status = "no_data" // No value.
)

// Answer is one answered question, in the shape of the HTTP API: its JSON is what clients receive. It is shared between
// askers and must not be changed.
type Answer struct {
	ID          string    `json:"id"`
	Name        Text      `json:"name"`
	Unit        string    `json:"unit"`
	Better      string    `json:"better"`
	Scope       string    `json:"scope"` // What was asked about: "national", "province:79,01" or "gso63:02".
	Period      Span      `json:"period"`
	AsOf        Time      `json:"as_of"`
	Revision    string    `json:"revision"`
	EvaluatedAt Time      `json:"evaluated_at"`
	Value       *float64  `json:"value"`
	Numerator   *int64    `json:"numerator"`
	Denominator *int64    `json:"denominator"`
	Baseline    *Baseline `json:"baseline"`
	Official    *Baseline `json:"official"`            // Newest official figure, whether or not the value is made of it; null when there is none.
	Suppressed  bool      `json:"suppressed,omitzero"` // Too small to show, or the complement of what is.
	Target      *float64  `json:"target"`
	Status      Status    `json:"status"`
	Coverage    Coverage  `json:"coverage"`
	Definition  string    `json:"definition"` // "sha256:…" over the definition and the versions of coefficients.
	Notes       []Note    `json:"notes"`
	Exact       bool      `json:"exact"` // False of freshness, of which equal revisions may differ, and of quantiles, which are bounds.
	Rows        []Row     `json:"rows,omitzero"`
	Series      []Point   `json:"series,omitzero"`
	Compare     *Compare  `json:"compare,omitzero"`
	Score       *Score    `json:"score,omitzero"` // Of a formula: what its value is made of.
	Rank        *Rank     `json:"rank,omitzero"`  // Of a province; in answers from a publication only.
}

// Span is a period: From is included, To is not.
type Span struct {
	From Time `json:"from"`
	To   Time `json:"to"`
}

// Baseline is an official figure, in the unit of the KPI. As the baseline of an answer it is what the live numbers are
// added to: of a count value = baseline.value + numerator, of a ratio value = (baseline.numerator + numerator) by
// (baseline.denominator + denominator). A KPI that is not cumulative has one only while nothing was counted live.
type Baseline struct {
	Value       float64  `json:"value"`
	Numerator   *float64 `json:"numerator,omitempty"`   // Of a ratio that was reported as two numbers, 21 of 46.
	Denominator *float64 `json:"denominator,omitempty"` // The same, or the known whole of a count, 23 of 25.
	Qualifier   string   `json:"qualifier,omitempty"`   // One of the constants Qualifier…; empty is unknown.
	AsOf        string   `json:"as_of"`                 // Date that the figure holds for, at the end of the day.
	Source      string   `json:"source"`
}

// Rank is a province's place among the provinces that have a value, the best first. Equal values share a place.
type Rank struct {
	Position int `json:"position"`
	Of       int `json:"of"`
}

func (r *Rank) equal(other *Rank) bool { return r == other || r != nil && other != nil && *r == *other }

// Coverage says how many of the expected sources or provinces the value is made of.
type Coverage struct {
	Reporting int `json:"reporting"`
	Expected  int `json:"expected"`
}

// Note is a remark that a reader of the value must know.
type Note struct {
	Code  string   `json:"code"` // Stable; the constants Note….
	Text  Text     `json:"text"`
	Items []string `json:"items,omitempty"` // What the remark is about, for example service ids.
}

func (n Note) equal(other Note) bool {
	return n.Code == other.Code && slices.Equal(n.Items, other.Items)
}

// Row is the value of one combination of dimension codes.
type Row struct {
	Dims        []Dim // In the order asked.
	Value       *float64
	Numerator   *int64
	Denominator *int64
	Baseline    *Baseline
	Official    *Baseline
	Suppressed  bool
}

// Dim is a dimension with a code.
type Dim struct{ Name, Code string }

// Point is the value of one bucket of a series.
type Point struct {
	Time        Time     `json:"time"` // Start of the bucket.
	Value       *float64 `json:"value"`
	Numerator   *int64   `json:"numerator"`
	Denominator *int64   `json:"denominator"`
}

// Compare is the value of the period before.
type Compare struct {
	Period      Span     `json:"period"`
	Value       *float64 `json:"value"`
	Numerator   *int64   `json:"numerator"`
	Denominator *int64   `json:"denominator"`
	Change      *float64 `json:"change"` // Value minus this one; null when either is.
}

// Time is a moment that JSON shows in Asia/Ho_Chi_Minh, with milliseconds where there are any.
type Time struct{ time.Time }

// MarshalJSON writes RFC 3339 with the offset +07:00.
func (t Time) MarshalJSON() ([]byte, error) { return []byte(`"` + t.String() + `"`), nil }

// UnmarshalJSON reads RFC 3339.
func (t *Time) UnmarshalJSON(text []byte) error {
	var parsed time.Time
	if err := parsed.UnmarshalJSON(text); err != nil {
		return fmt.Errorf("reading a time: %w", err)
	}
	t.Time = parsed.In(zone)
	return nil
}

// String formats the moment as JSON shows it, without quotes.
func (t Time) String() string {
	local := t.In(zone)
	if local.Nanosecond()/int(time.Millisecond) == 0 {
		return local.Format("2006-01-02T15:04:05-07:00")
	}
	return local.Format("2006-01-02T15:04:05.000-07:00")
}

// zone is the time zone of every period, bucket and date. Việt Nam has had no other offset since 1975, so the fixed
// offset is exact for all data and needs no time zone database.
var zone = time.FixedZone("Asia/Ho_Chi_Minh", 7*60*60)
