package sandbox

import (
	_ "embed"
	"fmt"
	"maps"
	"strings"

	"ioc.local/internal/suggest"
)

//go:embed functions.txt
var functionList string

// suffixes are the combinators that an aggregate function's name may end with. State, Merge and SimpleState would make or
// read the bytes of states; Resample multiplies memory.
var suffixes = []string{"If", "Array", "Map", "Distinct", "OrNull", "OrDefault", "ForEach", "ArgMin", "ArgMax"}

// functions is the allow-list.
type functions struct {
	names     map[string]bool
	folded    map[string]string // lower case to the name
	aggregate map[string]bool
}

// newFunctions reads the list.
func newFunctions() (*functions, error) {
	f := &functions{names: map[string]bool{}, folded: map[string]string{}, aggregate: map[string]bool{}}
	section := ""
	for line := range strings.Lines(functionList) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
			continue
		}
		for _, name := range strings.Fields(line) {
			if f.names[name] {
				return nil, fmt.Errorf("functions.txt has %s twice", name)
			}
			f.names[name] = true
			f.folded[strings.ToLower(name)] = name
			f.aggregate[name] = section == "aggregate"
		}
	}
	return f, nil
}

// resolve returns the name by which ClickHouse knows an allowed function; ok is false for any other. The case of letters
// matters as little as in standard SQL.
func (f *functions) resolve(name string) (known string, ok bool) {
	if f.names[name] {
		return name, true
	}
	if known, ok := f.folded[strings.ToLower(name)]; ok {
		return known, true
	}
	for _, suffix := range suffixes {
		base, found := strings.CutSuffix(name, suffix)
		if !found {
			continue
		}
		if known, ok := f.resolve(base); ok && f.isAggregate(known) {
			return known + suffix, true
		}
	}
	return "", false
}

// isAggregate tells whether a resolved name is that of an aggregate function, with or without suffixes.
func (f *functions) isAggregate(known string) bool {
	if f.names[known] {
		return f.aggregate[known]
	}
	for _, suffix := range suffixes {
		if base, found := strings.CutSuffix(known, suffix); found && f.isAggregate(base) {
			return true
		}
	}
	return false
}

// similar is the allowed function whose name is most like the given one; empty when none is.
func (f *functions) similar(name string) string {
	name = strings.ToLower(name)
	return f.folded[suggest.Nearest(name, maps.Keys(f.folded), min(3, len(name)/3+1)+1)]
}
