package warehouse_test

import (
	"cmp"
	"slices"
	"time"

	"ioc.local/internal/reference"
)

// This file reads the rules for dossier KPIs (docs/reference/reading-rules.md, rules 1 to 6) a second time, in plain
// Go and as directly as they are written, so that the SQL has something independent to be compared with. Where the
// rules speak of "now", the oracle asks about a now; it knows nothing of a last moment on time.

// Channels, units and levels as the schema numbers them.
const (
	channelUnknown = 0
	channelDirect  = 1
	channelOnline  = 2

	unitWorkingDay  = 1
	unitWorkingHour = 2
	unitDay         = 3
)

// hoursOfWorkingDay is how many working hours make a working day; a part of one counts as a whole one.
const hoursOfWorkingDay = 8

// dossierEvent is what a row of dossier_events says about its dossier. Times are Unix milliseconds, 0 is absent.
type dossierEvent struct {
	registeredOn         int32 // days since 1970-01-01
	subject              string
	source, id           string
	time                 int64
	status               uint8 // 0 on events that are not status events
	province, province63 string
	agency, service      string
	procedure            string
	level, channel       int8
	portal, form         int8
	due                  int64
	limit                uint16
	unit                 int8
	said                 said
	// void makes the event no event of a dossier, but a void of its source's event of this id.
	void string
}

// identity is what a void names an event by.
type identity struct{ source, id string }

// step is what is left of status events that are equal in dossier, status and time (contract rule 3).
type step struct {
	time   int64
	status uint8
}

// interval is supplement time. Its end is 0 while it lasts.
type interval struct{ from, to int64 }

// oracle is a dossier as the rules see it.
type oracle struct {
	events   []dossierEvent // ordered, without those that are voided
	all      []dossierEvent
	voided   map[identity]bool
	steps    []step // ordered
	calendar *reference.Calendar
}

func newOracle(events []dossierEvent, voided map[identity]bool, calendar *reference.Calendar) *oracle {
	o := &oracle{all: events, voided: voided, calendar: calendar}
	for _, e := range events {
		if !voided[identity{e.source, e.id}] {
			o.events = append(o.events, e)
		}
	}
	// "Events of a dossier are ordered by (time, status rank, id); rank is the status number." Ids are unique per
	// source only, so the source decides what the rule leaves open.
	slices.SortFunc(o.events, func(a, b dossierEvent) int {
		return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.status, b.status), cmp.Compare(a.id, b.id), cmp.Compare(a.source, b.source))
	})
	for _, e := range o.events {
		if e.status > 0 {
			o.steps = append(o.steps, step{e.time, e.status})
		}
	}
	o.steps = slices.Compact(o.steps)
	return o
}

// first is the first of the steps with one of the statuses.
func first(steps []step, statuses ...uint8) (step, bool) {
	i := slices.IndexFunc(steps, func(s step) bool { return slices.Contains(statuses, s.status) })
	if i < 0 {
		return step{}, false
	}
	return steps[i], true
}

// acceptedAt is rule 1: the time of the first status 2, 0 without one.
func (o *oracle) acceptedAt() int64 {
	s, _ := first(o.steps, 2)
	return s.time
}

// describing is rule 2: the acceptance event if it has what is asked for, else the earliest event that has it.
func (o *oracle) describing(has func(dossierEvent) bool) dossierEvent {
	acceptance := slices.IndexFunc(o.events, func(e dossierEvent) bool { return e.status == 2 })
	if acceptance >= 0 && has(o.events[acceptance]) {
		return o.events[acceptance]
	}
	if i := slices.IndexFunc(o.events, has); i >= 0 {
		return o.events[i]
	}
	return dossierEvent{}
}

func (o *oracle) place() (province, province63 string) {
	e := o.describing(func(e dossierEvent) bool { return e.province != "" })
	return e.province, e.province63
}

func (o *oracle) agency() string {
	return o.describing(func(e dossierEvent) bool { return e.agency != "" }).agency
}

func (o *oracle) service() string {
	return o.describing(func(e dossierEvent) bool { return e.service != "" }).service
}

func (o *oracle) level() int8 {
	return o.describing(func(e dossierEvent) bool { return e.level != 0 }).level
}

func (o *oracle) portal() int8 {
	return o.describing(func(e dossierEvent) bool { return e.portal != 0 }).portal
}

func (o *oracle) procedure() string {
	return o.describing(func(e dossierEvent) bool { return e.procedure != "" }).procedure
}

func (o *oracle) form() int8 {
	return o.describing(func(e dossierEvent) bool { return e.form != 0 }).form
}

func (o *oracle) channel() int8 {
	channel := o.describing(func(e dossierEvent) bool { return e.channel != channelUnknown }).channel
	if channel == channelUnknown {
		return channelDirect
	}
	return channel
}

// due is the due time of rule 5: due_at, else acceptance plus the legal limit in its unit; 0 without either. A limit
// of unknown unit is taken as working days, as the law states limits.
func (o *oracle) due() int64 {
	if due := o.describing(func(e dossierEvent) bool { return e.due > 0 }).due; due > 0 {
		return due
	}
	limit := o.describing(func(e dossierEvent) bool { return e.limit > 0 })
	accepted := o.acceptedAt()
	if accepted == 0 || limit.limit == 0 {
		return 0
	}
	days := int(limit.limit)
	switch limit.unit {
	case unitDay:
		return time.UnixMilli(accepted).In(reference.TimeZone()).AddDate(0, 0, days).UnixMilli()
	case unitWorkingHour:
		days = (days + hoursOfWorkingDay - 1) / hoursOfWorkingDay
	}
	return o.calendar.AddWorkingDays(time.UnixMilli(accepted), days).UnixMilli()
}

// end is rule 4: "time of the first status 9; else 10; else the first of 8, 3; else 7 when accepted before". steps are
// those that are seen.
func end(steps []step) (step, bool) {
	if s, ok := first(steps, 9); ok {
		return s, true
	}
	if s, ok := first(steps, 10); ok {
		return s, true
	}
	if s, ok := first(steps, 8, 3); ok {
		return s, true
	}
	if accepted := slices.IndexFunc(steps, func(s step) bool { return s.status == 2 }); accepted >= 0 {
		return first(steps[accepted:], 7)
	}
	return step{}, false
}

// requests are the supplement requests among the steps that are seen, consecutive ones as one, each with its
// interval: "from a status 5 to the next event with another status (or to now)".
func requests(steps []step) []interval {
	var found []interval
	for i, s := range steps {
		switch {
		case s.status == 5 && (i == 0 || steps[i-1].status != 5):
			found = append(found, interval{from: s.time})
		case s.status != 5 && i > 0 && steps[i-1].status == 5:
			found[len(found)-1].to = s.time
		}
	}
	return found
}

// onTime is rule 5 at a now after the acceptance, for a dossier with a due time: "only events with time before Now
// are seen". What describes the dossier (rule 2, and its due time) is not cut.
func (o *oracle) onTime(now int64) bool {
	var seen []step
	for _, s := range o.steps {
		if s.time < now {
			seen = append(seen, s)
		}
	}
	asked := requests(seen)
	if len(asked) > 1 {
		return false
	}
	supplement := func(before int64) (total int64) {
		for _, i := range asked {
			if i.to == 0 {
				i.to = now
			}
			if i.from < before {
				total += i.to - i.from
			}
		}
		return total
	}
	if ended, ok := end(seen); ok {
		return ended.time-supplement(ended.time) <= o.due()
	}
	// "A dossier whose only step after acceptance is one supplement request is judged at the time of that request."
	if accepted := slices.IndexFunc(seen, func(s step) bool { return s.status == 2 }); accepted >= 0 {
		if after := seen[accepted+1:]; len(after) == 1 && after[0].status == 5 {
			return after[0].time <= o.due()
		}
	}
	return now-supplement(now) <= o.due()
}

// savedAt is rule 6: the first of status 9 or 10 of an online dossier, unless a status 3, 7 or 8 came before it.
func (o *oracle) savedAt() int64 {
	if o.channel() != channelOnline {
		return 0
	}
	i := slices.IndexFunc(o.steps, func(s step) bool { return s.status == 9 || s.status == 10 })
	if i < 0 {
		return 0
	}
	if _, ok := first(o.steps[:i], 3, 7, 8); ok {
		return 0
	}
	return o.steps[i].time
}

// supplementTime is the closed supplement time that counts: of the intervals that begin before the end.
func (o *oracle) supplementTime() (total int64) {
	ended, ok := end(o.steps)
	for _, i := range requests(o.steps) {
		if i.to > 0 && (!ok || i.from < ended.time) {
			total += i.to - i.from
		}
	}
	return total
}

// state is what dossier_state holds of this dossier, but for overdue_at, which no rule names.
func (o *oracle) state() dossierRow {
	row := dossierRow{
		RegisteredOn: o.all[0].registeredOn, Subject: o.all[0].subject,
		AcceptedAt: o.acceptedAt(), SavedAt: o.savedAt(), DueAt: o.due(),
		Supplements: uint16(len(requests(o.steps))), SupplementMS: o.supplementTime(),
		Agency: o.agency(), Service: o.service(), Procedure: o.procedure(), Level: o.level(), Channel: o.channel(), Portal: o.portal(), Form: o.form(),
		Moments: o.happened(),
	}
	if len(o.events) > 0 {
		row.Latest = o.events[len(o.events)-1].time
	}
	row.Province, row.Province63 = o.place()
	if ended, ok := end(o.steps); ok {
		row.EndedAt, row.EndStatus = ended.time, ended.status
	}
	identities := map[identity]bool{}
	for _, e := range o.all {
		identities[identity{e.source, e.id}] = true
	}
	for id := range identities {
		if row.Version++; o.voided[id] {
			row.Version++
		}
	}
	return row
}

// moments are the nows after the acceptance at which onTime can change, and those around them.
func (o *oracle) moments() []int64 {
	due := o.due()
	at := []int64{due, stays}
	for _, s := range o.steps {
		at = append(at, s.time)
		for _, i := range requests(o.steps) {
			if i.to > 0 {
				at = append(at, due+i.to-i.from)
			}
		}
	}
	accepted := o.acceptedAt()
	var found []int64
	for _, t := range at {
		for _, near := range []int64{t - 1, t, t + 1, t + 1800_000} {
			if near > accepted && near <= stays {
				found = append(found, near)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// stays is the overdue_at of a dossier that stays on time.
var stays = time.Date(2261, time.December, 31, 0, 0, 0, 0, reference.TimeZone()).UnixMilli()
