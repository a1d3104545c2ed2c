package warehouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// dossierEvents reads what the rules need, dossier by dossier, of the events that the clause which admits; besides, where they are in the
// log, and whether the query voids names them. The expression earlier says whether a void before the range at hand does.
//
// It has few expressions and no condition on offsets, as ClickHouse takes longer to plan a statement than to find some hundred
// events: what the events say is judged by eventRules, and what a range sees by TouchedDossiers.sees.
func dossierEvents(which, voids, earlier string) string {
	return `SELECT registered_on, subject, event_id, source, rules_input,
		topic, partition, offset, toBool((source, event_id) IN (` + voids + `)) AS voided, ` + earlier + `
	FROM dossier_events ` + which + ` ORDER BY registered_on, subject`
}

// touchedEvents admits the events of the dossiers in the table touched. Looking at subjects first takes a tenth of the time off:
// most rows of a granule are of others, and a subject is found faster than a pair.
const touchedEvents = "PREWHERE subject IN (SELECT subject FROM touched) WHERE (registered_on, subject) IN (SELECT registered_on, subject FROM touched)"

// logPart is a partition of the log.
type logPart struct {
	topic     string
	partition uint32
}

// storedEvent is an event of a dossier, and where it is in the log.
type storedEvent struct {
	dossier.Event
	log    logPart
	offset uint64
	// voidedBefore says that it was void without the range at hand.
	voidedBefore bool
}

func (e *storedEvent) scan(rows driver.Rows, registeredOn *time.Time, subject *string) error {
	var rules string
	if err := rows.Scan(registeredOn, subject, &e.ID, &e.Source, &rules, &e.log.topic, &e.log.partition, &e.offset, &e.Voided, &e.voidedBefore); err != nil {
		return fmt.Errorf("reading dossier events: %w", err)
	}
	if err := (&eventRules{rest: rules}).read(&e.Event); err != nil {
		return fmt.Errorf("reading dossier event %s of %s: %w", e.ID, e.Source, err)
	}
	return nil
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
	var newVoids string
	if t.Registers {
		newVoids = voids(fmt.Sprintf("%s AND offset <= %d", t.fresh(), t.Last))
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
	var early *earlyRead
	before, err := takePlace(ctx, client, t, func(expected []reached) {
		if early == nil && newVoids == "" {
			early = t.readEarly(ctx, client, expected)
		}
	})
	rows := early.rows(before, err == nil)
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
	if rows == nil {
		if rows, err = t.read(ctx, client, before, newVoids); err != nil {
			return false, err
		}
	}
	to, err := open()
	if err != nil {
		_ = rows.Close()
		return false, fmt.Errorf("preparing the dossier changes: %w", err)
	}
	changes := changeWriter{to: to}
	latest, err := evaluateDossiers(rows, t.Calendar, t.sees(before), changes.dossier)
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

// mine is the condition that a row is of the range's partition, and fresh that it is not before the range either.
func (t TouchedDossiers) mine() string {
	return fmt.Sprintf("topic = %s AND partition = %d", Quote(t.Topic), t.Partition)
}

func (t TouchedDossiers) fresh() string { return fmt.Sprintf("%s AND offset >= %d", t.mine(), t.First) }

// read reads the events of the touched dossiers for a range that sees other partitions below the positions before. newVoids
// names the events that the range's own voids do; empty is none.
func (t TouchedDossiers) read(ctx context.Context, client *Client, before []reached, newVoids string) (driver.Rows, error) {
	keys, err := ext.NewTable("touched", ext.Column("registered_on", "Date"), ext.Column("subject", "String"))
	if err != nil {
		return nil, fmt.Errorf("building the table of touched dossiers: %w", err)
	}
	for i, subject := range t.Subjects {
		if err := keys.Append(date(t.RegisteredOn[i]), subject); err != nil {
			return nil, fmt.Errorf("building the table of touched dossiers: %w", err)
		}
	}
	bound, earlier := fmt.Sprintf("if(%s, offset <= %d, %s)", t.mine(), t.Last, t.others(before)), "voided"
	if newVoids != "" {
		earlier = "toBool((source, event_id) IN (" + voids(bound+" AND NOT ("+t.fresh()+")") + "))"
	}
	rows, err := client.Conn().Query(clickhouse.Context(ctx, clickhouse.WithExternalTable(keys)),
		dossierEvents(touchedEvents, voids(bound), earlier))
	if err != nil {
		return nil, fmt.Errorf("reading the events of touched dossiers: %w", err)
	}
	return rows, nil
}

// earlyRead is a read that has begun before the range has its place, which takes as long as a fifth of the read.
type earlyRead struct {
	before []reached
	found  chan driver.Rows
}

func (t TouchedDossiers) readEarly(ctx context.Context, client *Client, expected []reached) *earlyRead {
	early := &earlyRead{expected, make(chan driver.Rows, 1)}
	go func() {
		rows, err := t.read(ctx, client, expected, "")
		if err != nil {
			rows = nil // it is read again, and says what is wrong then
		}
		early.found <- rows
	}()
	return early
}

// rows waits for the read and gives what it has found if the range was placed as expected; else nil.
func (e *earlyRead) rows(before []reached, placed bool) driver.Rows {
	if e == nil {
		return nil
	}
	rows := <-e.found
	if rows != nil && (!placed || !slices.Equal(e.before, before)) {
		_ = rows.Close()
		return nil
	}
	return rows
}

// sees says of an event whether the range counts it, and whether it is the range's own: others are of before, below the positions.
func (t TouchedDossiers) sees(before []reached) func(*storedEvent) (counted, fresh bool) {
	positions := map[logPart]uint64{}
	for _, r := range before {
		positions[logPart{r.topic, r.partition}] = r.position
	}
	mine := logPart{t.Topic, t.Partition}
	return func(e *storedEvent) (counted, fresh bool) {
		if e.log == mine {
			return e.offset <= t.Last, e.offset >= t.First
		}
		return e.offset < positions[e.log], false
	}
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
	rows, err := client.Conn().Query(ctx, dossierEvents("WHERE "+which+" AND "+bound, voids(bound), "voided"))
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
	all := func(*storedEvent) (counted, fresh bool) { return true, true }
	_, err = evaluateDossiers(rows, calendar, all, func(registeredOn time.Time, subject string, _, after *dossier.State) error {
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
// without them (nil when all events are fresh) and with them, of the events that sees counts. It gives the time of the newest
// fresh event, and closes rows.
func evaluateDossiers(rows driver.Rows, calendar *reference.Calendar, sees func(*storedEvent) (counted, fresh bool), each func(registeredOn time.Time, subject string, before, after *dossier.State) error) (latest int64, err error) {
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
		var e storedEvent
		if err := e.scan(rows, &day, &key); err != nil {
			return 0, err
		}
		counted, fresh := sees(&e)
		if !counted {
			continue
		}
		if key != subject || !day.Equal(registeredOn) {
			if err := flush(); err != nil {
				return 0, err
			}
			registeredOn, subject, earlier, all, changed = day, key, earlier[:0], all[:0], false
		}
		all = append(all, e.Event)
		changed = changed || fresh || e.Voided != e.voidedBefore
		if fresh {
			latest = max(latest, e.At)
			continue
		}
		e.Voided = e.voidedBefore
		earlier = append(earlier, e.Event)
	}
	if err := rows.Err(); err != nil {
		return 0, fmt.Errorf("reading dossier events: %w", err)
	}
	return latest, flush()
}
