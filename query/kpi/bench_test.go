package kpi

import (
	"context"
	"testing"
)

// fill puts about a year of the country into the rollups: 84,000 dossiers a day in 25 services, and authentications.
func fill(b *testing.B, w *world) {
	b.Helper()
	for _, sql := range []string{
		`INSERT INTO dossier_days SELECT toDate('2026-11-21') - intDiv(number, 4725) AS day, toString(10 + number % 63 % 34) AS province, toString(10 + number % 63) AS province63,
			concat('DA06-', leftPad(toString(1 + intDiv(number, 63) % 25), 2, '0')) AS service_id, 1 + intDiv(number, 1575) % 3 AS channel, '', 0, 18, 0, 0 FROM numbers(365 * 4725)`,
		// Of each day 1 in 20 dossiers has a moment of its own at which it became late, and those of the last week are open.
		`INSERT INTO dossier_deadlines SELECT toDate('2026-11-21') - intDiv(number, 5775) AS day, toString(10 + number % 63 % 34) AS province, toString(10 + number % 63) AS province63,
			concat('DA06-', leftPad(toString(1 + intDiv(number, 63) % 25), 2, '0')) AS service_id,
			if(number % 5775 < 1575, toDateTime64('2199-12-30 00:00:00', 3, 'Asia/Ho_Chi_Minh'), toDateTime64(day + 5, 3, 'Asia/Ho_Chi_Minh') + number % 864000 / 10), '', 0, if(number % 5775 < 1575, 50, 1), 0, 0 FROM numbers(365 * 5775)`,
		`INSERT INTO dossier_deadlines SELECT toDate('2026-11-21') - intDiv(number, 80000) AS day, toString(10 + number % 34) AS province, 'x', concat('DA06-', leftPad(toString(1 + number % 25), 2, '0')),
			toDateTime64(day + 5, 3, 'Asia/Ho_Chi_Minh') + number % 864000 / 10, '', 0, 1, 0, 0 FROM numbers(7 * 80000)`,
		`INSERT INTO dossier_savings SELECT toDate('2026-11-21') - intDiv(number, 1575) AS day, toString(10 + number % 63 % 34) AS province, toString(10 + number % 63) AS province63,
			concat('DA06-', leftPad(toString(1 + intDiv(number, 63) % 25), 2, '0')), '', 0, 30, 0, 0 FROM numbers(365 * 1575)`,
		`INSERT INTO auth_days SELECT toDate('2026-11-21') - intDiv(number, 40000) AS day, toString(10 + number % 34) AS province, 'x', concat('DA06-', leftPad(toString(1 + number % 25), 2, '0')),
			concat('G', toString(number % 40)), 2, 1 + number % 9, '', 0, 100, 0, 0 FROM numbers(60 * 40000)`,
	} {
		if err := w.db.Client.Conn().Exec(context.Background(), sql); err != nil {
			b.Fatal(err)
		}
	}
	country(w, 9)
}

// BenchmarkTick is a tick in which every source moved, over a year of the country: 8 KPIs in 35 scopes.
func BenchmarkTick(b *testing.B) {
	w := newWorld(b, local(b, "2026-11-21T10:00"))
	fill(b, w)
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			clear(w.e.published)
			if err := w.e.tick(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("quiet", func(b *testing.B) {
		for b.Loop() {
			if err := w.e.tick(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, source := range w.e.sourceNames {
		b.Run(source, func(b *testing.B) {
			latest, _ := w.e.lastLatest(source)
			items := w.e.items(source)
			for b.Loop() {
				if _, err := w.e.evaluateSource(b.Context(), items, latest); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAnswer is a question that the publication answers.
func BenchmarkAnswer(b *testing.B) {
	w := newWorld(b, local(b, "2026-11-21T10:00"))
	country(w, 9)
	if err := w.e.tick(b.Context()); err != nil {
		b.Fatal(err)
	}
	q := Query{KPI: "on_time_rate", By: []string{"province"}, Scope: national}
	for b.Loop() {
		if _, err := w.e.Answer(b.Context(), q); err != nil {
			b.Fatal(err)
		}
	}
}
