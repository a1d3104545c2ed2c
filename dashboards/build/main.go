// Command build makes what the wall is shipped as: the map modules under
// web/map and the bundle under web/dist. `go generate ./dashboards` runs it.
package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	if err := run("web"); err != nil {
		fmt.Fprintln(os.Stderr, "building the wall:", err)
		os.Exit(1)
	}
}

// run writes all generated files below web and prints their sizes.
func run(web string) error {
	modules, err := drawings(web)
	if err != nil {
		return err
	}
	for name, content := range modules {
		if err := write(filepath.Join(web, "map", name), content); err != nil {
			return err
		}
	}
	files, err := bundle(web)
	if err != nil {
		return err
	}
	dist := filepath.Join(web, "dist")
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	old, err := os.ReadDir(dist)
	if err != nil {
		return fmt.Errorf("reading what was built before: %w", err)
	}
	for _, entry := range old {
		if _, kept := files[entry.Name()]; !kept {
			if err := os.Remove(filepath.Join(dist, entry.Name())); err != nil {
				return fmt.Errorf("removing what was built before: %w", err)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := write(filepath.Join(dist, name), files[name]); err != nil {
			return err
		}
		size, err := transfer(name, files[name])
		if err != nil {
			return err
		}
		fmt.Printf("%-42s %7d B %7d B over the wire\n", name, len(files[name]), size)
	}
	return nil
}

// write leaves a file alone that is the same already, so that watchers see changes only.
func write(name string, content []byte) error {
	if old, err := os.ReadFile(name); err == nil && string(old) == string(content) {
		return nil
	}
	if err := os.WriteFile(name, content, 0o644); err != nil {
		return fmt.Errorf("writing what was built: %w", err)
	}
	return nil
}
