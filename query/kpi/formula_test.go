package kpi

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shippedScore is the version of the shipped score in force, and the catalogue.
func shippedScore(t *testing.T) *Version {
	t.Helper()
	c, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	def, ok := c.Get("service_quality_score")
	if !ok {
		t.Fatal("there is no score")
	}
	return def.inForce(merged)
}

// Quyết định 766/QĐ-TTg: 18 + 20 + 12 + 10 + 22 + 18 = 100 points, and these items.
func TestScoreHasTheGroupsOf766(t *testing.T) {
	v := shippedScore(t)
	var points []float64
	for _, g := range v.Groups {
		points = append(points, g.Points)
	}
	if want := []float64{18, 20, 12, 10, 22, 18}; !slices.Equal(points, want) {
		t.Errorf("the groups have %v points, want %v", points, want)
	}
	all, missing := v.score(func(string) part { return part{value: pointer(1.0)} })
	if len(missing) > 0 || *all.Points != 100 || all.Max != 100 || all.Known != 100 {
		t.Errorf("all rates 1 give %v of %v (known %v), missing %v", *all.Points, all.Max, all.Known, missing)
	}
}

// The formulas of points as they were observed for one province in September 2026.
func TestScoreFollowsTheObservedFormulas(t *testing.T) {
	v := shippedScore(t)
	for _, a := range []float64{0, 0.2, 0.5, 0.79, 0.8, 0.9, 1} {
		s, _ := v.score(func(string) part { return part{value: pointer(a)} })
		want := map[string]float64{
			"transparency": 18 * a,
			"progress":     20 * a,
			"online":       min(2, 2*a/0.80) + 4*a + min(6, 6*a*a/0.50), // item 3.3: times the rate of synchronisation
			"payment":      6*a + min(2, 2.5*a) + min(2, 2.5*a),
			"digitisation": 6*a + 4*a + 2*a + min(2, 2*a/0.80) + 4*a + 2*a + 2*a,
			"satisfaction": 6*a + 6*a + min(6, 6*a/0.90),
		}
		for _, g := range s.Groups {
			if math.Abs(*g.Points-want[g.ID]) > 1e-12 {
				t.Errorf("group %s at rate %v has %v points, want %v", g.ID, a, *g.Points, want[g.ID])
			}
		}
	}
}

// Thái Nguyên on 29/08/2025: 15.67 + 19.31 + 17.49 + 17.86 + 16.64 = 86.97, online and payment reported together.
func TestScoreOfThaiNguyen(t *testing.T) {
	v := &Version{}
	reached := map[string]float64{"transparency": 15.67, "progress": 19.31, "online and payment": 17.49, "digitisation": 17.86, "satisfaction": 16.64}
	for i, id := range []string{"transparency", "progress", "online and payment", "digitisation", "satisfaction"} {
		of := []float64{18, 20, 22, 22, 18}[i]
		v.Groups = append(v.Groups, Group{ID: id, Points: of, Items: []Item{{KPI: id, Points: of}}})
	}
	s, _ := v.score(func(id string) part {
		for _, g := range v.Groups {
			if g.ID == id {
				return part{value: pointer(reached[id] / g.Points)}
			}
		}
		return part{}
	})
	if got := fmt.Sprintf("%.2f", *s.Points); got != "86.97" || s.Max != 100 {
		t.Errorf("the score is %s of %v", got, s.Max)
	}
}

// An item without a value is missed, and nothing is guessed; but petitions earn all points where there are none.
func TestScoreSaysWhatIsMissing(t *testing.T) {
	v := shippedScore(t)
	s, missing := v.score(func(id string) part {
		switch id {
		case "data_sharing_rate", "score766_full_content":
			return part{}
		case "petition_on_time_rate", "petition_satisfaction_rate":
			return part{none: true}
		}
		return part{value: pointer(1.0)}
	})
	if s.Points != nil || !slices.Equal(missing, []string{"data_sharing_rate", "score766_full_content"}) || s.Known != 94 {
		t.Errorf("points %v, known %v, missing %v", s.Points, s.Known, missing)
	}
	for _, g := range s.Groups {
		if gone := g.ID == "transparency" || g.ID == "digitisation"; (g.Points == nil) != gone {
			t.Errorf("group %s has points %v", g.ID, g.Points)
		}
		if g.ID == "satisfaction" && *g.Points != 18 {
			t.Errorf("without petitions satisfaction has %v points", *g.Points)
		}
	}
	if _, missing := v.score(func(string) part { return part{none: true} }); len(missing) < 15 {
		t.Errorf("of nothing at all only %v are missing", missing)
	}
}

// A later version counts from its date on, and the first for all time before.
func TestScoreByDate(t *testing.T) {
	d := &Definition{Versions: []Version{{From: "2022-06-23", from: beginning.AddDate(0, 6, 0)}, {From: "2026-07-01", from: merged.AddDate(1, 0, 0)}}}
	for at, want := range map[int]string{-3650: "2022-06-23", 0: "2022-06-23", 364: "2022-06-23", 365: "2026-07-01", 4000: "2026-07-01"} {
		if got := d.inForce(merged.AddDate(0, 0, at)).From; got != want {
			t.Errorf("%d days after 2025-07-01 the version of %s is in force, want %s", at, got, want)
		}
	}
}

// Mistakes in a formula are found at load, with their place.
func TestFormulaErrors(t *testing.T) {
	shipped, err := os.ReadFile("catalogue/service_quality_score.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"kpi: on_time_rate", "kpi: in_time_rate", `:35:19: versions[0].groups[1].items[0].kpi: there is no KPI "in_time_rate"`},
		{"times: dossier_sync_rate", "times: savings_vnd_year", "savings_vnd_year is no rate but of unit vnd"},
		{"kpi: on_time_rate", "kpi: health_book_integration_rate", "has no value of its own for every place"},
		{"points: 20\n        items", "points: 21\n        items", "versions[0].groups[1].points: is 21, but its items have 20 together"},
		{`"2022-06-23"`, `"23/06/2022"`, `versions[0].from: "23/06/2022" is not a date`},
		{"full: 0.8}", "full: 80}", "is the rate that earns all points"},
		{"without_cases: full", "without_cases: half", `"half" is unknown`},
		{"{kpi: on_time_rate, points: 20}", "{kpi: on_time_rate, points: -20}", "must be positive"},
		{"kind: formula", "kind: ratio", "cannot be computed from source formula"},
	} {
		text := strings.Replace(string(shipped), c.old, c.new, 1)
		if text == string(shipped) {
			t.Fatalf("the file has no %q", c.old)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "service_quality_score.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s -> %s: %v\nwant %s", c.old, c.new, err, c.want)
		}
	}
}
