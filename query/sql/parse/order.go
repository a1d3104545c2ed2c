package parse

import "strings"

func (p *parser) orderBy(s *Select) (err error) {
	if p.isWord("ORDER", "BY") {
		s.OrderBy, err = p.order()
	}
	return err
}

// order reads ORDER BY and its keys.
func (p *parser) order() (*OrderBy, error) {
	o := &OrderBy{Pos: p.peek().pos}
	p.at += 2
	if p.isWord("ALL") && !p.ahead(1).isSign("(") && !p.ahead(1).isSign(".") {
		o.All = &OrderItem{Pos: p.take().pos}
		return o, p.orderModifiers(o.All)
	}
	for {
		pos, err := p.node(p.peek().pos)
		if err != nil {
			return nil, err
		}
		item := &OrderItem{Pos: pos}
		if item.Expr, err = p.aliased(false); err != nil {
			return nil, err
		}
		if err := p.orderModifiers(item); err != nil {
			return nil, err
		}
		o.Items = append(o.Items, item)
		if !p.sign(",") {
			return o, p.interpolate(o)
		}
	}
}

func (p *parser) orderModifiers(item *OrderItem) error {
	if p.word("DESC") || p.word("DESCENDING") {
		item.Desc = true
	} else {
		_ = p.word("ASC") || p.word("ASCENDING")
	}
	if p.word("NULLS") {
		switch {
		case p.word("FIRST"):
			item.Nulls = "FIRST"
		case p.word("LAST"):
			item.Nulls = "LAST"
		default:
			return p.unexpected("FIRST or LAST")
		}
	}
	if p.word("COLLATE") {
		t := p.peek()
		if t.kind != stringToken {
			return p.unexpected("a language in quotes, such as 'vi'")
		}
		item.Collate = p.take().text
	}
	if !p.word("WITH", "FILL") {
		return nil
	}
	item.Fill = &Fill{Pos: p.peek().pos}
	for _, part := range []struct {
		word string
		to   *Node
	}{{"FROM", &item.Fill.From}, {"TO", &item.Fill.To}, {"STEP", &item.Fill.Step}, {"STALENESS", &item.Fill.Staleness}} {
		if p.word(part.word) {
			x, err := p.expression(0)
			if err != nil {
				return err
			}
			*part.to = x
		}
	}
	return nil
}

func (p *parser) interpolate(o *OrderBy) error {
	if !p.word("INTERPOLATE") {
		return nil
	}
	if !p.sign("(") {
		o.InterpolateAll = true
		return nil
	}
	for {
		name, pos, err := p.name("a column")
		if err != nil {
			return err
		}
		i := &Interpolation{Pos: pos, Name: name}
		if p.word("AS") {
			if i.X, err = p.expression(0); err != nil {
				return err
			}
		}
		o.Interpolate = append(o.Interpolate, i)
		if !p.sign(",") {
			return p.wantSign(")")
		}
	}
}

// over reads what follows OVER: a window's name, or a window in parentheses.
func (p *parser) over() (*Window, error) {
	if !p.isSign("(") {
		name, pos, err := p.name("a window's name or “(”")
		return &Window{Pos: pos, Name: name, Alone: true}, err
	}
	return p.window()
}

// window reads a window in parentheses.
func (p *parser) window() (*Window, error) {
	w := &Window{Pos: p.peek().pos}
	if err := p.wantSign("("); err != nil {
		return nil, err
	}
	var err error
	if t := p.peek(); t.kind == nameToken || t.kind == wordToken && !reserved[strings.ToUpper(t.text)] && !isWindowWord(t.text) {
		if w.Name, _, err = p.name("a window's name"); err != nil {
			return nil, err
		}
	}
	if p.word("PARTITION", "BY") {
		if w.Partition, err = p.items(false); err != nil {
			return nil, err
		}
	}
	if p.isWord("ORDER", "BY") {
		if w.Order, err = p.order(); err != nil {
			return nil, err
		}
	}
	for _, unit := range []string{"ROWS", "RANGE", "GROUPS"} {
		if p.isWord(unit) {
			if w.Frame, err = p.frame(); err != nil {
				return nil, err
			}
		}
	}
	return w, p.wantSign(")")
}

func isWindowWord(word string) bool {
	switch strings.ToUpper(word) {
	case "PARTITION", "ROWS", "RANGE", "GROUPS":
		return true
	}
	return false
}

func (p *parser) frame() (*Frame, error) {
	t := p.take()
	f := &Frame{Pos: t.pos, Unit: strings.ToUpper(t.text)}
	var err error
	if !p.word("BETWEEN") {
		f.Start, err = p.bound()
		return f, err
	}
	if f.Start, err = p.bound(); err != nil {
		return nil, err
	}
	if err := p.wantWord("AND"); err != nil {
		return nil, err
	}
	f.End, err = p.bound()
	return f, err
}

func (p *parser) bound() (*Bound, error) {
	b := &Bound{Pos: p.peek().pos}
	if p.word("CURRENT", "ROW") {
		b.Words = "CURRENT ROW"
		return b, nil
	}
	prefix := "UNBOUNDED "
	if !p.word("UNBOUNDED") {
		var err error
		// Above AND, which stands between the two ends of a frame.
		if b.Value, err = p.expression(additive); err != nil {
			return nil, err
		}
		prefix = ""
	}
	switch {
	case p.word("PRECEDING"):
		b.Words = prefix + "PRECEDING"
	case p.word("FOLLOWING"):
		b.Words = prefix + "FOLLOWING"
	default:
		return nil, p.unexpected("PRECEDING or FOLLOWING")
	}
	return b, nil
}
