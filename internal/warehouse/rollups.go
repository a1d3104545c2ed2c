package warehouse

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// VoidTopic is the topic of the position row that a rollup has for voided events: its position is the number of the
// last batch of the table voided that was taken out of the rollup. No Kafka topic can have this name.
const VoidTopic = "~void"

// RebuildTopic is the topic of the position row that a rollup has once it was rebuilt: its position is the number of
// rebuilds. Like every position it is part of the revision of what the rollup answers. VoidAgainTopic is that of a row
// which counts the rebuilds that found the position of VoidTopic lost, so that voided events are to be taken out again.
const (
	RebuildTopic   = "~rebuild"
	VoidAgainTopic = "~void-again"
	// UnfilledTopic is the topic of a row that a migration leaves in a rollup that it has made beside others that had counted:
	// what they had is missing until the rollup is rebuilt.
	UnfilledTopic = "~unfilled"
)

// RollupView is a materialized view that fills a rollup.
type RollupView struct {
	// Name of the view.
	Name string
	// Source is the table whose inserts it sees.
	Source string
	// Target is the rollup.
	Target string
	// Columns are those of the target that the view fills, in its order; of a rollup by time the time is the first.
	Columns []string
	// query has its source in the place of %s.
	query string
}

// ours are the views of the schema, by the table that each sees.
var ours = map[string][]string{
	"dossier_events":  {"dossier_activity_mv"},
	"auth_attempts":   {"auth_activity_mv", "auth_days_mv", "auth_latency_days_mv", "auth_latency_mv", "auth_minutes_mv"},
	"data_queries":    {"query_activity_mv", "query_days_mv", "query_minutes_mv"},
	"eid_events":      {"eid_activity_mv", "eid_days_mv", "eid_minutes_mv"},
	"register_events": {"register_activity_mv"},
	"dossier_changes": {"dossier_agency_deadlines_mv", "dossier_days_mv", "dossier_deadlines_mv", "dossier_history_mv", "dossier_province_days_mv", "dossier_province_deadlines_mv", "dossier_savings_mv", "dossier_service_days_mv", "dossier_state_mv"},
}

// SchemaViews reads the views of the schema behind a table, or all of them where that is empty, by name. It is an error where
// one is missing: a server that has just started may take inserts before it has loaded the views behind a table, and what is
// inserted then is in no rollup.
func SchemaViews(ctx context.Context, client *Client, table string) ([]RollupView, error) {
	views, err := RollupViews(ctx, client)
	if err != nil {
		return nil, err
	}
	var found []RollupView
	for source, names := range ours {
		if table != "" && table != source {
			continue
		}
		for _, name := range names {
			i := slices.IndexFunc(views, func(v RollupView) bool { return v.Name == name && v.Source == source })
			if i < 0 {
				return nil, missingView(name, source)
			}
			found = append(found, views[i])
		}
	}
	slices.SortFunc(found, func(a, b RollupView) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

func missingView(name, source string) error {
	return fmt.Errorf("the view %s is not there behind %s: ClickHouse is still loading it, or it was dropped", name, source)
}

// loaded fails like SchemaViews where a view behind the table is missing, and where one is there that a migration has left. It
// does not read them, which would take as long as an insert.
func (c *Client) loaded(ctx context.Context, table string) error {
	if len(ours[table]) == 0 {
		return nil
	}
	var there []string
	if err := c.conn.QueryRow(ctx, "SELECT dependencies_table FROM system.tables WHERE database = currentDatabase() AND name = ?", table).Scan(&there); err != nil {
		return fmt.Errorf("looking for the views behind %s: %w", table, err)
	}
	for _, name := range ours[table] {
		if !slices.Contains(there, name) {
			return missingView(name, table)
		}
	}
	for _, name := range there {
		if (RollupView{Name: name}).LeftBehind() {
			return fmt.Errorf("the view %s behind %s would count everything once more: a migration puts a view anew just now, or was cut off; if none runs, DROP VIEW %s", name, table, name)
		}
	}
	return nil
}

// replacing begins the names that CREATE OR REPLACE gives to the old or the new view while it puts one in the other's place.
const replacing = "_tmp_replace_"

// LeftBehind says that a migration that was cut off has left the view, which counts everything once more.
func (v RollupView) LeftBehind() bool { return strings.HasPrefix(v.Name, replacing) }

// prepareTries is how often an insert is prepared anew, since connections were made meanwhile.
const prepareTries = 5

// PrepareInsert prepares an insert of ingestion into a table, named with its columns, under a token, at a moment at which
// ClickHouse has all views behind the table.
func (c *Client) PrepareInsert(ctx context.Context, table, columns, token string) (driver.Batch, error) {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(InsertSettings(token)))
	prepare := func(ctx context.Context) (driver.Batch, error) {
		return c.conn.PrepareBatch(ctx, "INSERT INTO "+table+" ("+columns+")")
	}
	// Close keeps the connection, for the next try.
	return whileViewsStand(ctx, c, table, prepare, func(batch driver.Batch) { _ = batch.Close() })
}

// whileViewsStand gives a connection, or what holds one, for an insert into a table, at a moment at which ClickHouse has all
// views behind the table. It looks for them only when a connection was made since it looked last, as each is when the server
// has started again. What may be of a server that has just started is discarded.
func whileViewsStand[T any](ctx context.Context, c *Client, table string, prepare func(context.Context) (T, error), discard func(T)) (T, error) {
	var none T
	for range prepareTries {
		dials := c.dials.Load()
		if seen, _ := c.seen.Load(table); seen != dials {
			if err := c.loaded(ctx, table); err != nil {
				return none, err
			}
			c.seen.Store(table, dials)
		}
		prepared, err := prepare(ctx)
		if err != nil {
			return none, fmt.Errorf("preparing the insert: %w", err)
		}
		if c.dials.Load() == dials {
			return prepared, nil
		}
		discard(prepared)
	}
	return none, errors.New("preparing the insert: connections to ClickHouse do not last")
}

// RollupViews reads the materialized views of the client's database, by name.
func RollupViews(ctx context.Context, client *Client) ([]RollupView, error) {
	rows, err := client.Conn().Query(ctx, `SELECT name, source, target_table, as_select, database, columns FROM system.tables AS views
		LEFT JOIN (SELECT name AS source, arrayJoin(dependencies_table) AS view FROM system.tables WHERE database = currentDatabase()) AS sources ON sources.view = views.name
		LEFT JOIN (SELECT table, tupleElement(arraySort(groupArray((position, name))), 2) AS columns FROM system.columns WHERE database = currentDatabase() GROUP BY table) AS c ON c.table = views.name
		WHERE database = currentDatabase() AND engine = 'MaterializedView' ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("reading materialized views: %w", err)
	}
	views, err := Collect(rows, func(v *RollupView) error {
		var query, database string
		err := rows.Scan(&v.Name, &v.Source, &v.Target, &query, &database, &v.Columns)
		v.query = overOther(query, database, v.Source)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading materialized views: %w", err)
	}
	return views, nil
}

// overOther puts %s in the place of the source in the text of a view; it gives an empty text when that is not in
// exactly one place.
func overOther(query, database, source string) string {
	name := func(s string) string { return "`?" + regexp.QuoteMeta(s) + "`?" }
	from := regexp.MustCompile(`\bFROM (?:` + name(database) + `\.)?` + name(source) + `(\s|\)|$)`)
	places := from.FindAllStringSubmatchIndex(query, -1)
	if source == "" || len(places) != 1 {
		return ""
	}
	escape := func(s string) string { return strings.ReplaceAll(s, "%", "%%") }
	return escape(query[:places[0][0]]) + "FROM (%s) AS " + source + " " + escape(query[places[0][2]:])
}

// Over is the view's query over the rows of another query than its source. It is empty when the view's text does not
// name the source exactly once.
func (v RollupView) Over(rows string) string {
	if v.query == "" {
		return ""
	}
	return "SELECT " + strings.Join(v.Columns, ", ") + " FROM (" + fmt.Sprintf(v.query, rows) + ")"
}

// Counts says that the view counts events into a rollup of its own, from which a voided event has to be taken out.
func (v RollupView) Counts() bool {
	has := func(name string) bool { return slices.Contains(v.Columns, name) }
	return has("n") && has("position") && !has("family") && v.Source != "dossier_changes"
}

// Minus is the query of the rows that take the rows of a query over the source out of the rollup again, and of the
// position row that says so. batch is an expression: the number that this position is to be. The rows that count have no
// position: what they hold is that of the rows they take out, whatever batch does it.
func (v RollupView) Minus(rows, batch string) string {
	histogram := ""
	if slices.Contains(v.Columns, "latencies") { // of the attempts in n, and empty on position rows
		histogram = ", mapApply((step, attempts) -> (step, -attempts), latencies) AS latencies"
	}
	return "SELECT * REPLACE (if(topic = '', -toInt64(n), toInt64(0)) AS n, if(topic = '', toUInt64(0), position) AS position" + histogram + ") FROM (" +
		v.Over("SELECT * REPLACE ('"+VoidTopic+"' AS topic, toUInt32(0) AS partition, toUInt64("+batch+") - 1 AS offset) FROM ("+rows+")") + ")"
}

// VoidedBatch is the query of the number of the last batch of voided that was taken out of the view's rollup.
func (v RollupView) VoidedBatch() string {
	return v.positionOf(VoidTopic)
}

// again is the query of how often the view's rollup has lost its position of voids.
func (v RollupView) again() string { return v.positionOf(VoidAgainTopic) }

func (v RollupView) positionOf(topic string) string {
	// Position rows are at the beginning of time, which spares reading the rest. A rollup that several families share has no
	// time.
	which := v.Columns[0] + " < toDate('1970-01-02')"
	if slices.Contains(v.Columns, "family") {
		which = "family = " + Quote(v.Source)
	}
	return "SELECT max(p.position) FROM " + v.Target + " AS p WHERE " + which + " AND topic = " + Quote(topic)
}

// position is the offset that the rollup has come to in a partition, 0 where it has not begun.
func (v RollupView) position(ctx context.Context, client *Client, topic string, partition uint32) (position uint64, err error) {
	if err := client.Conn().QueryRow(ctx, fmt.Sprintf("%s AND partition = %d", v.positionOf(topic), partition)).Scan(&position); err != nil {
		return 0, fmt.Errorf("reading the position of %s: %w", v.Target, err)
	}
	return position, nil
}
