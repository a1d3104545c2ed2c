package parse

// dataType reads a data type with its arguments.
func (p *parser) dataType() (*Type, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	t := p.peek()
	if t.kind != wordToken {
		return nil, p.unexpected("a data type")
	}
	pos, err := p.node(p.take().pos)
	if err != nil {
		return nil, err
	}
	typ := &Type{Pos: pos, Name: t.text}
	if !p.sign("(") {
		return typ, nil
	}
	if p.isSign(")") {
		return nil, p.unexpected("an argument of the type")
	}
	for {
		a, err := p.typeArg()
		if err != nil {
			return nil, err
		}
		typ.Args = append(typ.Args, a)
		if !p.sign(",") {
			return typ, p.wantSign(")")
		}
	}
}

func (p *parser) typeArg() (*TypeArg, error) {
	t := p.peek()
	a := &TypeArg{Pos: t.pos}
	var err error
	switch {
	case t.kind == numberToken:
		a.Value, err = p.number()
	case t.kind == stringToken:
		a.Value = &Literal{Pos: t.pos, Kind: String, Text: p.take().text}
		if p.sign("=") {
			a.Equal, err = p.signedNumber()
		}
	case t.kind == nameToken, t.kind == wordToken && p.ahead(1).kind == wordToken:
		a.Field = p.take().text
		a.Type, err = p.dataType()
	default:
		a.Type, err = p.dataType()
	}
	return a, err
}

func (p *parser) signedNumber() (*Literal, error) {
	sign := ""
	if p.sign("-") {
		sign = "-"
	}
	if p.peek().kind != numberToken {
		return nil, p.unexpected("a number")
	}
	n, err := p.number()
	if n != nil {
		n.Text = sign + n.Text
	}
	return n, err
}
