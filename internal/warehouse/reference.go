package warehouse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"ioc.local/internal/reference"
)

// openEnd is the last day that a ClickHouse Date can hold; it stands for "still in force".
var openEnd = time.Date(2149, 6, 6, 0, 0, 0, 0, time.UTC)

// calendarYears is how far the calendar reaches beyond the years whose holidays are known, so that
// legal limits that end there are still counted (on weekends alone).
const calendarYears = 3

// ReferenceVersions name the reference data that a process works with. Rows of other versions may
// stand beside them while processes are upgraded.
type ReferenceVersions struct {
	// Savings is the version of savings_coefficients.
	Savings string
	// Calendar is the version of working_calendar.
	Calendar string
}

// LoadReference fills the reference tables from data and returns the versions that it wrote. It may run
// any number of times and from several processes at once: equal rows replace each other.
func LoadReference(ctx context.Context, client *Client, data *reference.Data) (ReferenceVersions, error) {
	versions := ReferenceVersions{Savings: data.Coefficients().Version()}
	var provinces, services, savings [][]any
	for _, p := range data.Provinces34() {
		provinces = append(provinces, []any{"gso34", p.Code, p.NameVI, p.NameEN, p.Code})
	}
	for _, p := range data.Provinces63() {
		code34, ok := data.ProvinceOf(reference.GSO63, p.Code)
		if !ok {
			return versions, fmt.Errorf("province %s of the 63-scheme has no province in the 34-scheme", p.Code)
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
		savings = append(savings, []any{versions.Savings, c.ServiceID, dateOf(c.ValidFrom), to, c.Saving(), c.SourceRef, c.Confidence})
	}
	calendar := data.Calendar()
	var days [][]any
	hash := sha256.New()
	for _, d := range calendar.Days(calendar.Start(), calendar.End().AddDate(calendarYears, 0, 1)) {
		working := uint8(0)
		if d.Working {
			working = 1
		}
		fmt.Fprintf(hash, "%s %d\n", d.Date.Format(time.DateOnly), working)
		days = append(days, []any{"", dateOf(d.Date), working, uint32(d.Ordinal)})
	}
	versions.Calendar = hex.EncodeToString(hash.Sum(nil))[:12]
	for _, day := range days {
		day[0] = versions.Calendar
	}
	if present, err := referencePresent(ctx, client, versions); err != nil || present {
		return versions, err
	}
	for _, table := range []struct {
		name string
		rows [][]any
	}{{"provinces", provinces}, {"services", services}, {"savings_coefficients", savings}, {"working_calendar", days}} {
		if err := insertRows(ctx, client, table.name, table.rows); err != nil {
			return versions, err
		}
	}
	return versions, nil
}

// referencePresent tells whether the tables hold these versions already. working_calendar is filled last,
// so its rows mean that the others are there.
func referencePresent(ctx context.Context, client *Client, versions ReferenceVersions) (bool, error) {
	var present bool
	row := client.Conn().QueryRow(ctx, `SELECT (SELECT count() > 0 FROM working_calendar WHERE version = ?)
		AND (SELECT count() > 0 FROM savings_coefficients WHERE version = ?)`, versions.Calendar, versions.Savings)
	if err := row.Scan(&present); err != nil {
		return false, fmt.Errorf("reading the versions of the reference tables: %w", err)
	}
	return present, nil
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
