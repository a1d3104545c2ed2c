package simulate

// share is one of several things that can be drawn, with how often it is.
type share struct {
	weight int
	name   string
}

// accountActions are an example; far more accounts begin than end, and fewer are upgraded than were activated at level 1.
var accountActions = [...]share{
	{30, "registered"}, {27, "approved"}, {28, "activated"}, {4, "upgraded"}, {5, "locked"}, {4, "unlocked"}, {2, "deactivated"},
}

// firstLevelPercent is how many of 100 accounts have level 1.
const firstLevelPercent = 30

// account writes what happened to an electronic identity account.
func (s *scribe) account(buf []byte, at int64) []byte {
	p := s.world.drawProvince(s.rnd)
	buf = s.begin(buf, at, ofIdentity, vneid, "", typeAccount)
	buf = s.subject(appendHex(append(buf, "a-"...), s.rnd.Uint64()))
	s.made.voidable = true
	action := s.draw(accountActions[:])
	buf = join(buf, s.drawPlace(p))
	if s.chance(3) { // an organisation's, which has no level
		return join(buf, `,"subject_type":"organisation","action":"`, action, `"}}`)
	}
	level := `2`
	if action != "upgraded" && s.chance(firstLevelPercent) {
		level = `1`
	}
	return join(buf, `,"subject_type":"citizen","action":"`, action, `","eid_level":`, level, "}}")
}

// document is something that happens to documents of one kind in the wallet.
type document struct {
	weight       int
	kind, action string
}

// documents are an example; fewer health books are integrated than made, so that their share is below 100 %. Events about
// health books and judicial records say of nobody whom they concern, nor of which commune: contract rule 4.
var documents = [...]document{
	{17, "health_book", "created"}, {9, "health_book", "integrated"}, {6, "health_book", "presented"},
	{9, "driving_licence", "integrated"}, {18, "driving_licence", "presented"}, {7, "vehicle_registration", "integrated"},
	{6, "vehicle_registration", "presented"}, {7, "insurance_card", "integrated"}, {15, "insurance_card", "presented"},
	{2, "judicial_record", "integrated"}, {3, "other", "integrated"}, {1, "other", "removed"},
}

// wallet writes what happened to a document in the wallet of the identity application.
func (s *scribe) wallet(buf []byte, at int64) []byte {
	p := s.world.drawProvince(s.rnd)
	n := s.rnd.IntN(100)
	d := documents[0]
	for _, d = range documents {
		if n -= d.weight; n < 0 {
			break
		}
	}
	system := vneid
	if d.kind == "health_book" {
		system = healthBook
	}
	buf = s.begin(buf, at, ofIdentity, system, "", typeWallet)
	buf = s.subject(appendHex(append(buf, "w-"...), s.rnd.Uint64()))
	s.made.voidable = true
	return join(buf, s.drawPlace(p), `,"kind":"`, d.kind, `","action":"`, d.action, `"}}`)
}

// queryKinds and queryOutcomes are examples.
var (
	queryKinds    = [...]share{{38, "lookup"}, {44, "verify"}, {6, "clean"}, {12, "sync"}}
	queryOutcomes = [...]share{{962, "ok"}, {27, "not_found"}, {4, "denied"}, {3, "error"}, {4, "timeout"}}
)

// query writes a query of the population database by another system.
func (s *scribe) query(buf []byte, at int64) []byte {
	p := s.world.drawProvince(s.rnd)
	buf = s.begin(buf, at, ofData, popdb, "", typeQuery)
	buf = s.subject(appendHex(append(buf, "q-"...), s.rnd.Uint64()))
	s.made.voidable = true
	consumer := s.world.parties[s.rnd.IntN(len(s.world.parties))]
	if s.chance(70) {
		consumer = p.agency
		buf = join(buf, s.drawPlace(p), ",")
	}
	kind, outcome := s.draw(queryKinds[:]), s.draw(queryOutcomes[:])
	records := int64(0)
	if outcome == "ok" {
		records = 1
		if kind == "clean" || kind == "sync" {
			records += s.rnd.Int64N(500)
		}
	}
	buf = join(buf, `"consumer_agency":"`, consumer, `","query_kind":"`, kind, `","outcome":"`, outcome, `"`)
	buf = joinInt(buf, `,"latency_ms":`, s.drawLatency(outcome, 15))
	return append(joinInt(buf, `,"records":`, records), "}}"...)
}

// draw takes one of several by weight.
func (s *scribe) draw(from []share) string {
	sum := 0
	for i := range from {
		sum += from[i].weight
	}
	n := s.rnd.IntN(sum)
	for i := range from {
		if n -= from[i].weight; n < 0 {
			return from[i].name
		}
	}
	panic("weights do not add up") // sum is their sum
}
