-- Reference data that analysts join, filled from the embedded files by `ioc schema apply` and at every start.
-- Coefficients carry the version of their file, so that two can stand side by side.

CREATE TABLE IF NOT EXISTS provinces
(
    scheme   Enum8('gso63' = 1, 'gso34' = 2) COMMENT 'Administrative scheme',
    code     LowCardinality(String) COMMENT 'Two-digit code within the scheme',
    name_vi  String COMMENT 'Vietnamese name',
    name_en  String COMMENT 'English name',
    province LowCardinality(String) COMMENT 'Code in the 34-scheme'
)
ENGINE = ReplacingMergeTree ORDER BY (scheme, code)
COMMENT 'Provinces of both schemes (QD 19/2025/QD-TTg, NQ 202/2025/QH15)';

CREATE TABLE IF NOT EXISTS services
(
    service_id LowCardinality(String) COMMENT 'DA06-01 .. DA06-25',
    name_vi    String COMMENT 'Vietnamese name',
    name_en    String COMMENT 'English name',
    ministry   String COMMENT 'Ministry in charge'
)
ENGINE = ReplacingMergeTree ORDER BY service_id
COMMENT 'The 25 essential services of Project 06';

CREATE TABLE IF NOT EXISTS savings_coefficients
(
    version    LowCardinality(String) COMMENT 'Hash of the coefficient file',
    service_id LowCardinality(String) COMMENT 'Essential service',
    valid_from Date COMMENT 'First day in force',
    valid_to   Date COMMENT 'Last day in force; 2149-06-06 is open',
    saving_vnd Int64 COMMENT 'Saving per dossier in VND (Circular 02/2017/TT-VPCP, Article 27)',
    source_ref String COMMENT 'Source of the row',
    confidence LowCardinality(String) COMMENT 'How sure the source is; example rows say so'
)
ENGINE = ReplacingMergeTree ORDER BY (version, service_id, valid_from)
COMMENT 'Savings per dossier by service and period';

CREATE TABLE IF NOT EXISTS working_calendar
(
    day     Date COMMENT 'Calendar day',
    working UInt8 COMMENT '1 on working days',
    ordinal UInt32 COMMENT 'Working days up to and including this day, since the start of the calendar'
)
ENGINE = ReplacingMergeTree ORDER BY day
COMMENT 'Working days: Monday to Friday without public holidays';
