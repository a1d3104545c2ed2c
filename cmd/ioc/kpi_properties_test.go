package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"ioc.local/ingest"
	"ioc.local/ingest/event"
	"ioc.local/internal/broker/brokertest"
	"ioc.local/internal/cluster"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
	"ioc.local/query/kpi"
)

// kpiCases is the number of countries that TestKPIProperties draws unless TEST_KPI_CASES says another.
const kpiCases = 1

// TestKPIProperties: a KPI is a function of the set of events. A country of a seed is brought to ClickHouse twice, by
// everything that stands between a producer and a KPI: broker, decoder, ingestion with its memory of identities, rollups,
// state of dossiers, voids. Once its events come in order, once each, in one partition of each topic. The other time
//
//   - they are shuffled, so that a void comes before its event and a result before the acceptance;
//   - every third comes two to four times; ingestion drops the copies, and the test counts that it did;
//   - they are spread over two partitions and cut into ranges of a few hundred events, by two processes one after the other, of
//     which the first is ended in the middle and leaves a range to the second;
//   - then the whole log is replayed.
//
// Every KPI of the catalogue must then be equal to the last bit, with its notes, coverage and baseline: the published
// values of all provinces over five periods, and by province and day in both schemes over closed days.
//
// The rules of dossiers on far more cases, and ranges that are applied again under their token, are in internal/warehouse
// (TestDossierStateFollowsTheReadingRules); crashes and what comes of them in ingest (TestSimulatedFaults).
//
// Besides, no rate is below 0 or above 1, none has a value where its denominator is 0, and on the first of the two worlds
// parts are the whole: see sums.
//
// TEST_KPI_CASES=n draws the countries of seeds 1 to n; without it there is one. TestKPIProperties/countries/seed_n is one
// of them, if n is not over TEST_KPI_CASES.
func TestKPIProperties(t *testing.T) {
	if testing.Short() {
		t.Skip("TestRealInput shows the race detector the same parts")
	}
	wanted := kpiCases
	if text := os.Getenv("TEST_KPI_CASES"); text != "" {
		var err error
		if wanted, err = strconv.Atoi(text); err != nil {
			t.Fatalf("TEST_KPI_CASES: %v", err)
		}
	}
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := kpi.Load("")
	if err != nil {
		t.Fatal(err)
	}
	var cases, events, answers, sums atomic.Int64
	started := time.Now()
	t.Run("countries", func(t *testing.T) {
		for seed := 1; seed <= wanted; seed++ {
			t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
				t.Parallel()
				random := rand.New(rand.NewPCG(uint64(seed), 6))
				p := &properties{T: t, data: data, catalogue: catalogue, clock: time.Now().Truncate(time.Second), random: random}
				log := drawCountry(t, uint64(seed), p.clock, data, catalogue)
				inOrder, disordered := p.bring(log), p.bringDisordered(log)
				want, got := p.answers(inOrder), p.answers(disordered)
				if len(want) != len(got) || len(want) < 35*len(catalogue.All()) {
					t.Errorf("there are %d answers and %d", len(want), len(got))
				}
				for _, question := range slices.Sorted(maps.Keys(want)) {
					if want[question] != got[question] {
						t.Errorf("%s: of the events in order\n%s\nin disorder\n%s", question, want[question], got[question])
					}
				}
				sums.Add(int64(p.sums(inOrder)))
				cases.Add(1)
				events.Add(int64(len(log)))
				answers.Add(int64(len(want)))
			})
		}
	})
	t.Logf("%d countries of %d events in %v: %d answers compared to the last bit, %d sums",
		cases.Load(), events.Load(), time.Since(started).Round(time.Second), answers.Load(), sums.Load())
}

// properties is the test of one country.
type properties struct {
	*testing.T
	data      *reference.Data
	catalogue *kpi.Catalogue
	clock     time.Time
	random    *rand.Rand
}

// way is how events come to a database.
type way struct {
	*properties
	db     *enginetest.DB
	broker *cluster.Cluster
	addr   string
	cfg    ingest.Config
	sent   int
}

func (p *properties) way(partitions int) *way {
	p.Helper()
	w := &way{properties: p, db: enginetest.Start(p.T), cfg: ingest.DefaultConfig()}
	if err := warehouse.Migrate(p.Context(), w.db.Client); err != nil {
		p.Fatal(err)
	}
	if err := warehouse.LoadReference(p.Context(), w.db.Client, p.data); err != nil {
		p.Fatal(err)
	}
	topics := map[string]int{w.cfg.DeadLetterTopic: 1}
	for _, topic := range w.cfg.Topics {
		topics[topic] = partitions
	}
	w.addr = brokertest.Start(p.T, topics)
	var err error
	if w.broker, err = cluster.New(cluster.Config{Brokers: []string{w.addr}}, cluster.Deps{}); err != nil {
		p.Fatal(err)
	}
	w.cfg.FlushInterval, w.cfg.SessionTimeout = 50*time.Millisecond, time.Second
	return w
}

// bring brings the log as it is.
func (p *properties) bring(log []kafka.Message) *enginetest.DB {
	p.Helper()
	w := p.way(1)
	w.send(log)
	stop := w.ingest()
	w.committed()
	stop()
	w.arrived(len(log), 0)
	return w.db
}

// bringDisordered brings it as TestKPIProperties says.
func (p *properties) bringDisordered(log []kafka.Message) *enginetest.DB {
	p.Helper()
	w := p.way(2)
	messages := slices.Clone(log)
	for _, m := range log {
		if p.random.IntN(3) == 0 {
			messages = slices.Concat(messages, slices.Repeat([]kafka.Message{m}, 1+p.random.IntN(3)))
		}
	}
	p.random.Shuffle(len(messages), func(i, k int) { messages[i], messages[k] = messages[k], messages[i] })
	w.cfg.MaxRows = 100 + p.random.IntN(400)
	half := len(messages) / 2
	w.send(messages[:half]) // before there is who takes them, so that MaxRows cuts the ranges and not the pace of sending
	stop := w.ingest()
	w.until("something is committed", func() (bool, error) {
		n, err := w.offsets()
		return n > 0, err
	})
	stop() // with what is in flight
	w.cfg.MaxRows = 100 + p.random.IntN(400)
	w.send(messages[half:])
	stop = w.ingest()
	w.committed()
	w.send(log)
	w.committed()
	stop()
	w.arrived(len(log), len(messages))
	return w.db
}

// ingest starts what ingests, and gives what ends it.
func (w *way) ingest() (stop func()) {
	w.Helper()
	hash, logger := event.NewIdentityHash(), zaptest.NewLogger(w.T, zaptest.Level(zap.ErrorLevel))
	ingester, err := ingest.New(w.cfg, ingest.Deps{
		Cluster: w.broker, Logger: logger, Registry: prometheus.NewRegistry(), Warehouse: w.db.Client, Calendar: w.data.Calendar(),
		NewDecoder: func() *event.Decoder { return event.NewDecoder(w.data, event.Options{Identity: hash}) }, Report: func(error) {},
	})
	if err != nil {
		w.Fatal(err)
	}
	voids := ingest.DefaultVoidsConfig()
	voids.Poll = 200 * time.Millisecond
	taker, err := ingest.NewVoids(voids, ingest.VoidsDeps{Logger: logger, Registry: prometheus.NewRegistry(), Warehouse: w.db.Client})
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{ingester.Run, taker.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				w.Errorf("ingestion ended with %v", err)
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	w.Cleanup(stop)
	return stop
}

func (w *way) send(messages []kafka.Message) {
	w.Helper()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	writer := &kafka.Writer{
		Transport: transport, Addr: kafka.TCP(w.addr), Balancer: &kafka.Hash{}, BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll,
	}
	defer func() { _ = writer.Close() }()
	if err := writer.WriteMessages(w.Context(), messages...); err != nil {
		w.Fatal(err)
	}
	w.sent += len(messages)
}

// until waits for a condition.
func (w *way) until(what string, holds func() (bool, error)) {
	w.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		ok, err := holds()
		if ok && err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("waited in vain until %s: %v", what, err)
		}
	}
}

// committed waits until everything that was sent is committed, and everything voided is taken out.
func (w *way) committed() {
	w.Helper()
	w.until("everything is committed", func() (bool, error) {
		n, err := w.offsets()
		return n == w.sent, err
	})
	w.until("each void is decided", func() (bool, error) {
		n, err := w.number(`SELECT count() FROM register_events WHERE type = 'event.void'
			AND (source, subject) NOT IN (SELECT source, event_id FROM voided)`)
		return n == 0, err
	})
	views, err := warehouse.SchemaViews(w.Context(), w.db.Client, "")
	if err != nil {
		w.Fatal(err)
	}
	for _, view := range views {
		if view.Counts() {
			w.until(view.Target+" has taken out what is voided", func() (bool, error) {
				n, err := w.number("SELECT toUInt64((SELECT max(batch) FROM voided WHERE family = '" + view.Source + "') > (" + view.VoidedBatch() + "))")
				return n == 0, err
			})
		}
	}
}

// offsets is how many messages are committed.
func (w *way) offsets() (n int, err error) {
	err = ingest.Committed(w.Context(), w.cfg, w.broker, func(_ string, _ int, offset int64) { n += int(offset) })
	return n, err
}

func (w *way) number(query string) (n uint64, err error) {
	err = w.db.Client.Conn().QueryRow(w.Context(), query).Scan(&n)
	return n, err
}

// arrived asks that the tables hold so many events, that so many copies were dropped, and that nothing was rejected.
func (w *way) arrived(events, copies int) {
	w.Helper()
	var counts []string
	for _, table := range event.Tables() {
		counts = append(counts, "(SELECT count() FROM "+table+")")
	}
	for what, want := range map[string]int{
		"SELECT " + strings.Join(counts, " + "): events,
		"SELECT toUInt64(sum(last_offset - first_offset + 1)) FROM skipped_offsets WHERE kind = 'duplicate'": copies,
		"SELECT count() FROM dead_letters": 0,
	} {
		if n, err := w.number(what); err != nil || n != uint64(want) {
			w.Fatalf("%s: %d, want %d (%v)", what, n, want, err)
		}
	}
}

// evaluator evaluates what the database holds, at the clock of the country.
func (p *properties) evaluator(db *enginetest.DB) *kpi.Evaluator {
	p.Helper()
	e, err := kpi.New(kpi.DefaultConfig(), kpi.Deps{
		Conn: db.Client.Conn(), Catalogue: p.catalogue, Coefficients: p.data.Coefficients(), Calendar: p.data.Calendar(),
		Logger: zaptest.NewLogger(p.T), Now: func() time.Time { return p.clock },
	})
	if err != nil {
		p.Fatal(err)
	}
	return e
}

// answers are the answers about all KPIs as clients receive them, by the question. Left out is what says how and when a
// value came about rather than what it is: the revision, which counts offsets.
func (p *properties) answers(db *enginetest.DB) map[string]string {
	p.Helper()
	all := map[string]string{}
	add := func(question string, a *kpi.Answer) {
		// Books are integrated of which the drawn events do not say that they were created.
		if v := a.Value; v != nil && a.Unit == "ratio" && a.ID != "health_book_integration_rate" &&
			(*v < 0 || *v > 1 || a.Baseline == nil && *a.Denominator == 0) {
			p.Errorf("%s is a rate of %v of %v", question, *v, a.Denominator)
		}
		shown := *a
		shown.Revision = ""
		text, err := json.Marshal(shown)
		if err != nil {
			p.Fatal(err)
		}
		all[question] = string(text)
	}
	e := p.evaluator(db)
	for key, a := range p.publication(e).Values {
		add(fmt.Sprint(key), a)
	}
	for _, def := range p.catalogue.All() {
		for _, scheme := range []string{kpi.SchemeGSO34, kpi.SchemeGSO63} {
			if a := p.closed(e, def, scheme, "province"); a != nil {
				add(def.ID+" by province and day, "+scheme, a)
			}
		}
	}
	return all
}

// publication is the first that an evaluator makes: all KPIs of the nation and 34 provinces, over five periods.
func (p *properties) publication(e *kpi.Evaluator) *kpi.Publication {
	p.Helper()
	for _, def := range p.catalogue.All() {
		for _, period := range []string{kpi.PeriodToday, kpi.PeriodMonth, kpi.PeriodYTD, kpi.PeriodAll} {
			if def.Kind == kpi.KindAge || def.Sensitive {
				continue // They have their own period only.
			}
			release, err := e.AddInterest(def.ID, period)
			if err != nil {
				p.Fatal(err)
			}
			defer release()
		}
	}
	publications, unsubscribe := e.Subscribe()
	defer unsubscribe()
	ctx, cancel := context.WithCancel(p.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			p.Errorf("publishing ended with %v", err)
		}
	}()
	select {
	case publication := <-publications:
		return publication
	case <-time.After(2 * time.Minute):
		p.Fatal("nothing was published")
	}
	return nil
}

// closed is the answer about the whole calendar month before the clock's and what has passed of this one, up to the
// start of today, with its days where the KPI has a series. It is nil where the KPI has another period, scheme or no past.
func (p *properties) closed(e *kpi.Evaluator, def *kpi.Definition, scheme string, by ...string) *kpi.Answer {
	p.Helper()
	local := p.clock.In(reference.TimeZone())
	day := func(month time.Month, day int) time.Time {
		return time.Date(local.Year(), month, day, 0, 0, 0, 0, reference.TimeZone())
	}
	q := kpi.Query{KPI: def.ID, From: day(local.Month()-1, 1), To: day(local.Month(), local.Day()), Grain: "day", By: by, Scheme: scheme, Scope: kpi.Scope{National: true}}
	for {
		a, err := e.Evaluate(p.Context(), q)
		wrong, ok := errors.AsType[*kpi.Error](err)
		switch {
		case err == nil:
			return a
		case !ok || wrong.Kind != kpi.BadRequest:
			p.Fatalf("%s: %v", def.ID, err)
		case wrong.Param == "grain" && q.Grain != "":
			q.Grain = ""
		case def.Kind == kpi.KindAge || def.Sensitive:
			return nil
		default:
			p.Fatalf("%s: %v", def.ID, err)
		}
	}
}
