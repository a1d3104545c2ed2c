package reference

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"
)

func load(t *testing.T) *Data {
	t.Helper()
	d, err := Load(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestLoadCounts(t *testing.T) {
	d := load(t)
	got := []int{len(d.Provinces34()), len(d.Provinces63()), len(d.Services()), len(d.Agencies()), len(d.Statuses())}
	if diff := cmp.Diff([]int{34, 63, 25, 28, 10}, got); diff != "" {
		t.Error(diff)
	}
	cities, people := 0, 0
	for _, p := range d.Provinces34() {
		people += p.Population
		if p.PopulationSource == "" {
			t.Errorf("the population of %s has no source", p.Code)
		}
		if p.AreaKM2 == 0 {
			t.Errorf("%s has no area", p.Code)
		}
		if p.UnitTypeOn(time.Date(2026, 10, 1, 0, 0, 0, 0, TimeZone())) == UnitCity {
			cities++
		}
	}
	if people != 113_571_926 { // a sum of the file as it was checked, so that no digit changes unnoticed
		t.Errorf("%d people live in the country", people)
	}
	if cities != 9 {
		t.Errorf("%d cities in October 2026, want 9", cities)
	}
}

func TestFilesAreNFC(t *testing.T) {
	err := fs.WalkDir(files, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := files.ReadFile(name)
		if !norm.NFC.IsNormal(content) || strings.Contains(string(content), "\r") {
			t.Errorf("%s is not NFC with plain line ends", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestProvinceOf(t *testing.T) {
	d := load(t)
	for _, c := range []struct {
		scheme Scheme
		code   string
		want   string
		ok     bool
	}{
		{GSO34, "79", "79", true},
		{GSO63, "79", "79", true},
		{GSO63, "74", "79", true},
		{GSO34, "74", "", false},
		{GSO63, "15", "15", true}, // Yên Bái is part of the new Lào Cai
		{GSO63, "10", "15", true},
		{GSO63, "72", "80", true},
		{None, "15", "", false},
		{None, "91", "", false},
		{None, "46", "46", true}, // renamed, not reused
		{None, "02", "08", true},
		{GSO63, "03", "", false},
		{None, "03", "", false},
		{GSO34, "", "", false},
		{GSO34, "7", "", false},
		{GSO34, "079", "", false},
		{GSO34, "7x", "", false},
		{GSO34, "/9", "", false},
	} {
		code, ok := d.ProvinceOf(c.scheme, c.code)
		fromBytes, okBytes := d.ProvinceOfBytes(c.scheme, []byte(c.code))
		if code != c.want || ok != c.ok || fromBytes != code || okBytes != ok {
			t.Errorf("ProvinceOf(%v, %q) = %q %v, bytes %q %v; want %q %v", c.scheme, c.code, code, ok, fromBytes, okBytes, c.want, c.ok)
		}
	}
}

func TestReusedCodes(t *testing.T) {
	d := load(t)
	var got []string
	for i := range 100 {
		if code := fmt.Sprintf("%02d", i); d.Reused(code) {
			got = append(got, code)
		}
	}
	if diff := cmp.Diff([]string{"15", "24", "44", "52", "80", "82", "91"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestServiceOfProcedure(t *testing.T) {
	d := load(t)
	for code, want := range map[string]string{
		"1.004222":                       "DA06-03",
		"1.004222.000.00.00.H38":         "DA06-03",
		"2.001194.000.00.00.H55":         "DA06-02",
		"000.00.00.H38-1.004194":         "DA06-04",
		"1.011442.000.00.00.H38":         "", // a real code of no essential service
		"1.011442.1.004222":              "", // the first one decides
		"11.004222":                      "",
		"1.0042220":                      "",
		"1.00422":                        "",
		"4.004222":                       "",
		"1.001193":                       "", // only from memory
		"":                               "",
		"DA06-03":                        "",
		strings.Repeat("1.", 50):         "",
		"TTHC 1.000894 đăng ký kết hôn":  "DA06-11",
		"1.001456.000.00.00.G01.1.99999": "DA06-12",
	} {
		got, ok := d.ServiceOfProcedure([]byte(code))
		if got != want || ok != (want != "") {
			t.Errorf("ServiceOfProcedure(%q) = %q %v, want %q", code, got, ok, want)
		}
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	d := load(t)
	province, procedure := []byte("74"), []byte("1.004222.000.00.00.H38")
	n := testing.AllocsPerRun(100, func() {
		d.ProvinceOfBytes(GSO63, province)
		d.ServiceOfProcedure(procedure)
		d.Reused(string(province))
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLookups(t *testing.T) {
	d := load(t)
	if s, ok := d.Service("DA06-25"); !ok || s.NameEN != "Change of party to the electricity purchase contract" {
		t.Errorf("Service: %+v %v", s, ok)
	}
	if _, ok := d.Service("DA06-26"); ok {
		t.Error("DA06-26 exists")
	}
	if a, ok := d.Agency("G09.20"); !ok || a.NameEN != "Ministry of Home Affairs" {
		t.Errorf("Agency: %+v %v", a, ok)
	}
	if _, ok := d.Agency("G23"); ok {
		t.Error("G23 exists")
	}
	if p, ok := d.Province63("10"); !ok || p.AgencyCode != "H38" || p.AgencyCodeBasis != "spot-checked" {
		t.Errorf("Province63: %+v %v", p, ok)
	}
	if s, ok := d.Status(7); !ok || s.Key != "withdrawn" || !s.Ends || s.Clock != ClockStopped {
		t.Errorf("Status: %+v %v", s, ok)
	}
	if s, _ := d.Status(6); s.Clock != ClockRunning {
		t.Errorf("status 6 has clock %s", s.Clock)
	}
	for _, code := range []uint8{0, 11, 255} {
		if _, ok := d.Status(code); ok {
			t.Errorf("status %d exists", code)
		}
	}
	for text, want := range map[string]Scheme{"": None, "gso63": GSO63, "gso34": GSO34} {
		if got, ok := ParseScheme(text); got != want || !ok || got.String() != text {
			t.Errorf("ParseScheme(%q) = %v %v", text, got, ok)
		}
	}
	if _, ok := ParseScheme("GSO34"); ok {
		t.Error("GSO34 in capitals is a scheme")
	}
}

func TestSortByNameVI(t *testing.T) {
	names := []string{"Đồng Nai", "Điện Biên", "Đà Nẵng", "Gia Lai", "Cần Thơ", "Cao Bằng", "Cà Mau", "An Giang", "Đắk Lắk", "Bắc Ninh", "Hà Nội", "Hà Tĩnh", "Huế", "Hồ Chí Minh"}
	SortByNameVI(names, func(s string) string { return s })
	want := []string{"An Giang", "Bắc Ninh", "Cà Mau", "Cao Bằng", "Cần Thơ", "Đà Nẵng", "Đắk Lắk", "Điện Biên", "Đồng Nai", "Gia Lai", "Hà Nội", "Hà Tĩnh", "Hồ Chí Minh", "Huế"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

// TestDamagedFiles changes one embedded file at a time and expects the error to say where and why.
func TestDamagedFiles(t *testing.T) {
	for _, c := range []struct{ file, old, new, want string }{
		{"provinces34_ext.csv", "79,Hồ Chí Minh", "7,Hồ Chí Minh", `provinces34_ext.csv:29:1: code "7" is not two digits`},
		{"provinces34_ext.csv", "2026-04-30", "2026-04-31", `provinces34_ext.csv:28:78: city_since "2026-04-31" is not a date like 2022-01-06`},
		{"provinces34_ext.csv", "2026-04-30", "", `provinces34_ext.csv:28:78: city_since must be given exactly when the unit type changed`},
		{"provinces34_ext.csv", "82|87", "82", `provinces34.csv:31:28: merged_from is "82|87", another file says "82"`},
		{"provinces34_ext.csv", "code,name_vi", "code,name", `provinces34_ext.csv:1:6: unknown column "name"`},
		{"provinces34_ext.csv", "city_since,", "", `column "city_since" is missing`},
		{"provinces63_ext.csv", "H38,spot-checked,15", "H38,spot-checked,14", `provinces34_ext.csv says 10 was merged into 15, provinces63_ext.csv says "14"`},
		{"provinces63_ext.csv", "H38,", "H39,", `provinces63_ext.csv:52:33: agency code H39 appears twice`},
		{"provinces63.csv", "96,Cà Mau,Ca Mau\n", "", `provinces63.csv has 62 rows, 63 are expected`},
		{"province_map_63_34.csv", "15,Lào Cai,YES", "15,Lào Cai,", `province_map_63_34.csv:11:26: code_reused_for_other_name is "", another file says "YES"`},
		{"admin34.csv", "54 66,", "66,", `admin34.csv:26:19: codes63 is "66", another file says "54 66"`},
		{"admin63.csv", `02,"Hà Giang",08`, `02,"Hà Giang",19`, `admin63.csv:3:16: code34 is "19", another file says "08"`},
		{"population34.csv", "04,Cao Bằng,", "01,Cao Bằng,", `population34.csv:3:1: code 01 appears twice`},
		{"population34.csv", "01,Hà Nội,8807523", "01,Hà Nội,0", `population34.csv:2:`},
		{"population34.csv", "96,Cà Mau,2606672", "97,Cà Mau,2606672", `population34.csv:35:1: provinces34_ext.csv lacks code 97`},
		{"services25_ext.csv", "1.004194", "1.004222", `services25_ext.csv:5:`},
		{"services25_ext.csv", "1.004194", "1.04194", `"1.04194" is not a procedure code like 1.004222`},
		{"services25.csv", "Đăng ký kết hôn", "Đăng ký kết hôn lại", `another file says "Đăng ký kết hôn"`},
		{"agencies_g.csv", "G02,", "G01,", `agencies_g.csv:3:1: code G01 is not after G01`},
		{"dossier_status.csv", "paused,paused,no", "paused,maybe,no", `clock_running "maybe" is not one of`},
		{"holidays.csv", "2022-01-03", "2021-01-03", `holidays.csv:3:1: date 2021-01-03 is not after the one before`},
		{"holidays.csv", `"memory, verify"`, `"memory, verify`, `holidays.csv:`},
	} {
		damaged := func(name string) ([]byte, error) {
			content, err := embedded(name)
			if name == c.file {
				if !strings.Contains(string(content), c.old) {
					return nil, fmt.Errorf("%q is not in the file", c.old)
				}
				content = []byte(strings.Replace(string(content), c.old, c.new, 1))
			}
			return content, err
		}
		d := &Data{}
		var err error
		for _, load := range []func(*Data, reader) error{loadProvinces, loadPopulation, loadServices, loadAgencies, loadStatuses, loadCalendar} {
			if err = load(d, damaged); err != nil {
				break
			}
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %q for %q: got %v, want %s", c.file, c.new, c.old, err, c.want)
		}
		var place *PlaceError
		if strings.HasPrefix(c.want, c.file+":") && !errors.As(err, &place) {
			t.Errorf("%v is not a PlaceError", err)
		}
	}
}

func TestProcedureOf(t *testing.T) {
	for code, want := range map[string]string{
		"1.004222.000.00.00.H29": "1.004222", "1.004222": "1.004222", "": "", "1.0042221.000": "1.0042221.000", "4.004222.000": "4.004222.000", "H29-1.004222.000": "H29-1.004222.000",
	} {
		if got := ProcedureOf(code); got != want {
			t.Errorf("ProcedureOf(%q) = %q, want %q", code, got, want)
		}
	}
}
