package access

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Protocol is the websocket subprotocol of the live feed, and the only one that a server answers with.
const Protocol = "ioc.v1"

// tokenProtocol comes before the key where a browser offers it as a subprotocol: pages cannot set Authorization.
const tokenProtocol = "ioc.token."

// ErrNoKey says that a request shows no key, and that none of the other ways to be let in applies.
var ErrNoKey = errors.New("the request has no key")

// Reason says why a key was refused; also the value of the metric label reason.
type Reason string

// The reasons.
const (
	Malformed   Reason = "malformed"   // It is not a key at all.
	Unknown     Reason = "unknown"     // No token has it.
	Revoked     Reason = "revoked"     // It was revoked.
	Expired     Reason = "expired"     // Its time is over.
	Limited     Reason = "limited"     // Too many attempts from one address failed.
	Unavailable Reason = "unavailable" // The tokens are not known now.
)

// Refusal is why a request with a key is not let in.
type Refusal struct {
	// Reason is for programs.
	Reason Reason
	// Detail is for people and holds nothing of the key.
	Detail string
	// RetryAfter is when to try again; zero where that is of no use.
	RetryAfter time.Duration

	token string // id of the token, where the key was its own; for the log
}

// Error returns the detail.
func (r *Refusal) Error() string { return r.Detail }

// keyOf is the key that a request shows; empty if there is none. The error is a *Refusal.
func keyOf(r *http.Request) (string, error) {
	var keys []string
	for _, value := range r.Header["Authorization"] {
		scheme, key, _ := strings.Cut(strings.TrimSpace(value), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return "", &Refusal{Reason: Malformed, Detail: "Authorization must be Bearer and a key"}
		}
		keys = append(keys, strings.TrimSpace(key))
	}
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		for _, list := range r.Header["Sec-Websocket-Protocol"] {
			for protocol := range strings.SplitSeq(list, ",") {
				if key, ok := strings.CutPrefix(strings.TrimSpace(protocol), tokenProtocol); ok {
					keys = append(keys, key)
				}
			}
		}
	}
	switch {
	case len(keys) == 0:
		return "", nil
	case len(keys) > 1:
		return "", &Refusal{Reason: Malformed, Detail: "show one key, not several"}
	case keys[0] == "":
		return "", &Refusal{Reason: Malformed, Detail: "the key is empty"}
	}
	return keys[0], nil
}

// proxyHeaders are set by proxies: a request that has one comes from somewhere else.
var proxyHeaders = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"}

// fromThisMachine tells whether a request was made on this machine and for this machine: its address and the name
// by which it calls the server are loopback, and no proxy has passed it on.
func fromThisMachine(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() || !IsLoopbackHost(r.Host) {
		return false
	}
	for _, name := range proxyHeaders {
		if r.Header.Values(name) != nil {
			return false
		}
	}
	return true
}

// AddressOf is what requests without a good key are counted by: the address or, of IPv6, the /64 that one customer has.
func AddressOf(r *http.Request) string {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr := from.Addr().Unmap().WithZone("")
	if addr.Is6() {
		if prefix, err := addr.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return addr.String()
}
