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
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"ioc.local/internal/cluster/clustertest"
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

// Options say what a Kafka offers beyond a plaintext listener.
type Options struct {
	// Topics are made at the start, name to number of partitions.
	Topics map[string]int
	// Settings are further lines of server.properties.
	Settings []string
	// Users may log in on a listener with SASL, name to password, by PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512.
	Users map[string]string
	// Authority signs the broker's certificate for a listener with TLS, and for another that demands a certificate of the
	// same authority from clients.
	Authority *clustertest.Authority
}

// Server is a Kafka that runs until its test ends.
type Server struct {
	// Addr is its plaintext listener; the others are there if the options ask for them.
	Addr, SASL, TLS, MutualTLS string

	t       testing.TB
	jars    string
	config  string
	log     string
	process *process
}

// Start runs a single-node Kafka in KRaft mode on free loopback ports until the
// test ends, with the given topics (name to number of partitions), and returns
// its address. It skips the test if TEST_KAFKA_HOME is not set, and fails it if
// Kafka does not start. Kafka also ends when the test process is killed.
//
// Group members may ask for session timeouts from 100 ms on, as with brokertest.
func Start(t testing.TB, topics map[string]int) (addr string) {
	t.Helper()
	return Run(t, Options{Topics: topics}).Addr
}

// Run is Start with more to choose.
func Run(t testing.TB, options Options) *Server {
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
	var s *Server
	var err error
	for range attempts {
		s = &Server{t: t, jars: jars}
		if err = s.make(ctx, options); !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err != nil {
		t.Fatalf("starting Kafka: %v", err)
	}
	if err := prepare(ctx, s.Addr, options.Topics); err != nil {
		t.Fatalf("preparing Kafka: %v", err)
	}
	if err := addUsers(ctx, s.Addr, options.Users); err != nil {
		t.Fatalf("adding users: %v", err)
	}
	return s
}

// make writes the configuration, formats the storage and starts Kafka.
func (s *Server) make(ctx context.Context, options Options) error {
	dir := s.t.TempDir()
	s.log = filepath.Join(dir, "kafka.log")
	if err := s.configure(dir, options); err != nil {
		return err
	}
	format := java(ctx, s.jars, "kafka.tools.StorageTool", "format", "--cluster-id", "aW9jLXRlc3Qta2Fma2EtMQ", "--config", s.config)
	if out, err := format.CombinedOutput(); err != nil {
		return fmt.Errorf("formatting storage: %w\n%s", err, out)
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	s.t.Cleanup(func() { s.process.stop() })
	return nil
}

func (s *Server) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	p, err := startProcess(java(context.Background(), s.jars, "kafka.Kafka", s.config), s.log)
	if err != nil {
		return err
	}
	if err := p.waitListening(ctx, s.Addr); err != nil {
		p.stop()
		out := p.output()
		if bytes.Contains(out, []byte("BindException")) {
			err = errPortTaken
		}
		return fmt.Errorf("%w\n%s", err, out)
	}
	s.process = p
	return nil
}

// Kill ends Kafka at once, as kill -9 does.
func (s *Server) Kill() { s.process.stop() }

// Restart starts it again after Kill, with what it had stored, at the same addresses.
func (s *Server) Restart() {
	s.t.Helper()
	if err := s.start(context.Background()); err != nil {
		s.t.Fatalf("starting Kafka again: %v", err)
	}
}

// Stall makes Kafka stand still, as a machine without memory would. The function that it returns lets it go on.
func (s *Server) Stall() (resume func()) {
	s.t.Helper()
	s.process.signal(syscall.SIGSTOP)
	return func() { s.process.signal(syscall.SIGCONT) }
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

// configure writes server.properties and chooses where Kafka will listen.
func (s *Server) configure(dir string, options Options) error {
	var controller string
	addresses := map[string]*string{"PLAINTEXT": &s.Addr, "CONTROLLER": &controller}
	protocols := []string{"PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT"}
	settings := []string{
		"process.roles=broker,controller",
		"node.id=1",
		"controller.listener.names=CONTROLLER",
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
	if len(options.Users) > 0 {
		addresses["SASL"] = &s.SASL
		protocols = append(protocols, "SASL:SASL_PLAINTEXT")
		settings = append(settings, saslSettings("sasl", options.Users)...)
	}
	if options.Authority != nil {
		addresses["TLS"], addresses["MUTUAL"] = &s.TLS, &s.MutualTLS
		protocols = append(protocols, "TLS:SSL", "MUTUAL:SSL")
		more, err := tlsSettings(s.t, dir, options.Authority)
		if err != nil {
			return err
		}
		settings = append(settings, more...)
	}
	var listeners, advertised []string
	for name, addr := range addresses {
		var err error
		if *addr, err = freeAddr(); err != nil {
			return err
		}
		listeners = append(listeners, name+"://"+*addr)
		if name != "CONTROLLER" {
			advertised = append(advertised, name+"://"+*addr)
		}
	}
	settings = append(append(settings,
		"controller.quorum.voters=1@"+controller,
		"listeners="+strings.Join(listeners, ","),
		"advertised.listeners="+strings.Join(advertised, ","),
		"listener.security.protocol.map="+strings.Join(protocols, ","),
	), options.Settings...)
	s.config = filepath.Join(dir, "server.properties")
	if err := os.WriteFile(s.config, []byte(strings.Join(settings, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return nil
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
