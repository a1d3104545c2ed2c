package warehouse_test

import (
	"testing"

	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/engine"
	"ioc.local/internal/warehouse/enginetest"
)

// analysts is the database that the scope users of the tests' engine may read.
const analysts = "analysts"

func TestMain(m *testing.M) {
	users := engine.Users{Database: analysts, Limits: engine.DefaultLimits(),
		Scopes: []engine.Scope{engine.NationalScope(), engine.ProvinceScope("01"), engine.ProvinceScope("79")}}
	for _, v := range warehouse.AnalystViews() {
		users.Objects = append(users.Objects, engine.Object{Name: v.Name, Province: v.Province, NationalRows: v.NationalRows, Sensitive: v.Sensitive})
	}
	enginetest.Main(m, users)
}

// migrated is a fresh database with the schema.
func migrated(t testing.TB) *enginetest.DB {
	t.Helper()
	db := enginetest.Start(t)
	if err := warehouse.Migrate(t.Context(), db.Client); err != nil {
		t.Fatal(err)
	}
	return db
}

// loadReference fills the reference tables from the embedded files.
func loadReference(t testing.TB, db *enginetest.DB) *reference.Data {
	t.Helper()
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := warehouse.LoadReference(t.Context(), db.Client, data); err != nil {
		t.Fatal(err)
	}
	return data
}

// text is the one value that the query gives.
func text(t *testing.T, client *warehouse.Client, query string, args ...any) string {
	t.Helper()
	var value string
	if err := client.Conn().QueryRow(t.Context(), query, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}
