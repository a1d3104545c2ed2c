package kpi

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
)

func printedHandbook(t *testing.T, dir string) string {
	t.Helper()
	c, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := c.Handbook(&page); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

// The page in the documentation is what the generator prints.
func TestHandbookIsCurrent(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/kpis.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != printedHandbook(t, "") {
		t.Error("docs/reference/kpis.md is not what the catalogue says; run at the root: go run ./cmd/ioc kpi handbook > docs/reference/kpis.md")
	}
}

// Every KPI is explained once in both languages, links lead somewhere, and the page is the same each time.
func TestHandbookExplainsEveryKPI(t *testing.T) {
	dir := writeKPI(t, "own_rate.yaml", ownKPI)
	page := printedHandbook(t, dir)
	if page != printedHandbook(t, dir) || !norm.NFC.IsNormalString(page) {
		t.Error("the page differs from one time to the next, or is not NFC")
	}
	c, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range c.All() {
		_, rest, _ := strings.Cut(page, "### "+prose(d.Name.VI)+" (`"+d.ID+"`)\n")
		section, _, _ := strings.Cut(rest, "\n<a id=")
		for _, part := range []string{d.Name.EN, d.Description.VI, d.Description.EN, d.Origin} {
			if !strings.Contains(section, prose(part)) {
				t.Errorf("%s: the page lacks %q", d.ID, part)
			}
		}
		for _, written := range []string{d.Numerator, d.Denominator} {
			if !strings.Contains(section, "`"+written+"`") && written != "" {
				t.Errorf("%s: the page lacks %s", d.ID, written)
			}
		}
		for _, level := range []*Level{d.Target, threshold(d, true), threshold(d, false)} {
			if level != nil && !strings.Contains(section, prose(level.Source)) {
				t.Errorf("%s: the page lacks the source %s", d.ID, level.Source)
			}
		}
		if strings.Count(page, `<a id="`+d.ID+`"></a>`) != 1 {
			t.Errorf("%s has not one anchor", d.ID)
		}
	}
	for _, link := range regexp.MustCompile(`\]\(#([^)]*)\)`).FindAllStringSubmatch(page, -1) {
		if strings.Count(page, `<a id="`+link[1]+`"></a>`) != 1 {
			t.Errorf("the link to #%s leads nowhere, or to several places", link[1])
		}
	}
	for _, want := range []string{
		"`sum(attempts) where outcome in (success, timeout) and service != DA06-01`<br>số lượt xác thực, trong đó kết quả là `success` hoặc `timeout` và dịch vụ không phải là `DA06-01`" +
			"<br>*attempts, where outcome is `success` or `timeout` and service is not `DA06-01`*",
		"<br>*dossiers accepted, where the procedure can be offered as a full process* |",
		"số hồ sơ trong hạn và không bị đánh giá không hài lòng",
		"| Mục tiêu / Target | 80%: Quyết định 766/QĐ-TTg, chỉ tiêu 4.3 (80% đạt điểm tối đa)<br>có trong văn bản",
		"| Ngưỡng tốt / Good | 3.000 ms: Đề xuất của dự án",
		"| 6 | 6 × r × [`dossier_sync_rate`](#dossier_sync_rate) ÷ 50%, nhiều nhất / at most 6 |",
		"| **Tổng / Total** | | **100** | |",
		"Các hệ số đi kèm là ví dụ minh họa",
		"closed days only, over the default period, for the nation and by province of the 34; counts from 1 to 9,",
		"Has a value for one procedure only",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

// Whatever a definition can name has words.
func TestHandbookHasAllWords(t *testing.T) {
	var chapters []string
	for i := range families {
		chapters = append(chapters, families[i].sources...)
	}
	complete := func(what string, text Text, ok bool) {
		t.Helper()
		if !ok || text.VI == "" || text.EN == "" {
			t.Errorf("the handbook has no words for %s in both languages", what)
		}
	}
	for _, src := range sources() {
		if !slices.Contains(chapters, src.name) {
			t.Errorf("source %s is in no chapter of the handbook", src.name)
		}
		term, ok := sourceTerms[src.name]
		complete("source "+src.name, term.rows, ok)
		for name := range maps.Keys(src.measures) {
			text, ok := term.measures[name]
			complete("measure "+src.name+"."+name, text, ok)
		}
		for _, name := range src.dimensionNames() {
			text, ok := dimensionTerms[name]
			complete("dimension "+name, text, ok)
		}
	}
	for name, text := range yesTerms {
		_, ok := dimensionTerms[name]
		complete("yes of "+name, text, ok)
	}
	for kind := range kinds {
		complete("kind "+string(kind), kindTerms[kind], true)
	}
	for _, unit := range units {
		complete("unit "+unit, unitTerms[unit], true)
	}
	for _, period := range periods {
		complete("period "+period, periodTerms[period], true)
	}
	for _, better := range betters {
		complete("better "+better, betterTerms[better], true)
	}
	for _, basis := range bases {
		complete("basis "+string(basis), basisTerms[basis], true)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no room") }

func TestHandbookSaysThatItCouldNotBeWritten(t *testing.T) {
	c, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Handbook(brokenWriter{}); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("got %v", err)
	}
}
