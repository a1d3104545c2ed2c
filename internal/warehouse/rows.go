package warehouse

import (
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Each calls scan for each row and closes rows. It returns the first error, of scan, of reading or of closing.
func Each(rows driver.Rows, scan func() error) (err error) {
	defer func() {
		if closeErr := rows.Close(); err == nil {
			err = closeErr
		}
	}()
	for rows.Next() {
		if err := scan(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Collect reads all rows into a slice, each by scan, and closes them. It returns the errors that Each returns, and then no
// rows.
func Collect[T any](rows driver.Rows, scan func(*T) error) (all []T, err error) {
	err = Each(rows, func() error {
		var one T
		if err := scan(&one); err != nil {
			return err
		}
		all = append(all, one)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Quote makes a SQL string literal.
func Quote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
