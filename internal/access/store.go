package access

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// maxTokens bounds the keys that can be used at one time, and the list that a Gate holds.
const maxTokens = 10_000

// ErrUnknownToken says that there is no token with an id.
var ErrUnknownToken = errors.New("there is no key with this id")

// Store keeps tokens in the table access_tokens.
type Store struct{ conn driver.Conn }

// NewStore returns the store of a database whose schema is up to date.
func NewStore(conn driver.Conn) *Store { return &Store{conn} }

// written makes statements end only when what they write can be read.
func written(ctx context.Context) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0}))
}

// Add keeps a token that Mint made.
func (s *Store) Add(ctx context.Context, t Token) error {
	var active uint64
	err := s.conn.QueryRow(ctx, "SELECT count() FROM access_tokens FINAL WHERE "+activeCondition).Scan(&active)
	if err != nil {
		return fmt.Errorf("counting keys: %w", err)
	}
	if active >= maxTokens {
		return fmt.Errorf("there are %d keys in use, which is the most: revoke some", active)
	}
	batch, err := s.conn.PrepareBatch(written(ctx), "INSERT INTO access_tokens (id, name, hash, role, national, provinces, created_at, expires_at, created_by)")
	if err != nil {
		return fmt.Errorf("keeping a key: %w", err)
	}
	provinces := t.Scope.Provinces
	if provinces == nil {
		provinces = []string{}
	}
	if err := batch.Append(t.ID, t.Name, hex.EncodeToString(t.Hash[:]), string(t.Role), t.Scope.National, provinces, t.Created, column(t.Expires), t.CreatedBy); err != nil {
		_ = batch.Abort()
		return fmt.Errorf("keeping a key: %w", err)
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("keeping a key: %w", err)
	}
	return nil
}

// activeCondition is true of tokens whose keys can be used.
const activeCondition = "revoked_at = 0 AND (expires_at = 0 OR expires_at > now64(3))"

// List returns the tokens, those in use first and the newest of them first: all that are in use, and of the others as
// many as fit in 10,000. A row that cannot be understood is an error, so that no key is taken for another.
func (s *Store) List(ctx context.Context) ([]Token, error) {
	return s.read(ctx, "ORDER BY "+activeCondition+" DESC, created_at DESC, id LIMIT ?", maxTokens)
}

func (s *Store) read(ctx context.Context, which string, args ...any) ([]Token, error) {
	rows, err := s.conn.Query(ctx, `SELECT id, name, hash, role, national, provinces, created_at, expires_at, revoked_at, created_by
		FROM access_tokens FINAL `+which, args...)
	if err != nil {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var list []Token
	for rows.Next() {
		var t Token
		var hash, role string
		if err := rows.Scan(&t.ID, &t.Name, &hash, &role, &t.Scope.National, &t.Scope.Provinces, &t.Created, &t.Expires, &t.Revoked, &t.CreatedBy); err != nil {
			return nil, fmt.Errorf("reading keys: %w", err)
		}
		if n, err := hex.Decode(t.Hash[:], []byte(hash)); err != nil || n != len(t.Hash) || len(hash) != 2*len(t.Hash) {
			return nil, fmt.Errorf("reading keys: the hash of %s is no SHA-256", t.ID)
		}
		if t.Role, err = ParseRole(role); err != nil {
			return nil, fmt.Errorf("reading keys: %s: %w", t.ID, err)
		}
		if len(t.Scope.Provinces) == 0 || t.Scope.National {
			t.Scope.Provinces = nil
		}
		slices.Sort(t.Scope.Provinces)
		t.Expires, t.Revoked = moment(t.Expires), moment(t.Revoked)
		list = append(list, t)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	return list, nil
}

// Revoke ends the use of a key: servers refuse it as soon as they look at the tokens again. Revoking twice is no
// error and keeps the first time. The error is ErrUnknownToken when there is no such token.
func (s *Store) Revoke(ctx context.Context, id string) (Token, error) {
	// The version rises by one whatever clocks say: else a revocation by a machine whose clock is behind would be lost.
	err := s.conn.Exec(written(ctx), `INSERT INTO access_tokens (id, name, hash, role, national, provinces, created_at, expires_at, revoked_at, created_by, version)
		SELECT id, name, hash, role, national, provinces, created_at, expires_at, now64(3), created_by, version + 1
		FROM access_tokens FINAL WHERE id = ? AND revoked_at = 0`, id)
	if err != nil {
		return Token{}, fmt.Errorf("revoking key %s: %w", id, err)
	}
	list, err := s.read(ctx, "WHERE id = ?", id)
	switch {
	case err != nil:
		return Token{}, err
	case len(list) == 0:
		return Token{}, fmt.Errorf("%q: %w", id, ErrUnknownToken)
	case list[0].Revoked.IsZero():
		return Token{}, fmt.Errorf("key %s is still in use after it was revoked: try again", id)
	}
	return list[0], nil
}

// column is a time as the table has it, in which 1970 stands for none.
func column(t time.Time) time.Time {
	if t.IsZero() {
		return time.Unix(0, 0)
	}
	return t
}

func moment(t time.Time) time.Time {
	if t.Unix() == 0 {
		return time.Time{}
	}
	return t
}
