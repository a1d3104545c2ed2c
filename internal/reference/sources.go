package reference

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxSourcesBytes bounds a registry given by the operator.
const maxSourcesBytes = 16 << 20

// maxExpectedSeconds is the longest interval that makes sense: a report once a year, and some days.
const maxExpectedSeconds = 400 * 24 * 3600

var systems = []string{"npsp", "mps_portal", "vneid", "eid_auth", "popdb", "ministry_portal", "province_portal", "ldop",
	"health_book", "task_force", "ioc", "manual_report"}

// Systems lists the systems that a source may name, as in /<system>/<org>.
func Systems() []string { return slices.Clone(systems) }

var eventTypes = []string{"dossier.status", "dossier.document", "dossier.payment", "dossier.rating", "dossier.sync", "auth.attempt",
	"eid.account", "wallet.document", "data.query", "data.quality", "petition.status", "service.catalog", "task.status",
	"capability.status", "counter.report", "event.void"}

// EventTypes lists the types of events, without prefix and version, as a registry of sources names them.
func EventTypes() []string { return slices.Clone(eventTypes) }

// Source is one entry of the registry of sources: who may send what, and how often something is expected.
type Source struct {
	// Name is the CloudEvents source, /<system>/<org>.
	Name string
	// Types are the types it may send, such as dossier.status; nil means all. It may void its own events in any case.
	Types []string
	// Provinces are the provinces of the 34-scheme that its events may be about, in ascending order; nil means all, and
	// events without a province. An entry with provinces may send no national events.
	Provinces []string
	// Expected is the longest time that should pass between two events; 0 when nothing is expected regularly.
	Expected time.Duration
}

// Sources is the registry of sources. It never changes and is safe for concurrent use.
type Sources struct {
	all         []Source
	fingerprint string
}

// Sources is the registry of sources, nil when there is none and every well-formed source is accepted.
func (d *Data) Sources() *Sources { return d.sources }

// All lists the entries by name.
func (s *Sources) All() []Source { return slices.Clone(s.all) }

// Expected lists the entries by name that something is expected of regularly.
func (s *Sources) Expected() []Source {
	return slices.DeleteFunc(slices.Clone(s.all), func(source Source) bool { return source.Expected == 0 })
}

// Source finds an entry by name.
func (s *Sources) Source(name string) (Source, bool) {
	i, ok := slices.BinarySearchFunc(s.all, name, func(source Source, name string) int { return strings.Compare(source.Name, name) })
	if !ok {
		return Source{}, false
	}
	return s.all[i], true
}

// Fingerprint tells registries apart that judge events differently.
func (s *Sources) Fingerprint() string { return s.fingerprint }

// loadSources reads the registry of an operator: a CSV file with the columns source, types, provinces and
// expected_seconds, where types and provinces are lists separated by '|', or '*'.
func (d *Data) loadSources(file string) error {
	if file == "" {
		return nil
	}
	content, err := readLimited(file, maxSourcesBytes)
	if err != nil {
		return err
	}
	d.sources, err = parseSources(file, content, d)
	return err
}

func parseSources(file string, content []byte, d *Data) (*Sources, error) {
	t, err := readTable(file, content, []string{"source", "types", "provinces", "expected_seconds"}, nil)
	if err != nil {
		return nil, err
	}
	if len(t.rows) == 0 {
		return nil, &PlaceError{file, 2, 1, fmt.Errorf("the registry has no source, so nothing could be sent; without a registry every source is accepted")}
	}
	s := &Sources{}
	known := make(map[string]bool)
	for i := range t.rows {
		r := &t.rows[i]
		source := Source{Name: r.text("source")}
		r.check("source", isSource(source.Name), "source %q is not /<system>/<org> with one of the systems %s", source.Name, strings.Join(systems, ", "))
		r.check("source", !known[source.Name], "source %s appears twice", source.Name)
		known[source.Name] = true
		source.Types = r.set("types", func(name string) bool { return slices.Contains(eventTypes, name) }, "an event type such as dossier.status")
		source.Provinces = r.set("provinces", func(code string) bool { _, ok := d.Province34(code); return ok }, "a province code of the 34-scheme")
		source.Expected = time.Duration(r.integer("expected_seconds", 0, maxExpectedSeconds)) * time.Second
		if r.err != nil {
			return nil, r.err
		}
		s.all = append(s.all, source)
	}
	slices.SortFunc(s.all, func(a, b Source) int { return strings.Compare(a.Name, b.Name) })
	sum := sha256.New()
	for _, source := range s.all { // what is expected judges no event
		fmt.Fprintf(sum, "%s,%s,%s\n", source.Name, strings.Join(source.Types, "|"), strings.Join(source.Provinces, "|"))
	}
	s.fingerprint = hex.EncodeToString(sum.Sum(nil)[:8])
	return s, nil
}

// set is a cell with a list of known words, sorted, or '*', which is nil.
func (r *row) set(column string, known func(string) bool, what string) []string {
	text := r.text(column)
	if text == "*" || text == "" {
		return nil
	}
	var words []string
	for word := range strings.SplitSeq(text, "|") {
		word = strings.TrimSpace(word)
		r.check(column, known(word), "%q is not %s, and not '*' alone", word, what)
		r.check(column, !slices.Contains(words, word), "%q appears twice", word)
		words = append(words, word)
	}
	slices.Sort(words)
	return words
}

// isSource matches /<system>/<org>, where org is 1 to 64 letters, digits, '.', '_' and '-', a letter or digit first.
func isSource(name string) bool {
	rest, slash := strings.CutPrefix(name, "/")
	system, org, cut := strings.Cut(rest, "/")
	if !slash || !cut || !slices.Contains(systems, system) || len(org) == 0 || len(org) > 64 || strings.ContainsRune("._-", rune(org[0])) {
		return false
	}
	return strings.Trim(org, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}
