package reference

import (
	"fmt"
	"slices"
	"strings"
)

// Service is one of the 25 essential services of Project 06.
type Service struct {
	ID           string // DA06-01 to DA06-25.
	Slug         string
	NameVI       string
	NameEN       string
	Ministry2022 string   // In charge when the project began, Vietnamese name.
	Ministry2025 string   // In charge since the mergers of 2025-03-01, Vietnamese name.
	Group        string   // "11-MPS" or "14-other", by the ministries of 2022.
	AtCommune    bool     // Handled at commune level in 2025.
	Procedures   []string // Procedure codes that a source confirms, such as 1.004222; none for about half.
	NameSource   string   // Where the name was found.
}

// Services lists the 25 essential services by id.
func (d *Data) Services() []Service { return slices.Clone(d.services) }

// Service finds a service by id.
func (d *Data) Service(id string) (Service, bool) {
	i, ok := slices.BinarySearchFunc(d.services, id, func(s Service, id string) int { return strings.Compare(s.ID, id) })
	if !ok {
		return Service{}, false
	}
	return d.services[i], true
}

// ServiceOfProcedure finds the service of a procedure code as systems write it: with the agency's code appended, as
// in 1.011442.000.00.00.H38. The first part that looks like a code decides. It allocates nothing.
func (d *Data) ServiceOfProcedure(code []byte) (service string, ok bool) {
	for i := 0; i+procedureLength <= len(code); i++ {
		end := i + procedureLength
		// Digits around it would make it a part of a longer number, and so another code.
		if isProcedure(code[i:end]) && (i == 0 || !isDigit(code[i-1])) && (end == len(code) || !isDigit(code[end])) {
			service, ok = d.byProcedure[string(code[i:end])]
			return service, ok
		}
	}
	return "", false
}

const procedureLength = len("1.004222")

// ProcedureOf returns the code of a procedure without what systems add to it: 1.004222 of 1.004222.000.00.00.H29. A code of
// another form stays as it is.
func ProcedureOf(code string) string {
	if len(code) > procedureLength && isProcedure(code[:procedureLength]) && code[procedureLength] == '.' {
		return code[:procedureLength]
	}
	return code
}

// isProcedure matches [123]\.\d{6}.
func isProcedure[S string | []byte](s S) bool {
	if len(s) != procedureLength || s[0] < '1' || s[0] > '3' || s[1] != '.' {
		return false
	}
	for i := 2; i < len(s); i++ {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

func loadServices(d *Data, read reader) error {
	t, err := read.open("services25_ext.csv", []string{"id", "slug", "name_vi", "name_en", "ministry_2022", "ministry_2025", "group_2022",
		"handled_at_commune_2025", "procedure_codes_found", "procedure_codes_from_memory", "name_source"}, nil)
	if err != nil {
		return err
	}
	d.byProcedure = make(map[string]string)
	for i, r := range t.rows {
		// procedure_codes_from_memory is left out on purpose: it has no source.
		s := Service{ID: r.text("id"), Slug: r.text("slug"), NameVI: r.text("name_vi"), NameEN: r.text("name_en"),
			Ministry2022: r.text("ministry_2022"), Ministry2025: r.text("ministry_2025"), Group: r.oneOf("group_2022", "11-MPS", "14-other"),
			AtCommune: r.oneOf("handled_at_commune_2025", "yes", "no") == "yes", Procedures: r.list("procedure_codes_found", "|"),
			NameSource: r.text("name_source")}
		r.check("id", s.ID == fmt.Sprintf("DA06-%02d", i+1), "id %q is not DA06-%02d", s.ID, i+1)
		for _, code := range s.Procedures {
			r.check("procedure_codes_found", isProcedure(code), "%q is not a procedure code like 1.004222", code)
			other, twice := d.byProcedure[code]
			r.check("procedure_codes_found", !twice, "procedure code %s belongs to %s already", code, other)
			d.byProcedure[code] = s.ID
		}
		if r.err != nil {
			return r.err
		}
		d.services = append(d.services, s)
	}
	return checkRows(read, "services25.csv", []string{"id", "name_vi", "name_en", "ministry"}, len(d.services), func(r *row) {
		s, ok := d.Service(r.text("id"))
		r.check("id", ok, "services25_ext.csv lacks this id")
		r.agree("name_vi", s.NameVI)
		r.agree("name_en", s.NameEN)
		r.agree("ministry", s.Ministry2022)
	})
}
