package kpi

import (
	"context"
	"testing"
)

// fill puts about a year of the country into the rollups: 84,000 dossiers a day in 25 services, and authentications.
func fill(b *testing.B, w *world) {
	b.Helper()
	for _, sql := range []string{
		`INSERT INTO dossier_days (day, province, province63, service_id, channel, topic, partition, n, position, latest) SELECT toDate('2026-11-21') - intDiv(number, 4725) AS day, toString(10 + number % 63 % 34) AS province, toString(10 + number % 63) AS province63,
			concat('DA06-', leftPad(toString(1 + intDiv(number, 63) % 25), 2, '0')) AS service_id, 1 + intDiv(number, 1575) % 3 AS channel, '', 0, 18, 0, 0 FROM numbers(365 * 4725)`,
		`INSERT INTO dossier_service_days (day, province, province63, service_id, channel, n) SELECT day, province, province63, service_id, channel, sum(d.n) FROM dossier_days AS d GROUP BY day, province, province63, service_id, channel`,
		// Of each day 1 in 20 dossiers has a moment of its own at which it became late, and those of the last week are open.
		`INSERT INTO dossier_deadlines (day, province, province63, service_id, overdue_at, topic, partition, n, position, latest) SELECT toDate('2026-11-21') - intDiv(number, 5775) AS day, toString(10 + number % 63 % 34) AS province, toString(10 + number % 63) AS province63,
			concat('DA06-', leftPad(toString(1 + intDiv(number, 63) % 25), 2, '0')) AS service_id,
			if(number % 5775 < 1575, toDateTime64('2199-12-30 00:00:00', 3, 'Asia/Ho_Chi_Minh'), toDateTime64(day + 5, 3, 'Asia/Ho_Chi_Minh') + number % 864000 / 10), '', 0, if(number % 5775 < 1575, 50, 1), 0, 0 FROM numbers(365 * 5775)`,
		`INSERT INTO dossier_deadlines (day, province, province63, service_id, overdue_at, topic, partition, n, position, latest) SELECT toDate('2026-11-21') - intDiv(number, 80000) AS day, toString(10 + number % 34) AS province, 'x', concat('DA06-', leftPad(toString(1 + number % 25), 2, '0')),
			toDateTime64(day + 5, 3, 'Asia/Ho_Chi_Minh') + number % 864000 / 10, '', 0, 1, 0, 0 FROM numbers(7 * 80000)`,
		`INSERT INTO dossier_savings SELECT toDate('2026-11-21') - intDiv(number, 1575) AS day, toString(10 + number % 63 % 34) AS province, toString(10 + number % 63) AS province63,
			concat('DA06-', leftPad(toString(1 + intDiv(number, 63) % 25), 2, '0')), '', 0, 30, 0, 0 FROM numbers(365 * 1575)`,
		`INSERT INTO auth_days SELECT toDate('2026-11-21') - intDiv(number, 40000) AS day, toString(10 + number % 34) AS province, 'x', concat('DA06-', leftPad(toString(1 + number % 25), 2, '0')),
			concat('G', toString(number % 40)), 2, 1 + number % 9, '', 0, 100, 0, 0 FROM numbers(60 * 40000)`,
		`INSERT INTO eid_days (day, province, province63, type, account_action, eid_level, document_kind, document_action, n)
			SELECT toDate('2026-11-21') - intDiv(number, 680) AS day, toString(10 + number % 34) AS province, 'x', if(number % 20 < 10, 'eid.account', 'wallet.document'),
			number % 20 % 8, 1 + number % 2, number % 20 % 7, number % 20 % 5, 50 FROM numbers(365 * 680)`,
		// Each province reports 20 rules a day; a register of 34 provinces and the nation with 76 services; 2,000 tasks.
		`INSERT INTO register_events (type, subject, occurred_at, source, event_id, province, province63, database, criterion, quality_field, rule_id, evaluated, passing, topic, partition, offset)
			SELECT 'data.quality', 'q', toDateTime64('2026-11-21 00:00:00', 3, 'Asia/Ho_Chi_Minh') - intDiv(number, 680) * 86400, '/popdb/G01', concat('q', toString(number)), toString(10 + number % 34), 'x',
			concat('db', toString(number % 3)), 1 + number % 5, concat('f', toString(number % 4)), concat('R', toString(intDiv(number % 680, 34))), 1000, 900, 'bench', 0, number FROM numbers(365 * 680)`,
		`INSERT INTO register_events (type, subject, occurred_at, source, event_id, province, province63, service_id, list, level, topic, partition, offset)
			SELECT 'service.catalog', 's', toDateTime64('2026-11-01 00:00:00', 3, 'Asia/Ho_Chi_Minh'), '/npsp/G22', concat('s', toString(number)), if(number % 35 = 0, '', toString(10 + number % 35)), 'x',
			concat('S', toString(intDiv(number, 35))), 1 + intDiv(number, 35) % 3, 1 + number % 3, 'bench', 1, number FROM numbers(35 * 76)`,
		`INSERT INTO register_events (type, subject, occurred_at, source, event_id, task_status, lead_agency, due_at, topic, partition, offset)
			SELECT 'task.status', concat('t', toString(number % 2000)), toDateTime64('2026-11-01 00:00:00', 3, 'Asia/Ho_Chi_Minh'), '/task_force/G01', concat('t', toString(number)), 1 + number % 5, 'G01',
			toDateTime64('2026-10-01 00:00:00', 3, 'Asia/Ho_Chi_Minh'), 'bench', 2, number FROM numbers(8000)`,
	} {
		if err := w.db.Client.Conn().Exec(context.Background(), sql); err != nil {
			b.Fatal(err)
		}
	}
	country(w, 9)
}

// BenchmarkTick is a tick in which every source moved, over a year of the country: all KPIs in 35 scopes.
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
			read, err := w.e.readPositions(b.Context(), w.e.sourceNames)
			if err != nil {
				b.Fatal(err)
			}
			items := w.e.items(source)
			for b.Loop() {
				if _, err := w.e.evaluateSource(b.Context(), items, read); err != nil {
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
