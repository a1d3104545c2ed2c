package parse

import "strings"

// The levels of operators, as ClickHouse has them: the higher binds the tighter.
const (
	lambda         = 1
	ternary        = 2
	disjunction    = 3
	conjunction    = 4
	negation       = 5
	nullTest       = 6
	between        = 7
	comparison     = 9
	concatenation  = 10
	additive       = 11
	multiplicative = 12
	sign           = 13
)

// aliased reads an expression with its alias, if it has one.
func (p *parser) aliased(implicit bool) (Node, error) {
	x, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	pos := p.peek().pos
	name, err := p.alias(implicit)
	if err != nil || name == "" {
		return x, err
	}
	return &Aliased{Pos: pos, X: x, Name: name}, nil
}

// expression reads operators of the level and above.
func (p *parser) expression(level int) (Node, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	x, err := p.prefix(level)
	if err != nil {
		return nil, err
	}
	for {
		next, err := p.infix(x, level)
		if err != nil {
			return nil, err
		}
		if next == nil {
			return x, nil
		}
		x = next
	}
}

// prefix reads NOT, a sign or a value.
func (p *parser) prefix(level int) (Node, error) {
	t := p.peek()
	switch {
	case t.isWord("NOT"):
		if level > negation {
			return nil, p.fail(BadSyntax, t.pos, "NOT must be in parentheses here: (NOT …)")
		}
		return p.unary("NOT", negation)
	case t.isSign("-"):
		if p.ahead(1).kind == numberToken {
			p.at++
			n, err := p.number()
			if err != nil {
				return nil, err
			}
			n.Pos, n.Text = t.pos, "-"+n.Text
			return p.postfix(n)
		}
		return p.unary("-", sign)
	case t.isSign("+"):
		return nil, p.fail(BadSyntax, t.pos, "leave out the + before a value")
	}
	if l, err := p.tryLambda(level); l != nil || err != nil {
		return l, err
	}
	x, err := p.primary()
	if err != nil {
		return nil, err
	}
	return p.postfix(x)
}

func (p *parser) unary(op string, level int) (Node, error) {
	pos, err := p.node(p.take().pos)
	if err != nil {
		return nil, err
	}
	x, err := p.expression(level)
	return &Unary{Pos: pos, Op: op, X: x}, err
}

// tryLambda reads x -> … and (x, y) -> …; nil when there is none.
func (p *parser) tryLambda(level int) (Node, error) {
	start := p.peek()
	n := 0
	var names []string
	isName := func(t token) bool { return t.kind == nameToken || t.kind == wordToken }
	switch {
	case isName(start):
		names, n = []string{start.text}, 1
	case start.isSign("("):
		for n = 1; isName(p.ahead(n)); n += 2 {
			names = append(names, p.ahead(n).text)
			if !p.ahead(n + 1).isSign(",") {
				n++
				break
			}
		}
		if !p.ahead(n).isSign(")") || len(names) == 0 {
			return nil, nil
		}
		n++
	default:
		return nil, nil
	}
	if !p.ahead(n).isSign("->") {
		return nil, nil
	}
	if level > lambda {
		return nil, p.fail(BadSyntax, start.pos, "a lambda must be an argument of a function")
	}
	pos, err := p.node(start.pos)
	if err != nil {
		return nil, err
	}
	p.at += n + 1
	body, err := p.expression(lambda)
	if _, nested := body.(*Lambda); nested {
		return nil, p.fail(BadSyntax, body.Position(), "a lambda must be an argument of a function, and not what another lambda gives")
	}
	return &Lambda{Pos: pos, Params: names, Body: body}, err
}

// binary are the operators between two values, by their words or sign; level and what is printed.
var binary = map[string]struct {
	level int
	op    string
}{
	"=": {comparison, "="}, "==": {comparison, "="}, "!=": {comparison, "!="}, "<>": {comparison, "!="},
	"<": {comparison, "<"}, "<=": {comparison, "<="}, ">": {comparison, ">"}, ">=": {comparison, ">="}, "<=>": {comparison, "<=>"},
	"LIKE": {comparison, "LIKE"}, "ILIKE": {comparison, "ILIKE"}, "REGEXP": {comparison, "REGEXP"},
	"+": {additive, "+"}, "-": {additive, "-"},
	"*": {multiplicative, "*"}, "/": {multiplicative, "/"}, "%": {multiplicative, "%"},
	"MOD": {multiplicative, "MOD"}, "DIV": {multiplicative, "DIV"},
}

// chains are the operators whose repetition is one call with many arguments.
var chains = map[string]int{"OR": disjunction, "AND": conjunction, "||": concatenation}

// infix reads one operator after x and what belongs to it; nil when what comes next is none of the level or above.
func (p *parser) infix(x Node, level int) (Node, error) {
	t := p.peek()
	if t.kind != wordToken && t.kind != signToken {
		return nil, nil
	}
	key := strings.ToUpper(t.text)
	if l, ok := chains[key]; ok {
		return p.chain(x, key, l, level)
	}
	if b, ok := binary[key]; ok {
		if b.level < level {
			return nil, nil
		}
		return p.operator(x, b.op, b.level)
	}
	switch key {
	case "?":
		return p.ternary(x, level)
	case "IS":
		return p.is(x, level)
	case "BETWEEN":
		return p.between(x, false, level)
	case "IN":
		return p.in(x, false, level)
	case "NOT":
		return p.negated(x, level)
	case "GLOBAL":
		return nil, p.unexpected("IN")
	}
	return nil, nil
}

func (p *parser) chain(x Node, op string, own, level int) (Node, error) {
	if own < level {
		return nil, nil
	}
	pos, err := p.node(p.peek().pos)
	if err != nil {
		return nil, err
	}
	c := &Chain{Pos: pos, Op: op, Items: []Node{x}}
	for {
		if op == "||" && !p.sign("||") || op != "||" && !p.word(op) {
			return c, nil
		}
		y, err := p.expression(own + 1)
		if err != nil {
			return nil, err
		}
		c.Items = append(c.Items, y)
	}
}

// operator reads the right side of an operator, which may be ANY or ALL of a subquery.
func (p *parser) operator(x Node, op string, level int) (Node, error) {
	pos, err := p.node(p.take().pos)
	if err != nil {
		return nil, err
	}
	if level == comparison && (p.isWord("ANY") || p.isWord("ALL")) && p.ahead(1).isSign("(") && (p.ahead(2).isWord("SELECT") || p.ahead(2).isWord("WITH")) {
		quantifier := strings.ToUpper(p.take().text)
		q, err := p.inParentheses()
		return &Any{Pos: pos, Op: op, Quantifier: quantifier, X: x, Query: q}, err
	}
	y, err := p.expression(level + 1)
	return &Binary{Pos: pos, Op: op, L: x, R: y}, err
}

func (p *parser) inParentheses() (*Query, error) {
	if err := p.wantSign("("); err != nil {
		return nil, err
	}
	q, err := p.query()
	if err != nil {
		return nil, err
	}
	return q, p.wantSign(")")
}

func (p *parser) ternary(x Node, level int) (Node, error) {
	if level > ternary {
		return nil, nil
	}
	pos, err := p.node(p.take().pos)
	if err != nil {
		return nil, err
	}
	yes, err := p.expression(ternary)
	if err != nil {
		return nil, err
	}
	if err := p.wantSign(":"); err != nil {
		return nil, err
	}
	no, err := p.expression(ternary)
	return &Call{Pos: pos, Name: "if", Args: []Node{x, yes, no}}, err
}

func (p *parser) is(x Node, level int) (Node, error) {
	if level > nullTest {
		return nil, nil
	}
	pos, err := p.node(p.take().pos)
	if err != nil {
		return nil, err
	}
	not := p.word("NOT")
	if p.word("NULL") {
		return &IsNull{Pos: pos, Not: not, X: x}, nil
	}
	if !p.word("DISTINCT", "FROM") {
		return nil, p.unexpected("NULL or DISTINCT FROM")
	}
	op := "IS DISTINCT FROM"
	if not {
		op = "<=>"
	}
	y, err := p.expression(nullTest + 1)
	return &Binary{Pos: pos, Op: op, L: x, R: y}, err
}

func (p *parser) between(x Node, not bool, level int) (Node, error) {
	if level > between {
		return nil, nil
	}
	pos, err := p.node(p.take().pos)
	if err != nil {
		return nil, err
	}
	b := &Between{Pos: pos, Not: not, X: x}
	if b.Low, err = p.expression(between + 1); err != nil {
		return nil, err
	}
	if err := p.wantWord("AND"); err != nil {
		return nil, err
	}
	b.High, err = p.expression(between + 1)
	return b, err
}

// negated reads NOT IN, NOT LIKE, NOT ILIKE and NOT BETWEEN.
func (p *parser) negated(x Node, level int) (Node, error) {
	next := p.ahead(1)
	switch {
	case next.isWord("BETWEEN") && level <= between:
		p.at++
		return p.between(x, true, level)
	case next.isWord("IN") && level <= comparison:
		p.at++
		return p.in(x, true, level)
	case next.isWord("LIKE") && level <= comparison, next.isWord("ILIKE") && level <= comparison:
		p.at++
		return p.operator(x, "NOT "+strings.ToUpper(next.text), comparison)
	case next.isWord("BETWEEN"), next.isWord("IN"), next.isWord("LIKE"), next.isWord("ILIKE"):
		return nil, nil
	}
	p.at++
	return nil, p.unexpected("IN, LIKE, ILIKE or BETWEEN")
}

func (p *parser) in(x Node, not bool, level int) (Node, error) {
	if level > comparison {
		return nil, nil
	}
	pos, err := p.node(p.take().pos)
	if err != nil {
		return nil, err
	}
	in := &In{Pos: pos, Not: not, X: x}
	open := p.peek()
	if !open.isSign("(") {
		if in.Right, err = p.expression(comparison + 1); err != nil {
			return nil, err
		}
		if isOperation(in.Right) { // it is printed in parentheses, which makes it a list of one
			in.Right = &InList{Pos: open.pos, Items: []Node{in.Right}}
		}
		return in, nil
	}
	if p.ahead(1).isWord("SELECT") || p.ahead(1).isWord("WITH") {
		q, err := p.inParentheses()
		if err != nil {
			return nil, err
		}
		in.Right = &Subquery{Pos: open.pos, Query: q}
		return in, p.afterIn()
	}
	p.at++
	if p.isSign("(") && (p.ahead(1).isWord("SELECT") || p.ahead(1).isWord("WITH")) {
		return nil, p.fail(BadSyntax, open.pos, "write the subquery after IN in one pair of parentheses")
	}
	items, err := p.list(")", false)
	if err != nil {
		return nil, err
	}
	in.Right = &InList{Pos: open.pos, Items: items}
	return in, p.afterIn()
}

// afterIn refuses operators that would take the list after IN as their left side.
func (p *parser) afterIn() error {
	t := p.peek()
	b, ok := binary[strings.ToUpper(t.text)]
	if t.isSign("[") || t.isSign(".") || t.isSign("::") || t.isSign("||") || (t.kind == signToken || t.kind == wordToken) && ok && b.level > comparison {
		return p.fail(BadSyntax, t.pos, "put the condition with IN in parentheses before %s", p.describe(t))
	}
	return nil
}
