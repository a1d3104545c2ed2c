package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	format "ioc.local/internal/figure"
	"ioc.local/query/kpi"
)

// savingsTexts are the texts of an explanation in one language.
type savingsTexts struct {
	title, nation                                          string
	coefficient, none, version, file, valid, since, source string
	confidence, example                                    string
	offline, online                                        string
	hours, hour, labour, transport, documents, fee         string
	citizen, state                                         string
	formula, law, citizenOffline, citizenOnline, unit      string
	dossiers, saving, asOf, illustrative                   string
	vnd                                                    string
}

var savingsTextsBy = map[format.Lang]savingsTexts{
	format.VI: {
		title: "Tiết kiệm của dịch vụ %s (%s), ngày %s, %s", nation: "cả nước",
		coefficient: "Hệ số có hiệu lực trong ngày", none: "Không có hệ số nào của dịch vụ có hiệu lực trong ngày này: mỗi hồ sơ được tính tiết kiệm 0 đồng.",
		version: "Phiên bản bảng hệ số", file: "Tệp", valid: "Hiệu lực", since: "từ %s, chưa có ngày kết thúc|từ %s đến hết %s", source: "Nguồn",
		confidence: "Độ tin cậy", example: "ví dụ, không phải số liệu chính thức",
		offline: "Trực tiếp", online: "Trực tuyến",
		hours: "Thời gian (giờ)", hour: "Giá trị một giờ", labour: "Chi phí thời gian", transport: "Đi lại", documents: "Giấy tờ", fee: "Phí, lệ phí",
		citizen: "Chi phí của người dân", state: "Chi phí của cơ quan nhà nước",
		formula: "Tiết kiệm của một hồ sơ", law: "Thông tư 02/2017/TT-VPCP, Điều 27: lợi ích = tổng chi phí hiện tại − tổng chi phí sau đơn giản hóa",
		citizenOffline: "Người dân, trực tiếp", citizenOnline: "Người dân, trực tuyến", unit: "Tiết kiệm",
		dossiers: "Hồ sơ trực tuyến hoàn thành trong ngày", saving: "Tiết kiệm trong ngày", asOf: "Dữ liệu đến %s, ngày %s, phiên bản %s",
		illustrative: "Dữ liệu mô phỏng để minh họa, không phải số liệu chính thức.", vnd: "đồng",
	},
	format.EN: {
		title: "Saving of service %s (%s), on %s, %s", nation: "the whole country",
		coefficient: "Coefficient in force on the day", none: "No coefficient of the service is in force on this day: each dossier counts as a saving of 0 VND.",
		version: "Version of the table", file: "File", valid: "In force", since: "since %s, open|from %s to the end of %s", source: "Source",
		confidence: "Confidence", example: "an example, no official figure",
		offline: "Counter", online: "Online",
		hours: "Time (hours)", hour: "Value of an hour", labour: "Cost of time", transport: "Transport", documents: "Documents", fee: "Fees and charges",
		citizen: "Cost to the citizen", state: "Cost to the state",
		formula: "Saving of one dossier", law: "Circular 02/2017/TT-VPCP, Article 27: benefit = current total − total after simplification",
		citizenOffline: "Citizen, counter", citizenOnline: "Citizen, online", unit: "Saving",
		dossiers: "Online dossiers completed on the day", saving: "Saving of the day", asOf: "Data up to %s on %s, revision %s",
		illustrative: "Simulated data for illustration, not official figures.", vnd: "VND",
	},
}

// savingsPrinter writes one explanation.
type savingsPrinter struct {
	out  io.Writer
	lang format.Lang
	savingsTexts
}

// printSavings writes the explanation for people.
func printSavings(w io.Writer, x *kpi.SavingsExplanation, lang format.Lang) error {
	var text strings.Builder
	p := savingsPrinter{&text, lang, savingsTextsBy[lang]}
	place, name := p.nation, x.Name.VI
	if lang == format.EN {
		name = x.Name.EN
	}
	if x.Place != nil {
		place = x.Place.VI
		if lang == format.EN {
			place = x.Place.EN
		}
		place += " (" + x.Province + ")"
	}
	fmt.Fprintf(&text, p.title+"\n\n", x.Service, name, p.day(x.Day), place)
	p.coefficientOf(x)
	unit := p.money(x.Unit)
	if x.Coefficient != nil {
		p.formulaOf(x)
	}
	fmt.Fprintf(&text, "%s: %s\n", p.dossiers, p.number(x.Dossiers))
	fmt.Fprintf(&text, "%s: %s × %s = %s\n", p.saving, p.number(x.Dossiers), unit, p.money(x.Saving))
	fmt.Fprintf(&text, p.asOf+"\n", format.Clock(x.AsOf.Time), format.Day(x.AsOf.Time), x.Revision)
	if x.Illustrative {
		fmt.Fprintln(&text, p.illustrative)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// coefficientOf writes the coefficient with what is known of it.
func (p *savingsPrinter) coefficientOf(x *kpi.SavingsExplanation) {
	fmt.Fprintln(p.out, p.coefficient)
	facts := tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(facts, "  %s\t%s\n", p.version, x.Version)
	c := x.Coefficient
	if c == nil {
		fmt.Fprintf(facts, "  %s\t%s\n", p.file, x.File)
		_ = facts.Flush() // into memory
		fmt.Fprintf(p.out, "  %s\n\n", p.none)
		return
	}
	fmt.Fprintf(facts, "  %s\t%s:%d\n", p.file, x.File, c.Line)
	open, closed, _ := strings.Cut(p.since, "|")
	valid := fmt.Sprintf(open, p.day(c.ValidFrom))
	if c.ValidTo != nil {
		valid = fmt.Sprintf(closed, p.day(c.ValidFrom), p.day(*c.ValidTo))
	}
	confidence := c.Confidence
	if c.Example {
		confidence += " (" + p.example + ")"
	}
	fmt.Fprintf(facts, "  %s\t%s\n  %s\t%s\n  %s\t%s\n", p.valid, valid, p.source, c.SourceRef, p.confidence, confidence)
	_ = facts.Flush()
	fmt.Fprintln(p.out)
	costs := tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(costs, "  \t%s\t%s\n", p.offline, p.online)
	line := func(name, offline, online string) {
		if offline != format.Missing || online != format.Missing {
			fmt.Fprintf(costs, "  %s\t%s\t%s\n", name, offline, online)
		}
	}
	line(p.hours, p.hoursOf(c.Offline.Hours), p.hoursOf(c.Online.Hours))
	line(p.hour, p.optional(c.VNDPerHour), p.optional(c.VNDPerHour))
	line(p.labour, p.optional(c.Offline.Labour), p.optional(c.Online.Labour))
	line(p.transport, p.optional(c.Offline.Transport), p.optional(c.Online.Transport))
	line(p.documents, p.optional(c.Offline.Documents), p.optional(c.Online.Documents))
	line(p.fee, p.optional(c.Offline.Fee), p.optional(c.Online.Fee))
	line(p.citizen, p.money(c.Offline.Citizen), p.money(c.Online.Citizen))
	line(p.state, p.money(c.Offline.State), p.money(c.Online.State))
	_ = costs.Flush()
	fmt.Fprintln(p.out)
}

// formulaOf writes the formula with the numbers put in.
func (p *savingsPrinter) formulaOf(x *kpi.SavingsExplanation) {
	c := x.Coefficient
	fmt.Fprintf(p.out, "%s (%s)\n", p.formula, p.law)
	for _, side := range []struct {
		name string
		kpi.SavingsSide
	}{{p.citizenOffline, c.Offline}, {p.citizenOnline, c.Online}} {
		if parts := p.parts(side.SavingsSide, c.VNDPerHour); parts != "" {
			fmt.Fprintf(p.out, "  %s: %s = %s\n", side.name, parts, p.money(side.Citizen))
		}
	}
	fmt.Fprintf(p.out, "  %s: (%s + %s) − (%s + %s) = %s\n\n", p.unit, p.number(c.Offline.Citizen), p.number(c.Offline.State),
		p.number(c.Online.Citizen), p.number(c.Online.State), p.money(x.Unit))
}

// parts is the citizen's cost as the sum of the components that are given; empty where none is.
func (p *savingsPrinter) parts(side kpi.SavingsSide, perHour *int64) string {
	var parts []string
	if side.Hours != nil && perHour != nil {
		parts = append(parts, p.hoursOf(side.Hours)+" × "+p.number(*perHour))
	}
	for _, part := range []*int64{side.Transport, side.Documents, side.Fee} {
		if part != nil {
			parts = append(parts, p.number(*part))
		}
	}
	return strings.Join(parts, " + ")
}

func (p *savingsPrinter) number(n int64) string { return format.Decimal(float64(n), 0, p.lang) }

func (p *savingsPrinter) money(n int64) string { return p.number(n) + " " + p.vnd }

// optional is an amount, or the sign that there is none.
func (p *savingsPrinter) optional(n *int64) string {
	if n == nil {
		return format.Missing
	}
	return p.money(*n)
}

// hoursOf writes hours with the decimals that they have, three at most.
func (p *savingsPrinter) hoursOf(hours *float64) string {
	if hours == nil {
		return format.Missing
	}
	comma := ","
	if p.lang == format.EN {
		comma = "."
	}
	return strings.TrimSuffix(strings.TrimRight(format.Decimal(*hours, 3, p.lang), "0"), comma)
}

// day writes a date such as 2026-11-20 as people read it.
func (p *savingsPrinter) day(date string) string {
	t, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return date
	}
	return t.Format("02/01/2006")
}
