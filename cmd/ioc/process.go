package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"ioc.local/deploy/runbooks"
	"ioc.local/ingest"
	"ioc.local/ingest/event"
	"ioc.local/internal/reference"
	"ioc.local/internal/telemetry"
	"ioc.local/internal/warehouse"
)

// roles are the parts of ioc that a process runs.
type roles struct{ ingest, query, stream bool }

// process is what the components of one process share.
type process struct {
	cfg      Config
	logger   *zap.Logger
	registry *prometheus.Registry
	health   *telemetry.Health
	data     *reference.Data
	stages   *stages
	client   *warehouse.Client
	// clickhouse is how the embedded engine is reached.
	clickhouse warehouse.ClientConfig
	// scopeConnection is how the embedded engine is reached as the user of a scope; nil for a server.
	scopeConnection func(scope string) (warehouse.ClientConfig, error)

	internalAddr, publicAddr string
}

// newProcess loads the reference data and opens the internal listener, so that a process tells how it
// is from the start.
func newProcess(cfg Config) (*process, error) {
	logger, err := telemetry.NewLogger(cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return nil, &usageError{err}
	}
	data, err := cfg.Reference.load()
	if err != nil {
		return nil, fmt.Errorf("loading the reference data: %w", err)
	}
	p := &process{
		cfg: cfg, logger: logger, registry: prometheus.NewRegistry(), health: telemetry.NewHealth(), data: data, stages: newStages(logger),
	}
	p.health.Probe("start")
	internal, err := telemetry.New(cfg.Internal, telemetry.Deps{Logger: logger, Registry: p.registry, Health: p.health, Runbooks: runbooks.Pages})
	if err != nil {
		return nil, err
	}
	if data.Sources() == nil {
		p.health.Note("there is no source registry (reference.sources): every well-formed source is accepted, and none is missed when it is silent")
	}
	p.internalAddr = internal.Addr()
	p.stages.start("internal listener", internal.Run)
	return p, nil
}

// connect opens ClickHouse, waiting for it as long as ctx lasts.
func (p *process) connect(ctx context.Context, cfg warehouse.ClientConfig) error {
	return p.patiently(ctx, func() (err error) {
		p.client, err = warehouse.Open(ctx, cfg)
		return err
	})
}

// prepare brings the schema and the reference data up to date.
func (p *process) prepare(ctx context.Context) error {
	return p.patiently(ctx, func() error {
		if err := warehouse.Migrate(ctx, p.client); err != nil {
			return err
		}
		return warehouse.LoadReference(ctx, p.client, p.data)
	})
}

// patiently repeats what failed because ClickHouse did not answer or went away.
func (p *process) patiently(ctx context.Context, attempt func() error) error {
	probe := p.health.Probe("clickhouse")
	for {
		err := attempt()
		if err == nil {
			probe.OK()
			return nil
		}
		probe.Fail(err)
		if !warehouse.Retryable(err) {
			return err
		}
		p.logger.Warn("ClickHouse does not answer and is asked again", zap.Error(err))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// startRoles starts the parts: the faces first, so that they stop last and the final state is seen.
func (p *process) startRoles(r roles) error {
	var ingester *ingest.Ingester
	landed := make(chan struct{}, 1)
	if r.ingest {
		probe := p.health.Probe("ingest")
		hash := event.NewIdentityHash()
		from, err := p.cfg.Kafka.cluster()
		if err != nil {
			return err
		}
		ingester, err = ingest.New(p.cfg.ingest(), ingest.Deps{
			Logger: p.logger.Named("ingest"), Registry: p.registry, Cluster: from, Warehouse: p.client, Calendar: p.data.Calendar(),
			NewDecoder: func() *event.Decoder { return event.NewDecoder(p.data, event.Options{Identity: hash}) },
			Report:     report(probe),
			Note:       func(text string) { p.health.NoteAbout("ingest", text) },
			Landed: func() {
				select {
				case landed <- struct{}{}:
				default: // one is enough
				}
			},
		})
		if err != nil {
			return err
		}
	}
	if err := p.registry.Register(warehouse.NewDisks(p.client)); err != nil {
		return fmt.Errorf("registering the metrics of ClickHouse's disks: %w", err)
	}
	if r.query || r.stream {
		if err := p.startFaces(r, ingester, landed); err != nil {
			return err
		}
	}
	if ingester != nil {
		p.stages.start("ingest", ingester.Run)
	}
	p.health.Probe("start").OK()
	return nil
}

// close stops everything in order and closes the connections. It returns the error that the process ends with, if any,
// and what went wrong besides.
func (p *process) close(reason error) error {
	err := errors.Join(reason, p.stages.stop(reason))
	if p.client != nil {
		_ = p.client.Close()
	}
	_ = p.logger.Sync()
	return err
}

// report turns a probe into the function that components tell their health with.
func report(probe *telemetry.Probe) func(error) {
	return func(err error) {
		if err == nil {
			probe.OK()
			return
		}
		probe.Fail(err)
	}
}
