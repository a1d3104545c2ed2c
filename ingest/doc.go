// Package ingest moves events from Kafka into ClickHouse exactly once.
//
// # The protocol
//
// Each partition is a sequence of ranges of offsets. For each range, in order:
//
//  1. Cut. Records are fetched, decoded and validated into columnar blocks until the range is full or
//     old enough. Everything that decides what the blocks hold besides the records themselves is fixed
//     now: the last offset, the clock reading, the contract version.
//  2. Record. The offset commit that ends the previous range carries the cut of this one in its
//     metadata (see [Pending]). It is sent with the generation and member of the consumer group, so a
//     process that has lost the partition cannot record anything.
//  3. Insert. One insert of one native block per table, all under the same deduplication token, which
//     names the range. ClickHouse drops what it already has, in the table and in every rollup behind it,
//     and fills what is missing.
//  4. Commit. The offset after the range, with the cut of the next range if there is one already.
//
// After a crash the next owner finds the recorded cut, re-forms the same range with the recorded clock
// and contract version, and inserts it again under the same token. Whatever the first attempt had
// written is dropped, whatever it had not is added. An error from an insert therefore never means
// anything but "again, the same blocks".
//
// # Why a stalled owner cannot do harm
//
// An insert is sent only after its range was recorded under the generation that was current then. An
// owner that stalls, loses the partition and wakes up can at worst insert the one range that it had
// recorded; the new owner found that very range and inserted it under the same token. One of the two
// is dropped as long as ClickHouse remembers the token, which is longer than the deadline of an insert
// by orders of magnitude (ioc_ingest_dedupe_window_seconds says how much). Once a range is older than two minutes nobody
// relies on its token any more: whoever inserts it looks first what of it is there (fence.go).
//
// # Duplicates
//
// A producer's retry gives a second record with the same source and id. Whether a record is such a
// duplicate is decided only from identities at lower offsets of its partition: those of earlier ranges,
// which are in memory or read back from ClickHouse on assignment, and those before it in its own range.
// A replay therefore decides the same, and drops nothing of its own half-written rows.
//
// # Dead letters sent again
//
// A dead letter that is sent again is a record of its own partition with a header that names its origin, the place where
// it was rejected first. What becomes of it is a row of dead_letter_replays, in the same range and under the same token.
// A letter that was settled at a lower offset, accepted or found to be a duplicate, is a duplicate; those letters are in
// memory or read back on assignment, like identities, and by the same rule: a range that is formed again decides the same.
//
// # Voids
//
// An event.void takes another event of its source out of every KPI, wherever and whenever the two come. Dossiers and
// registers are sets of events, of which voids are members like others. Rollups of counted facts are corrected behind
// the protocol, by [Voids]: what is taken out is written down first, and each rollup says itself how far it has come.
//
// # Clocks
//
// Events are judged by one clock reading for each range, which is recorded with it: that of the machine when the range was
// opened. A machine whose clock is more than a minute from ClickHouse's, or behind the partition's last recorded reading,
// opens no range until they agree. How long a range is open is measured by the monotonic clock, which never jumps.
//
// # Pauses
//
// A pause (ioc pause) ends the work on a partition as a rebalance would, but the partition stays assigned: what is recorded
// and not inserted by then is finished afterwards, by whoever owns the partition then.
//
// # Every offset has a row
//
// An offset is in exactly one of the raw tables, or in dead_letters, or in skipped_offsets (duplicates
// and offsets that the log itself skips). That is what `ioc verify` checks.
package ingest
