package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"ioc.local/internal/produce"
	"ioc.local/internal/reference"
	"ioc.local/internal/simulate"
	"ioc.local/internal/telemetry"
)

// printedStart is when printed events begin unless --start says otherwise, so that printing twice prints the same.
const printedStart = "2026-01-01T00:00:00+07:00"

// maxHistoryDays bounds a simulated history.
const maxHistoryDays = 400

func newSimulate() *cobra.Command {
	var out, start string
	var count uint64
	var history int
	var clean bool
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
			if history < 0 || history > maxHistoryDays {
				return &usageError{fmt.Errorf("--history: %d days, at most %d are possible", history, maxHistoryDays)}
			}
			if out == "-" && start == "" {
				start = printedStart
			}
			sim := simulate.DefaultConfig()
			sim.Rate, sim.Seed, sim.Count, sim.History = cfg.Demo.Rate, cfg.Demo.Seed, count, time.Duration(history)*24*time.Hour
			if clean {
				sim.Flaws = simulate.Flaws{}
			}
			if start != "" {
				if sim.Start, err = time.Parse(time.RFC3339, start); err != nil {
					return &usageError{fmt.Errorf("--start: %q is not RFC 3339 like %s", start, printedStart)}
				}
			}
			logger, err := telemetry.NewLogger(cfg.Log.Level, cfg.Log.Format)
			if err != nil {
				return &usageError{err}
			}
			data, err := reference.Load(reference.Options{})
			if err != nil {
				return err
			}
			if out == "-" && count > 0 {
				return printEvents(cmd.Context(), cmd.OutOrStdout(), sim, data)
			}
			sink := printTo(cmd.OutOrStdout())
			if out == "" {
				to, err := cfg.Kafka.cluster()
				if err != nil {
					return &usageError{err}
				}
				kafka, err := produce.NewKafka(produce.KafkaDeps{Cluster: to, Logger: logger})
				if err != nil {
					return err
				}
				defer func() { _ = kafka.Close() }()
				sink = kafka.Write
			}
			simulator, err := simulate.New(sim, simulate.Deps{
				Reference: data, Sink: sink, Logger: logger, Registry: prometheus.NewRegistry(), Progress: historyProgress(),
			})
			if err != nil {
				return err
			}
			return simulator.Run(cmd.Context())
		},
	}
	configFlags(cmd, short)
	cmd.Flags().StringVar(&out, "out", "", "- prints the events instead of producing them; with --count without waiting for their times")
	cmd.Flags().StringVar(&start, "start", "", "time of the first event that is not history, RFC 3339 (default now; with --out - "+printedStart+")")
	cmd.Flags().Uint64Var(&count, "count", 0, "end after this many events; 0 goes on until interrupted")
	cmd.Flags().IntVar(&history, "history", 0, "days of history before the start, sent without waiting for their times")
	cmd.Flags().BoolVar(&clean, "clean", false, "no bad records, duplicates, late events, voids or codes of the old scheme")
	return cmd
}

// historyProgress shows on a terminal how far a history is; elsewhere the log says when it is done.
func historyProgress() func(float64) {
	terminal := stderrTerminal()
	if terminal == nil {
		return nil
	}
	return produce.NewProgress("history", terminal).Set
}

// stderrTerminal is standard error if it is a terminal, else nil.
func stderrTerminal() io.Writer {
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		return os.Stderr
	}
	return nil
}

// printEvents prints cfg.Count events as fast as they can be written.
func printEvents(ctx context.Context, w io.Writer, cfg simulate.Config, data *reference.Data) error {
	if cfg.History > 0 {
		cfg.Origin = cfg.Start.Add(-cfg.History)
	}
	generator, err := simulate.NewGenerator(cfg, data)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriter(w)
	var line []byte
	for range cfg.Count {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		line, _ = generator.Next(line[:0])
		line = append(line, '\n')
		if _, err := buffered.Write(line); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

func printTo(w io.Writer) produce.Sink {
	buffered := bufio.NewWriter(w)
	return func(_ context.Context, messages []produce.Message) error {
		for _, m := range messages {
			if _, err := buffered.Write(m.Value); err != nil {
				return err
			}
			if err := buffered.WriteByte('\n'); err != nil {
				return err
			}
		}
		return buffered.Flush()
	}
}
