package produce_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"

	"ioc.local/internal/produce"
)

const seeds = "../../testdata/seeds.ndjson"

type report struct {
	SpecVersion     string `json:"specversion"`
	ID              string `json:"id"`
	Source          string `json:"source"`
	Type            string `json:"type"`
	Time            string `json:"time"`
	Subject         string `json:"subject"`
	DataContentType string `json:"datacontenttype"`
	Data            struct {
		Province    string  `json:"province_code"`
		Scheme      string  `json:"admin_scheme"`
		Metric      string  `json:"metric_id"`
		Value       float64 `json:"value"`
		Denominator float64 `json:"denominator"`
		Qualifier   string  `json:"qualifier"`
		AsOf        string  `json:"as_of"`
		SourceRef   string  `json:"source_ref"`
	} `json:"data"`
}

// TestSeeds checks the official figures against the numbers as the texts print them.
func TestSeeds(t *testing.T) {
	content, err := os.ReadFile(seeds)
	if err != nil {
		t.Fatal(err)
	}
	if !norm.NFC.IsNormal(content) {
		t.Error("the file is not NFC")
	}
	figure := map[string][2]float64{} // value and denominator by date, metric and province
	namespace := uuid.NewSHA1(uuid.NameSpaceURL, []byte("vn.da06.counter.report.v1"))
	for i, line := range bytes.Split(bytes.TrimSuffix(content, []byte("\n")), []byte("\n")) {
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		var r report
		if err := d.Decode(&r); err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		name := strings.Join([]string{r.Data.Metric, r.Data.AsOf, r.Data.Province, r.Data.SourceRef}, "\n")
		if want := uuid.NewSHA1(namespace, []byte(name)).String(); r.ID != want {
			t.Errorf("line %d: id is %s, want %s", i+1, r.ID, want)
		}
		if r.SpecVersion != "1.0" || r.Source != "/manual_report/G01" || r.Type != "vn.da06.counter.report.v1" ||
			r.Subject != r.Data.Metric || r.DataContentType != "application/json" || r.Data.SourceRef == "" {
			t.Errorf("line %d: envelope or source_ref is wrong", i+1)
		}
		if at, err := time.Parse(time.RFC3339, r.Time); err != nil || at.Format("2006-01-02T15:04:05.000Z07:00") != r.Data.AsOf+"T00:00:00.000+07:00" {
			t.Errorf("line %d: time is %s, as_of %s", i+1, r.Time, r.Data.AsOf)
		}
		if r.Data.Qualifier != "exact" && r.Data.Qualifier != "over" && r.Data.Qualifier != "nearly" {
			t.Errorf("line %d: qualifier is %s", i+1, r.Data.Qualifier)
		}
		if (r.Data.Province == "") != (r.Data.Scheme == "") {
			t.Errorf("line %d: province %s in scheme %s", i+1, r.Data.Province, r.Data.Scheme)
		}
		key := strings.TrimSpace(r.Data.AsOf + " " + r.Data.Metric + " " + r.Data.Province)
		if _, twice := figure[key]; twice {
			t.Errorf("line %d: %s is there twice", i+1, key)
		}
		figure[key] = [2]float64{r.Data.Value, r.Data.Denominator}
	}
	want := map[string][2]float64{
		"2024-11-22 eid_accounts_activated":              {57.9e6, 0},
		"2024-11-22 essential_services_deployed":         {49, 76},
		"2024-11-22 essential_services_full_online":      {23, 25},
		"2024-11-22 savings_vnd_year":                    {3500e9, 0},
		"2024-11-22 health_books_created":                {32.1e6, 0},
		"2024-11-22 health_book_integration_rate":        {15e6, 32.1e6},
		"2024-11-22 judicial_records_vneid":              {81e3, 0},
		"2024-11-22 connected_agencies":                  {18 + 63 + 4, 0},
		"2024-11-22 connected_agencies_ministry":         {18, 0},
		"2024-11-22 connected_agencies_locality":         {63, 0},
		"2024-11-22 connected_agencies_state_enterprise": {4, 0},

		"2022-12-25 ioc_coverage_rate":              {48, 63},
		"2022-12-25 published_platforms":            {50, 0},
		"2022-12-25 published_platforms_government": {18, 0},
		"2022-12-25 published_platforms_economy":    {16, 0},
		"2022-12-25 published_platforms_society":    {16, 0},
		"2022-12-25 platform_assigned_localities":   {63, 63},

		"2022-08-09 task_completion_rate":              {21, 46},
		"2022-08-09 tasks_due_half_year":               {46, 126},
		"2022-08-09 tasks_assigned_year":               {126, 0},
		"2022-08-21 essential_services_full_online 01": {21, 25},
		"2022-08-21 dossiers_received_online 01":       {500e3, 0},
		"2022-08-21 exam_online_registration_rate":     {0.931, 0},
		"2022-08-21 exam_candidates_online":            {1e6, 0},
		"2022-08-21 police_services_level4":            {9, 11},
		"2022-08-21 police_service_extension_rate":     {187, 224},

		"2022-08-09 conference_points":          {10e3, 0},
		"2022-08-09 conference_delegates":       {130_700, 0},
		"2022-08-09 directive_meetings":         {16, 0},
		"2022-08-09 directives_issued":          {1, 0},
		"2022-08-09 official_dispatches_issued": {1, 0},
		"2022-08-09 notices_issued":             {7, 0},
		"2022-08-09 resolutions_issued":         {4, 0},
	}
	if diff := cmp.Diff(want, figure); diff != "" {
		t.Errorf("figures differ (-texts +file):\n%s", diff)
	}
}

// TestSeedsAreReady sends them as the command does.
func TestSeedsAreReady(t *testing.T) {
	sink, got := collect()
	s, err := produce.File(t.Context(), seeds, produce.FileOptions{}, produce.FileDeps{Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	if s.Produced[produce.TopicProgramme] != 33 || s.Total() != 33 || s.Lines != 33 || len(*got) != 33 {
		t.Errorf("summary is %+v, want 33 events on one topic", s)
	}
}
