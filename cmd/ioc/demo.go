package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ioc.local/internal/broker"
	"ioc.local/internal/produce"
	"ioc.local/internal/simulate"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/engine"
)

// demoPartitions is small: each partition costs inserts of its own, and the demo has one machine.
const demoPartitions = 2

func newDemo() *cobra.Command {
	var noSimulate bool
	short := map[string]string{
		"http.listen": "listen", "internal.listen": "internal-listen", "demo.kafka_listen": "kafka-listen",
		"demo.data": "data", "demo.rate": "rate", "demo.seed": "seed",
	}
	cmd := &cobra.Command{
		Use: "demo", Short: "Run everything in one process, with an embedded ClickHouse engine, an embedded broker and simulated events", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, short)
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
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "KPIs       http://%s/api/v1/kpis\n", p.publicAddr)
	fmt.Fprintf(out, "live feed  ws://%s/api/v1/live\n", p.publicAddr)
	fmt.Fprintf(out, "metrics    http://%s/metrics (ready when http://%s/readyz answers 200)\n", p.internalAddr, p.internalAddr)
	fmt.Fprintf(out, "Kafka      %s\n", p.cfg.Kafka.Brokers[0])
	fmt.Fprintf(out, "commands   ioc verify --config %[1]s, ioc kpi eval auth_transactions --config %[1]s, …\n", connection)
	if cfg.Demo.Simulate {
		fmt.Fprintf(out, "The events are simulated (%g a second, seed %d): illustrative, not official data.\n", cfg.Demo.Rate, cfg.Demo.Seed)
	}
	return p.stages.wait(ctx)
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
	var text strings.Builder
	for _, section := range []struct{ name, keys string }{
		{"clickhouse", fmt.Sprintf("addr: %s, database: %q, username: %q, password: %q", yamlList(p.clickhouse.Addr), p.clickhouse.Database, p.clickhouse.Username, p.clickhouse.Password)},
		{"kafka", fmt.Sprintf("brokers: %s, group: %q, topics: %s, dead_letter_topic: %q", yamlList(p.cfg.Kafka.Brokers), p.cfg.Kafka.Group, yamlList(p.cfg.Kafka.Topics), p.cfg.Kafka.DeadLetterTopic)},
		{"reference", fmt.Sprintf("savings: %q", savings)},
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
	cfg.Users = engine.Users{Database: p.cfg.ClickHouse.Database, Scopes: []engine.Scope{engine.NationalScope()}, Limits: engine.DefaultLimits()}
	for _, province := range p.data.Provinces34() {
		cfg.Users.Scopes = append(cfg.Users.Scopes, engine.ProvinceScope(province.Code))
	}
	for _, view := range warehouse.AnalystViews() {
		cfg.Users.Objects = append(cfg.Users.Objects, engine.Object{Name: view.Name, Province: view.Province})
	}
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
		cfg.Topics = append(cfg.Topics, broker.Topic{Name: p.cfg.Kafka.DeadLetterTopic, Partitions: 1})
	}
	b, err := broker.New(cfg, broker.Deps{Logger: p.logger.Named("broker")})
	if err != nil {
		return err
	}
	p.stages.start("broker", b.Run)
	if err := b.WaitReady(ctx); err != nil {
		return err
	}
	p.cfg.Kafka.Brokers = []string{b.Addr()}
	return nil
}

// startSimulator produces simulated events to the broker.
func (p *process) startSimulator() error {
	kafka, err := produce.NewKafka(produce.KafkaConfig{Brokers: p.cfg.Kafka.Brokers}, produce.KafkaDeps{Logger: p.logger.Named("simulate")})
	if err != nil {
		return err
	}
	cfg := simulate.DefaultConfig()
	cfg.Rate, cfg.Seed = p.cfg.Demo.Rate, p.cfg.Demo.Seed
	simulator, err := simulate.New(cfg, simulate.Deps{Reference: p.data, Sink: kafka.Write, Logger: p.logger.Named("simulate"), Registry: p.registry})
	if err != nil {
		return errors.Join(err, kafka.Close())
	}
	p.stages.start("simulator", func(ctx context.Context) error {
		return errors.Join(simulator.Run(ctx), kafka.Close())
	})
	return nil
}
