package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"ioc.local/ingest/event"
	"ioc.local/internal/produce"
	"ioc.local/internal/reference"
	"ioc.local/internal/simulate"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/engine"
)

// A year of the country is made of one simulated week: it is decoded as ingestion does it, and inserted again inside
// ClickHouse for each week of the year, with other identities.
const (
	yearWeeks = 52
	week      = 7 * 24 * time.Hour
	// courseWeeks is how long the simulator goes on after the week, so that its dossiers reach their end.
	courseWeeks = 4
	// eventsPerDossier is how many events of all kinds there are to a dossier: the simulator has fewer authentications and
	// queries than the country, relative to dossiers, at low rates.
	eventsPerDossier = 10
	// filledTopic is the topic that the rows say they came from.
	filledTopic = "filled"
)

// counted are the tables of facts that are counted; dossier_events and register_events are filled by other rules.
var counted = []string{"auth_attempts", "data_queries", "eid_events"}

// benchYear fills a warehouse with about n events of a year that ends now, of n/10 dossiers.
type benchYear struct {
	testing.TB
	server *engine.Engine
	// client is on the database that is filled, week on the one with the simulated week.
	client, week *warehouse.Client
	data         *reference.Data
	monday       time.Time
}

func (y *benchYear) exec(format string, args ...any) {
	y.Helper()
	if err := y.client.Conn().Exec(context.Background(), fmt.Sprintf(format, args...)); err != nil {
		y.Fatalf("%v\n%s", err, fmt.Sprintf(format, args...))
	}
}

func (y *benchYear) count(format string, args ...any) (n uint64) {
	y.Helper()
	if err := y.client.Conn().QueryRow(context.Background(), fmt.Sprintf(format, args...)).Scan(&n); err != nil {
		y.Fatalf("%v\n%s", err, fmt.Sprintf(format, args...))
	}
	return n
}

// openDatabase gives a server a database of the schema.
func openDatabase(tb testing.TB, server *engine.Engine, database string) *warehouse.Client {
	tb.Helper()
	creator := openEngine(tb, server, "default")
	defer func() { _ = creator.Close() }()
	if err := creator.Conn().Exec(context.Background(), "CREATE DATABASE IF NOT EXISTS "+database); err != nil {
		tb.Fatal(err)
	}
	client := openEngine(tb, server, database)
	tb.Cleanup(func() { _ = client.Close() })
	if err := warehouse.Migrate(context.Background(), client); err != nil {
		tb.Fatal(err)
	}
	return client
}

// fillYear fills the database ioc of a server.
func fillYear(tb testing.TB, server *engine.Engine, data *reference.Data, events int) {
	tb.Helper()
	now := time.Now().In(reference.TimeZone())
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, reference.TimeZone())
	y := &benchYear{
		TB: tb, server: server, data: data, monday: today.AddDate(0, 0, -int(today.Weekday()+6)%7),
		client: openDatabase(tb, server, "ioc"), week: openDatabase(tb, server, "week"),
	}
	dossiers := max(events/eventsPerDossier/yearWeeks, 20)
	sample := min(dossiers, 2000) // tells the rate, in a fraction of the time
	rate := 20 * eventsPerDossier * float64(sample) / week.Seconds()
	for range 3 {
		made := float64(max(y.simulate(rate), 1))
		if math.Abs(made-float64(sample)) < float64(sample)/10 {
			break
		}
		rate *= float64(sample) / made
	}
	if sample < dossiers {
		y.simulate(rate * float64(dossiers) / float64(sample))
	}
	y.multiply(events)
	y.states()
	tb.Logf("filled %d events of %d dossiers", y.count("SELECT sum(n) FROM source_activity WHERE topic = ''"), y.count("SELECT toUInt64(sum(n)) FROM dossier_days WHERE topic = ''"))
}

// simulate fills the database of the week and gives the number of dossiers that were registered in it.
func (y *benchYear) simulate(rate float64) int {
	y.Helper()
	filled := append([]string{"dossier_events", "register_events"}, counted...)
	for _, table := range filled {
		if err := y.week.Conn().Exec(context.Background(), "TRUNCATE TABLE "+table); err != nil {
			y.Fatal(err)
		}
	}
	generator, err := simulate.NewGenerator(simulate.Config{Rate: rate, Seed: 1, Start: y.monday}, y.data)
	if err != nil {
		y.Fatal(err)
	}
	end := y.monday.Add((1 + courseWeeks) * week)
	decoder := event.NewDecoder(y.data, event.Options{Identity: event.NewIdentityHash()})
	batch := event.NewBatch()
	batch.Reset(filledTopic, 0, end.UnixMilli())
	send := func(token int64) {
		for _, block := range batch.Blocks() {
			if !slices.Contains(filled, block.Table) {
				continue
			}
			if err := y.week.Insert(context.Background(), block.Table, block.Input(), fmt.Sprintf("%v-%d", rate, token)); err != nil {
				y.Fatal(err)
			}
		}
		batch.Reset(filledTopic, 0, end.UnixMilli())
	}
	for offset := int64(0); generator.NextTime().Before(end); offset++ {
		_, made := generator.Next(nil)
		// After the week only the dossiers of the week matter.
		if made.Topic == produce.TopicDossier || made.Time.Before(y.monday.Add(week)) {
			decoder.Decode(batch, &event.Record{Offset: offset, Time: made.Time.UnixMilli(), Value: made.Value}, nil)
		}
		if batch.Rows() == 200_000 {
			send(offset)
		}
	}
	send(-1)
	var n uint64
	if err := y.week.Conn().QueryRow(context.Background(), "SELECT uniq(subject) FROM dossier_events WHERE registered_on < "+y.date(7)).Scan(&n); err != nil {
		y.Fatal(err)
	}
	y.Logf("rate %.3f/s: %d dossiers in a week", rate, n)
	return int(n)
}

// date is a day of the simulated week, as SQL.
func (y *benchYear) date(day int) string {
	return "toDate('" + y.monday.AddDate(0, 0, day).Format(time.DateOnly) + "')"
}

// multiply inserts the week once for each week of the year. Of the counted facts it takes as many as are wanted.
func (y *benchYear) multiply(events int) {
	y.Helper()
	perWeek := events / yearWeeks
	of := y.count("SELECT count() FROM week.dossier_events WHERE registered_on < %s", y.date(7))
	var others uint64
	for _, table := range counted {
		others += y.count("SELECT count() FROM week.%s WHERE toDate(occurred_at) < %s", table, y.date(7))
	}
	// Of the facts as many are taken, or copied, as there are to be.
	wanted := float64(perWeek-int(of)) / float64(max(others, 1))
	copies := int(math.Ceil(wanted))
	taken := fmt.Sprintf("cityHash64(event_id) %% 10000 < %d", int(wanted/float64(copies)*10000))
	// The week is crossed with the weeks of the year, and the facts that are counted with their copies. Each week is a statement of
	// its own, so that none takes longer than the driver waits. What is still to come is left out before it is moved: afterwards
	// occurred_at is another.
	const moved = `INSERT INTO %[1]s SELECT * EXCEPT (w) REPLACE (occurred_at - INTERVAL 7 * intDiv(w, %[2]d) DAY AS occurred_at, record_time - INTERVAL 7 * intDiv(w, %[2]d) DAY AS record_time,
			now64(3) AS received_at, concat(subject, '-', toString(w)) AS subject, concat(event_id, '-', toString(w)) AS event_id, offset * %[3]d + w AS offset%[4]s)
		FROM (SELECT * FROM (SELECT *, arrayJoin(range(%[6]d, %[7]d)) AS w FROM week.%[1]s WHERE %[5]s) WHERE occurred_at - INTERVAL 7 * intDiv(w, %[2]d) DAY <= now64(3))`
	for w := range yearWeeks {
		y.exec(moved, "dossier_events", 1, yearWeeks, ", registered_on - 7 * w AS registered_on, if(due_at > 0, due_at - INTERVAL 7 * w DAY, due_at) AS due_at", "registered_on < "+y.date(7), w, w+1)
		for _, table := range counted {
			y.exec(moved, table, copies, yearWeeks*copies, "", taken+" AND toDate(occurred_at) < "+y.date(7), w*copies, (w+1)*copies)
		}
	}
	y.exec("INSERT INTO register_events SELECT * REPLACE (now64(3) AS received_at) FROM week.register_events WHERE occurred_at <= now64(3)")
}

// states evaluates all dossiers, as `ioc verify --rebuild` does, and says how far the cubes have come.
func (y *benchYear) states() {
	y.Helper()
	weeks := make(chan int, yearWeeks)
	for w := range yearWeeks {
		weeks <- w
	}
	close(weeks)
	var work sync.WaitGroup
	for range 2 {
		work.Go(func() {
			for w := range weeks {
				which := fmt.Sprintf("registered_on >= %[1]s - %[2]d AND registered_on < %[1]s - %[2]d + 7", y.date(0), 7*w)
				if err := warehouse.RecomputeDossiers(context.Background(), y.client, y.data.Calendar(), "dossier_changes", which, "topic = '"+filledTopic+"'"); err != nil {
					y.Error(err)
				}
			}
		})
	}
	work.Wait()
	if y.Failed() {
		y.FailNow()
	}
	y.exec("INSERT INTO dossier_changes (topic, partition, position, latest) SELECT '%s', 0, max(offset) + 1, max(occurred_at) FROM dossier_events", filledTopic)
}
