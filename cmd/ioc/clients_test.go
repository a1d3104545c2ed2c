package main

import (
	"context"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"ioc.local/internal/cluster"
	"ioc.local/internal/config"
	"ioc.local/internal/produce"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/engine"
)

// newProducer is a producer to a broker until the test ends.
func newProducer(tb testing.TB, broker string) *produce.Kafka {
	tb.Helper()
	to, err := cluster.New(cluster.Config{Brokers: []string{broker}}, cluster.Deps{})
	if err != nil {
		tb.Fatal(err)
	}
	kafka, err := produce.NewKafka(produce.KafkaDeps{Cluster: to, Logger: zaptest.NewLogger(tb, zaptest.Level(zap.WarnLevel))})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = kafka.Close() })
	return kafka
}

// dialFeed connects to the live feed of a demo. The caller closes the connection: one that nobody reads would be served on.
func (d *demoProcess) dialFeed(ctx context.Context, tb testing.TB) *websocket.Conn {
	tb.Helper()
	conn, response, err := websocket.Dial(ctx, d.addresses["live feed"], nil)
	if err != nil {
		tb.Fatal(err)
	}
	if response.Body != nil {
		_ = response.Body.Close()
	}
	conn.SetReadLimit(16 << 20)
	return conn
}

// clickhouse is a client of the demo's warehouse, as whom other commands connect, to be closed by the caller.
func (d *demoProcess) clickhouse(tb testing.TB) *warehouse.Client {
	tb.Helper()
	cfg := defaultConfig()
	if err := config.Load(&cfg, config.Source{File: d.connection}); err != nil {
		tb.Fatal(err)
	}
	client, err := warehouse.Open(tb.Context(), cfg.warehouse())
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

// openEngine is a client of a server's database, to be closed by the caller.
func openEngine(tb testing.TB, server *engine.Engine, database string) *warehouse.Client {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cfg := warehouse.DefaultClientConfig()
	cfg.Addr, cfg.Database, cfg.Username, cfg.Password = []string{server.Addr()}, database, server.Username(), server.Password()
	client, err := warehouse.Open(ctx, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return client
}
