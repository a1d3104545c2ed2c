package kpi

import "fmt"

// ErrorKind says whose fault an error is, so that every face can answer in its own way.
type ErrorKind uint8

// The kinds of errors.
const (
	// BadRequest is a question that cannot be answered as asked; Param names the parameter to change.
	BadRequest ErrorKind = iota + 1
	// Forbidden is a question about another scope than the principal's.
	Forbidden
	// NotFound is a question about a KPI that the catalogue lacks.
	NotFound
	// Unavailable means that ClickHouse did not answer; the same question may succeed later.
	Unavailable
)

// String returns the name of the kind.
func (k ErrorKind) String() string {
	switch k {
	case BadRequest:
		return "BadRequest"
	case Forbidden:
		return "Forbidden"
	case NotFound:
		return "NotFound"
	case Unavailable:
		return "Unavailable"
	}
	return "unknown"
}

// Error is what goes wrong with a question. Detail is for the asker and never holds SQL, hosts or data.
type Error struct {
	// Kind says whose fault it is.
	Kind ErrorKind
	// Param names the parameter at fault; empty when there is none.
	Param string
	// Detail says what is wrong and what to do, in English. Of a BadRequest it goes on from the name of the parameter, as
	// in "limit must be from 1 to 10000", and both together are a sentence.
	Detail string
	// Err is the cause, for the log only; nil when the question itself is at fault.
	Err error
}

// Error describes the error with its cause.
func (e *Error) Error() string {
	text := e.Kind.String()
	if e.Param != "" {
		text += " (" + e.Param + ")"
	}
	text += ": " + e.Detail
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func badRequest(param, format string, args ...any) *Error {
	return &Error{Kind: BadRequest, Param: param, Detail: fmt.Sprintf(format, args...)}
}

func forbidden(param, format string, args ...any) *Error {
	return &Error{Kind: Forbidden, Param: param, Detail: fmt.Sprintf(format, args...)}
}

func unavailable(err error) *Error {
	return &Error{Kind: Unavailable, Detail: "the warehouse did not answer; ask again", Err: err}
}
