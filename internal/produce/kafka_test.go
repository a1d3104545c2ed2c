package produce_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"ioc.local/internal/broker/brokertest"
	"ioc.local/internal/cluster"
	"ioc.local/internal/produce"
)

func producer(t *testing.T, addr string) *produce.Kafka {
	t.Helper()
	to, err := cluster.New(cluster.Config{Brokers: []string{addr}}, cluster.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	k, err := produce.NewKafka(produce.KafkaDeps{Cluster: to, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// read gives all records of a partition.
func read(t *testing.T, addr, topic string, partition int) []kafka.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := kafka.DialLeader(ctx, "tcp", addr, topic, partition)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	end, err := conn.ReadLastOffset()
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	var records []kafka.Message
	for int64(len(records)) < end {
		if _, err := conn.Seek(int64(len(records)), kafka.SeekAbsolute); err != nil {
			t.Fatal(err)
		}
		batch := conn.ReadBatch(1, 4<<20)
		for {
			m, err := batch.ReadMessage()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("record %d of %d of %s/%d: %v", len(records), end, topic, partition, err)
			}
			records = append(records, m)
		}
		batch.Close()
	}
	return records
}

func TestKafkaWrite(t *testing.T) {
	addr := brokertest.Start(t, map[string]int{"a": 4, "b": 1})
	k := producer(t, addr)
	var messages []produce.Message
	want := map[string][]string{} // values by key, in order
	for i := range 5000 {
		key := fmt.Sprintf("d-%d", i%300)
		value := fmt.Sprintf("event %d", i)
		messages = append(messages, produce.Message{Topic: "a", Key: []byte(key), Value: []byte(value)})
		want[key] = append(want[key], value)
	}
	messages = append(messages, produce.Message{Topic: "b", Value: []byte("without a key")})
	for _, half := range [][]produce.Message{messages[:2000], messages[2000:]} {
		if err := k.Write(t.Context(), half); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string][]string{}
	for partition := range 4 {
		for _, m := range read(t, addr, "a", partition) {
			// The partitioner of the Java client, from its published definition.
			if p := murmur2(m.Key) & 0x7fffffff % 4; int(p) != partition {
				t.Fatalf("key %s is in partition %d, Java puts it in %d", m.Key, partition, p)
			}
			if age := time.Since(m.Time); age < -time.Minute || age > time.Minute {
				t.Fatalf("record time is %v", m.Time)
			}
			got[string(m.Key)] = append(got[string(m.Key)], string(m.Value))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records differ (-written +read):\n%s", diff)
	}
	if b := read(t, addr, "b", 0); len(b) != 1 || len(b[0].Key) != 0 {
		t.Errorf("topic b has %v", b)
	}
}

// murmur2 is the hash of Kafka's Java client (org.apache.kafka.common.utils.Utils).
func murmur2(data []byte) uint32 {
	const m, r = 0x5bd1e995, 24
	h := 0x9747b28c ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h = h*m ^ k
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(data[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}

func TestKafkaErrors(t *testing.T) {
	if _, err := produce.NewKafka(produce.KafkaDeps{Logger: zap.NewNop()}); err == nil {
		t.Error("no cluster gave no error")
	}
	addr := brokertest.Start(t, map[string]int{"a": 1})
	k := producer(t, addr)
	err := k.Write(t.Context(), []produce.Message{{Topic: "none", Value: []byte("x")}})
	if !errors.Is(err, kafka.UnknownTopicOrPartition) {
		t.Errorf("an unknown topic gave %v", err)
	}
	err = k.Write(t.Context(), []produce.Message{{Topic: "a", Value: make([]byte, 2<<20)}})
	if err == nil || !strings.Contains(err.Error(), "2097152 bytes") {
		t.Errorf("too large a message gave %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.Write(ctx, []produce.Message{{Topic: "a", Value: []byte("x")}}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled write gave %v", err)
	}
}

// TestKafkaBrokerIsDown has nobody on the port.
func TestKafkaBrokerIsDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	err = producer(t, addr).Write(t.Context(), []produce.Message{{Topic: "a", Value: []byte("x")}})
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("error is %v", err)
	}
}

// TestKafkaBrokerRestarts stops the broker between two writes and starts it again at its address.
func TestKafkaBrokerRestarts(t *testing.T) {
	dir := t.TempDir()
	addr, stop := brokertest.StartAt(t, "127.0.0.1:0", dir, map[string]int{"a": 1})
	k := producer(t, addr)
	if err := k.Write(t.Context(), []produce.Message{{Topic: "a", Value: []byte("1")}}); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := k.Write(t.Context(), []produce.Message{{Topic: "a", Value: []byte("2")}}); err == nil {
		t.Error("a write without a broker gave no error")
	}
	brokertest.StartAt(t, addr, dir, map[string]int{"a": 1})
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := k.Write(t.Context(), []produce.Message{{Topic: "a", Value: []byte("3")}})
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	records := read(t, addr, "a", 0)
	if n := len(records); n != 2 || string(records[0].Value) != "1" || string(records[1].Value) != "3" {
		t.Errorf("%d records", n)
	}
}

// TestFileToKafka is `ioc ingest-file` with a real broker, with lines of every size that can be produced.
func TestFileToKafka(t *testing.T) {
	addr := brokertest.Start(t, map[string]int{produce.TopicDossier: 3, produce.TopicProgramme: 1})
	var in bytes.Buffer
	in.WriteString("\ufeff")
	for i := range 12_000 {
		fmt.Fprintf(&in, `{"type":"vn.da06.dossier.status.v1","subject":"d-%d"}`+"\r\n", i)
	}
	in.WriteString("not json\n")
	large := `{"subject":"large","x":"` + strings.Repeat("x", mib-1024-len(`{"subject":"large","x":""}large`)) + `"}`
	in.WriteString(large)
	s, err := produce.File(t.Context(), "-", produce.FileOptions{}, produce.FileDeps{Sink: producer(t, addr).Write, Stdin: &in})
	if !errors.Is(err, produce.ErrBadLines) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int64{produce.TopicDossier: 12_000, produce.TopicProgramme: 1}, s.Produced); diff != "" {
		t.Errorf("produced (-want +got):\n%s", diff)
	}
	seen := map[string]bool{}
	for partition := range 3 {
		for _, m := range read(t, addr, produce.TopicDossier, partition) {
			if want := fmt.Sprintf(`{"type":"vn.da06.dossier.status.v1","subject":"%s"}`, m.Key); string(m.Value) != want {
				t.Fatalf("record is %q, want %q", m.Value, want)
			}
			seen[string(m.Key)] = true
		}
	}
	if len(seen) != 12_000 {
		t.Errorf("%d different records, want 12000", len(seen))
	}
	if m := read(t, addr, produce.TopicProgramme, 0); len(m) != 1 || string(m[0].Value) != large {
		t.Errorf("%d records in the programme topic", len(m))
	}
}
