package kpi

import (
	"slices"
	"strings"
	"time"
)

// ParseSpan reads a named period, or from and to, as questions about KPIs have them, for faces that answer about time
// but not about a KPI. Without any it is the period fallback. A named period ends at now. Errors are *Error.
func ParseSpan(period, from, to, fallback string, now time.Time) (start, end time.Time, err error) {
	switch {
	case period != "" && (from != "" || to != ""):
		return start, end, badRequest("period", "cannot stand together with from and to; ask one or the other")
	case from == "" && to != "":
		return start, end, badRequest("from", "is missing; from and to go together")
	case from != "" && to == "":
		return start, end, badRequest("to", "is missing; from and to go together")
	case from == "":
		if period == "" {
			period = fallback
		}
		if !slices.Contains(periods, period) {
			return start, end, badRequest("period", "%q is unknown; use one of %s, or from and to", period, strings.Join(periods, ", "))
		}
		return periodStart(period, now.In(zone)), now.In(zone), nil
	}
	if start, err = parseMoment("from", from); err != nil {
		return start, end, err
	}
	if end, err = parseMoment("to", to); err != nil {
		return start, end, err
	}
	if !start.Before(end) {
		return start, end, badRequest("to", "must be later than from")
	}
	return start, end, nil
}
