package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"ioc.local/ingest/event"
	"ioc.local/internal/telemetry"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			build := telemetry.ReadBuild()
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "ioc %s %s (event contract %d, %s)\n", build.Version, build.Revision, event.Version, build.Go)
			return err
		},
	}
}
