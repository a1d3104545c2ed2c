-- What Quyết định 766/QĐ-TTg counts of dossiers beside channel, due time and savings: completion, supplements, time of
-- handling, fees and online payments, electronic results, digitised and reused components, population data,
-- synchronisation, dislikes. Each is a moment in the state of a dossier (package internal/dossier), and a sum in two rollups:
--   dossier_days, by day of acceptance, says how dossiers stand now, and stays small however many there are;
--   dossier_history has the day on which each thing happened besides, so that a period that has ended, a past moment and
--   the buckets of a series are judged by what had happened by then; and it has the agency.
-- Deadlines get the days of the end of overdue dossiers and of the first dislike, and a rollup by agency and procedure.
--   dossier_province_days and dossier_province_deadlines have the place only, so that what is asked at each tick costs the same
--   however many dossiers there are.
-- What the rollups add up is worked out before it comes here (internal/warehouse/changes.go): ClickHouse makes a plan of every view
-- for every insert, and conditional sums with a HAVING over all of them cost a range half as much time again
-- (docs/explanation/performance.md). Rows that have both a sign and a topic are those of a version before, which works out nothing:
-- they count nowhere, until the rebuild.
-- States and rollups of before lack all of this: `ioc verify --at-rest --rebuild all` fills them from the events, once, before ingestion
-- goes on; until then the numbers of dossiers that were there before are wrong.

ALTER TABLE dossier_changes
    ADD COLUMN IF NOT EXISTS procedure_code LowCardinality(String) AFTER service_id,
    ADD COLUMN IF NOT EXISTS result_form Enum8('unknown' = 0, 'electronic' = 1, 'paper' = 2, 'both' = 3, 'none' = 4) AFTER portal,
    ADD COLUMN IF NOT EXISTS formed_at DateTime64(3, 'Asia/Ho_Chi_Minh') AFTER result_form,
    ADD COLUMN IF NOT EXISTS closed_at DateTime64(3, 'Asia/Ho_Chi_Minh') AFTER formed_at,
    ADD COLUMN IF NOT EXISTS completed_at DateTime64(3, 'Asia/Ho_Chi_Minh') AFTER closed_at,
    ADD COLUMN IF NOT EXISTS supplemented_at DateTime64(3, 'Asia/Ho_Chi_Minh') AFTER completed_at,
    ADD COLUMN IF NOT EXISTS handled_at DateTime64(3, 'Asia/Ho_Chi_Minh') AFTER supplemented_at,
    ADD COLUMN IF NOT EXISTS working_days UInt16 AFTER handled_at,
    ADD COLUMN IF NOT EXISTS fee_at DateTime64(3, 'Asia/Ho_Chi_Minh') AFTER working_days,
    ADD COLUMN IF NOT EXISTS paid_at DateTime64(3, 'Asia/Ho_Chi_Minh') AFTER fee_at,
    ADD COLUMN IF NOT EXISTS result_at DateTime64(3, 'Asia/Ho_Chi_Minh') AFTER paid_at,
    ADD COLUMN IF NOT EXISTS digitised_at DateTime64(3, 'Asia/Ho_Chi_Minh') AFTER result_at,
    ADD COLUMN IF NOT EXISTS reused_at DateTime64(3, 'Asia/Ho_Chi_Minh') AFTER digitised_at,
    ADD COLUMN IF NOT EXISTS stored_at DateTime64(3, 'Asia/Ho_Chi_Minh') AFTER reused_at,
    ADD COLUMN IF NOT EXISTS population_at DateTime64(3, 'Asia/Ho_Chi_Minh') AFTER stored_at,
    ADD COLUMN IF NOT EXISTS synced_at DateTime64(3, 'Asia/Ho_Chi_Minh') AFTER population_at,
    ADD COLUMN IF NOT EXISTS unsynced_at DateTime64(3, 'Asia/Ho_Chi_Minh') AFTER synced_at,
    ADD COLUMN IF NOT EXISTS disliked_at DateTime64(3, 'Asia/Ho_Chi_Minh') AFTER unsynced_at,
    ADD COLUMN IF NOT EXISTS documented_at DateTime64(3, 'Asia/Ho_Chi_Minh') AFTER disliked_at,
    ADD COLUMN IF NOT EXISTS accepted_on Date,
    ADD COLUMN IF NOT EXISTS timed Int8,
    ADD COLUMN IF NOT EXISTS ended_on Date,
    ADD COLUMN IF NOT EXISTS disliked_on Date,
    ADD COLUMN IF NOT EXISTS saving Int8,
    ADD COLUMN IF NOT EXISTS saved_on Date,
    ADD COLUMN IF NOT EXISTS seen Date,
    ADD COLUMN IF NOT EXISTS n Int32,
    ADD COLUMN IF NOT EXISTS completed Int32,
    ADD COLUMN IF NOT EXISTS supplemented Int32,
    ADD COLUMN IF NOT EXISTS handled Int32,
    ADD COLUMN IF NOT EXISTS days_worked Int32,
    ADD COLUMN IF NOT EXISTS with_fee Int32,
    ADD COLUMN IF NOT EXISTS paid_online Int32,
    ADD COLUMN IF NOT EXISTS written Int32,
    ADD COLUMN IF NOT EXISTS e_result Int32,
    ADD COLUMN IF NOT EXISTS with_result Int32,
    ADD COLUMN IF NOT EXISTS digitised Int32,
    ADD COLUMN IF NOT EXISTS reused Int32,
    ADD COLUMN IF NOT EXISTS from_store Int32,
    ADD COLUMN IF NOT EXISTS population Int32,
    ADD COLUMN IF NOT EXISTS synced Int32,
    ADD COLUMN IF NOT EXISTS sync_told Int32,
    ADD COLUMN IF NOT EXISTS documented Int32;

ALTER TABLE dossier_state
    ADD COLUMN IF NOT EXISTS procedure_code LowCardinality(String) COMMENT 'Administrative procedure' AFTER service_id,
    ADD COLUMN IF NOT EXISTS result_form Enum8('unknown' = 0, 'electronic' = 1, 'paper' = 2, 'both' = 3, 'none' = 4) COMMENT 'Form of the result' AFTER portal,
    ADD COLUMN IF NOT EXISTS formed_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When the form of the result was said; 1970-01-01 is never' AFTER result_form,
    ADD COLUMN IF NOT EXISTS closed_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'First moment at which it had an end (rule 4), which a preferred one may have moved later; 1970-01-01 while open' AFTER formed_at,
    ADD COLUMN IF NOT EXISTS completed_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'First status 9 or 10; 1970-01-01 is never' AFTER closed_at,
    ADD COLUMN IF NOT EXISTS supplemented_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'First supplement request; 1970-01-01 is never' AFTER completed_at,
    ADD COLUMN IF NOT EXISTS handled_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'End of handling with status 9 or 10 of an accepted dossier; 1970-01-01 is never' AFTER supplemented_at,
    ADD COLUMN IF NOT EXISTS working_days UInt16 COMMENT 'Working days begun from acceptance to the end of handling, without supplement time' AFTER handled_at,
    ADD COLUMN IF NOT EXISTS fee_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When it was first said to have a fee; 1970-01-01 is never' AFTER working_days,
    ADD COLUMN IF NOT EXISTS paid_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When it had a fee and an online payment; 1970-01-01 is never' AFTER fee_at,
    ADD COLUMN IF NOT EXISTS result_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'First electronic file of the result; 1970-01-01 is never' AFTER paid_at,
    ADD COLUMN IF NOT EXISTS digitised_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When it had an electronic result and a component with a file; 1970-01-01 is never' AFTER result_at,
    ADD COLUMN IF NOT EXISTS reused_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'First component that was reused; 1970-01-01 is never' AFTER digitised_at,
    ADD COLUMN IF NOT EXISTS stored_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'First component from the national data store; 1970-01-01 is never' AFTER reused_at,
    ADD COLUMN IF NOT EXISTS population_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'First use of population data: authenticated through VNeID, or a component from the population database; 1970-01-01 is never' AFTER stored_at,
    ADD COLUMN IF NOT EXISTS synced_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'First synchronisation in time, unless a late one came before; 1970-01-01 is never' AFTER population_at,
    ADD COLUMN IF NOT EXISTS unsynced_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'First late synchronisation; 1970-01-01 is never' AFTER synced_at,
    ADD COLUMN IF NOT EXISTS disliked_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'First dislike of the applicant; 1970-01-01 is never' AFTER unsynced_at,
    ADD COLUMN IF NOT EXISTS documented_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'First that was said of its documents; 1970-01-01 is never' AFTER disliked_at;

CREATE OR REPLACE MATERIALIZED VIEW dossier_state_mv TO dossier_state AS
SELECT registered_on, subject, version, accepted_at, ended_at, end_status, saved_at, due_at, overdue_at, supplements, supplement_ms,
    province, province63, agency_code, service_id, procedure_code, service_level, channel, portal, result_form,
    formed_at, closed_at, completed_at, supplemented_at, handled_at, working_days, fee_at, paid_at, result_at, digitised_at, reused_at, stored_at, population_at, synced_at, unsynced_at, disliked_at, documented_at, latest
FROM dossier_changes WHERE sign = 1;

ALTER TABLE dossier_days
    ADD COLUMN IF NOT EXISTS procedure_code LowCardinality(String) COMMENT 'Administrative procedure' AFTER portal,
    ADD COLUMN IF NOT EXISTS service_level Enum8('unknown' = 0, 'full' = 1, 'partial' = 2, 'info' = 3, 'none' = 4) COMMENT 'Online level' AFTER procedure_code,
    ADD COLUMN IF NOT EXISTS completed SimpleAggregateFunction(sum, Int64) COMMENT 'Of these completed or with the result returned' AFTER n,
    ADD COLUMN IF NOT EXISTS supplemented SimpleAggregateFunction(sum, Int64) COMMENT 'Of these asked for a supplement' AFTER completed,
    ADD COLUMN IF NOT EXISTS handled SimpleAggregateFunction(sum, Int64) COMMENT 'Of these that ended with status 9 or 10' AFTER supplemented,
    ADD COLUMN IF NOT EXISTS working_days SimpleAggregateFunction(sum, Int64) COMMENT 'Working days that the handled ones took' AFTER handled,
    ADD COLUMN IF NOT EXISTS with_fee SimpleAggregateFunction(sum, Int64) COMMENT 'Of these with a fee' AFTER working_days,
    ADD COLUMN IF NOT EXISTS paid_online SimpleAggregateFunction(sum, Int64) COMMENT 'Of these with a fee and an online payment' AFTER with_fee,
    ADD COLUMN IF NOT EXISTS written SimpleAggregateFunction(sum, Int64) COMMENT 'Of the completed, those whose result is not of the form none' AFTER paid_online,
    ADD COLUMN IF NOT EXISTS e_result SimpleAggregateFunction(sum, Int64) COMMENT 'Of these written, those with an electronic file of the result' AFTER written,
    ADD COLUMN IF NOT EXISTS with_result SimpleAggregateFunction(sum, Int64) COMMENT 'Of these with an electronic file of the result, or none to be given in writing' AFTER e_result,
    ADD COLUMN IF NOT EXISTS digitised SimpleAggregateFunction(sum, Int64) COMMENT 'Of these with an electronic result and a component with a file' AFTER with_result,
    ADD COLUMN IF NOT EXISTS reused SimpleAggregateFunction(sum, Int64) COMMENT 'Of these with a component that was reused' AFTER digitised,
    ADD COLUMN IF NOT EXISTS from_store SimpleAggregateFunction(sum, Int64) COMMENT 'Of these with a component from the national data store' AFTER reused,
    ADD COLUMN IF NOT EXISTS population SimpleAggregateFunction(sum, Int64) COMMENT 'Of these with use of population data' AFTER from_store,
    ADD COLUMN IF NOT EXISTS synced SimpleAggregateFunction(sum, Int64) COMMENT 'Of these synchronised in time, and never late' AFTER population,
    ADD COLUMN IF NOT EXISTS sync_told SimpleAggregateFunction(sum, Int64) COMMENT 'Of these with a synchronisation, in time or late' AFTER synced,
    ADD COLUMN IF NOT EXISTS documented SimpleAggregateFunction(sum, Int64) COMMENT 'Of these of whose documents anything was said' AFTER sync_told,
    MODIFY ORDER BY (day, province, province63, service_id, channel, topic, partition, portal, procedure_code, service_level);

CREATE OR REPLACE MATERIALIZED VIEW dossier_days_mv TO dossier_days AS
SELECT accepted_on AS day, province, province63, service_id, channel, portal, procedure_code, service_level, topic, partition,
    sum(dossier_changes.n) AS n, sum(dossier_changes.completed) AS completed, sum(dossier_changes.supplemented) AS supplemented, sum(dossier_changes.handled) AS handled, sum(dossier_changes.days_worked) AS working_days,
    sum(dossier_changes.with_fee) AS with_fee, sum(dossier_changes.paid_online) AS paid_online, sum(dossier_changes.written) AS written, sum(dossier_changes.e_result) AS e_result, sum(dossier_changes.with_result) AS with_result,
    sum(dossier_changes.digitised) AS digitised, sum(dossier_changes.reused) AS reused, sum(dossier_changes.from_store) AS from_store, sum(dossier_changes.population) AS population, sum(dossier_changes.synced) AS synced,
    sum(dossier_changes.sync_told) AS sync_told, sum(dossier_changes.documented) AS documented,
    max(dossier_changes.position) AS position, max(dossier_changes.latest) AS latest
FROM dossier_changes
WHERE seen != toDate(0) OR topic != '' AND sign = 0
GROUP BY day, province, province63, service_id, channel, portal, procedure_code, service_level, topic, partition;

CREATE TABLE IF NOT EXISTS dossier_province_days
(
    day            Date COMMENT 'Day of acceptance; 1970-01-01 on position rows',
    province       LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63     LowCardinality(String) COMMENT 'Province in the 63-scheme',
    channel        Enum8('unknown' = 0, 'direct' = 1, 'online' = 2, 'postal' = 3) COMMENT 'Channel of submission',
    topic          LowCardinality(String) COMMENT 'Topic of a position row; empty on counts',
    partition      UInt32 COMMENT 'Partition of a position row',
    n              SimpleAggregateFunction(sum, Int64) COMMENT 'Dossiers accepted',
    completed      SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, completed or with the result returned',
    supplemented   SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, asked for a supplement',
    handled        SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, those that ended with status 9 or 10',
    working_days   SimpleAggregateFunction(sum, Int64) COMMENT 'Working days that the handled ones took',
    with_fee       SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, with a fee',
    paid_online    SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, with a fee and an online payment',
    written        SimpleAggregateFunction(sum, Int64) COMMENT 'Of the completed, those whose result is not of the form none',
    e_result       SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, written, those with an electronic file of the result',
    with_result    SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, with an electronic file of the result, or none to be given in writing',
    digitised      SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, with an electronic result and a component with a file',
    reused         SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, with a component that was reused',
    from_store     SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, with a component from the national data store',
    population     SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, with use of population data',
    synced         SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, synchronised in time, and never late',
    sync_told      SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, with a synchronisation, in time or late',
    documented     SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, of whose documents anything was said',
    position       SimpleAggregateFunction(max, UInt64) COMMENT 'Offset after the last one counted',
    latest         SimpleAggregateFunction(max, DateTime64(3, 'Asia/Ho_Chi_Minh')) COMMENT 'Greatest event time'
)
ENGINE = AggregatingMergeTree
ORDER BY (day, province, province63, channel, topic, partition)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000
COMMENT 'dossier_days by place and channel only: what the walls ask at each tick, as small for millions of dossiers as for thousands';

CREATE MATERIALIZED VIEW IF NOT EXISTS dossier_province_days_mv TO dossier_province_days AS
SELECT accepted_on AS day, province, province63, channel, topic, partition,
    sum(dossier_changes.n) AS n, sum(dossier_changes.completed) AS completed, sum(dossier_changes.supplemented) AS supplemented, sum(dossier_changes.handled) AS handled, sum(dossier_changes.days_worked) AS working_days,
    sum(dossier_changes.with_fee) AS with_fee, sum(dossier_changes.paid_online) AS paid_online, sum(dossier_changes.written) AS written, sum(dossier_changes.e_result) AS e_result, sum(dossier_changes.with_result) AS with_result,
    sum(dossier_changes.digitised) AS digitised, sum(dossier_changes.reused) AS reused, sum(dossier_changes.from_store) AS from_store, sum(dossier_changes.population) AS population, sum(dossier_changes.synced) AS synced,
    sum(dossier_changes.sync_told) AS sync_told, sum(dossier_changes.documented) AS documented,
    max(dossier_changes.position) AS position, max(dossier_changes.latest) AS latest
FROM dossier_changes
WHERE seen != toDate(0) OR topic != '' AND sign = 0
GROUP BY day, province, province63, channel, topic, partition;


CREATE TABLE IF NOT EXISTS dossier_history
(
    day            Date COMMENT 'Day of acceptance; 1970-01-01 on position rows',
    seen           Date COMMENT 'Day on which it happened, at the earliest that of acceptance; 1970-01-01 on position rows',
    province       LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63     LowCardinality(String) COMMENT 'Province in the 63-scheme',
    agency_code    LowCardinality(String) COMMENT 'Agency of the acceptance',
    service_id     LowCardinality(String) COMMENT 'Essential service',
    procedure_code LowCardinality(String) COMMENT 'Administrative procedure',
    channel        Enum8('unknown' = 0, 'direct' = 1, 'online' = 2, 'postal' = 3) COMMENT 'Channel of submission',
    portal         Enum8('unknown' = 0, 'npsp' = 1, 'vneid' = 2, 'ministry' = 3, 'province' = 4, 'counter' = 5) COMMENT 'Portal of submission',
    service_level  Enum8('unknown' = 0, 'full' = 1, 'partial' = 2, 'info' = 3, 'none' = 4) COMMENT 'Online level',
    topic          LowCardinality(String) COMMENT 'Topic of a position row; empty on counts',
    partition      UInt32 COMMENT 'Partition of a position row',
    n              SimpleAggregateFunction(sum, Int64) COMMENT 'Dossiers accepted',
    completed      SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, on that day, completed or with the result returned',
    supplemented   SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, on that day, asked for a supplement',
    handled        SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, on that day, that ended with status 9 or 10',
    working_days   SimpleAggregateFunction(sum, Int64) COMMENT 'Working days that the handled ones took',
    with_fee       SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, on that day, with a fee',
    paid_online    SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, on that day, with a fee and an online payment',
    written        SimpleAggregateFunction(sum, Int64) COMMENT 'Of the completed, those whose result is not of the form none',
    e_result       SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, on that day, written, those with an electronic file of the result',
    with_result    SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, on that day, with an electronic file of the result, or none to be given in writing',
    digitised      SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, on that day, with an electronic result and a component with a file',
    reused         SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, on that day, with a component that was reused',
    from_store     SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, on that day, with a component from the national data store',
    population     SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, on that day, with use of population data',
    synced         SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, on that day, synchronised in time, and never late',
    sync_told      SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, on that day, with a first synchronisation, in time or late',
    documented     SimpleAggregateFunction(sum, Int64) COMMENT 'Of these, on that day, of whose documents anything was first said',
    position       SimpleAggregateFunction(max, UInt64) COMMENT 'Offset after the last one counted',
    latest         SimpleAggregateFunction(max, DateTime64(3, 'Asia/Ho_Chi_Minh')) COMMENT 'Greatest event time'
)
ENGINE = AggregatingMergeTree
ORDER BY (day, seen, province, province63, service_id, channel, agency_code, procedure_code, portal, service_level, topic, partition)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000
COMMENT 'Dossiers by day of acceptance and day on which something became of them; summed over the days before a moment it is how they stood then';

CREATE MATERIALIZED VIEW IF NOT EXISTS dossier_history_mv TO dossier_history AS
SELECT accepted_on AS day, seen, province, province63, agency_code, service_id, procedure_code, channel, portal, service_level, topic, partition,
    sum(dossier_changes.n) AS n, sum(dossier_changes.completed) AS completed, sum(dossier_changes.supplemented) AS supplemented, sum(dossier_changes.handled) AS handled, sum(dossier_changes.days_worked) AS working_days,
    sum(dossier_changes.with_fee) AS with_fee, sum(dossier_changes.paid_online) AS paid_online, sum(dossier_changes.written) AS written, sum(dossier_changes.e_result) AS e_result, sum(dossier_changes.with_result) AS with_result,
    sum(dossier_changes.digitised) AS digitised, sum(dossier_changes.reused) AS reused, sum(dossier_changes.from_store) AS from_store, sum(dossier_changes.population) AS population, sum(dossier_changes.synced) AS synced,
    sum(dossier_changes.sync_told) AS sync_told, sum(dossier_changes.documented) AS documented,
    max(dossier_changes.position) AS position, max(dossier_changes.latest) AS latest
FROM dossier_changes
WHERE seen != toDate(0) OR topic != '' AND sign = 0
GROUP BY day, seen, province, province63, agency_code, service_id, procedure_code, channel, portal, service_level, topic, partition;

ALTER TABLE dossier_deadlines
    ADD COLUMN IF NOT EXISTS ended_on Date COMMENT 'Day of the first end of dossiers that become overdue; 1970-01-01 while they are open, and of those that stay on time' AFTER overdue_at,
    ADD COLUMN IF NOT EXISTS disliked_on Date COMMENT 'Day of the first dislike; 1970-01-01 is never' AFTER ended_on,
    MODIFY ORDER BY (day, province, province63, service_id, overdue_at, topic, partition, ended_on, disliked_on);

CREATE OR REPLACE MATERIALIZED VIEW dossier_deadlines_mv TO dossier_deadlines AS
SELECT accepted_on AS day, province, province63, service_id, overdue_at, ended_on, disliked_on, topic, partition,
    sum(timed) AS n,
    max(dossier_changes.position) AS position, max(dossier_changes.latest) AS latest
FROM dossier_changes
WHERE timed != 0 OR topic != '' AND sign = 0
GROUP BY day, province, province63, service_id, overdue_at, ended_on, disliked_on, topic, partition;

CREATE TABLE IF NOT EXISTS dossier_agency_deadlines
(
    day            Date COMMENT 'Day of acceptance; 1970-01-01 on position rows',
    province       LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63     LowCardinality(String) COMMENT 'Province in the 63-scheme',
    agency_code    LowCardinality(String) COMMENT 'Agency of the acceptance',
    service_id     LowCardinality(String) COMMENT 'Essential service',
    procedure_code LowCardinality(String) COMMENT 'Administrative procedure',
    overdue_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Last moment at which these dossiers are on time',
    ended_on       Date COMMENT 'Day of the first end of dossiers that become overdue; 1970-01-01 while they are open, and of those that stay on time',
    disliked_on    Date COMMENT 'Day of the first dislike; 1970-01-01 is never',
    topic          LowCardinality(String) COMMENT 'Topic of a position row; empty on counts',
    partition      UInt32 COMMENT 'Partition of a position row',
    n              SimpleAggregateFunction(sum, Int64) COMMENT 'Accepted dossiers with a due time',
    position       SimpleAggregateFunction(max, UInt64) COMMENT 'Offset after the last one counted',
    latest         SimpleAggregateFunction(max, DateTime64(3, 'Asia/Ho_Chi_Minh')) COMMENT 'Greatest event time'
)
ENGINE = AggregatingMergeTree
ORDER BY (day, province, province63, agency_code, service_id, procedure_code, overdue_at, ended_on, disliked_on, topic, partition)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000
COMMENT 'dossier_deadlines by agency and procedure besides';

CREATE MATERIALIZED VIEW IF NOT EXISTS dossier_agency_deadlines_mv TO dossier_agency_deadlines AS
SELECT accepted_on AS day, province, province63, agency_code, service_id, procedure_code, overdue_at, ended_on, disliked_on, topic, partition,
    sum(timed) AS n,
    max(dossier_changes.position) AS position, max(dossier_changes.latest) AS latest
FROM dossier_changes
WHERE timed != 0 OR topic != '' AND sign = 0
GROUP BY day, province, province63, agency_code, service_id, procedure_code, overdue_at, ended_on, disliked_on, topic, partition;

CREATE TABLE IF NOT EXISTS dossier_province_deadlines
(
    day         Date COMMENT 'Day of acceptance; 1970-01-01 on position rows',
    province    LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63  LowCardinality(String) COMMENT 'Province in the 63-scheme',
    overdue_at  DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Last moment at which these dossiers are on time; 1970-01-02 of those that ended after theirs',
    ended_on    Date COMMENT '1970-01-02 where they ended late; 1970-01-01 where they are open or stay on time',
    disliked_on Date COMMENT '1970-01-02 where the applicant was dissatisfied; 1970-01-01 is never',
    topic       LowCardinality(String) COMMENT 'Topic of a position row; empty on counts',
    partition   UInt32 COMMENT 'Partition of a position row',
    n           SimpleAggregateFunction(sum, Int64) COMMENT 'Accepted dossiers with a due time',
    position    SimpleAggregateFunction(max, UInt64) COMMENT 'Offset after the last one counted',
    latest      SimpleAggregateFunction(max, DateTime64(3, 'Asia/Ho_Chi_Minh')) COMMENT 'Greatest event time'
)
ENGINE = AggregatingMergeTree
ORDER BY (day, province, province63, overdue_at, ended_on, disliked_on, topic, partition)
TTL day + INTERVAL 1 DAY DELETE WHERE n = 0 AND topic = ''
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000
COMMENT 'dossier_deadlines by place only, as they stand now: a moment of its own have open dossiers, those that ended share one';

CREATE MATERIALIZED VIEW IF NOT EXISTS dossier_province_deadlines_mv TO dossier_province_deadlines AS
SELECT accepted_on AS day, province, province63, moment AS overdue_at, ended AS ended_on, disliked AS disliked_on, topic, partition,
    sum(timed) AS n, max(at_position) AS position, max(at_latest) AS latest
FROM (
    SELECT accepted_on, province, province63, topic, partition, timed, position AS at_position, latest AS at_latest, ended_on != toDate(0) AS late,
        if(late, toDateTime64('1970-01-02 00:00:00', 3, 'Asia/Ho_Chi_Minh'), overdue_at) AS moment, toDate(late) AS ended, toDate(disliked_on != toDate(0)) AS disliked
    FROM dossier_changes
    WHERE timed != 0 OR topic != '' AND sign = 0)
GROUP BY day, province, province63, moment, ended, disliked, topic, partition;

CREATE OR REPLACE MATERIALIZED VIEW dossier_savings_mv TO dossier_savings AS
SELECT saved_on AS day, province, province63, service_id, topic, partition,
    sum(saving) AS n,
    max(dossier_changes.position) AS position, max(dossier_changes.latest) AS latest
FROM dossier_changes
WHERE saving != 0 OR topic != '' AND sign = 0
GROUP BY day, province, province63, service_id, topic, partition;
