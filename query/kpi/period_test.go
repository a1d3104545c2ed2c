package kpi

import (
	"errors"
	"net/url"
	"testing"
	"time"
)

func TestPeriods(t *testing.T) {
	for _, test := range []struct{ period, asOf, from, before, elapsed string }{
		{PeriodToday, "2026-11-21T10:30", "2026-11-21", "2026-11-20", "2026-11-20T10:30"},
		{Period7d, "2026-11-21T10:30", "2026-11-15", "2026-11-08", "2026-11-14T10:30"},
		{PeriodMonth, "2026-11-21T10:30", "2026-11-01", "2026-10-01", "2026-10-21T10:30"},
		{PeriodMonth, "2026-03-31T10:30", "2026-03-01", "2026-02-01", "2026-03-01"}, // February is shorter
		{PeriodMonth, "2026-01-01", "2026-01-01", "2025-12-01", "2025-12-01"},
		{PeriodQuarter, "2026-11-21T10:30", "2026-10-01", "2026-07-01", "2026-08-21T10:30"},
		{PeriodQuarter, "2026-03-31T23:59", "2026-01-01", "2025-10-01", "2025-12-29T23:59"},
		{PeriodYTD, "2026-11-21T10:30", "2026-01-01", "2025-01-01", "2025-11-21T10:30"},
		{PeriodYTD, "2024-12-31T10:00", "2024-01-01", "2023-01-01", "2024-01-01"}, // a leap year
		{Period365d, "2026-11-21T10:30", "2025-11-22", "2024-11-22", "2025-11-21T10:30"},
		{PeriodAll, "2026-11-21T10:30", "2022-01-01", "", ""},
	} {
		asOf := local(t, test.asOf)
		from := periodStart(test.period, asOf.UTC())
		if !from.Equal(local(t, test.from)) {
			t.Errorf("%s at %s starts %s, expected %s", test.period, test.asOf, from, test.from)
		}
		before, elapsed, ok := periodBefore(test.period, from, asOf)
		if ok != (test.before != "") {
			t.Errorf("%s has a period before: %v", test.period, ok)
		}
		if ok && (!before.Equal(local(t, test.before)) || !elapsed.Equal(local(t, test.elapsed))) {
			t.Errorf("before %s at %s: %s, elapsed until %s; expected %s, %s", test.period, test.asOf, before, elapsed, test.before, test.elapsed)
		}
	}
}

func TestGrains(t *testing.T) {
	at := local(t, "2026-11-22T23:59:59.999") // a Sunday
	for _, test := range []struct{ grain, floor, next string }{
		{"minute", "2026-11-22T23:59", "2026-11-23"},
		{"hour", "2026-11-22T23:00", "2026-11-23"},
		{"day", "2026-11-22", "2026-11-23"},
		{"week", "2026-11-16", "2026-11-23"},
		{"month", "2026-11-01", "2026-12-01"},
	} {
		g, ok := parseGrain(test.grain)
		if !ok {
			t.Fatalf("grain %s is unknown", test.grain)
		}
		floor, next := g.floor(at.UTC()), g.next(at.UTC())
		if !floor.Equal(local(t, test.floor)) || !next.Equal(local(t, test.next)) {
			t.Errorf("%s of %s: %s to %s, expected %s to %s", test.grain, at, floor, next, test.floor, test.next)
		}
		if !g.aligned(floor) || g.aligned(at) || g.next(floor) != next {
			t.Errorf("%s: the floor should be aligned and have the same next", test.grain)
		}
	}
	if got := week.buckets(local(t, "2026-11-01"), local(t, "2026-11-17"), 100); len(got) != 4 || !got[0].Equal(local(t, "2026-10-26")) {
		t.Errorf("weeks that meet 1 to 16 November: %v", got)
	}
	if got := minute.buckets(beginning, beginning.AddDate(5, 0, 0), 7); len(got) != 8 {
		t.Errorf("%d buckets come back of a limit of 7: one more should show the excess, and no more", len(got))
	}
}

func TestParseQueryGivesWhatWasChecked(t *testing.T) {
	cat, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	q, err := ParseQuery(cat, "dossiers_received", url.Values{"province": {"79,01,79"}, "at": {"2026-11-21T00:00:00 07:00"}}, national)
	if err != nil {
		t.Fatal(err)
	}
	if q.Period != PeriodMonth || q.Scheme != SchemeGSO34 || len(q.Filters["province"]) != 2 || q.Filters["province"][0] != "01" {
		t.Errorf("defaults are missing or codes are not in order: %+v", q)
	}
	if !q.At.Equal(time.Date(2026, 11, 20, 17, 0, 0, 0, time.UTC)) {
		t.Errorf("a plus sign that arrived as a space gave %s", q.At)
	}
}

// FuzzParseDefinition: no file makes the parser panic, and every refusal names a place.
func FuzzParseDefinition(f *testing.F) {
	f.Add(ownKPI)
	files, err := embedded.ReadDir("catalogue")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := embedded.ReadFile("catalogue/" + file.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	known := map[string]*source{}
	for _, s := range sources() {
		known[s.name] = s
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDefinition("own_rate.yaml", []byte(text), known)
		if err == nil {
			d.Hash("")
			return
		}
		if e, ok := errors.AsType[*FileError](err); !ok || e.Line < 1 || e.Column < 1 || e.Detail == "" {
			t.Errorf("error without a place: %v", err)
		}
	})
}
