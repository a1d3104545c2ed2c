package warehouse

import "github.com/ClickHouse/clickhouse-go/v2"

// MinFreeDisk is the free space, in bytes, below which a disk of ClickHouse takes no insert of ingestion. A disk that
// is really full cannot even be mended: merges, which make room by dropping what has expired, write before they delete.
// So a rest is kept for them, and for the small tables that operators write to (ioc pause, ioc topics adopt). It is
// several times the largest range with its rollups, since ClickHouse does not count what the insert will write.
const MinFreeDisk = 1 << 30

// InsertSettings are the settings of every insert of ingestion: synchronous, deduplicated by token in
// the table and in every rollup behind it, one block however large, any number of partitions, and none
// when the disk is nearly full.
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
		"min_free_disk_bytes_to_perform_insert":              MinFreeDisk,
	}
}

// InsertSelectSettings are InsertSettings for an insert of what a query gives, which ClickHouse deduplicates only when told.
func InsertSelectSettings(token string) clickhouse.Settings {
	settings := InsertSettings(token)
	settings["deduplicate_insert_select"] = "force_enable"
	return settings
}
