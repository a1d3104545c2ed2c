package warehouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
)

const (
	// orderKept is how many days a place in the order is remembered at least, for ranges that are applied again.
	orderKept = 7
	// orderPart is how many places a partition of the table dossier_order holds.
	orderPart = 100_000
	// orderRivals bounds the attempts to take a place; each that fails was won by another range.
	orderRivals = 1000
)

// cubes are the rollups that the differences of dossiers go into. Each says itself how far it has come.
var cubes = []string{"dossier_days", "dossier_deadlines", "dossier_agency_deadlines", "dossier_history", "dossier_province_days", "dossier_province_deadlines", "dossier_savings", "dossier_service_days"}

// errCounted says that a range is in every cube, although its place is forgotten.
var errCounted = errors.New("the range is in every rollup")

// ForgottenPlaceError says that a range of dossier events had a place in the order which is remembered no more, and that
// some rollups hold the range and others do not. What it adds to these cannot be told from the order any more.
type ForgottenPlaceError struct {
	// Token names the range.
	Token string
	// Lacking are the rollups that do not hold it.
	Lacking []string
}

// Error says how the rollups are brought to hold the range; then it is not applied again.
func (e *ForgottenPlaceError) Error() string {
	return fmt.Sprintf("the range %s is not in %s, its place in the order of dossier events is forgotten, and others came after it: run `ioc pause --reason …`, stop ingestion, run `ioc verify --at-rest --rebuild %s`, start ingestion, and run `ioc resume`",
		e.Token, strings.Join(e.Lacking, " and "), DossierTables())
}

// DossierTables names the tables that are made of dossier events, as `ioc verify --rebuild` takes them.
func DossierTables() string { return "dossier_state," + strings.Join(cubes, ",") }

// reached is how far the order has come in a partition: all ranges below the offset have a place.
type reached struct {
	topic     string
	partition uint32
	position  uint64
}

// place is what the newest range of the order found, and where it ends.
type place struct {
	number uint64
	before []reached
	at     reached
}

// after are the positions with the range itself.
func (p place) after() []reached {
	if p.number == 0 {
		return p.before
	}
	after := slices.Clone(p.before)
	if i := indexOf(after, p.at.topic, p.at.partition); i >= 0 {
		after[i].position = max(after[i].position, p.at.position)
		return after
	}
	return append(after, p.at)
}

// takePlace gives a range its place in the order of ranges, on the first attempt to apply it, and returns the positions
// below which rows of other partitions belong to ranges before it. Every attempt gets the place of the first
// one. The raw rows of the range must have been inserted: whoever comes later in the order looks for them.
//
// Before it takes a place it tells expect what that will give unless another range is faster. All rows below those positions are
// there by then.
func takePlace(ctx context.Context, client *Client, touched TouchedDossiers, expect func(before []reached)) ([]reached, error) {
	before, found, err := boundsOf(ctx, client, touched)
	if err != nil || found {
		return before, err
	}
	for range orderRivals {
		newest, err := newestPlace(ctx, client)
		if err != nil {
			return nil, err
		}
		after := newest.after()
		if positionIn(after, touched.Topic, touched.Partition) > touched.First {
			// It has a place, or had one that is forgotten: then nothing says any more what its difference was.
			before, found, err := placeOf(ctx, client, touched)
			if err != nil || found {
				return before, err
			}
			return nil, forgotten(ctx, client, touched)
		}
		expect(after)
		if err := take(ctx, client, touched, newest.number+1, after); err != nil {
			return nil, err
		}
		// Another range may have been faster, or another process that applies this range.
		if before, found, err := placeOf(ctx, client, touched); err != nil || found {
			return before, err
		}
	}
	return nil, fmt.Errorf("taking a place for range %s: %d others were faster, one after the other", touched.Token, orderRivals)
}

// forgotten says what a range is that had a place which is remembered no more: errCounted, or a ForgottenPlaceError. A
// cube holds a whole range or nothing of it.
func forgotten(ctx context.Context, client *Client, touched TouchedDossiers) error {
	problem := &ForgottenPlaceError{Token: touched.Token}
	for _, cube := range cubes {
		position, err := RollupView{Target: cube, Columns: []string{"day"}}.position(ctx, client, touched.Topic, touched.Partition)
		if err != nil {
			return err
		}
		if position <= touched.First {
			problem.Lacking = append(problem.Lacking, cube)
		}
	}
	if len(problem.Lacking) == 0 {
		return errCounted
	}
	return problem
}

// Placed gives the offset below which all dossier events and voids of a partition have a place in the order of ranges:
// whatever is applied from now on counts them as being there.
func Placed(ctx context.Context, client *Client, topic string, partition uint32) (uint64, error) {
	newest, err := newestPlace(ctx, client)
	if err != nil {
		return 0, err
	}
	return positionIn(newest.after(), topic, partition), nil
}

// PlaceLeftBehind gives the rows that a partition holds below the offset end, and that nobody will apply any more, a place
// in the order of ranges: whatever is applied from then on counts them as being there. It does not add them to the
// rollups. The log of the partition must have been given up, so that no range of it comes any more.
func PlaceLeftBehind(ctx context.Context, client *Client, topic string, partition uint32, end uint64) error {
	for range orderRivals {
		newest, err := newestPlace(ctx, client)
		if err != nil {
			return err
		}
		after := newest.after()
		first := positionIn(after, topic, partition)
		if first >= end {
			return nil
		}
		left := TouchedDossiers{Topic: topic, Partition: partition, First: first, Last: end - 1, Token: fmt.Sprintf("%s/%d/%d-%d", topic, partition, first, end-1)}
		if err := take(ctx, client, left, newest.number+1, after); err != nil {
			return err
		}
	}
	return fmt.Errorf("taking a place for what %s/%d has left behind: %d others were faster, one after the other", topic, partition, orderRivals)
}

// newestPlace is the last of the order. Before the first there is what older versions have applied or begun.
func newestPlace(ctx context.Context, client *Client) (place, error) {
	var p place
	var before []map[string]any
	err := client.Conn().QueryRow(ctx, "SELECT number, before, topic, partition, last_offset + 1 FROM dossier_order ORDER BY number DESC LIMIT 1").
		Scan(&p.number, &before, &p.at.topic, &p.at.partition, &p.at.position)
	if errors.Is(err, sql.ErrNoRows) {
		p.before, err = begun(ctx, client)
		return p, err
	}
	if err != nil {
		return place{}, fmt.Errorf("reading the order of ranges: %w", err)
	}
	p.before = positions(before)
	return p, nil
}

// begun are the positions before the first place: those that the cubes have come to, and where an older version has begun
// a range of which they lack something, the end of that range. It is finished by what that version has recorded of it,
// which has none of the ranges that take places.
func begun(ctx context.Context, client *Client) ([]reached, error) {
	// First the ends, then the cubes. A range that is in no cube by then was not finished before, so nothing of its
	// partition came after it; one that is in a cube ends where that cube says.
	ends, err := reachedBy(ctx, client, `SELECT topic, partition, max(offset) + 1 FROM (
			SELECT topic, partition, offset FROM dossier_events WHERE (topic, partition) IN (SELECT topic, partition FROM dossier_bounds)
			UNION ALL SELECT topic, partition, offset FROM register_events WHERE type = 'event.void' AND (topic, partition) IN (SELECT topic, partition FROM dossier_bounds))
		GROUP BY topic, partition`)
	if err != nil {
		return nil, err
	}
	since, err := reachedBy(ctx, client, "SELECT topic, partition, max(since) FROM dossier_bounds GROUP BY topic, partition")
	if err != nil {
		return nil, err
	}
	var parts []string
	for _, cube := range cubes {
		parts = append(parts, "SELECT topic, partition, c.position AS at FROM "+cube+" AS c WHERE day = toDate(0) AND topic != '' AND NOT startsWith(topic, '~')")
	}
	all, err := reachedBy(ctx, client, "SELECT topic, partition, max(at) FROM ("+strings.Join(parts, " UNION ALL ")+") GROUP BY topic, partition")
	if err != nil {
		return nil, err
	}
	for _, r := range since {
		end := positionIn(ends, r.topic, r.partition)
		i := indexOf(all, r.topic, r.partition)
		switch {
		case i < 0:
			all = append(all, reached{r.topic, r.partition, end})
		case all[i].position <= r.position:
			all[i].position = max(all[i].position, end)
		}
	}
	return all, nil
}

// reachedBy runs a query that gives positions.
func reachedBy(ctx context.Context, client *Client, query string) ([]reached, error) {
	rows, err := client.Conn().Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("reading how far dossiers have come: %w", err)
	}
	found, err := Collect(rows, func(r *reached) error { return rows.Scan(&r.topic, &r.partition, &r.position) })
	if err != nil {
		return nil, fmt.Errorf("reading how far dossiers have come: %w", err)
	}
	return found, nil
}

// indexOf finds the position of a partition among others, -1 where it has none.
func indexOf(all []reached, topic string, partition uint32) int {
	return slices.IndexFunc(all, func(r reached) bool { return r.topic == topic && r.partition == partition })
}

// positionIn is the position of a partition among others, 0 where it has none.
func positionIn(all []reached, topic string, partition uint32) uint64 {
	if i := indexOf(all, topic, partition); i >= 0 {
		return all[i].position
	}
	return 0
}

// placeOf reads the positions that the range found when it took its place.
func placeOf(ctx context.Context, client *Client, touched TouchedDossiers) (before []reached, found bool, err error) {
	return foundBefore(ctx, client, "SELECT before FROM dossier_order WHERE topic = ? AND partition = ? AND first_offset = ? ORDER BY number LIMIT 1", touched)
}

// boundsOf reads what an older version has recorded of a range that it has begun.
func boundsOf(ctx context.Context, client *Client, touched TouchedDossiers) (others []reached, found bool, err error) {
	return foundBefore(ctx, client, "SELECT others FROM dossier_bounds WHERE topic = ? AND partition = ? AND since = ? LIMIT 1", touched)
}

func foundBefore(ctx context.Context, client *Client, query string, touched TouchedDossiers) ([]reached, bool, error) {
	var rows []map[string]any
	err := client.Conn().QueryRow(ctx, query, touched.Topic, touched.Partition, touched.First).Scan(&rows)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("looking for the place of range %s: %w", touched.Token, err)
	}
	return positions(rows), true, nil
}

// take takes a number for the range if it is still the next one. The token is for two that try in the same moment.
func take(ctx context.Context, client *Client, touched TouchedDossiers, number uint64, before []reached) error {
	settings := InsertSelectSettings(fmt.Sprintf("order/%d", number))
	elements := make([]string, len(before))
	for i, r := range before {
		elements[i] = fmt.Sprintf("(%s, %d, %d)", Quote(r.topic), r.partition, r.position)
	}
	err := client.Conn().Exec(clickhouse.Context(ctx, clickhouse.WithSettings(settings)), fmt.Sprintf(`INSERT INTO dossier_order (number, topic, partition, first_offset, last_offset, before)
		SELECT %d, %s, %d, %d, %d, [%s] WHERE (SELECT max(number) FROM dossier_order) = %d`,
		number, Quote(touched.Topic), touched.Partition, touched.First, touched.Last, strings.Join(elements, ", "), number-1))
	if err != nil {
		return fmt.Errorf("taking a place for range %s: %w", touched.Token, err)
	}
	if number%orderPart == 0 {
		return forgetPlaces(ctx, client, number)
	}
	return nil
}

// forgetPlaces drops the partitions of dossier_order of which all places are old. The newest stays, however old it is, and
// so does the newest of each Kafka partition, whose range may not be applied yet.
func forgetPlaces(ctx context.Context, client *Client, newest uint64) error {
	rows, err := client.Conn().Query(ctx, fmt.Sprintf("SELECT DISTINCT intDiv(number, %d) AS part FROM dossier_order GROUP BY part HAVING max(taken_at) < now() - INTERVAL %d DAY AND max(number) < %d AND part NOT IN (SELECT intDiv(max(number), %[1]d) FROM dossier_order GROUP BY topic, partition)",
		orderPart, orderKept, newest-1))
	if err != nil {
		return fmt.Errorf("looking for old places in the order: %w", err)
	}
	parts, err := Collect(rows, func(part *uint64) error { return rows.Scan(part) })
	if err != nil {
		return fmt.Errorf("looking for old places in the order: %w", err)
	}
	for _, part := range parts {
		if err := client.Conn().Exec(ctx, fmt.Sprintf("ALTER TABLE dossier_order DROP PARTITION %d", part)); err != nil {
			return fmt.Errorf("forgetting old places in the order: %w", err)
		}
	}
	return nil
}

// owns says whether a position is that of the range's own partition.
func (t TouchedDossiers) owns(r reached) bool {
	return r.topic == t.Topic && r.partition == t.Partition
}

// others is the condition that a row is below the positions and in another partition.
func (t TouchedDossiers) others(before []reached) string {
	conditions := []string{"0"}
	for _, r := range before {
		if !t.owns(r) {
			conditions = append(conditions, fmt.Sprintf("topic = %s AND partition = %d AND offset < %d", Quote(r.topic), r.partition, r.position))
		}
	}
	return "(" + strings.Join(conditions, " OR ") + ")"
}

// positions are the named tuples of an array as the driver gives them.
func positions(rows []map[string]any) []reached {
	found := make([]reached, len(rows))
	for i, row := range rows {
		topic, _ := row["topic"].(string)
		partition, _ := row["partition"].(uint32)
		position, _ := row["position"].(uint64)
		found[i] = reached{topic, partition, position}
	}
	return found
}
