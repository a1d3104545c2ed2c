package dossier

import "slices"

// Count is one of the counts that the KPIs add up over dossiers.
type Count int

// The counts. Each is of accepted dossiers, and has its moment; CountWorkingDays is a sum of days.
const (
	// CountAccepted dossiers, from the acceptance.
	CountAccepted Count = iota
	// CountCompleted dossiers have status 9 or 10.
	CountCompleted
	// CountSupplemented ones were asked for a supplement.
	CountSupplemented
	// CountHandled ones ended with status 9 or 10, and CountWorkingDays is how long they took.
	CountHandled
	CountWorkingDays
	// CountWithFee and CountPaidOnline are those that have a fee, and those that also have an online payment (item 3.6).
	CountWithFee
	CountPaidOnline
	// CountWritten are completed and not said to have a result of the form none, and CountEResult those of them with an
	// electronic file of the result (item 4.1).
	CountWritten
	CountEResult
	// CountWithResult are those with an electronic file of the result, or none to be given in writing (item 3.3).
	CountWithResult
	// CountDigitised have an electronic result and a component with a file (item 4.2).
	CountDigitised
	// CountReused, CountFromStore and CountPopulation have such a component, or use of population data (items 4.3 to 4.5).
	CountReused
	CountFromStore
	CountPopulation
	// CountSynced are synchronised in time and never late, of CountSyncTold, which were synchronised at all (item 1.4).
	CountSynced
	CountSyncTold
	// CountDocumented are those of whose documents anything was said.
	CountDocumented
	// NumCounts is how many counts there are.
	NumCounts
)

// formNone is the form of a result that is not given in writing (Event.Form).
const formNone = 4

// Counts are how many dossiers each Count has gained, or has lost where they are negative.
type Counts [NumCounts]int32

// DayTally is what became of dossiers on one day.
type DayTally struct {
	// On is the day in Việt Nam, in days since 1970-01-01.
	On     int32
	Counts Counts
}

// Tally adds what became of the dossier to days that are in no order, or takes it away where sign is -1. Nothing counts
// before the acceptance, so what happened earlier is of that day, and a dossier that was not accepted adds nothing. Summed
// over the days before a moment it is how the dossier stood then.
func (s *State) Tally(days []DayTally, sign int32) []DayTally {
	if s.Accepted == 0 {
		return days
	}
	add := func(count Count, at int64, n int32) {
		if at > 0 {
			days = addTo(days, DayOf(max(at, s.Accepted)), count, sign*n)
		}
	}
	m := &s.Moments
	add(CountAccepted, s.Accepted, 1)
	add(CountCompleted, m.Completed, 1)
	add(CountSupplemented, m.Supplemented, 1)
	add(CountHandled, m.Handled, 1)
	add(CountWorkingDays, m.Handled, int32(m.WorkingDays))
	add(CountWithFee, m.Fee, 1)
	add(CountPaidOnline, m.Paid, 1)
	add(CountDigitised, m.Digitised, 1)
	add(CountReused, m.Reused, 1)
	add(CountFromStore, m.Stored, 1)
	add(CountPopulation, m.Population, 1)
	add(CountDocumented, m.Documented, 1)
	if s.Form == formNone {
		add(CountWithResult, max(s.Accepted, s.Formed), 1)
		if m.Completed > 0 && s.Formed > m.Completed { // until then a written result was to be expected
			add(CountWritten, m.Completed, 1)
			add(CountWritten, s.Formed, -1)
		}
	} else {
		add(CountWithResult, m.Result, 1)
		add(CountWritten, m.Completed, 1)
		add(CountEResult, both(m.Completed, m.Result), 1)
	}
	if m.Synced > 0 {
		add(CountSynced, m.Synced, 1)
		add(CountSynced, m.Unsynced, -1)
		add(CountSyncTold, m.Synced, 1)
	} else {
		add(CountSyncTold, m.Unsynced, 1)
	}
	return days
}

func addTo(days []DayTally, on int32, count Count, n int32) []DayTally {
	i := slices.IndexFunc(days, func(d DayTally) bool { return d.On == on })
	if i < 0 {
		i, days = len(days), append(days, DayTally{On: on})
	}
	days[i].Counts[count] += n
	return days
}

// DayOf is the day in Việt Nam, in days since 1970-01-01, of a time in Unix milliseconds, which is not before 1975-06-13: since
// then the clock there is seven hours ahead of UTC. 0 is never, and no day.
func DayOf(at int64) int32 {
	if at == 0 {
		return 0
	}
	const hour, day = 3600_000, 86400_000
	return int32((at + 7*hour) / day)
}
