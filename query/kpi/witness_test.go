package kpi

import (
	"fmt"
	"testing"
)

// exec runs statements that leave in a table what an insert, or a rebuild, would.
func (w *world) exec(statements ...string) {
	w.t.Helper()
	for _, statement := range statements {
		if err := w.e.deps.Conn.Exec(w.t.Context(), statement); err != nil {
			w.t.Fatalf("%s: %v", statement, err)
		}
	}
}

// saved adds dossiers that save, in dossier_savings alone.
func saved(n int) string {
	return fmt.Sprintf("INSERT INTO dossier_savings (day, province, province63, service_id, n) VALUES ('2026-11-20', '79', '79', 'DA06-03', %d)", n)
}

func at(table, topic string, position int) string {
	return fmt.Sprintf("INSERT INTO %s (day, topic, partition, position, latest) VALUES (toDate(0), '%s', 0, %d, '2026-11-20 09:00:00')", table, topic, position)
}

// TestTablesBehindTheirWitness: where the tick finds the position of a range in the witness of a family and not yet in another table,
// what that table counts later is published, though the witness does not move.
func TestTablesBehindTheirWitness(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00:30"))
	w.load(ev("dossier.status", "subject=a time=2026-11-20T08:00 status=2 province=79 service=DA06-03"))
	savings := Key{"savings_vnd_year", National, "365d"}
	tick := func() *Answer { return w.tick().Values[savings] }
	first := tick()
	if tick() != first {
		t.Fatal("a source whose tables have come as far as the witness was evaluated again")
	}
	w.exec(at("dossier_province_days", "dossier", 100))
	second := tick()
	w.exec(saved(1), at("dossier_savings", "dossier", 100))
	third := tick()
	if third == second || third.Revision == second.Revision || *third.Numerator == *second.Numerator {
		t.Errorf("savings came after the witness; published are %+v", third)
	}
	if tick() != third {
		t.Error("a source that has caught up with the witness was evaluated again")
	}
}

// TestTableThatStaysBehindItsWitness: what a table never comes to is awaited for a minute, without a publication, and then no more.
func TestTableThatStaysBehindItsWitness(t *testing.T) {
	conn := &breakable{}
	w := newWorld(t, local(t, "2026-11-21T10:00:30"), func(_ *Config, deps *Deps) {
		conn.Conn = deps.Conn
		deps.Conn = conn
	})
	w.load(ev("dossier.status", "subject=a time=2026-11-20T08:00 status=2 province=79 service=DA06-03"))
	received := Key{"dossiers_received", National, PeriodMonth}
	var first *Answer
	statements := func() int32 {
		before := conn.asked.Load()
		if a := w.tick().Values[received]; first != nil && a != first {
			t.Errorf("%+v was published, though nothing moved", a)
		}
		return conn.asked.Load() - before
	}
	statements()
	quiet := statements()
	w.exec(at("dossier_province_days", "dossier@1", 100)) // of a log that was given up
	first = w.tick().Values[received]
	if n := statements(); n <= quiet {
		t.Errorf("what is behind is not awaited: a tick takes %d statements, a quiet one %d", n, quiet)
	}
	w.set(local(t, "2026-11-21T10:01:31"))
	statements() // looks for marks, and at sources of which there is nothing but the minute
	if n := statements(); n != quiet {
		t.Errorf("what does not come is still awaited: a tick takes %d statements, a quiet one %d", n, quiet)
	}
	w.exec(at("dossier_province_days", "dossier@1", 101))
	if again := w.tick().Values[received]; again == first || again.Revision == first.Revision {
		t.Errorf("the witness moved, and published is %+v", again)
	}
}

// TestRebuiltTableIsPublished: a rebuild changes one table, and its mark is found within a minute.
func TestRebuiltTableIsPublished(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00:30"))
	w.load(ev("dossier.status", "subject=a time=2026-11-20T08:00 status=2 province=79 service=DA06-03"))
	savings, received := Key{"savings_vnd_year", National, "365d"}, Key{"dossiers_received", National, PeriodMonth}
	first := w.tick()
	w.exec(saved(3), at("dossier_savings", "~rebuild", 1))
	w.set(local(t, "2026-11-21T10:01:00"))
	second := w.tick()
	if got, was := second.Values[savings], first.Values[savings]; *got.Numerator == *was.Numerator || got.Revision == was.Revision {
		t.Errorf("after the rebuild there is still %+v", got)
	}
	if second.Values[received] != first.Values[received] {
		t.Error("a source of other tables was evaluated again")
	}
	w.set(local(t, "2026-11-21T10:02:00"))
	if w.tick().Values[savings] != second.Values[savings] {
		t.Error("the mark of the same rebuild was taken for another")
	}
}
