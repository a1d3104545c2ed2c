package verify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ioc.local/internal/warehouse"
)

const (
	scratchPrefix = "verify_"
	// scratchComment marks our tables: nothing else is ever dropped.
	scratchComment = "Working table of ioc verify, which drops it"
	dropTimeout    = time.Minute
)

// scratch makes working tables and drops them. They are ordinary tables on disk, because a temporary one is seen only by
// the connection that made it, and one in memory would grow with the data.
type scratch struct {
	client *warehouse.Client
	prefix string
	made   int
	names  []string
}

// newScratch also drops what runs that crashed more than a day ago have left behind.
func newScratch(ctx context.Context, client *warehouse.Client) (*scratch, error) {
	s := &scratch{client: client, prefix: scratchPrefix + random() + "_"}
	old := &scratch{client: client}
	var err error
	old.names, err = ours(ctx, client, "metadata_modification_time < now() - INTERVAL 1 DAY")
	if err != nil {
		return nil, fmt.Errorf("looking for abandoned working tables: %w", err)
	}
	return s, old.drop(ctx)
}

// random is a part of a name that no other run has.
func random() string { return strings.ToLower(rand.Text()[:12]) }

// ours lists tables that a run of verify has made, of those that the condition on system.tables admits.
func ours(ctx context.Context, client *warehouse.Client, which string) ([]string, error) {
	rows, err := client.Conn().Query(ctx, "SELECT name FROM system.tables WHERE database = currentDatabase() AND comment = "+warehouse.Quote(scratchComment)+" AND "+which)
	if err != nil {
		return nil, err
	}
	return warehouse.Collect(rows, func(name *string) error { return rows.Scan(name) })
}

// unmerged are the settings of a table whose parts are not worth merging.
const unmerged = "max_bytes_to_merge_at_max_space_in_pool = 1, max_bytes_to_merge_at_min_space_in_pool = 1"

// like makes an empty table with the columns of another, in the order of the rows that come, and returns its name.
func (s *scratch) like(ctx context.Context, table, purpose string) (string, error) {
	return s.create(ctx, table, purpose, "MergeTree ORDER BY tuple() PARTITION BY tuple() SETTINGS "+unmerged+",")
}

// adding makes an empty table with the columns of a rollup that adds up like it.
func (s *scratch) adding(ctx context.Context, t target, purpose string) (string, error) {
	return s.create(ctx, t.name, purpose, "AggregatingMergeTree ORDER BY ("+t.sorting+") SETTINGS")
}

func (s *scratch) create(ctx context.Context, table, purpose, engine string) (string, error) {
	name := s.name(table, purpose)
	// What is put aside need not outlive a loss of power.
	return name, s.make(ctx, name, "CREATE TABLE "+name+" AS "+table+" ENGINE = "+engine+" fsync_after_insert = 0, fsync_part_directory = 0")
}

// snapshot makes a table with the rows of another as they are in this moment, of all parts at once. It costs no reading:
// the two share their files.
func (s *scratch) snapshot(ctx context.Context, table string) (string, error) {
	name := s.name(table, "stored")
	if err := s.make(ctx, name, "CREATE TABLE "+name+" AS "+table); err != nil {
		return "", err
	}
	for _, statement := range []string{"MODIFY SETTING " + unmerged, "ATTACH PARTITION ALL FROM " + table} {
		if err := s.client.Conn().Exec(ctx, "ALTER TABLE "+name+" "+statement); err != nil {
			return "", fmt.Errorf("taking a snapshot of %s: %w", table, err)
		}
	}
	return name, nil
}

// name is one that no other table has.
func (s *scratch) name(table, purpose string) string {
	s.made++
	return fmt.Sprintf("%s%s_%s_%d", s.prefix, table, purpose, s.made)
}

func (s *scratch) make(ctx context.Context, name, statement string) error {
	s.names = append(s.names, name) // before, as an error does not say that there is no table
	if err := s.client.Conn().Exec(ctx, statement+" COMMENT "+warehouse.Quote(scratchComment)); err != nil {
		return fmt.Errorf("making a working table: %w", err)
	}
	return nil
}

// forget drops tables that are not needed any more.
func (s *scratch) forget(ctx context.Context, names ...string) error {
	s.names = slices.DeleteFunc(s.names, func(name string) bool { return slices.Contains(names, name) })
	return (&scratch{client: s.client, names: names}).drop(ctx)
}

// drop drops all tables, even when ctx has ended.
func (s *scratch) drop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	var errs []error
	for _, name := range s.names {
		if err := s.client.Conn().Exec(ctx, "DROP TABLE IF EXISTS "+name+" SYNC"); err != nil {
			errs = append(errs, fmt.Errorf("dropping the working table %s: %w", name, err))
		}
	}
	s.names = nil
	return errors.Join(errs...)
}

// truncate empties working tables.
func (r *run) truncate(ctx context.Context, tables ...string) error {
	for _, table := range tables {
		if err := r.exec(ctx, "TRUNCATE TABLE "+table); err != nil {
			return fmt.Errorf("emptying a working table: %w", err)
		}
	}
	return nil
}
