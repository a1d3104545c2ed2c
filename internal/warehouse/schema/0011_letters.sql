-- Replays of dead letters. A record that `ioc dead-letters replay` sends again carries the place where it was first
-- rejected; what became of it is a row here, in the same range and under the same token as the row of the record
-- itself. Ingestion reads these rows back when it takes over a partition: a letter that is settled once is a duplicate
-- for ever. The table is therefore without retention; it has a row for each replayed record only.
-- Its columns are not named topic, partition and offset alone, since a row here is beside that of an offset, not instead.

CREATE TABLE IF NOT EXISTS dead_letter_replays
(
    origin_topic  LowCardinality(String) COMMENT 'Kafka topic (incarnation) of the record that was rejected first',
    origin_offset UInt64 COMMENT 'Its Kafka offset; with origin_topic and partition the place of the row in dead_letters',
    topic         LowCardinality(String) COMMENT 'Kafka topic (incarnation) of the record that was sent again',
    partition     UInt32 COMMENT 'Kafka partition of both: a letter is sent again to its own partition',
    record_offset UInt64 COMMENT 'Kafka offset of the record that was sent again',
    received_at   DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Recorded clock of the batch that judged it',
    outcome       Enum8('accepted' = 1, 'duplicate' = 2, 'repeated' = 3, 'rejected' = 4) COMMENT 'accepted: it counts now; duplicate: an event with the same source and id came before; repeated: an earlier replay of this letter was accepted or a duplicate; rejected: dead_letters has a row of it again',
    letter        FixedString(32) COMMENT 'SHA-256 of the origin and of what was sent again, by which a repetition is recognised'
)
ENGINE = MergeTree
ORDER BY (topic, partition, record_offset)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000
COMMENT 'What became of dead letters that were sent again; kept for ever';

-- The facts of a rejection outlive its payload, which is in the dead-letter topic only and goes with its retention.
ALTER TABLE dead_letters MODIFY TTL toDateTime(received_at) + INTERVAL 24 MONTH;
ALTER TABLE dead_letters MODIFY SETTING ttl_only_drop_parts = 1;
