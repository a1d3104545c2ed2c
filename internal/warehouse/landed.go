package warehouse

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
)

// dossierState is the view that keeps a row for each dossier. The newest row replaces the others, so to fill it again
// changes nothing, and it has no position to say what it holds.
const dossierState = "dossier_state_mv"

// feedQuality is a rollup that ingestion fills itself, without a view.
const feedQuality = "feed_quality"

// Range names offsets of a partition.
type Range struct {
	// Topic is the incarnation name that the rows of the range carry.
	Topic string
	// Partition is the Kafka partition.
	Partition uint32
	// First and Last bound the offsets, both included.
	First, Last uint64
}

// rows is the condition on rows of the range in a table whose rows name their offsets by the columns.
func (r Range) rows(first, last string) string {
	return fmt.Sprintf("topic = %s AND partition = %d AND %s >= %d AND %s <= %d", Quote(r.Topic), r.Partition, first, r.First, last, r.Last)
}

// offsets are the tables that keep rows of ranges, with the columns that bound the offsets of a row.
var offsets = []struct{ table, first, last string }{
	{"dossier_events", "offset", "offset"}, {"auth_attempts", "offset", "offset"}, {"data_queries", "offset", "offset"}, {"eid_events", "offset", "offset"},
	{"register_events", "offset", "offset"}, {"dead_letters", "offset", "offset"}, {"skipped_offsets", "first_offset", "last_offset"},
	{"dead_letter_replays", "record_offset", "record_offset"},
}

// offsetsOf names the columns of a table that bound the offsets of a row; a table that keeps no rows of ranges has none.
func offsetsOf(table string) (first, last string, stored bool) {
	for _, t := range offsets {
		if t.table == table {
			return t.first, t.last, true
		}
	}
	return "", "", false
}

// rowsOf counts the rows of a range in a table that keeps them.
func rowsOf(ctx context.Context, client *Client, table string, r Range) (n uint64, err error) {
	first, last, _ := offsetsOf(table)
	if err := client.Conn().QueryRow(ctx, "SELECT count() FROM "+table+" WHERE "+r.rows(first, last)).Scan(&n); err != nil {
		return 0, fmt.Errorf("looking for rows of %s/%d in %s: %w", r.Topic, r.Partition, table, err)
	}
	return n, nil
}

// Landed is what ClickHouse holds of a block that may have been inserted before.
type Landed struct {
	// Rows is how many rows of the range are in the table itself; 0 where nothing is stored in it.
	Rows uint64
	// Holding and Lacking are the views behind the table whose rollups have counted the range, and those whose have not.
	Holding, Lacking []string
	// UnderWay tells whether ClickHouse works on an insert of the range.
	UnderWay bool
}

// LandedOf looks what is there of a range's block for a table; token is what those of inserts of the range begin with. It
// does not ask what ClickHouse remembers of tokens: the rows name their offsets, and each rollup says how far it has come in
// each partition. It is right as long as the ranges of a partition are inserted one after the other.
func LandedOf(ctx context.Context, client *Client, table string, r Range, token string) (Landed, error) {
	var landed Landed
	err := underWay(ctx, client, token, &landed.UnderWay)
	if err != nil {
		return landed, err
	}
	if _, _, stored := offsetsOf(table); stored {
		if landed.Rows, err = rowsOf(ctx, client, table, r); err != nil {
			return landed, err
		}
	}
	views, err := behind(ctx, client, table)
	if err != nil {
		return landed, err
	}
	if table == feedQuality {
		views = append(views, RollupView{Name: feedQuality, Target: feedQuality, Columns: []string{"hour"}})
	}
	for _, v := range views {
		position, err := v.position(ctx, client, r.Topic, r.Partition)
		if err != nil {
			return landed, err
		}
		if position > r.First {
			landed.Holding = append(landed.Holding, v.Name)
		} else {
			landed.Lacking = append(landed.Lacking, v.Name)
		}
	}
	return landed, nil
}

// FillRollups lets views count a range that their rollups lack, from the rows in the tables that they see. Each goes in as
// one part or not at all.
func FillRollups(ctx context.Context, client *Client, views []string, r Range, token string) error {
	all, err := RollupViews(ctx, client)
	if err != nil {
		return err
	}
	for _, view := range views {
		i := slices.IndexFunc(all, func(v RollupView) bool { return v.Name == view })
		if i < 0 {
			return fmt.Errorf("filling a rollup: there is no view %s", view)
		}
		first, last, _ := offsetsOf(all[i].Source)
		if err := all[i].fill(ctx, client, "SELECT * FROM "+all[i].Source+" WHERE "+r.rows(first, last), token); err != nil {
			return err
		}
	}
	return nil
}

// RemoveRange takes the rows of a range out of a table, if there are fewer than whole; rollups behind it keep what they
// have. It returns when the rows are gone.
func RemoveRange(ctx context.Context, client *Client, table string, r Range, whole uint64) error {
	first, last, stored := offsetsOf(table)
	if !stored {
		return nil
	}
	settings := clickhouse.Settings{"lightweight_deletes_sync": 2, "mutations_sync": 2}
	if err := client.Conn().Exec(clickhouse.Context(ctx, clickhouse.WithSettings(settings)),
		fmt.Sprintf("DELETE FROM %[1]s WHERE %[2]s AND (SELECT count() FROM %[1]s WHERE %[2]s) < %[3]d", table, r.rows(first, last), whole)); err != nil {
		return fmt.Errorf("removing rows of %s/%d from %s: %w", r.Topic, r.Partition, table, err)
	}
	return nil
}

// restorePrefix begins the names of tables that rows are restored by.
const restorePrefix = "restore_"

// RestoreRange puts rows of a range into a table as files, so that no view sees them: insert puts them into a table that
// is like it. None of the range may be in the table.
func RestoreRange(ctx context.Context, client *Client, table string, r Range, insert func(ctx context.Context, into string) error) error {
	name := restorePrefix + fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s %s %d", table, r.Topic, r.Partition)))[:16]
	exec := func(statement string) error {
		if err := client.Conn().Exec(ctx, statement); err != nil {
			return fmt.Errorf("restoring rows of %s/%d in %s: %w", r.Topic, r.Partition, table, err)
		}
		return nil
	}
	for _, statement := range []string{"DROP TABLE IF EXISTS " + name + " SYNC", "CREATE TABLE " + name + " AS " + table} {
		if err := exec(statement); err != nil {
			return err
		}
	}
	if err := insert(ctx, name); err != nil {
		return err
	}
	var parts []string
	err := client.Conn().QueryRow(ctx, "SELECT groupUniqArray(_partition_id) FROM "+name).Scan(&parts)
	if err != nil {
		return fmt.Errorf("restoring rows of %s/%d in %s: %w", r.Topic, r.Partition, table, err)
	}
	there, err := rowsOf(ctx, client, table, r)
	if err != nil {
		return err
	}
	if there > 0 {
		return fmt.Errorf("restoring rows of %s/%d in %s: it has %d of them by now", r.Topic, r.Partition, table, there)
	}
	for _, part := range parts {
		if err := exec("ALTER TABLE " + table + " ATTACH PARTITION ID " + Quote(part) + " FROM " + name); err != nil {
			return err
		}
	}
	return exec("DROP TABLE " + name + " SYNC")
}

// IsRestore tells whether a table is one that rows are just restored by.
func IsRestore(table string) bool { return strings.HasPrefix(table, restorePrefix) }

// Deletes are the statements that remove a range from all raw tables.
func (r Range) Deletes() []string {
	var statements []string
	for _, t := range offsets {
		statements = append(statements, "DELETE FROM "+t.table+" WHERE "+r.rows(t.first, t.last))
	}
	return statements
}

// fill inserts what the view makes of rows into its rollup.
func (v RollupView) fill(ctx context.Context, client *Client, rows, token string) error {
	// It may be remembered under the token, and not be there.
	settings := InsertSelectSettings(token + "/filled")
	if v.Name == dossierState { // a row replaces an equal one, so it may as well be there twice; better than remembered in vain
		delete(settings, "insert_deduplication_token")
		delete(settings, "deduplicate_insert_select")
		settings["insert_deduplicate"] = 0
	}
	settings["max_threads"] = 1 // so that it is one block
	settings["max_insert_threads"] = 1
	err := client.Conn().Exec(clickhouse.Context(ctx, clickhouse.WithSettings(settings)), "INSERT INTO "+v.Target+" ("+strings.Join(v.Columns, ", ")+") "+v.Over(rows))
	if err != nil {
		return fmt.Errorf("filling %s: %w", v.Target, err)
	}
	return nil
}

// underWay finds out whether an insert with the token, or with one that begins with it, runs.
func underWay(ctx context.Context, client *Client, token string, is *bool) error {
	err := client.Conn().QueryRow(ctx, "SELECT count() > 0 FROM system.processes WHERE query_kind = 'Insert' AND startsWith(Settings['insert_deduplication_token'], ?)", token).Scan(is)
	if err != nil {
		return fmt.Errorf("looking for inserts under way: %w", err)
	}
	return nil
}

// behind are the views that count what is inserted into a table, with positions. It is an error where one is missing.
func behind(ctx context.Context, client *Client, table string) ([]RollupView, error) {
	if len(ours[table]) == 0 {
		return nil, nil
	}
	views, err := SchemaViews(ctx, client, table)
	return slices.DeleteFunc(views, func(v RollupView) bool { return v.Name == dossierState }), err
}

// FillDossiers completes an ApplyDossiers that ClickHouse may have the token of no more: it fills the rollups of the
// views, which lack the range, and the state of dossiers, which does not say. Each goes in as one part or not at all.
func FillDossiers(ctx context.Context, client *Client, touched TouchedDossiers, views []string) error {
	all, err := SchemaViews(ctx, client, "dossier_changes")
	if err != nil {
		return err
	}
	columns, err := changeColumns(ctx, client)
	if err != nil {
		return err
	}
	changes, err := ext.NewTable("changes", columns...)
	if err != nil {
		return fmt.Errorf("building the table of dossier changes: %w", err)
	}
	changed, err := touched.changes(ctx, client, func() (appender, error) { return changes, nil })
	if err != nil || !changed {
		return err
	}
	for _, v := range all {
		if slices.Contains(views, v.Name) || v.Name == dossierState {
			if err := v.fill(clickhouse.Context(ctx, clickhouse.WithExternalTable(changes)), client, "SELECT * FROM changes", touched.Token); err != nil {
				return err
			}
		}
	}
	return nil
}

// changeColumns are the columns of dossier_changes.
func changeColumns(ctx context.Context, client *Client) ([]func(*ext.Table) error, error) {
	rows, err := client.Conn().Query(ctx, "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = 'dossier_changes' ORDER BY position")
	if err != nil {
		return nil, fmt.Errorf("reading the columns of dossier_changes: %w", err)
	}
	columns, err := Collect(rows, func(c *func(*ext.Table) error) error {
		var name, kind string
		err := rows.Scan(&name, &kind)
		*c = ext.Column(name, column.Type(kind))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the columns of dossier_changes: %w", err)
	}
	return columns, nil
}
