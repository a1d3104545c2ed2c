package simulate

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"ioc.local/internal/produce"
)

func simulator(t *testing.T, cfg Config, sink produce.Sink) *Simulator {
	t.Helper()
	s, err := New(cfg, Deps{Reference: load(t), Sink: sink, Logger: zap.NewNop(), Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// bubble runs a test with a clock of its own, which begins at start rather than in 2000, before the project did.
func bubble(t *testing.T, test func(*testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(start))
		test(t)
	})
}

func count(t *testing.T, counter prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := counter.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// TestPace checks at every call of the sink that neither more events were sent than are due, nor less than were due
// one step and one call before: the rate is met at any moment of ten minutes, although the sink takes its time.
func TestPace(t *testing.T) {
	for name, test := range map[string]struct {
		rate float64
		slow time.Duration
	}{
		"fast":      {rate: 333, slow: 0},
		"slow sink": {rate: 333, slow: 130 * time.Millisecond},
		"one in 3s": {rate: 1.0 / 3, slow: 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				begin, sent, calls := time.Now(), 0, 0
				s := simulator(t, Config{Rate: test.rate, Seed: 1}, func(_ context.Context, messages []produce.Message) error {
					sent += len(messages)
					calls++
					elapsed := time.Since(begin)
					most := int(elapsed.Seconds()*test.rate) + 1
					least := int((elapsed - step - test.slow).Seconds() * test.rate)
					if sent > most || sent < least {
						t.Errorf("after %v %d events were sent, want %d to %d", elapsed, sent, least, most)
					}
					time.Sleep(test.slow)
					return nil
				})
				if err := s.Run(ctx); err != nil {
					t.Fatal(err)
				}
				if elapsed := time.Since(begin); elapsed > 10*time.Minute+test.slow {
					t.Errorf("Run went on for %v after its context had ended", elapsed-10*time.Minute)
				}
				if want := int(600 * test.rate); sent < want-100 {
					t.Errorf("%d events in ten minutes, want %d", sent, want)
				}
				if busiest := 600*1000/20 + 1; calls > busiest {
					t.Errorf("the sink was called %d times, want at most every 20 ms", calls)
				}
			})
		})
	}
}

// TestTimesAreNow shows that events happen as they are sent, and that a start of its own is kept.
func TestTimesAreNow(t *testing.T) {
	for name, offset := range map[string]time.Duration{"now": 0, "a year later": 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cfg := Config{Rate: 500, Seed: 1, Count: 10_000}
				if offset > 0 {
					cfg.Start = time.Now().Add(offset)
				}
				seen := 0
				s := simulator(t, cfg, func(_ context.Context, messages []produce.Message) error {
					for _, m := range messages {
						if seen++; seen < 5000 {
							continue // the registers that a country begins with are told one after another
						}
						at, err := time.Parse(time.RFC3339, text(m.Value, "time"))
						if err != nil {
							t.Fatal(err)
						}
						if age := time.Now().Add(offset).Sub(at); age < 0 || age > step+100*time.Millisecond {
							t.Errorf("an event is %v old when sent", age)
						}
					}
					return nil
				})
				if err := s.Run(t.Context()); err != nil || seen != 10_000 {
					t.Errorf("Run sent %d events and returned %v, want 10000 and nil", seen, err)
				}
			})
		})
	}
}

// TestRunSendsTheGeneratorsEvents shows that what is printed and what is sent is the same.
func TestRunSendsTheGeneratorsEvents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got []byte
		cfg := withHistory(1)
		cfg.Rate, cfg.Start, cfg.Origin, cfg.Count = 5000, time.Now(), time.Now().AddDate(0, 0, -1), 120_000
		s := simulator(t, cfg, func(_ context.Context, messages []produce.Message) error {
			for _, m := range messages {
				got = append(append(got, m.Value...), '\n')
			}
			return nil
		})
		if err := s.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, lines(t, cfg, 120_000)) {
			t.Error("Run sent other events than the generator makes")
		}
		if sent := count(t, s.sent); sent != 120_000 {
			t.Errorf("ioc_simulate_events_total is %v", sent)
		}
	})
}

// TestHistory: the past is sent as fast as the sink takes it, in order, and then the present goes on at its rate, with
// nothing left out that the country did meanwhile.
func TestHistory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		var progress []float64
		var told [][]byte // but for the queries that fill up
		past, perMinute, calls := time.Duration(-1), map[int]int{}, 0
		cfg := Config{Rate: 100, Seed: 4, History: 48 * time.Hour}
		s, err := New(cfg, Deps{
			Reference: load(t), Logger: zap.NewNop(), Registry: prometheus.NewRegistry(),
			Sink: func(_ context.Context, messages []produce.Message) error {
				time.Sleep(time.Second) // 48 hours are some 15 batches
				if calls++; past < 0 && len(messages) < maxBatch/2 && calls > 5 {
					past = time.Since(begin)
				}
				perMinute[int(time.Since(begin)/time.Minute)] += len(messages)
				for _, m := range messages {
					if text(m.Value, "type") != "vn.da06.data.query.v1" {
						told = append(told, bytes.Clone(m.Value))
					}
				}
				return nil
			},
			Progress: func(done float64) { progress = append(progress, done) },
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if past < 5*time.Second || past > time.Minute {
			t.Errorf("the history took %v", past)
		}
		if n := perMinute[3]; n < 5700 || n > 6300 {
			t.Errorf("%d events in a minute of the live part, want 6000", n)
		}
		if !slices.IsSorted(progress) || len(progress) < 10 || progress[0] <= 0 || progress[len(progress)-1] < 0.99 || progress[len(progress)-1] > 1 {
			t.Errorf("progress is %v", progress)
		}
		if n := count(t, s.skipped); n != 0 {
			t.Errorf("%v events are called skipped after a history", n)
		}
		cfg.Start, cfg.Origin = begin.Add(5*time.Minute), begin.Add(-cfg.History)
		g, want := generator(t, cfg), 0
		for !g.Live() && want < len(told) {
			value, _ := g.Next(nil)
			if text(value, "type") == "vn.da06.data.query.v1" {
				continue
			}
			if !bytes.Equal(value, told[want]) {
				t.Fatalf("event %d is\n%s\nwant\n%s", want, told[want], value)
			}
			want++
		}
		if want < 100_000 || time.Unix(0, g.country.nextTime()).Before(begin.Add(4*time.Minute+55*time.Second)) {
			t.Errorf("%d events were told, until %v", want, time.Unix(0, g.country.nextTime()))
		}
	})
}

// TestRestart: a simulator with a state continues its country, however its runs end: what a country does is told
// wholly, and not twice after an orderly end.
func TestRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		begin := time.Now()
		cfg := Config{Rate: 50, Seed: 4, History: 24 * time.Hour, State: filepath.Join(t.TempDir(), "state.json"), Flaws: ExampleFlaws()}
		ids, twice := map[string]int{}, 0
		run := func(limit time.Duration, batches int) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			s := simulator(t, cfg, func(ctx context.Context, messages []produce.Message) error {
				if batches--; batches < 0 { // in the middle of the history
					cancel()
					return context.Canceled
				}
				for _, m := range messages {
					if name := text(m.Value, "type"); name != "vn.da06.data.query.v1" && m.Key != nil {
						id := text(m.Value, "source") + text(m.Value, "id")
						if ids[id]++; ids[id] == 2 {
							twice++
						}
					}
				}
				time.Sleep(100 * time.Millisecond)
				return nil
			})
			if err := s.Run(ctx); err != nil {
				t.Fatal(err)
			}
		}
		run(time.Hour, 3)
		run(10*time.Minute, 1<<30)
		time.Sleep(5 * time.Hour) // nobody simulates
		run(10*time.Minute, 1<<30)

		cfg.Start, cfg.Origin = time.Now(), begin.Add(-cfg.History)
		want, copies := map[string]bool{}, 0
		g := generator(t, cfg)
		for !g.Live() {
			value, _ := g.Next(nil)
			if text(value, "type") == "vn.da06.data.query.v1" {
				continue
			}
			id := text(value, "source") + text(value, "id")
			if want[id] {
				copies++
			}
			want[id] = true
		}
		missing := 0
		for id := range want {
			if ids[id] == 0 {
				missing++
			}
		}
		if missing > 20 || len(want) < 60_000 { // the last moments
			t.Errorf("%d of %d events are missing", missing, len(want))
		}
		if twice < copies-5 || twice > copies {
			t.Errorf("%d events were sent twice, want the %d duplicates only", twice, copies)
		}
		cfg.Seed, cfg.Start, cfg.Origin = 5, time.Time{}, time.Time{}
		if err := simulator(t, cfg, nop).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "seed 4") {
			t.Errorf("another seed gives %v", err)
		}
		if err := os.WriteFile(cfg.State, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := simulator(t, cfg, nop).Run(t.Context()); err == nil || !strings.Contains(err.Error(), cfg.State) {
			t.Errorf("a broken state gives %v", err)
		}
	})
}

func nop(context.Context, []produce.Message) error { return nil }

// TestOutage has a sink that fails: no event is lost in a short outage, those of a long one are skipped and counted.
func TestOutage(t *testing.T) {
	const rate = 100
	for name, test := range map[string]struct {
		outage  time.Duration
		skipped bool
	}{
		"short": {5 * time.Second, false},
		"long":  {5 * time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				begin := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				var previous []byte
				failed, sent, burst := 0, 0, 0
				s := simulator(t, Config{Rate: rate, Seed: 1}, func(_ context.Context, messages []produce.Message) error {
					if previous != nil && !bytes.Equal(previous, messages[0].Value) {
						t.Error("the events that failed were not repeated")
					}
					if d := time.Since(begin); d > time.Minute && d < time.Minute+test.outage {
						failed++
						previous = bytes.Clone(messages[0].Value)
						return errors.New("no broker")
					}
					previous = nil
					sent += len(messages)
					burst = max(burst, len(messages))
					return nil
				})
				if err := s.Run(ctx); err != nil {
					t.Fatal(err)
				}
				skipped := count(t, s.skipped)
				if (skipped > 0) != test.skipped {
					t.Errorf("%v events were skipped", skipped)
				}
				if total, want := float64(sent)+skipped, 600.0*rate; total < want-2*rate || total > want+2*rate {
					t.Errorf("%d events were sent and %v skipped, want %v together", sent, skipped, want)
				}
				if n := count(t, s.failures); int(n) != failed || failed < 3 || failed > 10+int(test.outage/maxBackoff) {
					t.Errorf("%d attempts failed in %v, and %v were counted", failed, test.outage, n)
				}
				if burst > rate*int((maxBehind+maxBackoff)/time.Second) {
					t.Errorf("%d events were sent at once after the outage", burst)
				}
			})
		})
	}
}

// TestEndsWithItsContext cancels while the sink fails, while it hangs, and while nothing is due.
func TestEndsWithItsContext(t *testing.T) {
	for name, sink := range map[string]produce.Sink{
		"failing": func(context.Context, []produce.Message) error { return errors.New("no broker") },
		"hanging": func(ctx context.Context, _ []produce.Message) error { <-ctx.Done(); return ctx.Err() },
		"idle":    func(context.Context, []produce.Message) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Millisecond)
				defer cancel()
				begin := time.Now()
				if err := simulator(t, Config{Rate: 0.01, Seed: 1}, sink).Run(ctx); err != nil {
					t.Fatal(err)
				}
				if d := time.Since(begin); d != time.Minute+time.Millisecond {
					t.Errorf("Run ended after %v", d)
				}
			})
		})
	}
}

func TestNewWithoutDeps(t *testing.T) {
	sink := nop
	if _, err := New(DefaultConfig(), Deps{Sink: sink, Logger: zap.NewNop(), Registry: prometheus.NewRegistry()}); err == nil {
		t.Error("New without reference data gave no error")
	}
	if _, err := New(Config{Rate: 1, History: 500 * 24 * time.Hour}, Deps{Reference: load(t), Sink: sink, Logger: zap.NewNop(), Registry: prometheus.NewRegistry()}); err == nil {
		t.Error("New with a history of 500 days gave no error")
	}
	if _, err := New(Config{}, Deps{Reference: load(t), Sink: sink, Logger: zap.NewNop(), Registry: prometheus.NewRegistry()}); err == nil {
		t.Error("New with rate 0 gave no error")
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
