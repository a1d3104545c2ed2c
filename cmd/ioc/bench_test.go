package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket/wsjson"

	"ioc.local/internal/broker/brokertest"
	"ioc.local/internal/produce"
	"ioc.local/internal/reference"
	"ioc.local/internal/simulate"
	"ioc.local/internal/warehouse/enginetest"
)

// cpuSeconds is the processor time that a process has used.
func cpuSeconds(tb testing.TB, pid int) float64 {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		tb.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	if err := cmp.Or(err1, err2); err != nil {
		tb.Fatal(err)
	}
	const ticksPerSecond = 100 // USER_HZ, fixed by the Linux ABI
	return (user + system) / ticksPerSecond
}

// pipelineEvents is how many events BenchmarkPipeline catches up; TEST_PIPELINE_EVENTS changes it.
func pipelineEvents(tb testing.TB) int {
	if text := os.Getenv("TEST_PIPELINE_EVENTS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			tb.Fatal(err)
		}
		return n
	}
	return 1_000_000
}

// BenchmarkPipeline measures how fast an ingest process of its own catches up with events that lie in Kafka:
// group membership, validation, duplicates, all rollups and dossier state, exactly once. It reports events/s
// and processor seconds per million events of the ingest process and of the engine. It ends when the last offset is committed:
// then dossiers and rollups count everything. The events are those of minutes, as when
// ingestion was away, or of a year, as when history is loaded: there nearly every dossier is another one, of another day. The
// third has nothing but events of dossiers, which cost most.
func BenchmarkPipeline(b *testing.B) {
	n := pipelineEvents(b)
	b.Run("minutes", func(b *testing.B) { benchmarkPipeline(b, n, time.Now().Add(-time.Hour), 5000, every) })
	year := 365 * 24 * time.Hour
	b.Run("year", func(b *testing.B) { benchmarkPipeline(b, n, time.Now().Add(-year), float64(n)/year.Seconds(), every) })
	b.Run("dossiers", func(b *testing.B) {
		// One of eleven simulated events is a dossier's, at such rates.
		benchmarkPipeline(b, n, time.Now().Add(-year), 11*float64(n)/year.Seconds(), func(m *produce.Message) bool { return m.Topic == produce.TopicDossier })
	})
}

// every admits all events.
func every(*produce.Message) bool { return true }

func benchmarkPipeline(b *testing.B, n int, start time.Time, rate float64, admits func(*produce.Message) bool) {
	data, err := reference.Load(reference.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		b.StopTimer()
		db := enginetest.Start(b)
		broker := brokertest.Start(b, chaosTopics)
		fill(b, broker, data, n, start, rate, admits)
		cmd := ingestCommand(db, broker)
		cfg := defaultConfig()
		cfg.Kafka.Brokers = []string{broker}
		engineBefore := cpuSeconds(b, db.Engine.PID())
		b.StartTimer()
		started := time.Now()
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		for {
			var there int64
			offsets, err := committed(b.Context(), cfg)
			for _, offset := range offsets {
				there += offset
			}
			if err == nil && there >= int64(n) {
				break
			}
			if time.Since(started) > 10*time.Minute {
				b.Fatalf("only %d of %d events after 10 minutes: %v", there, n, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
		elapsed := time.Since(started)
		b.StopTimer()
		millions := float64(n) / 1e6
		b.ReportMetric(float64(n)/elapsed.Seconds(), "events/s")
		b.ReportMetric(cpuSeconds(b, cmd.Process.Pid)/millions, "ingest-cpu-s/M")
		b.ReportMetric((cpuSeconds(b, db.Engine.PID())-engineBefore)/millions, "engine-cpu-s/M")
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func ingestCommand(db *enginetest.DB, broker string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "serve", "--roles", "ingest", "--kafka.brokers", broker, "--clickhouse.addr", db.Engine.Addr(),
		"--clickhouse.database", db.Database, "--internal.listen", cmp.Or(os.Getenv("TEST_INTERNAL_LISTEN"), "127.0.0.1:0"), "--log.level", "error")
	cmd.Env = append(os.Environ(), runEnv+"=1", "IOC_CLICKHOUSE_PASSWORD="+db.Engine.Password())
	cmd.Stderr = os.Stderr
	return cmd
}

// fill produces n simulated events that admits admits, from a moment on, made at a rate a second.
func fill(b *testing.B, broker string, data *reference.Data, n int, start time.Time, rate float64, admits func(*produce.Message) bool) {
	b.Helper()
	kafka := newProducer(b, broker)
	generator, err := simulate.NewGenerator(simulate.Config{Rate: rate, Seed: 1, Start: start}, data)
	if err != nil {
		b.Fatal(err)
	}
	for n > 0 {
		messages := make([]produce.Message, 0, 10_000)
		for len(messages) < min(n, cap(messages)) {
			if _, event := generator.Next(nil); admits(&event.Message) {
				messages = append(messages, event.Message)
			}
		}
		n -= len(messages)
		if err := kafka.Write(b.Context(), messages); err != nil {
			b.Fatal(err)
		}
	}
}

const (
	feedRate     = 5000
	feedSeconds  = 30
	markerPlace  = "96" // Cà Mau; the background load leaves it to the markers
	markersEvery = 20 * time.Millisecond
)

// BenchmarkProduceToFeed measures the time from the acknowledgement-less start of producing an event until a
// websocket client holds a value that counts it, in `ioc demo` under 5,000 events/s. Markers are events of a
// province that nothing else produces: marker i is visible when that province's count has reached i.
func BenchmarkProduceToFeed(b *testing.B) {
	data, err := reference.Load(reference.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		demo := startDemo(b, b.TempDir())
		kafka := newProducer(b, demo.addresses["Kafka"])
		ctx, cancel := context.WithTimeout(b.Context(), feedSeconds*time.Second)
		var load sync.WaitGroup
		load.Go(func() { background(ctx, b, kafka, data) })
		auth := measureMarkers(ctx, b, kafka, demo, "auth_transactions", func(n int, at time.Time) produce.Message {
			event := fmt.Sprintf(`{"specversion":"1.0","id":"marker-%d","source":"/eid_auth/G01","type":"vn.da06.auth.attempt.v1","time":"%s","subject":"marker","data":{"province_code":"%s","admin_scheme":"gso34","relying_party":"H29","assurance_level":3,"auth_method":["face"],"outcome":"success"}}`,
				n, at.Format(timeLayout), markerPlace)
			return produce.Message{Topic: produce.TopicAuthentication, Key: []byte("marker"), Value: []byte(event)}
		})
		load.Wait()
		cancel()
		slices.Sort(auth)
		b.ReportMetric(float64(auth[len(auth)/2].Milliseconds()), "p50-ms")
		b.ReportMetric(float64(auth[len(auth)*99/100].Milliseconds()), "p99-ms")
		b.ReportMetric(float64(auth[len(auth)-1].Milliseconds()), "max-ms")
		b.ReportMetric(float64(len(auth)), "markers")
	}
}

// background produces simulated events of the other provinces at feedRate.
func background(ctx context.Context, b *testing.B, kafka *produce.Kafka, data *reference.Data) {
	generator, err := simulate.NewGenerator(simulate.Config{Rate: feedRate, Seed: 7, Start: time.Now()}, data)
	if err != nil {
		b.Error(err)
		return
	}
	marker := []byte(`"province_code":"` + markerPlace + `"`)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		var messages []produce.Message
		for generator.NextTime().Before(time.Now()) {
			_, event := generator.Next(nil)
			if !strings.Contains(string(event.Value), string(marker)) {
				messages = append(messages, event.Message)
			}
		}
		if err := kafka.Write(context.WithoutCancel(ctx), messages); err != nil {
			b.Errorf("producing the load: %v", err)
			return
		}
	}
}

// measureMarkers produces markers until ctx ends, each of which adds one to today's value of a KPI in markerPlace, and returns how
// long each took to be seen.
func measureMarkers(ctx context.Context, b *testing.B, kafka *produce.Kafka, demo *demoProcess, kpi string, marker func(n int, at time.Time) produce.Message) []time.Duration {
	b.Helper()
	conn := demo.dialFeed(b.Context(), b)
	defer func() { _ = conn.CloseNow() }()
	if err := wsjson.Write(b.Context(), conn, map[string]string{"type": "subscribe", "board": "overview", "scope": "province:" + markerPlace}); err != nil {
		b.Fatal(err)
	}
	var mu sync.Mutex
	var sent []time.Time
	begin, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		select {
		case <-ctx.Done():
			return
		case <-begin:
		}
		ticker := time.NewTicker(markersEvery)
		defer ticker.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			now := time.Now()
			mu.Lock()
			sent = append(sent, now)
			mu.Unlock()
			if err := kafka.Write(context.WithoutCancel(ctx), []produce.Message{marker(n, now)}); err != nil {
				b.Errorf("producing a marker: %v", err)
				return
			}
		}
	}()
	var took []time.Duration
	before := -1 // what was there before the first marker
	reading, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	for {
		select {
		case <-finished:
			if len(took) == len(sent) {
				return took
			}
		default:
		}
		var frame struct {
			Values []struct {
				KPI       string   `json:"kpi"`
				Period    string   `json:"period"`
				Numerator *float64 `json:"numerator"`
			} `json:"values"`
		}
		if err := wsjson.Read(reading, conn, &frame); err != nil {
			b.Fatalf("reading the feed after %d of %d markers: %v", len(took), len(sent), err)
		}
		now := time.Now()
		for _, v := range frame.Values {
			if v.KPI == kpi && v.Period == "today" && v.Numerator != nil {
				if before < 0 {
					before = int(*v.Numerator)
					close(begin)
				}
				mu.Lock()
				for len(took) < int(*v.Numerator)-before && len(took) < len(sent) {
					took = append(took, now.Sub(sent[len(took)]))
				}
				mu.Unlock()
			}
		}
	}
}
