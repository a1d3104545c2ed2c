// Package dossier derives the state of a dossier from the set of its events, by the reading rules of the
// contract for dossier KPIs (Quyết định 766/QĐ-TTg as the national portal counts). The state is a pure
// function of the set: order of arrival, repeats and replays change nothing.
package dossier

import (
	"cmp"
	"slices"
	"time"

	"ioc.local/internal/reference"
)

// The dossier statuses of the national portal that the rules speak of. A status is also its event's rank.
const (
	accepted           = 2
	notAccepted        = 3
	supplementRequired = 5
	withdrawn          = 7
	haltedStatus       = 8
	completed          = 9
	resultReturned     = 10
)

// Never is the moment, in Unix milliseconds, at which a dossier that stays on time becomes overdue:
// 2261-12-31 in Viet Nam. The driver counts nanoseconds in 64 bits, so it cannot write times after 2262.
const Never int64 = 9214534800000

// Event is one event of a dossier, with what the rules read. Times are Unix milliseconds; zero values are absent.
type Event struct {
	At                   int64
	Status               uint8 // 0 on events that are no status steps.
	ID, Source           string
	Province, Province63 string
	Agency, Service      string
	Procedure            string
	// Level, Channel, Portal and Form (of the result) are the codes of their enumerations; 0 is unknown.
	Level, Channel, Portal, Form int8
	DueAt                        int64
	// Limit is the legal time limit in LimitUnit.
	Limit     uint16
	LimitUnit LimitUnit
	// Facts are what the event says beside the status.
	Facts Facts
	// Voided says that an event.void names the event: nothing is read from it any more.
	Voided bool
}

// LimitUnit is the unit of a legal time limit.
type LimitUnit int8

// The units of legal limits.
const (
	WorkingDay  LimitUnit = 1
	WorkingHour LimitUnit = 2
	Day         LimitUnit = 3
)

// The channels of submission (KenhThucHien).
const (
	Direct int8 = 1
	Online int8 = 2
	Postal int8 = 3
)

// State is what the rules make of a dossier's events. Times are Unix milliseconds; 0 is absent.
type State struct {
	// Version is the number of events and of voided events: it grows with every event of the dossier and with every
	// void of one.
	Version uint32
	// Accepted is the first status 2 (rule 1).
	Accepted int64
	// Ended and EndStatus are the end of handling (rule 4).
	Ended     int64
	EndStatus uint8
	// Closed is the first moment at which there was an end; one that is preferred may have come later.
	Closed int64
	// Saved is the first status 9 or 10 of an online dossier that saves (rule 6).
	Saved int64
	// Due is the due time (rule 5).
	Due int64
	// Overdue is the last moment at which rule 5 calls the dossier on time, Never when it stays so.
	Overdue int64
	// Supplements counts supplement requests; SupplementMillis is the time of those that were answered.
	Supplements      uint16
	SupplementMillis int64
	// Province to Form come from the acceptance event, else the earliest event that has them (rule 2).
	Province, Province63         string
	Agency, Service, Procedure   string
	Level, Channel, Portal, Form int8
	// Formed is the time of the event that said the form of the result.
	Formed int64
	// Moments are when facts that are counted beside the status became true.
	Moments Moments
	// Latest is the time of the newest event; 0 when all are voided.
	Latest int64
}

// step is a distinct (time, status): equal steps are one (contract rule 3).
type step struct {
	at     int64
	status uint8
}

// interval is the time from a supplement request to the next step of another status; end 0 is still waiting.
type interval struct{ begin, end int64 }

// Evaluator derives states; it keeps memory from one dossier to the next and is not safe for concurrent use.
type Evaluator struct {
	calendar *reference.Calendar
	steps    []step
	requests []interval
}

// NewEvaluator makes an Evaluator that counts legal limits on the given working calendar.
func NewEvaluator(calendar *reference.Calendar) *Evaluator { return &Evaluator{calendar: calendar} }

// State evaluates the events of one dossier. It sorts them, and takes the voided ones out of the slice.
//
// Events that are no status steps (documents, payments, ratings) move nothing, but say where the dossier belongs when
// no step does (rule 2).
func (e *Evaluator) State(events []Event) State {
	slices.SortFunc(events, inOrder)
	s := State{Version: version(events)}
	events = slices.DeleteFunc(events, func(event Event) bool { return event.Voided })
	e.steps = e.steps[:0]
	acceptance := -1
	for i, event := range events {
		s.Latest = max(s.Latest, event.At)
		if event.Status == 0 {
			continue
		}
		if event.Status == accepted && acceptance < 0 {
			acceptance, s.Accepted = i, event.At
		}
		next := step{event.At, event.Status}
		if len(e.steps) == 0 || e.steps[len(e.steps)-1] != next {
			e.steps = append(e.steps, next)
		}
	}
	limit, unit := s.describe(events, acceptance)
	if s.Due == 0 && s.Accepted > 0 && limit > 0 {
		s.Due = e.addLimit(s.Accepted, limit, unit)
	}
	ends := e.end(&s)
	if len(ends) > 0 {
		s.Closed = ends[0]
	}
	e.supplements(&s)
	s.Overdue = e.overdue(&s, ends)
	s.Saved = e.saved(&s)
	e.moments(&s, events)
	return s
}

// version counts sorted events, copies once, and the voided ones twice.
func version(events []Event) (n uint32) {
	for i, event := range events {
		if i > 0 && event.ID == events[i-1].ID && event.Source == events[i-1].Source && event.At == events[i-1].At {
			continue
		}
		if n++; event.Voided {
			n++
		}
	}
	return n
}

// inOrder compares events by time, then status, id and source. cmp.Or would compare the strings of every pair.
func inOrder(a, b Event) int {
	switch {
	case a.At != b.At:
		return cmp.Compare(a.At, b.At)
	case a.Status != b.Status:
		return cmp.Compare(a.Status, b.Status)
	case a.ID != b.ID:
		return cmp.Compare(a.ID, b.ID)
	default:
		return cmp.Compare(a.Source, b.Source)
	}
}

// describe fills what rule 2 reads from one event, and returns the legal limit.
func (s *State) describe(events []Event, acceptance int) (limit uint16, unit LimitUnit) {
	take := func(event *Event) {
		if s.Province == "" && event.Province != "" {
			s.Province, s.Province63 = event.Province, event.Province63
		}
		s.Agency, s.Service, s.Procedure = cmp.Or(s.Agency, event.Agency), cmp.Or(s.Service, event.Service), cmp.Or(s.Procedure, event.Procedure)
		s.Level, s.Channel, s.Portal = cmp.Or(s.Level, event.Level), cmp.Or(s.Channel, event.Channel), cmp.Or(s.Portal, event.Portal)
		if s.Form == 0 && event.Form != 0 {
			s.Form, s.Formed = event.Form, event.At
		}
		s.Due = cmp.Or(s.Due, event.DueAt)
		if limit == 0 && event.Limit > 0 {
			limit, unit = event.Limit, event.LimitUnit
		}
	}
	if acceptance >= 0 {
		take(&events[acceptance])
	}
	for i := range events {
		take(&events[i])
	}
	s.Channel = cmp.Or(s.Channel, Direct)
	return limit, unit
}

// addLimit is the due time that a legal limit gives: days of the calendar, working days, or working hours,
// of which eight are a working day and a part counts as a whole.
func (e *Evaluator) addLimit(from int64, limit uint16, unit LimitUnit) int64 {
	switch unit {
	case Day:
		return from + int64(limit)*24*time.Hour.Milliseconds()
	case WorkingHour:
		limit = limit/8 + min(limit%8, 1)
	}
	return e.calendar.AddWorkingDays(time.UnixMilli(from), int(limit)).UnixMilli()
}

// end finds the end of handling (rule 4): the first 9; else 10; else the first of 8 and 3; else 7 when
// accepted before. It returns the moments at which, as time went by, the end was set or moved.
func (e *Evaluator) end(s *State) (ends []int64) {
	classes := [4]func(step) bool{
		func(t step) bool { return t.status == completed },
		func(t step) bool { return t.status == resultReturned },
		func(t step) bool { return t.status == haltedStatus || t.status == notAccepted },
		func(t step) bool { return t.status == withdrawn && s.Accepted > 0 && t.at >= s.Accepted },
	}
	before := Never // no end of a preferred class came earlier
	for _, of := range classes {
		i := slices.IndexFunc(e.steps, of)
		if i < 0 {
			continue
		}
		if s.Ended == 0 {
			s.Ended, s.EndStatus = e.steps[i].at, e.steps[i].status
		}
		if e.steps[i].at < before {
			before = e.steps[i].at
			ends = append(ends, before)
		}
	}
	slices.Reverse(ends)
	return ends
}

// supplements finds the supplement requests; consecutive ones are one (contract rule 3).
func (e *Evaluator) supplements(s *State) {
	e.requests = e.requests[:0]
	for i, t := range e.steps {
		switch {
		case t.status == supplementRequired && (i == 0 || e.steps[i-1].status != supplementRequired):
			e.requests = append(e.requests, interval{begin: t.at})
		case t.status != supplementRequired && i > 0 && e.steps[i-1].status == supplementRequired:
			e.requests[len(e.requests)-1].end = t.at
		}
	}
	s.Supplements = uint16(min(len(e.requests), 1<<16-1))
	for _, r := range e.requests {
		if r.end > 0 && (s.Ended == 0 || r.begin < s.Ended) {
			s.SupplementMillis += r.end - r.begin
		}
	}
}

// overdue is the last moment T at which rule 5, seeing only events before T, calls the dossier on time. The
// time that counts, T minus supplement time, never falls, so there is one such moment, the first of: the
// clock reaching the due time while the dossier is open, an end that is later than due, the second request.
// Until the second request there is one supplement interval at most.
func (e *Evaluator) overdue(s *State, ends []int64) int64 {
	if s.Due == 0 {
		return Never
	}
	last := Never
	if len(e.requests) > 1 {
		last = e.requests[1].begin
	}
	crossing := s.Due
	var pause interval
	if len(e.requests) > 0 {
		pause = e.requests[0]
		switch {
		case pause.begin > s.Due: // it was late before it was asked
		case pause.end == 0:
			crossing = Never
		default:
			crossing = s.Due + pause.end - pause.begin
		}
	}
	if len(ends) == 0 || crossing < ends[0] {
		last = min(last, crossing)
	}
	for i, end := range ends {
		counted := end
		if pause.begin > 0 && pause.begin < end && pause.end > 0 {
			counted -= pause.end - pause.begin
		}
		if i > 0 && counted > s.Due {
			last = min(last, end)
		}
	}
	return last
}

// saved is the first status 9 or 10 of an online dossier, unless a 3, 7 or 8 came before it (rule 6).
func (e *Evaluator) saved(s *State) int64 {
	if s.Channel != Online {
		return 0
	}
	for _, t := range e.steps {
		switch t.status {
		case completed, resultReturned:
			return t.at
		case notAccepted, withdrawn, haltedStatus:
			return 0
		}
	}
	return 0
}
