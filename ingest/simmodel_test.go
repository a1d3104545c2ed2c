package ingest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"ioc.local/ingest/event"
	"ioc.local/internal/warehouse"
)

// modelRow is a row of a raw table, or what a row of a rollup counts.
type modelRow struct {
	topic     string
	partition int
	offset    int64
	last      int64  // of skipped_offsets
	part      string // the partition of the table that it is in, such as a month
	source    string
	id        string
	subject   string
	time      int64 // of the record
	received  int64
	occurred  int64
	latency   int64
	reason    string
	kind      int8 // of skipped_offsets
	size      int64
	n         int    // how much of the subject's count it changes, in the changes of dossiers
	letter    string // of dead_letter_replays, with the outcome
	outcome   int8
	counts    [3]int // of feed_quality: accepted, rejected, duplicates
	all       string // every column, to tell rows apart
}

type modelPlace struct {
	topic     string
	partition int
	offset    int64
}

// modelTarget is a table or a rollup: what it holds, and the blocks that it remembers.
type modelTarget struct {
	rows   []modelRow
	memory map[string]modelBlock
	order  []string
	// positions are the offsets that views have come to, by view, topic and partition.
	positions map[string]int64
	// counts says how often a rollup has counted each offset.
	counts map[modelPlace]int
}

// modelBlock is a block that is remembered: what it held, and since when.
type modelBlock struct {
	held string
	at   time.Time
}

// modelDB is ClickHouse as far as exactly-once depends on it. A table and each rollup behind it take a block for
// themselves, one after the other, and each drops a block whose token it remembers; how many it remembers is bounded.
// An insert can end anywhere between two of them. TestModelIsTheEngine holds it against the real one.
type modelDB struct {
	mu     sync.Mutex
	window int
	// keep is how long blocks are remembered at most; 0 for ever. Other tables and processes fill the window meanwhile.
	keep    time.Duration
	targets map[string]*modelTarget
	// epoch is the number of the server's life: what is under way when it ends goes no further.
	epoch  int
	ended  chan struct{}
	pauses []warehouse.Pause
	// bounds are, for each range of dossiers, the positions of other partitions that it comes after.
	bounds map[string]map[string]int64
	// wrong is what must not happen whatever comes later.
	wrong []string
	// taken and dropped count blocks that were written, and those that were remembered.
	taken, dropped, forgotten, filled, removed, restored, ghosts int
	// working counts the inserts that the server works on, by token.
	working map[string]int
	// running counts the inserts that the server works on, whoever still waits for them.
	running sync.WaitGroup
}

// modelView is a view that writes what is inserted into a table to a rollup too.
type modelView struct{ name, rollup string }

// modelViews are the views behind each table, in the order in which they are written.
var modelViews = map[string][]modelView{
	"auth_attempts":   {{"auth_activity_mv", "source_activity"}, {"auth_days_mv", "auth_days"}, {"auth_latency_days_mv", "auth_latency_days"}, {"auth_latency_mv", "auth_latency"}, {"auth_minutes_mv", "auth_minutes"}},
	"dossier_events":  {{"dossier_activity_mv", "source_activity"}},
	"dossier_changes": {{"dossier_agency_deadlines_mv", "dossier_agency_deadlines"}, {"dossier_days_mv", "dossier_days"}, {"dossier_deadlines_mv", "dossier_deadlines"}, {"dossier_history_mv", "dossier_history"}, {"dossier_province_days_mv", "dossier_province_days"}, {"dossier_province_deadlines_mv", "dossier_province_deadlines"}, {"dossier_savings_mv", "dossier_savings"}, {"dossier_service_days_mv", "dossier_service_days"}},
}

// modelEventTables are the tables of events that the model has rows in.
var modelEventTables = []string{"auth_attempts", "dossier_events"}

func newModelDB(window int) *modelDB {
	db := &modelDB{window: window, targets: map[string]*modelTarget{}, bounds: map[string]map[string]int64{}, working: map[string]int{}, ended: make(chan struct{})}
	for table, views := range modelViews {
		db.targets[table] = newModelTarget()
		for _, view := range views {
			db.targets[view.rollup] = newModelTarget()
		}
	}
	for _, table := range []string{"dead_letters", "skipped_offsets", "dead_letter_replays", event.FeedTable} {
		db.targets[table] = newModelTarget()
	}
	return db
}

func newModelTarget() *modelTarget {
	return &modelTarget{memory: map[string]modelBlock{}, counts: map[modelPlace]int{}, positions: map[string]int64{}}
}

// step is one of the writes that an insert consists of: one part of a table, or one view.
type step struct {
	target string
	view   string // empty for the table itself
	part   string
}

// steps lists the writes of an insert.
func (db *modelDB) steps(table string, rows []modelRow) []step {
	var parts []string
	for _, r := range rows {
		if !slices.Contains(parts, r.part) {
			parts = append(parts, r.part)
		}
	}
	slices.Sort(parts)
	var steps []step
	for _, part := range parts {
		steps = append(steps, step{target: table, part: part})
	}
	for _, view := range modelViews[table] {
		steps = append(steps, step{target: view.rollup, view: view.name})
	}
	return steps
}

// take writes one step, unless its target remembers it.
func (db *modelDB) take(s step, rows []modelRow, token string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	target := db.targets[s.target]
	var mine []modelRow
	var text strings.Builder
	for _, r := range rows {
		if s.view != "" || r.part == s.part {
			mine = append(mine, r)
			text.WriteString(r.all)
			text.WriteByte('\n')
		}
	}
	block := s.view + s.part + "|" + token // of two views into one rollup, each is remembered for itself
	for len(target.order) > 0 && db.keep > 0 && time.Since(target.memory[target.order[0]].at) > db.keep {
		delete(target.memory, target.order[0])
		target.order = target.order[1:]
		db.forgotten++
	}
	if before, ok := target.memory[block]; ok {
		db.dropped++
		if before.held != text.String() {
			db.wrong = append(db.wrong, fmt.Sprintf("%s has had other rows under the token %s:\n%sthan now:\n%s", s.target, token, before.held, text.String()))
		}
		return
	}
	db.taken++
	target.memory[block] = modelBlock{text.String(), time.Now()}
	target.order = append(target.order, block)
	if len(target.order) > db.window {
		delete(target.memory, target.order[0])
		target.order = target.order[1:]
	}
	if s.view == "" {
		target.rows = append(target.rows, mine...)
		return
	}
	for _, r := range mine {
		target.counts[modelPlace{r.topic, r.partition, r.offset}]++
		at := fmt.Sprintf("%s/%s/%d", s.view, r.topic, r.partition)
		target.positions[at] = max(target.positions[at], r.offset+1, r.last)
	}
	if strings.HasPrefix(s.target, "dossier_") {
		target.rows = append(target.rows, mine...)
	}
}

// works notes that the server begins or ends to work on an insert.
func (db *modelDB) works(token string, n int) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if token == "" {
		return
	}
	if db.working[token] += n; db.working[token] == 0 {
		delete(db.working, token)
	}
}

// landed is what is there of a range.
func (db *modelDB) landed(table string, r warehouse.Range, token string) (landed warehouse.Landed) {
	db.mu.Lock()
	defer db.mu.Unlock()
	for working := range db.working {
		landed.UnderWay = landed.UnderWay || strings.HasPrefix(working, token)
	}
	landed.Rows = uint64(len(db.inRange(table, r)))
	if table == event.FeedTable {
		holds := slices.ContainsFunc(db.targets[table].rows, func(row modelRow) bool {
			return row.topic == r.Topic && row.partition == int(r.Partition) && row.last > int64(r.First)
		})
		if holds {
			landed.Holding = append(landed.Holding, table)
		} else {
			landed.Lacking = append(landed.Lacking, table)
		}
	}
	for _, view := range modelViews[table] {
		if db.targets[view.rollup].positions[fmt.Sprintf("%s/%s/%d", view.name, r.Topic, r.Partition)] > int64(r.First) {
			landed.Holding = append(landed.Holding, view.name)
		} else {
			landed.Lacking = append(landed.Lacking, view.name)
		}
	}
	return landed
}

// restore puts rows into a table, and into no rollup.
func (db *modelDB) restore(table string, rows []modelRow) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.restored++
	db.targets[table].rows = append(db.targets[table].rows, rows...)
}

// remove takes the rows of a range out of a table, if there are fewer than whole.
func (db *modelDB) remove(table string, r warehouse.Range, whole uint64) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if uint64(len(db.inRange(table, r))) >= whole {
		return
	}
	db.removed++
	target := db.targets[table]
	target.rows = slices.DeleteFunc(target.rows, func(row modelRow) bool { return row.in(r) })
}

// in tells whether a row is of a range.
func (row modelRow) in(r warehouse.Range) bool {
	return row.topic == r.Topic && row.partition == int(r.Partition) && row.offset >= int64(r.First) && row.offset <= int64(r.Last)
}

// inRange are the rows of a range in a table.
func (db *modelDB) inRange(table string, r warehouse.Range) (rows []modelRow) {
	if table == event.FeedTable || table == "dossier_changes" { // sums, and what is not stored
		return nil
	}
	for _, row := range db.targets[table].rows {
		if row.in(r) {
			rows = append(rows, row)
		}
	}
	return rows
}

// ghost has the server remember a step that it did not do, as when it is killed after it has written down what it is
// about to add.
func (db *modelDB) ghost(s step, rows []modelRow, token string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	target, block := db.targets[s.target], s.view+s.part+"|"+token
	if _, ok := target.memory[block]; ok {
		return
	}
	var text strings.Builder
	for _, r := range rows {
		if s.view != "" || r.part == s.part {
			text.WriteString(r.all)
			text.WriteByte('\n')
		}
	}
	target.memory[block] = modelBlock{text.String(), time.Now()}
	target.order = append(target.order, block)
	db.ghosts++
}

// restart ends what is under way.
func (db *modelDB) restart() {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.epoch++
	close(db.ended)
	db.ended = make(chan struct{})
}

func (db *modelDB) life() (int, <-chan struct{}) {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.epoch, db.ended
}

// identities are the newest accepted ones below an offset, in the order of offsets.
func (db *modelDB) identities(topic string, partition int, below int64, window int) []modelRow {
	db.mu.Lock()
	defer db.mu.Unlock()
	var rows []modelRow
	for _, table := range modelEventTables {
		for _, r := range db.targets[table].rows {
			if r.topic == topic && r.partition == partition && r.offset < below {
				rows = append(rows, r)
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b modelRow) int { return int(a.offset - b.offset) })
	return rows[max(0, len(rows)-window):]
}

func (db *modelDB) exist(topic string, partition int) bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	for name, target := range db.targets {
		if name == "source_activity" {
			for place := range target.counts {
				if place.topic == topic && place.partition == partition {
					return true
				}
			}
		}
		if name == "dead_letters" || name == "skipped_offsets" {
			for _, r := range target.rows {
				if r.topic == topic && r.partition == partition {
					return true
				}
			}
		}
	}
	return false
}

// boundsOf gives the positions of other partitions that a range of dossiers comes after: its first attempt settles them.
// In the simulation no dossier is in two partitions, whose order the real one is about.
func (db *modelDB) boundsOf(touched warehouse.TouchedDossiers) map[string]int64 {
	db.mu.Lock()
	defer db.mu.Unlock()
	key := fmt.Sprintf("%s/%d/%d", touched.Topic, touched.Partition, touched.First)
	if bounds := db.bounds[key]; bounds != nil {
		return bounds
	}
	bounds := map[string]int64{}
	for _, r := range db.targets["dossier_days"].rows {
		if r.id == "position" {
			name := fmt.Sprintf("%s/%d", r.topic, r.partition)
			bounds[name] = max(bounds[name], r.last)
		}
	}
	delete(bounds, fmt.Sprintf("%s/%d", touched.Topic, touched.Partition))
	db.bounds[key] = bounds
	return bounds
}

// changes are what a range changes in the cubes: here, whether a dossier is counted, and how many events it has. Like
// the rules of the real ones, the first is not a sum over events.
func (db *modelDB) changes(touched warehouse.TouchedDossiers, bounds map[string]int64) []modelRow {
	db.mu.Lock()
	defer db.mu.Unlock()
	before, after := map[string]int{}, map[string]int{}
	for _, r := range db.targets["dossier_events"].rows {
		mine := r.topic == touched.Topic && r.partition == int(touched.Partition)
		switch {
		case mine && r.offset > int64(touched.Last), !mine && r.offset >= bounds[fmt.Sprintf("%s/%d", r.topic, r.partition)]:
			continue
		case !mine || r.offset < int64(touched.First):
			before[r.subject]++
		}
		after[r.subject]++
	}
	place := modelRow{topic: touched.Topic, partition: int(touched.Partition), last: int64(touched.Last) + 1}
	subjects := slices.Clone(touched.Subjects)
	slices.Sort(subjects)
	var rows []modelRow
	for _, subject := range slices.Compact(subjects) {
		row := place
		row.id, row.subject, row.n = "events", subject, after[subject]-before[subject]
		rows = append(rows, row)
		if row.id, row.n = "dossiers", min(after[subject], 1)-min(before[subject], 1); row.n != 0 {
			rows = append(rows, row)
		}
	}
	place.id = "position"
	rows = append(rows, place)
	for i := range rows {
		rows[i].all = fmt.Sprintf("%+v", rows[i])
	}
	return rows
}

// settled are the letters that records below an offset settled.
func (db *modelDB) settled(topic string, partition int, below int64, window int) []modelRow {
	db.mu.Lock()
	defer db.mu.Unlock()
	var rows []modelRow
	for _, r := range db.targets["dead_letter_replays"].rows {
		if r.topic == topic && r.partition == partition && r.offset < below && (r.outcome == replayAcceptedKind || r.outcome == replayDuplicateKind) {
			rows = append(rows, r)
		}
	}
	slices.SortStableFunc(rows, func(a, b modelRow) int { return int(a.offset - b.offset) })
	return rows[max(0, len(rows)-window):]
}

// The outcomes of dead_letter_replays.
const (
	replayAcceptedKind = 1 + iota
	replayDuplicateKind
	replayRepeatedKind
	replayRejectedKind
)

// decide records an operator's decision.
func (db *modelDB) decide(p warehouse.Pause) {
	db.mu.Lock()
	defer db.mu.Unlock()
	p.Number, p.At = uint64(len(db.pauses)+1), simNow()
	db.pauses = append(db.pauses, p)
}
