package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	format "ioc.local/internal/figure"
	"ioc.local/internal/reference"
	"ioc.local/internal/telemetry"
	"ioc.local/internal/warehouse"
	"ioc.local/query/kpi"
)

func newSavings() *cobra.Command {
	cmd := &cobra.Command{Use: "savings", Short: "Explain what online dossiers save"}
	cmd.AddCommand(newSavingsExplain())
	return cmd
}

func newSavingsExplain() *cobra.Command {
	var service, day, province, lang string
	cmd := &cobra.Command{
		Use: "explain --service DA06-03 --day 2026-11-20", Short: "Explain what the dossiers of one service saved on one day", Args: exactly(0),
		Long: `Prints how the saving of one service on one day comes about: the coefficient in force with its components, its source and its
version, what one dossier saves by the formula of Circular 02/2017/TT-VPCP, Article 27, with the numbers put in, the dossiers
that were counted, and the product, which is what savings_vnd_year counts of them.`,
		Example: `  ioc savings explain --service DA06-03 --day 2026-11-20 --config ioc.yaml
  ioc savings explain --service DA06-03 --day 2026-11-20 --province 79 --lang en --config ioc.yaml
  ioc savings explain --service DA06-03 --day 2026-11-20 --output json --config ioc.yaml | jq .saving_vnd`,
	}
	inJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		asJSON, err := inJSON()
		if err != nil {
			return err
		}
		language, known := map[string]format.Lang{"vi": format.VI, "en": format.EN}[lang]
		if !known {
			return &usageError{fmt.Errorf("--lang: %q is neither vi nor en", lang)}
		}
		if service == "" {
			return &usageError{errors.New("--service is missing, such as DA06-03")}
		}
		on, err := time.ParseInLocation(time.DateOnly, day, reference.TimeZone())
		if err != nil {
			return &usageError{fmt.Errorf("--day: %q is not a date like 2026-11-20", day)}
		}
		cfg, err := loadConfig(cmd, nil)
		if err != nil {
			return err
		}
		explained, err := explainSavings(cmd, cfg, service, on, province)
		if wrong, ok := errors.AsType[*kpi.Error](err); ok && wrong.Kind == kpi.BadRequest {
			return &usageError{fmt.Errorf("--%s %s", wrong.Param, wrong.Detail)}
		}
		if err != nil {
			return err
		}
		if asJSON {
			return writeLine(cmd.OutOrStdout(), explained)
		}
		return printSavings(cmd.OutOrStdout(), explained, language)
	}
	configFlags(cmd, nil)
	cmd.Flags().StringVar(&service, "service", "", "essential service, such as DA06-03")
	cmd.Flags().StringVar(&day, "day", "", "day of completion, a date in Asia/Ho_Chi_Minh")
	cmd.Flags().StringVar(&province, "province", "", "only dossiers of this province, a code of the 34-scheme")
	cmd.Flags().StringVar(&lang, "lang", "vi", "language of the text: vi or en")
	return cmd
}

func explainSavings(cmd *cobra.Command, cfg Config, service string, day time.Time, province string) (*kpi.SavingsExplanation, error) {
	catalogue, err := kpi.Load(cfg.KPI.Dir)
	if err != nil {
		return nil, err
	}
	data, err := cfg.Reference.load()
	if err != nil {
		return nil, err
	}
	logger, err := telemetry.NewLogger(cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return nil, &usageError{err}
	}
	client, err := warehouse.Open(cmd.Context(), cfg.warehouse())
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }()
	evaluator, err := kpi.New(kpi.DefaultConfig(), kpi.Deps{
		Conn: client.Conn(), Catalogue: catalogue, Coefficients: data.Coefficients(), Calendar: data.Calendar(), Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	return evaluator.ExplainSavings(cmd.Context(), service, day, province)
}
