package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"ioc.local/ingest/event"
)

const (
	clientID     = "ioc-dead-letters"
	kafkaTimeout = 10 * time.Second
	// idle is how long a broker that has letters for us may give none.
	idle = 15 * time.Second
	// skew is how far clocks of processes may be apart: a letter is looked for from that long before it was rejected on.
	skew = time.Hour
	// A fetch takes as many bytes, and as long, at most.
	fetchBytes = 4 << 20
	fetchWait  = 250 * time.Millisecond
)

// ErrKafka says that Kafka did not answer as it should.
var ErrKafka = errors.New("kafka did not answer as it should")

// kafkaError says what was being asked of the dead-letter topic.
func (l *Letters) kafkaError(doing string, err error) error {
	return fmt.Errorf("%s the dead-letter topic %s: %w: %w", doing, l.cfg.Topic, ErrKafka, err)
}

// scanned says how a reading of the dead-letter topic ended.
type scanned struct {
	// letters is how many were read.
	letters int
	// whole says that it was read to its end as of the beginning, or until nobody wanted more.
	whole bool
}

// scan reads the dead-letter topic from those letters on that were written at or after a time, and gives each to each,
// until it wants no more. What is no letter, or not a whole one, is skipped: the topic is not ours alone.
func (l *Letters) scan(ctx context.Context, from time.Time, each func(*stored) (more bool, err error)) (scanned, error) {
	var done scanned
	begin, end, err := l.bounds(ctx, from)
	if err != nil {
		return done, err
	}
	offsets := map[int32]kgo.Offset{}
	for partition, first := range begin {
		if first < end[partition] {
			offsets[partition] = kgo.NewOffset().At(first)
		}
	}
	if len(offsets) == 0 {
		done.whole = true
		return done, nil
	}
	client, err := kgo.NewClient(append(l.deps.Cluster.Options(clientID),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.cfg.Topic: offsets}),
		kgo.KeepControlRecords(), // they count as offsets that were read
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(fetchWait), kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(fetchBytes))...)
	if err != nil {
		return done, l.kafkaError("reading", err)
	}
	defer client.Close()
	for len(offsets) > 0 {
		waiting, cancel := context.WithTimeout(ctx, idle)
		fetches := client.PollFetches(waiting)
		late := waiting.Err()
		cancel()
		if ctx.Err() != nil {
			return done, ctx.Err()
		}
		if late != nil {
			return done, l.kafkaError("reading", fmt.Errorf("the broker gave nothing for %s", idle))
		}
		if err := fetches.Err0(); err != nil {
			return done, l.kafkaError("reading", err)
		}
		for _, fetchErr := range fetches.Errors() {
			return done, l.kafkaError("reading", fmt.Errorf("partition %d: %w", fetchErr.Partition, fetchErr.Err))
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			record := iter.Next()
			if record.Offset+1 >= end[record.Partition] {
				delete(offsets, record.Partition)
			}
			if record.Offset >= end[record.Partition] || record.Attrs.IsControl() {
				continue
			}
			if done.letters == l.cfg.MaxScan {
				return done, nil
			}
			done.letters++
			letter, err := parse(headersOf(record), record.Value)
			if err != nil {
				continue
			}
			if more, err := each(&letter); err != nil || !more {
				done.whole = err == nil
				return done, err
			}
		}
	}
	done.whole = true
	return done, nil
}

func headersOf(record *kgo.Record) []event.Header {
	headers := make([]event.Header, len(record.Headers))
	for i, h := range record.Headers {
		headers[i] = event.Header{Key: h.Key, Value: h.Value}
	}
	return headers
}

// bounds finds, by partition, the first letter written at or after a time, and the end of the log.
func (l *Letters) bounds(ctx context.Context, from time.Time) (begin, end map[int32]int64, err error) {
	transport := l.deps.Cluster.Transport(clientID)
	defer transport.CloseIdleConnections()
	client := l.deps.Cluster.Client(transport, kafkaTimeout)
	answer, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{l.cfg.Topic}})
	if err != nil {
		return nil, nil, l.kafkaError("asking for", err)
	}
	var requests []kafka.OffsetRequest
	for _, topic := range answer.Topics {
		if errors.Is(topic.Error, kafka.UnknownTopicOrPartition) {
			return nil, nil, nil // nobody wrote a letter
		}
		if topic.Error != nil {
			return nil, nil, l.kafkaError("asking for", topic.Error)
		}
		for _, p := range topic.Partitions {
			requests = append(requests, kafka.FirstOffsetOf(p.ID), kafka.LastOffsetOf(p.ID), kafka.TimeOffsetOf(p.ID, from))
		}
	}
	listed, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{l.cfg.Topic: requests}})
	if err != nil {
		return nil, nil, l.kafkaError("listing offsets of", err)
	}
	begin, end = map[int32]int64{}, map[int32]int64{}
	for _, p := range listed.Topics[l.cfg.Topic] {
		if p.Error != nil {
			return nil, nil, l.kafkaError("listing offsets of", fmt.Errorf("partition %d: %w", p.Partition, p.Error))
		}
		first := p.LastOffset // when nothing is as young
		for offset := range p.Offsets {
			if offset >= 0 {
				first = max(offset, p.FirstOffset)
			}
		}
		begin[int32(p.Partition)], end[int32(p.Partition)] = first, p.LastOffset
	}
	return begin, end, nil
}
