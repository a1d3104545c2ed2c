package sandbox

import (
	"strings"

	"ioc.local/query/sql/parse"
)

// dataTypes are the types that a value may have, as ClickHouse writes them. Others do not occur in what analysts see, and
// some read bytes of the caller's as something else (AggregateFunction).
const dataTypes = `String FixedString UUID Bool Int8 Int16 Int32 Int64 Int128 Int256 UInt8 UInt16 UInt32 UInt64 UInt128 UInt256 Float32 Float64
	Decimal Decimal32 Decimal64 Decimal128 Decimal256 Date Date32 DateTime DateTime32 DateTime64 Enum Enum8 Enum16
	Nullable LowCardinality Array Tuple Map
	IntervalSecond IntervalMinute IntervalHour IntervalDay IntervalWeek IntervalMonth IntervalQuarter IntervalYear`

// standardTypes are names of the SQL standard and what they mean.
var standardTypes = map[string]string{
	"int": "Int32", "integer": "Int32", "smallint": "Int16", "tinyint": "Int8", "bigint": "Int64", "float": "Float32", "real": "Float32", "double": "Float64",
	"char": "String", "varchar": "String", "text": "String", "boolean": "Bool", "timestamp": "DateTime", "numeric": "Decimal", "dec": "Decimal",
}

// typeNames are the names of types in lower case and as they are printed.
var typeNames = func() map[string]string {
	names := map[string]string{}
	for _, name := range strings.Fields(dataTypes) {
		names[strings.ToLower(name)] = name
	}
	for name, means := range standardTypes {
		names[name] = means
	}
	return names
}()

// dataType checks the name of a type; its arguments are types or constants.
func (c *checker) dataType(n *parse.Type) error {
	known, ok := typeNames[strings.ToLower(n.Name)]
	if !ok {
		return refuse(n, parse.BadType, "the type %s is not allowed or does not exist", n.Name)
	}
	if known == "String" {
		n.Args = nil // VARCHAR(20): ClickHouse ignores the length
	}
	n.Name = known
	return nil
}
