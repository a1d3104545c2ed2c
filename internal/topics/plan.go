// Package topics knows what a Kafka cluster must hold for ioc: topics with their settings, and what ioc's user must be
// allowed. It compares that with what is there, brings it there without taking anything away, and finds settings that
// lose events.
package topics

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Setting names of topics.
const (
	cleanupPolicy  = "cleanup.policy"
	retention      = "retention.ms"
	retentionBytes = "retention.bytes"
	maxMessage     = "max.message.bytes"
	timestampType  = "message.timestamp.type"
	logAppendTime  = "LogAppendTime"
	deletes        = "delete"
	compacts       = "compact"
	unlimited      = -1
	eventBytes     = 1<<20 + 12 // Kafka's own default: a batch of 1 MiB with its frame
	letterBytes    = 2 << 20
	minRetention   = 24 * time.Hour
	letterParts    = 1
	brokerDefault  = -1
	maxPartitions  = 100_000
	maxReplication = 100
)

// Config says what ioc reads and writes, and what a cluster should make of it.
type Config struct {
	// Topics are read.
	Topics []string
	// DeadLetterTopic is written; empty is none.
	DeadLetterTopic string
	// Group is the consumer group.
	Group string
	// Partitions is how many a topic of events gets that is made.
	Partitions int
	// ComparePartitions looks whether existing topics of events have as many too, and MorePartitions gives them those that
	// they lack.
	ComparePartitions, MorePartitions bool
	// FirstPermissions gives permissions also on existing topics on which nobody has one yet.
	FirstPermissions bool
	// Replication is the replication factor of a topic that is made; -1 is the broker's default.
	Replication int
	// Retention is how long topics of events keep records at least. It must be longer than the longest time that ingestion
	// may be down.
	Retention time.Duration
	// DeadLetterRetention is how long payloads of rejected records are kept.
	DeadLetterRetention time.Duration
	// Principal is the Kafka user, such as User:ioc, that is to be allowed what ioc does; empty leaves that alone.
	Principal string
}

// DefaultConfig has one partition a topic, a week of events and two of dead letters. Each partition costs ClickHouse inserts of its
// own, and one takes in more than the nation sends.
func DefaultConfig() Config {
	return Config{Partitions: 1, Replication: brokerDefault, Retention: 7 * 24 * time.Hour, DeadLetterRetention: 14 * 24 * time.Hour}
}

// Validate reports every value that cannot work, by the name of its flag.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(len(c.Topics) > 0, "there are no topics")
	check(c.Partitions >= 1 && c.Partitions <= maxPartitions, "--partitions: must be 1 to %d", maxPartitions)
	check(c.Replication == brokerDefault || c.Replication >= 1 && c.Replication <= maxReplication, "--replication-factor: must be 1 to %d, or -1 for the broker's default", maxReplication)
	check(c.Retention >= minRetention, "--retention: must be at least %s: what is deleted unread is lost", minRetention)
	check(c.DeadLetterRetention >= time.Minute, "the retention of dead letters must be at least 1m")
	return errors.Join(errs...)
}

// Plan is what a cluster must hold.
type Plan struct {
	// Topics are the topics, those of events first.
	Topics []Topic `json:"topics" yaml:"topics"`
	// Grants are what ioc's user must be allowed.
	Grants []Grant `json:"acls" yaml:"acls"`
}

// Topic is one topic.
type Topic struct {
	Name    string `json:"name" yaml:"name"`
	Purpose string `json:"purpose" yaml:"purpose"`
	// Partitions is how many it gets when it is made.
	Partitions int `json:"partitions" yaml:"partitions"`
	// Replication is its replication factor when it is made; -1 is the broker's default.
	Replication int       `json:"replication_factor" yaml:"replication_factor"`
	Settings    []Setting `json:"settings" yaml:"settings"`
}

// Setting is what a setting of a topic must be.
type Setting struct {
	Key   string `json:"key" yaml:"key"`
	Value string `json:"value" yaml:"value"`
	// AtLeast says that a greater number, and -1 for no limit, is as good.
	AtLeast bool `json:"at_least,omitempty" yaml:"at_least,omitempty"`
	// Keep says that a greater number, and -1, is not as good, but is left alone: to change it would delete records.
	Keep bool   `json:"keep_longer,omitempty" yaml:"keep_longer,omitempty"`
	Why  string `json:"why" yaml:"why"`
}

// Grant is an operation that must be allowed on a topic or group.
type Grant struct {
	// Resource is topic or group.
	Resource string `json:"resource" yaml:"resource"`
	// Name is its name, literally.
	Name string `json:"name" yaml:"name"`
	// Operation is Read, Write, Describe or DescribeConfigs.
	Operation string `json:"operation" yaml:"operation"`
	Why       string `json:"why" yaml:"why"`
}

// Wanted is what a cluster must hold for a configuration.
func Wanted(cfg Config) Plan {
	var plan Plan
	grant := func(resource, name, operation, why string) {
		plan.Grants = append(plan.Grants, Grant{Resource: resource, Name: name, Operation: operation, Why: why})
	}
	for _, name := range cfg.Topics {
		plan.Topics = append(plan.Topics, Topic{
			Name: name, Purpose: "events, read by ioc", Partitions: cfg.Partitions, Replication: cfg.Replication,
			Settings: []Setting{
				{Key: cleanupPolicy, Value: deletes, Why: "compaction would drop events of the same subject, unread ones too"},
				{Key: retention, Value: milliseconds(cfg.Retention), AtLeast: true, Why: "longer than ingestion may be down"},
				{Key: maxMessage, Value: strconv.Itoa(eventBytes), AtLeast: true, Why: "producers send batches"},
				{Key: timestampType, Value: logAppendTime, Why: "retention counts from arrival, whatever producers' clocks say"},
			},
		})
		grant("topic", name, "Read", "ingestion")
		grant("topic", name, "Write", "ioc dead-letters replay")
		grant("topic", name, "Describe", "ingestion")
		grant("topic", name, "DescribeConfigs", "ioc check")
	}
	if name := cfg.DeadLetterTopic; name != "" {
		plan.Topics = append(plan.Topics, Topic{
			Name: name, Purpose: "rejected records, written by ioc", Partitions: letterParts, Replication: cfg.Replication,
			Settings: []Setting{
				{Key: cleanupPolicy, Value: deletes, Why: "a letter is gone after its retention"},
				{Key: retention, Value: milliseconds(cfg.DeadLetterRetention), Keep: true, Why: "payloads of rejected records should not stay long"},
				{Key: maxMessage, Value: strconv.Itoa(letterBytes), AtLeast: true, Why: "a letter is larger than its record"},
				{Key: timestampType, Value: logAppendTime, Why: "retention counts from the rejection"},
			},
		})
		grant("topic", name, "Read", "ioc dead-letters show and replay")
		grant("topic", name, "Write", "ingestion")
		grant("topic", name, "Describe", "ingestion")
		grant("topic", name, "DescribeConfigs", "ioc check")
	}
	grant("group", cfg.Group, "Read", "ingestion")
	grant("group", cfg.Group, "Describe", "ingestion, ioc verify, ioc check")
	return plan
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// verdict compares a setting with what a topic has.
type verdict int

const (
	fits verdict = iota
	differs
	longer // differs, and is left alone
)

func (s Setting) compare(has string) verdict {
	if has == s.Value {
		return fits
	}
	if !s.AtLeast && !s.Keep {
		return differs
	}
	got, err := strconv.ParseInt(has, 10, 64)
	want, wantErr := strconv.ParseInt(s.Value, 10, 64)
	more := err == nil && (got == unlimited || got > want)
	switch {
	case errors.Join(err, wantErr) != nil || !more:
		return differs
	case s.AtLeast:
		return fits
	}
	return longer
}

// sorted gives grants in one order, whatever the cluster's.
func sorted(grants []Grant) []Grant {
	return slices.SortedFunc(slices.Values(grants), func(a, b Grant) int {
		return cmp.Or(-cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Operation, b.Operation))
	})
}
