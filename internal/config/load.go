// Package config fills typed configuration structs from a YAML file, environment variables and flags, strictly: what
// is not known is an error that says where it stands and what was probably meant.
//
// A struct field is a key, named by its yaml tag or else by its name in snake case; a nested struct is a section. Its
// doc tag explains it. The values that the struct has before Load are the defaults.
package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Source says where values come from. Later sources win: file, environment, flags.
type Source struct {
	// File is the path of a YAML file. Empty means none.
	File string
	// Env holds NAME=value pairs, as os.Environ gives them. The key clickhouse.addr is IOC_CLICKHOUSE_ADDR. Lists are
	// separated by commas. Names that do not begin with IOC_ are ignored.
	Env []string
	// Flags maps keys, such as "clickhouse.addr", to values.
	Flags map[string]string
}

// reservedEnv are variables that start with the prefix but are read elsewhere.
var reservedEnv = []string{"IOC_ENGINE_LIB"}

// Validator is implemented by configuration structs that can tell a bad value. Load calls it for the whole struct and
// for every section; an error is prefixed with the key of its section.
type Validator interface {
	Validate() error
}

// Load sets what the sources give in the struct that into points to, replaces secrets that name a file by its content,
// and validates. Lists and maps are replaced, not merged. The error holds every problem found, one a line; what into
// then holds should not be used.
func Load(into any, source Source) error {
	root, err := target(into)
	if err != nil {
		return err
	}
	keys, err := fields(root)
	if err != nil {
		return err
	}
	var errs []error
	if source.File != "" {
		errs = append(errs, loadFile(root, source.File)...)
	}
	errs = append(errs, loadEnv(keys, source.Env)...)
	errs = append(errs, loadFlags(keys, source.Flags)...)
	if len(errs) == 0 {
		errs = append(errs, resolveSecrets(root, "")...)
	}
	if len(errs) == 0 { // values that were not set as meant would give misleading complaints
		errs = append(errs, validate(root, "")...)
	}
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("loading configuration: %w", errs[0])
	}
	return fmt.Errorf("loading configuration:\n%w", errors.Join(errs...))
}

func loadEnv(keys []field, env []string) []error {
	var errs []error
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(reservedEnv, name) {
			continue
		}
		if err := set(keys, field.env, name, value); err != nil {
			errs = append(errs, fmt.Errorf("environment variable %s: %w", name, err))
		}
	}
	return errs
}

func loadFlags(keys []field, flags map[string]string) []error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(flags)) { // the same errors in the same order each time
		if err := set(keys, func(f field) string { return f.path }, name, flags[name]); err != nil {
			errs = append(errs, fmt.Errorf("flag --%s: %w", name, err))
		}
	}
	return errs
}

// set gives a text to the key that a source knows by name.
func set(keys []field, nameOf func(field) string, name, text string) error {
	var names []string
	for _, f := range keys {
		switch {
		case nameOf(f) == name && settable(f.value.Type()):
			return setText(f.value, text)
		case nameOf(f) == name:
			return errors.New("can only be set in the configuration file")
		}
		names = append(names, nameOf(f))
	}
	return fmt.Errorf("unknown%s", suggestion(name, names))
}

// children calls each for the values inside a section, list or map, with their paths. Elements of maps are copies.
func children(v reflect.Value, path string, each func(v reflect.Value, path string)) {
	switch {
	case isSection(v.Type()):
		for i := range v.NumField() {
			if name := keyName(v.Type().Field(i)); name != "" {
				each(v.Field(i), join(path, name))
			}
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			each(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case v.Kind() == reflect.Map:
		for _, key := range sortedKeys(v) {
			element := reflect.New(v.Type().Elem()).Elem()
			element.Set(v.MapIndex(key))
			each(element, join(path, key.String()))
			v.SetMapIndex(key, element)
		}
	}
}

func sortedKeys(m reflect.Value) []reflect.Value {
	return slices.SortedFunc(slices.Values(m.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
}

func resolveSecrets(v reflect.Value, path string) []error {
	if v.Type() == secretType {
		secret, err := v.Interface().(Secret).resolve()
		if err != nil {
			return []error{fmt.Errorf("%s: reading the secret: %w", path, err)}
		}
		v.SetString(secret.Reveal())
		return nil
	}
	var errs []error
	children(v, path, func(child reflect.Value, path string) { errs = append(errs, resolveSecrets(child, path)...) })
	return errs
}

func validate(v reflect.Value, path string) []error {
	var errs []error
	children(v, path, func(child reflect.Value, path string) { errs = append(errs, validate(child, path)...) })
	validator, ok := v.Addr().Interface().(Validator)
	if !ok {
		return errs
	}
	err := validator.Validate()
	if err == nil {
		return errs
	}
	several := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		several = joined.Unwrap()
	}
	for _, err := range several {
		if path != "" {
			err = fmt.Errorf("%s: %w", path, err)
		}
		errs = append(errs, err)
	}
	return errs
}
