-- What analysts read. Each view runs as its definer, so that nobody needs a grant on a raw table, and
-- each has a row policy for every scope (internal/warehouse/views.go), without which a scope would see
-- every province. Sensitive services have no rows here; pseudonyms of persons have no column.
-- A view takes no comments from the tables below it, so it lists its columns.

CREATE VIEW IF NOT EXISTS dossiers
(
    registered_on Date COMMENT 'Date the dossier was registered',
    dossier       String COMMENT 'Dossier id, opaque (a keyed hash of the dossier code)',
    accepted_at   DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'First status 2; 1970-01-01 when not accepted',
    ended_at      DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'End of handling (reading rule 4); 1970-01-01 while open',
    end_status    UInt8 COMMENT 'Status that ended it',
    due_at        DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Due time (rule 5); 1970-01-01 when unknown',
    overdue_at    DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Last moment at which it is on time (rule 5); 2261-12-31 when it stays on time',
    supplements   UInt16 COMMENT 'Number of supplement requests',
    supplement_ms Int64 COMMENT 'Closed supplement time in milliseconds',
    province      LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63    LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    agency_code   LowCardinality(String) COMMENT 'Agency of the acceptance',
    service_id    LowCardinality(String) COMMENT 'Essential service; never DA06-22, which is sensitive',
    service_level Enum8('unknown' = 0, 'full' = 1, 'partial' = 2, 'info' = 3, 'none' = 4) COMMENT 'Online level of the service',
    channel       Enum8('unknown' = 0, 'direct' = 1, 'online' = 2, 'postal' = 3) COMMENT 'Channel of submission; never unknown here',
    portal        Enum8('unknown' = 0, 'npsp' = 1, 'vneid' = 2, 'ministry' = 3, 'province' = 4, 'counter' = 5) COMMENT 'Portal of submission',
    latest        DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Time of its newest event'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT registered_on, subject AS dossier, accepted_at, ended_at, end_status, due_at, overdue_at, supplements, supplement_ms,
    province, province63, agency_code, service_id, service_level, channel, portal, latest
FROM dossier_state FINAL
WHERE service_id != 'DA06-22'
COMMENT 'State of each dossier: one row per dossier';

CREATE VIEW IF NOT EXISTS authentications
(
    occurred_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When it happened at the source',
    source          LowCardinality(String) COMMENT 'CloudEvents source, /<system>/<org>',
    province_code   LowCardinality(String) COMMENT 'Province code as reported',
    admin_scheme    Enum8('none' = 0, 'gso63' = 1, 'gso34' = 2) COMMENT 'Scheme of province_code',
    province        LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63      LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    agency_code     LowCardinality(String) COMMENT 'Agency code (G.. or H..), opaque',
    service_id      LowCardinality(String) COMMENT 'Essential service the attempt was for; never DA06-22, which is sensitive',
    procedure_code  LowCardinality(String) COMMENT 'Administrative procedure code',
    service_level   Enum8('unknown' = 0, 'full' = 1, 'partial' = 2, 'info' = 3, 'none' = 4) COMMENT 'Online level of the service',
    subject_type    Enum8('unknown' = 0, 'citizen' = 1, 'enterprise' = 2, 'household_business' = 3, 'organisation' = 4, 'agency' = 5, 'foreigner' = 6) COMMENT 'Who authenticated',
    relying_party   LowCardinality(String) COMMENT 'Agency that asked for the authentication',
    assurance_level UInt8 COMMENT 'Assurance level 1..4 (Decree 69/2024)',
    auth_method     Array(String) COMMENT 'Means used: password, pin, barcode_qr, device, otp, crypto_device, id_card_chip, passport, face, fingerprint, voice, iris',
    outcome         Enum8('none' = 0, 'success' = 1, 'wrong_credential' = 2, 'expired' = 3, 'locked' = 4, 'no_match' = 5, 'level_too_low' = 6, 'user_cancelled' = 7, 'timeout' = 8, 'system_error' = 9) COMMENT 'Outcome of the attempt',
    error_code      LowCardinality(String) COMMENT 'Error code of the source',
    latency_ms      Nullable(Int32) COMMENT 'Duration in milliseconds; NULL is absent'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT occurred_at, source, province_code, admin_scheme, province, province63, agency_code, service_id, procedure_code, service_level,
    subject_type, relying_party, assurance_level,
    arrayMap(i -> ['password', 'pin', 'barcode_qr', 'device', 'otp', 'crypto_device', 'id_card_chip', 'passport', 'face', 'fingerprint', 'voice', 'iris'][i],
        arrayFilter(i -> bitTest(auth_methods, i - 1), range(1, 13))) AS auth_method,
    outcome, error_code, nullIf(latency_ms, -1) AS latency_ms
FROM auth_attempts
WHERE service_id != 'DA06-22'
COMMENT 'Authentication attempts of the last 90 days';

CREATE VIEW IF NOT EXISTS reports
(
    occurred_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When it happened at the source',
    source      LowCardinality(String) COMMENT 'CloudEvents source, /<system>/<org>',
    province    LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63  LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    metric_id   LowCardinality(String) COMMENT 'Reported KPI or counter',
    value       Float64 COMMENT 'Reported value',
    denominator Nullable(Float64) COMMENT 'Known whole of the value (49 of 76); NULL is absent',
    qualifier   Enum8('none' = 0, 'exact' = 1, 'over' = 2, 'nearly' = 3) COMMENT 'How the source qualified the value',
    as_of       Date COMMENT 'Date that the reported value holds for',
    source_ref  String COMMENT 'Document that the value was published in'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT occurred_at, source, province, province63, metric_id, value, nullIf(denominator, 0) AS denominator, qualifier, as_of, source_ref
FROM register_events
WHERE type = 'counter.report'
COMMENT 'Official figures as reported: value, date and source';
