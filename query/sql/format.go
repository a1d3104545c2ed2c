package sql

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// format is a form of answers.
type format struct {
	name  string
	media string
	// inBand tells whether the end of an answer has room for what went wrong.
	inBand bool
	form   func() form
}

// formats are the forms, the default first.
var formats = []format{
	{name: "json", media: "application/json", inBand: true, form: func() form { return &jsonForm{} }},
	{name: "ndjson", media: "application/x-ndjson", inBand: true, form: func() form { return &lineForm{} }},
	{name: "csv", media: "text/csv", form: func() form { return &csvForm{} }},
}

// answerColumn is a column of an answer.
type answerColumn struct {
	name, typ string
	encoder   encoder
}

// ending is what is known when the rows are over.
type ending struct {
	scope   string
	rows    uint64
	elapsed time.Duration
	totals  []reflect.Value // nil when none were asked for
	broken  *problem        // nil when the answer is complete
}

// form writes an answer piece by piece: begin, each row, end. All append to a buffer that is emptied now and then.
type form interface {
	begin(b []byte, scope string, columns []answerColumn) []byte
	row(b []byte, columns []answerColumn, values []reflect.Value) []byte
	end(b []byte, columns []answerColumn, e ending) []byte
}

// jsonForm is one object for all.
type jsonForm struct{ any bool }

func (f *jsonForm) begin(b []byte, scope string, columns []answerColumn) []byte {
	b = append(b, `{"scope":`...)
	b = appendString(b, scope)
	b = append(b, `,"columns":[`...)
	for i, c := range columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"name":`...)
		b = appendString(b, c.name)
		b = append(b, `,"type":`...)
		b = append(appendString(b, c.typ), '}')
	}
	return append(b, `],"rows":[`...)
}

func (f *jsonForm) row(b []byte, columns []answerColumn, values []reflect.Value) []byte {
	if f.any {
		b = append(b, ',')
	}
	f.any = true
	b = append(b, '\n')
	return appendRow(b, columns, values)
}

func appendRow(b []byte, columns []answerColumn, values []reflect.Value) []byte {
	b = append(b, '[')
	for i, c := range columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.encoder.json(b, values[i])
	}
	return append(b, ']')
}

func (f *jsonForm) end(b []byte, columns []answerColumn, e ending) []byte {
	b = append(b, "\n]"...)
	if e.totals != nil {
		b = append(b, `,"totals":`...)
		b = appendRow(b, columns, e.totals)
	}
	b = append(b, `,"row_count":`...)
	b = strconv.AppendUint(b, e.rows, 10)
	b = append(b, `,"elapsed_ms":`...)
	b = strconv.AppendInt(b, e.elapsed.Milliseconds(), 10)
	return append(appendVerdict(append(b, ','), e), "}\n"...)
}

// appendVerdict writes the members that say whether the answer is complete.
func appendVerdict(b []byte, e ending) []byte {
	if e.broken == nil {
		return append(b, `"complete":true`...)
	}
	b = append(b, `"complete":false,"error":`...)
	content, err := json.Marshal(e.broken)
	if err != nil { // texts and numbers always have JSON
		content = []byte("null")
	}
	return append(b, content...)
}

// lineForm is an object a row.
type lineForm struct{}

func (f *lineForm) begin(b []byte, _ string, _ []answerColumn) []byte { return b }

func (f *lineForm) row(b []byte, columns []answerColumn, values []reflect.Value) []byte {
	return append(f.object(b, columns, values), '\n')
}

func (f *lineForm) object(b []byte, columns []answerColumn, values []reflect.Value) []byte {
	b = append(b, '{')
	for i, c := range columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, c.name), ':')
		b = c.encoder.json(b, values[i])
	}
	return append(b, '}')
}

func (f *lineForm) end(b []byte, columns []answerColumn, e ending) []byte {
	b = appendVerdict(append(b, '{'), e)
	b = append(b, `,"rows":`...)
	b = strconv.AppendUint(b, e.rows, 10)
	b = append(b, `,"elapsed_ms":`...)
	b = strconv.AppendInt(b, e.elapsed.Milliseconds(), 10)
	b = append(b, `,"scope":`...)
	b = appendString(b, e.scope)
	if e.totals != nil {
		b = append(b, `,"totals":`...)
		b = f.object(b, columns, e.totals)
	}
	return append(b, "}\n"...)
}

// csvForm is RFC 4180 with a header.
type csvForm struct{}

func (f *csvForm) begin(b []byte, _ string, columns []answerColumn) []byte {
	for i, c := range columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendField(b, c.name)
	}
	return append(b, "\r\n"...)
}

func (f *csvForm) row(b []byte, columns []answerColumn, values []reflect.Value) []byte {
	var field []byte
	for i, c := range columns {
		if i > 0 {
			b = append(b, ',')
		}
		if isNull(values[i]) {
			continue
		}
		write := c.encoder.text
		if write == nil {
			write = c.encoder.json
		}
		field = write(field[:0], values[i])
		b = appendField(b, string(field))
	}
	return append(b, "\r\n"...)
}

func (f *csvForm) end(b []byte, _ []answerColumn, _ ending) []byte { return b }

// appendField writes a field in quotes where it needs them; an empty text has them, to differ from NULL.
func appendField(b []byte, s string) []byte {
	if s != "" && !strings.ContainsAny(s, "\",\r\n") && s[0] != ' ' && s[len(s)-1] != ' ' {
		return append(b, s...)
	}
	b = append(b, '"')
	for part := range strings.SplitAfterSeq(s, `"`) {
		b = append(b, part...)
		if strings.HasSuffix(part, `"`) {
			b = append(b, '"')
		}
	}
	return append(b, '"')
}
