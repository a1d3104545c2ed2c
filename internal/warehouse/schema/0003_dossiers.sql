-- Dossier state and its cubes. A dossier's state is a pure function of the set of its events
-- (package internal/dossier). After each batch the dossiers that it touched are evaluated twice, without
-- and with the batch, and the difference goes through `dossier_changes` as rows of sign -1 and +1,
-- which the views add up. The offsets bound both sides, so a retry gives the same rows under the
-- same token; no old state is read back that a crash could have left half-written.
-- Events of one dossier can reach several partitions. So each range also has, in dossier_bounds, the positions
-- up to which the other partitions had been applied: events beyond are left to the ranges that bring them.

CREATE TABLE IF NOT EXISTS dossier_bounds
(
    topic      LowCardinality(String) COMMENT 'Kafka topic (incarnation) of the range',
    partition  UInt32 COMMENT 'Kafka partition of the range',
    since      UInt64 COMMENT 'First offset of the range',
    others     Array(Tuple(topic String, partition UInt32, position UInt64)) COMMENT 'Positions of all partitions when the range was applied',
    applied_at DateTime('Asia/Ho_Chi_Minh') DEFAULT now() COMMENT 'When the range was applied first'
)
ENGINE = MergeTree
ORDER BY (topic, partition, since)
TTL applied_at + INTERVAL 7 DAY
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'What each range of dossier events was applied on top of; kept seven days for replays';

CREATE TABLE IF NOT EXISTS dossier_changes
(
    registered_on    Date,
    subject          String,
    sign             Int8,
    version          UInt32,
    accepted_at      DateTime64(3, 'Asia/Ho_Chi_Minh'),
    ended_at         DateTime64(3, 'Asia/Ho_Chi_Minh'),
    end_status       UInt8,
    saved_at         DateTime64(3, 'Asia/Ho_Chi_Minh'),
    due_at           DateTime64(3, 'Asia/Ho_Chi_Minh'),
    overdue_at       DateTime64(3, 'Asia/Ho_Chi_Minh'),
    supplements      UInt16,
    supplement_ms    Int64,
    province         LowCardinality(String),
    province63       LowCardinality(String),
    agency_code      LowCardinality(String),
    service_id       LowCardinality(String),
    service_level    Enum8('unknown' = 0, 'full' = 1, 'partial' = 2, 'info' = 3, 'none' = 4),
    channel          Enum8('unknown' = 0, 'direct' = 1, 'online' = 2, 'postal' = 3),
    portal           Enum8('unknown' = 0, 'npsp' = 1, 'vneid' = 2, 'ministry' = 3, 'province' = 4, 'counter' = 5),
    topic            LowCardinality(String),
    partition        UInt32,
    position         UInt64,
    latest           DateTime64(3, 'Asia/Ho_Chi_Minh')
)
ENGINE = Null
COMMENT 'Differences of dossier state on their way into the cubes; nothing is stored here';

CREATE TABLE IF NOT EXISTS dossier_state
(
    registered_on    Date COMMENT 'Date the dossier was registered',
    subject          String COMMENT 'Dossier id',
    version          UInt32 COMMENT 'Number of distinct events the state was made of',
    accepted_at      DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'First status 2; 1970-01-01 when not accepted',
    ended_at         DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'End of handling (reading rule 4); 1970-01-01 while open',
    end_status       UInt8 COMMENT 'Status that ended it',
    saved_at         DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'First status 9 or 10 of an online dossier that saves (rule 6)',
    due_at           DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Due time (rule 5); 1970-01-01 when unknown',
    overdue_at       DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Last moment at which it is on time (rule 5); 2261-12-31 when it stays on time',
    supplements      UInt16 COMMENT 'Number of supplement requests',
    supplement_ms    Int64 COMMENT 'Closed supplement time in milliseconds',
    province         LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63       LowCardinality(String) COMMENT 'Province in the 63-scheme',
    agency_code      LowCardinality(String) COMMENT 'Agency of the acceptance',
    service_id       LowCardinality(String) COMMENT 'Essential service',
    service_level    Enum8('unknown' = 0, 'full' = 1, 'partial' = 2, 'info' = 3, 'none' = 4) COMMENT 'Online level',
    channel          Enum8('unknown' = 0, 'direct' = 1, 'online' = 2, 'postal' = 3) COMMENT 'Channel of submission; never unknown here',
    portal           Enum8('unknown' = 0, 'npsp' = 1, 'vneid' = 2, 'ministry' = 3, 'province' = 4, 'counter' = 5) COMMENT 'Portal of submission',
    latest           DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Time of its newest event'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYear(registered_on)
ORDER BY (registered_on, subject)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000
COMMENT 'State of each dossier; read with FINAL';

CREATE MATERIALIZED VIEW IF NOT EXISTS dossier_state_mv TO dossier_state AS
SELECT registered_on, subject, version, accepted_at, ended_at, end_status, saved_at, due_at, overdue_at, supplements, supplement_ms,
    province, province63, agency_code, service_id, service_level, channel, portal, latest
FROM dossier_changes WHERE sign = 1;

CREATE TABLE IF NOT EXISTS dossier_days
(
    day           Date COMMENT 'Day of acceptance; 1970-01-01 on position rows',
    province      LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63    LowCardinality(String) COMMENT 'Province in the 63-scheme',
    service_id    LowCardinality(String) COMMENT 'Essential service',
    channel       Enum8('unknown' = 0, 'direct' = 1, 'online' = 2, 'postal' = 3) COMMENT 'Channel of submission',
    topic         LowCardinality(String) COMMENT 'Topic of a position row; empty on counts',
    partition     UInt32 COMMENT 'Partition of a position row',
    n             SimpleAggregateFunction(sum, Int64) COMMENT 'Dossiers accepted',
    position      SimpleAggregateFunction(max, UInt64) COMMENT 'Offset after the last one counted',
    latest        SimpleAggregateFunction(max, DateTime64(3, 'Asia/Ho_Chi_Minh')) COMMENT 'Greatest event time'
)
ENGINE = AggregatingMergeTree
ORDER BY (day, province, province63, service_id, channel, topic, partition)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000
COMMENT 'Dossiers by day of acceptance';

CREATE MATERIALIZED VIEW IF NOT EXISTS dossier_days_mv TO dossier_days AS
SELECT toDate(accepted_at, 'Asia/Ho_Chi_Minh') AS day, province, province63, service_id, channel, topic, partition,
    sum(sign * (accepted_at > 0)) AS n, max(dossier_changes.position) AS position, max(dossier_changes.latest) AS latest
FROM dossier_changes
GROUP BY GROUPING SETS ((day, province, province63, service_id, channel), (topic, partition))
HAVING topic != '' OR (day > toDate(0) AND n != 0);

CREATE TABLE IF NOT EXISTS dossier_deadlines
(
    day        Date COMMENT 'Day of acceptance; 1970-01-01 on position rows',
    province   LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63 LowCardinality(String) COMMENT 'Province in the 63-scheme',
    service_id LowCardinality(String) COMMENT 'Essential service',
    overdue_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Last moment at which these dossiers are on time',
    topic      LowCardinality(String) COMMENT 'Topic of a position row; empty on counts',
    partition  UInt32 COMMENT 'Partition of a position row',
    n          SimpleAggregateFunction(sum, Int64) COMMENT 'Accepted dossiers with a due time',
    position   SimpleAggregateFunction(max, UInt64) COMMENT 'Offset after the last one counted',
    latest     SimpleAggregateFunction(max, DateTime64(3, 'Asia/Ho_Chi_Minh')) COMMENT 'Greatest event time'
)
ENGINE = AggregatingMergeTree
ORDER BY (day, province, province63, service_id, overdue_at, topic, partition)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000
COMMENT 'Accepted dossiers with a due time, by the moment they become overdue: on time at T means overdue_at >= T';

CREATE MATERIALIZED VIEW IF NOT EXISTS dossier_deadlines_mv TO dossier_deadlines AS
SELECT toDate(accepted_at, 'Asia/Ho_Chi_Minh') AS day, province, province63, service_id, overdue_at, topic, partition,
    sum(sign * (accepted_at > 0 AND due_at > 0)) AS n, max(dossier_changes.position) AS position, max(dossier_changes.latest) AS latest
FROM dossier_changes
GROUP BY GROUPING SETS ((day, province, province63, service_id, overdue_at), (topic, partition))
HAVING topic != '' OR (day > toDate(0) AND n != 0);

CREATE TABLE IF NOT EXISTS dossier_savings
(
    day        Date COMMENT 'Day of the first status 9 or 10; 1970-01-01 on position rows',
    province   LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63 LowCardinality(String) COMMENT 'Province in the 63-scheme',
    service_id LowCardinality(String) COMMENT 'Essential service',
    topic      LowCardinality(String) COMMENT 'Topic of a position row; empty on counts',
    partition  UInt32 COMMENT 'Partition of a position row',
    n          SimpleAggregateFunction(sum, Int64) COMMENT 'Online dossiers that save',
    position   SimpleAggregateFunction(max, UInt64) COMMENT 'Offset after the last one counted',
    latest     SimpleAggregateFunction(max, DateTime64(3, 'Asia/Ho_Chi_Minh')) COMMENT 'Greatest event time'
)
ENGINE = AggregatingMergeTree
ORDER BY (day, province, province63, service_id, topic, partition)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000
COMMENT 'Online dossiers that save, by day of completion; money is this times the coefficient in force';

CREATE MATERIALIZED VIEW IF NOT EXISTS dossier_savings_mv TO dossier_savings AS
SELECT toDate(saved_at, 'Asia/Ho_Chi_Minh') AS day, province, province63, service_id, topic, partition,
    sum(sign * (saved_at > 0)) AS n, max(dossier_changes.position) AS position, max(dossier_changes.latest) AS latest
FROM dossier_changes
GROUP BY GROUPING SETS ((day, province, province63, service_id), (topic, partition))
HAVING topic != '' OR (day > toDate(0) AND n != 0);
