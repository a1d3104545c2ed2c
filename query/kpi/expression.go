package kpi

import (
	"fmt"
	"slices"
	"strings"
)

// expression is a sum over a source:
//
//	sum(attempts) where outcome != user_cancelled and service in (DA06-01, DA06-02)
//
// Functions are data: the quantiles of later catalogues are entries of functions.
type expression struct {
	measure    string
	conditions []condition
}

// condition is a restriction of one dimension to codes, or to any but them.
type condition struct {
	dimension string
	not       bool
	codes     []string
}

var functions = []string{"sum"}

// expressionError is an error at a byte offset of the text.
type expressionError struct {
	offset int
	detail string
}

func (e *expressionError) Error() string { return e.detail }

type expressionParser struct {
	src  *source
	text string
	pos  int // after the current token
	at   int // start of the current token
	word string
}

// parseExpression reads the text and checks it against the source. Errors are *expressionError.
func parseExpression(text string, src *source) (*expression, error) {
	p := &expressionParser{src: src, text: text}
	p.next()
	e, err := p.expression(src)
	if err != nil {
		return nil, err
	}
	return e, nil
}

func (p *expressionParser) expression(src *source) (*expression, error) {
	if !slices.Contains(functions, p.word) {
		return nil, p.fail("unknown function %q; known: %s", p.word, strings.Join(functions, ", "))
	}
	p.next()
	if err := p.expect("("); err != nil {
		return nil, err
	}
	e := &expression{measure: p.word}
	if _, ok := src.measures[e.measure]; !ok {
		return nil, p.fail("source %s has no measure %q; it has: %s", src.name, p.word, src.measureNames())
	}
	p.next()
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	for joint := "where"; p.word != ""; joint = "and" {
		if err := p.expect(joint); err != nil {
			return nil, err
		}
		c, err := p.condition(src)
		if err != nil {
			return nil, err
		}
		e.conditions = append(e.conditions, c)
	}
	return e, nil
}

func (p *expressionParser) condition(src *source) (condition, error) {
	c, at := condition{dimension: p.word}, p.at
	if !src.everywhere(c.dimension) {
		return c, p.fail("source %s has no dimension %q for all its grains; it has: %s", src.name, p.word, strings.Join(src.dimensionNames(), ", "))
	}
	p.next()
	switch operator := p.word; operator {
	case "=", "!=":
		p.next()
		c.not = operator == "!="
		if c.dimension == listCodes && c.not {
			p.at = at
			return c, p.fail("lists contain one another: use %s = with the largest list that counts", listCodes)
		}
		return c, p.code(&c)
	case "not":
		c.not = true
		p.next()
		fallthrough
	case "in":
		if c.dimension == listCodes {
			p.at = at
			return c, p.fail("lists contain one another: use %s = with the largest list that counts", listCodes)
		}
		if err := p.expect("in"); err != nil {
			return c, err
		}
		if err := p.expect("("); err != nil {
			return c, err
		}
		for {
			if err := p.code(&c); err != nil {
				return c, err
			}
			if p.word != "," {
				return c, p.expect(")")
			}
			p.next()
		}
	}
	return c, p.fail("expected =, !=, in or not in after %s, found %q", c.dimension, p.word)
}

func (p *expressionParser) code(c *condition) error {
	if known, ok := p.src.codes[c.dimension]; ok && !slices.Contains(known, p.word) {
		return p.fail("%s has no code %q; it has: %s", c.dimension, p.word, strings.Join(known, ", "))
	}
	if !isCode(p.word) {
		return p.fail("expected a code of %s, found %q", c.dimension, p.word)
	}
	c.codes = append(c.codes, p.word)
	p.next()
	return nil
}

func (p *expressionParser) expect(word string) error {
	if p.word != word {
		return p.fail("expected %q, found %q", word, p.word)
	}
	p.next()
	return nil
}

func (p *expressionParser) fail(format string, args ...any) error {
	return &expressionError{offset: p.at, detail: fmt.Sprintf(format, args...)}
}

// next reads the next word or sign; "" is the end.
func (p *expressionParser) next() {
	for p.pos < len(p.text) && p.text[p.pos] == ' ' {
		p.pos++
	}
	p.at = p.pos
	for p.pos < len(p.text) && isCodeByte(p.text[p.pos]) {
		p.pos++
	}
	if p.pos == p.at && p.pos < len(p.text) {
		p.pos++
		if strings.HasPrefix(p.text[p.at:], "!=") {
			p.pos++
		}
	}
	p.word = p.text[p.at:p.pos]
}

// isCode says whether the text can be a code of a dimension: such text needs no quoting anywhere.
func isCode(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if !isCodeByte(s[i]) {
			return false
		}
	}
	return true
}

func isCodeByte(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '_' || b == '-' || b == '.' || b == '/' || b == ':'
}

// holds says whether the conditions are true of a thing with these codes.
func (e *expression) holds(code func(dimension string) string) bool {
	for _, c := range e.conditions {
		if slices.Contains(c.codes, code(c.dimension)) == c.not {
			return false
		}
	}
	return true
}

// without is the expression without its conditions on the dimensions.
func (e *expression) without(dimensions ...string) *expression {
	rest := &expression{measure: e.measure}
	for _, c := range e.conditions {
		if !slices.Contains(dimensions, c.dimension) {
			rest.conditions = append(rest.conditions, c)
		}
	}
	return rest
}

// names says whether a condition names one of the codes of a dimension.
func (e *expression) names(dimension string, codes []string) bool {
	if e == nil {
		return false
	}
	for _, c := range e.conditions {
		if c.dimension == dimension && slices.ContainsFunc(c.codes, func(code string) bool { return slices.Contains(codes, code) }) {
			return true
		}
	}
	return false
}
