package simulate

import (
	"time"

	"ioc.local/internal/reference"
)

// dayKind tells how much happens on a day.
type dayKind uint8

const (
	working dayKind = iota
	weekend
	holiday
	dayKinds
)

// days knows working days, holidays and office hours.
type days struct {
	calendar *reference.Calendar
	holidays map[int64]bool
	first    int64
	kinds    []dayKind // from first on, as far as anybody asked
}

func newDays(calendar *reference.Calendar, from int64) *days {
	d := &days{calendar: calendar, holidays: map[int64]bool{}, first: dayOf(from)}
	for _, h := range calendar.Holidays() {
		d.holidays[dayOf(h.Date.UnixNano())] = true
	}
	return d
}

// kind is that of a day from the first on.
func (d *days) kind(n int64) dayKind {
	for int64(len(d.kinds)) <= n-d.first {
		next := d.first + int64(len(d.kinds))
		k := weekend
		switch {
		case d.holidays[next]:
			k = holiday
		case d.calendar.Working(time.Unix(0, midnight(next))):
			k = working
		}
		d.kinds = append(d.kinds, k)
	}
	return d.kinds[n-d.first]
}

// later is the n-th working day after a day.
func (d *days) later(from int64, n int) int64 {
	for n > 0 {
		if from++; d.kind(from) == working {
			n--
		}
	}
	return from
}

// Office hours on working days, an example.
const (
	morning   = 7*hour + 30*minute
	noon      = 11*hour + 30*minute
	afternoon = 13*hour + 30*minute
	closing   = 17 * hour
)

// office is the first moment not before at at which offices are open, and when they close next.
func (d *days) office(at int64) (from, to int64) {
	n, clock := dayOf(at), clockOf(at)
	if d.kind(n) != working || clock >= closing {
		n, clock = d.later(n, 1), 0
	}
	base := midnight(n)
	switch {
	case clock < noon:
		return base + max(clock, morning), base + noon
	default:
		return base + max(clock, afternoon), base + closing
	}
}

// worked is the moment at which offices have worked for so long since at.
func (d *days) worked(at, long int64) int64 {
	for {
		from, to := d.office(at)
		if from+long < to {
			return from + long
		}
		long -= to - from
		at = to
	}
}

// curve says how much happens in each minute of a day, of a thousand that is the average of a working day. It is gentle:
// the quietest hour of the night has a quarter of the average, so that something always moves.
type curve [dayKinds][24 * 60]int32

// newCurve makes a curve of hourly weights of a working day, of a weekend and of a holiday, with straight lines between
// them. Weekends and holidays keep their proportion to the working day.
func newCurve(hourly [dayKinds][24]int32) *curve {
	c, sum := &curve{}, int64(0)
	for kind := range hourly {
		for m := range c[kind] {
			from, to := hourly[kind][m/60], hourly[kind][(m/60+1)%24]
			c[kind][m] = from + (to-from)*int32(m%60)/60
			if dayKind(kind) == working {
				sum += int64(c[kind][m])
			}
		}
	}
	average := sum / int64(len(c[working]))
	for kind := range c {
		for m := range c[kind] {
			c[kind][m] = int32(int64(c[kind][m]) * 1000 / average)
		}
	}
	return c
}

// peopleCurve has a peak in the morning, a lower one in the afternoon, and an evening at home.
func peopleCurve() *curve {
	return newCurve([dayKinds][24]int32{
		working: {330, 290, 270, 270, 300, 420, 680, 1080, 1620, 1780, 1700, 1300, 900, 1180, 1560, 1600, 1420, 1100, 980, 1180, 1320, 1220, 860, 520},
		weekend: {330, 290, 260, 255, 260, 300, 400, 560, 700, 760, 760, 680, 560, 580, 640, 660, 640, 620, 680, 860, 960, 900, 680, 450},
		holiday: {300, 260, 250, 250, 250, 260, 300, 360, 420, 450, 450, 420, 370, 380, 400, 410, 410, 420, 460, 540, 580, 540, 440, 350},
	})
}

// weight is that of a moment, of a thousand.
func (c *curve) weight(d *days, at int64) int64 {
	return int64(c[d.kind(dayOf(at))][clockOf(at)/minute])
}
