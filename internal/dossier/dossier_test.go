package dossier_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ioc.local/internal/dossier"
	"ioc.local/internal/reference"
)

// The reading rules as a whole are tested in internal/warehouse, against the tables that the events come from.

// Documents, payments, ratings and synchronisation are events of the dossier, but no steps: a dossier moves no further
// by them. They say where it belongs only as far as no acceptance does (rule 2).
func TestOtherDossierFactsMoveNothing(t *testing.T) {
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	evaluator := dossier.NewEvaluator(data.Calendar())
	const hour = 3600_000
	rapid.Check(t, func(t *rapid.T) {
		event := func(status uint8) dossier.Event {
			return dossier.Event{At: rapid.Int64Range(1, 9).Draw(t, "hour") * hour, Status: status, ID: fmt.Sprint(rapid.Uint32().Draw(t, "id")), Source: "/npsp/H26"}
		}
		steps := []dossier.Event{{At: 5 * hour, Status: 2, ID: "first", Source: "/npsp/H26", Province: "79", Province63: "79", Agency: "H29", Service: "DA06-03", Level: 1, Channel: dossier.Online, Portal: 1, DueAt: 20 * hour}}
		for range rapid.IntRange(0, 5).Draw(t, "steps") {
			steps = append(steps, event(rapid.Uint8Range(2, 10).Draw(t, "status")))
		}
		// A step may be the acceptance instead of the first; it has nothing then, and the facts may be asked.
		facts := slices.Clone(steps)
		for range rapid.IntRange(1, 5).Draw(t, "facts") {
			fact := event(0)
			fact.Province, fact.Province63, fact.Agency, fact.Service, fact.Level = "01", "01", "H26", "DA06-05", 2
			facts = append(facts, fact)
		}
		want, got := evaluator.State(steps), evaluator.State(facts)
		if got.Version <= want.Version || got.Latest < want.Latest {
			t.Fatalf("the facts are not among the events: %+v after %+v", got, want)
		}
		place := got.Province + " " + got.Agency + " " + got.Service
		if want.Accepted == 5*hour && place != "79 H29 DA06-03" && !earlierAcceptance(steps) {
			t.Fatalf("the dossier moved to %s", place)
		}
		if place != "79 H29 DA06-03" && place != "01 H26 DA06-05" {
			t.Fatalf("the dossier is at %s, half here and half there", place)
		}
		got.Version, got.Latest = want.Version, want.Latest
		got.Province, got.Province63, got.Agency, got.Service, got.Level = want.Province, want.Province63, want.Agency, want.Service, want.Level
		if got != want {
			t.Fatalf("the facts changed the dossier:\n%+v\n%+v", want, got)
		}
	})
}

// earlierAcceptance says that another event than the one named first is the acceptance.
func earlierAcceptance(events []dossier.Event) bool {
	i := slices.IndexFunc(events, func(e dossier.Event) bool { return e.Status == 2 })
	return events[i].ID != "first"
}
