package simulate

// petition is feedback of a citizen, from its receipt to its answer.
type petition struct {
	id       uint64
	province *province
	place    string
	class    string
	due      int64
	plan     [4]struct {
		at     int64
		status string
	}
	steps, done int
}

// openPetition begins a petition. Limits and shares are examples.
func (c *country) openPetition(buf []byte, at int64) []byte {
	if c.petitions >= maxPetitions {
		return buf
	}
	p := c.world.drawProvince(c.rnd)
	t := &petition{id: c.rnd.Uint64(), province: p, place: c.drawPlace(p), class: "regulation"}
	limit := 15
	if c.chance(70) {
		t.class, limit = "staff", 5
	}
	t.due = midnight(c.days.later(dayOf(at), limit)) + closing
	t.add(at, "received")
	moment := c.days.worked(at, c.between(hour, 12*hour))
	switch n := c.rnd.IntN(100); {
	case n < 6:
		t.add(moment, "refused")
	case n < 16:
		t.add(moment, "info_required")
		moment += c.between(4*hour, 2*day)
	}
	if t.steps == 1 || t.plan[1].status == "info_required" {
		days := 1 + c.rnd.IntN(limit-1)
		if c.chance(5) {
			days = limit + 1 + c.rnd.IntN(4)
		}
		moment = max(c.days.worked(moment, hour), midnight(c.days.later(dayOf(at), days))+c.between(8*hour, 16*hour))
		t.add(moment, "answered")
		if c.chance(60) {
			t.add(c.days.worked(moment, c.between(hour, 10*hour)), "published")
		}
	}
	c.petitions++
	c.push(at, t)
	return buf
}

func (t *petition) add(at int64, status string) {
	t.plan[t.steps].at, t.plan[t.steps].status = at, status
	t.steps++
}

func (t *petition) act(c *country, buf []byte, at int64) ([]byte, int64) {
	status := t.plan[t.done].status
	buf = c.begin(buf, at, ofProgramme, npsp, t.province.code, typePetition)
	buf = c.subject(appendHex(append(buf, "p-"...), t.id))
	buf = join(buf, t.place, `,"agency_code":"`, t.province.agency, `","agency_level":"province","status":"`, status, `","class":"`, t.class, `","due_at":"`)
	buf = append(c.pen.appendTime(buf, t.due), '"')
	if status == "answered" || status == "published" {
		like := `,"like":1`
		if n := t.id % 100; n < 8 {
			like = `,"like":-1`
		} else if n < 30 {
			like = `,"like":0`
		}
		buf = append(buf, like...)
	}
	buf = append(buf, "}}"...)
	if t.done++; t.done < t.steps {
		return buf, t.plan[t.done].at
	}
	c.petitions--
	return buf, 0
}
