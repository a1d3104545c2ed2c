package query

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"ioc.local/internal/access"
	"ioc.local/query/kpi"
)

// admit finds out who asks, and has the request carry the principal. A request without a key has none, and gets to
// what anyone may see. A key that is not good is refused everywhere.
func (s *Server) admit(r *http.Request) (*http.Request, *problem) {
	principal, err := s.deps.Gate.Authenticate(r)
	var refusal *access.Refusal
	switch {
	case errors.As(err, &refusal):
		return r, problemOfRefusal(refusal)
	case err == nil:
		r = r.WithContext(access.With(r.Context(), principal))
	}
	if principal.Token == "" {
		// What needs no key, a page of another site could have a browser send; it cannot read the answer, but it could
		// have something done.
		if err := (&http.CrossOriginProtection{}).Check(r); err != nil {
			return r, newProblem(http.StatusForbidden, "origin", "This origin may not ask", "pages of other sites may not send requests without a key")
		}
	}
	if wait, ok := s.rates.Allow(callerOf(r, principal)); !ok {
		return r, tooMany("too many requests; wait, or ask for less often", wait)
	}
	return r, nil
}

// callerOf is whose requests are counted together: those of a key, or without one those of an address.
func callerOf(r *http.Request, principal access.Principal) string {
	if principal.Token == "" {
		return "address " + access.AddressOf(r)
	}
	return "key " + principal.Token
}

// permit tells whether whoever asks may use a route.
func (s *Server) permit(r *http.Request, pattern string) *problem {
	least := s.least[pattern]
	if least == access.Anyone {
		return nil
	}
	principal, ok := access.From(r.Context())
	if !ok {
		return unauthorized("", "show a key: Authorization: Bearer …")
	}
	if !principal.Role.Allows(least) {
		return forbidden(fmt.Sprintf("this needs the role %s; yours is %s", least, principal.Role))
	}
	return nil
}

func problemOfRefusal(refusal *access.Refusal) *problem {
	switch refusal.Reason {
	case access.Limited:
		return tooMany(refusal.Detail, refusal.RetryAfter)
	case access.Unavailable:
		p := newProblem(http.StatusServiceUnavailable, "unavailable", "The warehouse is not available", refusal.Detail)
		p.retryAfter = seconds(refusal.RetryAfter)
		return p
	}
	return unauthorized("invalid_token", refusal.Detail)
}

// unauthorized is a 401 with a challenge (RFC 6750); code is empty where there was no key at all.
func unauthorized(code, detail string) *problem {
	p := newProblem(http.StatusUnauthorized, "unauthorized", "Who asks?", detail)
	p.authenticate = `Bearer realm="ioc"`
	if code != "" {
		p.authenticate += fmt.Sprintf(`, error=%q, error_description=%q`, code, detail)
	}
	return p
}

func forbidden(detail string) *problem {
	return newProblem(http.StatusForbidden, "forbidden", "This is not for you to see", detail)
}

func tooMany(detail string, wait time.Duration) *problem {
	p := newProblem(http.StatusTooManyRequests, "too-many-requests", "Too many requests", detail)
	p.retryAfter = seconds(wait)
	return p
}

func seconds(d time.Duration) string { return strconv.Itoa(max(1, int(math.Ceil(d.Seconds())))) }

// seen is how the server sees whoever asks.
type seen struct {
	Name      string      `json:"name"`
	Role      access.Role `json:"role"`
	Scope     string      `json:"scope"` // as answers write it
	Provinces []string    `json:"provinces"`
	Key       *string     `json:"key"` // id, null without one
	Note      string      `json:"note"`
}

func seenAs(p access.Principal) *seen {
	s := &seen{Name: p.Name, Role: p.Role, Scope: kpi.National, Provinces: []string{}, Note: "by key " + p.Token}
	if !p.Scope.National {
		s.Scope, s.Provinces = "province:"+p.Scope.String(), p.Scope.Provinces
	}
	if p.Token != "" {
		s.Key = &p.Token
	} else {
		s.Note = "loopback without key: national operator, since access.loopback is set (ioc demo sets it)"
	}
	return s
}

// index lists what there is and says how whoever asks is seen.
func (s *Server) index(w http.ResponseWriter, r *http.Request) error {
	var asker *seen
	if principal, ok := access.From(r.Context()); ok {
		asker = seenAs(principal)
	}
	return document(w, r, map[string]any{"name": "ioc", "faces": s.faces, "principal": asker})
}

// me says how whoever asks is seen.
func (s *Server) me(w http.ResponseWriter, r *http.Request) error {
	if err := only(r.URL, nil); err != nil {
		return err
	}
	principal, ok := access.From(r.Context())
	if !ok {
		return unauthorized("", "show a key: Authorization: Bearer …")
	}
	return document(w, r, seenAs(principal))
}
