package kpi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// Kind is how a KPI is made of what its source holds.
type Kind string

// The kinds of KPIs.
const (
	KindRatio      Kind = "ratio"      // Numerator by denominator; null when the denominator is 0.
	KindCount      Kind = "count"      // The numerator, which may count out of a known whole.
	KindSum        Kind = "sum"        // The numerator, a sum of money or the like.
	KindQuantile   Kind = "quantile"   // The bound that a share of what was measured does not exceed, from a histogram; not exact.
	KindAge        Kind = "age"        // Seconds since the newest event; not exact.
	KindCumulative Kind = "cumulative" // The newest official figure and the live delta since its date; with a denominator a ratio of two.
	KindFormula    Kind = "formula"    // Points for the values of other KPIs, by the version in force.
	KindReported   Kind = "reported"   // The newest official figure; nothing is counted.
)

// Definition is one KPI of the catalogue.
type Definition struct {
	ID            string      `json:"id" yaml:"id"`
	Kind          Kind        `json:"kind" yaml:"kind"`
	Name          Text        `json:"name" yaml:"name"`
	Description   Text        `json:"description" yaml:"description"`
	Unit          string      `json:"unit" yaml:"unit"`     // ratio, count, vnd, ms, s, points or working_day.
	Source        string      `json:"source" yaml:"source"` // A named source; see the package documentation.
	Numerator     string      `json:"numerator,omitempty" yaml:"numerator"`
	Denominator   string      `json:"denominator,omitempty" yaml:"denominator"`
	Feed          string      `json:"feed,omitempty" yaml:"feed"`         // Of a ratio: the sum that shows that the events are sent which it rests on.
	Quantile      float64     `json:"quantile,omitempty" yaml:"quantile"` // Of a quantile: its share, 0.95 for example.
	Versions      []Version   `json:"versions,omitempty" yaml:"versions"` // Of a formula, in the order of their dates.
	Whole         int64       `json:"whole,omitempty" yaml:"whole"`       // What a count is out of in each place, 25 services for example.
	Metric        string      `json:"metric,omitempty" yaml:"metric"`     // Metric of the official reports about the same number.
	Per           string      `json:"per,omitempty" yaml:"per"`           // The dimension that a value is of one code of: means of several have no meaning.
	DefaultPeriod string      `json:"default_period" yaml:"default_period"`
	Coverage      string      `json:"coverage_of" yaml:"coverage"` // What coverage counts: provinces, sources or reports.
	Dimensions    []string    `json:"dimensions" yaml:"dimensions"`
	Better        string      `json:"better" yaml:"better"` // higher, lower or neutral.
	Target        *Level      `json:"target,omitempty" yaml:"target"`
	Thresholds    *Thresholds `json:"thresholds,omitempty" yaml:"thresholds"`
	MinCell       int         `json:"min_cell,omitempty" yaml:"min_cell"`   // Smallest count of a sensitive KPI that may be shown.
	Sensitive     bool        `json:"sensitive,omitempty" yaml:"sensitive"` // About health or judicial records; see the package documentation.
	Origin        string      `json:"origin" yaml:"origin"`                 // Where the definition comes from.
	Basis         Basis       `json:"basis" yaml:"basis"`
	Tags          []string    `json:"tags,omitempty" yaml:"tags"`

	numerator, denominator *expression
	feed                   *expression // nil where the ratio rests on what makes its denominator
	source                 *source
	file                   *definitionFile // Of a formula, for errors about its parts.
}

// Basis says how sure a definition's or level's source is.
type Basis string

// The bases.
const (
	BasisFound    Basis = "found"    // In the text that Origin or Source names.
	BasisProposal Basis = "proposal" // Proposed by this project; no text says so.
)

// Level is a value to reach, with the text that sets it.
type Level struct {
	Value  float64 `json:"value" yaml:"value"`
	Source string  `json:"source" yaml:"source"`
	Basis  Basis   `json:"basis" yaml:"basis"`
}

// Thresholds divide values into good, warn and bad. Without Warn nothing is bad.
type Thresholds struct {
	Good *Level `json:"good" yaml:"good"`
	Warn *Level `json:"warn,omitempty" yaml:"warn"`
}

// Hash is the identity of the definition together with the version of the coefficients that it reads; equal hashes mean
// the same way of counting.
func (d *Definition) Hash(coefficients string) string {
	if !d.source.coefficients {
		coefficients = ""
	}
	canonical, err := json.Marshal(d)
	if err != nil {
		panic(fmt.Sprintf("definition of %s: %v", d.ID, err)) // only strings, numbers and lists: cannot fail
	}
	sum := sha256.Sum256(append(append(canonical, '\n'), coefficients...))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// status places a value among the thresholds.
func (d *Definition) status(value *float64) Status {
	reached := func(level *Level) bool {
		if d.Better == "lower" {
			return *value <= level.Value
		}
		return *value >= level.Value
	}
	switch {
	case value == nil:
		return StatusNoData
	case d.Thresholds == nil:
		return StatusNeutral
	case reached(d.Thresholds.Good):
		return StatusGood
	case d.Thresholds.Warn == nil || reached(d.Thresholds.Warn):
		return StatusWarn
	}
	return StatusBad
}

// standsStill says whether the KPI is a stock, which has a value at any moment, and not a flow over a period.
func (d *Definition) standsStill() bool {
	return d.Kind == KindCumulative || d.Kind == KindReported || d.Kind == KindFormula || d.source.form == registry && !d.source.register.byDue && !d.asksUse()
}

func (d *Definition) hasDimension(name string) bool {
	for _, dim := range d.Dimensions {
		if dim == name {
			return true
		}
	}
	return false
}

func (d *Definition) dimensionList() string {
	if len(d.Dimensions) == 0 {
		return "none"
	}
	return strings.Join(d.Dimensions, ", ")
}
