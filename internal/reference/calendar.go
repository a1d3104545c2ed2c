package reference

import (
	"errors"
	"slices"
	"sort"
	"sync"
	"time"
	_ "time/tzdata" // machines without a zone database know Asia/Ho_Chi_Minh too
)

// TimeZone is Asia/Ho_Chi_Minh, in which all days, periods and working hours are meant.
func TimeZone() *time.Location { return timeZone() }

var timeZone = sync.OnceValue(func() *time.Location {
	zone, err := time.LoadLocation("Asia/Ho_Chi_Minh")
	if err != nil {
		panic(err) // the zone database is part of the binary
	}
	return zone
})

// Holiday is a day off that is not a plain weekend.
type Holiday struct {
	Date       time.Time // Midnight in TimeZone.
	NameVI     string
	NameEN     string
	SourceRef  string
	Confidence string // "statute", "memory, verify", or an example where a yearly decision was not verified.
}

// CalendarDay is a day with its place among the working days.
type CalendarDay struct {
	Date    time.Time // Midnight in TimeZone.
	Working bool
	Ordinal int // Working days from the calendar's start up to and including this day; 0 before the start.
}

// Calendar knows working days: Monday to Friday without public holidays. Years outside Start to End have weekends
// only. Working Saturdays that yearly decisions exchange for a bridging day are not known. It never changes and is
// safe for concurrent use. A time stands for its day in TimeZone.
type Calendar struct {
	start, end day
	holidays   []Holiday
	off        []day // holidays on weekdays, ascending
}

// day counts days since 1970-01-01, a Thursday.
type day int

func dayOf(t time.Time) day {
	year, month, d := t.In(TimeZone()).Date()
	return day(time.Date(year, month, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

func (d day) midnight() time.Time {
	return time.Date(1970, time.January, 1+int(d), 0, 0, 0, 0, TimeZone())
}

func (d day) weekend() bool {
	monday := ((int(d)+3)%7 + 7) % 7 // 0 is Monday
	return monday >= 5
}

// Start is the first day of the calendar.
func (c *Calendar) Start() time.Time { return c.start.midnight() }

// End is the last day whose holidays are known.
func (c *Calendar) End() time.Time { return c.end.midnight() }

// Holidays lists the days off by date.
func (c *Calendar) Holidays() []Holiday { return slices.Clone(c.holidays) }

// Working tells whether the day of t is a working day.
func (c *Calendar) Working(t time.Time) bool { return c.working(dayOf(t)) }

func (c *Calendar) working(d day) bool {
	if d.weekend() {
		return false
	}
	_, off := slices.BinarySearch(c.off, d)
	return !off
}

// maxWorkingDays bounds AddWorkingDays; it is about 190 years.
const maxWorkingDays = 50_000

// AddWorkingDays is the same clock time n working days later. The day of t does not count, whether or not it is a
// working day. For n below 1 it is t itself; n above 50,000 counts as 50,000.
func (c *Calendar) AddWorkingDays(t time.Time, n int) time.Time {
	if n < 1 {
		return t
	}
	n = min(n, maxWorkingDays)
	from := dayOf(t)
	wanted := c.count(from) + n
	// Seven days hold five working days but for holidays, so the answer is within this many days.
	span := (n+len(c.off))*7/5 + 7
	later := sort.Search(span, func(i int) bool { return c.count(from+day(i)) >= wanted })
	return t.In(TimeZone()).AddDate(0, 0, later).In(t.Location())
}

// Days lists the days from the day of from, inclusive, to the day of to, exclusive.
func (c *Calendar) Days(from, to time.Time) []CalendarDay {
	first, end := dayOf(from), dayOf(to)
	if end <= first {
		return nil
	}
	days := make([]CalendarDay, 0, end-first)
	for d := first; d < end; d++ {
		days = append(days, CalendarDay{Date: d.midnight(), Working: c.working(d), Ordinal: max(c.count(d), 0)})
	}
	return days
}

// WorkingTime is how much of the time from one moment to another falls on working days, each of 24 hours, as the same clock
// time n working days later is n of them away; negative when to is before from.
func (c *Calendar) WorkingTime(from, to time.Time) time.Duration {
	return c.worked(to) - c.worked(from)
}

// worked is the time on working days from the start to the moment.
func (c *Calendar) worked(t time.Time) time.Duration {
	d := dayOf(t)
	worked := time.Duration(c.count(d-1)) * 24 * time.Hour
	if c.working(d) {
		worked += t.Sub(d.midnight())
	}
	return worked
}

// count is the number of working days from the start through d, negative before the start.
func (c *Calendar) count(d day) int {
	return workedThrough(c.off, d) - workedThrough(c.off, c.start-1)
}

// workedThrough counts working days from a fixed Monday far in the past through d.
func workedThrough(off []day, d day) int {
	const farMonday = day(-7*200_000 - 3)
	n := int(d - farMonday + 1)
	weekdays := n/7*5 + min(n%7, 5)
	holidays := sort.Search(len(off), func(i int) bool { return off[i] > d })
	return weekdays - holidays
}

func loadCalendar(d *Data, read reader) error {
	t, err := read.open("holidays.csv", []string{"date", "name_vi", "name_en", "source_ref", "confidence"}, nil)
	if err != nil {
		return err
	}
	c := &Calendar{}
	var last time.Time
	for _, r := range t.rows {
		h := Holiday{Date: r.date("date", false), NameVI: r.text("name_vi"), NameEN: r.text("name_en"),
			SourceRef: r.text("source_ref"), Confidence: r.text("confidence")}
		r.check("date", h.Date.After(last), "date %s is not after the one before", h.Date.Format(time.DateOnly))
		if r.err != nil {
			return r.err
		}
		last = h.Date
		c.holidays = append(c.holidays, h)
		if d := dayOf(h.Date); !d.weekend() {
			c.off = append(c.off, d)
		}
	}
	if len(c.holidays) == 0 {
		return &PlaceError{t.file, 1, 1, errors.New("no holidays")}
	}
	c.start = dayOf(time.Date(c.holidays[0].Date.Year(), time.January, 1, 0, 0, 0, 0, TimeZone()))
	c.end = dayOf(time.Date(last.Year(), time.December, 31, 0, 0, 0, 0, TimeZone()))
	d.calendar = c
	return nil
}
