package kpi

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"path"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
	"golang.org/x/text/unicode/norm"
)

// FileError is an error at a place of a definition file.
type FileError struct {
	File         string
	Line, Column int // From 1.
	Detail       string
}

// Error names the place as file:line:column.
func (e *FileError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Detail)
}

var (
	units   = []string{"ratio", "count", "vnd", "ms", "s", "points", "working_day"}
	betters = []string{"higher", "lower", "neutral"}
	bases   = []Basis{BasisFound, BasisProposal}
)

// need says whether a kind needs a part of a definition.
type need uint8

const (
	never need = iota
	maybe
	always
)

// kindRules says what a kind needs of a definition.
type kindRules struct {
	forms                          []form
	numerator, denominator, metric need
	whole                          bool // It may count out of a known whole.
}

var kinds = map[Kind]kindRules{
	KindRatio:      {forms: []form{rollup, registry, petitioning, quality}, numerator: always, denominator: always, metric: maybe},
	KindCount:      {forms: []form{rollup, registry, petitioning}, numerator: always, metric: maybe, whole: true},
	KindSum:        {forms: []form{rollup}, numerator: always, metric: maybe},
	KindQuantile:   {forms: []form{rollup}, numerator: always},
	KindAge:        {forms: []form{activity}},
	KindCumulative: {forms: []form{rollup}, numerator: always, denominator: maybe, metric: always},
	KindFormula:    {forms: []form{composed}},
	KindReported:   {forms: []form{reports}, metric: always},
}

// definitionFile is a file being checked; the first error stays.
type definitionFile struct {
	name string
	tree *ast.File
	err  error
}

func parseDefinition(name string, content []byte, sources map[string]*source) (*Definition, error) {
	if at := notNFC(content); at >= 0 {
		line := 1 + bytes.Count(content[:at], []byte{'\n'})
		column := 1 + utf8.RuneCount(content[bytes.LastIndexByte(content[:at], '\n')+1:at])
		return nil, &FileError{name, line, column, "text is not in Unicode form NFC; save it composed, for example with uconv -x any-nfc"}
	}
	tree, err := parser.ParseBytes(content, 0)
	if err != nil {
		return nil, yamlError(name, err)
	}
	if len(tree.Docs) != 1 {
		return nil, &FileError{name, 1, 1, fmt.Sprintf("holds %d YAML documents; give each KPI a file of its own", len(tree.Docs))}
	}
	d := &Definition{}
	if err := yaml.NewDecoder(bytes.NewReader(content), yaml.Strict()).Decode(d); err != nil {
		return nil, yamlError(name, err)
	}
	f := &definitionFile{name: name, tree: tree}
	f.checkTexts(d)
	if src := f.findSource(d, sources); src != nil {
		d.source = src
		f.checkKind(d)
		f.checkChoices(d)
		f.checkLevels(d)
	}
	if f.err != nil {
		return nil, f.err
	}
	return d, nil
}

func yamlError(name string, err error) error {
	if at, ok := errors.AsType[yaml.Error](err); ok && at.GetToken() != nil {
		position := at.GetToken().Position
		detail := at.GetMessage()
		if strings.HasPrefix(detail, "unknown field") {
			detail += "; remove it, or use a key of the documentation"
		}
		if mismatch, ok := errors.AsType[*yaml.TypeError](err); ok {
			detail = fmt.Sprintf("%q is not a %s", at.GetToken().Value, kindName(mismatch.DstType))
		}
		return &FileError{name, position.Line, position.Column, detail}
	}
	return &FileError{name, 1, 1, err.Error()}
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Float64, reflect.Int:
		return "number"
	case reflect.Bool:
		return "truth value (true or false)"
	case reflect.Slice:
		return "list"
	case reflect.Struct, reflect.Pointer:
		return "group of keys"
	}
	return "text"
}

// notNFC is the offset of the first text that is not NFC, or -1.
func notNFC(content []byte) int {
	if norm.NFC.IsNormal(content) {
		return -1
	}
	at := 0
	for line := range bytes.SplitAfterSeq(content, []byte{'\n'}) {
		if !norm.NFC.IsNormal(line) {
			return at + norm.NFC.QuickSpan(line)
		}
		at += len(line)
	}
	return 0
}

// node is the value of a key such as target.value; nil when the file lacks it.
func (f *definitionFile) node(key string) ast.Node {
	p, err := yaml.PathString("$." + key)
	if err != nil {
		return nil
	}
	n, err := p.FilterFile(f.tree)
	if err != nil {
		return nil
	}
	return n
}

// fail keeps an error at the value of a key; where the file lacks the key, at what should hold it.
func (f *definitionFile) fail(key string, offset int, format string, args ...any) {
	if f.err != nil {
		return
	}
	e := &FileError{f.name, 1, 1, key + ": " + fmt.Sprintf(format, args...)}
	for held := key; held != ""; held = held[:max(0, strings.LastIndexByte(held, '.'))] {
		if at := start(f.node(held)); at != nil {
			e.Line, e.Column = at.Line, at.Column
			if held == key {
				e.Column += offset
			}
			break
		}
	}
	f.err = e
}

// start is where a value begins; nil when there is none.
func start(n ast.Node) *token.Position {
	switch n := n.(type) {
	case nil:
		return nil
	case *ast.MappingNode:
		if len(n.Values) > 0 {
			return n.Values[0].Key.GetToken().Position
		}
	case *ast.MappingValueNode:
		return n.Key.GetToken().Position
	}
	return n.GetToken().Position
}

func (f *definitionFile) require(key, value string) {
	if strings.TrimSpace(value) == "" {
		f.fail(key, 0, "is missing; add it")
	}
}

func (f *definitionFile) choose(key, value string, known []string) {
	f.require(key, value)
	if !slices.Contains(known, value) {
		f.fail(key, 0, "%q is unknown; use one of %s", value, strings.Join(known, ", "))
	}
}

func (f *definitionFile) checkTexts(d *Definition) {
	f.require("id", d.ID)
	if want := strings.TrimSuffix(path.Base(f.name), ".yaml"); d.ID != want {
		f.fail("id", 0, "is %q, but the file is named for %q; make them the same", d.ID, want)
	}
	for i := range len(d.ID) {
		if b := d.ID[i]; (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '_' || i > 63 {
			f.fail("id", i, "may hold only a to z, 0 to 9 and _, at most 64 of them")
		}
	}
	for _, text := range []struct{ key, value string }{
		{"name.vi", d.Name.VI}, {"name.en", d.Name.EN}, {"description.vi", d.Description.VI}, {"description.en", d.Description.EN}, {"origin", d.Origin},
	} {
		f.require(text.key, text.value)
	}
}

func (f *definitionFile) findSource(d *Definition, sources map[string]*source) *source {
	f.require("source", d.Source)
	src, ok := sources[d.Source]
	if !ok {
		f.fail("source", 0, "%q is unknown; use one of %s", d.Source, sourceNames(sources))
	}
	return src
}

func (f *definitionFile) checkChoices(d *Definition) {
	src := d.source
	f.choose("unit", d.Unit, units)
	f.choose("better", d.Better, betters)
	f.choose("default_period", d.DefaultPeriod, periods)
	f.checkBasis("basis", d.Basis)
	f.choose("coverage", d.Coverage, []string{src.coverage})
	if d.Per != "" && !slices.Contains(d.Dimensions, d.Per) {
		f.fail("per", 0, "%q is none of the dimensions; add it there", d.Per)
	}
	for i, dimension := range d.Dimensions {
		key := fmt.Sprintf("dimensions[%d]", i)
		if !src.hasDimension(dimension) {
			f.fail(key, 0, "source %s has no dimension %q; it has: %s", src.name, dimension, strings.Join(src.dimensionNames(), ", "))
		}
		if src.derived(dimension) {
			f.fail(key, 0, "%q can stand in conditions only; remove it", dimension)
		}
		if slices.Index(d.Dimensions, dimension) != i {
			f.fail(key, 0, "%q appears twice; remove one", dimension)
		}
	}
}

func (f *definitionFile) checkKind(d *Definition) {
	rules, ok := kinds[d.Kind]
	if !ok {
		f.fail("kind", 0, "%q is unknown; use one of age, count, cumulative, formula, quantile, ratio, reported, sum", d.Kind)
		return
	}
	if !slices.Contains(rules.forms, d.source.form) {
		f.fail("kind", 0, "%s cannot be computed from source %s; choose another source or kind", d.Kind, d.Source)
	}
	for _, part := range []struct {
		key, value string
		needed     need
	}{{"numerator", d.Numerator, rules.numerator}, {"denominator", d.Denominator, rules.denominator}, {"metric", d.Metric, rules.metric}} {
		switch {
		case part.needed == always:
			f.require(part.key, part.value)
		case part.needed == never && part.value != "":
			f.fail(part.key, 0, "has no meaning for a KPI of kind %s; remove it", d.Kind)
		}
	}
	if d.Whole < 0 || d.Whole > 0 && (!rules.whole || d.source.form != registry) {
		f.fail("whole", 0, "must be positive, and has a meaning only for a count over a register; remove it")
	}
	if d.Metric != "" && !isCode(d.Metric) {
		f.fail("metric", 0, "%q is not an id of a metric", d.Metric)
	}
	f.checkVersions(d)
	d.numerator = f.expression("numerator", d.Numerator, d.source)
	d.denominator = f.expression("denominator", d.Denominator, d.source)
	f.checkFeed(d)
	f.checkQuantile(d)
	f.checkSensitive(d)
}

// checkFeed reads the sum that shows that a ratio's events are sent.
func (f *definitionFile) checkFeed(d *Definition) {
	if d.Feed == "" {
		return
	}
	if d.Kind != KindRatio || d.source.form != rollup {
		f.fail("feed", 0, "has a meaning for a ratio over facts by day only; remove it")
	}
	d.feed = f.expression("feed", d.Feed, d.source)
	if d.feed != nil && d.source.measures[d.feed.measure].events == "" {
		f.fail("feed", 0, "%s shows no events to be sent; use documented, population_told or sync_told of dossier_days", d.feed.measure)
	}
}

// checkSensitive sees to it that what is sensitive is counted only where small counts are hidden.
func (f *definitionFile) checkSensitive(d *Definition) {
	for dimension, hidden := range sensitiveCodes() {
		for _, part := range []struct {
			key        string
			expression *expression
		}{{"numerator", d.numerator}, {"denominator", d.denominator}} {
			if !d.Sensitive && part.expression.names(dimension, hidden.codes) {
				f.fail(part.key, 0, "counts %s, which is sensitive; add sensitive: true and min_cell: 10", strings.Join(hidden.codes, " or "))
			}
		}
	}
	switch {
	case !d.Sensitive && d.MinCell != 0:
		f.fail("min_cell", 0, "has a meaning for sensitive KPIs only; add sensitive: true, or remove it")
	case !d.Sensitive:
	case d.MinCell < 2:
		f.fail("min_cell", 0, "must be at least 2 for a sensitive KPI; 10 is the rule")
	case d.follows():
		f.fail("sensitive", 0, "is not possible where what happens later is counted; choose another measure")
	case d.source.form != rollup:
		f.fail("sensitive", 0, "is possible only over facts by day and province; choose another source")
	case len(d.Dimensions) != 1 || d.Dimensions[0] != "province":
		f.fail("dimensions", 0, "must be [province] for a sensitive KPI")
	}
}

func (f *definitionFile) expression(key, text string, src *source) *expression {
	if text == "" {
		return nil
	}
	e, err := parseExpression(text, src)
	if at, ok := errors.AsType[*expressionError](err); ok {
		offset := at.offset
		if n, ok := f.node(key).(*ast.StringNode); ok && n.Token.Origin != "" && strings.ContainsAny(n.Token.Origin, `"'`) {
			offset++ // inside the quotes
		}
		f.fail(key, offset, "%s", at.detail)
	}
	return e
}

func (f *definitionFile) checkLevels(d *Definition) {
	f.checkLevel("target", d.Target)
	if d.Thresholds == nil {
		return
	}
	if d.Better == "neutral" {
		f.fail("thresholds", 0, "have no meaning where better is neutral; remove them")
	}
	if d.Thresholds.Good == nil {
		f.fail("thresholds", 0, "need good; add it")
		return
	}
	f.checkLevel("thresholds.good", d.Thresholds.Good)
	f.checkLevel("thresholds.warn", d.Thresholds.Warn)
	if warn := d.Thresholds.Warn; warn != nil && warn.Value != d.Thresholds.Good.Value && (warn.Value > d.Thresholds.Good.Value) == (d.Better == "higher") {
		f.fail("thresholds.warn.value", 0, "is better than good; exchange them")
	}
}

func (f *definitionFile) checkLevel(key string, level *Level) {
	if level == nil {
		return
	}
	if f.node(key+".value") == nil {
		f.fail(key, 0, "needs a value; add it")
	}
	if math.IsNaN(level.Value) || math.IsInf(level.Value, 0) {
		f.fail(key+".value", 0, "must be a number")
	}
	if strings.TrimSpace(level.Source) == "" {
		f.fail(key, 0, "needs the source that sets it, or basis proposal with a source that says so; add source")
	}
	f.checkBasis(key+".basis", level.Basis)
}

func (f *definitionFile) checkBasis(key string, basis Basis) {
	if !slices.Contains(bases, basis) {
		f.fail(key, 0, "is %q; use found (the source says so) or proposal", basis)
	}
}
