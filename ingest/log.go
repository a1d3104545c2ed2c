package ingest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ioc.local/internal/cluster"
)

const (
	// fetchBytes is what a broker is asked for at once. It sends its first batch whole, however large that is.
	fetchBytes = 8 << 20
	// maxResponse bounds a response, and so the largest batch that can be read. Brokers take requests of 100 MiB at most
	// (socket.request.max.bytes), and so batches.
	maxResponse = 101 << 20
	// networkSlack is what a request may take on top of the wait that the broker was asked for.
	networkSlack = 10 * time.Second
	// readCommitted makes the broker hold back what belongs to open transactions, and say which were aborted.
	readCommitted = 1
	// oldestFetch is the first version of the request that knows transactions, that of Kafka 0.11.
	oldestFetch = 4
	// namedFetch is the newest version that names topics, which is for clusters whose topics have no ids.
	namedFetch = 12
)

// errMoved marks errors that may be over as soon as the leader is known anew.
var errMoved = errors.New("its leader has to be looked up again")

// topicID identifies one life of a topic: a topic that is made again gets another. It is zero in clusters that have
// no ids.
type topicID [16]byte

// String is the id as Kafka's tools print it, and empty for the zero id.
func (id topicID) String() string {
	if id == (topicID{}) {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// partitionLog is the log of one partition as its leader has it. It has connections of its own, since a broker answers
// the requests of one connection one after the other: a fetch that waits for records would hold up those of other
// partitions.
type partitionLog struct {
	client    *kgo.Client
	topic     string
	partition int
	// id is the life of the topic that is read. Fetches of another fail.
	id     topicID
	leader int32 // -1 while it has to be looked up
	epoch  int32 // of the leader
	// short is what was found out last about a recorded range of which records have vanished, by the leader of shortEpoch.
	short      *StoppedError
	shortRange string
	shortEpoch int32
}

func openLog(from *cluster.Cluster, topic string, partition int) (*partitionLog, error) {
	client, err := kgo.NewClient(append(from.Options(clientID), kgo.RequestTimeoutOverhead(networkSlack), kgo.BrokerMaxReadBytes(maxResponse))...)
	if err != nil {
		return nil, fmt.Errorf("making a client for %s/%d: %w", topic, partition, err)
	}
	return &partitionLog{client: client, topic: topic, partition: partition, leader: -1}, nil
}

func (l *partitionLog) close() { l.client.Close() }

// lookup asks who leads the partition, and returns the id that the topic has now.
func (l *partitionLog) lookup(ctx context.Context) (topicID, error) {
	request := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &l.topic
	request.Topics, request.AllowAutoTopicCreation = append(request.Topics, topic), false
	response, err := request.RequestWith(ctx, l.client)
	if err != nil {
		return topicID{}, fmt.Errorf("asking for the leader of %s/%d: %w", l.topic, l.partition, err)
	}
	for _, t := range response.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return topicID{}, fmt.Errorf("asking for the leader of %s/%d: %w", l.topic, l.partition, err)
		}
		for _, p := range t.Partitions {
			if int(p.Partition) != l.partition {
				continue
			}
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return topicID{}, fmt.Errorf("asking for the leader of %s/%d: %w", l.topic, l.partition, err)
			}
			l.leader, l.epoch = p.Leader, p.LeaderEpoch
			return t.TopicID, nil
		}
	}
	return topicID{}, fmt.Errorf("asking for the leader of %s/%d: %w", l.topic, l.partition, kerr.UnknownTopicOrPartition)
}

// vanished stops the partition when a recorded range that begins at first holds other than the recorded number of records:
// what is formed of it now is not what an earlier attempt may have inserted.
func (l *partitionLog) vanished(first int64, pending Pending, found int) error {
	if pending.Records == 0 || found == pending.Records {
		return nil
	}
	stop := &StoppedError{Reason: fmt.Sprintf("records vanished between two attempts at the recorded range %d..%d: it held %d and holds %d now, by compaction or retention within the range; adopt from %d if ClickHouse holds nothing from %d on, else from %d: %s",
		first, pending.Last, pending.Records, found, first, first, pending.Last+1, remedy(l.topic, l.partition, pending.Last+1))}
	l.short, l.shortRange, l.shortEpoch = stop, pending.Token, l.epoch
	return stop
}

// whole looks whether a recorded range holds as many records as when it was recorded. What has vanished does not come
// back, unless another leader has it, so that a range is counted once for each.
func (l *partitionLog) whole(ctx context.Context, first int64, pending *Pending) error {
	if pending == nil || pending.Records == 0 {
		return nil
	}
	if l.short != nil && l.shortRange == pending.Token && l.shortEpoch == l.epoch {
		return l.short
	}
	found := 0
	for fetch := newFetcher(l, first, nil); fetch.position() <= pending.Last; {
		record, err := fetch.read(ctx, kafkaTimeout)
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if record == nil && fetch.end >= 0 && fetch.end <= pending.Last {
			break // the end of the log tells
		}
		if record != nil && record.Offset <= pending.Last {
			found++
		}
	}
	return l.vanished(first, *pending, found)
}

// fetch asks the leader for what begins at offset and waits for it up to wait. lastEpoch is the leader epoch of the batch
// before, -1 where unknown. byID tells whether the broker has compared the topic's id.
func (l *partitionLog) fetch(ctx context.Context, offset int64, lastEpoch int32, wait time.Duration) (p *kmsg.FetchResponseTopicPartition, byID bool, err error) {
	if l.leader < 0 {
		id, err := l.lookup(ctx)
		if err != nil {
			return nil, false, fmt.Errorf("%w: %w", errMoved, err)
		}
		if id != l.id {
			l.leader = -1
			return nil, false, stopped("the topic %s was recreated while it was read: its id is %s now and was %s; %s",
				l.topic, id, l.id, remedy(l.topic, l.partition, 0))
		}
	}
	response, err := l.client.Broker(int(l.leader)).Request(ctx, l.request(offset, lastEpoch, wait))
	if err != nil {
		l.leader = -1
		return nil, false, fmt.Errorf("%w: %w", errMoved, err)
	}
	fetched := response.(*kmsg.FetchResponse)
	if fetched.Version < oldestFetch {
		return nil, false, errors.New("the broker is older than Kafka 0.11")
	}
	if err := kerr.ErrorForCode(fetched.ErrorCode); err != nil {
		return nil, false, err
	}
	if len(fetched.Topics) != 1 || len(fetched.Topics[0].Partitions) != 1 {
		return nil, false, errors.New("the broker's answer lacks the partition")
	}
	p = &fetched.Topics[0].Partitions[0]
	switch err := kerr.ErrorForCode(p.ErrorCode); {
	case err == nil:
	case errors.Is(err, kerr.NotLeaderForPartition), errors.Is(err, kerr.FencedLeaderEpoch), errors.Is(err, kerr.UnknownLeaderEpoch),
		errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID), errors.Is(err, kerr.UnknownTopicOrPartition),
		errors.Is(err, kerr.ReplicaNotAvailable), errors.Is(err, kerr.LeaderNotAvailable), errors.Is(err, kerr.KafkaStorageError),
		errors.Is(err, kerr.OffsetNotAvailable):
		l.leader = -1
		return nil, false, fmt.Errorf("%w: %w", errMoved, err)
	default:
		return nil, false, err
	}
	if p.DivergingEpoch.Epoch >= 0 || p.DivergingEpoch.EndOffset >= 0 {
		return nil, false, fmt.Errorf("the log was cut back to %d by a new leader and has other records since", p.DivergingEpoch.EndOffset)
	}
	return p, fetched.Version > namedFetch, nil
}

func (l *partitionLog) request(offset int64, lastEpoch int32, wait time.Duration) kmsg.Request {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = int32(l.partition), offset, fetchBytes
	p.CurrentLeaderEpoch, p.LastFetchedEpoch = l.epoch, lastEpoch
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID, t.Partitions = l.topic, l.id, append(t.Partitions, p)
	request := kmsg.NewPtrFetchRequest()
	request.MaxWaitMillis, request.MinBytes, request.MaxBytes, request.IsolationLevel = int32(wait.Milliseconds()), 1, fetchBytes, readCommitted
	request.Topics = append(request.Topics, t)
	if l.id == (topicID{}) {
		return fetchByName{request}
	}
	return request
}

// fetchByName is a fetch of a topic that has no id.
type fetchByName struct{ *kmsg.FetchRequest }

// MaxVersion implements kmsg.Request.
func (fetchByName) MaxVersion() int16 { return namedFetch }

// Timeout implements kmsg.TimeoutRequest, with what the client knows of the request that is wrapped.
func (f fetchByName) Timeout() int32 { return f.MaxWaitMillis }
