package simulate

import (
	"strconv"
	"time"
)

// Moments inside the simulation are nanoseconds since 1970. Vietnam has had one offset since 1975.
const (
	second = int64(time.Second)
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
	offset = 7 * hour
)

// dayOf counts the days since 1970-01-01 in Vietnam.
func dayOf(at int64) int64 { return (at + offset) / day }

// midnight is the begin of a day.
func midnight(d int64) int64 { return d*day - offset }

// clockOf is the time since midnight.
func clockOf(at int64) int64 { return (at + offset) % day }

// pen writes the texts of moments; it remembers the day that it wrote last, since the next one is mostly the same.
type pen struct {
	day  int64
	date [len(time.DateOnly)]byte
}

// appendDate writes a date such as 2026-11-21.
func (p *pen) appendDate(buf []byte, at int64) []byte {
	if d := dayOf(at); d != p.day {
		p.day = d
		time.Unix(d*86400, 0).UTC().AppendFormat(p.date[:0], time.DateOnly)
	}
	return append(buf, p.date[:]...)
}

// appendTime writes RFC 3339 with milliseconds and the offset of Vietnam.
func (p *pen) appendTime(buf []byte, at int64) []byte {
	buf = append(p.appendDate(buf, at), 'T')
	milli := clockOf(at) / int64(time.Millisecond)
	s := milli / 1000
	buf = append(appendTwo(buf, s/3600), ':')
	buf = append(appendTwo(buf, s/60%60), ':')
	buf = append(appendTwo(buf, s%60), '.', byte('0'+milli/100%10))
	return append(appendTwo(buf, milli%100), "+07:00"...)
}

// appendTwo writes two digits.
func appendTwo(buf []byte, n int64) []byte { return append(buf, byte('0'+n/10), byte('0'+n%10)) }

// join appends text that needs no escaping.
func join(buf []byte, parts ...string) []byte {
	for _, part := range parts {
		buf = append(buf, part...)
	}
	return buf
}

// joinInt appends text and a number.
func joinInt(buf []byte, text string, n int64) []byte {
	return strconv.AppendInt(append(buf, text...), n, 10)
}

// uuidLength is the length of a UUID as text.
const uuidLength = 36

// appendUUID writes a UUID of version 7 from its moment and 74 of the random bits.
func appendUUID(buf []byte, at int64, a, b uint64) []byte {
	high := uint64(at/int64(time.Millisecond))<<16 | 7<<12 | a&0xfff
	low := b>>2 | 1<<63
	from := len(buf)
	buf = appendHex(appendHex(append(buf, "----"...), high), low)
	id := buf[from:]
	copy(id, id[4:12])
	id[8] = '-'
	copy(id[9:], id[12:16])
	id[13] = '-'
	copy(id[14:], id[16:20])
	id[18] = '-'
	copy(id[19:], id[20:24])
	id[23] = '-' // the last 12 digits are in place
	return buf
}

// appendHex writes 16 digits.
func appendHex(buf []byte, n uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		buf = append(buf, digits[n>>shift&15])
	}
	return buf
}
