package simulate

import (
	"math/rand/v2"

	"ioc.local/internal/produce"
	"ioc.local/internal/reference"
)

// country is everything that has a past: who acts next, and when. It tells its events in the order in which they reach
// a broker, as a pure function of seed, origin, size and flaws. It knows no clock and is for one goroutine.
type country struct {
	scribe
	days   *days
	origin int64
	queue  queue

	turns                   uint64     // given so far
	open, petitions, copies int        // bounded by maxOpen, maxPetitions and maxCopies
	tasks                   int        // assigned so far
	ended                   []*dossier // to be used again
}

// actor is somebody who waits for his turn: a dossier, a kind of event, a copy on its way.
type actor interface {
	// act appends at most one event, and returns when its next turn is; 0 means never.
	act(c *country, buf []byte, at int64) ([]byte, int64)
}

func newCountry(seed uint64, origin int64, size float64, flaws Flaws, ref *reference.Data) *country {
	c := &country{
		// With the origin in the seed, another run with the same seed has other dossiers instead of continuing old ones.
		scribe: scribe{rnd: rand.New(rand.NewPCG(seed, uint64(origin))), world: newWorld(ref, seed), flaws: flaws},
		days:   newDays(ref.Calendar(), origin), origin: origin,
	}
	c.push(origin, &opening{})
	c.push(midnight(dayOf(origin)+1)+2*hour, &quality{})
	c.push(origin+hour, &assigning{})
	c.push(origin+day, upgrading{})
	people := peopleCurve()
	for _, s := range []struct {
		daily int
		write func(*country, []byte, int64) []byte
	}{
		{authsPerDay, (*country).authenticate},
		{queriesPerDay, (*country).query},
		{walletsPerDay, (*country).wallet},
		{accountsPerDay, (*country).account},
		{dossiersPerDay, (*country).openDossier},
		{petitionsPerDay, (*country).openPetition},
	} {
		if daily := int64(float64(s.daily) * size); daily > 0 {
			f := &stream{daily: daily, curve: people, write: s.write}
			c.push(f.next(c, origin), f)
		}
	}
	return c
}

// stream lets one kind of thing happen again and again, as often as its curve says.
type stream struct {
	daily int64 // on the average working day
	curve *curve
	write func(c *country, buf []byte, at int64) []byte
}

func (s *stream) act(c *country, buf []byte, at int64) ([]byte, int64) {
	return s.write(c, buf, at), s.next(c, at)
}

// next is a moment after at, evenly drawn up to twice the mean distance.
func (s *stream) next(c *country, at int64) int64 {
	mean := day * 1000 / (s.daily * s.curve.weight(c.days, at))
	return at + 1 + c.rnd.Int64N(2*mean+1)
}

// nextTime is when the next actor has its turn. There is always one.
func (c *country) nextTime() int64 { return c.queue[0].at }

// next appends the next event that reaches the broker before a moment, and is false when there is none.
func (c *country) next(buf []byte, before int64) (_ []byte, m made, at int64, ok bool) {
	for c.queue[0].at < before {
		from, at := len(buf), c.queue[0].at
		var next int64
		buf, next = c.queue[0].actor.act(c, buf, at)
		// Whoever was added meanwhile comes later, so the one who acted is still first.
		if next > 0 {
			c.queue.postpone(next)
		} else {
			c.queue.pop()
		}
		if len(buf) == from || c.spoil(buf, from, at) {
			buf = buf[:from]
			continue
		}
		return buf, c.made, at, true
	}
	return buf, made{}, 0, false
}

// spoil gives an event the flaw that is drawn for it, and is true when it is not to be sent now.
func (c *country) spoil(buf []byte, from int, at int64) (withheld bool) {
	if c.made.final || c.flaws.Bad+c.flaws.Duplicate+c.flaws.Late+c.flaws.Void == 0 {
		return false
	}
	n := c.rnd.IntN(million)
	if n -= c.flaws.Bad; n < 0 {
		c.push(at, badRecord(c.rnd.IntN(len(badRecords))))
		return false
	}
	if n -= c.flaws.Void; n < 0 {
		if c.made.voidable {
			c.push(at+c.between(minute, 6*hour), &voiding{system: c.made.system, province: c.made.province, id: string(buf[c.made.idFrom : c.made.idFrom+uuidLength])})
		}
		return false
	}
	if c.copies >= maxCopies {
		return false
	}
	var delay int64
	if n -= c.flaws.Duplicate; n < 0 {
		delay = c.between(second, minute)
	} else if n -= c.flaws.Late; n < 0 {
		withheld = true
		switch n := c.rnd.IntN(100); {
		case n < 80:
			delay = c.between(minute, hour)
		case n < 97:
			delay = c.between(hour, 12*hour)
		default:
			delay = c.between(12*hour, 3*day)
		}
	} else {
		return false
	}
	m := c.made
	m.final = true
	m.keyFrom, m.keyTo = m.keyFrom-from, m.keyTo-from
	c.copies++
	c.push(at+delay, &duplicate{value: append([]byte(nil), buf[from:]...), made: m})
	return withheld
}

// duplicate is an event that is sent later, or again.
type duplicate struct {
	value []byte
	made  made
}

func (d *duplicate) act(c *country, buf []byte, _ int64) ([]byte, int64) {
	c.copies--
	c.made = d.made
	c.made.keyFrom, c.made.keyTo = d.made.keyFrom+len(buf), d.made.keyTo+len(buf)
	return append(buf, d.value...), 0
}

// voiding takes an event back.
type voiding struct{ system, province, id string }

func (v *voiding) act(c *country, buf []byte, at int64) ([]byte, int64) {
	buf = c.begin(buf, at, ofProgramme, v.system, v.province, typeVoid)
	buf = c.subject(append(buf, v.id...))
	c.made.final = true
	return append(buf, `"reason":"mô phỏng: gửi nhầm"}}`...), 0
}

// message is the event that was just appended.
func (m made) message(buf []byte, from int) produce.Message {
	return produce.Message{Topic: m.topic, Key: buf[m.keyFrom:m.keyTo:m.keyTo], Value: buf[from:len(buf):len(buf)]}
}

// turn is when somebody acts.
type turn struct {
	at     int64
	number uint64 // decides among equal times, so that the order does not depend on the heap
	actor  actor
}

// queue is a heap of turns, the next first.
type queue []turn

func (q queue) less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].number < q[j].number
}

// push adds an actor whose first turn is at a moment.
func (c *country) push(at int64, a actor) {
	c.turns++
	c.queue = append(c.queue, turn{at: at, number: c.turns, actor: a})
	for i := len(c.queue) - 1; i > 0; {
		parent := (i - 1) / 2
		if !c.queue.less(i, parent) {
			break
		}
		c.queue[i], c.queue[parent] = c.queue[parent], c.queue[i]
		i = parent
	}
}

// postpone gives the first its next turn.
func (q queue) postpone(at int64) {
	q[0].at = at
	q.sink()
}

// pop removes the first.
func (q *queue) pop() {
	last := len(*q) - 1
	(*q)[0] = (*q)[last]
	(*q)[last] = turn{}
	*q = (*q)[:last]
	q.sink()
}

// sink puts the first into its place.
func (q queue) sink() {
	for i := 0; ; {
		first := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(q); child++ {
			if q.less(child, first) {
				first = child
			}
		}
		if first == i {
			return
		}
		q[i], q[first] = q[first], q[i]
		i = first
	}
}
