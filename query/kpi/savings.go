package kpi

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ioc.local/internal/reference"
)

// savingsSource is the source of dossiers that save.
const savingsSource = "dossier_savings"

// SavingsExplanation says how the saving of one service on one day comes about: what one dossier saves, times the dossiers.
type SavingsExplanation struct {
	Service  string `json:"service"`
	Name     Text   `json:"name"`
	Day      string `json:"day"`                // A date, in Asia/Ho_Chi_Minh.
	Province string `json:"province,omitempty"` // Code of the 34-scheme; empty is the nation.
	Place    *Text  `json:"place,omitempty"`    // Name of the province.
	// Coefficient is the one in force on the day; nil when there is none, and then each dossier saves 0.
	Coefficient *SavingsCoefficient `json:"coefficient"`
	// Version is that of the whole table of coefficients, as answers show it in a note, and File the table's file.
	Version string `json:"coefficient_version"`
	File    string `json:"coefficient_file"`
	// Unit is what one dossier saves, in VND.
	Unit int64 `json:"unit_saving_vnd"`
	// Dossiers are the online dossiers whose first status 9 or 10 falls on the day, unless a status 3, 7 or 8 came before it.
	Dossiers int64 `json:"dossiers"`
	// Saving is Unit times Dossiers, in VND: what savings_vnd_year counts of them.
	Saving       int64  `json:"saving_vnd"`
	AsOf         Time   `json:"as_of"`
	Revision     string `json:"revision"`
	Illustrative bool   `json:"illustrative"` // The data holds simulated events.
}

// SavingsCoefficient is a coefficient with its components, as far as they are given.
type SavingsCoefficient struct {
	ValidFrom  string      `json:"valid_from"`
	ValidTo    *string     `json:"valid_to"` // Last day; nil is open.
	SourceRef  string      `json:"source_ref"`
	Confidence string      `json:"confidence"`
	Example    bool        `json:"example"` // It is no official figure.
	Line       int         `json:"line"`    // In the file.
	VNDPerHour *int64      `json:"vnd_per_hour"`
	Offline    SavingsSide `json:"offline"` // At the counter.
	Online     SavingsSide `json:"online"`
}

// SavingsSide is what one dossier costs at the counter, or online, in VND. Components that are not given are nil.
type SavingsSide struct {
	Citizen   int64    `json:"citizen_vnd"`
	State     int64    `json:"state_vnd"`
	Hours     *float64 `json:"hours"`
	Labour    *int64   `json:"labour_vnd"` // Hours times VNDPerHour.
	Transport *int64   `json:"transport_vnd"`
	Documents *int64   `json:"documents_vnd"`
	Fee       *int64   `json:"fee_vnd"`
}

// ExplainSavings explains what the dossiers of a service saved on the day, a date in Asia/Ho_Chi_Minh, in a province of the
// 34-scheme or, where that is empty, in the nation. It counts both at one position. Errors about the question and the warehouse are *Error.
func (e *Evaluator) ExplainSavings(ctx context.Context, service string, day time.Time, province string) (*SavingsExplanation, error) {
	day = dayStart(day)
	x := &SavingsExplanation{
		Service: service, Day: day.Format(time.DateOnly), Province: province, Version: e.coefficients, File: e.deps.Coefficients.File(),
	}
	known, ok := e.deps.Catalogue.places.Service(service)
	if !ok {
		return nil, badRequest("service", "%q is no essential service, such as DA06-03", service)
	}
	if slices.Contains(sensitiveCodes()["service"].codes, service) {
		return nil, badRequest("service", "%s is sensitive: its dossiers of a day are told to nobody", service)
	}
	x.Name = Text{VI: known.NameVI, EN: known.NameEN}
	if province != "" {
		place, ok := e.deps.Catalogue.places.Province34(province)
		if !ok {
			return nil, badRequest("province", "has no code %q", province)
		}
		x.Place = &Text{VI: place.NameVI, EN: place.NameEN}
	}
	if today := dayStart(e.deps.Now()); day.Before(beginning) || day.After(today) {
		return nil, badRequest("day", "must be from %s to today, %s", beginning.Format(time.DateOnly), today.Format(time.DateOnly))
	}
	if c, ok := e.deps.Coefficients.At(service, day); ok {
		x.Coefficient, x.Unit = explainCoefficient(c), c.Saving()
	}
	if err := e.countSavings(ctx, x, day); err != nil {
		return nil, err
	}
	return x, nil
}

// countSavings counts the dossiers and their saving with one statement, and holds the one against the other.
func (e *Evaluator) countSavings(ctx context.Context, x *SavingsExplanation, day time.Time) error {
	src := e.deps.Catalogue.sources[savingsSource]
	qs := make([]*question, 0, 2)
	for _, measure := range []string{"dossiers", "saving_vnd"} {
		sum, err := parseExpression("sum("+measure+")", src)
		if err != nil {
			return fmt.Errorf("explaining savings: %w", err)
		}
		q := &question{
			Query: Query{KPI: "savings of a day: " + measure, From: day, To: day.AddDate(0, 0, 1), Filters: map[string][]string{"service": {x.Service}},
				Scheme: SchemeGSO34, Scope: Scope{National: true}},
			def: &Definition{ID: measure, Kind: KindSum, Source: src.name, source: src, numerator: sum},
		}
		if x.Province != "" {
			q.provinces = []string{x.Province}
		}
		qs = append(qs, q)
	}
	read, err := e.readPositions(ctx, []string{src.name})
	if err != nil {
		return err
	}
	all, err := e.tallyAll(ctx, qs, read)
	if err != nil {
		return err
	}
	if all[0].total.hidden || all[1].total.hidden {
		return badRequest("service", "%s is not told of that day and place: it would give away a small number of judicial records", x.Service)
	}
	if err := e.lookForSimulated(ctx); err != nil {
		return err
	}
	at := all[0].timing
	x.Dossiers, x.Saving = all[0].total.numerator, all[1].total.numerator
	x.AsOf, x.Revision, x.Illustrative = Time{at.asOf}, all[0].positions.revision(at.asOf, at.clockBound), e.illustrative.Load()
	if x.Saving != x.Dossiers*x.Unit {
		return fmt.Errorf("explaining savings: %d dossiers at %d VND are not the %d VND that were counted", x.Dossiers, x.Unit, x.Saving)
	}
	return nil
}

func explainCoefficient(c reference.Coefficient) *SavingsCoefficient {
	x := &SavingsCoefficient{
		ValidFrom: c.ValidFrom.Format(time.DateOnly), SourceRef: c.SourceRef, Confidence: c.Confidence, Example: isExample(c), Line: c.Line,
		VNDPerHour: c.VNDPerHour,
		Offline:    explainSide(c.CitizenOffline, c.StateOffline, c.Offline, c.VNDPerHour), Online: explainSide(c.CitizenOnline, c.StateOnline, c.Online, c.VNDPerHour),
	}
	if !c.ValidTo.IsZero() {
		x.ValidTo = pointer(c.ValidTo.Format(time.DateOnly))
	}
	return x
}

func explainSide(citizen, state int64, c *reference.Components, perHour *int64) SavingsSide {
	side := SavingsSide{Citizen: citizen, State: state}
	if c == nil {
		return side
	}
	side.Transport, side.Documents, side.Fee = c.Transport, c.Documents, c.Fee
	if c.Thousandths != nil {
		side.Hours, side.Labour = pointer(float64(*c.Thousandths)/1000), pointer(c.Labour(perHour))
	}
	return side
}

// isExample says whether the coefficient calls itself an example.
func isExample(c reference.Coefficient) bool { return strings.HasPrefix(c.Confidence, "example") }
