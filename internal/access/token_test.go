package access_test

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"ioc.local/internal/access"
)

var national = access.Scope{National: true}

// mint makes a key that must be possible.
func mint(t *testing.T, spec access.Spec) (string, access.Token) {
	t.Helper()
	key, token, err := access.Mint(spec)
	if err != nil {
		t.Fatal(err)
	}
	return key, token
}

func TestMint(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		key, token := mint(t, access.Spec{Name: "x", Role: access.Viewer, Scope: national})
		if !regexp.MustCompile(`^ioc_[a-z2-7]{8}_[a-z2-7]{52}$`).MatchString(key) || !strings.HasPrefix(key, "ioc_"+token.ID+"_") {
			t.Fatalf("the key of %s has another form", token.ID)
		}
		if token.Hash != sha256.Sum256([]byte(key)) {
			t.Fatal("the hash is not that of the key")
		}
		if strings.Contains(fmt.Sprintf("%+v", token), key[len("ioc_")+len(token.ID)+1:]) {
			t.Fatal("the token holds the key")
		}
		if seen[token.ID] || seen[key] {
			t.Fatal("a key was made twice")
		}
		seen[token.ID], seen[key] = true, true
	}
}

func TestMintRefuses(t *testing.T) {
	f := func(want string, change func(*access.Spec)) {
		t.Helper()
		spec := access.Spec{Name: "x", Role: access.Viewer, Scope: national}
		change(&spec)
		if _, _, err := access.Mint(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f("needs a name", func(s *access.Spec) { s.Name = " " })
	f("100 bytes", func(s *access.Spec) { s.Name = strings.Repeat("x", 101) })
	f("control characters", func(s *access.Spec) { s.Name = "a\nb" })
	f(`role "anyone"`, func(s *access.Spec) { s.Role = access.Anyone })
	f(`role ""`, func(s *access.Spec) { s.Role = "" })
	f("holds no province", func(s *access.Spec) { s.Scope = access.Scope{} })
	f("not both", func(s *access.Spec) { s.Scope.Provinces = []string{"79"} })
	f("expired already", func(s *access.Spec) { s.Expires = time.Now().Add(-time.Second) })
}
