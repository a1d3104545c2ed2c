package sql

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"

	"ioc.local/internal/warehouse"
	"ioc.local/query/sql/parse"
)

const problemType = "urn:ioc:problem:"

// problem is a problem document, and an error that becomes one.
type problem struct {
	Type      string       `json:"type"`
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Detail    string       `json:"detail"`
	Instance  string       `json:"instance"`
	Parameter string       `json:"parameter,omitempty"` // of the address, or of the statement
	Reason    parse.Reason `json:"reason,omitempty"`    // of sql-refused
	Line      int          `json:"line,omitempty"`
	Column    int          `json:"column,omitempty"`
	Code      int32        `json:"code,omitempty"`  // of ClickHouse
	Limit     string       `json:"limit,omitempty"` // time, memory, rows, result or complexity

	retryAfter string
	cause      error
}

// Error is the detail with its cause, for the log.
func (p *problem) Error() string {
	if p.cause != nil {
		return p.Detail + ": " + p.cause.Error()
	}
	return p.Detail
}

// Unwrap returns the cause.
func (p *problem) Unwrap() error { return p.cause }

// outcome is the last part of the type.
func (p *problem) outcome() string { return strings.TrimPrefix(p.Type, problemType) }

func newProblem(status int, code, title, format string, args ...any) *problem {
	return &problem{Type: problemType + code, Title: title, Status: status, Detail: fmt.Sprintf(format, args...)}
}

func badParameter(name, format string, args ...any) *problem {
	p := newProblem(http.StatusBadRequest, "parameter", "A parameter is wrong", "%s "+format, append([]any{name}, args...)...)
	p.Parameter = name
	return p
}

func refused(e *parse.Error) *problem {
	p := newProblem(http.StatusBadRequest, "sql-refused", "The statement is not allowed", "line %d, column %d: %s", e.Line, e.Column, e.Message)
	p.Reason, p.Line, p.Column = e.Reason, e.Line, e.Column
	return p
}

func internal(err error) *problem {
	p := newProblem(http.StatusInternalServerError, "internal", "Something is wrong with the server", "the server's log has an entry under the instance of this problem")
	p.cause = err
	return p
}

func overLimit(limit, detail string) *problem {
	p := newProblem(http.StatusUnprocessableEntity, "sql-limit", "The statement goes over a limit", "%s", detail)
	p.Limit = limit
	return p
}

func unavailable(err error) *problem {
	p := newProblem(http.StatusServiceUnavailable, "unavailable", "The warehouse is not available", "it did not answer; try again")
	p.retryAfter, p.cause = "5", err
	return p
}

func quota(wait, detail string) *problem {
	p := newProblem(http.StatusTooManyRequests, "quota", "Too many statements", "%s", detail)
	p.retryAfter = wait
	return p
}

func busy() *problem {
	p := newProblem(http.StatusServiceUnavailable, "busy", "The server is busy", "too many statements run at once; try again")
	p.retryAfter = "1"
	return p
}

// gone is for the log and the audit only: nobody reads it.
func gone(err error) *problem {
	p := newProblem(499, "gone", "The client is gone", "the client did not wait for the answer")
	p.cause = err
	return p
}

// limits are the codes of ClickHouse that mean a limit of the user's.
var limits = map[int32][2]string{
	159: {"time", "it ran too long; ask for less, for example for fewer days"},
	160: {"time", "it would run too long; ask for less, for example for fewer days"},
	241: {"memory", "it needs too much memory; group by less, or ask for fewer days"},
	158: {"rows", "it would read too many rows; ask for fewer days"},
	307: {"rows", "it would read too many bytes; ask for fewer columns or days"},
	396: {"result", "its answer would be too large; aggregate, or use LIMIT"},
	191: {"memory", "a set after IN is too large"},
	243: {"memory", "it needs too much disk for its intermediate results"},
	162: {"complexity", "its subqueries are nested too deeply"},
	167: {"complexity", "its expressions are nested too deeply"},
	168: {"complexity", "it has too many parts"},
	306: {"complexity", "it is nested too deeply"},
	572: {"complexity", "it is too complex; use fewer named queries"},
}

// mistakes are the codes whose message is about the statement alone and has no value of a row in it, so that it may be shown.
var mistakes = map[int32]bool{
	8: true, 10: true, 16: true, 20: true, 34: true, 35: true, 36: true, 42: true, 43: true, 44: true, 46: true, 47: true, 48: true, 49: true, 50: true, 51: true,
	52: true, 53: true, 62: true, 63: true, 80: true, 125: true, 130: true, 179: true, 183: true, 184: true, 207: true, 215: true, 258: true, 277: true,
	352: true, 386: true, 403: true, 440: true, 456: true, 457: true, 570: true, 706: true,
}

// unreadable are the codes for values that could not be converted; their messages show the value.
var unreadable = map[int32]bool{
	6: true, 26: true, 27: true, 32: true, 38: true, 41: true, 69: true, 70: true, 72: true, 117: true, 321: true, 349: true, 376: true, 407: true, 441: true, 467: true, 691: true,
}

// problemOf says in an analyst's terms what ClickHouse found; causes that must not be seen stay in the error's chain.
func problemOf(ctx context.Context, err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	switch cause := context.Cause(ctx); {
	case cause == nil:
	case errors.Is(cause, context.DeadlineExceeded):
		p := overLimit("time", "it took too long, with the sending of its answer; ask for less")
		p.cause = err
		return p
	default:
		return gone(err)
	}
	exception, ok := errors.AsType[*clickhouse.Exception](err)
	if !ok {
		if warehouse.Retryable(err) {
			return unavailable(err)
		}
		return internal(err)
	}
	if limit, ok := limits[exception.Code]; ok {
		p := overLimit(limit[0], limit[1])
		p.Code, p.cause = exception.Code, err
		return p
	}
	failed := func(format string, args ...any) *problem {
		p := newProblem(http.StatusBadRequest, "sql-failed", "ClickHouse cannot run the statement", format, args...)
		p.Code, p.cause = exception.Code, err
		return p
	}
	switch {
	case exception.Code == 201:
		p := quota("60", "the quota of statements or of rows read is used up; wait")
		p.cause = err
		return p
	case exception.Code == 202:
		p := busy()
		p.cause = err
		return p
	case exception.Code == 36 && strings.Contains(exception.Message, "too big"):
		p := overLimit("complexity", "it is too complex; use fewer named queries")
		p.cause = err
		return p
	case mistakes[exception.Code]:
		return failed("%s", clean(exception.Message))
	case unreadable[exception.Code]:
		return failed("a value could not be read as the type that is asked for; use the function whose name ends in OrNull")
	case exception.Code == 153:
		return failed("a division by zero; use nullIf(divisor, 0)")
	case exception.Code == 497 || exception.Code == 164: // the sandbox should have refused it
		p := internal(err)
		p.Code = exception.Code
		return p
	case warehouse.Retryable(err):
		return unavailable(err)
	}
	return failed("ClickHouse refused the statement with error %d", exception.Code)
}

var (
	scopeOf  = regexp.MustCompile(`(?s)[:.,]? ?\(?([Ii]n scope|[Ww]hile executing|[Ww]hile processing|[Ii]n query|\(version ).*`)
	maybe    = regexp.MustCompile(`Maybe you meant: \[[^\]]*\]`)
	ownNames = regexp.MustCompile(`_cte_[0-9]+_`)
)

// clean takes the repetition of the statement and other additions off a message of ClickHouse.
func clean(message string) string {
	hint := maybe.FindString(message)
	message = strings.TrimPrefix(message, "DB::Exception: ")
	message = strings.TrimRight(scopeOf.ReplaceAllString(message, ""), " :.,")
	if hint != "" && !strings.Contains(message, hint) {
		message += ". " + hint
	}
	if r := []rune(message); len(r) > 500 {
		message = string(r[:500]) + "…"
	}
	return ownNames.ReplaceAllString(message, "")
}
