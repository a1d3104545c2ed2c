package warehouse_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"ioc.local/internal/warehouse"
)

// TestDiskFull sets the floor above what any disk has: the real engine refuses the insert, and a rollup behind it, in a
// way that is recognised, and takes it when there is room again. Merges go on meanwhile.
func TestDiskFull(t *testing.T) {
	client := migrated(t).Client
	exec := func(statement string) error {
		t.Helper()
		ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(warehouse.InsertSettings("")))
		return client.Conn().Exec(ctx, statement)
	}
	must := func(statement string) {
		t.Helper()
		if err := exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	must("CREATE TABLE raw (n UInt64) ENGINE = MergeTree ORDER BY n")
	must("CREATE TABLE rollup (n UInt64) ENGINE = MergeTree ORDER BY n")
	must("CREATE MATERIALIZED VIEW rollup_mv TO rollup AS SELECT n FROM raw")
	must("INSERT INTO raw VALUES (1)")
	for _, table := range []string{"raw", "rollup"} {
		must("ALTER TABLE " + table + " MODIFY SETTING min_free_disk_bytes_to_perform_insert = 1000000000000000")
		err := exec("INSERT INTO raw VALUES (2)")
		if !warehouse.DiskFull(err) || !warehouse.Retryable(err) {
			t.Errorf("%s is full, and the insert gave %v, which is not taken for that", table, err)
		}
		must("OPTIMIZE TABLE " + table + " FINAL")
		must("ALTER TABLE " + table + " RESET SETTING min_free_disk_bytes_to_perform_insert")
		must("INSERT INTO raw VALUES (3)")
	}
}

// TestInsertsKeepAFloor: the engine knows the floor that ingestion sends.
func TestInsertsKeepAFloor(t *testing.T) {
	ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(warehouse.InsertSettings("")))
	var floor uint64
	if err := migrated(t).Client.Conn().QueryRow(ctx, "SELECT toUInt64(getSetting('min_free_disk_bytes_to_perform_insert'))").Scan(&floor); err != nil || floor != warehouse.MinFreeDisk {
		t.Errorf("the floor is %d, %v, want %d", floor, err, warehouse.MinFreeDisk)
	}
}

// TestDiskFullByTheSystem recognises what the operating system says through ClickHouse.
func TestDiskFullByTheSystem(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&clickhouse.Exception{Code: 75, Message: "Cannot write to file descriptor: /store/x: , errno: 28, strerror: No space left on device"}, true},
		{&clickhouse.Exception{Code: 1001, Message: "std::filesystem: filesystem error: No space left on device"}, true},
		{&clickhouse.Exception{Code: 75, Message: "Cannot write to file descriptor: Input/output error"}, false},
		{errors.New("No space left on device"), false}, // of this machine, not of ClickHouse's
		{nil, false},
	} {
		wrapped := c.err
		if wrapped != nil {
			wrapped = fmt.Errorf("sending the block: %w", wrapped)
		}
		if got := warehouse.DiskFull(wrapped); got != c.want {
			t.Errorf("DiskFull(%v) is %t", wrapped, got)
		}
		if got := warehouse.Retryable(wrapped); c.want && !got {
			t.Errorf("%v should be retryable", wrapped)
		}
	}
}
