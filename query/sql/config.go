package sql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"ioc.local/internal/access"
	"ioc.local/internal/warehouse"
	"ioc.local/query/kpi"
)

// Config is the configuration of a Handler.
type Config struct {
	// Database is the name of the warehouse's database; statements may call it ioc whatever it is. Default ioc.
	Database string
	// MaxConcurrent is how many statements run at once; more get a 503. Default 8.
	// ioc_sql_statements_total{outcome="busy"} shows that it was hit.
	MaxConcurrent int `doc:"statements that run at once; more get a 503"`
	// MaxPerPrincipal is how many statements of one principal run at once; more get a 429. Default 3.
	// ioc_sql_statements_total{outcome="quota"} shows that it was hit.
	MaxPerPrincipal int `doc:"statements of one principal that run at once; more get a 429"`
	// Timeout is how long a statement may run, with the sending of its answer. It must not be above the limit of the
	// ClickHouse users (engine.Limits.MaxExecution). Default 30 s. ioc_sql_statements_total{outcome="limit"} shows that it was hit.
	Timeout time.Duration `doc:"longest run of a statement, with the sending of its answer"`
	// WriteTimeout is how long a client may take no bytes. Default 20 s.
	WriteTimeout time.Duration `doc:"how long a client may take no bytes"`
	// MaxBodyBytes bounds a request's body: the statement, at most 64 KiB, and its parameters. Default 256 KiB.
	MaxBodyBytes int64 `doc:"largest body of a request, bytes"`
}

// DefaultConfig returns the defaults that the fields of Config name.
func DefaultConfig() Config {
	return Config{
		Database: "ioc", MaxConcurrent: 8, MaxPerPrincipal: 3, Timeout: 30 * time.Second, WriteTimeout: 20 * time.Second, MaxBodyBytes: 256 << 10,
	}
}

func (c Config) validate() error {
	var errs []error
	if c.Database == "" {
		errs = append(errs, errors.New("database is empty"))
	}
	if c.MaxConcurrent < 1 || c.MaxConcurrent > 64 {
		errs = append(errs, fmt.Errorf("max_concurrent is %d, must be from 1 to 64", c.MaxConcurrent))
	}
	if c.MaxPerPrincipal < 1 || c.MaxPerPrincipal > c.MaxConcurrent {
		errs = append(errs, fmt.Errorf("max_per_principal is %d, must be from 1 to max_concurrent", c.MaxPerPrincipal))
	}
	if c.Timeout < time.Second || c.WriteTimeout <= 0 {
		errs = append(errs, errors.New("timeout must be at least a second and write_timeout above 0"))
	}
	if c.MaxBodyBytes < 1<<10 {
		errs = append(errs, fmt.Errorf("max_body_bytes is %d, must be at least 1024", c.MaxBodyBytes))
	}
	if len(errs) > 0 {
		return fmt.Errorf("sql: %w", errors.Join(errs...))
	}
	return nil
}

// Deps are what a Handler needs from outside.
type Deps struct {
	Logger   *zap.Logger
	Registry prometheus.Registerer
	// Connection says how to connect as the ClickHouse user of a scope, by the scope's name: "national" or
	// "province_79". The default database must be Config.Database.
	Connection func(scope string) (warehouse.ClientConfig, error)
	// Admin is a connection that may end the queries of these users (KILL QUERY). It is used for nothing else.
	Admin driver.Conn
	// KPIValues lists the rows of the table kpi_values for a scope: national, or one province.
	KPIValues func(context.Context, access.Scope) ([]kpi.PublishedValue, error)
	// Audit receives every statement: once when it is refused, else when it starts and when it has ended. A statement
	// that cannot be audited is not run.
	Audit func(context.Context, Record) error
}

// Phase is the point in a statement's life that a Record tells of.
type Phase string

// The phases.
const (
	Refused Phase = "refused" // It was not run, for the reason in Outcome and Detail.
	Started Phase = "started"
	Ended   Phase = "ended"
)

// Record is what the audit log learns of a statement.
type Record struct {
	// Phase is what happened.
	Phase Phase
	// Request is the request's id, as in the header X-Request-Id.
	Request string
	// Principal is who asked.
	Principal access.Principal
	// Scope is what the statement is about: "national" or a province's code; empty if that was not settled.
	Scope string
	// Remote is the address that the request came from.
	Remote string
	// Text is the statement as it was sent, and Params its parameters.
	Text   string
	Params map[string]string
	// SQL is the statement as it runs; empty if it was refused.
	SQL string
	// Outcome is "ok" or the last part of the problem's type; "gone" if the client did not wait.
	Outcome string
	// Detail says what was wrong.
	Detail string
	// Rows is how many rows were sent.
	Rows uint64
	// Elapsed is how long it took.
	Elapsed time.Duration
}
