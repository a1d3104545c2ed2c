package config

import (
	"bufio"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// Key describes one configuration key.
type Key struct {
	Path    string // For example clickhouse.addr; also the name of the flag.
	Env     string // Environment variable; empty when only the file can hold the value.
	Default string // The value in the struct given to Keys, as text; secrets are masked.
	Doc     string // Text of the doc tag.
	Secret  bool
}

// Keys lists the keys of a configuration, whose current values are taken for the defaults, in the order of its fields.
// For lists of sections, the keys of an element follow as list[].key.
func Keys(cfg any) ([]Key, error) {
	root, err := target(cfg)
	if err != nil {
		return nil, err
	}
	list, err := fields(root)
	if err != nil {
		return nil, err
	}
	var keys []Key
	for _, f := range list {
		t := f.value.Type()
		env := f.env()
		if !settable(t) {
			env = ""
		}
		keys = append(keys, Key{Path: f.path, Env: env, Default: summary(f.value), Doc: f.doc, Secret: t == secretType})
		if (t.Kind() == reflect.Slice || t.Kind() == reflect.Map) && isSection(t.Elem()) {
			element, err := Keys(reflect.New(t.Elem()).Interface())
			if err != nil {
				return nil, err
			}
			for _, k := range element {
				k.Path, k.Env = f.path+"[]."+k.Path, ""
				keys = append(keys, k)
			}
		}
	}
	return keys, nil
}

// summary is a value on one line.
func summary(v reflect.Value) string {
	switch {
	case isScalar(v.Type()):
		return text(v)
	case v.Len() == 0:
		return ""
	case !isScalar(v.Type().Elem()):
		return fmt.Sprintf("(%d entries)", v.Len())
	}
	var parts []string
	children(v, "", func(child reflect.Value, path string) {
		if v.Kind() == reflect.Map {
			parts = append(parts, path+"="+text(child))
		} else {
			parts = append(parts, text(child))
		}
	})
	return strings.Join(parts, ",")
}

// Print writes the configuration as YAML that Load reads again, except for secrets, which are masked.
func Print(w io.Writer, cfg any) error {
	root, err := target(cfg)
	if err != nil {
		return err
	}
	if _, err := fields(root); err != nil {
		return err
	}
	var b strings.Builder
	writeYAML(&b, root, "")
	_, err = io.WriteString(w, b.String())
	return err
}

// writeYAML writes the entries of a section, list or map, each line after the indent. (The YAML library's encoder
// leaves some texts unquoted that its parser then reads as something else.)
func writeYAML(b *strings.Builder, v reflect.Value, indent string) {
	children(v, "", func(child reflect.Value, path string) {
		if v.Kind() == reflect.Slice {
			var element strings.Builder
			if isScalar(child.Type()) {
				element.WriteString(indent + "  " + yamlScalar(child) + "\n")
			} else {
				writeYAML(&element, child, indent+"  ")
			}
			b.WriteString(indent + "- " + strings.TrimPrefix(element.String(), indent+"  "))
			return
		}
		b.WriteString(indent + yamlText(path) + ":")
		switch {
		case isScalar(child.Type()):
			b.WriteString(" " + yamlScalar(child) + "\n")
		case child.Kind() == reflect.Slice && child.Len() == 0:
			b.WriteString(" []\n")
		case child.Kind() == reflect.Map && child.Len() == 0:
			b.WriteString(" {}\n")
		default:
			b.WriteString("\n")
			writeYAML(b, child, indent+"  ")
		}
	})
}

func yamlScalar(v reflect.Value) string {
	if v.Kind() == reflect.String || isText(v.Type()) {
		return yamlText(text(v))
	}
	return text(v)
}

// plainYAML matches texts that YAML reads as themselves without quotes, but for a few words.
var plainYAML = regexp.MustCompile(`^[\p{L}_/][\p{L}0-9_./@+-]*$|^[0-9]+[KMGT]iB$`)

func yamlText(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return strconv.Quote(s)
	}
	if plainYAML.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

// Doc writes for every key its name, default, environment variable and explanation.
func Doc(w io.Writer, cfg any) error {
	keys, err := Keys(cfg)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	for i, k := range keys {
		if i > 0 {
			fmt.Fprintln(b)
		}
		fmt.Fprintln(b, k.Path)
		if k.Doc != "" {
			fmt.Fprintf(b, "    %s\n", k.Doc)
		}
		value := k.Default
		if value == "" {
			value = "(empty)"
		}
		fmt.Fprintf(b, "    default: %s\n", value)
		if k.Env != "" {
			fmt.Fprintf(b, "    env: %s, flag: --%s\n", k.Env, k.Path)
		}
	}
	return b.Flush()
}
