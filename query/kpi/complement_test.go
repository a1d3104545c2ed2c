package kpi

import "testing"

// TestWhatIsHiddenIsFoundOutOnce: services of one place and time share what is found out about it, and a new event has it found out
// anew.
func TestWhatIsHiddenIsFoundOutOnce(t *testing.T) {
	conn := &breakable{}
	w := newWorld(t, local(t, "2026-11-21T10:00"), func(_ *Config, deps *Deps) {
		conn.Conn = deps.Conn
		deps.Conn = conn
	})
	w.load(
		ev("dossier.status", "times=3 subject=a time=2026-11-19T08:00 status=2 channel=online portal=vneid service=DA06-22 province=04"),
		ev("dossier.status", "times=20 subject=b time=2026-11-19T08:00 status=2 channel=online service=DA06-23 province=04"),
		ev("dossier.status", "times=30 subject=c time=2026-11-19T08:00 status=2 channel=online service=DA06-24 province=04"))
	ask := func(service, province string) (a *Answer, statements int32) {
		t.Helper()
		before := conn.asked.Load()
		a = w.ask(Query{KPI: "dossiers_received", Period: PeriodMonth, Filters: map[string][]string{"service": {service}}, Scope: Scope{Provinces: []string{province}}})
		return a, conn.asked.Load() - before
	}
	if err := w.e.tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, statements := ask("DA06-23", "04")
	if first.Value != nil || !first.Suppressed {
		t.Errorf("what hides 3 dossiers is shown: %v", float(first.Value))
	}
	if a, n := ask("DA06-24", "04"); n != statements-3 || float(a.Value) != "30" {
		t.Errorf("the next service, %v, took %d statements, the first %d", float(a.Value), n, statements)
	}
	if _, n := ask("DA06-24", "79"); n < statements-1 {
		t.Errorf("what is hidden in one province is taken for another: %d statements, the first took %d", n, statements)
	}
	// What decides is read of dossier_days. While that is behind the table that answers, nothing is remembered.
	w.exec(at("dossier_service_days", "dossier@1", 100))
	_, behind := ask("DA06-25", "04")
	if _, again := ask("DA06-01", "04"); again != behind {
		t.Errorf("what was read of a table that is behind is remembered: %d statements, then %d", behind, again)
	}
	// The 3 become 12, which is no small number of a day, if all are of one channel and portal.
	w.load(ev("dossier.status", "times=9 subject=d time=2026-11-19T08:00 status=2 channel=online portal=vneid service=DA06-22 province=04"))
	if err := w.e.tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a, _ := ask("DA06-23", "04"); float(a.Value) != "20" || a.Suppressed {
		t.Errorf("what hid 3 dossiers still hides 12: %v", float(a.Value))
	}
}
