package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket/wsjson"
	"github.com/google/go-cmp/cmp"

	"ioc.local/internal/reference"
	"ioc.local/testdata"
)

// figure is an official figure as one face shows it.
type figure struct {
	Value       float64 // of the KPI
	Official    float64 // as published, or the quotient of what was published
	AsOf        string
	Source      string
	Qualifier   string
	Numerator   float64 // as published; 0 where it has no parts
	Denominator float64
}

// place is a KPI of the nation ("") or of a province.
type place struct{ kpi, province string }

// published reads the figures of the seeds, straight from the file.
func published(t *testing.T) map[place]figure {
	t.Helper()
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	figures := map[place]figure{}
	for line := range strings.Lines(testdata.Seeds) {
		var event struct {
			Data struct {
				Metric      string   `json:"metric_id"`
				Value       float64  `json:"value"`
				Denominator *float64 `json:"denominator"`
				AsOf        string   `json:"as_of"`
				Source      string   `json:"source_ref"`
				Qualifier   string   `json:"qualifier"`
				Province    string   `json:"province_code"`
			} `json:"data"`
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatal(err)
		}
		d := event.Data
		at := place{kpi: d.Metric}
		if d.Province != "" {
			code, ok := data.ProvinceOf(reference.GSO63, d.Province)
			if !ok {
				t.Fatalf("%s is about the unknown province %s", d.Metric, d.Province)
			}
			at.province = code
		}
		f := figure{Official: d.Value, AsOf: d.AsOf, Source: d.Source, Qualifier: d.Qualifier}
		if d.Denominator != nil {
			f.Numerator, f.Denominator = d.Value, *d.Denominator
		}
		if known, twice := figures[at]; !twice || known.AsOf < f.AsOf {
			figures[at] = f
		}
	}
	return figures
}

// TestOfficialFiguresOnEveryFace loads the seeds and nothing else, and compares API, feed, SQL and /metrics bit by bit.
func TestOfficialFiguresOnEveryFace(t *testing.T) {
	in := &input{T: t, demo: startDemo(t, t.TempDir())}
	in.ioc("ingest-file", "../../testdata/seeds.ndjson")
	want := published(t)
	if len(want) < 30 {
		t.Fatalf("the seeds hold only %d figures", len(want))
	}
	var api map[place]figure
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		api = in.apiFigures(slices.Collect(maps.Keys(want)))
		if len(api) == len(want) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the API shows %d of %d figures", len(api), len(want))
		}
	}
	for at, f := range want {
		got := api[at]
		switch {
		case f.Denominator != 0 && got.Official == f.Official: // a count of a known whole
			f.Numerator = 0
		case f.Denominator != 0: // a ratio
			f.Official = f.Numerator / f.Denominator
		}
		f.Value = f.Official
		if diff := cmp.Diff(f, got); diff != "" {
			t.Errorf("API, %v (-published +shown):\n%s", at, diff)
		}
	}
	for name, face := range map[string]map[place]figure{"feed": in.feedFigures(), "SQL": in.sqlFigures(), "/metrics": in.metricFigures()} {
		for at, f := range api {
			got, ok := face[at]
			if !ok {
				t.Errorf("%s does not show %v", name, at)
				continue
			}
			if name != "feed" { // the others say the parts in series and columns of their own
				f.Numerator, f.Denominator = 0, 0
			}
			if diff := cmp.Diff(f, got); diff != "" {
				t.Errorf("%s, %v (-API +%s):\n%s", name, at, name, diff)
			}
		}
	}
}

// shown reads a figure from an answer of the API or a value of the feed; ok is false where there is none.
func shown(answer map[string]any) (f figure, ok bool) {
	official, ok := answer["official"].(map[string]any)
	value, known := answer["value"].(float64)
	if !ok || !known {
		return f, false
	}
	f = figure{Value: value, Official: official["value"].(float64), AsOf: official["as_of"].(string), Source: official["source"].(string)}
	f.Qualifier, _ = official["qualifier"].(string)
	f.Numerator, _ = official["numerator"].(float64)
	f.Denominator, _ = official["denominator"].(float64)
	return f, true
}

func (in *input) apiFigures(places []place) map[place]figure {
	in.Helper()
	figures := map[place]figure{}
	for _, at := range places {
		parameters := ""
		if at.province != "" {
			parameters = "?province=" + at.province
		}
		if f, ok := shown(in.api(at.kpi, parameters)); ok {
			figures[at] = f
		}
	}
	return figures
}

// feedFigures takes one snapshot of each board for the nation and all provinces.
func (in *input) feedFigures() map[place]figure {
	in.Helper()
	ctx, cancel := context.WithTimeout(in.Context(), 30*time.Second)
	defer cancel()
	conn := in.demo.dialFeed(ctx, in)
	defer func() { _ = conn.CloseNow() }()
	boards := []string{"overview", "official", "sensitive"}
	for _, board := range boards {
		for _, scope := range []string{"national", "provinces"} {
			if err := wsjson.Write(ctx, conn, map[string]string{"type": "subscribe", "board": board, "scope": scope}); err != nil {
				in.Fatal(err)
			}
		}
	}
	figures := map[place]figure{}
	for snapshots := 0; snapshots < 2*len(boards); {
		var frame struct {
			Type   string           `json:"type"`
			Detail string           `json:"detail"`
			Values []map[string]any `json:"values"`
		}
		if err := wsjson.Read(ctx, conn, &frame); err != nil {
			in.Fatal(err)
		}
		switch frame.Type {
		case "error":
			in.Fatal(frame.Detail)
		case "snapshot":
			snapshots++
			for _, v := range frame.Values {
				province, _ := v["province"].(string)
				if f, ok := shown(v); ok {
					figures[place{v["kpi"].(string), province}] = f
				}
			}
		}
	}
	return figures
}

func (in *input) sqlFigures() map[place]figure {
	in.Helper()
	url := strings.TrimSuffix(in.demo.addresses["KPIs"], "/kpis") + "/sql?format=ndjson"
	query := `SELECT kpi, province, value, official, toString(official_as_of) AS as_of, official_source, official_qualifier FROM kpi_values WHERE official IS NOT NULL`
	response, err := http.Post(url, "text/plain", strings.NewReader(query))
	if err != nil {
		in.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		in.Fatalf("SQL answers %d %s, %v", response.StatusCode, body, err)
	}
	figures := map[place]figure{}
	for line := range bytes.Lines(body) {
		var row struct {
			KPI       string   `json:"kpi"`
			Province  string   `json:"province"`
			Value     *float64 `json:"value"`
			Official  float64  `json:"official"`
			AsOf      string   `json:"as_of"`
			Source    string   `json:"official_source"`
			Qualifier string   `json:"official_qualifier"`
		}
		if err := json.Unmarshal(line, &row); err != nil {
			in.Fatal(err)
		}
		if row.KPI != "" && row.Value != nil { // the last line says that the answer is complete
			figures[place{row.KPI, row.Province}] = figure{Value: *row.Value, Official: row.Official, AsOf: row.AsOf, Source: row.Source, Qualifier: row.Qualifier}
		}
	}
	return figures
}

var kpiLine = regexp.MustCompile(`^ioc_kpi_(value|official)\{(.*)\} (\S+)$`)

func (in *input) metricFigures() map[place]figure {
	in.Helper()
	figures := map[place]figure{}
	label := func(labels, name string) string {
		_, rest, _ := strings.Cut(","+labels, ","+name+"=")
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			in.Fatalf("label %s of {%s}: %v", name, labels, err)
		}
		text, err := strconv.Unquote(quoted)
		if err != nil {
			in.Fatalf("label %s of {%s}: %v", name, labels, err)
		}
		return text
	}
	for line := range strings.Lines(in.scrape()) {
		m := kpiLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			in.Fatal(err)
		}
		at := place{label(m[2], "kpi"), label(m[2], "province")}
		f := figures[at]
		if m[1] == "value" {
			f.Value = value
		} else {
			f.Official, f.AsOf, f.Source, f.Qualifier = value, label(m[2], "as_of"), label(m[2], "source"), label(m[2], "qualifier")
		}
		figures[at] = f
	}
	return figures
}

// String names a place in a test's output.
func (p place) String() string { return fmt.Sprintf("%s of %q", p.kpi, p.province) }
