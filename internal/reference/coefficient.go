package reference

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxVND bounds one amount, so that sums over all dossiers of the country stay within int64.
const maxVND = 1_000_000_000

// Coefficient is what one dossier of a service costs in one period, for citizen and state, at the counter and online.
// All amounts are in VND.
type Coefficient struct {
	ServiceID      string
	ValidFrom      time.Time // First day in force, midnight in TimeZone.
	ValidTo        time.Time // Last day in force, midnight in TimeZone; zero when open.
	CitizenOffline int64
	CitizenOnline  int64
	StateOffline   int64
	StateOnline    int64
	SourceRef      string
	Confidence     string
	Line           int // Line in the file.

	// VNDPerHour is the value of an hour; nil where the file does not give it. Offline and Online are the components of the
	// citizen's costs, which add up to them; nil where the file gives none.
	VNDPerHour      *int64
	Offline, Online *Components

	components string // canonical text of the component columns, part of the version
}

// Components are what the citizen's cost of one dossier is made of, at the counter or online. Those that the file does not
// give are nil and count as 0.
type Components struct {
	Thousandths *int64 // Working time, in thousandths of an hour.
	Transport   *int64 // VND, as those that follow.
	Documents   *int64
	Fee         *int64
}

// Labour is what the working time costs, in VND, at so many VND an hour.
func (c *Components) Labour(perHour *int64) int64 {
	if c == nil || c.Thousandths == nil || perHour == nil {
		return 0
	}
	return *c.Thousandths * *perHour / 1000 // a whole number: checkComponents refuses others
}

// Saving is what handling one dossier online instead of at the counter saves, in VND; it can be negative.
func (c Coefficient) Saving() int64 {
	return c.CitizenOffline + c.StateOffline - c.CitizenOnline - c.StateOnline
}

func (c Coefficient) covers(d day) bool {
	return dayOf(c.ValidFrom) <= d && (c.ValidTo.IsZero() || d <= dayOf(c.ValidTo))
}

// Coefficients is an effective-dated table of savings coefficients. It never changes and is safe for concurrent use.
type Coefficients struct {
	file    string
	rows    []Coefficient // by service, then by first day
	version string
}

// File is the name of the file that the coefficients came from.
func (c *Coefficients) File() string { return c.file }

// All lists the coefficients by service and first day.
func (c *Coefficients) All() []Coefficient { return slices.Clone(c.rows) }

// At is the coefficient of the service in force on the day of t.
func (c *Coefficients) At(service string, t time.Time) (Coefficient, bool) {
	first, _ := slices.BinarySearchFunc(c.rows, service, func(row Coefficient, id string) int { return strings.Compare(row.ServiceID, id) })
	d := dayOf(t)
	for _, row := range c.rows[first:] {
		if row.ServiceID != service {
			break
		}
		if row.covers(d) {
			return row, true
		}
	}
	return Coefficient{}, false
}

// Version identifies the content: 12 hexadecimal digits of a SHA-256 that the order of lines, quoting and spaces do
// not change, and anything else does.
func (c *Coefficients) Version() string { return c.version }

var (
	coefficientColumns = []string{"service_id", "valid_from", "valid_to", "citizen_offline_vnd", "citizen_online_vnd",
		"state_offline_vnd", "state_online_vnd", "source_ref", "confidence"}
	componentColumns = []string{"hours_offline", "hours_online", "vnd_per_hour", "transport_offline", "transport_online",
		"documents_offline", "documents_online", "fee_offline", "fee_online"}
)

func parseCoefficients(file string, content []byte, services []Service) (*Coefficients, error) {
	t, err := readTable(file, content, coefficientColumns, componentColumns)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(services))
	for i, s := range services {
		ids[i] = s.ID
	}
	c := &Coefficients{file: file}
	for i := range t.rows {
		r := &t.rows[i]
		row := parseCoefficient(r)
		r.check("service_id", slices.Contains(ids, row.ServiceID), "unknown service %q", row.ServiceID)
		if r.err != nil {
			return nil, r.err
		}
		c.rows = append(c.rows, row)
	}
	slices.SortStableFunc(c.rows, func(a, b Coefficient) int {
		if byService := strings.Compare(a.ServiceID, b.ServiceID); byService != 0 {
			return byService
		}
		return a.ValidFrom.Compare(b.ValidFrom)
	})
	for i := 1; i < len(c.rows); i++ {
		a, b := c.rows[i-1], c.rows[i]
		if a.ServiceID == b.ServiceID && a.covers(dayOf(b.ValidFrom)) {
			return nil, fmt.Errorf("%s: lines %d and %d overlap: both give %s a coefficient on %s",
				file, min(a.Line, b.Line), max(a.Line, b.Line), a.ServiceID, b.ValidFrom.Format(time.DateOnly))
		}
	}
	c.version = c.digest()
	return c, nil
}

func parseCoefficient(r *row) Coefficient {
	c := Coefficient{
		ServiceID: r.text("service_id"), ValidFrom: r.date("valid_from", false), ValidTo: r.date("valid_to", true),
		CitizenOffline: r.integer("citizen_offline_vnd", 0, maxVND), CitizenOnline: r.integer("citizen_online_vnd", 0, maxVND),
		StateOffline: r.integer("state_offline_vnd", 0, maxVND), StateOnline: r.integer("state_online_vnd", 0, maxVND),
		SourceRef: r.text("source_ref"), Confidence: r.text("confidence"), Line: r.line,
	}
	r.check("valid_to", c.ValidTo.IsZero() || !c.ValidTo.Before(c.ValidFrom), "valid_to is before valid_from")
	offline := checkComponents(r, "offline", c.CitizenOffline)
	online := checkComponents(r, "online", c.CitizenOnline)
	if r.err == nil && (offline != "" || online != "") {
		c.Offline, c.Online = r.components("offline"), r.components("online")
		if r.optional("vnd_per_hour") != "" {
			perHour := r.integer("vnd_per_hour", 0, maxVND)
			c.VNDPerHour = &perHour
		}
	}
	if offline != "" || online != "" {
		c.components = offline + "|" + online
	}
	return c
}

// checkComponents compares hours × VND per hour + transport + documents + fee with the citizen's total when any of
// them is given; those that are not given count as 0. It returns their canonical text.
func checkComponents(r *row, side string, total int64) string {
	var parts [4]int64
	given := false
	for i, name := range []string{"hours_", "transport_", "documents_", "fee_"} {
		column := name + side
		if r.optional(column) == "" {
			continue
		}
		given = true
		if i == 0 {
			parts[i] = r.thousandths(column)
		} else {
			parts[i] = r.integer(column, 0, maxVND)
		}
	}
	if !given {
		return ""
	}
	var perHour int64
	if parts[0] != 0 {
		if r.optional("vnd_per_hour") == "" {
			r.fail("hours_"+side, "hours_%s needs vnd_per_hour", side)
			return ""
		}
		perHour = r.integer("vnd_per_hour", 0, maxVND)
	}
	labour := parts[0] * perHour
	if r.err != nil {
		return ""
	}
	if labour%1000 != 0 {
		r.fail("hours_"+side, "hours_%s × vnd_per_hour is not a whole number of VND", side)
		return ""
	}
	sum := labour/1000 + parts[1] + parts[2] + parts[3]
	r.check("citizen_"+side+"_vnd", sum == total, "citizen_%s_vnd is %d, its components add up to %d", side, total, sum)
	return fmt.Sprint(perHour, parts)
}

// components reads those of one side that are given; nil where none is.
func (r *row) components(side string) *Components {
	given := func(name string, read func(column string) int64) *int64 {
		column := name + side
		if r.optional(column) == "" {
			return nil
		}
		n := read(column)
		return &n
	}
	amount := func(column string) int64 { return r.integer(column, 0, maxVND) }
	c := Components{
		Thousandths: given("hours_", r.thousandths), Transport: given("transport_", amount), Documents: given("documents_", amount), Fee: given("fee_", amount),
	}
	if c == (Components{}) {
		return nil
	}
	return &c
}

// thousandths reads hours with at most three decimals, so that money stays exact.
func (r *row) thousandths(column string) int64 {
	whole, fraction, _ := strings.Cut(r.optional(column), ".")
	n, err := strconv.ParseUint(whole, 10, 16)
	if len(fraction) > 3 {
		err = strconv.ErrSyntax
	}
	var f uint64
	if err == nil && fraction != "" {
		f, err = strconv.ParseUint((fraction + "000")[:3], 10, 16)
	}
	if err != nil {
		r.fail(column, "%s %q is not a number of hours like 1.25", column, r.optional(column))
	}
	return int64(n*1000 + f)
}

func (c *Coefficients) digest() string {
	h := sha256.New()
	for _, row := range c.rows {
		validTo := ""
		if !row.ValidTo.IsZero() {
			validTo = row.ValidTo.Format(time.DateOnly)
		}
		fmt.Fprintf(h, "%q %s %q %d %d %d %d %q %q %q\n", row.ServiceID, row.ValidFrom.Format(time.DateOnly), validTo,
			row.CitizenOffline, row.CitizenOnline, row.StateOffline, row.StateOnline, row.SourceRef, row.Confidence, row.components)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}
