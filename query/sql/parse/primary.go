package parse

import "strings"

// primary reads a value: a constant, a name, a call, or something in brackets.
func (p *parser) primary() (Node, error) {
	t := p.peek()
	switch t.kind {
	case numberToken:
		return p.number()
	case stringToken:
		pos, err := p.node(p.take().pos)
		return &Literal{Pos: pos, Kind: String, Text: t.text}, err
	case nameToken:
		return p.nameOrStar()
	case signToken:
		switch t.text {
		case "(":
			return p.parenthesised()
		case "[":
			pos, err := p.node(p.take().pos)
			if err != nil {
				return nil, err
			}
			items, err := p.list("]", true)
			return &Array{Pos: pos, Items: items}, err
		case "{":
			return p.param()
		case "*":
			return p.star(nil)
		}
	case wordToken:
		return p.wordValue()
	}
	return nil, p.unexpected("an expression")
}

func (p *parser) number() (*Literal, error) {
	t := p.take()
	pos, err := p.node(t.pos)
	return &Literal{Pos: pos, Kind: Number, Text: t.text}, err
}

// parenthesised reads (x), (a, b) and (SELECT …).
func (p *parser) parenthesised() (Node, error) {
	pos, err := p.node(p.peek().pos)
	if err != nil {
		return nil, err
	}
	if p.ahead(1).isWord("SELECT") || p.ahead(1).isWord("WITH") {
		q, err := p.inParentheses()
		return &Subquery{Pos: pos, Query: q}, err
	}
	p.at++
	if p.sign(")") {
		return &Call{Pos: pos, Name: "tuple"}, nil
	}
	first, err := p.aliased(false)
	if err != nil {
		return nil, err
	}
	if p.sign(")") {
		if _, ok := first.(*Lambda); ok {
			return nil, p.fail(BadSyntax, pos, "a lambda must be an argument of a function, without parentheses around it")
		}
		return first, nil
	}
	tuple := &Tuple{Pos: pos, Items: []Node{first}}
	if !p.sign(",") {
		return nil, p.unexpected("“,” or “)”")
	}
	if p.sign(")") { // (x,)
		return tuple, nil
	}
	rest, err := p.list(")", false)
	tuple.Items = append(tuple.Items, rest...)
	return tuple, err
}

// postfix reads what is attached to a value: elements, fields and ::type.
func (p *parser) postfix(x Node) (Node, error) {
	for steps := 0; ; steps++ {
		t := p.peek()
		if t.kind != signToken || t.text != "[" && t.text != "." && t.text != "::" {
			return x, nil
		}
		pos, err := p.node(p.take().pos)
		if err != nil {
			return nil, err
		}
		if steps > MaxDepth {
			return nil, p.fail(BadSize, pos, "there are too many accesses to elements here")
		}
		switch t.text {
		case "[":
			index, err := p.expression(0)
			if err != nil {
				return nil, err
			}
			if err := p.wantSign("]"); err != nil {
				return nil, err
			}
			x = &Index{Pos: pos, X: x, I: index}
		case "::":
			typ, err := p.dataType()
			if err != nil {
				return nil, err
			}
			x = &Cast{Pos: pos, X: x, Type: typ, Operator: true}
		case ".":
			next := p.peek()
			switch {
			case next.kind == numberToken && !strings.ContainsAny(next.text, ".eExXbB_"):
				x = &Field{Pos: pos, X: x, Number: p.take().text}
			case next.kind == nameToken || next.kind == wordToken:
				name := &Literal{Pos: next.pos, Kind: String, Text: p.take().text}
				x = &Call{Pos: pos, Name: "tupleElement", Args: []Node{x, name}}
			default:
				return nil, p.unexpected("the number or name of an element")
			}
		}
	}
}

// nameOrStar reads a name of one or several parts, which may end in *.
func (p *parser) nameOrStar() (Node, error) {
	pos, err := p.node(p.peek().pos)
	if err != nil {
		return nil, err
	}
	id := &Ident{Pos: pos, Parts: []string{p.take().text}}
	for p.isSign(".") && len(id.Parts) < 8 {
		next := p.ahead(1)
		switch {
		case next.isSign("*"):
			p.at++
			return p.star(id.Parts)
		case next.isWord("COLUMNS") && p.ahead(2).isSign("("):
			p.at++
			return p.columnsOf(id.Parts)
		case next.kind == nameToken || next.kind == wordToken:
			if p.ahead(2).isSign("(") {
				p.at++
				return nil, p.fail(BadFunction, next.pos, "functions have names without points")
			}
			p.at += 2
			id.Parts = append(id.Parts, next.text)
			continue
		}
		return id, nil // a number: postfix reads it
	}
	return id, nil
}

// star reads * and its modifiers.
func (p *parser) star(table []string) (Node, error) {
	pos, err := p.node(p.take().pos)
	if err != nil {
		return nil, err
	}
	s := &Star{Pos: pos, Table: table}
	return s, p.modifiers(s)
}

// columnsOf reads COLUMNS('pattern') or COLUMNS(a, b) and modifiers.
func (p *parser) columnsOf(table []string) (Node, error) {
	pos, err := p.node(p.take().pos)
	if err != nil {
		return nil, err
	}
	p.at++
	s := &Star{Pos: pos, Table: table}
	items, err := p.list(")", false)
	if err != nil {
		return nil, err
	}
	if l, ok := items[0].(*Literal); ok && l.Kind == String && len(items) == 1 {
		s.Pattern = l
	} else {
		s.Columns = items
		for _, x := range items {
			if _, ok := x.(*Ident); !ok {
				return nil, p.fail(BadSyntax, x.Position(), "COLUMNS takes one text with a regular expression, or names of columns")
			}
		}
	}
	return s, p.modifiers(s)
}

func (p *parser) modifiers(s *Star) error {
	for {
		t := p.peek()
		m := &Modifier{Pos: t.pos}
		var err error
		switch {
		case p.isWord("EXCEPT") && (p.ahead(1).isSign("(") && !p.ahead(2).isWord("SELECT") && !p.ahead(2).isWord("WITH") && !p.ahead(2).isSign("(") ||
			p.ahead(1).kind == nameToken || p.ahead(1).kind == wordToken && !reserved[strings.ToUpper(p.ahead(1).text)] && !p.ahead(1).isWord("STRICT")):
			p.at++
			m.Kind = "EXCEPT"
			m.Names, err = p.exceptNames()
		case p.isWord("REPLACE") && p.ahead(1).isSign("("):
			p.at += 2
			m.Kind = "REPLACE"
			m.Items, err = p.list(")", false)
			for _, x := range m.Items {
				if _, ok := x.(*Aliased); !ok {
					return p.fail(BadSyntax, x.Position(), "REPLACE takes expression AS column")
				}
			}
		case p.isWord("APPLY") && p.ahead(1).isSign("("):
			p.at += 2
			m.Kind = "APPLY"
			if m.Call, err = p.applied(); err == nil {
				err = p.wantSign(")")
			}
		default:
			return nil
		}
		if err != nil {
			return err
		}
		s.Modifiers = append(s.Modifiers, m)
	}
}

func (p *parser) exceptNames() ([]string, error) {
	if !p.sign("(") {
		name, _, err := p.name("a column")
		return []string{name}, err
	}
	var out []string
	for {
		name, _, err := p.name("a column")
		if err != nil {
			return nil, err
		}
		out = append(out, name)
		if !p.sign(",") {
			return out, p.wantSign(")")
		}
	}
}

// applied reads the function of APPLY: a name, with parameters if it takes them.
func (p *parser) applied() (*Call, error) {
	t := p.peek()
	if t.kind != wordToken || reserved[strings.ToUpper(t.text)] {
		return nil, p.unexpected("the name of a function")
	}
	pos, err := p.node(p.take().pos)
	if err != nil {
		return nil, err
	}
	c := &Call{Pos: pos, Name: t.text}
	if p.isSign("->") {
		return nil, p.fail(BadClause, t.pos, "APPLY takes the name of a function, not a lambda")
	}
	if p.sign("(") {
		c.Parametric = true
		c.Params, err = p.list(")", true)
	}
	return c, err
}

// param reads {name:Type}.
func (p *parser) param() (Node, error) {
	pos, err := p.node(p.take().pos)
	if err != nil {
		return nil, err
	}
	t := p.peek()
	if t.kind != wordToken || strings.Contains(t.text, "$") || len(t.text) > MaxName {
		return nil, p.unexpected("the name of a parameter, as in {name:Type},")
	}
	p.at++
	if err := p.wantSign(":"); err != nil {
		return nil, err
	}
	if p.isWord("Identifier") {
		return nil, p.fail(BadParameter, p.peek().pos, "a parameter cannot stand for a name; it can only be a value")
	}
	typ, err := p.dataType()
	if err != nil {
		return nil, err
	}
	return &Param{Pos: pos, Name: t.text, Type: typ}, p.wantSign("}")
}
