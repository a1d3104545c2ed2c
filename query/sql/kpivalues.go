package sql

import (
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"

	"ioc.local/query/sql/sandbox"
)

// KPIValue is a row of the table kpi_values: one KPI's current value over one period in one place.
type KPIValue struct {
	KPI      string
	Province string // Code of the 34-scheme; empty is national.
	Period   string
	Unit     string
	Value    *float64 // nil without data, and where it is suppressed
	// Numerator and Denominator are nil where the value has none.
	Numerator, Denominator *int64
	Status                 string
	AsOf                   time.Time
	Revision               string
	Reporting, Expected    uint32 // Coverage.
	Baseline               *float64
	BaselineAsOf           *time.Time
	Official               *float64 // Newest official figure, with its date, document and qualifier.
	OfficialAsOf           *time.Time
	OfficialSource         string
	OfficialQualifier      string
	Illustrative           bool // It counts simulated events.
	Suppressed             bool
}

// kpiColumns are the columns of kpi_values, in the order of row.
var kpiColumns = []struct {
	name string
	typ  column.Type
}{
	{"kpi", "LowCardinality(String)"}, {"province", "LowCardinality(String)"}, {"period", "LowCardinality(String)"}, {"unit", "LowCardinality(String)"},
	{"value", "Nullable(Float64)"}, {"numerator", "Nullable(Int64)"}, {"denominator", "Nullable(Int64)"}, {"status", "LowCardinality(String)"},
	{"as_of", "DateTime64(3, 'Asia/Ho_Chi_Minh')"}, {"revision", "String"}, {"reporting", "UInt32"}, {"expected", "UInt32"},
	{"baseline", "Nullable(Float64)"}, {"baseline_as_of", "Nullable(Date)"},
	{"official", "Nullable(Float64)"}, {"official_as_of", "Nullable(Date)"}, {"official_source", "String"}, {"official_qualifier", "LowCardinality(String)"},
	{"illustrative", "Bool"}, {"suppressed", "Bool"},
}

func (v KPIValue) row() []any {
	return []any{
		v.KPI, v.Province, v.Period, v.Unit, v.Value, v.Numerator, v.Denominator, v.Status, v.AsOf, v.Revision, v.Reporting, v.Expected,
		v.Baseline, v.BaselineAsOf, v.Official, v.OfficialAsOf, v.OfficialSource, v.OfficialQualifier, v.Illustrative, v.Suppressed,
	}
}

// kpiTable makes the table that is sent with a statement.
func kpiTable(values []KPIValue) (*ext.Table, error) {
	var columns []func(*ext.Table) error
	for _, c := range kpiColumns {
		columns = append(columns, ext.Column(c.name, c.typ))
	}
	table, err := ext.NewTable(sandbox.KPIValues, columns...)
	if err != nil {
		return nil, fmt.Errorf("making the table %s: %w", sandbox.KPIValues, err)
	}
	for _, v := range values {
		if err := table.Append(v.row()...); err != nil {
			return nil, fmt.Errorf("making the table %s: %w", sandbox.KPIValues, err)
		}
	}
	return table, nil
}
