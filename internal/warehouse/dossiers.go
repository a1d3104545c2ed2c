package warehouse

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
)

//go:embed dossier_changes.sql
var dossierChangesFile string

// dossierChanges gives the SELECT of dossier changes: of the rows that which admits, with and without
// those that fresh marks.
func dossierChanges(fresh, which string) string {
	text := dossierChangesFile[strings.Index(dossierChangesFile, "\nWITH"):] // without the leading comment
	return strings.NewReplacer("<fresh>", fresh, "<which>", which).Replace(text)
}

// dossierChangesOfRange is what one range changes; it reads the external table `touched` and the
// parameters topic, partition, first, last and calendar.
var dossierChangesOfRange = dossierChanges(
	"topic = {topic:String} AND partition = {partition:UInt32} AND offset >= {first:UInt64}",
	`(registered_on, subject) IN (SELECT registered_on, subject FROM touched)
                AND NOT (topic = {topic:String} AND partition = {partition:UInt32} AND offset > {last:UInt64})`)

// DossierStates is the SELECT of the state of all dossiers whose events the condition which admits, in the
// columns of dossier_changes with sign 1. It reads the parameters topic, partition, last and calendar,
// which give the columns topic, partition and position and the working calendar.
func DossierStates(which string) string { return dossierChanges("1", which) }

const dossierChangeColumns = `registered_on, subject, sign, version, accepted_at, ended_at, end_status, saved_at, due_at, overdue_at,
    supplements, supplement_ms, province, province63, agency_code, service_id, service_level, channel, portal,
    topic, partition, position, latest`

// TouchedDossiers names the dossiers that one range of a partition has events of.
type TouchedDossiers struct {
	// Topic is the incarnation name that the rows of the range carry.
	Topic string
	// Partition is the Kafka partition.
	Partition uint32
	// First and Last bound the range of offsets, both included.
	First, Last uint64
	// Token is the deduplication token of the range.
	Token string
	// Calendar is the version of the working calendar that legal limits are counted on.
	Calendar string
	// RegisteredOn and Subjects are the keys, pairwise; repeats are allowed. Dates are days since 1970-01-01.
	RegisteredOn []int32
	Subjects     []string
}

// ApplyDossiers adds the range's effect on the state of its dossiers to dossier_state and the cubes.
// The raw events of the range must be in dossier_events. The difference is a pure function of raw
// events up to the range's last offset, and goes in under the range's token: applying a range again
// adds only what an earlier attempt left out.
func ApplyDossiers(ctx context.Context, client *Client, touched TouchedDossiers) error {
	keys, err := ext.NewTable("touched", ext.Column("registered_on", "Date"), ext.Column("subject", "String"))
	if err != nil {
		return fmt.Errorf("building the table of touched dossiers: %w", err)
	}
	for i, subject := range touched.Subjects {
		if err := keys.Append(time.Unix(int64(touched.RegisteredOn[i])*86400, 0).UTC(), subject); err != nil {
			return fmt.Errorf("building the table of touched dossiers: %w", err)
		}
	}
	settings := InsertSettings(touched.Token)
	settings["deduplicate_insert_select"] = "force_enable"
	// The whole difference is one block, in every attempt.
	settings["max_threads"], settings["max_insert_threads"] = 1, 1
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(settings), clickhouse.WithExternalTable(keys),
		clickhouse.WithParameters(clickhouse.Parameters{
			"topic": touched.Topic, "partition": fmt.Sprint(touched.Partition),
			"first": fmt.Sprint(touched.First), "last": fmt.Sprint(touched.Last), "calendar": touched.Calendar,
		}))
	if err := client.Conn().Exec(ctx, "INSERT INTO dossier_changes ("+dossierChangeColumns+")\n"+dossierChangesOfRange); err != nil {
		return fmt.Errorf("inserting dossier changes: %w", err)
	}
	return nil
}

// InsertSettings are the settings of every insert of ingestion: synchronous, deduplicated by token in
// the table and in every rollup behind it, one block however large, any number of partitions.
func InsertSettings(token string) clickhouse.Settings {
	return clickhouse.Settings{
		"async_insert":               0,
		"insert_deduplicate":         1,
		"insert_deduplication_token": token,
		"deduplicate_blocks_in_dependent_materialized_views": 1,
		"materialized_views_ignore_errors":                   0,
		"max_block_size":                                     1_048_576,
		"max_insert_block_size":                              1_048_576,
		"min_insert_block_size_rows":                         1_048_576,
		"min_insert_block_size_bytes":                        1 << 30,
		"max_partitions_per_insert_block":                    0,
	}
}
