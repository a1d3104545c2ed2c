-- Rollups of queries to the population database and of electronic identities, made like those of authentications
-- (0002): counts, and a position row for each topic and partition. Counts are signed, since a voided event is taken
-- out by a row that counts -1.

CREATE TABLE IF NOT EXISTS query_minutes
(
    minute     DateTime('Asia/Ho_Chi_Minh') COMMENT 'Minute of the queries; 1970-01-01 on position rows',
    province   LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63 LowCardinality(String) COMMENT 'Province in the 63-scheme',
    query_kind Enum8('none' = 0, 'lookup' = 1, 'verify' = 2, 'clean' = 3, 'sync' = 4) COMMENT 'What the queries were for',
    outcome    Enum8('none' = 0, 'ok' = 1, 'not_found' = 2, 'denied' = 3, 'error' = 4, 'timeout' = 5) COMMENT 'Outcome of the queries',
    topic      LowCardinality(String) COMMENT 'Topic of a position row; empty on counts',
    partition  UInt32 COMMENT 'Partition of a position row',
    n          SimpleAggregateFunction(sum, Int64) COMMENT 'Number of queries',
    position   SimpleAggregateFunction(max, UInt64) COMMENT 'Offset after the last one counted',
    latest     SimpleAggregateFunction(max, DateTime64(3, 'Asia/Ho_Chi_Minh')) COMMENT 'Greatest event time'
)
ENGINE = AggregatingMergeTree
ORDER BY (minute, province, province63, query_kind, outcome, topic, partition)
TTL minute + INTERVAL 13 MONTH DELETE WHERE topic = ''
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Queries to the population database by minute, kept 13 months';

CREATE MATERIALIZED VIEW IF NOT EXISTS query_minutes_mv TO query_minutes AS
SELECT
    toStartOfMinute(toDateTime(occurred_at, 'Asia/Ho_Chi_Minh')) AS minute, province, province63, query_kind, outcome, topic, partition,
    toInt64(count()) AS n, max(offset) + 1 AS position, max(occurred_at) AS latest
FROM data_queries
GROUP BY GROUPING SETS ((minute, province, province63, query_kind, outcome), (topic, partition));

CREATE TABLE IF NOT EXISTS query_days
(
    day             Date COMMENT 'Day of the queries (Asia/Ho_Chi_Minh); 1970-01-01 on position rows',
    province        LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63      LowCardinality(String) COMMENT 'Province in the 63-scheme',
    consumer_agency LowCardinality(String) COMMENT 'Agency that asked for the data',
    query_kind      Enum8('none' = 0, 'lookup' = 1, 'verify' = 2, 'clean' = 3, 'sync' = 4) COMMENT 'What the queries were for',
    outcome         Enum8('none' = 0, 'ok' = 1, 'not_found' = 2, 'denied' = 3, 'error' = 4, 'timeout' = 5) COMMENT 'Outcome of the queries',
    topic           LowCardinality(String) COMMENT 'Topic of a position row; empty on counts',
    partition       UInt32 COMMENT 'Partition of a position row',
    n               SimpleAggregateFunction(sum, Int64) COMMENT 'Number of queries',
    position        SimpleAggregateFunction(max, UInt64) COMMENT 'Offset after the last one counted',
    latest          SimpleAggregateFunction(max, DateTime64(3, 'Asia/Ho_Chi_Minh')) COMMENT 'Greatest event time'
)
ENGINE = AggregatingMergeTree
ORDER BY (day, province, province63, consumer_agency, query_kind, outcome, topic, partition)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Queries to the population database by day, kept for ever';

CREATE MATERIALIZED VIEW IF NOT EXISTS query_days_mv TO query_days AS
SELECT
    toDate(occurred_at, 'Asia/Ho_Chi_Minh') AS day, province, province63, consumer_agency, query_kind, outcome, topic, partition,
    toInt64(count()) AS n, max(offset) + 1 AS position, max(occurred_at) AS latest
FROM data_queries
GROUP BY GROUPING SETS ((day, province, province63, consumer_agency, query_kind, outcome), (topic, partition));

CREATE TABLE IF NOT EXISTS eid_minutes
(
    minute          DateTime('Asia/Ho_Chi_Minh') COMMENT 'Minute of the events; 1970-01-01 on position rows',
    province        LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63      LowCardinality(String) COMMENT 'Province in the 63-scheme',
    type            LowCardinality(String) COMMENT 'eid.account or wallet.document',
    account_action  Enum8('none' = 0, 'registered' = 1, 'approved' = 2, 'activated' = 3, 'upgraded' = 4, 'locked' = 5, 'unlocked' = 6, 'deactivated' = 7) COMMENT 'eid.account: what happened to the account',
    eid_level       UInt8 COMMENT 'eid.account: level of the account, 1 or 2; 0 is absent',
    document_kind   Enum8('none' = 0, 'health_book' = 1, 'driving_licence' = 2, 'vehicle_registration' = 3, 'insurance_card' = 4, 'judicial_record' = 5, 'other' = 6) COMMENT 'wallet.document: kind of document; health_book and judicial_record are sensitive',
    document_action Enum8('none' = 0, 'created' = 1, 'integrated' = 2, 'removed' = 3, 'presented' = 4) COMMENT 'wallet.document: what happened to the document',
    topic           LowCardinality(String) COMMENT 'Topic of a position row; empty on counts',
    partition       UInt32 COMMENT 'Partition of a position row',
    n               SimpleAggregateFunction(sum, Int64) COMMENT 'Number of events',
    position        SimpleAggregateFunction(max, UInt64) COMMENT 'Offset after the last one counted',
    latest          SimpleAggregateFunction(max, DateTime64(3, 'Asia/Ho_Chi_Minh')) COMMENT 'Greatest event time'
)
ENGINE = AggregatingMergeTree
ORDER BY (minute, province, province63, type, account_action, eid_level, document_kind, document_action, topic, partition)
TTL minute + INTERVAL 13 MONTH DELETE WHERE topic = ''
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Electronic identity accounts and wallet documents by minute, kept 13 months';

CREATE MATERIALIZED VIEW IF NOT EXISTS eid_minutes_mv TO eid_minutes AS
SELECT
    toStartOfMinute(toDateTime(occurred_at, 'Asia/Ho_Chi_Minh')) AS minute, province, province63, type, account_action, eid_level,
    document_kind, document_action, topic, partition,
    toInt64(count()) AS n, max(offset) + 1 AS position, max(occurred_at) AS latest
FROM eid_events
GROUP BY GROUPING SETS ((minute, province, province63, type, account_action, eid_level, document_kind, document_action), (topic, partition));

CREATE TABLE IF NOT EXISTS eid_days
(
    day             Date COMMENT 'Day of the events (Asia/Ho_Chi_Minh); 1970-01-01 on position rows',
    province        LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63      LowCardinality(String) COMMENT 'Province in the 63-scheme',
    type            LowCardinality(String) COMMENT 'eid.account or wallet.document',
    account_action  Enum8('none' = 0, 'registered' = 1, 'approved' = 2, 'activated' = 3, 'upgraded' = 4, 'locked' = 5, 'unlocked' = 6, 'deactivated' = 7) COMMENT 'eid.account: what happened to the account',
    eid_level       UInt8 COMMENT 'eid.account: level of the account, 1 or 2; 0 is absent',
    document_kind   Enum8('none' = 0, 'health_book' = 1, 'driving_licence' = 2, 'vehicle_registration' = 3, 'insurance_card' = 4, 'judicial_record' = 5, 'other' = 6) COMMENT 'wallet.document: kind of document; health_book and judicial_record are sensitive',
    document_action Enum8('none' = 0, 'created' = 1, 'integrated' = 2, 'removed' = 3, 'presented' = 4) COMMENT 'wallet.document: what happened to the document',
    topic           LowCardinality(String) COMMENT 'Topic of a position row; empty on counts',
    partition       UInt32 COMMENT 'Partition of a position row',
    n               SimpleAggregateFunction(sum, Int64) COMMENT 'Number of events',
    position        SimpleAggregateFunction(max, UInt64) COMMENT 'Offset after the last one counted',
    latest          SimpleAggregateFunction(max, DateTime64(3, 'Asia/Ho_Chi_Minh')) COMMENT 'Greatest event time'
)
ENGINE = AggregatingMergeTree
ORDER BY (day, province, province63, type, account_action, eid_level, document_kind, document_action, topic, partition)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Electronic identity accounts and wallet documents by day, kept for ever';

CREATE MATERIALIZED VIEW IF NOT EXISTS eid_days_mv TO eid_days AS
SELECT
    toDate(occurred_at, 'Asia/Ho_Chi_Minh') AS day, province, province63, type, account_action, eid_level,
    document_kind, document_action, topic, partition,
    toInt64(count()) AS n, max(offset) + 1 AS position, max(occurred_at) AS latest
FROM eid_events
GROUP BY GROUPING SETS ((day, province, province63, type, account_action, eid_level, document_kind, document_action), (topic, partition));

CREATE MATERIALIZED VIEW IF NOT EXISTS query_activity_mv TO source_activity AS
SELECT 'data_queries' AS family, source, province, topic, partition,
    count() AS n, max(offset) + 1 AS position, max(occurred_at) AS latest
FROM data_queries GROUP BY GROUPING SETS ((source, province), (topic, partition));

CREATE MATERIALIZED VIEW IF NOT EXISTS eid_activity_mv TO source_activity AS
SELECT 'eid_events' AS family, source, province, topic, partition,
    count() AS n, max(offset) + 1 AS position, max(occurred_at) AS latest
FROM eid_events GROUP BY GROUPING SETS ((source, province), (topic, partition));

-- Dossiers by portal of submission. Rows of before count under portal unknown: the last statement moves each
-- dossier to its portal, by adding what the state gives and taking out what is counted. Done twice it adds
-- nothing. It compares two tables, so it wants ingestion at rest: a range that is applied in the very moment may
-- be seen in one of them only. `ioc verify` would show that.

ALTER TABLE dossier_days
    ADD COLUMN IF NOT EXISTS portal Enum8('unknown' = 0, 'npsp' = 1, 'vneid' = 2, 'ministry' = 3, 'province' = 4, 'counter' = 5) COMMENT 'Portal of submission' AFTER channel,
    MODIFY ORDER BY (day, province, province63, service_id, channel, topic, partition, portal);

ALTER TABLE dossier_days_mv MODIFY QUERY
SELECT toDate(accepted_at, 'Asia/Ho_Chi_Minh') AS day, province, province63, service_id, channel, portal, topic, partition,
    sum(sign * (accepted_at > 0)) AS n, max(dossier_changes.position) AS position, max(dossier_changes.latest) AS latest
FROM dossier_changes
GROUP BY GROUPING SETS ((day, province, province63, service_id, channel, portal), (topic, partition))
HAVING topic != '' OR (day > toDate(0) AND n != 0);

INSERT INTO dossier_days (day, province, province63, service_id, channel, portal, n)
SETTINGS insert_deduplicate = 1, insert_deduplication_token = '0007/portal', deduplicate_insert_select = 'force_enable'
SELECT day, province, province63, service_id, channel, portal, sum(c) AS missing
FROM
(
    SELECT toDate(accepted_at, 'Asia/Ho_Chi_Minh') AS day, province, province63, service_id, channel, portal, toInt64(1) AS c
    FROM dossier_state FINAL WHERE accepted_at > 0
    UNION ALL
    SELECT day, province, province63, service_id, channel, portal, -n AS c FROM dossier_days WHERE topic = ''
)
GROUP BY ALL
HAVING missing != 0
ORDER BY ALL;

-- Registers without what was voided: by the same source, before or after, in whatever partition. A void itself
-- cannot be voided. What reads the registers for KPIs reads this; it has the columns that register_events has now.

CREATE VIEW IF NOT EXISTS live_register_events AS
SELECT * FROM register_events
WHERE type != 'event.void' AND (source, event_id) NOT IN (SELECT source, subject FROM register_events WHERE type = 'event.void')
COMMENT 'Register entries and official reports that no event.void has taken out; the columns are those of register_events';
