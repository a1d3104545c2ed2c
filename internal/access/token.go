package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// A key is "ioc_", the id of its token, "_" and 256 random bits. The prefix and the fixed form let scanners find keys
// that leaked; the id says which token to revoke and is no secret.
var keyForm = regexp.MustCompile(`^ioc_([a-z2-7]{8})_[a-z2-7]{52}$`)

const (
	idBytes     = 5
	secretBytes = 32
	maxName     = 100
)

var keyEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Token is what is kept of a key. It does not hold the key.
type Token struct {
	// ID is the public part of the key.
	ID string
	// Name says who or what uses the key.
	Name string
	// Role and Scope are those of whoever shows the key.
	Role  Role
	Scope Scope
	// Created is when the key was made.
	Created time.Time
	// Expires is when the key ends to be good; zero is never.
	Expires time.Time
	// Revoked is when the key was revoked; zero if it was not.
	Revoked time.Time
	// CreatedBy says who made the key.
	CreatedBy string
	// Hash is the SHA-256 of the whole key.
	Hash [sha256.Size]byte
}

// Spec is what a new key is to be.
type Spec struct {
	Name      string
	Role      Role
	Scope     Scope
	Expires   time.Time // Zero is never.
	CreatedBy string
}

// Mint makes a key and its token. The key is nowhere else: whoever gets it must keep it.
func Mint(spec Spec) (key string, token Token, err error) {
	if err := spec.check(); err != nil {
		return "", Token{}, err
	}
	random := make([]byte, idBytes+secretBytes)
	_, _ = rand.Read(random) // never fails, by its documentation
	token = Token{
		ID: keyEncoding.EncodeToString(random[:idBytes]), Name: spec.Name, Role: spec.Role, Scope: spec.Scope,
		Created: time.Now().Truncate(time.Millisecond), Expires: spec.Expires.Truncate(time.Millisecond), CreatedBy: spec.CreatedBy,
	}
	key = "ioc_" + token.ID + "_" + keyEncoding.EncodeToString(random[idBytes:])
	token.Hash = sha256.Sum256([]byte(key))
	return key, token, nil
}

func (s Spec) check() error {
	switch {
	case strings.TrimSpace(s.Name) == "":
		return errors.New("a key needs a name that says who uses it")
	case len(s.Name) > maxName || strings.ContainsFunc(s.Name, unicode.IsControl):
		return fmt.Errorf("the name must have at most %d bytes and no control characters", maxName)
	case s.Role == Anyone || !s.Role.Known():
		return fmt.Errorf("role %q is unknown; use viewer, analyst, operator or screen", s.Role)
	case s.Scope.National && len(s.Scope.Provinces) > 0:
		return errors.New("a scope is national or has provinces, not both")
	case !s.Scope.National && len(s.Scope.Provinces) == 0:
		return errors.New("the scope holds no province")
	case !s.Expires.IsZero() && !s.Expires.After(time.Now()):
		return errors.New("the key would have expired already")
	}
	return nil
}

// Principal is whoever shows the token's key.
func (t Token) Principal() Principal {
	return Principal{Name: t.Name, Role: t.Role, Scope: t.Scope, Token: t.ID}
}

// State is "active", "expired" or "revoked" at a moment.
func (t Token) State(now time.Time) string {
	switch {
	case !t.Revoked.IsZero():
		return "revoked"
	case !t.Expires.IsZero() && !now.Before(t.Expires):
		return "expired"
	}
	return "active"
}
