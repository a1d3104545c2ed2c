package event

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a value, the value itself included. The contract's own fields nest three deep.
const maxDepth = 32

// scanner reads JSON strictly as RFC 8259 defines it. Its methods return false at the first fault, after which the
// scanner must not be used. It expects valid UTF-8.
type scanner struct {
	buf []byte
	pos int
	// found is set when watch is on and a text, or a member name, holds personal data, or a number is somebody's by the
	// names that lead to it. names is nil where numbers are not looked at.
	watch bool
	found bool
	names *vocabulary
	path  [][]byte
	// nameAt is where the name of the last member begins, with its quote.
	nameAt int
	// control is set when the last text has control characters, which only escapes can bring into it.
	control bool
	// scratch holds unescaped texts. It only grows while an event is read, so that they stay valid.
	scratch []byte
}

func (s *scanner) start(buf []byte) {
	s.buf, s.pos, s.watch, s.found, s.path = buf, 0, false, false, s.path[:0]
}

// peek gives the next byte that is no white space, without taking it; 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.buf) {
		c := s.buf[s.pos]
		if c > ' ' || (c != ' ' && c != '\n' && c != '\t' && c != '\r') {
			return c
		}
		s.pos++
	}
	return 0
}

// take takes the byte c after white space.
func (s *scanner) take(c byte) bool {
	if s.pos < len(s.buf) && s.buf[s.pos] == c || s.peek() == c {
		s.pos++
		return true
	}
	return false
}

// end tells whether only white space is left.
func (s *scanner) end() bool {
	s.peek()
	return s.pos == len(s.buf)
}

// member takes the next member of an object whose opening brace was taken, up to its value; first tells that it is
// the first call for the object. After the closing brace more is false.
func (s *scanner) member(first bool) (name []byte, more, ok bool) {
	c := s.peek()
	if c == '}' {
		s.pos++
		return nil, false, true
	}
	if !first {
		if c != ',' {
			return nil, false, false
		}
		s.pos++
		c = s.peek()
	}
	if c != '"' {
		return nil, false, false
	}
	s.nameAt = s.pos
	if name, ok = s.text(); !ok || !s.take(':') {
		return nil, false, false
	}
	return name, true, true
}

// memberNamed is member where the next one has that name, which needs no escapes. Else nothing is taken.
func (s *scanner) memberNamed(first bool, name string) bool {
	begin := s.pos
	if (first || s.take(',')) && s.peek() == '"' {
		at, end := s.pos+1, s.pos+1+len(name)
		if end < len(s.buf) && s.buf[end] == '"' && string(s.buf[at:end]) == name {
			if s.pos = end + 1; s.take(':') {
				return true
			}
		}
	}
	s.pos = begin
	return false
}

// element moves to the next element of an array, as member does for objects.
func (s *scanner) element(first bool) (more, ok bool) {
	c := s.peek()
	if c == ']' && first {
		s.pos++
		return false, true
	}
	if first {
		return true, true
	}
	s.pos++ // at the end of the buffer c is 0
	return c == ',', c == ',' || c == ']'
}

// text takes a text at its opening quote and gives it unescaped. It is valid as long as the buffer, or until the next
// event when it had escapes.
func (s *scanner) text() (text []byte, ok bool) {
	begin := s.pos + 1
	s.control = false
	if !s.plain(begin) {
		return nil, false
	}
	if s.buf[s.pos] == '"' {
		text = s.buf[begin:s.pos]
		s.pos++
		return text, true
	}
	return s.escaped(begin)
}

const (
	eachByte = 0x0101010101010101
	highBits = 0x8080808080808080
)

// plain moves to the next quote or backslash at or after i. A control character, and the end, are faults.
func (s *scanner) plain(i int) bool {
	buf := s.buf
	for i+8 <= len(buf) {
		// Each term marks, at its lowest mark exactly, the bytes that are below 0x20, a quote, or a backslash.
		x := binary.LittleEndian.Uint64(buf[i:])
		q, b := x^('"'*eachByte), x^('\\'*eachByte)
		marks := ((x-' '*eachByte)&^x | (q-eachByte)&^q | (b-eachByte)&^b) & highBits
		if marks == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(marks) >> 3
		s.pos = i
		return buf[i] >= ' '
	}
	for ; i < len(buf); i++ {
		if c := buf[i]; c < ' ' {
			return false
		} else if c == '"' || c == '\\' {
			s.pos = i
			return true
		}
	}
	return false
}

// escaped unescapes a text that begins at begin and has its first backslash at pos.
func (s *scanner) escaped(begin int) (text []byte, ok bool) {
	first := len(s.scratch)
	for {
		s.scratch = append(s.scratch, s.buf[begin:s.pos]...)
		if s.buf[s.pos] == '"' {
			s.pos++
			return s.scratch[first:len(s.scratch):len(s.scratch)], true
		}
		if !s.escape() {
			return nil, false
		}
		begin = s.pos
		if !s.plain(begin) {
			return nil, false
		}
	}
}

// escape takes one escape at its backslash.
func (s *scanner) escape() bool {
	if s.pos+1 >= len(s.buf) {
		return false
	}
	c := s.buf[s.pos+1]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		r, ok := s.unit(s.pos)
		if !ok {
			return false
		}
		s.pos += 6
		if utf16.IsSurrogate(r) {
			low, ok := s.unit(s.pos)
			if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
				return false
			}
			s.pos += 6
		}
		s.scratch = utf8.AppendRune(s.scratch, r)
		s.control = s.control || r < ' '
		return true
	default:
		return false
	}
	s.scratch = append(s.scratch, c)
	s.control = s.control || c < ' '
	s.pos += 2
	return true
}

// unit reads the \uXXXX at i.
func (s *scanner) unit(i int) (r rune, ok bool) {
	if i+6 > len(s.buf) || s.buf[i] != '\\' || s.buf[i+1] != 'u' {
		return 0, false
	}
	for _, c := range s.buf[i+2 : i+6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// number takes a number and gives its text. integral tells that it has neither fraction nor exponent.
func (s *scanner) number() (text []byte, integral, ok bool) {
	begin := s.pos
	if s.at() == '-' {
		s.pos++
	}
	if s.at() == '0' {
		s.pos++
	} else if !s.digits() {
		return nil, false, false
	}
	integral = true
	if s.at() == '.' {
		s.pos++
		integral = false
		if !s.digits() {
			return nil, false, false
		}
	}
	if c := s.at(); c == 'e' || c == 'E' {
		s.pos++
		integral = false
		if c := s.at(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return nil, false, false
		}
	}
	return s.buf[begin:s.pos], integral, true
}

// at is the byte at pos, 0 at the end.
func (s *scanner) at() byte {
	if s.pos < len(s.buf) {
		return s.buf[s.pos]
	}
	return 0
}

func (s *scanner) digits() bool {
	begin := s.pos
	for s.pos < len(s.buf) && s.buf[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos > begin
}

// literal takes true, false or null.
func (s *scanner) literal(word string) bool {
	if len(s.buf)-s.pos < len(word) || string(s.buf[s.pos:s.pos+len(word)]) != word {
		return false
	}
	s.pos += len(word)
	return true
}

// skip takes one value of any type. depth is the number of values that contain it.
func (s *scanner) skip(depth int) bool {
	c := s.peek()
	if depth >= maxDepth {
		return false
	}
	switch c {
	case '"':
		text, ok := s.text()
		s.check(text)
		return ok
	case '{':
		s.pos++
		return s.members(depth)
	case '[':
		s.pos++
		for first := true; ; first = false {
			more, ok := s.element(first)
			if !more {
				return ok
			}
			if !s.skip(depth + 1) {
				return false
			}
		}
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	number, _, ok := s.number()
	if ok && s.watch && !s.found && s.names != nil && s.names.isPersonal(s.path, number) {
		s.found = true
	}
	return ok
}

// members skips the members of an object whose opening brace was taken, and which depth values contain.
func (s *scanner) members(depth int) bool {
	for first := true; ; first = false {
		name, more, ok := s.member(first)
		if !more {
			return ok
		}
		s.check(name)
		if s.watch {
			s.path = append(s.path, name)
		}
		if !s.skip(depth + 1) {
			return false
		}
		if s.watch {
			s.path = s.path[:len(s.path)-1]
		}
	}
}

func (s *scanner) check(text []byte) {
	if s.watch && !s.found && textHasPersonalData(text) {
		s.found = true
	}
}
