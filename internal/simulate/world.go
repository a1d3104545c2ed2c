package simulate

import (
	"fmt"
	"math/rand/v2"

	"ioc.local/internal/reference"
)

// world is the country as fragments of JSON, made once so that an event only joins them. Its provinces have their real
// population; everything else about them is drawn from the seed and says nothing about the real ones.
type world struct {
	provinces []province
	people    int // of all provinces
	services  []service
	weights   int      // of all services
	parties   []string // "G01", the central agencies in force
}

// province is one of the 34 units.
type province struct {
	code   string
	agency string   // SIM.79
	places []string // "province_code":…,"admin_scheme":…; the first is the 34-scheme
	people int
	online int // dossiers submitted online, per mille, before what the service adds
	onTime int // dossiers ended in time, per mille
	auth   int // authentications that succeed, per mille
	synced int // dossiers synchronised in time, per mille
	defect int // percent of the usual defects of data
	levels []uint8
}

// Levels of a service in a province, indexes of levelNames.
const (
	levelFull = iota
	levelPartial
	levelInfo
)

var levelNames = [...]string{"full", "partial", "info"}

// service is one of the 25 essential services, or a procedure outside of them.
type service struct {
	id          string
	fields      []string // one for each known procedure code, or one without
	agencyLevel string
	subjectType string
	sensitive   bool // no pseudonyms: contract rule 4
	example
}

// example is what is made up about a service.
type example struct {
	weight int // how often it is asked for
	limit  int // working days that it may take
	lean   int // percent of the way to all (above 0) or no (below 0) dossiers online
	fee    int // VND, 0 for none
	auto   bool
}

// Services that need a word of their own.
const (
	newSeal         = "DA06-13"
	smallSeal       = "DA06-14"
	judicialRecords = "DA06-22"
)

// examples gives each essential service a frequency and a course, in the order of their ids. The fees of DA06-03 and
// DA06-04 are those of the portal's pages; every other number is an example.
var examples = [...]example{
	{weight: 30, limit: 2, lean: 10}, {weight: 90, limit: 7, lean: -25}, {weight: 80, limit: 7, lean: 12, fee: 10_000},
	{weight: 90, limit: 3, lean: 25, fee: 7_000}, {weight: 12, limit: 1, lean: 30, auto: true}, {weight: 170, limit: 1, lean: 80, auto: true},
	{weight: 60, limit: 2, lean: -20, fee: 50_000}, {weight: 70, limit: 1, lean: 55, fee: 850_000, auto: true}, {weight: 55, limit: 1, lean: 5},
	{weight: 30, limit: 1, lean: -10}, {weight: 25, limit: 3, lean: -15}, {weight: 45, limit: 8, lean: 30, fee: 200_000},
	{weight: 6, limit: 3, lean: 15}, {weight: 3, limit: 3, lean: 10}, {weight: 40, limit: 6, lean: 45}, {weight: 18, limit: 10, lean: 30},
	{weight: 40, limit: 2, lean: 40, fee: 600_000}, {weight: 35, limit: 3, lean: 20}, {weight: 25, limit: 10, lean: -40, fee: 30_000},
	{weight: 50, limit: 5, lean: 35, fee: 115_000}, {weight: 4, limit: 5, lean: 85}, {weight: 30, limit: 10, lean: 55, fee: 200_000},
	{weight: 25, limit: 15, lean: -10}, {weight: 15, limit: 5, lean: 40}, {weight: 12, limit: 4, lean: 35},
}

// others are procedures outside the essential services. Their codes are the two that sources of the project name; what
// is made up about them is as above.
var others = [...]struct {
	code string
	example
}{
	{"1.011442", example{weight: 25, limit: 15, lean: -20, fee: 100_000}},
	{"2.000815", example{weight: 60, limit: 1, lean: -45, fee: 10_000}},
}

func newWorld(ref *reference.Data, seed uint64) *world {
	rnd := rand.New(rand.NewPCG(seed, 0x70726f76696e6365)) // the same provinces whenever the country begins
	w := &world{}
	for i, s := range ref.Services() {
		next := service{id: s.ID, agencyLevel: "province", subjectType: "citizen", sensitive: s.ID == judicialRecords, example: examples[i]}
		if s.AtCommune {
			next.agencyLevel = "commune"
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
	for _, o := range others {
		w.services = append(w.services, service{agencyLevel: "province", subjectType: "citizen",
			fields: []string{fmt.Sprintf(`"procedure_code":%q`, o.code)}, example: o.example})
	}
	for _, s := range w.services {
		w.weights += s.weight
	}
	for _, p := range ref.Provinces34() {
		next := province{
			code: p.Code, agency: Org + "." + p.Code, people: p.Population,
			online: 270 + rnd.IntN(620), onTime: 880 + rnd.IntN(116), auth: 936 + rnd.IntN(50), synced: 930 + rnd.IntN(66), defect: 55 + rnd.IntN(110),
		}
		next.places = append(next.places, place(reference.GSO34, p.Code))
		for _, old := range p.MergedFrom {
			next.places = append(next.places, place(reference.GSO63, old))
		}
		partial := 40 + rnd.IntN(160) // of a thousand services
		for range w.services {
			level := uint8(levelFull)
			if n := rnd.IntN(1000); n < partial/5 {
				level = levelInfo
			} else if n < partial {
				level = levelPartial
			}
			next.levels = append(next.levels, level)
		}
		w.provinces = append(w.provinces, next)
		w.people += next.people
	}
	for _, a := range ref.Agencies() {
		if a.Status == "active" {
			w.parties = append(w.parties, a.Code)
		}
	}
	return w
}

func place(scheme reference.Scheme, code string) string {
	return fmt.Sprintf(`"province_code":%q,"admin_scheme":%q`, code, scheme)
}

func (w *world) drawProvince(rnd *rand.Rand) *province {
	n := rnd.IntN(w.people)
	for i := range w.provinces {
		if n -= w.provinces[i].people; n < 0 {
			return &w.provinces[i]
		}
	}
	panic("weights do not add up") // people is their sum
}

func (w *world) drawService(rnd *rand.Rand) int {
	n := rnd.IntN(w.weights)
	for i := range w.services {
		if n -= w.services[i].weight; n < 0 {
			return i
		}
	}
	panic("weights do not add up") // weights is their sum
}
