package ingest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// State is what a partition is doing.
type State string

// The states of an assigned partition.
const (
	// Starting: its place is being found and its identities restored.
	Starting State = "starting"
	// Running: ranges are committed as they come.
	Running State = "running"
	// Retrying: the broker or ClickHouse does not answer; nothing is lost.
	Retrying State = "retrying"
	// Stopped: an operator has to decide, see [StoppedError].
	Stopped State = "stopped"
)

// PartitionStatus is where one partition stands.
type PartitionStatus struct {
	Topic     string
	Partition int
	State     State
	// Problem says why it is not running.
	Problem string
	// Position is the offset after the last committed range, End the end of the log when that was cut.
	Position, End int64
}

// Status is where ingestion of this process stands.
type Status struct {
	Partitions []PartitionStatus
}

// CaughtUp reports whether every assigned partition runs and had nothing unread when it last committed.
func (s Status) CaughtUp() bool {
	for _, p := range s.Partitions {
		if p.State == Retrying || p.State == Stopped || p.Position < p.End {
			return false
		}
	}
	return true
}

type partitionKey struct {
	topic string
	id    int
}

// statusBoard collects what the partitions say and reports health when it changes.
type statusBoard struct {
	report func(error)

	mu         sync.Mutex
	partitions map[partitionKey]*PartitionStatus
	group      error
	topics     error
}

func newStatusBoard(report func(error)) *statusBoard {
	return &statusBoard{
		report: report, partitions: map[partitionKey]*PartitionStatus{},
		group: errors.New("the consumer group has not been joined yet"),
	}
}

func (b *statusBoard) update(topic string, id int, change func(*PartitionStatus)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := partitionKey{topic, id}
	status := b.partitions[key]
	if status == nil {
		status = &PartitionStatus{Topic: topic, Partition: id}
		b.partitions[key] = status
	}
	change(status)
	b.tell()
}

func (b *statusBoard) remove(topic string, id int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.partitions, partitionKey{topic, id})
	b.tell()
}

func (b *statusBoard) groupHealth(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.group = err
	b.tell()
}

func (b *statusBoard) topicHealth(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.topics = err
	b.tell()
}

// fetched notes the end of the log that a fetch saw.
func (b *statusBoard) fetched(topic string, id int, end int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if status := b.partitions[partitionKey{topic, id}]; status != nil {
		status.End = end
	}
}

// tell reports what is wrong; the caller holds mu.
func (b *statusBoard) tell() {
	if b.report == nil {
		return
	}
	errs := []error{b.group, b.topics}
	for _, p := range b.sorted() {
		if p.State == Retrying || p.State == Stopped {
			errs = append(errs, fmt.Errorf("%s/%d is %s: %s", p.Topic, p.Partition, p.State, p.Problem))
		}
	}
	b.report(errors.Join(errs...))
}

func (b *statusBoard) sorted() []PartitionStatus {
	all := make([]PartitionStatus, 0, len(b.partitions))
	for _, p := range b.partitions {
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b PartitionStatus) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return all
}

func (b *statusBoard) snapshot() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return Status{Partitions: b.sorted()}
}
