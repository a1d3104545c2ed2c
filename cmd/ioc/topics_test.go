package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/zap"

	"ioc.local/ingest"
	"ioc.local/ingest/event"
	"ioc.local/internal/broker/brokertest"
	"ioc.local/internal/broker/kafkatest"
	"ioc.local/internal/reference"
	"ioc.local/internal/topics"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

// TestTopicsPrint prints what programs can read, and refuses what cannot be.
func TestTopicsPrint(t *testing.T) {
	out, err := execute(t.Context(), "topics", "print", "--output", "yaml", "--partitions", "12", "--retention", "14d")
	if err != nil {
		t.Fatal(err)
	}
	var plan topics.Plan
	if err := yaml.UnmarshalWithOptions([]byte(out), &plan, yaml.Strict()); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(plan.Topics) != 5 || plan.Topics[0].Partitions != 12 || plan.Topics[0].Settings[1].Value != "1209600000" || plan.Topics[4].Name != "ioc.dead-letter.v1" || plan.Topics[4].Partitions != 1 {
		t.Errorf("printed is\n%s", out)
	}
	table, err := execute(t.Context(), "topics", "print", "--kafka.group", "mine", "--principal", "User:x")
	if err != nil || !strings.Contains(table, "ACLs for User:x:") || !strings.Contains(table, "group     mine ") {
		t.Errorf("%v\n%s", err, table)
	}
	for want, args := range map[string][]string{
		"neither table nor yaml": {"--output", "json"}, "--partitions: must be": {"--partitions", "0"}, "--retention": {"--retention", "soon"},
		"not of the form User:name": {"--principal", "ioc"},
	} {
		var usage *usageError
		if _, err := execute(t.Context(), append([]string{"topics", "print"}, args...)...); !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want a usage error with %s", args, err, want)
		}
	}
}

// TestTopicsApplyIsEnough does so on the embedded broker.
func TestTopicsApplyIsEnough(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.GroupMinSessionTimeout(time.Second),
		kfake.Superuser("PLAIN", "admin", "secret"), kfake.User("PLAIN", "ioc", "pass"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	testTopicsApplyIsEnough(t, broker.ListenAddrs()[0])
}

// TestTopicsApplyIsEnoughRealKafka does so on Apache Kafka with its own authorizer.
func TestTopicsApplyIsEnoughRealKafka(t *testing.T) {
	server := kafkatest.Run(t, kafkatest.Options{
		Users: map[string]string{"admin": "secret", "ioc": "pass"},
		Settings: []string{
			"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:admin;User:ANONYMOUS",
		},
	})
	testTopicsApplyIsEnough(t, server.SASL)
}

// testTopicsApplyIsEnough makes topics and permissions on a broker that has none, as its administrator. With these and
// no others the user that ioc works as can ingest, send dead letters, and check.
func testTopicsApplyIsEnough(t *testing.T, addr string) {
	flags := func(user, password string) []string {
		return []string{"--kafka.brokers", addr, "--kafka.sasl.mechanism", "PLAIN", "--kafka.sasl.username", user, "--kafka.sasl.password", password}
	}
	apply := func(args ...string) string {
		t.Helper()
		out, err := execute(t.Context(), append(append([]string{"topics", "apply", "--principal", "User:ioc", "--replication-factor", "1"}, args...), flags("admin", "secret")...)...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	would, done := apply("--dry-run"), apply()
	if strings.ReplaceAll(would, "would  ", "done   ") != done || strings.Count(done, "create topic ") != 5 || strings.Count(done, "allow User:ioc") != 22 {
		t.Errorf("it would\n%s\nand has\n%s", would, done)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) { // the broker shows it a moment later
		if out := apply("--dry-run"); out == "Nothing to do.\n" {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the second time it says\n%s", out)
		}
	}

	cfg := defaultConfig()
	cfg.Kafka.Brokers = []string{addr}
	cfg.Kafka.SASL.Mechanism, cfg.Kafka.SASL.Username, cfg.Kafka.SASL.Password = "PLAIN", "admin", "secret"
	sendTwo(t, cfg)
	cfg.Kafka.SASL.Username, cfg.Kafka.SASL.Password = "ioc", "pass"
	if found, err := checkKafka(t.Context(), cfg); err != nil || found != "1 brokers, 5 topics, 5 partitions" {
		t.Errorf("ioc check says %q, %v", found, err)
	}
	db := enginetest.Start(t)
	if err := warehouse.Migrate(t.Context(), db.Client); err != nil {
		t.Fatal(err)
	}
	from, err := cfg.Kafka.cluster()
	if err != nil {
		t.Fatal(err)
	}
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	hash := event.NewIdentityHash()
	ingester, err := ingest.New(cfg.ingest(), ingest.Deps{
		Logger: zap.NewNop(), Registry: prometheus.NewRegistry(), Cluster: from, Warehouse: db.Client, Calendar: data.Calendar(),
		NewDecoder: func() *event.Decoder { return event.NewDecoder(data, event.Options{Identity: hash}) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- ingester.Run(ctx) }()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var n uint64
		if err := db.Client.Conn().QueryRow(t.Context(), "SELECT toUInt64((SELECT count() FROM auth_attempts) + (SELECT count() FROM dead_letters))").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 2 && ingester.Status().CaughtUp() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of 2 records came through: %+v", n, ingester.Status())
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	transport := from.Transport("test")
	defer transport.CloseIdleConnections()
	answer, err := from.Client(transport, checkTimeout).ListOffsets(t.Context(), &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{"ioc.dead-letter.v1": {kafka.LastOffsetOf(0)}},
	})
	if err != nil || answer.Topics["ioc.dead-letter.v1"][0].LastOffset != 1 {
		t.Errorf("the dead-letter topic is at %+v, %v, want one letter", answer, err)
	}
}

// sendTwo sends an event and a record that is none.
func sendTwo(t *testing.T, cfg Config) {
	t.Helper()
	to, err := cfg.Kafka.cluster()
	if err != nil {
		t.Fatal(err)
	}
	transport := to.Transport("test")
	defer transport.CloseIdleConnections()
	w := &kafka.Writer{Addr: to.Addr(), Transport: transport, Topic: "ioc.authentication.v1", BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll}
	defer w.Close()
	good := fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"/eid_auth/G01","type":"vn.da06.auth.attempt.v1","time":"%s","subject":"s","data":{"province_code":"01","admin_scheme":"gso34","relying_party":"H29","assurance_level":3,"auth_method":["password"],"outcome":"success","latency_ms":412}}`,
		time.Now().Format("2006-01-02T15:04:05.000-07:00"))
	if err := w.WriteMessages(t.Context(), kafka.Message{Value: []byte(good)}, kafka.Message{Value: []byte("no json")}); err != nil {
		t.Fatal(err)
	}
}

// TestCheckFindsLimitsAndCompaction: ioc check tells of settings of a topic of events by which events are lost.
func TestCheckFindsLimitsAndCompaction(t *testing.T) {
	cfg := defaultConfig()
	cfg.Kafka.Brokers = []string{brokertest.Start(t, nil)}
	args := []string{"--replication-factor", "1", "--kafka.brokers", cfg.Kafka.Brokers[0]}
	if _, err := execute(t.Context(), append([]string{"topics", "apply"}, args...)...); err != nil {
		t.Fatal(err)
	}
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	set := func(key, value string) {
		t.Helper()
		answer, err := (&kafka.Client{Addr: kafka.TCP(cfg.Kafka.Brokers...), Transport: transport}).IncrementalAlterConfigs(t.Context(), &kafka.IncrementalAlterConfigsRequest{
			Resources: []kafka.IncrementalAlterConfigsRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: "ioc.data.v1",
				Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: key, Value: value, ConfigOperation: kafka.ConfigOperationSet}}}},
		})
		if err != nil || answer.Resources[0].Error != nil {
			t.Fatal(err, answer)
		}
	}
	if found, err := checkKafka(t.Context(), cfg); err != nil || strings.Contains(found, "ioc.data.v1") {
		t.Errorf("ioc check says %q, %v of topics as they should be", found, err)
	}
	set("retention.bytes", "1073741824")
	if found, err := checkKafka(t.Context(), cfg); err != nil || !strings.Contains(found, "note    Kafka: topic ioc.data.v1 keeps 1073741824 bytes of each partition only (retention.bytes)") {
		t.Errorf("ioc check says %q, %v of a limit in bytes", found, err)
	}
	set("cleanup.policy", "compact,delete")
	if _, err := checkKafka(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "topic ioc.data.v1 has cleanup.policy=compact,delete: compaction drops all but the newest event of a subject, also unread ones, and a partition stops") {
		t.Errorf("ioc check says %v of compaction", err)
	}
	printed, err := execute(t.Context(), "topics", "print")
	if err != nil || strings.Count(printed, "compaction would drop events of the same subject, unread ones too") != len(cfg.Kafka.Topics) {
		t.Errorf("ioc topics print says nothing of compaction: %v\n%s", err, printed)
	}
}
