package warehouse

import (
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// closing are rows that say whether they were closed.
type closing struct {
	driver.Rows
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

// TestEarlyReadCounts: what was read before a range had its place counts only if the range was placed as expected: behind another
// place, other partitions have more rows. Otherwise the read is ended.
func TestEarlyReadCounts(t *testing.T) {
	expected := []reached{{"a", 0, 10}, {"a", 1, 20}}
	for name, c := range map[string]struct {
		before []reached
		placed bool
		counts bool
	}{
		"as expected":              {[]reached{{"a", 0, 10}, {"a", 1, 20}}, true, true},
		"another was faster":       {[]reached{{"a", 0, 10}, {"a", 1, 21}}, true, false},
		"another was first":        {[]reached{{"a", 0, 10}, {"a", 1, 20}, {"a", 2, 1}}, true, false},
		"no place":                 {nil, false, false},
		"no place, none to expect": {[]reached{{"a", 0, 10}, {"a", 1, 20}}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			rows := &closing{}
			early := &earlyRead{expected, make(chan driver.Rows, 1)}
			early.found <- rows
			if got := early.rows(c.before, c.placed); (got != nil) != c.counts || rows.closed == c.counts {
				t.Errorf("the rows are %v, closed %v", got, rows.closed)
			}
		})
	}
	failed := &earlyRead{expected, make(chan driver.Rows, 1)}
	failed.found <- nil
	if failed.rows(expected, true) != nil || (*earlyRead)(nil).rows(expected, true) != nil {
		t.Error("a read that failed, or did not begin, gives rows")
	}
}
