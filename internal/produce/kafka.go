package produce

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"ioc.local/internal/cluster"
)

// Limits of a producer. A message of maxMessage bytes still fits into a batch of a broker's default message.max.bytes
// (1 MiB and 12 bytes), with its headers.
const (
	maxMessage   = 1<<20 - 1<<10
	batchBytes   = 1 << 20
	batchSize    = 10_000
	batchTimeout = 5 * time.Millisecond // also how long a write of few messages waits for more
	maxAttempts  = 5
	ioTimeout    = 10 * time.Second
)

// KafkaDeps are what a Kafka producer needs.
type KafkaDeps struct {
	// Cluster is where the messages go.
	Cluster *cluster.Cluster
	// Logger receives failed attempts, which the producer repeats.
	Logger *zap.Logger
}

// Kafka writes messages to existing topics of a cluster. Partitions are chosen by the key as Java clients do
// (murmur2), so that producers in any language agree. It is safe for concurrent use.
type Kafka struct {
	writer    *kafka.Writer
	transport *kafka.Transport
}

// NewKafka makes a producer. It connects with the first Write.
func NewKafka(deps KafkaDeps) (*Kafka, error) {
	if deps.Cluster == nil || deps.Logger == nil {
		return nil, errors.New("produce: a cluster and a logger are needed")
	}
	transport := deps.Cluster.Transport("ioc-produce")
	return &Kafka{
		transport: transport,
		writer: &kafka.Writer{
			Addr: deps.Cluster.Addr(), Transport: transport,
			Balancer:     kafka.Murmur2Balancer{},
			RequiredAcks: kafka.RequireAll,
			Compression:  kafka.Lz4,
			BatchSize:    batchSize, BatchBytes: batchBytes, BatchTimeout: batchTimeout,
			MaxAttempts: maxAttempts, WriteBackoffMin: 100 * time.Millisecond, WriteBackoffMax: time.Second,
			ReadTimeout: ioTimeout, WriteTimeout: ioTimeout,
			ErrorLogger: kafka.LoggerFunc(func(format string, args ...any) {
				deps.Logger.Warn("producing", zap.String("problem", fmt.Sprintf(format, args...)))
			}),
		},
	}, nil
}

// Write stores messages and returns nil when all in-sync replicas have all of them. It tries a few times, for some
// seconds; the error says how many messages were not acknowledged. It is a Sink.
func (k *Kafka) Write(ctx context.Context, messages []Message) error {
	batch := make([]kafka.Message, len(messages))
	for i, m := range messages {
		if n := len(m.Key) + len(m.Value); n > maxMessage {
			return fmt.Errorf("produce: message %d for topic %s has %d bytes, at most %d are possible", i, m.Topic, n, maxMessage)
		}
		batch[i] = kafka.Message{Topic: m.Topic, Key: m.Key, Value: m.Value}
	}
	err := k.writer.WriteMessages(ctx, batch...)
	var each kafka.WriteErrors
	if !errors.As(err, &each) {
		if err != nil {
			return fmt.Errorf("produce: writing to Kafka: %w", err)
		}
		return nil
	}
	// One of the errors stands for all: printing thousands helps nobody.
	for i, first := range each {
		if first != nil {
			return fmt.Errorf("produce: %d of %d messages were not acknowledged, the first for topic %s: %w",
				each.Count(), len(messages), messages[i].Topic, first)
		}
	}
	return nil
}

// Close waits for writes under way, at most for their attempts, and closes the connections.
func (k *Kafka) Close() error {
	err := k.writer.Close()
	k.transport.CloseIdleConnections()
	if err != nil {
		return fmt.Errorf("produce: closing: %w", err)
	}
	return nil
}
