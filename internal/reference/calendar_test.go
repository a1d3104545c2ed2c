package reference

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.ParseInLocation("2006-01-02 15:04", s, TimeZone())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWorking(t *testing.T) {
	c := load(t).Calendar()
	for day, want := range map[string]bool{
		"2026-11-20": true,
		"2026-11-21": false, // Saturday
		"2026-11-22": false,
		"2026-11-23": true,
		"2025-01-01": false,
		"2025-01-29": false, // Tết
		"2025-04-07": false, // Hùng Kings
		"2025-04-08": true,
		"2025-04-30": false,
		"2025-05-01": false,
		"2025-09-02": false,
		"2022-01-03": false, // in lieu of Saturday the 1st
		"2026-04-27": false, // in lieu of Hùng Kings on a Sunday
		"2035-01-01": true,  // beyond the table: weekends only
		"1999-12-31": true,
	} {
		if got := c.Working(at(t, day+" 12:00")); got != want {
			t.Errorf("Working(%s) = %v", day, got)
		}
	}
	if !c.Working(time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)) {
		t.Error("Sunday evening in UTC is Monday in Hanoi")
	}
	if c.Start() != at(t, "2022-01-01 00:00") || c.End() != at(t, "2027-12-31 00:00") {
		t.Errorf("from %v to %v", c.Start(), c.End())
	}
}

func TestHolidaysFollowTheLabourCode(t *testing.T) {
	perYear := make(map[int]int)
	c := load(t).Calendar()
	for _, h := range c.Holidays() {
		if h.SourceRef == "Bộ luật Lao động 2019, Điều 112" {
			perYear[h.Date.Year()]++
		} else if !dayOf(h.Date).weekend() && h.SourceRef != "Bộ luật Lao động 2019, Điều 111 khoản 3" {
			t.Errorf("%v has no basis", h)
		}
		if c.Working(h.Date) {
			t.Errorf("%v is a working day", h)
		}
	}
	for year := 2022; year <= 2027; year++ {
		if perYear[year] != 11 {
			t.Errorf("%d has %d public holidays, the Labour Code gives 11", year, perYear[year])
		}
	}
}

func TestAddWorkingDays(t *testing.T) {
	c := load(t).Calendar()
	for _, k := range []struct {
		from string
		n    int
		want string
	}{
		{"2026-11-20 16:30", 1, "2026-11-23 16:30"},
		{"2026-11-21 09:00", 1, "2026-11-23 09:00"}, // accepted on a Saturday
		{"2026-11-20 16:30", 5, "2026-11-27 16:30"},
		{"2026-11-20 16:30", 0, "2026-11-20 16:30"},
		{"2026-11-20 16:30", -3, "2026-11-20 16:30"},
		{"2025-04-29 08:00", 1, "2025-05-02 08:00"},
		{"2025-01-24 08:00", 1, "2025-02-03 08:00"}, // over Tết
		{"2027-12-31 08:00", 1, "2028-01-03 08:00"},
	} {
		if got := c.AddWorkingDays(at(t, k.from), k.n); !got.Equal(at(t, k.want)) {
			t.Errorf("AddWorkingDays(%s, %d) = %v, want %s", k.from, k.n, got, k.want)
		}
	}
	utc := time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC) // Monday 03:00 in Hanoi
	if got := c.AddWorkingDays(utc, 1); !got.Equal(utc.AddDate(0, 0, 1)) || got.Location() != time.UTC {
		t.Errorf("in UTC: %v", got)
	}
	if huge := c.AddWorkingDays(utc, 1<<40); !huge.Equal(c.AddWorkingDays(utc, maxWorkingDays)) {
		t.Errorf("unbounded: %v", huge)
	}
}

// TestAddWorkingDaysCountsThem checks against a plain walk over the days.
func TestAddWorkingDaysCountsThem(t *testing.T) {
	c := load(t).Calendar()
	rapid.Check(t, func(t *rapid.T) {
		from := time.Date(2021, 12, 1, 13, 7, 0, 0, TimeZone()).AddDate(0, 0, rapid.IntRange(0, 2400).Draw(t, "day"))
		n := rapid.IntRange(1, 400).Draw(t, "n")
		want := from
		for left := n; left > 0; {
			want = want.AddDate(0, 0, 1)
			if c.Working(want) {
				left--
			}
		}
		if got := c.AddWorkingDays(from, n); !got.Equal(want) {
			t.Fatalf("%d after %v: %v, want %v", n, from, got, want)
		}
	})
}

func TestDays(t *testing.T) {
	c := load(t).Calendar()
	days := c.Days(at(t, "2021-12-30 05:00"), at(t, "2028-01-05 00:00"))
	if len(days) != 2+6*365+1+4 { // 2024 is a leap year; the end is not included
		t.Fatalf("%d days", len(days))
	}
	ordinal := 0
	for i, d := range days {
		if d.Date.Hour() != 0 || i > 0 && !d.Date.Equal(days[i-1].Date.AddDate(0, 0, 1)) {
			t.Fatalf("day %d is %v", i, d.Date)
		}
		if d.Working && !d.Date.Before(c.Start()) {
			ordinal++
		}
		if d.Ordinal != ordinal || d.Working != c.Working(d.Date) {
			t.Fatalf("%+v, want ordinal %d", d, ordinal)
		}
	}
	if got := c.Days(at(t, "2026-01-02 00:00"), at(t, "2026-01-01 00:00")); got != nil {
		t.Errorf("backwards: %v", got)
	}
}
