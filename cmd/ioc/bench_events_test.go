package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"ioc.local/ingest/event"
	"ioc.local/internal/produce"
	"ioc.local/internal/reference"
	"ioc.local/internal/simulate"
)

// benchTopics are the topics of the benchmarks of ingestion.
func benchTopics(partitions int) map[string]int {
	return map[string]int{
		produce.TopicDossier: 1, produce.TopicAuthentication: partitions, produce.TopicData: 1, produce.TopicProgramme: 1, "ioc.dead-letter.v1": 1,
	}
}

// envInt is a number from the environment.
func envInt(tb testing.TB, name string, otherwise int) int {
	tb.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		tb.Fatalf("%s is %q, not a number above 0", name, text)
	}
	return n
}

// attempts makes authentications as the simulator does, any number of them: a pool of simulated ones, repeated with
// other ids, subjects and times. Event i is the same whenever it is asked for.
type attempts struct {
	pool  []attempt
	start time.Time
}

// attempt is a simulated event, and where its parts are that are replaced.
type attempt struct {
	value             []byte
	id, subject, time int
}

const (
	poolSize = 20_000
	// attemptsEvery is the time between two events: 5,000 a second, as much as the simulated country has at most.
	attemptsEvery = 200 * time.Microsecond
	timeLayout    = "2006-01-02T15:04:05.000-07:00"
	uuidEnd       = 36
	uuidNode      = 12 // digits at the end
	subjectDigits = 16
)

func newAttempts(tb testing.TB, data *reference.Data) *attempts {
	tb.Helper()
	a := &attempts{start: time.Now().Add(-time.Hour).Truncate(time.Minute)}
	generator, err := simulate.NewGenerator(simulate.Config{Rate: 5000, Seed: 1, Start: a.start}, data)
	if err != nil {
		tb.Fatal(err)
	}
	var value []byte
	find := func(member string) int {
		at := bytes.Index(value, []byte(member))
		if at < 0 {
			tb.Fatalf("there is no %s in %s", member, value)
		}
		return at + len(member)
	}
	for len(a.pool) < poolSize {
		_, made := generator.Next(nil)
		if value = made.Value; bytes.Contains(value, []byte(`"type":"vn.da06.auth.attempt.v1"`)) {
			a.pool = append(a.pool, attempt{value: value, id: find(`"id":"`), subject: find(`"subject":"s-`), time: find(`"time":"`)})
		}
	}
	return a
}

// message is event i.
func (a *attempts) message(i int) produce.Message {
	from := a.pool[i%len(a.pool)]
	value := bytes.Clone(from.value)
	copy(value[from.id+uuidEnd-uuidNode:from.id+uuidEnd], fmt.Sprintf("%0*x", uuidNode, i))
	subject := value[from.subject : from.subject+subjectDigits]
	copy(subject, fmt.Sprintf("%0*x", subjectDigits, uint64(i)*0x9E3779B97F4A7C15)) // spreads over the partitions
	at := a.start.Add(time.Duration(i) * attemptsEvery).In(reference.TimeZone())
	copy(value[from.time:], at.AppendFormat(nil, timeLayout))
	return produce.Message{Topic: produce.TopicAuthentication, Key: value[from.subject-len("s-") : from.subject+subjectDigits], Value: value}
}

// produce writes the first n events to a broker.
func (a *attempts) produce(b *testing.B, broker string, n int) {
	b.Helper()
	kafka := newProducer(b, broker)
	for from := 0; from < n; {
		messages := make([]produce.Message, 0, 10_000)
		for ; from < n && len(messages) < cap(messages); from++ {
			messages = append(messages, a.message(from))
		}
		if err := kafka.Write(b.Context(), messages); err != nil {
			b.Fatal(err)
		}
	}
}

// decode gives the first n events as blocks of the given size, as ingestion makes them: each of one partition.
func (a *attempts) decode(b *testing.B, data *reference.Data, n, partitions, size int) []*event.Batch {
	b.Helper()
	var parts [][]*event.Batch
	var work sync.WaitGroup
	for partition := range partitions {
		parts = append(parts, nil)
		work.Go(func() {
			decoder := event.NewDecoder(data, event.Options{Identity: event.NewIdentityHash()})
			var batch *event.Batch
			for offset := 0; offset*partitions+partition < n; offset++ {
				if batch == nil || batch.Rows() == size {
					batch = event.NewBatch()
					batch.Reset(produce.TopicAuthentication, int32(partition), time.Now().UnixMilli())
					parts[partition] = append(parts[partition], batch)
				}
				record := event.Record{Offset: int64(offset), Time: time.Now().UnixMilli(), Value: a.message(offset*partitions + partition).Value}
				if verdict := decoder.Decode(batch, &record, nil); verdict != event.Accepted {
					b.Errorf("event %d of partition %d is %v: %s", offset, partition, verdict, record.Value)
					return
				}
			}
		})
	}
	work.Wait()
	var batches []*event.Batch // in turn, as partitions are
	for i := range parts[0] {
		for _, of := range parts {
			if i < len(of) {
				batches = append(batches, of[i])
			}
		}
	}
	return batches
}
