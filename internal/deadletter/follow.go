package deadletter

import (
	"context"
	"fmt"
	"time"

	"ioc.local/ingest/event"
)

// followPoll is how often ingestion is asked about.
const followPoll = 300 * time.Millisecond

// clocks is how far the clock of a range may be behind ours: each is at most a minute from ClickHouse's.
const clocks = 2 * time.Minute

// Follow waits until ingestion has passed every record that a replay sent, and completes the receipt with what it said.
// It ends early with ctx, and then the error says how many are open; the receipt has the others.
func (l *Letters) Follow(ctx context.Context, receipt *Receipt, progress func(done, total int)) error {
	if progress == nil {
		progress = func(int, int) {}
	}
	open := map[event.Place]*Entry{}
	for i := range receipt.Letters {
		if e := &receipt.Letters[i]; e.Outcome == Sent && e.Result == "" {
			open[e.Place] = e
		}
	}
	total := len(open)
	for {
		err := l.results(ctx, receipt.At.Add(-clocks), open)
		receipt.Results = map[Result]int{}
		for i := range receipt.Letters {
			if result := receipt.Letters[i].Result; result != "" {
				receipt.Results[result]++
			}
		}
		progress(total-len(open), total)
		if len(open) == 0 {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		timer := time.NewTimer(followPoll)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("ingestion has not passed %d of %d records: %w", len(open), total, context.Cause(ctx))
		case <-timer.C:
		}
	}
}

// results looks up what became of the open letters and takes those that are known out. What was ingested before since is
// of an earlier life of the topic, which had the same offsets.
func (l *Letters) results(ctx context.Context, since time.Time, open map[event.Place]*Entry) error {
	var letters []Letter
	for place := range open {
		letters = append(letters, Letter{Place: place})
	}
	attempts, err := l.attempts(ctx, letters)
	if err != nil {
		return err
	}
	for place, e := range open {
		for _, a := range attempts[place] { // of two lives of the topic the later one counts
			if a.Record.KafkaTopic() != e.Record.Topic || a.Record.Offset != e.Record.Offset || a.At.Before(since) {
				continue
			}
			e.ResultReason, e.ResultField = "", ""
			switch a.Outcome {
			case "accepted":
				e.Result = ResultAccepted
			case "rejected":
				e.Result, e.ResultReason, e.ResultField = ResultRejected, a.Reason, a.Field
			default:
				e.Result = ResultDuplicate
			}
			delete(open, place)
		}
	}
	return nil
}
