package parse

// Walk visits the node and, where visit says so, all that is in it, in the order of the text.
func Walk(n Node, visit func(Node) (deeper bool)) {
	if n == nil || !visit(n) {
		return
	}
	children(n, func(c Node) { Walk(c, visit) })
}

// depth is the number of nodes on the longest way down.
func depth(n Node) int {
	deepest := 0
	children(n, func(c Node) { deepest = max(deepest, depth(c)) })
	return deepest + 1
}

// children visits what is directly in a node; absent parts are left out.
func children(n Node, visit func(Node)) {
	all := func(lists ...[]Node) {
		for _, list := range lists {
			for _, c := range list {
				if c != nil {
					visit(c)
				}
			}
		}
	}
	some := func(nodes ...Node) { all(nodes) }
	switch n := n.(type) {
	case *Query:
		all(n.Terms)
	case *Select:
		n.children(visit, all)
	case *With:
		if n.Query != nil {
			visit(n.Query)
		}
		some(n.Value)
	case *TableCall:
		all(n.Args)
	case *TableQuery:
		visit(n.Query)
	case *Join:
		some(n.Table, n.On)
		all(n.Using, n.Arrays)
	case *GroupBy:
		all(n.Items)
		all(n.Sets...)
	case *OrderBy:
		if n.All != nil {
			visit(n.All)
		}
		for _, i := range n.Items {
			visit(i)
		}
		for _, i := range n.Interpolate {
			visit(i)
		}
	case *OrderItem:
		some(n.Expr)
		if n.Fill != nil {
			visit(n.Fill)
		}
	case *Fill:
		some(n.From, n.To, n.Step, n.Staleness)
	case *Interpolation:
		some(n.X)
	case *LimitBy:
		some(n.Count, n.Offset)
		all(n.By)
	case *Limit:
		some(n.Count, n.Offset)
	case *NamedWindow:
		visit(n.Window)
	case *Window:
		n.children(visit, all)
	case *Bound:
		some(n.Value)
	case *Type:
		for _, a := range n.Args {
			if a.Type != nil {
				visit(a.Type)
			}
		}
	default:
		valueChildren(n, visit, all)
	}
}

func (s *Select) children(visit func(Node), all func(...[]Node)) {
	for _, w := range s.With {
		visit(w)
	}
	all(s.DistinctOn, s.Columns, []Node{s.From})
	for _, j := range s.Joins {
		visit(j)
	}
	all([]Node{s.Where})
	if s.GroupBy != nil {
		visit(s.GroupBy)
	}
	all([]Node{s.Having})
	for _, w := range s.Windows {
		visit(w)
	}
	all([]Node{s.Qualify})
	if s.OrderBy != nil {
		visit(s.OrderBy)
	}
	if s.LimitBy != nil {
		visit(s.LimitBy)
	}
	if s.Limit != nil {
		visit(s.Limit)
	}
}

func (w *Window) children(visit func(Node), all func(...[]Node)) {
	all(w.Partition)
	if w.Order != nil {
		visit(w.Order)
	}
	if w.Frame != nil {
		visit(w.Frame.Start)
		if w.Frame.End != nil {
			visit(w.Frame.End)
		}
	}
}

// valueChildren are the children of expressions.
func valueChildren(n Node, visit func(Node), all func(...[]Node)) {
	some := func(nodes ...Node) { all(nodes) }
	switch n := n.(type) {
	case *Star:
		all(n.Columns)
		for _, m := range n.Modifiers {
			all(m.Items)
			if m.Call != nil {
				visit(m.Call)
			}
		}
	case *Param:
		visit(n.Type)
	case *Tuple:
		all(n.Items)
	case *Array:
		all(n.Items)
	case *Call:
		all(n.Params, n.Args)
		some(n.Filter)
		if n.Over != nil {
			visit(n.Over)
		}
	case *Unary:
		some(n.X)
	case *Binary:
		some(n.L, n.R)
	case *Chain:
		all(n.Items)
	case *Between:
		some(n.X, n.Low, n.High)
	case *In:
		some(n.X, n.Right)
	case *InList:
		all(n.Items)
	case *Any:
		some(n.X)
		visit(n.Query)
	case *IsNull:
		some(n.X)
	case *Case:
		some(n.Operand)
		for _, w := range n.Whens {
			some(w.If, w.Then)
		}
		some(n.Else)
	case *Cast:
		some(n.X)
		visit(n.Type)
	case *Lambda:
		some(n.Body)
	case *Subquery:
		visit(n.Query)
	case *Exists:
		visit(n.Query)
	case *Index:
		some(n.X, n.I)
	case *Field:
		some(n.X)
	case *Aliased:
		some(n.X)
	}
}
