package reference

import (
	"slices"
	"time"
)

// Scheme says which list of provinces a code belongs to. Seven codes name different places in the two lists, so a
// code without its scheme can be ambiguous.
type Scheme uint8

// The administrative schemes.
const (
	None  Scheme = iota // Not stated.
	GSO63               // The 63 provinces until 2025-06-30.
	GSO34               // The 34 provinces since 2025-07-01.
)

// ParseScheme reads "gso63", "gso34" or the empty text, which is None.
func ParseScheme(s string) (Scheme, bool) {
	switch s {
	case "":
		return None, true
	case "gso63":
		return GSO63, true
	case "gso34":
		return GSO34, true
	}
	return None, false
}

// String is the name used in events and questions; None is the empty text.
func (s Scheme) String() string {
	switch s {
	case GSO63:
		return "gso63"
	case GSO34:
		return "gso34"
	}
	return ""
}

// UnitType tells a centrally run city from a province.
type UnitType string

// The two types of first-level units.
const (
	UnitProvince UnitType = "province" // Tỉnh.
	UnitCity     UnitType = "city"     // Thành phố trực thuộc trung ương.
)

// NameVI is the Vietnamese word for the type.
func (u UnitType) NameVI() string {
	if u == UnitCity {
		return "Thành phố"
	}
	return "Tỉnh"
}

// Province34 is a first-level unit since 2025-07-01.
type Province34 struct {
	Code       string
	NameVI     string
	NameEN     string
	MergedFrom []string  // Codes in the 63-scheme, ascending.
	UnitType   UnitType  // On 2025-07-01; UnitTypeOn follows later changes.
	CitySince  time.Time // Zero unless the unit became a city after 2025-07-01.
	AreaKM2    int       // According to Nghị quyết 202/2025/QH15.

	Population       int    // People, by the figures of the mergers of 2025.
	PopulationSource string // Where Population was found.
}

// UnitTypeOn is the type of the unit on the day of t.
func (p Province34) UnitTypeOn(t time.Time) UnitType {
	if !p.CitySince.IsZero() && !t.Before(p.CitySince) {
		return UnitCity
	}
	return p.UnitType
}

// Province63 is a first-level unit until 2025-06-30.
type Province63 struct {
	Code            string
	NameVI          string
	NameEN          string
	UnitType        UnitType
	ISO             string // ISO 3166-2, whose numbers are not those of Code.
	AgencyCode      string // H01 to H63, the agency code of the province.
	AgencyCodeBasis string // How far AgencyCode was checked: "spot-checked" or "from memory".
	Code34          string // The unit that it is part of since 2025-07-01.
}

// Provinces34 lists the 34 units by code.
func (d *Data) Provinces34() []Province34 { return slices.Clone(d.provinces34) }

// Provinces63 lists the 63 units by code.
func (d *Data) Provinces63() []Province63 { return slices.Clone(d.provinces63) }

// Province34 finds one of the 34 units.
func (d *Data) Province34(code string) (Province34, bool) {
	i, ok := provinceIndex(code)
	if !ok || d.at34[i] == 0 {
		return Province34{}, false
	}
	return d.provinces34[d.at34[i]-1], true
}

// Province63 finds one of the 63 units.
func (d *Data) Province63(code string) (Province63, bool) {
	i, ok := provinceIndex(code)
	if !ok || d.at63[i] == 0 {
		return Province63{}, false
	}
	return d.provinces63[d.at63[i]-1], true
}

// ProvinceOf maps a reported code to the 34-scheme. A code that its scheme lacks is not ok; nor is one of the reused
// codes without a scheme. Any other code without a scheme means the same place in both.
func (d *Data) ProvinceOf(scheme Scheme, code string) (code34 string, ok bool) {
	i, ok := provinceIndex(code)
	if !ok {
		return "", false
	}
	return d.provinceAt(scheme, i)
}

// ProvinceOfBytes is ProvinceOf for a decoder's buffer; it allocates nothing and keeps nothing of code.
func (d *Data) ProvinceOfBytes(scheme Scheme, code []byte) (code34 string, ok bool) {
	i, ok := provinceIndex(code)
	if !ok {
		return "", false
	}
	return d.provinceAt(scheme, i)
}

func (d *Data) provinceAt(scheme Scheme, i int) (string, bool) {
	if scheme == None && d.reused[i] {
		return "", false
	}
	if scheme != GSO34 && d.at63[i] != 0 {
		return d.provinces63[d.at63[i]-1].Code34, true
	}
	if scheme != GSO63 && d.at34[i] != 0 {
		return d.provinces34[d.at34[i]-1].Code, true
	}
	return "", false
}

// Reused tells whether the code names another place in each scheme (15, 24, 44, 52, 80, 82, 91).
func (d *Data) Reused(code string) bool {
	i, ok := provinceIndex(code)
	return ok && d.reused[i]
}

// provinceIndex reads a two-digit code.
func provinceIndex[S string | []byte](code S) (int, bool) {
	if len(code) != 2 {
		return 0, false
	}
	tens, ones := code[0]-'0', code[1]-'0'
	if tens > 9 || ones > 9 {
		return 0, false
	}
	return int(tens)*10 + int(ones), true
}
