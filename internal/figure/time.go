package figure

import (
	"time"

	"ioc.local/internal/reference"
)

var weekdays = [2][7]string{
	{"Chủ Nhật", "Thứ Hai", "Thứ Ba", "Thứ Tư", "Thứ Năm", "Thứ Sáu", "Thứ Bảy"},
	{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"},
}

// ages are the units of an age, the largest first.
var ages = []struct {
	size  time.Duration
	names [2]string
}{
	{24 * time.Hour, [2]string{"ngày", "day"}},
	{time.Hour, [2]string{"giờ", "hour"}},
	{time.Minute, [2]string{"phút", "minute"}},
	{time.Second, [2]string{"giây", "second"}},
}

// Clock is the time of day in Việt Nam to the second, such as "10:42:17".
func Clock(t time.Time) string { return t.In(reference.TimeZone()).Format("15:04:05") }

// Day is the date in Việt Nam, such as "21/11/2026".
func Day(t time.Time) string { return t.In(reference.TimeZone()).Format("02/01/2006") }

// Date is the date with its weekday, such as "Thứ Bảy, 21/11/2026".
func Date(t time.Time, lang Lang) string {
	return weekdays[lang][t.In(reference.TimeZone()).Weekday()] + ", " + Day(t)
}

// Age is a length of time in its largest whole unit, such as "12 phút"; a negative one is "0 giây".
func Age(d time.Duration, lang Lang) string {
	unit := ages[len(ages)-1]
	for _, larger := range ages {
		if d >= larger.size {
			unit = larger
			break
		}
	}
	n := max(d, 0) / unit.size
	text := Decimal(float64(n), 0, lang) + " " + unit.names[lang]
	if lang == EN && n != 1 {
		text += "s"
	}
	return text
}

// Ago says how long ago something was, such as "cách đây 12 phút".
func Ago(d time.Duration, lang Lang) string {
	if lang == EN {
		return Age(d, lang) + " ago"
	}
	return "cách đây " + Age(d, lang)
}
