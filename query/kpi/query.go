package kpi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Scope is whose facts a principal may see: everything, or some provinces of the 34-scheme.
type Scope struct {
	National  bool
	Provinces []string
}

// Comparisons with an earlier period.
const (
	ComparePrevious = "previous"         // The whole period before.
	CompareElapsed  = "previous_elapsed" // The part of the period before that has elapsed of this one.
)

// The administrative schemes of a question.
const (
	SchemeGSO34 = "gso34"
	SchemeGSO63 = "gso63"
)

const (
	maxBuckets = 10_000
	maxRows    = 10_000 // In one answer.
	maxCodes   = 200    // In one filter.
)

// Query is one question about one KPI. The zero value of a field means that it was not asked.
type Query struct {
	KPI     string
	Period  string    // A named period; the KPI's default when From and To are zero too.
	From    time.Time // Included.
	To      time.Time // Excluded.
	At      time.Time // Nothing later is seen.
	By      []string
	Filters map[string][]string // Codes by dimension.
	Grain   string
	Scheme  string // SchemeGSO34 when empty.
	Compare string
	Sort    string // "", "value" or "-value".
	Limit   int    // Rows, at most 10,000; 0 is all, which is refused when there are more than 10,000.
	Offset  int
	Scope   Scope
	// National asks about the whole country, which a principal of a province may do for totals that are not sensitive. The
	// question of a national principal is about the nation anyway.
	National bool
}

// question is a checked Query.
type question struct {
	Query
	def   *Definition
	grain grain // 0 when no series is asked.
	// provinces are the codes of the 34-scheme that the question is confined to; nil is no confinement.
	provinces []string
	// clock is the reading of the clock that the question is answered at, with others; zero is the time of the answer.
	clock time.Time
}

// check completes the query with its defaults and checks it against the catalogue. Errors are *Error.
func (c *Catalogue) check(q Query) (*question, error) {
	def, ok := c.Get(q.KPI)
	if !ok {
		return nil, &Error{Kind: NotFound, Param: "id", Detail: fmt.Sprintf("there is no KPI %q", q.KPI)}
	}
	out := &question{Query: q, def: def}
	for _, check := range []func(*question) error{checkTimes, checkShape, c.checkFilters, c.checkSensitive, c.checkScope, checkAge} {
		if err := check(out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func checkTimes(q *question) error {
	switch {
	case q.Period != "" && (!q.From.IsZero() || !q.To.IsZero()):
		return badRequest("period", "cannot stand together with from and to; ask one or the other")
	case q.From.IsZero() != q.To.IsZero() && q.From.IsZero():
		return badRequest("from", "is missing; from and to go together")
	case q.From.IsZero() != q.To.IsZero():
		return badRequest("to", "is missing; from and to go together")
	case !q.From.IsZero() && !q.From.Before(q.To):
		return badRequest("to", "must be later than from")
	case q.From.IsZero() && q.Period == "":
		q.Period = q.def.DefaultPeriod
	}
	if q.Period != "" && !slices.Contains(periods, q.Period) {
		return badRequest("period", "%q is unknown; use one of %s, or from and to", q.Period, strings.Join(periods, ", "))
	}
	for _, bound := range []struct {
		name string
		time time.Time
	}{{"from", q.From}, {"to", q.To}, {"at", q.At}} {
		if !bound.time.IsZero() && (bound.time.Before(beginning) || bound.time.Year() > 2100) {
			return badRequest(bound.name, "must be from %s to 2100", beginning.Format(time.DateOnly))
		}
		if bound.time.Nanosecond()%int(time.Millisecond) != 0 {
			return badRequest(bound.name, "is finer than a millisecond")
		}
	}
	return nil
}

// checkParts refuses a series and a comparison where the parts of the period have no values of their own.
func (q *question) checkParts() error {
	parameter := "grain"
	if q.grain == 0 {
		parameter = "compare"
	}
	switch {
	case q.grain == 0 && q.Compare == "":
	case q.def.Kind == KindFormula:
		return badRequest(parameter, "is not kept of a score; ask it for each period by itself")
	case q.def.asksEligible():
		return badRequest(parameter, "cannot be asked of %s, which goes by the catalogue at the end of the period; ask it for each period by itself", q.KPI)
	}
	return nil
}

func checkShape(q *question) error {
	if q.Grain != "" {
		g, ok := parseGrain(q.Grain)
		if !ok {
			return badRequest("grain", "%q is unknown; use one of %s", q.Grain, strings.Join(grains[minute:], ", "))
		}
		q.grain = g
	}
	if q.Compare != "" && q.Compare != ComparePrevious && q.Compare != CompareElapsed {
		return badRequest("compare", "%q is unknown; use %s or %s", q.Compare, ComparePrevious, CompareElapsed)
	}
	if q.Compare != "" && q.Period == PeriodAll {
		return badRequest("compare", "is not possible over the period all, which has none before it; ask a shorter period")
	}
	if err := q.checkParts(); err != nil {
		return err
	}
	for i, dimension := range q.By {
		if !q.def.hasDimension(dimension) {
			return badRequest("by", "names %q, which is no dimension of %s; it has: %s", dimension, q.KPI, q.def.dimensionList())
		}
		if slices.Index(q.By, dimension) != i {
			return badRequest("by", "names %q twice", dimension)
		}
	}
	if q.Sort != "" && q.Sort != "value" && q.Sort != "-value" {
		return badRequest("sort", "%q is unknown; use value or -value", q.Sort)
	}
	if q.Limit < 0 || q.Limit > maxRows {
		return badRequest("limit", "must be from 1 to %d", maxRows)
	}
	if q.Offset < 0 {
		return badRequest("offset", "must be 0 or more")
	}
	for _, option := range []struct {
		name  string
		asked bool
	}{{"sort", q.Sort != ""}, {"limit", q.Limit != 0}, {"offset", q.Offset != 0}} {
		if option.asked && len(q.By) == 0 {
			return badRequest(option.name, "is about rows; ask for them with by")
		}
	}
	switch q.Scheme {
	case "":
		q.Scheme = SchemeGSO34
	case SchemeGSO34:
	case SchemeGSO63:
		if q.def.source.form == activity {
			return badRequest("scheme", "cannot be %s: %s is kept by the provinces of %s only", q.Scheme, q.KPI, SchemeGSO34)
		}
	default:
		return badRequest("scheme", "%q is unknown; use %s or %s", q.Scheme, SchemeGSO34, SchemeGSO63)
	}
	return nil
}

func (c *Catalogue) checkFilters(q *question) error {
	filters := map[string][]string{}
	for dimension, asked := range q.Filters {
		if !q.def.hasDimension(dimension) {
			return badRequest(dimension, "is no dimension of %s; it has: %s", q.KPI, q.def.dimensionList())
		}
		if len(asked) == 0 || len(asked) > maxCodes {
			return badRequest(dimension, "needs 1 to %d codes", maxCodes)
		}
		for _, code := range asked {
			if !c.knownCode(q.def, dimension, code, q.Scheme) {
				return badRequest(dimension, "has no code %q", code)
			}
		}
		asked = slices.Clone(asked)
		slices.Sort(asked)
		filters[dimension] = slices.Compact(asked)
	}
	q.Filters = filters
	return nil
}

func (c *Catalogue) knownCode(def *Definition, dimension, code, scheme string) bool {
	if known, ok := def.source.codes[dimension]; ok {
		return slices.Contains(known, code)
	}
	switch {
	case dimension == "province" && scheme == SchemeGSO63:
		return c.parent63[code] != ""
	case dimension == "province":
		return c.province[code]
	case dimension == "service":
		_, ok := c.places.Service(code)
		return ok
	case dimension == "source_document":
		return len(code) <= 200 // 06/QĐ-TTg; never part of a statement's text
	}
	return isCode(code)
}

// checkScope confines the question to the principal's provinces.
func (c *Catalogue) checkScope(q *question) error {
	if q.National && !q.Scope.National {
		return checkNation(q)
	}
	for _, code := range q.Filters["province"] {
		if q.Scheme == SchemeGSO63 {
			code = c.parent63[code]
		}
		if !q.Scope.National && !slices.Contains(q.Scope.Provinces, code) {
			return forbidden("province", "province %s is outside your scope", code)
		}
		if !slices.Contains(q.provinces, code) {
			q.provinces = append(q.provinces, code)
		}
	}
	if q.Scope.National {
		return nil
	}
	if len(q.Scope.Provinces) == 0 {
		return forbidden("", "your scope holds no province")
	}
	if q.provinces == nil {
		q.provinces = slices.Clone(q.Scope.Provinces)
	}
	slices.Sort(q.provinces)
	q.provinces = slices.Compact(q.provinces)
	for _, code := range q.provinces {
		if !c.province[code] {
			return forbidden("", "your scope names %q, which is not a province", code)
		}
	}
	return nil
}

// placeless are the dimensions that tell nothing of single provinces. The others name agencies, many of them of a province.
var placeless = []string{"service", "channel", "portal", "outcome", "assurance_level", "query_kind", "eid_level", "action", "type", "kind", "document_action", "list", "level", "status", "org_kind", "state", "database", "criterion", "field"}

// checkNation admits a question of a province's principal about the whole country.
func checkNation(q *question) error {
	if q.def.Sensitive {
		return forbidden("scope", "%s is sensitive: its national total is not for your scope", q.KPI)
	}
	for _, dimension := range slices.Concat(q.By, slices.Sorted(maps.Keys(q.Filters))) {
		if !slices.Contains(placeless, dimension) {
			return forbidden(dimension, "cannot be asked of the nation from your scope: it would show other provinces; leave out scope=national")
		}
	}
	return nil
}

// checkAge refuses what an age cannot be asked: it is about now and keeps no history.
func checkAge(q *question) error {
	if q.def.Kind != KindAge {
		return nil
	}
	for _, option := range []struct {
		name  string
		asked bool
	}{
		{"period", q.Period != "" && q.Period != q.def.DefaultPeriod}, {"from", !q.From.IsZero()}, {"at", !q.At.IsZero()},
		{"grain", q.grain != 0}, {"compare", q.Compare != ""},
	} {
		if option.asked {
			return badRequest(option.name, "cannot be asked of %s, which is the age of the data now and has no past", q.KPI)
		}
	}
	return nil
}

// scopeName says what the question is about, as boards write it.
func (q *question) scopeName() string {
	switch {
	case q.Scheme == SchemeGSO63 && q.Filters["province"] != nil:
		return SchemeGSO63 + ":" + strings.Join(q.Filters["province"], ",")
	case q.provinces != nil:
		return "province:" + strings.Join(q.provinces, ",")
	}
	return National
}

// key is equal for questions that differ only in the page of rows that they show, and its order.
func (q *question) key() string {
	shown := q.Query
	shown.Sort, shown.Limit, shown.Offset = "", 0, 0
	shown.Scope, shown.National = Scope{National: q.provinces == nil, Provinces: q.provinces}, false
	text, err := json.Marshal(shown)
	if err != nil {
		panic(fmt.Sprintf("question about %s: %v", q.KPI, err)) // only strings, numbers and times of years up to 2100
	}
	return string(text)
}
