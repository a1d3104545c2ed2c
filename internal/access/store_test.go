package access_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ioc.local/internal/access"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

// newStore is a store on a real engine with the schema file of the table alone.
func newStore(t *testing.T) *access.Store {
	t.Helper()
	db := enginetest.Start(t)
	migrations, err := warehouse.Migrations()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range migrations {
		if m.Name != "0010_access.sql" {
			continue
		}
		for range 2 { // idempotent
			for _, statement := range m.Statements() {
				if err := db.Client.Conn().Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return access.NewStore(db.Client.Conn())
}

func TestStore(t *testing.T) {
	store := newStore(t)
	if list, err := store.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("an empty table has %v, %v", list, err)
	}
	_, first := mint(t, access.Spec{Name: "Sở Y tế", Role: access.Analyst, Scope: access.Scope{Provinces: []string{"01", "79"}}, Expires: time.Now().Add(time.Hour), CreatedBy: "me"})
	_, second := mint(t, access.Spec{Name: "wall", Role: access.Screen, Scope: national})
	first.Created = first.Created.Add(-time.Minute)
	for _, token := range []access.Token{first, second} {
		if err := store.Add(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	list := func(want ...access.Token) {
		t.Helper()
		got, err := store.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(0)); diff != "" {
			t.Errorf("tokens, want against got:\n%s", diff)
		}
	}
	list(second, first)

	revoked, err := store.Revoke(t.Context(), second.ID)
	if err != nil || revoked.Revoked.IsZero() || time.Since(revoked.Revoked) > time.Minute {
		t.Fatalf("revoked is %+v, %v", revoked, err)
	}
	if diff := cmp.Diff(second, revoked, cmpopts.IgnoreFields(access.Token{}, "Revoked"), cmpopts.EquateApproxTime(0)); diff != "" {
		t.Errorf("revoking changed more:\n%s", diff)
	}
	list(first, revoked)
	if again, err := store.Revoke(t.Context(), second.ID); err != nil || !again.Revoked.Equal(revoked.Revoked) {
		t.Errorf("revoking twice: %+v, %v", again, err)
	}
	for _, id := range []string{"nosuchid", "", "' OR 1 = 1 --"} {
		if _, err := store.Revoke(t.Context(), id); !errors.Is(err, access.ErrUnknownToken) {
			t.Errorf("revoking %q: %v", id, err)
		}
	}
	list(first, revoked)
}

// TestStoreRefusesWhatItCannotRead: a row that something else wrote lets nobody in.
func TestStoreRefusesWhatItCannotRead(t *testing.T) {
	for name, row := range map[string]string{
		"role": "'a', 'x', repeat('ab', 32), 'root', true, []",
		"hash": "'a', 'x', 'ab', 'viewer', true, []",
	} {
		db := enginetest.Start(t)
		if err := db.Client.Conn().Exec(t.Context(), "CREATE TABLE access_tokens (id String, name String, hash String, role String, national Bool, provinces Array(String), "+
			"created_at DateTime64(3), expires_at DateTime64(3), revoked_at DateTime64(3), created_by String, version UInt32) ENGINE = ReplacingMergeTree(version) ORDER BY id"); err != nil {
			t.Fatal(err)
		}
		if err := db.Client.Conn().Exec(t.Context(), "INSERT INTO access_tokens (id, name, hash, role, national, provinces) VALUES ("+row+")"); err != nil {
			t.Fatal(err)
		}
		if list, err := access.NewStore(db.Client.Conn()).List(t.Context()); err == nil {
			t.Errorf("a bad %s is read as %+v", name, list)
		}
	}
}
