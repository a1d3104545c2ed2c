package query

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"ioc.local/internal/access"
)

// handler answers a request; its error becomes a problem document.
type handler func(http.ResponseWriter, *http.Request) error

// serve is where every request comes in: it guards, counts and names it, and turns
// a panic or a path without a handler into a problem.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	rec := &recorder{ResponseWriter: w, requestID: newRequestID()}
	route := "none"
	s.metrics.inFlight.Inc()
	defer func() {
		cause := recover()
		if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) { // a handler breaks its answer off on purpose
			defer panic(cause)
		} else if cause != nil {
			s.log.Error("a request panicked", zap.String("request", rec.requestID), zap.String("route", route), zap.Any("panic", cause), zap.StackSkip("stack", 1))
			if rec.status != 0 {
				defer panic(http.ErrAbortHandler) // the answer has begun: all that is left is to break it off
			} else {
				writeProblem(rec, rec.requestID, *problemOf(errPanic))
			}
		}
		s.metrics.inFlight.Dec()
		s.metrics.done(route, rec, time.Since(start))
	}()

	header := rec.Header()
	header.Set("X-Request-Id", rec.requestID)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Vary", "Authorization")
	if p := s.guard(r); p != nil {
		writeProblem(rec, rec.requestID, *p)
		return
	}
	r, p := s.admit(r)
	if p != nil {
		writeProblem(rec, rec.requestID, *p)
		return
	}
	refusal, pattern := s.mux.Handler(r)
	if pattern == "" {
		writeProblem(rec, rec.requestID, *unrouted(refusal, r, header))
		return
	}
	route = pattern
	if p := s.permit(r, pattern); p != nil {
		writeProblem(rec, rec.requestID, *p)
		return
	}
	s.mux.ServeHTTP(rec, r)
}

// guard looks at what a request is before anybody works on it.
func (s *Server) guard(r *http.Request) *problem {
	if !s.anyHost && !access.IsLoopbackHost(r.Host) && !s.hosts[access.HostName(r.Host)] {
		return newProblem(http.StatusMisdirectedRequest, "host", "The server does not go by this name",
			"the Host header must name this machine: localhost, a loopback address or one of the configured hosts")
	}
	if len(r.RequestURI) > s.cfg.MaxURLBytes {
		return newProblem(http.StatusRequestURITooLong, "uri-too-long", "The address is too long", "ask for fewer codes at once")
	}
	return nil
}

// unrouted is the problem for a request that no pattern fits: net/http's own answer says which.
func unrouted(refusal http.Handler, r *http.Request, header http.Header) *problem {
	probe := &probe{header: make(http.Header)}
	refusal.ServeHTTP(probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		allow := probe.header.Get("Allow")
		header.Set("Allow", allow)
		return newProblem(http.StatusMethodNotAllowed, "method-not-allowed", "This method is not allowed", "use "+strings.ReplaceAll(allow, ", ", " or "))
	}
	return notFound("there is nothing at this path; the path / lists what there is")
}

// bounded runs a handler in one of the slots, within the time for an answer.
func (s *Server) bounded(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := w.(*recorder)
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		default:
			writeProblem(w, rec.requestID, *busy())
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), s.cfg.RequestTimeout)
		defer cancel()
		err := h(w, r.WithContext(ctx))
		if err == nil {
			return
		}
		p := problemOf(err)
		if r.Context().Err() != nil { // the client is gone, or the server is stopping: nothing may look like an answer
			rec.status = statusGone
			panic(http.ErrAbortHandler)
		}
		if p.Status >= http.StatusInternalServerError {
			s.log.Error("a request failed", zap.String("request", rec.requestID), zap.String("route", r.Pattern), zap.Int("status", p.Status), zap.Error(err))
		}
		writeProblem(w, rec.requestID, *p)
	})
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	requestID string
	status    int // 0 before the answer has begun
}

// WriteHeader remembers the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write remembers that the answer has begun.
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

// Hijack hands the connection to a mounted route that speaks another protocol.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r.status = http.StatusSwitchingProtocols
	return http.NewResponseController(r.ResponseWriter).Hijack()
}

// Unwrap lets a mounted route reach what else the connection can do.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// probe takes an answer's status and headers, and drops its body.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header { return p.header }

func (p *probe) WriteHeader(status int) { p.status = status }

func (p *probe) Write(b []byte) (int, error) { return len(b), nil }

func newRequestID() string {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails, by its documentation
	return hex.EncodeToString(id)
}
