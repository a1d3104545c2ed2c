package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ownSelect is how an analyst computes a KPI from the views, without knowing how it is published.
type ownSelect struct {
	kpi string
	// n is the numerator, or the count; d is the denominator, empty of a count.
	n, d string
	from string
	// time is the column by which a row belongs to the period.
	time string
	// byService compares by province and service. The views leave out the dossiers of the sensitive service, which other
	// KPIs count without naming it: so rows without a service are not compared, and neither are totals, nor what the API
	// suppresses since it would give that service's number away.
	byService bool
}

// ownSelects name as_of {as_of}. A missing time is 1970.
var ownSelects = []ownSelect{
	{kpi: "auth_transactions", n: "count()", from: "authentications", time: "occurred_at"},
	{kpi: "auth_success_rate", n: "countIf(outcome = 'success')", d: "countIf(outcome != 'user_cancelled')", from: "authentications", time: "occurred_at"},
	{kpi: "population_db_queries", n: "count()", from: "queries", time: "occurred_at"},
	{kpi: "eid_level2_share", n: "countIf(action = 'activated' AND eid_level = 2)", d: "countIf(action = 'activated' AND eid_level IS NOT NULL)", from: "accounts", time: "occurred_at"},
	{kpi: "dossiers_received", n: "count()", from: "dossiers", time: "accepted_at", byService: true},
	{kpi: "online_dossier_rate", n: "countIf(channel = 'online')", d: "count()", from: "dossiers", time: "accepted_at", byService: true},
	{kpi: "supplement_rate", n: "countIf(supplements > 0)", d: "count()", from: "dossiers", time: "accepted_at", byService: true},
	{kpi: "completion_rate", n: "countIf(channel = 'online' AND end_status IN (9, 10))", d: "countIf(channel = 'online')", from: "dossiers", time: "accepted_at", byService: true},
	{kpi: "on_time_rate", n: "countIf(due_at > toDateTime64(0, 3) AND overdue_at >= {as_of})", d: "countIf(due_at > toDateTime64(0, 3))", from: "dossiers", time: "accepted_at", byService: true},
	{kpi: "overdue_open_dossiers", n: "countIf(due_at > toDateTime64(0, 3) AND ended_at = toDateTime64(0, 3) AND overdue_at < {as_of})", from: "dossiers", time: "accepted_at", byService: true},
}

// selects compares the KPIs with the analyst's own SELECTs, over two periods.
func (n *oneNumber) selects() {
	n.Helper()
	for _, own := range ownSelects {
		for _, period := range []string{"today", "7d"} {
			n.ownSelect(own, period)
		}
	}
}

func (n *oneNumber) ownSelect(own ownSelect, period string) {
	n.Helper()
	by, service := "province", "''"
	if own.byService {
		by, service = "province,service", "service_id"
	}
	var a struct {
		answer
		AsOf   time.Time `json:"as_of"`
		Period struct{ From time.Time }
		Rows   []struct {
			answer
			Service string
		}
	}
	if status, err := n.ask(http.MethodGet, "/kpis/"+own.kpi+"?period="+period+"&by="+by, nil, &a); err != nil || status != http.StatusOK {
		n.Fatalf("%s by %s is answered %d: %v", own.kpi, by, status, err)
	}
	d, value := "NULL", "toFloat64(n)"
	if own.d != "" {
		d, value = "toInt64("+own.d+")", "n / nullIf(d, 0)"
	}
	moment := func(t time.Time) string { return fmt.Sprintf("fromUnixTimestamp64Milli(%d)", t.UnixMilli()) }
	statement := strings.ReplaceAll(fmt.Sprintf(`SELECT province, service, %s AS value, n, d FROM
		(SELECT province, %s AS service, toInt64(%s) AS n, %s AS d FROM %s WHERE %s >= %s AND %s <= {as_of} GROUP BY province, service)`,
		value, service, own.n, d, own.from, own.time, moment(a.Period.From), own.time), "{as_of}", moment(a.AsOf))
	type cell struct{ province, service string }
	selected, sumN, sumD := map[cell]reading{}, int64(0), int64(0)
	for _, row := range n.sql(statement) {
		r := reading{value: bits(n, row[2]), numerator: whole(row[3]), denominator: whole(row[4])}
		selected[cell{row[0].(string), row[1].(string)}] = r
		sumN, sumD = sumN+n.integer(r.numerator), sumD+n.integer(r.denominator)
	}
	none := reading{value: "null", numerator: "0", denominator: "0"}
	if own.d == "" {
		none = reading{value: bits(n, 0), numerator: "0", denominator: "null"}
	}
	compare := func(c cell, want reading) {
		got, known := selected[c]
		if !known {
			got = none
		}
		n.same("own SELECT", valueKey{own.kpi + " " + c.service, c.province, period}, want, got, true)
		delete(selected, c)
	}
	for _, row := range a.Rows {
		if row.Suppressed || own.byService && row.Service == "" {
			delete(selected, cell{row.Province, row.Service})
			continue
		}
		want := n.reading(row.answer, "")
		want.suppressed = ""
		compare(cell{row.Province, row.Service}, want)
	}
	if !own.byService {
		total := reading{bits(n, float64(sumN)), strconv.FormatInt(sumN, 10), "null", "", ""}
		if own.d != "" {
			total.denominator, total.value = strconv.FormatInt(sumD, 10), "null"
			if sumD > 0 {
				total.value = bits(n, float64(sumN)/float64(sumD))
			}
		}
		want := n.reading(a.answer, "")
		want.suppressed = ""
		n.same("own SELECT", valueKey{own.kpi, "", period}, want, total, true)
	}
	for c := range selected { // of what the API has no row, nothing was counted
		if !own.byService || c.service != "" {
			compare(c, none)
		}
	}
}

// integer is the number of a text of digits; 0 of none.
func (n *oneNumber) integer(digits string) int64 {
	n.Helper()
	if digits == "null" {
		return 0
	}
	v, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		n.Fatal(err)
	}
	return v
}
