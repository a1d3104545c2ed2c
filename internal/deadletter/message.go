package deadletter

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"

	"ioc.local/ingest/event"
)

// The headers of a letter, in their order. The first five are always there. Those of the record itself come after them,
// so that what a producer named its headers cannot be taken for ours.
const (
	headerReason    = "ioc-reason"
	headerField     = "ioc-field"
	headerTopic     = "ioc-topic" // with the next two the origin
	headerPartition = "ioc-partition"
	headerOffset    = "ioc-offset"
	headerRecord    = "ioc-record"   // of a record that was sent again and rejected again: its own place
	headerLeftOut   = "ioc-left-out" // why there is no payload, though it is no personal data
	headerSHA256    = "ioc-sha256"   // with the next one: the payload is kept
	headerKey       = "ioc-key"
)

// leftOutTooLarge is the value of ioc-left-out when the letter would be larger than the topic takes.
const leftOutTooLarge = "too_large"

// MaxMessage is the largest letter in bytes, as a broker's default message.max.bytes (1 MiB and 12 bytes) takes it with
// the batch around it. The payload of a record that makes a larger one is left out.
const MaxMessage = 1<<20 - 4<<10

// Message is the letter of a rejected record at a place: the record as it was, with its origin and the reason as headers.
// Nothing of a record that was rejected for personal data is in it.
func Message(place event.Place, r *event.Rejection) kafka.Message {
	m := message(place, r)
	if !r.KeepPayload {
		return m
	}
	bare := len(m.Headers)
	m.Headers = append(m.Headers, kafka.Header{Key: headerSHA256, Value: []byte(hex.EncodeToString(r.SHA256[:]))}, kafka.Header{Key: headerKey, Value: r.Key})
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, kafka.Header{Key: h.Key, Value: h.Value})
	}
	m.Value = r.Payload
	if size(m) > MaxMessage {
		m.Value = nil
		m.Headers = append(m.Headers[:bare], kafka.Header{Key: headerLeftOut, Value: []byte(leftOutTooLarge)})
	}
	return m
}

// WithoutPayload is Message for a topic that takes less than MaxMessage.
func WithoutPayload(place event.Place, r *event.Rejection) kafka.Message {
	m := message(place, r)
	if r.KeepPayload {
		m.Headers = append(m.Headers, kafka.Header{Key: headerLeftOut, Value: []byte(leftOutTooLarge)})
	}
	return m
}

func message(place event.Place, r *event.Rejection) kafka.Message {
	origin := place
	if r.Origin != (event.Place{}) {
		origin = r.Origin
	}
	m := kafka.Message{
		Key: []byte(origin.String()),
		Headers: []kafka.Header{
			{Key: headerReason, Value: []byte(r.Reason)},
			{Key: headerField, Value: []byte(r.Field)},
			{Key: headerTopic, Value: []byte(origin.Topic)},
			{Key: headerPartition, Value: strconv.AppendInt(nil, int64(origin.Partition), 10)},
			{Key: headerOffset, Value: strconv.AppendInt(nil, origin.Offset, 10)},
		},
	}
	if origin != place {
		m.Headers = append(m.Headers, kafka.Header{Key: headerRecord, Value: []byte(place.String())})
	}
	return m
}

// size is what a message takes in a batch, at most.
func size(m kafka.Message) int {
	const record, header = 64, 12 // lengths, time and offset
	n := record + len(m.Key) + len(m.Value)
	for _, h := range m.Headers {
		n += header + len(h.Key) + len(h.Value)
	}
	return n
}

// stored is a letter as the dead-letter topic has it.
type stored struct {
	origin event.Place
	// place is where the record itself was: the origin, unless it was sent again.
	place event.Place
	// leftOut says why there is no payload, though it is no personal data.
	leftOut string
	// kept says that record is there.
	kept   bool
	record event.Record // Its offset is the origin's; its time is not known here.
}

// is tells whether the payload is the one that was rejected, by its hash in hexadecimal.
func (s *stored) is(hash string) bool {
	sum := sha256.Sum256(s.record.Value)
	return s.kept && hex.EncodeToString(sum[:]) == hash
}

// own makes the letter independent of the memory that it was read from.
func (s *stored) own() {
	s.record.Key, s.record.Value = bytes.Clone(s.record.Key), bytes.Clone(s.record.Value)
	s.record.Headers = slices.Clone(s.record.Headers)
	for i := range s.record.Headers {
		s.record.Headers[i].Value = bytes.Clone(s.record.Headers[i].Value)
	}
}

var errNoLetter = errors.New("the message is not a letter of ioc")

// parse reads a letter, also one of an earlier version: those had neither ioc-record nor ioc-left-out, and named the
// topic without its incarnation.
func parse(headers []event.Header, value []byte) (stored, error) {
	var own [5]string
	for i, name := range []string{headerReason, headerField, headerTopic, headerPartition, headerOffset} {
		if i >= len(headers) || headers[i].Key != name {
			return stored{}, errNoLetter
		}
		own[i] = string(headers[i].Value)
	}
	headers = headers[len(own):]
	origin, err := event.ParsePlace(fmt.Sprintf("%s/%s/%s", own[2], own[3], own[4]))
	if err != nil {
		return stored{}, errNoLetter
	}
	s := stored{origin: origin, place: origin}
	next := func(name string) (value []byte, ok bool) {
		if len(headers) == 0 || headers[0].Key != name {
			return nil, false
		}
		value, headers = headers[0].Value, headers[1:]
		return value, true
	}
	if own, ok := next(headerRecord); ok {
		if s.place, err = event.ParsePlace(string(own)); err != nil {
			return stored{}, errNoLetter
		}
	}
	if why, ok := next(headerLeftOut); ok {
		s.leftOut = string(why)
		return s, nil
	}
	if _, ok := next(headerSHA256); !ok { // the hash of the table counts
		return s, nil
	}
	key, ok := next(headerKey)
	if !ok {
		return stored{}, errNoLetter
	}
	s.kept = true
	s.record = event.Record{Offset: origin.Offset, Key: key, Value: value, Headers: headers}
	return s, nil
}

// replay is the message that sends a letter again. Its place in Kafka is the origin's partition.
func (s *stored) replay(origin event.Place, now time.Time) kafka.Record {
	r := kafka.Record{Time: now}
	if len(s.record.Key) > 0 { // whether an empty key was null is not known; producers that mean a key send one
		r.Key = kafka.NewBytes(s.record.Key)
	}
	r.Value = kafka.NewBytes(s.record.Value)
	for _, h := range s.record.Headers {
		r.Headers = append(r.Headers, kafka.Header{Key: h.Key, Value: h.Value})
	}
	r.Headers = append(r.Headers, kafka.Header{Key: event.OriginHeader, Value: []byte(origin.String())})
	return r
}
