package warehouse_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ioc.local/internal/warehouse"
)

// Every table that keeps rows of ranges is known with its offsets: where one is not, what landed of a block is not found.
func TestTablesOfRanges(t *testing.T) {
	client := migrated(t).Client
	rows, err := client.Conn().Query(t.Context(), `SELECT table, groupArray(name) FROM system.columns
		WHERE database = currentDatabase() AND table IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree')
			AND table NOT IN ('voided', 'dossier_order', 'topic_incarnations') -- what was done about ranges
		GROUP BY table HAVING countIf(name IN ('topic', 'partition')) = 2`)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	err = warehouse.Each(rows, func() error {
		var table string
		var columns []string
		err := rows.Scan(&table, &columns)
		for _, pair := range [][2]string{{"first_offset", "last_offset"}, {"record_offset", "record_offset"}, {"offset", "offset"}} {
			if slices.Contains(columns, pair[0]) {
				want = append(want, fmt.Sprintf("DELETE FROM %s WHERE topic = 't' AND partition = 3 AND %s >= 10 AND %s <= 20", table, pair[0], pair[1]))
				break
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	got := warehouse.Range{Topic: "t", Partition: 3, First: 10, Last: 20}.Deletes()
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The rows that say how far a rollup has come are found at the beginning of time, or by the family that the view counts.
func TestPositionRowsAreFound(t *testing.T) {
	client := migrated(t).Client
	const events = "(occurred_at, source, event_id, topic, partition, offset) VALUES (now64(3), '/s', 'e', 't', 0, 0)"
	for table, row := range map[string]string{
		"dossier_events": events, "auth_attempts": events, "data_queries": events, "eid_events": events, "register_events": events,
		"dossier_changes": "(registered_on, subject, sign, topic, position) VALUES (today(), 's', 1, '', 0), (0, '', 0, 't', 1)",
		"feed_quality":    "(topic, position) VALUES ('t', 1)",
	} {
		if err := client.Conn().Exec(t.Context(), "INSERT INTO "+table+" "+row); err != nil {
			t.Fatalf("%s: %v", table, err)
		}
		landed, err := warehouse.LandedOf(t.Context(), client, table, warehouse.Range{Topic: "t"}, "none")
		if err != nil {
			t.Fatal(err)
		}
		if len(landed.Holding) == 0 || len(landed.Lacking) > 0 {
			t.Errorf("offset 0 of %s is held by %q and lacked by %q", table, landed.Holding, landed.Lacking)
		}
	}
}
