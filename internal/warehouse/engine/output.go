package engine

import (
	"bytes"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/time/rate"
)

const (
	maxLine      = 8 << 10 // Longer lines are cut: a stack or a query can be a megabyte.
	linesPerSec  = 50
	linesAtOnce  = 500 // A crash report is about 100 lines.
	linesInError = 8
)

// output takes what the child prints, line by line, to the log; it is shared by standard output
// and standard error of all the children that follow one another.
type output struct {
	log     *zap.Logger
	dropped prometheus.Counter

	mu      sync.Mutex
	limiter *rate.Limiter
	missed  int
	tail    []string // The last lines, for the error of a child that died.
}

func newOutput(log *zap.Logger, dropped prometheus.Counter) *output {
	return &output{log: log, dropped: dropped, limiter: rate.NewLimiter(linesPerSec, linesAtOnce)}
}

func (o *output) line(text string) {
	text = strings.TrimRight(text, " \r")
	// The library has no symbols: its stack frames, thirty for each failed query, say nothing.
	if text == "" || strings.Contains(text, " @ 0x") {
		return
	}
	o.mu.Lock()
	o.tail = append(o.tail, text)
	if len(o.tail) > linesInError {
		o.tail = o.tail[1:]
	}
	missed := o.missed
	allowed := o.limiter.Allow()
	if allowed {
		o.missed = 0
	} else {
		o.missed++
	}
	o.mu.Unlock()
	if !allowed {
		o.dropped.Inc()
		return
	}
	if missed > 0 {
		o.log.Warn("engine printed too much, lines were dropped", zap.Int("lines", missed))
	}
	if entry := o.log.Check(levelOf(text), "engine: "+text); entry != nil {
		entry.Write()
	}
}

// last returns the last lines and forgets them.
func (o *output) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := strings.Join(o.tail, "\n")
	o.tail = nil
	return text
}

// levelOf reads the level of a line in the engine's log form; other lines are information. The
// engine's <Fatal> is an error to us: it says that the child dies, not that this process must.
// A client that went away is no fault of the engine: each stop of ioc cuts the query of a tick.
func levelOf(line string) zapcore.Level {
	if strings.Contains(line, "(NETWORK_ERROR)") && !strings.Contains(line, "<Fatal>") {
		return zapcore.DebugLevel
	}
	for mark, level := range map[string]zapcore.Level{
		"<Fatal>": zapcore.ErrorLevel, "<Critical>": zapcore.ErrorLevel, "<Error>": zapcore.ErrorLevel,
		"<Warning>": zapcore.WarnLevel, "<Debug>": zapcore.DebugLevel, "<Trace>": zapcore.DebugLevel,
	} {
		if strings.Contains(line, mark) {
			return level
		}
	}
	return zapcore.InfoLevel
}

// lineWriter cuts a stream into lines. It has one writer at a time, os/exec's copying goroutine.
type lineWriter struct {
	each func(line string)
	rest []byte
	skip bool // The current line is over maxLine, the rest of it is dropped.
}

// Write takes the next bytes of the stream. It never fails.
func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			w.add(p)
			return n, nil
		}
		w.add(p[:i])
		w.flush()
		w.skip = false
		p = p[i+1:]
	}
}

func (w *lineWriter) add(p []byte) {
	if w.skip {
		return
	}
	if len(w.rest)+len(p) > maxLine {
		w.rest = append(w.rest, p[:maxLine-len(w.rest)]...)
		w.flush()
		w.skip = true
		return
	}
	w.rest = append(w.rest, p...)
}

func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.each(string(w.rest))
		w.rest = w.rest[:0]
	}
}
