package sql

import (
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"

	"ioc.local/query/kpi"
	"ioc.local/query/sql/sandbox"
)

// kpiColumns are the columns of kpi_values, in the order of kpiRow.
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

// kpiRow is a published value as a row of kpi_values.
func kpiRow(v kpi.PublishedValue) []any {
	baseline, baselineAsOf, _, _ := figureColumns(v.Baseline)
	official, officialAsOf, source, qualifier := figureColumns(v.Official)
	return []any{
		v.KPI, v.Province, v.Period, v.Unit, v.Value, v.Numerator, v.Denominator, string(v.Status), v.AsOf.Time, v.Revision,
		uint32(v.Coverage.Reporting), uint32(v.Coverage.Expected), baseline, baselineAsOf, official, officialAsOf, source, qualifier,
		v.Illustrative, v.Suppressed,
	}
}

// figureColumns are the columns of an official figure; null and empty where there is none.
func figureColumns(b *kpi.Baseline) (value *float64, asOf *time.Time, source, qualifier string) {
	if b == nil {
		return nil, nil, "", ""
	}
	if day, err := time.Parse(time.DateOnly, b.AsOf); err == nil {
		asOf = &day
	}
	return &b.Value, asOf, b.Source, b.Qualifier
}

// kpiTable makes the table that is sent with a statement.
func kpiTable(values []kpi.PublishedValue) (*ext.Table, error) {
	var columns []func(*ext.Table) error
	for _, c := range kpiColumns {
		columns = append(columns, ext.Column(c.name, c.typ))
	}
	table, err := ext.NewTable(sandbox.KPIValues, columns...)
	if err != nil {
		return nil, fmt.Errorf("making the table %s: %w", sandbox.KPIValues, err)
	}
	for _, v := range values {
		if err := table.Append(kpiRow(v)...); err != nil {
			return nil, fmt.Errorf("making the table %s: %w", sandbox.KPIValues, err)
		}
	}
	return table, nil
}
