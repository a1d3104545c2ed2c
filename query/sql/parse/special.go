package parse

import "strings"

// wordValue reads a value that starts with a bare word: a constant, a form of its own, a call or a name.
func (p *parser) wordValue() (Node, error) {
	t := p.peek()
	word := strings.ToUpper(t.text)
	open := p.ahead(1).isSign("(")
	switch word {
	case "NULL", "TRUE", "FALSE", "INF", "NAN":
		if !open && !p.ahead(1).isSign(".") {
			pos, err := p.node(p.take().pos)
			return &Literal{Pos: pos, Kind: Keyword, Text: keywords[word]}, err
		}
	case "CASE":
		return p.caseWhen()
	case "INTERVAL":
		if p.beginsInterval() {
			return p.interval()
		}
	case "DATE", "TIMESTAMP":
		if p.ahead(1).kind == stringToken {
			return p.dated(map[string]string{"DATE": "toDate", "TIMESTAMP": "toDateTime"}[word])
		}
	case "EXISTS":
		if open && (p.ahead(2).isWord("SELECT") || p.ahead(2).isWord("WITH")) {
			pos, err := p.node(p.take().pos)
			if err != nil {
				return nil, err
			}
			q, err := p.inParentheses()
			return &Exists{Pos: pos, Query: q}, err
		}
	case "COLUMNS":
		if open {
			return p.columnsOf(nil)
		}
	}
	if open && (!reserved[word] || callable[word]) {
		if special, err := p.specialCall(word); special != nil || err != nil {
			return special, err
		}
		return p.call()
	}
	if reserved[word] {
		return nil, p.unexpected("an expression")
	}
	return p.nameOrStar()
}

// keywords are the constants that are words, as they are printed.
var keywords = map[string]string{"NULL": "NULL", "TRUE": "true", "FALSE": "false", "INF": "inf", "NAN": "nan"}

// callable are the reserved words that are functions too.
var callable = setOf("ANY LEFT RIGHT MOD LIKE ILIKE ARRAY AND OR FORMAT")

// call reads name(args), name(params)(args), and what may follow an aggregate function.
func (p *parser) call() (Node, error) {
	t := p.take()
	pos, err := p.node(t.pos)
	if err != nil {
		return nil, err
	}
	c := &Call{Pos: pos, Name: t.text}
	if err := p.arguments(c); err != nil {
		return nil, err
	}
	if p.isSign("(") {
		if c.Distinct {
			return nil, p.unexpected("the end of the call")
		}
		c.Parametric, c.Params, c.Args = true, c.Args, nil
		if err := p.arguments(c); err != nil {
			return nil, err
		}
	}
	return c, p.aggregation(c)
}

// arguments reads what is between the parentheses of a call.
func (p *parser) arguments(c *Call) error {
	if err := p.wantSign("("); err != nil {
		return err
	}
	if p.isWord("DISTINCT") && !p.ahead(1).isSign(",") && !p.ahead(1).isSign(")") {
		p.at++
		c.Distinct = true
	}
	// f(SELECT …): one subquery without parentheses of its own.
	if p.isWord("SELECT") {
		return p.unexpected("an argument (a subquery needs parentheses of its own)")
	}
	var err error
	c.Args, err = p.list(")", !c.Distinct)
	return err
}

// aggregation reads IGNORE NULLS, FILTER and OVER.
func (p *parser) aggregation(c *Call) error {
	for _, nulls := range []string{"IGNORE", "RESPECT"} {
		if p.word(nulls, "NULLS") {
			c.Nulls = nulls
		}
	}
	if p.isWord("FILTER") && p.ahead(1).isSign("(") {
		p.at += 2
		if err := p.wantWord("WHERE"); err != nil {
			return err
		}
		var err error
		if c.Filter, err = p.aliased(false); err != nil {
			return err
		}
		if err := p.wantSign(")"); err != nil {
			return err
		}
	}
	if !p.word("OVER") {
		return nil
	}
	var err error
	c.Over, err = p.over()
	return err
}

func (p *parser) caseWhen() (Node, error) {
	pos, err := p.node(p.take().pos)
	if err != nil {
		return nil, err
	}
	c := &Case{Pos: pos}
	if !p.isWord("WHEN") {
		if c.Operand, err = p.aliased(false); err != nil {
			return nil, err
		}
	}
	for p.isWord("WHEN") {
		w := &When{Pos: p.take().pos}
		if w.If, err = p.aliased(false); err != nil {
			return nil, err
		}
		if err := p.wantWord("THEN"); err != nil {
			return nil, err
		}
		if w.Then, err = p.aliased(false); err != nil {
			return nil, err
		}
		c.Whens = append(c.Whens, w)
	}
	if len(c.Whens) == 0 {
		return nil, p.unexpected("WHEN")
	}
	if p.word("ELSE") {
		if c.Else, err = p.aliased(false); err != nil {
			return nil, err
		}
	}
	return c, p.wantWord("END")
}

// dated reads DATE '…' and TIMESTAMP '…'.
func (p *parser) dated(function string) (Node, error) {
	pos, err := p.node(p.take().pos)
	if err != nil {
		return nil, err
	}
	t := p.take()
	return &Call{Pos: pos, Name: function, Args: []Node{&Literal{Pos: t.pos, Kind: String, Text: t.text}}}, nil
}

// cast reads CAST(x AS type) and CAST(x, 'type').
func (p *parser) cast() (Node, error) {
	pos, err := p.node(p.take().pos)
	if err != nil {
		return nil, err
	}
	p.at++
	x, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	c := &Cast{Pos: pos, X: x}
	if p.word("AS") {
		// CAST(x AS name AS type) names the value too.
		if p.ahead(1).isWord("AS") {
			name, at, err := p.name("a name")
			if err != nil {
				return nil, err
			}
			p.at++
			c.X = &Aliased{Pos: at, X: x, Name: name}
		}
		if c.Type, err = p.dataType(); err != nil {
			return nil, err
		}
		return c, p.wantSign(")")
	}
	if !p.sign(",") {
		return nil, p.unexpected("AS and a type")
	}
	t := p.peek()
	if t.kind != stringToken {
		return nil, p.unexpected("a type in quotes")
	}
	if c.Type, err = TypeOf(p.take().text); err != nil {
		return nil, p.fail(BadType, t.pos, "%s is not a type that is known here", "'"+shorten(t.text)+"'")
	}
	return c, p.wantSign(")")
}
