package kpi

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// The data-quality index is Σ weight × passing by Σ weight × evaluated, over the last report of each rule in the period.
// That is the weighted mean of the rules' rates passing/evaluated, a rule weighing its weight times the records it was
// applied to; with these weights the means of the means, upward by criterion, field and database, are the same number.
// Weights count in thousandths, so that both sums are integers; where all are whole the sums are of records.
const weightUnit = 1000

// qualityRule is a rule about one field of one database in one place.
type qualityRule struct{ database, criterion, field, rule, province, province63 string }

// qualityReport is the last report of a rule in a bucket of a window.
type qualityReport struct {
	rule                       qualityRule
	bucket                     int64
	at                         int64
	id                         string
	passing, evaluated, weight int64 // Weight in thousandths.
}

// code is the rule's code of a dimension, in the scheme.
func (r *qualityRule) code(dimension, scheme string) string {
	switch dimension {
	case "database":
		return r.database
	case "criterion":
		return r.criterion
	case "field":
		return r.field
	}
	if scheme == SchemeGSO63 {
		return r.province63
	}
	return r.province
}

// readQuality reads the last reports below the positions in each window, by bucket where a grain is asked of the first.
func (e *Evaluator) readQuality(ctx context.Context, src *source, windows []window, bucket grain, read *reading) ([][]qualityReport, error) {
	out := make([][]qualityReport, len(windows))
	sql, parameters := qualitySQL(src, windows, bucket, read)
	err := e.query(ctx, sql, parameters, func(rows driver.Rows) error {
		var (
			in uint16
			r  qualityReport
		)
		if err := rows.Scan(&in, &r.bucket, &r.rule.database, &r.rule.criterion, &r.rule.field, &r.rule.rule,
			&r.rule.province, &r.rule.province63, &r.at, &r.id, &r.passing, &r.evaluated, &r.weight); err != nil {
			return err
		}
		out[in] = append(out[in], r)
		return nil
	})
	return out, err
}

func qualitySQL(src *source, windows []window, bucket grain, read *reading) (string, []any) {
	b := &builder{}
	conditions, in := make([]string, len(windows)), make([]string, len(windows))
	for i, w := range windows {
		conditions[i] = fmt.Sprintf("(occurred_at >= %s AND occurred_at < %s)", b.moment(w.from), b.moment(w.upper))
		in[i] = fmt.Sprintf("if(%s, [toUInt16(%d)], [])", conditions[i], i)
	}
	bucketSQL := "toInt64(0)"
	if bucket != 0 {
		p := plan{table: &table{time: "occurred_at"}, bucket: bucket}
		bucketSQL = fmt.Sprintf("if(in_window = 0, toInt64(toUnixTimestamp(toDateTime(%s, %s))), toInt64(0))", p.bucketStartSQL(), zoneSQL)
	}
	return fmt.Sprintf(`SELECT arrayJoin(arrayConcat(%s)) AS in_window, %s AS bucket,
    toString(database), toString(criterion), toString(quality_field), toString(rule_id), toString(province) AS area, toString(province63) AS area63,
    max(toUnixTimestamp64Milli(occurred_at)), argMax(event_id, (occurred_at, event_id, source)),
    toInt64(least(argMax(passing, (occurred_at, event_id, source)), toUInt64(1e15))), toInt64(least(argMax(evaluated, (occurred_at, event_id, source)), toUInt64(1e15))),
    toInt64(round(least(greatest(argMax(weight, (occurred_at, event_id, source)), 0.), 1e9) * %d))
FROM register_events
WHERE (%s) AND %s
GROUP BY in_window, bucket, database, criterion, quality_field, rule_id, area, area63`,
		strings.Join(append(in, "[]::Array(UInt16)"), ", "), bucketSQL, weightUnit, strings.Join(conditions, " OR "), registerBelow(b, src, read)), b.parameters
}

// tallyQualities runs one statement for all questions: the positions are known, and with them as_of.
func (e *Evaluator) tallyQualities(ctx context.Context, qs []*question, read *reading, placed []*timing) ([]*tallies, error) {
	var windows []window
	for _, t := range placed {
		windows = append(windows, t.windows...)
	}
	all, err := e.readQuality(ctx, qs[0].def.source, windows, qs[0].grain, read)
	if err != nil {
		return nil, err
	}
	out := make([]*tallies, len(qs))
	for i, q := range qs {
		own := all[:len(placed[i].windows)]
		all = all[len(placed[i].windows):]
		out[i] = q.tallyQuality(own, read, placed[i])
	}
	return out, nil
}

// tallyQuality sums what was read for one question.
func (q *question) tallyQuality(windows [][]qualityReport, r *reading, t *timing) *tallies {
	out := &tallies{timing: t, positions: r.positions, latest: r.latest, series: make([]tally, len(t.buckets))}
	byBucket := map[int64][]qualityReport{}
	for _, report := range windows[0] {
		byBucket[report.bucket] = append(byBucket[report.bucket], report)
	}
	unit := wholeUnit(windows)
	rows := map[string]*tallyRow{}
	for _, report := range q.last(windows[0]) {
		out.total.addQuality(q.def, &report, unit)
		if len(q.By) == 0 {
			continue
		}
		codes := make([]string, len(q.By))
		for i, dimension := range q.By {
			codes[i] = report.rule.code(dimension, q.Scheme)
		}
		key := strings.Join(codes, "\x00")
		if rows[key] == nil {
			rows[key] = &tallyRow{codes: codes}
		}
		rows[key].tally.addQuality(q.def, &report, unit)
	}
	for i, start := range t.buckets {
		for _, report := range q.last(byBucket[start.Unix()]) {
			out.series[i].addQuality(q.def, &report, unit)
		}
	}
	if len(windows) > 1 {
		for _, report := range q.last(windows[1]) {
			out.compared.addQuality(q.def, &report, unit)
		}
	}
	for _, row := range rows {
		out.rows = append(out.rows, *row)
	}
	out.sortRows()
	return out
}

// wholeUnit is 1000 when all weights are whole, so that the sums are of records, else 1.
func wholeUnit(windows [][]qualityReport) int64 {
	for _, reports := range windows {
		for _, r := range reports {
			if r.weight%weightUnit != 0 {
				return 1
			}
		}
	}
	return weightUnit
}

// last is the last report of each rule that the question is about. A rule's place is the one that it was reported of, in
// whatever scheme is asked: of an old province that has merged the last report stays its own, so that the totals are equal
// in both schemes.
func (q *question) last(reports []qualityReport) []qualityReport {
	newest := map[qualityRule]qualityReport{}
	for _, r := range reports {
		if !q.wants(&r.rule) {
			continue
		}
		known, ok := newest[r.rule]
		if !ok || cmp.Or(cmp.Compare(r.at, known.at), strings.Compare(r.id, known.id)) > 0 {
			newest[r.rule] = r
		}
	}
	return slices.Collect(maps.Values(newest))
}

func (q *question) wants(r *qualityRule) bool {
	if q.provinces != nil && !slices.Contains(q.provinces, r.province) {
		return false
	}
	for dimension, codes := range q.Filters {
		if !slices.Contains(codes, r.code(dimension, q.Scheme)) {
			return false
		}
	}
	return true
}

func (t *tally) addQuality(def *Definition, r *qualityReport, unit int64) {
	code := func(dimension string) string { return r.rule.code(dimension, SchemeGSO34) }
	sum := func(e *expression) int64 {
		if !e.holds(code) {
			return 0
		}
		records := r.passing
		if e.measure == "evaluated" {
			records = r.evaluated
		}
		return saturating(r.weight/unit, records)
	}
	t.numerator += sum(def.numerator)
	t.denominator += sum(def.denominator)
	t.base++
	if r.rule.province != "" {
		add(&t.reporting, r.rule.province)
	}
}

// saturating multiplies two numbers that are not negative. What is beyond all sense stays a large number, of which
// thousands add up without overflow.
func saturating(a, b int64) int64 {
	const most = 1 << 50
	if high, low := bits.Mul64(uint64(a), uint64(b)); high == 0 && low < most {
		return int64(low)
	}
	return most
}
