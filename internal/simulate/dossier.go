package simulate

import (
	"container/heap"
	"math/rand/v2"
	"strconv"
	"time"
)

// A real dossier takes days; a simulated one takes seconds to minutes, so that a wall moves while one looks at it.
// The order of the steps is real, the times are not.
const (
	promise = 85 * time.Second // from acceptance to the appointed time
	maxOpen = 200_000          // dossiers at once; beyond it none is opened until others end
)

// statuses of the national portal that the simulator uses by name.
const (
	accepted   = 2
	supplement = 5
	completed  = 9
	returned   = 10
)

// life is a course that a dossier can take, by its status codes.
type life struct {
	percent  int
	statuses []uint8
}

// The shares are examples. A life has 5.31 steps on average.
func lives() []life {
	return []life{
		{62, []uint8{1, 2, 4, 9, 10}},
		{12, []uint8{1, 2, 4, 6, 9, 10}},
		{12, []uint8{1, 2, 4, 5, 4, 9, 10}},
		{3, []uint8{1, 2, 4, 5, 4, 6, 9, 10}},
		{1, []uint8{1, 2, 4, 5, 4, 5, 4, 9, 10}},
		{4, []uint8{1, 2, 4, 9}}, // the result was never fetched
		{3, []uint8{1, 3}},       // refused
		{1, []uint8{1, 7}},       // withdrawn before acceptance
		{1, []uint8{1, 2, 4, 7}}, // withdrawn after it
		{1, []uint8{1, 2, 4, 8}}, // stopped
	}
}

// openPerMille is how often an event opens a dossier, so that with all their steps dossiers are about 4 % of the events.
const openPerMille = 8

// wait is how long a dossier stays in a status before it goes to the next.
func wait(from, to uint8, pace int, rnd *rand.Rand) time.Duration {
	shortest, longest := 2, 20
	switch {
	case from == 1:
		shortest, longest = 1, 8
	case from == accepted:
		shortest, longest = 2, 10
	case from == 4 && to == completed:
		shortest, longest = 15, 75
	case from == supplement:
		shortest, longest = 5, 30
	}
	spread := time.Duration(longest-shortest) * time.Second
	return (time.Duration(shortest)*time.Second + time.Duration(rnd.Int64N(int64(spread)))) * time.Duration(pace) / 100
}

// dossier is an open dossier, waiting for its next step.
type dossier struct {
	due      time.Time
	number   uint64 // decides among equal times, so that the order does not depend on the heap
	id       uint64
	pid      [2]uint64
	province *province
	place    string
	service  *service
	fields   string
	opened   string    // date
	dueAt    time.Time // zero until accepted
	channel  uint8
	portal   string
	vneid    bool
	form     string
	asked    int     // supplement requests so far
	steps    []uint8 // still to come
}

// queue holds the open dossiers, the next to move first.
type queue []*dossier

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if c := q[i].due.Compare(q[j].due); c != 0 {
		return c < 0
	}
	return q[i].number < q[j].number
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(*dossier)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	d := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return d
}

// open starts a dossier with its first status.
func (g *Generator) open(buf []byte, at time.Time) []byte {
	d := &dossier{}
	if n := len(g.ended); n > 0 {
		d, g.ended = g.ended[n-1], g.ended[:n-1]
	}
	p := g.world.drawProvince(g.rnd)
	s := &g.world.services[g.rnd.IntN(len(g.world.services))]
	g.opened++
	*d = dossier{
		number: g.opened, id: g.rnd.Uint64(), province: p, place: p.drawPlace(g.rnd),
		service: s, fields: s.fields[g.rnd.IntN(len(s.fields))],
		opened: at.In(g.zone).Format(time.DateOnly), channel: 1, portal: "counter", form: "paper",
	}
	if !s.sensitive {
		d.pid = [2]uint64{g.rnd.Uint64(), g.rnd.Uint64()}
	}
	switch n := g.rnd.IntN(100); {
	case n < p.online:
		d.channel, d.form = 2, "electronic"
		d.portal = [...]string{"npsp", "npsp", "vneid", "province", "ministry"}[g.rnd.IntN(5)]
		d.vneid = g.rnd.IntN(100) < 90
	case n < p.online+2:
		d.channel, d.form = 3, "both"
	}
	draw := g.rnd.IntN(100)
	for _, l := range g.lives {
		if draw -= l.percent; draw < 0 {
			d.steps = l.statuses
			break
		}
	}
	buf = g.step(buf, at, d)
	heap.Push(&g.queue, d) // every life has a second step
	return buf
}

// move takes the dossier whose turn it is to its next status.
func (g *Generator) move(buf []byte, at time.Time) []byte {
	d := g.queue[0]
	buf = g.step(buf, at, d)
	if len(d.steps) > 0 {
		heap.Fix(&g.queue, 0)
		return buf
	}
	heap.Pop(&g.queue)
	g.ended = append(g.ended, d)
	return buf
}

// step writes the next status of the dossier and says when the one after it is due.
func (g *Generator) step(buf []byte, at time.Time, d *dossier) []byte {
	status := d.steps[0]
	d.steps = d.steps[1:]
	if len(d.steps) > 0 {
		d.due = at.Add(wait(status, d.steps[0], d.province.pace, g.rnd))
	}
	switch status {
	case accepted:
		d.dueAt = at.Add(promise)
	case supplement:
		d.asked++
	case completed:
		g.completed++
	}

	buf = g.begin(buf, at, d.province.source, "vn.da06.dossier.status.v1")
	buf = g.subject(appendHex(append(buf, "d-"...), d.id))
	buf = join(buf, d.place, `,"agency_code":"`, d.province.agency, `","agency_level":"`, d.service.level, `",`, d.fields,
		`,"service_level":"full","subject_type":"`, d.service.subjectType)
	if !d.service.sensitive {
		buf = join(buf, `","subject_pid":"`)
		buf = appendHex(appendHex(buf, d.pid[0]), d.pid[1])
	}
	buf = join(buf, `","registered_on":"`, d.opened, `","status":`)
	buf = strconv.AppendUint(buf, uint64(status), 10)
	buf = strconv.AppendUint(join(buf, `,"channel":`), uint64(d.channel), 10)
	buf = join(buf, `,"portal":"`, d.portal)
	if !d.dueAt.IsZero() {
		buf = g.appendTime(join(buf, `","due_at":"`), d.dueAt)
	}
	buf = strconv.AppendBool(join(buf, `","vneid_authenticated":`), d.vneid)
	if status == supplement {
		buf = strconv.AppendInt(join(buf, `,"supplement_no":`), int64(d.asked), 10)
	}
	if status == completed || status == returned {
		buf = join(buf, `,"result_form":"`, d.form, `"`)
	}
	return join(buf, "}}")
}
