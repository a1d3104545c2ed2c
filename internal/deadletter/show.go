package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"ioc.local/ingest/event"
	"ioc.local/internal/warehouse"
)

// ErrNoLetter says that no record was rejected at a place.
var ErrNoLetter = errors.New("no record was rejected there")

// showScan is how long the topic is read for one letter.
const showScan = 5 * time.Second

// Show gives one letter, by its origin or by the place of a record that was sent again and rejected again. Only with
// record the payload is in the answer; it is Unread when Kafka does not give it within seconds. The error is ErrNoLetter when there is none.
func (l *Letters) Show(ctx context.Context, place event.Place, record bool) (*Detail, error) {
	origin, err := l.origin(ctx, place)
	if err != nil {
		return nil, err
	}
	letters, _, err := l.page(ctx, Selection{Letters: []event.Place{origin}}, 1, "", false)
	if err != nil {
		return nil, err
	}
	if len(letters) == 0 {
		return nil, fmt.Errorf("%s: %w", place, ErrNoLetter)
	}
	d := &Detail{Letter: letters[0], Attempts: []Attempt{}}
	defer func() { d.Attempts = append(d.Attempts, d.attempts...) }()
	switch {
	case d.Withheld:
		d.Payload = Withheld
		return d, nil
	case l.cfg.Topic == "":
		d.Payload = Off
		return d, nil
	}
	d.Payload = Unread
	one := newSearch()
	one.want(&d.Letter, nil)
	scanning, cancel := context.WithTimeout(ctx, showScan)
	defer cancel()
	done, err := l.scan(scanning, d.ReceivedAt.Add(-skew), func(s *stored) (bool, error) {
		switch {
		case one.match(s) == nil:
			return true, nil
		case s.leftOut != "":
			d.Payload = TooLarge
			return false, nil
		}
		if d.identify(event.LetterOf(d.Place, &s.record)); d.Withheld {
			d.Payload = Withheld
			return false, nil
		}
		d.Payload = InTopic
		if record {
			d.Record = recordOf(s)
		}
		return false, nil
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, err
	case err != nil: // the facts are worth more than none
		l.deps.Logger.Warn("the dead-letter topic was not read for a letter", zap.Stringer("letter", d.Place), zap.Error(err))
		return d, nil
	}
	if done.whole && d.Payload == Unread {
		d.Payload = Gone
	}
	return d, nil
}

func recordOf(s *stored) *Record {
	s.own()
	r := &Record{Key: s.record.Key, Value: s.record.Value, Headers: []RecordHeader{}}
	for _, h := range s.record.Headers {
		r.Headers = append(r.Headers, RecordHeader(h))
	}
	return r
}

// origin finds the origin of a record that was sent again and rejected again; any other place is taken for one.
func (l *Letters) origin(ctx context.Context, place event.Place) (event.Place, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.QueryTimeout)
	defer cancel()
	asking, err := withPlaces(ctx, "wanted", []event.Place{place})
	if err != nil {
		return place, err
	}
	rows, err := l.deps.Client.Conn().Query(asking, "SELECT life, begun FROM "+againFrom+" AND (again_life, part, again) IN (SELECT topic, partition, offset FROM wanted)")
	if err != nil {
		return place, fmt.Errorf("reading dead_letter_replays: %w", err)
	}
	origin := place
	err = warehouse.Each(rows, func() error {
		var offset uint64
		err := rows.Scan(&origin.Topic, &offset)
		origin.Offset = int64(offset)
		return err
	})
	if err != nil {
		return place, fmt.Errorf("reading dead_letter_replays: %w", err)
	}
	return origin, nil
}
