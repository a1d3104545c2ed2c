package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
)

// envPrefix starts every environment variable that belongs to the configuration.
const envPrefix = "IOC_"

// field is one key that can be set: a leaf of the configuration.
type field struct {
	path  string
	value reflect.Value // addressable
	doc   string
}

// env is the environment variable of the key.
func (f field) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(f.path, ".", "_"))
}

var (
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	durationType    = reflect.TypeFor[time.Duration]()
	secretType      = reflect.TypeFor[Secret]()
)

// target checks that into is a pointer to a struct.
func target(into any) (reflect.Value, error) {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return v, fmt.Errorf("configuration must be a pointer to a struct, not %T", into)
	}
	return v.Elem(), nil
}

// fields lists the leaves in the order of the struct. Two keys with one environment variable, and types that cannot be
// configured, are mistakes in the program.
func fields(root reflect.Value) ([]field, error) {
	var list []field
	if err := collect(root, "", &list); err != nil {
		return nil, err
	}
	byEnv := make(map[string]string)
	for _, f := range list {
		env := f.env()
		if other, twice := byEnv[env]; twice {
			return nil, fmt.Errorf("keys %s and %s share the environment variable %s", other, f.path, env)
		}
		byEnv[env] = f.path
	}
	return list, nil
}

func collect(v reflect.Value, path string, list *[]field) error {
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		name := keyName(sf)
		if name == "" {
			continue
		}
		name = join(path, name)
		if isSection(sf.Type) {
			if err := collect(v.Field(i), name, list); err != nil {
				return err
			}
			continue
		}
		if err := supported(sf.Type, name); err != nil {
			return err
		}
		*list = append(*list, field{name, v.Field(i), sf.Tag.Get("doc")})
	}
	return nil
}

// keyName is the yaml tag, else the field's name in snake case; empty for fields that are no keys.
func keyName(sf reflect.StructField) string {
	name, _, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
	if name == "-" || !sf.IsExported() {
		return ""
	}
	if name != "" {
		return name
	}
	letters := []rune(sf.Name)
	var b strings.Builder
	for i, r := range letters {
		startsWord := i > 0 && unicode.IsUpper(r) &&
			(!unicode.IsUpper(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1]))
		if startsWord {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// isText tells types that read themselves from a text.
func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textUnmarshaler) }

// isSection tells structs whose fields are keys.
func isSection(t reflect.Type) bool { return t.Kind() == reflect.Struct && !isText(t) }

// isScalar tells types that one text fills.
func isScalar(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	}
	return isText(t)
}

// settable tells types that an environment variable or a flag can hold: scalars, and lists and maps of them.
func settable(t reflect.Type) bool {
	if isScalar(t) {
		return true
	}
	return (t.Kind() == reflect.Slice || t.Kind() == reflect.Map) && isScalar(t.Elem())
}

func supported(t reflect.Type, path string) error {
	switch {
	case isScalar(t):
		return nil
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		return supported(t.Elem(), path)
	case isSection(t):
		_, err := fields(reflect.New(t).Elem())
		return err
	}
	return fmt.Errorf("key %s: type %s cannot be configured", path, t)
}
