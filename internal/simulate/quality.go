package simulate

// qualityRule is a rule by which a database is measured. How many of 10,000 records it usually holds for is an example;
// identity fields are near all of them.
type qualityRule struct {
	database, criterion, field, rule string
	usual                            int64
	weight                           string
}

var qualityRules = [...]qualityRule{
	{"population", "dung", "identity_number", "R01", 9996, "2"},
	{"population", "dung", "date_of_birth", "R02", 9972, "1"},
	{"population", "du", "required_fields", "R03", 9870, "1"},
	{"population", "sach", "duplicate_person", "R04", 9985, "1"},
	{"population", "song", "updated_in_24h", "R05", 9640, "1"},
	{"population", "thong_nhat", "residence", "R06", 9890, "1"},
	{"civil_status", "dung", "identity_number", "R01", 9990, "2"},
	{"civil_status", "du", "required_fields", "R03", 9540, "1"},
	{"civil_status", "sach", "duplicate_record", "R04", 9920, "1"},
	{"civil_status", "song", "updated_in_24h", "R05", 9050, "1"},
	{"civil_status", "thong_nhat", "population_match", "R06", 9700, "1"},
	{"social_insurance", "dung", "identity_number", "R01", 9985, "2"},
	{"social_insurance", "du", "required_fields", "R03", 9640, "1"},
	{"social_insurance", "sach", "duplicate_record", "R04", 9890, "1"},
	{"social_insurance", "song", "updated_in_24h", "R05", 9200, "1"},
	{"social_insurance", "thong_nhat", "population_match", "R06", 9650, "1"},
	{"land", "dung", "identity_number", "R01", 9940, "2"},
	{"land", "du", "required_fields", "R03", 8900, "1"},
	{"land", "sach", "duplicate_record", "R04", 9720, "1"},
	{"land", "song", "updated_in_24h", "R05", 8600, "1"},
	{"land", "thong_nhat", "population_match", "R06", 9150, "1"},
}

// quality reports, each day from two o'clock in the morning, how good the data of each province is: one event every
// three seconds.
type quality struct{ done int }

func (q *quality) act(c *country, buf []byte, at int64) ([]byte, int64) {
	n := q.done
	if q.done++; q.done == len(c.world.provinces)*len(qualityRules) {
		q.done = 0
		return c.quality(buf, at, &c.world.provinces[n/len(qualityRules)], n%len(qualityRules)), midnight(dayOf(at)+1) + 2*hour
	}
	return c.quality(buf, at, &c.world.provinces[n/len(qualityRules)], n%len(qualityRules)), at + 3*second
}

// quality writes one report. Defects grow fewer by a fifth in three months.
func (c *country) quality(buf []byte, at int64, p *province, n int) []byte {
	r := &qualityRules[n]
	evaluated := int64(p.people)
	if r.database != "population" {
		evaluated = evaluated * 7 / 10
	}
	better := min((at-c.origin)/day, 90)
	defects := (10_000 - r.usual) * int64(p.defect) * (450 - better) * c.between(95, 106) // of 10,000 * 100 * 450 * 100
	failing := evaluated / 1000 * defects / (10_000 * 100 * 450 * 100 / 1000)
	buf = c.begin(buf, at, ofData, ldop, p.code, typeQuality)
	buf = c.subject(join(buf, r.database, "/", r.field, "/", r.rule))
	buf = join(buf, p.places[0], `,"database":"`, r.database, `","criterion":"`, r.criterion, `","field":"`, r.field, `","rule_id":"`, r.rule, `"`)
	buf = joinInt(joinInt(buf, `,"evaluated":`, evaluated), `,"passing":`, evaluated-failing)
	return join(buf, `,"weight":`, r.weight, "}}")
}
