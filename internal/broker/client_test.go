package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"

	"ioc.local/internal/broker/brokertest"
	"ioc.local/internal/broker/kafkatest"
)

const (
	topic      = "ioc.test.v1"
	group      = "ioc-test"
	partitions = 2
)

// user is kafka-go as ingestion uses it: against one address, nothing pooled
// beyond the test.
type user struct {
	t         *testing.T
	ctx       context.Context
	addr      string
	transport *kafka.Transport
	client    *kafka.Client
}

func newUser(t *testing.T, addr string) *user {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	transport := &kafka.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &user{t: t, ctx: ctx, addr: addr, transport: transport, client: &kafka.Client{Addr: kafka.TCP(addr), Transport: transport}}
}

// writer returns a writer to one partition.
func (u *user) writer(partition int) *kafka.Writer {
	return &kafka.Writer{
		Addr: kafka.TCP(u.addr), Topic: topic, Transport: u.transport, RequiredAcks: kafka.RequireAll,
		BatchTimeout: time.Millisecond,
		Balancer:     kafka.BalancerFunc(func(kafka.Message, ...int) int { return partition }),
	}
}

func message(value string) kafka.Message {
	return kafka.Message{
		Key: []byte("key"), Value: []byte(value),
		Headers: []kafka.Header{{Key: "content-type", Value: []byte("application/cloudevents+json")}},
	}
}

// produce writes n records to one partition and returns the values.
func (u *user) produce(partition, n int) []string {
	u.t.Helper()
	values := make([]string, n)
	messages := make([]kafka.Message, n)
	for i := range messages {
		values[i] = fmt.Sprintf("event %d of partition %d", i, partition)
		messages[i] = message(values[i])
	}
	w := u.writer(partition)
	if err := errors.Join(w.WriteMessages(u.ctx, messages...), w.Close()); err != nil {
		u.t.Fatalf("producing: %v", err)
	}
	return values
}

// read returns the values of n records from an offset on, and checks the
// offsets and headers on the way.
func (u *user) read(partition int, from int64, n int) []string {
	u.t.Helper()
	conn, err := kafka.DialLeader(u.ctx, "tcp", u.addr, topic, partition)
	if err != nil {
		u.t.Fatalf("dialling: %v", err)
	}
	defer conn.Close()
	if _, err := conn.Seek(from, kafka.SeekAbsolute); err != nil {
		u.t.Fatalf("seeking: %v", err)
	}
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	values := make([]string, 0, n)
	for len(values) < n {
		batch := conn.ReadBatch(1, 1<<20)
		for len(values) < n {
			m, err := batch.ReadMessage()
			if err != nil {
				break // the end of this batch; what else it may be, Close says
			}
			if want := from + int64(len(values)); m.Offset != want {
				u.t.Fatalf("offset is %d, want %d", m.Offset, want)
			}
			if len(m.Headers) != 1 || m.Headers[0].Key != "content-type" {
				u.t.Fatalf("headers are %v", m.Headers)
			}
			values = append(values, string(m.Value))
		}
		if err := batch.Close(); err != nil {
			u.t.Fatalf("reading record %d of %d: %v", len(values), n, err)
		}
	}
	return values
}

func (u *user) join() *kafka.ConsumerGroup {
	u.t.Helper()
	g, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: group, Brokers: []string{u.addr}, Topics: []string{topic},
		HeartbeatInterval: 100 * time.Millisecond, RebalanceTimeout: 5 * time.Second,
		JoinGroupBackoff: 100 * time.Millisecond,
		SessionTimeout:   6 * time.Second,
	})
	if err != nil {
		u.t.Fatalf("making the consumer group: %v", err)
	}
	return g
}

func (u *user) next(g *kafka.ConsumerGroup) *kafka.Generation {
	u.t.Helper()
	gen, err := g.Next(u.ctx)
	if err != nil {
		u.t.Fatalf("joining: %v", err)
	}
	return gen
}

// commit returns the error of the partition, or of the request.
func (u *user) commit(gen *kafka.Generation, partition int, offset int64, metadata string) error {
	u.t.Helper()
	res, err := u.client.OffsetCommit(u.ctx, &kafka.OffsetCommitRequest{
		GroupID: group, GenerationID: int(gen.ID), MemberID: gen.MemberID,
		Topics: map[string][]kafka.OffsetCommit{topic: {{Partition: partition, Offset: offset, Metadata: metadata}}},
	})
	if err != nil {
		return err
	}
	return res.Topics[topic][0].Error
}

type committed struct {
	Offset   int64
	Metadata string
}

func (u *user) committed(partition int) committed {
	u.t.Helper()
	res, err := u.client.OffsetFetch(u.ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: {partition}}})
	if err == nil {
		err = errors.Join(res.Error, res.Topics[topic][0].Error)
	}
	if err != nil {
		u.t.Fatalf("fetching offsets: %v", err)
	}
	p := res.Topics[topic][0]
	return committed{p.CommittedOffset, p.Metadata}
}

// TestClientEmbedded shows that kafka-go can do with the embedded broker all
// that ingestion asks for.
func TestClientEmbedded(t *testing.T) {
	checkLeaks(t)
	testClient(t, brokertest.Start(t, map[string]int{topic: partitions}))
}

// TestClientRealKafka is the same against Apache Kafka.
func TestClientRealKafka(t *testing.T) {
	checkLeaks(t)
	testClient(t, kafkatest.Start(t, map[string]int{topic: partitions}))
}

func testClient(t *testing.T, addr string) {
	u := newUser(t, addr)
	want := u.produce(0, 100)
	if diff := cmp.Diff(want, u.read(0, 0, 100)); diff != "" {
		t.Errorf("records differ (-produced +read):\n%s", diff)
	}
	if diff := cmp.Diff(want[40:50], u.read(0, 40, 10)); diff != "" {
		t.Errorf("records from offset 40 differ (-produced +read):\n%s", diff)
	}

	first := u.join()
	defer first.Close()
	gen := u.next(first)
	if n := len(gen.Assignments[topic]); n != partitions {
		t.Fatalf("the only member has %d partitions, want %d", n, partitions)
	}
	if diff := cmp.Diff(committed{-1, ""}, u.committed(0)); diff != "" {
		t.Errorf("before the first commit (-want +got):\n%s", diff)
	}
	const metadata = `{"last":149,"token":"ioc.test.v1/0/100-149","clock":"2026-01-06T00:00:00Z"}`
	if err := u.commit(gen, 0, 100, metadata); err != nil {
		t.Fatalf("committing: %v", err)
	}
	if diff := cmp.Diff(committed{100, metadata}, u.committed(0)); diff != "" {
		t.Errorf("committed (-want +got):\n%s", diff)
	}

	// A second member takes a partition; what the first one commits with the old
	// generation must be refused, or two writers could own one partition.
	second := u.join()
	defer second.Close()
	secondGen, firstGen := u.nextOfBoth(second, first)
	if n, m := len(secondGen.Assignments[topic]), len(firstGen.Assignments[topic]); n != 1 || m != 1 {
		t.Fatalf("the members have %d and %d partitions, want 1 and 1", n, m)
	}
	if err := u.commit(gen, 0, 200, "stale"); !errors.Is(err, kafka.IllegalGeneration) {
		t.Errorf("a commit with the old generation gave %v, want %v", err, kafka.IllegalGeneration)
	}
	stranger := &kafka.Generation{ID: firstGen.ID, MemberID: "nobody"}
	if err := u.commit(stranger, 0, 200, "stranger"); !errors.Is(err, kafka.UnknownMemberId) {
		t.Errorf("a commit of no member gave %v, want %v", err, kafka.UnknownMemberId)
	}
	if diff := cmp.Diff(committed{100, metadata}, u.committed(0)); diff != "" {
		t.Errorf("after the refused commits (-want +got):\n%s", diff)
	}
	for _, g := range []*kafka.Generation{firstGen, secondGen} {
		if err := u.commit(g, g.Assignments[topic][0].ID, 101, "new"); err != nil {
			t.Errorf("committing with the new generation: %v", err)
		}
	}
}

// nextOfBoth waits until both members are in the same generation: whether one
// of them sees a generation of its own before depends on who joins when.
func (u *user) nextOfBoth(a, b *kafka.ConsumerGroup) (genA, genB *kafka.Generation) {
	u.t.Helper()
	genA, genB = u.next(a), u.next(b)
	for genA.ID != genB.ID {
		if genA.ID < genB.ID {
			genA = u.next(a)
		} else {
			genB = u.next(b)
		}
	}
	return genA, genB
}
