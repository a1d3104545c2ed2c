package warehouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// TakeOutVoided brings the rollup of a view that counts (RollupView.Counts) from the batch of the table voided that it
// has come to, to the newest that there is, batch by batch. Any number of processes may do it at once.
func TakeOutVoided(ctx context.Context, client *Client, view RollupView, newest uint64) error {
	rows, err := client.Conn().Query(ctx, "SELECT DISTINCT batch FROM voided WHERE batch > ("+view.VoidedBatch()+") AND batch <= ? AND family = ? ORDER BY batch", newest, view.Source)
	if err != nil {
		return fmt.Errorf("reading the batches that %s lacks: %w", view.Target, err)
	}
	batches, err := Collect(rows, func(batch *uint64) error { return rows.Scan(batch) })
	if err != nil {
		return fmt.Errorf("reading the batches that %s lacks: %w", view.Target, err)
	}
	if len(batches) == 0 {
		return nil
	}
	var again uint64
	if err := client.Conn().QueryRow(ctx, view.again()).Scan(&again); err != nil {
		return fmt.Errorf("reading how often %s has lost its voids: %w", view.Target, err)
	}
	for _, batch := range batches {
		if err := takeOut(ctx, client, view, batch, again); err != nil {
			return fmt.Errorf("taking batch %d of voided out of %s: %w", batch, view.Target, err)
		}
	}
	return nil
}

// takeOut takes a batch out of a rollup, unless it is out by the time that the server looks: a process that was held
// up may come late. The token is for two that come in the same moment; where a rebuild has put back what was out, it is
// another than before, which is remembered.
func takeOut(ctx context.Context, client *Client, view RollupView, batch, again uint64) error {
	which := fmt.Sprintf("FROM voided WHERE batch = %d AND family = '%s'", batch, view.Source)
	rows := fmt.Sprintf("SELECT * FROM %s WHERE (source, event_id) IN (SELECT source, event_id %s) AND (topic, partition, offset) IN (SELECT topic, partition, offset %s) AND (%s) < %d AND (%s) = %d",
		view.Source, which, which, view.VoidedBatch(), batch, view.again(), again)
	token := fmt.Sprintf("void/%d", batch)
	if again > 0 {
		token = fmt.Sprintf("void/%d/%d", batch, again)
	}
	settings := InsertSelectSettings(token)
	settings["max_insert_threads"] = 1
	return client.Conn().Exec(clickhouse.Context(ctx, clickhouse.WithSettings(settings)),
		"INSERT INTO "+view.Target+" ("+strings.Join(view.Columns, ", ")+") "+view.Minus(rows, fmt.Sprint(batch)))
}
