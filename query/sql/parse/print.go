package parse

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Print writes the query as a statement of ClickHouse: names in backticks, texts escaped anew, and parentheses around
// every operand that is an operation itself, so that no rule of precedence is relied upon.
func Print(q *Query) string {
	p := &printer{}
	p.query(q)
	return p.out.String()
}

// PrintType writes a data type as ClickHouse reads it.
func PrintType(t *Type) string {
	p := &printer{}
	p.dataType(t)
	return p.out.String()
}

// printer writes nodes; what it is given comes from the parser, so that a node of a wrong kind is a fault of the program.
type printer struct {
	out strings.Builder
}

func (p *printer) put(parts ...string) {
	for _, s := range parts {
		p.out.WriteString(s)
	}
}

func (p *printer) name(name string) { p.put(quote(name, '`')) }

func (p *printer) path(parts []string) {
	for i, part := range parts {
		if i > 0 {
			p.put(".")
		}
		p.name(part)
	}
}

// list writes values with commas between them.
func (p *printer) list(items []Node) {
	for i, x := range items {
		if i > 0 {
			p.put(", ")
		}
		p.value(x)
	}
}

// values writes the items of a clause, whose aliases need no parentheses.
func (p *printer) values(items []Node) {
	for i, x := range items {
		if i > 0 {
			p.put(", ")
		}
		p.named(x)
	}
}

// named writes a value and its alias without parentheses around them.
func (p *printer) named(n Node) {
	if a, ok := n.(*Aliased); ok {
		p.value(a.X)
		p.put(" AS ")
		p.name(a.Name)
		return
	}
	p.value(n)
}

// isOperation tells whether an operand needs parentheses.
func isOperation(n Node) bool {
	switch n.(type) {
	case *Unary, *Binary, *Chain, *Between, *In, *Any, *IsNull, *Lambda, *Cast:
		return true
	}
	return false
}

// operand writes a value that an operator takes.
func (p *printer) operand(n Node) {
	if isOperation(n) {
		p.put("(")
		p.value(n)
		p.put(")")
		return
	}
	p.value(n)
}

// subject writes a value that something is attached to.
func (p *printer) subject(n Node) {
	switch n := n.(type) {
	case *Ident, *Tuple, *Array, *Subquery, *Aliased, *Index, *Field:
		p.value(n)
		return
	case *Call:
		if n.Over == nil && n.Filter == nil && n.Nulls == "" {
			p.value(n)
			return
		}
	}
	p.put("(")
	p.value(n)
	p.put(")")
}

// value writes an expression.
func (p *printer) value(n Node) {
	switch n := n.(type) {
	case *Literal:
		if n.Kind == String {
			p.put(quote(n.Text, '\''))
		} else {
			p.put(n.Text)
		}
	case *Ident:
		p.path(n.Parts)
	case *Star:
		p.star(n)
	case *Param:
		p.put("{", n.Name, ":")
		p.dataType(n.Type)
		p.put("}")
	case *Tuple:
		p.put("(")
		p.list(n.Items)
		if len(n.Items) == 1 {
			p.put(",")
		}
		p.put(")")
	case *Array:
		p.put("[")
		p.list(n.Items)
		p.put("]")
	case *Call:
		p.call(n)
	case *Subquery:
		p.subquery(n.Query)
	case *Exists:
		p.put("EXISTS ")
		p.subquery(n.Query)
	case *Aliased:
		p.put("(")
		p.named(n)
		p.put(")")
	case *Case:
		p.caseWhen(n)
	case *Lambda:
		p.put("(")
		for i, name := range n.Params {
			if i > 0 {
				p.put(", ")
			}
			p.name(name)
		}
		p.put(") -> ")
		p.operand(n.Body)
	default:
		p.operation(n)
	}
}

// operation writes an expression with an operator.
func (p *printer) operation(n Node) {
	switch n := n.(type) {
	case *Unary:
		p.put(n.Op)
		p.put(" ")
		if l, ok := n.X.(*Literal); ok && l.Kind == Number { // -(1) is not the number -1
			p.put("(")
			p.value(n.X)
			p.put(")")
			return
		}
		p.operand(n.X)
	case *Binary:
		p.operand(n.L)
		p.put(" ", n.Op, " ")
		p.operand(n.R)
	case *Chain:
		for i, x := range n.Items {
			if i > 0 {
				p.put(" ", n.Op, " ")
			}
			p.operand(x)
		}
	case *Between:
		p.operand(n.X)
		p.put(not(n.Not), " BETWEEN ")
		p.operand(n.Low)
		p.put(" AND ")
		p.operand(n.High)
	case *In:
		p.in(n)
	case *Any:
		p.operand(n.X)
		p.put(" ", n.Op, " ", n.Quantifier, " ")
		p.subquery(n.Query)
	case *IsNull:
		p.operand(n.X)
		p.put(" IS", not(n.Not), " NULL")
	case *Cast:
		p.cast(n)
	case *Index:
		p.subject(n.X)
		p.put("[")
		p.value(n.I)
		p.put("]")
	case *Field:
		p.subject(n.X)
		p.put(".", n.Number)
	default:
		panic(fmt.Sprintf("parse: no way to print %T", n))
	}
}

func not(yes bool) string {
	if yes {
		return " NOT"
	}
	return ""
}

func (p *printer) in(n *In) {
	p.operand(n.X)
	p.put(not(n.Not), " IN ")
	if list, ok := n.Right.(*InList); ok {
		p.put("(")
		p.list(list.Items)
		p.put(")")
		return
	}
	p.operand(n.Right)
}

func (p *printer) cast(n *Cast) {
	if n.Operator {
		if _, twice := n.X.(*Cast); !twice {
			p.operand(n.X)
		} else {
			p.put("(")
			p.value(n.X)
			p.put(")")
		}
		p.put("::")
		p.dataType(n.Type)
		return
	}
	p.put("CAST(")
	p.value(n.X)
	p.put(" AS ")
	p.dataType(n.Type)
	p.put(")")
}

func (p *printer) call(n *Call) {
	p.put(n.Name, "(")
	if n.Parametric {
		p.list(n.Params)
		p.put(")(")
	}
	if n.Distinct {
		p.put("DISTINCT ")
	}
	p.list(n.Args)
	p.put(")")
	if n.Nulls != "" {
		p.put(" ", n.Nulls, " NULLS")
	}
	if n.Filter != nil {
		p.put(" FILTER (WHERE ")
		p.value(n.Filter)
		p.put(")")
	}
	if n.Over != nil {
		p.put(" OVER ")
		p.window(n.Over)
	}
}

func (p *printer) caseWhen(n *Case) {
	p.put("CASE")
	if n.Operand != nil {
		p.put(" ")
		p.operand(n.Operand)
	}
	for _, w := range n.Whens {
		p.put(" WHEN ")
		p.operand(w.If)
		p.put(" THEN ")
		p.operand(w.Then)
	}
	if n.Else != nil {
		p.put(" ELSE ")
		p.operand(n.Else)
	}
	p.put(" END")
}

func (p *printer) star(n *Star) {
	if len(n.Table) > 0 {
		p.path(n.Table)
		p.put(".")
	}
	switch {
	case n.Pattern != nil:
		p.put("COLUMNS(")
		p.value(n.Pattern)
		p.put(")")
	case n.Columns != nil:
		p.put("COLUMNS(")
		p.list(n.Columns)
		p.put(")")
	default:
		p.put("*")
	}
	for _, m := range n.Modifiers {
		switch m.Kind {
		case "EXCEPT":
			p.put(" EXCEPT (")
			for i, name := range m.Names {
				if i > 0 {
					p.put(", ")
				}
				p.name(name)
			}
			p.put(")")
		case "REPLACE":
			p.put(" REPLACE (")
			p.values(m.Items)
			p.put(")")
		case "APPLY":
			p.put(" APPLY (", m.Call.Name)
			if m.Call.Parametric {
				p.put("(")
				p.list(m.Call.Params)
				p.put(")")
			}
			p.put(")")
		}
	}
}

func (p *printer) dataType(t *Type) {
	p.put(t.Name)
	if len(t.Args) == 0 {
		return
	}
	p.put("(")
	for i, a := range t.Args {
		if i > 0 {
			p.put(", ")
		}
		if a.Field != "" {
			p.name(a.Field)
			p.put(" ")
		}
		switch {
		case a.Type != nil:
			p.dataType(a.Type)
		default:
			p.value(a.Value)
			if a.Equal != nil {
				p.put(" = ")
				p.value(a.Equal)
			}
		}
	}
	p.put(")")
}

// quote writes a text between quotes, with every character that has a meaning there escaped.
func quote(s string, q byte) string {
	var out strings.Builder
	out.WriteByte(q)
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch c := s[i]; {
		case r == utf8.RuneError && size == 1, c < ' ', c == 0x7f:
			fmt.Fprintf(&out, `\x%02X`, c)
		case c == q, c == '\\':
			out.WriteByte('\\')
			out.WriteByte(c)
		default:
			out.WriteString(s[i : i+size])
		}
		i += size
	}
	out.WriteByte(q)
	return out.String()
}
