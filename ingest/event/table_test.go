package event

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ioc.local/internal/reference"
)

// schemaFiles are the migrations that raw tables come from.
var schemaFiles = []string{"../../internal/warehouse/schema/0001_raw.sql", "../../internal/warehouse/schema/0006_events.sql", "../../internal/warehouse/schema/0011_letters.sql",
	"../../internal/warehouse/schema/0013_feeds.sql"}

var kindTypes = [...]string{textColumn: "String", dictionaryColumn: "LowCardinality(String)", fixedColumn: "FixedString(32)",
	enumColumn: "Enum8", int8Column: "Int8", uint8Column: "UInt8", uint16Column: "UInt16", uint32Column: "UInt32", uint64Column: "UInt64",
	int32Column: "Int32", int64Column: "Int64", floatColumn: "Float64", dateColumn: "Date", timeColumn: "DateTime64(3, 'Asia/Ho_Chi_Minh')", hourColumn: "DateTime('Asia/Ho_Chi_Minh')"}

// schemaColumn is a column as the schema declares it.
type schemaColumn struct{ kind, absent string }

// schemaColumns reads the columns of a table out of the schema.
func schemaColumns(t *testing.T, name string) map[string]schemaColumn {
	t.Helper()
	columns := make(map[string]schemaColumn)
	line := regexp.MustCompile(`^    (?:ADD COLUMN IF NOT EXISTS )?(\w+) +(.*?)(?: DEFAULT (\S+))? COMMENT `)
	modified := regexp.MustCompile(`^    MODIFY COLUMN (\w+) DEFAULT (\S+),$`)
	text := schemaText(t)
	for _, begin := range []string{"CREATE TABLE IF NOT EXISTS " + name + "\n(\n", "ALTER TABLE " + name + "\n"} {
		parts := strings.Split(text, begin)
		for _, body := range parts[1:] {
			body, _, _ = strings.Cut(body, ";\n")
			body, _, _ = strings.Cut(body, "\n)\n")
			for _, text := range strings.Split(body, "\n") {
				if m := modified.FindStringSubmatch(text); m != nil {
					c := columns[m[1]]
					c.absent = m[2]
					columns[m[1]] = c
				} else if m := line.FindStringSubmatch(text); m != nil {
					columns[m[1]] = schemaColumn{m[2], m[3]}
				} else if !strings.HasPrefix(text, "    INDEX ") && !strings.HasPrefix(text, "    ADD INDEX ") {
					t.Fatalf("cannot read the schema's line %q", text)
				}
			}
		}
	}
	if len(columns) == 0 {
		t.Fatalf("the schema has no table %s", name)
	}
	return columns
}

// Every column has the type of the schema, and the schema's default is what the block leaves out.
func TestTablesAreTheSchemas(t *testing.T) {
	for _, table := range append(tables[:tableCount:tableCount], feedTable) {
		columns := schemaColumns(t, table.name)
		for _, c := range table.columns {
			declared, ok := columns[c.name]
			delete(columns, c.name)
			kind := declared.kind
			if c.kind == enumColumn {
				kind, _, _ = strings.Cut(kind, "(")
			}
			absent := ""
			if aggregate := regexp.MustCompile(`^SimpleAggregateFunction\(\w+, (\w+)\)$`).FindStringSubmatch(kind); aggregate != nil {
				kind = aggregate[1]
			}
			if c.absent != 0 {
				absent = strconv.FormatInt(c.absent, 10)
			}
			if !ok || kindTypes[c.kind] != kind || declared.absent != absent {
				t.Errorf("%s: column %s is %s, absent %q; the schema says %+v", table.name, c.name, kindTypes[c.kind], absent, declared)
			}
		}
		for name := range columns {
			t.Errorf("%s lacks the schema's column %s", table.name, name)
		}
		if table.month != "" && !strings.Contains(schemaText(t), "PARTITION BY toYYYYMM("+table.month+")") {
			t.Errorf("%s is not partitioned by %s", table.name, table.month)
		}
	}
}

// The windows are what MigrateTwice would find in the schema.
func TestWindowsAreTheSchemas(t *testing.T) {
	for _, table := range append(tables[:tableCount:tableCount], feedTable) {
		_, body, _ := strings.Cut(schemaText(t), "CREATE TABLE IF NOT EXISTS "+table.name+"\n")
		body, _, _ = strings.Cut(body, ";\n")
		if want := "non_replicated_deduplication_window = " + strconv.Itoa(table.window); !strings.Contains(body, want+"\n") {
			t.Errorf("%s: the schema does not say %s", table.name, want)
		}
		if got := DedupeWindow(table.name); got != table.window || got == 0 {
			t.Errorf("%s has a window of %d", table.name, got)
		}
	}
	if DedupeWindow("dossier_changes") != 0 {
		t.Error("a table that is not raw has a window")
	}
}

// The enumerations of fields are stored by position, so they must be those of the schema.
func TestEnumerationsAreTheSchemas(t *testing.T) {
	element := regexp.MustCompile(`'(\w+)' = (\d+)`)
	for _, event := range eventTypes {
		columns := schemaColumns(t, tables[event.table].name)
		for _, f := range fieldsOf(event) {
			if f.kind != enumField {
				continue
			}
			name := f.name
			if f.column != "" {
				name = f.column
			}
			var got []string
			for i, m := range element.FindAllStringSubmatch(columns[name].kind, -1) {
				if m[2] != strconv.Itoa(i) {
					t.Errorf("%s: %s is not number %d", name, m[1], i)
				}
				got = append(got, m[1])
			}
			if len(got) == 0 || !slices.Equal(got[1:], f.values) {
				t.Errorf("%s of %s: the schema's values are %v, the field's %s", f.name, event.name, got, f.values)
			}
		}
	}
	if !strings.Contains(schemaText(t), "lowest first: "+strings.Join(authMethods, ", ")) {
		t.Error("the schema lists the means of authentication in another order")
	}
}

func schemaText(t *testing.T) (text string) {
	for _, file := range schemaFiles {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text += string(content)
	}
	return text
}

// The registry of sources names types, and reference must know the same ones.
func TestTypesAreThoseOfTheRegistry(t *testing.T) {
	var names []string
	for _, e := range eventTypes {
		names = append(names, e.name)
	}
	if !slices.Equal(names, reference.EventTypes()) {
		t.Errorf("types %q, a registry of sources may name %q", names, reference.EventTypes())
	}
}

func TestCompileFindsMistakes(t *testing.T) {
	for name, c := range map[string]eventType{
		"no column": {name: "a.b", table: authAttempts, fields: []field{{name: "status", kind: integerField}}},
		"no event":  {name: "a.b", table: deadLetters},
		"no either": {name: "a.b", table: authAttempts, either: [2]string{"service_id", "status"}},
		"no most":   {name: "a.b", table: registerEvents, most: [2]string{"passed", "evaluated"}},
	} {
		if _, err := compile(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestFindField(t *testing.T) {
	d := newTestDecoder(t)
	if len(d.types) != len(eventTypes) {
		t.Fatalf("%d types are decoded, not %d", len(d.types), len(eventTypes))
	}
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
