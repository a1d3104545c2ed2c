package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"ioc.local/internal/access"
	"ioc.local/internal/reference"
	"ioc.local/internal/telemetry"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/engine"
	"ioc.local/query"
	"ioc.local/query/kpi"
	"ioc.local/query/sql"
)

// scopeUsers are the ClickHouse users as which analysts' statements run: one for the nation and one for each province.
func scopeUsers(database string, data *reference.Data) engine.Users {
	users := engine.Users{Database: database, Scopes: []engine.Scope{engine.NationalScope()}, Limits: engine.DefaultLimits()}
	for _, province := range data.Provinces34() {
		users.Scopes = append(users.Scopes, engine.ProvinceScope(province.Code))
	}
	for _, view := range warehouse.AnalystViews() {
		users.Objects = append(users.Objects, engine.Object{Name: view.Name, Province: view.Province, NationalRows: view.NationalRows, Sensitive: view.Sensitive})
	}
	return users
}

// scopePassword is the password of a ClickHouse user, derived from the secret in the configuration: one secret to keep,
// and no two users with one password.
func (c SQLConfig) scopePassword(user string) string {
	mac := hmac.New(sha256.New, []byte(c.Secret.Reveal()))
	mac.Write([]byte(user))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func newClickHouseUsers() *cobra.Command {
	var networks []string
	cmd := &cobra.Command{
		Use: "clickhouse-users", Short: "Print the users file that a ClickHouse server needs for SQL by scope (users.d)", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, nil)
			if err != nil {
				return err
			}
			if cfg.SQL.Secret.Reveal() == "" || cfg.ClickHouse.Password.Reveal() == "" {
				return &usageError{errors.New("sql.secret and clickhouse.password must be set: the users' passwords come from them")}
			}
			if cfg.ClickHouse.Username != engine.AdminUser {
				return &usageError{fmt.Errorf("clickhouse.username must be %s for this file", engine.AdminUser)}
			}
			data, err := reference.Load(reference.Options{})
			if err != nil {
				return err
			}
			users := scopeUsers(cfg.ClickHouse.Database, data)
			users.Networks = networks
			credentials := map[string]engine.Credentials{engine.AdminUser: {Username: engine.AdminUser, Password: cfg.ClickHouse.Password.Reveal()}}
			for _, scope := range users.Scopes {
				credentials[scope.User()] = engine.Credentials{Username: scope.User(), Password: cfg.SQL.scopePassword(scope.User())}
			}
			file, err := engine.UsersFile(users, credentials, false)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(file)
			return err
		},
	}
	configFlags(cmd, nil)
	cmd.Flags().StringSliceVar(&networks, "network", nil, "addresses or networks from which these users are let in; loopback when none is named")
	return cmd
}

// startSQL adds SQL to the routes, where there are users to run it as.
func (p *process) startSQL(routes map[string]query.Route, evaluator *kpi.Evaluator) error {
	connection := p.scopeConnection
	if connection == nil {
		if p.cfg.SQL.Secret.Reveal() == "" {
			p.health.Note("SQL is off: sql.secret is not set")
			return nil
		}
		connection = func(scope string) (warehouse.ClientConfig, error) {
			cfg := p.cfg.warehouse()
			cfg.Username = engine.Scope{Name: scope}.User()
			cfg.Password = p.cfg.SQL.scopePassword(cfg.Username)
			return cfg, nil
		}
	}
	cfg := sql.DefaultConfig()
	cfg.Database = p.cfg.ClickHouse.Database
	audit, err := auditLogger(p.logger, p.cfg.Log)
	if err != nil {
		return err
	}
	handler, err := sql.New(cfg, sql.Deps{
		Logger: p.logger.Named("sql"), Registry: p.registry, Connection: connection, Admin: p.client.Conn(),
		KPIValues: func(_ context.Context, scope access.Scope) ([]kpi.PublishedValue, error) {
			values, _ := evaluator.PublishedValues(kpi.Scope{National: scope.National, Provinces: scope.Provinces})
			return values, nil
		},
		Audit: func(_ context.Context, r sql.Record) error { writeAudit(audit, r); return nil },
	})
	if err != nil {
		return err
	}
	p.stages.start("sql", handler.Run)
	routes["POST /api/v1/sql"] = query.Route{Least: access.Analyst, Handler: handler}
	return nil
}

// auditLogger is the logger for what people asked and did. Its lines are written at whatever level the process logs:
// log.level is about what the process says of itself.
func auditLogger(logger *zap.Logger, cfg LogConfig) (*zap.Logger, error) {
	if !logger.Core().Enabled(zap.InfoLevel) {
		var err error
		if logger, err = telemetry.NewLogger("info", cfg.Format); err != nil {
			return nil, err
		}
	}
	return logger.Named("audit"), nil
}

// writeAudit says who asked what, and what became of it. The statement is as it runs: literals are in it, and the values
// of parameters are not.
func writeAudit(audit *zap.Logger, r sql.Record) {
	audit.Info("SQL statement", zap.String("phase", string(r.Phase)), zap.String("request", r.Request), zap.String("principal", r.Principal.Name),
		zap.String("scope", r.Scope), zap.String("remote", r.Remote), zap.String("sql", r.SQL), zap.String("outcome", r.Outcome),
		zap.String("detail", r.Detail), zap.Uint64("rows", r.Rows), zap.Duration("elapsed", r.Elapsed))
}
