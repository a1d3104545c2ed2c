-- Keys of the HTTP API and the live feed. The table is not among the objects that analysts are granted.
-- A row is replaced when its key is revoked; ids are random, so that a sorting key is all that is needed.

CREATE TABLE IF NOT EXISTS access_tokens
(
    id         String COMMENT 'Public part of the key',
    name       String COMMENT 'Who or what uses the key',
    hash       String COMMENT 'SHA-256 of the whole key in hexadecimal; the key itself is nowhere',
    role       LowCardinality(String) COMMENT 'viewer, analyst, operator or screen',
    national   Bool COMMENT 'The scope is the whole country',
    provinces  Array(String) COMMENT 'Scope: provinces of the 34-scheme; empty when national',
    created_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When the key was made',
    expires_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When the key ends to be good; 1970-01-01 is never',
    revoked_at DateTime64(3, 'Asia/Ho_Chi_Minh') DEFAULT 0 COMMENT 'When the key was revoked; 1970-01-01 is not revoked',
    created_by String COMMENT 'Who made the key',
    version    UInt32 DEFAULT 0 COMMENT 'The row with the greatest counts'
)
ENGINE = ReplacingMergeTree(version) ORDER BY id
COMMENT 'Keys: who may see what';
