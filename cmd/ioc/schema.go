package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"ioc.local/internal/warehouse"
)

func newSchema() *cobra.Command {
	cmd := &cobra.Command{Use: "schema", Short: "Apply or show the ClickHouse schema"}
	apply := &cobra.Command{
		Use: "apply", Short: "Create the database, apply the migrations that it lacks and fill the reference tables", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, nil)
			if err != nil {
				return err
			}
			if err := createDatabase(cmd.Context(), cfg); err != nil {
				return err
			}
			client, err := warehouse.Open(cmd.Context(), cfg.warehouse())
			if err != nil {
				return err
			}
			defer func() { _ = client.Close() }()
			if err := warehouse.Migrate(cmd.Context(), client); err != nil {
				return err
			}
			data, err := cfg.Reference.load()
			if err != nil {
				return err
			}
			if err := warehouse.LoadReference(cmd.Context(), client, data); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "The schema and the reference tables are up to date.")
			return err
		},
	}
	status := &cobra.Command{
		Use: "status", Short: "List the migrations and whether the database has them", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(cmd, func(ctx context.Context, _ Config, client *warehouse.Client) error {
				states, err := warehouse.MigrationStates(ctx, client)
				if err != nil {
					return err
				}
				for _, s := range states {
					word := "pending"
					if s.Applied {
						word = "applied"
					}
					fmt.Fprintf(cmd.OutOrStdout(), "%-8s %s %.12s\n", word, s.Name, s.Checksum)
				}
				return nil
			})
		},
	}
	print := &cobra.Command{
		Use: "print", Short: "Print the schema as SQL", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			migrations, err := warehouse.Migrations()
			if err != nil {
				return err
			}
			for _, m := range migrations {
				fmt.Fprintf(cmd.OutOrStdout(), "-- %s\n%s\n", m.Name, m.SQL)
			}
			return nil
		},
	}
	configFlags(apply, nil)
	configFlags(status, nil)
	cmd.AddCommand(apply, status, print)
	return cmd
}

func createDatabase(ctx context.Context, cfg Config) error {
	bootstrap := cfg.warehouse()
	bootstrap.Database = ""
	client, err := warehouse.Open(ctx, bootstrap)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	if err := client.Conn().Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+strconv.Quote(cfg.ClickHouse.Database)); err != nil {
		return fmt.Errorf("creating the database: %w", err)
	}
	return nil
}
