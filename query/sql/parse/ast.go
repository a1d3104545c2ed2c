// Package parse reads the SELECT statements of ClickHouse that analysts may write, and prints them again.
//
// It knows the grammar and nothing of what is allowed in it: no names of tables or functions. What it does not know is
// an error, so that a clause that ClickHouse adds one day is refused until somebody has thought about it. What is
// printed is made from the tree alone, every name in backticks and every text escaped anew.
package parse

import "fmt"

const (
	// MaxBytes is the longest statement.
	MaxBytes = 64 << 10
	// MaxDepth is how deep expressions and subqueries may be nested.
	MaxDepth = 80
	// MaxNodes is how many parts (names, values, calls, …) a statement may have.
	MaxNodes = 5000
	// MaxName is the longest name, in bytes.
	MaxName = 256
)

// Pos is a place in a statement: line and character, from 1.
type Pos struct {
	Line, Column int
}

// Position returns the place itself; nodes have it by embedding Pos.
func (p Pos) Position() Pos { return p }

// String returns line:column.
func (p Pos) String() string { return fmt.Sprintf("%d:%d", p.Line, p.Column) }

// Reason is the kind of an Error, stable for programs.
type Reason string

const (
	// BadSyntax means that the text is not a statement.
	BadSyntax Reason = "syntax"
	// BadStatement means no statement, several, or another one than SELECT.
	BadStatement Reason = "statement"
	// BadClause means a clause of SELECT that is not allowed.
	BadClause Reason = "clause"
	// BadTable means a table or table function that is not allowed.
	BadTable Reason = "table"
	// BadFunction means a function that is not allowed.
	BadFunction Reason = "function"
	// BadType means a data type that is unknown or not allowed.
	BadType Reason = "type"
	// BadName means a name that is not allowed here.
	BadName Reason = "name"
	// BadParameter means a parameter that is missing, unknown or ill-formed.
	BadParameter Reason = "parameter"
	// BadSize means that a bound on the statement's size was hit.
	BadSize Reason = "size"
)

// Error says what is wrong with a statement, where, and what to do.
type Error struct {
	Pos
	Reason  Reason
	Message string
}

// Error returns the message with its place.
func (e *Error) Error() string { return "at " + e.String() + ": " + e.Message }

// Node is any part of a statement. All are pointers to the structs of this package.
type Node interface {
	Position() Pos
}

// Query is a SELECT, or several with UNION, INTERSECT or EXCEPT between them.
type Query struct {
	Pos
	// Terms are *Select or, in parentheses, *Query.
	Terms []Node
	// Ops are between the Terms: UNION ALL, UNION DISTINCT, INTERSECT, INTERSECT DISTINCT, EXCEPT, EXCEPT DISTINCT.
	Ops []string
}

// Select is one SELECT with its clauses. Absent clauses are nil.
type Select struct {
	Pos
	With       []*With
	Distinct   bool
	DistinctOn []Node
	Columns    []Node
	From       Node // *TableName, *TableCall or *TableQuery
	Joins      []*Join
	Where      Node
	GroupBy    *GroupBy
	Having     Node
	Windows    []*NamedWindow
	Qualify    Node
	OrderBy    *OrderBy
	LimitBy    *LimitBy
	Limit      *Limit
}

// With is a named query (name AS (SELECT …)) or a named value (expression AS name).
type With struct {
	Pos
	Name  string
	Query *Query // nil for a value
	Value Node   // *Aliased; nil for a query
}

// TableName is a table in FROM.
type TableName struct {
	Pos
	Parts []string
	Final bool
	Alias string // empty for none
}

// TableCall is a table function in FROM.
type TableCall struct {
	Pos
	Name  string
	Args  []Node
	Alias string
}

// TableQuery is a subquery in FROM.
type TableQuery struct {
	Pos
	Query *Query
	Alias string
}

// Join adds a table, or elements of arrays, to what stands before it.
type Join struct {
	Pos
	// Kind is the join's words as printed, such as "LEFT JOIN", "," or "ARRAY JOIN".
	Kind   string
	Table  Node   // nil for ARRAY JOIN
	Using  []Node // *Ident
	On     Node
	Arrays []Node // of ARRAY JOIN
}

// GroupBy is the clause of that name.
type GroupBy struct {
	Pos
	All bool
	// Kind is empty, ROLLUP, CUBE or GROUPING SETS.
	Kind   string
	Items  []Node
	Sets   [][]Node // of GROUPING SETS
	Totals bool
}

// OrderBy is the clause of that name; Interpolate belongs to WITH FILL.
type OrderBy struct {
	Pos
	All         *OrderItem // ORDER BY ALL, whose Expr is nil
	Items       []*OrderItem
	Interpolate []*Interpolation
	// InterpolateAll is INTERPOLATE without a list.
	InterpolateAll bool
}

// OrderItem is one key of an order.
type OrderItem struct {
	Pos
	Expr    Node
	Desc    bool
	Nulls   string // FIRST, LAST or empty
	Collate string // a language, such as vi
	Fill    *Fill
}

// Fill is WITH FILL of a key.
type Fill struct {
	Pos
	From, To, Step, Staleness Node
}

// Interpolation says what fills a column in the rows that WITH FILL adds.
type Interpolation struct {
	Pos
	Name string
	X    Node // nil for the column itself
}

// LimitBy is LIMIT n [OFFSET m] BY ….
type LimitBy struct {
	Pos
	Count, Offset Node
	By            []Node
}

// Limit is LIMIT and OFFSET.
type Limit struct {
	Pos
	Count, Offset Node
	Ties          bool
}

// NamedWindow is one window of the WINDOW clause.
type NamedWindow struct {
	Pos
	Name   string
	Window *Window
}

// Window is what follows OVER.
type Window struct {
	Pos
	Name      string // alone: OVER name; with more: the window that it extends
	Alone     bool
	Partition []Node
	Order     *OrderBy
	Frame     *Frame
}

// Frame is the frame of a window.
type Frame struct {
	Pos
	Unit       string // ROWS, RANGE or GROUPS
	Start, End *Bound // End is nil without BETWEEN
}

// Bound is an end of a frame.
type Bound struct {
	Pos
	Words string // such as "UNBOUNDED PRECEDING", or PRECEDING and FOLLOWING after Offset
	Value Node
}

// Ident is a column, by one name or several with points between.
type Ident struct {
	Pos
	Parts []string
}

// Star is * or table.* or COLUMNS(…), with its modifiers.
type Star struct {
	Pos
	Table     []string
	Pattern   *Literal // COLUMNS('regular expression')
	Columns   []Node   // COLUMNS(a, b)
	Modifiers []*Modifier
}

// Modifier is EXCEPT, REPLACE or APPLY after a Star.
type Modifier struct {
	Pos
	Kind  string
	Names []string // EXCEPT
	Items []Node   // REPLACE: *Aliased
	Call  *Call    // APPLY: a function without arguments
}

// LiteralKind is what a literal is.
type LiteralKind uint8

const (
	// Number is a number, as written, with its sign.
	Number LiteralKind = iota
	// String is a text, as it is meant.
	String
	// Keyword is NULL, true, false, inf or nan.
	Keyword
)

// Literal is a constant.
type Literal struct {
	Pos
	Kind LiteralKind
	Text string
}

// Param is {name:Type}.
type Param struct {
	Pos
	Name string
	Type *Type
}

// Type is a data type.
type Type struct {
	Pos
	Name string
	Args []*TypeArg
}

// TypeArg is an argument of a type: a type with or without a name, or constants.
type TypeArg struct {
	Pos
	Field string // of a named tuple
	Type  *Type
	Value *Literal // number or text, such as a time zone
	Equal *Literal // the number of an Enum's name
}

// Tuple is (a, b).
type Tuple struct {
	Pos
	Items []Node
}

// Array is [a, b].
type Array struct {
	Pos
	Items []Node
}

// Call is a function with its arguments.
type Call struct {
	Pos
	Name       string
	Parametric bool // quantile(0.5)(x): Params are the first list
	Params     []Node
	Distinct   bool
	Args       []Node
	Nulls      string // IGNORE, RESPECT or empty
	Filter     Node
	Over       *Window
}

// Unary is - or NOT before a value.
type Unary struct {
	Pos
	Op string
	X  Node
}

// Binary is an operator between two values.
type Binary struct {
	Pos
	Op   string
	L, R Node
}

// Chain is AND, OR or || between two or more values.
type Chain struct {
	Pos
	Op    string
	Items []Node
}

// Between is x [NOT] BETWEEN low AND high.
type Between struct {
	Pos
	Not          bool
	X, Low, High Node
}

// In is x [NOT] IN something.
type In struct {
	Pos
	Not bool
	X   Node
	// Right is an *InList, *Subquery, *Ident (a table or a named query), *Param, *Array or another value.
	Right Node
}

// InList is the list after IN.
type InList struct {
	Pos
	Items []Node
}

// Any is a comparison with ANY or ALL of a subquery's rows.
type Any struct {
	Pos
	Op, Quantifier string
	X              Node
	Query          *Query
}

// IsNull is x IS [NOT] NULL.
type IsNull struct {
	Pos
	Not bool
	X   Node
}

// Case is CASE … END.
type Case struct {
	Pos
	Operand Node // may be nil
	Whens   []*When
	Else    Node // may be nil
}

// When is one branch of a Case.
type When struct {
	Pos
	If, Then Node
}

// Cast is CAST(x AS type), or x::type, which reads a constant's text rather than its value.
type Cast struct {
	Pos
	X        Node
	Type     *Type
	Operator bool
}

// Lambda is x -> … or (x, y) -> ….
type Lambda struct {
	Pos
	Params []string
	Body   Node
}

// Subquery is a query as a value.
type Subquery struct {
	Pos
	Query *Query
}

// Exists is EXISTS (SELECT …).
type Exists struct {
	Pos
	Query *Query
}

// Index is x[i].
type Index struct {
	Pos
	X, I Node
}

// Field is x.1, an element of a tuple.
type Field struct {
	Pos
	X      Node
	Number string
}

// Aliased is a value with a name.
type Aliased struct {
	Pos
	X    Node
	Name string
}
