package kpi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// AppendJSON appends the answer's JSON to buf. It is what json.Marshal writes, but for the order of members. A board has some thousand
// rows, so these are put together here: encoding/json, which reads again what a MarshalJSON has written, took most of the time of a
// request for one.
func (a *Answer) AppendJSON(buf []byte) ([]byte, error) {
	head := *a
	head.Rows = nil
	w := rowWriter{buf: buf}
	w.any(head)
	if w.err != nil || a.Rows == nil {
		return w.buf, w.err
	}
	w.buf = append(bytes.TrimSuffix(w.buf, []byte("}")), `,"rows":[`...)
	for i := range a.Rows {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.row(&a.Rows[i])
	}
	return append(w.buf, "]}"...), w.err
}

// MarshalJSON writes the codes under the names of their dimensions, beside the numbers.
func (r Row) MarshalJSON() ([]byte, error) {
	var w rowWriter
	w.row(&r)
	return w.buf, w.err
}

// rowWriter appends the JSON of rows to buf.
type rowWriter struct {
	buf []byte
	err error // The first.
}

func (w *rowWriter) row(r *Row) {
	w.buf = append(w.buf, '{')
	for _, d := range r.Dims {
		w.text(d.Name)
		w.buf = append(w.buf, ':')
		w.text(d.Code)
		w.buf = append(w.buf, ',')
	}
	w.buf = append(w.buf, `"value":`...)
	w.float(r.Value)
	w.buf = append(w.buf, `,"numerator":`...)
	w.whole(r.Numerator)
	w.buf = append(w.buf, `,"denominator":`...)
	w.whole(r.Denominator)
	if r.Baseline != nil {
		w.buf = append(w.buf, `,"baseline":`...)
		w.any(r.Baseline)
	}
	if r.Official != nil {
		w.buf = append(w.buf, `,"official":`...)
		w.any(r.Official)
	}
	if r.Suppressed {
		w.buf = append(w.buf, `,"suppressed":true`...)
	}
	w.buf = append(w.buf, '}')
}

// any writes what is rare, without HTML escaping, so that a text is what it is.
func (w *rowWriter) any(v any) {
	text := bytes.NewBuffer(w.buf)
	encoder := json.NewEncoder(text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil && w.err == nil {
		w.err = fmt.Errorf("encoding an answer: %w", err)
	}
	w.buf = bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

// text writes codes, nearly all of which are plain.
func (w *rowWriter) text(s string) {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c > '~', c == '"', c == '\\':
			w.any(s)
			return
		}
	}
	w.buf = append(append(append(w.buf, '"'), s...), '"')
}

func (w *rowWriter) whole(n *int64) {
	if n == nil {
		w.buf = append(w.buf, "null"...)
		return
	}
	w.buf = strconv.AppendInt(w.buf, *n, 10)
}

// float writes numbers as ECMAScript does, which is how encoding/json does; what needs an exponent, and what is no number, is left to it.
func (w *rowWriter) float(f *float64) {
	switch {
	case f == nil:
		w.buf = append(w.buf, "null"...)
	case *f == 0, math.Abs(*f) >= 1e-6 && math.Abs(*f) < 1e21:
		w.buf = strconv.AppendFloat(w.buf, *f, 'f', -1, 64)
	default:
		w.any(*f)
	}
}
