package kpi

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// maxJournalEntries bounds the entries of one answer.
const maxJournalEntries = 10_000

// JournalQuery is one question about what was published of a KPI.
type JournalQuery struct {
	KPI      string
	Province string // Code of the 34-scheme; empty is the nation.
	Period   string // Named period of the published value.
	From     time.Time
	To       time.Time // Excluded.
	At       time.Time // Asks for the one entry that stood then, in the place of From and To.
	Limit    int

	def *Definition
}

// JournalAnswer is what was published, in the shape of the HTTP API.
type JournalAnswer struct {
	ID      string         `json:"id"`
	Unit    string         `json:"unit"`
	Scope   string         `json:"scope"`
	Period  string         `json:"period"`
	From    *Time          `json:"from,omitempty"`
	To      *Time          `json:"to,omitempty"`
	At      *Time          `json:"at,omitempty"`
	Entries []JournalEntry `json:"entries"`        // The oldest first.
	Next    *Time          `json:"next,omitempty"` // From of the entries behind the limit.
}

// JournalEntry is a published value from a minute until that of the next entry.
type JournalEntry struct {
	Minute      Time     `json:"minute"`
	Value       *float64 `json:"value"`
	Numerator   *int64   `json:"numerator"`
	Denominator *int64   `json:"denominator"`
	Baseline    *float64 `json:"baseline_value"`
	AsOf        Time     `json:"as_of"`
	Revision    string   `json:"revision"`
	Definition  string   `json:"definition"`
	Status      Status   `json:"status"`
	Suppressed  bool     `json:"suppressed,omitzero"`
	PublishedAt Time     `json:"published_at"`
}

// ParseJournalQuery reads the parameters of an HTTP question about the journal of a KPI. The scope is as in questions about the
// KPI itself: whose facts the scope may not see, of that it sees no journal. Without times it is about the day of now. Errors
// are *Error and name the parameter at fault.
func ParseJournalQuery(cat *Catalogue, id string, values url.Values, scope Scope, now time.Time) (JournalQuery, error) {
	shared := url.Values{}
	own := map[string]string{}
	for name, given := range values {
		switch name {
		case "period", "province", "scope":
			shared[name] = given
		case "from", "to", "at", "limit":
			if len(given) != 1 || given[0] == "" {
				return JournalQuery{}, badRequest(name, "must be given once and not be empty")
			}
			own[name] = given[0]
		default:
			if _, ok := cat.Get(id); ok {
				return JournalQuery{}, badRequest(name, "is unknown; use from and to, at, period, province, scope, limit")
			}
		}
	}
	asked, err := ParseQuery(cat, id, shared, scope)
	if err != nil {
		return JournalQuery{}, err
	}
	checked, err := cat.check(asked)
	if err != nil {
		return JournalQuery{}, err
	}
	q := JournalQuery{KPI: id, Period: asked.Period, Limit: maxJournalEntries, def: checked.def}
	switch {
	case len(checked.provinces) > 1:
		return JournalQuery{}, badRequest("province", "must be one of %s: values are published of single provinces and of the nation", strings.Join(checked.provinces, ", "))
	case len(checked.provinces) == 1:
		q.Province = checked.provinces[0]
	}
	return q, q.setTimes(own, now)
}

func (q *JournalQuery) setTimes(own map[string]string, now time.Time) (err error) {
	if text := own["limit"]; text != "" {
		if q.Limit, err = parseNumber("limit", text, 1); err != nil || q.Limit > maxJournalEntries {
			return badRequest("limit", "must be from 1 to %d", maxJournalEntries)
		}
	}
	if text := own["at"]; text != "" {
		for _, other := range []string{"from", "to", "limit"} {
			if own[other] != "" {
				return badRequest("at", "asks for one entry and cannot stand together with %s", other)
			}
		}
		if q.At, err = parseMoment("at", text); err != nil {
			return err
		}
		return checkJournalBound("at", q.At)
	}
	q.From, q.To = dayStart(now), now.In(zone)
	if text := own["from"]; text != "" {
		if q.From, err = parseMoment("from", text); err != nil {
			return err
		}
	}
	if text := own["to"]; text != "" {
		if q.To, err = parseMoment("to", text); err != nil {
			return err
		}
	}
	if err := checkJournalBound("from", q.From); err != nil {
		return err
	}
	if err := checkJournalBound("to", q.To); err != nil {
		return err
	}
	if q.From.After(q.To) || q.From.Equal(q.To) && own["to"] != "" {
		return badRequest("to", "must be later than from")
	}
	return nil
}

func checkJournalBound(name string, bound time.Time) error {
	if bound.Before(beginning) || bound.Year() > 2100 {
		return badRequest(name, "must be from %s to 2100", beginning.Format(time.DateOnly))
	}
	return nil
}

// Journal answers what was published. Errors are *Error, or those of ctx.
func (e *Evaluator) Journal(ctx context.Context, q JournalQuery) (*JournalAnswer, error) {
	a := &JournalAnswer{ID: q.KPI, Unit: q.def.Unit, Scope: National, Period: q.Period, Entries: []JournalEntry{}}
	if q.Province != "" {
		a.Scope = "province:" + q.Province
	}
	where := []string{"kpi = {kpi:String}", "province = {province:String}", "period = {period:String}", "minute >= fromUnixTimestamp({from:Int64})"}
	parameters := []any{clickhouse.Named("kpi", q.KPI), clickhouse.Named("province", q.Province), clickhouse.Named("period", q.Period)}
	from, upper, order, limit := q.From, q.To, "minute", q.Limit+1
	if !q.At.IsZero() {
		// Each day begins with a row of every value: what is older is of another process's life.
		from, upper, order, limit = dayStart(q.At), q.At, "minute DESC", 1
		where = append(where, "minute <= fromUnixTimestamp({upper:Int64})")
		a.At = &Time{q.At}
	} else {
		where = append(where, "minute < fromUnixTimestamp({upper:Int64})")
		from, upper = fullSecond(from), fullSecond(upper)
		a.From, a.To = &Time{q.From}, &Time{q.To}
	}
	parameters = append(parameters, clickhouse.Named("from", fmt.Sprint(from.Unix())), clickhouse.Named("upper", fmt.Sprint(upper.Unix())))
	if q.def.Sensitive {
		// What was published by another definition may not have been sensitive, and was not suppressed.
		where = append(where, "definition = {definition:String}")
		parameters = append(parameters, clickhouse.Named("definition", e.definitions[q.KPI]))
	}
	sql := fmt.Sprintf(`SELECT minute, value, numerator, denominator, baseline, as_of, revision, definition, status, suppressed, published_at
FROM kpi_journal FINAL
WHERE %s
ORDER BY %s
LIMIT %d`, strings.Join(where, " AND "), order, limit)
	err := e.query(ctx, sql, parameters, func(rows driver.Rows) error {
		var one JournalEntry
		var status string
		if err := rows.Scan(&one.Minute.Time, &one.Value, &one.Numerator, &one.Denominator, &one.Baseline, &one.AsOf.Time, &one.Revision, &one.Definition,
			&status, &one.Suppressed, &one.PublishedAt.Time); err != nil {
			return err
		}
		one.Status = Status(status)
		a.Entries = append(a.Entries, one)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if q.At.IsZero() && len(a.Entries) > q.Limit {
		next := a.Entries[q.Limit].Minute
		a.Next, a.Entries = &next, slices.Clip(a.Entries[:q.Limit])
	}
	return a, nil
}

// fullSecond is the first full second from the moment on: rows are of full minutes.
func fullSecond(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); whole.Before(t) {
		return whole.Add(time.Second)
	}
	return t
}
