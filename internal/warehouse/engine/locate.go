package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// LibraryEnv is the environment variable that names the engine's library or binary.
// The command reads it into Config.Library; this package itself reads no environment.
const LibraryEnv = "IOC_ENGINE_LIB"

// ErrNotFound is the cause of the error that Find returns when no engine is installed.
var ErrNotFound = errors.New("no ClickHouse engine found")

// Location says where the engine's code is.
type Location struct {
	// Path is the absolute path of the file.
	Path string
	// Binary is true for a `clickhouse` executable and false for the shared library.
	Binary bool
}

// Find looks for the engine: the file that cfg.Library names; the package that `make engine`
// installs, from the working directory upwards to the root of the module or repository and
// beside the executable; the library directories of the system; a `clickhouse` binary on PATH.
// When there is none the error wraps ErrNotFound and lists the places that were looked at.
func Find(cfg Config) (Location, error) {
	if cfg.Library != "" {
		return locationOf(cfg.Library)
	}
	places := append(installPlaces(), systemPlaces()...)
	for _, place := range places {
		if isFile(place) {
			return Location{Path: place}, nil
		}
	}
	if path, err := exec.LookPath("clickhouse"); err == nil {
		if abs, err := filepath.Abs(path); err == nil {
			return Location{Path: abs, Binary: true}, nil
		}
	}
	return Location{}, fmt.Errorf("%w; run: make engine\nlooked at:\n  %s\n  clickhouse on PATH",
		ErrNotFound, strings.Join(places, "\n  "))
}

func locationOf(path string) (Location, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return Location{}, fmt.Errorf("resolving engine library %s: %w", path, err)
	}
	info, err := os.Stat(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return Location{}, fmt.Errorf("%w at %s, which %s or the configuration names; run: make engine", ErrNotFound, abs, LibraryEnv)
	}
	if err != nil {
		return Location{}, fmt.Errorf("looking at engine library: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Location{}, fmt.Errorf("engine library %s is not a file", abs)
	}
	name := filepath.Base(abs)
	library := strings.Contains(name, ".so") || strings.HasSuffix(name, ".dylib")
	return Location{Path: abs, Binary: !library}, nil
}

// installPlaces are the files that `make engine` may have made, the nearest first.
func installPlaces() []string {
	var places []string
	add := func(dir string) {
		for _, pkg := range packageNames() {
			places = append(places, filepath.Join(dir, ".engine", "node_modules", "@chdb", pkg, "libchdb.so"))
		}
	}
	if dir, err := os.Getwd(); err == nil {
		for {
			add(dir)
			parent := filepath.Dir(dir)
			if parent == dir || exists(filepath.Join(dir, "go.mod")) || exists(filepath.Join(dir, ".git")) {
				break
			}
			dir = parent
		}
	}
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		add(filepath.Dir(exe))
		places = append(places, filepath.Join(filepath.Dir(exe), "libchdb.so"))
	}
	return places
}

func systemPlaces() []string {
	return []string{
		"/usr/local/lib/libchdb.so",
		"/usr/lib/libchdb.so",
		"/usr/lib64/libchdb.so",
		"/opt/homebrew/lib/libchdb.so",
	}
}

// packageNames are the npm packages for this machine; Linux ones carry the C library's name.
func packageNames() []string {
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	name := "lib-" + runtime.GOOS + "-" + arch
	if runtime.GOOS == "linux" {
		return []string{name + "-gnu", name}
	}
	return []string{name}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
