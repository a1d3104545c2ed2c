package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ioc.local/ingest"
	"ioc.local/internal/broker/kafkatest"
	"ioc.local/internal/warehouse"
)

// world is a harness with a broker that the tests of this file share: topics and groups have names of their own.
type world struct {
	*harness
	*testing.T
	name string
	// compact makes the broker compact a topic.
	compact func(topic string)
}

// behaviours are what a user of Kafka relies on. They hold for the embedded broker's kfake and for Apache Kafka.
var behaviours = map[string]func(*world){
	"transactions": transactions, "codecs": allCodecs, "compaction": compaction, "large": tooLarge, "truncated": truncated,
	"partitions": morePartitions, "rebalances": rebalances, "recreated": recreated, "vanished": vanished,
}

// TestKafka runs the behaviours on kfake.
func TestKafka(t *testing.T) {
	for name, run := range behaviours {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil)
			broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "20000000"}))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(broker.Close)
			h.broker = broker.ListenAddrs()[0]
			run(&world{h, t, name, func(string) { broker.Compact() }})
		})
	}
}

// TestKafkaRealKafka runs them on Apache Kafka.
func TestKafkaRealKafka(t *testing.T) {
	server := kafkatest.Run(t, kafkatest.Options{Settings: []string{"log.cleaner.backoff.ms=100", "log.initial.task.delay.ms=100"}})
	for name, run := range behaviours {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil)
			h.broker = server.Addr
			run(&world{h, t, name, func(topic string) { rolled(h, topic) }})
		})
	}
}

// topic makes a topic of this test and gives its name.
func (w *world) topic(name string, partitions int, settings ...string) string {
	w.Helper()
	name = w.name + "-" + name
	request := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, int32(partitions), 1
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		topic.Configs = append(topic.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: key, Value: &value})
	}
	request.Topics = append(request.Topics, topic)
	answer, err := request.RequestWith(w.Context(), w.client())
	if err == nil {
		err = kerr.ErrorForCode(answer.Topics[0].ErrorCode)
	}
	if err != nil {
		w.Fatal(err)
	}
	return name
}

// client is one of franz-go, which knows transactions and codecs; it ends with the test.
func (w *world) client(options ...kgo.Opt) *kgo.Client {
	w.Helper()
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(w.broker), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(12<<20))...)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(client.Close)
	return client
}

func (w *world) config(topics ...string) ingest.Config {
	cfg := w.harness.config(topics...)
	cfg.Group, cfg.DeadLetterTopic, cfg.SessionTimeout = w.name, "", 2*time.Second
	return cfg
}

// produce appends events to a partition with a client.
func (w *world) produce(client *kgo.Client, topic string, partition int, events ...kafka.Message) {
	w.Helper()
	records := make([]*kgo.Record, len(events))
	for i, e := range events {
		records[i] = &kgo.Record{Topic: topic, Partition: int32(partition), Key: e.Key, Value: e.Value, Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json")}}}
	}
	if err := client.ProduceSync(w.Context(), records...).FirstErr(); err != nil {
		w.Fatal(err)
	}
}

// position waits until the only partition is committed up to an offset, and known to end at another.
func (w *world) position(i *ingest.Ingester, position, end int64) {
	w.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		all := i.Status().Partitions
		if len(all) == 1 && all[0].Position == position && all[0].End == end {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("the partition does not come to %d of %d: %+v", position, end, all)
		}
	}
}

// complete proves that every offset below end is in exactly one table.
func (w *world) complete(topic string, end uint64) {
	w.Helper()
	const all = `(SELECT offset AS first, offset AS last FROM auth_attempts WHERE topic = '%[1]s' UNION ALL
		SELECT offset, offset FROM dead_letters WHERE topic = '%[1]s' UNION ALL
		SELECT first_offset, last_offset FROM skipped_offsets WHERE topic = '%[1]s')`
	from := fmt.Sprintf(all, topic)
	if rows, distinct := w.count("SELECT toUInt64(sum(last - first + 1)) FROM "+from), w.count("SELECT uniqExact(arrayJoin(range(first, last + 1))) FROM "+from); rows != end || distinct != end {
		w.Errorf("%d offsets of %s have a row and %d are different, want %d", rows, topic, distinct, end)
	}
}

func (w *world) lag() float64 {
	w.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "ioc_ingest_lag_offsets" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return -1
}

// transactions: what is aborted does not count, not even as a first occurrence; markers are gaps; an open transaction
// holds up what is behind it, and the lag says so.
func transactions(w *world) {
	topic := w.topic("t", 1)
	plain := w.client()
	one, two := w.client(kgo.TransactionalID(w.name+"-1")), w.client(kgo.TransactionalID(w.name+"-2"))
	begin := func(client *kgo.Client) {
		if err := client.BeginTransaction(); err != nil {
			w.Fatal(err)
		}
	}
	end := func(client *kgo.Client, how kgo.TransactionEndTry) {
		if err := client.EndTransaction(w.Context(), how); err != nil {
			w.Fatal(err)
		}
	}
	w.produce(plain, topic, 0, w.auth(0)) // 0
	begin(one)
	w.produce(one, topic, 0, w.auth(1), w.auth(2)) // 1, 2
	end(one, kgo.TryCommit)                        // 3
	begin(one)
	begin(two)
	w.produce(one, topic, 0, w.auth(3)) // 4
	w.produce(two, topic, 0, w.auth(4)) // 5
	w.produce(one, topic, 0, w.auth(5)) // 6
	end(one, kgo.TryAbort)              // 7
	end(two, kgo.TryCommit)             // 8
	begin(one)
	w.produce(one, topic, 0, w.auth(3)) // 9
	end(one, kgo.TryCommit)             // 10

	i, stop := w.run(w.config(topic))
	w.position(i, 11, 11)
	if !i.Status().CaughtUp() {
		w.Errorf("the log ends with a marker, and the partition is not caught up: %+v", i.Status())
	}
	begin(one)
	w.produce(one, topic, 0, w.auth(10))   // 11
	w.produce(plain, topic, 0, w.auth(11)) // 12
	w.position(i, 11, 13)
	begin(two)
	w.produce(two, topic, 0, w.auth(12)) // 13
	end(two, kgo.TryCommit)              // 14
	w.position(i, 11, 15)
	if lag := w.lag(); lag != 4 || i.Status().CaughtUp() {
		w.Errorf("with an open transaction the lag is %g, want 4; caught up: %t", lag, i.Status().CaughtUp())
	}
	if n := w.count("SELECT count() FROM auth_attempts"); n != 5 {
		w.Errorf("%d rows, want the 5 events below the open transaction", n)
	}
	end(one, kgo.TryAbort) // 15
	w.position(i, 16, 16)
	stop()
	i, stop = w.run(w.config(topic)) // the last record that it knows is far below what is committed
	w.produce(plain, topic, 0, w.auth(1))
	w.position(i, 17, 17)
	stop()
	w.complete(topic, 17)
	for query, want := range map[string]uint64{
		"SELECT count() FROM auth_attempts":                                                        7,
		"SELECT uniqExact(event_id) FROM auth_attempts":                                            7,
		"SELECT count() FROM auth_attempts WHERE event_id IN ('auth-5', 'auth-10')":                0,
		"SELECT toUInt64(sum(last_offset - first_offset + 1)) FROM skipped_offsets WHERE kind = 2": 9, // 6 markers, 3 aborted records
		"SELECT count() FROM skipped_offsets WHERE kind = 'duplicate'":                             1,
		"SELECT count() FROM dead_letters":                                                         0,
	} {
		if got := w.count(query); got != want {
			w.Errorf("%s: got %d, want %d", query, got, want)
		}
	}
}

// allCodecs: whatever producers and brokers compress with. A broker with compression.type compresses by its own library.
func allCodecs(w *world) {
	var topics []string
	total := 0
	for name, codec := range map[string]kgo.CompressionCodec{
		"uncompressed": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		byProducer, byBroker := w.topic(name, 1), w.topic("broker-"+name, 1, "compression.type="+name)
		topics = append(topics, byProducer, byBroker)
		for topic, codec := range map[string]kgo.CompressionCodec{byProducer: codec, byBroker: kgo.NoCompression()} {
			var events []kafka.Message
			for range 40 {
				events = append(events, w.auth(total))
				total++
			}
			w.produce(w.client(kgo.ProducerBatchCompression(codec)), topic, 0, events...)
		}
	}
	_, stop := w.run(w.config(topics...))
	w.wait("SELECT uniqExact(event_id) FROM auth_attempts", uint64(total))
	stop()
	for _, topic := range topics {
		w.complete(topic, 40)
	}
}

// compaction takes records out of the middle, also the last one that was read.
func compaction(w *world) {
	topic := w.topic("t", 1, "cleanup.policy=compact", "min.cleanable.dirty.ratio=0.001", "segment.ms=100", "max.compaction.lag.ms=100")
	client := w.client()
	keyed := func(n int, key string) kafka.Message { m := w.auth(n); m.Key = []byte(key); return m }
	for n := range 10 {
		w.produce(client, topic, 0, keyed(n, fmt.Sprint(n)))
	}
	i, stop := w.run(w.config(topic))
	w.position(i, 10, 10)
	stop()
	for n := 10; n < 20; n++ {
		w.produce(client, topic, 0, keyed(n, fmt.Sprint(max(9, n%15)))) // 9 is written over, and half of these
	}
	w.compact(topic)
	before := w.firstHole(topic)
	if before < 0 || before > 9 {
		w.Fatalf("the broker did not compact: the first offset without a record is %d", before)
	}
	end := w.end(topic)
	i, stop = w.run(w.config(topic))
	w.position(i, end, end)
	stop()
	w.complete(topic, uint64(end))
	if n := w.count("SELECT count() FROM skipped_offsets"); n == 0 {
		w.Error("there is no gap")
	}
}

// firstHole is the first offset of the partition that has no record, -1 when there is none.
func (w *world) firstHole(topic string) int64 {
	w.Helper()
	end := w.end(topic)
	client := w.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(0)}}))
	for expected := int64(0); expected < end; {
		for _, r := range client.PollFetches(w.Context()).Records() {
			if r.Offset != expected {
				return expected
			}
			expected++
		}
	}
	return -1
}

func (w *world) end(topic string) int64 {
	w.Helper()
	client, done := w.admin()
	defer done()
	answer, err := client.ListOffsets(w.Context(), &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: {kafka.LastOffsetOf(0)}}})
	if err != nil {
		w.Fatal(err)
	}
	return answer.Topics[topic][0].LastOffset
}

// rolled appends until Apache Kafka has compacted: it leaves the newest segment alone, and begins another only with a
// record.
func rolled(h *harness, topic string) {
	w := &world{harness: h, T: h.t.(*testing.T)}
	client := w.client()
	for n := 100; w.firstHole(topic) < 0; n++ {
		if n == 400 {
			w.Fatal("Kafka does not compact")
		}
		time.Sleep(100 * time.Millisecond) // segment.ms has to pass
		m := w.auth(n)
		m.Key = []byte("filler")
		w.produce(client, topic, 0, m)
	}
}

// tooLarge: a record that is larger than a response is rejected like one of 65 KiB, and what is behind it is read.
func tooLarge(w *world) {
	topic := w.topic("t", 1, "max.message.bytes=15000000")
	dead := w.topic("dead", 1)
	client := w.client()
	w.produce(client, topic, 0, w.auth(0))
	for _, size := range []int{65 << 10, 5 << 20, 10 << 20} {
		w.produce(client, topic, 0, kafka.Message{Value: []byte(strings.Repeat("x", size))})
	}
	w.produce(client, topic, 0, w.auth(1))
	cfg := w.config(topic)
	cfg.DeadLetterTopic = dead
	i, stop := w.run(cfg)
	w.position(i, 5, 5)
	stop()
	w.complete(topic, 5)
	if n := w.count("SELECT countIf(reason = 'too_large') FROM dead_letters"); n != 3 {
		w.Errorf("%d records are too large, want 3", n)
	}
	if n := w.count("SELECT count() FROM auth_attempts"); n != 2 {
		w.Errorf("%d of the 2 events around them are there", n)
	}
}

// truncated: records that were deleted before they were read stop the partition, and it goes on where the operator says.
func truncated(w *world) {
	topic := w.topic("t", 1)
	client := w.client()
	for n := range 10 {
		w.produce(client, topic, 0, w.auth(n))
	}
	i, stop := w.run(w.config(topic))
	w.position(i, 10, 10)
	stop()
	for n := 10; n < 20; n++ {
		w.produce(client, topic, 0, w.auth(n))
	}
	request := kmsg.NewPtrDeleteRecordsRequest()
	request.Topics = append(request.Topics, kmsg.DeleteRecordsRequestTopic{Topic: topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0, Offset: 15}}})
	if _, err := request.RequestWith(w.Context(), client); err != nil {
		w.Fatal(err)
	}
	i, stop = w.run(w.config(topic))
	problem := waitState(w.T, i, ingest.Stopped)
	if !strings.Contains(problem, "5 offsets were deleted unread") || !strings.Contains(problem, "--from 15") {
		w.Errorf("the partition says %q", problem)
	}
	reason, err := ingest.StopReason(w.Context(), w.config(topic), w.cluster(), w.db.Client, "", topic, 0)
	if err != nil || reason == nil || reason.Reason != problem {
		w.Errorf("StopReason gives %v, %v", reason, err)
	}
	if _, err := warehouse.AdoptTopic(w.Context(), w.db.Client, topic, 0, 15, "test"); err != nil {
		w.Fatal(err)
	}
	w.wait("SELECT uniqExact(event_id) FROM auth_attempts", 15)
	w.position(i, 20, 20)
	stop()
}

// recreated: a topic that is made again stops the partition even when it has the same records at the same offsets and
// more; only its id tells.
func recreated(w *world) {
	fill := func(n int) (topic string) {
		topic = w.topic("t", 1)
		for i := range n {
			err := w.client().ProduceSync(w.Context(), &kgo.Record{Topic: topic, Value: w.auth(i).Value, Timestamp: w.base}).FirstErr()
			if err != nil {
				w.Fatal(err)
			}
		}
		return topic
	}
	topic := fill(5)
	i, stop := w.run(w.config(topic))
	w.position(i, 5, 5)
	client, done := w.admin()
	defer done()
	if _, err := client.DeleteTopics(w.Context(), &kafka.DeleteTopicsRequest{Topics: []string{topic}}); err != nil {
		w.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		answer, err := client.Metadata(w.Context(), &kafka.MetadataRequest{Topics: []string{topic}})
		if err == nil && answer.Topics[0].Error != nil {
			break
		}
		if time.Now().After(deadline) {
			w.Fatal("the topic is still there")
		}
	}
	fill(8)
	if problem := waitState(w.T, i, ingest.Stopped); !strings.Contains(problem, "recreated") {
		w.Errorf("the partition says %q", problem)
	}
	stop()
	i, stop = w.run(w.config(topic))
	if problem := waitState(w.T, i, ingest.Stopped); !strings.Contains(problem, "recreated") {
		w.Errorf("after a restart the partition says %q", problem)
	}
	if n := w.count("SELECT count() FROM auth_attempts"); n != 5 {
		w.Errorf("%d rows, want the 5 of the old topic", n)
	}
	if _, err := warehouse.AdoptTopic(w.Context(), w.db.Client, topic, 0, 5, "test"); err != nil {
		w.Fatal(err)
	}
	w.wait("SELECT count() FROM auth_attempts", 8)
	w.position(i, 8, 8)
	stop()
}

// morePartitions: partitions that a topic gains, and a topic that appears, are read without a restart.
func morePartitions(w *world) {
	topic := w.topic("t", 1)
	client := w.client()
	w.produce(client, topic, 0, w.auth(0))
	i, stop := w.run(w.config(topic, w.name+"-later"))
	w.wait("SELECT count() FROM auth_attempts", 1)
	request := kmsg.NewPtrCreatePartitionsRequest()
	request.Topics = append(request.Topics, kmsg.CreatePartitionsRequestTopic{Topic: topic, Count: 3})
	answer, err := request.RequestWith(w.Context(), client)
	if err == nil {
		err = kerr.ErrorForCode(answer.Topics[0].ErrorCode)
	}
	if err != nil {
		w.Fatal(err)
	}
	later := w.topic("later", 1)
	client = w.client()
	for partition := range 3 {
		w.produce(client, topic, partition, w.auth(1+partition))
	}
	w.produce(client, later, 0, w.auth(9))
	w.wait("SELECT uniqExact(event_id) FROM auth_attempts", 5)
	waitHealthy(w.T, w.harness, i)
	stop()
	if n := w.count("SELECT count() FROM auth_attempts"); n != 5 {
		w.Errorf("%d rows, want 5", n)
	}
}

// rebalances: members of the group come and go under load.
func rebalances(w *world) {
	const partitions, each = 6, 400
	topic := w.topic("t", partitions)
	var producing sync.WaitGroup
	for partition := range partitions {
		producing.Go(func() {
			client := w.client()
			for n := range each {
				err := client.ProduceSync(w.Context(), &kgo.Record{Topic: topic, Partition: int32(partition), Value: w.auth(n*partitions + partition).Value}).FirstErr()
				if err != nil && !errors.Is(err, context.Canceled) {
					w.Error(err)
					return
				}
			}
		})
	}
	cfg := w.config(topic)
	generations := func() float64 { return gathered(w.T, w.registry, "ioc_ingest_generation_id") }
	var stops []func()
	for n := range 3 {
		_, stop := w.run(cfg)
		stops = append(stops, stop)
		w.wait(fmt.Sprintf("SELECT toUInt64(count() > %d) FROM auth_attempts", n*each/2), 1)
	}
	stops[0]()
	last := generations()
	_, stop := w.run(cfg)
	producing.Wait()
	w.wait("SELECT uniqExact(event_id) FROM auth_attempts", partitions*each)
	// The others may have read everything before the newcomer is a member.
	for deadline := time.Now().Add(60 * time.Second); generations() <= last; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("the generation was %g and is %g", last, generations())
		}
	}
	stop()
	stops[1]()
	stops[2]()
	if n := w.count("SELECT count() FROM auth_attempts"); n != partitions*each {
		w.Errorf("%d rows, want %d", n, partitions*each)
	}
}

// gathered is the value of a metric without labels.
func gathered(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return -1
}

// vanished: compaction takes records of a range between two attempts at it. What is formed of the rest is not what the first
// attempt may have inserted, so the partition stops, until an operator adopts the log from behind the range.
func vanished(w *world) {
	topic := w.topic("t", 1, "cleanup.policy=compact", "min.cleanable.dirty.ratio=0.001", "segment.ms=100", "max.compaction.lag.ms=100")
	client := w.client()
	for n := range 20 {
		m := w.auth(n)
		if m.Key = fmt.Append(nil, n); n >= 10 {
			m.Key = fmt.Append(nil, 2*(n%5)+1) // writes over every second one
		}
		w.produce(client, topic, 0, m)
	}
	w.compact(topic)
	hole := w.firstHole(topic)
	if hole < 0 || hole > 9 {
		w.Fatalf("the broker did not compact: the first offset without a record is %d", hole)
	}
	end := w.end(topic)
	w.commitTo(w.config(topic).Group, topic, 0, fmt.Sprintf(`{"ioc":1,"pending":{"last":9,"clock":%d,"contract":1,"records":10,"window":500000,"token":"%s/0/0-9"}}`, time.Now().UnixMilli(), topic))
	i, stop := w.run(w.config(topic))
	problem := waitState(w.T, i, ingest.Stopped)
	if !strings.Contains(problem, "records vanished between two attempts at the recorded range 0..9: it held 10 and holds") || !strings.Contains(problem, "ioc topics adopt "+topic+" --partition 0 --from 10 ") {
		w.Errorf("the partition says %q", problem)
	}
	reason, err := ingest.StopReason(w.Context(), w.config(topic), w.cluster(), w.db.Client, "", topic, 0)
	if err != nil || reason == nil || reason.Reason != problem {
		w.Errorf("StopReason gives %v, %v", reason, err)
	}
	for looked := time.Now(); time.Since(looked) < 3*time.Second; time.Sleep(10 * time.Millisecond) { // while it is looked at again
		if p := i.Status().Partitions; len(p) == 1 && p[0].State != ingest.Stopped {
			w.Fatalf("the partition is %+v", p[0])
		}
	}
	if n := w.count("SELECT count() FROM auth_attempts"); n != 0 {
		w.Errorf("%d rows of a range that is not whole", n)
	}
	if _, err := warehouse.AdoptTopic(w.Context(), w.db.Client, topic, 0, 10, "test"); err != nil {
		w.Fatal(err)
	}
	w.position(i, end, end)
	stop()
}
