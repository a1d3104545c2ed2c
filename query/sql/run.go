package sql

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"

	"ioc.local/query/sql/sandbox"
)

const (
	// killEvery is how often the end of a cancelled query is asked for: it may not yet be known to ClickHouse.
	killEvery = 200 * time.Millisecond
	// killGrace is how long a cancelled query may go on before its connection is given up.
	killGrace = 15 * time.Second
)

// run executes a statement and hands its rows to the answer. When ctx ends, the query is ended by KILL QUERY and what is
// on the wire is read to its end. The driver's own way, which breaks the connection off, is not used: it may send on a closed
// channel while blocks are still read, and the embedded engine aborts on some broken connections.
func (h *Handler) run(ctx context.Context, j *job, out *answer) *problem {
	client, release, err := h.pools.take(ctx, j.user.Name)
	if err != nil {
		return h.classify(ctx, err)
	}
	defer release()
	id := "ioc-sql-" + newID()
	options := []clickhouse.QueryOption{clickhouse.WithQueryID(id), clickhouse.WithQuotaKey(j.key)}
	if len(j.params) > 0 {
		options = append(options, clickhouse.WithParameters(clickhouse.Parameters(j.params)))
	}
	for _, table := range j.Tables {
		if table == sandbox.KPIValues {
			values, err := h.deps.KPIValues(ctx, j.scope)
			if err != nil {
				return h.classify(ctx, fmt.Errorf("listing the values of the KPIs: %w", err))
			}
			external, err := kpiTable(values)
			if err != nil {
				return internal(err)
			}
			options = append(options, clickhouse.WithExternalTable(external))
		}
	}
	if ctx.Err() != nil {
		return h.classify(ctx, ctx.Err())
	}
	doomed, doom := context.WithCancel(ctx)
	defer doom()
	done := make(chan struct{})
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		select {
		case <-doomed.Done():
			h.kill(id, done)
		case <-done:
		}
	}()
	p := h.stream(ctx, clickhouse.Context(context.WithoutCancel(ctx), options...), doom, client.Conn(), j, out)
	close(done)
	<-killed
	return p
}

// kill asks for the end of a query until it has ended.
func (h *Handler) kill(id string, done <-chan struct{}) {
	ticker := time.NewTicker(killEvery)
	defer ticker.Stop()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), killGrace)
		err := h.deps.Admin.Exec(ctx, "KILL QUERY WHERE query_id = '"+id+"' ASYNC")
		cancel()
		if err != nil {
			h.log.Warn("a query could not be ended, and runs until its time is over", zap.String("query", id), zap.Error(err))
		}
		select {
		case <-done:
			return
		case <-ticker.C:
		}
	}
}

// stream sends the query and hands on what comes. queryCtx carries the query's options and never ends; doom ends the query.
func (h *Handler) stream(ctx, queryCtx context.Context, doom func(), conn driver.Conn, j *job, out *answer) *problem {
	rows, err := conn.Query(queryCtx, j.SQL)
	if err != nil {
		return h.classify(ctx, err)
	}
	defer func() {
		doom() // before Close, which reads what still comes; after the last row there is nothing to end
		_ = rows.Close()
	}()
	targets, p := prepareColumns(rows, out)
	if p != nil {
		return p
	}
	values := make([]reflect.Value, len(targets))
	for i, t := range targets {
		values[i] = reflect.ValueOf(t).Elem()
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return internal(fmt.Errorf("reading a row: %w", err))
		}
		if err := out.row(values); err != nil {
			return gone(err)
		}
		if ctx.Err() != nil {
			return h.classify(ctx, ctx.Err())
		}
	}
	if err := rows.Err(); err != nil {
		return h.classify(ctx, err)
	}
	if j.Totals {
		if err := rows.Totals(targets...); err == nil {
			out.totals = values
		}
	}
	return nil
}

// prepareColumns makes what the rows are read into, and tells the answer how they are written.
func prepareColumns(rows driver.Rows, out *answer) (targets []any, p *problem) {
	names := map[string]bool{}
	for _, t := range rows.ColumnTypes() {
		e, err := encoderOf(t.DatabaseTypeName())
		if err != nil {
			p := newProblem(400, "sql-failed", "ClickHouse cannot run the statement", "column %s: %v; convert it with toString", t.Name(), err)
			return nil, p
		}
		if names[t.Name()] && out.request.format.name == "ndjson" {
			p := newProblem(400, "sql-failed", "ClickHouse cannot run the statement", "two columns are called %s, which NDJSON has no room for; give one another name with AS", t.Name())
			return nil, p
		}
		names[t.Name()] = true
		out.columns = append(out.columns, answerColumn{name: t.Name(), typ: t.DatabaseTypeName(), encoder: e})
		scan := t.ScanType()
		if scan == nil || t.DatabaseTypeName() == "Nullable(Nothing)" {
			scan = reflect.TypeFor[*string]()
		}
		targets = append(targets, reflect.New(scan).Interface())
	}
	return targets, nil
}

// classify makes a problem of an error.
func (h *Handler) classify(ctx context.Context, err error) *problem {
	p := problemOf(ctx, err)
	if p.Code == 497 || p.Code == 164 {
		h.log.Error("ClickHouse refused what the sandbox let through", zap.Int32("code", p.Code), zap.Error(err))
	}
	return p
}
