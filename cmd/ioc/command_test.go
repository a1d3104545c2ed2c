package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"ioc.local/ingest/event"
	"ioc.local/internal/config"
	"ioc.local/internal/reference"
	"ioc.local/internal/simulate"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

// execute runs one command line in this process.
func execute(ctx context.Context, args ...string) (string, error) {
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	return out.String(), err
}

// TestSimulatePrintsTheSame: what is printed depends on rate, seed and start only, and is not waited for. At an event a
// second, 2000 of them would take half an hour.
func TestSimulatePrintsTheSame(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	print := func(args ...string) string {
		t.Helper()
		out, err := execute(ctx, append([]string{"simulate", "--out", "-", "--count", "2000", "--rate", "1"}, args...)...)
		if err != nil || strings.Count(out, "\n") != 2000 {
			t.Fatalf("%v: %d lines, %v", args, strings.Count(out, "\n"), err)
		}
		return out
	}
	first := print("--seed", "7")
	if print("--seed", "7") != first || print("--seed", "7", "--start", printedStart) != first {
		t.Error("equal seed and start print other events")
	}
	if !strings.Contains(first[:strings.Index(first, "\n")], `"time":"2026-01-01T00:00:00.000+07:00"`) {
		t.Error("the first event is not at the documented start")
	}
	if print("--seed", "8") == first || print("--seed", "7", "--start", "2026-02-01T00:00:00Z") == first {
		t.Error("another seed or start prints the same events")
	}
	for _, start := range []string{"yesterday", "2026-01-01"} {
		var usage *usageError
		if _, err := execute(ctx, "simulate", "--out", "-", "--start", start); !errors.As(err, &usage) || !strings.Contains(err.Error(), "--start") {
			t.Errorf("--start %s: %v", start, err)
		}
	}
}

// TestWhatIsShippedIsAccepted: ingestion takes every event of the simulator and every seed.
func TestWhatIsShippedIsAccepted(t *testing.T) {
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, time.November, 20, 8, 0, 0, 0, reference.TimeZone())
	decoder, batch := event.NewDecoder(data, event.Options{Identity: event.NewIdentityHash()}), event.NewBatch()
	batch.Reset("ioc.test.v1", 0, start.AddDate(0, 0, 1).UnixMilli())
	decoded := 0
	accept := func(value []byte, what string) {
		t.Helper()
		record := event.Record{Offset: int64(decoded), Time: start.UnixMilli(), Value: value}
		if verdict := decoder.Decode(batch, &record, nil); verdict != event.Accepted {
			t.Errorf("%s is %v: %s", what, verdict, value)
		}
		decoded++
	}
	// Slow enough that dossiers get through their lives.
	generator, err := simulate.NewGenerator(simulate.Config{Rate: 20, Seed: 5, Start: start}, data)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20_000 {
		value, _ := generator.Next(nil)
		accept(value, fmt.Sprintf("simulated event %d", i))
	}
	if unknown := decoder.UnknownFields(); len(unknown) > 0 {
		t.Errorf("the simulator makes fields that the contract does not know: %v", unknown)
	}
	seeds, err := os.ReadFile("../../testdata/seeds.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(seeds) {
		accept(bytes.TrimSpace(line), "a seed")
	}
	if decoded != 20_000+33 {
		t.Errorf("%d events were read", decoded)
	}
}

// TestConnectionFile: other commands see what the demo sees, from any directory, whatever its texts look like.
func TestConnectionFile(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("da ta", 0o700); err != nil {
		t.Fatal(err)
	}
	cfg := defaultConfig()
	cfg.Demo.Data = "da ta"
	cfg.Kafka.Brokers = []string{"127.0.0.1:19092"}
	cfg.Kafka.Group, cfg.Kafka.Topics, cfg.Kafka.DeadLetterTopic = `nhóm: "a" # {b}`, []string{"t.1", "yes", "0x1"}, ""
	cfg.Reference.Savings, cfg.KPI.Dir = `hệ số, 'mới' [1].csv`, "/kpi: # \\ dir"
	p := &process{cfg: cfg, clickhouse: warehouse.ClientConfig{Addr: []string{"127.0.0.1:19000"}, Database: "ioc", Username: "admin", Password: "@%&*!|>'\"\\ p"}}
	path, err := p.writeConnection()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v: %v", info.Mode(), err)
	}
	got := defaultConfig()
	if err := config.Load(&got, config.Source{File: path}); err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(cfg.Kafka, got.Kafka); diff != "" {
		t.Errorf("kafka (-demo +file):\n%s", diff)
	}
	if want := filepath.Join(here, cfg.Reference.Savings); got.Reference.Savings != want || got.KPI.Dir != cfg.KPI.Dir {
		t.Errorf("savings %q, want %q; definitions %q, want %q", got.Reference.Savings, want, got.KPI.Dir, cfg.KPI.Dir)
	}
	if c := got.ClickHouse; c.Addr[0] != "127.0.0.1:19000" || c.Database != "ioc" || c.Username != "admin" || c.Password.Reveal() != p.clickhouse.Password {
		t.Errorf("clickhouse is %+v with password %q", c, c.Password.Reveal())
	}
	p.cfg.Reference.Savings = ""
	if path, err = p.writeConnection(); err != nil {
		t.Fatal(err)
	}
	again := defaultConfig()
	if err := config.Load(&again, config.Source{File: path}); err != nil || again.Reference.Savings != "" {
		t.Errorf("no savings became %q: %v", again.Reference.Savings, err)
	}
}

func TestEmptyDataDirectoryIsRefused(t *testing.T) {
	_, err := execute(t.Context(), "config", "print", "--demo.data", "")
	var usage *usageError
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), "demo.data: must not be empty") {
		t.Errorf("got %v", err)
	}
}

// TestStopTellsEachErrorOnce: the reason to stop is known; what fails while stopping is not.
func TestStopTellsEachErrorOnce(t *testing.T) {
	for name, reason := range map[string]func(*stages, error) error{
		"a component ended":            func(s *stages, _ error) error { return s.wait(t.Context()) },
		"a component could not start":  func(s *stages, failure error) error { <-s.running[1].done; return failure },
		"another, and it says so once": func(s *stages, failure error) error { return fmt.Errorf("waiting: %w", failure) },
	} {
		failure, late := errors.New("no disk"), errors.New("late trouble")
		s := newStages(zap.NewNop())
		s.start("slow", func(ctx context.Context) error { <-ctx.Done(); return late })
		s.start("broken", func(context.Context) error { return failure })
		s.start("fine", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		known := reason(s, failure)
		if all := errors.Join(known, s.stop(known)).Error(); strings.Count(all, "no disk") != 1 || strings.Count(all, "late trouble") != 1 {
			t.Errorf("%s: %s", name, all)
		}
	}
}

// TestVerifyExitCodes: 0 nothing differs, 1 something does, 2 a mistake, 3 not known.
func TestVerifyExitCodes(t *testing.T) {
	db := enginetest.Start(t)
	if err := warehouse.Migrate(t.Context(), db.Client); err != nil {
		t.Fatal(err)
	}
	t.Setenv("IOC_CLICKHOUSE_PASSWORD", db.Engine.Password())
	verify := func(want int, args ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		args = append([]string{"verify", "--clickhouse.addr", db.Engine.Addr(), "--clickhouse.database", db.Database}, args...)
		if got := run(ctx, args); got != want {
			t.Errorf("ioc %v exits with %d, want %d", args, got, want)
		}
	}
	verify(exitOK, "--at-rest")
	verify(exitUndecided, "--kafka.brokers", "127.0.0.1:1")
	verify(exitUndecided, "--at-rest", "--clickhouse.addr", "127.0.0.1:1")
	verify(exitUsage, "--at-rest", "--no-such-flag")
	verify(exitUsage, "--kafka.brokers", "127.0.0.1:1", "--rebuild", "nothing")
	if err := db.Client.Conn().Exec(t.Context(), "INSERT INTO source_activity (family, source, n) VALUES ('nothing', '/npsp/H26', 1)"); err != nil {
		t.Fatal(err)
	}
	verify(exitFailed, "--at-rest")
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if got := run(stopped, []string{"verify", "--at-rest", "--clickhouse.addr", db.Engine.Addr(), "--clickhouse.database", db.Database}); got != exitUndecided {
		t.Errorf("stopped before it could tell, ioc verify exits with %d", got)
	}
}

// TestConfigurationPageIsCurrent compares docs/reference/configuration.md with what the command prints.
func TestConfigurationPageIsCurrent(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	cfg := defaultConfig()
	var printed strings.Builder
	if err := config.Doc(&printed, &cfg); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), printed.String()) {
		t.Error("docs/reference/configuration.md does not hold the output of ioc config doc")
	}
}
