package main

import (
	"github.com/spf13/cobra"

	"ioc.local/internal/produce"
	"ioc.local/internal/telemetry"
)

func newIngestFile() *cobra.Command {
	var fallback string
	cmd := &cobra.Command{
		Use: "ingest-file FILE", Short: "Produce the events of an NDJSON file to Kafka (- reads standard input)", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig(cmd, nil)
			if err != nil {
				return err
			}
			logger, err := telemetry.NewLogger(cfg.Log.Level, cfg.Log.Format)
			if err != nil {
				return &usageError{err}
			}
			to, err := cfg.Kafka.cluster()
			if err != nil {
				return &usageError{err}
			}
			kafka, err := produce.NewKafka(produce.KafkaDeps{Cluster: to, Logger: logger})
			if err != nil {
				return err
			}
			defer func() { _ = kafka.Close() }()
			summary, err := produce.File(cmd.Context(), args[0], produce.FileOptions{FallbackTopic: fallback},
				produce.FileDeps{Sink: kafka.Write, Stdin: cmd.InOrStdin(), Progress: stderrTerminal()})
			if printErr := summary.Print(cmd.OutOrStdout()); err == nil {
				err = printErr
			}
			return err
		},
	}
	configFlags(cmd, nil)
	cmd.Flags().StringVar(&fallback, "topic", "", "topic for events whose type has no topic in the contract (default ioc.programme.v1)")
	return cmd
}
