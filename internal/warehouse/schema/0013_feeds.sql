-- Quality of the feeds: what ingestion saw, by hour of receipt, source, province and type. Of the four dimensions
--   đúng (valid) is (accepted + duplicates) / (accepted + rejected + duplicates),
--   đủ (complete) is fields_present / fields_expected,
--   sạch (clean) is 1 - (duplicates + personal) / (accepted + rejected + duplicates),
--   sống (live) is how old accepted events are at arrival: quantiles of age_seconds, weighted by accepted.
-- Ingestion inserts the counts of a range itself, in one block under the range's token: a range has few combinations,
-- so that this costs ClickHouse next to nothing, where a view per raw table would group every row once more. The block
-- says nothing that the range's rows do not say: the view feed_records gives a row for each record that is counted, and
-- feed_quality is its sum below the positions. Rows from before this migration, and of ranges that an older contract
-- judges, have fields_expected = 0 or contract = 0; they are in neither.

ALTER TABLE dossier_events
    ADD COLUMN IF NOT EXISTS fields_expected UInt8 COMMENT 'Fields that such an event should have; 0 when it was not counted' AFTER extra,
    ADD COLUMN IF NOT EXISTS fields_present UInt8 COMMENT 'How many of these it has' AFTER fields_expected;

ALTER TABLE auth_attempts
    ADD COLUMN IF NOT EXISTS fields_expected UInt8 COMMENT 'Fields that such an event should have; 0 when it was not counted' AFTER extra,
    ADD COLUMN IF NOT EXISTS fields_present UInt8 COMMENT 'How many of these it has' AFTER fields_expected;

ALTER TABLE data_queries
    ADD COLUMN IF NOT EXISTS fields_expected UInt8 COMMENT 'Fields that such an event should have; 0 when it was not counted' AFTER extra,
    ADD COLUMN IF NOT EXISTS fields_present UInt8 COMMENT 'How many of these it has' AFTER fields_expected;

ALTER TABLE eid_events
    ADD COLUMN IF NOT EXISTS fields_expected UInt8 COMMENT 'Fields that such an event should have; 0 when it was not counted' AFTER extra,
    ADD COLUMN IF NOT EXISTS fields_present UInt8 COMMENT 'How many of these it has' AFTER fields_expected;

ALTER TABLE register_events
    ADD COLUMN IF NOT EXISTS fields_expected UInt8 COMMENT 'Fields that such an event should have; 0 when it was not counted' AFTER extra,
    ADD COLUMN IF NOT EXISTS fields_present UInt8 COMMENT 'How many of these it has' AFTER fields_expected;

ALTER TABLE dead_letters
    ADD COLUMN IF NOT EXISTS province LowCardinality(String) COMMENT 'Province in the 34-scheme where it was readable and valid, else empty' AFTER source,
    ADD COLUMN IF NOT EXISTS province63 LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split' AFTER province,
    ADD COLUMN IF NOT EXISTS sensitive UInt8 COMMENT '1 when it is about a criminal record or somebody''s health, as far as readable' AFTER province63,
    ADD COLUMN IF NOT EXISTS contract UInt8 COMMENT 'Version of the event contract that judged it; 0 before version 3' AFTER sensitive;

ALTER TABLE skipped_offsets
    ADD COLUMN IF NOT EXISTS type LowCardinality(String) COMMENT 'Event type of a duplicate, without prefix and version' AFTER source,
    ADD COLUMN IF NOT EXISTS province LowCardinality(String) COMMENT 'Province of a duplicate in the 34-scheme; empty is national' AFTER type,
    ADD COLUMN IF NOT EXISTS province63 LowCardinality(String) COMMENT 'Province of a duplicate in the 63-scheme; gso34:<code> where it cannot be split' AFTER province,
    ADD COLUMN IF NOT EXISTS sensitive UInt8 COMMENT '1 when the duplicate is about a criminal record or somebody''s health' AFTER province63,
    ADD COLUMN IF NOT EXISTS contract UInt8 COMMENT 'Version of the event contract that judged a duplicate; 0 before version 3 and on gaps' AFTER sensitive;

CREATE TABLE IF NOT EXISTS feed_quality
(
    hour            DateTime('Asia/Ho_Chi_Minh') COMMENT 'Hour of receipt; 1970-01-01 on position rows',
    source          LowCardinality(String) COMMENT 'CloudEvents source; empty where it was not readable',
    province        LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national, or not readable',
    province63      LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    type            LowCardinality(String) COMMENT 'Event type without prefix and version; empty where it was not readable',
    sensitive       UInt8 COMMENT '1 for events about criminal records or somebody''s health; analysts do not see them',
    age_seconds     UInt32 COMMENT 'Age of accepted events at arrival in seconds, rounded up to 1 to 8, 10, 12, 14, 16, 20, 24, and so on, four steps to each power of two; 0 on other rows',
    topic           LowCardinality(String) COMMENT 'Topic of a position row; empty on counts',
    partition       UInt32 COMMENT 'Partition of a position row',
    accepted        SimpleAggregateFunction(sum, UInt64) COMMENT 'Events accepted',
    rejected        SimpleAggregateFunction(sum, UInt64) COMMENT 'Records rejected',
    personal        SimpleAggregateFunction(sum, UInt64) COMMENT 'Of these, rejected for personal_data or sensitive_identity',
    duplicates      SimpleAggregateFunction(sum, UInt64) COMMENT 'Events that had come before',
    fields_expected SimpleAggregateFunction(sum, UInt64) COMMENT 'Fields that the accepted events should have',
    fields_present  SimpleAggregateFunction(sum, UInt64) COMMENT 'How many of these they have',
    late            SimpleAggregateFunction(sum, UInt64) COMMENT 'Accepted events more than 24 hours old at arrival',
    future          SimpleAggregateFunction(sum, UInt64) COMMENT 'Accepted events more than a minute ahead of the clock (and 5 minutes at most)',
    position        SimpleAggregateFunction(max, UInt64) COMMENT 'Offset after the last one counted'
)
ENGINE = AggregatingMergeTree
ORDER BY (hour, source, province, province63, type, sensitive, age_seconds, topic, partition)
TTL hour + INTERVAL 13 MONTH DELETE WHERE topic = ''
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Quality of the feeds by hour of receipt, source, province and type, kept 13 months';

CREATE VIEW IF NOT EXISTS feed_records
(
    hour            DateTime('Asia/Ho_Chi_Minh') COMMENT 'Hour of receipt',
    source          LowCardinality(String) COMMENT 'CloudEvents source; empty where it was not readable',
    province        LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national, or not readable',
    province63      LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    type            LowCardinality(String) COMMENT 'Event type without prefix and version; empty where it was not readable',
    sensitive       UInt8 COMMENT '1 for events about criminal records or somebody''s health',
    age_seconds     UInt32 COMMENT 'Age of an accepted event at arrival in seconds, rounded up as in feed_quality; 0 on others',
    topic           LowCardinality(String) COMMENT 'Kafka topic (incarnation)',
    partition       UInt32 COMMENT 'Kafka partition',
    offset          UInt64 COMMENT 'Kafka offset',
    accepted        UInt64 COMMENT '1 for an accepted event',
    rejected        UInt64 COMMENT '1 for a rejected record',
    personal        UInt64 COMMENT '1 for one rejected for personal_data or sensitive_identity',
    duplicates      UInt64 COMMENT '1 for an event that had come before',
    fields_expected UInt64 COMMENT 'Fields that an accepted event should have',
    fields_present  UInt64 COMMENT 'How many of these it has',
    late            UInt64 COMMENT '1 for an accepted event more than 24 hours old at arrival',
    future          UInt64 COMMENT '1 for an accepted event more than a minute ahead of the clock'
)
AS
WITH toUInt64(intDiv(greatest(age_ms, 1) + 999, 1000)) AS seconds,
    toUInt64(exp2(greatest(floor(log2(greatest(seconds, 2) - 1)) - 2, 0))) AS step
SELECT toStartOfHour(toDateTime(received_at, 'Asia/Ho_Chi_Minh')) AS hour, source, province, province63, type,
    toUInt8(about OR startsWith(source, '/health_book/')) AS sensitive,
    toUInt32(if(outcome = 'accepted', intDiv(seconds + step - 1, step) * step, 0)) AS age_seconds,
    topic, partition, offset,
    toUInt64(outcome = 'accepted') AS accepted, toUInt64(outcome = 'rejected') AS rejected, toUInt64(is_personal) AS personal,
    toUInt64(outcome = 'duplicate') AS duplicates, toUInt64(expected) AS fields_expected, toUInt64(present) AS fields_present,
    toUInt64(outcome = 'accepted' AND age_ms > 86400000) AS late, toUInt64(outcome = 'accepted' AND age_ms < -60000) AS future
FROM
(
    SELECT 'accepted' AS outcome, received_at, source, province, province63, type, (service_id = 'DA06-22') AS about, 0 AS is_personal,
        toUnixTimestamp64Milli(received_at) - toUnixTimestamp64Milli(occurred_at) AS age_ms, fields_expected AS expected, fields_present AS present, topic, partition, offset
    FROM dossier_events WHERE dossier_events.fields_expected > 0
    UNION ALL
    SELECT 'accepted' AS outcome, received_at, source, province, province63, type, (service_id = 'DA06-22') AS about, 0 AS is_personal,
        toUnixTimestamp64Milli(received_at) - toUnixTimestamp64Milli(occurred_at) AS age_ms, fields_expected AS expected, fields_present AS present, topic, partition, offset
    FROM auth_attempts WHERE auth_attempts.fields_expected > 0
    UNION ALL
    SELECT 'accepted' AS outcome, received_at, source, province, province63, type, (service_id = 'DA06-22') AS about, 0 AS is_personal,
        toUnixTimestamp64Milli(received_at) - toUnixTimestamp64Milli(occurred_at) AS age_ms, fields_expected AS expected, fields_present AS present, topic, partition, offset
    FROM data_queries WHERE data_queries.fields_expected > 0
    UNION ALL
    SELECT 'accepted' AS outcome, received_at, source, province, province63, type, (service_id = 'DA06-22' OR document_kind IN ('health_book', 'judicial_record')) AS about, 0 AS is_personal,
        toUnixTimestamp64Milli(received_at) - toUnixTimestamp64Milli(occurred_at) AS age_ms, fields_expected AS expected, fields_present AS present, topic, partition, offset
    FROM eid_events WHERE eid_events.fields_expected > 0
    UNION ALL
    SELECT 'accepted' AS outcome, received_at, source, province, province63, type, (service_id = 'DA06-22') AS about, 0 AS is_personal,
        toUnixTimestamp64Milli(received_at) - toUnixTimestamp64Milli(occurred_at) AS age_ms, fields_expected AS expected, fields_present AS present, topic, partition, offset
    FROM register_events WHERE register_events.fields_expected > 0
    UNION ALL
    SELECT 'rejected' AS outcome, received_at, source, province, province63,
        toLowCardinality(replaceRegexpOne(replaceRegexpOne(toString(dead_letters.type), '^vn\\.da06\\.', ''), '\\.v1$', '')) AS type, sensitive = 1 AS about,
        reason IN ('personal_data', 'sensitive_identity') AS is_personal, 0 AS age_ms, 0 AS expected, 0 AS present, topic, partition, offset
    FROM dead_letters WHERE contract >= 3
    UNION ALL
    SELECT 'duplicate' AS outcome, received_at, source, province, province63, type, sensitive = 1 AS about, 0 AS is_personal, 0 AS age_ms, 0 AS expected, 0 AS present,
        topic, partition, last_offset AS offset
    FROM skipped_offsets WHERE kind = 'duplicate' AND contract >= 3
)
COMMENT 'A row for each record that feed_quality counts';

CREATE VIEW IF NOT EXISTS feeds
(
    hour            DateTime('Asia/Ho_Chi_Minh') COMMENT 'Hour of receipt',
    source          LowCardinality(String) COMMENT 'CloudEvents source, /<system>/<org>; empty where it was not readable',
    province        LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national, or not readable',
    province63      LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    type            LowCardinality(String) COMMENT 'Event type without prefix and version; empty where it was not readable',
    age_seconds     UInt32 COMMENT 'Age of the accepted events at arrival in seconds, rounded up by less than a quarter; 0 on rows without any',
    accepted        UInt64 COMMENT 'Events accepted',
    rejected        UInt64 COMMENT 'Records rejected',
    personal        UInt64 COMMENT 'Of these, rejected for personal data',
    duplicates      UInt64 COMMENT 'Events that had come before',
    fields_expected UInt64 COMMENT 'Fields that the accepted events should have',
    fields_present  UInt64 COMMENT 'How many of these they have',
    late            UInt64 COMMENT 'Accepted events more than 24 hours old at arrival',
    future          UInt64 COMMENT 'Accepted events more than a minute ahead of the clock (and 5 minutes at most)'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT hour, source, province, province63, type, age_seconds, accepted, rejected, personal, duplicates, fields_expected, fields_present, late, future
FROM feed_quality
WHERE topic = '' AND sensitive = 0
COMMENT 'Quality of the feeds by hour of receipt: counts to be summed; sensitive events are left out';
