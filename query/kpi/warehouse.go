package kpi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// maxCells bounds the rows of one statement's answer.
const maxCells = 500_000

// cell is the sums of one combination of codes, bucket, crossing and segment of time.
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
	if latest.After(r.latest) && latest.Unix() > 0 { // only voids have no time of their own
		r.latest = latest
	}
}

// run executes the plan.
func (e *Evaluator) run(ctx context.Context, p *plan) (*reading, error) {
	sql, parameters, layout := p.statement()
	r := &reading{}
	ctx, err := p.withEligible(ctx, sql)
	if err != nil {
		return nil, err
	}
	row, to := layout.scanned(p.source.coefficients)
	places := map[string]int{} // of cells, that come province by province
	err = e.query(ctx, sql, parameters, func(rows driver.Rows) error {
		if err := rows.Scan(to...); err != nil {
			return err
		}
		if row.topic != "" {
			r.see(position{p.source.family, row.topic, row.partition, row.offset}, row.latest)
			return nil
		}
		c := layout.cell(row)
		if !layout.nested && layout.province < 0 {
			key := fmt.Sprintf("%q %d %d", c.dims, c.crossing, row.segment)
			if at, known := places[key]; known {
				r.cells[at].add(&c)
				return nil
			}
			places[key] = len(r.cells)
		}
		r.cells = append(r.cells, c)
		return nil
	})
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
