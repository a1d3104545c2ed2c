// Package verify proves from the raw data that nothing was lost and nothing was counted twice: every offset is in
// exactly one table, every identity is there once, and every rollup is what its raw rows give, less those that are voided.
// It can also bring a rollup to what its raw rows give.
//
// It may run while ingestion does. Offsets are judged below the committed offset only, and each rollup is compared
// with the raw rows below the position that the rollup itself names. What a rebuild adds to a rollup is the difference
// at that position, so it does not matter what ingestion adds meanwhile.
//
// It works in pieces, of which each takes little memory however much there is: a million offsets at a time, counted
// facts by days, dossiers by month of registration. What is put aside is on ClickHouse's disk, and no statement may take
// more memory than Options.Memory.
package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
)

const (
	// retained is how far back the proof reaches, by the time of receipt. The raw rows of counted facts go after 90 days.
	retained = 89 * 24 * time.Hour
	// examples is how many places of one kind of fault are named; the others are counted.
	examples = 10
	// defaultMemory is what a statement of ours may take; half of it is what the sorting and grouping of one keeps in
	// memory before it goes to disk.
	defaultMemory = 1 << 30
	// defaultPatience is longer than ingestion takes for a range.
	defaultPatience = 30 * time.Second
	// maxThreads bounds what grows with the threads of a statement.
	maxThreads = 4
)

// TopicPartition names a partition as rows do.
type TopicPartition struct {
	// Topic is the incarnation of the log: the topic's name, with "@n" after its n-th recreation.
	Topic string `json:"topic"`
	// Partition is the Kafka partition.
	Partition uint32 `json:"partition"`
}

// Deps are what Run works with.
type Deps struct {
	// Client is connected to the database to verify, as a user that may create, change and drop tables in it.
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
	// Since limits the proof to what was received since then; rollups are compared from the day after. Zero is all that is
	// retained.
	Since time.Time
	// Hours asks for all hours in the report, and not only for those with faults.
	Hours bool
	// Rebuild names rollups to bring to what their raw rows give before they are compared; All is every one.
	Rebuild []string
	// Memory is what one statement may take in ClickHouse, in bytes; 0 is 1 GiB.
	Memory int64
	// Patience is how long is waited for ranges of dossiers that others have overtaken, and before a rebuild for all that
	// is under way; 0 is 30 seconds.
	Patience time.Duration
	// Progress is told each step before it is taken. It may be nil.
	Progress func(step string)
}

// All in Options.Rebuild names every rollup.
const All = "all"

// UnknownRollupError says that a name in Options.Rebuild is that of no rollup of the database.
type UnknownRollupError struct {
	// Name is what there is not.
	Name string
	// Rollups are those that there are.
	Rollups []string
}

// Error names all rollups.
func (e *UnknownRollupError) Error() string {
	return fmt.Sprintf("there is no rollup %q; there are %s, and %s for all of them", e.Name, strings.Join(e.Rollups, ", "), All)
}

// run is one verification.
type run struct {
	client   *warehouse.Client
	calendar *reference.Calendar
	scratch  *scratch
	catalog  *catalog
	options  Options
	// cutoff is the time of receipt that the proof begins at; horizon is the first day of events all of whose raw rows
	// are certainly retained: an event is received at most five minutes before it happened.
	cutoff  time.Time
	horizon string
	// settled is, by partition, the offset below which everything has been inserted everywhere.
	settled map[TopicPartition]uint64
	// committed is Deps.Committed.
	committed func(ctx context.Context) (map[TopicPartition]int64, error)
	// stuck are the partitions of which a rebuild found rows under way that were not settled in the time that it waited.
	stuck map[TopicPartition]bool
	// newest is the incarnation that a log has come to, of those that were ever given up for another one.
	newest map[TopicPartition]uint32
	// forgotten are the raw tables that have, or may have, dropped rows that their rollups still count.
	forgotten map[string]bool
	report    *Report
}

// Run verifies the client's database. It returns an error only when it could not; faults are in the report.
func Run(ctx context.Context, deps Deps, options Options) (report *Report, err error) {
	if options.Now.IsZero() {
		options.Now = time.Now()
	}
	if options.Progress == nil {
		options.Progress = func(string) {}
	}
	if options.Memory == 0 {
		options.Memory = defaultMemory
	}
	if options.Patience == 0 {
		options.Patience = defaultPatience
	}
	r := &run{client: deps.Client, calendar: deps.Calendar, committed: deps.Committed, options: options, cutoff: options.Now.Add(-retained)}
	if !options.Since.IsZero() {
		if len(options.Rebuild) > 0 {
			return nil, errors.New("a rebuild looks at all that is retained: it cannot be limited to a time")
		}
		if !options.Since.Before(options.Now) {
			return nil, fmt.Errorf("nothing was received since %s, which is not in the past", options.Since.Format(time.RFC3339))
		}
		if options.Since.After(r.cutoff) {
			r.cutoff = options.Since
		}
	}
	r.horizon = r.cutoff.In(reference.TimeZone()).AddDate(0, 0, 1).Format(time.DateOnly)
	r.report = &Report{From: r.cutoff, Until: options.Now}
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(settings(options.Memory)))

	if r.catalog, err = readCatalog(ctx, deps.Client); err != nil {
		return nil, err
	}
	rebuild, err := r.named(options.Rebuild)
	if err != nil {
		return nil, err
	}
	// The committed offsets come before all rows: what is read later holds at least what they promise.
	var committed map[TopicPartition]int64
	if deps.Committed != nil {
		if committed, err = deps.Committed(ctx); err != nil {
			return nil, fmt.Errorf("reading committed offsets: %w", err)
		}
	}
	if err := r.readGivenUp(ctx); err != nil {
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
	if r.forgotten, err = r.findForgotten(ctx); err != nil {
		return nil, err
	}
	rebuilt, err := r.rebuild(ctx, rebuild)
	if err != nil {
		return nil, err
	}
	if r.report.Unplaced, err = r.unplaced(ctx); err != nil {
		return nil, err
	}
	options.Progress("voids")
	if err := r.voids(ctx, options.Now); err != nil {
		return nil, err
	}
	if r.report.Rollups, err = r.rollups(ctx, r.catalog.rollups, nil); err != nil {
		return nil, err
	}
	for i, rollup := range r.report.Rollups {
		r.report.Rollups[i].Rebuilt = rebuilt[rollup.Name]
	}
	return r.report, nil
}

// settings bound what a statement takes, and keep what is put aside in small parts.
func settings(memory int64) clickhouse.Settings {
	return clickhouse.Settings{
		"max_memory_usage":                            memory,
		"max_bytes_before_external_group_by":          memory / 4,
		"max_bytes_before_external_sort":              memory / 4,
		"max_threads":                                 maxThreads,
		"max_insert_threads":                          1,
		"max_block_size":                              32_768,
		"min_insert_block_size_rows":                  262_144,
		"min_insert_block_size_bytes":                 memory / 32,
		"max_partitions_per_insert_block":             0,
		"async_insert":                                0,
		"insert_deduplicate":                          0,
		"join_use_nulls":                              0,
		"do_not_merge_across_partitions_select_final": 1,
	}
}

// named finds the rollups of the given names.
func (r *run) named(names []string) ([]target, error) {
	var found []target
	for _, name := range names {
		if name == All {
			return r.catalog.rollups, nil
		}
		i := slices.IndexFunc(r.catalog.rollups, func(t target) bool { return t.name == name })
		if i < 0 {
			var all []string
			for _, t := range r.catalog.rollups {
				all = append(all, t.name)
			}
			return nil, &UnknownRollupError{Name: name, Rollups: all}
		}
		if !slices.ContainsFunc(found, func(t target) bool { return t.name == name }) {
			found = append(found, r.catalog.rollups[i])
		}
	}
	return found, nil
}

// rollups compares the targets with their recomputation. into has, by name of the target, where to put what a target
// lacks; it may be nil.
func (r *run) rollups(ctx context.Context, targets []target, into map[string]*correction) ([]Rollup, error) {
	var cubes []target
	found := map[string]Rollup{}
	for _, t := range targets {
		if problem := t.problem(r.catalog); problem != "" {
			found[t.name] = Rollup{Name: t.name, Problem: problem}
			continue
		}
		if t.dossiers() {
			cubes = append(cubes, t)
			continue
		}
		r.options.Progress("rollup " + t.name)
		rollup, err := r.counted(ctx, t, into[t.name])
		if err != nil {
			return nil, fmt.Errorf("verifying %s: %w", t.name, err)
		}
		found[t.name] = rollup
	}
	if len(cubes) > 0 {
		all, err := r.dossiers(ctx, cubes, into)
		if err != nil {
			return nil, err
		}
		for _, rollup := range all {
			found[rollup.Name] = rollup
		}
	}
	var report []Rollup
	for _, t := range targets {
		report = append(report, found[t.name])
	}
	return report, nil
}

func (r *run) exec(ctx context.Context, statement string) error {
	return r.client.Conn().Exec(ctx, statement)
}

// count runs a query that gives one number.
func (r *run) count(ctx context.Context, query string) (n uint64, err error) {
	err = r.client.Conn().QueryRow(ctx, query).Scan(&n)
	return n, err
}
