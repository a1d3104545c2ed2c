package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ioc.local/ingest"
	"ioc.local/ingest/verify"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
)

// verifyFlags are those of ioc verify.
type verifyFlags struct {
	atRest, hours bool
	since         string
	rebuild       []string
}

func newVerify() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use: "verify", Short: "Prove that every event is in ClickHouse once, and every rollup equal to its raw rows", Args: exactly(0),
		Long: `Over the raw rows that are retained: every offset between the first and the committed one is in exactly one table,
every identity is there once, every rollup is what its raw rows give. Prints a table; the exit code is 1 on a difference, and 3 when it could not be found out whether there is one, as where
Kafka or ClickHouse does not answer. It may run while ingestion does.

Hours are those of receipt: of the clock that ioc recorded for the batch that an offset came in with. Only hours in which
offsets are missing or doubled are listed, unless --hours asks for all.

--rebuild brings rollups to what their raw rows give, and then proves it. Ingestion may go on meanwhile. Counts of which
the raw rows are no longer retained stay as they are. Stopped at any moment, it leaves each rollup as it was or as it
should be, and may be started again. It does nothing while raw rows are missing.`,
		Example: `  ioc verify --config ioc.yaml
  ioc verify --config ioc.yaml --since 24h --hours
  ioc verify --config ioc.yaml --output json | jq '.hours[] | select(.missing > 0)'
  ioc verify --config ioc.yaml --rebuild auth_days,dossier_days`,
	}
	inJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		asJSON, err := inJSON()
		if err != nil {
			return err
		}
		options := verify.Options{Now: time.Now(), Hours: f.hours, Rebuild: f.rebuild, Progress: func(step string) { fmt.Fprintln(cmd.ErrOrStderr(), step) }}
		if options.Since, err = pastMoment(f.since, options.Now); err != nil {
			return &usageError{fmt.Errorf("--since: %w", err)}
		}
		if f.since != "" && len(f.rebuild) > 0 {
			return &usageError{errors.New("--rebuild looks at all that is retained: leave out --since")}
		}
		cfg, err := loadConfig(cmd, nil)
		if err != nil {
			return err
		}
		report, err := verifyAll(cmd.Context(), cfg, f.atRest, options)
		if unknown := new(verify.UnknownRollupError); errors.As(err, &unknown) {
			return &usageError{fmt.Errorf("--rebuild: %w", unknown)}
		}
		if err != nil {
			return &undecidedError{err}
		}
		print := report.Print
		if asJSON {
			print = report.PrintJSON
		}
		if err := print(cmd.OutOrStdout()); err != nil {
			return &undecidedError{err}
		}
		if !report.OK() {
			return errors.New("something is missing, counted twice, or not what its raw rows give")
		}
		return nil
	}
	configFlags(cmd, nil)
	cmd.Flags().BoolVar(&f.atRest, "at-rest", false, "ingestion is not running: do without Kafka's committed offsets")
	cmd.Flags().BoolVar(&f.hours, "hours", false, "list every hour of every partition, and not only those with faults")
	cmd.Flags().StringVar(&f.since, "since", "", "only what was received since: a date, a time of RFC 3339, or how long ago (90m, 2d)")
	cmd.Flags().StringSliceVar(&f.rebuild, "rebuild", nil, "rollups to bring to what their raw rows give, comma-separated; all for every one")
	return cmd
}

// verifyAll proves. Its errors say that it could not.
func verifyAll(ctx context.Context, cfg Config, atRest bool, options verify.Options) (*verify.Report, error) {
	data, err := reference.Load(reference.Options{})
	if err != nil {
		return nil, err
	}
	client, err := warehouse.Open(ctx, cfg.warehouse())
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }()
	deps := verify.Deps{Client: client, Calendar: data.Calendar()}
	if !atRest {
		deps.Committed = func(ctx context.Context) (map[verify.TopicPartition]int64, error) {
			return committed(ctx, cfg)
		}
	}
	return verify.Run(ctx, deps, options)
}

func committed(ctx context.Context, cfg Config) (map[verify.TopicPartition]int64, error) {
	kafka, err := cfg.Kafka.cluster()
	if err != nil {
		return nil, err
	}
	offsets := map[verify.TopicPartition]int64{}
	err = ingest.Committed(ctx, cfg.ingest(), kafka, func(incarnation string, partition int, offset int64) {
		offsets[verify.TopicPartition{Topic: incarnation, Partition: uint32(partition)}] = offset
	})
	return offsets, err
}
