package main

import (
	"fmt"
	"time"

	"ioc.local/dashboards"
	"ioc.local/deploy/contract"
	"ioc.local/ingest"
	"ioc.local/internal/access"
	"ioc.local/internal/silence"
	"ioc.local/internal/telemetry"
	"ioc.local/query"
	"ioc.local/query/kpi"
	"ioc.local/stream"
)

// startFaces starts what people and programs see: KPIs, the API with SQL, the feed and the wall. landed has an element when
// ingestion of this process has brought something.
func (p *process) startFaces(r roles, ingester *ingest.Ingester, landed <-chan struct{}) error {
	catalogue, err := kpi.Load(p.cfg.KPI.Dir)
	if err != nil {
		return fmt.Errorf("loading the KPI catalogue: %w", err)
	}
	evaluator, err := kpi.New(kpi.DefaultConfig(), kpi.Deps{
		Conn: p.client.Conn(), Catalogue: catalogue, Coefficients: p.data.Coefficients(), Calendar: p.data.Calendar(), Registry: p.registry,
		Logger: p.logger.Named("kpi"), Health: report(p.health.Probe("kpi")), Landed: landed,
	})
	if err != nil {
		return err
	}
	p.stages.start("kpi", evaluator.Run)
	if err := p.startJournal(evaluator); err != nil {
		return err
	}
	gate, err := access.New(p.cfg.Access, access.Deps{
		List: access.NewStore(p.client.Conn()).List, Logger: p.logger.Named("access"), Registry: p.registry, Health: report(p.health.Probe("access")),
	})
	if err != nil {
		return err
	}
	p.stages.start("access", gate.Run)
	boards, err := stream.LoadBoards(dashboards.Boards(), catalogue)
	if err != nil {
		return fmt.Errorf("loading the boards: %w", err)
	}
	// Each route says the least role that may use it. Contracts and the wall's page hold no data.
	contracts := query.Route{Least: access.Anyone, Handler: contract.Handler()}
	routes := map[string]query.Route{"GET /asyncapi.yaml": contracts, "GET /schemas/": contracts}
	if r.query {
		if err := p.startSQL(routes, evaluator); err != nil {
			return err
		}
	}
	var silent func() []silence.Source // not watched without the feed
	if r.stream {
		watch, err := p.startSilence()
		if err != nil {
			return err
		}
		silent = watch.Silent
		if err := p.startStream(routes, evaluator, gate, boards, ingester, silent); err != nil {
			return err
		}
	}
	deps := query.Deps{
		Logger: p.logger.Named("query"), Registry: p.registry, Evaluator: evaluator, Catalogue: catalogue, Reference: p.data,
		Gate: gate, Routes: routes, Warehouse: p.client.Conn(), Silent: silent, ScreenKPIs: screenKPIs(boards),
	}
	if r.query {
		if err := p.startLetters(&deps); err != nil {
			return err
		}
	}
	server, err := query.New(p.cfg.HTTP, deps)
	if err != nil {
		return err
	}
	p.publicAddr = server.Addr().String()
	p.stages.start("http", server.Run)
	return nil
}

// startJournal writes down what the evaluator publishes. That it cannot is no reason to send nobody here any more: the values
// are right without it, and where ClickHouse is away the evaluator says so.
func (p *process) startJournal(evaluator *kpi.Evaluator) error {
	journal, err := kpi.NewJournal(kpi.DefaultJournalConfig(), kpi.JournalDeps{
		Conn: p.client.Conn(), Evaluator: evaluator, Registry: p.registry, Logger: p.logger.Named("journal"),
		Health: func(err error) {
			text := ""
			if err != nil {
				text = "the journal of published values is not written; its minutes are kept for an hour: " + err.Error()
			}
			p.health.NoteAbout("journal", text)
		},
	})
	if err != nil {
		return err
	}
	p.stages.start("journal", journal.Run)
	return nil
}

// startStream starts the feed and adds it and the wall to the routes.
func (p *process) startStream(routes map[string]query.Route, evaluator *kpi.Evaluator, gate *access.Gate, boards []stream.Board, ingester *ingest.Ingester, silent func() []silence.Source) error {
	late := func() (late []stream.LateSource) {
		for _, source := range silent() {
			late = append(late, stream.LateSource{Source: source.Name, Since: source.Since})
		}
		return late
	}
	var caughtUp func() bool // not known where another process ingests
	if ingester != nil {
		caughtUp = func() bool { return ingester.Status().CaughtUp() }
	}
	hub, err := stream.New(stream.DefaultConfig(), stream.Deps{
		Logger: p.logger.Named("stream"), Registry: p.registry, Publisher: evaluator, Gate: gate, Boards: boards, Reference: p.data,
		CaughtUp: caughtUp, Late: late,
	})
	if err != nil {
		return err
	}
	p.stages.start("stream", hub.Run)
	routes["GET /api/v1/live"] = query.Route{Least: access.Screen, Handler: hub}
	wall, err := dashboards.NewWall(dashboards.WallConfig{Version: telemetry.ReadBuild().Version})
	if err != nil {
		return err
	}
	routes["GET "+dashboards.Path] = query.Route{Least: access.Anyone, Handler: wall}
	return nil
}

// startSilence watches the sources of the registry. Without a registry nothing is expected of anybody.
func (p *process) startSilence() (*silence.Watch, error) {
	expected := map[string]time.Duration{}
	if sources := p.data.Sources(); sources != nil {
		for _, source := range sources.Expected() {
			expected[source.Name] = source.Expected
		}
	}
	watch, err := silence.New(silence.DefaultConfig(), silence.Deps{
		Conn: p.client.Conn(), Expected: expected, Calendar: p.data.Calendar(), Registry: p.registry, Health: report(p.health.Probe("silence")),
	})
	if err != nil {
		return nil, err
	}
	p.stages.start("silence", watch.Run)
	return watch, nil
}

// screenKPIs are those that a key with the role screen may ask for: those of the boards, which hold all that the wall shows.
func screenKPIs(boards []stream.Board) []string {
	var ids []string
	for _, board := range boards {
		for _, k := range board.KPIs {
			ids = append(ids, k.ID)
		}
	}
	return ids
}
