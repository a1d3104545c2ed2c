package kpi

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"ioc.local/internal/reference"
)

// The limits of Quyết định 766/QĐ-TTg, item 5.2, in working days. All but the last run from receipt, that one from the
// answer. They end at the clock time at which they began, as those of dossiers do.
const (
	refuseWithin  = 2
	askWithin     = 5
	answerWithin  = 15 // Unless the petition has a due time.
	publishWithin = 2
)

// petitionStatus is a status of the event contract, and the rank among the steps of one time.
type petitionStatus int8

const (
	petitionReceived petitionStatus = iota + 1
	petitionRefused
	petitionInfoRequired
	petitionAnswered
	petitionPublished
)

// noLike marks a step without a rating, which is -1, 0 or 1.
const noLike = -128

// petitionStep is one event about a petition. What an event lacks is empty, and its class "none".
type petitionStep struct {
	at                                  time.Time
	status                              petitionStatus
	id, source                          string // Of the event.
	province, province63, agency, class string
	due                                 time.Time // Zero is none.
	like                                int8
}

// petition is the steps of one petition, in order.
type petition []petitionStep

// newPetition puts the steps in the order of (time, status, id). The source is last, as it tells apart what is left; it
// changes steps.
func newPetition(steps []petitionStep) petition {
	slices.SortFunc(steps, func(a, b petitionStep) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.status, b.status), strings.Compare(a.id, b.id), strings.Compare(a.source, b.source))
	})
	return steps
}

// petitionState is a petition as it stands at a moment.
type petitionState struct {
	received                            time.Time
	province, province63, agency, class string
	onTime                              bool // No step taken, and none awaited, is past its limit.
	disliked                            bool
}

// state is the petition judged at now, as far as its steps before end tell; it is not ok when there are none.
func (p petition) state(end, now time.Time, calendar *reference.Calendar) (s petitionState, ok bool) {
	var (
		first [petitionPublished + 1]time.Time // By status.
		due   time.Time
	)
	s.class = "none"
	for i := range p {
		step := &p[i]
		if !step.at.Before(end) {
			break
		}
		if first[step.status].IsZero() {
			first[step.status] = step.at
		}
		if s.province == "" {
			s.province, s.province63 = step.province, step.province63
		}
		s.agency = cmp.Or(s.agency, step.agency)
		if s.class == "none" {
			s.class = step.class
		}
		if !step.due.IsZero() {
			due = step.due // as said last
		}
		if step.like != noLike {
			s.disliked = step.like < 0
		}
		ok = true
	}
	if !ok {
		return s, false
	}
	if s.received = first[petitionReceived]; s.received.IsZero() {
		s.received = p[0].at
	}
	// A petition that is published is answered.
	answered := earliest(first[petitionAnswered], first[petitionPublished])
	if due.IsZero() {
		due = calendar.AddWorkingDays(s.received, answerWithin)
	}
	within := func(at, from time.Time, days int) bool {
		return at.IsZero() || !at.After(calendar.AddWorkingDays(from, days))
	}
	s.onTime = within(first[petitionRefused], s.received, refuseWithin) && within(first[petitionInfoRequired], s.received, askWithin)
	ended := !first[petitionRefused].IsZero() // nothing is awaited of a petition that is refused
	switch {
	case !answered.IsZero():
		published := first[petitionPublished]
		if published.IsZero() && !ended {
			published = now // the earliest that it can be
		}
		s.onTime = s.onTime && !answered.After(due) && within(published, answered, publishWithin)
	case !ended:
		s.onTime = s.onTime && !now.After(due)
	}
	return s, true
}

// code is the petition's code of a dimension, in the scheme.
func (s *petitionState) code(dimension, scheme string) string {
	switch dimension {
	case "agency":
		return s.agency
	case "class":
		return s.class
	}
	if scheme == SchemeGSO63 {
		return s.province63
	}
	return s.province
}

// beginnings are the moments at which the petition can have been received: that of its first step, which counts until a
// status received is seen, and that of the first such status.
func (p petition) beginnings() []time.Time {
	moments := []time.Time{p[0].at}
	if i := slices.IndexFunc(p, func(s petitionStep) bool { return s.status == petitionReceived }); i > 0 {
		moments = append(moments, p[i].at)
	}
	return moments
}
