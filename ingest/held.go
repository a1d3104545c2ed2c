package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"ioc.local/internal/warehouse"
)

// whilePaused returns once no pause is about the partition. Meanwhile the partition stays a member's, does nothing, and
// goes on telling where the log ends.
func (p *partition) whilePaused(ctx context.Context) error {
	decision, changed, err := p.controls.decision(ctx, p.topic, p.id)
	if err != nil || !decision.Paused {
		return err
	}
	p.logger.Info("partition paused", zap.String("by", decision.By), zap.String("reason", decision.Reason))
	paused := p.metrics.paused.WithLabelValues(p.topic, fmt.Sprint(p.id))
	paused.Set(1)
	defer p.metrics.paused.DeleteLabelValues(p.topic, fmt.Sprint(p.id))
	defer p.status.update(p.topic, p.id, func(s *PartitionStatus) { s.State, s.Problem, s.Pause = Starting, "", nil })
	var stands position
	for decision.Paused {
		problem, told := p.look(ctx, &stands), decision
		p.status.update(p.topic, p.id, func(s *PartitionStatus) { s.State, s.Problem, s.Pause = Paused, problem, &told })
		timer := time.NewTimer(controlInterval)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
		if decision, changed, err = p.controls.decision(ctx, p.topic, p.id); err != nil {
			return err
		}
	}
	p.logger.Info("partition goes on", zap.String("by", decision.By), zap.String("reason", decision.Reason))
	return nil
}

// holdClock keeps a partition still, loudly, until this machine's clock may judge its events again.
func (p *partition) holdClock(ctx context.Context, wrong *clockError) {
	p.logger.Error("partition held: the clock is wrong", zap.String("reason", wrong.reason))
	p.metrics.clockWrong.WithLabelValues(p.topic, fmt.Sprint(p.id)).Set(1)
	defer p.metrics.clockWrong.DeleteLabelValues(p.topic, fmt.Sprint(p.id))
	var stands position
	for {
		problem := wrong.reason
		if log := p.look(ctx, &stands); log != "" {
			problem += "; " + log
		}
		p.status.update(p.topic, p.id, func(s *PartitionStatus) { s.State, s.Problem = Held, problem })
		if !sleep(ctx, controlInterval) {
			return
		}
		if err := p.clock.compare(ctx); err != nil && ctx.Err() == nil {
			p.logger.Warn("ClickHouse's clock is not known", zap.Error(err))
		}
		_, err := p.judge(wrong.last)
		if !errors.As(err, &wrong) {
			p.status.update(p.topic, p.id, func(s *PartitionStatus) { s.State, s.Problem = Starting, "" })
			return
		}
	}
}

// judge gives the clock reading for a new range, after the last recorded one.
func (p *partition) judge(last int64) (int64, error) {
	return p.clock.judge(p.topic, p.id, last, p.controls.accepted(p.topic, p.id))
}

// position is where a held partition stands, once that has been looked up: it does not change meanwhile.
type position struct {
	known  bool
	offset int64
}

// look brings the position and the end of the log in the status up to date while the partition is held, so that its lag
// grows as it does. It returns why that could not be done, or nothing.
func (p *partition) look(ctx context.Context, at *position) (problem string) {
	first, end, err := p.offsets.bounds(ctx, p.topic, p.id)
	if err != nil {
		return err.Error()
	}
	if !at.known {
		committed, _, err := p.offsets.committed(ctx, p.as.group, p.topic, p.id)
		if err != nil {
			return err.Error()
		}
		if committed < 0 {
			committed = first // nothing of it was read
		}
		at.known, at.offset = true, committed
	}
	p.status.update(p.topic, p.id, func(s *PartitionStatus) { s.Position, s.End = at.offset, end })
	return ""
}

// insertProblem says what is wrong with ClickHouse, in the words of whom can mend it.
func insertProblem(err error) string {
	if warehouse.DiskFull(err) {
		return fmt.Sprintf("the disk of ClickHouse is full: nothing is lost, Kafka keeps what is not read; add space or free some, it goes on by itself then (the runbook IocDiskFilling says how): %v", err)
	}
	return err.Error()
}
