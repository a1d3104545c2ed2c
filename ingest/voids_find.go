package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/prometheus/client_golang/prometheus"

	"ioc.local/internal/warehouse"
)

// The outcomes of the table voided.
const (
	voidCounted = "counted"
	voidSet     = "set"
	voidVoid    = "void"
	voidLost    = "lost"
)

// pendingVoid is a void that nothing is written down about.
type pendingVoid struct {
	voidedID
	receivedAt time.Time
}

// decision is a row of voided.
type decision struct {
	voidedID
	outcome   string
	family    string
	topic     string
	partition uint32
	offset    uint64
}

// foundEvent is a raw row of an event that is voided.
type foundEvent struct {
	voidedID
	family, kind, topic string
	partition           uint32
	offset              uint64
	// ready says that all rollups of the family have counted it.
	ready bool
}

// list reads the voids that nothing is written down about, if there is a row more of voids or of what is written down than
// when they were read last. However many wait for events that never come, they are not read again for that.
func (v *Voids) list(ctx context.Context) error {
	var rowsNow [2]uint64
	err := v.deps.Warehouse.Conn().QueryRow(ctx, "SELECT (SELECT count() FROM register_events WHERE type = 'event.void'), (SELECT count() FROM voided)").Scan(&rowsNow[0], &rowsNow[1])
	if err != nil {
		return fmt.Errorf("counting voids: %w", err)
	}
	if rowsNow == v.listed {
		return nil
	}
	rows, err := v.deps.Warehouse.Conn().Query(ctx, fmt.Sprintf(`SELECT source, subject, since FROM
		(SELECT source, subject, min(received_at) AS since FROM register_events
			WHERE type = 'event.void' AND (source, subject) NOT IN (SELECT source, event_id FROM voided) GROUP BY source, subject)
		ORDER BY least(row_number() OVER (PARTITION BY source ORDER BY since, subject), row_number() OVER (PARTITION BY source ORDER BY since DESC, subject DESC)),
			since, source, subject
		LIMIT %d`, maxVoids))
	if err != nil {
		return fmt.Errorf("reading voids: %w", err)
	}
	open, err := warehouse.Collect(rows, func(p *pendingVoid) error { return rows.Scan(&p.source, &p.id, &p.receivedAt) })
	if err != nil {
		return fmt.Errorf("reading voids: %w", err)
	}
	waiting := map[voidedID]wait{} // what is written down by now waits no more
	for _, p := range open {
		if w, ok := v.waiting[p.voidedID]; ok {
			waiting[p.voidedID] = w
		}
	}
	v.open, v.waiting, v.listed = open, waiting, rowsNow
	v.metrics.pending.Set(float64(len(open)))
	return nil
}

// due are the voids whose event is to be looked for now: those that were not looked for yet, and when it is time to retry,
// the others whose pause is over.
func (v *Voids) due(now time.Time) (due []pendingVoid, retry bool) {
	retry = !v.retryAt.After(now)
	for _, p := range v.open {
		if w, waits := v.waiting[p.voidedID]; !waits || retry && !w.until.After(now) {
			due = append(due, p)
		}
	}
	return due, retry
}

// find looks for the events in all raw tables.
func (v *Voids) find(ctx context.Context, due []pendingVoid) (map[voidedID][]foundEvent, error) {
	wanted, err := ext.NewTable("wanted", ext.Column("source", "String"), ext.Column("event_id", "String"))
	if err != nil {
		return nil, fmt.Errorf("looking for voided events: %w", err)
	}
	for _, p := range due {
		if err := wanted.Append(p.source, p.id); err != nil {
			return nil, fmt.Errorf("looking for voided events: %w", err)
		}
	}
	families := []string{"dossier_events", "register_events"}
	for _, view := range v.views {
		if !slices.Contains(families, view.Source) {
			families = append(families, view.Source)
		}
	}
	var parts []string
	for _, family := range families {
		// What a rollup has counted is below its position; a row that is there before its rollups waits for them.
		ready := "1"
		for _, view := range v.views {
			if view.Source == family {
				ready += fmt.Sprintf(" AND offset < (SELECT maxMap(map(topic || '/' || toString(partition), p.position)) FROM %s AS p WHERE %s < toDate('1970-01-02') AND topic NOT IN ('', '%s'))[topic || '/' || toString(partition)]",
					view.Target, view.Columns[0], warehouse.VoidTopic)
			}
		}
		parts = append(parts, fmt.Sprintf("SELECT '%[1]s' AS family, type, source, event_id, topic, partition, offset, toBool(%[2]s) AS ready FROM %[1]s WHERE (source, event_id) IN (SELECT source, event_id FROM wanted)", family, ready))
	}
	rows, err := v.deps.Warehouse.Conn().Query(clickhouse.Context(ctx, clickhouse.WithExternalTable(wanted)), strings.Join(parts, " UNION ALL "))
	if err != nil {
		return nil, fmt.Errorf("looking for voided events: %w", err)
	}
	found := map[voidedID][]foundEvent{}
	err = warehouse.Each(rows, func() error {
		var e foundEvent
		err := rows.Scan(&e.family, &e.kind, &e.source, &e.id, &e.topic, &e.partition, &e.offset, &e.ready)
		found[e.voidedID] = append(found[e.voidedID], e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for voided events: %w", err)
	}
	return found, nil
}

// decide says what becomes of each void: of counted facts what is to be taken out, of others what they are. What is not
// there yet, or not in its rollups yet, waits. more says that a batch is full, and the rest is left for the next one.
func (v *Voids) decide(due []pendingVoid, found map[voidedID][]foundEvent, now time.Time) (counted, other []decision, more bool) {
	for _, p := range due {
		if len(counted) >= voidBatch {
			return counted, other, true
		}
		events := found[p.voidedID]
		ready := len(events) > 0
		var rows []decision // copies of an event are taken out with it
		takeOut := false
		for _, e := range events {
			ready = ready && e.ready
			d := decision{voidedID: p.voidedID, outcome: voidCounted, family: e.family, topic: e.topic, partition: e.partition, offset: e.offset}
			switch {
			case e.kind == "event.void":
				d.outcome = voidVoid
			case e.family == "dossier_events" || e.family == "register_events":
				d.outcome = voidSet
			}
			takeOut = takeOut || d.outcome == voidCounted
			rows = append(rows, d)
		}
		switch {
		case ready && takeOut:
			counted = append(counted, rows...)
		case ready:
			other = append(other, rows...)
		case len(events) == 0 && now.Sub(p.receivedAt) >= v.cfg.Patience:
			other = append(other, decision{voidedID: p.voidedID, outcome: voidLost})
		default:
			pause := min(max(v.cfg.Poll, 2*v.waiting[p.voidedID].pause), max(v.cfg.Poll, maxVoidPause))
			if len(events) > 0 {
				pause = v.cfg.Poll
			}
			v.waiting[p.voidedID] = wait{pause: pause, until: now.Add(pause)}
		}
	}
	return counted, other, false
}

type voidMetrics struct {
	resolved *prometheus.CounterVec
	pending  prometheus.Gauge
	errors   prometheus.Counter
}

func newVoidMetrics(registry prometheus.Registerer) (*voidMetrics, error) {
	m := &voidMetrics{
		resolved: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ioc_ingest_voids_total",
			Help: "Voided events decided by this process, by outcome: counted (taken out of rollups), set (of a dossier or register), void (a void cannot be voided), lost (no such event came in time)."}, []string{"outcome"}),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ioc_ingest_voids_pending",
			Help: "Voids whose event was not there yet when they were looked at last."}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{Name: "ioc_ingest_voids_errors_total",
			Help: "Failed attempts to take voided events out of the rollups."}),
	}
	for _, outcome := range []string{voidCounted, voidSet, voidVoid, voidLost} {
		m.resolved.WithLabelValues(outcome)
	}
	if err := errors.Join(registry.Register(m.resolved), registry.Register(m.pending), registry.Register(m.errors)); err != nil {
		return nil, fmt.Errorf("registering the metrics of voids: %w", err)
	}
	return m, nil
}
