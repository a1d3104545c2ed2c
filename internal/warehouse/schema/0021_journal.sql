-- What the published values of the KPIs were, by the minute, so that "what did the wall say at 17:00?" has an answer. A row is
-- written when a value has become another one since the row before it, and for every value at the start of each day, so that
-- what stood at a moment is the newest row of its day at or before it. Several processes may write the same minute: of their
-- rows the one of the last publication counts, and of two at the same millisecond always the same one.

CREATE TABLE IF NOT EXISTS kpi_journal
(
    minute       DateTime('Asia/Ho_Chi_Minh') COMMENT 'Moment, a full minute, at which the value stood',
    kpi          LowCardinality(String) COMMENT 'KPI of the catalogue',
    province     LowCardinality(String) COMMENT 'Province in the 34-scheme that the value is of; empty is the nation',
    period       LowCardinality(String) COMMENT 'Named period of the value: today, 7d, month, quarter, ytd, 365d or all',
    value        Nullable(Float64) COMMENT 'Published value in the unit of the KPI; NULL where there was none, or it was suppressed',
    numerator    Nullable(Int64) COMMENT 'Its numerator',
    denominator  Nullable(Int64) COMMENT 'Its denominator',
    baseline     Nullable(Float64) COMMENT 'Official figure that the value was made of, besides what was counted',
    status       LowCardinality(String) COMMENT 'Standing against the thresholds: good, warn, bad, neutral or no_data',
    suppressed   Bool COMMENT 'The value was too small to be shown, or the complement of one that was',
    sensitive    Bool COMMENT 'The definition says that the KPI is sensitive: its national values are for the national scope',
    as_of        DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'as_of of the publication in which the value became this one, or which stood when the row was written',
    revision     String COMMENT 'Ingestion position of that publication',
    definition   LowCardinality(String) COMMENT 'Hash of the definition and of the coefficients that the value was computed by',
    published_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When that publication was made',
    version      UInt64 COMMENT 'Of rows of one value and minute the greatest counts: milliseconds of published_at, then bits of a hash of the row'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(minute)
ORDER BY (kpi, province, period, minute)
TTL minute + INTERVAL 13 MONTH
SETTINGS index_granularity = 1024, ttl_only_drop_parts = 1
COMMENT 'Published values of the KPIs by the minute; kept for 13 months';

-- The journal for analysts, with what the API tells of it. The policy of a province keeps the national values of sensitive KPIs
-- from it (internal/warehouse/views.go). Of a KPI that is sensitive now there is only what was published by the definition of
-- now: by another it may not have been sensitive, and was not suppressed. What now is, is said by the newest rows: each day in
-- which anything was written has one of every KPI for the nation.

CREATE VIEW IF NOT EXISTS published_values
(
    minute       DateTime('Asia/Ho_Chi_Minh') COMMENT 'Moment, a full minute, at which the value stood; it stood until the next row of the day',
    kpi          LowCardinality(String) COMMENT 'KPI of the catalogue',
    province     LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    period       LowCardinality(String) COMMENT 'Named period of the value: today, 7d, month, quarter, ytd, 365d or all',
    value        Nullable(Float64) COMMENT 'Published value in the unit of the KPI; NULL where there was none, or it was suppressed',
    numerator    Nullable(Int64) COMMENT 'Its numerator',
    denominator  Nullable(Int64) COMMENT 'Its denominator',
    baseline     Nullable(Float64) COMMENT 'Official figure that the value was made of, besides what was counted',
    status       LowCardinality(String) COMMENT 'Standing against the thresholds: good, warn, bad, neutral or no_data',
    suppressed   Bool COMMENT 'The value was too small to be shown, or the complement of one that was',
    sensitive    Bool COMMENT 'The KPI is sensitive: its national values are for the national scope',
    as_of        DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'as_of of the publication in which the value became this one, or which stood when the row was written',
    revision     String COMMENT 'Ingestion position of that publication',
    definition   LowCardinality(String) COMMENT 'Hash of the definition and of the coefficients that the value was computed by',
    published_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When that publication was made'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH standing AS
(
    SELECT kpi, argMax(sensitive, version) AS is_sensitive, argMax(definition, version) AS by
    FROM kpi_journal
    WHERE province = '' AND minute >= (SELECT toStartOfDay(max(minute)) FROM kpi_journal)
    GROUP BY kpi
)
SELECT minute, kpi, province, period, value, numerator, denominator, baseline, status, suppressed, sensitive, as_of, revision, definition, published_at
FROM kpi_journal FINAL
WHERE kpi IN (SELECT kpi FROM standing WHERE NOT is_sensitive) OR (kpi, definition) IN (SELECT kpi, by FROM standing WHERE is_sensitive)
COMMENT 'Published values of the KPIs by the minute, as the journal has them: a row where a value became another one, and of every value each day';
