package main

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ioc.local/dashboards/wallmap"
)

// What a wall may cost over the wire, in bytes: a kiosk on a bad line starts within seconds.
const (
	maxScript = 45_000
	maxTotal  = 130_000
)

const web = "../web"

// TestFresh checks that what is committed is what the sources give.
func TestFresh(t *testing.T) {
	modules, err := drawings(web)
	if err != nil {
		t.Fatal(err)
	}
	files, err := bundle(web)
	if err != nil {
		t.Fatal(err)
	}
	for folder, want := range map[string]map[string][]byte{"map": modules, "dist": files} {
		for name, content := range want {
			committed, err := os.ReadFile(filepath.Join(web, folder, name))
			if err != nil || !bytes.Equal(committed, content) {
				t.Errorf("%s/%s is not what the sources give (%v): run go generate ./dashboards", folder, name, err)
			}
		}
	}
	entries, err := os.ReadDir(filepath.Join(web, "dist"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if files[entry.Name()] == nil {
			t.Errorf("dist/%s is left over: run go generate ./dashboards", entry.Name())
		}
	}
}

// TestSizes checks what a page load transfers at most: everything but what only people read.
func TestSizes(t *testing.T) {
	files, err := bundle(web)
	if err != nil {
		t.Fatal(err)
	}
	script, total := 0, 0
	for name, content := range files {
		if path.Ext(name) == ".txt" {
			continue
		}
		size, err := transfer(name, content)
		if err != nil {
			t.Fatal(err)
		}
		total += size
		if path.Ext(name) == ".js" {
			script += size
		}
	}
	if script == 0 || script > maxScript || total > maxTotal {
		t.Errorf("the wall takes %d B of script and %d B in total; at most %d and %d are allowed", script, total, maxScript, maxTotal)
	}
}

// TestSelfContained checks that no built file names another server; SVG's namespace is no address.
func TestSelfContained(t *testing.T) {
	files, err := bundle(web)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if path.Ext(name) == ".txt" || path.Ext(name) == ".woff2" {
			continue
		}
		text := strings.NewReplacer("http://www.w3.org/2000/svg", "", "http://www.w3.org/1999/xhtml", "", "http://www.w3.org/1998/Math/MathML", "").Replace(string(content))
		for _, scheme := range []string{"http://", "https://", "//cdn"} {
			if at := strings.Index(text, scheme); at >= 0 {
				t.Errorf("%s names another server: %.60s", name, text[at:])
			}
		}
	}
}

// TestBundleNamesMistakes checks that a mistake in the sources is an error that says where.
func TestBundleNamesMistakes(t *testing.T) {
	broken := t.TempDir()
	if err := os.CopyFS(broken, os.DirFS(web)); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(broken, "src", "app.tsx")
	source, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, append([]byte("const = 1\n"), source...), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle(broken); err == nil || !strings.Contains(err.Error(), "src/app.tsx:1:6") {
		t.Errorf("the error is %v", err)
	}
}

func TestTiles(t *testing.T) {
	list, err := readTiles(filepath.Join(web, "map", "tiles34.csv"))
	if err != nil {
		t.Fatal(err)
	}
	var places []wallmap.Place
	for _, cell := range list {
		if cell.Kind == "province" {
			places = append(places, wallmap.Place{ID: cell.Code})
		}
	}
	if len(places) != 34 {
		t.Errorf("there are %d tiles of provinces, want 34", len(places))
	}
	if _, err := tiles(list, places); err != nil {
		t.Error(err)
	}
	moved := slices.Clone(list)
	moved[1].Row, moved[1].Col = moved[0].Row, moved[0].Col
	for name, c := range map[string]struct {
		list []tile
		want string
	}{
		"one missing": {list[1:], "the tiles lack [08]"},
		"one twice":   {append(slices.Clone(list), list[0]), `code "08" (Tuyên Quang) is there twice`},
		"one cell":    {moved, "Cao Bằng lies on Tuyên Quang"},
		"no sea":      {list[:34], "the tiles lack [HS TS]"},
	} {
		if _, err := tiles(c.list, places); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v, want %q in it", name, err, c.want)
		}
	}
}
