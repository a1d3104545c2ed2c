package kpi

import (
	"context"
	"time"
)

// The dimensions of the service catalogue that dossiers tell, not entries: whether there were dossiers about the service in
// the period that came online, dossiers with a fee, and dossiers with a fee that was paid online.
const (
	usedOnlineCodes = "used_online"
	feeSeenCodes    = "fee_seen"
	paidSeenCodes   = "paid_seen"
)

// useCodes are these dimensions.
var useCodes = []string{usedOnlineCodes, feeSeenCodes, paidSeenCodes}

// dossierSource is the source of dossiers by day of acceptance.
const dossierSource = "dossier_days"

// asksUse says whether the definition counts services by the dossiers of the period.
func (d *Definition) asksUse() bool { return d.source.form == registry && d.names(useCodes...) }

// use is which services had dossiers, over the period, the one compared with, and each bucket.
type use struct {
	positions positions
	latest    time.Time
	periods   map[usedIn]bool
}

// usedIn is a service or procedure in a place, its code in the scheme asked for or empty for the nation, in a period: the
// index of a bucket, or one of the constants below.
type usedIn struct {
	dimension   string
	period      int
	place, item string
}

const (
	wholePeriod    = -1
	comparedPeriod = -2
)

func (u *use) see(dimension string, period int, place string, items ...string) {
	for _, item := range items {
		if item != "" {
			u.periods[usedIn{dimension, period, "", item}] = true
			u.periods[usedIn{dimension, period, place, item}] = true
		}
	}
}

// code is yes or no: whether the thing was used in the place that its entry is of.
func (u *use) code(dimension string, period int, t *thing, scheme string) string {
	if u.periods[usedIn{dimension, period, t.code("province", scheme), t.item}] {
		return "yes"
	}
	return "no"
}

// readUse reads the dossiers of the question's periods with one statement. The periods are those of the register and the
// dossiers together.
func (e *Evaluator) readUse(ctx context.Context, q *question, register, dossiers time.Time) (*use, error) {
	src := e.deps.Catalogue.sources[dossierSource]
	online := &expression{measure: "dossiers", conditions: []condition{{dimension: "channel", codes: []string{"online"}}}}
	beside := *q
	beside.def = &Definition{
		ID: q.def.ID, Kind: KindRatio, Source: src.name, source: src, numerator: online, denominator: &expression{measure: "with_fee"},
		Dimensions: src.dimensionNames(),
	}
	beside.By, beside.Filters = []string{"province", "procedure", "service"}, map[string][]string{}
	if asked := q.Filters["province"]; asked != nil {
		beside.Filters["province"] = asked
	}
	// Four sums in one statement: two questions have two each, of which the second's denominator is not needed.
	paid, def := beside, *beside.def
	def.numerator = &expression{measure: "paid_online"}
	paid.def = &def
	clock, latest := e.now(q), later(register, dossiers)
	for range maxAttempts {
		p, cuts, err := e.plan([]*question{&beside, &paid}, clock, latest, time.Minute, nil)
		if err != nil {
			return nil, err
		}
		r, err := e.run(ctx, p)
		if err != nil {
			return nil, err
		}
		actual, err := beside.cut(clock, later(register, r.latest), nil)
		if err != nil {
			return nil, err
		}
		if !cuts[0].same(actual) {
			latest = later(register, r.latest)
			continue
		}
		u := &use{positions: r.positions, latest: r.latest, periods: map[usedIn]bool{}}
		for i := range r.cells {
			u.count(&r.cells[i], cuts[0], cuts[1])
		}
		return u, nil
	}
	return nil, unavailable(errMoving)
}

// count takes in one cell: a place, a procedure and a service, in one bucket where a series is asked.
func (u *use) count(of *cell, c, paid *cut) {
	see := func(s, fees sums, period int) {
		if of.counts[s.numerator] > 0 {
			u.see(usedOnlineCodes, period, of.dims[0], of.dims[1:3]...)
		}
		if of.counts[s.denominator] > 0 {
			u.see(feeSeenCodes, period, of.dims[0], of.dims[1:3]...)
		}
		if of.counts[fees.numerator] > 0 {
			u.see(paidSeenCodes, period, of.dims[0], of.dims[1:3]...)
		}
	}
	see(c.now[0], paid.now[0], wholePeriod)
	if c.before != nil {
		see(c.before[0], paid.before[0], comparedPeriod)
	}
	if bucket, ok := c.timing.bucketAt(of.bucket); ok {
		see(c.series, paid.series, bucket)
	}
}
