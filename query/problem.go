package query

import (
	"context"
	"errors"
	"net/http"

	"ioc.local/query/kpi"
)

// statusGone is the code that metrics have for a request whose client did not wait; it is never sent.
const statusGone = 499

// problem is a problem document, and an error that becomes one.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Instance  string `json:"instance"`
	Parameter string `json:"parameter,omitempty"`

	retryAfter   string // seconds; empty for no such header
	authenticate string // WWW-Authenticate; empty for no such header
	cause        error  // for the log
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

func newProblem(status int, code, title, detail string) *problem {
	return &problem{Type: "urn:ioc:problem:" + code, Title: title, Status: status, Detail: detail}
}

func notFound(detail string) *problem {
	return newProblem(http.StatusNotFound, "not-found", "There is no such thing", detail)
}

func badParameter(name, detail string) *problem {
	p := newProblem(http.StatusBadRequest, "parameter", "A parameter is wrong", name+" "+detail)
	p.Parameter = name
	return p
}

func busy() *problem {
	p := newProblem(http.StatusServiceUnavailable, "busy", "The server is busy", "too many requests are being worked on; try again")
	p.retryAfter = "1"
	return p
}

// problemOf says in a client's terms what went wrong; causes that a client must not see
// stay in the error's chain.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	var question *kpi.Error
	if errors.As(err, &question) {
		return problemOfQuestion(question)
	}
	switch {
	case errors.Is(err, context.Canceled):
		p = newProblem(statusGone, "gone", "The client is gone", "the client did not wait for the answer")
	case errors.Is(err, context.DeadlineExceeded):
		p = newProblem(http.StatusGatewayTimeout, "timeout", "The answer took too long", "ask for less, or try again later")
	default:
		p = newProblem(http.StatusInternalServerError, "internal", "Something is wrong with the server", "the server's log has an entry under the instance of this problem")
	}
	p.cause = err
	return p
}

func problemOfQuestion(e *kpi.Error) *problem {
	var p *problem
	switch e.Kind {
	case kpi.BadRequest:
		p = badParameter(e.Param, e.Detail)
	case kpi.Forbidden:
		p = forbidden(e.Detail)
		p.Parameter = e.Param
	case kpi.NotFound:
		p = notFound(e.Detail)
	case kpi.Unavailable:
		p = newProblem(http.StatusServiceUnavailable, "unavailable", "The warehouse is not available", e.Detail)
		p.retryAfter = "5"
	default:
		p = newProblem(http.StatusInternalServerError, "internal", "Something is wrong with the server", "the server's log has an entry under the instance of this problem")
	}
	p.cause = e.Err
	return p
}

// writeProblem answers with a problem document. Problems are never cached.
func writeProblem(w http.ResponseWriter, requestID string, p problem) {
	p.Instance = "urn:ioc:request:" + requestID
	content, err := encode(p)
	if err != nil { // texts and a number always have JSON
		content = nil
	}
	header := w.Header()
	if p.retryAfter != "" {
		header.Set("Retry-After", p.retryAfter)
	}
	if p.authenticate != "" {
		header.Set("WWW-Authenticate", p.authenticate)
	}
	header.Del("ETag")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(content) // the client may be gone
}
