package reference

import (
	"fmt"
	"slices"
	"strings"
)

func loadProvinces(d *Data, read reader) error {
	for _, load := range []func(*Data, reader) error{load34, load63, checkMerges, checkMap, checkAdmin} {
		if err := load(d, read); err != nil {
			return err
		}
	}
	return nil
}

func load34(d *Data, read reader) error {
	t, err := read.open("provinces34_ext.csv", []string{"code", "name_vi", "name_en", "merged_from", "merged_from_names",
		"unit_type_2025_07_01", "unit_type_2026_10", "city_since", "code_same_as_old_name", "old_unit_with_same_code"}, nil)
	if err != nil {
		return err
	}
	for _, r := range t.rows {
		p := Province34{Code: r.province("code"), NameVI: r.text("name_vi"), NameEN: r.text("name_en"),
			MergedFrom: r.list("merged_from", "|"), UnitType: r.unitType("unit_type_2025_07_01"), CitySince: r.date("city_since", true)}
		if later := r.unitType("unit_type_2026_10"); (later != p.UnitType) != !p.CitySince.IsZero() {
			r.fail("city_since", "city_since must be given exactly when the unit type changed")
		}
		if r.err == nil && !slices.IsSorted(p.MergedFrom) {
			r.fail("merged_from", "codes are not in ascending order")
		}
		i, _ := provinceIndex(p.Code)
		if r.err == nil && d.at34[i] != 0 {
			r.fail("code", "code %s appears twice", p.Code)
		}
		if r.err != nil {
			return r.err
		}
		d.provinces34 = append(d.provinces34, p)
		d.at34[i] = int8(len(d.provinces34))
	}
	return checkRows(read, "provinces34.csv", []string{"code", "name_vi", "name_en", "merged_from"}, len(d.provinces34), func(r *row) {
		p, ok := d.Province34(r.province("code"))
		r.check("code", ok, "provinces34_ext.csv lacks this code")
		r.agree("name_vi", p.NameVI)
		r.agree("name_en", p.NameEN)
		r.agree("merged_from", strings.Join(p.MergedFrom, "|"))
	})
}

func load63(d *Data, read reader) error {
	t, err := read.open("provinces63_ext.csv", []string{"code", "name_vi", "name_en", "unit_type_2024", "iso_3166_2",
		"agency_code_h", "agency_code_basis", "new_code34"}, nil)
	if err != nil {
		return err
	}
	agencies := make(map[string]bool)
	for _, r := range t.rows {
		p := Province63{Code: r.province("code"), NameVI: r.text("name_vi"), NameEN: r.text("name_en"),
			UnitType: r.unitType("unit_type_2024"), ISO: r.text("iso_3166_2"), AgencyCode: r.text("agency_code_h"),
			AgencyCodeBasis: r.oneOf("agency_code_basis", "spot-checked", "from memory"), Code34: r.province("new_code34")}
		i, _ := provinceIndex(p.Code)
		r.check("code", d.at63[i] == 0, "code %s appears twice", p.Code)
		r.check("agency_code_h", !agencies[p.AgencyCode], "agency code %s appears twice", p.AgencyCode)
		_, known := d.Province34(p.Code34)
		r.check("new_code34", known, "provinces34_ext.csv lacks code %s", p.Code34)
		if r.err != nil {
			return r.err
		}
		agencies[p.AgencyCode] = true
		d.provinces63 = append(d.provinces63, p)
		d.at63[i] = int8(len(d.provinces63))
	}
	return checkRows(read, "provinces63.csv", []string{"code", "name_vi", "name_en"}, len(d.provinces63), func(r *row) {
		p, ok := d.Province63(r.province("code"))
		r.check("code", ok, "provinces63_ext.csv lacks this code")
		r.agree("name_vi", p.NameVI)
		r.agree("name_en", p.NameEN)
	})
}

// checkMerges makes sure that every old unit is part of exactly one new one, by both files, and finds the reused codes:
// those whose new unit bears the name of another old unit. (46 was renamed, not reused.)
func checkMerges(d *Data, _ reader) error {
	merged := 0
	for _, p := range d.provinces34 {
		for _, old := range p.MergedFrom {
			o, ok := d.Province63(old)
			if !ok || o.Code34 != p.Code {
				return fmt.Errorf("provinces34_ext.csv says %s was merged into %s, provinces63_ext.csv says %q", old, p.Code, o.Code34)
			}
			merged++
		}
		same, ok := d.Province63(p.Code)
		if !ok || same.Code34 != p.Code {
			return fmt.Errorf("code %s without a scheme could mean two places of the 34", p.Code)
		}
		elsewhere := slices.ContainsFunc(d.provinces63, func(o Province63) bool { return o.NameVI == p.NameVI && o.Code != p.Code })
		i, _ := provinceIndex(p.Code)
		d.reused[i] = elsewhere
	}
	if merged != len(d.provinces63) {
		return fmt.Errorf("provinces34_ext.csv merges %d old units, provinces63_ext.csv has %d", merged, len(d.provinces63))
	}
	return nil
}

// checkMap compares the lookup and its flags of reused codes with what checkMerges derived.
func checkMap(d *Data, read reader) error {
	columns := []string{"old_code", "old_name_vi", "new_code", "new_name_vi", "code_reused_for_other_name"}
	return checkRows(read, "province_map_63_34.csv", columns, len(d.provinces63), func(r *row) {
		old, ok := d.Province63(r.province("old_code"))
		r.check("old_code", ok, "provinces63_ext.csv lacks this code")
		p, _ := d.Province34(old.Code34)
		r.agree("old_name_vi", old.NameVI)
		r.agree("new_code", p.Code)
		r.agree("new_name_vi", p.NameVI)
		flag := ""
		if d.Reused(old.Code) {
			flag = "YES"
		}
		r.agree("code_reused_for_other_name", flag)
	})
}

// checkAdmin compares the map's administrative tables with the statistics office's, and takes the areas from them.
func checkAdmin(d *Data, read reader) error {
	plain := func(name string) string { return strings.TrimPrefix(name, "TP. ") } // the map labels one city so
	err := checkRows(read, "admin34.csv", []string{"code34", "name34", "codes63", "area_km2_nq202"}, len(d.provinces34), func(r *row) {
		p, ok := d.Province34(r.province("code34"))
		r.check("code34", ok, "provinces34_ext.csv lacks this code")
		r.check("name34", plain(r.text("name34")) == p.NameVI, "name34 is not %q", p.NameVI)
		r.agree("codes63", strings.Join(p.MergedFrom, " "))
		area := r.integer("area_km2_nq202", 1, 100_000)
		if r.err == nil {
			i, _ := provinceIndex(p.Code)
			d.provinces34[d.at34[i]-1].AreaKM2 = int(area)
		}
	})
	if err != nil {
		return err
	}
	return checkRows(read, "admin63.csv", []string{"code63", "name63", "code34", "name34"}, len(d.provinces63), func(r *row) {
		old, ok := d.Province63(r.province("code63"))
		r.check("code63", ok, "provinces63_ext.csv lacks this code")
		p, _ := d.Province34(old.Code34)
		r.check("name63", plain(r.text("name63")) == old.NameVI, "name63 is not %q", old.NameVI)
		r.agree("code34", p.Code)
		r.check("name34", plain(r.text("name34")) == p.NameVI, "name34 is not %q", p.NameVI)
	})
}

// checkRows reads a file that repeats facts of another and calls check for each of its rows, which must be count many
// with distinct first columns.
func checkRows(read reader, name string, columns []string, count int, check func(*row)) error {
	t, err := read.open(name, columns, nil)
	if err != nil {
		return err
	}
	seen := make(map[string]bool, count)
	for i := range t.rows {
		r := &t.rows[i]
		check(r)
		key := r.text(columns[0])
		r.check(columns[0], !seen[key], "%s %s appears twice", columns[0], key)
		if r.err != nil {
			return r.err
		}
		seen[key] = true
	}
	if len(t.rows) != count {
		return fmt.Errorf("%s has %d rows, %d are expected", name, len(t.rows), count)
	}
	return nil
}

// check keeps an error at the column unless ok.
func (r *row) check(column string, ok bool, format string, args ...any) {
	if !ok {
		r.fail(column, format, args...)
	}
}

// agree keeps an error unless the cell is the value that another file gives.
func (r *row) agree(column, want string) {
	if got := r.optional(column); got != want {
		r.fail(column, "%s is %q, another file says %q", column, got, want)
	}
}

func (r *row) unitType(column string) UnitType {
	if r.oneOf(column, "Tỉnh", "Thành phố") == "Thành phố" {
		return UnitCity
	}
	return UnitProvince
}
