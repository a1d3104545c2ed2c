package parse

func (p *printer) subquery(q *Query) {
	p.put("(")
	p.query(q)
	p.put(")")
}

func (p *printer) query(q *Query) {
	for i, term := range q.Terms {
		if i > 0 {
			p.put(" ", q.Ops[i-1], " ")
		}
		switch t := term.(type) {
		case *Select:
			p.selectClauses(t)
		case *Query:
			p.subquery(t)
		}
	}
}

func (p *printer) selectClauses(s *Select) {
	for i, w := range s.With {
		if i == 0 {
			p.put("WITH ")
		} else {
			p.put(", ")
		}
		if w.Query != nil {
			p.name(w.Name)
			p.put(" AS ")
			p.subquery(w.Query)
		} else {
			p.named(w.Value)
		}
	}
	if len(s.With) > 0 {
		p.put(" ")
	}
	p.put("SELECT ")
	if s.Distinct {
		p.put("DISTINCT ")
	}
	if s.DistinctOn != nil {
		p.put("DISTINCT ON (")
		p.list(s.DistinctOn)
		p.put(") ")
	}
	p.values(s.Columns)
	if s.From != nil {
		p.put(" FROM ")
		p.table(s.From)
	}
	for _, j := range s.Joins {
		p.join(j)
	}
	p.clause(" WHERE ", s.Where)
	p.groupBy(s.GroupBy)
	p.clause(" HAVING ", s.Having)
	for i, w := range s.Windows {
		if i == 0 {
			p.put(" WINDOW ")
		} else {
			p.put(", ")
		}
		p.name(w.Name)
		p.put(" AS ")
		p.window(w.Window)
	}
	p.clause(" QUALIFY ", s.Qualify)
	if s.OrderBy != nil {
		p.put(" ")
		p.orderBy(s.OrderBy)
	}
	p.limits(s)
}

func (p *printer) clause(words string, n Node) {
	if n != nil {
		p.put(words)
		p.value(n)
	}
}

func (p *printer) table(n Node) {
	alias := ""
	switch n := n.(type) {
	case *TableName:
		p.path(n.Parts)
		p.alias(n.Alias)
		if n.Final {
			p.put(" FINAL")
		}
		return
	case *TableCall:
		p.put(n.Name, "(")
		p.list(n.Args)
		p.put(")")
		alias = n.Alias
	case *TableQuery:
		p.subquery(n.Query)
		alias = n.Alias
	}
	p.alias(alias)
}

func (p *printer) alias(name string) {
	if name != "" {
		p.put(" AS ")
		p.name(name)
	}
}

func (p *printer) join(j *Join) {
	if j.Kind == "," {
		p.put(", ")
		p.table(j.Table)
		return
	}
	p.put(" ", j.Kind, " ")
	if j.Table == nil {
		p.values(j.Arrays)
		return
	}
	p.table(j.Table)
	if j.Using != nil {
		p.put(" USING (")
		p.list(j.Using)
		p.put(")")
	}
	p.clause(" ON ", j.On)
}

func (p *printer) groupBy(g *GroupBy) {
	if g == nil {
		return
	}
	switch {
	case g.All:
		p.put(" GROUP BY ALL")
	case g.Kind == "GROUPING SETS":
		p.put(" GROUP BY GROUPING SETS (")
		for i, set := range g.Sets {
			if i > 0 {
				p.put(", ")
			}
			p.put("(")
			p.list(set)
			p.put(")")
		}
		p.put(")")
	case g.Kind != "" && g.Items != nil:
		p.put(" GROUP BY ", g.Kind, "(")
		p.list(g.Items)
		p.put(")")
	case g.Items != nil:
		p.put(" GROUP BY ")
		p.list(g.Items)
	}
	if g.All && g.Kind != "" {
		p.put(" WITH ", g.Kind)
	}
	if g.Totals {
		p.put(" WITH TOTALS")
	}
}

func (p *printer) orderBy(o *OrderBy) {
	p.put("ORDER BY ")
	if o.All != nil {
		p.put("ALL")
		p.orderModifiers(o.All)
	}
	for i, item := range o.Items {
		if i > 0 {
			p.put(", ")
		}
		p.value(item.Expr)
		p.orderModifiers(item)
	}
	if o.InterpolateAll {
		p.put(" INTERPOLATE")
	}
	if o.Interpolate == nil {
		return
	}
	p.put(" INTERPOLATE (")
	for i, item := range o.Interpolate {
		if i > 0 {
			p.put(", ")
		}
		p.name(item.Name)
		p.clause(" AS ", item.X)
	}
	p.put(")")
}

func (p *printer) orderModifiers(item *OrderItem) {
	if item.Desc {
		p.put(" DESC")
	} else {
		p.put(" ASC")
	}
	if item.Nulls != "" {
		p.put(" NULLS ", item.Nulls)
	}
	if item.Collate != "" {
		p.put(" COLLATE ", quote(item.Collate, '\''))
	}
	if f := item.Fill; f != nil {
		p.put(" WITH FILL")
		p.clause(" FROM ", f.From)
		p.clause(" TO ", f.To)
		p.clause(" STEP ", f.Step)
		p.clause(" STALENESS ", f.Staleness)
	}
}

func (p *printer) limits(s *Select) {
	if l := s.LimitBy; l != nil {
		p.clause(" LIMIT ", l.Count)
		p.clause(" OFFSET ", l.Offset)
		p.put(" BY ")
		p.list(l.By)
	}
	l := s.Limit
	if l == nil {
		return
	}
	p.clause(" LIMIT ", l.Count)
	if l.Count == nil {
		p.clause(" OFFSET ", l.Offset)
		return
	}
	p.clause(" OFFSET ", l.Offset)
	if l.Ties {
		p.put(" WITH TIES")
	}
}

func (p *printer) window(w *Window) {
	if w.Alone {
		p.name(w.Name)
		return
	}
	p.put("(")
	space := ""
	part := func() {
		p.put(space)
		space = " "
	}
	if w.Name != "" {
		part()
		p.name(w.Name)
	}
	if w.Partition != nil {
		part()
		p.put("PARTITION BY ")
		p.list(w.Partition)
	}
	if w.Order != nil {
		part()
		p.orderBy(w.Order)
	}
	if f := w.Frame; f != nil {
		part()
		p.put(f.Unit, " ")
		if f.End != nil {
			p.put("BETWEEN ")
		}
		p.bound(f.Start)
		if f.End != nil {
			p.put(" AND ")
			p.bound(f.End)
		}
	}
	p.put(")")
}

func (p *printer) bound(b *Bound) {
	if b.Value != nil {
		p.operand(b.Value)
		p.put(" ")
	}
	p.put(b.Words)
}
