package kpi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// maxCells bounds the rows of one statement's answer.
const maxCells = 500_000

// cell is the sums of one combination of codes, bucket and crossing.
type cell struct {
	dims      []string
	bucket    int64 // Start in seconds since 1970.
	crossing  int64 // Milliseconds at which these dossiers become overdue; 0 outside the plan's floor and ceiling.
	counts    []int64
	bases     []int64 // Facts by window.
	reporting [][]string
	missing   [][]string
}

// reading is what a plan's statement returned.
type reading struct {
	cells     []cell
	positions positions
	latest    time.Time // Greatest event time; zero while there are no events.
}

func (r *reading) see(p position, latest time.Time) {
	r.positions = append(r.positions, p)
	if latest.After(r.latest) {
		r.latest = latest
	}
}

// run executes the plan.
func (e *Evaluator) run(ctx context.Context, p *plan) (*reading, error) {
	sql, parameters := p.statement()
	r := &reading{}
	err := e.query(ctx, sql, parameters, func(rows driver.Rows) error {
		var (
			c         cell
			topic     string
			partition uint32
			offset    uint64
			latest    time.Time
		)
		if err := rows.Scan(&c.dims, &c.bucket, &topic, &partition, &c.crossing, &offset, &latest, &c.counts, &c.bases, &c.reporting, &c.missing); err != nil {
			return err
		}
		if topic != "" {
			r.see(position{p.source.family, topic, partition, offset}, latest)
			return nil
		}
		r.cells = append(r.cells, c)
		return nil
	})
	return r, err
}

// report is an official figure.
type report struct {
	asOf   time.Time // Date, its first moment.
	value  float64
	source string
}

// reportsReading is every official figure of one metric by place, the newest last. Figures without a province are
// national, under the empty code.
type reportsReading struct {
	reading
	byProvince map[string][]report // Of the 34-scheme.
	by63       map[string][]report // As reported, in the 63-scheme.
}

// One statement reads the figures that were reported before a moment, and how far the whole table goes. Of figures for
// one date the last counts.
const reportsSQL = `SELECT topic, partition, max(offset) + 1, max(occurred_at), area, area63, date, max(found),
    argMaxIf((occurred_at, offset), (occurred_at, offset), found) AS moment,
    argMaxIf(value, (occurred_at, offset), found), argMaxIf(toString(source_ref), (occurred_at, offset), found)
FROM (
    SELECT topic, partition, offset, occurred_at, value, source_ref,
        type = 'counter.report' AND metric_id = {metric:String} AND toUnixTimestamp64Milli(occurred_at) < {before:Int64} AS found,
        if(found, toString(province), '') AS area, if(found, toString(province63), '') AS area63, if(found, as_of, toDate(0)) AS date
    FROM register_events
)
GROUP BY topic, partition, area, area63, date
ORDER BY date, moment, topic, partition`

// readReports reads the figures of reports that happened before a moment; all when it is zero.
func (e *Evaluator) readReports(ctx context.Context, def *Definition, moment time.Time) (*reportsReading, error) {
	before := int64(math.MaxInt64)
	if !moment.IsZero() {
		before = moment.UnixMilli()
	}
	r := &reportsReading{byProvince: map[string][]report{}, by63: map[string][]report{}}
	ends := map[position]uint64{}
	err := e.query(ctx, reportsSQL, []any{clickhouse.Named("metric", def.Metric), clickhouse.Named("before", before)}, func(rows driver.Rows) error {
		var (
			at           = position{family: def.source.family}
			end          uint64
			latest, date time.Time
			area, area63 string
			found        uint8
			moment       []any
			figure       report
		)
		if err := rows.Scan(&at.topic, &at.partition, &end, &latest, &area, &area63, &date, &found, &moment, &figure.value, &figure.source); err != nil {
			return err
		}
		ends[at] = max(ends[at], end)
		if latest.After(r.latest) {
			r.latest = latest
		}
		if found == 0 {
			return nil
		}
		figure.asOf = time.Date(date.Year(), date.Month(), date.Day(), 0, 0, 0, 0, zone)
		if area != "" {
			r.by63[area63] = append(r.by63[area63], figure)
		}
		// A figure of an old province is no figure of the new one that it is a part of.
		if area == "" || area63 == undivided(area) || e.deps.Catalogue.unmerged(area) {
			r.byProvince[area] = append(r.byProvince[area], figure)
		}
		return nil
	})
	for at, end := range ends {
		at.offset = end
		r.positions = append(r.positions, at)
	}
	return r, err
}

// sourceState is the newest event of one source in one province.
type sourceState struct {
	source, province string
	latest           time.Time
}

type activityReading struct {
	reading
	states []sourceState
}

const activitySQL = `SELECT family, toString(source) AS origin, toString(province) AS area, topic, partition, max(position), max(latest)
FROM source_activity
GROUP BY family, origin, area, topic, partition
ORDER BY origin, area`

func (e *Evaluator) readActivity(ctx context.Context) (*activityReading, error) {
	r := &activityReading{}
	err := e.query(ctx, activitySQL, nil, func(rows driver.Rows) error {
		var (
			s      sourceState
			at     position
			latest time.Time
		)
		if err := rows.Scan(&at.family, &s.source, &s.province, &at.topic, &at.partition, &at.offset, &latest); err != nil {
			return err
		}
		if at.topic != "" {
			r.see(at, latest)
			return nil
		}
		s.latest = latest
		r.states = append(r.states, s)
		return nil
	})
	return r, err
}

// readPositions reads how far every source has counted, cheaply: position rows lie at the start of the primary key.
func (e *Evaluator) readPositions(ctx context.Context) (map[string]*reading, error) {
	var parts []string
	read := map[string]*reading{}
	for _, name := range e.sourceNames {
		src := e.deps.Catalogue.sources[name]
		from, where := "source_activity", "topic != ''"
		switch src.form {
		case rollup:
			p := plan{table: &src.tables[0]}
			from, where = src.tables[0].name, where+" AND "+p.positionSQL()
		case reports:
			where += " AND family = '" + src.family + "'"
		}
		family := "'" + src.family + "'"
		if src.form == activity {
			family = "toString(family)"
		}
		parts = append(parts, fmt.Sprintf("SELECT '%s' AS name, %s AS kin, topic, partition, max(position), max(latest) FROM %s WHERE %s GROUP BY kin, topic, partition", name, family, from, where))
		read[name] = &reading{}
	}
	err := e.query(ctx, strings.Join(parts, "\nUNION ALL "), nil, func(rows driver.Rows) error {
		var (
			name   string
			at     position
			latest time.Time
		)
		if err := rows.Scan(&name, &at.family, &at.topic, &at.partition, &at.offset, &latest); err != nil {
			return err
		}
		read[name].see(at, latest)
		return nil
	})
	return read, err
}

// query runs a statement and hands over each row. Errors are *Error, or those of ctx.
func (e *Evaluator) query(ctx context.Context, sql string, parameters []any, each func(driver.Rows) error) error {
	bounded, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	bounded = clickhouse.Context(bounded, clickhouse.WithSettings(clickhouse.Settings{
		"max_result_rows":      maxCells,
		"result_overflow_mode": "throw",
		"join_use_nulls":       0,
	}))
	e.metrics.statements.Inc()
	rows, err := e.deps.Conn.Query(bounded, sql, parameters...)
	if err == nil {
		defer rows.Close()
		for err == nil && rows.Next() {
			err = each(rows)
		}
		if err == nil {
			err = rows.Err()
		}
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err() // the asker left
	}
	e.metrics.failures.Inc()
	const tooManyRows = 396
	if exception, ok := errors.AsType[*clickhouse.Exception](err); ok && exception.Code == tooManyRows {
		return &Error{Kind: BadRequest, Param: "by", Detail: fmt.Sprintf("gives more than %d cells; ask fewer dimensions, a coarser grain or a shorter period", maxCells), Err: err}
	}
	return unavailable(err)
}
