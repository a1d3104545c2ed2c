package main

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

// TestToken: keys are made, listed and revoked; the key goes to standard output, alone, and only once.
func TestToken(t *testing.T) {
	db := enginetest.Start(t)
	if err := warehouse.Migrate(t.Context(), db.Client); err != nil {
		t.Fatal(err)
	}
	t.Setenv("IOC_CLICKHOUSE_PASSWORD", db.Engine.Password())
	token := func(args ...string) (stdout, stderr string, err error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		root := newRoot()
		var out, errOut bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&errOut)
		root.SetArgs(append(append([]string{"token"}, args...), "--clickhouse.addr", db.Engine.Addr(), "--clickhouse.database", db.Database))
		err = root.ExecuteContext(ctx)
		return out.String(), errOut.String(), err
	}
	key, about, err := token("create", "--name", "Sở Y tế", "--role", "analyst", "--scope", "79,01", "--expires", "90d")
	if err != nil || !regexp.MustCompile(`^ioc_[a-z2-7]{8}_[a-z2-7]{52}\n$`).MatchString(key) {
		t.Fatalf("standard output has %d bytes: %v", len(key), err)
	}
	if !strings.Contains(about, "analyst, scope 01,79") || strings.Contains(about, strings.TrimSpace(key)) {
		t.Errorf("standard error is %q", about)
	}
	id := strings.Split(key, "_")[1]
	list, _, err := token("list")
	if err != nil || !regexp.MustCompile(`(?m)^`+id+`  Sở Y tế  analyst  01,79  active `).MatchString(list) || strings.Contains(list, strings.Split(strings.TrimSpace(key), "_")[2]) {
		t.Errorf("the list is %v\n%s", err, list)
	}
	if out, _, err := token("revoke", id); err != nil || !strings.Contains(out, "Key "+id+" of Sở Y tế is revoked") {
		t.Errorf("revoking: %v %s", err, out)
	}
	if list, _, err := token("list"); err != nil || !regexp.MustCompile(`(?m)^`+id+` .* revoked `).MatchString(list) {
		t.Errorf("the list is %v\n%s", err, list)
	}
	var usage *usageError
	if _, _, err := token("revoke", "nosuchid"); err == nil || errors.As(err, &usage) || !strings.Contains(err.Error(), "no key with this id") {
		t.Errorf("revoking what there is not: %v", err)
	}
	wrong := func(want string, args ...string) {
		t.Helper()
		if out, _, err := token(args...); !errors.As(err, &usage) || !strings.Contains(err.Error(), want) || out != "" {
			t.Errorf("%v: %v %s, want a usage error with %s", args, err, out, want)
		}
	}
	wrong("needs a name", "create", "--role", "viewer", "--scope", "national")
	wrong("--role", "create", "--name", "x", "--scope", "national")
	wrong("--role", "create", "--name", "x", "--role", "anyone", "--scope", "national")
	wrong("--scope", "create", "--name", "x", "--role", "viewer")
	wrong("no province 99", "create", "--name", "x", "--role", "viewer", "--scope", "79,99")
	wrong("--expires", "create", "--name", "x", "--role", "viewer", "--scope", "79", "--expires", "soon")
	wrong("not in the future", "create", "--name", "x", "--role", "viewer", "--scope", "79", "--expires", "-1h")
	wrong("takes 1 arguments", "revoke")
	if list, _, err := token("list"); err != nil || strings.Count(list, "\n") != 2 {
		t.Errorf("mistakes left keys: %v\n%s", err, list)
	}
}
