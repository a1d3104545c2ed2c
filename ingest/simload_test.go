package ingest

import (
	"context"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ioc.local/ingest/event"
)

// simRecord is a record as it was sent, with what has to become of it.
type simRecord struct {
	dossier  bool
	n        int
	source   string
	id       string
	subject  string
	occurred int64
	time     int64
	latency  int64
	size     int
	// reason is why it is rejected; empty where it is accepted unless it is a copy.
	reason event.Reason
	// either admits both a row and a letter of the reason time_in_future, as the clock says.
	either bool
	// origin is where the record was rejected that this one is sent again of; -1 for others.
	origin int64
}

// simLoad makes records.
type simLoad struct {
	world   *simWorld
	random  *rand.Rand
	next    int
	earlier map[string][]sentRecord // by topic and partition
	letters map[string][]sentRecord // those that are, or may be, dead letters
	fresh   []sentRecord            // of the batch that is being made
}

type sentRecord struct {
	record simRecord
	out    *kgo.Record
	offset int64
}

const simTimeFormat = "2006-01-02T15:04:05.000-07:00"

// auth makes an authentication event.
func (l *simLoad) auth(at time.Time) (simRecord, []byte) {
	n := l.next
	l.next++
	r := simRecord{origin: -1, n: n, source: "/eid_auth/G01", id: fmt.Sprintf("auth-%d", n), subject: fmt.Sprintf("s-%d", n), occurred: at.UnixMilli(), latency: int64(1 + n%5000)}
	return r, fmt.Appendf(nil,
		`{"specversion":"1.0","id":"%s","source":"%s","type":"vn.da06.auth.attempt.v1","time":"%s","subject":"%s","data":{"province_code":"%s","admin_scheme":"gso34","relying_party":"H29","assurance_level":3,"auth_method":["password","face"],"outcome":"%s","latency_ms":%d}}`,
		r.id, r.source, at.Format(simTimeFormat), r.subject, [...]string{"01", "79", "48"}[n%3], [...]string{"success", "no_match"}[n%2], r.latency)
}

// dossier makes a status event of one of few dossiers.
func (l *simLoad) dossier(partition, partitions int, at time.Time) (simRecord, []byte) {
	n := l.next
	l.next++
	d := partition + partitions*l.random.IntN(3) // a dossier stays in its partition
	r := simRecord{origin: -1, dossier: true, n: n, source: "/npsp/H26", id: fmt.Sprintf("d-%d", n), subject: fmt.Sprintf("d-%d", d), occurred: at.UnixMilli()}
	registered := simEpoch.AddDate(0, 0, -100-d)
	return r, fmt.Appendf(nil,
		`{"specversion":"1.0","id":"%s","source":"%s","type":"vn.da06.dossier.status.v1","time":"%s","subject":"%s","data":{"province_code":"79","admin_scheme":"gso34","agency_code":"H29.1","agency_level":"province","service_id":"DA06-03","registered_on":"%s","status":%d,"channel":1}}`,
		r.id, r.source, at.Format(simTimeFormat), r.subject, registered.Format(time.DateOnly), [...]int{2, 4, 9}[n%3])
}

// record makes the next record of a partition.
func (l *simLoad) record(topic string, partition, partitions int, now time.Time) (simRecord, *kgo.Record) {
	key := fmt.Sprintf("%s/%d", topic, partition)
	out := &kgo.Record{Topic: topic, Partition: int32(partition), Timestamp: now.Add(-time.Duration(l.random.IntN(3000)) * time.Millisecond)}
	r := simRecord{origin: -1}
	switch kind := l.random.IntN(100); {
	case topic == simDossier:
		r, out.Value = l.dossier(partition, partitions, now.Add(-3*time.Hour))
	case kind >= 92 && len(l.letters[key]) > 0: // a dead letter is sent again, whether it was mended or not
		letter := l.letters[key][l.random.IntN(len(l.letters[key]))]
		r = letter.record
		r.origin = letter.offset
		out.Value, out.Headers = letter.out.Value, []kgo.RecordHeader{{Key: event.OriginHeader, Value: fmt.Appendf(nil, "%s/%d/%d", topic, partition, letter.offset)}}
	case kind < 15 && len(l.earlier[key])+len(l.fresh) > 0: // a producer's retry, often of what was sent just before
		earlier := append(l.earlier[key][:len(l.earlier[key]):len(l.earlier[key])], l.fresh...)
		from := 0
		if l.random.IntN(2) == 0 {
			from = max(0, len(earlier)-10)
		}
		copied := earlier[from+l.random.IntN(len(earlier)-from)]
		r, out.Value = copied.record, copied.out.Value
	case kind < 25:
		r, out.Value = l.auth(now.Add(-3 * time.Hour))
		l.poison(&r, out)
	case kind < 30: // at the edge of what counts as the future
		r, out.Value = l.auth(now.Add(4*time.Minute + time.Duration(l.random.IntN(90))*time.Second))
		r.either = true
	default:
		r, out.Value = l.auth(now.Add(-2*time.Hour - time.Duration(l.random.IntN(50))*24*time.Hour))
	}
	if r.reason == "" && !r.either {
		l.fresh = append(l.fresh, sentRecord{record: r, out: out})
	}
	out.Key = []byte(r.subject)
	r.time, r.size = out.Timestamp.UnixMilli(), len(out.Value)
	return r, out
}

// poison spoils a record in one of several ways.
func (l *simLoad) poison(r *simRecord, out *kgo.Record) {
	text := string(out.Value)
	switch l.random.IntN(8) {
	case 0:
		text, r.reason = "not JSON", event.NotJSON
	case 1:
		text, r.reason = strings.Replace(text, "s-", "s-\xff", 1), event.NotUTF8
	case 2:
		text, r.reason = strings.Replace(text, `"outcome":`, `"outcoming":`, 1), event.MissingField
	case 3:
		text, r.reason = strings.Replace(text, "auth.attempt", "auth.nonsense", 1), event.UnknownType
	case 4:
		text, r.reason = strings.Replace(text, `"time":"20`, `"time":"19`, 1), event.TimeTooOld
	case 5:
		text, r.reason = strings.Replace(text, `"gso34"`, `"gso99"`, 1), event.InvalidValue
	case 6:
		text, r.reason = "", event.NotJSON
	case 7:
		text, r.reason = text[:len(text)-2], event.NotJSON
	}
	out.Value = []byte(text)
}

// send sends n records to each partition of a topic, and keeps what they are. Some are sent in a transaction, which
// ends after a while: its marker is a gap, and so are its records where it is aborted.
func (l *simLoad) send(ctx context.Context, topic string, partitions, n int) error {
	w := l.world
	for partition := range partitions {
		var meant []simRecord
		var records []*kgo.Record
		l.fresh = nil
		for range n {
			r, record := l.record(topic, partition, partitions, simNow())
			meant, records = append(meant, r), append(records, record)
		}
		batch := simBatch(records)
		inTransaction, commit := l.random.IntN(6) == 0, l.random.IntN(2) == 0
		lasts := time.Duration(l.random.Int64N(int64(3 * time.Second)))
		var first, end int64
		var err error
		if inTransaction {
			first, err = w.transaction(ctx, topic, partition, batch, commit, lasts)
			end = first + int64(n) + 1
		} else {
			first, err = w.produce(ctx, topic, partition, batch, nil)
			end = first + int64(n)
		}
		if err != nil {
			return fmt.Errorf("sending to %s/%d: %w", topic, partition, err)
		}
		w.mu.Lock()
		for len(w.ends[topic]) <= partition {
			w.ends[topic] = append(w.ends[topic], 0)
		}
		w.ends[topic][partition] = end
		for i, r := range meant {
			if inTransaction && !commit {
				break
			}
			offset, key := first+int64(i), fmt.Sprintf("%s/%d", topic, partition)
			w.records[modelPlace{topic, partition, offset}] = r
			switch sent := (sentRecord{r, records[i], offset}); {
			case r.origin >= 0:
			case r.reason != "" || r.either:
				l.letters[key] = append(l.letters[key], sent)
			default:
				l.earlier[key] = append(l.earlier[key], sent)
			}
		}
		w.mu.Unlock()
	}
	return nil
}

// transaction sends a batch in a transaction.
func (w *simWorld) transaction(ctx context.Context, topic string, partition int, batch kmsg.RecordBatch, commit bool, lasts time.Duration) (int64, error) {
	w.transactions++
	id := fmt.Sprintf("transaction-%d", w.transactions)
	begin := kmsg.NewPtrInitProducerIDRequest()
	begin.TransactionalID, begin.TransactionTimeoutMillis, begin.ProducerID, begin.ProducerEpoch = &id, 60_000, -1, -1
	producer, err := begin.RequestWith(ctx, w.client)
	if err == nil {
		err = kerr.ErrorForCode(producer.ErrorCode)
	}
	if err != nil {
		return 0, fmt.Errorf("beginning a transaction: %w", err)
	}
	add := kmsg.NewPtrAddPartitionsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch = id, producer.ProducerID, producer.ProducerEpoch
	t := kmsg.NewAddPartitionsToTxnRequestTopic()
	t.Topic, t.Partitions = topic, []int32{int32(partition)}
	add.Topics = append(add.Topics, t)
	added, err := add.RequestWith(ctx, w.client)
	if err == nil {
		err = kerr.ErrorForCode(added.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		return 0, fmt.Errorf("adding to a transaction: %w", err)
	}
	batch.ProducerID, batch.ProducerEpoch, batch.FirstSequence = producer.ProducerID, producer.ProducerEpoch, 0
	batch.Attributes |= 1 << 4
	first, err := w.produce(ctx, topic, partition, batch, &id)
	if err != nil {
		return 0, err
	}
	time.Sleep(lasts)
	finish := kmsg.NewPtrEndTxnRequest()
	finish.TransactionalID, finish.ProducerID, finish.ProducerEpoch, finish.Commit = id, producer.ProducerID, producer.ProducerEpoch, commit
	finished, err := finish.RequestWith(ctx, w.client)
	if err == nil {
		err = kerr.ErrorForCode(finished.ErrorCode)
	}
	if err != nil {
		return 0, fmt.Errorf("ending a transaction: %w", err)
	}
	return first, nil
}

// produce sends a batch to the leader of a partition, and gives the offset of its first record.
func (w *simWorld) produce(ctx context.Context, topic string, partition int, batch kmsg.RecordBatch, transaction *string) (int64, error) {
	request := kmsg.NewPtrProduceRequest()
	request.TransactionID, request.Acks, request.TimeoutMillis = transaction, -1, 5000
	t, p := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	t.Topic, p.Partition, p.Records = topic, int32(partition), sealed(batch)
	t.Partitions = append(t.Partitions, p)
	request.Topics = append(request.Topics, t)
	answer, err := w.client.Broker(int(w.kafka.LeaderFor(topic, int32(partition)))).Request(ctx, request)
	if err != nil {
		return 0, err
	}
	got := answer.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	return got.BaseOffset, kerr.ErrorForCode(got.ErrorCode)
}

// simBatch encodes records as producers do.
func simBatch(records []*kgo.Record) kmsg.RecordBatch {
	batch := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: int32(len(records) - 1), FirstTimestamp: records[0].Timestamp.UnixMilli(),
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(len(records))}
	for i, r := range records {
		record := kmsg.Record{TimestampDelta64: r.Timestamp.UnixMilli() - batch.FirstTimestamp, OffsetDelta: int32(i), Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			record.Headers = append(record.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
		}
		batch.MaxTimestamp = max(batch.MaxTimestamp, r.Timestamp.UnixMilli())
		// The length counts what follows it.
		record.Length = int32(len(record.AppendTo(nil)) - 1)
		batch.Records = record.AppendTo(batch.Records)
	}
	return batch
}

// sealed fills in the length and the checksum of a batch, and encodes it.
func sealed(batch kmsg.RecordBatch) []byte {
	batch.Length = int32(len(batch.AppendTo(nil)) - 12)
	batch.CRC = int32(crc32.Checksum(batch.AppendTo(nil)[21:], castagnoli))
	return batch.AppendTo(nil)
}
