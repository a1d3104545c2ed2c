package kpi

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestKPIFiles runs testdata/*.kpi; testdata/README.md says how they are written.
func TestKPIFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.kpi")
	if err != nil || len(files) == 0 {
		t.Fatalf("no .kpi files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".kpi"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r := &kpiRunner{t: t, file: file}
			for i, line := range strings.Split(string(text), "\n") {
				r.line = i + 1
				r.run(strings.TrimSpace(line))
			}
			if r.asked == 0 {
				t.Errorf("%s asks nothing", file)
			}
		})
	}
}

// kpiRunner carries out one file, line by line.
type kpiRunner struct {
	t      *testing.T
	file   string
	line   int
	w      *world
	scope  Scope
	waits  []event
	asked  int
	answer *Answer
	err    *Error
}

func (r *kpiRunner) fail(format string, args ...any) {
	r.t.Helper()
	r.t.Errorf("%s:%d: %s", r.file, r.line, fmt.Sprintf(format, args...))
}

func (r *kpiRunner) run(line string) {
	verb, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch verb {
	case "", "#":
	case "clock":
		clock := local(r.t, rest)
		if r.w == nil {
			r.w, r.scope = newWorld(r.t, clock), national
		}
		r.w.set(clock)
	case "event":
		kind, fields, _ := strings.Cut(rest, " ")
		r.waits = append(r.waits, ev(kind, fields))
	case "scope":
		r.scope = Scope{National: rest == National}
		if codes, ok := strings.CutPrefix(rest, "province:"); ok {
			r.scope.Provinces = strings.Split(codes, ",")
		}
	case "ask":
		r.ask(rest)
	case "expect":
		if r.asked == 0 {
			r.t.Fatalf("%s:%d: nothing was asked", r.file, r.line)
		}
		r.expect(rest)
	default:
		r.t.Fatalf("%s:%d: %q is none of clock, event, scope, ask, expect", r.file, r.line, verb)
	}
}

func (r *kpiRunner) ask(text string) {
	if r.w == nil {
		r.t.Fatalf("%s:%d: set the clock first", r.file, r.line)
	}
	r.w.load(r.waits...)
	r.waits = nil
	r.asked++
	id, rest, _ := strings.Cut(text, " ")
	values := url.Values{}
	for field := range strings.FieldsSeq(rest) {
		name, value, _ := strings.Cut(field, "=")
		values.Add(name, value)
	}
	r.answer, r.err = nil, nil
	q, err := ParseQuery(r.w.e.deps.Catalogue, id, values, r.scope)
	if err == nil {
		r.answer, err = r.w.e.Evaluate(context.Background(), q)
	}
	if err != nil && !errors.As(err, &r.err) {
		r.t.Fatalf("%s:%d: %v", r.file, r.line, err)
	}
}

func (r *kpiRunner) expect(text string) {
	if kind, ok := strings.CutPrefix(text, "error "); ok {
		if r.err == nil {
			r.fail("expected an error, got an answer")
		} else if got := strings.TrimSpace(r.err.Kind.String() + " " + r.err.Param); got != kind {
			r.fail("expected the error %s, got %v", kind, r.err)
		}
		return
	}
	if r.err != nil {
		r.t.Fatalf("%s:%d: %v", r.file, r.line, r.err)
	}
	a := r.answer
	first, rest, _ := strings.Cut(text, " ")
	switch first {
	case "rows":
		r.same("rows", rest, strconv.Itoa(len(a.Rows)))
	case "points":
		r.same("points", rest, strconv.Itoa(len(a.Series)))
	case "row":
		r.expectRow(strings.Fields(rest))
	case "point":
		r.expectPoint(strings.Fields(rest))
	case "compare":
		if a.Compare == nil {
			r.t.Fatalf("%s:%d: nothing was compared", r.file, r.line)
		}
		got := numbers(a.Compare.Value, a.Compare.Numerator, a.Compare.Denominator)
		got["change"], got["from"], got["to"] = float(a.Compare.Change), day10(a.Compare.Period.From), day10(a.Compare.Period.To)
		r.fields(strings.Fields(rest), got)
	case "note":
		r.expectNote(rest)
	case "nonote":
		if slices.ContainsFunc(a.Notes, func(n Note) bool { return n.Code == rest }) {
			r.fail("there is such a note among %v", a.Notes)
		}
	default:
		r.fields(strings.Fields(text), head(a))
	}
}

func head(a *Answer) map[string]string {
	got := numbers(a.Value, a.Numerator, a.Denominator)
	got["status"], got["scope"] = string(a.Status), a.Scope
	got["coverage"] = fmt.Sprintf("%d/%d", a.Coverage.Reporting, a.Coverage.Expected)
	got["as_of"], got["from"], got["to"] = day10(a.AsOf), day10(a.Period.From), day10(a.Period.To)
	got["suppressed"] = strconv.FormatBool(a.Suppressed)
	showFigure(got, "baseline", a.Baseline)
	showFigure(got, "official", a.Official)
	return got
}

// showFigure shows an official figure under a name, null when there is none.
func showFigure(got map[string]string, name string, b *Baseline) {
	got[name] = "null"
	if b == nil {
		return
	}
	got[name], got[name+"_as_of"], got[name+"_source"], got[name+"_qualifier"] = float(&b.Value), b.AsOf, b.Source, b.Qualifier
	got[name+"_numerator"], got[name+"_denominator"] = float(b.Numerator), float(b.Denominator)
}

func (r *kpiRunner) expectRow(fields []string) {
	for i, row := range r.answer.Rows {
		matches := 0
		for _, d := range row.Dims {
			for _, field := range fields {
				if field == d.Name+"="+d.Code {
					matches++
				}
			}
		}
		if matches != len(row.Dims) {
			continue
		}
		got := numbers(row.Value, row.Numerator, row.Denominator)
		got["place"], got["suppressed"] = strconv.Itoa(i+1), strconv.FormatBool(row.Suppressed)
		showFigure(got, "baseline", row.Baseline)
		showFigure(got, "official", row.Official)
		for _, d := range row.Dims {
			got[d.Name] = d.Code
		}
		r.fields(fields, got)
		return
	}
	r.fail("there is no such row among %v", r.answer.Rows)
}

func (r *kpiRunner) expectPoint(fields []string) {
	for _, p := range r.answer.Series {
		if len(fields) > 0 && fields[0] == "time="+day10(p.Time) {
			r.fields(fields[1:], numbers(p.Value, p.Numerator, p.Denominator))
			return
		}
	}
	r.fail("there is no point %v", fields)
}

func (r *kpiRunner) expectNote(text string) {
	for _, n := range r.answer.Notes {
		if text == strings.TrimSpace(n.Code+" "+strings.Join(n.Items, " ")) {
			return
		}
	}
	r.fail("no such note among %v", r.answer.Notes)
}

func (r *kpiRunner) fields(wanted []string, got map[string]string) {
	for _, field := range wanted {
		name, value, _ := strings.Cut(field, "=")
		actual, ok := got[name]
		if !ok {
			r.t.Fatalf("%s:%d: %q cannot be expected here", r.file, r.line, name)
		}
		r.same(name, value, actual)
	}
}

// same compares as text. A fraction like 1/3 stands for the division.
func (r *kpiRunner) same(name, want, got string) {
	if over, under, ok := strings.Cut(want, "/"); ok && (name == "value" || name == "baseline" || name == "official") {
		a, _ := strconv.ParseFloat(over, 64)
		b, _ := strconv.ParseFloat(under, 64)
		quotient := a / b
		want = float(&quotient)
	}
	if want != got {
		r.fail("%s is %s, expected %s", name, got, want)
	}
}

func numbers(value *float64, numerator, denominator *int64) map[string]string {
	return map[string]string{"value": float(value), "numerator": integer(numerator), "denominator": integer(denominator)}
}

func float(v *float64) string {
	if v == nil {
		return "null"
	}
	return strconv.FormatFloat(*v, 'f', -1, 64)
}

func integer(v *int64) string {
	if v == nil {
		return "null"
	}
	return strconv.FormatInt(*v, 10)
}

// day10 shows a time as the files write it: a date at midnight, else with the time of day.
func day10(t Time) string {
	if dayStart(t.Time).Equal(t.Time) {
		return t.Time.In(zone).Format("2006-01-02")
	}
	return strings.TrimSuffix(strings.TrimSuffix(t.String(), "+07:00"), ":00")
}
