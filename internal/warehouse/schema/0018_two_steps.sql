-- The same counts and positions, found in two steps: rows are counted once, by what a rollup counts them by, and what comes of
-- that is added up to counts and to the position. Each set of a GROUPING SETS goes over all rows by itself, and together they
-- were half of what an insert of authentications costs the engine; in two steps they are a third (docs/explanation/performance.md).
--
-- The first step groups by numbers of at most 32 bytes together, which needs a third of the time that texts, or one byte more,
-- need. The code of a province has at most 4 bytes and that of the 63-scheme at most 8 ("gso34:79"), and both are texts again
-- in the end. Of the texts that have any length it is one sum of hashes, which two different rows of a block share once in 2^64.
-- A hash of a LowCardinality column would be LowCardinality, hence the casts.
-- Like 0015 this wants ingestion at rest.

CREATE OR REPLACE MATERIALIZED VIEW auth_minutes_mv TO auth_minutes AS
SELECT minute, reinterpretAsString(place) AS province, reinterpretAsString(place63) AS province63, service AS service_id, outcome, log AS topic, partition, sum(c) AS n, max(p) AS position, max(l) AS latest
FROM (
    SELECT toStartOfMinute(toDateTime(occurred_at, 'Asia/Ho_Chi_Minh')) AS minute, CAST(reinterpretAsUInt32(province), 'UInt32') AS place, CAST(reinterpretAsUInt64(province63), 'UInt64') AS place63,
        CAST(sipHash64(topic), 'UInt64') + 3 * CAST(sipHash64(service_id), 'UInt64') AS texts, outcome, partition, any(topic) AS log, any(service_id) AS service, count() AS c, max(offset) + 1 AS p, max(occurred_at) AS l
    FROM auth_attempts
    GROUP BY minute, place, place63, texts, outcome, partition)
GROUP BY GROUPING SETS ((minute, place, place63, service, outcome), (log, partition));

CREATE OR REPLACE MATERIALIZED VIEW auth_days_mv TO auth_days AS
SELECT day, reinterpretAsString(place) AS province, reinterpretAsString(place63) AS province63, service AS service_id, relying AS relying_party, assurance_level, outcome, log AS topic, partition, sum(c) AS n, max(p) AS position, max(l) AS latest
FROM (
    SELECT toDate(occurred_at, 'Asia/Ho_Chi_Minh') AS day, CAST(reinterpretAsUInt32(province), 'UInt32') AS place, CAST(reinterpretAsUInt64(province63), 'UInt64') AS place63,
        CAST(sipHash64(topic), 'UInt64') + 3 * CAST(sipHash64(service_id), 'UInt64') + 5 * CAST(sipHash64(relying_party), 'UInt64') AS texts, assurance_level, outcome, partition, any(topic) AS log, any(service_id) AS service, any(relying_party) AS relying, count() AS c, max(offset) + 1 AS p, max(occurred_at) AS l
    FROM auth_attempts
    GROUP BY day, place, place63, texts, assurance_level, outcome, partition)
GROUP BY GROUPING SETS ((day, place, place63, service, relying, assurance_level, outcome), (log, partition));

CREATE OR REPLACE MATERIALIZED VIEW auth_activity_mv TO source_activity AS
SELECT 'auth_attempts' AS family, reporter AS source, reinterpretAsString(place) AS province, log AS topic, partition, sum(c) AS n, max(p) AS position, max(l) AS latest
FROM (
    SELECT CAST(reinterpretAsUInt32(province), 'UInt32') AS place, CAST(sipHash64(topic), 'UInt64') + 3 * CAST(sipHash64(source), 'UInt64') AS texts, partition,
        any(topic) AS log, any(source) AS reporter, count() AS c, max(offset) + 1 AS p, max(occurred_at) AS l
    FROM auth_attempts
    GROUP BY place, texts, partition)
GROUP BY GROUPING SETS ((reporter, place), (log, partition));

CREATE OR REPLACE MATERIALIZED VIEW query_minutes_mv TO query_minutes AS
SELECT minute, reinterpretAsString(place) AS province, reinterpretAsString(place63) AS province63, query_kind, outcome, log AS topic, partition, sum(c) AS n, max(p) AS position, max(l) AS latest
FROM (
    SELECT toStartOfMinute(toDateTime(occurred_at, 'Asia/Ho_Chi_Minh')) AS minute, CAST(reinterpretAsUInt32(province), 'UInt32') AS place, CAST(reinterpretAsUInt64(province63), 'UInt64') AS place63,
        CAST(sipHash64(topic), 'UInt64') AS texts, query_kind, outcome, partition, any(topic) AS log, toInt64(count()) AS c, max(offset) + 1 AS p, max(occurred_at) AS l
    FROM data_queries
    GROUP BY minute, place, place63, texts, query_kind, outcome, partition)
GROUP BY GROUPING SETS ((minute, place, place63, query_kind, outcome), (log, partition));

CREATE OR REPLACE MATERIALIZED VIEW query_days_mv TO query_days AS
SELECT day, reinterpretAsString(place) AS province, reinterpretAsString(place63) AS province63, consumer AS consumer_agency, query_kind, outcome, log AS topic, partition, sum(c) AS n, max(p) AS position, max(l) AS latest
FROM (
    SELECT toDate(occurred_at, 'Asia/Ho_Chi_Minh') AS day, CAST(reinterpretAsUInt32(province), 'UInt32') AS place, CAST(reinterpretAsUInt64(province63), 'UInt64') AS place63,
        CAST(sipHash64(topic), 'UInt64') + 3 * CAST(sipHash64(consumer_agency), 'UInt64') AS texts, query_kind, outcome, partition, any(topic) AS log, any(consumer_agency) AS consumer, toInt64(count()) AS c, max(offset) + 1 AS p, max(occurred_at) AS l
    FROM data_queries
    GROUP BY day, place, place63, texts, query_kind, outcome, partition)
GROUP BY GROUPING SETS ((day, place, place63, consumer, query_kind, outcome), (log, partition));

CREATE OR REPLACE MATERIALIZED VIEW query_activity_mv TO source_activity AS
SELECT 'data_queries' AS family, reporter AS source, reinterpretAsString(place) AS province, log AS topic, partition, sum(c) AS n, max(p) AS position, max(l) AS latest
FROM (
    SELECT CAST(reinterpretAsUInt32(province), 'UInt32') AS place, CAST(sipHash64(topic), 'UInt64') + 3 * CAST(sipHash64(source), 'UInt64') AS texts, partition,
        any(topic) AS log, any(source) AS reporter, count() AS c, max(offset) + 1 AS p, max(occurred_at) AS l
    FROM data_queries
    GROUP BY place, texts, partition)
GROUP BY GROUPING SETS ((reporter, place), (log, partition));

CREATE OR REPLACE MATERIALIZED VIEW eid_minutes_mv TO eid_minutes AS
SELECT minute, reinterpretAsString(place) AS province, reinterpretAsString(place63) AS province63, kind AS type, account_action, eid_level, document_kind, document_action, log AS topic, partition, sum(c) AS n, max(p) AS position, max(l) AS latest
FROM (
    SELECT toStartOfMinute(toDateTime(occurred_at, 'Asia/Ho_Chi_Minh')) AS minute, CAST(reinterpretAsUInt32(province), 'UInt32') AS place, CAST(reinterpretAsUInt64(province63), 'UInt64') AS place63,
        CAST(sipHash64(topic), 'UInt64') + 3 * CAST(sipHash64(type), 'UInt64') AS texts, account_action, eid_level, document_kind, document_action, partition, any(topic) AS log, any(type) AS kind, toInt64(count()) AS c, max(offset) + 1 AS p, max(occurred_at) AS l
    FROM eid_events
    GROUP BY minute, place, place63, texts, account_action, eid_level, document_kind, document_action, partition)
GROUP BY GROUPING SETS ((minute, place, place63, kind, account_action, eid_level, document_kind, document_action), (log, partition));

CREATE OR REPLACE MATERIALIZED VIEW eid_days_mv TO eid_days AS
SELECT day, reinterpretAsString(place) AS province, reinterpretAsString(place63) AS province63, kind AS type, account_action, eid_level, document_kind, document_action, log AS topic, partition, sum(c) AS n, max(p) AS position, max(l) AS latest
FROM (
    SELECT toDate(occurred_at, 'Asia/Ho_Chi_Minh') AS day, CAST(reinterpretAsUInt32(province), 'UInt32') AS place, CAST(reinterpretAsUInt64(province63), 'UInt64') AS place63,
        CAST(sipHash64(topic), 'UInt64') + 3 * CAST(sipHash64(type), 'UInt64') AS texts, account_action, eid_level, document_kind, document_action, partition, any(topic) AS log, any(type) AS kind, toInt64(count()) AS c, max(offset) + 1 AS p, max(occurred_at) AS l
    FROM eid_events
    GROUP BY day, place, place63, texts, account_action, eid_level, document_kind, document_action, partition)
GROUP BY GROUPING SETS ((day, place, place63, kind, account_action, eid_level, document_kind, document_action), (log, partition));

CREATE OR REPLACE MATERIALIZED VIEW eid_activity_mv TO source_activity AS
SELECT 'eid_events' AS family, reporter AS source, reinterpretAsString(place) AS province, log AS topic, partition, sum(c) AS n, max(p) AS position, max(l) AS latest
FROM (
    SELECT CAST(reinterpretAsUInt32(province), 'UInt32') AS place, CAST(sipHash64(topic), 'UInt64') + 3 * CAST(sipHash64(source), 'UInt64') AS texts, partition,
        any(topic) AS log, any(source) AS reporter, count() AS c, max(offset) + 1 AS p, max(occurred_at) AS l
    FROM eid_events
    GROUP BY place, texts, partition)
GROUP BY GROUPING SETS ((reporter, place), (log, partition));

CREATE OR REPLACE MATERIALIZED VIEW dossier_activity_mv TO source_activity AS
SELECT 'dossier_events' AS family, reporter AS source, reinterpretAsString(place) AS province, log AS topic, partition, sum(c) AS n, max(p) AS position, max(l) AS latest
FROM (
    SELECT CAST(reinterpretAsUInt32(province), 'UInt32') AS place, CAST(sipHash64(topic), 'UInt64') + 3 * CAST(sipHash64(source), 'UInt64') AS texts, partition,
        any(topic) AS log, any(source) AS reporter, count() AS c, max(offset) + 1 AS p, max(occurred_at) AS l
    FROM dossier_events
    GROUP BY place, texts, partition)
GROUP BY GROUPING SETS ((reporter, place), (log, partition));

CREATE OR REPLACE MATERIALIZED VIEW register_activity_mv TO source_activity AS
SELECT 'register_events' AS family, reporter AS source, reinterpretAsString(place) AS province, log AS topic, partition, sum(c) AS n, max(p) AS position, max(l) AS latest
FROM (
    SELECT CAST(reinterpretAsUInt32(province), 'UInt32') AS place, CAST(sipHash64(topic), 'UInt64') + 3 * CAST(sipHash64(source), 'UInt64') AS texts, partition,
        any(topic) AS log, any(source) AS reporter, count() AS c, max(offset) + 1 AS p, max(occurred_at) AS l
    FROM register_events
    GROUP BY place, texts, partition)
GROUP BY GROUPING SETS ((reporter, place), (log, partition));
