package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/spf13/cobra"

	"ioc.local/dashboards"
	"ioc.local/internal/cluster"
	"ioc.local/internal/topics"
	"ioc.local/internal/warehouse"
	"ioc.local/query/kpi"
	"ioc.local/stream"
)

// checkTimeout bounds each look at another system.
const checkTimeout = 10 * time.Second

func newCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "Check the configuration, ClickHouse and Kafka before anything starts", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, nil)
			if err != nil {
				return err
			}
			failed := 0
			for _, check := range []struct {
				name string
				run  func(context.Context, Config) (string, error)
			}{
				{"reference data", checkReference}, {"KPI catalogue and boards", checkCatalogue},
				{"ClickHouse", checkClickHouse}, {"Kafka", checkKafka},
			} {
				failed += tell(cmd.OutOrStdout(), check.name, func() (string, error) {
					ctx, cancel := context.WithTimeout(cmd.Context(), checkTimeout)
					defer cancel()
					return check.run(ctx, cfg)
				})
			}
			if failed > 0 {
				return fmt.Errorf("%d of 4 checks failed", failed)
			}
			return nil
		},
	}
	configFlags(cmd, nil)
	return cmd
}

func tell(w io.Writer, name string, run func() (string, error)) (failed int) {
	detail, err := run()
	if err != nil {
		fmt.Fprintf(w, "FAILED  %s: %v\n", name, err)
		return 1
	}
	fmt.Fprintf(w, "ok      %s: %s\n", name, detail)
	return 0
}

func checkReference(_ context.Context, cfg Config) (string, error) {
	data, err := cfg.Reference.load()
	if err != nil {
		return "", err
	}
	sources := "no source registry"
	if registry := data.Sources(); registry != nil {
		sources = fmt.Sprintf("%d sources", len(registry.All()))
	}
	return fmt.Sprintf("%d provinces, %d services, %d savings coefficients from %s, %s", len(data.Provinces34()), len(data.Services()),
		len(data.Coefficients().All()), data.Coefficients().File(), sources), nil
}

func checkCatalogue(_ context.Context, cfg Config) (string, error) {
	catalogue, err := kpi.Load(cfg.KPI.Dir)
	if err != nil {
		return "", err
	}
	boards, err := stream.LoadBoards(dashboards.Boards(), catalogue)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d KPIs, %d boards", len(catalogue.All()), len(boards)), nil
}

func checkClickHouse(ctx context.Context, cfg Config) (string, error) {
	client, err := warehouse.Open(ctx, cfg.warehouse())
	if err != nil {
		return "", err
	}
	defer func() { _ = client.Close() }()
	version, err := client.Conn().ServerVersion()
	if err != nil {
		return "", fmt.Errorf("asking for the version: %w", err)
	}
	states, err := warehouse.MigrationStates(ctx, client)
	if err != nil {
		return "", err
	}
	pending := 0
	for _, s := range states {
		if !s.Applied {
			pending++
		}
	}
	if pending > 0 {
		return "", fmt.Errorf("%d of %d migrations are not applied: run ioc schema apply", pending, len(states))
	}
	return fmt.Sprintf("version %s, %d migrations applied", version.Version, len(states)), checkClock(ctx, client)
}

// maxClockOffset is half of what ingestion holds partitions at.
const maxClockOffset = 30 * time.Second

// checkClock compares this machine's clock with ClickHouse's, as exactly as the answer's round trip allows.
func checkClock(ctx context.Context, client *warehouse.Client) error {
	before := time.Now()
	theirs, err := warehouse.Now(ctx, client)
	if err != nil {
		return err
	}
	if least, most := before.Sub(theirs), time.Since(theirs); least > maxClockOffset || most < -maxClockOffset {
		return fmt.Errorf("this machine's clock and ClickHouse's are %s apart: beyond a minute ingestion holds its partitions; check NTP on both (timedatectl, chronyc tracking)", least.Abs().Round(time.Second))
	}
	return nil
}

func checkKafka(ctx context.Context, cfg Config) (string, error) {
	to, err := cfg.Kafka.cluster()
	if err != nil {
		return "", err
	}
	if err := to.Ping(ctx); err != nil {
		return "", fmt.Errorf("entering %v: %w", cfg.Kafka.Brokers, err)
	}
	transport := to.Transport("ioc-check")
	defer transport.CloseIdleConnections()
	client := to.Client(transport, checkTimeout)
	wanted := slices.Clone(cfg.Kafka.Topics)
	if cfg.Kafka.DeadLetterTopic != "" {
		wanted = append(wanted, cfg.Kafka.DeadLetterTopic)
	}
	answer, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: wanted})
	if err != nil {
		return "", fmt.Errorf("asking %v for metadata: %w", cfg.Kafka.Brokers, err)
	}
	var errs []error
	partitions := 0
	for _, topic := range answer.Topics {
		if topic.Error != nil {
			err := fmt.Errorf("topic %s: %w", topic.Name, topic.Error)
			if errors.Is(err, kafka.UnknownTopicOrPartition) {
				err = fmt.Errorf("%w; make it with: ioc topics apply", err)
			}
			errs = append(errs, err)
		}
		partitions += len(topic.Partitions)
	}
	notes, err := checkTopics(ctx, cfg, to)
	if err := errors.Join(append(errs, err)...); err != nil {
		return "", err
	}
	found := fmt.Sprintf("%d brokers, %d topics, %d partitions", len(answer.Brokers), len(answer.Topics), partitions)
	for _, note := range notes {
		found += "\nnote    Kafka: " + note
	}
	return found, nil
}

// checkTopics looks for settings of Kafka by which events are lost. Those are errors, each with what to do; others are
// notes.
func checkTopics(ctx context.Context, cfg Config, to *cluster.Cluster) (notes []string, err error) {
	admin, err := topics.Open(to)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	dangers, notes, err := admin.Check(ctx, cfg.topics())
	if err != nil {
		return nil, err
	}
	errs := make([]error, 0, len(dangers))
	for _, danger := range dangers {
		errs = append(errs, errors.New(danger))
	}
	return notes, errors.Join(errs...)
}
