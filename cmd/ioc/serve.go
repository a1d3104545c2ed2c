package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
)

func newServe() *cobra.Command {
	var list string
	short := map[string]string{"http.listen": "listen", "internal.listen": "internal-listen"}
	cmd := &cobra.Command{
		Use: "serve", Short: "Run roles of ioc against your own Kafka and ClickHouse", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, short)
			if err != nil {
				return err
			}
			r, err := parseRoles(list)
			if err != nil {
				return &usageError{err}
			}
			return serve(cmd.Context(), cfg, r)
		},
	}
	configFlags(cmd, short)
	cmd.Flags().StringVar(&list, "roles", "ingest,query,stream", "roles of this process, comma-separated: ingest, query, stream")
	return cmd
}

func parseRoles(list string) (roles, error) {
	var r roles
	for name := range strings.SplitSeq(list, ",") {
		switch strings.TrimSpace(name) {
		case "ingest":
			r.ingest = true
		case "query":
			r.query = true
		case "stream":
			r.query, r.stream = true, true // the feed is a route of the public listener
		default:
			return r, fmt.Errorf("--roles: there is no role %q; the roles are ingest, query and stream", name)
		}
	}
	return r, nil
}

func serve(ctx context.Context, cfg Config, r roles) (err error) {
	p, err := newProcess(cfg)
	if err != nil {
		return err
	}
	defer func() { err = p.close(err) }()
	if err := p.connect(ctx, cfg.warehouse()); err != nil {
		return err
	}
	if err := p.prepare(ctx); err != nil {
		return err
	}
	if err := p.startRoles(r); err != nil {
		return err
	}
	p.logger.Info("serving", zap.String("http", p.publicAddr), zap.String("internal", p.internalAddr))
	return p.stages.wait(ctx)
}
