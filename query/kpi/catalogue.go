package kpi

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"ioc.local/internal/reference"
)

//go:embed catalogue/*.yaml
var embedded embed.FS

const (
	maxDefinitions     = 1000
	maxDefinitionBytes = 64 << 10
)

// Catalogue is a set of definitions. It never changes and is safe for concurrent use.
type Catalogue struct {
	byID     map[string]*Definition
	all      []*Definition
	sources  map[string]*source
	places   *reference.Data
	parent63 map[string]string // Province of the 34-scheme by code of the 63-scheme.
	province map[string]bool   // Codes of the 34-scheme.
}

// Load reads the embedded definitions and those of the directory, which add to them or, by the same id, replace them.
// An empty dir means none. Errors in a file name its file, line and column, and say what to do. The first of each file are
// joined: the cause of what Load returns has Unwrap() []error.
func Load(dir string) (*Catalogue, error) {
	places, err := reference.Load(reference.Options{})
	if err != nil {
		return nil, fmt.Errorf("loading KPI catalogue: %w", err)
	}
	c := &Catalogue{byID: map[string]*Definition{}, sources: map[string]*source{}, places: places,
		parent63: map[string]string{}, province: map[string]bool{}}
	for _, s := range sources() {
		c.sources[s.name] = s
	}
	for _, p := range places.Provinces63() {
		c.parent63[p.Code] = p.Code34
	}
	for _, p := range places.Provinces34() {
		c.province[p.Code] = true
		c.parent63[undivided(p.Code)] = p.Code
	}
	shipped, err := fs.Sub(embedded, "catalogue")
	if err != nil {
		return nil, fmt.Errorf("loading KPI catalogue: %w", err)
	}
	broken := map[string]bool{}
	errs := c.add(shipped, "catalogue", broken)
	if dir != "" {
		errs = append(errs, c.add(os.DirFS(dir), dir, broken)...)
	}
	for _, id := range slices.Sorted(maps.Keys(c.byID)) {
		if err := c.checkParts(c.byID[id], broken); err != nil {
			errs = append(errs, err)
		}
		c.all = append(c.all, c.byID[id])
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("loading KPI catalogue: %w", errors.Join(errs...))
	}
	return c, nil
}

// All lists the definitions by id.
func (c *Catalogue) All() []*Definition { return slices.Clone(c.all) }

// Get finds a definition by id.
func (c *Catalogue) Get(id string) (*Definition, bool) {
	d, ok := c.byID[id]
	return d, ok
}

// add reads the definitions of a directory, and returns one error for each file that is wrong; its id is broken.
func (c *Catalogue) add(files fs.FS, dir string, broken map[string]bool) []error {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return []error{err}
	}
	if len(names) == 0 {
		if _, err := fs.ReadDir(files, "."); err != nil {
			return []error{fmt.Errorf("reading %s: %w", dir, err)}
		}
	}
	if len(names) > maxDefinitions {
		return []error{fmt.Errorf("%s holds %d definitions, at most %d are read", dir, len(names), maxDefinitions)}
	}
	var errs []error
	for _, name := range names {
		d, err := c.read(files, name, path.Join(dir, name))
		if err != nil {
			errs = append(errs, err)
			broken[strings.TrimSuffix(name, ".yaml")] = true
			continue
		}
		c.byID[d.ID] = d
	}
	return errs
}

// read reads one definition; shown is the name of its file for people.
func (c *Catalogue) read(files fs.FS, name, shown string) (*Definition, error) {
	info, err := fs.Stat(files, name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxDefinitionBytes {
		return nil, &FileError{shown, 1, 1, fmt.Sprintf("is larger than %d bytes; shorten it", maxDefinitionBytes)}
	}
	content, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	return parseDefinition(shown, content, c.sources)
}

// unmerged says whether the province is the same place in both schemes.
func (c *Catalogue) unmerged(code34 string) bool {
	p, ok := c.places.Province34(code34)
	return ok && len(p.MergedFrom) == 1
}

// undivided is the row of the 63-scheme for facts that were reported in the 34-scheme and cannot be split.
func undivided(code34 string) string { return "gso34:" + code34 }

// sourceNames lists the named sources for an error.
func sourceNames(sources map[string]*source) string {
	return strings.Join(slices.Sorted(maps.Keys(sources)), ", ")
}
