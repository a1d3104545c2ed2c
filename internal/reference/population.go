package reference

import "fmt"

// maxPopulation bounds a unit's population; the country's is about 114 million.
const maxPopulation = 200_000_000

// loadPopulation reads how many people live in each of the 34 units: the figures with which the mergers of 2025 were
// decided, so that shares of units are comparable.
func loadPopulation(d *Data, read reader) error {
	t, err := read.open("population34.csv", []string{"code", "name_vi", "population", "source_ref", "confidence"}, nil)
	if err != nil {
		return err
	}
	for _, r := range t.rows {
		code := r.province("code")
		p, ok := d.Province34(code)
		r.check("code", ok, "provinces34_ext.csv lacks code %s", code)
		r.check("code", p.Population == 0, "code %s appears twice", code)
		r.agree("name_vi", p.NameVI)
		people, source := r.integer("population", 1, maxPopulation), r.text("source_ref")
		r.text("confidence")
		if r.err != nil {
			return r.err
		}
		i, _ := provinceIndex(code)
		known := &d.provinces34[d.at34[i]-1]
		known.Population, known.PopulationSource = int(people), source
	}
	for _, p := range d.provinces34 {
		if p.Population == 0 {
			return fmt.Errorf("population34.csv lacks code %s", p.Code)
		}
	}
	return nil
}
