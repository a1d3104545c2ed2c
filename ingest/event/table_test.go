package event

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const schemaFile = "../../internal/warehouse/schema/0001_raw.sql"

var kindTypes = [...]string{textColumn: "String", dictionaryColumn: "LowCardinality(String)", fixedColumn: "FixedString(32)",
	enumColumn: "Enum8", uint8Column: "UInt8", uint16Column: "UInt16", uint32Column: "UInt32", uint64Column: "UInt64",
	int32Column: "Int32", floatColumn: "Float64", dateColumn: "Date", timeColumn: "DateTime64(3, 'Asia/Ho_Chi_Minh')"}

// schemaColumns reads the columns of a table with their types out of the schema.
func schemaColumns(t *testing.T, name string) (names, types []string) {
	content, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	_, body, ok := strings.Cut(string(content), "CREATE TABLE IF NOT EXISTS "+name+"\n(\n")
	if !ok {
		t.Fatalf("the schema has no table %s", name)
	}
	body, _, _ = strings.Cut(body, "\n)\n")
	line := regexp.MustCompile(`^    (\w+) +(.*?) COMMENT `)
	for _, text := range strings.Split(body, "\n") {
		if strings.HasPrefix(text, "    INDEX ") {
			continue
		}
		m := line.FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("cannot read the schema's line %q", text)
		}
		names, types = append(names, m[1]), append(types, m[2])
	}
	return names, types
}

func TestTablesAreTheSchemas(t *testing.T) {
	for _, table := range []*table{&dossierEvents, &authAttempts, &registerEvents, &deadLetters, &skippedOffsets} {
		names, types := schemaColumns(t, table.name)
		if len(names) != len(table.columns) {
			t.Errorf("%s has %d columns, the schema %d", table.name, len(table.columns), len(names))
			continue
		}
		for i, c := range table.columns {
			want, _, _ := strings.Cut(types[i], "(")
			if c.kind != enumColumn {
				want = types[i]
			}
			if c.name != names[i] || kindTypes[c.kind] != want {
				t.Errorf("%s: column %d is %s %s, the schema says %s %s", table.name, i, c.name, kindTypes[c.kind], names[i], types[i])
			}
		}
	}
}

// The enumerations of fields are stored by position, so they must be those of the schema.
func TestEnumerationsAreTheSchemas(t *testing.T) {
	element := regexp.MustCompile(`'(\w+)' = (\d+)`)
	for _, event := range eventTypes {
		names, types := schemaColumns(t, event.table.name)
		for _, f := range append(commonFields, event.fields...) {
			if f.kind != enumField {
				continue
			}
			for i, name := range names {
				if name != f.name {
					continue
				}
				var got []string
				for _, m := range element.FindAllStringSubmatch(types[i], -1) {
					got = append(got, m[1])
				}
				if want := strings.Join(f.values, " "); strings.Join(got[1:], " ") != want {
					t.Errorf("%s: the schema's values are %v, the field's %s", f.name, got, want)
				}
			}
		}
	}
	if !strings.Contains(schemaText(t), "lowest first: "+strings.Join(authMethods, ", ")) {
		t.Error("the schema lists the means of authentication in another order")
	}
}

func schemaText(t *testing.T) string {
	content, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestCompileFindsMistakes(t *testing.T) {
	for name, c := range map[string]eventType{
		"no column": {name: "a.b", table: &authAttempts, fields: []field{{name: "status", kind: integerField}}},
		"no event":  {name: "a.b", table: &deadLetters},
	} {
		if _, err := compile(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestFindField(t *testing.T) {
	d := newTestDecoder(t)
	for _, c := range d.types {
		for i, f := range c.fields {
			if got := c.find([]byte(f.name)); got != i {
				t.Errorf("%s: field %s is found at %d, not %d", c.name, f.name, got, i)
			}
			if got := c.find([]byte(f.name + "x")); got != -1 {
				t.Errorf("%s: %sx is found at %d", c.name, f.name, got)
			}
		}
	}
}
