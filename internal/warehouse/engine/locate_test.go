package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func TestFindTakesTheNearestPlaceUpToTheModuleRoot(t *testing.T) {
	root := t.TempDir()
	deep := filepath.Join(root, "module", "a", "b")
	installed := filepath.Join(root, "module", ".engine", "node_modules", "@chdb", packageNames()[0], "libchdb.so")
	beyond := filepath.Join(root, ".engine", "node_modules", "@chdb", packageNames()[0], "libchdb.so")
	for _, path := range []string{installed, beyond, filepath.Join(root, "module", "go.mod"), filepath.Join(deep, "x")} {
		touch(t, path, 0o600)
	}
	t.Chdir(deep)
	t.Setenv("PATH", "")
	got, err := Find(Config{})
	if err != nil || got != (Location{Path: installed}) {
		t.Errorf("Find returned %v, %v; want %s", got, err, installed)
	}
	if err := os.Remove(installed); err != nil {
		t.Fatal(err)
	}
	if got, err := Find(Config{}); err == nil && got.Path == beyond {
		t.Errorf("Find looked beyond the module root: %v", got)
	}
}

func TestFindFallsBackToTheBinaryOnPath(t *testing.T) {
	t.Chdir(t.TempDir())
	bin := t.TempDir()
	path := filepath.Join(bin, "clickhouse")
	touch(t, path, 0o700)
	t.Setenv("PATH", bin)
	got, err := Find(Config{})
	if err != nil || got != (Location{Path: path, Binary: true}) {
		t.Errorf("Find returned %v, %v; want the binary %s", got, err, path)
	}
}

func TestMissingEngineSaysWhereItLookedAndWhatToDo(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("PATH", "")
	_, err := New(Config{
		Dir: dir, MemoryLimit: minMemoryLimit, LogLevel: "none", StartTimeout: 1, StopTimeout: 1,
	}, Deps{Logger: zap.NewNop()})
	if !errors.Is(err, ErrNotFound) {
		t.Fatalf("New returned %v, want ErrNotFound", err)
	}
	for _, want := range []string{
		"run: make engine", filepath.Join(dir, ".engine", "node_modules", "@chdb"),
		"/usr/local/lib/libchdb.so", "clickhouse on PATH",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q:\n%v", want, err)
		}
	}
}

func TestNamedLibraryThatIsMissingIsNotReplaced(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "libchdb.so")
	_, err := Find(Config{Library: missing})
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), missing) || !strings.Contains(err.Error(), "make engine") {
		t.Errorf("Find returned %v, want an error that names %s", err, missing)
	}
	if _, err := Find(Config{Library: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "not a file") {
		t.Errorf("Find of a directory returned %v", err)
	}
}

func touch(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, mode); err != nil {
		t.Fatal(err)
	}
}
