package reference

import (
	"slices"
	"strings"
)

// Agency is a central agency with a code of Quyết định 20/2020/QĐ-TTg.
type Agency struct {
	Code   string // G01 to G36, with gaps.
	NameVI string
	NameEN string
	Status string // "active", or what became of it in 2025; for people, in English.
}

// Agencies lists the central agencies by code. Provinces have agency codes too, in Province63.
func (d *Data) Agencies() []Agency { return slices.Clone(d.agencies) }

// Agency finds a central agency by its code or by the code of one of its units (G09.20).
func (d *Data) Agency(code string) (Agency, bool) {
	code, _, _ = strings.Cut(code, ".")
	i, ok := slices.BinarySearchFunc(d.agencies, code, func(a Agency, code string) int { return strings.Compare(a.Code, code) })
	if !ok {
		return Agency{}, false
	}
	return d.agencies[i], true
}

func loadAgencies(d *Data, read reader) error {
	t, err := read.open("agencies_g.csv", []string{"code", "name_vi", "name_en", "status_2025"}, nil)
	if err != nil {
		return err
	}
	last := ""
	for _, r := range t.rows {
		a := Agency{Code: r.text("code"), NameVI: r.text("name_vi"), NameEN: r.text("name_en"), Status: r.text("status_2025")}
		r.check("code", len(a.Code) == 3 && a.Code[0] == 'G' && isDigit(a.Code[1]) && isDigit(a.Code[2]), "code %q is not like G01", a.Code)
		r.check("code", a.Code > last, "code %s is not after %s", a.Code, last)
		if r.err != nil {
			return r.err
		}
		last = a.Code
		d.agencies = append(d.agencies, a)
	}
	return nil
}

// Clock says what a dossier status does to the handling time.
type Clock string

// What a status does to the handling time. Status 6 does not pause it (its sources do not say so).
const (
	ClockStopped Clock = "stopped" // Not started, or over.
	ClockRunning Clock = "running"
	ClockPaused  Clock = "paused"
)

// DossierStatus is one of the ten statuses of the national portal.
type DossierStatus struct {
	Code   uint8  // 1 to 10, also the rank that orders events of one time.
	Key    string // For example "result_returned".
	NameVI string
	NameEN string
	Clock  Clock
	Ends   bool // Whether the dossier is over. Status 7 ends it only when it was accepted before.
}

// Statuses lists the dossier statuses by code.
func (d *Data) Statuses() []DossierStatus { return slices.Clone(d.statuses) }

// Status finds a dossier status by code.
func (d *Data) Status(code uint8) (DossierStatus, bool) {
	if code == 0 || int(code) > len(d.statuses) {
		return DossierStatus{}, false
	}
	return d.statuses[code-1], true
}

func loadStatuses(d *Data, read reader) error {
	t, err := read.open("dossier_status.csv", []string{"code", "name_vi", "key", "name_en", "phase", "clock_running", "ends_processing"}, nil)
	if err != nil {
		return err
	}
	clocks := map[string]Clock{"no": ClockStopped, "yes": ClockRunning, "paused": ClockPaused, "see note": ClockRunning}
	for i, r := range t.rows {
		code := r.integer("code", 1, 10)
		s := DossierStatus{Code: uint8(code), Key: r.text("key"), NameVI: r.text("name_vi"), NameEN: r.text("name_en"),
			Clock: clocks[r.oneOf("clock_running", "no", "yes", "paused", "see note")], Ends: r.oneOf("ends_processing", "yes", "no") == "yes"}
		r.check("code", code == int64(i+1), "code %d is not %d", code, i+1)
		if r.err != nil {
			return r.err
		}
		d.statuses = append(d.statuses, s)
	}
	return nil
}
