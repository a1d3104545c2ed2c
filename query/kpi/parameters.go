package kpi

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseQuery reads the parameters of an HTTP question about the KPI and checks all that can be checked without the
// warehouse. Errors are *Error and name the parameter at fault.
func ParseQuery(cat *Catalogue, id string, values url.Values, scope Scope) (Query, error) {
	q := Query{KPI: id, Scope: scope, Filters: map[string][]string{}}
	def, ok := cat.Get(id)
	if !ok {
		_, err := cat.check(q)
		return Query{}, err
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names) // of several errors, always the same is reported
	for _, name := range names {
		given := values[name]
		if len(given) != 1 {
			return Query{}, badRequest(name, "is given %d times; separate several codes by commas", len(given))
		}
		if given[0] == "" {
			return Query{}, badRequest(name, "is empty; leave it out or give it a value")
		}
		if err := q.set(def, name, given[0]); err != nil {
			return Query{}, err
		}
	}
	checked, err := cat.check(q)
	if err != nil {
		return Query{}, err
	}
	return checked.Query, nil
}

func (q *Query) set(def *Definition, name, value string) error {
	var err error
	switch name {
	case "period":
		q.Period = value
	case "from":
		q.From, err = parseMoment(name, value)
	case "to":
		q.To, err = parseMoment(name, value)
	case "at":
		q.At, err = parseMoment(name, value)
	case "by":
		q.By = strings.Split(value, ",")
	case "grain":
		q.Grain = value
	case "scheme":
		q.Scheme = value
	case "compare":
		q.Compare = value
	case "scope":
		if value != "own" && value != National {
			return badRequest(name, "%q is unknown; use own or %s", value, National)
		}
		q.National = value == National
	case "sort":
		q.Sort = value
	case "limit":
		q.Limit, err = parseNumber(name, value, 1)
	case "offset":
		q.Offset, err = parseNumber(name, value, 0)
	default:
		if !def.source.hasDimension(name) {
			return badRequest(name, "is unknown; use period, from, to, at, by, grain, scheme, compare, scope, sort, limit, offset or a dimension: %s", def.dimensionList())
		}
		q.Filters[name] = strings.Split(value, ",")
	}
	return err
}

// parseMoment reads RFC 3339, or a date, which is its first moment in Asia/Ho_Chi_Minh.
func parseMoment(name, value string) (time.Time, error) {
	if t, err := time.ParseInLocation(time.DateOnly, value, zone); err == nil {
		return t, nil
	}
	// A + that a client forgot to escape in the address arrives as a space.
	t, err := time.Parse(time.RFC3339Nano, strings.Replace(value, " ", "+", 1))
	if err != nil {
		return time.Time{}, badRequest(name, "%q is neither a date like 2026-01-31 nor RFC 3339 like 2026-01-31T08:00:00+07:00", value)
	}
	return t.In(zone), nil
}

func parseNumber(name, value string, least int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < least {
		return 0, badRequest(name, "must be a whole number from %d", least)
	}
	return n, nil
}
