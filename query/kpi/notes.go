package kpi

import (
	"maps"
	"slices"
)

// The codes of notes.
const (
	NoteIllustrative    = "illustrative"         // The data holds simulated events.
	NoteCoefficients    = "savings_coefficients" // Items: version of the coefficients.
	NoteExample         = "example_coefficients" // The coefficients are not official. Items: their sources.
	NoteNoCoefficient   = "no_coefficient"       // Items: services that saved 0 for want of a coefficient.
	NoteNoLiveSource    = "no_live_source"       // The KPI is a reported counter: nothing is counted.
	NoteOfficial        = "official_figure"      // Nothing was counted in scope and period: the value is the official figure.
	NoteSuppressed      = "suppressed"           // Too small to show, or the complement of what is.
	NoteMissingItems    = "missing_items"        // Items: the KPIs without a value that the score needs.
	NoteNoFeed          = "no_feed"              // Items: the types of events of which none came, so that a rate is not known.
	NoteWithoutCases    = "without_cases"        // Items: the KPIs that earn all points as there was no case.
	NotePer             = "per_dimension"        // Items: the dimension of which one code is to be asked.
	NoteWholeDays       = "compare_whole_days"   // The elapsed part was rounded up to whole days.
	noServiceInNoteItem = "unknown"              // Dossiers without a service.
)

var noteTexts = map[string]Text{
	NoteIllustrative:  {"Dữ liệu mô phỏng để minh họa, không phải số liệu chính thức.", "Simulated data for illustration, not official figures."},
	NoteCoefficients:  {"Tính theo bảng hệ số tiết kiệm phiên bản này (Thông tư 02/2017/TT-VPCP, Điều 27).", "Computed with this version of the savings coefficients (Circular 02/2017/TT-VPCP, Article 27)."},
	NoteExample:       {"Hệ số tiết kiệm là ví dụ, không phải số liệu chính thức.", "The savings coefficients are examples, not official figures."},
	NoteNoCoefficient: {"Các dịch vụ này chưa có hệ số tiết kiệm nên được tính là 0.", "These services have no savings coefficient and count as 0."},
	NoteNoLiveSource:  {"Chỉ số này chỉ có số công bố chính thức, không có nguồn dữ liệu trực tiếp.", "This indicator is known from official publications only; there is no live source."},
	NoteOfficial:      {"Chưa có dữ liệu trực tiếp trong phạm vi và kỳ này: giá trị là số công bố chính thức gần nhất.", "Nothing has been counted live in this scope and period: the value is the newest official figure."},
	NoteSuppressed:    {"Không hiển thị để bảo vệ dữ liệu cá nhân nhạy cảm: số quá nhỏ, hoặc cho phép suy ra số quá nhỏ.", "Not shown, to protect sensitive personal data: the number is too small, or would give away one that is."},
	NoteMissingItems:  {"Chưa tính được tổng điểm vì thiếu số liệu của các chỉ tiêu này.", "The score has no value, as these items have none."},
	NoteNoFeed:        {"Không có sự kiện nào thuộc các loại này trong phạm vi và kỳ, nên không biết tỷ lệ; không phải là 0.", "No event of these types came in this scope and period, so the rate is not known; it is not 0."},
	NoteWithoutCases:  {"Không có trường hợp nào, nên các chỉ tiêu này được điểm tối đa; cũng có thể do số liệu không được gửi đến.", "There was no case, so these items earn all points; it may also be that the data is not sent."},
	NotePer:           {"Chỉ số này chỉ có nghĩa theo từng mã của chiều này; hãy chọn một mã.", "This indicator has a value for one code of this dimension only; choose one."},
	NoteWholeDays:     {"Kỳ so sánh được làm tròn lên đến hết ngày.", "The period compared with is rounded up to whole days."},
}

func note(code string, items ...string) Note {
	return Note{Code: code, Text: noteTexts[code], Items: items}
}

// official says whether the values are an official figure and nothing else, whatever is simulated beside it.
func (d *Definition) official(v *values) bool {
	return d.Kind == KindReported || d.Kind != KindCumulative && v.baseline != nil && !v.suppressed
}

// notes are the remarks on a tally of the KPI.
func (e *Evaluator) notes(def *Definition, t *tally, v *values, rounded bool) []Note {
	notes := []Note{}
	if e.illustrative.Load() && !def.official(v) || t.figure != nil && t.figure.simulated {
		notes = append(notes, note(NoteIllustrative))
	}
	switch {
	case v.suppressed:
		notes = append(notes, note(NoteSuppressed))
	case def.Kind == KindReported:
		notes = append(notes, note(NoteNoLiveSource))
	case def.official(v):
		notes = append(notes, note(NoteOfficial))
	}
	if def.source.coefficients && v.baseline == nil { // an official figure is not computed with them
		notes = append(notes, note(NoteCoefficients, e.coefficients))
		if len(e.examples) > 0 {
			notes = append(notes, note(NoteExample, e.examples...))
		}
		if len(t.missing) > 0 {
			shown := map[string]bool{}
			for service := range t.missing {
				if slices.Contains(sensitiveCodes()["service"].codes, service) {
					service = "" // counted among those without one
				}
				shown[service] = true
			}
			services := slices.Sorted(maps.Keys(shown))
			if services[0] == "" {
				services[0] = noServiceInNoteItem
			}
			notes = append(notes, note(NoteNoCoefficient, services...))
		}
	}
	if !v.suppressed && v.baseline == nil && def.lacksFeed(t) {
		notes = append(notes, note(NoteNoFeed, def.source.measures[def.feed.measure].events))
	}
	if t.mixed {
		notes = append(notes, note(NotePer, def.Per))
	}
	if rounded {
		notes = append(notes, note(NoteWholeDays))
	}
	return notes
}

// exampleSources are the sources of coefficients that call themselves examples.
func exampleSources(deps Deps) []string {
	found := map[string]bool{}
	for _, c := range deps.Coefficients.All() {
		if isExample(c) {
			found[c.SourceRef] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}
