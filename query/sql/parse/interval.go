package parse

import "strings"

// unitOf is the unit of an interval by any of its spellings, in the form of ClickHouse's function names.
func unitOf(word string) (string, bool) {
	switch word = strings.ToUpper(word); word {
	case "NANOSECOND", "NANOSECONDS", "SQL_TSI_NANOSECOND", "NS":
		return "Nanosecond", true
	case "MICROSECOND", "MICROSECONDS", "SQL_TSI_MICROSECOND", "US":
		return "Microsecond", true
	case "MILLISECOND", "MILLISECONDS", "SQL_TSI_MILLISECOND", "MS":
		return "Millisecond", true
	case "SECOND", "SECONDS", "SQL_TSI_SECOND", "SS", "S":
		return "Second", true
	case "MINUTE", "MINUTES", "SQL_TSI_MINUTE", "MI", "N":
		return "Minute", true
	case "HOUR", "HOURS", "SQL_TSI_HOUR", "HH", "H":
		return "Hour", true
	case "DAY", "DAYS", "SQL_TSI_DAY", "DD", "D":
		return "Day", true
	case "WEEK", "WEEKS", "SQL_TSI_WEEK", "WK", "WW":
		return "Week", true
	case "MONTH", "MONTHS", "SQL_TSI_MONTH", "MM", "M":
		return "Month", true
	case "QUARTER", "QUARTERS", "SQL_TSI_QUARTER", "QQ", "Q":
		return "Quarter", true
	case "YEAR", "YEARS", "SQL_TSI_YEAR", "YYYY", "YY":
		return "Year", true
	}
	return "", false
}

// unit takes the unit of an interval.
func (p *parser) unit() (string, error) {
	t := p.peek()
	if t.kind == wordToken {
		if u, ok := unitOf(t.text); ok {
			p.at++
			return u, nil
		}
	}
	return "", p.unexpected("a unit of time, such as DAY,")
}

// beginsInterval tells INTERVAL 1 DAY from a column that is called interval.
func (p *parser) beginsInterval() bool {
	next := p.ahead(1)
	switch next.kind {
	case numberToken, stringToken, nameToken:
		return true
	case wordToken:
		return !reserved[strings.ToUpper(next.text)]
	}
	return next.isSign("(") || next.isSign("{") || next.isSign("-") && p.ahead(2).kind == numberToken
}

// interval reads INTERVAL n unit and INTERVAL 'n unit'.
func (p *parser) interval() (Node, error) {
	pos, err := p.node(p.take().pos)
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind == stringToken {
		if _, ok := unitOf(p.ahead(1).text); !ok || p.ahead(1).kind != wordToken {
			return p.intervalText(pos)
		}
	}
	x, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	unit, err := p.unit()
	return &Call{Pos: pos, Name: "toInterval" + unit, Args: []Node{x}}, err
}

// intervalText reads the number and unit that stand in one text: INTERVAL '1 day'.
func (p *parser) intervalText(pos Pos) (Node, error) {
	t := p.take()
	words := strings.Fields(t.text)
	if len(words) == 2 {
		unit, ok := unitOf(words[1])
		number := strings.TrimPrefix(words[0], "-")
		if ok && number != "" && strings.Trim(number, "0123456789") == "" {
			return &Call{Pos: pos, Name: "toInterval" + unit, Args: []Node{&Literal{Pos: t.pos, Kind: Number, Text: words[0]}}}, nil
		}
	}
	return nil, p.fail(BadSyntax, t.pos, "write the interval as a number and one unit: INTERVAL 1 DAY")
}

// specialCall reads the calls that have a syntax of their own; nil when the call is an ordinary one.
func (p *parser) specialCall(word string) (Node, error) {
	first := p.ahead(2)
	var unit string
	isUnit := false
	if first.kind == wordToken {
		unit, isUnit = unitOf(first.text)
	}
	switch word {
	case "CAST":
		return p.cast()
	case "EXTRACT":
		if isUnit && p.ahead(3).isWord("FROM") {
			return p.extract(unit)
		}
	case "TRIM":
		if side, ok := trimmers[strings.ToUpper(first.text)]; ok && first.kind == wordToken && !p.ahead(3).isSign(")") {
			return p.trim(side)
		}
	case "SUBSTRING", "SUBSTR", "MID":
		return p.substring()
	case "POSITION":
		return p.position()
	case "DATE_ADD", "DATEADD", "TIMESTAMP_ADD", "TIMESTAMPADD":
		return p.dateAdd("+", isUnit && p.ahead(3).isSign(","))
	case "DATE_SUB", "DATESUB", "TIMESTAMP_SUB", "TIMESTAMPSUB":
		return p.dateAdd("-", isUnit && p.ahead(3).isSign(","))
	case "DATE_DIFF", "DATEDIFF", "TIMESTAMP_DIFF", "TIMESTAMPDIFF":
		if isUnit && p.ahead(3).isSign(",") {
			return p.dateDiff(unit)
		}
	}
	return nil, nil
}

// open takes the function's name and the parenthesis.
func (p *parser) open() (Pos, error) {
	pos, err := p.node(p.take().pos)
	p.at++
	return pos, err
}

// extractors are the functions that EXTRACT means.
var extractors = map[string]string{
	"Second": "toSecond", "Minute": "toMinute", "Hour": "toHour", "Day": "toDayOfMonth", "Week": "toRelativeWeekNum", "Month": "toMonth",
	"Quarter": "toQuarter", "Year": "toYear",
}

func (p *parser) extract(unit string) (Node, error) {
	pos, err := p.open()
	if err != nil {
		return nil, err
	}
	t := p.take()
	p.at++
	name, ok := extractors[unit]
	if !ok {
		return nil, p.fail(BadFunction, t.pos, "EXTRACT does not know the unit %s", t.text)
	}
	x, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	return &Call{Pos: pos, Name: name, Args: []Node{x}}, p.wantSign(")")
}

// trimmers are the functions that TRIM(side characters FROM text) means.
var trimmers = map[string]string{"BOTH": "trimBoth", "LEADING": "trimLeft", "TRAILING": "trimRight"}

func (p *parser) trim(name string) (Node, error) {
	pos, err := p.open()
	if err != nil {
		return nil, err
	}
	p.at++
	characters, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if err := p.wantWord("FROM"); err != nil {
		return nil, err
	}
	x, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	return &Call{Pos: pos, Name: name, Args: []Node{x, characters}}, p.wantSign(")")
}

// substring reads SUBSTRING(text FROM start FOR length) as well as the call with commas.
func (p *parser) substring() (Node, error) {
	pos, err := p.open()
	if err != nil {
		return nil, err
	}
	c := &Call{Pos: pos, Name: "substring"}
	x, err := p.aliased(false)
	if err != nil {
		return nil, err
	}
	c.Args = []Node{x}
	for _, separator := range []string{"FROM", "FOR"} {
		if !p.sign(",") && !p.word(separator) {
			break
		}
		if x, err = p.aliased(false); err != nil {
			return nil, err
		}
		c.Args = append(c.Args, x)
	}
	return c, p.wantSign(")")
}

// position reads POSITION(part IN text) as well as the call with commas.
func (p *parser) position() (Node, error) {
	pos, err := p.open()
	if err != nil {
		return nil, err
	}
	c := &Call{Pos: pos, Name: "position"}
	first, err := p.expression(comparison + 1)
	if err != nil {
		return nil, err
	}
	if p.word("IN") {
		text, err := p.expression(0)
		if err != nil {
			return nil, err
		}
		c.Args = []Node{text, first}
		return c, p.wantSign(")")
	}
	if err := p.wantSign(","); err != nil {
		return nil, err
	}
	rest, err := p.list(")", false)
	c.Args = append([]Node{first}, rest...)
	return c, err
}

// dateAdd reads DATE_ADD(unit, n, date) and DATE_ADD(date, INTERVAL n unit). What looks like a unit is a column if only
// one more argument follows.
func (p *parser) dateAdd(op string, withUnit bool) (Node, error) {
	unit, _ := unitOf(p.ahead(2).text)
	pos, err := p.open()
	if err != nil {
		return nil, err
	}
	args, err := p.list(")", false)
	if err != nil {
		return nil, err
	}
	switch {
	case withUnit && len(args) == 3:
		interval := &Call{Pos: pos, Name: "toInterval" + unit, Args: []Node{args[1]}}
		return &Binary{Pos: pos, Op: op, L: args[2], R: interval}, nil
	case len(args) == 2:
		return &Binary{Pos: pos, Op: op, L: args[0], R: args[1]}, nil
	}
	return nil, p.fail(BadSyntax, pos, "write the unit without quotes, as in DATE_ADD(DAY, 1, date), or DATE_ADD(date, INTERVAL 1 DAY)")
}

// dateDiff reads DATE_DIFF(unit, from, to) with a bare unit.
func (p *parser) dateDiff(unit string) (Node, error) {
	pos, err := p.open()
	if err != nil {
		return nil, err
	}
	t := p.take()
	p.at++
	rest, err := p.list(")", false)
	name := &Literal{Pos: t.pos, Kind: String, Text: strings.ToLower(unit)}
	return &Call{Pos: pos, Name: "dateDiff", Args: append([]Node{name}, rest...)}, err
}
