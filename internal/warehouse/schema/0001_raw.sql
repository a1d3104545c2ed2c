-- Raw events, one table per family. Every row keeps what was reported, the province of
-- the 34-scheme beside it, and the topic, partition and offset that it came from.
-- `topic` is the incarnation of the log: the topic's name, with '@n' after the n-th
-- recreation, so that (topic, partition, offset) stays unique for ever.
-- The deduplication window counts parts, and an insert into a table that is partitioned by month makes a part
-- for each month that it touches: those tables have a larger window. The index on offset serves the restoring
-- of identities on assignment.
-- Absent values are '', 0 or 1970-01-01 (Nullable columns cost an insert about a third more).

CREATE TABLE IF NOT EXISTS dossier_events
(
    registered_on       Date COMMENT 'Date the dossier was registered (part of its official code)',
    subject             String COMMENT 'Dossier id, opaque (a keyed hash of the dossier code)',
    occurred_at         DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When it happened at the source',
    type                LowCardinality(String) COMMENT 'Event type without prefix and version, e.g. dossier.status',
    source              LowCardinality(String) COMMENT 'CloudEvents source, /<system>/<org>',
    event_id            String COMMENT 'CloudEvents id, unique per source',
    province_code       LowCardinality(String) COMMENT 'Province code as reported',
    admin_scheme        Enum8('none' = 0, 'gso63' = 1, 'gso34' = 2) COMMENT 'Scheme of province_code',
    province            LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63          LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    commune_code        LowCardinality(String) COMMENT 'Commune code as reported',
    agency_code         LowCardinality(String) COMMENT 'Agency code (G.. or H..), opaque',
    agency_level        Enum8('none' = 0, 'central' = 1, 'province' = 2, 'commune' = 3) COMMENT 'Level of the agency',
    service_id          LowCardinality(String) COMMENT 'Essential service, DA06-01 .. DA06-25; derived from procedure_code where missing',
    procedure_code      LowCardinality(String) COMMENT 'Administrative procedure code',
    service_level       Enum8('unknown' = 0, 'full' = 1, 'partial' = 2, 'info' = 3, 'none' = 4) COMMENT 'Online level of the service',
    subject_type        Enum8('unknown' = 0, 'citizen' = 1, 'enterprise' = 2, 'household_business' = 3, 'organisation' = 4, 'agency' = 5, 'foreigner' = 6) COMMENT 'Who applied',
    subject_pid         String COMMENT 'Pseudonym of the applicant, made by the producer' TTL toDateTime(received_at) + INTERVAL 30 DAY,
    status              UInt8 COMMENT 'Dossier status 1..10 of the national portal; 0 on other types',
    channel             Enum8('unknown' = 0, 'direct' = 1, 'online' = 2, 'postal' = 3) COMMENT 'How the dossier was submitted; unknown counts as direct',
    portal              Enum8('unknown' = 0, 'npsp' = 1, 'vneid' = 2, 'ministry' = 3, 'province' = 4, 'counter' = 5) COMMENT 'Where the dossier was submitted',
    due_at              DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Appointed date of return; 1970-01-01 is absent',
    statutory_limit     UInt16 COMMENT 'Legal time limit in limit_unit; 0 is absent',
    limit_unit          Enum8('unknown' = 0, 'working_day' = 1, 'working_hour' = 2, 'day' = 3) COMMENT 'Unit of statutory_limit',
    supplement_no       UInt8 COMMENT 'Number of the supplement request as reported',
    vneid_authenticated Enum8('unknown' = 0, 'no' = 1, 'yes' = 2) COMMENT 'Applicant authenticated through VNeID',
    result_form         Enum8('unknown' = 0, 'electronic' = 1, 'paper' = 2, 'both' = 3, 'none' = 4) COMMENT 'Form of the result',
    extra               String COMMENT 'Unknown fields of data, as one JSON object; empty when there are none',
    received_at         DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Recorded clock of the batch that ingested the event',
    record_time         DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Timestamp of the Kafka record',
    topic               LowCardinality(String) COMMENT 'Kafka topic (incarnation)',
    partition           UInt32 COMMENT 'Kafka partition',
    offset              UInt64 COMMENT 'Kafka offset',
    INDEX offsets offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(registered_on)
ORDER BY (registered_on, subject, occurred_at)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 100000
COMMENT 'Dossier events, as reported';

CREATE TABLE IF NOT EXISTS auth_attempts
(
    occurred_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When it happened at the source',
    subject         String COMMENT 'Session id, opaque',
    type            LowCardinality(String) COMMENT 'Event type without prefix and version',
    source          LowCardinality(String) COMMENT 'CloudEvents source, /<system>/<org>',
    event_id        String COMMENT 'CloudEvents id, unique per source',
    province_code   LowCardinality(String) COMMENT 'Province code as reported',
    admin_scheme    Enum8('none' = 0, 'gso63' = 1, 'gso34' = 2) COMMENT 'Scheme of province_code',
    province        LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63      LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    commune_code    LowCardinality(String) COMMENT 'Commune code as reported',
    agency_code     LowCardinality(String) COMMENT 'Agency code (G.. or H..), opaque',
    agency_level    Enum8('none' = 0, 'central' = 1, 'province' = 2, 'commune' = 3) COMMENT 'Level of the agency',
    service_id      LowCardinality(String) COMMENT 'Essential service the attempt was for',
    procedure_code  LowCardinality(String) COMMENT 'Administrative procedure code',
    service_level   Enum8('unknown' = 0, 'full' = 1, 'partial' = 2, 'info' = 3, 'none' = 4) COMMENT 'Online level of the service',
    subject_type    Enum8('unknown' = 0, 'citizen' = 1, 'enterprise' = 2, 'household_business' = 3, 'organisation' = 4, 'agency' = 5, 'foreigner' = 6) COMMENT 'Who authenticated',
    subject_pid     String COMMENT 'Pseudonym of the person, made by the producer' TTL toDateTime(received_at) + INTERVAL 30 DAY,
    relying_party   LowCardinality(String) COMMENT 'Agency that asked for the authentication',
    assurance_level UInt8 COMMENT 'Assurance level 1..4 (Decree 69/2024)',
    auth_methods    UInt16 COMMENT 'Means used, one bit each, lowest first: password, pin, barcode_qr, device, otp, crypto_device, id_card_chip, passport, face, fingerprint, voice, iris',
    outcome         Enum8('none' = 0, 'success' = 1, 'wrong_credential' = 2, 'expired' = 3, 'locked' = 4, 'no_match' = 5, 'level_too_low' = 6, 'user_cancelled' = 7, 'timeout' = 8, 'system_error' = 9) COMMENT 'Outcome of the attempt',
    error_code      LowCardinality(String) COMMENT 'Error code of the source',
    latency_ms      Int32 COMMENT 'Duration in milliseconds; -1 is absent',
    extra           String COMMENT 'Unknown fields of data, as one JSON object; empty when there are none',
    received_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Recorded clock of the batch that ingested the event',
    record_time     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Timestamp of the Kafka record',
    topic           LowCardinality(String) COMMENT 'Kafka topic (incarnation)',
    partition       UInt32 COMMENT 'Kafka partition',
    offset          UInt64 COMMENT 'Kafka offset',
    INDEX offsets offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (province, occurred_at)
TTL toDateTime(received_at) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 100000
COMMENT 'Authentication attempts, as reported; kept 90 days, their day rollups stay';

CREATE TABLE IF NOT EXISTS register_events
(
    type            LowCardinality(String) COMMENT 'Event type without prefix and version, e.g. counter.report',
    subject         String COMMENT 'What the entry is about',
    occurred_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When it happened at the source',
    source          LowCardinality(String) COMMENT 'CloudEvents source, /<system>/<org>',
    event_id        String COMMENT 'CloudEvents id, unique per source',
    province_code   LowCardinality(String) COMMENT 'Province code as reported',
    admin_scheme    Enum8('none' = 0, 'gso63' = 1, 'gso34' = 2) COMMENT 'Scheme of province_code',
    province        LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63      LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    commune_code    LowCardinality(String) COMMENT 'Commune code as reported',
    agency_code     LowCardinality(String) COMMENT 'Agency code (G.. or H..), opaque',
    agency_level    Enum8('none' = 0, 'central' = 1, 'province' = 2, 'commune' = 3) COMMENT 'Level of the agency',
    service_id      LowCardinality(String) COMMENT 'Essential service',
    procedure_code  LowCardinality(String) COMMENT 'Administrative procedure code',
    service_level   Enum8('unknown' = 0, 'full' = 1, 'partial' = 2, 'info' = 3, 'none' = 4) COMMENT 'Online level of the service',
    subject_type    Enum8('unknown' = 0, 'citizen' = 1, 'enterprise' = 2, 'household_business' = 3, 'organisation' = 4, 'agency' = 5, 'foreigner' = 6) COMMENT 'Kind of subject',
    metric_id       LowCardinality(String) COMMENT 'Reported KPI or counter',
    value           Float64 COMMENT 'Reported value',
    denominator     Float64 COMMENT 'Known whole of the value (49 of 76); 0 is absent',
    qualifier       Enum8('none' = 0, 'exact' = 1, 'over' = 2, 'nearly' = 3) COMMENT 'How the source qualified the value',
    as_of           Date COMMENT 'Date that the reported value holds for',
    source_ref      String COMMENT 'Document that the value was published in',
    extra           String COMMENT 'Unknown fields of data, as one JSON object; empty when there are none',
    received_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Recorded clock of the batch that ingested the event',
    record_time     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Timestamp of the Kafka record',
    topic           LowCardinality(String) COMMENT 'Kafka topic (incarnation)',
    partition       UInt32 COMMENT 'Kafka partition',
    offset          UInt64 COMMENT 'Kafka offset',
    INDEX offsets offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
ORDER BY (type, subject, occurred_at)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000
COMMENT 'Register entries and official reports; kept for ever';

CREATE TABLE IF NOT EXISTS dead_letters
(
    received_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Recorded clock of the batch that rejected the record',
    reason      LowCardinality(String) COMMENT 'Reason code of the rejection',
    field       LowCardinality(String) COMMENT 'Field that caused it, empty when the whole record did',
    type        LowCardinality(String) COMMENT 'Event type where it was readable',
    source      LowCardinality(String) COMMENT 'CloudEvents source where it was readable and well-formed',
    sha256      FixedString(32) COMMENT 'SHA-256 of the payload (zeros for personal data)',
    size        UInt32 COMMENT 'Payload size in bytes',
    record_time DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Timestamp of the Kafka record',
    topic       LowCardinality(String) COMMENT 'Kafka topic (incarnation)',
    partition   UInt32 COMMENT 'Kafka partition',
    offset      UInt64 COMMENT 'Kafka offset'
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(received_at)
ORDER BY (reason, received_at, topic, partition, offset)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Rejected records, with the reason; the payload is in the dead-letter topic only';

CREATE TABLE IF NOT EXISTS skipped_offsets
(
    topic        LowCardinality(String) COMMENT 'Kafka topic (incarnation)',
    partition    UInt32 COMMENT 'Kafka partition',
    first_offset UInt64 COMMENT 'First offset skipped',
    last_offset  UInt64 COMMENT 'Last offset skipped',
    kind         Enum8('duplicate' = 1, 'gap' = 2) COMMENT 'duplicate: an event with the same identity came before; gap: the log holds no record there',
    source       LowCardinality(String) COMMENT 'CloudEvents source of a duplicate',
    received_at  DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Recorded clock of the batch',
    record_time  DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Timestamp of the Kafka record'
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(received_at)
ORDER BY (topic, partition, first_offset)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Offsets that are in no other table, so that completeness can be proved';

CREATE TABLE IF NOT EXISTS topic_incarnations
(
    topic        String COMMENT 'Kafka topic',
    partition    UInt32 COMMENT 'Kafka partition',
    incarnation  UInt32 COMMENT 'Number of this life of the log, from 1; the first life has no row',
    first_offset UInt64 COMMENT 'Offset that ingestion of this life starts at',
    decided_at   DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When the operator decided',
    reason       String COMMENT 'Why, as the operator wrote it'
)
ENGINE = MergeTree
ORDER BY (topic, partition, incarnation)
COMMENT 'Recreated topics that an operator has accepted (ioc topics adopt)';
