package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ioc.local/ingest/event"
	"ioc.local/internal/warehouse"
)

// storeFault is what befalls inserts.
type storeFault struct {
	// fail has the client hear an error, after so many of the insert's steps; -1 for all of them.
	fail  bool
	after int
	stall time.Duration // before the first step
	gap   time.Duration // between two steps
	// dies has the server be killed after so many steps, when it has written down the next one and not done it.
	dies bool
	// crash kills the process at the moment at which it would hear the answer.
	crash bool
	// linger has the server go on when the client has given up, or is dead.
	linger bool
}

// String says it for the log.
func (f storeFault) String() string {
	text := "done"
	switch {
	case f.fail && f.after < 0:
		text = "done, but its answer is lost"
	case f.fail:
		text = fmt.Sprintf("fails after %d steps", f.after)
	}
	if f.stall > 0 {
		text = fmt.Sprintf("held up for %v, then %v between steps, then %s", f.stall, f.gap, text)
	}
	if f.dies {
		text = fmt.Sprintf("killed at step %d", f.after)
	}
	if f.linger {
		text += "; goes on when nobody waits"
	}
	if f.crash {
		text += "; the process is killed then"
	}
	return text
}

var errStore = errors.New("simulated: the connection to ClickHouse was lost")

// simStore is the model as one process sees it.
type simStore struct{ proc *simProcess }

// call does work on the server for the process: work is called there, even if the process has given up or died by then.
// token is that of an insert, empty for what only reads.
func (s simStore) call(ctx context.Context, what, token string, work func(fault storeFault, lost <-chan struct{}) error) error {
	w, p := s.proc.world, s.proc
	if !p.gate(nil) {
		return errStore
	}
	db, latency := w.db, p.latency(what)
	_, ended := db.life()
	if w.storeDown() {
		time.Sleep(latency)
		return fmt.Errorf("%s: %w", what, errStore)
	}
	fault := w.storeFault(what, p)
	done, lost := make(chan error, 1), make(chan struct{})
	defer close(lost)
	db.running.Add(1)
	db.works(token, 1)
	go func() {
		defer db.running.Done()
		defer db.works(token, -1)
		if !waitFor(latency+fault.stall, ended) {
			return
		}
		select {
		case <-lost:
			if !fault.linger {
				return
			}
		default:
		}
		done <- work(fault, lost)
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, ctx.Err())
	case <-ended:
		return fmt.Errorf("%s: %w", what, errStore)
	case <-p.died:
		return errStore
	}
	if fault.crash && !w.over() {
		p.crash()
	}
	if !p.gate(nil) {
		return errStore
	}
	if err == nil && fault.fail {
		err = errStore
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// waitFor waits, or returns false when the server's life ends first.
func waitFor(d time.Duration, ended <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ended:
		return false
	}
}

// write does the steps of an insert until its fault ends it.
func (s simStore) write(steps []step, rows []modelRow, token string, fault storeFault, lost <-chan struct{}) error {
	db := s.proc.world.db
	_, ended := db.life()
	for i, step := range steps {
		if fault.dies && i == fault.after {
			db.ghost(step, rows, token)
			db.restart()
			return errStore
		}
		if fault.fail && i == fault.after {
			return errStore
		}
		if i > 0 && !waitFor(fault.gap, ended) {
			return errStore
		}
		select {
		case <-lost:
			if !fault.linger {
				return errStore
			}
		default:
		}
		db.take(step, rows, token)
	}
	return nil
}

// Insert implements store.
func (s simStore) Insert(ctx context.Context, block *event.Block, token string) error {
	rows, err := modelRows(block) // the block is reused when the process gives up
	if err != nil {
		return err
	}
	db := s.proc.world.db
	s.proc.world.inserted(s.proc, block.Table, token, rows)
	return s.call(ctx, "insert "+block.Table+" "+token, token, func(fault storeFault, lost <-chan struct{}) error {
		return s.write(db.steps(block.Table, rows), rows, token, fault, lost)
	})
}

// ApplyDossiers implements store.
func (s simStore) ApplyDossiers(ctx context.Context, touched warehouse.TouchedDossiers) (bool, error) {
	if len(touched.Subjects) == 0 {
		return false, nil
	}
	return true, s.applyDossiers(ctx, touched, func(rows []modelRow) []step { return s.proc.world.db.steps("dossier_changes", rows) })
}

func (s simStore) applyDossiers(ctx context.Context, touched warehouse.TouchedDossiers, steps func(rows []modelRow) []step) error {
	touched.Subjects = slices.Clone(touched.Subjects)
	for i := range touched.Subjects {
		touched.Subjects[i] = strings.Clone(touched.Subjects[i])
	}
	var bounds map[string]int64
	var rows []modelRow
	db := s.proc.world.db
	err := s.call(ctx, "bounds "+touched.Token, "", func(storeFault, <-chan struct{}) error {
		bounds = db.boundsOf(touched)
		return nil
	})
	if err != nil {
		return err
	}
	err = s.call(ctx, "dossiers "+touched.Token, "", func(storeFault, <-chan struct{}) error {
		rows = db.changes(touched, bounds)
		return nil
	})
	if err != nil {
		return err
	}
	return s.call(ctx, "insert dossier_changes "+touched.Token, touched.Token, func(fault storeFault, lost <-chan struct{}) error {
		return s.write(steps(rows), rows, touched.Token, fault, lost)
	})
}

// Landed implements store.
func (s simStore) Landed(ctx context.Context, table string, r warehouse.Range, token string) (warehouse.Landed, error) {
	var landed warehouse.Landed
	err := s.call(ctx, "landed "+table+" "+token, "", func(storeFault, <-chan struct{}) error {
		landed = s.proc.world.db.landed(table, r, token)
		return nil
	})
	if err != nil {
		return warehouse.Landed{}, err
	}
	return landed, nil
}

// Fill implements store.
func (s simStore) Fill(ctx context.Context, views []string, r warehouse.Range, token string) error {
	db := s.proc.world.db
	for table, behind := range modelViews {
		for _, view := range behind {
			if !slices.Contains(views, view.name) {
				continue
			}
			err := s.call(ctx, "insert "+view.rollup+" "+token, token, func(fault storeFault, lost <-chan struct{}) error {
				db.mu.Lock()
				rows := db.inRange(table, r)
				db.filled++
				db.mu.Unlock()
				return s.write([]step{{target: view.rollup, view: view.name}}, rows, token+"/filled", fault, lost)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Restore implements store.
func (s simStore) Restore(ctx context.Context, block *event.Block, r warehouse.Range, token string) error {
	rows, err := modelRows(block)
	if err != nil {
		return err
	}
	return s.call(ctx, "restore "+block.Table, "", func(storeFault, <-chan struct{}) error {
		s.proc.world.db.restore(block.Table, rows)
		return nil
	})
}

// Remove implements store.
func (s simStore) Remove(ctx context.Context, table string, r warehouse.Range, whole uint64) error {
	return s.call(ctx, "remove "+table, "", func(storeFault, <-chan struct{}) error {
		s.proc.world.db.remove(table, r, whole)
		return nil
	})
}

// FillDossiers implements store.
func (s simStore) FillDossiers(ctx context.Context, touched warehouse.TouchedDossiers, views []string) error {
	touched.Token += "/filled"
	return s.applyDossiers(ctx, touched, func([]modelRow) (steps []step) {
		for _, view := range modelViews["dossier_changes"] {
			if slices.Contains(views, view.name) {
				steps = append(steps, step{target: view.rollup, view: view.name})
			}
		}
		return steps
	})
}

// Incarnation implements store.
func (s simStore) Incarnation(ctx context.Context, topic string, partition int) (number int, from int64, err error) {
	return 0, 0, s.call(ctx, fmt.Sprintf("incarnation of %s/%d", topic, partition), "", func(storeFault, <-chan struct{}) error { return nil })
}

// RowsExist implements store.
func (s simStore) RowsExist(ctx context.Context, incarnation string, partition int) (exist bool, err error) {
	var found bool
	err = s.call(ctx, fmt.Sprintf("rows exist of %s/%d", incarnation, partition), "", func(storeFault, <-chan struct{}) error {
		found = s.proc.world.db.exist(incarnation, partition)
		return nil
	})
	if err != nil {
		return false, err
	}
	return found, nil
}

// Identities implements store.
func (s simStore) Identities(ctx context.Context, incarnation string, partition int, below int64, window int, each func(source, id string, time int64)) error {
	var rows []modelRow
	err := s.call(ctx, fmt.Sprintf("identities of %s/%d", incarnation, partition), "", func(storeFault, <-chan struct{}) error {
		rows = s.proc.world.db.identities(incarnation, partition, below, window)
		return nil
	})
	if err != nil {
		return err
	}
	for _, r := range rows {
		each(r.source, r.id, r.time)
	}
	return nil
}

// Replays implements store.
func (s simStore) Replays(ctx context.Context, incarnation string, partition int, below int64, window int, each func(letter event.Identity)) error {
	var letters []modelRow
	err := s.call(ctx, fmt.Sprintf("replays of %s/%d", incarnation, partition), "", func(storeFault, <-chan struct{}) error {
		letters = s.proc.world.db.settled(incarnation, partition, below, window)
		return nil
	})
	if err != nil {
		return err
	}
	for _, r := range letters {
		each(event.LetterIdentity([]byte(r.letter)))
	}
	return nil
}

// Pauses implements store.
func (s simStore) Pauses(ctx context.Context) ([]warehouse.Pause, error) {
	var pauses []warehouse.Pause
	err := s.call(ctx, "pauses", "", func(storeFault, <-chan struct{}) error {
		db := s.proc.world.db
		db.mu.Lock()
		defer db.mu.Unlock()
		pauses = slices.Clone(db.pauses)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return pauses, nil
}

// Now implements store.
func (s simStore) Now(ctx context.Context) (now time.Time, err error) {
	var read time.Time
	if err := s.call(ctx, "now", "", func(storeFault, <-chan struct{}) error { read = simNow(); return nil }); err != nil {
		return time.Time{}, err
	}
	return read, nil
}
