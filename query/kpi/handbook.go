package kpi

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	format "ioc.local/internal/figure"
)

// Handbook writes the catalogue as a page of Markdown, in Vietnamese and English: what every KPI counts, by which formula, from
// which source, and what to know of it. Equal catalogues give equal bytes.
func (c *Catalogue) Handbook(w io.Writer) error {
	page := &handbook{c, bufio.NewWriter(w)}
	page.lines(handbookIntroduction...)
	page.contents()
	page.kinds()
	for i := range families {
		if defs := c.of(&families[i]); len(defs) > 0 {
			page.family(&families[i], defs)
		}
	}
	page.ownKPI()
	if err := page.out.Flush(); err != nil {
		return fmt.Errorf("writing the handbook: %w", err)
	}
	return nil
}

// ownKPI is the last chapter: what a definition can be made of.
func (h *handbook) ownKPI() {
	h.lines(handbookEnd...)
	for i := range families {
		for _, name := range families[i].sources {
			measures := sourceTerms[name].measures
			for _, measure := range slices.Sorted(maps.Keys(measures)) {
				h.printf("| `%s` | `%s` | %s | %s |\n", name, measure, measures[measure].VI, measures[measure].EN)
			}
		}
	}
}

// of are the KPIs of a family, by the order of its sources and then by id.
func (c *Catalogue) of(f *family) (defs []*Definition) {
	for _, name := range f.sources {
		for _, d := range c.all {
			if d.Source == name {
				defs = append(defs, d)
			}
		}
	}
	return defs
}

// handbook is the page being written. Errors stay in out.
type handbook struct {
	catalogue *Catalogue
	out       *bufio.Writer
}

func (h *handbook) lines(lines ...string) {
	for _, line := range lines {
		fmt.Fprintln(h.out, line)
	}
}

func (h *handbook) printf(layout string, args ...any) { fmt.Fprintf(h.out, layout, args...) }

func (h *handbook) contents() {
	h.lines("", "## Mục lục / Contents", "")
	for i := range families {
		f := &families[i]
		defs := h.catalogue.of(f)
		if len(defs) == 0 {
			continue
		}
		h.printf("- [%s / %s](#%s)\n", f.name.VI, f.name.EN, f.id)
		for _, d := range defs {
			h.printf("  - [%s](#%s) / %s\n", prose(d.Name.VI), d.ID, prose(d.Name.EN))
		}
	}
	h.lines("- [Chỉ số của riêng bạn / A KPI of your own](#a-kpi-of-your-own)")
}

func (h *handbook) kinds() {
	h.lines("", `<a id="kinds"></a>`, "", "## Loại chỉ số / Kinds", "", "| Loại / Kind | Tiếng Việt | English |", "| --- | --- | --- |")
	for _, kind := range slices.Sorted(maps.Keys(kindTerms)) {
		h.printf("| `%s` | %s | %s |\n", kind, kindTerms[kind].VI, kindTerms[kind].EN)
	}
	h.lines("", "Trừ tuổi và phân vị, mọi giá trị là tổng của các số nguyên và nhiều nhất một phép chia; điểm là tổng của các giá trị đó theo công thức.", "",
		"Everything but ages and quantiles is sums of integers and at most one division; points are made of such values by their formula.")
}

func (h *handbook) family(f *family, defs []*Definition) {
	h.printf("\n<a id=\"%s\"></a>\n\n## %s / %s\n", f.id, f.name.VI, f.name.EN)
	for _, name := range f.sources {
		h.source(h.catalogue.sources[name])
	}
	for _, d := range defs {
		h.definition(d)
	}
}

// source says what is counted, and what of it is kept how long.
func (h *handbook) source(src *source) {
	term := sourceTerms[src.name]
	h.printf("\nNguồn `%s`: %s.\n\nSource `%s`: %s.\n", src.name, term.rows.VI, src.name, term.rows.EN)
	switch src.form {
	case rollup:
	case composed, activity:
		return
	default:
		h.lines("", "Mọi mục được lưu giữ, nên câu hỏi được trả lời theo thời điểm bất kỳ. / Every entry is kept, so a question is answered as of any moment.")
		return
	}
	h.lines("", "| Lưu giữ / kept | Chiều / dimensions |", "| --- | --- |")
	for _, kept := range []struct {
		grain grain
		name  Text
	}{{minute, Text{"theo phút", "by the minute"}}, {day, Text{"theo ngày", "by the day"}}} {
		var columns []string
		long := Text{"không xóa", "for ever"}
		for i := range src.tables {
			if t := &src.tables[i]; t.grain == kept.grain {
				columns = slices.AppendSeq(columns, maps.Keys(t.columns))
				if t.keepMonths > 0 {
					long = Text{fmt.Sprintf("%d tháng", t.keepMonths), fmt.Sprintf("%d months", t.keepMonths)}
				}
			}
		}
		slices.Sort(columns)
		if columns = slices.DeleteFunc(slices.Compact(columns), src.derived); len(columns) > 0 {
			h.printf("| %s, %s / %s, %s | %s |\n", kept.name.VI, long.VI, kept.name.EN, long.EN, codeList(columns))
		}
	}
}

func (h *handbook) definition(d *Definition) {
	h.printf("\n<a id=\"%s\"></a>\n\n### %s (`%s`)\n\n*%s*\n\n%s\n\n%s\n\n", d.ID, prose(d.Name.VI), d.ID, prose(d.Name.EN), prose(d.Description.VI), prose(d.Description.EN))
	h.lines("| Mục / Item | Nội dung / Content |", "| --- | --- |")
	h.row("Loại / Kind", "[`"+string(d.Kind)+"`](#kinds)", Text{})
	h.row("Đơn vị / Unit", "`"+d.Unit+"`", unitTerms[d.Unit])
	h.row("Nguồn / Source", "`"+d.Source+"`", sourceTerms[d.Source].rows)
	h.expression("Tử số / Numerator", d.Numerator, d.numerator, d.source)
	h.expression("Mẫu số / Denominator", d.Denominator, d.denominator, d.source)
	if d.feed != nil {
		h.expression("Cần có / Needs", d.Feed, d.feed, d.source)
	}
	if d.Quantile > 0 {
		share := d.Quantile
		h.row("Phân vị / Quantile", format.Prose(&share, "ratio", format.VI), Text{})
	}
	if d.Whole > 0 {
		h.row("Trên tổng số / Out of", format.Decimal(float64(d.Whole), 0, format.VI), Text{})
	}
	h.row("Kỳ mặc định / Default period", "`"+d.DefaultPeriod+"`", periodTerms[d.DefaultPeriod])
	h.row("Chiều / Dimensions", codeList(d.Dimensions), Text{})
	h.row("Hướng / Better", "`"+d.Better+"`", betterTerms[d.Better])
	h.level("Mục tiêu / Target", d, d.Target)
	if d.Thresholds != nil {
		h.level("Ngưỡng tốt / Good", d, d.Thresholds.Good)
		h.level("Ngưỡng cảnh báo / Warn", d, d.Thresholds.Warn)
	}
	h.row("Xuất xứ / Origin", prose(d.Origin), basisTerms[d.Basis])
	if d.Metric != "" {
		h.row("Số công bố / Official metric", "`"+d.Metric+"`", Text{})
	}
	if d.Sensitive {
		h.row("Nhạy cảm / Sensitive", fmt.Sprintf("ô nhỏ nhất được hiển thị / smallest cell shown: %d", d.MinCell), Text{})
	}
	for i := range d.Versions {
		h.version(&d.Versions[i])
	}
	if caveats := h.catalogue.caveats(d); len(caveats) > 0 {
		h.lines("", "Lưu ý / Caveats:", "")
		for _, caveat := range caveats {
			h.printf("- %s<br>*%s*\n", caveat.VI, caveat.EN)
		}
	}
}

// row writes a line of a KPI's table: what is written, and what it means.
func (h *handbook) row(name, written string, meaning Text) {
	h.printf("| %s | %s", name, written)
	if meaning.VI != "" {
		h.printf("<br>%s<br>*%s*", meaning.VI, meaning.EN)
	}
	h.lines(" |")
}

func (h *handbook) expression(name, written string, e *expression, src *source) {
	if e != nil {
		h.row(name, "`"+strings.Join(strings.Fields(written), " ")+"`", e.gloss(src))
	}
}

func (h *handbook) level(name string, d *Definition, level *Level) {
	if level != nil {
		h.row(name, format.Prose(&level.Value, d.Unit, format.VI)+": "+prose(level.Source), basisTerms[level.Basis])
	}
}

// version is the table of a formula's groups and items.
func (h *handbook) version(v *Version) {
	h.printf("\nTừ %s / from %s: %s\n\n", v.from.Format("02/01/2006"), v.From, prose(v.Source))
	h.lines("| Nhóm / Group | Chỉ tiêu / Item | Điểm tối đa / Most points | Cách tính điểm / Points for the rate *r* |", "| --- | --- | --- | --- |")
	points := func(p float64) string {
		number, _, _ := strings.Cut(format.Prose(&p, "points", format.VI), " ")
		return number
	}
	var total float64
	for _, g := range v.Groups {
		total += g.Points
		h.printf("| **%s / %s** | | **%s** | |\n", prose(g.Name.VI), prose(g.Name.EN), points(g.Points))
		for _, it := range g.Items {
			rate := "r"
			if it.Times != "" {
				rate = fmt.Sprintf("r × [`%s`](#%s)", it.Times, it.Times)
			}
			most := points(it.Points)
			how := most + " × " + rate
			if it.Full > 0 {
				full := it.Full
				how = fmt.Sprintf("%s ÷ %s, nhiều nhất / at most %s", how, format.Prose(&full, "ratio", format.VI), most)
			}
			if it.None != "" {
				how += "; không có trường hợp nào thì " + most + " / without cases " + most
			}
			part, _ := h.catalogue.Get(it.KPI)
			h.printf("| | [%s](#%s) / %s | %s | %s |\n", prose(part.Name.VI), it.KPI, prose(part.Name.EN), most, how)
		}
	}
	h.printf("| **Tổng / Total** | | **%s** | |\n", points(total))
}

// gloss says an expression in words.
func (e *expression) gloss(src *source) Text {
	text := sourceTerms[src.name].measures[e.measure]
	for i, c := range e.conditions {
		joint := Text{" và ", " and "}
		if i == 0 {
			joint = Text{", trong đó ", ", where "}
		}
		if said, ok := yesTerms[c.dimension]; ok && !c.not && slices.Equal(c.codes, []string{"yes"}) {
			text = Text{text.VI + joint.VI + said.VI, text.EN + joint.EN + said.EN}
			continue
		}
		is := Text{" là ", " is "}
		if c.not {
			is = Text{" không phải là ", " is not "}
		}
		term := dimensionTerms[c.dimension]
		text.VI += joint.VI + term.VI + is.VI + "`" + strings.Join(c.codes, "` hoặc `") + "`"
		text.EN += joint.EN + term.EN + is.EN + "`" + strings.Join(c.codes, "` or `") + "`"
	}
	return text
}

// codeList is a list of codes for people.
func codeList(codes []string) string {
	if len(codes) == 0 {
		return "–"
	}
	return "`" + strings.Join(codes, "`, `") + "`"
}

// prose is a text of a definition on one line, in which Markdown reads nothing but text.
func prose(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	return strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "<", "&lt;", "[", `\[`, "|", `\|`).Replace(text)
}
