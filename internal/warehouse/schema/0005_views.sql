-- What analysts read. Each view runs as its definer, so that nobody needs a grant on a raw table, and
-- each has a row policy for every scope (internal/warehouse/views.go), without which a scope would see
-- every province. Sensitive services have no rows here; pseudonyms of persons have no column.

CREATE VIEW IF NOT EXISTS dossiers
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT registered_on, subject AS dossier, accepted_at, ended_at, end_status, due_at, overdue_at, supplements, supplement_ms,
    province, province63, agency_code, service_id, service_level, channel, portal, latest
FROM dossier_state FINAL
WHERE service_id != 'DA06-22'
COMMENT 'State of each dossier: one row per dossier';

CREATE VIEW IF NOT EXISTS authentications
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
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT occurred_at, source, province, province63, metric_id, value, nullIf(denominator, 0) AS denominator, qualifier, as_of, source_ref
FROM register_events
WHERE type = 'counter.report'
COMMENT 'Official figures as reported: value, date and source';
