-- What an inserted row costs later: merges were half of the engine's work while a backlog is caught up with. Measured with
-- authentications in blocks of 100,000 to 400,000 rows (docs/explanation/performance.md): a pass of merging costs 2.8
-- processor seconds per million rows column by column (vertical) and 2.0 row by row, which needs more memory where parts
-- are large, so that those keep the former; a part in one file instead of a hundred saves an insert a fifth; and twice as
-- many parts at a time are half as many passes. Readers meet about twice as many parts for it. Rollups are merged as before:
-- they are small, and what is read of them all the time should be.

ALTER TABLE dossier_events
    MODIFY SETTING min_bytes_for_wide_part = 134217728, vertical_merge_algorithm_min_rows_to_activate = 10000000, merge_selector_base = 10;
ALTER TABLE auth_attempts
    MODIFY SETTING min_bytes_for_wide_part = 134217728, vertical_merge_algorithm_min_rows_to_activate = 10000000, merge_selector_base = 10;
ALTER TABLE data_queries
    MODIFY SETTING min_bytes_for_wide_part = 134217728, vertical_merge_algorithm_min_rows_to_activate = 10000000, merge_selector_base = 10;
ALTER TABLE eid_events
    MODIFY SETTING min_bytes_for_wide_part = 134217728, vertical_merge_algorithm_min_rows_to_activate = 10000000, merge_selector_base = 10;
