package warehouse

import "github.com/ClickHouse/clickhouse-go/v2"

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
