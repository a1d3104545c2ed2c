package kpi

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestShippedCatalogue(t *testing.T) {
	cat, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, def := range cat.All() {
		ids = append(ids, def.ID)
		for _, level := range []*Level{def.Target, threshold(def, true), threshold(def, false)} {
			if level != nil && strings.Contains(level.Source, "Đề xuất") != (level.Basis == BasisProposal) {
				t.Errorf("%s: level %+v does not say truly whether it is a proposal", def.ID, level)
			}
		}
	}
	for _, id := range []string{"dossiers_received", "online_dossier_rate", "on_time_rate", "savings_vnd_year", "auth_transactions",
		"auth_success_rate", "eid_accounts_activated", "data_freshness_seconds"} {
		if !slices.Contains(ids, id) {
			t.Errorf("the catalogue lacks %s", id)
		}
	}
	if _, ok := cat.Get("none"); ok {
		t.Error("Get finds a KPI that does not exist")
	}
}

func threshold(d *Definition, good bool) *Level {
	switch {
	case d.Thresholds == nil:
		return nil
	case good:
		return d.Thresholds.Good
	}
	return d.Thresholds.Warn
}

const ownKPI = `id: own_rate
kind: ratio
name: {vi: Của tôi, en: Mine}
description: {vi: Thử, en: Test}
unit: ratio
source: auth_attempts
numerator: sum(attempts) where outcome in (success, timeout) and service != DA06-01
denominator: "sum(attempts)"
default_period: 7d
coverage: provinces
dimensions: [province, outcome]
better: higher
target:
  value: 0.9
  source: test
  basis: proposal
thresholds:
  good: {value: 0.9, source: test, basis: proposal}
  warn: {value: 0.5, source: test, basis: proposal}
origin: test
basis: proposal
`

func writeKPI(t *testing.T, name, text string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDirectoryAddsAndReplaces(t *testing.T) {
	shipped, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	added, err := Load(writeKPI(t, "own_rate.yaml", ownKPI))
	if err != nil {
		t.Fatal(err)
	}
	if len(added.All()) != len(shipped.All())+1 {
		t.Errorf("a new file makes %d KPIs of %d", len(added.All()), len(shipped.All()))
	}
	text, err := embedded.ReadFile("catalogue/dossiers_received.yaml")
	if err != nil {
		t.Fatal(err)
	}
	replaced, err := Load(writeKPI(t, "dossiers_received.yaml", strings.Replace(string(text), "default_period: month", "default_period: ytd", 1)))
	if err != nil {
		t.Fatal(err)
	}
	was, _ := shipped.Get("dossiers_received")
	is, _ := replaced.Get("dossiers_received")
	if len(replaced.All()) != len(shipped.All()) || is.DefaultPeriod != PeriodYTD || was.Hash("") == is.Hash("") {
		t.Errorf("the file did not replace the shipped KPI: %+v", is)
	}
	if _, err := Load(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a directory that does not exist is no error")
	}
}

func TestDefinitionHash(t *testing.T) {
	cat, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	savings, _ := cat.Get("savings_vnd_year")
	if savings.Hash("a") == savings.Hash("b") {
		t.Error("the version of the coefficients does not change the hash of savings")
	}
	received, _ := cat.Get("dossiers_received")
	if received.Hash("a") != received.Hash("b") {
		t.Error("the version of the coefficients changes the hash of a KPI without coefficients")
	}
	if h := received.Hash(""); !strings.HasPrefix(h, "sha256:") || len(h) != len("sha256:")+64 {
		t.Errorf("hash is %q", h)
	}
}

func TestBadDefinitions(t *testing.T) {
	change := func(old, new string) string {
		if !strings.Contains(ownKPI, old) {
			t.Fatalf("the test KPI lacks %q", old)
		}
		return strings.Replace(ownKPI, old, new, 1)
	}
	for _, test := range []struct{ name, text, at, says string }{
		{"unknown key", change("origin: test\n", "origin: test\ncolour: red\n"), "21:1", "colour"},
		{"unknown key below", change("  basis: proposal\nthresholds", "  basis: proposal\n  why: x\nthresholds"), "17:3", "why"},
		{"key twice", change("origin: test\n", "origin: test\norigin: test\n"), "21:1", "origin"},
		{"not YAML", "id: [", "1:5", ""},
		{"wrong type", change("value: 0.9\n", "value: high\n"), "14:10", "is not a number"},
		{"two documents", ownKPI + "---\n" + ownKPI, "1:1", "file of its own"},
		{"other file name", change("id: own_rate", "id: your_rate"), "1:5", "make them the same"},
		{"missing name", change("name: {vi: Của tôi, en: Mine}", "name: {vi: Của tôi}"), "3:8", "name.en: is missing"},
		{"feed of nothing", change("numerator: ", "feed: sum(attempts)\nnumerator: "), "7:7", "attempts shows no events to be sent"},
		{"unknown kind", change("kind: ratio", "kind: median"), "2:7", "use one of age, count, cumulative, formula, quantile, ratio, reported, sum"},
		{"kind of another source", change("source: auth_attempts", "source: official_reports"), "2:7", "choose another source"},
		{"unknown unit", change("unit: ratio", "unit: percent"), "5:7", "use one of ratio"},
		{"unknown source", change("source: auth_attempts", "source: auth_days"), "6:9", "use one of auth_attempts"},
		{"unknown period", change("7d", "8d"), "9:17", "use one of today"},
		{"unknown coverage", change("coverage: provinces", "coverage: towns"), "10:11", "provinces"},
		{"unknown dimension", change("[province, outcome]", "[province, commune]"), "11:24", "it has: assurance_level"},
		{"dimension twice", change("[province, outcome]", "[province, province]"), "11:24", "twice"},
		{"unknown function", change("sum(attempts) where", "avg(attempts) where"), "7:12", "unknown function \"avg\"; known: sum"},
		{"unknown measure", change("sum(attempts) where", "sum(persons) where"), "7:16", "no measure \"persons\"; it has: attempts"},
		{"unknown measure in quotes", change(`"sum(attempts)"`, `"sum(persons)"`), "8:19", "no measure \"persons\""},
		{"unknown dimension in a condition", change("service !=", "commune !="), "7:66", "no dimension \"commune\""},
		{"dimension of one grain", change("service !=", "relying_party !="), "7:66", "for all its grains"},
		{"unknown code", change("timeout)", "tiemout)"), "7:53", "outcome has no code \"tiemout\""},
		{"open bracket", change("timeout)", "timeout"), "7:61", "expected \")\", found \"and\""},
		{"odd operator", change("service !=", "service >"), "7:74", "expected =, !=, in or not in"},
		{"no denominator", change("denominator: \"sum(attempts)\"\n", ""), "1:1", "denominator: is missing"},
		{"metric of an age", change("kind: ratio", "kind: age"), "2:7", "choose another source"},
		{"odd metric", change("origin: test", "metric: x y\norigin: test"), "20:9", "not an id"},
		{"whole of a ratio", change("origin: test", "whole: 25\norigin: test"), "20:8", "count over a register"},
		{"level without source", change("  source: test\n", ""), "14:3", "needs the source"},
		{"level without basis", change("  basis: proposal\nthresholds", "thresholds"), "14:3", "use found"},
		{"level without value", change("  value: 0.9\n", ""), "14:3", "needs a value"},
		{"warn better than good", change("warn: {value: 0.5", "warn: {value: 0.95"), "19:17", "better than good"},
		{"thresholds without better", change("better: higher", "better: neutral"), "18:3", "no meaning"},
		{"sensitive without a smallest cell", change("origin: test", "sensitive: true\norigin: test"), "1:1", "min_cell: must be at least 2"},
		{"smallest cell of nothing sensitive", change("origin: test", "min_cell: 10\norigin: test"), "20:11", "sensitive KPIs only"},
		{"sensitive by more than province", change("origin: test", "sensitive: true\nmin_cell: 10\norigin: test"), "11:13", "must be [province]"},
		{"sensitive code counted openly", change("service != DA06-01", "service != DA06-22"), "7:12", "DA06-22, which is sensitive"},
		{"sensitive document counted openly", change("outcome in (success, timeout) and service != DA06-01", "kind = health_book"), "7:32", "no dimension"},
		{"list that is not the largest", "id: own_rate\nkind: count\nname: {vi: a, en: a}\ndescription: {vi: a, en: a}\nunit: count\nsource: service_catalogue\n" +
			"numerator: sum(services) where list in (E25, E53)\norigin: x\nbasis: proposal\n", "7:32", "with the largest list"},
		{"not composed", change("Của", "Cu\u0309a"), "3:13", "NFC"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load(writeKPI(t, "own_rate.yaml", test.text))
			at, ok := errors.AsType[*FileError](err)
			if !ok {
				t.Fatalf("got %v, expected a FileError", err)
			}
			t.Log(err)
			if !strings.Contains(err.Error(), "own_rate.yaml:"+test.at+": ") || !strings.Contains(at.Detail, test.says) {
				t.Errorf("got %v, expected it at %s, saying %q", err, test.at, test.says)
			}
		})
	}
}
