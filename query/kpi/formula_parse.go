package kpi

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// The bounds of a formula.
const (
	maxVersions = 20
	maxItems    = 100 // Of one version.
)

// checkVersions checks how a formula is made; which KPIs it names is checked when all are known.
func (f *definitionFile) checkVersions(d *Definition) {
	if d.Kind != KindFormula {
		if len(d.Versions) > 0 {
			f.fail("versions", 0, "have no meaning for a KPI of kind %s; remove them", d.Kind)
		}
		return
	}
	d.file = f
	if len(d.Versions) == 0 || len(d.Versions) > maxVersions {
		f.fail("versions", 0, "must be 1 to %d", maxVersions)
	}
	var before time.Time
	for i := range d.Versions {
		v, key := &d.Versions[i], fmt.Sprintf("versions[%d]", i)
		from, err := time.ParseInLocation(time.DateOnly, v.From, zone)
		if err != nil {
			f.fail(key+".from", 0, "%q is not a date such as 2022-06-23", v.From)
		} else if !from.After(before) {
			f.fail(key+".from", 0, "is not after the date of the version before; put them in order")
		}
		v.from, before = from, from
		f.require(key+".source", v.Source)
		f.checkGroups(key, v)
	}
}

func (f *definitionFile) checkGroups(version string, v *Version) {
	items := 0
	seen := map[string]bool{}
	if len(v.Groups) == 0 {
		f.fail(version, 0, "needs groups; add them")
	}
	for i, g := range v.Groups {
		key := fmt.Sprintf("%s.groups[%d]", version, i)
		if !isCode(g.ID) || seen[g.ID] {
			f.fail(key+".id", 0, "%q is no code, or stands twice", g.ID)
		}
		seen[g.ID] = true
		f.require(key+".name.vi", g.Name.VI)
		f.require(key+".name.en", g.Name.EN)
		var sum float64
		for k, it := range g.Items {
			at := fmt.Sprintf("%s.items[%d]", key, k)
			if !(it.Points > 0) || math.IsInf(it.Points, 0) {
				f.fail(at+".points", 0, "must be positive")
			}
			if !(it.Full >= 0 && it.Full <= 1) {
				f.fail(at+".full", 0, "is the rate that earns all points: above 0, at most 1")
			}
			if it.None != "" && it.None != "full" {
				f.fail(at+".without_cases", 0, "%q is unknown; use full, or remove it", it.None)
			}
			sum += it.Points
		}
		if items += len(g.Items); len(g.Items) == 0 || items > maxItems {
			f.fail(key, 0, "needs items, and a version has %d at the most", maxItems)
		}
		if sum != g.Points {
			f.fail(key+".points", 0, "is %v, but its items have %v together", g.Points, sum)
		}
	}
}

// checkParts checks the KPIs that a formula names. Nothing is said of those whose files are broken.
func (c *Catalogue) checkParts(d *Definition, broken map[string]bool) error {
	if d.Kind != KindFormula {
		return nil
	}
	f := d.file
	for i, v := range d.Versions {
		for j, g := range v.Groups {
			for k, it := range g.Items {
				item := fmt.Sprintf("versions[%d].groups[%d].items[%d]", i, j, k)
				if !broken[it.KPI] {
					f.checkPart(c.byID[it.KPI], item+".kpi", it.KPI)
				}
				if it.Times != "" && !broken[it.Times] {
					f.checkPart(c.byID[it.Times], item+".times", it.Times)
				}
			}
		}
	}
	d.file = nil
	return f.err
}

func (f *definitionFile) checkPart(part *Definition, key, id string) {
	switch {
	case part == nil:
		f.fail(key, 0, "there is no KPI %q; see ioc kpi list", id)
	case part.Kind == KindFormula:
		f.fail(key, 0, "%s is a formula itself; name the KPIs that it is made of", id)
	case part.Unit != "ratio":
		f.fail(key, 0, "%s is no rate but of unit %s", id, part.Unit)
	case part.Sensitive || part.Per != "":
		f.fail(key, 0, "%s has no value of its own for every place; choose another", id)
	case !slices.Contains(part.Dimensions, "province"):
		f.fail(key, 0, "%s has no dimension province", id)
	}
}
