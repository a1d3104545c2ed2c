// Package access says who asks and what they may see. A listener puts the
// Principal of a request into its context; whoever answers takes it from there,
// so that the decision is made in one place.
//
// There are no keys yet: whoever reaches a loopback listener is on this machine
// and sees everything that a viewer may see.
package access

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Role says what a principal may do.
type Role string

// Viewer may see KPIs, the reference data and the feed.
const Viewer Role = "viewer"

// Scope is what part of the country a principal may see: a set of provinces, or
// all of it. The zero Scope sees no province.
type Scope struct {
	// National means every province, and rows without a province.
	National bool
	// Provinces are codes of the 34-scheme; meaningless if National.
	Provinces []string
}

// Contains tells whether the province with this code of the 34-scheme may be seen.
func (s Scope) Contains(province string) bool {
	return s.National || slices.Contains(s.Provinces, province)
}

// Principal is who asks.
type Principal struct {
	Role  Role
	Scope Scope
}

// Loopback is whoever asks without a key on a listener that only this machine reaches.
func Loopback() Principal {
	return Principal{Role: Viewer, Scope: Scope{National: true}}
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
