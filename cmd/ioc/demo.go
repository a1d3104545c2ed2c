package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ioc.local/internal/broker"
	"ioc.local/internal/cluster"
	"ioc.local/internal/produce"
	"ioc.local/internal/simulate"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/engine"
	"ioc.local/testdata"
)

// demoPartitions is small: each partition costs inserts of its own, and the demo has one machine. From an event to the feed it
// is 2.3 to 2.6 s with two partitions and 1.5 s with one, at 200 dossier events/s (docs/explanation/performance.md).
const demoPartitions = 1

func newDemo() *cobra.Command {
	var noSimulate bool
	short := map[string]string{
		"http.listen": "listen", "internal.listen": "internal-listen", "demo.kafka_listen": "kafka-listen",
		"demo.data": "data", "demo.rate": "rate", "demo.history": "history", "demo.seed": "seed",
	}
	cmd := &cobra.Command{
		Use: "demo", Short: "Run everything in one process, with an embedded ClickHouse engine, an embedded broker and simulated events", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, short, demoDefaults)
			if err != nil {
				return err
			}
			if noSimulate {
				cfg.Demo.Simulate = false
			}
			return demo(cmd, cfg)
		},
	}
	configFlags(cmd, short)
	cmd.Flags().BoolVar(&noSimulate, "no-simulate", false, "start without the simulator and serve whatever Kafka clients produce")
	return cmd
}

func demo(cmd *cobra.Command, cfg Config) (err error) {
	ctx := cmd.Context()
	p, err := newProcess(cfg)
	if err != nil {
		return err
	}
	defer func() { err = p.close(err) }()
	if err := p.startEngine(ctx); err != nil {
		return err
	}
	if err := p.startBroker(ctx); err != nil {
		return err
	}
	if err := p.prepare(ctx); err != nil {
		return err
	}
	if err := p.startRoles(roles{ingest: true, query: true, stream: true}); err != nil {
		return err
	}
	connection, err := p.writeConnection()
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(connection) }()
	if cfg.Demo.Simulate {
		if err := p.startSimulator(); err != nil {
			return err
		}
	}
	if err := p.announce(cmd.OutOrStdout(), connection); err != nil {
		return err
	}
	return p.stages.wait(ctx)
}

// announce says where everything is, and what it is not.
func (p *process) announce(w io.Writer, connection string) error {
	public, internal := "http://"+p.publicAddr, "http://"+p.internalAddr
	var text strings.Builder
	for _, line := range [][2]string{
		{"wall", public + "/wall/"},
		{"KPIs", public + "/api/v1/kpis"},
		{"live feed", "ws://" + p.publicAddr + "/api/v1/live"},
		{"SQL", public + "/api/v1/sql"},
		{"metrics", internal + "/metrics (ready when " + internal + "/readyz answers 200)"},
		{"Kafka", p.cfg.Kafka.Brokers[0]},
		{"commands", fmt.Sprintf("ioc verify --config %[1]s, ioc kpi eval auth_transactions --config %[1]s, …", connection)},
	} {
		fmt.Fprintf(&text, "%-10s %s\n", line[0], line[1])
	}
	if p.cfg.Access.Loopback {
		fmt.Fprintln(&text, "Whoever connects from this machine without a key is a national operator; from elsewhere a key is needed.")
	}
	if d := p.cfg.Demo; d.Simulate {
		fmt.Fprintf(&text, "The events are simulated (%g a second, seed %d, %d days of history): illustrative, not official data.\n", d.Rate, d.Seed, d.History)
		fmt.Fprintln(&text, "Official are only the baselines of testdata/seeds.ndjson, each with its date and source.")
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// writeConnection writes a configuration file with which other ioc commands, in any directory, see what the demo sees
// while it runs: the embedded engine and broker, and the demo's own topics, coefficients and definitions. Only its owner
// can read it, since it holds the engine's password.
func (p *process) writeConnection() (path string, err error) {
	path = filepath.Join(p.cfg.Demo.Data, "connection.yaml")
	savings, err := absolute(p.cfg.Reference.Savings)
	if err != nil {
		return "", err
	}
	definitions, err := absolute(p.cfg.KPI.Dir)
	if err != nil {
		return "", err
	}
	sources, err := absolute(p.cfg.Reference.Sources)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, section := range []struct{ name, keys string }{
		{"clickhouse", fmt.Sprintf("addr: %s, database: %q, username: %q, password: %q", yamlList(p.clickhouse.Addr), p.clickhouse.Database, p.clickhouse.Username, p.clickhouse.Password)},
		{"kafka", fmt.Sprintf("brokers: %s, group: %q, topics: %s, dead_letter_topic: %q, dead_letter_retention: %s", yamlList(p.cfg.Kafka.Brokers), p.cfg.Kafka.Group, yamlList(p.cfg.Kafka.Topics), p.cfg.Kafka.DeadLetterTopic, p.cfg.Kafka.DeadLetterRetention)},
		{"reference", fmt.Sprintf("savings: %q, sources: %q", savings, sources)},
		{"kpi", fmt.Sprintf("dir: %q", definitions)},
	} {
		fmt.Fprintf(&text, "%s: {%s}\n", section.name, section.keys)
	}
	_ = os.Remove(path) // whatever mode it had
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		return "", fmt.Errorf("writing the connection file: %w", err)
	}
	return path, nil
}

// absolute makes a path one that any directory understands; an empty one stays empty.
func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	return filepath.Abs(path)
}

// yamlList writes texts as YAML reads them: Go's quotes and escapes are among YAML's.
func yamlList(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = strconv.Quote(text)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// startEngine starts the embedded ClickHouse and connects to it.
func (p *process) startEngine(ctx context.Context) error {
	cfg := engine.DefaultConfig()
	cfg.Dir, cfg.Library, cfg.MemoryLimit = filepath.Join(p.cfg.Demo.Data, "clickhouse"), os.Getenv(engine.LibraryEnv), int64(p.cfg.Demo.EngineMemory)
	cfg.LogLevel = "error" // its warnings are about its own housekeeping
	cfg.Users = scopeUsers(p.cfg.ClickHouse.Database, p.data)
	e, err := engine.New(cfg, engine.Deps{Logger: p.logger.Named("engine"), Registry: p.registry})
	if err != nil {
		return err
	}
	p.stages.start("engine", e.Run)
	if err := e.WaitReady(ctx); err != nil {
		return err
	}
	client := p.cfg.warehouse()
	client.Addr, client.Username, client.Password = []string{e.Addr()}, e.Username(), e.Password()
	bootstrap := client
	bootstrap.Database = ""
	if err := p.connect(ctx, bootstrap); err != nil {
		return err
	}
	if err := p.client.Conn().Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+strconv.Quote(client.Database)); err != nil {
		return fmt.Errorf("creating the database: %w", err)
	}
	if err := p.client.Close(); err != nil {
		return err
	}
	p.clickhouse = client
	p.scopeConnection = func(scope string) (warehouse.ClientConfig, error) {
		c, err := e.ScopeCredentials(scope)
		scoped := client
		scoped.Username, scoped.Password = c.Username, c.Password
		return scoped, err
	}
	return p.connect(ctx, client)
}

// startBroker starts the embedded Kafka broker with all topics.
func (p *process) startBroker(ctx context.Context) error {
	cfg := broker.DefaultConfig()
	cfg.Listen, cfg.Dir = p.cfg.Demo.KafkaListen, filepath.Join(p.cfg.Demo.Data, "kafka")
	for _, topic := range p.cfg.Kafka.Topics {
		cfg.Topics = append(cfg.Topics, broker.Topic{Name: topic, Partitions: demoPartitions})
	}
	if p.cfg.Kafka.DeadLetterTopic != "" {
		cfg.Topics = append(cfg.Topics, broker.Topic{Name: p.cfg.Kafka.DeadLetterTopic, Partitions: 1, Retention: p.cfg.Kafka.DeadLetterRetention})
	}
	b, err := broker.New(cfg, broker.Deps{
		Logger: p.logger.Named("broker"), Registry: p.registry, Report: report(p.health.Probe("broker")),
	})
	if err != nil {
		return err
	}
	p.stages.start("broker", b.Run)
	if err := b.WaitReady(ctx); err != nil {
		return err
	}
	// The broker of the demo has neither TLS nor users, whatever the configuration says of another.
	p.cfg.Kafka.Brokers, p.cfg.Kafka.TLS, p.cfg.Kafka.SASL = []string{b.Addr()}, cluster.TLSConfig{}, cluster.SASLConfig{}
	return nil
}

// startSimulator produces the official figures that are shipped, and then simulated events, to the broker.
func (p *process) startSimulator() error {
	logger := p.logger.Named("simulate")
	to, err := p.cfg.Kafka.cluster()
	if err != nil {
		return err
	}
	kafka, err := produce.NewKafka(produce.KafkaDeps{Cluster: to, Logger: logger})
	if err != nil {
		return err
	}
	cfg := simulate.DefaultConfig()
	cfg.Rate, cfg.Seed = p.cfg.Demo.Rate, p.cfg.Demo.Seed
	if p.cfg.Demo.History > 0 {
		cfg.History, cfg.State = time.Duration(p.cfg.Demo.History)*24*time.Hour, filepath.Join(p.cfg.Demo.Data, "simulator.json")
	}
	simulator, err := simulate.New(cfg, simulate.Deps{
		Reference: p.data, Sink: kafka.Write, Logger: logger, Registry: p.registry, Progress: historyProgress(),
	})
	if err != nil {
		return errors.Join(err, kafka.Close())
	}
	p.stages.start("simulator", func(ctx context.Context) error {
		// Each time again: their ids are stable, so that they count once.
		_, err := produce.Lines(ctx, "official figures", strings.NewReader(testdata.Seeds), int64(len(testdata.Seeds)), produce.FileOptions{}, produce.FileDeps{Sink: kafka.Write})
		if err == nil {
			err = simulator.Run(ctx)
		} else if ctx.Err() != nil {
			err = nil
		}
		return errors.Join(err, kafka.Close())
	})
	return nil
}
