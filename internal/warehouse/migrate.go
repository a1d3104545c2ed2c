package warehouse

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"sort"
	"strings"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Migration is one numbered schema file.
type Migration struct {
	// Name is the file name, for example 0001_raw.sql.
	Name string
	// SQL is the whole text: statements that end with a semicolon at the end of a line.
	SQL string
	// Checksum is the SHA-256 of SQL in hexadecimal.
	Checksum string
}

// MigrationState says whether a migration has been applied.
type MigrationState struct {
	Migration
	// Applied is true when the database holds this migration with this checksum.
	Applied bool
}

// Migrations returns the schema files of this binary in order.
func Migrations() ([]Migration, error) {
	names, err := fs.Glob(schemaFiles, "schema/*.sql")
	if err != nil {
		return nil, fmt.Errorf("listing schema files: %w", err)
	}
	sort.Strings(names)
	migrations := make([]Migration, 0, len(names))
	for _, name := range names {
		text, err := schemaFiles.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		sum := sha256.Sum256(text)
		migrations = append(migrations, Migration{
			Name: strings.TrimPrefix(name, "schema/"), SQL: string(text), Checksum: hex.EncodeToString(sum[:]),
		})
	}
	return migrations, nil
}

// Statements splits a migration at semicolons that end a line.
func (m Migration) Statements() []string {
	var statements []string
	for part := range strings.SplitSeq(m.SQL, ";\n") {
		var lines []string
		for line := range strings.SplitSeq(part, "\n") {
			if trimmed := strings.TrimSpace(line); trimmed != "" && !strings.HasPrefix(trimmed, "--") {
				lines = append(lines, line)
			}
		}
		if len(lines) > 0 {
			statements = append(statements, strings.TrimSuffix(strings.Join(lines, "\n"), ";"))
		}
	}
	return statements
}

const migrationsTable = `CREATE TABLE IF NOT EXISTS schema_migrations
(
    name       String COMMENT 'Migration file',
    checksum   String COMMENT 'SHA-256 of the file as applied',
    applied_at DateTime('Asia/Ho_Chi_Minh') DEFAULT now() COMMENT 'When it was applied'
)
ENGINE = ReplacingMergeTree ORDER BY name COMMENT 'Applied schema migrations'`

// Migrate applies the migrations that the client's database lacks. Every statement is idempotent
// (IF NOT EXISTS), so running it twice, from two processes at once, or again after a crash half-way
// gives the same schema. A migration that was applied with another checksum is an error: applied
// files never change, a change is a new file.
func Migrate(ctx context.Context, client *Client) error {
	states, err := MigrationStates(ctx, client)
	if err != nil {
		return err
	}
	for _, state := range states {
		if state.Applied {
			continue
		}
		// Another process may have applied it meanwhile, and ingest by now: views must not be put anew under it.
		var applied bool
		if err := client.Conn().QueryRow(ctx, "SELECT count() > 0 FROM schema_migrations WHERE name = ?", state.Name).Scan(&applied); err != nil {
			return fmt.Errorf("reading schema_migrations: %w", err)
		}
		if applied {
			continue
		}
		for i, statement := range state.Statements() {
			if err := client.Conn().Exec(ctx, statement); err != nil {
				return fmt.Errorf("applying %s, statement %d: %w", state.Name, i+1, err)
			}
		}
		if err := client.Conn().Exec(ctx, "INSERT INTO schema_migrations (name, checksum) VALUES (?, ?)", state.Name, state.Checksum); err != nil {
			return fmt.Errorf("recording %s: %w", state.Name, err)
		}
	}
	return nil
}

// MigrationStates compares this binary's migrations with what the database has applied.
func MigrationStates(ctx context.Context, client *Client) ([]MigrationState, error) {
	if err := client.Conn().Exec(ctx, migrationsTable); err != nil {
		return nil, fmt.Errorf("creating schema_migrations: %w", err)
	}
	rows, err := client.Conn().Query(ctx, "SELECT name, checksum FROM schema_migrations FINAL")
	if err != nil {
		return nil, fmt.Errorf("reading schema_migrations: %w", err)
	}
	applied := map[string]string{}
	err = Each(rows, func() error {
		var name, checksum string
		err := rows.Scan(&name, &checksum)
		applied[name] = checksum
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading schema_migrations: %w", err)
	}
	migrations, err := Migrations()
	if err != nil {
		return nil, err
	}
	states := make([]MigrationState, 0, len(migrations))
	for _, m := range migrations {
		checksum, ok := applied[m.Name]
		if ok && checksum != m.Checksum {
			return nil, fmt.Errorf("migration %s was applied with checksum %s, this binary has %s: applied migrations must not change", m.Name, checksum, m.Checksum)
		}
		states = append(states, MigrationState{Migration: m, Applied: ok})
		delete(applied, m.Name)
	}
	for name := range applied {
		return nil, fmt.Errorf("the database has migration %s, which this binary does not know: it is older than the schema", name)
	}
	return states, nil
}
