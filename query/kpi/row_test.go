package kpi

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// plainRow is a row with one dimension as encoding/json writes it by itself.
type plainRow struct {
	Service     string    `json:"service"`
	Value       *float64  `json:"value"`
	Numerator   *int64    `json:"numerator"`
	Denominator *int64    `json:"denominator"`
	Baseline    *Baseline `json:"baseline,omitzero"`
	Official    *Baseline `json:"official,omitzero"`
	Suppressed  bool      `json:"suppressed,omitzero"`
}

func TestRowIsWrittenAsEncodingJSONDoes(t *testing.T) {
	check := func(r Row) {
		t.Helper()
		want, err := json.Marshal(plainRow{r.Dims[0].Code, r.Value, r.Numerator, r.Denominator, r.Baseline, r.Official, r.Suppressed})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(r); err != nil || string(got) != string(want) {
			t.Fatalf("got %s %v, want %s", got, err, want)
		}
	}
	row := func(code string) Row { return Row{Dims: []Dim{{"service", code}}} }
	for _, code := range []string{"", "DA06-01", `a"b\c`, "<&>", "Hồ sơ", "a\x00\n\x7f", "\xff", "\u2028"} {
		check(row(code))
	}
	for _, f := range []float64{0, math.Copysign(0, -1), 1, -1.5, 0.1 + 0.2, 1e-6, 9.99e-7, 1e20, 1e21, math.MaxFloat64, math.SmallestNonzeroFloat64, 3.5e15} {
		r := row("x")
		r.Value = &f
		check(r)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		r := row("x")
		f := math.Float64frombits(random.Uint64())
		if !math.IsNaN(f) && !math.IsInf(f, 0) {
			r.Value = &f
		}
		r.Numerator, r.Denominator = pointer(int64(random.Uint64())), pointer(random.Int64())
		check(r)
	}
	all := row("x")
	all.Numerator, all.Suppressed = pointer(int64(math.MinInt64)), true
	all.Baseline, all.Official = &Baseline{Value: 1.5, Numerator: pointer(3.0), AsOf: "2026-01-01", Source: "Quyết định"}, &Baseline{}
	check(all)

	none := row("x")
	none.Value = pointer(math.NaN())
	if _, err := json.Marshal(none); err == nil || !strings.Contains(err.Error(), "NaN") {
		t.Errorf("a value that is no number: %v", err)
	}
}

func TestAnswerIsWrittenAsEncodingJSONDoes(t *testing.T) {
	for _, rows := range [][]Row{nil, {}, {{Dims: []Dim{{"province", "79"}}, Value: pointer(1.5)}, {Suppressed: true}}} {
		a := &Answer{ID: "x", Name: Text{VI: "Hồ sơ <&>"}, Rows: rows, Series: []Point{{}}, Rank: &Rank{1, 2}}
		text, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		appended, err := a.AppendJSON([]byte("before"))
		if err != nil || !strings.HasPrefix(string(appended), "before{") {
			t.Fatalf("%.20s %v", appended, err)
		}
		var want, got map[string]any
		if err := errors.Join(json.Unmarshal(text, &want), json.Unmarshal(appended[len("before"):], &got)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: got %s, want %s", err, appended, text)
		}
	}
	none := &Answer{Rows: []Row{{Value: pointer(math.NaN())}}}
	if _, err := none.AppendJSON(nil); err == nil {
		t.Error("a value that is no number was written")
	}
}

// BenchmarkAppendJSON writes an answer by province as AppendJSON does and as encoding/json would.
func BenchmarkAppendJSON(b *testing.B) {
	a := &Answer{ID: "online_dossier_rate"}
	for code := range 34 {
		a.Rows = append(a.Rows, Row{Dims: []Dim{{"province", strconv.Itoa(code)}}, Value: pointer(0.8697), Numerator: pointer(int64(8697)), Denominator: pointer(int64(10000))})
	}
	for name, write := range map[string]func() ([]byte, error){
		"append": func() ([]byte, error) { return a.AppendJSON(nil) }, "marshal": func() ([]byte, error) { return json.Marshal(a) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := write(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
