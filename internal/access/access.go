// Package access says who asks and what they may see. Keys are made by a Store and
// known to a Gate, which tells the Principal of each request; a listener puts it into the
// request's context, and whoever answers takes it from there, so that the decision is
// made in one place.
package access

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Role says what a principal may do. Each role may do what those before it may.
type Role string

// The roles, from the least.
const (
	Anyone   Role = "anyone"   // No principal has it: it is the least role of what holds no data.
	Screen   Role = "screen"   // The feed and the KPIs of a wall.
	Viewer   Role = "viewer"   // All KPIs.
	Analyst  Role = "analyst"  // SQL too.
	Operator Role = "operator" // Administration too.
)

var ranks = []Role{Anyone, Screen, Viewer, Analyst, Operator}

// ParseRole reads the name of a role that a principal can have.
func ParseRole(text string) (Role, error) {
	if i := slices.Index(ranks, Role(text)); i > 0 {
		return ranks[i], nil
	}
	return "", fmt.Errorf("role %q is unknown; use viewer, analyst, operator or screen", text)
}

// Known tells whether there is such a role.
func (r Role) Known() bool { return slices.Contains(ranks, r) }

// Allows tells whether the role suffices where at least another one is needed. Roles that do not exist suffice for
// nothing, and nothing suffices for them.
func (r Role) Allows(least Role) bool {
	own, needed := slices.Index(ranks, r), slices.Index(ranks, least)
	return own >= 0 && needed >= 0 && own >= needed
}

// Scope is what part of the country a principal may see: a set of provinces, or
// all of it. The zero Scope sees no province.
type Scope struct {
	// National means every province, and facts without a province.
	National bool
	// Provinces are codes of the 34-scheme in ascending order; empty if National.
	Provinces []string
}

var provinceCode = regexp.MustCompile(`^[0-9]{2}$`)

// ParseScope reads "national" or two-digit codes of the 34-scheme, such as "79" or "01,79". Whether the codes exist
// is for whoever has the reference data.
func ParseScope(text string) (Scope, error) {
	if text == "national" {
		return Scope{National: true}, nil
	}
	var s Scope
	for code := range strings.SplitSeq(text, ",") {
		code = strings.TrimSpace(code)
		if !provinceCode.MatchString(code) {
			return Scope{}, fmt.Errorf("scope %q must be national or two-digit province codes separated by commas, such as 01,79", text)
		}
		s.Provinces = append(s.Provinces, code)
	}
	slices.Sort(s.Provinces)
	s.Provinces = slices.Compact(s.Provinces)
	return s, nil
}

// String is the scope as ParseScope reads it; "none" if it holds nothing.
func (s Scope) String() string {
	switch {
	case s.National:
		return "national"
	case len(s.Provinces) == 0:
		return "none"
	}
	return strings.Join(s.Provinces, ",")
}

// Contains tells whether the province with this code of the 34-scheme may be seen.
func (s Scope) Contains(province string) bool {
	return s.National || slices.Contains(s.Provinces, province)
}

// Principal is who asks.
type Principal struct {
	// Name says who it is, for people.
	Name string
	// Role says what the principal may do.
	Role Role
	// Scope says about what part of the country.
	Scope Scope
	// Token is the id of the key that was shown; empty for whoever asks from this machine without one.
	Token string
}

// Loopback is whoever asks from this machine without a key, where that is permitted: a national operator.
func Loopback() Principal {
	return Principal{Name: "loopback", Role: Operator, Scope: Scope{National: true}}
}

type contextKey struct{}

// With returns a context that carries the principal.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From returns the principal of a request's context; ok is false when nobody
// put one there, and then nothing may be shown.
func From(ctx context.Context) (p Principal, ok bool) {
	p, ok = ctx.Value(contextKey{}).(Principal)
	return p, ok
}

// IsLoopback tells whether only this machine can reach a listener's address.
func IsLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// IsLoopbackHost tells whether a Host header, with or without a port, names this
// machine: localhost or a loopback address. A page of another site whose name was
// made to resolve to 127.0.0.1 (DNS rebinding) cannot send such a header.
func IsLoopbackHost(host string) bool {
	name := HostName(host)
	if name == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.Unmap().IsLoopback()
}

// HostName is a Host header without its port and brackets, in lower case and
// without the dot that ends an absolute name.
func HostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
