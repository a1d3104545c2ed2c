package ingest_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ioc.local/ingest"
	"ioc.local/internal/broker/kafkatest"
	"ioc.local/internal/cluster"
	"ioc.local/internal/cluster/clustertest"
	"ioc.local/internal/config"
	"ioc.local/internal/warehouse"
)

// newWorld is a world on a kfake that the test controls.
func newWorld(t *testing.T, options ...kfake.Opt) (*world, *kfake.Cluster) {
	t.Helper()
	h := newHarness(t, nil)
	broker, err := kfake.NewCluster(append(options, kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	h.broker = broker.ListenAddrs()[0]
	return &world{harness: h, T: t, name: "w"}, broker
}

// waitProblem waits until the ingester says that something is wrong, and gives what.
func (w *world) waitProblem() string {
	w.Helper()
	for deadline := time.Now().Add(60 * time.Second); w.problem() == ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatal("nobody tells that something is wrong")
		}
	}
	return w.problem()
}

// openTransaction leaves a transaction open, with one record, and one behind it that is not in a transaction.
func (w *world) openTransaction(topic string) {
	w.Helper()
	client := w.client(kgo.TransactionalID(w.name), kgo.TransactionTimeout(5*time.Second))
	if err := client.BeginTransaction(); err != nil {
		w.Fatal(err)
	}
	w.produce(client, topic, 0, w.auth(100))
	w.produce(w.client(), topic, 0, w.auth(101))
}

// TestLagWhileTheBrokerIsGone stays what it was: nobody knows better, and 0 would say that all is well.
func TestLagWhileTheBrokerIsGone(t *testing.T) {
	w, broker := newWorld(t)
	topic := w.topic("t", 1)
	w.produce(w.client(), topic, 0, w.auth(0))
	i, stop := w.run(w.config(topic))
	w.position(i, 1, 1)
	w.openTransaction(topic)
	w.position(i, 1, 3)
	broker.Close()
	w.waitProblem()
	for gone := time.Now(); time.Since(gone) < 2*time.Second; time.Sleep(50 * time.Millisecond) { // while it is tried again
		if lag := w.lag(); lag != 2 && lag != -1 {
			t.Fatalf("the lag is %g, want 2, or nothing where the partition was given up", lag)
		}
		if i.Status().CaughtUp() && len(i.Status().Partitions) > 0 {
			t.Fatalf("the partition is caught up: %+v", i.Status())
		}
	}
	stop()
}

// TestUnreadableBatch stops the partition, and only it. It goes on when the broker has a good copy, or behind the batch
// when an operator says so.
func TestUnreadableBatch(t *testing.T) {
	for _, adopted := range []bool{false, true} {
		t.Run(fmt.Sprintf("adopted %t", adopted), func(t *testing.T) {
			w, broker := newWorld(t)
			topic := w.topic("t", 2)
			client := w.client()
			for n := range 10 {
				w.produce(client, topic, n%2, w.auth(n)) // offsets 0 to 4 of both
			}
			var bad atomic.Bool
			bad.Store(true)
			broker.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
				broker.KeepControl()
				asked := request.(*kmsg.FetchRequest)
				p := asked.Topics[0].Partitions[0]
				if !bad.Load() || p.Partition != 0 || p.FetchOffset > 3 {
					return nil, nil, false
				}
				response := asked.ResponseKind().(*kmsg.FetchResponse)
				answer := kmsg.FetchResponseTopicPartition{HighWatermark: 5, LastStableOffset: 5, RecordBatches: damaged(4)}
				answer.DivergingEpoch.Default()
				response.Topics = append(response.Topics, kmsg.FetchResponseTopic{Topic: asked.Topics[0].Topic, TopicID: asked.Topics[0].TopicID, Partitions: []kmsg.FetchResponseTopicPartition{answer}})
				return response, nil, true
			})
			i, stop := w.run(w.config(topic))
			problem := waitState(t, i, ingest.Stopped)
			if !strings.Contains(problem, "corrupt") || !strings.Contains(problem, "--from 4 ") {
				t.Errorf("the partition says %q", problem)
			}
			w.wait("SELECT count() FROM auth_attempts WHERE partition = 1", 5)
			if adopted {
				reason, err := ingest.StopReason(t.Context(), w.config(topic), w.cluster(), w.db.Client, "", topic, 0)
				if err != nil || reason == nil || !strings.Contains(reason.Reason, "corrupt") {
					t.Fatalf("StopReason gives %v, %v", reason, err)
				}
				if _, err := warehouse.AdoptTopic(t.Context(), w.db.Client, topic, 0, 4, "the disk is broken"); err != nil {
					t.Fatal(err)
				}
				w.wait("SELECT count() FROM auth_attempts WHERE partition = 0", 1)
			} else {
				bad.Store(false)
				w.wait("SELECT count() FROM auth_attempts WHERE partition = 0", 5)
			}
			waitHealthy(t, w.harness, i)
			stop()
		})
	}
}

// damaged is an empty batch of the first offsets, whose checksum is wrong.
func damaged(offsets int32) []byte {
	batch := (&kmsg.RecordBatch{Length: 49, Magic: 2, LastOffsetDelta: offsets - 1}).AppendTo(nil)
	binary.BigEndian.PutUint32(batch[17:], crc32.Checksum(batch[21:], crc32.MakeTable(crc32.Castagnoli))+1)
	return batch
}

const password = "hu,nter=2 é"

// TestSecuredBroker ingests through a listener with mutual TLS and SCRAM, with everything that ingestion connects by.
func TestSecuredBroker(t *testing.T) {
	authority := clustertest.NewAuthority(t)
	server, client := authority.Issue(t, "broker"), authority.Issue(t, "ioc")
	for name, sasl := range map[string]string{"good": password, "wrong": "wrong " + password} {
		t.Run(name, func(t *testing.T) {
			w, _ := newWorld(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "ioc", password),
				kfake.TLS(&tls.Config{Certificates: []tls.Certificate{server.Pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool}))
			enter(w, cluster.Config{
				Brokers: []string{w.broker},
				TLS:     cluster.TLSConfig{Enabled: true, CA: authority.File, Cert: client.Cert, Key: client.Key},
				SASL:    cluster.SASLConfig{Mechanism: "SCRAM-SHA-512", Username: "ioc", Password: config.Secret(sasl)},
			}, name == "good")
		})
	}
}

// TestSecuredRealKafka does so by each listener of Apache Kafka that is not open to all.
func TestSecuredRealKafka(t *testing.T) {
	authority := clustertest.NewAuthority(t)
	client := authority.Issue(t, "ioc")
	server := kafkatest.Run(t, kafkatest.Options{Users: map[string]string{"ioc": password}, Authority: authority})
	trust := cluster.TLSConfig{Enabled: true, CA: authority.File}
	for name, cfg := range map[string]cluster.Config{
		"plain":      {Brokers: []string{server.SASL}, SASL: cluster.SASLConfig{Mechanism: "PLAIN", Username: "ioc", Password: password}},
		"scram":      {Brokers: []string{server.SASL}, SASL: cluster.SASLConfig{Mechanism: "SCRAM-SHA-256", Username: "ioc", Password: password}},
		"tls":        {Brokers: []string{server.TLS}, TLS: trust},
		"mutual tls": {Brokers: []string{server.MutualTLS}, TLS: cluster.TLSConfig{Enabled: true, CA: authority.File, Cert: client.Cert, Key: client.Key}},
		"wrong":      {Brokers: []string{server.SASL}, SASL: cluster.SASLConfig{Mechanism: "PLAIN", Username: "ioc", Password: "wrong " + password}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil)
			h.broker = server.Addr
			enter(&world{harness: h, T: t, name: strings.ReplaceAll(name, " ", "-")}, cfg, name != "wrong")
		})
	}
}

// TestReauthenticationRealKafka: Kafka ends connections that were authenticated too long ago. That costs a rebalance, and no
// event.
func TestReauthenticationRealKafka(t *testing.T) {
	h := newHarness(t, nil)
	server := kafkatest.Run(t, kafkatest.Options{Users: map[string]string{"ioc": password}, Settings: []string{"connections.max.reauth.ms=4000"}})
	h.broker = server.Addr
	w := &world{harness: h, T: t, name: "reauth"}
	topic := w.topic("t", 1)
	reached, err := cluster.New(cluster.Config{Brokers: []string{server.SASL}, SASL: cluster.SASLConfig{Mechanism: "SCRAM-SHA-256", Username: "ioc", Password: password}}, cluster.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	deps := w.deps()
	deps.Cluster = reached
	i, stop := w.runWith(w.config(topic), deps)
	client := w.client()
	events := int64(0)
	for started := time.Now(); time.Since(started) < 13*time.Second; time.Sleep(50 * time.Millisecond) { // three times 4 s
		w.produce(client, topic, 0, w.auth(int(events)))
		events++
	}
	w.position(i, events, events)
	waitHealthy(t, h, i)
	t.Logf("%d events, %g generations", events, gathered(t, h.registry, "ioc_ingest_generation_id"))
	stop()
	w.complete(topic, uint64(events))
	if n := w.count("SELECT count() FROM auth_attempts"); n != uint64(events) {
		t.Errorf("%d rows, want %d", n, events)
	}
}

// enter ingests, or is told that it may not, without the password.
func enter(w *world, cfg cluster.Config, good bool) {
	reached, err := cluster.New(cfg, cluster.Deps{})
	if err != nil {
		w.Fatal(err)
	}
	topic := w.name
	deps := w.deps()
	deps.Cluster = reached
	if !good {
		_, stop := w.runWith(w.config(topic), deps)
		problem := w.waitProblem()
		for deadline := time.Now().Add(30 * time.Second); strings.Contains(problem, "not been joined yet") && time.Now().Before(deadline); problem = w.problem() {
			time.Sleep(10 * time.Millisecond)
		}
		if lower := strings.ToLower(problem); !strings.Contains(lower, "sasl") && !strings.Contains(lower, "eof") || strings.Contains(problem, "hu,nter") {
			w.Errorf("health says %q", problem)
		}
		stop()
		return
	}
	admin, err := kgo.NewClient(append(reached.Options("test"), kgo.AllowAutoTopicCreation())...)
	if err != nil {
		w.Fatal(err)
	}
	defer admin.Close()
	create := kmsg.NewPtrCreateTopicsRequest()
	for _, name := range []string{topic, topic + "-dead"} {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, 1, 1
		create.Topics = append(create.Topics, t)
	}
	if _, err := create.RequestWith(w.Context(), admin); err != nil {
		w.Fatal(err)
	}
	ingestion := w.config(topic)
	ingestion.DeadLetterTopic = topic + "-dead"
	i, stop := w.runWith(ingestion, deps)
	for n := range 3 {
		value := w.auth(n).Value
		if n == 2 {
			value = []byte("no event") // goes to the dead-letter topic
		}
		if err := admin.ProduceSync(w.Context(), &kgo.Record{Topic: topic, Value: value}).FirstErr(); err != nil {
			w.Fatal(err)
		}
	}
	w.position(i, 3, 3)
	stop()
	w.complete(topic, 3)
}

// TestStalledNetwork: a broker that stops answering in the middle is told, and over by itself.
func TestStalledNetwork(t *testing.T) {
	w, _ := newWorld(t)
	topic := w.topic("t", 1)
	var stalled atomic.Bool
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return &stallingConn{conn, &stalled}, err
	}
	reached, err := cluster.New(cluster.Config{Brokers: []string{w.broker}}, cluster.Deps{Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	deps := w.deps()
	deps.Cluster = reached
	w.produce(w.client(), topic, 0, w.auth(0))
	i, stop := w.runWith(w.config(topic), deps)
	w.position(i, 1, 1)
	stalled.Store(true)
	problem := w.waitProblem()
	stalled.Store(false)
	w.produce(w.client(), topic, 0, w.auth(1))
	w.position(i, 2, 2)
	waitHealthy(t, w.harness, i)
	stop()
	t.Logf("it was told: %s", problem)
	w.complete(topic, 2)
}

// stallingConn loses what comes while stalled is set.
type stallingConn struct {
	net.Conn
	stalled *atomic.Bool
}

func (c *stallingConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.stalled.Load() {
			return n, err
		}
	}
}

// TestOutagesRealKafka: Apache Kafka stands still for a while, is killed, and comes back. A transaction whose producer is
// gone is aborted by it after a while, and until then holds up what is behind it.
func TestOutagesRealKafka(t *testing.T) {
	h := newHarness(t, nil)
	server := kafkatest.Run(t, kafkatest.Options{Settings: []string{"transaction.abort.timed.out.transaction.cleanup.interval.ms=1000"}})
	h.broker = server.Addr
	w := &world{harness: h, T: t, name: "outages"}
	topic := w.topic("t", 1)
	w.produce(w.client(), topic, 0, w.auth(0))
	i, stop := w.run(w.config(topic))
	w.position(i, 1, 1)
	w.openTransaction(topic)
	w.position(i, 1, 3)
	w.position(i, 4, 4) // with the marker that aborts

	resume := server.Stall()
	w.waitProblem()
	resume()
	w.produce(w.client(), topic, 0, w.auth(1))
	w.position(i, 5, 5)
	waitHealthy(t, h, i)

	server.Kill()
	w.waitProblem()
	server.Restart()
	w.produce(w.client(), topic, 0, w.auth(2))
	w.position(i, 6, 6)
	waitHealthy(t, h, i)
	stop()
	w.complete(topic, 6)
	if n := w.count("SELECT count() FROM auth_attempts"); n != 4 {
		t.Errorf("%d rows, want 4", n)
	}
}

// TestDeadLettersCannotBeSent: a partition that waits for the dead-letter topic says so, keeps what it has recorded, and
// goes on by itself.
func TestDeadLettersCannotBeSent(t *testing.T) {
	w, broker := newWorld(t)
	topic, dead := w.topic("t", 1), w.topic("dead", 1)
	refusal := broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: dead, Err: kerr.KafkaStorageError, Count: -1})
	cfg := w.config(topic)
	cfg.DeadLetterTopic = dead
	i, stop := w.run(cfg)
	w.produce(w.client(), topic, 0, kafka.Message{Value: []byte("no event")})
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(w.problem(), topic+"/0 is retrying: Kafka: sending 1 dead letters to topic "+dead); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("health says %q", w.problem())
		}
	}
	if p := i.Status().Partitions[0]; p.Position != 0 || i.Status().CaughtUp() {
		t.Errorf("it is committed without its letter: %+v", p)
	}
	refusal.Remove()
	w.position(i, 1, 1)
	waitHealthy(t, w.harness, i)
	stop()
	w.complete(topic, 1)
	if n := w.end(dead); n != 1 {
		t.Errorf("%d letters, want 1", n)
	}
}

// TestPassingErrorOfATopic: one answer of a broker that does not know a topic is not believed; two are.
func TestPassingErrorOfATopic(t *testing.T) {
	w, broker := newWorld(t)
	one, two := w.topic("one", 1), w.topic("two", 1)
	w.produce(w.client(), one, 0, w.auth(0))
	w.produce(w.client(), two, 0, w.auth(1))
	i, err := ingest.New(w.config(one, two), w.deps())
	if err != nil {
		t.Fatal(err)
	}
	i.PollTopics(20 * time.Millisecond)
	stop := w.start(i)
	w.wait("SELECT count() FROM auth_attempts", 2)
	// ofTopics tells the question about the configured topics from those about one, or all.
	ofTopics := func(request kmsg.Request) bool { return len(request.(*kmsg.MetadataRequest).Topics) == 2 }
	generation := func() float64 { return gathered(t, w.registry, "ioc_ingest_generation_id") }
	before := generation()
	var asked atomic.Int64
	defer broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: two, Err: kerr.LeaderNotAvailable, Count: -1, When: func(request kmsg.Request) bool {
		return ofTopics(request) && asked.Add(1)%2 == 1 // every other time
	}}).Remove()
	for deadline := time.Now().Add(30 * time.Second); asked.Load() < 20; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the topics were looked for %d times", asked.Load())
		}
	}
	if problem := w.problem(); generation() != before || problem != "" && !strings.Contains(problem, "topic "+two) {
		t.Errorf("generation %g after %g; health says %q", generation(), before, problem)
	}
	gone := broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: two, Err: kerr.LeaderNotAvailable, Count: -1, When: ofTopics})
	for deadline := time.Now().Add(30 * time.Second); generation() == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a topic that is gone is still read")
		}
	}
	gone.Remove()
	stop()
}
