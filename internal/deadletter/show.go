package deadletter

import (
	"context"
	"errors"
	"fmt"

	"ioc.local/ingest/event"
)

// ErrNoLetter says that no record was rejected at a place.
var ErrNoLetter = errors.New("no record was rejected there")

// Show gives one letter, by its origin or by the place of a record that was sent again and rejected again. Only with
// record the payload is in the answer. The error is ErrNoLetter when there is none.
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
	attempts, err := l.attempts(ctx, letters)
	if err != nil {
		return nil, err
	}
	d.Attempts = append(d.Attempts, attempts[origin]...)
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
	done, err := l.scan(ctx, d.ReceivedAt.Add(-skew), func(s *stored) (bool, error) {
		switch {
		case one.match(s) == nil:
			return true, nil
		case s.leftOut != "":
			d.Payload = TooLarge
			return false, nil
		}
		d.Payload = InTopic
		if record {
			d.Record = recordOf(s)
		}
		return false, nil
	})
	if err != nil {
		return nil, err
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
	rows, err := l.deps.Client.Conn().Query(asking, `SELECT toString(origin_topic), origin_offset FROM dead_letter_replays
		WHERE outcome = 'rejected' AND (toString(topic), partition, record_offset) IN (SELECT topic, partition, offset FROM wanted)
		AND (toString(origin_topic), partition, origin_offset) IN (SELECT toString(topic), partition, offset FROM dead_letters)`)
	if err != nil {
		return place, fmt.Errorf("reading dead_letter_replays: %w", err)
	}
	origin := place
	err = scanRows(rows, func() error {
		var offset uint64
		defer func() { origin.Offset = int64(offset) }()
		return rows.Scan(&origin.Topic, &offset)
	})
	if err != nil {
		return place, fmt.Errorf("reading dead_letter_replays: %w", err)
	}
	return origin, nil
}
