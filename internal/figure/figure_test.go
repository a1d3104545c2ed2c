package figure

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

// goldenCase is one that the page passes too.
type goldenCase struct {
	Kind, Unit, Lang string
	Value, Want      json.RawMessage
}

// write does what a case says.
func write(t *testing.T, c goldenCase) any {
	t.Helper()
	lang := VI
	if c.Lang == "en" {
		lang = EN
	}
	read := func(into any) {
		if err := json.Unmarshal(c.Value, into); err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
	}
	switch c.Kind {
	case "wall", "exact", "prose":
		var value *float64
		read(&value)
		switch c.Kind {
		case "wall":
			f := Wall(value, c.Unit, lang)
			return map[string]any{"number": f.Number, "unit": f.Unit}
		case "exact":
			return Exact(value, c.Unit, lang)
		default:
			return Prose(value, c.Unit, lang)
		}
	case "change":
		var value float64
		read(&value)
		return Change(value, c.Unit == "ratio", lang)
	case "age":
		var seconds float64
		read(&seconds)
		return Age(time.Duration(seconds*float64(time.Second)), lang)
	}
	var at time.Time
	read(&at)
	switch c.Kind {
	case "time":
		return Clock(at)
	case "day":
		return Day(at)
	case "date":
		return Date(at, lang)
	}
	t.Fatalf("there is no kind %q", c.Kind)
	return nil
}

func TestGolden(t *testing.T) {
	content, err := os.ReadFile("../../dashboards/web/format.golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if !norm.NFC.IsNormal(content) {
		t.Error("the golden file is not NFC")
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	var cases []goldenCase
	if err := decoder.Decode(&cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 150 {
		t.Errorf("there are only %d cases", len(cases))
	}
	for _, c := range cases {
		var want any
		if err := json.Unmarshal(c.Want, &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, write(t, c)); diff != "" {
			t.Errorf("%s of %s %s in %s (-want +got):\n%s", c.Kind, c.Value, c.Unit, c.Lang, diff)
		}
	}
}

func TestAgo(t *testing.T) {
	if vi, en := Ago(725*time.Second, VI), Ago(725*time.Second, EN); vi != "cách đây 12 phút" || en != "12 minutes ago" {
		t.Errorf("725 s ago is %q and %q", vi, en)
	}
}

func TestNotFinite(t *testing.T) {
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if got := Decimal(v, 1, VI); got != Missing {
			t.Errorf("%v is %q, want %q", v, got, Missing)
		}
	}
}

// TestShort checks that no number of the wall has more than two decimals, or shows 1000 of a unit that has a larger one.
func TestShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]string{"vnd", "count"}).Draw(t, "unit")
		value := math.Round(math.Pow(10, rapid.Float64Range(0, 17.9).Draw(t, "power")))
		f := Wall(&value, unit, VI)
		whole, decimals, _ := strings.Cut(f.Number, ",")
		if len(decimals) > 2 {
			t.Errorf("%v is %q: too many decimals", value, f)
		}
		if f.Unit != "" && f.Unit != "đồng" && strings.Contains(whole, ".") && !strings.HasPrefix(f.Unit, "triệu tỷ") {
			t.Errorf("%v is %q: there is a larger unit", value, f)
		}
	})
}
