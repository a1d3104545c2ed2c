package kpi

import (
	"maps"
	"slices"
	"strings"
)

// source is a family of facts that KPIs are defined over, and the tables that hold it. A definition can name only what
// is listed here, so nothing of a catalogue file reaches a statement unchecked.
type source struct {
	name string
	form form
	// family is the raw table that the events are in. Position vectors are told apart by it, not by rollup: equal
	// positions of a family are equal sets of events, whichever table counted them.
	family string
	// tables are the rollups, coarsest first.
	tables []table
	// measures are integers of one row of any of the tables, to be summed.
	measures map[string]measure
	// coefficients: measures may use coefficient, the saving in VND of the row's service in force on its day.
	coefficients bool
	// dimensions are those of forms other than rollup, which has them by table.
	dimensions []string
	// coverage is what a definition over this source may count.
	coverage string
}

// form is how a source is read.
type form uint8

const (
	rollup   form = iota + 1 // Sums by dimension and time, with position rows.
	reports                  // Official figures in register_events.
	activity                 // Newest event by source, in source_activity.
)

// table is one rollup.
type table struct {
	name  string
	time  string // Column of the time.
	grain grain  // Of that column: day or minute.
	// keepMonths is how long rows are kept; 0 is for ever.
	keepMonths int
	// columns are the dimensions. A table with a province has the column province63 too.
	columns map[string]string
}

// measure is an integer of one row.
type measure struct {
	sql string
	// deadline: the row counts only while Now is not past its column overdue_at.
	deadline bool
}

// sources are all named sources. It is a function, as nothing may change it.
func sources() []*source {
	dossier := map[string]string{"province": "province", "service": "service_id"}
	with := func(columns map[string]string, more ...string) map[string]string {
		columns = maps.Clone(columns)
		for i := 0; i < len(more); i += 2 {
			columns[more[i]] = more[i+1]
		}
		return columns
	}
	return []*source{
		{
			name: "dossier_days", form: rollup, family: "dossier_events", coverage: "provinces",
			tables:   []table{{name: "dossier_days", time: "day", grain: day, columns: with(dossier, "channel", "channel")}},
			measures: map[string]measure{"dossiers": {sql: "n"}},
		},
		{
			name: "dossier_deadlines", form: rollup, family: "dossier_events", coverage: "provinces",
			tables:   []table{{name: "dossier_deadlines", time: "day", grain: day, columns: dossier}},
			measures: map[string]measure{"with_due_time": {sql: "n"}, "on_time": {sql: "n", deadline: true}},
		},
		{
			name: "dossier_savings", form: rollup, family: "dossier_events", coverage: "provinces", coefficients: true,
			tables:   []table{{name: "dossier_savings", time: "day", grain: day, columns: dossier}},
			measures: map[string]measure{"dossiers": {sql: "n"}, "saving_vnd": {sql: "n * coefficient"}},
		},
		{
			name: "auth_attempts", form: rollup, family: "auth_attempts", coverage: "provinces",
			tables: []table{
				{name: "auth_days", time: "day", grain: day,
					columns: with(dossier, "outcome", "outcome", "relying_party", "relying_party", "assurance_level", "assurance_level")},
				{name: "auth_minutes", time: "minute", grain: minute, keepMonths: 13, columns: with(dossier, "outcome", "outcome")},
			},
			measures: map[string]measure{"attempts": {sql: "toInt64(n)"}},
		},
		{name: "official_reports", form: reports, family: "register_events", dimensions: []string{"province"}, coverage: "reports"},
		{name: "source_activity", form: activity, dimensions: []string{"province", "source"}, coverage: "sources"},
	}
}

// codes lists the codes of dimensions that are enumerations; the codes of others are checked by form only, or against
// the reference data.
var codes = map[string][]string{
	"channel": {"unknown", "direct", "online", "postal"},
	"outcome": {"none", "success", "wrong_credential", "expired", "locked", "no_match", "level_too_low", "user_cancelled", "timeout", "system_error"},
}

// hasDimension says whether any table of the source has the dimension.
func (s *source) hasDimension(name string) bool {
	return slices.Contains(s.dimensionNames(), name)
}

func (s *source) dimensionNames() []string {
	names := slices.Clone(s.dimensions)
	for _, t := range s.tables {
		names = slices.AppendSeq(names, maps.Keys(t.columns))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (s *source) measureNames() string {
	return strings.Join(slices.Sorted(maps.Keys(s.measures)), ", ")
}

// column is the SQL of a dimension as text, in the scheme.
func (t *table) column(dimension, scheme string) string {
	if dimension == "province" && scheme == SchemeGSO63 {
		return "toString(province63)"
	}
	return "toString(" + t.columns[dimension] + ")"
}
