package parse

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// tokenKind is what a token is.
type tokenKind uint8

const (
	endToken    tokenKind = iota
	wordToken             // A bare word: a keyword or a name.
	nameToken             // A quoted name; text is what it means.
	stringToken           // A text; text is what it means.
	numberToken           // A number as written.
	signToken             // An operator or a bracket.
)

// token is one word of a statement.
type token struct {
	kind tokenKind
	text string
	pos  Pos
	end  int // Byte after it.
}

// signs are the operators and brackets, the longest first.
var signs = []string{
	"<=>", "::", "->", "<=", ">=", "<>", "!=", "==", "||",
	"(", ")", "[", "]", "{", "}", ",", ".", ";", ":", "?", "+", "-", "*", "/", "%", "=", "<", ">",
}

// lexer cuts a statement into tokens.
type lexer struct {
	text string
	at   int // Byte.
	// where is the place of the byte placed, for places after it.
	where   Pos
	placed  int
	last    token
	element bool // The last number is that of a tuple's element.
}

// tokens cuts the whole statement. The last token is an endToken.
func tokens(text string) ([]token, error) {
	if len(text) > MaxBytes {
		return nil, &Error{Pos: Pos{1, 1}, Reason: BadSize, Message: fmt.Sprintf("the statement has %d bytes; at most %d are allowed", len(text), MaxBytes)}
	}
	if at := invalidByte(text); at >= 0 {
		return nil, &Error{Pos: positionOf(text, at), Reason: BadSyntax, Message: "the statement must be UTF-8 text without null characters"}
	}
	l := lexer{text: text, where: Pos{1, 1}}
	var out []token
	for {
		t, err := l.next()
		if err != nil {
			return nil, err
		}
		out = append(out, t)
		l.last = t
		if t.kind == endToken {
			return out, nil
		}
	}
}

// invalidByte is the first byte that is not part of UTF-8 text or is null; -1 when there is none.
func invalidByte(text string) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == 0 || r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// positionOf counts lines and characters up to a byte.
func positionOf(text string, at int) Pos {
	before := text[:at]
	start := strings.LastIndexByte(before, '\n') + 1
	return Pos{Line: strings.Count(before, "\n") + 1, Column: len([]rune(before[start:])) + 1}
}

// pos is where a byte is; bytes must be asked for in order.
func (l *lexer) pos(at int) Pos {
	for _, r := range l.text[l.placed:at] {
		l.where.Column++
		if r == '\n' {
			l.where = Pos{Line: l.where.Line + 1, Column: 1}
		}
	}
	l.placed = at
	return l.where
}

func (l *lexer) fail(at int, format string, args ...any) error {
	return &Error{Pos: l.pos(at), Reason: BadSyntax, Message: fmt.Sprintf(format, args...)}
}

func (l *lexer) next() (token, error) {
	if err := l.skip(); err != nil {
		return token{}, err
	}
	start := l.at
	t := token{kind: endToken, pos: l.pos(start)}
	if start == len(l.text) {
		t.end = start
		return t, nil
	}
	rest := l.text[start:]
	c := rest[0]
	var err error
	switch {
	case isWordStart(c):
		t.kind, t.text = wordToken, rest[:wordLength(rest)]
		if len(t.text) > MaxName {
			err = l.fail(start, "this name has %d bytes; at most %d are allowed", len(t.text), MaxName)
		}
		l.at += len(t.text)
		if t.text == "x" || t.text == "X" || t.text == "b" || t.text == "B" {
			if l.at < len(l.text) && l.text[l.at] == '\'' {
				return t, l.fail(start, "texts in hexadecimal or binary form are not allowed; use unhex('…')")
			}
		}
	case isDigit(c) || c == '.' && len(rest) > 1 && isDigit(rest[1]) && !l.afterValue():
		t.kind = numberToken
		t.text, err = l.number()
	case c == '\'':
		t.kind = stringToken
		t.text, err = l.quoted()
	case c == '`' || c == '"':
		t.kind = nameToken
		if t.text, err = l.quoted(); err == nil {
			err = l.checkName(start, t.text)
		}
	default:
		t.kind = signToken
		t.text, err = l.sign()
	}
	t.end = l.at
	return t, err
}

// afterValue tells whether a point now is an access to an element and not the start of a number.
func (l *lexer) afterValue() bool {
	switch l.last.kind {
	case wordToken, nameToken:
		return l.last.end == l.at
	case numberToken:
		return l.element
	case signToken:
		return l.last.text == ")" || l.last.text == "]" || l.last.text == "}"
	}
	return false
}

// skip passes white space and comments.
func (l *lexer) skip() error {
	for l.at < len(l.text) {
		rest := l.text[l.at:]
		switch {
		case strings.IndexByte(" \t\n\r\v\f", rest[0]) >= 0:
			l.at++
		case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "# "), strings.HasPrefix(rest, "#!"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			l.at += end
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return l.fail(l.at, "this comment does not end; write */ after it")
			}
			l.at += end + 4
		default:
			return nil
		}
	}
	return nil
}

func (l *lexer) sign() (string, error) {
	rest := l.text[l.at:]
	for _, s := range signs {
		if strings.HasPrefix(rest, s) {
			l.at += len(s)
			return s, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	if r < utf8.RuneSelf {
		return "", l.fail(l.at, "the character %q means nothing here", r)
	}
	return "", l.fail(l.at, "the character %q (U+%04X) is not allowed outside of texts, comments and `quoted names`", r, r)
}

// number reads a number and checks that no word runs into it.
func (l *lexer) number() (string, error) {
	start := l.at
	digits := func(ok func(byte) bool) int {
		n := 0
		for l.at < len(l.text) && (ok(l.text[l.at]) || l.text[l.at] == '_' && n > 0) {
			l.at++
			n++
		}
		return n
	}
	if l.element = l.last.kind == signToken && l.last.text == "."; l.element { // t.1.2 is an element of an element
		digits(isDigit)
		return l.numberEnd(start)
	}
	if rest := l.text[start:]; len(rest) > 2 && rest[0] == '0' && (rest[1]|32 == 'x' || rest[1]|32 == 'b') {
		l.at += 2
		ok := isHex
		if rest[1]|32 == 'b' {
			ok = func(c byte) bool { return c == '0' || c == '1' }
		}
		if digits(ok) == 0 {
			return "", l.fail(start, "this number has no digits")
		}
		return l.numberEnd(start)
	}
	digits(isDigit)
	if l.at < len(l.text) && l.text[l.at] == '.' {
		l.at++
		digits(isDigit)
	}
	if l.at < len(l.text) && l.text[l.at]|32 == 'e' {
		l.at++
		if l.at < len(l.text) && (l.text[l.at] == '+' || l.text[l.at] == '-') {
			l.at++
		}
		if digits(isDigit) == 0 {
			return "", l.fail(start, "this number has no digits after its e")
		}
	}
	return l.numberEnd(start)
}

func (l *lexer) numberEnd(start int) (string, error) {
	text := l.text[start:l.at]
	if strings.HasSuffix(text, "_") || l.at < len(l.text) && (isWordStart(l.text[l.at]) || isDigit(l.text[l.at])) {
		return "", l.fail(start, "this is neither a number nor a name; a name that starts with a digit must be in `backticks`")
	}
	return text, nil
}

// quoted reads what is between quotes, by ClickHouse's rules: a doubled quote or a backslash before it is the quote.
func (l *lexer) quoted() (string, error) {
	start, quote := l.at, l.text[l.at]
	var out strings.Builder
	for l.at++; l.at < len(l.text); l.at++ {
		switch c := l.text[l.at]; c {
		case quote:
			if l.at+1 < len(l.text) && l.text[l.at+1] == quote {
				l.at++
				out.WriteByte(quote)
				continue
			}
			l.at++
			return out.String(), nil
		case '\\':
			if l.at++; l.at < len(l.text) {
				if err := l.escape(&out); err != nil {
					return "", err
				}
			}
		default:
			out.WriteByte(c)
		}
	}
	return "", l.fail(start, "this %c is never closed", quote)
}

// escape reads what follows a backslash.
func (l *lexer) escape(out *strings.Builder) error {
	switch c := l.text[l.at]; c {
	case 'x':
		if l.at+2 >= len(l.text) || !isHex(l.text[l.at+1]) || !isHex(l.text[l.at+2]) {
			return l.fail(l.at, `\x needs two hexadecimal digits`)
		}
		out.WriteByte(unhex(l.text[l.at+1])<<4 | unhex(l.text[l.at+2]))
		l.at += 2
	case 'N':
	case 'a', 'b', 'e', 'f', 'n', 'r', 't', 'v', '0':
		out.WriteByte("\a\b\x1b\f\n\r\t\v\x00"[strings.IndexByte("abefnrtv0", c)])
	case '\\', '\'', '"', '`', '/', '=':
		out.WriteByte(c)
	default: // kept with its backslash, for LIKE and regular expressions
		out.WriteByte('\\')
		out.WriteByte(c)
	}
	return nil
}

// checkName refuses names that no column has and that could be confused with others.
func (l *lexer) checkName(at int, name string) error {
	if name == "" {
		return l.fail(at, "a name must not be empty")
	}
	if len(name) > MaxName {
		return l.fail(at, "this name has %d bytes; at most %d are allowed", len(name), MaxName)
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return l.fail(at, "a name must not have control characters")
	}
	return nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || c|32 >= 'a' && c|32 <= 'f' }

func isWordStart(c byte) bool { return c == '_' || c|32 >= 'a' && c|32 <= 'z' }

func wordLength(s string) int {
	n := 0
	for n < len(s) && (isWordStart(s[n]) || isDigit(s[n]) || s[n] == '$') {
		n++
	}
	return n
}

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 32 - 'a' + 10
}
