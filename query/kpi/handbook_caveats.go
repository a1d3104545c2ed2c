package kpi

import "fmt"

// caveats are what a reader has to know of the KPI beside its definition, as far as the definition tells.
func (c *Catalogue) caveats(d *Definition) []Text {
	var all []Text
	say := func(when bool, text Text) {
		if when {
			all = append(all, text)
		}
	}
	say(d.Basis == BasisProposal, Text{"Định nghĩa là đề xuất của dự án.", "The definition is a proposal of this project."})
	say(d.Kind == KindQuantile, Text{"Không chính xác tuyệt đối (`exact: false`): giá trị là cận trên của một bậc trong biểu đồ tần suất.",
		"Not exact (`exact: false`): the value is the upper bound of a step of a histogram."})
	say(d.Kind == KindAge, Text{"Không chính xác tuyệt đối (`exact: false`): giá trị thay đổi theo đồng hồ dù không có sự kiện mới.",
		"Not exact (`exact: false`): the value changes with the clock though there are no new events."})
	say(d.Kind == KindCumulative, Text{"Số công bố chính thức cộng phần đếm trực tiếp kể từ sau ngày công bố: sự kiện trước ngày đó không được đếm lần nữa.",
		"An official figure plus the live count since its date: events before that date are not counted again."})
	say(d.Kind == KindReported, Text{"Chỉ có số công bố chính thức, không có nguồn dữ liệu trực tiếp: giá trị chỉ thay đổi khi có báo cáo mới.",
		"Known from official publications only, there is no live source: the value changes with a new report only."})
	say(d.Metric != "" && d.Kind != KindCumulative && d.Kind != KindReported, Text{"Khi chưa đếm được gì trong phạm vi và kỳ, giá trị là số công bố chính thức gần nhất (ghi chú `official_figure`).",
		"While nothing at all was counted in scope and period, the value is the newest official figure (note `official_figure`)."})
	if d.feed != nil {
		events := d.source.measures[d.feed.measure].events
		say(true, Text{fmt.Sprintf("Khi có hồ sơ mà trong phạm vi và kỳ không có sự kiện `%s` nào thì không biết tỷ lệ: không có giá trị (ghi chú `no_feed`), không phải 0.", events),
			fmt.Sprintf("Where there are dossiers but not one `%s` event in scope and period the rate is not known: there is no value (note `no_feed`), and not 0.", events)})
	}
	say(d.Kind == KindFormula, Text{"Khi còn thiếu một chỉ tiêu thì không có tổng điểm; ghi chú `missing_items` nêu chỉ tiêu thiếu.",
		"While an item is missing there is no total; the note `missing_items` names it."})
	say(d.Kind == KindFormula, Text{"Chỉ tiêu được điểm tối đa vì không có trường hợp nào được nêu trong ghi chú `without_cases`: không có sự kiện cũng có thể do số liệu không được gửi đến.",
		"Items that earn all points because there was no case are named by the note `without_cases`: that there are no events may also mean that the data is not sent."})
	say(d.judgedLater(), Text{"Được xét tại thời điểm kết thúc kỳ hoặc `as_of`, tùy thời điểm nào sớm hơn; kỳ đã kết thúc chỉ thay đổi khi có dữ liệu đến muộn.",
		"Judged at the end of the period or at `as_of`, whichever is earlier; a closed period changes by late data only."})
	say(d.asksEligible(), Text{"Thủ tục đủ điều kiện toàn trình hay không là theo danh mục dịch vụ; thủ tục mà danh mục chưa nêu là đủ điều kiện thì không được tính.",
		"Whether a procedure can be offered as a full process is what the service catalogue says; one that it does not say so of does not count."})
	say(d.asksUse(), Text{"Hồ sơ trong kỳ lấy từ `dossier_days`, còn dịch vụ lấy từ danh mục vào cuối kỳ.",
		"The dossiers of the period are those of `dossier_days`, the services those of the catalogue at the end of the period."})
	say(d.source.register != nil && d.source.register.byPlace, Text{"Số của cả nước theo các mục của trung ương, không phải tổng của các địa phương.",
		"The nation's number is of the nation's own entries and not the sum of the provinces'."})
	say(d.source.coefficients, c.coefficientCaveat())
	if d.Per != "" {
		term := dimensionTerms[d.Per]
		say(true, Text{fmt.Sprintf("Chỉ có giá trị cho từng %s một; gộp nhiều %s thì không có nghĩa.", term.VI, term.VI),
			fmt.Sprintf("Has a value for one %s only; over several it has no meaning.", term.EN)})
	}
	if d.Sensitive {
		say(true, Text{fmt.Sprintf("Dữ liệu nhạy cảm: chỉ tính các ngày đã kết thúc, theo kỳ mặc định, cho cả nước và từng tỉnh, thành phố (34); số từ 1 đến %d và số cho phép suy ra chúng không hiển thị.", d.MinCell-1),
			fmt.Sprintf("Sensitive: closed days only, over the default period, for the nation and by province of the 34; counts from 1 to %d, and those that would give them away, are not shown.", d.MinCell-1)})
	}
	return all
}

// coefficientCaveat is about the coefficients that come with ioc; an operator may have others.
func (c *Catalogue) coefficientCaveat() Text {
	for _, coefficient := range c.places.Coefficients().All() {
		if isExample(coefficient) {
			return Text{"Các hệ số đi kèm là ví dụ minh họa, không phải số liệu chính thức; dịch vụ không có hệ số được tính là 0 và được nêu trong ghi chú. Mỗi giá trị nêu phiên bản hệ số.",
				"The coefficients that come with `ioc` are illustrative examples and not official; a service without one counts as 0 and is named in a note. Each value names the version of the coefficients."}
		}
	}
	return Text{"Dịch vụ không có hệ số được tính là 0 và được nêu trong ghi chú. Mỗi giá trị nêu phiên bản hệ số.",
		"A service without a coefficient counts as 0 and is named in a note. Each value names the version of the coefficients."}
}

// judgedLater says whether a thing counts by what has become of it since the time that it belongs to.
func (d *Definition) judgedLater() bool {
	for _, e := range d.sums() {
		if d.source.measures[e.measure].dated() {
			return true
		}
	}
	return d.source.form == petitioning
}
