package ingest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"ioc.local/internal/reference"
)

const (
	// maxClockOffset is how far this machine's clock may be from ClickHouse's, and behind the last recorded reading of a
	// partition, to judge events. It is well inside the 5 minutes that an event may be ahead, so that a clock that passes
	// neither rejects good events nor lets tomorrow's into today's KPIs.
	maxClockOffset = time.Minute
	// clockInterval is how often ClickHouse is asked for its clock, once for all partitions. Between two answers jumps of
	// this machine's clock are seen at once, since it is held against the monotonic clock.
	clockInterval = 10 * time.Second
	// clockTimeout bounds the question. The answer says no better than its round trip what ClickHouse's clock was, so a
	// slow one is worth nothing.
	clockTimeout = 5 * time.Second
	// suspicious is a jump after which ClickHouse is asked again at once.
	suspicious = maxClockOffset / 2
)

// clockError says that this machine's clock may not judge events now. The partition is held; events of ranges that are
// recorded are judged by the recorded reading all the same.
type clockError struct {
	// last is the partition's last recorded reading, in Unix milliseconds.
	last   int64
	reason string
}

// Error implements error.
func (e *clockError) Error() string { return e.reason }

const clockAdvice = "check NTP (timedatectl, chronyc tracking)"

// clock tells the time that events are judged by, and refuses where this machine's clock cannot be trusted. What it
// tells is recorded with the range, so that it is asked once for each range and never again.
type clock struct {
	ask    func(context.Context) (time.Time, error)
	now    func() time.Time
	logger *zap.Logger
	// skew is added to this machine's clock but not to the monotonic one, as a jump would be. Tests set it.
	skew func() time.Duration
	// again asks for a comparison before its time.
	again chan struct{}

	mu    sync.Mutex
	known bool
	// at is this machine's clock at the last comparison. Then it was between least and most ahead of ClickHouse's.
	at          time.Time
	wall        int64
	least, most time.Duration
}

func newClock(ask func(context.Context) (time.Time, error), now func() time.Time, logger *zap.Logger) *clock {
	return &clock{ask: ask, now: now, skew: func() time.Duration { return 0 }, logger: logger, again: make(chan struct{}, 1)}
}

// collector exports how far the clocks are apart, as it is at the scrape.
func (c *clock) collector() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ioc_ingest_clock_offset_seconds",
		Help: "How far this machine's clock is ahead of ClickHouse's; negative behind, 0 as long as they were not compared."},
		func() float64 {
			c.mu.Lock()
			defer c.mu.Unlock()
			least, most := c.offset(c.read())
			return (least + most).Seconds() / 2
		})
}

// read gives the monotonic and the wall clock; the latter in nanoseconds.
func (c *clock) read() (at time.Time, wall int64) {
	at = c.now()
	return at, at.Add(c.skew()).UnixNano()
}

// offset says between which bounds this machine's clock is ahead of ClickHouse's; the caller holds mu. What the wall
// clock has gone more or less than the monotonic one since the comparison is a jump.
func (c *clock) offset(at time.Time, wall int64) (least, most time.Duration) {
	if !c.known {
		return 0, 0
	}
	jump := time.Duration(wall-c.wall) - at.Sub(c.at)
	return c.least + jump, c.most + jump
}

// run compares the clocks every now and then until ctx ends.
func (c *clock) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := c.compare(ctx); err != nil && ctx.Err() == nil {
			// Whatever else needs ClickHouse tells that it does not answer.
			c.logger.Debug("ClickHouse's clock is not known", zap.Error(err))
		}
		timer := time.NewTimer(clockInterval)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-c.again:
			sleep(ctx, time.Second) // not more often, whoever asks
		}
		timer.Stop()
	}
	return nil
}

// compare asks ClickHouse for its clock. Its reading was taken at some time within the round trip.
func (c *clock) compare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clockTimeout)
	defer cancel()
	before, _ := c.read()
	theirs, err := c.ask(ctx)
	if err != nil {
		return err
	}
	at, wall := c.read()
	if trip := at.Sub(before); trip > clockTimeout {
		return fmt.Errorf("ClickHouse took %s to tell its clock", trip)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known, c.at, c.wall = true, at, wall
	c.most = time.Duration(wall - theirs.UnixNano())
	c.least = c.most - at.Sub(before)
	return nil
}

// ready makes sure that the clocks were compared once.
func (c *clock) ready(ctx context.Context) error {
	c.mu.Lock()
	known := c.known
	c.mu.Unlock()
	if known {
		return nil
	}
	return c.compare(ctx)
}

// judge gives the reading that a new range of a partition is judged by, in Unix milliseconds, or a [clockError]. last is
// the partition's last recorded reading, 0 where there is none.
func (c *clock) judge(topic string, partition int, last, accepted int64) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, wall := c.read()
	least, most := c.offset(at, wall)
	here := time.Unix(0, wall).In(reference.TimeZone())
	if jump := least - c.least; jump.Abs() > suspicious {
		select {
		case c.again <- struct{}{}:
		default:
		}
	}
	if least > maxClockOffset || most < -maxClockOffset {
		offset, direction := least, "ahead of"
		if least < 0 {
			offset, direction = -most, "behind"
		}
		return 0, &clockError{last: last, reason: fmt.Sprintf("this machine's clock is at least %s %s ClickHouse's (%s here, %s there): events judged by it would be rejected or accepted wrongly; %s on both, it goes on by itself once they are within %s",
			offset.Round(time.Second), direction, here.Format(time.DateTime), here.Add(-(least+most)/2).Format(time.DateTime), clockAdvice, maxClockOffset)}
	}
	if recorded := time.UnixMilli(last).In(reference.TimeZone()); last > accepted && here.Before(recorded.Add(-maxClockOffset)) {
		return 0, &clockError{last: last, reason: fmt.Sprintf("this machine's clock reads %s, but the last range of %s/%d was judged by one that read %s: one of the two is wrong; %s, it goes on by itself once this clock has come near the recorded reading; if that was the wrong one, say so with: ioc resume %s --partition %d --accept-clock %s",
			here.Format(time.DateTime), topic, partition, recorded.Format(time.DateTime), clockAdvice, topic, partition, recorded.Format(clockFormat))}
	}
	return here.UnixMilli(), nil
}

// clockFormat is how ioc resume --accept-clock wants a reading: RFC 3339 with milliseconds.
const clockFormat = "2006-01-02T15:04:05.000Z07:00"
