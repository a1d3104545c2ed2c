package kpi

import (
	"errors"
	"testing"
	"time"
)

func TestParseSpan(t *testing.T) {
	now := time.Date(2026, 11, 21, 10, 42, 0, 0, zone)
	for _, c := range []struct{ period, from, to, start, end, fault string }{
		{"", "", "", "2026-11-15T00:00", "2026-11-21T10:42", ""},
		{"today", "", "", "2026-11-21T00:00", "2026-11-21T10:42", ""},
		{"month", "", "", "2026-11-01T00:00", "2026-11-21T10:42", ""},
		{"", "2026-11-01", "2026-11-03T12:00:00+07:00", "2026-11-01T00:00", "2026-11-03T12:00", ""},
		{"today", "2026-11-01", "", "", "", "period"},
		{"", "2026-11-01", "", "", "", "to"},
		{"", "", "2026-11-01", "", "", "from"},
		{"", "2026-11-01", "2026-11-01", "", "", "to"},
		{"", "x", "2026-11-01", "", "", "from"},
		{"", "2026-11-01", "x", "", "", "to"},
		{"fortnight", "", "", "", "", "period"},
	} {
		start, end, err := ParseSpan(c.period, c.from, c.to, Period7d, now)
		if c.fault != "" {
			if e, ok := errors.AsType[*Error](err); !ok || e.Kind != BadRequest || e.Param != c.fault {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		const form = "2006-01-02T15:04"
		if err != nil || start.Format(form) != c.start || end.Format(form) != c.end {
			t.Errorf("%+v: %v to %v, %v", c, start, end, err)
		}
	}
}
