package event

import "bytes"

// What looks like personal data: a number of 9 digits (the old identity card) or 12 (the citizen's identity number), a
// Vietnamese phone number, an e-mail address.
//
// A phone number is, apart from '.', '-', ' ', and brackets between its digits: 0, 84, +84 or 0084, and then 9 digits
// of a mobile number (3, 5, 7, 8, 9 first) or 10 of a landline (2 first) or of a mobile number of before 2018 (12, 16,
// 18, 19 first).

// identifierIsPersonal tells whether an identifier as a whole is personal data.
func identifierIsPersonal(s []byte) bool {
	email := bytes.IndexByte(s, '@') >= 0
	s = bytes.TrimSpace(s)
	return email && isEmail(s) || isPersonalNumber(s)
}

// textHasPersonalData tells whether any token of a free text is personal data. Tokens are runs of ASCII letters,
// digits and the signs . _ + @ -. A token is looked at as a whole and, unless it is a UUID, between its hyphens.
func textHasPersonalData(s []byte) bool { return searchPersonal(s, true) }

// payloadHasPersonalData is textHasPersonalData without the look between hyphens, for texts that may be identifiers.
func payloadHasPersonalData(s []byte) bool { return searchPersonal(s, false) }

func searchPersonal(s []byte, hyphens bool) bool {
	for i := bytes.IndexByte(s, '@'); i >= 0; {
		if i > 0 && isLocal(s[i-1]) && emailDomain(s[i+1:]) > 0 {
			return true
		}
		next := bytes.IndexByte(s[i+1:], '@')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	digits := 0
	for i := 0; i < len(s); {
		begin := i
		for digits = 0; i < len(s) && isToken(s[i]); i++ {
			if s[i]-'0' <= 9 {
				digits++
			}
		}
		if digits >= 9 && tokenIsPersonal(s[begin:i], hyphens) {
			return true
		}
		i++
	}
	return false
}

func tokenIsPersonal(s []byte, hyphens bool) bool {
	if isPersonalNumber(trimSigns(s)) {
		return true
	}
	if !hyphens || isUUID(s) {
		return false
	}
	for more := true; more; {
		var part []byte
		if part, s, more = bytes.Cut(s, []byte("-")); isPersonalNumber(trimSigns(part)) {
			return true
		}
	}
	return false
}

// isPersonalNumber tells whether all of s is an identity or phone number.
func isPersonalNumber(s []byte) bool {
	const longest = len("00840") + 10
	if len(s) < 9 || (s[0]-'0' > 9 && s[0] != '+' && s[0] != '(') {
		return false
	}
	var digits [longest]byte
	n := 0
	plus := s[0] == '+'
	for i, c := range s {
		switch {
		case c-'0' <= 9:
			if n == longest {
				return false
			}
			digits[n] = c
			n++
		case c == '.' || c == '-' || c == ' ' || c == '(' || c == ')' || i == 0:
		default:
			return false
		}
	}
	if n == len(s) && (n == 9 || n == 12) {
		return true
	}
	return isPhone(digits[:n], plus)
}

func isPhone(digits []byte, plus bool) bool {
	rest := digits
	if !plus && bytes.HasPrefix(rest, []byte("00")) {
		rest, plus = rest[2:], true
	}
	switch {
	case bytes.HasPrefix(rest, []byte("84")) && (plus || len(rest) > 10):
		if rest = rest[2:]; len(rest) > 0 && rest[0] == '0' { // +84 (0)912…
			rest = rest[1:]
		}
	case !plus && len(rest) > 0 && rest[0] == '0':
		rest = rest[1:]
	default:
		return false
	}
	switch len(rest) {
	case 9:
		return rest[0] == '3' || rest[0] == '5' || rest[0] >= '7'
	case 10:
		return rest[0] == '2' || rest[0] == '1' && (rest[1] == '2' || rest[1] == '6' || rest[1] >= '8')
	}
	return false
}

// isEmail tells whether all of s is an e-mail address.
func isEmail(s []byte) bool {
	at := bytes.LastIndexByte(s, '@')
	if at < 1 || bytes.ContainsAny(s[:at], " \t\r\n") {
		return false
	}
	domain := emailDomain(s[at+1:])
	return domain > 0 && domain == len(s)-at-1
}

// emailDomain is the length of the run at the beginning of s that may be a domain, 0 when it is none: a label, a dot,
// and somewhere after it a label of letters only, two at least.
func emailDomain(s []byte) int {
	i, label, letters, dots := 0, 0, true, 0
	found := false
	for ; ; i++ {
		if i < len(s) && (isAlnum(s[i]) || s[i] == '-' || s[i] >= 0x80) {
			label++
			letters = letters && (isLetter(s[i]) || s[i] >= 0x80)
			continue
		}
		if label == 0 {
			break
		}
		if dots > 0 && letters && label >= 2 {
			found = true
		}
		if i == len(s) || s[i] != '.' {
			break
		}
		dots++
		label, letters = 0, true
	}
	if !found {
		return 0
	}
	return i
}

// isUUID matches 8-4-4-4-12 hexadecimal digits.
func isUUID(s []byte) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range s {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if c-'0' > 9 && (c|0x20)-'a' > 5 {
			return false
		}
	}
	return true
}

func trimSigns(s []byte) []byte {
	for len(s) > 0 && isSign(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && (isSign(s[len(s)-1]) || s[len(s)-1] == '+') {
		s = s[:len(s)-1]
	}
	return s
}

func isSign(c byte) bool   { return c == '.' || c == '-' || c == '_' || c == '@' }
func isLetter(c byte) bool { return (c|0x20)-'a' < 26 }
func isAlnum(c byte) bool  { return isLetter(c) || c-'0' <= 9 }
func isToken(c byte) bool  { return isAlnum(c) || isSign(c) || c == '+' }
func isLocal(c byte) bool {
	return isAlnum(c) || c >= 0x80 || c == '.' || c == '_' || c == '+' || c == '-' || c == '%'
}
