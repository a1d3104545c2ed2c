package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

// membership is the identity under which one generation commits.
type membership struct {
	group      string
	generation int
	member     string
}

// offsetStore reads and writes committed offsets with their metadata. kafka-go's own
// Generation.CommitOffsets writes no metadata and erases what was there, so it is never used.
type offsetStore struct {
	client  *kafka.Client
	timeout time.Duration
}

// committed returns the committed offset (-1 when there is none) and its metadata.
func (s offsetStore) committed(ctx context.Context, group, topic string, partition int) (int64, string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	response, err := s.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{
		GroupID: group, Topics: map[string][]int{topic: {partition}},
	})
	if err != nil {
		return 0, "", fmt.Errorf("fetching the committed offset of %s/%d: %w", topic, partition, err)
	}
	if response.Error != nil {
		return 0, "", fmt.Errorf("fetching the committed offset of %s/%d: %w", topic, partition, response.Error)
	}
	for _, p := range response.Topics[topic] {
		if p.Partition == partition {
			if p.Error != nil {
				return 0, "", fmt.Errorf("fetching the committed offset of %s/%d: %w", topic, partition, p.Error)
			}
			return p.CommittedOffset, p.Metadata, nil
		}
	}
	return 0, "", fmt.Errorf("fetching the committed offset of %s/%d: the broker's answer lacks the partition", topic, partition)
}

// errOwnership marks a failed commit: whatever the cause, the partition can no longer be taken as ours.
var errOwnership = errors.New("commit refused, the partition is no longer ours")

// commit stores offset and its metadata under the given membership.
func (s offsetStore) commit(ctx context.Context, as membership, topic string, partition int, offset int64, meta metadata) error {
	text, err := meta.encode()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	response, err := s.client.OffsetCommit(ctx, &kafka.OffsetCommitRequest{
		GroupID: as.group, GenerationID: as.generation, MemberID: as.member,
		Topics: map[string][]kafka.OffsetCommit{topic: {{Partition: partition, Offset: offset, Metadata: text}}},
	})
	if err != nil {
		return fmt.Errorf("%w: %s/%d at %d: %w", errOwnership, topic, partition, offset, err)
	}
	for _, p := range response.Topics[topic] {
		if p.Partition == partition {
			if p.Error != nil {
				return fmt.Errorf("%w: %s/%d at %d: %w", errOwnership, topic, partition, offset, p.Error)
			}
			return nil
		}
	}
	return fmt.Errorf("%w: %s/%d at %d: the broker's answer lacks the partition", errOwnership, topic, partition, offset)
}

// bounds returns the first offset that the log still holds and the offset after its last.
func (s offsetStore) bounds(ctx context.Context, topic string, partition int) (first, end int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	response, err := s.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{topic: {kafka.FirstOffsetOf(partition), kafka.LastOffsetOf(partition)}},
	})
	if err != nil {
		return 0, 0, fmt.Errorf("listing offsets of %s/%d: %w", topic, partition, err)
	}
	for _, p := range response.Topics[topic] {
		if p.Partition == partition {
			if p.Error != nil {
				return 0, 0, fmt.Errorf("listing offsets of %s/%d: %w", topic, partition, p.Error)
			}
			return p.FirstOffset, p.LastOffset, nil
		}
	}
	return 0, 0, fmt.Errorf("listing offsets of %s/%d: the broker's answer lacks the partition", topic, partition)
}
