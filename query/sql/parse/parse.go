package parse

import (
	"fmt"
	"strings"
)

// Statement reads one SELECT statement. A semicolon may end it. Errors are *Error.
func Statement(text string) (*Query, error) {
	p, err := newParser(text)
	if err != nil {
		return nil, err
	}
	q, err := p.statement()
	if err != nil {
		return nil, err
	}
	if d := depth(q); d > MaxDepth {
		return nil, &Error{Pos: q.Pos, Reason: BadSize, Message: fmt.Sprintf("the statement is nested %d deep; at most %d are allowed: use WITH for its parts", d, MaxDepth)}
	}
	return q, nil
}

// TypeOf reads a data type that stands in a text, such as the last argument of JSONExtract. Errors are *Error, with
// positions within the text.
func TypeOf(text string) (*Type, error) {
	p, err := newParser(text)
	if err != nil {
		return nil, err
	}
	t, err := p.dataType()
	if err != nil {
		return nil, err
	}
	if p.peek().kind != endToken {
		return nil, p.unexpected("the end of the type")
	}
	return t, nil
}

// parser reads tokens by recursive descent.
type parser struct {
	tokens []token
	at     int
	depth  int
	nodes  int
}

func newParser(text string) (*parser, error) {
	all, err := tokens(text)
	if err != nil {
		return nil, err
	}
	return &parser{tokens: all}, nil
}

func (p *parser) statement() (*Query, error) {
	first := p.peek()
	if first.kind == endToken {
		return nil, p.fail(BadStatement, first.pos, "the statement is empty; write a SELECT")
	}
	if !p.isWord("SELECT") && !p.isWord("WITH") && !p.isSign("(") {
		return nil, p.fail(BadStatement, first.pos, "only one SELECT statement is allowed, with WITH before it if wanted, not %s", p.describe(first))
	}
	q, err := p.query()
	if err != nil {
		return nil, err
	}
	end := p.peek()
	if p.sign(";") {
		if next := p.peek(); next.kind != endToken {
			return nil, p.fail(BadStatement, next.pos, "one statement is allowed, and here begins another: send them one by one")
		}
		return q, nil
	}
	if end.kind != endToken {
		return nil, p.unexpected("the end of the statement")
	}
	return q, nil
}

func (p *parser) peek() token { return p.tokens[p.at] }

// ahead is the n-th token after the next.
func (p *parser) ahead(n int) token {
	if p.at+n < len(p.tokens) {
		return p.tokens[p.at+n]
	}
	return p.tokens[len(p.tokens)-1]
}

func (p *parser) take() token {
	t := p.tokens[p.at]
	if t.kind != endToken {
		p.at++
	}
	return t
}

func (t token) isWord(word string) bool {
	return t.kind == wordToken && strings.EqualFold(t.text, word)
}

func (t token) isSign(sign string) bool { return t.kind == signToken && t.text == sign }

// isWord tells whether these words come next.
func (p *parser) isWord(words ...string) bool {
	for i, w := range words {
		if !p.ahead(i).isWord(w) {
			return false
		}
	}
	return true
}

func (p *parser) isSign(sign string) bool { return p.peek().isSign(sign) }

// word takes these words if they come next.
func (p *parser) word(words ...string) bool {
	if !p.isWord(words...) {
		return false
	}
	p.at += len(words)
	return true
}

// sign takes this sign if it comes next.
func (p *parser) sign(sign string) bool {
	if !p.isSign(sign) {
		return false
	}
	p.at++
	return true
}

func (p *parser) wantWord(word string) error {
	if !p.word(word) {
		return p.unexpected(word)
	}
	return nil
}

func (p *parser) wantSign(sign string) error {
	if !p.sign(sign) {
		return p.unexpected("“" + sign + "”")
	}
	return nil
}

func (p *parser) fail(reason Reason, pos Pos, format string, args ...any) error {
	return &Error{Pos: pos, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// describe names a token for an error.
func (p *parser) describe(t token) string {
	switch t.kind {
	case endToken:
		return "the end of the statement"
	case stringToken:
		return "a text"
	case nameToken:
		return "the name " + shorten(t.text)
	case numberToken:
		return "the number " + shorten(t.text)
	}
	return "“" + shorten(t.text) + "”"
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

// forbidden are words that begin what analysts may not write, with what to do instead.
var forbidden = map[string]string{
	"SETTINGS": "settings are the server's; leave SETTINGS out",
	"FORMAT":   "the format is chosen by the Accept header or the parameter format; leave FORMAT out",
	"INTO":     "an answer goes to the client only; leave INTO OUTFILE out",
	"PREWHERE": "use WHERE, which ClickHouse turns into PREWHERE by itself",
	"SAMPLE":   "sampling is not available; use WHERE or LIMIT",
	"GLOBAL":   "GLOBAL is for clusters; leave it out",
	"PARALLEL": "PARALLEL WITH is not allowed; send the statements one by one",
	"PASTE":    "PASTE JOIN is not allowed; join by a key",
}

// unexpected says what was wanted and what stands there instead.
func (p *parser) unexpected(want string) error {
	t := p.peek()
	if t.kind == wordToken {
		if hint, ok := forbidden[strings.ToUpper(t.text)]; ok {
			return p.fail(BadClause, t.pos, "%s is not allowed: %s", strings.ToUpper(t.text), hint)
		}
	}
	if t.isSign(";") {
		return p.fail(BadSyntax, t.pos, "the statement ends here, but %s should follow", want)
	}
	return p.fail(BadSyntax, t.pos, "%s should stand here, not %s", want, p.describe(t))
}

// node counts a part of the statement.
func (p *parser) node(pos Pos) (Pos, error) {
	if p.nodes++; p.nodes > MaxNodes {
		return pos, p.fail(BadSize, pos, "the statement has more than %d parts; shorten it", MaxNodes)
	}
	return pos, nil
}

// deeper bounds the recursion of the parser itself; the depth of the tree is looked at when it is whole.
func (p *parser) deeper() error {
	if p.depth++; p.depth > 2*MaxDepth {
		return p.fail(BadSize, p.peek().pos, "the statement is nested too deeply here; use WITH for its parts")
	}
	return nil
}

// name takes a name; what says what it names.
func (p *parser) name(what string) (string, Pos, error) {
	t := p.peek()
	switch {
	case t.kind == nameToken:
	case t.kind == wordToken && reserved[strings.ToUpper(t.text)]:
		return "", t.pos, p.unexpected(what + " (a keyword must be in `backticks` to be a name)")
	case t.kind == wordToken:
	default:
		return "", t.pos, p.unexpected(what)
	}
	p.at++
	return t.text, t.pos, nil
}

// reserved are the words that end an expression or a table, and so are no names unless quoted.
var reserved = setOf(`ALL AND ANTI ANY ARRAY AS ASC ASCENDING ASOF BETWEEN BY CASE COLLATE CROSS DESC DESCENDING DISTINCT DIV ELSE END EXCEPT
	FETCH FILL FINAL FORMAT FROM FULL GLOBAL GROUP HAVING ILIKE IN INNER INTERPOLATE INTERSECT INTO IS JOIN LEFT LIKE LIMIT MOD NOT NULLS OFFSET
	ON OR ORDER OVER PARALLEL PASTE PREWHERE QUALIFY REGEXP RIGHT SAMPLE SELECT SEMI SETTINGS THEN UNION USING WHEN WHERE WINDOW WITH`)

func setOf(words string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}

// alias takes AS name, or without AS a word that is not reserved.
func (p *parser) alias(implicit bool) (string, error) {
	if p.word("AS") {
		t := p.peek()
		if t.kind == wordToken && len(t.text) <= MaxName { // after AS even a keyword is a name
			p.at++
			return t.text, nil
		}
		name, _, err := p.name("a name")
		return name, err
	}
	t := p.peek()
	if !implicit || t.kind != nameToken && (t.kind != wordToken || reserved[strings.ToUpper(t.text)]) {
		return "", nil
	}
	name, _, err := p.name("a name")
	return name, err
}
