package ingest

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"ioc.local/internal/cluster"
)

// BenchmarkFetch reads records of about 600 bytes in batches of 1,000, by kafka-go's batch reader, as earlier versions
// did, and by the fetcher. The broker is in the same process and answers from one batch, so that the processor time is
// about that of reading.
func BenchmarkFetch(b *testing.B) {
	text := strings.Repeat(`"province_code":"79","admin_scheme":"gso34","relying_party":"H29",`, 9)
	for _, codec := range []struct {
		name string
		id   int16
	}{{"none", codecNone}, {"lz4", codecLZ4}} {
		batch := logBatch{deltas: deltas(1000), lastDelta: 999, codec: codec.id, payload: func(offset int64) []byte {
			return fmt.Appendf(nil, `{"id":"auth-%d",%s"n":%d}`, offset, text, offset*7919)
		}}.bytes(b)
		brokers := startBrokers(b, kfake.NumBrokers(1), kfake.SyntheticFetch(kfake.SyntheticBatch{Batch: batch}))
		b.Run(codec.name+"/kafka-go", func(b *testing.B) {
			conn, err := kafka.DialLeader(b.Context(), "tcp", brokers.ListenAddrs()[0], "t", 0)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			measure(b, func(from int64) (next int64) {
				if _, err := conn.Seek(from, kafka.SeekAbsolute|kafka.SeekDontCheck); err != nil {
					b.Fatal(err)
				}
				read := conn.ReadBatchWith(kafka.ReadBatchConfig{MinBytes: 1, MaxBytes: fetchBytes, MaxWait: time.Second, IsolationLevel: kafka.ReadCommitted})
				for {
					message, err := read.ReadMessage()
					if err != nil {
						_ = read.Close()
						return from
					}
					from = message.Offset + 1
				}
			})
		})
		b.Run(codec.name+"/ioc", func(b *testing.B) {
			f := newFetcher(brokers.open(0, cluster.Deps{}), 0, nil)
			measure(b, func(int64) (next int64) {
				for from := f.position(); f.position() < from+10_000; {
					if _, err := f.read(b.Context(), time.Second); err != nil {
						b.Fatal(err)
					}
				}
				return f.position()
			})
		})
	}
}

// measure reads, some thousands of records at a time.
func measure(b *testing.B, read func(from int64) (next int64)) {
	b.ReportAllocs()
	before := processorTime(b)
	at := int64(0)
	for b.Loop() {
		at = read(at)
	}
	b.ReportMetric(float64(at)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric((processorTime(b)-before).Seconds()/float64(at)*1e6, "cpu-s/M")
}

func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
