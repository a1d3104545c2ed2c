package simulate

import "slices"

// The statuses of the national portal that the simulator uses by name. What else happens to a dossier is a step too.
const (
	registered   = 1
	accepted     = 2
	refused      = 3
	processing   = 4
	supplement   = 5
	payable      = 6
	withdrawn    = 7
	stopped      = 8
	completed    = 9
	returned     = 10
	component    = 11 // dossier.document: what was submitted
	result       = 12 // dossier.document: the result
	paymentDue   = 13
	paymentMade  = 14
	paymentTried = 15
	rated        = 16
	synced       = 17
)

// dossier is an open dossier. Its whole course is planned when it begins, so that what is due when is consistent.
type dossier struct {
	id        uint64
	pid       [2]uint64
	province  *province
	place     string
	service   *service
	level     uint8
	fields    string
	opened    int64 // date of registration
	due       int64 // appointed time, told from the acceptance on
	tellsDue  bool  // else only the statutory limit is told
	channel   uint8
	portal    string
	vneid     bool
	form      string
	gateway   int64 // paid_online
	collected int64 // collect_when
	asked     int64 // supplement requests so far
	late      bool

	plan        [20]stage
	steps, done uint8
}

// stage is something that happens to a dossier.
type stage struct {
	at   int64
	what uint8
}

func (d *dossier) add(at int64, what uint8) {
	d.plan[d.steps] = stage{at, what}
	d.steps++
}

// openDossier begins a dossier, which tells of itself when its first step is due.
func (c *country) openDossier(buf []byte, at int64) []byte {
	if c.open >= maxOpen {
		return buf
	}
	d := &dossier{}
	if n := len(c.ended); n > 0 {
		d, c.ended = c.ended[n-1], c.ended[:n-1]
	}
	p, n := c.world.drawProvince(c.rnd), c.world.drawService(c.rnd)
	s := &c.world.services[n]
	*d = dossier{
		id: c.rnd.Uint64(), province: p, place: c.drawPlace(p), service: s, level: p.levels[n], fields: s.fields[c.rnd.IntN(len(s.fields))],
		tellsDue: c.chance(90), channel: 1, portal: "counter", form: "paper", collected: 1,
	}
	if !s.sensitive {
		d.pid = [2]uint64{c.rnd.Uint64(), c.rnd.Uint64()}
	}
	online := p.online + int(min((at-c.origin)/day, 90))/3 // a point in a month, so that something gets better
	if s.lean > 0 {
		online += (1000 - online) * s.lean / 100
	} else {
		online += online * s.lean / 100
	}
	switch n := c.rnd.IntN(1000); {
	case n < online:
		d.channel, d.form, d.gateway = 2, "electronic", 1
		d.portal = [...]string{"npsp", "npsp", "vneid", "province", "ministry"}[c.rnd.IntN(5)]
		d.vneid = c.chance(90)
		if d.portal == "province" || d.portal == "ministry" {
			d.gateway = 2
		}
	case n < online+20:
		d.channel, d.form = 3, "both"
	}
	if d.channel != 2 { // one goes there while it is open
		open, closes := c.days.office(at)
		at = open
		if open > at {
			at = c.between(open, closes)
		}
	}
	d.opened = at
	c.plan(d, at)
	c.open++
	c.push(d.plan[0].at, d)
	return buf
}

// plan draws the course of a dossier; the shares are examples.
func (c *country) plan(d *dossier, at int64) {
	online, s := d.channel == 2, d.service
	auto := s.auto && online
	d.add(at, registered)
	for n := range c.rnd.Int64N(3) {
		d.add(at+(n+1)*c.between(second, 20*second), component)
	}
	course := c.rnd.IntN(1000)
	switch {
	case course < 25:
		d.add(c.days.worked(at, c.between(10*minute, 6*hour)), refused)
		c.ready(d)
		return
	case course < 35:
		d.add(at+c.between(20*minute, 20*hour), withdrawn)
		c.ready(d)
		return
	}
	begin := at + c.between(10*second, 4*minute)
	byPortal := auto || online && c.chance(50) // at any hour
	if !byPortal {
		begin = c.days.worked(at, c.between(5*minute, 3*hour))
	}
	d.add(begin, accepted)
	d.add(begin+c.between(minute, 40*minute), synced)
	d.due = midnight(c.days.later(dayOf(begin), s.limit)) + closing
	if s.fee > 0 && course >= 120 {
		paid := begin + c.between(2*minute, 10*minute)
		if c.chance(3) && online {
			d.add(paid-minute, paymentTried)
		}
		d.add(paid, paymentMade)
	}
	moment := begin + c.between(5*second, minute)
	if !auto {
		moment = c.days.worked(begin, c.between(10*minute, 2*hour))
	}
	d.add(moment, processing)
	if course >= 35 && course < 55 { // withdrawn after acceptance, or stopped
		what := uint8(withdrawn)
		if course >= 45 {
			what = stopped
		}
		d.add(c.days.worked(moment, c.between(hour, 7*hour)), what)
		c.ready(d)
		return
	}
	end := c.end(d, begin, moment, auto)
	requests := 0
	if course >= 900 && !auto {
		requests = 1
		if course >= 995 {
			requests = 2
		}
	}
	for range requests {
		asked := c.days.worked(moment, c.between(30*minute, 4*hour))
		moment = asked + c.between(3*hour, 3*day)
		d.add(asked, supplement)
		d.add(moment, processing)
		end = c.days.worked(max(end+moment-asked, moment), c.between(minute, 30*minute))
	}
	if s.fee > 0 && course < 120 { // to be paid before the end
		asked := c.days.worked(moment, c.between(30*minute, 2*hour))
		d.collected = 4
		d.add(asked, payable)
		d.add(asked+second, paymentDue)
		moment = asked + c.between(5*minute, 5*hour)
		d.add(moment, paymentMade)
		end = max(end, c.days.worked(moment, 10*minute))
	}
	d.add(end, completed)
	d.add(end+c.between(5*second, minute), result)
	if !c.chance(96) { // the result was never fetched
		c.ready(d)
		return
	}
	handed := end + c.between(minute, 20*minute)
	if !online {
		handed = c.days.worked(end, c.between(30*minute, 12*hour))
	}
	d.add(handed, returned)
	if c.chance(22) {
		d.add(handed+c.between(30*minute, 2*day), rated)
	}
	c.ready(d)
}

// end draws when a dossier is completed: before the last day that it may take, or after it.
func (c *country) end(d *dossier, begin, moment int64, auto bool) int64 {
	limit := d.service.limit
	d.late = c.rnd.IntN(1000) >= d.province.onTime
	var days int
	switch {
	case d.late:
		days = limit + 1 + c.rnd.IntN(limit/2+2)
	case auto:
		return moment + c.between(minute, 2*hour)
	case limit == 1:
		return c.days.worked(moment, c.between(20*minute, 3*hour))
	default:
		days = max(1, limit*3/10) + c.rnd.IntN(limit-max(1, limit*3/10))
	}
	end, _ := c.days.office(midnight(c.days.later(dayOf(begin), days)) + c.between(morning, closing-minute))
	return max(end, c.days.worked(moment, 30*minute))
}

// ready puts the steps into their order. Statuses are in theirs already.
func (c *country) ready(d *dossier) {
	slices.SortStableFunc(d.plan[:d.steps], func(a, b stage) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
}

func (d *dossier) act(c *country, buf []byte, at int64) ([]byte, int64) {
	buf = d.tell(c, buf, at, d.plan[d.done].what)
	if d.done++; d.done < d.steps {
		return buf, d.plan[d.done].at
	}
	c.open--
	c.ended = append(c.ended, d)
	return buf, 0
}

// tell writes a step.
func (d *dossier) tell(c *country, buf []byte, at int64, what uint8) []byte {
	system, eventType := npsp, typeStatus
	switch what {
	case component, result:
		eventType = typeDocument
	case paymentDue, paymentMade, paymentTried:
		eventType = typePayment
	case rated:
		eventType = typeRating
	case synced:
		system, eventType = ldop, typeSync
	}
	buf = c.begin(buf, at, ofDossier, system, d.province.code, eventType)
	buf = c.subject(appendHex(append(buf, "d-"...), d.id))
	c.made.voidable = eventType == typePayment || eventType == typeRating
	buf = join(buf, d.place, `,"agency_code":"`, d.province.agency, `","agency_level":"`, d.service.agencyLevel, `",`, d.fields, `,"registered_on":"`)
	buf = append(c.pen.appendDate(buf, d.opened), '"')
	switch what {
	case component:
		buf = d.component(c, buf)
	case result:
		buf = join(buf, `,"kind":"result","digitised":`, yes(d.channel == 2 || c.chance(70)), `,"has_file":`, yes(d.channel == 2 || c.chance(60)))
	case paymentDue, paymentMade, paymentTried:
		buf = d.payment(buf, what)
	case rated:
		like, score := `1`, int64(4+c.rnd.IntN(2))
		if n := c.rnd.IntN(100); n < 4 || d.late && n < 30 {
			like, score = `-1`, int64(1+c.rnd.IntN(2))
		} else if n < 16 {
			like, score = `0`, 3
		}
		buf = joinInt(join(buf, `,"like":`, like), `,"score":`, score)
	case synced:
		buf = join(buf, `,"on_time":`, yes(c.rnd.IntN(1000) < d.province.synced))
	default:
		buf = d.status(c, buf, what)
	}
	return append(buf, "}}"...)
}

func (d *dossier) status(c *country, buf []byte, status uint8) []byte {
	buf = join(buf, `,"service_level":"`, levelNames[d.level], `","subject_type":"`, d.service.subjectType, `"`)
	if !d.service.sensitive {
		buf = append(buf, `,"subject_pid":"`...)
		buf = append(appendHex(appendHex(buf, d.pid[0]), d.pid[1]), '"')
	}
	buf = joinInt(joinInt(buf, `,"status":`, int64(status)), `,"channel":`, int64(d.channel))
	buf = join(buf, `,"portal":"`, d.portal, `","vneid_authenticated":`, yes(d.vneid))
	if status != registered && d.due > 0 {
		if d.tellsDue {
			buf = append(c.pen.appendTime(append(buf, `,"due_at":"`...), d.due), '"')
		}
		buf = append(joinInt(buf, `,"statutory_limit":`, int64(d.service.limit)), `,"limit_unit":"working_day"`...)
	}
	if status == supplement {
		d.asked++
		buf = joinInt(buf, `,"supplement_no":`, d.asked)
	}
	if status == completed || status == returned {
		buf = join(buf, `,"result_form":"`, d.form, `"`)
	}
	return buf
}

func (d *dossier) component(c *country, buf []byte) []byte {
	digital := d.channel == 2 || c.chance(65)
	reused := digital && c.chance(40)
	buf = join(buf, `,"kind":"component","digitised":`, yes(digital), `,"reused":`, yes(reused), `,"from_national_store":`, yes(reused && c.chance(35)))
	if reused && c.chance(60) {
		buf = join(buf, `,"source_db":"popdb"`)
	}
	return join(buf, `,"has_file":`, yes(digital))
}

func (d *dossier) payment(buf []byte, what uint8) []byte {
	amount := int64(d.service.fee)
	switch what {
	case paymentDue:
		buf = join(buf, `,"state":"due"`)
	case paymentTried:
		buf = joinInt(join(buf, `,"state":"failed"`), `,"paid_online":`, d.gateway)
	default:
		buf = joinInt(join(buf, `,"state":"paid"`), `,"paid_online":`, d.gateway)
	}
	buf = joinInt(joinInt(buf, `,"amount_vnd":`, amount), `,"fee_total_vnd":`, amount)
	return joinInt(buf, `,"collect_when":`, d.collected)
}

func yes(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
