-- Views for analysts over every family (0005 says how they are made). Voided events are left out: of registers at once, of
-- dossiers with the range that brings the void, of counted facts when they are taken out of the rollups (table voided).
-- Registers without a province are for everybody; which views that is, is in internal/warehouse/views.go.
-- Of registers that say how something stands, the newest entry counts: by time, then status, then id.

CREATE OR REPLACE VIEW dossiers
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
WHERE service_id != 'DA06-22' AND latest > 0
COMMENT 'State of each dossier: one row per dossier, but for those whose events are all voided';

CREATE OR REPLACE VIEW authentications
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
WHERE service_id != 'DA06-22' AND (topic, partition, offset) NOT IN (SELECT topic, partition, offset FROM voided WHERE batch > 0 AND family = 'auth_attempts')
COMMENT 'Authentication attempts of the last 90 days';

CREATE OR REPLACE VIEW reports
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
FROM live_register_events
WHERE type = 'counter.report' AND service_id != 'DA06-22'
COMMENT 'Official figures as reported: value, date and source';

CREATE VIEW IF NOT EXISTS queries
(
    occurred_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When it happened at the source',
    source          LowCardinality(String) COMMENT 'CloudEvents source, /<system>/<org>',
    province_code   LowCardinality(String) COMMENT 'Province code as reported',
    admin_scheme    Enum8('none' = 0, 'gso63' = 1, 'gso34' = 2) COMMENT 'Scheme of province_code',
    province        LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63      LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    agency_code     LowCardinality(String) COMMENT 'Agency code (G.. or H..), opaque',
    service_id      LowCardinality(String) COMMENT 'Essential service that the query was for; never DA06-22, which is sensitive',
    procedure_code  LowCardinality(String) COMMENT 'Administrative procedure code',
    subject_type    Enum8('unknown' = 0, 'citizen' = 1, 'enterprise' = 2, 'household_business' = 3, 'organisation' = 4, 'agency' = 5, 'foreigner' = 6) COMMENT 'Whom it concerns',
    consumer_agency LowCardinality(String) COMMENT 'Agency that asked for the data',
    query_kind      Enum8('none' = 0, 'lookup' = 1, 'verify' = 2, 'clean' = 3, 'sync' = 4) COMMENT 'What the query was for',
    outcome         Enum8('none' = 0, 'ok' = 1, 'not_found' = 2, 'denied' = 3, 'error' = 4, 'timeout' = 5) COMMENT 'Outcome of the query',
    latency_ms      Nullable(Int32) COMMENT 'Duration in milliseconds; NULL is absent',
    records         UInt32 COMMENT 'Number of records that were returned or handled'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT occurred_at, source, province_code, admin_scheme, province, province63, agency_code, service_id, procedure_code, subject_type,
    consumer_agency, query_kind, outcome, nullIf(latency_ms, -1) AS latency_ms, records
FROM data_queries
WHERE service_id != 'DA06-22' AND (topic, partition, offset) NOT IN (SELECT topic, partition, offset FROM voided WHERE batch > 0 AND family = 'data_queries')
COMMENT 'Queries to the population database of the last 90 days';

CREATE VIEW IF NOT EXISTS accounts
(
    occurred_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When it happened at the source',
    source          LowCardinality(String) COMMENT 'CloudEvents source, /<system>/<org>',
    province_code   LowCardinality(String) COMMENT 'Province code as reported',
    admin_scheme    Enum8('none' = 0, 'gso63' = 1, 'gso34' = 2) COMMENT 'Scheme of province_code',
    province        LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63      LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    agency_code     LowCardinality(String) COMMENT 'Agency code (G.. or H..), opaque',
    subject_type    Enum8('unknown' = 0, 'citizen' = 1, 'enterprise' = 2, 'household_business' = 3, 'organisation' = 4, 'agency' = 5, 'foreigner' = 6) COMMENT 'Whom it concerns',
    action          Enum8('none' = 0, 'registered' = 1, 'approved' = 2, 'activated' = 3, 'upgraded' = 4, 'locked' = 5, 'unlocked' = 6, 'deactivated' = 7) COMMENT 'What happened to the account',
    eid_level       Nullable(UInt8) COMMENT 'Level of the account, 1 or 2; NULL is absent (organisations have none)'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT occurred_at, source, province_code, admin_scheme, province, province63, agency_code, subject_type,
    account_action AS action, nullIf(eid_level, 0) AS eid_level
FROM eid_events
WHERE type = 'eid.account' AND service_id != 'DA06-22' AND (topic, partition, offset) NOT IN (SELECT topic, partition, offset FROM voided WHERE batch > 0 AND family = 'eid_events')
COMMENT 'What happened to electronic identity accounts in the last 90 days';

CREATE VIEW IF NOT EXISTS wallet_documents
(
    occurred_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When it happened at the source',
    source          LowCardinality(String) COMMENT 'CloudEvents source, /<system>/<org>',
    province_code   LowCardinality(String) COMMENT 'Province code as reported',
    admin_scheme    Enum8('none' = 0, 'gso63' = 1, 'gso34' = 2) COMMENT 'Scheme of province_code',
    province        LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63      LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    agency_code     LowCardinality(String) COMMENT 'Agency code (G.. or H..), opaque',
    subject_type    Enum8('unknown' = 0, 'citizen' = 1, 'enterprise' = 2, 'household_business' = 3, 'organisation' = 4, 'agency' = 5, 'foreigner' = 6) COMMENT 'Whom it concerns',
    kind            Enum8('none' = 0, 'health_book' = 1, 'driving_licence' = 2, 'vehicle_registration' = 3, 'insurance_card' = 4, 'judicial_record' = 5, 'other' = 6) COMMENT 'Kind of document; never health_book or judicial_record, which are sensitive',
    action          Enum8('none' = 0, 'created' = 1, 'integrated' = 2, 'removed' = 3, 'presented' = 4) COMMENT 'What happened to the document'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT occurred_at, source, province_code, admin_scheme, province, province63, agency_code, subject_type,
    document_kind AS kind, document_action AS action
FROM eid_events
WHERE type = 'wallet.document' AND document_kind NOT IN ('health_book', 'judicial_record') AND service_id != 'DA06-22'
    AND (topic, partition, offset) NOT IN (SELECT topic, partition, offset FROM voided WHERE batch > 0 AND family = 'eid_events')
COMMENT 'What happened to documents in the wallets of VNeID in the last 90 days';

CREATE VIEW IF NOT EXISTS service_catalogue
(
    occurred_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Since when it is so',
    source          LowCardinality(String) COMMENT 'CloudEvents source, /<system>/<org>',
    province_code   LowCardinality(String) COMMENT 'Province code as reported',
    admin_scheme    Enum8('none' = 0, 'gso63' = 1, 'gso34' = 2) COMMENT 'Scheme of province_code',
    province        LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63      LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    agency_code     LowCardinality(String) COMMENT 'Agency code (G.. or H..), opaque',
    agency_level    Enum8('none' = 0, 'central' = 1, 'province' = 2, 'commune' = 3) COMMENT 'Level of the agency',
    service_id      LowCardinality(String) COMMENT 'Essential service',
    procedure_code  LowCardinality(String) COMMENT 'Administrative procedure code',
    list            Enum8('none' = 0, 'E25' = 1, 'E53' = 2, 'E76' = 3) COMMENT 'Smallest list of essential services that it is in; E76 contains E53 contains E25',
    level           Enum8('unknown' = 0, 'full' = 1, 'partial' = 2, 'info' = 3, 'none' = 4) COMMENT 'Online level that it is offered at',
    full_eligible   Enum8('unknown' = 0, 'no' = 1, 'yes' = 2) COMMENT 'It can be offered at level full',
    written_result  Enum8('unknown' = 0, 'no' = 1, 'yes' = 2) COMMENT 'It gives a result in writing',
    fee_offline_vnd Nullable(Int64) COMMENT 'Fee at the counter in VND; NULL is absent',
    fee_online_vnd  Nullable(Int64) COMMENT 'Fee online in VND; NULL is absent'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT occurred_at, source, province_code, admin_scheme, province, province63, agency_code, agency_level, service_id, procedure_code,
    list, level, full_eligible, written_result, nullIf(fee_offline_vnd, -1) AS fee_offline_vnd, nullIf(fee_online_vnd, -1) AS fee_online_vnd
FROM live_register_events AS r
WHERE type = 'service.catalog'
ORDER BY r.occurred_at DESC, r.level DESC, event_id DESC, r.source DESC
LIMIT 1 BY r.list, if(r.service_id != '', r.service_id, r.procedure_code), r.province
COMMENT 'How each service or procedure is offered now: the newest entry of each list, service or procedure, and province';

CREATE VIEW IF NOT EXISTS tasks
(
    task            String COMMENT 'Task id',
    occurred_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When it came to its status',
    source          LowCardinality(String) COMMENT 'CloudEvents source, /<system>/<org>',
    province_code   LowCardinality(String) COMMENT 'Province code as reported',
    admin_scheme    Enum8('none' = 0, 'gso63' = 1, 'gso34' = 2) COMMENT 'Scheme of province_code',
    province        LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63      LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    agency_code     LowCardinality(String) COMMENT 'Agency code (G.. or H..), opaque',
    agency_level    Enum8('none' = 0, 'central' = 1, 'province' = 2, 'commune' = 3) COMMENT 'Level of the agency',
    lead_agency     LowCardinality(String) COMMENT 'Agency that leads the task',
    source_document String COMMENT 'Document that assigned the task',
    status          Enum8('none' = 0, 'assigned' = 1, 'in_progress' = 2, 'completed' = 3, 'completed_late' = 4, 'overdue' = 5, 'continuous' = 6) COMMENT 'Newest status of the task',
    due_at          DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When it is due; 1970-01-01 is absent'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT subject AS task, occurred_at, source, province_code, admin_scheme, province, province63, agency_code, agency_level,
    lead_agency, source_document, task_status AS status, due_at
FROM live_register_events AS r
WHERE type = 'task.status' AND service_id != 'DA06-22'
ORDER BY r.occurred_at DESC, task_status DESC, event_id DESC, r.source DESC
LIMIT 1 BY subject
COMMENT 'Tasks: the newest entry of each';

CREATE VIEW IF NOT EXISTS capabilities
(
    occurred_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Since when it is so',
    source          LowCardinality(String) COMMENT 'CloudEvents source, /<system>/<org>',
    province_code   LowCardinality(String) COMMENT 'Province code as reported',
    admin_scheme    Enum8('none' = 0, 'gso63' = 1, 'gso34' = 2) COMMENT 'Scheme of province_code',
    province        LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63      LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    agency_code     LowCardinality(String) COMMENT 'Agency code (G.. or H..), opaque',
    kind            Enum8('none' = 0, 'ioc' = 1, 'platform' = 2, 'popdb_connection' = 3, 'data_centre' = 4) COMMENT 'What the organisation has',
    org_id          LowCardinality(String) COMMENT 'Organisation that has it',
    org_kind        LowCardinality(String) COMMENT 'Kind of the organisation, for example province or ministry',
    state           Enum8('none' = 0, 'planned' = 1, 'building' = 2, 'operating' = 3, 'suspended' = 4, 'closed' = 5) COMMENT 'Newest state; a connection that is live is operating'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT occurred_at, source, province_code, admin_scheme, province, province63, agency_code,
    capability_kind AS kind, org_id, org_kind, capability_state AS state
FROM live_register_events AS r
WHERE type = 'capability.status' AND service_id != 'DA06-22'
ORDER BY r.occurred_at DESC, capability_state DESC, event_id DESC, r.source DESC
LIMIT 1 BY capability_kind, org_kind, org_id
COMMENT 'What organisations have, operations centres and connections among it: the newest entry of each kind and organisation';

CREATE VIEW IF NOT EXISTS quality_reports
(
    occurred_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When it was measured',
    source          LowCardinality(String) COMMENT 'CloudEvents source, /<system>/<org>',
    province_code   LowCardinality(String) COMMENT 'Province code as reported',
    admin_scheme    Enum8('none' = 0, 'gso63' = 1, 'gso34' = 2) COMMENT 'Scheme of province_code',
    province        LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63      LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    agency_code     LowCardinality(String) COMMENT 'Agency code (G.. or H..), opaque',
    database        LowCardinality(String) COMMENT 'Database that was measured',
    criterion       Enum8('none' = 0, 'dung' = 1, 'du' = 2, 'sach' = 3, 'song' = 4, 'thong_nhat' = 5) COMMENT 'Correct, complete, clean, living, consistent',
    field           LowCardinality(String) COMMENT 'Field of the database that the rule is about',
    rule_id         LowCardinality(String) COMMENT 'Rule of the criterion',
    evaluated       UInt64 COMMENT 'Records that the rule was applied to',
    passing         UInt64 COMMENT 'Records of these that the rule holds for',
    weight          Float64 COMMENT 'Weight of the rule'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT occurred_at, source, province_code, admin_scheme, province, province63, agency_code,
    database, criterion, quality_field AS field, rule_id, evaluated, passing, weight
FROM live_register_events
WHERE type = 'data.quality' AND service_id != 'DA06-22'
COMMENT 'Measurements of data quality, as reported: every one, not the newest only';

CREATE VIEW IF NOT EXISTS petitions
(
    petition        String COMMENT 'Petition id',
    occurred_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When it came to its status',
    source          LowCardinality(String) COMMENT 'CloudEvents source, /<system>/<org>',
    province_code   LowCardinality(String) COMMENT 'Province code as reported',
    admin_scheme    Enum8('none' = 0, 'gso63' = 1, 'gso34' = 2) COMMENT 'Scheme of province_code',
    province        LowCardinality(String) COMMENT 'Province in the 34-scheme; empty is national',
    province63      LowCardinality(String) COMMENT 'Province in the 63-scheme; gso34:<code> where it cannot be split',
    agency_code     LowCardinality(String) COMMENT 'Agency code (G.. or H..), opaque',
    agency_level    Enum8('none' = 0, 'central' = 1, 'province' = 2, 'commune' = 3) COMMENT 'Level of the agency',
    service_id      LowCardinality(String) COMMENT 'Essential service that it is about; never DA06-22, which is sensitive',
    procedure_code  LowCardinality(String) COMMENT 'Administrative procedure code',
    class           Enum8('none' = 0, 'regulation' = 1, 'staff' = 2) COMMENT 'About a regulation, or about the conduct of staff',
    status          Enum8('none' = 0, 'received' = 1, 'refused' = 2, 'info_required' = 3, 'answered' = 4, 'published' = 5) COMMENT 'Newest status of the petition',
    received_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'First status received; 1970-01-01 is absent',
    answered_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'First status answered or published; 1970-01-01 while there is none',
    due_at          DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When the answer is due, as said last; 1970-01-01 is absent',
    likes           Nullable(Int8) COMMENT 'Rating of the answer, as said last: -1 dislike, 0 neither, 1 like; NULL is absent'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH argMaxIf((r.province_code, r.admin_scheme, r.province, r.province63), rank, r.province != '') AS place
SELECT subject AS petition, max(r.occurred_at) AS occurred_at, argMax(r.source, rank) AS source,
    tupleElement(place, 1) AS province_code, tupleElement(place, 2) AS admin_scheme, tupleElement(place, 3) AS province, tupleElement(place, 4) AS province63,
    argMax(r.agency_code, rank) AS agency_code, argMax(r.agency_level, rank) AS agency_level,
    argMaxIf(r.service_id, rank, r.service_id != '') AS service_id, argMaxIf(r.procedure_code, rank, r.procedure_code != '') AS procedure_code,
    argMaxIf(petition_class, rank, petition_class != 'none') AS class, argMax(petition_status, rank) AS status,
    minIf(r.occurred_at, petition_status = 'received') AS received_at, minIf(r.occurred_at, petition_status IN ('answered', 'published')) AS answered_at,
    argMaxIf(r.due_at, rank, r.due_at > 0) AS due_at, argMaxIf(toNullable(r.likes), rank, r.likes != -128) AS likes
FROM
(
    SELECT *, (occurred_at, petition_status, event_id, source) AS rank FROM live_register_events WHERE type = 'petition.status'
) AS r
GROUP BY subject
HAVING max(r.service_id = 'DA06-22') = 0
COMMENT 'Petitions: one row for each, as it stands now';
