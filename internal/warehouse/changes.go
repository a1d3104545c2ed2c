package warehouse

import (
	"fmt"
	"strings"
	"time"

	"ioc.local/internal/dossier"
)

// countColumns are the columns of dossier_changes that the rollups add up.
var countColumns = [dossier.NumCounts]string{
	dossier.CountAccepted: "n", dossier.CountCompleted: "completed", dossier.CountSupplemented: "supplemented", dossier.CountHandled: "handled", dossier.CountWorkingDays: "days_worked",
	dossier.CountWithFee: "with_fee", dossier.CountPaidOnline: "paid_online", dossier.CountWritten: "written", dossier.CountEResult: "e_result", dossier.CountWithResult: "with_result",
	dossier.CountDigitised: "digitised", dossier.CountReused: "reused", dossier.CountFromStore: "from_store", dossier.CountPopulation: "population",
	dossier.CountSynced: "synced", dossier.CountSyncTold: "sync_told", dossier.CountDocumented: "documented",
}

// dossierColumns are the columns of dossier_changes, in the order of changeWriter.append.
var dossierColumns = `registered_on, subject, sign, version, accepted_at, ended_at, end_status, saved_at, due_at, overdue_at,
	supplements, supplement_ms, province, province63, agency_code, service_id, procedure_code, service_level, channel, portal, result_form,
	formed_at, closed_at, completed_at, supplemented_at, handled_at, working_days, fee_at, paid_at, result_at, digitised_at, reused_at, stored_at, population_at, synced_at,
	unsynced_at, disliked_at, documented_at, topic, partition, position, latest,
	accepted_on, timed, ended_on, disliked_on, saving, saved_on, seen, ` + strings.Join(countColumns[:], ", ")

// appender takes rows of dossier_changes.
type appender interface{ Append(values ...any) error }

// changeWriter appends rows of dossier_changes, each of which is one of three things: a state that a dossier has left or has
// come to; what became of dossiers on one day; and how far a range has come. All that the rollups add up is worked out here,
// so that their views have little to do: ClickHouse makes a plan of them for each insert, which takes longer than to run it.
type changeWriter struct {
	to     appender
	days   []dossier.DayTally
	values []any
}

// change is a row of dossier_changes.
type change struct {
	registeredOn time.Time
	subject      string
	// sign is -1 for a state that is left, 1 for one that is come to, and otherwise 0.
	sign int8
	// state is also what dossiers the rows without a sign are about.
	state *dossier.State
	// timed and saving are the sign where the state has a due time, or saves, and that is not what it was before.
	timed, saving int8
	// day is 0 on rows that have a sign.
	day dossier.DayTally
	// topic, partition and position say how far a range has come.
	topic     string
	partition uint32
	position  uint64
}

// cohort is what the counts by day are kept by.
type cohort struct {
	province, province63, agency, service, procedure string
	level, channel, portal                           int8
	accepted                                         int32
}

func cohortOf(s *dossier.State) cohort {
	return cohort{s.Province, s.Province63, s.Agency, s.Service, s.Procedure, s.Level, s.Channel, s.Portal, dossier.DayOf(s.Accepted)}
}

// deadline is what accepted dossiers with a due time are kept by.
type deadline struct {
	cohort          cohort
	overdue         int64
	ended, disliked int32
	timed           bool
}

func deadlineOf(s *dossier.State) deadline {
	d := deadline{cohortOf(s), s.Overdue, endedLate(s), dossier.DayOf(s.Moments.Disliked), s.Accepted > 0 && s.Due > 0}
	d.cohort.level, d.cohort.channel, d.cohort.portal = 0, 0, 0
	return d
}

// endedLate is the day of the first end of a dossier that becomes overdue.
func endedLate(s *dossier.State) int32 {
	if s.Overdue >= dossier.Never {
		return 0
	}
	return dossier.DayOf(s.Closed)
}

// saving is what dossiers that save are kept by.
type saving struct {
	province, province63, service string
	on                            int32
}

func savingOf(s *dossier.State) saving {
	return saving{s.Province, s.Province63, s.Service, dossier.DayOf(s.Saved)}
}

// dossier appends the rows of a dossier that comes from a state, nil if it is new, to another.
func (w *changeWriter) dossier(registeredOn time.Time, subject string, before, after *dossier.State) error {
	timed, saves := true, true
	w.days = w.days[:0]
	if before != nil {
		timed, saves = deadlineOf(before) != deadlineOf(after), savingOf(before) != savingOf(after)
		if err := w.state(registeredOn, subject, -1, before, timed, saves); err != nil {
			return err
		}
		w.days = before.Tally(w.days, -1)
		if cohortOf(before) != cohortOf(after) {
			if err := w.appendDays(before); err != nil {
				return err
			}
			w.days = w.days[:0]
		}
	}
	if err := w.state(registeredOn, subject, 1, after, timed, saves); err != nil {
		return err
	}
	w.days = after.Tally(w.days, 1)
	return w.appendDays(after)
}

func (w *changeWriter) state(registeredOn time.Time, subject string, sign int8, s *dossier.State, timed, saves bool) error {
	c := change{registeredOn: registeredOn, subject: subject, sign: sign, state: s}
	if timed && s.Accepted > 0 && s.Due > 0 {
		c.timed = sign
	}
	if saves && s.Saved > 0 {
		c.saving = sign
	}
	return w.append(&c)
}

// appendDays appends what has changed on the days, of dossiers like the one given.
func (w *changeWriter) appendDays(like *dossier.State) error {
	for _, day := range w.days {
		if day.Counts == (dossier.Counts{}) {
			continue
		}
		if err := w.append(&change{registeredOn: noDay, state: like, day: day}); err != nil {
			return err
		}
	}
	return nil
}

// reached appends the row that says how far a range has come, and the time of its newest event. It changes no count.
func (w *changeWriter) reached(topic string, partition uint32, position uint64, latest int64) error {
	return w.append(&change{registeredOn: noDay, state: &dossier.State{Latest: latest}, topic: topic, partition: partition, position: position})
}

var noDay = date(0)

// date is a day, in days since 1970-01-01, as the driver takes it.
func date(day int32) time.Time { return time.Unix(int64(day)*86400, 0).UTC() }

func (w *changeWriter) append(c *change) error {
	s, m := c.state, &c.state.Moments
	w.values = append(w.values[:0], c.registeredOn, c.subject, c.sign, s.Version, time.UnixMilli(s.Accepted), time.UnixMilli(s.Ended), s.EndStatus,
		time.UnixMilli(s.Saved), time.UnixMilli(s.Due), time.UnixMilli(s.Overdue), s.Supplements, s.SupplementMillis,
		s.Province, s.Province63, s.Agency, s.Service, s.Procedure, s.Level, s.Channel, s.Portal, s.Form,
		time.UnixMilli(s.Formed), time.UnixMilli(s.Closed), time.UnixMilli(m.Completed), time.UnixMilli(m.Supplemented), time.UnixMilli(m.Handled), m.WorkingDays, time.UnixMilli(m.Fee), time.UnixMilli(m.Paid),
		time.UnixMilli(m.Result), time.UnixMilli(m.Digitised), time.UnixMilli(m.Reused), time.UnixMilli(m.Stored), time.UnixMilli(m.Population), time.UnixMilli(m.Synced),
		time.UnixMilli(m.Unsynced), time.UnixMilli(m.Disliked), time.UnixMilli(m.Documented), c.topic, c.partition, c.position, time.UnixMilli(s.Latest),
		date(dossier.DayOf(s.Accepted)), c.timed, date(endedLate(s)), date(dossier.DayOf(m.Disliked)), c.saving, date(dossier.DayOf(s.Saved)), date(c.day.On))
	for _, n := range c.day.Counts {
		w.values = append(w.values, n)
	}
	if err := w.to.Append(w.values...); err != nil {
		return fmt.Errorf("encoding a dossier change: %w", err)
	}
	return nil
}
