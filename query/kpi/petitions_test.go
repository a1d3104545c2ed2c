package kpi

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ioc.local/internal/reference"
)

// begins is about when drawn petitions are received: before Tết 2026.
var begins = time.Date(2026, 2, 11, 0, 0, 0, 0, zone)

// drawMoment draws a moment: most are those of few days, so that many steps come at once, or a limit of a petition that was
// received on one of these, to the millisecond; two working days later is of the answer, too.
func drawMoment(t *rapid.T, what string, calendar *reference.Calendar) time.Time {
	at := begins.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, what)) * 24 * time.Hour)
	switch rapid.IntRange(0, 4).Draw(t, what+" is") {
	case 0:
		return at
	case 1:
		return at.Add(time.Duration(rapid.IntRange(0, 35*4).Draw(t, what+" hours/6")) * 6 * time.Hour)
	}
	for _, days := range rapid.SampledFrom([][]int{{2}, {5}, {15}, {2, 2}, {5, 2}, {15, 2}}).Draw(t, what+" after") {
		at = calendar.AddWorkingDays(at, days)
	}
	return at.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, what+" ms")) * time.Millisecond)
}

// drawPetition draws steps, most of them of the first three days or at limits. Each has an id of its own.
func drawPetition(t *rapid.T, what string, calendar *reference.Calendar) []petitionStep {
	ids := rapid.Permutation([]int{0, 1, 2, 3, 4, 5, 6}).Draw(t, what+" ids")
	steps := make([]petitionStep, rapid.IntRange(1, len(ids)).Draw(t, what+" steps"))
	for i := range steps {
		// Two sources may use one id.
		s := petitionStep{id: fmt.Sprint(ids[i] / 2), source: fmt.Sprint(ids[i] % 2), like: noLike}
		s.at = drawMoment(t, "at", calendar)
		s.status = petitionStatus(rapid.IntRange(1, 5).Draw(t, "status"))
		place := rapid.SampledFrom([][2]string{{"", ""}, {"79", "77"}, {"79", "79"}, {"79", "gso34:79"}, {"01", "01"}}).Draw(t, "place")
		s.province, s.province63 = place[0], place[1]
		s.agency = rapid.SampledFrom([]string{"", "H29", "H26"}).Draw(t, "agency")
		s.class = rapid.SampledFrom([]string{"none", "regulation", "staff"}).Draw(t, "class")
		if rapid.IntRange(0, 5).Draw(t, "has due") == 0 {
			s.due = drawMoment(t, "due", calendar)
		}
		if rapid.Bool().Draw(t, "has like") {
			s.like = int8(rapid.IntRange(-1, 1).Draw(t, "like"))
		}
		steps[i] = s
	}
	return steps
}

// oracle judges a petition by the words of the rule, slowly: it looks through all events for each thing that it wants to
// know, and counts working days one by one.
type oracle struct {
	events   []petitionStep // Before Now, in any order.
	calendar *reference.Calendar
}

func (o *oracle) before(a, b petitionStep) bool {
	switch {
	case !a.at.Equal(b.at):
		return a.at.Before(b.at)
	case a.status != b.status:
		return a.status < b.status
	case a.id != b.id:
		return a.id < b.id
	}
	return a.source < b.source
}

// first is the first event of those that the condition holds for, last the last one.
func (o *oracle) first(holds func(petitionStep) bool) *petitionStep {
	var found *petitionStep
	for i := range o.events {
		if holds(o.events[i]) && (found == nil || o.before(o.events[i], *found)) {
			found = &o.events[i]
		}
	}
	return found
}

func (o *oracle) last(holds func(petitionStep) bool) *petitionStep {
	var found *petitionStep
	for i := range o.events {
		if holds(o.events[i]) && (found == nil || o.before(*found, o.events[i])) {
			found = &o.events[i]
		}
	}
	return found
}

func (o *oracle) firstTime(status petitionStatus) (time.Time, bool) {
	if e := o.first(func(e petitionStep) bool { return e.status == status }); e != nil {
		return e.at, true
	}
	return time.Time{}, false
}

func (o *oracle) workingDaysLater(from time.Time, days int) time.Time {
	at := from
	for days > 0 {
		if at = at.Add(24 * time.Hour); o.calendar.Working(at) {
			days--
		}
	}
	return at
}

func (o *oracle) judge(now time.Time) petitionState {
	s := petitionState{class: "none"}
	s.received = o.first(func(petitionStep) bool { return true }).at
	if at, ok := o.firstTime(petitionReceived); ok {
		s.received = at
	}
	if e := o.first(func(e petitionStep) bool { return e.province != "" }); e != nil {
		s.province, s.province63 = e.province, e.province63
	}
	if e := o.first(func(e petitionStep) bool { return e.agency != "" }); e != nil {
		s.agency = e.agency
	}
	if e := o.first(func(e petitionStep) bool { return e.class != "none" }); e != nil {
		s.class = e.class
	}
	if e := o.last(func(e petitionStep) bool { return e.like != noLike }); e != nil {
		s.disliked = e.like == -1
	}
	refused, isRefused := o.firstTime(petitionRefused)
	asked, isAsked := o.firstTime(petitionInfoRequired)
	answered, isAnswered := o.firstTime(petitionAnswered)
	published, isPublished := o.firstTime(petitionPublished)
	if isPublished && (!isAnswered || published.Before(answered)) {
		answered, isAnswered = published, true
	}
	answerBy := o.workingDaysLater(s.received, 15)
	if e := o.last(func(e petitionStep) bool { return !e.due.IsZero() }); e != nil {
		answerBy = e.due
	}
	var late []string
	check := func(step string, happens bool, at, limit time.Time) {
		if happens && at.After(limit) {
			late = append(late, step)
		}
	}
	check("refused", isRefused, refused, o.workingDaysLater(s.received, 2))
	check("asked for more", isAsked, asked, o.workingDaysLater(s.received, 5))
	check("answered", isAnswered, answered, answerBy)
	check("published", isPublished, published, o.workingDaysLater(answered, 2))
	check("answer awaited", !isAnswered && !isRefused, now, answerBy)
	check("publication awaited", isAnswered && !isPublished && !isRefused, now, o.workingDaysLater(answered, 2))
	s.onTime = len(late) == 0
	return s
}

// TestPetitionIsItsSet: whatever order a petition's events come in and however often, it is what the rule makes of the
// set of those that Now has behind it.
func TestPetitionIsItsSet(t *testing.T) {
	calendar := calendarOfTests(t)
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 40).Draw(rt, "petitions") {
			events := drawPetition(rt, "petition", calendar)
			again := slices.Clone(events)
			for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(events)-1), 0, 5).Draw(rt, "sent again") {
				again = append(again, events[i])
			}
			p := newPetition(rapid.Permutation(again).Draw(rt, "order"))
			now := drawMoment(rt, "now", calendar)
			got, ok := p.state(now, now, calendar)
			seen := slices.DeleteFunc(slices.Clone(events), func(e petitionStep) bool { return !e.at.Before(now) })
			if ok != (len(seen) > 0) {
				rt.Fatalf("a petition of %d events is one: %v", len(seen), ok)
			}
			if !ok {
				continue
			}
			want := (&oracle{seen, calendar}).judge(now)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(petitionState{})); diff != "" {
				rt.Fatalf("at %s (want, got):\n%s", now, diff)
			}
		}
	})
}

// TestPetitionTableAddsUp: every bucket of a series counts what a question about that bucket does, rows add up to the
// total in both schemes, and so do the parts of the country.
func TestPetitionTableAddsUp(t *testing.T) {
	cat, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	calendar := calendarOfTests(t)
	clock := time.Date(2026, 3, 20, 8, 0, 0, 0, zone)
	rapid.Check(t, func(rt *rapid.T) {
		var all []petition
		var latest time.Time
		for i := range rapid.IntRange(0, 12).Draw(rt, "petitions") {
			p := newPetition(drawPetition(rt, fmt.Sprint("petition ", i), calendar))
			all = append(all, p)
			latest = later(latest, p[len(p)-1].at)
		}
		ask := func(q Query) *tallies {
			q.Scope = national
			asked, err := cat.check(q)
			if err != nil {
				rt.Fatal(err)
			}
			at, err := asked.timing(clock, latest)
			if err != nil {
				rt.Fatal(err)
			}
			return asked.tallyPetitions(all, &reading{}, at, calendar)
		}
		q := Query{KPI: rapid.SampledFrom([]string{"petition_on_time_rate", "petition_satisfaction_rate"}).Draw(rt, "kpi"), Period: PeriodYTD}
		q.Grain = rapid.SampledFrom([]string{"hour", "day", "week", "month"}).Draw(rt, "grain")
		if rapid.Bool().Draw(rt, "bounded") {
			q.Period, q.From, q.To = "", time.Date(2026, 2, 9, 12, 0, 0, 0, zone), time.Date(2026, 3, 4, 18, 0, 0, 0, zone)
		}
		whole := ask(q)
		from, to := whole.timing.period.From.Time, whole.timing.period.To.Time
		for i, got := range whole.series {
			// Without an end the last bucket has the moment of as_of itself.
			start, end := later(whole.timing.buckets[i], from), earliest(whole.timing.bucketEnd(i), q.To)
			if got.base == 0 && q.Grain == "hour" && i%5 > 0 {
				continue // hours are many
			}
			one := ask(Query{KPI: q.KPI, From: start, To: end})
			if one.total.numerator != got.numerator || one.total.denominator != got.denominator {
				rt.Fatalf("the bucket %s has %d of %d, the question about it %d of %d", start, got.numerator, got.denominator, one.total.numerator, one.total.denominator)
			}
		}
		q.Grain = ""
		for _, by := range [][]string{{"province"}, {"agency", "class"}} {
			for _, scheme := range []string{SchemeGSO34, SchemeGSO63} {
				q.By, q.Scheme = by, scheme
				var sum tally
				for _, row := range ask(q).rows {
					sum.numerator += row.tally.numerator
					sum.denominator += row.tally.denominator
				}
				if sum.numerator != whole.total.numerator || sum.denominator != whole.total.denominator {
					rt.Fatalf("rows by %v in %s sum up to %d of %d, the total of %s to %s is %d of %d", by, scheme, sum.numerator, sum.denominator, from, to, whole.total.numerator, whole.total.denominator)
				}
			}
		}
	})
}

func calendarOfTests(t *testing.T) *reference.Calendar {
	t.Helper()
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return data.Calendar()
}
