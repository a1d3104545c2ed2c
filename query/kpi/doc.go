// Package kpi holds the catalogue of KPIs and computes them: one definition and one number for every face.
//
// # Definitions
//
// A KPI is a YAML file in catalogue/, embedded, or in a directory of the operator, which adds KPIs or, by the same id,
// replaces them. It is defined over a named source:
//
//	dossier_days       dossiers by day of acceptance: measure dossiers
//	dossier_deadlines  accepted dossiers with a due time: measures with_due_time, on_time
//	dossier_savings    online dossiers that save, by day of completion: measures dossiers, saving_vnd
//	auth_attempts      authentication attempts: measure attempts
//	official_reports   newest counter.report of a metric, for cumulative KPIs
//	source_activity    newest event of each source, for ages
//
// Expressions are sums with conditions, for example
//
//	sum(attempts) where outcome != user_cancelled
//
// # One statement, one position
//
// Every rollup holds beside its counts one position row per topic and partition: the offset after the last event
// counted, and the greatest event time. Both come in one part with the counts, and an answer reads both in one SELECT
// of one table, so an answer is exactly the events below its position vector.
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
package kpi
