// Package kafkatest starts a real Apache Kafka broker for tests. The tests that
// use it have RealKafka in their names and run with `make test-kafka`.
package kafkatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// HomeEnv names the directory whose folder libs holds Kafka's jars.
const HomeEnv = "TEST_KAFKA_HOME"

// startTimeout bounds one start, storage format and topics included.
const startTimeout = 90 * time.Second

// attempts is how often a start is tried: between finding a free port and Kafka
// listening on it, another process may take it.
const attempts = 3

// errPortTaken says that Kafka found its port in use.
var errPortTaken = errors.New("another process took the port")

// Start runs a single-node Kafka in KRaft mode on free loopback ports until the
// test ends, with the given topics (name to number of partitions), and returns
// its address. It skips the test if TEST_KAFKA_HOME is not set, and fails it if
// Kafka does not start. Kafka also ends when the test process is killed.
//
// Group members may ask for session timeouts from 100 ms on, as with brokertest.
func Start(t testing.TB, topics map[string]int) (addr string) {
	t.Helper()
	home := os.Getenv(HomeEnv)
	if home == "" {
		t.Skipf("%s is not set: this test needs a real Kafka (make test-kafka)", HomeEnv)
	}
	jars := filepath.Join(home, "libs", "*")
	if found, err := filepath.Glob(jars); err != nil || len(found) == 0 {
		t.Fatalf("%s is %q, but no jars match %s", HomeEnv, home, jars)
	}
	ctx, cancel := context.WithTimeout(context.Background(), attempts*startTimeout)
	defer cancel()
	var err error
	for range attempts {
		if addr, err = start(ctx, t, jars); !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err != nil {
		t.Fatalf("starting Kafka: %v", err)
	}
	if err := prepare(ctx, addr, topics); err != nil {
		t.Fatalf("preparing Kafka: %v", err)
	}
	return addr
}

func start(ctx context.Context, t testing.TB, jars string) (addr string, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	dir := t.TempDir()
	addr, config, err := configure(dir)
	if err != nil {
		return "", err
	}
	format := java(ctx, jars, "kafka.tools.StorageTool", "format", "--cluster-id", "aW9jLXRlc3Qta2Fma2EtMQ", "--config", config)
	if out, err := format.CombinedOutput(); err != nil {
		return "", fmt.Errorf("formatting storage: %w\n%s", err, out)
	}
	p, err := startProcess(java(context.Background(), jars, "kafka.Kafka", config), filepath.Join(dir, "kafka.log"))
	if err != nil {
		return "", err
	}
	t.Cleanup(p.stop)
	if err := p.waitListening(ctx, addr); err != nil {
		p.stop()
		out := p.output()
		if bytes.Contains(out, []byte("BindException")) {
			err = errPortTaken
		}
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return addr, nil
}

// java returns a command that runs a class of Kafka. The flags make a short life
// cheap: little memory, one collector thread, no optimizing compiler.
func java(ctx context.Context, jars, class string, args ...string) *exec.Cmd {
	flags := []string{
		"-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dlog4j2.level=WARN", "-cp", jars, class,
	}
	return exec.CommandContext(ctx, "java", append(flags, args...)...)
}

// configure writes server.properties and returns where Kafka will listen.
func configure(dir string) (addr, file string, err error) {
	addr, err = freeAddr()
	if err != nil {
		return "", "", err
	}
	controller, err := freeAddr()
	if err != nil {
		return "", "", err
	}
	settings := []string{
		"process.roles=broker,controller",
		"node.id=1",
		"controller.quorum.voters=1@" + controller,
		"controller.listener.names=CONTROLLER",
		"listeners=PLAINTEXT://" + addr + ",CONTROLLER://" + controller,
		"advertised.listeners=PLAINTEXT://" + addr,
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs=" + filepath.Join(dir, "data"),
		"auto.create.topics.enable=false",
		// One node holds every internal topic, and one partition of each will do.
		"offsets.topic.replication.factor=1",
		"offsets.topic.num.partitions=1",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"transaction.state.log.num.partitions=1",
		"share.coordinator.state.topic.replication.factor=1",
		"share.coordinator.state.topic.min.isr=1",
		// Members of a test come at once and go fast.
		"group.initial.rebalance.delay.ms=0",
		"group.min.session.timeout.ms=100",
		// The default takes 128 MB of the heap.
		"log.cleaner.dedupe.buffer.size=4194304",
	}
	file = filepath.Join(dir, "server.properties")
	if err := os.WriteFile(file, []byte(strings.Join(settings, "\n")+"\n"), 0o600); err != nil {
		return "", "", fmt.Errorf("writing the configuration: %w", err)
	}
	return addr, file, nil
}

func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// prepare creates the topics and waits until each partition has a leader and the
// group coordinator works: Kafka makes its topic when it is first asked.
func prepare(ctx context.Context, addr string, topics map[string]int) error {
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(addr), Transport: transport}
	if len(topics) > 0 {
		if err := createTopics(ctx, client, topics); err != nil {
			return fmt.Errorf("creating topics: %w", err)
		}
	}
	return poll(ctx, func() error {
		res, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: "kafkatest"})
		if err != nil {
			return fmt.Errorf("asking the group coordinator: %w", err)
		}
		return res.Error
	})
}

func createTopics(ctx context.Context, client *kafka.Client, topics map[string]int) error {
	req := &kafka.CreateTopicsRequest{}
	names := make([]string, 0, len(topics))
	for name, partitions := range topics {
		names = append(names, name)
		req.Topics = append(req.Topics, kafka.TopicConfig{Topic: name, NumPartitions: partitions, ReplicationFactor: 1})
	}
	res, err := client.CreateTopics(ctx, req)
	if err != nil {
		return err
	}
	for name, err := range res.Errors {
		if err != nil {
			return fmt.Errorf("topic %s: %w", name, err)
		}
	}
	return poll(ctx, func() error {
		meta, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: names})
		if err == nil && !haveLeaders(meta, topics) {
			err = errors.New("some partitions have no leader")
		}
		return err
	})
}

// poll calls check until it returns nil or the context ends.
func poll(ctx context.Context, check func() error) error {
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func haveLeaders(meta *kafka.MetadataResponse, topics map[string]int) bool {
	for _, topic := range meta.Topics {
		if topic.Error != nil || len(topic.Partitions) != topics[topic.Name] {
			return false
		}
		for _, p := range topic.Partitions {
			if p.Error != nil || p.Leader.Host == "" {
				return false
			}
		}
	}
	return len(meta.Topics) == len(topics)
}
