// Package kpi holds the catalogue of KPIs and computes them: one definition and one number for every face.
//
// # Definitions
//
// A KPI is a YAML file in catalogue/, embedded, or in a directory of the operator, which adds KPIs or, by the same id,
// replaces them. It is defined over a named source:
//
//	dossier_days       dossiers by day of acceptance: measure dossiers, and what became of them, such as completed or with_fee
//	dossier_deadlines  accepted dossiers with a due time: measures with_due_time, on_time, open_late, on_time_not_disliked
//	dossier_savings    online dossiers that save, by day of completion: measures dossiers, saving_vnd
//	auth_attempts      authentication attempts: measure attempts
//	auth_latency       authentication attempts with a latency, by its step: measure attempts
//	eid                accounts and wallet documents: measures events, accounts_in_use
//	data_queries       queries to the population database: measure queries
//	service_catalogue  services by their last entry: measure services
//	tasks              tasks by their last status, in the period that they are due in: measure tasks
//	capabilities       what organisations have, by its last state: measures organisations, provinces, all_provinces
//	petitions          petitions by their state, in the period that they were received in: measures petitions, on_time,
//	                   satisfied
//	data_quality       last report of each rule in the period: measures passing, evaluated
//	formula            other KPIs, for scores
//	official_reports   newest counter.report of a metric, for reported counters
//	source_activity    newest event of each source, for ages
//
// Expressions are sums with conditions, for example
//
//	sum(attempts) where outcome != user_cancelled
//
// What becomes of a thing after its day is seen up to the smaller of the end of the period and as_of:
// the rollup that says how things stand now answers what is asked about now, and one that knows the days everything else.
//
// # Official figures
//
// A KPI with a metric has the newest counter.report of that metric as official figure, of the nation or of the province
// asked about, with its date, source and qualifier. It is in every answer beside the value. It is also what the value is
// made of, and then called its baseline, in three cases: a cumulative KPI adds to it what was counted since the end of its
// date; a reported counter is nothing else; and any other KPI takes it while nothing at all was counted in scope and period.
// A province without a figure of its own counts since the date of the nation's, so that the deltas add up.
//
// # Registers
//
// Of each thing in a register the last entry counts, by (time, rank, id of the event). The service catalogue has entries
// of the nation and of each province about the same service: a question about a province counts the province's, one
// about the nation the nation's, which therefore is not the sum of the provinces. Lists of services contain one another.
// Where a KPI names no list, an item of several lists counts once, at its highest level.
// A ratio of provinces is by the scheme of its date: 63 before 2025-07-01, then 34.
//
// A petition is judged at Now by all its steps before, and belongs to the period of the first status received, else of its
// first step. It is on time when each step taken came within its limit, and the step awaited is not past it.
//
// The data-quality index is the sum of passing by the sum of evaluated records over the last reports of all rules in
// the period, each times the weight of its rule. That is a weighted mean of the rules' rates, in which a rule weighs its
// weight times its records; the means by criterion, field and database are of the same form, so they add up exactly.
//
// # Quantiles
//
// A KPI of kind quantile is made of a histogram: counts by step, of which only the upper bound is known. Of n facts with the
// quantile q its value is the smallest bound at or below which ceil(q·n) of them are, and null where nothing was measured. It has
// neither numerator nor denominator. Histograms are integers, so that equal revisions are equal bits, rows and buckets are of
// the facts that are in them, and what is voided is taken out; but a bound is not what was measured, and the answer says that
// it is not exact. The steps of authentications are exact up to 127 ms, above that less than 1/64 over what was measured.
//
// # Sensitive KPIs
//
// KPIs about health and judicial records answer over their default period only, for days that are closed (before today),
// for the nation and by province of the 34-scheme. Counts from 1 to min_cell-1 are suppressed, and the counts after them
// that with the total would give them away; file sensitive.go has the rule. The publication holds what is left, and so does
// every face. Late events can still change a value by a small number from one day to the next.
// No other KPI may name sensitive codes; as a dimension they are counted under another code, and where their number is small
// other codes are hidden with it; file complement.go has the rule.
//
// # One statement, one position
//
// Every rollup holds beside its counts one position row per topic and partition: the offset after the last event
// counted, and the greatest event time. Both come in one part with the counts, and an answer reads both in one SELECT
// of one table, so an answer is exactly the events below its position vector. Registers are read from the raw table, in
// one scan of the events of one type and of the voids; the positions are those of these events. An answer of two sources,
// a live one and the official figures, has the positions of both.
//
// The revision of an answer is "r-<sum of the offsets>-<hash of the vector>". Equal vectors are equal sets of events, and
// as every value is integer sums and one division, equal bits. Where as_of is the clock (a source without events, an
// event ahead of the clock) as_of belongs to the hash. Ages change with the clock at one revision and say that they are
// not exact.
//
// as_of is known only once the position rows are read, but the calendar period and the deadlines depend on it. A
// statement is therefore made for an expected as_of; deadlines near it come back as rows of their own and are judged at
// the as_of that was read; where that lies in another calendar period the statement runs again.
//
// # Periods and buckets
//
// The calendar is that of as_of in Asia/Ho_Chi_Minh: "today" is the day of the newest event, so a source that is quiet
// after midnight still shows its last day, and the answer's period says so. A series has every bucket that meets the
// period, named by the bucket's start on the calendar even where the period starts later; each counts only what lies in
// the period, and each is judged at its own end. The elapsed part of the period before is exact to the minute for today
// where minutes are kept; else it is rounded up to whole days and a note says so.
//
// # Publication
//
// Evaluator.Run evaluates at each tick the sources whose positions moved, in all scopes with one statement a source, and
// swaps an immutable Publication. API, feed and metrics read the same *Answer values from it.
//
// Several questions at once (AnswerAll) are answered from one Publication, and what it does not hold at one reading of the
// clock. The Journal writes down at the end of each minute the values that have become others, so that what stood at any
// moment can be asked later.
package kpi
