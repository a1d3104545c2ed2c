package simulate

import (
	"strconv"
)

// opening tells, when the country begins, what is already there: one event after another, a millisecond apart. The
// service catalogue has entries of the provinces only: the figures of the nation are official reports, which entries of
// a simulator must not replace.
type opening struct{ done int }

// openTasks are the tasks of Project 06 at the beginning.
const openTasks = 60

func (o *opening) act(c *country, buf []byte, at int64) ([]byte, int64) {
	n, provinces := o.done, c.world.provinces
	essential := len(c.world.services) - len(others)
	rest := func(count int) bool { n -= count; return n >= 0 }
	o.done++
	next := at + second/1000
	switch {
	case !rest(len(provinces) * essential):
		n += len(provinces) * essential
		return c.catalogue(buf, at, &provinces[n/essential], n%essential), next
	case !rest(len(provinces)):
		p := &provinces[n+len(provinces)]
		state := "operating"
		if c.rnd.IntN(100) < 12 {
			state = "building"
			c.push(at+c.between(3*day, 60*day), &completion{p})
		}
		return c.capability(buf, at, p, "ioc", p.code, "province", state), next
	case !rest(len(provinces)):
		p := &provinces[n+len(provinces)]
		return c.capability(buf, at, p, "popdb_connection", p.code, "province", "operating"), next
	case !rest(len(c.world.parties)):
		return c.capability(buf, at, nil, "popdb_connection", c.world.parties[n+len(c.world.parties)], "ministry", "operating"), next
	case !rest(stateEnterprises):
		return c.capability(buf, at, nil, "popdb_connection", Org+".DN"+strconv.Itoa(n+stateEnterprises+1), "state_enterprise", "operating"), next
	case !rest(openTasks):
		c.assign(at, at+c.between(2*day, 150*day))
		return buf, next
	case !rest(len(provinces) * len(qualityRules)):
		n += len(provinces) * len(qualityRules)
		return c.quality(buf, at, &provinces[n/len(qualityRules)], n%len(qualityRules)), next
	}
	return buf, 0
}

// stateEnterprises is how many state enterprises are connected, an example.
const stateEnterprises = 4

// catalogue writes the entry of an essential service in the catalogue of a province.
func (c *country) catalogue(buf []byte, at int64, p *province, n int) []byte {
	s := &c.world.services[n]
	buf = c.begin(buf, at, ofProgramme, npsp, p.code, typeCatalog)
	buf = c.subject(append(append(append(buf, s.id...), '/'), p.code...))
	buf = join(buf, p.places[0], `,"agency_code":"`, p.agency, `","agency_level":"province",`, s.fields[0],
		`,"list":"E25","level":"`, levelNames[p.levels[n]], `","full_eligible":true,"written_result":`, yes(!s.auto))
	if s.fee > 0 {
		buf = joinInt(buf, `,"fee_online_vnd":`, int64(s.fee))
	}
	return append(buf, "}}"...)
}

// upgrading takes, every one to three days, one service in one province to the level full.
type upgrading struct{}

func (u upgrading) act(c *country, buf []byte, at int64) ([]byte, int64) {
	next := at + c.between(day, 3*day)
	essential := len(c.world.services) - len(others)
	p := &c.world.provinces[c.rnd.IntN(len(c.world.provinces))]
	first := c.rnd.IntN(essential)
	for i := range essential {
		if n := (first + i) % essential; p.levels[n] != levelFull {
			p.levels[n] = levelFull
			return c.catalogue(buf, at, p, n), next
		}
	}
	return buf, next
}

// completion lets the operations centre of a province begin to operate.
type completion struct{ province *province }

func (o *completion) act(c *country, buf []byte, at int64) ([]byte, int64) {
	return c.capability(buf, at, o.province, "ioc", o.province.code, "province", "operating"), 0
}

func (c *country) capability(buf []byte, at int64, p *province, kind, org, orgKind, state string) []byte {
	code := ""
	if p != nil {
		code = p.code
	}
	buf = c.begin(buf, at, ofProgramme, ioc, code, typeCapable)
	buf = c.subject(append(append(append(buf, kind...), '/'), org...))
	if p != nil {
		buf = append(append(buf, p.places[0]...), ',')
	}
	return join(buf, `"kind":"`, kind, `","org_id":"`, org, `","org_kind":"`, orgKind, `","state":"`, state, `"}}`)
}

// task is a task of Project 06 with its course.
type task struct {
	number int
	lead   string
	due    int64
	plan   [4]struct {
		at     int64
		status string
	}
	steps, done int
}

// assigning assigns about one new task a day.
type assigning struct{}

func (a *assigning) act(c *country, buf []byte, at int64) ([]byte, int64) {
	c.assign(at, at+c.between(10*day, 120*day))
	return buf, at + c.between(12*hour, 36*hour)
}

// assign plans a task from its assignment to its end; the shares are examples.
func (c *country) assign(at, due int64) {
	c.tasks++
	t := &task{number: c.tasks, lead: c.world.parties[c.rnd.IntN(len(c.world.parties))], due: midnight(dayOf(due)) + closing}
	t.add(at, "assigned")
	n := c.rnd.IntN(100)
	if n < 5 {
		t.add(at+c.between(hour, 2*day), "continuous")
		c.push(at, t)
		return
	}
	t.add(at+(t.due-at)/10+c.rnd.Int64N((t.due-at)/4), "in_progress")
	if n < 80 {
		t.add(t.due-c.rnd.Int64N((t.due-at)/4), "completed")
	} else {
		t.add(t.due+hour, "overdue")
		t.add(t.due+c.between(day, 30*day), "completed_late")
	}
	c.push(at, t)
}

func (t *task) add(at int64, status string) {
	t.plan[t.steps].at, t.plan[t.steps].status = at, status
	t.steps++
}

func (t *task) act(c *country, buf []byte, at int64) ([]byte, int64) {
	buf = c.begin(buf, at, ofProgramme, taskForce, "", typeTask)
	buf = c.subject(joinInt(buf, Org+"-T-", int64(t.number)))
	buf = join(buf, `"source_document":"Kế hoạch mô phỏng","lead_agency":"`, t.lead, `","due_at":"`)
	buf = join(c.pen.appendTime(buf, t.due), `","status":"`, t.plan[t.done].status, `"}}`)
	if t.done++; t.done < t.steps {
		return buf, t.plan[t.done].at
	}
	return buf, 0
}
