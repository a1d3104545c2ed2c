package main

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"ioc.local/internal/produce"
	"ioc.local/internal/reference"
	"ioc.local/internal/simulate"
	"ioc.local/internal/telemetry"
)

func newSimulate() *cobra.Command {
	var out string
	var count uint64
	short := map[string]string{"demo.rate": "rate", "demo.seed": "seed"}
	cmd := &cobra.Command{
		Use: "simulate", Short: "Produce simulated events to Kafka, or print them with --out -", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, short)
			if err != nil {
				return err
			}
			if out != "" && out != "-" {
				return &usageError{fmt.Errorf("--out takes only -, not %q", out)}
			}
			logger, err := telemetry.NewLogger(cfg.Log.Level, cfg.Log.Format)
			if err != nil {
				return &usageError{err}
			}
			data, err := reference.Load(reference.Options{})
			if err != nil {
				return err
			}
			var sink produce.Sink
			if out == "-" {
				sink = printTo(cmd.OutOrStdout())
			} else {
				kafka, err := produce.NewKafka(produce.KafkaConfig{Brokers: cfg.Kafka.Brokers}, produce.KafkaDeps{Logger: logger})
				if err != nil {
					return err
				}
				defer func() { _ = kafka.Close() }()
				sink = kafka.Write
			}
			sim := simulate.DefaultConfig()
			sim.Rate, sim.Seed, sim.Count = cfg.Demo.Rate, cfg.Demo.Seed, count
			simulator, err := simulate.New(sim, simulate.Deps{Reference: data, Sink: sink, Logger: logger, Registry: prometheus.NewRegistry()})
			if err != nil {
				return err
			}
			return simulator.Run(cmd.Context())
		},
	}
	configFlags(cmd, short)
	cmd.Flags().StringVar(&out, "out", "", "- prints the events instead of producing them")
	cmd.Flags().Uint64Var(&count, "count", 0, "end after this many events; 0 goes on until interrupted")
	return cmd
}

func printTo(w io.Writer) produce.Sink {
	buffered := bufio.NewWriter(w)
	return func(_ context.Context, messages []produce.Message) error {
		for _, m := range messages {
			if _, err := buffered.Write(append(m.Value, '\n')); err != nil {
				return err
			}
		}
		return buffered.Flush()
	}
}
