package warehouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"ioc.local/internal/dossier"
	"ioc.local/internal/reference"
)

// recomputeRows is how many rows RecomputeDossiers inserts at a time.
const recomputeRows = 100_000

// TouchedDossiers names the dossiers that one range of a partition has events of.
type TouchedDossiers struct {
	// Topic is the incarnation name that the rows of the range carry.
	Topic string
	// Partition is the Kafka partition.
	Partition uint32
	// First and Last bound the range of offsets, both included.
	First, Last uint64
	// Token is the deduplication token of the range.
	Token string
	// Calendar is what legal limits are counted on.
	Calendar *reference.Calendar
	// RegisteredOn and Subjects are the keys, pairwise; repeats are allowed. Dates are days since 1970-01-01.
	RegisteredOn []int32
	Subjects     []string
}

// dossierEvents reads what the rules need, dossier by dossier. fresh marks the rows of the range at hand.
func dossierEvents(fresh, which string) string {
	return `SELECT registered_on, subject, toUnixTimestamp64Milli(occurred_at), status, event_id, source,
		province, province63, agency_code, service_id, toInt8(service_level), toInt8(channel), toInt8(portal),
		toUnixTimestamp64Milli(due_at), statutory_limit, toInt8(limit_unit), toBool(` + fresh + `)
	FROM dossier_events WHERE ` + which + ` ORDER BY registered_on, subject`
}

const insertDossierChanges = ` (registered_on, subject, sign, version, accepted_at, ended_at, end_status, saved_at, due_at, overdue_at,
	supplements, supplement_ms, province, province63, agency_code, service_id, service_level, channel, portal, topic, partition, position, latest)`

// ApplyDossiers adds the range's effect on the state of its dossiers to dossier_state and the cubes: each
// dossier is evaluated without and with the events of the range, and the difference is inserted. The raw
// events of the range must be in dossier_events. What it is evaluated on is fixed by offsets (the range's own,
// and for other partitions the positions that are recorded in dossier_bounds on the first attempt), so the
// difference is the same in every attempt, and goes in as one block under the range's token: applying a range
// again adds only what an earlier attempt left out.
//
// Ranges that may hold events of one dossier must be applied one after the other; the caller sees to that.
func ApplyDossiers(ctx context.Context, client *Client, touched TouchedDossiers) error {
	keys, err := ext.NewTable("touched", ext.Column("registered_on", "Date"), ext.Column("subject", "String"))
	if err != nil {
		return fmt.Errorf("building the table of touched dossiers: %w", err)
	}
	for i, subject := range touched.Subjects {
		if err := keys.Append(time.Unix(int64(touched.RegisteredOn[i])*86400, 0).UTC(), subject); err != nil {
			return fmt.Errorf("building the table of touched dossiers: %w", err)
		}
	}
	others, err := dossierBounds(ctx, client, touched)
	if err != nil {
		return err
	}
	reading := clickhouse.Context(ctx, clickhouse.WithExternalTable(keys), clickhouse.WithParameters(clickhouse.Parameters{
		"topic": touched.Topic, "partition": fmt.Sprint(touched.Partition), "first": fmt.Sprint(touched.First), "last": fmt.Sprint(touched.Last),
	}))
	rows, err := client.Conn().Query(reading, dossierEvents(
		"topic = {topic:String} AND partition = {partition:UInt32} AND offset >= {first:UInt64}",
		`(registered_on, subject) IN (SELECT registered_on, subject FROM touched)
		AND if(topic = {topic:String} AND partition = {partition:UInt32}, offset <= {last:UInt64}, `+others+`)`))
	if err != nil {
		return fmt.Errorf("reading the events of touched dossiers: %w", err)
	}
	batch, err := client.Conn().PrepareBatch(clickhouse.Context(ctx, clickhouse.WithSettings(InsertSettings(touched.Token))),
		"INSERT INTO dossier_changes"+insertDossierChanges)
	if err != nil {
		_ = rows.Close()
		return fmt.Errorf("preparing the dossier changes: %w", err)
	}
	defer func() { _ = batch.Close() }()
	changes := changeWriter{batch: batch, topic: touched.Topic, partition: touched.Partition, position: touched.Last + 1}
	err = evaluateDossiers(rows, touched.Calendar, func(registeredOn time.Time, subject string, before, after *dossier.State) error {
		if before != nil {
			if err := changes.append(registeredOn, subject, -1, before); err != nil {
				return err
			}
		}
		return changes.append(registeredOn, subject, 1, after)
	})
	if err != nil {
		return fmt.Errorf("evaluating touched dossiers: %w", err)
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("inserting dossier changes: %w", err)
	}
	return nil
}

// dossierBounds gives the SQL condition that an event of another partition had been applied before the range.
// The first attempt records the positions; every attempt reads back which were recorded first.
func dossierBounds(ctx context.Context, client *Client, touched TouchedDossiers) (string, error) {
	for range 2 {
		var others []map[string]any
		row := client.Conn().QueryRow(ctx, "SELECT others FROM dossier_bounds WHERE topic = ? AND partition = ? AND since = ? LIMIT 1",
			touched.Topic, touched.Partition, touched.First)
		err := row.Scan(&others)
		if err == nil {
			conditions := []string{"0"}
			for _, o := range others {
				if o["topic"] != touched.Topic || o["partition"] != touched.Partition {
					conditions = append(conditions, fmt.Sprintf("topic = %s AND partition = %d AND offset < %d", quote(o["topic"].(string)), o["partition"], o["position"]))
				}
			}
			return "(" + strings.Join(conditions, " OR ") + ")", nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return "", fmt.Errorf("reading the bounds of the range: %w", err)
		}
		settings := InsertSettings(touched.Token)
		settings["deduplicate_insert_select"] = "force_enable"
		err = client.Conn().Exec(clickhouse.Context(ctx, clickhouse.WithSettings(settings)), fmt.Sprintf(`INSERT INTO dossier_bounds (topic, partition, since, others)
			SELECT %s, %d, %d, groupArray((topic, partition, position)) FROM
			(SELECT topic, partition, max(dossier_days.position) AS position FROM dossier_days WHERE day = toDate(0) AND topic != '' GROUP BY topic, partition)`,
			quote(touched.Topic), touched.Partition, touched.First))
		if err != nil {
			return "", fmt.Errorf("recording the bounds of the range: %w", err)
		}
	}
	return "", fmt.Errorf("the bounds of range %s were recorded but cannot be read", touched.Token)
}

// quote makes a SQL string literal.
func quote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

// RecomputeDossiers evaluates all dossiers from the raw events that the SQL condition which admits, and
// inserts their states into a table with the columns of dossier_changes, with sign 1 and the topic "-".
func RecomputeDossiers(ctx context.Context, client *Client, calendar *reference.Calendar, table, which string) error {
	rows, err := client.Conn().Query(ctx, dossierEvents("1", which))
	if err != nil {
		return fmt.Errorf("reading dossier events: %w", err)
	}
	changes := changeWriter{topic: "-"} // an empty topic is that of counts in the rollups
	defer func() {
		if changes.batch != nil {
			_ = changes.batch.Close()
		}
	}()
	send := func() error {
		if changes.batch == nil || changes.batch.Rows() == 0 {
			return nil
		}
		if err := changes.batch.Send(); err != nil {
			return fmt.Errorf("inserting dossier states: %w", err)
		}
		changes.batch = nil
		return nil
	}
	err = evaluateDossiers(rows, calendar, func(registeredOn time.Time, subject string, _, after *dossier.State) error {
		if changes.batch == nil {
			var err error
			if changes.batch, err = client.Conn().PrepareBatch(ctx, "INSERT INTO "+table+insertDossierChanges); err != nil {
				return fmt.Errorf("preparing dossier states: %w", err)
			}
		}
		if err := changes.append(registeredOn, subject, 1, after); err != nil {
			return err
		}
		if changes.batch.Rows() >= recomputeRows {
			return send()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return send()
}

// evaluateDossiers calls each with the state of every dossier of rows: without its fresh events (nil when
// all are fresh) and with them. It closes rows.
func evaluateDossiers(rows driver.Rows, calendar *reference.Calendar, each func(registeredOn time.Time, subject string, before, after *dossier.State) error) (err error) {
	defer func() {
		if closeErr := rows.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("reading dossier events: %w", closeErr)
		}
	}()
	evaluator := dossier.NewEvaluator(calendar)
	var registeredOn time.Time
	var subject string
	var earlier, all []dossier.Event
	flush := func() error {
		if len(all) == 0 {
			return nil
		}
		after := evaluator.State(all)
		if len(earlier) == 0 {
			return each(registeredOn, subject, nil, &after)
		}
		before := evaluator.State(earlier)
		return each(registeredOn, subject, &before, &after)
	}
	for rows.Next() {
		var day time.Time
		var key string
		var e dossier.Event
		var unit int8
		var fresh bool
		if err := rows.Scan(&day, &key, &e.At, &e.Status, &e.ID, &e.Source, &e.Province, &e.Province63, &e.Agency, &e.Service,
			&e.Level, &e.Channel, &e.Portal, &e.DueAt, &e.Limit, &unit, &fresh); err != nil {
			return fmt.Errorf("reading dossier events: %w", err)
		}
		if key != subject || !day.Equal(registeredOn) {
			if err := flush(); err != nil {
				return err
			}
			registeredOn, subject, earlier, all = day, key, earlier[:0], all[:0]
		}
		e.LimitUnit = dossier.LimitUnit(unit)
		all = append(all, e)
		if !fresh {
			earlier = append(earlier, e)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading dossier events: %w", err)
	}
	return flush()
}

// changeWriter appends rows of dossier_changes to a batch.
type changeWriter struct {
	batch     driver.Batch
	topic     string
	partition uint32
	position  uint64
}

func (w *changeWriter) append(registeredOn time.Time, subject string, sign int8, s *dossier.State) error {
	err := w.batch.Append(registeredOn, subject, sign, s.Version, time.UnixMilli(s.Accepted), time.UnixMilli(s.Ended), s.EndStatus,
		time.UnixMilli(s.Saved), time.UnixMilli(s.Due), time.UnixMilli(s.Overdue), s.Supplements, s.SupplementMillis,
		s.Province, s.Province63, s.Agency, s.Service, s.Level, s.Channel, s.Portal, w.topic, w.partition, w.position, time.UnixMilli(s.Latest))
	if err != nil {
		return fmt.Errorf("encoding a dossier change: %w", err)
	}
	return nil
}
