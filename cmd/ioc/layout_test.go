package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module   = "ioc.local/"
	maxLines = 800
)

// leaves are the packages below ingest and query that anyone may import.
var leaves = []string{"ingest/event", "query/kpi"}

// topLevel is what the root of the repository holds, beside files that start
// with a dot and what .gitignore names.
var topLevel = []string{
	"cmd", "ingest", "query", "stream", "dashboards", "deploy", "internal", "docs", "testdata", "bin",
	"go.mod", "go.sum", "README.md", "Makefile", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md",
}

// zone returns the leaf or the top-level folder that a package (a path below the
// module) belongs to.
func zone(pkg string) string {
	for _, leaf := range leaves {
		if pkg == leaf || strings.HasPrefix(pkg, leaf+"/") {
			return leaf
		}
	}
	top, _, _ := strings.Cut(pkg, "/")
	return top
}

// mayImport says whether imports from one package to another point downwards:
// cmd, then ingest, query, stream and dashboards side by side, then internal.
func mayImport(from, to string) bool {
	from, to = zone(from), zone(to)
	switch {
	case from == to, from == "cmd":
		return true
	case slices.Contains(leaves, from), to == "cmd":
		return to == "internal"
	default:
		return to == "internal" || slices.Contains(leaves, to)
	}
}

func TestMayImport(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"cmd/ioc", "ingest", true},
		{"cmd/ioc", "internal/broker", true},
		{"ingest", "internal/warehouse", true},
		{"ingest", "ingest/event", true},
		{"stream", "query/kpi", true},
		{"query", "query/sql", true},
		{"internal/simulate", "ingest/event", true},
		{"internal/broker/brokertest", "internal/broker", true},
		{"query/kpi", "internal/reference", true},
		{"internal/broker", "ingest", false},
		{"internal/broker", "cmd/ioc", false},
		{"ingest", "query", false},
		{"ingest", "stream", false},
		{"stream", "query", false},
		{"stream", "query/kpis", false},
		{"query/kpi", "query", false},
		{"query/kpi", "ingest/event", false},
		{"ingest/event", "ingest", false},
		{"ingest", "cmd/ioc", false},
	} {
		if got := mayImport(c.from, c.to); got != c.want {
			t.Errorf("mayImport(%s, %s) is %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

// TestTopLevel checks that the root holds nothing but what belongs there.
func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(topLevel, e.Name()) {
			t.Errorf("%s does not belong at the top level", e.Name())
		}
	}
}

// TestFileLength checks that no source file is over 800 lines.
func TestFileLength(t *testing.T) {
	checked := 0
	walk(t, func(name string) {
		switch filepath.Ext(name) {
		case ".go", ".sql", ".js", ".css", ".html", ".sh":
		default:
			return
		}
		source, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		checked++
		if n := bytes.Count(source, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, %d are allowed: split it by job", name, n, maxLines)
		}
	})
	if checked == 0 {
		t.Error("no file was found")
	}
}

// TestPackages checks imports and package comments.
func TestPackages(t *testing.T) {
	commented := map[string]bool{}
	walk(t, func(name string) {
		if filepath.Ext(name) != ".go" {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("../..", name), nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			t.Error(err)
			return
		}
		pkg, isTest := path.Dir(name), strings.HasSuffix(name, "_test.go")
		if !isTest {
			commented[pkg] = commented[pkg] || file.Doc != nil
		}
		for _, to := range imports(t, file) {
			if !mayImport(pkg, to) {
				t.Errorf("%s imports %s: imports point downwards only, cmd to ingest, query, stream and dashboards to internal", name, to)
			}
			if isTestPackage(to) && !isTest && !isTestPackage(pkg) {
				t.Errorf("%s imports %s, which is for tests", name, to)
			}
		}
	})
	if len(commented) == 0 {
		t.Error("no package was found")
	}
	for pkg, ok := range commented {
		if !ok {
			t.Errorf("package %s has no package comment", pkg)
		}
	}
}

// imports returns what a file imports of this module, as paths below it.
func imports(t *testing.T, file *ast.File) []string {
	t.Helper()
	var own []string
	for _, spec := range file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if below, ok := strings.CutPrefix(p, module); ok {
			own = append(own, below)
		}
	}
	return own
}

// isTestPackage says whether a package helps tests, as net/http/httptest does.
func isTestPackage(pkg string) bool {
	return strings.HasSuffix(pkg, "test") || pkg == "internal/faultproxy"
}

// walk calls check with every file of the tree, as a slash-separated path from
// its root, without folders that Go ignores too.
func walk(t *testing.T, check func(name string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS("../.."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() && name != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "bin" || base == "node_modules") {
			return fs.SkipDir
		}
		if !d.IsDir() {
			check(name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
