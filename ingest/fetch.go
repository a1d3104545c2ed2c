package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	fetchMaxBytes = 8 << 20
	// networkSlack is what a fetch may take on top of the wait that the broker was asked for.
	networkSlack = 10 * time.Second
)

// fetcher reads the records of one partition in offset order with kafka-go's batch reader. It reads
// message by message because the headers, which tell the content mode, come in no cheaper way.
type fetcher struct {
	dialer    *kafka.Dialer
	brokers   []string
	topic     string
	partition int

	next  int64 // offset wanted next
	end   int64 // end of the log as of the last fetch
	conn  *kafka.Conn
	batch *kafka.Batch
	held  *kafka.Message
	stop  func() bool
	// seen is told the end of the log after each fetch.
	seen func(end int64)
}

// read returns the next record, or nothing when none arrived within wait. After an error the next call
// connects again.
func (f *fetcher) read(ctx context.Context, wait time.Duration) (kafka.Message, bool, error) {
	if f.held != nil {
		message := *f.held
		f.held = nil
		return message, true, nil
	}
	if f.batch == nil {
		if err := f.fetch(ctx, wait); err != nil {
			f.close()
			return kafka.Message{}, false, err
		}
	}
	message, err := f.batch.ReadMessage()
	if err == nil {
		f.next = message.Offset + 1
		return message, true, nil
	}
	if skipped := f.batch.Offset(); skipped > f.next && errors.Is(err, io.EOF) {
		f.next = skipped // the log ends its batch with offsets that hold no record
	}
	closed := f.batch.Close()
	f.batch = nil
	if errors.Is(err, io.EOF) || errors.Is(err, kafka.RequestTimedOut) {
		if closed == nil || errors.Is(closed, io.EOF) || errors.Is(closed, kafka.RequestTimedOut) {
			return kafka.Message{}, false, nil
		}
		err = closed
	}
	f.close()
	return kafka.Message{}, false, fmt.Errorf("reading %s/%d at %d: %w", f.topic, f.partition, f.next, err)
}

// unread puts a record back; the next read returns it.
func (f *fetcher) unread(message kafka.Message) { f.held = &message }

func (f *fetcher) fetch(ctx context.Context, wait time.Duration) error {
	if f.conn == nil {
		if err := f.connect(ctx); err != nil {
			return err
		}
	}
	if err := f.conn.SetReadDeadline(time.Now().Add(wait + networkSlack)); err != nil {
		return fmt.Errorf("reading %s/%d: %w", f.topic, f.partition, err)
	}
	if _, err := f.conn.Seek(f.next, kafka.SeekAbsolute|kafka.SeekDontCheck); err != nil {
		return fmt.Errorf("seeking %s/%d to %d: %w", f.topic, f.partition, f.next, err)
	}
	f.batch = f.conn.ReadBatchWith(kafka.ReadBatchConfig{
		MinBytes: 1, MaxBytes: fetchMaxBytes, MaxWait: wait, IsolationLevel: kafka.ReadCommitted,
	})
	if err := f.batch.Err(); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, kafka.RequestTimedOut) {
		return fmt.Errorf("fetching %s/%d at %d: %w", f.topic, f.partition, f.next, err)
	}
	f.end = f.batch.HighWaterMark()
	if f.seen != nil {
		f.seen(f.end)
	}
	return nil
}

func (f *fetcher) connect(ctx context.Context) error {
	var errs []error
	for _, broker := range f.brokers {
		dialCtx, cancel := context.WithTimeout(ctx, networkSlack)
		conn, err := f.dialer.DialLeader(dialCtx, "tcp", broker, f.topic, f.partition)
		cancel()
		if err == nil {
			f.conn = conn
			// A read must not outlive ctx: the generation waits for its readers.
			f.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("connecting to the leader of %s/%d: %w", f.topic, f.partition, errors.Join(errs...))
}

// close drops the connection; a later read connects again.
func (f *fetcher) close() {
	if f.batch != nil {
		_ = f.batch.Close()
		f.batch = nil
	}
	if f.conn != nil {
		f.stop()
		_ = f.conn.Close()
		f.conn = nil
	}
}
