package sql

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"ioc.local/query/sql/parse"
)

// writer appends a value to an answer.
type writer func([]byte, reflect.Value) []byte

// encoder writes the values of one column.
type encoder struct {
	json writer
	// text writes the value alone, without quotes; nil where that is the JSON form.
	text writer
}

// encoderOf makes the encoder for a column's type, as ClickHouse names it.
func encoderOf(name string) (encoder, error) {
	t, err := parse.TypeOf(name)
	if err != nil {
		return encoder{}, fmt.Errorf("the type %s has no form here", name)
	}
	return encoderOfType(t)
}

func encoderOfType(t *parse.Type) (encoder, error) {
	switch t.Name {
	case "Nullable", "LowCardinality":
		return encoderOfArg(t, 0)
	case "SimpleAggregateFunction":
		return encoderOfArg(t, 1)
	case "Int8", "Int16", "Int32":
		return encoder{json: nullable(func(b []byte, v reflect.Value) []byte { return strconv.AppendInt(b, v.Int(), 10) })}, nil
	case "UInt8", "UInt16", "UInt32":
		return encoder{json: nullable(func(b []byte, v reflect.Value) []byte { return strconv.AppendUint(b, v.Uint(), 10) })}, nil
	case "Int64":
		return quotedNumber(func(b []byte, v reflect.Value) []byte { return strconv.AppendInt(b, v.Int(), 10) }), nil
	case "UInt64":
		return quotedNumber(func(b []byte, v reflect.Value) []byte { return strconv.AppendUint(b, v.Uint(), 10) }), nil
	case "Int128", "UInt128", "Int256", "UInt256":
		return quotedNumber(func(b []byte, v reflect.Value) []byte {
			n := v.Interface().(big.Int)
			return n.Append(b, 10)
		}), nil
	case "Float32":
		return float(32), nil
	case "Float64":
		return float(64), nil
	case "Decimal":
		return decimalEncoder(t)
	case "Bool":
		return encoder{json: nullable(func(b []byte, v reflect.Value) []byte { return strconv.AppendBool(b, v.Bool()) })}, nil
	case "String", "FixedString", "Enum8", "Enum16":
		return textual(func(v reflect.Value) string { return v.String() }), nil
	case "UUID", "IPv4", "IPv6":
		return textual(func(v reflect.Value) string { return fmt.Sprint(v.Interface()) }), nil
	case "Date", "Date32":
		return moment("2006-01-02"), nil
	case "DateTime", "DateTime32":
		return moment(time.RFC3339), nil
	case "DateTime64":
		return moment64(t), nil
	case "Nothing":
		return encoder{json: func(b []byte, _ reflect.Value) []byte { return append(b, "null"...) }}, nil
	case "Array":
		return arrayEncoder(t)
	case "Map":
		return mapEncoder(t)
	case "Tuple":
		return tupleEncoder(t)
	}
	if strings.HasPrefix(t.Name, "Interval") {
		return textual(func(v reflect.Value) string { return v.String() }), nil
	}
	return encoder{}, fmt.Errorf("the type %s has no form here", t.Name)
}

func encoderOfArg(t *parse.Type, i int) (encoder, error) {
	if len(t.Args) <= i || t.Args[i].Type == nil {
		return encoder{}, fmt.Errorf("the type %s has no form here", t.Name)
	}
	return encoderOfType(t.Args[i].Type)
}

// nullable writes null for what is absent, and else hands on what pointers and interfaces hold.
func nullable(w writer) writer {
	return func(b []byte, v reflect.Value) []byte {
		for v.IsValid() && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) {
			v = v.Elem()
		}
		if !v.IsValid() {
			return append(b, "null"...)
		}
		return w(b, v)
	}
}

// isNull tells whether there is nothing behind pointers and interfaces.
func isNull(v reflect.Value) bool {
	for v.IsValid() && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) {
		v = v.Elem()
	}
	return !v.IsValid()
}

// quotedNumber is a number that a client could round.
func quotedNumber(w writer) encoder {
	return encoder{
		json: nullable(func(b []byte, v reflect.Value) []byte { return append(w(append(b, '"'), v), '"') }),
		text: nullable(w),
	}
}

func textual(text func(reflect.Value) string) encoder {
	return encoder{
		json: nullable(func(b []byte, v reflect.Value) []byte { return appendString(b, text(v)) }),
		text: nullable(func(b []byte, v reflect.Value) []byte { return append(b, text(v)...) }),
	}
}

func float(bits int) encoder {
	return encoder{json: nullable(func(b []byte, v reflect.Value) []byte {
		f := v.Float()
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return append(b, "null"...)
		}
		form := byte('f')
		if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
			form = 'e'
		}
		return strconv.AppendFloat(b, f, form, -1, bits)
	})}
}

// decimalEncoder writes all digits after the point, as the type has them.
func decimalEncoder(t *parse.Type) (encoder, error) {
	if len(t.Args) != 2 || t.Args[1].Value == nil {
		return encoder{}, fmt.Errorf("the type %s has no form here", t.Name)
	}
	scale, err := strconv.Atoi(t.Args[1].Value.Text)
	if err != nil {
		return encoder{}, fmt.Errorf("the type %s has no form here", t.Name)
	}
	return quotedNumber(func(b []byte, v reflect.Value) []byte {
		return append(b, v.Interface().(decimal.Decimal).StringFixed(int32(scale))...)
	}), nil
}

func moment(layout string) encoder {
	return textual(func(v reflect.Value) string { return v.Interface().(time.Time).Format(layout) })
}

// moment64 writes as many digits of the second as the type has.
func moment64(t *parse.Type) encoder {
	digits := 3
	if len(t.Args) > 0 && t.Args[0].Value != nil {
		if n, err := strconv.Atoi(t.Args[0].Value.Text); err == nil {
			digits = n
		}
	}
	layout := "2006-01-02T15:04:05"
	if digits > 0 {
		layout += "." + strings.Repeat("0", digits)
	}
	return moment(layout + "Z07:00")
}

func arrayEncoder(t *parse.Type) (encoder, error) {
	item, err := encoderOfArg(t, 0)
	if err != nil {
		return encoder{}, err
	}
	return encoder{json: nullable(func(b []byte, v reflect.Value) []byte {
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.json(b, v.Index(i))
		}
		return append(b, ']')
	})}, nil
}

// mapEncoder writes an object in the order of its keys.
func mapEncoder(t *parse.Type) (encoder, error) {
	key, err := encoderOfArg(t, 0)
	if err != nil {
		return encoder{}, err
	}
	item, err := encoderOfArg(t, 1)
	if err != nil {
		return encoder{}, err
	}
	if key.text == nil {
		key.text = key.json
	}
	return encoder{json: nullable(func(b []byte, v reflect.Value) []byte {
		keys := map[string]reflect.Value{}
		for _, k := range v.MapKeys() {
			keys[string(key.text(nil, k))] = v.MapIndex(k)
		}
		return appendObject(b, keys, func(b []byte, _ string, v reflect.Value) []byte { return item.json(b, v) })
	})}, nil
}

func appendObject(b []byte, members map[string]reflect.Value, value func([]byte, string, reflect.Value) []byte) []byte {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = value(append(appendString(b, name), ':'), name, members[name])
	}
	return append(b, '}')
}

// tupleEncoder writes an array, or an object if the elements have names.
func tupleEncoder(t *parse.Type) (encoder, error) {
	items := make([]encoder, len(t.Args))
	named := true
	for i, a := range t.Args {
		var err error
		if items[i], err = encoderOfArg(t, i); err != nil {
			return encoder{}, err
		}
		named = named && a.Field != ""
	}
	return encoder{json: nullable(func(b []byte, v reflect.Value) []byte {
		open, end := byte('['), byte(']')
		if named {
			open, end = '{', '}'
		}
		b = append(b, open)
		for i, item := range items {
			if i > 0 {
				b = append(b, ',')
			}
			if !named {
				b = item.json(b, v.Index(i))
				continue
			}
			b = append(appendString(b, t.Args[i].Field), ':')
			b = item.json(b, v.MapIndex(reflect.ValueOf(t.Args[i].Field)))
		}
		return append(b, end)
	})}, nil
}

// appendString writes a text as JSON, without escaping what HTML would need.
func appendString(b []byte, s string) []byte {
	plain := func(r rune) bool {
		return r < ' ' || r == '"' || r == '\\' || r == utf8.RuneError || r == '\u2028' || r == '\u2029'
	}
	if !strings.ContainsFunc(s, plain) {
		return append(append(append(b, '"'), s...), '"')
	}
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // a text always has JSON
	return append(b, strings.TrimSuffix(out.String(), "\n")...)
}
