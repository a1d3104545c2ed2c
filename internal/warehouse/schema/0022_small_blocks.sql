-- What a range of dossier events costs later, when all events of its dossiers are read again: a few rows of each of some hundred
-- granules. A block of one column is what is decompressed for them, and is 64 KiB and more unless it may end with a granule: with
-- blocks of 4 KiB and more the same read takes less than half the time (docs/explanation/performance.md), the table one part in a
-- hundred more space, and whoever scans it does not notice. Parts get such blocks when they are written or merged.

ALTER TABLE dossier_events MODIFY SETTING min_compress_block_size = 4096;
