package engine

import (
	"strings"
	"testing"
	"time"
)

func TestConfigurationErrorsNameTheField(t *testing.T) {
	cases := map[string]func(*Config){
		"Dir is empty":           func(c *Config) { c.Dir = "" },
		"MemoryLimit is 1 bytes": func(c *Config) { c.MemoryLimit = 1 },
		"NativePort is -1":       func(c *Config) { c.NativePort = -1 },
		"HTTPPort is 70000":      func(c *Config) { c.HTTPPort = 70000 },
		"are both 20001":         func(c *Config) { c.NativePort, c.HTTPPort = 20001, 20001 },
		`LogLevel is "loud"`:     func(c *Config) { c.LogLevel = "loud" },
		"StopTimeout must be":    func(c *Config) { c.StopTimeout = 0 },
		`scope "province_79" has no province`: func(c *Config) {
			c.Users.Scopes = []Scope{{Name: "province_79"}}
		},
		`must be named "province_79"`: func(c *Config) {
			c.Users.Scopes = []Scope{{Name: "province_01", Province: "79"}}
		},
		`"79' OR 1" is not a province code`: func(c *Config) {
			c.Users.Scopes = []Scope{ProvinceScope("79' OR 1")}
		},
		`scope "national" is given twice`: func(c *Config) {
			c.Users.Scopes = []Scope{NationalScope(), NationalScope()}
		},
		`object "a b" is not an identifier`: func(c *Config) {
			c.Users.Objects = []Object{{Name: "a b"}}
		},
		`province column "1=1 OR x" is not`: func(c *Config) {
			c.Users.Objects = []Object{{Name: "a", Province: "1=1 OR x"}}
		},
		`object "a" is given twice`: func(c *Config) {
			c.Users.Objects = []Object{{Name: "a"}, {Name: "a"}}
		},
		`Database "x.y" is not`: func(c *Config) {
			c.Users.Database, c.Users.Objects = "x.y", []Object{{Name: "a"}}
		},
		"every limit must be positive": func(c *Config) {
			c.Users.Scopes, c.Users.Limits.MaxExecution = []Scope{NationalScope()}, time.Millisecond
		},
	}
	for want, breakIt := range cases {
		cfg := DefaultConfig()
		cfg.Dir = t.TempDir()
		if err := cfg.validate(); err != nil {
			t.Fatalf("default configuration: %v", err)
		}
		breakIt(&cfg)
		if err := cfg.validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one that says %q", err, want)
		}
	}
}

func TestChildArgumentsAreReadAsWritten(t *testing.T) {
	for _, binary := range []bool{false, true} {
		want := childArgs{
			location: Location{Path: "/a b/lib.so", Binary: binary}, config: "-c", store: "s", queries: "q",
			tcpPort: 1, httpPort: 2, stopTimeout: time.Second,
		}
		got, err := parseChildArgs(want.list())
		if err != nil || got != want {
			t.Errorf("read %+v, %v; want %+v", got, err, want)
		}
	}
	for _, args := range [][]string{nil, {"--library", "x"}, {"--binary", "x", "--library", "y"}, {"query"}} {
		if code := Main(args); code != 2 {
			t.Errorf("Main(%q) = %d, want 2", args, code)
		}
	}
}

func TestCredentialsDoNotPrintThePassword(t *testing.T) {
	c := newCredentials("ioc")
	if other := newCredentials("ioc"); other.Password == c.Password || len(c.Password) < 20 {
		t.Errorf("passwords %q and %q are not random", c.Password, other.Password)
	}
	file, err := UsersFile(Users{}, map[string]Credentials{AdminUser: c}, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{c.String(), c.GoString(), string(file)} {
		if strings.Contains(text, c.Password) {
			t.Errorf("password in %s", text)
		}
	}
}
