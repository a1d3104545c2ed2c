-- The other event types: their columns in the tables that exist, and two tables of counted facts.
-- New columns stand before `extra`, so that every raw table has the same columns at its beginning and at its end.
-- Where 0 is a value, absent is -1 (-128 where -1 is one too), which is also what rows of before have.
-- The default of every column is its absent value: an insert leaves out the columns that none of its rows has.
-- The index on event_id serves the search for an event that is voided; it adds a tenth to an insert.

ALTER TABLE dossier_events
    ADD COLUMN IF NOT EXISTS doc_kind Enum8('none' = 0, 'component' = 1, 'result' = 2) COMMENT 'dossier.document: a component that was submitted, or the result' AFTER result_form,
    ADD COLUMN IF NOT EXISTS digitised Enum8('unknown' = 0, 'no' = 1, 'yes' = 2) COMMENT 'dossier.document: the document is digitised' AFTER doc_kind,
    ADD COLUMN IF NOT EXISTS reused Enum8('unknown' = 0, 'no' = 1, 'yes' = 2) COMMENT 'dossier.document: the document was reused and not asked for again' AFTER digitised,
    ADD COLUMN IF NOT EXISTS from_national_store Enum8('unknown' = 0, 'no' = 1, 'yes' = 2) COMMENT 'dossier.document: taken from the national data store' AFTER reused,
    ADD COLUMN IF NOT EXISTS source_db LowCardinality(String) COMMENT 'dossier.document: database that the document or its data came from' AFTER from_national_store,
    ADD COLUMN IF NOT EXISTS has_file Enum8('unknown' = 0, 'no' = 1, 'yes' = 2) COMMENT 'dossier.document: an electronic file is attached' AFTER source_db,
    ADD COLUMN IF NOT EXISTS payment_state Enum8('none' = 0, 'due' = 1, 'paid' = 2, 'refunded' = 3, 'failed' = 4) COMMENT 'dossier.payment: state of the payment' AFTER has_file,
    ADD COLUMN IF NOT EXISTS paid_online Int8 DEFAULT -1 COMMENT 'dossier.payment: 0 not online, 1 gateway of the national portal, 2 gateway of a ministry or province; -1 is absent' AFTER payment_state,
    ADD COLUMN IF NOT EXISTS amount_vnd Int64 DEFAULT -1 COMMENT 'dossier.payment: amount of this payment in VND; -1 is absent' AFTER paid_online,
    ADD COLUMN IF NOT EXISTS fee_total_vnd Int64 DEFAULT -1 COMMENT 'dossier.payment: all fees of the dossier in VND; -1 is absent' AFTER amount_vnd,
    ADD COLUMN IF NOT EXISTS collect_when UInt8 COMMENT 'dossier.payment: 1 at intake, 2 on supplement, 4 on return of the result; 0 is absent' AFTER fee_total_vnd,
    ADD COLUMN IF NOT EXISTS likes Int8 DEFAULT -128 COMMENT 'dossier.rating: -1 dislike, 0 neither, 1 like; -128 is absent' AFTER collect_when,
    ADD COLUMN IF NOT EXISTS score UInt8 COMMENT 'dossier.rating: score 1..5; 0 is absent' AFTER likes,
    ADD COLUMN IF NOT EXISTS sync_on_time Enum8('unknown' = 0, 'no' = 1, 'yes' = 2) COMMENT 'dossier.sync: the dossier was synchronised in time' AFTER score;

ALTER TABLE register_events
    ADD COLUMN IF NOT EXISTS database LowCardinality(String) COMMENT 'data.quality: database that was measured' AFTER source_ref,
    ADD COLUMN IF NOT EXISTS criterion Enum8('none' = 0, 'dung' = 1, 'du' = 2, 'sach' = 3, 'song' = 4, 'thong_nhat' = 5) COMMENT 'data.quality: correct, complete, clean, living, consistent' AFTER database,
    ADD COLUMN IF NOT EXISTS quality_field LowCardinality(String) COMMENT 'data.quality: field of the database that the rule is about' AFTER criterion,
    ADD COLUMN IF NOT EXISTS rule_id LowCardinality(String) COMMENT 'data.quality: rule of the criterion' AFTER quality_field,
    ADD COLUMN IF NOT EXISTS evaluated UInt64 COMMENT 'data.quality: records that the rule was applied to' AFTER rule_id,
    ADD COLUMN IF NOT EXISTS passing UInt64 COMMENT 'data.quality: records of these that the rule holds for' AFTER evaluated,
    ADD COLUMN IF NOT EXISTS weight Float64 DEFAULT 1 COMMENT 'data.quality: weight of the rule' AFTER passing,
    ADD COLUMN IF NOT EXISTS petition_status Enum8('none' = 0, 'received' = 1, 'refused' = 2, 'info_required' = 3, 'answered' = 4, 'published' = 5) COMMENT 'petition.status: step of the petition' AFTER weight,
    ADD COLUMN IF NOT EXISTS petition_class Enum8('none' = 0, 'regulation' = 1, 'staff' = 2) COMMENT 'petition.status: about a regulation, or about the conduct of staff' AFTER petition_status,
    ADD COLUMN IF NOT EXISTS due_at DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'petition.status, task.status: when it is due; 1970-01-01 is absent' AFTER petition_class,
    ADD COLUMN IF NOT EXISTS likes Int8 DEFAULT -128 COMMENT 'petition.status: rating of the answer, -1 dislike, 0 neither, 1 like; -128 is absent' AFTER due_at,
    ADD COLUMN IF NOT EXISTS list Enum8('none' = 0, 'E25' = 1, 'E53' = 2, 'E76' = 3) COMMENT 'service.catalog: smallest list of essential services that the service is in; E76 contains E53 contains E25' AFTER likes,
    ADD COLUMN IF NOT EXISTS level Enum8('unknown' = 0, 'full' = 1, 'partial' = 2, 'info' = 3, 'none' = 4) COMMENT 'service.catalog: online level that the service is offered at' AFTER list,
    ADD COLUMN IF NOT EXISTS full_eligible Enum8('unknown' = 0, 'no' = 1, 'yes' = 2) COMMENT 'service.catalog: the procedure can be offered at level full' AFTER level,
    ADD COLUMN IF NOT EXISTS written_result Enum8('unknown' = 0, 'no' = 1, 'yes' = 2) COMMENT 'service.catalog: the procedure gives a result in writing' AFTER full_eligible,
    ADD COLUMN IF NOT EXISTS fee_offline_vnd Int64 DEFAULT -1 COMMENT 'service.catalog: fee at the counter in VND; -1 is absent' AFTER written_result,
    ADD COLUMN IF NOT EXISTS fee_online_vnd Int64 DEFAULT -1 COMMENT 'service.catalog: fee online in VND; -1 is absent' AFTER fee_offline_vnd,
    ADD COLUMN IF NOT EXISTS task_status Enum8('none' = 0, 'assigned' = 1, 'in_progress' = 2, 'completed' = 3, 'completed_late' = 4, 'overdue' = 5, 'continuous' = 6) COMMENT 'task.status: state of the task' AFTER fee_online_vnd,
    ADD COLUMN IF NOT EXISTS source_document String COMMENT 'task.status: document that assigned the task' AFTER task_status,
    ADD COLUMN IF NOT EXISTS lead_agency LowCardinality(String) COMMENT 'task.status: agency that leads the task' AFTER source_document,
    ADD COLUMN IF NOT EXISTS capability_kind Enum8('none' = 0, 'ioc' = 1, 'platform' = 2, 'popdb_connection' = 3, 'data_centre' = 4) COMMENT 'capability.status: what the organisation has' AFTER lead_agency,
    ADD COLUMN IF NOT EXISTS org_id LowCardinality(String) COMMENT 'capability.status: organisation that has it' AFTER capability_kind,
    ADD COLUMN IF NOT EXISTS org_kind LowCardinality(String) COMMENT 'capability.status: kind of the organisation, for example province or ministry' AFTER org_id,
    ADD COLUMN IF NOT EXISTS capability_state Enum8('none' = 0, 'planned' = 1, 'building' = 2, 'operating' = 3, 'suspended' = 4, 'closed' = 5) COMMENT 'capability.status: state; a connection that is live is operating' AFTER org_kind,
    ADD COLUMN IF NOT EXISTS void_reason String COMMENT 'event.void: why the event named by subject is taken out' AFTER capability_state;

CREATE TABLE IF NOT EXISTS data_queries
(
    occurred_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When it happened at the source',
    subject         String COMMENT 'Query id, opaque',
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
    service_id      LowCardinality(String) COMMENT 'Essential service that it was for',
    procedure_code  LowCardinality(String) COMMENT 'Administrative procedure code',
    service_level   Enum8('unknown' = 0, 'full' = 1, 'partial' = 2, 'info' = 3, 'none' = 4) COMMENT 'Online level of the service',
    subject_type    Enum8('unknown' = 0, 'citizen' = 1, 'enterprise' = 2, 'household_business' = 3, 'organisation' = 4, 'agency' = 5, 'foreigner' = 6) COMMENT 'Whom it concerns',
    subject_pid     String COMMENT 'Pseudonym of the person, made by the producer' TTL toDateTime(received_at) + INTERVAL 30 DAY,
    consumer_agency LowCardinality(String) COMMENT 'Agency that asked for the data',
    query_kind      Enum8('none' = 0, 'lookup' = 1, 'verify' = 2, 'clean' = 3, 'sync' = 4) COMMENT 'What the query was for',
    outcome         Enum8('none' = 0, 'ok' = 1, 'not_found' = 2, 'denied' = 3, 'error' = 4, 'timeout' = 5) COMMENT 'Outcome of the query',
    latency_ms      Int32 DEFAULT -1 COMMENT 'Duration in milliseconds; -1 is absent',
    records         UInt32 COMMENT 'Number of records that were returned or handled',
    extra           String COMMENT 'Unknown fields of data, as one JSON object; empty when there are none',
    received_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Recorded clock of the batch that ingested the event',
    record_time     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Timestamp of the Kafka record',
    topic           LowCardinality(String) COMMENT 'Kafka topic (incarnation)',
    partition       UInt32 COMMENT 'Kafka partition',
    offset          UInt64 COMMENT 'Kafka offset',
    INDEX offsets offset TYPE minmax GRANULARITY 1,
    INDEX event_ids event_id TYPE bloom_filter(0.05) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (province, occurred_at)
TTL toDateTime(received_at) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 100000
COMMENT 'Queries to the population database, as reported; kept 90 days, their day rollups stay';

CREATE TABLE IF NOT EXISTS eid_events
(
    occurred_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'When it happened at the source',
    subject         String COMMENT 'Id of the account or of the document in the wallet, opaque',
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
    service_id      LowCardinality(String) COMMENT 'Essential service that it was for',
    procedure_code  LowCardinality(String) COMMENT 'Administrative procedure code',
    service_level   Enum8('unknown' = 0, 'full' = 1, 'partial' = 2, 'info' = 3, 'none' = 4) COMMENT 'Online level of the service',
    subject_type    Enum8('unknown' = 0, 'citizen' = 1, 'enterprise' = 2, 'household_business' = 3, 'organisation' = 4, 'agency' = 5, 'foreigner' = 6) COMMENT 'Whom it concerns',
    subject_pid     String COMMENT 'Pseudonym of the person, made by the producer' TTL toDateTime(received_at) + INTERVAL 30 DAY,
    account_action  Enum8('none' = 0, 'registered' = 1, 'approved' = 2, 'activated' = 3, 'upgraded' = 4, 'locked' = 5, 'unlocked' = 6, 'deactivated' = 7) COMMENT 'eid.account: what happened to the account',
    eid_level       UInt8 COMMENT 'eid.account: level of the account, 1 or 2; 0 is absent (organisations have none)',
    document_kind   Enum8('none' = 0, 'health_book' = 1, 'driving_licence' = 2, 'vehicle_registration' = 3, 'insurance_card' = 4, 'judicial_record' = 5, 'other' = 6) COMMENT 'wallet.document: kind of document; health_book and judicial_record are sensitive',
    document_action Enum8('none' = 0, 'created' = 1, 'integrated' = 2, 'removed' = 3, 'presented' = 4) COMMENT 'wallet.document: what happened to the document',
    extra           String COMMENT 'Unknown fields of data, as one JSON object; empty when there are none',
    received_at     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Recorded clock of the batch that ingested the event',
    record_time     DateTime64(3, 'Asia/Ho_Chi_Minh') COMMENT 'Timestamp of the Kafka record',
    topic           LowCardinality(String) COMMENT 'Kafka topic (incarnation)',
    partition       UInt32 COMMENT 'Kafka partition',
    offset          UInt64 COMMENT 'Kafka offset',
    INDEX offsets offset TYPE minmax GRANULARITY 1,
    INDEX event_ids event_id TYPE bloom_filter(0.05) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (province, occurred_at)
TTL toDateTime(received_at) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 100000
COMMENT 'Electronic identity accounts and wallet documents, as reported; kept 90 days, their day rollups stay';

ALTER TABLE auth_attempts
    MODIFY COLUMN latency_ms DEFAULT -1,
    ADD INDEX IF NOT EXISTS event_ids event_id TYPE bloom_filter(0.05) GRANULARITY 1;

ALTER TABLE register_events
    ADD INDEX IF NOT EXISTS event_ids event_id TYPE bloom_filter(0.05) GRANULARITY 1;
