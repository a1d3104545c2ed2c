package parse

import "strings"

func (p *parser) from(s *Select) error {
	if !p.word("FROM") {
		return nil
	}
	var err error
	if s.From, err = p.table(); err != nil {
		return err
	}
	for {
		j, err := p.join()
		if err != nil {
			return err
		}
		if j == nil {
			return nil
		}
		s.Joins = append(s.Joins, j)
	}
}

// table reads one table, subquery or table function with its alias.
func (p *parser) table() (Node, error) {
	t := p.peek()
	pos, err := p.node(t.pos)
	if err != nil {
		return nil, err
	}
	if p.sign("(") {
		if !p.isWord("SELECT") && !p.isWord("WITH") && !p.isSign("(") {
			return nil, p.unexpected("SELECT (joins are written without parentheses)")
		}
		q, err := p.query()
		if err != nil {
			return nil, err
		}
		if err := p.wantSign(")"); err != nil {
			return nil, err
		}
		alias, err := p.tableAlias()
		return &TableQuery{Pos: pos, Query: q, Alias: alias}, err
	}
	if t.kind == stringToken || t.isSign("{") {
		return nil, p.fail(BadTable, t.pos, "a table must be named; a text or a parameter cannot stand for it")
	}
	first, _, err := p.name("a table")
	if err != nil {
		return nil, err
	}
	if t.kind == wordToken && p.sign("(") {
		args, err := p.list(")", true)
		if err != nil {
			return nil, err
		}
		alias, err := p.tableAlias()
		return &TableCall{Pos: pos, Name: first, Args: args, Alias: alias}, err
	}
	n := &TableName{Pos: pos, Parts: []string{first}}
	for p.sign(".") {
		part, _, err := p.name("the table's name")
		if err != nil {
			return nil, err
		}
		n.Parts = append(n.Parts, part)
	}
	if p.isSign("(") {
		return nil, p.unexpected("the end of the table's name")
	}
	// ClickHouse takes FINAL on either side of the alias.
	n.Final = p.word("FINAL")
	if n.Alias, err = p.tableAlias(); err != nil {
		return nil, err
	}
	n.Final = p.word("FINAL") || n.Final
	if p.isWord("SAMPLE") {
		return nil, p.unexpected("the end of the table")
	}
	return n, nil
}

// tableAlias takes an alias, and refuses names for its columns, which ClickHouse reads in more than one way.
func (p *parser) tableAlias() (string, error) {
	explicit := p.isWord("AS")
	alias, err := p.alias(true)
	if err == nil && alias != "" && explicit && p.isSign("(") {
		return "", p.fail(BadClause, p.peek().pos, "names for a table's columns are not allowed here; name them in its SELECT")
	}
	return alias, err
}

// join reads what adds to FROM: a comma, a JOIN or an ARRAY JOIN; nil when there is nothing.
func (p *parser) join() (*Join, error) {
	start := p.peek()
	pos, err := p.node(start.pos)
	if err != nil {
		return nil, err
	}
	j := &Join{Pos: pos, Kind: ","}
	if p.sign(",") {
		j.Table, err = p.table()
		return j, err
	}
	if p.isWord("ARRAY", "JOIN") || p.isWord("LEFT", "ARRAY", "JOIN") || p.isWord("INNER", "ARRAY", "JOIN") {
		j.Kind = "ARRAY JOIN"
		if p.word("LEFT") {
			j.Kind = "LEFT ARRAY JOIN"
		}
		_ = p.word("INNER")
		p.at += 2
		j.Arrays, err = p.items(true)
		return j, err
	}
	words, err := p.joinWords()
	if err != nil || words == "" {
		return nil, err
	}
	j.Kind = words
	if j.Table, err = p.table(); err != nil {
		return nil, err
	}
	return j, p.joinCondition(j)
}

// joinWords takes the words of a JOIN, in either of ClickHouse's orders, and returns them in the standard one: ALL LEFT JOIN
// becomes LEFT ALL JOIN.
func (p *parser) joinWords() (string, error) {
	start := p.at
	var side, strictness string
	outer := false
	for {
		t := p.peek()
		word := strings.ToUpper(t.text)
		if t.kind != wordToken {
			break
		}
		switch word {
		case "INNER", "LEFT", "RIGHT", "FULL", "CROSS":
			if side != "" {
				return "", p.unexpected("JOIN")
			}
			side = word
		case "ANY", "ALL", "ASOF", "SEMI", "ANTI":
			if strictness != "" {
				return "", p.unexpected("JOIN")
			}
			strictness = word
		case "OUTER":
			if side == "" || side == "INNER" || side == "CROSS" || outer {
				return "", p.unexpected("JOIN")
			}
			outer = true
		case "JOIN":
			p.at++
			return strings.Join(strings.Fields(side+" "+strictness+" JOIN"), " "), nil
		default:
			if p.at != start || word == "GLOBAL" || word == "PASTE" {
				return "", p.unexpected("JOIN")
			}
			return "", nil
		}
		p.at++
	}
	if p.at != start {
		return "", p.unexpected("JOIN")
	}
	return "", nil
}

func (p *parser) joinCondition(j *Join) error {
	var err error
	switch {
	case p.word("ON"):
		j.On, err = p.aliased(false)
	case p.word("USING"):
		if p.sign("(") {
			j.Using, err = p.list(")", false)
		} else {
			j.Using, err = p.items(false)
		}
		if err != nil {
			return err
		}
		for _, x := range j.Using {
			if _, ok := x.(*Ident); !ok {
				return p.fail(BadSyntax, x.Position(), "USING takes the names of columns; use ON for a condition")
			}
		}
	default:
		if !strings.HasPrefix(j.Kind, "CROSS") {
			return p.unexpected("ON or USING")
		}
	}
	return err
}
