package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ioc.local/ingest"
	"ioc.local/internal/access"
	"ioc.local/internal/cluster"
	"ioc.local/internal/config"
	"ioc.local/internal/reference"
	"ioc.local/internal/telemetry"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/engine"
	"ioc.local/query"
)

// Config is the whole configuration, one section for each part.
type Config struct {
	HTTP       query.Config     `yaml:"http"`
	Access     access.Config    `yaml:"access"`
	Internal   telemetry.Config `yaml:"internal"`
	Log        LogConfig        `yaml:"log"`
	ClickHouse ClickHouseConfig `yaml:"clickhouse"`
	Kafka      KafkaConfig      `yaml:"kafka"`
	Ingest     ingest.Config    `yaml:"ingest"`
	KPI        KPIConfig        `yaml:"kpi"`
	SQL        SQLConfig        `yaml:"sql"`
	Reference  ReferenceConfig  `yaml:"reference"`
	Demo       DemoConfig       `yaml:"demo"`
}

// LogConfig says how the process logs to standard error.
type LogConfig struct {
	Level  string `yaml:"level" doc:"debug, info, warn or error"`
	Format string `yaml:"format" doc:"console for people, json for machines"`
}

// ClickHouseConfig names the ClickHouse server. The demo has its own.
type ClickHouseConfig struct {
	Addr     []string      `yaml:"addr" doc:"native addresses of ClickHouse, host:port"`
	Database string        `yaml:"database" doc:"database of ioc"`
	Username string        `yaml:"username" doc:"user that ioc works as"`
	Password config.Secret `yaml:"password" doc:"its password, or file:/path"`
}

// KafkaConfig names the broker, how to enter it, and what to read.
type KafkaConfig struct {
	Brokers             []string           `yaml:"brokers" doc:"Kafka bootstrap addresses, host:port"`
	TLS                 cluster.TLSConfig  `yaml:"tls"`
	SASL                cluster.SASLConfig `yaml:"sasl"`
	Group               string             `yaml:"group" doc:"consumer group; its committed offsets are the state of ingestion"`
	Topics              []string           `yaml:"topics" doc:"topics to read; any topic may carry any event type"`
	DeadLetterTopic     string             `yaml:"dead_letter_topic" doc:"topic for rejected records; empty switches it off (the table dead_letters stays)"`
	DeadLetterRetention time.Duration      `yaml:"dead_letter_retention" doc:"how long the dead-letter topic keeps payloads, 1h to 365d (ioc topics apply sets it; ioc demo does so itself)"`
}

// connection is what cluster.New wants.
func (c KafkaConfig) connection() cluster.Config {
	return cluster.Config{Brokers: c.Brokers, TLS: c.TLS, SASL: c.SASL}
}

// cluster reads the certificates and makes what clients are made with. It connects to nothing yet.
func (c KafkaConfig) cluster() (*cluster.Cluster, error) {
	return cluster.New(c.connection(), cluster.Deps{})
}

// KPIConfig is about definitions and publication.
type KPIConfig struct {
	Dir string `yaml:"dir" doc:"directory of definitions that extend or override the built-in catalogue"`
}

// SQLConfig is about POST /api/v1/sql. The demo has users of its own.
type SQLConfig struct {
	Secret config.Secret `yaml:"secret" doc:"secret from which the passwords of the ClickHouse users of the scopes come (ioc clickhouse-users prints them), or file:/path; empty switches SQL off"`
}

// ReferenceConfig names reference data of one's own.
type ReferenceConfig struct {
	Savings string `yaml:"savings" doc:"CSV of savings coefficients; empty uses the built-in examples, which are not official"`
	Sources string `yaml:"sources" doc:"CSV of the sources that may send events, and how often; empty accepts every well-formed source"`
}

// load reads the reference data.
func (c ReferenceConfig) load() (*reference.Data, error) {
	return reference.Load(reference.Options{SavingsFile: c.Savings, SourcesFile: c.Sources})
}

// DemoConfig is about ioc demo only.
type DemoConfig struct {
	Data         string          `yaml:"data" doc:"data directory of the embedded engine and broker"`
	KafkaListen  string          `yaml:"kafka_listen" doc:"address of the embedded broker, host:port"`
	Rate         float64         `yaml:"rate" doc:"events per second of the simulator"`
	History      int             `yaml:"history" doc:"days of history that the simulator begins with, 0 to 400; a data directory that has one continues it"`
	Seed         uint64          `yaml:"seed" doc:"seed of the simulator: at one rate, equal seed and start, equal events"`
	Simulate     bool            `yaml:"simulate" doc:"run the simulator"`
	EngineMemory config.ByteSize `yaml:"engine_memory" doc:"memory limit of the embedded engine (queries above it fail with code 241)"`
}

func defaultConfig() Config {
	group := ingest.DefaultConfig()
	return Config{
		HTTP:       query.DefaultConfig(),
		Access:     access.DefaultConfig(),
		Internal:   telemetry.DefaultConfig(),
		Log:        LogConfig{Level: "info", Format: "console"},
		ClickHouse: ClickHouseConfig{Addr: []string{"127.0.0.1:9000"}, Database: "ioc", Username: "ioc"},
		Kafka:      KafkaConfig{Brokers: []string{"127.0.0.1:9092"}, Group: group.Group, Topics: group.Topics, DeadLetterTopic: group.DeadLetterTopic, DeadLetterRetention: 14 * 24 * time.Hour},
		Ingest:     group,
		Demo:       DemoConfig{Data: ".data", KafkaListen: "127.0.0.1:9092", Rate: 200, History: 30, Seed: 1, Simulate: true, EngineMemory: 6 << 30},
	}
}

// demoDefaults are those of ioc demo where they differ: whoever is on this machine needs no key.
func demoDefaults(c *Config) { c.Access.Loopback = true }

// Validate checks what no single part can check.
func (c Config) Validate() error {
	var errs []error
	if len(c.ClickHouse.Addr) == 0 {
		errs = append(errs, errors.New("clickhouse.addr: name at least one address"))
	}
	if c.ClickHouse.Database == "" {
		errs = append(errs, errors.New("clickhouse.database: must not be empty"))
	}
	if c.Demo.Data == "" {
		errs = append(errs, errors.New("demo.data: must not be empty"))
	}
	if c.Demo.Rate <= 0 || c.Demo.Rate > 1e6 {
		errs = append(errs, errors.New("demo.rate: must be above 0 and at most 1000000"))
	}
	if c.Demo.History < 0 || c.Demo.History > maxHistoryDays {
		errs = append(errs, fmt.Errorf("demo.history: must be 0 to %d", maxHistoryDays))
	}
	if c.Demo.EngineMemory < 512<<20 {
		errs = append(errs, errors.New("demo.engine_memory: must be at least 512MiB"))
	}
	if r := c.Kafka.DeadLetterRetention; r < time.Hour || r > 365*24*time.Hour {
		errs = append(errs, errors.New("kafka.dead_letter_retention: must be 1h to 365d"))
	}
	if !slices.Contains([]string{"console", "json"}, c.Log.Format) {
		errs = append(errs, errors.New("log.format: must be console or json"))
	}
	return errors.Join(append(errs, c.Kafka.connection().Validate(), c.ingest().Validate())...)
}

// ingest is the configuration of ingestion, with what the section kafka holds.
func (c Config) ingest() ingest.Config {
	i := c.Ingest
	i.Group, i.Topics, i.DeadLetterTopic = c.Kafka.Group, c.Kafka.Topics, c.Kafka.DeadLetterTopic
	return i
}

func (c Config) warehouse() warehouse.ClientConfig {
	w := warehouse.DefaultClientConfig()
	w.Addr, w.Database, w.Username, w.Password = c.ClickHouse.Addr, c.ClickHouse.Database, c.ClickHouse.Username, c.ClickHouse.Password.Reveal()
	return w
}

// configFlags adds --config and one flag for every key to a command. Short names are further flags for some keys.
func configFlags(cmd *cobra.Command, short map[string]string) {
	flags := cmd.Flags()
	flags.String("config", "", "YAML configuration file")
	cfg := defaultConfig()
	keys, err := config.Keys(&cfg)
	if err != nil {
		panic(fmt.Sprintf("the configuration struct is not valid: %v", err)) // a programming error, met by every test
	}
	for _, key := range keys {
		if key.Env == "" {
			continue
		}
		flags.String(key.Path, "", fmt.Sprintf("%s (%s)", key.Doc, key.Env))
		_ = flags.MarkHidden(key.Path) // ioc config doc lists them
		if name, ok := short[key.Path]; ok {
			flags.String(name, key.Default, key.Doc)
		}
	}
}

// loadConfig reads the file, the environment and the flags of a command made with configFlags. The functions change
// the defaults.
func loadConfig(cmd *cobra.Command, short map[string]string, defaults ...func(*Config)) (Config, error) {
	cfg := defaultConfig()
	for _, change := range defaults {
		change(&cfg)
	}
	keyOf := map[string]string{}
	for key, name := range short {
		keyOf[name] = key
	}
	known, err := config.Keys(&cfg)
	if err != nil {
		return cfg, err
	}
	for _, key := range known {
		keyOf[key.Path] = key.Path
	}
	values := map[string]string{}
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if key, ok := keyOf[flag.Name]; ok {
			values[key] = flag.Value.String()
		}
	})
	file, err := cmd.Flags().GetString("config")
	if err != nil {
		return cfg, err
	}
	env := slices.DeleteFunc(slices.Clone(os.Environ()), func(v string) bool {
		return len(v) > len(engine.LibraryEnv) && v[:len(engine.LibraryEnv)] == engine.LibraryEnv
	})
	if err := config.Load(&cfg, config.Source{File: file, Env: env, Flags: values}); err != nil {
		return cfg, &usageError{err}
	}
	return cfg, nil
}

// withClient loads the configuration of a command made with configFlags and runs work with a connection to ClickHouse.
func withClient(cmd *cobra.Command, work func(ctx context.Context, cfg Config, client *warehouse.Client) error) error {
	cfg, err := loadConfig(cmd, nil)
	if err != nil {
		return err
	}
	client, err := warehouse.Open(cmd.Context(), cfg.warehouse())
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	return work(cmd.Context(), cfg, client)
}

func newConfig() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Show the configuration"}
	print := &cobra.Command{
		Use: "print", Short: "Print the effective configuration, without secrets", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, nil)
			if err != nil {
				return err
			}
			return config.Print(cmd.OutOrStdout(), &cfg)
		},
	}
	configFlags(print, nil)
	doc := &cobra.Command{
		Use: "doc", Short: "List every key with its default, environment variable and meaning", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := defaultConfig()
			return config.Doc(cmd.OutOrStdout(), &cfg)
		},
	}
	cmd.AddCommand(print, doc)
	return cmd
}
