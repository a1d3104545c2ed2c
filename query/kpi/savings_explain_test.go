package kpi

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ioc.local/internal/reference"
)

// TestExplainSavings: DOMAIN 3.5 with the shipped example of DA06-03: unit saving = citizen offline − citizen online + state
// offline − state online, and each online dossier counts once, on the day of its first 9 or 10.
func TestExplainSavings(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00"))
	done := func(subject, fields, end string) {
		w.load(ev("dossier.status", "subject="+subject+" time=2026-11-10T08:00 status=2 "+fields), ev("dossier.status", "subject="+subject+" "+end))
	}
	done("a", "channel=online province=79 service=DA06-03", "time=2026-11-20T08:00 status=9")
	done("b", "channel=online province=79 service=DA06-03", "time=2026-11-20T23:59:59.999 status=10")
	done("c", "channel=online province=01 service=DA06-03", "time=2026-11-20T00:00 status=9")
	done("d", "channel=direct province=79 service=DA06-03", "time=2026-11-20T08:00 status=9")
	done("e", "channel=online province=79 service=DA06-01", "time=2026-11-20T08:00 status=9")
	done("f", "channel=online province=79 service=DA06-03", "time=2026-11-21T00:00 status=9")
	done("g", "channel=online province=79 service=DA06-03", "time=2026-11-20T08:00 status=3")

	day := local(t, "2026-11-20T15:00") // any moment of the day
	x, err := w.e.ExplainSavings(t.Context(), "DA06-03", day, "")
	if err != nil {
		t.Fatal(err)
	}
	amount := func(n int64) *int64 { return &n }
	want := &SavingsExplanation{
		Service: "DA06-03", Name: x.Name, Day: "2026-11-20", Version: w.places.Coefficients().Version(), File: w.places.Coefficients().File(),
		Coefficient: &SavingsCoefficient{
			ValidFrom: "2022-01-06", SourceRef: x.Coefficient.SourceRef, Confidence: "example", Example: true, Line: 4, VNDPerHour: amount(35000),
			Offline: SavingsSide{Citizen: 137_500, State: 25_000, Hours: pointer(2.5), Labour: amount(87_500), Transport: amount(20_000), Documents: amount(10_000), Fee: amount(20_000)},
			Online:  SavingsSide{Citizen: 27_500, State: 12_000, Hours: pointer(0.5), Labour: amount(17_500), Transport: amount(0), Documents: amount(0), Fee: amount(10_000)},
		},
		Unit: 137_500 - 27_500 + 25_000 - 12_000, Dossiers: 3, Saving: 369_000, AsOf: x.AsOf, Revision: x.Revision,
	}
	if diff := cmp.Diff(want, x); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// It is the number of the KPI, and at its revision.
	a := w.ask(Query{KPI: "savings_vnd_year", From: local(t, "2026-11-20"), To: local(t, "2026-11-21"), Filters: map[string][]string{"service": {"DA06-03"}}})
	if *a.Numerator != x.Saving || !a.AsOf.Equal(x.AsOf.Time) {
		t.Errorf("the KPI is %d as of %s, the explanation %d as of %s", *a.Numerator, a.AsOf, x.Saving, x.AsOf)
	}
	if x, err = w.e.ExplainSavings(t.Context(), "DA06-03", day, "79"); err != nil || x.Dossiers != 2 || x.Saving != 246_000 || x.Place == nil || x.Place.EN == "" {
		t.Errorf("province 79: %+v %v", x, err)
	}
	if x, err = w.e.ExplainSavings(t.Context(), "DA06-03", local(t, "2026-11-19"), ""); err != nil || x.Dossiers != 0 || x.Saving != 0 || x.Unit != 123_000 {
		t.Errorf("a day without dossiers: %+v %v", x, err)
	}
	for _, mistake := range []struct{ service, day, province, parameter string }{
		{"DA06-22", "2026-11-20", "", "service"}, {"DA06-99", "2026-11-20", "", "service"}, {"DA06-03", "2026-11-22", "", "day"}, {"DA06-03", "2021-12-31", "", "day"}, {"DA06-03", "2026-11-20", "99", "province"},
	} {
		_, err := w.e.ExplainSavings(t.Context(), mistake.service, local(t, mistake.day), mistake.province)
		if wrong, ok := errors.AsType[*Error](err); !ok || wrong.Kind != BadRequest || wrong.Param != mistake.parameter {
			t.Errorf("%+v: %v", mistake, err)
		}
	}
}

// TestExplainSavingsTellsNoFewRecords: the total less what is explained of the other services would be the saving of a few
// judicial records.
func TestExplainSavingsTellsNoFewRecords(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00"))
	for i, service := range []string{"DA06-22", "DA06-23", "DA06-24"} {
		subject := fmt.Sprintf("times=%d subject=d-%d province=04 service=%s", []int{3, 12, 4}[i], i, service)
		w.load(ev("dossier.status", subject+" time=2026-11-10T08:00 status=2 channel=online"), ev("dossier.status", subject+" time=2026-11-20T08:00 status=9"))
	}
	for _, c := range []struct {
		service, province string
		refused           bool
	}{{"DA06-23", "04", true}, {"DA06-23", "", true}, {"DA06-23", "79", false}, {"DA06-24", "04", false}} {
		x, err := w.e.ExplainSavings(t.Context(), c.service, local(t, "2026-11-20"), c.province)
		if wrong, ok := errors.AsType[*Error](err); ok != c.refused || ok && wrong.Param != "service" {
			t.Errorf("%s in %q: %+v, %v", c.service, c.province, x, err)
		}
	}
}

// TestExplainSavingsByDay: the coefficient is that of the day; without one dossiers are counted and save nothing.
func TestExplainSavingsByDay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "savings.csv")
	err := os.WriteFile(file, []byte(`service_id,valid_from,valid_to,citizen_offline_vnd,citizen_online_vnd,state_offline_vnd,state_online_vnd,source_ref,confidence,hours_offline,vnd_per_hour
DA06-01,2026-11-03,2026-11-04,1000,0,7,10,"QĐ 1",official,,
DA06-01,2026-11-06,,1000,2000,0,0,"QĐ 2",official,0.025,40000
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	own, err := reference.Load(reference.Options{SavingsFile: file})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, local(t, "2026-11-21T10:00"), func(_ *Config, deps *Deps) { deps.Coefficients = own.Coefficients() })
	for day := 2; day <= 6; day++ {
		subject := fmt.Sprintf("subject=d-%d", day)
		w.load(ev("dossier.status", subject+" time=2026-10-20 status=2 channel=online province=79 service=DA06-01"),
			ev("dossier.status", fmt.Sprintf("%s time=2026-11-%02dT12:00 status=9", subject, day)))
	}
	for day, want := range map[int]struct {
		unit          int64
		source, until string
	}{2: {}, 3: {997, "QĐ 1", "2026-11-04"}, 4: {997, "QĐ 1", "2026-11-04"}, 5: {}, 6: {-1000, "QĐ 2", ""}} {
		x, err := w.e.ExplainSavings(t.Context(), "DA06-01", local(t, fmt.Sprintf("2026-11-%02d", day)), "")
		if err != nil {
			t.Fatal(err)
		}
		if x.Dossiers != 1 || x.Saving != want.unit || x.Unit != want.unit || (x.Coefficient == nil) != (want.source == "") {
			t.Errorf("day %d: %+v", day, x)
		}
		if c := x.Coefficient; c != nil {
			last := ""
			if c.ValidTo != nil {
				last = *c.ValidTo
			}
			if c.SourceRef != want.source || last != want.until || c.Example || c.Online.Hours != nil || (c.Offline.Hours != nil) != (day == 6) {
				t.Errorf("day %d: %+v", day, c)
			}
			if day == 6 && (*c.Offline.Hours != 0.025 || *c.Offline.Labour != 1000 || *c.VNDPerHour != 40_000) {
				t.Errorf("day 6: %+v", c.Offline)
			}
		}
	}
}
