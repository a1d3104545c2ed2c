package kpi

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// coefficientSQL defines, for sums by service and segment of a source with coefficients, the coefficient of the service in force in
// the segment, in VND, and whether there is none. The table travels as parameters: a few dozen numbers.
func (p *plan) coefficientSQL(b *builder, l *layout) string {
	var coefficients, without []string
	changes := p.coefficientChanges(l.segments)
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
			value = fmt.Sprintf("transform(service, %s, {%s:Array(Int64)}, toInt64(0))", covered, b.set(fmt.Sprintf("savings%d", i), savings))
			missing = "service NOT IN " + covered
		}
		if i+1 < len(changes) {
			until, _ := slices.BinarySearchFunc(l.segments, changes[i+1], time.Time.Compare)
			value, missing = fmt.Sprintf("segment < %d, %s", until, value), fmt.Sprintf("segment < %d, %s", until, missing)
		}
		coefficients, without = append(coefficients, value), append(without, missing)
	}
	return fmt.Sprintf("WITH multiIf(%s) AS coefficient, multiIf(%s) AS without_coefficient\n", strings.Join(pad(coefficients), ", "), strings.Join(pad(without), ", "))
}

// pad makes the single branch of an unchanging table a condition and two branches, as multiIf wants.
func pad(branches []string) []string {
	if len(branches) == 1 {
		return []string{"true", branches[0], branches[0]}
	}
	return branches
}

// coefficientChanges lists the starts of the first of the segments and of those in which the table of coefficients changes.
func (p *plan) coefficientChanges(segments []time.Time) []time.Time {
	from, upper := segments[0], segments[len(segments)-1]
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
