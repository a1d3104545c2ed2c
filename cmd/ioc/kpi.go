package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ioc.local/internal/telemetry"
	"ioc.local/internal/warehouse"
	"ioc.local/query/kpi"
)

func newKPI() *cobra.Command {
	cmd := &cobra.Command{Use: "kpi", Short: "List, check and explain KPIs, or evaluate one"}
	list := &cobra.Command{
		Use: "list", Short: "List the KPIs of the catalogue", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, nil)
			if err != nil {
				return err
			}
			catalogue, err := kpi.Load(cfg.KPI.Dir)
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			for _, d := range catalogue.All() {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", d.ID, d.Unit, d.DefaultPeriod, d.Name.VI, d.Name.EN)
			}
			return table.Flush()
		},
	}
	eval := &cobra.Command{
		Use: "eval ID [parameter=value …]", Short: "Evaluate a KPI now, with the parameters of the HTTP API (period=month by=province …)",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{fmt.Errorf("ioc kpi eval takes the id of a KPI; ioc kpi list names them")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig(cmd, nil)
			if err != nil {
				return err
			}
			values := url.Values{}
			for _, arg := range args[1:] {
				name, value, ok := strings.Cut(arg, "=")
				if !ok {
					return &usageError{fmt.Errorf("%q is not parameter=value", arg)}
				}
				values.Add(name, value)
			}
			catalogue, err := kpi.Load(cfg.KPI.Dir)
			if err != nil {
				return err
			}
			query, err := kpi.ParseQuery(catalogue, args[0], values, kpi.Scope{National: true})
			if err != nil {
				return &usageError{err}
			}
			data, err := cfg.Reference.load()
			if err != nil {
				return err
			}
			logger, err := telemetry.NewLogger(cfg.Log.Level, cfg.Log.Format)
			if err != nil {
				return &usageError{err}
			}
			client, err := warehouse.Open(cmd.Context(), cfg.warehouse())
			if err != nil {
				return err
			}
			defer func() { _ = client.Close() }()
			evaluator, err := kpi.New(kpi.DefaultConfig(), kpi.Deps{Conn: client.Conn(), Catalogue: catalogue, Coefficients: data.Coefficients(), Calendar: data.Calendar(), Logger: logger})
			if err != nil {
				return err
			}
			answer, err := evaluator.Evaluate(cmd.Context(), query)
			if err != nil {
				return err
			}
			encoder := json.NewEncoder(cmd.OutOrStdout())
			encoder.SetEscapeHTML(false)
			encoder.SetIndent("", "  ")
			return encoder.Encode(answer)
		},
	}
	configFlags(list, nil)
	configFlags(eval, nil)
	cmd.AddCommand(list, newKPICheck(), newKPIHandbook(), eval)
	return cmd
}
