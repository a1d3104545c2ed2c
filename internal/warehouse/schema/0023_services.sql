-- What is asked of single services goes back to the first day: KPIs about one service over the period all. In dossier_days the rows
-- of a service lie in every granule, so that each such question reads all years. Here the service comes first in the key: a
-- question reads the granules of its service, and finds the position rows, which have no service and no day, in the first ones.
-- Nothing is copied from dossier_days, as a range that is repeated would be counted once more: where that has anything, a row says that
-- it is missing here, and questions go to dossier_days as before until `ioc verify --rebuild dossier_service_days` has added it.
-- Like 0018 this wants ingestion at rest.

CREATE TABLE IF NOT EXISTS dossier_service_days
(
    day            Date COMMENT 'Day of acceptance; 1970-01-01 on position rows',
    service_id     LowCardinality(String) COMMENT 'Essential service; empty on position rows, and of other services',
    province       LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63     LowCardinality(String) COMMENT 'Province in the 63-scheme',
    channel        Enum8('unknown' = 0, 'direct' = 1, 'online' = 2, 'postal' = 3) COMMENT 'Channel of submission',
    portal         Enum8('unknown' = 0, 'npsp' = 1, 'vneid' = 2, 'ministry' = 3, 'province' = 4, 'counter' = 5) COMMENT 'Portal of submission',
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
ORDER BY (service_id, day, province, province63, channel, portal, topic, partition)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000
COMMENT 'dossier_days by service first: what is asked of one service lies together, however many years there are';

CREATE MATERIALIZED VIEW IF NOT EXISTS dossier_service_days_mv TO dossier_service_days AS
SELECT accepted_on AS day, service_id, province, province63, channel, portal, topic, partition,
    sum(dossier_changes.n) AS n, sum(dossier_changes.completed) AS completed, sum(dossier_changes.supplemented) AS supplemented, sum(dossier_changes.handled) AS handled, sum(dossier_changes.days_worked) AS working_days,
    sum(dossier_changes.with_fee) AS with_fee, sum(dossier_changes.paid_online) AS paid_online, sum(dossier_changes.written) AS written, sum(dossier_changes.e_result) AS e_result, sum(dossier_changes.with_result) AS with_result,
    sum(dossier_changes.digitised) AS digitised, sum(dossier_changes.reused) AS reused, sum(dossier_changes.from_store) AS from_store, sum(dossier_changes.population) AS population, sum(dossier_changes.synced) AS synced,
    sum(dossier_changes.sync_told) AS sync_told, sum(dossier_changes.documented) AS documented,
    max(dossier_changes.position) AS position, max(dossier_changes.latest) AS latest
FROM dossier_changes
WHERE seen != toDate(0) OR topic != '' AND sign = 0
GROUP BY day, service_id, province, province63, channel, portal, topic, partition;

INSERT INTO dossier_service_days (topic, position) SELECT '~unfilled', 1 FROM dossier_days LIMIT 1;
