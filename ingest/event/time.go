package event

const (
	day     = 86_400_000    // milliseconds
	zone    = 7 * 3_600_000 // Asia/Ho_Chi_Minh, without daylight saving since 1975
	minDay  = 18998         // 2022-01-06, the day of decision 06/QĐ-TTg
	minTime = minDay*day - zone
	// Times of a record and due times go up to this.
	maxDay  = 47482 // 2100-01-01
	maxTime = maxDay*day - 1
	// Since then there are 34 provinces.
	mergerTime = 20270*day - zone // 2025-07-01
	// Clocks of sources may be ahead by this much.
	maxAhead = 5 * 60_000
)

// ClampTime brings a record's timestamp, which a producer may set to anything, into what the column can hold.
func ClampTime(ms int64) int64 { return min(max(ms, 0), maxTime) }

// dayOf is the day in Asia/Ho_Chi_Minh, since 1970-01-01, of a time that is not before it.
func dayOf(ms int64) int64 { return (ms + zone) / day }

// parseTime reads a time of RFC 3339 with offset, for example 2026-11-21T08:15:30.250+07:00, as unix milliseconds.
// Digits after the third of the fraction are cut. There are no leap seconds: systems do not agree on what they mean.
func parseTime(b []byte) (ms int64, ok bool) {
	if len(b) < len("2006-01-02T15:04:05Z") || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return 0, false
	}
	days, ok := parseDate(b[:10])
	hour, minute, second := two(b[11:]), two(b[14:]), two(b[17:])
	if !ok || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	ms = days*day + int64((hour*60+minute)*60+second)*1000
	b = b[19:]
	if b[0] == '.' {
		i, unit := 1, int64(100)
		for ; i < len(b) && b[i]-'0' <= 9; i++ {
			ms += int64(b[i]-'0') * unit
			unit /= 10
		}
		if i == 1 || i == len(b) {
			return 0, false
		}
		b = b[i:]
	}
	if len(b) == 1 && b[0] == 'Z' {
		return ms, true
	}
	if len(b) != len("+07:00") || b[3] != ':' {
		return 0, false
	}
	hour, minute = two(b[1:]), two(b[4:])
	if hour > 23 || minute > 59 {
		return 0, false
	}
	offset := int64(hour*60+minute) * 60_000
	switch b[0] {
	case '+':
		return ms - offset, true
	case '-':
		return ms + offset, true
	}
	return 0, false
}

// parseDate reads a date such as 2026-11-21 as days since 1970-01-01.
func parseDate(b []byte) (days int64, ok bool) {
	if len(b) != len("2006-01-02") || b[4] != '-' || b[7] != '-' {
		return 0, false
	}
	high, low, month, dom := two(b), two(b[2:]), two(b[5:]), two(b[8:])
	year := high*100 + low
	if high > 99 || low > 99 || month < 1 || month > 12 || dom < 1 || dom > daysIn(year, month) {
		return 0, false
	}
	// Years that begin in March have the leap day at their end.
	y, m := int64(year), int64(month)-3
	if m < 0 {
		y, m = y-1, m+12
	}
	y += 400 // keeps the divisions below from meeting negative numbers in year 0
	const epoch = 719468 + 146097
	return y*365 + y/4 - y/100 + y/400 + (153*m+2)/5 + int64(dom) - 1 - epoch, true
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// two reads two digits; what is no digit makes it more than 99.
func two(b []byte) int {
	tens, ones := int(b[0]-'0'), int(b[1]-'0')
	if tens > 9 || ones > 9 {
		return 1000
	}
	return tens*10 + ones
}
