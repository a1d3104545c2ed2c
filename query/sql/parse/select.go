package parse

import "strings"

// query reads SELECTs with set operations between them.
func (p *parser) query() (*Query, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	pos, err := p.node(p.peek().pos)
	if err != nil {
		return nil, err
	}
	q := &Query{Pos: pos}
	for {
		term, err := p.term()
		if err != nil {
			return nil, err
		}
		q.Terms = append(q.Terms, term)
		op, err := p.setOperation()
		if err != nil {
			return nil, err
		}
		if op == "" {
			return q, nil
		}
		q.Ops = append(q.Ops, op)
	}
}

func (p *parser) setOperation() (string, error) {
	t := p.peek()
	for _, op := range []string{"UNION", "INTERSECT", "EXCEPT"} {
		if !p.word(op) {
			continue
		}
		switch {
		case p.word("ALL"):
			return op + " ALL", nil
		case p.word("DISTINCT"):
			return op + " DISTINCT", nil
		case op == "UNION":
			return "", p.fail(BadSyntax, t.pos, "write UNION ALL, which keeps equal rows, or UNION DISTINCT, which does not")
		}
		return op, nil
	}
	return "", nil
}

// term is a SELECT, or a query in parentheses.
func (p *parser) term() (Node, error) {
	if p.sign("(") {
		q, err := p.query()
		if err != nil {
			return nil, err
		}
		return q, p.wantSign(")")
	}
	if !p.isWord("SELECT") && !p.isWord("WITH") {
		return nil, p.unexpected("SELECT")
	}
	return p.selectClauses()
}

// selectClauses reads one SELECT, clause by clause, in their order.
func (p *parser) selectClauses() (*Select, error) {
	pos, err := p.node(p.peek().pos)
	if err != nil {
		return nil, err
	}
	s := &Select{Pos: pos}
	for _, clause := range []func(*Select) error{
		p.with, p.columns, p.from, p.where, p.groupBy, p.having, p.windows, p.qualify, p.orderBy, p.limits,
	} {
		if err := clause(s); err != nil {
			return nil, err
		}
	}
	return s, p.settled()
}

// settled refuses the clauses that a SELECT of ClickHouse could go on with.
func (p *parser) settled() error {
	t := p.peek()
	if t.kind == wordToken {
		if _, ok := forbidden[strings.ToUpper(t.text)]; ok {
			return p.unexpected("the end of the SELECT")
		}
	}
	return nil
}

func (p *parser) with(s *Select) error {
	if !p.word("WITH") {
		return nil
	}
	if p.isWord("RECURSIVE") && p.ahead(1).kind != signToken {
		return p.fail(BadClause, p.peek().pos, "WITH RECURSIVE is not allowed")
	}
	for {
		w, err := p.withItem()
		if err != nil {
			return err
		}
		s.With = append(s.With, w)
		if !p.sign(",") {
			return nil
		}
	}
}

func (p *parser) withItem() (*With, error) {
	t := p.peek()
	pos, err := p.node(t.pos)
	if err != nil {
		return nil, err
	}
	if (t.kind == nameToken || t.kind == wordToken) && p.ahead(1).isWord("AS") && p.ahead(2).isSign("(") && !t.isWord("NULL") {
		name, _, err := p.name("a name for the query")
		if err != nil {
			return nil, err
		}
		p.at += 2
		q, err := p.query()
		if err != nil {
			return nil, err
		}
		return &With{Pos: pos, Name: name, Query: q}, p.wantSign(")")
	}
	x, err := p.aliased(true)
	if err != nil {
		return nil, err
	}
	value, ok := x.(*Aliased)
	if !ok {
		return nil, p.fail(BadSyntax, pos, "in WITH every value needs a name: write expression AS name, or name AS (SELECT …)")
	}
	if _, lambda := value.X.(*Lambda); lambda {
		return nil, p.fail(BadClause, pos, "a function of your own is not allowed; write it out where it is used")
	}
	return &With{Pos: pos, Name: value.Name, Value: value}, nil
}

func (p *parser) columns(s *Select) error {
	if err := p.wantWord("SELECT"); err != nil {
		return err
	}
	if p.word("DISTINCT") {
		s.Distinct = true
		if p.isWord("ON") && p.ahead(1).isSign("(") {
			p.at += 2
			var err error
			if s.DistinctOn, err = p.list(")", false); err != nil {
				return err
			}
			s.Distinct = false
		}
	} else if p.isWord("ALL") && !p.ahead(1).isSign("(") {
		p.at++
	}
	if p.isWord("TOP") && p.ahead(1).kind == numberToken {
		return p.fail(BadClause, p.peek().pos, "TOP is not allowed: use LIMIT at the end")
	}
	var err error
	s.Columns, err = p.items(true)
	return err
}

func (p *parser) where(s *Select) (err error) {
	if p.isWord("PREWHERE") {
		return p.unexpected("WHERE")
	}
	if p.word("WHERE") {
		s.Where, err = p.aliased(false)
	}
	return err
}

func (p *parser) having(s *Select) (err error) {
	if p.word("HAVING") {
		s.Having, err = p.aliased(false)
	}
	return err
}

func (p *parser) qualify(s *Select) (err error) {
	if p.word("QUALIFY") {
		s.Qualify, err = p.aliased(false)
	}
	return err
}

func (p *parser) groupBy(s *Select) error {
	if p.word("GROUP", "BY") {
		g, err := p.grouping()
		if err != nil {
			return err
		}
		s.GroupBy = g
	}
	for p.isWord("WITH") {
		t := p.peek()
		switch {
		case p.word("WITH", "TOTALS"):
			if s.GroupBy == nil {
				s.GroupBy = &GroupBy{Pos: t.pos}
			}
			s.GroupBy.Totals = true
		case s.GroupBy != nil && s.GroupBy.Kind == "" && p.word("WITH", "ROLLUP"):
			s.GroupBy.Kind = "ROLLUP"
		case s.GroupBy != nil && s.GroupBy.Kind == "" && p.word("WITH", "CUBE"):
			s.GroupBy.Kind = "CUBE"
		default:
			p.at++
			return p.unexpected("TOTALS, ROLLUP or CUBE")
		}
	}
	return nil
}

func (p *parser) grouping() (*GroupBy, error) {
	g := &GroupBy{Pos: p.peek().pos}
	var err error
	switch {
	case p.isWord("ALL") && !p.ahead(1).isSign("("):
		p.at++
		g.All = true
		return g, nil
	case p.word("GROUPING", "SETS"):
		g.Kind = "GROUPING SETS"
		if err := p.wantSign("("); err != nil {
			return nil, err
		}
		for {
			set, err := p.groupingSet()
			if err != nil {
				return nil, err
			}
			g.Sets = append(g.Sets, set)
			if !p.sign(",") {
				return g, p.wantSign(")")
			}
		}
	case (p.isWord("ROLLUP") || p.isWord("CUBE")) && p.ahead(1).isSign("("):
		g.Kind = strings.ToUpper(p.take().text)
		p.at++
		g.Items, err = p.list(")", false)
		return g, err
	}
	g.Items, err = p.items(false)
	return g, err
}

func (p *parser) groupingSet() ([]Node, error) {
	if p.sign("(") {
		if p.sign(")") {
			return []Node{}, nil
		}
		return p.list(")", false)
	}
	x, err := p.aliased(false)
	return []Node{x}, err
}

func (p *parser) windows(s *Select) error {
	if !p.isWord("WINDOW") {
		return nil
	}
	p.at++
	for {
		name, pos, err := p.name("the window's name")
		if err != nil {
			return err
		}
		if err := p.wantWord("AS"); err != nil {
			return err
		}
		w, err := p.window()
		if err != nil {
			return err
		}
		s.Windows = append(s.Windows, &NamedWindow{Pos: pos, Name: name, Window: w})
		if !p.sign(",") {
			return nil
		}
	}
}

// limits reads LIMIT BY, LIMIT, OFFSET and FETCH.
func (p *parser) limits(s *Select) error {
	for p.isWord("LIMIT") {
		l := &Limit{Pos: p.take().pos}
		var err error
		if l.Count, err = p.expression(0); err != nil {
			return err
		}
		if p.sign(",") {
			l.Offset = l.Count
			if l.Count, err = p.expression(0); err != nil {
				return err
			}
		} else if p.word("OFFSET") {
			if l.Offset, err = p.expression(0); err != nil {
				return err
			}
		}
		if p.isWord("BY") {
			if s.LimitBy != nil || s.Limit != nil {
				return p.fail(BadSyntax, l.Pos, "LIMIT … BY must stand before LIMIT, and once")
			}
			p.at++
			s.LimitBy = &LimitBy{Pos: l.Pos, Count: l.Count, Offset: l.Offset}
			if s.LimitBy.By, err = p.items(false); err != nil {
				return err
			}
			continue
		}
		l.Ties = p.word("WITH", "TIES")
		if s.Limit != nil {
			return p.fail(BadSyntax, l.Pos, "there is a LIMIT already")
		}
		s.Limit = l
	}
	return p.offset(s)
}

// offset reads OFFSET without LIMIT, and FETCH.
func (p *parser) offset(s *Select) error {
	if !p.isWord("OFFSET") && !p.isWord("FETCH") {
		return nil
	}
	t := p.peek()
	if s.Limit != nil {
		return p.fail(BadSyntax, t.pos, "write LIMIT n OFFSET m, or OFFSET m FETCH FIRST n ROWS ONLY, but not both")
	}
	s.Limit = &Limit{Pos: t.pos}
	var err error
	if p.word("OFFSET") {
		if s.Limit.Offset, err = p.expression(0); err != nil {
			return err
		}
		_ = p.word("ROWS") || p.word("ROW")
	}
	if !p.word("FETCH") {
		return nil
	}
	if !p.word("FIRST") && !p.word("NEXT") {
		return p.unexpected("FIRST")
	}
	if s.Limit.Count, err = p.expression(0); err != nil {
		return err
	}
	if !p.word("ROWS") && !p.word("ROW") {
		return p.unexpected("ROWS")
	}
	if p.word("WITH", "TIES") {
		s.Limit.Ties = true
		return nil
	}
	return p.wantWord("ONLY")
}

// items reads expressions with commas between them; implicit allows aliases without AS.
func (p *parser) items(implicit bool) ([]Node, error) {
	var out []Node
	for {
		x, err := p.aliased(implicit)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
		if !p.sign(",") {
			return out, nil
		}
	}
}

// list reads expressions up to the closing sign, which it takes. empty allows none.
func (p *parser) list(closing string, empty bool) ([]Node, error) {
	if empty && p.sign(closing) {
		return nil, nil
	}
	out, err := p.items(false)
	if err != nil {
		return nil, err
	}
	if !p.sign(closing) {
		return nil, p.unexpected("“,” or “" + closing + "”")
	}
	return out, nil
}
