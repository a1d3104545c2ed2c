package sql

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ioc.local/query/sql/parse"
)

// value is a parameter as the client gave it.
type value struct {
	text string // of a param_ in the address, or of a JSON string
	json any    // json.Number, bool, nil or []any; only if it is no text
	own  bool   // whether json is meant
}

// bind turns the given parameters into those that ClickHouse takes with the statement: values in the escaped form of
// its tab-separated format. Every parameter of the statement must be given, and no other.
func bind(given map[string]value, wanted map[string]string) (map[string]string, *problem) {
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		v, ok := given[name]
		if !ok {
			return nil, ofStatement(name, "the parameter {%s:%s} has no value; give it in params, or as param_%s in the address", name, wanted[name], name)
		}
		typ, err := parse.TypeOf(wanted[name])
		if err != nil {
			return nil, internal(fmt.Errorf("reading a type that was printed: %w", err))
		}
		text, err := v.encode(typ)
		if err != nil {
			return nil, ofStatement(name, "the parameter {%s:%s}: %v", name, wanted[name], err)
		}
		out[name] = text
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := wanted[name]; !ok {
			return nil, ofStatement(name, "the parameter %s is given but is not in the statement; write it as {%s:Type}", name, name)
		}
	}
	return out, nil
}

func ofStatement(name, format string, args ...any) *problem {
	p := newProblem(400, "sql-refused", "The statement is not allowed", format, args...)
	p.Reason, p.Parameter = parse.BadParameter, name
	return p
}

// escaper is for the tab-separated format.
var escaper = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`, "\x00", `\0`)

func (v value) encode(t *parse.Type) (string, error) {
	inner := t
	for (inner.Name == "Nullable" || inner.Name == "LowCardinality") && len(inner.Args) == 1 && inner.Args[0].Type != nil {
		inner = inner.Args[0].Type
	}
	nested := inner.Name == "Array" || inner.Name == "Tuple" || inner.Name == "Map"
	if !v.own {
		if nested {
			return v.text, nil // already in ClickHouse's form: ['a', 'b']
		}
		return escaper.Replace(v.text), nil
	}
	switch x := v.json.(type) {
	case nil:
		return `\N`, nil
	case []any:
		if inner.Name != "Array" && inner.Name != "Tuple" {
			return "", fmt.Errorf("an array cannot be of type %s", inner.Name)
		}
		return literal(x, inner.Name == "Tuple")
	default:
		if nested {
			return "", fmt.Errorf("a single value cannot be of type %s", inner.Name)
		}
		return literal(x, false)
	}
}

// literal writes a value as it stands within an array.
func literal(v any, tuple bool) (string, error) {
	switch v := v.(type) {
	case nil:
		return "NULL", nil
	case bool:
		return fmt.Sprint(v), nil
	case json.Number:
		return v.String(), nil
	case string:
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\t", `\t`, "\n", `\n`, "\r", `\r`, "\x00", `\0`).Replace(v) + "'", nil
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			var err error
			if parts[i], err = literal(x, false); err != nil {
				return "", err
			}
		}
		if tuple {
			return "(" + strings.Join(parts, ",") + ")", nil
		}
		return "[" + strings.Join(parts, ",") + "]", nil
	}
	return "", fmt.Errorf("a value must be a text, a number, a boolean, null or an array of these")
}
