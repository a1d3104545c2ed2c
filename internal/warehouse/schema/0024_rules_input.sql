-- What the rules read of an event, in one column: all events of the dossiers that a range touches are read again, a few rows of
-- each of some hundred granules, and opening thirty columns there takes longer than what they hold. It is made of the other columns
-- when a row is inserted; of parts that were written before, when it is read, or once for all at a quiet time with
-- ALTER TABLE dossier_events MATERIALIZE COLUMN rules_input.
-- The order is that of eventRules in internal/warehouse: numbers first, so that they have fixed places.

ALTER TABLE dossier_events
    ADD COLUMN IF NOT EXISTS rules_input String MATERIALIZED formatRow('RowBinary',
        occurred_at, due_at, fee_total_vnd, amount_vnd, statutory_limit,
        status, limit_unit, service_level, channel, portal, result_form,
        doc_kind, has_file, reused, from_national_store, vneid_authenticated, payment_state, sync_on_time, paid_online, likes,
        province, province63, agency_code, service_id, procedure_code, source_db)
        COMMENT 'What the rules for dossiers read of the other columns, in the format RowBinary';
