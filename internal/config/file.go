package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFileBytes bounds a configuration file.
const maxFileBytes = 1 << 20

// fileLoader sets values from the syntax tree of one YAML file and keeps every error with its place. The tree is
// walked here, and not by the YAML library's decoder, so that all sources share one way to set a value and every error
// names the key.
type fileLoader struct {
	file string
	errs []error
}

func loadFile(root reflect.Value, file string) []error {
	tree, err := parseFile(file)
	if err != nil {
		return []error{err}
	}
	l := &fileLoader{file: file}
	bodies := 0
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		if bodies++; bodies > 1 {
			l.fail(doc.Body, "", "a second YAML document is not read")
			break
		}
		l.section(root, doc.Body, "")
	}
	return l.errs
}

func parseFile(file string) (*ast.File, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	if len(content) > maxFileBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes", file, maxFileBytes)
	}
	tree, err := parser.ParseBytes(content, 0)
	if err != nil {
		var e yaml.Error // only its message: the library's text quotes lines, which may hold secrets
		if errors.As(err, &e) && e.GetToken() != nil {
			p := e.GetToken().Position
			return nil, fmt.Errorf("%s:%d:%d: %s", file, p.Line, p.Column, e.GetMessage())
		}
		return nil, fmt.Errorf("%s is not YAML", file)
	}
	return tree, nil
}

// fail keeps an error at a node.
func (l *fileLoader) fail(node ast.Node, path, format string, args ...any) {
	p := node.GetToken().Position
	if m, ok := node.(ast.MapNode); ok { // whose own token is the colon
		if pairs := m.MapRange(); pairs.Next() {
			p = pairs.Key().GetToken().Position
		}
	}
	err := fmt.Errorf(format, args...)
	if path != "" {
		err = fmt.Errorf("%s: %w", path, err)
	}
	l.errs = append(l.errs, fmt.Errorf("%s:%d:%d: %w", l.file, p.Line, p.Column, err))
}

func (l *fileLoader) section(v reflect.Value, node ast.Node, path string) {
	if node.Type() == ast.NullType {
		return // a section whose keys are all commented out
	}
	l.pairs(node, path, func(key ast.Node, name string, value ast.Node) {
		var names []string
		for i := range v.NumField() {
			known := keyName(v.Type().Field(i))
			if known == name && known != "" {
				l.value(v.Field(i), value, join(path, name))
				return
			}
			if known != "" {
				names = append(names, known)
			}
		}
		l.fail(key, join(path, name), "unknown key%s", suggestion(name, names))
	})
}

// pairs calls each for every key of a mapping.
func (l *fileLoader) pairs(node ast.Node, path string, each func(key ast.Node, name string, value ast.Node)) {
	m, ok := node.(ast.MapNode)
	if !ok {
		l.fail(node, path, "want a mapping, found %s", kind(node))
		return
	}
	for i := m.MapRange(); i.Next(); {
		name, ok := scalarText(i.Key())
		if !ok {
			l.fail(i.Key(), path, "a key must be plain text, found %s", kind(i.Key()))
			continue
		}
		each(i.Key(), name, i.Value())
	}
}

func (l *fileLoader) value(v reflect.Value, node ast.Node, path string) {
	t := v.Type()
	switch {
	case isScalar(t):
		s, ok := scalarText(node)
		if !ok {
			l.fail(node, path, "want one value, found %s", kind(node))
		} else if err := setScalar(v, s); err != nil {
			l.fail(node, path, "%w", err)
		}
	case t.Kind() == reflect.Slice:
		sequence, ok := node.(*ast.SequenceNode)
		if !ok {
			l.fail(node, path, "want a list, found %s", kind(node))
			return
		}
		list := reflect.MakeSlice(t, len(sequence.Values), len(sequence.Values))
		for i, element := range sequence.Values {
			l.value(list.Index(i), element, fmt.Sprintf("%s[%d]", path, i))
		}
		v.Set(list)
	case t.Kind() == reflect.Map:
		entries := reflect.MakeMap(t)
		l.pairs(node, path, func(_ ast.Node, name string, value ast.Node) {
			element := reflect.New(t.Elem()).Elem()
			l.value(element, value, join(path, name))
			entries.SetMapIndex(reflect.ValueOf(name).Convert(t.Key()), element)
		})
		v.Set(entries)
	default:
		l.section(v, node, path)
	}
}

// scalarText is the text of a scalar as written, so that 1.10 stays 1.10.
func scalarText(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// kind names a node for an error message.
func kind(node ast.Node) string {
	switch node.(type) {
	case *ast.NullNode:
		return "nothing"
	case ast.MapNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		return "a tag, anchor or alias, which are not read"
	}
	return "one value"
}
