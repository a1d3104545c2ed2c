-- The order in which ranges of dossier events count. Events of one dossier can reach several partitions, and several
-- processes apply ranges at once; so each range takes a number first, and its difference is what it adds to all ranges of
-- lower numbers, whether these are in the cubes yet or not. The differences of all numbers add up to the whole, in
-- whatever order they arrive. A number is taken by an insert that holds the condition that it is the next one, under a
-- token that names the number: of two in the same moment ClickHouse drops one.
-- It takes the place of dossier_bounds, which ranges that an older version has begun are still finished by.
-- The partitions are there to be dropped: ingestion drops those that are older than seven days, never the newest.

CREATE TABLE IF NOT EXISTS dossier_order
(
    number       UInt64 COMMENT 'Place of the range in the order, from 1, without a gap',
    topic        LowCardinality(String) COMMENT 'Kafka topic (incarnation) of the range',
    partition    UInt32 COMMENT 'Kafka partition of the range',
    first_offset UInt64 COMMENT 'First offset of the range',
    last_offset  UInt64 COMMENT 'Last offset of the range',
    before       Array(Tuple(topic String, partition UInt32, position UInt64)) COMMENT 'By partition, the offset after the last range of a lower number',
    taken_at     DateTime('Asia/Ho_Chi_Minh') DEFAULT now() COMMENT 'When the number was taken',
    INDEX ranges first_offset TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY intDiv(number, 100000)
ORDER BY number
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000
COMMENT 'Order in which ranges of dossier events count; kept seven days for replays';
