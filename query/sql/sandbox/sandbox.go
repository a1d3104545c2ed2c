// Package sandbox decides which statements analysts may run, and makes of each the statement that ClickHouse gets: every
// table is one of an allow-list and printed with its database, every named query gets a name that no table has, every
// function and type is one of an allow-list. Nothing of it relies on what ClickHouse itself would refuse.
package sandbox

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ioc.local/query/sql/parse"
)

// Alias is the name of the database that analysts may write, whatever it is called in ClickHouse.
const Alias = "ioc"

// KPIValues is the table of current KPI values. It is no table of the database: its rows come with each statement.
const KPIValues = "kpi_values"

// hidden begins the names that the sandbox gives to named queries.
const hidden = "_cte_"

// tableCalls are the table functions: series of numbers, which read nothing.
var tableCalls = map[string]string{
	"numbers": "numbers", "generateseries": "generate_series", "generate_series": "generate_series",
}

// typed are the functions whose last argument is the name of a type.
var typed = map[string]bool{
	"JSONExtract": true, "JSONExtractKeysAndValues": true, "accurateCast": true, "accurateCastOrNull": true, "accurateCastOrDefault": true,
}

// Sandbox checks statements. It never changes and may be used by any goroutine.
type Sandbox struct {
	database  string
	tables    map[string]bool
	functions *functions
}

// Statement is a statement that may be run.
type Statement struct {
	// SQL is the text for ClickHouse.
	SQL string
	// Tables are the tables that it reads, in order of their names.
	Tables []string
	// Params are the parameters that it needs: the type of each by its name.
	Params map[string]string
	// Totals tells whether it asks for WITH TOTALS at its outermost level.
	Totals bool
}

// New makes a sandbox for these tables of the database.
func New(database string, tables []string) (*Sandbox, error) {
	f, err := newFunctions()
	if err != nil {
		return nil, err
	}
	s := &Sandbox{database: database, tables: map[string]bool{KPIValues: true}, functions: f}
	for _, t := range tables {
		if t == "" || strings.HasPrefix(t, hidden) || s.tables[t] {
			return nil, fmt.Errorf("sandbox: %q cannot be the name of a table, or is given twice", t)
		}
		s.tables[t] = true
	}
	return s, nil
}

// Check reads a statement and returns what to run. Errors are *parse.Error.
func (s *Sandbox) Check(text string) (*Statement, error) {
	query, err := parse.Statement(text)
	if err != nil {
		return nil, err
	}
	c := &checker{sandbox: s, tables: map[string]bool{}, params: map[string]string{}}
	if err := c.query(query, nil); err != nil {
		return nil, err
	}
	out := &Statement{SQL: parse.Print(query), Tables: slices.Sorted(maps.Keys(c.tables)), Params: c.params, Totals: hasTotals(query)}
	if len(out.SQL) > maxPrinted {
		return nil, &parse.Error{Pos: query.Pos, Reason: parse.BadSize, Message: fmt.Sprintf("the statement has %d bytes in full; at most %d are allowed", len(out.SQL), maxPrinted)}
	}
	return out, nil
}

// maxPrinted is the most that the profile of the ClickHouse users lets a statement have (max_query_size).
const maxPrinted = 64 << 10

func hasTotals(q *parse.Query) bool {
	return slices.ContainsFunc(q.Terms, func(n parse.Node) bool {
		switch n := n.(type) {
		case *parse.Select:
			return n.GroupBy != nil && n.GroupBy.Totals
		case *parse.Query:
			return hasTotals(n)
		}
		return false
	})
}

// scope is the named queries that can be seen: a list from the innermost outwards.
type scope struct {
	outer *scope
	name  string // as written
	own   string // as printed
}

func (s *scope) find(name string) (own string, ok bool) {
	for ; s != nil; s = s.outer {
		if s.name == name {
			return s.own, true
		}
	}
	return "", false
}

// checker goes through one statement, and writes into it what is to be printed.
type checker struct {
	sandbox *Sandbox
	tables  map[string]bool
	params  map[string]string
	queries int // named so far
}

func refuse(n parse.Node, reason parse.Reason, format string, args ...any) error {
	return &parse.Error{Pos: n.Position(), Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// query checks each SELECT. What the first one names with WITH, the others see too.
func (c *checker) query(q *parse.Query, outer *scope) error {
	visible := outer
	for i, term := range q.Terms {
		switch t := term.(type) {
		case *parse.Query:
			if err := c.query(t, visible); err != nil {
				return err
			}
		case *parse.Select:
			own, err := c.selectClauses(t, visible)
			if err != nil {
				return err
			}
			if i == 0 {
				visible = own
			}
		}
	}
	return nil
}

// selectClauses checks one SELECT and returns the scope inside it.
func (c *checker) selectClauses(s *parse.Select, outer *scope) (*scope, error) {
	visible := outer
	seen := map[string]bool{}
	for _, w := range s.With {
		if seen[w.Name] {
			return nil, refuse(w, parse.BadName, "%s is named twice in this WITH", w.Name)
		}
		seen[w.Name] = true
		if err := c.name(w, w.Name); err != nil {
			return nil, err
		}
		if w.Query == nil {
			if err := c.node(w.Value, visible); err != nil {
				return nil, err
			}
			continue
		}
		// A named query sees those before it; under its own name it sees what was there before.
		if err := c.query(w.Query, visible); err != nil {
			return nil, err
		}
		c.queries++
		own := fmt.Sprintf("%s%d_%s", hidden, c.queries, w.Name)
		visible = &scope{outer: visible, name: w.Name, own: own}
		w.Name = own
	}
	var err error
	first := true
	parse.Walk(s, func(n parse.Node) bool {
		if first {
			first = false
			return true
		}
		if _, with := n.(*parse.With); with || err != nil {
			return false
		}
		err = c.node(n, visible)
		return false
	})
	return visible, err
}

// node checks a node and all in it.
func (c *checker) node(n parse.Node, visible *scope) error {
	var err error
	parse.Walk(n, func(n parse.Node) bool {
		if err != nil {
			return false
		}
		var deeper bool
		deeper, err = c.one(n, visible)
		return deeper && err == nil
	})
	return err
}

// one checks a node alone; deeper is false where what is in it has been checked.
func (c *checker) one(n parse.Node, visible *scope) (deeper bool, err error) {
	switch n := n.(type) {
	case *parse.Query:
		return false, c.query(n, visible)
	case *parse.TableName:
		return false, c.table(n, visible)
	case *parse.TableCall:
		return true, c.tableCall(n)
	case *parse.TableQuery:
		return true, c.name(n, n.Alias)
	case *parse.Call:
		return true, c.call(n)
	case *parse.In:
		return true, c.in(n, visible)
	case *parse.Type:
		return true, c.dataType(n)
	case *parse.Param:
		return false, c.param(n, visible)
	case *parse.Lambda:
		return true, c.name(n, n.Params...)
	case *parse.Aliased:
		if _, lambda := n.X.(*parse.Lambda); lambda {
			return false, refuse(n, parse.BadClause, "a function of your own is not allowed; write it out where it is used")
		}
		return true, c.name(n, n.Name)
	case *parse.Ident:
		return true, c.name(n, n.Parts...)
	case *parse.Star:
		return true, c.name(n, n.Table...)
	case *parse.Interpolation:
		return true, c.name(n, n.Name)
	case *parse.NamedWindow:
		return true, c.name(n, n.Name)
	case *parse.Window:
		return true, c.name(n, n.Name)
	}
	return true, nil
}

// name refuses names that the sandbox itself gives.
func (c *checker) name(n parse.Node, names ...string) error {
	for _, name := range names {
		if strings.HasPrefix(strings.ToLower(name), hidden) {
			return refuse(n, parse.BadName, "names that begin with %s are not allowed", hidden)
		}
	}
	return nil
}

// table finds what a name in FROM means: a named query, or an allowed table.
func (c *checker) table(n *parse.TableName, visible *scope) error {
	if err := c.name(n, append(n.Parts, n.Alias)...); err != nil {
		return err
	}
	if len(n.Parts) == 1 {
		if own, ok := visible.find(n.Parts[0]); ok {
			if n.Final {
				return refuse(n, parse.BadClause, "FINAL is for tables, and %s is a named query", n.Parts[0])
			}
			if n.Alias == "" {
				n.Alias = n.Parts[0] // columns can be written with it
			}
			n.Parts = []string{own}
			return nil
		}
	}
	name, err := c.allowed(n)
	if err != nil {
		return err
	}
	c.tables[name] = true
	if name == KPIValues {
		if n.Final {
			return refuse(n, parse.BadClause, "FINAL means nothing for %s", KPIValues)
		}
		n.Parts = []string{KPIValues}
		return nil
	}
	n.Parts = []string{c.sandbox.database, name}
	return nil
}

// allowed is the table that a name with or without its database means.
func (c *checker) allowed(n *parse.TableName) (string, error) {
	name := n.Parts[len(n.Parts)-1]
	qualified := len(n.Parts) == 2 && (n.Parts[0] == Alias || n.Parts[0] == c.sandbox.database)
	if len(n.Parts) > 1 && !qualified {
		return "", refuse(n, parse.BadTable, "there is no database %s for you; the tables are in %s: %s", strings.Join(n.Parts[:len(n.Parts)-1], "."), Alias, c.sandbox.list())
	}
	if !c.sandbox.tables[name] {
		return "", refuse(n, parse.BadTable, "there is no table %s for you; the tables are %s", name, c.sandbox.list())
	}
	return name, nil
}

func (s *Sandbox) list() string { return strings.Join(slices.Sorted(maps.Keys(s.tables)), ", ") }

func (c *checker) tableCall(n *parse.TableCall) error {
	if err := c.name(n, n.Alias); err != nil {
		return err
	}
	known, ok := tableCalls[strings.ToLower(n.Name)]
	if !ok {
		return refuse(n, parse.BadTable, "the table function %s is not allowed; only numbers(n) and generate_series(from, to, step) are", n.Name)
	}
	n.Name = known
	return nil
}

func (c *checker) call(n *parse.Call) error {
	known, ok := c.sandbox.functions.resolve(n.Name)
	if !ok {
		hint := ""
		if s := c.sandbox.functions.similar(n.Name); s != "" {
			hint = fmt.Sprintf("; did you mean %s?", s)
		}
		return refuse(n, parse.BadFunction, "the function %s is not allowed or does not exist%s", n.Name, hint)
	}
	n.Name = known
	if !typed[known] {
		return nil
	}
	if len(n.Args) == 0 {
		return refuse(n, parse.BadFunction, "%s needs arguments, the last of which is a type", known)
	}
	at := len(n.Args) - 1
	if known == "accurateCastOrDefault" {
		at = min(at, 1)
	}
	return c.typeName(known, n.Args[at])
}

// typeName checks an argument that names a type.
func (c *checker) typeName(function string, n parse.Node) error {
	text, ok := n.(*parse.Literal)
	if !ok || text.Kind != parse.String {
		return refuse(n, parse.BadType, "%s needs its type as a text, such as 'Array(String)'", function)
	}
	t, err := parse.TypeOf(text.Text)
	if err != nil {
		return refuse(n, parse.BadType, "'%.60s' is not a type that is known here", text.Text)
	}
	parse.Walk(t, func(inner parse.Node) bool {
		if t, ok := inner.(*parse.Type); ok && err == nil {
			if err = c.dataType(t); err != nil {
				err = refuse(n, parse.BadType, "the type %s is not allowed", t.Name)
			}
		}
		return err == nil
	})
	return err
}

// in makes of a table or named query after IN a subquery, and of a single value a tuple, so that ClickHouse has no choice.
func (c *checker) in(n *parse.In, visible *scope) error {
	right := n.Right
	list, isList := right.(*parse.InList)
	if isList {
		if len(list.Items) != 1 {
			return nil
		}
		right = list.Items[0]
		if _, aliased := right.(*parse.Aliased); aliased { // (t AS x) could mean a table, too
			n.Right = &parse.Call{Pos: list.Pos, Name: "tuple", Args: list.Items}
			return nil
		}
	}
	id, ok := right.(*parse.Ident)
	if !ok {
		return nil
	}
	table := &parse.TableName{Pos: id.Pos, Parts: slices.Clone(id.Parts)}
	_, named := visible.find(id.Parts[0])
	if _, err := c.allowed(table); err == nil || named && len(id.Parts) == 1 {
		star := &parse.Star{Pos: id.Pos}
		n.Right = &parse.Subquery{Pos: id.Pos, Query: &parse.Query{Pos: id.Pos, Terms: []parse.Node{
			&parse.Select{Pos: id.Pos, Columns: []parse.Node{star}, From: table},
		}}}
		return nil
	}
	if !isList {
		return refuse(id, parse.BadTable, "after IN stands a list in parentheses, a subquery or an array; for a column that is an array use has(%s, …)", strings.Join(id.Parts, "."))
	}
	n.Right = &parse.Call{Pos: list.Pos, Name: "tuple", Args: []parse.Node{id}}
	return nil
}

func (c *checker) param(n *parse.Param, visible *scope) error {
	if err := c.node(n.Type, visible); err != nil {
		return err
	}
	printed := parse.PrintType(n.Type)
	if other, ok := c.params[n.Name]; ok && other != printed {
		return refuse(n, parse.BadParameter, "the parameter %s has the type %s here and %s before", n.Name, printed, other)
	}
	c.params[n.Name] = printed
	return nil
}
