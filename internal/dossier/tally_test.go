package dossier_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ioc.local/internal/dossier"
	"ioc.local/internal/reference"
)

// at is a moment of November 2026 in Việt Nam, in Unix milliseconds, and on its day.
func at(day, hour int) int64 {
	return time.Date(2026, 11, day, hour, 0, 0, 0, reference.TimeZone()).UnixMilli()
}

func on(day int) int32 { return int32(time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC).Unix() / 86400) }

func TestTally(t *testing.T) {
	const none = int8(4)
	state := func(change func(*dossier.State)) dossier.State {
		s := dossier.State{Accepted: at(2, 0), Channel: dossier.Online}
		change(&s)
		return s
	}
	one := func(counts ...dossier.Count) (c dossier.Counts) {
		for _, count := range counts {
			c[count]++
		}
		return c
	}
	tests := []struct {
		name  string
		state dossier.State
		want  []dossier.DayTally
	}{
		{"one that was not accepted adds nothing", dossier.State{Moments: dossier.Moments{Completed: at(3, 1)}}, nil},
		{"accepted in the first hour of a day of Việt Nam, which is the day before in UTC", state(func(*dossier.State) {}), []dossier.DayTally{{On: on(2), Counts: one(dossier.CountAccepted)}}},
		{"what happened before the acceptance is of its day", state(func(s *dossier.State) { s.Moments.Fee, s.Moments.Paid = at(1, 9), at(3, 9) }),
			[]dossier.DayTally{{On: on(2), Counts: one(dossier.CountAccepted, dossier.CountWithFee)}, {On: on(3), Counts: one(dossier.CountPaidOnline)}}},
		{"working days are added with the end", state(func(s *dossier.State) { s.Moments.Handled, s.Moments.WorkingDays = at(5, 9), 2 }),
			[]dossier.DayTally{{On: on(2), Counts: one(dossier.CountAccepted)}, {On: on(5), Counts: one(dossier.CountHandled, dossier.CountWorkingDays, dossier.CountWorkingDays)}}},
		{"an electronic result counts once it is complete", state(func(s *dossier.State) { s.Moments.Result, s.Moments.Completed = at(3, 9), at(4, 9) }),
			[]dossier.DayTally{{On: on(2), Counts: one(dossier.CountAccepted)}, {On: on(4), Counts: one(dossier.CountCompleted, dossier.CountWritten, dossier.CountEResult)}, {On: on(3), Counts: one(dossier.CountWithResult)}}},
		{"a result is to be written until it is said that none is", state(func(s *dossier.State) {
			s.Form, s.Formed, s.Moments.Completed = none, at(6, 9), at(4, 9)
		}), []dossier.DayTally{{On: on(2), Counts: one(dossier.CountAccepted)}, {On: on(4), Counts: one(dossier.CountCompleted, dossier.CountWritten)},
			{On: on(6), Counts: dossier.Counts{dossier.CountWithResult: 1, dossier.CountWritten: -1}}}},
		{"late after it was in time", state(func(s *dossier.State) { s.Moments.Synced, s.Moments.Unsynced = at(3, 9), at(4, 9) }),
			[]dossier.DayTally{{On: on(2), Counts: one(dossier.CountAccepted)}, {On: on(3), Counts: one(dossier.CountSynced, dossier.CountSyncTold)}, {On: on(4), Counts: dossier.Counts{dossier.CountSynced: -1}}}},
	}
	byDay := cmp.Transformer("byDay", func(days []dossier.DayTally) map[int32]dossier.Counts {
		m := map[int32]dossier.Counts{}
		for _, d := range days {
			m[d.On] = d.Counts
		}
		return m
	})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := test.state.Tally(nil, 1)
			if diff := cmp.Diff(test.want, got, byDay); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, d := range test.state.Tally(got, -1) {
				if d.Counts != (dossier.Counts{}) {
					t.Errorf("taken away again, day %d keeps %v", d.On, d.Counts)
				}
			}
		})
	}
}
