package ingest

import (
	"fmt"
	"slices"

	"ioc.local/ingest/event"
)

// skippedGapKind and skippedDuplicateKind are the kinds of skipped_offsets.
const (
	skippedDuplicateKind = 1
	skippedGapKind       = 2
)

// check compares what the model holds with what was sent, and lists what is wrong.
func (w *simWorld) check(letters map[string]bool) []string {
	w.db.mu.Lock()
	defer w.db.mu.Unlock()
	wrong := slices.Clone(w.db.wrong)
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }

	// Every offset is in exactly one place.
	accepted := map[modelPlace]modelRow{}
	seen := map[modelPlace][]string{}
	for _, table := range modelEventTables {
		for _, r := range w.db.targets[table].rows {
			place := modelPlace{r.topic, r.partition, r.offset}
			seen[place] = append(seen[place], table)
			accepted[place] = r
			w.checkRow(table, r, fail)
		}
	}
	for _, r := range w.db.targets["dead_letters"].rows {
		place := modelPlace{r.topic, r.partition, r.offset}
		seen[place] = append(seen[place], "dead_letters")
		record, ok := w.records[place]
		switch {
		case !ok:
			fail("%v is a dead letter, but was no record", place)
		case r.reason != string(record.reason) && (!record.either || r.reason != "time_in_future"):
			fail("%v is a dead letter for %s, want %q", place, r.reason, record.reason)
		case !letters[fmt.Sprintf("%s/%d/%d", r.topic, r.partition, r.offset)] && record.origin < 0:
			fail("%v is a dead letter in the table, and not in the topic", place)
		case r.size != int64(record.size) || r.time != record.time:
			fail("%v is a dead letter of %d bytes at %d, want %d at %d", place, r.size, r.time, record.size, record.time)
		}
	}
	duplicates := map[modelPlace]modelRow{}
	for _, r := range w.db.targets["skipped_offsets"].rows {
		for offset := r.offset; offset <= r.last; offset++ {
			place := modelPlace{r.topic, r.partition, offset}
			seen[place] = append(seen[place], "skipped_offsets")
			_, isRecord := w.records[place]
			switch {
			case r.kind == skippedGapKind && isRecord:
				fail("%v counts as a gap, but is a record", place)
			case r.kind == skippedDuplicateKind && !isRecord:
				fail("%v counts as a duplicate, but is no record", place)
			case r.kind == skippedDuplicateKind:
				duplicates[place] = r
			}
		}
	}
	for topic, partitions := range w.ends {
		for partition, end := range partitions {
			for offset := range end {
				place := modelPlace{topic, partition, offset}
				switch tables := seen[place]; len(tables) {
				case 0:
					fail("%v is lost", place)
				case 1:
				default:
					fail("%v is there %d times: %v", place, len(tables), tables)
				}
				delete(seen, place)
			}
			w.checkIdentities(topic, partition, end, accepted, duplicates, fail)
		}
	}
	for place, tables := range seen {
		fail("%v is in %v, but beyond the end of the log", place, tables)
	}

	w.checkReplays(accepted, duplicates, fail)
	var feeds, summed [3]int
	for _, table := range modelEventTables {
		feeds[event.Accepted] += len(w.db.targets[table].rows)
	}
	feeds[event.Rejected], feeds[event.Duplicate] = len(w.db.targets["dead_letters"].rows), len(duplicates)
	for _, r := range w.db.targets[event.FeedTable].rows {
		for verdict, n := range r.counts {
			summed[verdict] += n
		}
	}
	if summed != feeds {
		fail("feed_quality counts %v accepted, rejected and duplicate records, the tables have %v", summed, feeds)
	}

	// Every rollup has counted every row once.
	rows := map[string]int{}
	for _, table := range modelEventTables {
		for _, view := range modelViews[table] {
			rows[view.rollup] += len(w.db.targets[table].rows)
			for _, r := range w.db.targets[table].rows {
				place := modelPlace{r.topic, r.partition, r.offset}
				if n := w.db.targets[view.rollup].counts[place]; n != 1 {
					fail("%s has counted %v %d times", view.rollup, place, n)
				}
			}
		}
	}
	for rollup, n := range rows {
		if got := len(w.db.targets[rollup].counts); got != n {
			fail("%s has counted %d offsets, its tables have %d rows", rollup, got, n)
		}
	}
	events := map[string]int{}
	for _, r := range w.db.targets["dossier_events"].rows {
		events[r.subject]++
	}
	for _, view := range modelViews["dossier_changes"] {
		counted, dossiers := map[string]int{}, map[string]int{}
		for _, r := range w.db.targets[view.rollup].rows {
			switch r.id {
			case "events":
				counted[r.subject] += r.n
			case "dossiers":
				dossiers[r.subject] += r.n
			}
		}
		for subject, n := range events {
			if counted[subject] != n || dossiers[subject] != 1 {
				fail("%s counts dossier %s %d times with %d events, want once with %d", view.rollup, subject, dossiers[subject], counted[subject], n)
			}
		}
		if len(counted) != len(events) {
			fail("%s counts %d dossiers, want %d", view.rollup, len(counted), len(events))
		}
	}
	return wrong
}

// checkRow compares a row with the record that was sent.
func (w *simWorld) checkRow(table string, r modelRow, fail func(string, ...any)) {
	record, ok := w.records[modelPlace{r.topic, r.partition, r.offset}]
	switch {
	case !ok:
		fail("%s has a row of %s/%d/%d, which was no record", table, r.topic, r.partition, r.offset)
	case record.reason != "":
		fail("%s has a row of %s/%d/%d, which was to be rejected for %s", table, r.topic, r.partition, r.offset, record.reason)
	case record.dossier != (table == "dossier_events"), r.source != record.source, r.id != record.id, r.subject != record.subject,
		r.occurred != record.occurred, r.time != record.time, !record.dossier && r.latency != record.latency:
		fail("%s has %+v of %s/%d/%d, which was sent as %+v", table, r, r.topic, r.partition, r.offset, record)
	}
}

// checkReplays sees to it that a dead letter that was sent again is settled once, and that each time has a row.
func (w *simWorld) checkReplays(accepted, duplicates map[modelPlace]modelRow, fail func(string, ...any)) {
	rows := map[modelPlace][]modelRow{}
	for _, r := range w.db.targets["dead_letter_replays"].rows {
		rows[modelPlace{r.topic, r.partition, r.offset}] = append(rows[modelPlace{r.topic, r.partition, r.offset}], r)
	}
	settled := map[modelPlace]int{}
	for place, record := range w.records {
		if record.origin < 0 {
			if len(rows[place]) > 0 {
				fail("%v has rows of dead_letter_replays, and is none", place)
			}
			continue
		}
		if len(rows[place]) != 1 {
			fail("%v was sent again, and has %d rows of dead_letter_replays", place, len(rows[place]))
			continue
		}
		_, isAccepted := accepted[place]
		_, isDuplicate := duplicates[place]
		outcome := rows[place][0].outcome
		if isAccepted != (outcome == replayAcceptedKind) || isDuplicate != (outcome == replayDuplicateKind || outcome == replayRepeatedKind) {
			fail("%v was sent again with outcome %d, but accepted is %v and duplicate %v", place, outcome, isAccepted, isDuplicate)
		}
		if outcome == replayAcceptedKind || outcome == replayDuplicateKind {
			origin := modelPlace{place.topic, place.partition, record.origin}
			if settled[origin]++; settled[origin] > 1 {
				fail("the letter of %v was settled %d times", origin, settled[origin])
			}
		}
	}
}

// checkIdentities sees to it that a copy was accepted only outside of every window, and skipped only where there was
// an acceptance before it.
func (w *simWorld) checkIdentities(topic string, partition int, end int64, accepted, duplicates map[modelPlace]modelRow, fail func(string, ...any)) {
	window := slices.Min(w.windows)
	last := map[string]int{} // identity -> how many were accepted up to it
	n := 0
	for offset := range end {
		place := modelPlace{topic, partition, offset}
		if r, ok := accepted[place]; ok {
			key := r.source + " " + r.id
			if before, ok := last[key]; ok && n-before < window {
				fail("%v is a copy of an event that was accepted %d events earlier, within the window of %d", place, n-before+1, window)
			}
			n++
			last[key] = n
		}
		if _, ok := duplicates[place]; ok {
			record := w.records[place]
			if _, ok := last[record.source+" "+record.id]; !ok {
				fail("%v was skipped as a duplicate of an event that was never accepted", place)
			}
		}
	}
}
