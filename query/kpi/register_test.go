package kpi

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestRegistersAreTheirPositions: while entries, and voids of some of them, come in, what is read is exactly the entries
// below the positions, less those that are voided below them. An entry and one that is sent by mistake come at once,
// then comes the void of the latter: of 3n events n entries are left, of 3n+2 two more.
func TestRegistersAreTheirPositions(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00"))
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			w.load(ev("data.quality", fmt.Sprintf("subject=q time=2026-11-02 database=d criterion=du field=f rule=R%d evaluated=1 passing=1", i)),
				ev("data.quality", fmt.Sprintf("id=wrong%d subject=q time=2026-11-02 database=d criterion=du field=f rule=W%d evaluated=1 passing=1", i, i)))
			w.load(ev("event.void", fmt.Sprintf("subject=wrong%d time=2026-11-02", i)))
		}
	})
	src := w.e.deps.Catalogue.sources["data_quality"]
	raw := &registerStatement{src: src, texts: []string{"toString(rule_id)"}, numbers: []string{"weight"}}
	month := []window{{from: local(t, "2026-11-01"), upper: local(t, "2026-12-01")}}
	odd, most := 0, uint64(0)
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		all, err := w.e.readPositions(ctx, []string{src.name})
		if err != nil {
			t.Fatal(err)
		}
		entries, err := w.e.readRegister(ctx, raw, all[src.name])
		if err != nil {
			t.Fatal(err)
		}
		reports, err := w.e.readQuality(ctx, src, month, 0, all[src.name])
		if err != nil {
			t.Fatal(err)
		}
		for _, read := range []struct {
			what string
			n    int
		}{{"entries", len(entries)}, {"last reports", len(reports[0])}} {
			var end uint64
			for _, p := range all[src.name].positions {
				end += p.offset
			}
			if want := end/3 + end%3; uint64(read.n) != want {
				t.Fatalf("%d %s were read below position %d, there are %d", read.n, read.what, end, want)
			}
			odd, most = odd+int(end%3), max(most, end)
		}
	}
	cancel()
	writing.Wait()
	if most < 15 || odd == 0 {
		t.Errorf("position %d was reached, and %d voids were waited for: nothing moved meanwhile", most, odd/2)
	}
}

// TestOnlyWhatMovedIsEvaluated: an entry of one register leaves the others, and facts without official figures, as they are.
func TestOnlyWhatMovedIsEvaluated(t *testing.T) {
	w := newWorld(t, local(t, "2026-11-21T10:00:30"))
	country(w, 5)
	tick := func() *Publication {
		t.Helper()
		if err := w.e.tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		return w.e.Current()
	}
	moved := func(a, b *Publication) map[string]bool {
		out := map[string]bool{}
		for key, value := range b.Values {
			if a.Values[key] != value {
				def, _ := w.e.deps.Catalogue.Get(key.KPI)
				out[def.Source] = true
			}
		}
		delete(out, "source_activity") // an age, which every tick evaluates
		return out
	}
	first := tick()
	if got := moved(first, tick()); len(got) != 0 {
		t.Errorf("nothing moved, evaluated again are %v", got)
	}
	w.load(ev("petition.status", "subject=p time=2026-11-21T09:00 status=received"))
	second := tick()
	if got := moved(first, second); len(got) != 2 || !got["petitions"] || !got["formula"] {
		t.Errorf("a petition moved; evaluated again are %v", got)
	}
	w.load(ev("capability.status", "subject=i time=2026-11-21T09:00 kind=ioc org=79 org_kind=province state=operating province=79"))
	third := tick()
	if got := moved(second, third); len(got) != 1 || !got["capabilities"] {
		t.Errorf("a capability moved; evaluated again are %v", got)
	}
	w.load(ev("counter.report", "subject=c time=2026-11-21T09:30 metric=published_platforms value=51 as_of=2026-11-20 source_ref=x"))
	fourth := tick()
	if got := moved(third, fourth); !got["official_reports"] || !got["eid"] || got["auth_attempts"] || got["data_quality"] || got["dossier_deadlines"] {
		t.Errorf("an official figure moved; evaluated again are %v", got)
	}
	for kpi, follows := range map[string]bool{"eid_accounts_activated": true, "task_completion_rate": true, "eid_level2_share": false, "auth_transactions": false} {
		def, _ := w.e.deps.Catalogue.Get(kpi)
		key := Key{kpi, National, def.DefaultPeriod}
		if (third.Values[key].Revision != fourth.Values[key].Revision) != follows {
			t.Errorf("%s: the revision follows the official figures: %v", kpi, !follows)
		}
	}
	// At midnight a day closes, and sensitive values with it.
	w.set(local(t, "2026-11-22T00:00:01"))
	if got := moved(fourth, tick()); !got["eid"] || got["auth_attempts"] {
		t.Errorf("midnight passed; evaluated again are %v", got)
	}
}
