package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"ioc.local/internal/warehouse"
)

// VoidsConfig says how voided events are looked for.
type VoidsConfig struct {
	// Poll is how often new voids are looked for; the metric ioc_ingest_voids_pending shows those under way.
	Poll time.Duration
	// Patience is how long an event that is not there yet is waited for, from the receipt of its void; the metric
	// ioc_ingest_voids_total with outcome lost counts those given up.
	Patience time.Duration
}

// DefaultVoidsConfig looks every second, and waits a day.
func DefaultVoidsConfig() VoidsConfig {
	return VoidsConfig{Poll: time.Second, Patience: 24 * time.Hour}
}

// VoidsDeps are what Voids works with.
type VoidsDeps struct {
	// Logger receives what an operator should know.
	Logger *zap.Logger
	// Registry receives the metrics.
	Registry prometheus.Registerer
	// Warehouse is the ClickHouse that the schema was applied to.
	Warehouse *warehouse.Client
}

// Voids takes counted facts that an event.void names out of their rollups. Any number of processes may run it.
//
// What is to be taken out is first written down: as a batch of rows of the table voided, numbered one after the other.
// A batch can be written by one process only, since its insert holds the condition that no other has its number. Then
// every process brings every rollup from the batch that it has come to, which the rollup itself says in the position
// row of warehouse.VoidTopic, to the newest, in order: the rows that count -1 and the position row are one block, so a
// rollup has both or none. A process that dies anywhere leaves nothing to clear up, and there is no time after which
// that could not be completed.
type Voids struct {
	cfg     VoidsConfig
	deps    VoidsDeps
	metrics *voidMetrics
	// views are those of the rollups of counted facts.
	views []warehouse.RollupView
	// applied is the newest batch that all rollups were known to have at appliedAt.
	applied   uint64
	appliedAt time.Time
	// open are the voids that nothing is written down about, in the order in which they are looked at, as listed when there
	// were these many rows of voids, and of what is written down.
	open   []pendingVoid
	listed [2]uint64
	// waiting are those that were looked for and not found.
	waiting map[voidedID]wait
	// retryAt is when events that were not found are looked for again.
	retryAt time.Time
}

// voidedID names an event that is voided.
type voidedID struct{ source, id string }

// wait is how long an event that was not found is left alone.
type wait struct {
	pause time.Duration
	until time.Time
}

const (
	// voidBatch bounds the voids whose events are taken out by one batch.
	voidBatch = 1000
	// voidShare is the part of the time, one in so many, in which events are looked for that were not found before. A search
	// reads the index on event_id of all retained rows, or the column where it is for many: for a hundred thousand events it
	// costs little more than for a thousand, so that all are looked for at once.
	voidShare = 10
	// maxVoids bounds the voids that are held in memory. Each source has its share, its newest and its oldest first: what
	// one sends for events that never come holds up no other, nor its own next void.
	maxVoids = 100_000
	// voidRecheck is how often the rollups are asked how far they are when nothing is new.
	voidRecheck = time.Minute
	// maxVoidPause bounds the time after which an event that was not there is due to be looked for again.
	maxVoidPause = 5 * time.Minute
	// voidTimeout bounds one pass.
	voidTimeout = 10 * time.Minute
)

// NewVoids checks the configuration and registers the metrics.
func NewVoids(cfg VoidsConfig, deps VoidsDeps) (*Voids, error) {
	if cfg.Poll <= 0 || cfg.Patience <= 0 {
		return nil, errors.New("voids: Poll and Patience must be positive")
	}
	m, err := newVoidMetrics(deps.Registry)
	if err != nil {
		return nil, err
	}
	return &Voids{cfg: cfg, deps: deps, metrics: m, waiting: map[voidedID]wait{}}, nil
}

// Run works until ctx ends. What fails is tried again, so it returns no error.
func (v *Voids) Run(ctx context.Context) error {
	for pause := v.cfg.Poll; ; {
		started := time.Now()
		more, err := v.pass(ctx, started)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			v.metrics.errors.Inc()
			v.deps.Logger.Warn("voided events cannot be taken out yet", zap.Duration("pause", pause), zap.Error(err))
			pause = min(2*pause, max(v.cfg.Poll, 30*time.Second))
		case more:
			continue
		default:
			pause = max(v.cfg.Poll, time.Since(started)) // where very many wait, half of the time is theirs
		}
		if !sleep(ctx, pause) {
			return nil
		}
	}
}

// pass applies what is written down, then writes down what is new by now. It says whether there is more to do at once.
func (v *Voids) pass(ctx context.Context, now time.Time) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, voidTimeout)
	defer cancel()
	if v.views == nil {
		if err := v.readViews(ctx); err != nil {
			return false, err
		}
	}
	// First the number, then what is not written down: whatever another process writes after the number was read takes
	// the next number, so that it and this process cannot both write.
	var newest uint64
	if err := v.deps.Warehouse.Conn().QueryRow(ctx, "SELECT max(batch) FROM voided").Scan(&newest); err != nil {
		return false, fmt.Errorf("reading the newest batch of voided: %w", err)
	}
	if err := v.apply(ctx, newest); err != nil {
		return false, err
	}
	if err := v.list(ctx); err != nil {
		return false, err
	}
	due, retry := v.due(now)
	if len(due) == 0 {
		return false, nil
	}
	started := time.Now()
	found, err := v.find(ctx, due)
	if err != nil {
		return false, err
	}
	counted, other, more := v.decide(due, found, now)
	if retry && !more {
		v.retryAt = now.Add(voidShare * time.Since(started))
	}
	if err := v.record(ctx, other, 0); err != nil {
		return false, err
	}
	if len(counted) == 0 {
		return false, nil
	}
	return true, v.record(ctx, counted, newest+1)
}

func (v *Voids) readViews(ctx context.Context) error {
	views, err := warehouse.SchemaViews(ctx, v.deps.Warehouse, "")
	if err != nil {
		return err
	}
	var counting []warehouse.RollupView
	for _, view := range views {
		if !view.Counts() {
			continue
		}
		if view.Over("") == "" {
			return fmt.Errorf("the text of the view %s does not name %s once: nothing can be taken out of %s", view.Name, view.Source, view.Target)
		}
		counting = append(counting, view)
	}
	v.views = counting
	return nil
}

// apply brings all rollups to the newest batch. A rollup that was rebuilt may have to be brought there again, which is
// why it is looked at now and then without a new batch.
func (v *Voids) apply(ctx context.Context, newest uint64) error {
	if newest == v.applied && time.Since(v.appliedAt) < voidRecheck {
		return nil
	}
	for _, view := range v.views {
		if err := warehouse.TakeOutVoided(ctx, v.deps.Warehouse, view, newest); err != nil {
			return err
		}
	}
	v.applied, v.appliedAt = newest, time.Now()
	return nil
}

// record writes decisions down; as a numbered batch only if it is still the next one.
func (v *Voids) record(ctx context.Context, decisions []decision, batch uint64) error {
	if len(decisions) == 0 {
		return nil
	}
	table, err := ext.NewTable("decisions", ext.Column("source", "String"), ext.Column("event_id", "String"), ext.Column("outcome", "String"),
		ext.Column("family", "String"), ext.Column("topic", "String"), ext.Column("partition", "UInt32"), ext.Column("offset", "UInt64"))
	if err != nil {
		return fmt.Errorf("writing down voided events: %w", err)
	}
	for _, d := range decisions {
		if err := table.Append(d.source, d.id, d.outcome, d.family, d.topic, d.partition, d.offset); err != nil {
			return fmt.Errorf("writing down voided events: %w", err)
		}
	}
	condition, settings := "1", clickhouse.Settings{"insert_deduplicate": 0}
	if batch > 0 {
		condition, settings = fmt.Sprintf("(SELECT max(batch) FROM voided) < %d", batch), warehouse.InsertSelectSettings(fmt.Sprintf("voided/%d", batch))
		settings["max_insert_threads"] = 1
	}
	at := time.Now().UnixMilli()
	err = v.deps.Warehouse.Conn().Exec(clickhouse.Context(ctx, clickhouse.WithExternalTable(table), clickhouse.WithSettings(settings)),
		fmt.Sprintf(`INSERT INTO voided (batch, source, event_id, outcome, family, topic, partition, offset, decided_at)
			SELECT %d, source, event_id, outcome, family, topic, partition, offset, fromUnixTimestamp64Milli(%d) FROM decisions WHERE %s`, batch, at, condition))
	if err != nil {
		return fmt.Errorf("writing down voided events: %w", err)
	}
	if batch > 0 {
		// Another process may have been faster; then this one looks again at what is left.
		var mine uint64
		err := v.deps.Warehouse.Conn().QueryRow(ctx, "SELECT count() FROM voided WHERE batch = ? AND decided_at = fromUnixTimestamp64Milli(?)", batch, at).Scan(&mine)
		if err != nil {
			return fmt.Errorf("reading back batch %d of voided: %w", batch, err)
		}
		if mine == 0 {
			return nil
		}
	}
	var lost []decision
	for _, d := range decisions {
		v.metrics.resolved.WithLabelValues(d.outcome).Inc()
		if d.outcome == voidLost {
			lost = append(lost, d)
		}
	}
	if len(lost) > 0 {
		v.deps.Logger.Warn("voids name events that did not come", zap.Int("number", len(lost)), zap.String("source", lost[0].source), zap.String("id", lost[0].id))
	}
	return nil
}
