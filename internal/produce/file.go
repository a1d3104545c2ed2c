package produce

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// A batch is written when it has this many lines or bytes, or at the next idle tick: the lines of a slow pipe must not
// wait for others.
const (
	fileBatchLines = 10_000
	fileBatchBytes = 8 << 20
	idleTick       = 200 * time.Millisecond
	linesAhead     = 256 // read while a batch is being written
)

// ErrBadLines is the error of a file that was read to its end with some lines that are no events.
var ErrBadLines = errors.New("some lines are not events")

// FileOptions says how a file is produced.
type FileOptions struct {
	// FallbackTopic is for events whose type has no topic in the contract. Empty means ioc.programme.v1, where the
	// server puts what it does not know among the dead letters.
	FallbackTopic string
}

// FileDeps are what File needs.
type FileDeps struct {
	// Sink receives the events.
	Sink Sink
	// Stdin is read for the path "-".
	Stdin io.Reader
	// Progress receives a progress bar; give it a terminal or nil.
	Progress io.Writer
}

// File sends each line of an NDJSON file, or of standard input for the path "-", to Kafka. A line is one event, at
// most 1 MiB long; it may end in CRLF, the file may start with a byte order mark, and blank lines are skipped.
//
// Lines that are not a JSON object, or too long, are not produced; the others are, and the error is then ErrBadLines.
// Everything else about an event is for the server to judge, which keeps what it rejects as dead letters. When the
// file cannot be read or the broker cannot be reached, File stops, and the error says which lines are in doubt;
// sending the file again is safe, since ingestion counts each event once.
//
// The summary is valid with any error. A Stdin that is an io.Closer is closed at the end. A read of a terminal
// ends only with its next line, even so.
func File(ctx context.Context, path string, options FileOptions, deps FileDeps) (Summary, error) {
	if path == "-" {
		return Lines(ctx, "standard input", deps.Stdin, -1, options, deps)
	}
	file, err := os.Open(path)
	if err != nil {
		return Summary{Name: path}, fmt.Errorf("ingesting a file: %w", err)
	}
	defer file.Close()
	size := int64(-1)
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	return Lines(ctx, path, file, size, options, deps)
}

// Lines is File for what is open already: name is what the summary calls it, size its bytes, -1 when they are not known.
// A reader that is an io.Closer is closed at the end.
func Lines(ctx context.Context, name string, in io.Reader, size int64, options FileOptions, deps FileDeps) (Summary, error) {
	f := &fileProducer{deps: deps, fallback: options.FallbackTopic, summary: Summary{Name: name, Produced: map[string]int64{}}}
	if f.fallback == "" {
		f.fallback = TopicProgramme
	}
	if in == nil || deps.Sink == nil {
		return f.summary, errors.New("ingesting a file: a sink and, for the path -, an input are needed")
	}
	if deps.Progress != nil {
		f.bar = newBar(size, f.summary.Name, deps.Progress)
	}

	start := time.Now()
	err := f.run(ctx, in)
	f.summary.Duration = time.Since(start)
	if f.bar != nil {
		fmt.Fprintln(deps.Progress)
	}
	if err != nil {
		return f.summary, fmt.Errorf("ingesting %s: %w", f.summary.Name, err)
	}
	if f.summary.BadCount > 0 {
		return f.summary, fmt.Errorf("ingesting %s: %d of %d: %w", f.summary.Name, f.summary.BadCount, f.summary.Lines, ErrBadLines)
	}
	return f.summary, nil
}

// fileProducer holds one run of File.
type fileProducer struct {
	deps     FileDeps
	fallback string
	summary  Summary
	bar      *progressbar.ProgressBar

	batch       []Message
	bytes       int
	first, last int64 // lines of the batch
}

func (f *fileProducer) run(ctx context.Context, in io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines, read := make(chan line, linesAhead), make(chan error, 1)
	reader := newLineReader(in)
	go func() { read <- reader.send(ctx, lines) }()
	if c, ok := in.(io.Closer); ok {
		defer c.Close() // ends a read that waits for a line that nobody wants any more
	}

	tick := time.NewTicker(idleTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("stopped; nothing from line %d on was sent: %w", f.next(), ctx.Err())
		case <-tick.C:
			if err := f.flush(ctx); err != nil {
				return err
			}
		case l, ok := <-lines:
			if !ok {
				err := f.flush(ctx) // what was read is good, even if the rest cannot be read
				if readErr := <-read; readErr != nil {
					err = errors.Join(err, fmt.Errorf("reading after line %d: %w", f.summary.Lines, readErr))
				}
				return err
			}
			f.add(l)
			if len(f.batch) >= fileBatchLines || f.bytes >= fileBatchBytes {
				if err := f.flush(ctx); err != nil {
					return err
				}
			}
		}
	}
}

// add puts a line into the batch or among the bad ones.
func (f *fileProducer) add(l line) {
	f.summary.Lines++
	if f.bar != nil {
		_ = f.bar.Set64(l.through) // an error would be one of the terminal, of no concern to the file
	}
	if l.long {
		f.summary.addBad(l.number, &lineError{maxLine + 1, fmt.Sprintf("the line is longer than %d bytes", maxLine)})
		return
	}
	if len(bytes.TrimSpace(l.text)) == 0 {
		f.summary.Blank++
		return
	}
	e, bad := readEnvelope(l.text)
	if bad != nil {
		f.summary.addBad(l.number, bad)
		return
	}
	topic, ok := DefaultTopic(e.Type)
	if !ok {
		topic = f.fallback
	}
	if len(f.batch) == 0 {
		f.first = l.number
	}
	f.last = l.number
	f.batch = append(f.batch, Message{Topic: topic, Key: e.Key, Value: l.text})
	f.bytes += len(e.Key) + len(l.text)
}

// next is the first line that no sink has seen.
func (f *fileProducer) next() int64 {
	if len(f.batch) > 0 {
		return f.first
	}
	return f.summary.Lines + 1
}

// flush writes the batch.
func (f *fileProducer) flush(ctx context.Context) error {
	if len(f.batch) == 0 {
		return nil
	}
	if err := f.deps.Sink(ctx, f.batch); err != nil {
		return fmt.Errorf("lines %d to %d may not be stored: %w", f.first, f.last, err)
	}
	for _, m := range f.batch {
		f.summary.Produced[m.Topic]++
	}
	clear(f.batch) // so that the lines can be collected
	f.batch, f.bytes = f.batch[:0], 0
	return nil
}

func newBar(size int64, name string, w io.Writer) *progressbar.ProgressBar {
	return progressbar.NewOptions64(size, append(barOptions(name, w), progressbar.OptionShowBytes(true))...)
}
