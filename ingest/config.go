package ingest

import (
	"errors"
	"fmt"
	"time"
)

// Config says what to read and how to cut it into ranges. What a partition holds in memory is bounded: two ranges (see
// MaxBytes), the identities (see DuplicateWindow), one answer of the broker, which is 8 MiB or one batch where that is
// larger, at most 101 MiB, and one decompressed batch, 1 MiB as producers make them by default and at most 128 MiB. A
// batch beyond that stops the partition. Group and topics come from the section kafka of the
// configuration, the rest from the section ingest.
type Config struct {
	// Group is the consumer group; its committed offsets are the state of ingestion.
	Group string `yaml:"-"`
	// Topics are read; any topic may carry any event type.
	Topics []string `yaml:"-"`
	// DeadLetterTopic receives rejected records with their payload; empty switches it off.
	DeadLetterTopic string `yaml:"-"`
	// FlushInterval bounds how long an event waits for its range to fill, unless ingestion is behind: then ranges grow for
	// 10 s at most.
	FlushInterval time.Duration `yaml:"flush_interval" doc:"longest wait of an event for its range to fill"`
	// MaxRows bounds a range in events; one block must stay below ClickHouse's block size of 1,048,449 rows.
	MaxRows int `yaml:"max_rows" doc:"largest range, in events (ioc_ingest_range_events shows what is reached)"`
	// MaxBytes bounds a range in payload bytes; a partition holds at most two ranges in memory.
	MaxBytes int `yaml:"max_bytes" doc:"largest range, in payload bytes (ioc_ingest_range_bytes shows what is reached)"`
	// DuplicateWindow is how many identities per partition are remembered to recognise duplicates.
	DuplicateWindow int `yaml:"duplicate_window" doc:"identities remembered per partition, about 70 bytes each (ioc_ingest_duplicate_window_seconds shows the time that covers)"`
	// InsertTimeout bounds one insert; it is far below the time that the deduplication window covers.
	InsertTimeout time.Duration `yaml:"insert_timeout" doc:"deadline of one insert"`
	// SessionTimeout is how long the group waits for a silent member.
	SessionTimeout time.Duration `yaml:"session_timeout" doc:"Kafka session timeout of a member"`
}

// DefaultConfig returns the values that suit a live wall: at most 300 ms of waiting, ranges of up to 524,288 events.
func DefaultConfig() Config {
	return Config{
		Group:           "ioc",
		Topics:          []string{"ioc.dossier.v1", "ioc.authentication.v1", "ioc.data.v1", "ioc.programme.v1"},
		DeadLetterTopic: "ioc.dead-letter.v1",
		FlushInterval:   300 * time.Millisecond,
		MaxRows:         524_288,
		MaxBytes:        64 << 20,
		DuplicateWindow: 500_000,
		InsertTimeout:   30 * time.Second,
		SessionTimeout:  10 * time.Second,
	}
}

// maxBlockRows keeps a range inside one native block (ClickHouse squashes and splits at 1,048,449 rows).
const maxBlockRows = 1_000_000

// maxDuplicateWindow bounds the memory of a partition's identities to about 3 GB.
const maxDuplicateWindow = 50_000_000

// Validate reports every value that cannot work, with its key.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, key, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("ingest.%s: %s", key, want))
		}
	}
	check(c.Group != "", "group", "must not be empty")
	check(len(c.Topics) > 0, "topics", "name at least one topic")
	for _, topic := range c.Topics {
		check(topic != c.DeadLetterTopic, "dead_letter_topic", "must not be one of the topics that are read")
	}
	check(c.FlushInterval > 0 && c.FlushInterval <= time.Minute, "flush_interval", "must be above 0 and at most 1m")
	check(c.MaxRows > 0 && c.MaxRows <= maxBlockRows, "max_rows", fmt.Sprintf("must be 1 to %d", maxBlockRows))
	check(c.MaxBytes >= 1<<20 && c.MaxBytes <= 200<<20, "max_bytes", "must be 1MiB to 200MiB")
	check(c.DuplicateWindow >= 0 && c.DuplicateWindow <= maxDuplicateWindow, "duplicate_window", fmt.Sprintf("must be 0 to %d", maxDuplicateWindow))
	check(c.InsertTimeout >= time.Second && c.InsertTimeout <= tokenTrust/2, "insert_timeout", "must be 1s to 1m")
	check(c.SessionTimeout >= time.Second && c.SessionTimeout <= 5*time.Minute, "session_timeout", "must be 1s to 5m (brokers refuse less than their group.min.session.timeout.ms, 6s by default)")
	return errors.Join(errs...)
}
