package event

import "unsafe"

const (
	unknownNames = 256 // names told apart for ever
	fewNames     = 16  // names of one event that are compared one by one
	otherNames   = "*"
)

// unknownFields counts the fields that the contract does not know, and finds those that an event has twice.
type unknownFields struct {
	total map[string]*uint64
	few   [fewNames][]byte
	many  map[string]struct{}
	count int // in the event being read
}

func newUnknownFields() unknownFields {
	other := new(uint64)
	return unknownFields{total: map[string]*uint64{otherNames: other}, many: make(map[string]struct{})}
}

func (u *unknownFields) start() {
	if u.count > fewNames {
		clear(u.many)
	}
	u.count = 0
}

// add counts a name and tells whether the event has it twice. The name must stay valid while the event is read.
func (u *unknownFields) add(name []byte) (twice bool) {
	n := u.total[string(name)]
	if n == nil {
		if n = u.total[otherNames]; len(u.total) <= unknownNames && isPlainName(name) {
			n = new(uint64)
			u.total[string(name)] = n
		}
	}
	*n++
	for _, other := range u.few[:min(u.count, fewNames)] {
		if string(other) == string(name) {
			return true
		}
	}
	if u.count < fewNames {
		u.few[u.count] = name
	} else {
		key := unsafe.String(unsafe.SliceData(name), len(name))
		if _, twice = u.many[key]; !twice {
			u.many[key] = struct{}{}
		}
	}
	u.count++
	return twice
}

func (u *unknownFields) counts() map[string]uint64 {
	counts := make(map[string]uint64, len(u.total))
	for name, n := range u.total {
		if *n > 0 {
			counts[name] = *n
		}
	}
	return counts
}

// isPlainName tells whether a name can be shown: a word, and not someone's number.
func isPlainName(name []byte) bool {
	if len(name) == 0 || len(name) > maxCode || !isLetter(name[0]) {
		return false
	}
	digits := 0
	for _, c := range name {
		if !isAlnum(c) && c != '_' {
			return false
		}
		if c-'0' <= 9 {
			digits++
		}
	}
	return digits < 9
}

// readUnknown keeps a member that the contract does not know as it was written, for the column extra.
func (d *Decoder) readUnknown(name []byte) bool {
	s := &d.scan
	begin := s.nameAt
	s.watch, s.found = true, false
	s.path = append(s.path[:0], name)
	s.check(name)
	ok := s.skip(fieldDepth)
	s.watch = false
	if !ok {
		return false
	}
	if s.found {
		d.body.fail(PersonalData, unknownPath(name))
	}
	if d.unknown.add(name) {
		d.body.fail(DuplicateField, unknownPath(name))
	}
	if len(d.extra) == 0 {
		d.extra = append(d.extra, '{')
	} else {
		d.extra = append(d.extra, ',')
	}
	d.extra = append(d.extra, s.buf[begin:s.pos]...)
	return true
}

func unknownPath(name []byte) string {
	if isPlainName(name) {
		return "data." + string(name)
	}
	return "data." + otherNames
}
