package kpi

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"
)

// tableOfCounts makes tallies of the counts by code, two a cell, as a national question by province has them.
func tableOfCounts(counts map[string][2]int64) *tallies {
	t := &tallies{}
	for _, code := range slices.Sorted(maps.Keys(counts)) {
		c := counts[code]
		if c == [2]int64{} {
			continue
		}
		t.rows = append(t.rows, tallyRow{[]string{code}, tally{numerator: c[0], denominator: c[1], base: 1}})
		t.total.numerator += c[0]
		t.total.denominator += c[1]
	}
	return t
}

var (
	oneCount  = &Definition{Kind: KindCumulative, Sensitive: true, MinCell: 10}
	twoCounts = &Definition{Kind: KindCumulative, Sensitive: true, MinCell: 10, denominator: &expression{}}
)

// TestNothingHiddenCanBeComputed: a small count is hidden, and so much with it that what the total and the shown counts
// leave over is no small count; and nothing is hidden without need.
func TestNothingHiddenCanBeComputed(t *testing.T) {
	cat, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	provinces := slices.Sorted(maps.Keys(cat.province))
	small := func(n int64) bool { return n > 0 && n < 10 }
	rapid.Check(t, func(t *rapid.T) {
		counts := map[string][2]int64{}
		count := rapid.OneOf(rapid.Int64Range(0, 12), rapid.Just[int64](0), rapid.Int64Range(0, 1000))
		for _, code := range append(slices.Clone(provinces), "") {
			counts[code] = [2]int64{count.Draw(t, code+" numerator"), count.Draw(t, code+" denominator")}
		}
		hidden := map[*Definition]map[string]bool{}
		for _, def := range []*Definition{oneCount, twoCounts} {
			got := tableOfCounts(counts)
			got.protect(def, provinces)
			left := got.total.counts(def)
			is := map[string]bool{}
			for _, row := range got.rows {
				if row.tally.hidden {
					is[row.codes[0]] = true
				}
			}
			hidden[def] = is
			smallOnes := 0
			for code, c := range counts {
				for part := range left {
					if small(c[part]) {
						smallOnes++
						if !is[code] {
							t.Fatalf("%d in %q is shown", c[part], code)
						}
					}
					if !is[code] {
						left[part] -= c[part]
					}
				}
			}
			if smallOnes == 0 && (len(is) > 0 || got.total.hidden) {
				t.Fatalf("%v are hidden, though nothing is small", is)
			}
			if len(is) == 1 {
				t.Fatal("one cell is hidden alone, so that the total gives it away")
			}
			for part, n := range left {
				if small(n) && !got.total.hidden {
					t.Fatalf("the total and what is shown give away %d in part %d", n, part)
				}
			}
			if got.total.hidden != slices.ContainsFunc(got.total.counts(def), small) {
				t.Fatalf("the total %v is hidden: %v", got.total.counts(def), got.total.hidden)
			}
		}
		// The KPI of the first count alone hides no cell that the KPI of both shows: else one would give away the other.
		for code := range hidden[oneCount] {
			if !hidden[twoCounts][code] {
				t.Fatalf("%q is hidden in one KPI and shown in another", code)
			}
		}
	})
}

// TestSuppressedOnEveryFace: what is published holds nothing that is hidden, neither in values nor in rows, ranks, metrics
// and the rows for SQL.
func TestSuppressedOnEveryFace(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	w := newWorld(t, local(t, "2026-11-21T10:00"), func(_ *Config, deps *Deps) { deps.Registry = registry })
	for i, n := range []int{50, 3, 20} {
		w.load(ev("wallet.document", fmt.Sprintf("times=%d subject=a time=2026-11-20T08:00 kind=health_book action=created province=%s", n, []string{"01", "04", "11"}[i])))
	}
	if err := w.e.tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]string{"01": "50", "04": "null", "08": "null", "11": "null", "79": "null"} {
		hidden := code == "04" || code == "08" || code == "11"
		a := w.e.Current().Values[Key{"health_books_created", code, PeriodAll}]
		if float(a.Value) != want || integer(a.Numerator) != want || a.Suppressed != hidden || a.Rank != nil || a.Coverage.Reporting > 0 && hidden {
			t.Errorf("published in %s is %+v", code, a)
		}
		series := fmt.Sprintf(`{kpi="health_books_created",period="all",province="%s",scheme="gso34"}`, code)
		for _, name := range []string{"ioc_kpi_value", "ioc_kpi_numerator"} {
			if _, ok := gather(t, registry)[name+series]; ok != (want != "null") {
				t.Errorf("%s%s is there: %v", name, series, ok)
			}
		}
	}
	rows, ok := w.e.FromPublication(Query{KPI: "health_books_created", By: []string{"province"}, Scope: national})
	if !ok || len(rows.Rows) != 4 || *rows.Value != 73 {
		t.Fatalf("the rows are %+v", rows)
	}
	for _, row := range rows.Rows {
		if code := row.Dims[0].Code; (row.Value == nil) != (code != "01") || row.Suppressed != (code != "01") {
			t.Errorf("row %+v", row)
		}
	}
	// The rows for SQL: the scope's own, and of the nation's what is not sensitive.
	values, number := w.e.PublishedValues(Scope{Provinces: []string{"04"}})
	if number != 1 {
		t.Errorf("the publication is number %d", number)
	}
	national, own := 0, 0
	for _, v := range values {
		def, _ := w.e.deps.Catalogue.Get(v.KPI)
		switch {
		case v.Province == "" && def.Sensitive, v.Province != "" && v.Province != "04":
			t.Errorf("province 04 sees %+v", v)
		case v.Province == "":
			national++
		default:
			own++
		}
		if v.KPI == "health_books_created" && (v.Value != nil || v.Numerator != nil || !v.Suppressed) {
			t.Errorf("SQL shows %+v", v)
		}
	}
	all, _ := w.e.PublishedValues(Scope{National: true})
	if kpis := len(w.e.deps.Catalogue.All()); own != kpis || national != kpis-3 || len(all) != 35*kpis {
		t.Errorf("of %d KPIs a province sees %d of its own and %d of the nation, the nation %d", kpis, own, national, len(all))
	}
	if none, _ := w.e.PublishedValues(Scope{}); len(none) != 0 {
		t.Errorf("who has no scope sees %d values", len(none))
	}
}

func TestRanks(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00"))
	for code, n := range map[string]int{"01": 3, "79": 7, "48": 3, "04": 1} {
		w.load(ev("auth.attempt", fmt.Sprintf("times=%d subject=a time=2026-11-21T08:00 outcome=success province=%s", n, code)))
	}
	w.load(ev("auth.attempt", "times=9 subject=a time=2026-11-21T08:00 outcome=success"))
	if err := w.e.tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := func(kpi, code string) Rank {
		if r := w.e.Current().Values[Key{kpi, code, PeriodToday}].Rank; r != nil {
			return *r
		}
		return Rank{}
	}
	for code, want := range map[string]Rank{"79": {1, 4}, "01": {2, 4}, "48": {2, 4}, "04": {4, 4}, National: {}} {
		if got := at("auth_transactions", code); got != want {
			t.Errorf("%s has rank %v, expected %v", code, got, want)
		}
	}
	// Of no value is none the best; of an age the lowest is.
	if got := at("population_db_queries", "79"); got != (Rank{}) {
		t.Errorf("a neutral KPI has the rank %v", got)
	}
	if got := at("data_freshness_seconds", "79"); got.Position != 1 || got.Of != 4 {
		t.Errorf("equal ages have the rank %v", got)
	}
}
