package sql

import (
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"time"
)

// flushAt is how many bytes an answer gathers before it is sent. What goes wrong before is a problem document of its own.
const flushAt = 64 << 10

// trailer says at the end of an answer whether all of it was sent.
const trailer = "X-Ioc-Complete"

// answer writes rows to the client.
type answer struct {
	w            http.ResponseWriter
	control      *http.ResponseController
	request      *statement
	job          *job
	writeTimeout time.Duration

	form    form
	columns []answerColumn
	buffer  []byte
	rows    uint64
	totals  []reflect.Value
	sent    bool // whether the client has part of the answer
}

// row adds a row; the error is that the client takes no more.
func (a *answer) row(values []reflect.Value) error {
	a.begin()
	a.buffer = a.form.row(a.buffer, a.columns, values)
	a.rows++
	if len(a.buffer) < flushAt {
		return nil
	}
	return a.flush()
}

// begin starts the form, if that has not been done.
func (a *answer) begin() {
	if a.form == nil {
		a.form = a.request.format.form()
		a.buffer = a.form.begin(a.buffer, a.job.scope.String(), a.columns)
	}
}

// flush sends what was gathered.
func (a *answer) flush() error {
	if !a.sent {
		header := a.w.Header()
		header.Set("Content-Type", a.request.format.media)
		if a.request.format.name == "csv" {
			header.Set("Content-Type", "text/csv; charset=utf-8; header=present")
			header.Set("Content-Disposition", `attachment; filename="ioc.csv"`)
		}
		header.Set("X-Ioc-Scope", a.job.scope.String())
		header.Set("Trailer", trailer)
		a.sent = true
	}
	// The listener's own deadline is for short answers.
	if err := a.control.SetWriteDeadline(time.Now().Add(a.writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	_, err := a.w.Write(a.buffer)
	a.buffer = a.buffer[:0]
	return err
}

// finish ends the answer. The problem that it returns is for the client, who has nothing yet; it panics when an answer that
// had begun must be broken off.
func (a *answer) finish(p *problem) *problem {
	if p != nil && !a.sent {
		return p
	}
	if p != nil && (p.Status == 499 || !a.request.format.inBand) {
		panic(http.ErrAbortHandler)
	}
	a.begin()
	if p != nil {
		p.Instance = "urn:ioc:request:" + a.request.record.Request
	}
	a.buffer = a.form.end(a.buffer, a.columns, ending{
		scope: a.job.scope.String(), rows: a.rows, elapsed: time.Since(a.request.started), totals: a.totals, broken: p,
	})
	if err := a.flush(); err != nil {
		panic(http.ErrAbortHandler)
	}
	a.w.Header().Set(trailer, strconv.FormatBool(p == nil))
	return nil
}
