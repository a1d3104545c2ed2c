-- Rollups of counted facts. Besides the counts, every rollup holds one position row per
-- topic and partition (topic is not empty there): the offset after the last one counted,
-- and the greatest event time. A batch writes its counts and its position in one part, so a
-- query that reads both from one table sees exactly the events below that position:
-- this is what `revision` and `as_of` of an answer are made of.

CREATE TABLE IF NOT EXISTS auth_minutes
(
    minute     DateTime('Asia/Ho_Chi_Minh') COMMENT 'Minute of the attempts; 1970-01-01 on position rows',
    province   LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63 LowCardinality(String) COMMENT 'Province in the 63-scheme',
    service_id LowCardinality(String) COMMENT 'Essential service',
    outcome    Enum8('none' = 0, 'success' = 1, 'wrong_credential' = 2, 'expired' = 3, 'locked' = 4, 'no_match' = 5, 'level_too_low' = 6, 'user_cancelled' = 7, 'timeout' = 8, 'system_error' = 9) COMMENT 'Outcome of the attempts',
    topic      LowCardinality(String) COMMENT 'Topic of a position row; empty on counts',
    partition  UInt32 COMMENT 'Partition of a position row',
    n          SimpleAggregateFunction(sum, UInt64) COMMENT 'Number of attempts',
    position   SimpleAggregateFunction(max, UInt64) COMMENT 'Offset after the last one counted',
    latest     SimpleAggregateFunction(max, DateTime64(3, 'Asia/Ho_Chi_Minh')) COMMENT 'Greatest event time'
)
ENGINE = AggregatingMergeTree
ORDER BY (minute, province, province63, service_id, outcome, topic, partition)
TTL minute + INTERVAL 13 MONTH DELETE WHERE topic = ''
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Authentication attempts by minute, kept 13 months';

CREATE MATERIALIZED VIEW IF NOT EXISTS auth_minutes_mv TO auth_minutes AS
SELECT
    toStartOfMinute(toDateTime(occurred_at, 'Asia/Ho_Chi_Minh')) AS minute, province, province63, service_id, outcome, topic, partition,
    count() AS n, max(offset) + 1 AS position, max(occurred_at) AS latest
FROM auth_attempts
GROUP BY GROUPING SETS ((minute, province, province63, service_id, outcome), (topic, partition));

CREATE TABLE IF NOT EXISTS auth_days
(
    day             Date COMMENT 'Day of the attempts (Asia/Ho_Chi_Minh); 1970-01-01 on position rows',
    province        LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63      LowCardinality(String) COMMENT 'Province in the 63-scheme',
    service_id      LowCardinality(String) COMMENT 'Essential service',
    relying_party   LowCardinality(String) COMMENT 'Agency that asked for the authentication',
    assurance_level UInt8 COMMENT 'Assurance level 1..4',
    outcome         Enum8('none' = 0, 'success' = 1, 'wrong_credential' = 2, 'expired' = 3, 'locked' = 4, 'no_match' = 5, 'level_too_low' = 6, 'user_cancelled' = 7, 'timeout' = 8, 'system_error' = 9) COMMENT 'Outcome of the attempts',
    topic           LowCardinality(String) COMMENT 'Topic of a position row; empty on counts',
    partition       UInt32 COMMENT 'Partition of a position row',
    n               SimpleAggregateFunction(sum, UInt64) COMMENT 'Number of attempts',
    position        SimpleAggregateFunction(max, UInt64) COMMENT 'Offset after the last one counted',
    latest          SimpleAggregateFunction(max, DateTime64(3, 'Asia/Ho_Chi_Minh')) COMMENT 'Greatest event time'
)
ENGINE = AggregatingMergeTree
ORDER BY (day, province, province63, service_id, relying_party, assurance_level, outcome, topic, partition)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Authentication attempts by day, kept for ever';

CREATE MATERIALIZED VIEW IF NOT EXISTS auth_days_mv TO auth_days AS
SELECT
    toDate(occurred_at, 'Asia/Ho_Chi_Minh') AS day, province, province63, service_id, relying_party, assurance_level, outcome, topic, partition,
    count() AS n, max(offset) + 1 AS position, max(occurred_at) AS latest
FROM auth_attempts
GROUP BY GROUPING SETS ((day, province, province63, service_id, relying_party, assurance_level, outcome), (topic, partition));

CREATE TABLE IF NOT EXISTS source_activity
(
    family    LowCardinality(String) COMMENT 'Raw table that the events are in',
    source    LowCardinality(String) COMMENT 'CloudEvents source; empty on position rows',
    province  LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    topic     LowCardinality(String) COMMENT 'Topic of a position row; empty otherwise',
    partition UInt32 COMMENT 'Partition of a position row',
    n         SimpleAggregateFunction(sum, UInt64) COMMENT 'Number of events',
    position  SimpleAggregateFunction(max, UInt64) COMMENT 'Offset after the last one counted',
    latest    SimpleAggregateFunction(max, DateTime64(3, 'Asia/Ho_Chi_Minh')) COMMENT 'Greatest event time'
)
ENGINE = AggregatingMergeTree
ORDER BY (family, source, province, topic, partition)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Newest event of each source and province, for freshness and silence';

CREATE MATERIALIZED VIEW IF NOT EXISTS dossier_activity_mv TO source_activity AS
SELECT 'dossier_events' AS family, source, province, topic, partition,
    count() AS n, max(offset) + 1 AS position, max(occurred_at) AS latest
FROM dossier_events GROUP BY GROUPING SETS ((source, province), (topic, partition));

CREATE MATERIALIZED VIEW IF NOT EXISTS auth_activity_mv TO source_activity AS
SELECT 'auth_attempts' AS family, source, province, topic, partition,
    count() AS n, max(offset) + 1 AS position, max(occurred_at) AS latest
FROM auth_attempts GROUP BY GROUPING SETS ((source, province), (topic, partition));

CREATE MATERIALIZED VIEW IF NOT EXISTS register_activity_mv TO source_activity AS
SELECT 'register_events' AS family, source, province, topic, partition,
    count() AS n, max(offset) + 1 AS position, max(occurred_at) AS latest
FROM register_events GROUP BY GROUPING SETS ((source, province), (topic, partition));
