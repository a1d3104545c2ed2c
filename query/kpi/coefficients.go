package kpi

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// coefficientSQL defines, for rows of a source with coefficients, the coefficient of the row's service in force on its
// day, in VND, and whether there is none. The table travels as parameters: a few dozen numbers in place of a join of
// every row, which takes four times as long.
func (p *plan) coefficientSQL(b *builder) string {
	from, upper := p.windows[0].from, p.windows[0].upper
	for _, w := range p.windows {
		from = earliest(from, w.from)
		if w.upper.After(upper) {
			upper = w.upper
		}
	}
	var coefficients, without []string
	changes := p.coefficientChanges(from, upper)
	for i, start := range changes {
		services, savings := []string{}, []int64{}
		for _, c := range p.coefficients.All() {
			if in, ok := p.coefficients.At(c.ServiceID, start); ok && in == c {
				services, savings = append(services, c.ServiceID), append(savings, c.Saving())
			}
		}
		value, missing := "toInt64(0)", "true"
		if len(services) > 0 {
			covered := fmt.Sprintf("{%s:Array(String)}", b.set(fmt.Sprintf("services%d", i), services))
			value = fmt.Sprintf("transform(service_id, %s, {%s:Array(Int64)}, toInt64(0))", covered, b.set(fmt.Sprintf("savings%d", i), savings))
			missing = "service_id NOT IN " + covered // four times as fast as has
		}
		if i+1 < len(changes) {
			before := "day < " + b.date(changes[i+1])
			value, missing = before+", "+value, before+", "+missing
		}
		coefficients, without = append(coefficients, value), append(without, missing)
	}
	return fmt.Sprintf("WITH multiIf(%s) AS coefficient, multiIf(%s) AS without_coefficient\n    ", strings.Join(pad(coefficients), ", "), strings.Join(pad(without), ", "))
}

// pad makes the single branch of an unchanging table a condition and two branches, as multiIf wants.
func pad(branches []string) []string {
	if len(branches) == 1 {
		return []string{"true", branches[0], branches[0]}
	}
	return branches
}

// coefficientChanges lists the days in [from, upper) on which the table of coefficients changes, after from itself.
func (p *plan) coefficientChanges(from, upper time.Time) []time.Time {
	changes := []time.Time{from}
	for _, c := range p.coefficients.All() {
		days := []time.Time{c.ValidFrom}
		if !c.ValidTo.IsZero() {
			days = append(days, c.ValidTo.AddDate(0, 0, 1))
		}
		for _, t := range days {
			if t.After(from) && t.Before(upper) {
				changes = append(changes, dayStart(t))
			}
		}
	}
	slices.SortFunc(changes, time.Time.Compare)
	return slices.CompactFunc(changes, time.Time.Equal)
}
