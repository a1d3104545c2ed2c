-- How long authentications take, as histograms: how many attempts of a minute, and of a day, and a province took how many
-- milliseconds. A histogram is integers, so it adds up, merges and can be taken out again like a count; a sketch could not be.
--
-- Its steps are those of an HDR histogram: up to 127 ms exact, above that 64 to each power of two, so that the upper bound of
-- a step is less than 1/64 above any time in it. A step has the name of its upper bound, in milliseconds: of x it is
-- bitOr(x, greatest(bitShiftRight(roundToExp2(x), 6), 1) - 1). Attempts without a latency (-1) are in n and in no histogram.
--
-- Whatever these views cost is added to each insert of authentications, so:
--   A row holds a whole histogram. A row for each step costs several times as much: sorted, merged and written one by one.
--   Rows are grouped by numbers, as in 0018.
--   There is no relying party and no means of authentication: with them nearly every attempt would be a step of its own.
-- What was ingested before this migration is counted by `ioc verify --rebuild auth_latency,auth_latency_days`.

CREATE TABLE IF NOT EXISTS auth_latency
(
    minute     DateTime('Asia/Ho_Chi_Minh') COMMENT 'Minute of the attempts; 1970-01-01 on position rows',
    province   LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63 LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    topic      LowCardinality(String) COMMENT 'Topic of a position row; empty on counts',
    partition  UInt32 COMMENT 'Partition of a position row',
    n          SimpleAggregateFunction(sum, Int64) COMMENT 'Number of attempts, those without a latency too',
    latencies  SimpleAggregateFunction(sumMap, Map(UInt32, Int64)) COMMENT 'Number of attempts by the upper bound, in milliseconds, of the step that their latency is in',
    position   SimpleAggregateFunction(max, UInt64) COMMENT 'Offset after the last one counted',
    latest     SimpleAggregateFunction(max, DateTime64(3, 'Asia/Ho_Chi_Minh')) COMMENT 'Greatest event time'
)
ENGINE = AggregatingMergeTree
ORDER BY (minute, province, province63, topic, partition)
TTL minute + INTERVAL 13 MONTH DELETE WHERE topic = ''
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Latency of authentication attempts by minute, as histograms, kept 13 months';

-- Nothing that is voided by now is in it.
INSERT INTO auth_latency (minute, topic, position)
SELECT toDateTime(0, 'Asia/Ho_Chi_Minh'), '~void', max(batch) FROM voided WHERE family = 'auth_attempts' AND (SELECT count() FROM auth_latency) = 0 HAVING max(batch) > 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS auth_latency_mv TO auth_latency AS
SELECT minute, reinterpretAsString(place) AS province, reinterpretAsString(place63) AS province63, log AS topic, partition, sum(c) AS n,
    if(log = '', mapFromArrays(groupArrayIf(toUInt32(step), step >= 0), groupArrayIf(c, step >= 0)), map()) AS latencies, max(p) AS position, max(l) AS latest
FROM (
    SELECT toStartOfMinute(toDateTime(occurred_at, 'Asia/Ho_Chi_Minh')) AS minute, CAST(reinterpretAsUInt32(province), 'UInt32') AS place, CAST(reinterpretAsUInt64(province63), 'UInt64') AS place63,
        toInt32(bitOr(latency_ms, greatest(bitShiftRight(roundToExp2(latency_ms), 6), 1) - 1)) AS step, CAST(sipHash64(topic), 'UInt64') AS hash, partition,
        any(topic) AS log, toInt64(count()) AS c, max(offset) + 1 AS p, max(occurred_at) AS l
    FROM auth_attempts
    GROUP BY minute, place, place63, step, hash, partition)
GROUP BY GROUPING SETS ((minute, place, place63), (log, partition));

CREATE TABLE IF NOT EXISTS auth_latency_days
(
    day        Date COMMENT 'Day of the attempts (Asia/Ho_Chi_Minh); 1970-01-01 on position rows',
    province   LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63 LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    topic      LowCardinality(String) COMMENT 'Topic of a position row; empty on counts',
    partition  UInt32 COMMENT 'Partition of a position row',
    n          SimpleAggregateFunction(sum, Int64) COMMENT 'Number of attempts, those without a latency too',
    latencies  SimpleAggregateFunction(sumMap, Map(UInt32, Int64)) COMMENT 'Number of attempts by the upper bound, in milliseconds, of the step that their latency is in',
    position   SimpleAggregateFunction(max, UInt64) COMMENT 'Offset after the last one counted',
    latest     SimpleAggregateFunction(max, DateTime64(3, 'Asia/Ho_Chi_Minh')) COMMENT 'Greatest event time'
)
ENGINE = AggregatingMergeTree
ORDER BY (day, province, province63, topic, partition)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Latency of authentication attempts by day, as histograms, kept for ever';

-- Nothing that is voided by now is in it.
INSERT INTO auth_latency_days (day, topic, position)
SELECT toDate(0), '~void', max(batch) FROM voided WHERE family = 'auth_attempts' AND (SELECT count() FROM auth_latency_days) = 0 HAVING max(batch) > 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS auth_latency_days_mv TO auth_latency_days AS
SELECT day, reinterpretAsString(place) AS province, reinterpretAsString(place63) AS province63, log AS topic, partition, sum(c) AS n,
    if(log = '', mapFromArrays(groupArrayIf(toUInt32(step), step >= 0), groupArrayIf(c, step >= 0)), map()) AS latencies, max(p) AS position, max(l) AS latest
FROM (
    SELECT toDate(occurred_at, 'Asia/Ho_Chi_Minh') AS day, CAST(reinterpretAsUInt32(province), 'UInt32') AS place, CAST(reinterpretAsUInt64(province63), 'UInt64') AS place63,
        toInt32(bitOr(latency_ms, greatest(bitShiftRight(roundToExp2(latency_ms), 6), 1) - 1)) AS step, CAST(sipHash64(topic), 'UInt64') AS hash, partition,
        any(topic) AS log, toInt64(count()) AS c, max(offset) + 1 AS p, max(occurred_at) AS l
    FROM auth_attempts
    GROUP BY day, place, place63, step, hash, partition)
GROUP BY GROUPING SETS ((day, place, place63), (log, partition));

CREATE VIEW IF NOT EXISTS auth_latency_steps
(
    minute     DateTime('Asia/Ho_Chi_Minh') COMMENT 'Minute of the attempts; 1970-01-01 on position rows',
    province   LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63 LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    topic      LowCardinality(String) COMMENT 'Topic of a position row; empty on counts',
    partition  UInt32 COMMENT 'Partition of a position row',
    position   UInt64 COMMENT 'Offset after the last one counted',
    latest     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Greatest event time',
    latency    UInt32 COMMENT 'Upper bound of the step of the histogram, in milliseconds',
    n          Int64 COMMENT 'Number of attempts in the step'
)
AS
SELECT minute, province, province63, topic, partition, position, latest, latency, attempts AS n
FROM auth_latency LEFT ARRAY JOIN mapKeys(latencies) AS latency, mapValues(latencies) AS attempts
COMMENT 'A row for each step of each histogram of auth_latency';

CREATE VIEW IF NOT EXISTS auth_latency_day_steps
(
    day        Date COMMENT 'Day of the attempts (Asia/Ho_Chi_Minh); 1970-01-01 on position rows',
    province   LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63 LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    topic      LowCardinality(String) COMMENT 'Topic of a position row; empty on counts',
    partition  UInt32 COMMENT 'Partition of a position row',
    position   UInt64 COMMENT 'Offset after the last one counted',
    latest     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Greatest event time',
    latency    UInt32 COMMENT 'Upper bound of the step of the histogram, in milliseconds',
    n          Int64 COMMENT 'Number of attempts in the step'
)
AS
SELECT day, province, province63, topic, partition, position, latest, latency, attempts AS n
FROM auth_latency_days LEFT ARRAY JOIN mapKeys(latencies) AS latency, mapValues(latencies) AS attempts
COMMENT 'A row for each step of each histogram of auth_latency_days';
