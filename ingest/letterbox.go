package ingest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"ioc.local/ingest/event"
	"ioc.local/internal/deadletter"
)

// letterbox sends rejected records to the dead-letter topic, at least once, keyed by their origin. It is
// emptied before the range is committed. The table dead_letters has the same letters exactly once.
type letterbox struct {
	writer  *kafka.Writer
	metrics *metrics
	logger  *zap.Logger

	mu sync.Mutex
	// refused is since when the broker has refused letters, lastRefused when it did so last.
	refused, lastRefused time.Time
}

func newLetterbox(cfg Config, addr net.Addr, transport *kafka.Transport, m *metrics, logger *zap.Logger) *letterbox {
	if cfg.DeadLetterTopic == "" {
		return &letterbox{metrics: m, logger: logger}
	}
	return &letterbox{metrics: m, logger: logger, writer: &kafka.Writer{
		Addr: addr, Topic: cfg.DeadLetterTopic, Balancer: &kafka.Hash{}, Transport: transport,
		RequiredAcks: kafka.RequireAll, MaxAttempts: 1, BatchTimeout: time.Millisecond, WriteTimeout: kafkaTimeout, ReadTimeout: kafkaTimeout,
	}}
}

func (l *letterbox) close() {
	if l.writer != nil {
		_ = l.writer.Close()
	}
}

// outgoing is a letter under way.
type outgoing struct {
	place     event.Place
	rejection *event.Rejection
	message   kafka.Message
	// bare says that its payload was left out.
	bare bool
}

// send delivers the rejections of a range; topic is the incarnation that its rows carry. It holds on while the broker
// does not answer, and tells report so: each attempt after which letters are left, and nil once there are none. A letter that is too large for the topic goes without its payload. One that the broker refuses for
// good (no such topic, no permission) is counted and left out: a bad record never stops a partition, its facts are in
// the table, and the record itself is still where it came from.
func (l *letterbox) send(ctx context.Context, topic string, partition int, rejections []event.Rejection, report func(error)) error {
	if l.writer == nil || len(rejections) == 0 {
		return nil
	}
	letters := make([]outgoing, len(rejections))
	for i := range rejections {
		r := &rejections[i]
		place := event.Place{Topic: topic, Partition: int32(partition), Offset: r.Offset}
		letters[i] = outgoing{place: place, rejection: r, message: deadletter.Message(place, r)}
		if letters[i].bare = r.KeepPayload && len(letters[i].message.Value) < len(r.Payload); letters[i].bare {
			l.metrics.lettersBare.Inc()
		}
	}
	told := false
	one := false // the broker refused several at once as too large: only by itself a letter shows whether it is
	for pause := 50 * time.Millisecond; ; {
		batch := letters
		if one {
			batch = letters[:1]
		}
		failed, again, err := l.attempt(ctx, batch)
		rest := letters[len(batch):]
		letters = append(failed, rest...)
		if told && (len(letters) == 0 || err == nil) {
			report(nil)
			told = false
		}
		if len(letters) == 0 {
			return nil
		}
		if err == nil {
			continue // the next one
		}
		if again == atOnce {
			one = true
			continue
		}
		told = true
		report(fmt.Errorf("Kafka: sending %d dead letters to topic %s: %w", len(letters), l.writer.Topic, err))
		l.logger.Warn("dead letters were not taken by the broker", zap.Int("again", len(letters)), zap.Error(err))
		if !sleep(ctx, pause) {
			return fmt.Errorf("sending dead letters: %w", err)
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// patience says when what failed is tried again.
type patience int

const (
	later patience = iota
	atOnce
)

// attempt sends letters and gives those that have to be sent again. The error is nil when all are done with.
func (l *letterbox) attempt(ctx context.Context, letters []outgoing) (failed []outgoing, again patience, err error) {
	messages := make([]kafka.Message, len(letters))
	for i := range letters {
		messages[i] = letters[i].message
	}
	lingering, cancel := linger(ctx, lingerGrace)
	err = l.writer.WriteMessages(lingering, messages...)
	cancel()
	var perMessage kafka.WriteErrors
	if err == nil || errors.As(err, &perMessage) && perMessage.Count() < len(letters) {
		l.mu.Lock()
		l.refused = time.Time{}
		l.mu.Unlock()
	}
	for i := range letters {
		letterErr := err
		if perMessage != nil {
			letterErr = perMessage[i]
		}
		switch {
		case letterErr == nil:
		case tooLarge(letterErr) && len(letters) > 1:
			failed, again = append(failed, letters[i]), atOnce
		case tooLarge(letterErr) && !letters[i].bare:
			l.metrics.lettersBare.Inc()
			bare := letters[i]
			bare.message, bare.bare = deadletter.WithoutPayload(bare.place, bare.rejection), true
			failed, again = append(failed, bare), atOnce
		case tooLarge(letterErr), refused(letterErr) && l.givenUp(time.Now()):
			l.metrics.lettersLost.Inc()
		default:
			failed = append(failed, letters[i])
		}
	}
	if len(failed) == 0 {
		return nil, again, nil
	}
	return failed, again, err
}

// refusalGrace is how long a refusal is taken for a passing one: a broker that starts does not know its topics yet, and
// what one such answer said is believed for as long as metadata is kept (10 s), so that it has to be asked twice more.
// After a minute without a refusal the next one is taken for the first again.
const (
	refusalGrace  = 25 * time.Second
	refusalMemory = time.Minute
)

// givenUp notes a refusal and tells whether the broker has refused for so long that it means it. That is remembered from
// range to range, since a partition must not wait for each range with a bad record.
func (l *letterbox) givenUp(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused.IsZero() || now.Sub(l.lastRefused) > refusalMemory {
		l.refused = now
	}
	l.lastRefused = now
	return now.Sub(l.refused) > refusalGrace
}

func refused(err error) bool {
	return errors.Is(err, kafka.UnknownTopicOrPartition) || errors.Is(err, kafka.TopicAuthorizationFailed) || errors.Is(err, kafka.InvalidTopic)
}

func tooLarge(err error) bool {
	var ours kafka.MessageTooLargeError // nothing of the call was sent
	return errors.Is(err, kafka.MessageSizeTooLarge) || errors.As(err, &ours)
}
