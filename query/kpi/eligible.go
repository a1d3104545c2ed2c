package kpi

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
)

// catalogueSource is the source of what is said about services and procedures.
const catalogueSource = "service_catalogue"

// eligibleSQL is, of a dossier, whether its procedure can be offered as a full process: the condition full_eligible. The
// table that goes with the statement names the procedures and services, where only a province says so after its code and a space.
const eligibleSQL = "if(procedure_code IN eligible OR service_id IN eligible OR concat(province, ' ', procedure_code) IN eligible OR concat(province, ' ', service_id) IN eligible, 'yes', 'no')"

// withEligible sends what is eligible with a statement that asks for it. It is a table, as ClickHouse takes longer to read and plan
// some thousand literals than to find them.
func (p *plan) withEligible(ctx context.Context, sql string) (context.Context, error) {
	if !strings.Contains(sql, eligibleSQL) {
		return ctx, nil
	}
	codes, err := ext.NewTable("eligible", ext.Column("code", "String"))
	if err != nil {
		return nil, fmt.Errorf("building the table of eligible procedures: %w", err)
	}
	for _, code := range p.eligible {
		if err := codes.Append(code); err != nil {
			return nil, fmt.Errorf("building the table of eligible procedures: %w", err)
		}
	}
	return clickhouse.Context(ctx, clickhouse.WithExternalTable(codes)), nil
}

// asksEligible says whether the definition counts dossiers by what the service catalogue says of their procedure.
func (d *Definition) asksEligible() bool { return d.source.form == rollup && d.names(eligibleCodes) }

// besides are the sources that the values of the KPI depend on besides its own.
func (d *Definition) besides() []string {
	var names []string
	if d.Metric != "" && d.source.form != reports {
		names = append(names, figureSource)
	}
	if d.asksEligible() {
		names = append(names, catalogueSource)
	}
	if d.asksUse() {
		names = append(names, dossierSource)
	}
	return names
}

// eligibleBelow are the procedures and services that the catalogue, below the positions and before the moment end (zero is
// no bound), says can be offered as a full process. What the nation's entries say of one counts before what a province says of its own.
func (e *Evaluator) eligibleBelow(ctx context.Context, read *reading, end time.Time) ([]string, error) {
	src := e.deps.Catalogue.sources[catalogueSource]
	entries, err := e.readRegister(ctx, src.statement(), read)
	if err != nil {
		return nil, err
	}
	at := 1 + slices.Index(src.register.names(), eligibleCodes)
	said := map[string]string{} // the last word on each, of the nation and of each province
	for i := range entries {
		entry := &entries[i]
		item := entry.texts[0]
		if !end.IsZero() && !entry.at.Before(end) || item == "" || entry.texts[at] == src.codes[eligibleCodes][0] {
			continue
		}
		if entry.province != "" {
			item = entry.province + " " + item
		}
		said[item] = entry.texts[at]
	}
	var eligible []string
	for item, word := range said {
		_, alone, ofProvince := strings.Cut(item, " ")
		if word == "yes" && (!ofProvince || said[alone] != "no") {
			eligible = append(eligible, item)
		}
	}
	slices.Sort(eligible)
	return eligible, nil
}
