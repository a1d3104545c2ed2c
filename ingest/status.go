package ingest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"ioc.local/internal/warehouse"
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
	// Held: this machine's clock is wrong and may not judge events; it goes on by itself.
	Held State = "held"
	// Stopped: an operator has to decide, see [StoppedError].
	Stopped State = "stopped"
	// Paused: an operator has decided so.
	Paused State = "paused"
)

// PartitionStatus is where one partition stands.
type PartitionStatus struct {
	Topic     string
	Partition int
	State     State
	// Problem says why it is not running, unless it is paused: then it says why the end of the log is not known.
	Problem string
	// Pause is the decision by which it is paused; nil otherwise.
	Pause *warehouse.Pause
	// Position is the offset after the last committed range, End the end of the log as the broker told it last; -1 as long
	// as they are not known. What belongs to an open transaction is below the end, but cannot be read yet.
	Position, End int64
}

// Status is where ingestion of this process stands.
type Status struct {
	Partitions []PartitionStatus
}

// CaughtUp reports whether every assigned partition runs and had nothing unread when it last committed.
func (s Status) CaughtUp() bool {
	for _, p := range s.Partitions {
		if p.Problem != "" || p.End < 0 || p.Position < p.End {
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
	// note is told what is paused, empty for nothing. It may be nil.
	note func(string)

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

// tell reports what is wrong and what is paused; the caller holds mu.
func (b *statusBoard) tell() {
	if b.note != nil {
		b.note(b.paused())
	}
	if b.report == nil {
		return
	}
	errs := []error{b.group, b.topics}
	for _, p := range b.sorted() {
		if p.Problem != "" {
			errs = append(errs, fmt.Errorf("%s/%d is %s: %s", p.Topic, p.Partition, p.State, p.Problem))
		}
	}
	b.report(errors.Join(errs...))
}

// paused names each decision by which partitions of this process are paused.
func (b *statusBoard) paused() string {
	var texts []string
	for _, p := range b.sorted() {
		if p.Pause == nil {
			continue
		}
		if text := pausedText(*p.Pause); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "; ")
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
