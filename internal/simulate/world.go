package simulate

import (
	"fmt"
	"math/rand/v2"

	"ioc.local/internal/reference"
)

// Shares and sizes of the simulated country. None of them is a fact: they are chosen so that every KPI has something
// to show. In particular the provinces differ only by what the seed draws, since nothing here knows their population.
const (
	oldSchemePercent = 6 // dossiers and authentications still reported with a code of the 63 provinces
	nationalPercent  = 3 // authentications that name no province
)

// world is the country as fragments of JSON, made once so that an event only joins them.
type world struct {
	provinces   []province
	totalWeight int
	services    []service
	parties     []string // "relying_party":"G01"
}

// province is one of the 34 units. What it reports differs from the others by at most a fifth.
type province struct {
	source  string   // /npsp/SIM.79
	agency  string   // SIM.79
	places  []string // "province_code":…,"admin_scheme":…; the first is the 34-scheme
	weight  int      // 80 to 120
	online  int      // percent of dossiers submitted online
	pace    int      // percent of the usual handling time
	success int      // authentications that succeed, per mille
}

// service is one of the 25 essential services.
type service struct {
	fields      []string // one for each known procedure code, or one without
	level       string   // of the agency in charge
	subjectType string
	sensitive   bool // no pseudonyms: contract rule 4
}

func newWorld(ref *reference.Data, rnd *rand.Rand) *world {
	w := &world{}
	for _, p := range ref.Provinces34() {
		next := province{
			source: "/npsp/" + Org + "." + p.Code, agency: Org + "." + p.Code,
			weight: 80 + rnd.IntN(41), online: 72 + rnd.IntN(24), pace: 80 + rnd.IntN(36), success: 955 + rnd.IntN(35),
		}
		next.places = append(next.places, place(reference.GSO34, p.Code))
		for _, old := range p.MergedFrom {
			next.places = append(next.places, place(reference.GSO63, old))
		}
		w.provinces = append(w.provinces, next)
		w.totalWeight += next.weight
	}
	for _, s := range ref.Services() {
		next := service{level: "province", subjectType: "citizen", sensitive: s.ID == judicialRecords}
		if s.AtCommune {
			next.level = "commune"
		}
		if s.ID == newSeal || s.ID == smallSeal {
			next.subjectType = "enterprise"
		}
		for _, code := range s.Procedures {
			next.fields = append(next.fields, fmt.Sprintf(`"service_id":%q,"procedure_code":%q`, s.ID, code))
		}
		if len(s.Procedures) == 0 {
			next.fields = append(next.fields, fmt.Sprintf(`"service_id":%q`, s.ID))
		}
		w.services = append(w.services, next)
	}
	for _, a := range ref.Agencies() {
		if a.Status == "active" {
			w.parties = append(w.parties, fmt.Sprintf(`"relying_party":%q`, a.Code))
		}
	}
	return w
}

// Services that need a word of their own.
const (
	newSeal         = "DA06-13"
	smallSeal       = "DA06-14"
	judicialRecords = "DA06-22"
)

func place(scheme reference.Scheme, code string) string {
	return fmt.Sprintf(`"province_code":%q,"admin_scheme":%q`, code, scheme)
}

func (w *world) drawProvince(rnd *rand.Rand) *province {
	n := rnd.IntN(w.totalWeight)
	for i := range w.provinces {
		if n -= w.provinces[i].weight; n < 0 {
			return &w.provinces[i]
		}
	}
	panic("weights do not add up") // totalWeight is their sum
}

// drawPlace is the province as it reports itself: mostly by its new code.
func (p *province) drawPlace(rnd *rand.Rand) string {
	if rnd.IntN(100) >= oldSchemePercent {
		return p.places[0]
	}
	return p.places[1+rnd.IntN(len(p.places)-1)]
}
