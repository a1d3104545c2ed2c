package verify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"ioc.local/internal/warehouse"
)

const (
	scratchPrefix = "verify_"
	dropTimeout   = time.Minute
)

// scratch makes working tables and drops them. They are ordinary tables, because a temporary one is seen only by the
// connection that made it; they are in memory, so that a crash leaves no data behind.
type scratch struct {
	client *warehouse.Client
	prefix string
	names  []string
}

// newScratch also drops what runs that crashed more than a day ago have left behind.
func newScratch(ctx context.Context, client *warehouse.Client) (*scratch, error) {
	s := &scratch{client: client, prefix: scratchPrefix + strings.ToLower(rand.Text()[:12]) + "_"}
	rows, err := client.Conn().Query(ctx, `SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'Memory'
		AND startsWith(name, ?) AND metadata_modification_time < now() - INTERVAL 1 DAY`, scratchPrefix)
	if err != nil {
		return nil, fmt.Errorf("looking for abandoned working tables: %w", err)
	}
	old := &scratch{client: client}
	if err := scanAll(rows, func() error {
		var name string
		defer func() { old.names = append(old.names, name) }()
		return rows.Scan(&name)
	}); err != nil {
		return nil, fmt.Errorf("looking for abandoned working tables: %w", err)
	}
	return s, old.drop(ctx)
}

// like makes an empty table with the columns of another and returns its name.
func (s *scratch) like(ctx context.Context, table, purpose string) (string, error) {
	name := s.prefix + table + "_" + purpose
	s.names = append(s.names, name) // before, as an error does not say that there is no table
	statement := "CREATE TABLE " + name + " AS " + table + " ENGINE = Memory SETTINGS compress = 1 COMMENT 'Working table of ioc verify, which drops it'"
	if err := s.client.Conn().Exec(ctx, statement); err != nil {
		return "", fmt.Errorf("making a working table: %w", err)
	}
	return name, nil
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
