package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ioc.local/ingest"
	"ioc.local/ingest/verify"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
)

func newVerify() *cobra.Command {
	var atRest bool
	cmd := &cobra.Command{
		Use: "verify", Short: "Prove that every event is in ClickHouse once, and every rollup equal to its raw rows", Args: exactly(0),
		Long: `Over the raw rows that are retained: every offset between the first and the committed one is in exactly one table,
every identity is there once, every rollup is what its raw rows give. Prints a table; the exit code is 1 on a difference, and 3 when it could not be found out whether there is one, as where
Kafka or ClickHouse does not answer. It may run while ingestion does.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, nil)
			if err != nil {
				return err
			}
			report, err := verifyAll(cmd, cfg, atRest)
			if err != nil {
				return &undecidedError{err}
			}
			if !report.OK() {
				return errors.New("something is missing, counted twice, or not what its raw rows give")
			}
			return nil
		},
	}
	configFlags(cmd, nil)
	cmd.Flags().BoolVar(&atRest, "at-rest", false, "ingestion is not running: do without Kafka's committed offsets")
	return cmd
}

// verifyAll proves and prints. Its errors say that it could not.
func verifyAll(cmd *cobra.Command, cfg Config, atRest bool) (*verify.Report, error) {
	data, err := reference.Load(reference.Options{})
	if err != nil {
		return nil, err
	}
	client, err := warehouse.Open(cmd.Context(), cfg.warehouse())
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }()
	deps := verify.Deps{Client: client, Calendar: data.Calendar()}
	if !atRest {
		deps.Committed = func(ctx context.Context) (map[verify.TopicPartition]int64, error) {
			return committed(ctx, cfg.ingest())
		}
	}
	report, err := verify.Run(cmd.Context(), deps, verify.Options{Progress: func(step string) { fmt.Fprintln(cmd.ErrOrStderr(), step) }})
	if err != nil {
		return nil, err
	}
	return report, report.Print(cmd.OutOrStdout())
}

func committed(ctx context.Context, cfg ingest.Config) (map[verify.TopicPartition]int64, error) {
	offsets := map[verify.TopicPartition]int64{}
	err := ingest.Committed(ctx, cfg, func(incarnation string, partition int, offset int64) {
		offsets[verify.TopicPartition{Topic: incarnation, Partition: uint32(partition)}] = offset
	})
	return offsets, err
}
