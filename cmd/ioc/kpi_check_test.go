package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const syncKPI = `id: own_sync
kind: ratio
name: {vi: Đồng bộ, en: Syncs}
description: {vi: Thử, en: Test}
unit: ratio
source: data_queries
numerator: sum(queries) where query_kind = sync
denominator: sum(queries)
default_period: today
coverage: provinces
dimensions: [province]
better: higher
origin: Ví dụ
basis: proposal
`

// TestKPICheck: each broken file is named once with its place, whatever else is broken; a directory without faults is counted.
func TestKPICheck(t *testing.T) {
	shipped, err := execute(t.Context(), "kpi", "check")
	if err != nil || !strings.HasSuffix(shipped, " KPIs, 0 errors\n") || strings.Count(shipped, "\n") != 1 {
		t.Fatalf("of what is shipped it says %q, %v", shipped, err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("own_sync.yaml", syncKPI)
	list, err := execute(t.Context(), "kpi", "list", "--kpi.dir", dir)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := execute(t.Context(), "kpi", "check", dir); err != nil || out == shipped || !strings.HasPrefix(out, strconv.Itoa(strings.Count(list, "\n"))+" KPIs, ") {
		t.Errorf("of a good directory it says %q, %v", out, err)
	}

	// Two mistakes in one file, one in another, and a formula of a KPI that is broken and of one that there is not.
	write("own_sync.yaml", strings.NewReplacer("query_kind = sync", "query_kind = sink", "better: higher", "better: up").Replace(syncKPI))
	write("own_units.yaml", strings.NewReplacer("own_sync", "own_units", "unit: ratio", "unit: percent").Replace(syncKPI))
	write("own_score.yaml", `id: own_score
kind: formula
name: {vi: Điểm, en: Score}
description: {vi: Thử, en: Test}
unit: points
source: formula
default_period: month
coverage: items
dimensions: [province]
better: higher
origin: Ví dụ
basis: proposal
versions:
  - from: "2026-01-01"
    source: Ví dụ
    groups:
      - id: all
        name: {vi: Tất cả, en: All}
        points: 2
        items:
          - {kpi: own_sync, points: 1}
          - {kpi: own_nothing, points: 1}
`)
	// The directory of the configuration is another one: the argument counts.
	for _, args := range [][]string{{dir, "--kpi.dir", filepath.Join(dir, "none")}, {"--kpi.dir", dir}} {
		out, err := execute(t.Context(), append([]string{"kpi", "check"}, args...)...)
		if err == nil || err.Error() != "errors in the KPI catalogue: 3" {
			t.Errorf("%v: got %v", args, err)
		}
		want := dir + `/own_sync.yaml:7:44: numerator: query_kind has no code "sink"; it has: none, lookup, verify, clean, sync
` + dir + `/own_units.yaml:5:7: unit: "percent" is unknown; use one of ratio, count, vnd, ms, s, points, working_day
` + dir + `/own_score.yaml:22:19: versions[0].groups[0].items[1].kpi: there is no KPI "own_nothing"; see ioc kpi list
`
		if out != want {
			t.Errorf("%v: it says\n%s\nwant\n%s", args, out, want)
		}
		if code := run(t.Context(), append([]string{"kpi", "check"}, args...)); code != exitFailed {
			t.Errorf("%v: the exit code is %d", args, code)
		}
	}
	if _, err := execute(t.Context(), "kpi", "check", filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that is not there has no errors")
	}
	var usage *usageError
	if _, err := execute(t.Context(), "kpi", "check", dir, dir); !errors.As(err, &usage) {
		t.Errorf("of two directories it says %v", err)
	}
}

// TestKPIHandbook: the command prints the shipped KPIs and the operator's.
func TestKPIHandbook(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "own_sync.yaml"), []byte(syncKPI), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := execute(t.Context(), "kpi", "handbook", "--kpi.dir", dir)
	if err != nil || !strings.Contains(out, "### Đồng bộ (`own_sync`)") || !strings.Contains(out, "(`on_time_rate`)") {
		t.Errorf("%v, %d bytes", err, len(out))
	}
}
