package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ioc.local/query/kpi"
)

func newKPICheck() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check [DIR]", Short: "Check the definitions of KPIs in a directory, together with those that come with ioc", Args: atMost(1),
		Long: `Loads the shipped catalogue and the operator's definitions, of DIR or else of kpi.dir, and prints the first error of each file
as file:line:column with what is wrong and what to do. The exit code is 1 when there is any.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig(cmd, nil)
			if err != nil {
				return err
			}
			dir := cmp.Or(strings.Join(args, ""), cfg.KPI.Dir)
			catalogue, err := kpi.Load(dir)
			if joined, ok := errors.AsType[interface {
				error
				Unwrap() []error
			}](err); ok {
				for _, wrong := range joined.Unwrap() {
					fmt.Fprintln(cmd.OutOrStdout(), wrong)
				}
				return fmt.Errorf("errors in the KPI catalogue: %d", len(joined.Unwrap()))
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d KPIs, 0 errors\n", len(catalogue.All()))
			return nil
		},
	}
	configFlags(cmd, nil)
	return cmd
}

func newKPIHandbook() *cobra.Command {
	cmd := &cobra.Command{
		Use: "handbook", Short: "Print what every KPI is, in Vietnamese and English, as Markdown", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, nil)
			if err != nil {
				return err
			}
			catalogue, err := kpi.Load(cfg.KPI.Dir)
			if err != nil {
				return err
			}
			return catalogue.Handbook(cmd.OutOrStdout())
		},
	}
	configFlags(cmd, nil)
	return cmd
}
