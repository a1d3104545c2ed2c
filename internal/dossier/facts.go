package dossier

import "time"

// Facts are what one event says of a dossier beside its status, for the items of Quyết định 766/QĐ-TTg that count documents,
// payments, ratings and synchronisation.
type Facts uint16

// The facts.
const (
	// ComponentFile: a component of the dossier has an electronic file (item 4.2).
	ComponentFile Facts = 1 << iota
	// ResultFile: the result has an electronic file (items 4.1 and 4.2).
	ResultFile
	// ReusedComponent: a component was reused and not asked for again (item 4.3).
	ReusedComponent
	// StoreComponent: a component was taken from the national data store (item 4.4).
	StoreComponent
	// PopulationData: the applicant was authenticated through VNeID, or a component was drawn from the population database
	// (item 4.5).
	PopulationData
	// Fee: the dossier has a fee that is not 0 (item 3.6).
	Fee
	// PaidOnline: a payment was made through the gateway of the national portal, of a ministry or of a province (item 3.6).
	PaidOnline
	// SyncedOnTime and SyncedLate: the national portal was told of the dossier in time, or late (item 1.4).
	SyncedOnTime
	SyncedLate
	// Dislike: the applicant is not content (item 5.4).
	Dislike
	// Document: anything is said of a document of the dossier, so that what is not said of it is not so.
	Document
)

// Moments are the times at which facts of a dossier became true, in Unix milliseconds; 0 is never. Where a fact has
// conditions it is the moment at which the last of them was met.
type Moments struct {
	// Completed is the first status 9 or 10.
	Completed int64
	// Supplemented is the first supplement request.
	Supplemented int64
	// Handled is the end of handling (rule 4) of an accepted dossier that ended with status 9 or 10, and WorkingDays how many
	// working days it took until then, without supplement time; a day that was begun counts, as the law gives limits in
	// whole days.
	Handled     int64
	WorkingDays uint16
	// Fee is when the dossier was first said to have a fee, and Paid when it has one and an online payment was made.
	Fee, Paid int64
	// Result is the first electronic result, and Digitised when there is also a component with a file.
	Result, Digitised int64
	// Reused, Stored, Population, Disliked and Documented are the first of their facts.
	Reused, Stored, Population, Disliked, Documented int64
	// Synced is the first synchronisation in time, and Unsynced the first that was late, after which the dossier is not
	// synchronised in time whatever comes. Synced is 0 where the first that was late came before it.
	Synced, Unsynced int64
}

// moments finds the moments. The events are in order, and what the rules say of the statuses is known.
func (e *Evaluator) moments(s *State, events []Event) {
	first := func(fact Facts) int64 {
		for i := range events {
			if events[i].Facts&fact != 0 {
				return events[i].At
			}
		}
		return 0
	}
	m := &s.Moments
	for _, t := range e.steps {
		if t.status == completed || t.status == resultReturned {
			m.Completed = t.at
			break
		}
	}
	if len(e.requests) > 0 {
		m.Supplemented = e.requests[0].begin
	}
	if s.Accepted > 0 && (s.EndStatus == completed || s.EndStatus == resultReturned) {
		m.Handled, m.WorkingDays = s.Ended, e.workingDays(s)
	}
	m.Fee, m.Result = first(Fee), first(ResultFile)
	m.Paid, m.Digitised = both(m.Fee, first(PaidOnline)), both(m.Result, first(ComponentFile))
	m.Reused, m.Stored, m.Population, m.Disliked = first(ReusedComponent), first(StoreComponent), first(PopulationData), first(Dislike)
	m.Documented = first(Document)
	m.Synced, m.Unsynced = first(SyncedOnTime), first(SyncedLate)
	if m.Unsynced > 0 && m.Synced >= m.Unsynced {
		m.Synced = 0
	}
}

// both is when two facts were true; 0 where one never was.
func both(a, b int64) int64 {
	if a == 0 || b == 0 {
		return 0
	}
	return max(a, b)
}

// workingDays is how many working days were begun from the acceptance to the end, less the supplement time between.
func (e *Evaluator) workingDays(s *State) uint16 {
	if s.Ended <= s.Accepted {
		return 0
	}
	worked := e.calendar.WorkingTime(time.UnixMilli(s.Accepted), time.UnixMilli(s.Ended))
	for _, r := range e.requests {
		begin, end := max(r.begin, s.Accepted), r.end
		if end == 0 || end > s.Ended {
			end = s.Ended
		}
		if begin < end {
			worked -= e.calendar.WorkingTime(time.UnixMilli(begin), time.UnixMilli(end))
		}
	}
	const day = 24 * time.Hour
	return uint16(min((worked+day-1)/day, 1<<16-1))
}
