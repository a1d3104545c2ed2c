package warehouse

import (
	"context"
	"fmt"
	"time"

	"ioc.local/internal/reference"
)

// openEnd is the last day that a ClickHouse Date can hold; it stands for "still in force".
var openEnd = time.Date(2149, 6, 6, 0, 0, 0, 0, time.UTC)

// LoadReference fills the reference tables, which analysts join, from data. It may run any number of times
// and from several processes at once: equal rows replace each other.
func LoadReference(ctx context.Context, client *Client, data *reference.Data) error {
	var provinces, services, savings [][]any
	for _, p := range data.Provinces34() {
		provinces = append(provinces, []any{"gso34", p.Code, p.NameVI, p.NameEN, p.Code})
	}
	for _, p := range data.Provinces63() {
		code34, ok := data.ProvinceOf(reference.GSO63, p.Code)
		if !ok {
			return fmt.Errorf("province %s of the 63-scheme has no province in the 34-scheme", p.Code)
		}
		provinces = append(provinces, []any{"gso63", p.Code, p.NameVI, p.NameEN, code34})
	}
	for _, s := range data.Services() {
		services = append(services, []any{s.ID, s.NameVI, s.NameEN, s.Ministry2025})
	}
	for _, c := range data.Coefficients().All() {
		to := openEnd
		if !c.ValidTo.IsZero() {
			to = dateOf(c.ValidTo)
		}
		savings = append(savings, []any{data.Coefficients().Version(), c.ServiceID, dateOf(c.ValidFrom), to, c.Saving(), c.SourceRef, c.Confidence})
	}
	calendar := data.Calendar()
	var days [][]any
	for _, d := range calendar.Days(calendar.Start(), calendar.End().AddDate(0, 0, 1)) {
		working := uint8(0)
		if d.Working {
			working = 1
		}
		days = append(days, []any{dateOf(d.Date), working, uint32(d.Ordinal)})
	}
	for _, table := range []struct {
		name string
		rows [][]any
	}{{"provinces", provinces}, {"services", services}, {"savings_coefficients", savings}, {"working_calendar", days}} {
		if err := insertRows(ctx, client, table.name, table.rows); err != nil {
			return err
		}
	}
	return nil
}

// dateOf is the calendar day of t as ClickHouse's driver wants it: midnight UTC.
func dateOf(t time.Time) time.Time {
	year, month, day := t.In(reference.TimeZone()).Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

func insertRows(ctx context.Context, client *Client, table string, rows [][]any) error {
	batch, err := client.Conn().PrepareBatch(ctx, "INSERT INTO "+table)
	if err != nil {
		return fmt.Errorf("filling %s: %w", table, err)
	}
	defer func() { _ = batch.Close() }()
	for _, row := range rows {
		if err := batch.Append(row...); err != nil {
			return fmt.Errorf("filling %s: %w", table, err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("filling %s: %w", table, err)
	}
	return nil
}
