package warehouse

import (
	"context"
	"fmt"
	"time"
)

// AdoptTopic records an operator's decision to read the log of a partition as a new incarnation from the
// given offset on, and returns the number of the incarnation.
func AdoptTopic(ctx context.Context, client *Client, topic string, partition uint32, from uint64, reason string) (uint32, error) {
	var newest uint32
	row := client.Conn().QueryRow(ctx, "SELECT max(incarnation) FROM topic_incarnations WHERE topic = ? AND partition = ?", topic, partition)
	if err := row.Scan(&newest); err != nil {
		return 0, fmt.Errorf("reading topic_incarnations: %w", err)
	}
	err := client.Conn().Exec(ctx, "INSERT INTO topic_incarnations (topic, partition, incarnation, first_offset, decided_at, reason) VALUES (?, ?, ?, ?, ?, ?)",
		topic, partition, newest+1, from, time.Now(), reason)
	if err != nil {
		return 0, fmt.Errorf("recording the incarnation: %w", err)
	}
	return newest + 1, nil
}
