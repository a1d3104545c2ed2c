package kpi

import "time"

// The named periods are calendar periods in Asia/Ho_Chi_Minh that contain as_of and end there.
const (
	PeriodToday   = "today"
	Period7d      = "7d" // Today and the 6 days before.
	PeriodMonth   = "month"
	PeriodQuarter = "quarter"
	PeriodYTD     = "ytd"
	Period365d    = "365d" // Today and the 364 days before.
	PeriodAll     = "all"  // Since 2022-01-01; Project 06 began on 2022-01-06 and no event may be older.
)

var periods = []string{PeriodToday, Period7d, PeriodMonth, PeriodQuarter, PeriodYTD, Period365d, PeriodAll}

// beginning is the start of the period all.
var beginning = time.Date(2022, 1, 1, 0, 0, 0, 0, zone)

// periodStart is the first moment of the named period that contains t.
func periodStart(period string, t time.Time) time.Time {
	today := dayStart(t)
	switch period {
	case PeriodToday:
		return today
	case Period7d:
		return today.AddDate(0, 0, -6)
	case PeriodMonth:
		return today.AddDate(0, 0, 1-today.Day())
	case PeriodQuarter:
		return time.Date(today.Year(), (today.Month()-1)/3*3+1, 1, 0, 0, 0, 0, zone)
	case PeriodYTD:
		return time.Date(today.Year(), 1, 1, 0, 0, 0, 0, zone)
	case Period365d:
		return today.AddDate(0, 0, -364)
	}
	return beginning
}

// periodBefore is the named period before the one that starts at from, and the moment in it that has as much of it
// behind as the moment now has of this one. It is not ok for all, which has none.
func periodBefore(period string, from, now time.Time) (before, elapsed time.Time, ok bool) {
	switch period {
	case PeriodToday:
		before = from.AddDate(0, 0, -1)
	case Period7d:
		before = from.AddDate(0, 0, -7)
	case PeriodMonth:
		before = from.AddDate(0, -1, 0)
	case PeriodQuarter:
		before = from.AddDate(0, -3, 0)
	case PeriodYTD:
		before = from.AddDate(-1, 0, 0)
	case Period365d:
		before = from.AddDate(0, 0, -365)
	default:
		return time.Time{}, time.Time{}, false
	}
	return before, clip(before.Add(now.Sub(from)), before, from), true
}

// grain is a length of time that starts and ends on the calendar in Asia/Ho_Chi_Minh.
type grain uint8

// The grains, finest first.
const (
	minute grain = iota + 1
	hour
	day
	week // From Monday, as in ISO 8601.
	month
)

var grains = []string{minute: "minute", hour: "hour", day: "day", week: "week", month: "month"}

func (g grain) String() string { return grains[g] }

func parseGrain(s string) (grain, bool) {
	for g := minute; g <= month; g++ {
		if grains[g] == s {
			return g, true
		}
	}
	return 0, false
}

// floor is the start of the bucket that contains t.
func (g grain) floor(t time.Time) time.Time {
	t = t.In(zone)
	switch g {
	case minute:
		return t.Truncate(time.Minute)
	case hour:
		return t.Truncate(time.Hour) // the offset is whole hours
	case week:
		today := dayStart(t)
		return today.AddDate(0, 0, -(int(today.Weekday())+6)%7)
	case month:
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, zone)
	}
	return dayStart(t)
}

// next is the start of the bucket after the one that contains t.
func (g grain) next(t time.Time) time.Time {
	t = g.floor(t)
	switch g {
	case minute:
		return t.Add(time.Minute)
	case hour:
		return t.Add(time.Hour)
	case week:
		return t.AddDate(0, 0, 7)
	case month:
		return t.AddDate(0, 1, 0)
	}
	return t.AddDate(0, 0, 1)
}

// aligned says whether t is the start of a bucket; the zero time is.
func (g grain) aligned(t time.Time) bool { return t.IsZero() || g.floor(t).Equal(t) }

// buckets lists the starts of the buckets that meet [from, to), at most limit+1 of them.
func (g grain) buckets(from, to time.Time, limit int) []time.Time {
	starts := []time.Time{}
	for t := g.floor(from); t.Before(to) && len(starts) <= limit; t = g.next(t) {
		starts = append(starts, t)
	}
	return starts
}

func dayStart(t time.Time) time.Time {
	t = t.In(zone)
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, zone)
}

func clip(t, low, high time.Time) time.Time {
	if t.Before(low) {
		return low
	}
	return earliest(t, high)
}

// earliest is the smallest of the times that are not zero; zero when all are.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
