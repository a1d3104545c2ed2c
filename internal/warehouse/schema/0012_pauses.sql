-- Decisions of operators to hold ingestion and to let it go on, which every ingest process looks at every few seconds.
-- Rows are only added: who held what, and why, stays known. Of the decisions that are about a partition (those for all
-- topics, for its topic, and for itself) the newest counts.

CREATE TABLE IF NOT EXISTS ingest_pauses
(
    decision     UInt64 COMMENT 'Number of the decision; the greatest one that is about a partition counts',
    topic        LowCardinality(String) COMMENT 'Kafka topic, without incarnation; empty for all topics',
    partition    Nullable(UInt32) COMMENT 'Kafka partition; NULL for all partitions of the topic',
    paused       Bool COMMENT 'true: hold ingestion; false: let it go on',
    accept_clock DateTime64(3, 'Asia/Ho_Chi_Minh') DEFAULT 0 COMMENT 'Clock readings recorded up to this one are known to have been wrong and hold the partition no longer; 1970-01-01 is none',
    reason       String COMMENT 'Why, in the operator''s words',
    decided_by   String COMMENT 'Who decided: user and machine of the command',
    decided_at   DateTime64(3, 'Asia/Ho_Chi_Minh') DEFAULT now64(3) COMMENT 'When it was decided, by ClickHouse''s clock'
)
ENGINE = MergeTree
ORDER BY (topic, decision)
SETTINGS index_granularity = 1024
COMMENT 'Pauses of ingestion; kept for ever';
