package kpi

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
)

// source is a family of facts that KPIs are defined over, and the tables that hold it. A definition can name only what
// is listed in sources, so nothing of a catalogue file reaches a statement unchecked.
type source struct {
	name string
	form form
	// family tells position vectors apart: the raw table that the events are in, with the type of event where a source
	// reads one type only. Equal positions of a family are equal sets of events, whichever table counted them.
	family string
	// tables are the rollups, coarsest first.
	tables []table
	// measures are integers of one row of any of the tables, to be summed; of registers, what is counted.
	measures map[string]measure
	// coefficients: measures may be weighed with the saving in VND of the row's service in force on its day.
	coefficients bool
	// histogram is the column of the upper bound of what was measured of a row's facts; empty where nothing was.
	histogram string
	// register is how entries of a register are read; nil for other forms.
	register *register
	// dimensions are those of forms other than rollup, which has them by table.
	dimensions []string
	// codes are the codes of the dimensions that are enumerations; the codes of others are checked by form only, or
	// against the reference data.
	codes map[string][]string
	// coverage is what a definition over this source may count.
	coverage string
}

// form is how a source is read.
type form uint8

const (
	rollup      form = iota + 1 // Sums by dimension and time, with position rows.
	registry                    // The last entry of each thing in register_events, at any moment.
	petitioning                 // The state of each petition, in register_events, in the period that it was received in.
	quality                     // The last report of each data-quality rule in a period, in register_events.
	reports                     // Official figures in register_events.
	activity                    // Newest event by source, in source_activity.
	composed                    // Other KPIs.
)

// table is one rollup.
type table struct {
	name  string
	time  string // Column of the time.
	grain grain  // Of that column: day or minute.
	// now: dated measures are as things stand now, and cannot be asked of a moment in the past.
	now bool
	// seen is the column of the day on which what follows happened; empty where there is none.
	seen string
	// narrow: it is for what is asked most, and lacks dimensions that definitions over the source may name.
	narrow bool
	// key is the dimension that stands before the time in the primary key: the table is only for questions about given codes of it.
	// Empty where the time stands first.
	key string
	// whole: such a table holds what was counted before it was made. It does not until the evaluator has seen it.
	whole *atomic.Bool
	// keepMonths is how long rows are kept; 0 is for ever.
	keepMonths int
	// columns are the dimensions: texts, or enumerations that have all codes of the source. A table with a province has the column
	// province63 too.
	columns map[string]string
}

// measure is an integer of one row.
type measure struct {
	sql string
	// weighed: it counts times the coefficient of the row.
	weighed bool
	// deadline says at which moments a row with a column overdue_at counts.
	deadline deadline
	// follows: it happens to a thing after the time that the row is of.
	follows bool
	// until is the column of the day from which on the row does not count; its zero is never. Empty is none.
	until string
	// events is the type of event that the measure shows to be sent; empty where it shows none.
	events string
}

// deadline is what the column overdue_at, the last moment on time, means for a measure.
type deadline uint8

const (
	onTime   deadline = iota + 1 // The row counts while Now is not past it.
	openLate                     // The row counts once Now is past it.
)

// dated says whether the measure depends on the moment that it is judged at.
func (m measure) dated() bool { return m.deadline != 0 || m.follows || m.until != "" }

// register is a register of things whose last entry counts.
type register struct {
	eventType string
	item      string // SQL of what an entry is about, within its list and place.
	rank      string // SQL of the rank among entries of one time.
	// columns are the SQL of the dimensions, as texts, besides province. That of due is in milliseconds, 0 is absent.
	columns map[string]string
	due     string
	// states are the dimensions that change; the others say what an entry is about.
	states []string
	// byPlace: each province, and the nation, has entries of its own about one item.
	byPlace bool
	// highest is the state of which, where no list is asked about, the best counts of what the lists say about one item: the
	// first of its codes, but for the first of all, which is absence.
	highest string
	// byDue: entries count in the period that they are due in.
	byDue bool
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

// derived says whether codes of the dimension are told by another source than the rows: it can stand in conditions only.
func (s *source) derived(dimension string) bool {
	return slices.Contains(useCodes, dimension) || dimension == eligibleCodes && s.form == rollup
}

// open says whether a dimension may have any number of codes.
func (s *source) open(dimension string) bool {
	return s.codes[dimension] == nil && dimension != "service"
}

func (s *source) measureNames() string {
	return strings.Join(slices.Sorted(maps.Keys(s.measures)), ", ")
}

// everywhere says whether every table but narrow ones has the dimension, so that a condition on it holds at any grain.
func (s *source) everywhere(dimension string) bool {
	if len(s.tables) == 0 {
		return slices.Contains(s.dimensions, dimension)
	}
	for _, t := range s.tables {
		if _, ok := t.columns[dimension]; !ok && !t.narrow {
			return false
		}
	}
	return true
}

// inRegister says whether the source is read from register_events.
func (s *source) inRegister() bool {
	return s.form == registry || s.form == petitioning || s.form == quality || s.form == reports
}

// eventType is the type of event that a source in register_events reads.
func (s *source) eventType() string {
	_, kind, _ := strings.Cut(s.family, ":")
	return kind
}

// column is the SQL of a dimension as text, in the scheme.
func (t *table) column(dimension, scheme string) string {
	if dimension == "province" && scheme == SchemeGSO63 {
		return "toString(province63)"
	}
	return "toString(" + t.columns[dimension] + ")"
}

// shownColumn is the SQL of a dimension as an asker sees it: what is sensitive is counted among the others.
func (t *table) shownColumn(dimension, scheme string) string {
	column := t.column(dimension, scheme)
	hidden, ok := sensitiveCodes()[dimension]
	if !ok {
		return column
	}
	if service := t.columns["service"]; dimension == procedureCodes && service != "" {
		// A sensitive service is known by its procedure too, whatever procedure its dossiers name.
		column = "if(" + service + " IN ('" + strings.Join(sensitiveCodes()["service"].codes, "', '") + "'), '', " + column + ")"
	}
	return "if(" + column + " IN ('" + strings.Join(hidden.codes, "', '") + "'), '" + hidden.shownAs + "', " + column + ")"
}

// groupedColumn is shownColumn as rows are told apart and picked by it: where nothing is hidden the column itself, whose codes
// cost less to group by and to compare than their texts.
func (t *table) groupedColumn(dimension, scheme string) string {
	switch _, hidden := sensitiveCodes()[dimension]; {
	case hidden:
		return t.shownColumn(dimension, scheme)
	case dimension == "province" && scheme == SchemeGSO63:
		return "province63"
	}
	return t.columns[dimension]
}

// hiddenCodes are codes of a dimension that nobody may ask for, and the code that they are counted under.
type hiddenCodes struct {
	codes   []string
	shownAs string
}

// sensitiveCodes are the codes about health and judicial records. Only a sensitive KPI may count them by name.
func sensitiveCodes() map[string]hiddenCodes {
	return map[string]hiddenCodes{
		"service":      {[]string{"DA06-22"}, ""},
		procedureCodes: {[]string{"2.000488"}, ""}, // of DA06-22
		"kind":         {[]string{"health_book", "judicial_record"}, "other"},
	}
}
