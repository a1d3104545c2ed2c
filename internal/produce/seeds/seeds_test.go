// Package seeds_test takes the official figures of testdata/seeds.ndjson through the contract's decoder into the engine
// and out of the evaluator, as a server would.
package seeds_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zaptest"

	"ioc.local/ingest/event"
	"ioc.local/internal/figure"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
	"ioc.local/query/kpi"
)

const (
	seeds = "../../../testdata/seeds.ndjson"
	table = "../../../docs/seeds.md"
)

var update = flag.Bool("update", false, "write docs/seeds.md")

func TestMain(m *testing.M) { enginetest.Main(m) }

// printed is a figure as the source text prints it, and what the evaluator must answer.
type printed struct {
	text        string // As printed.
	kpi         string
	province    string // Empty is the nation.
	value       float64
	numerator   float64 // Of a ratio of two numbers.
	denominator float64 // The same, or the known whole of a count.
	qualifier   string
	asOf        string
	source      string
}

const (
	notice  = "530/TB-VPCP"
	article = "Hiệu ứng tích cực trong chuyển đổi số, 21/08/2022"
	voice   = "VOV5, tổng kết 1 năm thực hiện đề án, 25/12/2022"
	agency  = "Vietnam+, hội nghị sơ kết 6 tháng Đề án 06, 09/08/2022"
)

// The figures in the order of their dates. Nothing here is computed by what is tested.
var figures = []printed{
	{"21/46 nhiệm vụ (45,7%)", "task_completion_rate", "", 21.0 / 46, 21, 46, "exact", "2022-08-09", article},
	{"126 nhiệm vụ", "tasks_assigned_year", "", 126, 0, 0, "exact", "2022-08-09", article},
	{"46/126 nhiệm vụ", "tasks_due_half_year", "", 46, 0, 126, "exact", "2022-08-09", article},
	{"hơn 10.000 điểm cầu", "conference_points", "", 10_000, 0, 0, "over", "2022-08-09", agency},
	{"hơn 130.700 đại biểu", "conference_delegates", "", 130_700, 0, 0, "over", "2022-08-09", agency},
	{"16 cuộc họp", "directive_meetings", "", 16, 0, 0, "exact", "2022-08-09", agency},
	{"1 chỉ thị", "directives_issued", "", 1, 0, 0, "exact", "2022-08-09", agency},
	{"1 công điện", "official_dispatches_issued", "", 1, 0, 0, "exact", "2022-08-09", agency},
	{"7 thông báo", "notices_issued", "", 7, 0, 0, "exact", "2022-08-09", agency},
	{"4 nghị quyết", "resolutions_issued", "", 4, 0, 0, "exact", "2022-08-09", agency},
	{"21/25 dịch vụ công thiết yếu (Hà Nội)", "essential_services_full_online", "01", 21, 0, 25, "exact", "2022-08-21", article},
	{"trên 500.000 hồ sơ trực tuyến (Hà Nội)", "dossiers_received_online", "01", 500_000, 0, 0, "over", "2022-08-21", article},
	{"93,1%", "exam_online_registration_rate", "", 0.931, 0, 0, "exact", "2022-08-21", article},
	{"gần 1 triệu thí sinh", "exam_candidates_online", "", 1_000_000, 0, 0, "nearly", "2022-08-21", article},
	{"9/11 dịch vụ công mức độ 4", "police_services_level4", "", 9, 0, 11, "exact", "2022-08-21", article},
	{"187/224 nhóm dịch vụ công khác", "police_service_extension_rate", "", 187.0 / 224, 187, 224, "exact", "2022-08-21", article},
	{"48/63 địa phương", "ioc_coverage_rate", "", 48.0 / 63, 48, 63, "exact", "2022-12-25", voice},
	{"trên 50 nền tảng số", "published_platforms", "", 50, 0, 0, "over", "2022-12-25", voice},
	{"18 nền tảng phục vụ Chính phủ số", "published_platforms_government", "", 18, 0, 0, "exact", "2022-12-25", voice},
	{"16 nền tảng phục vụ kinh tế số", "published_platforms_economy", "", 16, 0, 0, "exact", "2022-12-25", voice},
	{"16 nền tảng phục vụ xã hội số", "published_platforms_society", "", 16, 0, 0, "exact", "2022-12-25", voice},
	{"63/63 địa phương", "platform_assigned_localities", "", 63, 0, 63, "exact", "2022-12-25", voice},
	{"trên 57,9 triệu tài khoản VNeID", "eid_accounts_activated", "", 57_900_000, 0, 0, "over", "2024-11-22", notice},
	{"23/25 dịch vụ công thiết yếu", "essential_services_full_online", "", 23, 0, 25, "exact", "2024-11-22", notice},
	{"gần 3,5 nghìn tỷ đồng/năm", "savings_vnd_year", "", 3_500e9, 0, 0, "nearly", "2024-11-22", notice},
	{"49/76 dịch vụ công thiết yếu", "essential_services_deployed", "", 49, 0, 76, "exact", "2024-11-22", notice},
	{"32,1 triệu sổ sức khỏe", "health_books_created", "", 32_100_000, 0, 0, "exact", "2024-11-22", notice},
	{"15 triệu công dân đã tích hợp", "health_book_integration_rate", "", 15_000_000.0 / 32_100_000, 15_000_000, 32_100_000, "exact", "2024-11-22", notice},
	{"trên 81.000 hồ sơ", "judicial_records_vneid", "", 81_000, 0, 0, "over", "2024-11-22", notice},
	{"18 bộ, ngành, 63 địa phương, 04 doanh nghiệp nhà nước, cộng lại", "connected_agencies", "", 63 + 18 + 4, 0, 0, "exact", "2024-11-22", notice},
	{"18 bộ, ngành", "connected_agencies_ministry", "", 18, 0, 0, "exact", "2024-11-22", notice},
	{"63 địa phương", "connected_agencies_locality", "", 63, 0, 0, "exact", "2024-11-22", notice},
	{"04 doanh nghiệp nhà nước", "connected_agencies_state_enterprise", "", 4, 0, 0, "exact", "2024-11-22", notice},
}

// load puts the file into the engine: decoded, in native blocks, as ingestion inserts them.
func load(t *testing.T, db *enginetest.DB, data *reference.Data, now time.Time) (events int) {
	t.Helper()
	content, err := os.ReadFile(seeds)
	if err != nil {
		t.Fatal(err)
	}
	decoder := event.NewDecoder(data, event.Options{Identity: event.NewIdentityHash()})
	batch := event.NewBatch()
	batch.Reset("ioc.programme.v1", 0, now.UnixMilli())
	for line := range bytes.Lines(content) {
		record := event.Record{Offset: int64(events), Time: now.UnixMilli(), Value: bytes.TrimSpace(line)}
		if verdict := decoder.Decode(batch, &record, nil); verdict != event.Accepted {
			t.Fatalf("line %d is %v: %+v", events+1, verdict, batch.Rejections())
		}
		events++
	}
	for _, block := range batch.Blocks() {
		if err := db.Client.Insert(t.Context(), block.Table, block.Input(), "seeds"); err != nil {
			t.Fatal(err)
		}
	}
	return events
}

// TestEveryFigure asks for each figure of the texts and writes what was answered down in docs/seeds.md.
func TestEveryFigure(t *testing.T) {
	db := enginetest.Start(t)
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := warehouse.Migrate(t.Context(), db.Client); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	if n := load(t, db, data, now); n != len(figures) {
		t.Errorf("the file holds %d events, the texts %d figures", n, len(figures))
	}
	catalogue, err := kpi.Load("")
	if err != nil {
		t.Fatal(err)
	}
	evaluator, err := kpi.New(kpi.DefaultConfig(), kpi.Deps{Conn: db.Client.Conn(), Catalogue: catalogue, Coefficients: data.Coefficients(), Calendar: data.Calendar(),
		Logger: zaptest.NewLogger(t), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	out.WriteString("# Official figures\n\nEvery figure of the five source texts, as the evaluator answers it once testdata/seeds.ndjson is loaded and nothing else:\n" +
		"the value, with its date, source and qualifier, comes out of the same evaluation that feeds the API, the feed, SQL and the metrics.\n" +
		"Made by `go test ./internal/produce/seeds -update`; the same test fails when this table is not what is answered.\n\n" +
		"| Số liệu như đã công bố | KPI | Phạm vi | Giá trị | Ngày | Nguồn | Mức độ |\n|---|---|---|---|---|---|---|\n")
	for _, want := range figures {
		q := kpi.Query{KPI: want.kpi, Scope: kpi.Scope{National: true}}
		if want.province != "" {
			q.Filters = map[string][]string{"province": {want.province}}
		}
		a, err := evaluator.Evaluate(t.Context(), q)
		if err != nil {
			t.Fatalf("%s: %v", want.kpi, err)
		}
		expected := &kpi.Baseline{Value: want.value, Qualifier: want.qualifier, AsOf: want.asOf, Source: want.source}
		if want.numerator != 0 {
			expected.Numerator = &want.numerator
		}
		if want.denominator != 0 {
			expected.Denominator = &want.denominator
		}
		if a.Value == nil || *a.Value != want.value {
			t.Errorf("%s in %q: the value is %v, printed is %v", want.kpi, want.province, a.Value, want.value)
		}
		if diff := cmp.Diff(expected, a.Baseline); diff != "" {
			t.Errorf("%s: baseline (-printed +answered):\n%s", want.kpi, diff)
		}
		if diff := cmp.Diff(expected, a.Official); diff != "" {
			t.Errorf("%s: official (-printed +answered):\n%s", want.kpi, diff)
		}
		if a.Numerator == nil || *a.Numerator != 0 {
			t.Errorf("%s: the numerator is %v, but nothing was counted", want.kpi, a.Numerator)
		}
		if a.Illustrative() {
			t.Errorf("%s: an official figure is called illustrative", want.kpi)
		}
		fmt.Fprintf(&out, "| %s | `%s` | %s | %s | %s | %s | %s |\n", want.text, want.kpi, place(t, data, want.province), shown(a), day(t, a.Official.AsOf), a.Official.Source, qualifiers[a.Official.Qualifier])
	}
	if *update {
		if err := os.WriteFile(table, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(out.String(), string(written)); diff != "" {
		t.Errorf("docs/seeds.md is stale; run go test ./internal/produce/seeds -update (-answered +written):\n%s", diff)
	}
}

var qualifiers = map[string]string{kpi.QualifierExact: "chính xác", kpi.QualifierOver: "trên", kpi.QualifierNearly: "gần"}

func place(t *testing.T, data *reference.Data, code string) string {
	t.Helper()
	if code == "" {
		return "toàn quốc"
	}
	p, ok := data.Province34(code)
	if !ok {
		t.Fatalf("there is no province %s", code)
	}
	return p.NameVI
}

// shown is the value as people read it, with its parts.
func shown(a *kpi.Answer) string {
	text := figure.Decimal(*a.Value, 0, figure.VI)
	switch a.Unit {
	case "ratio":
		text = figure.Decimal(*a.Value*100, 1, figure.VI) + "%"
		if a.Baseline.Numerator != nil {
			text += " (" + figure.Decimal(*a.Baseline.Numerator, 0, figure.VI) + "/" + figure.Decimal(*a.Baseline.Denominator, 0, figure.VI) + ")"
		}
	case "vnd":
		text += " đồng"
	default:
		if a.Baseline.Denominator != nil {
			text += "/" + strconv.Itoa(int(*a.Baseline.Denominator))
		}
	}
	return text
}

func day(t *testing.T, date string) string {
	t.Helper()
	d, err := time.Parse(time.DateOnly, date)
	if err != nil {
		t.Fatal(err)
	}
	return d.Format("02/01/2006")
}
