package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"go.uber.org/goleak"

	"ioc.local/ingest/event"
	"ioc.local/internal/cluster"
	"ioc.local/internal/reference"
)

// brokers are kfake's, whose answers a test can change.
type brokers struct {
	testing.TB
	*kfake.Cluster
	client *kgo.Client
}

func startBrokers(t testing.TB, options ...kfake.Opt) *brokers {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	b, err := kfake.NewCluster(append(options, kfake.SeedTopics(2, "t"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	all := &brokers{t, b, nil}
	all.connect()
	return all
}

// connect makes a client to produce with.
func (b *brokers) connect() {
	b.Helper()
	var err error
	b.client, err = kgo.NewClient(kgo.SeedBrokers(b.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(20<<20),
		kgo.ProducerLinger(0))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(b.client.Close)
}

// produce appends n records of the given size to partition 0, each in a batch of its own.
func (b *brokers) produce(n, size int) {
	b.Helper()
	for range n {
		if err := b.client.ProduceSync(b.Context(), &kgo.Record{Topic: "t", Value: make([]byte, size)}).FirstErr(); err != nil {
			b.Fatal(err)
		}
	}
}

func (b *brokers) open(partition int, deps cluster.Deps) *partitionLog {
	b.Helper()
	c, err := cluster.New(cluster.Config{Brokers: b.ListenAddrs()}, deps)
	if err != nil {
		b.Fatal(err)
	}
	log, err := openLog(c, "t", partition)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(log.close)
	if log.id, err = log.lookup(b.Context()); err != nil {
		b.Fatal(err)
	}
	return log
}

// expect reads until the given offset has come, which has to be the next record.
func expect(t testing.TB, f *fetcher, offset int64) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		record, err := f.read(t.Context(), 100*time.Millisecond)
		switch {
		case err != nil:
			t.Fatal(err)
		case record != nil && record.Offset != offset:
			t.Fatalf("offset %d came, want %d", record.Offset, offset)
		case record != nil:
			return
		case time.Now().After(deadline):
			t.Fatalf("offset %d does not come", offset)
		}
	}
}

// answer makes the brokers answer fetches with what the function makes of the real partition's answer, while it is not
// nil.
func (b *brokers) answer(change func(p *kmsg.FetchResponseTopicPartition) bool) {
	b.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		asked := request.(*kmsg.FetchRequest)
		response := asked.ResponseKind().(*kmsg.FetchResponse)
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.TopicID = asked.Topics[0].Topic, asked.Topics[0].TopicID
		p := kmsg.NewFetchResponseTopicPartition()
		p.Partition, p.HighWatermark = asked.Topics[0].Partitions[0].Partition, 100
		if !change(&p) {
			return nil, nil, false
		}
		topic.Partitions = append(topic.Partitions, p)
		response.Topics = append(response.Topics, topic)
		return response, nil, true
	})
}

// TestLeaderMoves reads on when the partition gets another leader, and when brokers do not know yet which.
func TestLeaderMoves(t *testing.T) {
	b := startBrokers(t, kfake.NumBrokers(3))
	f := newFetcher(b.open(0, cluster.Deps{}), 0, nil)
	b.produce(1, 10)
	expect(t, f, 0)
	for n := range int64(3) {
		if err := b.MoveTopicPartition("t", 0, (b.LeaderFor("t", 0)+1)%3); err != nil {
			t.Fatal(err)
		}
		b.produce(1, 10)
		expect(t, f, n+1)
	}
	for _, code := range []*kerr.Error{kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.UnknownTopicID, kerr.KafkaStorageError, kerr.ReplicaNotAvailable, kerr.OffsetNotAvailable} {
		faults := b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: code, Count: 2})
		b.produce(1, 10)
		expect(t, f, f.position())
		if faults.Hits() != 2 {
			t.Errorf("%v was met %d times", code, faults.Hits())
		}
	}
}

// TestLeaderStaysAway gives up on a leader that nobody knows, so that the partition is told to be in trouble.
func TestLeaderStaysAway(t *testing.T) {
	b := startBrokers(t)
	f := newFetcher(b.open(0, cluster.Deps{}), 0, nil)
	b.produce(1, 10)
	expect(t, f, 0)
	b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.NotLeaderForPartition, Count: -1})
	started := time.Now()
	for {
		_, err := f.read(t.Context(), 10*time.Millisecond)
		if errors.Is(err, kerr.NotLeaderForPartition) {
			break
		}
		if err != nil || time.Since(started) > 4*movePatience {
			t.Fatalf("after %s: %v", time.Since(started), err)
		}
	}
	if waited := time.Since(started); waited < movePatience/2 {
		t.Errorf("it was given up after %s", waited)
	}
}

// TestRecreatedTopicOutgrown: the new log has the offset too, with another record.
func TestRecreatedTopicOutgrown(t *testing.T) {
	b := startBrokers(t)
	f := newFetcher(b.open(0, cluster.Deps{}), 0, nil)
	b.produce(1, 10)
	expect(t, f, 0)
	b.recreate()
	b.produce(5, 20)
	for {
		record, err := f.read(t.Context(), 10*time.Millisecond)
		var stop *StoppedError
		if errors.As(err, &stop) && strings.Contains(err.Error(), "recreated while it was read") {
			return
		}
		if err != nil || record != nil {
			t.Fatalf("got %v, %v", record, err)
		}
	}
}

func (b *brokers) recreate() {
	b.Helper()
	drop := kmsg.NewPtrDeleteTopicsRequest()
	name := "t"
	drop.Topics = append(drop.Topics, kmsg.DeleteTopicsRequestTopic{Topic: &name})
	drop.TopicNames = []string{name}
	if _, err := drop.RequestWith(b.Context(), b.client); err != nil {
		b.Fatal(err)
	}
	create := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 2, 1
	create.Topics = append(create.Topics, topic)
	answer, err := create.RequestWith(b.Context(), b.client)
	if err == nil {
		err = kerr.ErrorForCode(answer.Topics[0].ErrorCode)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.connect() // what the old client knows of the topic is no use
}

// TestOlderBrokers reads from brokers that know no topic ids, and refuses those that know no transactions.
func TestOlderBrokers(t *testing.T) {
	for name, test := range map[string]struct {
		versions *kversion.Versions
		byID     bool
	}{"2.7": {kversion.V2_7_0(), false}, "2.8": {kversion.V2_8_0(), false}, "3.1": {kversion.V3_1_0(), true}, "4.0": {kversion.V4_0_0(), true}} {
		t.Run(name, func(t *testing.T) {
			b := startBrokers(t, kfake.MaxVersions(test.versions))
			f := newFetcher(b.open(0, cluster.Deps{}), 0, nil)
			b.produce(2, 10)
			expect(t, f, 0)
			expect(t, f, 1)
			if f.byID != test.byID {
				t.Errorf("the topic's id was compared: %t", f.byID)
			}
		})
	}
}

// TestPartitionsDoNotWaitForOneAnother: while one partition of a broker waits for a record, another is read.
func TestPartitionsDoNotWaitForOneAnother(t *testing.T) {
	b := startBrokers(t, kfake.NumBrokers(1))
	waiting, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	idle := newFetcher(b.open(1, cluster.Deps{}), 0, nil)
	observed := b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Partitions: []int32{1}, Observe: true, Count: -1})
	go func() { defer close(done); _, _ = idle.read(waiting, time.Minute) }()
	defer func() { cancel(); <-done }()
	for deadline := time.Now().Add(20 * time.Second); observed.Hits() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the broker is not asked")
		}
	}
	f := newFetcher(b.open(0, cluster.Deps{}), 0, nil)
	started := time.Now()
	for n := range int64(20) {
		b.produce(1, 10)
		expect(t, f, n)
	}
	if took := time.Since(started); took > 30*time.Second {
		t.Errorf("20 records took %s", took)
	}
	select {
	case <-done:
		t.Error("the idle partition did not wait")
	default:
	}
}

// TestReadEndsWithItsContext: neither a broker that waits for records nor one that is silent holds up the end.
func TestReadEndsWithItsContext(t *testing.T) {
	b := startBrokers(t)
	for name, mute := range map[string]bool{"waiting": false, "silent": true} {
		t.Run(name, func(t *testing.T) {
			silent := make(chan struct{})
			dial := func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, address)
				return &mutedConn{conn, silent}, err
			}
			f := newFetcher(b.open(0, cluster.Deps{Dial: dial}), 0, nil)
			if _, err := f.read(t.Context(), time.Millisecond); err != nil {
				t.Fatal(err)
			}
			if mute {
				close(silent)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			started := time.Now()
			if record, _ := f.read(ctx, time.Minute); record != nil {
				t.Error("a record was read")
			}
			if took := time.Since(started); took > 5*time.Second {
				t.Errorf("the read ended %s after its context", took)
			}
		})
	}
}

// mutedConn reads nothing any more once silent is closed.
type mutedConn struct {
	net.Conn
	silent chan struct{}
}

func (c *mutedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	select {
	case <-c.silent:
		for err == nil {
			_, err = c.Conn.Read(p)
		}
		return 0, err
	default:
		return n, err
	}
}

// TestCorruptBatch is loud, skips nothing, and goes on by itself once the broker has a good copy.
func TestCorruptBatch(t *testing.T) {
	old := batchOf(1, 2, codecNone).bytes(t)
	old[batchMagicAt] = 1
	for name, test := range map[string]struct {
		batches []byte
		want    string
	}{
		"corrupt":    {flip(batchOf(1, 3, codecLZ4).bytes(t), 70), "cannot be read at offset 1: the batch is corrupt, its checksum is not "},
		"old format": {old, "cannot be read at offset 1: the log has messages of format 1"},
		"cut off":    {batchOf(1, 3, codecNone).bytes(t)[:80], "80 bytes has no whole batch with this offset"},
		"behind":     {batchOf(0, 1, codecNone).bytes(t), "has no whole batch with this offset"},
	} {
		t.Run(name, func(t *testing.T) {
			b := startBrokers(t)
			f := newFetcher(b.open(0, cluster.Deps{}), 0, nil)
			b.produce(4, 10)
			asked := 0
			var bad atomic.Bool
			bad.Store(true)
			b.answer(func(p *kmsg.FetchResponseTopicPartition) bool {
				if p.RecordBatches = test.batches; asked == 0 {
					p.RecordBatches = batchOf(0, 1, codecNone).bytes(t)
				}
				asked++
				return bad.Load()
			})
			expect(t, f, 0)
			for range 3 {
				record, err := f.read(t.Context(), time.Millisecond)
				if record != nil {
					t.Fatalf("offset %d was read", record.Offset)
				}
				if err == nil {
					continue
				}
				var stop *StoppedError
				if !errors.As(err, &stop) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "ioc topics adopt t --partition 0 --from ") {
					t.Fatalf("got %v, want %q", err, test.want)
				}
			}
			bad.Store(false)
			for n := range int64(3) {
				expect(t, f, n+1)
			}
		})
	}
}

func flip(b []byte, at int) []byte { b[at] ^= 1; return b }

// TestOutOfRange is an error that is not waited for: whoever reads looks at the log anew.
func TestOutOfRange(t *testing.T) {
	b := startBrokers(t)
	b.produce(3, 10)
	if _, err := newFetcher(b.open(0, cluster.Deps{}), 50, nil).read(t.Context(), time.Millisecond); !errors.Is(err, kerr.OffsetOutOfRange) {
		t.Errorf("beyond the end: %v", err)
	}
	b.answer(func(p *kmsg.FetchResponseTopicPartition) bool {
		p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = 4, 2
		return true
	})
	if _, err := newFetcher(b.open(0, cluster.Deps{}), 3, nil).read(t.Context(), time.Millisecond); err == nil || !strings.Contains(err.Error(), "cut back to 2") {
		t.Errorf("diverging: %v", err)
	}
}

// TestLargeBatches reads batches that are larger than what is asked for at once.
func TestLargeBatches(t *testing.T) {
	b := startBrokers(t, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "20000000"}))
	f := newFetcher(b.open(0, cluster.Deps{}), 0, nil)
	for n, size := range []int{10, 5 << 20, fetchBytes + 1<<20, 10, 5 << 20, 5 << 20, 10} {
		b.produce(1, size)
		defer func() {
			expect(t, f, f.position())
			if len(f.last.Value) == 0 {
				t.Errorf("record %d is empty", n)
			}
		}()
	}
}

// TestAnswerIsCutOff reads on where a broker ends an answer within a batch, as Kafka does at the size asked for.
func TestAnswerIsCutOff(t *testing.T) {
	brokers := startBrokers(t, kfake.NumBrokers(1))
	answers := 0
	brokers.answer(func(p *kmsg.FetchResponseTopicPartition) bool {
		whole, next := batchOf(0, 3, codecNone).bytes(t), batchOf(3, 3, codecNone).bytes(t)
		if answers++; answers == 1 {
			p.RecordBatches = append(whole, next[:80]...)
		} else {
			p.RecordBatches = next
		}
		return true
	})
	f := newFetcher(brokers.open(0, cluster.Deps{}), 0, nil)
	for want := int64(0); want < 6; {
		record, err := f.read(t.Context(), time.Second)
		if err != nil {
			t.Fatalf("at %d: %v", want, err)
		}
		if record == nil { // the end of the answer
			continue
		}
		if record.Offset != want {
			t.Fatalf("read %d, want %d", record.Offset, want)
		}
		want++
	}
}

// TestMarkIsOfTheLastRecord, whatever memory it was in, as earlier versions computed it.
func TestMarkIsOfTheLastRecord(t *testing.T) {
	b := startBrokers(t)
	f := newFetcher(b.open(0, cluster.Deps{}), 0, nil)
	if f.lastMark() != nil {
		t.Error("there is a mark before the first record")
	}
	stamp := time.UnixMilli(1_763_700_000_000)
	for n, content := range []string{"0v0", "1v1"} {
		want := Mark{int64(n), stamp.UnixMilli(), crc32.Checksum([]byte(content), crc32.MakeTable(crc32.Castagnoli))}
		err := b.client.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Key: fmt.Append(nil, n), Value: fmt.Appendf(nil, "v%d", n), Timestamp: stamp}).FirstErr()
		if err != nil {
			t.Fatal(err)
		}
		expect(t, f, int64(n))
		loaded := *f.lastMark()
		if _, err := f.read(t.Context(), time.Millisecond); err != nil { // nothing; the record's memory is given up
			t.Fatal(err)
		}
		if f.last != nil || *f.lastMark() != loaded {
			t.Errorf("the mark was %v and is %v", loaded, f.lastMark())
		}
		if loaded != want {
			t.Errorf("the mark is %+v, want %+v", loaded, want)
		}
	}
}

// TestReadAllocatesNothing reads on within a response.
func TestReadAllocatesNothing(t *testing.T) {
	b := startBrokers(t)
	b.answer(func(p *kmsg.FetchResponseTopicPartition) bool {
		p.RecordBatches = batchOf(0, 3000, codecNone).bytes(t)
		return true
	})
	f := newFetcher(b.open(0, cluster.Deps{}), 0, nil)
	expect(t, f, 0)
	if n := testing.AllocsPerRun(2500, func() {
		if record, err := f.read(t.Context(), 0); record == nil || err != nil {
			t.Fatal(record, err)
		}
	}); n > 0 {
		t.Errorf("%g allocations for each record", n)
	}
}

// TestMarkBeforeAMalformedRecord: the range ends with the record before one that cannot be read, and so does its mark.
func TestMarkBeforeAMalformedRecord(t *testing.T) {
	whole := batchOf(0, 3, codecNone).bytes(t)
	last := newRecords(0)
	last.load(&kmsg.FetchResponseTopicPartition{RecordBatches: whole})
	var want *Mark
	for range 2 {
		record, err := last.next()
		if err != nil {
			t.Fatal(err)
		}
		want = markOf(record, last.stamp)
	}
	broken := bytes.Clone(whole)
	broken[len(broken)-2] = 4 // the last header's value is two bytes long, of one
	sum(broken)
	b := startBrokers(t, kfake.NumBrokers(1))
	b.answer(func(p *kmsg.FetchResponseTopicPartition) bool {
		p.RecordBatches = broken
		return true
	})
	f := newFetcher(b.open(0, cluster.Deps{}), 0, nil)
	expect(t, f, 0)
	expect(t, f, 1)
	record, err := f.read(t.Context(), time.Second)
	var stop *StoppedError
	if record != nil || !errors.As(err, &stop) || !strings.Contains(err.Error(), "offset 2") {
		t.Fatalf("%v, %v", record, err)
	}
	if got := f.lastMark(); got == nil || *got != *want {
		t.Errorf("the mark is %+v, want %+v", got, want)
	}
}

// TestRangesAreCounted: a recorded range says how many records it holds, and is not formed of fewer.
func TestRangesAreCounted(t *testing.T) {
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := startBrokers(t, kfake.NumBrokers(1))
	b.produce(5, 10)
	cuts := func() *cutter {
		c := newCutter(DefaultConfig(), newFetcher(b.open(0, cluster.Deps{}), 0, nil), event.NewDecoder(data, event.Options{Identity: event.NewIdentityHash()}), newIdentities(10), "t")
		c.judge = func(int64) (int64, error) { return time.Now().UnixMilli(), nil }
		c.cfg.MaxRows = 5
		return c
	}
	made, err := cuts().next(t.Context(), event.NewBatch(), 0)
	if err != nil || made.pending.Last != 4 || made.pending.Records != 5 {
		t.Fatalf("%+v, %v", made, err)
	}
	for records, fine := range map[int]bool{5: true, 6: false, 0: true} { // none were counted by earlier versions
		pending := made.pending
		pending.Records = records
		again, err := cuts().replay(t.Context(), event.NewBatch(), 0, pending)
		var stop *StoppedError
		if fine != (err == nil) || fine && again.pending != pending || !fine && (!errors.As(err, &stop) || !strings.Contains(stop.Reason, "it held 6 and holds 5 now")) {
			t.Errorf("formed again where %d records were counted: %v", records, err)
		}
		log := b.open(0, cluster.Deps{})
		first := log.whole(t.Context(), 0, &pending)
		if fine != (first == nil) {
			t.Errorf("looking at it where %d records were counted: %v", records, first)
		}
		if second := log.whole(t.Context(), 0, &pending); !errors.Is(second, first) {
			t.Errorf("looking at it again: %v, then %v", first, second)
		}
	}
}
