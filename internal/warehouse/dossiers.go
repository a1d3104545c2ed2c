package warehouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	// Registers says that the range has rows in register_events, among which voids of dossier events may be.
	Registers bool
}

// voids are the identities that the events.void of some offsets name.
func voids(which string) string {
	return "SELECT source, subject FROM register_events WHERE type = 'event.void' AND " + which
}

// dossierEvents reads what the rules need, dossier by dossier, from the offsets that bound admits. fresh marks those
// of the range at hand; voids are bounded like events.
func dossierEvents(fresh, bound, which string) string {
	return `SELECT registered_on, subject, toUnixTimestamp64Milli(occurred_at), status, event_id, source,
		province, province63, agency_code, service_id,
		if(match(procedure_code, '^[123][.][0-9]{6}[.]'), substring(procedure_code, 1, 8), procedure_code), toInt8(service_level), toInt8(channel), toInt8(portal), toInt8(result_form),
		toUnixTimestamp64Milli(due_at), statutory_limit, toInt8(limit_unit), ` + factsSQL() + `, toBool(` + fresh + `),
		toBool((source, event_id) IN (` + voids(bound+" AND NOT ("+fresh+")") + `)),
		toBool((source, event_id) IN (` + voids(bound) + `))
	FROM dossier_events WHERE ` + which + " AND " + bound + ` ORDER BY registered_on, subject`
}

// factsSQL is the facts that an event says, as dossier.Facts.
func factsSQL() string {
	facts := []struct {
		fact dossier.Facts
		sql  string
	}{
		{dossier.ComponentFile, "doc_kind = 'component' AND has_file = 'yes'"},
		{dossier.ResultFile, "doc_kind = 'result' AND has_file = 'yes'"},
		{dossier.ReusedComponent, "doc_kind = 'component' AND reused = 'yes'"},
		{dossier.StoreComponent, "doc_kind = 'component' AND from_national_store = 'yes'"},
		{dossier.PopulationData, "vneid_authenticated = 'yes' OR doc_kind = 'component' AND source_db = 'popdb'"},
		{dossier.Fee, "payment_state != 'none' AND if(fee_total_vnd >= 0, fee_total_vnd, amount_vnd) > 0"},
		{dossier.PaidOnline, "payment_state IN ('paid', 'refunded') AND paid_online IN (1, 2)"},
		{dossier.SyncedOnTime, "sync_on_time = 'yes'"},
		{dossier.SyncedLate, "sync_on_time = 'no'"},
		{dossier.Dislike, "likes = -1"},
		{dossier.Document, "doc_kind != 'none'"},
	}
	terms := make([]string, len(facts))
	for i, f := range facts {
		terms[i] = fmt.Sprintf("if(%s, %d, 0)", f.sql, f.fact)
	}
	return "toUInt16(" + strings.Join(terms, " + ") + ")"
}

// ApplyDossiers adds the range's effect on the state of its dossiers to dossier_state and the cubes: each
// dossier is evaluated without and with the events of the range, and the difference is inserted. The raw
// events of the range must be in dossier_events, and its voids in register_events. What it is evaluated on is fixed by
// offsets (the range's own, and for other partitions those that have a place in dossier_order before the one that the
// range takes on its first attempt), so the difference is the same in every attempt, and goes in as one block under the
// range's token: applying a range again adds only what an earlier attempt left out.
//
// A void of a dossier event is an event of the set like others: it touches the dossier of the event that it names. One
// that comes before that event is met by it later, as the range of the void has left its position.
//
// Any number of processes may apply ranges at once. The differences are those of one order, and add up to the whole
// whatever order they arrive in; meanwhile a dossier of which two ranges are under way may be counted amiss.
//
// It reports whether there was anything to apply.
func ApplyDossiers(ctx context.Context, client *Client, touched TouchedDossiers) (bool, error) {
	var batch driver.Batch
	defer func() {
		if batch != nil {
			_ = batch.Close()
		}
	}()
	changed, err := touched.changes(ctx, client, func() (appender, error) {
		var err error
		batch, err = client.PrepareInsert(ctx, "dossier_changes", dossierColumns, touched.Token)
		return batch, err
	})
	if err != nil || !changed {
		return false, err
	}
	if err := batch.Send(); err != nil {
		return true, fmt.Errorf("inserting dossier changes: %w", err)
	}
	return true, nil
}

// changes computes the rows of dossier_changes of a range, and appends them to what open gives. It reports whether there
// are any.
func (t TouchedDossiers) changes(ctx context.Context, client *Client, open func() (appender, error)) (bool, error) {
	mine := fmt.Sprintf("topic = %s AND partition = %d", Quote(t.Topic), t.Partition)
	fresh := fmt.Sprintf("%s AND offset >= %d", mine, t.First)
	var newVoids string
	if t.Registers {
		newVoids = voids(fmt.Sprintf("%s AND offset <= %d", fresh, t.Last))
		var n uint64
		if err := client.Conn().QueryRow(ctx, "SELECT count() FROM ("+newVoids+")").Scan(&n); err != nil {
			return false, fmt.Errorf("counting the voids of the range: %w", err)
		}
		if n == 0 {
			newVoids = ""
		}
	}
	if len(t.Subjects) == 0 && newVoids == "" {
		return false, nil
	}
	others, err := takePlace(ctx, client, t)
	if errors.Is(err, errCounted) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if newVoids != "" {
		// After the place is taken: what is before it is there to be found.
		if err := t.addVoided(ctx, client, newVoids); err != nil {
			return false, err
		}
	}
	keys, err := ext.NewTable("touched", ext.Column("registered_on", "Date"), ext.Column("subject", "String"))
	if err != nil {
		return false, fmt.Errorf("building the table of touched dossiers: %w", err)
	}
	for i, subject := range t.Subjects {
		if err := keys.Append(date(t.RegisteredOn[i]), subject); err != nil {
			return false, fmt.Errorf("building the table of touched dossiers: %w", err)
		}
	}
	bound := fmt.Sprintf("if(%s, offset <= %d, %s)", mine, t.Last, others)
	rows, err := client.Conn().Query(clickhouse.Context(ctx, clickhouse.WithExternalTable(keys)),
		dossierEvents(fresh, bound, "(registered_on, subject) IN (SELECT registered_on, subject FROM touched)"))
	if err != nil {
		return false, fmt.Errorf("reading the events of touched dossiers: %w", err)
	}
	to, err := open()
	if err != nil {
		_ = rows.Close()
		return false, fmt.Errorf("preparing the dossier changes: %w", err)
	}
	changes := changeWriter{to: to}
	latest, err := evaluateDossiers(rows, t.Calendar, changes.dossier)
	if err != nil {
		return false, fmt.Errorf("evaluating touched dossiers: %w", err)
	}
	// Also of a range that has nothing but a void of an event to come, and with the time of events that were voided before
	// they came.
	if err := changes.reached(t.Topic, t.Partition, t.Last+1, latest); err != nil {
		return false, err
	}
	return true, nil
}

// addVoided adds the dossiers of the events that the query names.
func (t *TouchedDossiers) addVoided(ctx context.Context, client *Client, named string) error {
	rows, err := client.Conn().Query(ctx, "SELECT DISTINCT toInt32(registered_on), subject FROM dossier_events WHERE (source, event_id) IN ("+named+")")
	if err != nil {
		return fmt.Errorf("looking for the dossiers of voided events: %w", err)
	}
	// The slices belong to the caller.
	t.RegisteredOn, t.Subjects = slices.Clone(t.RegisteredOn), slices.Clone(t.Subjects)
	err = Each(rows, func() error {
		var day int32
		var subject string
		err := rows.Scan(&day, &subject)
		t.RegisteredOn, t.Subjects = append(t.RegisteredOn, day), append(t.Subjects, subject)
		return err
	})
	if err != nil {
		return fmt.Errorf("looking for the dossiers of voided events: %w", err)
	}
	return nil
}

// RecomputeDossiers evaluates the dossiers that the SQL condition which admits, from the raw events and voids whose
// topic, partition and offset the condition bound admits. It inserts them, as dossiers that are new, into a table with the
// columns of dossier_changes.
func RecomputeDossiers(ctx context.Context, client *Client, calendar *reference.Calendar, table, which, bound string) error {
	rows, err := client.Conn().Query(ctx, dossierEvents("1", bound, which))
	if err != nil {
		return fmt.Errorf("reading dossier events: %w", err)
	}
	var changes changeWriter
	var batch driver.Batch
	defer func() {
		if batch != nil {
			_ = batch.Close()
		}
	}()
	send := func() error {
		if batch == nil || batch.Rows() == 0 {
			return nil
		}
		if err := batch.Send(); err != nil {
			return fmt.Errorf("inserting dossier states: %w", err)
		}
		batch = nil
		return nil
	}
	_, err = evaluateDossiers(rows, calendar, func(registeredOn time.Time, subject string, _, after *dossier.State) error {
		if batch == nil {
			var err error
			if batch, err = client.Conn().PrepareBatch(ctx, "INSERT INTO "+table+" ("+dossierColumns+")"); err != nil {
				return fmt.Errorf("preparing dossier states: %w", err)
			}
			changes.to = batch
		}
		if err := changes.dossier(registeredOn, subject, nil, after); err != nil {
			return err
		}
		if batch.Rows() >= recomputeRows {
			return send()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return send()
}

// evaluateDossiers calls each with the state of every dossier of rows that the fresh events or voids may have changed:
// without them (nil when all events are fresh) and with them. It gives the time of the newest fresh event, and closes rows.
func evaluateDossiers(rows driver.Rows, calendar *reference.Calendar, each func(registeredOn time.Time, subject string, before, after *dossier.State) error) (latest int64, err error) {
	defer func() {
		if closeErr := rows.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("reading dossier events: %w", closeErr)
		}
	}()
	evaluator := dossier.NewEvaluator(calendar)
	var registeredOn time.Time
	var subject string
	var earlier, all []dossier.Event
	var changed bool
	flush := func() error {
		if !changed {
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
		var facts uint16
		var fresh, voidedBefore, voided bool
		if err := rows.Scan(&day, &key, &e.At, &e.Status, &e.ID, &e.Source, &e.Province, &e.Province63, &e.Agency, &e.Service, &e.Procedure,
			&e.Level, &e.Channel, &e.Portal, &e.Form, &e.DueAt, &e.Limit, &unit, &facts, &fresh, &voidedBefore, &voided); err != nil {
			return 0, fmt.Errorf("reading dossier events: %w", err)
		}
		if key != subject || !day.Equal(registeredOn) {
			if err := flush(); err != nil {
				return 0, err
			}
			registeredOn, subject, earlier, all, changed = day, key, earlier[:0], all[:0], false
		}
		e.LimitUnit, e.Facts = dossier.LimitUnit(unit), dossier.Facts(facts)
		e.Voided = voided
		all = append(all, e)
		if fresh {
			latest = max(latest, e.At)
		} else {
			e.Voided = voidedBefore
			earlier = append(earlier, e)
		}
		changed = changed || fresh || voided != voidedBefore
	}
	if err := rows.Err(); err != nil {
		return 0, fmt.Errorf("reading dossier events: %w", err)
	}
	return latest, flush()
}
