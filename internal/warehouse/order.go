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
	for i, r := range after {
		if r.topic == p.at.topic && r.partition == p.at.partition {
			after[i].position = max(r.position, p.at.position)
			return after
		}
	}
	return append(after, p.at)
}

// takePlace gives a range its place in the order of ranges, on the first attempt to apply it, and returns the SQL
// condition that a row of another partition belongs to a range before it. Every attempt gets the place of the first
// one. The raw rows of the range must have been inserted: whoever comes later in the order looks for them.
func takePlace(ctx context.Context, client *Client, touched TouchedDossiers) (string, error) {
	before, found, err := boundsOf(ctx, client, touched)
	if err != nil || found {
		return touched.others(before), err
	}
	for range orderRivals {
		newest, err := newestPlace(ctx, client)
		if err != nil {
			return "", err
		}
		after := newest.after()
		if slices.ContainsFunc(after, func(r reached) bool { return touched.owns(r) && r.position > touched.First }) {
			// It has a place, or had one: after a week it is forgotten.
			before, found, err := placeOf(ctx, client, touched)
			if err != nil || found {
				return touched.others(before), err
			}
		}
		if err := take(ctx, client, touched, newest.number+1, after); err != nil {
			return "", err
		}
		// Another range may have been faster, or another process that applies this range.
		if before, found, err := placeOf(ctx, client, touched); err != nil || found {
			return touched.others(before), err
		}
	}
	return "", fmt.Errorf("taking a place for range %s: %d others were faster, one after the other", touched.Token, orderRivals)
}

// newestPlace is the last of the order. Before the first there are the positions that the cubes have come to.
func newestPlace(ctx context.Context, client *Client) (place, error) {
	var p place
	var before []map[string]any
	err := client.Conn().QueryRow(ctx, "SELECT number, before, topic, partition, last_offset + 1 FROM dossier_order ORDER BY number DESC LIMIT 1").
		Scan(&p.number, &before, &p.at.topic, &p.at.partition, &p.at.position)
	if errors.Is(err, sql.ErrNoRows) {
		err = client.Conn().QueryRow(ctx, `SELECT CAST(groupArray((topic, partition, position)), 'Array(Tuple(topic String, partition UInt32, position UInt64))') FROM
			(SELECT topic, partition, max(dossier_days.position) AS position FROM dossier_days WHERE day = toDate(0) AND topic != '' AND NOT startsWith(topic, '~') GROUP BY topic, partition)`).Scan(&before)
	}
	if err != nil {
		return place{}, fmt.Errorf("reading the order of ranges: %w", err)
	}
	p.before = positions(before)
	return p, nil
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
	settings := InsertSettings(fmt.Sprintf("order/%d", number))
	settings["deduplicate_insert_select"] = "force_enable"
	elements := make([]string, len(before))
	for i, r := range before {
		elements[i] = fmt.Sprintf("(%s, %d, %d)", quote(r.topic), r.partition, r.position)
	}
	err := client.Conn().Exec(clickhouse.Context(ctx, clickhouse.WithSettings(settings)), fmt.Sprintf(`INSERT INTO dossier_order (number, topic, partition, first_offset, last_offset, before)
		SELECT %d, %s, %d, %d, %d, [%s] WHERE (SELECT max(number) FROM dossier_order) = %d`,
		number, quote(touched.Topic), touched.Partition, touched.First, touched.Last, strings.Join(elements, ", "), number-1))
	if err != nil {
		return fmt.Errorf("taking a place for range %s: %w", touched.Token, err)
	}
	if number%orderPart == 0 {
		return forgetPlaces(ctx, client, number)
	}
	return nil
}

// forgetPlaces drops the partitions of dossier_order of which all places are old. The newest stays, however old it is.
func forgetPlaces(ctx context.Context, client *Client, newest uint64) error {
	rows, err := client.Conn().Query(ctx, fmt.Sprintf("SELECT DISTINCT intDiv(number, %d) AS part FROM dossier_order GROUP BY part HAVING max(taken_at) < now() - INTERVAL %d DAY AND max(number) < %d",
		orderPart, orderKept, newest-1))
	if err != nil {
		return fmt.Errorf("looking for old places in the order: %w", err)
	}
	var parts []uint64
	for rows.Next() {
		var part uint64
		if err := rows.Scan(&part); err != nil {
			_ = rows.Close()
			return fmt.Errorf("looking for old places in the order: %w", err)
		}
		parts = append(parts, part)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
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
			conditions = append(conditions, fmt.Sprintf("topic = %s AND partition = %d AND offset < %d", quote(r.topic), r.partition, r.position))
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
