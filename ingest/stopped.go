package ingest

import (
	"context"
	"fmt"
)

// StoppedError says that a partition cannot go on without an operator's decision: going on would skip
// events or count them twice. The partition is held; the others go on.
type StoppedError struct {
	// Reason says what was found.
	Reason string
	// over tells whether what the log and the commit do not show is over too; nil where they show all.
	over func(ctx context.Context) bool
}

// Error implements error.
func (e *StoppedError) Error() string { return e.Reason }

func stopped(format string, args ...any) error {
	return &StoppedError{Reason: fmt.Sprintf(format, args...)}
}

// remedy is the command that resolves a stopped partition.
func remedy(topic string, partition int, from int64) string {
	return fmt.Sprintf("after finding out why, accept the log as it is with: ioc topics adopt %s --partition %d --from %d --reason '…'", topic, partition, from)
}
