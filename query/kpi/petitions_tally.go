package kpi

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"ioc.local/internal/reference"
)

// petitionSQL reads all steps of the petitions that have one in a window: who was received in it has.
func petitionSQL(src *source, windows []window, read *reading) (string, []any) {
	b := &builder{}
	events := registerBelow(b, src, read)
	inside := make([]string, len(windows))
	var end time.Time
	for i, w := range windows {
		inside[i] = fmt.Sprintf("(occurred_at >= %s AND occurred_at < %s)", b.moment(w.from), b.moment(w.upper))
		end = later(end, w.upper)
	}
	return fmt.Sprintf(`SELECT subject, toUnixTimestamp64Milli(occurred_at), toInt8(petition_status), event_id, toString(source),
    toString(province), toString(province63), toString(agency_code), toString(petition_class), toUnixTimestamp64Milli(due_at), likes
FROM register_events
WHERE subject IN (SELECT subject FROM register_events WHERE (%s) AND %s)
    AND occurred_at < %s AND petition_status != 'none' AND %[2]s`,
		strings.Join(inside, " OR "), events, b.moment(end)), b.parameters
}

// readPetitions reads the petitions below the positions that can have been received in a window.
func (e *Evaluator) readPetitions(ctx context.Context, src *source, windows []window, read *reading) ([]petition, error) {
	bySubject := map[string][]petitionStep{}
	sql, parameters := petitionSQL(src, windows, read)
	err := e.query(ctx, sql, parameters, func(rows driver.Rows) error {
		var (
			subject string
			s       petitionStep
			at, due int64
			status  int8
		)
		if err := rows.Scan(&subject, &at, &status, &s.id, &s.source, &s.province, &s.province63, &s.agency, &s.class, &due, &s.like); err != nil {
			return err
		}
		s.at, s.status = moment(at), petitionStatus(status)
		if due > 0 {
			s.due = moment(due)
		}
		bySubject[subject] = append(bySubject[subject], s)
		return nil
	})
	all := make([]petition, 0, len(bySubject))
	for _, steps := range bySubject {
		all = append(all, newPetition(steps))
	}
	return all, err
}

// tallyPetitions reads the petitions once for all questions.
func (e *Evaluator) tallyPetitions(ctx context.Context, qs []*question, read *reading, placed []*timing) ([]*tallies, error) {
	var windows []window
	for _, t := range placed {
		windows = append(windows, t.windows...)
	}
	all, err := e.readPetitions(ctx, qs[0].def.source, windows, read)
	if err != nil {
		return nil, err
	}
	out := make([]*tallies, len(qs))
	for i, q := range qs {
		out[i] = q.tallyPetitions(all, read, placed[i], e.deps.Calendar)
	}
	return out, nil
}

// petitionView is the petitions of one question that were received in [from, end), judged at now.
type petitionView struct {
	q              *question
	from, end, now time.Time
	calendar       *reference.Calendar
}

// until is the part of the view that a period, or a bucket, has of it.
func (v petitionView) until(from, end time.Time) petitionView {
	v.from, v.end, v.now = from, earliest(end, v.end), earliest(end, v.now)
	return v
}

// of is the petition as the view has it; it is not ok when it has it not.
func (v petitionView) of(p petition) (petitionState, bool) {
	s, ok := p.state(v.end, v.now, v.calendar)
	if !ok || s.received.Before(v.from) || v.q.provinces != nil && !slices.Contains(v.q.provinces, s.province) {
		return s, false
	}
	for dimension, codes := range v.q.Filters {
		if !slices.Contains(codes, s.code(dimension, v.q.Scheme)) {
			return s, false
		}
	}
	return s, true
}

// tallyPetitions counts the petitions of one question.
func (q *question) tallyPetitions(all []petition, read *reading, t *timing, calendar *reference.Calendar) *tallies {
	out := &tallies{timing: t, positions: read.positions, latest: read.latest, series: make([]tally, len(t.buckets))}
	// An excluded bound ends what is seen; without one the moment of as_of itself is seen.
	seen := petitionView{q: q, end: earliest(q.To, q.At, t.asOf.Add(time.Millisecond)), now: t.asOf, calendar: calendar}
	total := seen.until(t.period.From.Time, q.To)
	rows := map[string]*tallyRow{}
	for _, p := range all {
		if s, ok := total.of(p); ok {
			out.total.addPetition(q.def, &s)
			addRow(rows, q, &s)
		}
		if len(t.windows) > 1 {
			if s, ok := seen.until(t.compared.From.Time, t.compared.To.Time).of(p); ok {
				out.compared.addPetition(q.def, &s)
			}
		}
		for _, i := range t.bucketsOf(p.beginnings()) {
			bucket := seen.until(later(t.buckets[i], total.from), t.bucketEnd(i))
			if s, ok := bucket.of(p); ok {
				out.series[i].addPetition(q.def, &s)
			}
		}
	}
	for _, row := range rows {
		out.rows = append(out.rows, *row)
	}
	out.sortRows()
	return out
}

// bucketsOf are the buckets that the moments are in, each once.
func (t *timing) bucketsOf(moments []time.Time) []int {
	var found []int
	for _, m := range moments {
		i, exact := slices.BinarySearchFunc(t.buckets, m, time.Time.Compare)
		if !exact {
			i--
		}
		if i >= 0 && m.Before(t.bucketEnd(i)) && !slices.Contains(found, i) {
			found = append(found, i)
		}
	}
	return found
}

// addRow counts the petition in its row.
func addRow(rows map[string]*tallyRow, q *question, s *petitionState) {
	if len(q.By) == 0 {
		return
	}
	codes := make([]string, len(q.By))
	for i, dimension := range q.By {
		codes[i] = s.code(dimension, q.Scheme)
	}
	key := strings.Join(codes, "\x00")
	if rows[key] == nil {
		rows[key] = &tallyRow{codes: codes}
	}
	rows[key].tally.addPetition(q.def, s)
}

func (t *tally) addPetition(def *Definition, s *petitionState) {
	code := func(dimension string) string { return s.code(dimension, SchemeGSO34) }
	count := func(e *expression) int64 {
		if e == nil || !e.holds(code) || e.measure != "petitions" && !s.onTime || e.measure == "satisfied" && s.disliked {
			return 0
		}
		return 1
	}
	t.numerator += count(def.numerator)
	t.denominator += count(def.denominator)
	t.base++
	if s.province != "" {
		add(&t.reporting, s.province)
	}
}
