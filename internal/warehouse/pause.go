package warehouse

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Pause is an operator's decision to hold ingestion, or to let it go on.
type Pause struct {
	// Number orders the decisions: of those that are about a partition the greatest counts.
	Number uint64
	// Topic is what it is about; empty is all topics.
	Topic string
	// Partition is what it is about; nil is all partitions of the topic.
	Partition *uint32
	// Paused is true to hold, false to go on.
	Paused bool
	// AcceptClock is a recorded clock reading, in Unix milliseconds, that is known to have been wrong: recorded readings up
	// to it hold a partition no longer. 0 accepts none.
	AcceptClock int64
	// Reason and By are for those who look later.
	Reason, By string
	// At is when it was decided, by ClickHouse's clock. DecidePause fills it.
	At time.Time
}

// Covers tells whether the decision is about a partition.
func (p Pause) Covers(topic string, partition int) bool {
	return (p.Topic == "" || p.Topic == topic) && (p.Partition == nil || int(*p.Partition) == partition)
}

// Scope names what the decision is about, as the arguments of ioc pause and ioc resume; empty is everything.
func (p Pause) Scope() string {
	if p.Partition == nil {
		return p.Topic
	}
	return fmt.Sprintf("%s --partition %d", p.Topic, *p.Partition)
}

// maxPauses bounds what is read: a decision for each of so many topics and partitions.
const maxPauses = 100_000

// DecidePause records a decision and returns it with its number and time.
func DecidePause(ctx context.Context, client *Client, p Pause) (Pause, error) {
	if p.Partition != nil && p.Topic == "" {
		return Pause{}, errors.New("a decision about a partition needs its topic")
	}
	err := client.Conn().Exec(ctx, `INSERT INTO ingest_pauses (decision, topic, partition, paused, accept_clock, reason, decided_by)
		SELECT (SELECT max(decision) FROM ingest_pauses) + 1, ?, ?, ?, fromUnixTimestamp64Milli(?), ?, ?`, p.Topic, p.Partition, p.Paused, p.AcceptClock, p.Reason, p.By)
	if err != nil {
		return Pause{}, fmt.Errorf("recording the decision: %w", err)
	}
	newest, err := Pauses(ctx, client)
	if err != nil {
		return Pause{}, err
	}
	for _, n := range newest {
		if n.Scope() == p.Scope() {
			return n, nil
		}
	}
	return Pause{}, errors.New("recording the decision: it was not found again")
}

// Pauses returns the newest decision for everything, for each topic and for each partition that there is one for, in
// the order of their numbers.
func Pauses(ctx context.Context, client *Client) ([]Pause, error) {
	// Two decisions of one moment may have one number; every process must take them in the same order.
	rows, err := client.Conn().Query(ctx, `WITH (decision, decided_at, paused, reason, decided_by) AS place
		SELECT (max(place) AS newest).1, topic, partition, newest.3, toUnixTimestamp64Milli(max(accept_clock)), newest.4, newest.5, newest.2
		FROM ingest_pauses GROUP BY topic, partition ORDER BY newest.1, newest.2, topic, partition LIMIT ?`, maxPauses)
	if err != nil {
		return nil, fmt.Errorf("reading ingest_pauses: %w", err)
	}
	pauses, err := Collect(rows, func(p *Pause) error {
		return rows.Scan(&p.Number, &p.Topic, &p.Partition, &p.Paused, &p.AcceptClock, &p.Reason, &p.By, &p.At)
	})
	if err != nil {
		return nil, fmt.Errorf("reading ingest_pauses: %w", err)
	}
	return pauses, nil
}

// Now asks ClickHouse for its clock.
func Now(ctx context.Context, client *Client) (time.Time, error) {
	var milliseconds int64
	if err := client.Conn().QueryRow(ctx, "SELECT toUnixTimestamp64Milli(now64(3))").Scan(&milliseconds); err != nil {
		return time.Time{}, fmt.Errorf("asking ClickHouse for its clock: %w", err)
	}
	return time.UnixMilli(milliseconds), nil
}
