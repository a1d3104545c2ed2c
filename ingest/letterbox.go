package ingest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"ioc.local/ingest/event"
)

// letterbox sends rejected records to the dead-letter topic, at least once, keyed by their origin. It is
// emptied before the range is committed. The table dead_letters has the same letters exactly once.
type letterbox struct {
	writer  *kafka.Writer
	metrics *metrics
	logger  *zap.Logger
}

func newLetterbox(cfg Config, transport *kafka.Transport, m *metrics, logger *zap.Logger) *letterbox {
	if cfg.DeadLetterTopic == "" {
		return &letterbox{metrics: m, logger: logger}
	}
	return &letterbox{metrics: m, logger: logger, writer: &kafka.Writer{
		Addr: kafka.TCP(cfg.Brokers...), Topic: cfg.DeadLetterTopic, Balancer: &kafka.Hash{}, Transport: transport,
		RequiredAcks: kafka.RequireAll, MaxAttempts: 1, BatchTimeout: time.Millisecond, WriteTimeout: kafkaTimeout, ReadTimeout: kafkaTimeout,
	}}
}

func (l *letterbox) close() {
	if l.writer != nil {
		_ = l.writer.Close()
	}
}

// send delivers the rejections of a range. It holds on while the broker does not answer. A letter that
// the broker refuses for good (no such topic, no permission, too large) is counted and left out: a bad
// record never stops a partition, and the record itself is still where it came from.
func (l *letterbox) send(ctx context.Context, topic string, partition int, rejections []event.Rejection) error {
	if l.writer == nil || len(rejections) == 0 {
		return nil
	}
	messages := make([]kafka.Message, 0, len(rejections))
	for i := range rejections {
		messages = append(messages, letter(topic, partition, &rejections[i]))
	}
	started := time.Now()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		lingering, cancel := linger(ctx, lingerGrace)
		err := l.writer.WriteMessages(lingering, messages...)
		cancel()
		if err == nil {
			return nil
		}
		var failed []kafka.Message
		var tooLarge kafka.MessageTooLargeError
		var perMessage kafka.WriteErrors
		switch {
		case errors.As(err, &tooLarge):
			l.metrics.lettersLost.Inc()
			failed = tooLarge.Remaining
		case refused(err) && time.Since(started) > refusalGrace:
			l.metrics.lettersLost.Add(float64(len(messages)))
		case errors.As(err, &perMessage):
			for i, e := range perMessage {
				if e != nil && refused(e) && time.Since(started) > refusalGrace {
					l.metrics.lettersLost.Inc()
				} else if e != nil {
					failed = append(failed, messages[i])
				}
			}
		default:
			failed = messages
		}
		l.logger.Warn("dead letters were not taken by the broker", zap.Int("again", len(failed)), zap.Error(err))
		if messages = failed; len(messages) == 0 {
			return nil
		}
		if !sleep(ctx, pause) {
			return fmt.Errorf("sending dead letters: %w", err)
		}
	}
}

// refusalGrace is how long a refusal is taken for a passing one: a broker that starts does not know its topics yet.
const refusalGrace = 10 * time.Second

func refused(err error) bool {
	return errors.Is(err, kafka.UnknownTopicOrPartition) || errors.Is(err, kafka.TopicAuthorizationFailed) ||
		errors.Is(err, kafka.MessageSizeTooLarge) || errors.Is(err, kafka.InvalidTopic)
}

// letter keeps the record as it was, with its origin and the reason as headers. Nothing of a record that
// was rejected for personal data is kept.
func letter(topic string, partition int, r *event.Rejection) kafka.Message {
	message := kafka.Message{
		Key: fmt.Appendf(nil, "%s/%d/%d", topic, partition, r.Offset),
		Headers: []kafka.Header{
			{Key: "ioc-reason", Value: []byte(r.Reason)},
			{Key: "ioc-field", Value: []byte(r.Field)},
			{Key: "ioc-topic", Value: []byte(topic)},
			{Key: "ioc-partition", Value: strconv.AppendInt(nil, int64(partition), 10)},
			{Key: "ioc-offset", Value: strconv.AppendInt(nil, r.Offset, 10)},
		},
	}
	if r.KeepPayload {
		message.Headers = append(message.Headers, kafka.Header{Key: "ioc-sha256", Value: []byte(hex.EncodeToString(r.SHA256[:]))},
			kafka.Header{Key: "ioc-key", Value: r.Key})
		for _, h := range r.Headers {
			message.Headers = append(message.Headers, kafka.Header{Key: h.Key, Value: h.Value})
		}
		message.Value = r.Payload
	}
	return message
}
