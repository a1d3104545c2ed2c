package stream

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Config is the configuration of a Hub.
type Config struct {
	// Origins are the origins, such as https://wall.example.vn, whose pages may connect besides those of the
	// server's own host. Requests without an Origin header do not come from pages. Default: none.
	Origins []string
	// MaxConnections is how many clients there may be; more get a 503. Default 10,000, which take
	// about 100 MB. ioc_stream_connections shows how near it is, ioc_stream_refused_total that it was hit.
	MaxConnections int
	// MaxSubscriptions is how many boards and scopes one connection may watch. Default 40: one board in every scope.
	MaxSubscriptions int
	// QueueFrames is how many frames may wait for one client before its deltas are
	// conflated; at least four for each of MaxSubscriptions. Default 256. ioc_stream_conflated_total shows that it was hit.
	QueueFrames int
	// HistoryFrames is how many deltas of a board and scope are kept for those who
	// resume. Default 128: a minute of changes at two a second.
	HistoryFrames int
	// Heartbeat is the time between two beats. Default 2 s.
	Heartbeat time.Duration
	// PongTimeout is how long a client may leave pings unanswered; they are sent three
	// times as often. Default 45 s. ioc_stream_dropped_total{code="4002"} shows that it was hit.
	PongTimeout time.Duration
	// StallTimeout is how long the write of one frame may take. A write that ends later, within twice
	// the time, closes the connection with code 4001; after that the connection is cut. Default 5 s.
	// ioc_stream_dropped_total{code="4001"} shows that it was hit.
	StallTimeout time.Duration
	// LateAfter is how long there may be no publication before the feed says that the evaluator is late. Default 10 s.
	LateAfter time.Duration
	// Linger is how long a board and scope that nobody watches is kept up, for clients that
	// come back. Default 1 minute.
	Linger time.Duration
	// ShutdownTimeout bounds the time that Run takes to end. Default 5 s.
	ShutdownTimeout time.Duration
}

// DefaultConfig returns the defaults that the fields of Config name.
func DefaultConfig() Config {
	return Config{
		MaxConnections:   10_000,
		MaxSubscriptions: 40,
		QueueFrames:      256,
		HistoryFrames:    128,
		Heartbeat:        2 * time.Second,
		PongTimeout:      45 * time.Second,
		StallTimeout:     5 * time.Second,
		LateAfter:        10 * time.Second,
		Linger:           time.Minute,
		ShutdownTimeout:  5 * time.Second,
	}
}

func (c Config) validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("stream: "+format, args...))
		}
	}
	for i, o := range c.Origins {
		u, err := url.Parse(o)
		check(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.Path == "" && u.RawQuery == "" && u.User == nil,
			"origins[%d] is %q, must be like https://wall.example.vn", i, o)
	}
	check(c.MaxConnections >= 1, "max_connections is %d, must be at least 1", c.MaxConnections)
	check(c.MaxSubscriptions >= 1, "max_subscriptions is %d, must be at least 1", c.MaxSubscriptions)
	check(c.QueueFrames >= 4*c.MaxSubscriptions, "queue_frames is %d, must be at least four times max_subscriptions (%d)", c.QueueFrames, c.MaxSubscriptions)
	check(c.HistoryFrames >= 0, "history_frames is %d, must not be below 0", c.HistoryFrames)
	for name, d := range map[string]time.Duration{
		"heartbeat": c.Heartbeat, "pong_timeout": c.PongTimeout, "stall_timeout": c.StallTimeout,
		"late_after": c.LateAfter, "linger": c.Linger, "shutdown_timeout": c.ShutdownTimeout,
	} {
		check(d > 0, "%s is %s, must be above 0", name, d)
	}
	return errors.Join(errs...)
}
