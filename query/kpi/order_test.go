package kpi

import (
	"fmt"
	"testing"
)

// TestProvinceNeverAgainstTheNation: a procedure of which the nation says that it cannot be offered as a full process is
// not among the eligible ones of a province that says otherwise, in whatever order both are looked at.
func TestProvinceNeverAgainstTheNation(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00"))
	var events []event
	for i := range 12 {
		events = append(events, ev("service.catalog", fmt.Sprintf("subject=n time=2026-11-01T08:00 procedure=1.0000%02d level=full full_eligible=no", i)),
			ev("service.catalog", fmt.Sprintf("subject=p time=2026-11-02T08:00 procedure=1.0000%02d level=full full_eligible=yes province=79", i)),
			ev("dossier.status", fmt.Sprintf("subject=d-%d time=2026-11-03T08:00 status=2 channel=online level=full province=79 procedure=1.0000%02d", i, i)))
	}
	w.load(events...)
	if a := w.ask(Query{KPI: "full_online_dossier_rate"}); *a.Denominator != 0 {
		t.Errorf("%d dossiers are of eligible procedures, want none", *a.Denominator)
	}
}

// TestStockOfManyFigures: a cumulative KPI of which many provinces have official figures of different dates is answered, by
// day too: that the places are looked at in some order is not taken for a source that moves.
func TestStockOfManyFigures(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00"))
	var events []event
	for i, province := range w.places.Provinces34()[:12] {
		events = append(events,
			ev("counter.report", fmt.Sprintf("subject=c time=2026-10-%02dT08:00 metric=eid_accounts_activated value=%d as_of=2026-10-%02d source_ref=x province=%s", 2+i, 1000*i, 1+i, province.Code)),
			ev("eid.account", fmt.Sprintf("subject=e time=2026-11-03T08:00 action=activated level=2 province=%s", province.Code)))
	}
	w.load(events...)
	a := w.ask(Query{KPI: "eid_accounts_activated", From: local(t, "2026-09-01"), To: local(t, "2026-11-20"), Grain: "day", By: []string{"province"}})
	for i, row := range a.Rows {
		if *row.Value != float64(1000*i+1) {
			t.Errorf("row %d is %v, want %d", i, *row.Value, 1000*i+1)
		}
	}
	if len(a.Rows) != 12 || *a.Value != 12 {
		t.Errorf("%d rows, the nation has %v", len(a.Rows), *a.Value)
	}
}

// TestTiesAreOfTheSource: of two entries that have one id and one time, which two sources may give, the same one counts
// whichever of them came by which partition.
func TestTiesAreOfTheSource(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00"))
	var events []event
	for item := range 6 {
		for i, source := range []string{"/npsp/G01", "/npsp/G22"} {
			same := fmt.Sprintf("id=one-%d subject=s time=2026-11-02T08:00 source=%s partition=%d", item, source, (item+i)%2)
			events = append(events,
				ev("service.catalog", fmt.Sprintf("%s procedure=1.00000%d level=%s", same, item, []string{"full", "info"}[i])),
				ev("data.quality", fmt.Sprintf("%s database=civil criterion=dung field=f rule=R%d evaluated=100 passing=%d", same, item, []int{10, 90}[i])),
				ev("counter.report", fmt.Sprintf("%s metric=dossiers_received_online as_of=2026-11-01 source_ref=x province=%s value=%d", same, w.places.Provinces34()[item].Code, []int{3, 5}[i])))
		}
	}
	w.load(events...)
	if a := w.ask(Query{KPI: "procedure_online_rate"}); *a.Numerator != 0 || *a.Denominator != 6 {
		t.Errorf("%d of %d procedures are online, want 0 of 6", *a.Numerator, *a.Denominator)
	}
	if a := w.ask(Query{KPI: "data_quality_index"}); *a.Numerator != 6*90 {
		t.Errorf("%d records pass, want 540", *a.Numerator)
	}
	for _, row := range w.ask(Query{KPI: "dossiers_received_online", By: []string{"province"}}).Rows {
		if *row.Value != 5 {
			t.Errorf("the figure of %s is %v, want 5", row.Dims[0].Code, *row.Value)
		}
	}
}
