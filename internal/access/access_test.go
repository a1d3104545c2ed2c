package access_test

import (
	"context"
	"net"
	"testing"

	"ioc.local/internal/access"
	"ioc.local/internal/warehouse/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

func TestIsLoopbackHost(t *testing.T) {
	f := func(host string, want bool) {
		t.Helper()
		if got := access.IsLoopbackHost(host); got != want {
			t.Errorf("IsLoopbackHost(%q) = %v, want %v", host, got, want)
		}
	}
	f("localhost", true)
	f("LOCALHOST:8080", true)
	f("localhost.:8080", true)
	f("127.0.0.1", true)
	f("127.8.9.1:80", true)
	f("[::1]:8080", true)
	f("[::1]", true)
	f("::1", true)
	f("[::ffff:127.0.0.1]:80", true)
	f("", false)
	f("attacker.example", false)
	f("localhost.attacker.example:8080", false)
	f("127.0.0.1.attacker.example", false)
	f("192.168.1.1:8080", false)
	f("0.0.0.0:8080", false)
	f("2130706433", false)
}

func TestIsLoopback(t *testing.T) {
	f := func(ip string, want bool) {
		t.Helper()
		if got := access.IsLoopback(&net.TCPAddr{IP: net.ParseIP(ip), Port: 80}); got != want {
			t.Errorf("IsLoopback(%s) = %v, want %v", ip, got, want)
		}
	}
	f("127.0.0.1", true)
	f("::1", true)
	f("0.0.0.0", false)
	f("::", false)
	f("10.0.0.1", false)
}

func TestScopeContains(t *testing.T) {
	f := func(s access.Scope, province string, want bool) {
		t.Helper()
		if got := s.Contains(province); got != want {
			t.Errorf("%+v contains %s: %v, want %v", s, province, got, want)
		}
	}
	f(access.Scope{National: true}, "79", true)
	f(access.Scope{Provinces: []string{"01", "79"}}, "79", true)
	f(access.Scope{Provinces: []string{"01"}}, "79", false)
	f(access.Scope{}, "79", false)
}

func TestFrom(t *testing.T) {
	if p, ok := access.From(context.Background()); ok {
		t.Errorf("an empty context has the principal %+v", p)
	}
	p, ok := access.From(access.With(context.Background(), access.Loopback()))
	if !ok || p.Role != access.Operator || !p.Scope.National {
		t.Errorf("got %+v, %v; want the loopback principal", p, ok)
	}
}

func TestRoles(t *testing.T) {
	order := []access.Role{access.Anyone, access.Screen, access.Viewer, access.Analyst, access.Operator}
	for i, own := range order {
		for j, least := range order {
			if got := own.Allows(least); got != (i >= j) {
				t.Errorf("%s where %s is needed: %v", own, least, got)
			}
		}
		if own.Allows("") || own.Allows("admin") || access.Role("admin").Allows(own) || access.Role("").Allows(own) {
			t.Errorf("a role that does not exist counts beside %s", own)
		}
	}
	for _, text := range []string{"", "anyone", "Viewer", "admin"} {
		if role, err := access.ParseRole(text); err == nil {
			t.Errorf("%q is the role %q", text, role)
		}
	}
	if role, err := access.ParseRole("screen"); err != nil || role != access.Screen {
		t.Errorf("screen is %q, %v", role, err)
	}
}

func TestParseScope(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		s, err := access.ParseScope(text)
		got := s.String()
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q is %s (%v), want %s", text, got, err, want)
		}
	}
	f("national", "national")
	f("79", "79")
	f("79,01", "01,79")
	f("79, 79,01", "01,79")
	f("", "error")
	f("all", "error")
	f("79,", "error")
	f("79,national", "error")
	f("*", "error")
	f("079", "error")
	if s := (access.Scope{}).String(); s != "none" {
		t.Errorf("the empty scope is %s", s)
	}
}
