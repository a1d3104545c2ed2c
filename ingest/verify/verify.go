// Package verify proves from the raw data that nothing was lost and nothing was counted twice: every offset is in
// exactly one table, every identity is there once, and every rollup is what its raw rows give, less those that are voided.
//
// It may run while ingestion does. Offsets are judged below the committed offset only, and each rollup is compared
// with the raw rows below the position that the rollup itself names.
package verify

import (
	"context"
	"fmt"
	"time"

	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
)

// retained is how far back the proof reaches, by the time of receipt. The raw rows of counted facts go after 90 days.
const retained = 89 * 24 * time.Hour

// examples is how many places of one kind of fault are named; the others are counted.
const examples = 10

// TopicPartition names a partition as rows do.
type TopicPartition struct {
	// Topic is the incarnation of the log: the topic's name, with "@n" after its n-th recreation.
	Topic string
	// Partition is the Kafka partition.
	Partition uint32
}

// Deps are what Run works with.
type Deps struct {
	// Client is connected to the database to verify, as a user that may create and drop tables in it.
	Client *warehouse.Client
	// Calendar is the working calendar that legal limits are counted on.
	Calendar *reference.Calendar
	// Committed gives the committed offsets of the ingestion group: everything below has been inserted, in all tables.
	// A partition that it does not name is taken as complete to its last row. It may be nil when ingestion is at rest;
	// while ingestion runs, a range under way would then look like a fault.
	Committed func(ctx context.Context) (map[TopicPartition]int64, error)
}

// Options say how to verify.
type Options struct {
	// Now is the clock that retention is judged by. Zero is the time of the call.
	Now time.Time
	// Progress is told each step before it is taken. It may be nil.
	Progress func(step string)
}

// run is one verification.
type run struct {
	client   *warehouse.Client
	calendar *reference.Calendar
	states   string // working table with the states of dossiers
	scratch  *scratch
	catalog  *catalog
	// cutoff is the time of receipt that the proof begins at; horizon is the first day of events all of whose raw rows
	// are certainly retained: an event is received at most five minutes before it happened.
	cutoff  time.Time
	horizon string
	// settled is, by partition, the offset below which everything has been inserted everywhere.
	settled map[TopicPartition]uint64
	report  *Report
}

// Run verifies the client's database. It returns an error only when it could not; faults are in the report.
func Run(ctx context.Context, deps Deps, options Options) (report *Report, err error) {
	if options.Now.IsZero() {
		options.Now = time.Now()
	}
	if options.Progress == nil {
		options.Progress = func(string) {}
	}
	r := &run{client: deps.Client, calendar: deps.Calendar, cutoff: options.Now.Add(-retained)}
	r.horizon = r.cutoff.In(reference.TimeZone()).AddDate(0, 0, 1).Format(time.DateOnly)
	r.report = &Report{From: r.cutoff, Until: options.Now}

	// The committed offsets come first: what is read later holds at least what they promise.
	var committed map[TopicPartition]int64
	if deps.Committed != nil {
		if committed, err = deps.Committed(ctx); err != nil {
			return nil, fmt.Errorf("reading committed offsets: %w", err)
		}
	}
	if r.catalog, err = readCatalog(ctx, deps.Client); err != nil {
		return nil, err
	}
	if r.scratch, err = newScratch(ctx, deps.Client); err != nil {
		return nil, err
	}
	defer func() {
		if dropErr := r.scratch.drop(ctx); err == nil && dropErr != nil {
			report, err = nil, dropErr
		}
	}()
	options.Progress("offsets")
	if err := r.offsets(ctx, committed); err != nil {
		return nil, err
	}
	options.Progress("identities")
	if err := r.identities(ctx); err != nil {
		return nil, err
	}
	options.Progress("voids")
	if err := r.voids(ctx, options.Now); err != nil {
		return nil, err
	}
	forgotten, err := r.forgotten(ctx)
	if err != nil {
		return nil, err
	}
	for _, target := range r.catalog.rollups {
		options.Progress("rollup " + target.name)
		rollup, err := r.rollup(ctx, target, forgotten)
		if err != nil {
			return nil, fmt.Errorf("verifying %s: %w", target.name, err)
		}
		r.report.Rollups = append(r.report.Rollups, rollup)
	}
	return r.report, nil
}
