-- Events that an event.void names are taken out of every KPI; both stay in the raw tables. Dossiers and registers are
-- sets of events, which leave them out when they are read. Of counted facts the rollups have to be corrected:
-- ingest/voids.go writes into this table which rows it takes out, as batches that are numbered without a gap, and then
-- applies the batches in order. A rollup's position row of the topic '~void' says which batch it has come to.

CREATE TABLE IF NOT EXISTS voided
(
    batch      UInt64 COMMENT 'Number of the batch that takes the row out of the rollups; 0 when there is nothing to take out',
    source     LowCardinality(String) COMMENT 'CloudEvents source of the void and of the event that it names',
    event_id   String COMMENT 'CloudEvents id of the event that is voided',
    outcome    Enum8('counted' = 1, 'set' = 2, 'void' = 3, 'lost' = 4) COMMENT 'counted: a counted fact, taken out of the rollups; set: of a dossier or register, which leave it out themselves; void: a void, which cannot be voided; lost: no such event came within a day',
    family     LowCardinality(String) COMMENT 'Raw table that the event is in; empty when it was not found',
    topic      LowCardinality(String) COMMENT 'Kafka topic (incarnation) of the event',
    partition  UInt32 COMMENT 'Kafka partition of the event',
    offset     UInt64 COMMENT 'Kafka offset of the event',
    decided_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When it was decided'
)
ENGINE = MergeTree
ORDER BY (batch, source, event_id)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000
COMMENT 'What became of each event that an event.void names; kept for ever';

-- The search for the dossier of an event. The tables of counted facts have this index since 0006.
ALTER TABLE dossier_events
    ADD INDEX IF NOT EXISTS event_ids event_id TYPE bloom_filter(0.01) GRANULARITY 8;
