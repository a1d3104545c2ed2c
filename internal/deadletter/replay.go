package deadletter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"go.uber.org/zap"

	"ioc.local/ingest/event"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
)

// The bounds of a replay.
const (
	// MaxReplay is how many letters one replay takes at most.
	MaxReplay = 10_000
	// Letters are looked up and sent in lots of that many letters or bytes.
	lotLetters = 500
	lotBytes   = 4 << 20
	// batchBytes bounds what is produced at once: a broker's default for a batch is 1 MiB.
	batchBytes = 512 << 10
)

// identityReach is how much older than a letter an event may be that has its source and id. It is the duplicate window
// of ingestion, and an hour for clocks that differ.
const identityReach = 25 * time.Hour

// ReplayOptions say how to replay.
type ReplayOptions struct {
	// By is who wants it, for the receipt.
	By string
	// Limit is how many letters are taken at most, 1 to MaxReplay.
	Limit int
	// After continues where an earlier receipt ended.
	After string
	// DryRun does everything but send, and says what this process's contract makes of each record now.
	DryRun bool
	// Progress is told how many letters are done; it may be nil.
	Progress func(done, total int)
}

// Replay sends the letters of a selection again, the oldest first: each to its own partition, as it was. It may be
// repeated, cut off and run twice at once: a letter counts once. Errors that the caller can mend are *SelectionError, and
// then nothing was done. ErrRefused says that Kafka took some letters not, and will not. Any other error ends the replay
// early; the receipt, if there is one, says how far it came.
func (l *Letters) Replay(ctx context.Context, s Selection, o ReplayOptions) (*Receipt, error) {
	if o.Limit < 1 || o.Limit > MaxReplay {
		return nil, &SelectionError{"limit", fmt.Sprintf("must be from 1 to %d", MaxReplay)}
	}
	if l.cfg.Topic == "" {
		return nil, &SelectionError{"letters", "no dead-letter topic is configured (kafka.dead_letter_topic), so that payloads are kept nowhere"}
	}
	if o.Progress == nil {
		o.Progress = func(int, int) {}
	}
	letters, next, err := l.page(ctx, s, o.Limit, o.After, true)
	if err != nil {
		return nil, err
	}
	r := &replay{
		Letters: l, dry: o.DryRun, progress: o.Progress, search: newSearch(), decoder: l.deps.NewDecoder(),
		receipt: &Receipt{At: l.now().In(reference.TimeZone()).Truncate(time.Millisecond), By: o.By, DryRun: o.DryRun, Selection: s, Next: next, Letters: make([]Entry, len(letters))},
	}
	transport := l.deps.Cluster.Transport(clientID)
	defer transport.CloseIdleConnections()
	r.client = l.deps.Cluster.Client(transport, kafkaTimeout)
	err = r.run(ctx, letters)
	if err != nil {
		r.receipt.Problem = problemText(err)
		l.deps.Logger.Warn("a replay of dead letters did not do all", zap.Error(err))
	}
	r.receipt.seal()
	return r.receipt, err
}

// boundError says that letters were not found within the bound on what is read of the topic.
type boundError struct{ letters, read int }

func (e *boundError) Error() string {
	return fmt.Sprintf("%d letters were not found among the %d of the dead-letter topic that are read at once: select fewer, such as only later ones", e.letters, e.read)
}

// problemText is an error for a receipt: what its reader can do something about, and no host or statement.
func problemText(err error) string {
	var refused kafka.Error
	var bound *boundError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "the time was over; run it again for the letters that were not reached"
	case errors.Is(err, context.Canceled):
		return "it was stopped; run it again for the letters that were not reached"
	case errors.As(err, &bound):
		return bound.Error()
	case errors.As(err, &refused):
		return "Kafka says: " + refused.Title()
	}
	return "Kafka or ClickHouse did not answer; the log says more"
}

// search is for the payloads of letters in the topic.
type search struct {
	wanted map[event.Place]*wanted
	// unnamed are letters of later lives of a topic by the place that earlier versions of ioc gave them, which did not say
	// which life it was.
	unnamed map[event.Place][]*wanted
}

func newSearch() search {
	return search{wanted: map[event.Place]*wanted{}, unnamed: map[event.Place][]*wanted{}}
}

// drop ends the search for a letter, and lets go of it.
func (s *search) drop(w *wanted) {
	delete(s.wanted, w.letter.Place)
	name := w.letter.Place
	name.Topic = name.KafkaTopic()
	if rest := slices.DeleteFunc(s.unnamed[name], func(other *wanted) bool { return other == w }); len(rest) > 0 {
		s.unnamed[name] = rest
	} else {
		delete(s.unnamed, name)
	}
}

func (s *search) want(letter *Letter, entry *Entry) {
	w := &wanted{letter: letter, entry: entry}
	s.wanted[letter.Place] = w
	if letter.Place.Incarnation() > 0 {
		name := letter.Place
		name.Topic = letter.Place.KafkaTopic()
		s.unnamed[name] = append(s.unnamed[name], w)
	}
}

// match finds the wanted letter that a message of the topic is, with its payload or with the reason that there is none.
// The origin of a record that was sent again is what its producer says: only the payload shows whether it is true. If it
// is not, the record is a letter by itself, at its own place.
func (s *search) match(m *stored) *wanted {
	own := s.wanted[m.place]
	if m.leftOut != "" {
		return own
	}
	for _, w := range append([]*wanted{own, s.wanted[m.origin]}, s.unnamed[m.origin]...) {
		if w != nil && m.is(w.letter.hash) {
			return w
		}
	}
	return nil
}

// wanted is a letter whose payload is looked for.
type wanted struct {
	letter *Letter
	entry  *Entry
	found  *stored
	judged event.Judgement
}

// replay is one replay under way.
type replay struct {
	*Letters
	receipt  *Receipt
	client   *kafka.Client
	decoder  *event.Decoder
	dry      bool
	progress func(done, total int)
	done     int
	search
	lot     []*wanted
	lotSize int
	refused error // the first refusal
}

func (r *replay) run(ctx context.Context, letters []Letter) error {
	var from time.Time
	for i := range letters {
		letter, entry := &letters[i], &r.receipt.Letters[i]
		*entry = Entry{Place: letter.Place, Reason: letter.Reason, Field: letter.Field, Type: letter.Type, Source: letter.Source}
		switch {
		case letter.Withheld:
			r.finish(entry, NotKept, "")
		case !letter.Settled() && !slices.Contains(r.cfg.Topics, letter.Place.KafkaTopic()):
			r.finish(entry, NotRead, "")
		default:
			entry.Outcome = NotReached
			r.want(letter, entry)
			if from.IsZero() || letter.ReceivedAt.Before(from) {
				from = letter.ReceivedAt
			}
		}
	}
	if len(r.wanted) == 0 {
		return nil
	}
	done, err := r.scan(ctx, from.Add(-skew), func(s *stored) (bool, error) { return r.take(ctx, s) })
	r.receipt.Scanned = done.letters
	if err == nil {
		err = r.send(ctx) // what is left in the lot
	}
	if err != nil {
		return err
	}
	for _, w := range r.wanted {
		switch {
		case !done.whole:
		case w.letter.Settled():
			r.finish(w.entry, NotThere, "a record under its name was "+string(w.letter.State)+", and nothing is left to tell whether it was this one")
		default:
			r.finish(w.entry, NotThere, "")
		}
	}
	if r.refused != nil {
		return r.refused
	}
	if !done.whole && len(r.wanted) > 0 {
		return &boundError{len(r.wanted), r.cfg.MaxScan}
	}
	return nil
}

func (r *replay) finish(entry *Entry, outcome Outcome, detail string) {
	entry.Outcome, entry.Detail = outcome, detail
	r.done++
	r.progress(r.done, len(r.receipt.Letters))
}

// take looks at a letter of the topic and wants more until all are found.
func (r *replay) take(ctx context.Context, s *stored) (more bool, err error) {
	w := r.match(s)
	switch {
	case w == nil:
	case s.leftOut != "":
		r.drop(w)
		r.finish(w.entry, NotThere, "the record was too large for the dead-letter topic")
	default:
		r.drop(w)
		w.letter.identify(event.LetterOf(w.letter.Place, &s.record))
		judged := r.decoder.Judge(&s.record, r.now().UnixMilli())
		switch {
		case w.letter.State == StateAccepted:
			r.finish(w.entry, AlreadyAccepted, "an earlier replay was accepted")
			return len(r.wanted) > 0, nil
		case w.letter.State == StateDuplicate:
			r.finish(w.entry, AlreadyAccepted, "at an earlier replay an event with the same source and id was there")
			return len(r.wanted) > 0, nil
		case w.letter.Withheld, judged.Reason == event.PersonalData, judged.Reason == event.SensitiveIdentity:
			r.finish(w.entry, NotKept, "the contract now takes it for personal data; the dead-letter topic has it until its retention ends")
			return len(r.wanted) > 0, nil
		case !slices.Contains(r.cfg.Topics, w.letter.Place.KafkaTopic()):
			r.finish(w.entry, NotRead, "")
			return len(r.wanted) > 0, nil
		}
		s.own()
		w.found, w.judged = s, judged
		r.lot = append(r.lot, w)
		r.lotSize += w.size()
		if len(r.lot) == lotLetters || r.lotSize >= lotBytes {
			if err := r.send(ctx); err != nil {
				return false, err
			}
		}
	}
	return len(r.wanted) > 0, nil
}

// size is what the letter takes in a batch, at most.
func (w *wanted) size() int {
	record := &w.found.record
	m := kafka.Message{Key: record.Key, Value: record.Value, Headers: []kafka.Header{{Key: event.OriginHeader, Value: []byte(w.letter.Place.String())}}}
	for _, h := range record.Headers {
		m.Headers = append(m.Headers, kafka.Header{Key: h.Key, Value: h.Value})
	}
	return size(m)
}

// send sends the lot, but for events that are in ClickHouse already.
func (r *replay) send(ctx context.Context) error {
	if len(r.lot) == 0 {
		return nil
	}
	lot := r.lot
	defer func() {
		for _, w := range lot {
			w.found = nil // the search may go on for long
		}
	}()
	r.lot, r.lotSize = nil, 0
	there, err := r.there(ctx, lot)
	if err != nil {
		return err
	}
	type partition struct {
		topic string
		id    int32
	}
	parts := map[partition][]*wanted{}
	var order []partition
	for _, w := range lot {
		place, known := there[identity{w.judged.Source, w.judged.ID}]
		switch {
		case known:
			r.finish(w.entry, AlreadyAccepted, "an event with the same source and id is there, from "+place)
		case r.dry:
			w.entry.Judged = cmp.Or(string(w.judged.Reason), "valid")
			if w.judged.Field != "" {
				w.entry.Judged += " " + w.judged.Field
			}
			r.finish(w.entry, WouldSend, "")
		default:
			p := partition{w.letter.Place.KafkaTopic(), w.letter.Place.Partition}
			if parts[p] == nil {
				order = append(order, p)
			}
			parts[p] = append(parts[p], w)
		}
	}
	for _, p := range order {
		for some := parts[p]; len(some) > 0; {
			n, bytes := 0, 0
			for n < len(some) {
				if bytes += some[n].size(); n > 0 && bytes > batchBytes {
					break
				}
				n++
			}
			if err := r.produce(ctx, p.topic, p.id, some[:n]); err != nil {
				return err
			}
			some = some[n:]
		}
	}
	return nil
}

// ErrRefused says that Kafka refused letters, and would refuse them again. All others were sent.
var ErrRefused = errors.New("kafka refuses letters")

// lasting tells of a refusal whether it is of the letters, or of their partition, and not of the moment.
func lasting(refused kafka.Error) bool {
	// A partition that is gone with its topic is called temporary, but the letter will not go into it tomorrow.
	return !refused.Temporary() || refused == kafka.UnknownTopicOrPartition
}

// ofPartition tells of a lasting refusal whether any letter of the partition meets it.
func ofPartition(refused kafka.Error) bool {
	return refused == kafka.UnknownTopicOrPartition || refused == kafka.InvalidTopic || refused == kafka.TopicAuthorizationFailed || refused == kafka.ClusterAuthorizationFailed
}

// produce sends letters of one partition. After an error nobody knows which of them are there; another replay finds out.
// A letter that is refused for good is no error here, so that it holds no other one up: r.refused has the first.
func (r *replay) produce(ctx context.Context, topic string, partition int32, letters []*wanted) error {
	records := make([]kafka.Record, len(letters))
	for i, w := range letters {
		records[i] = w.found.replay(w.letter.Place, r.now())
	}
	answer, err := r.client.Produce(ctx, &kafka.ProduceRequest{
		Topic: topic, Partition: int(partition), RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...),
	})
	if err == nil {
		err = answer.Error
	}
	if errors.Is(err, protocol.ErrNoTopic) || errors.Is(err, protocol.ErrNoPartition) { // as the client says it
		err = kafka.UnknownTopicOrPartition
	}
	if err != nil {
		var refused kafka.Error
		forGood := errors.As(err, &refused) && lasting(refused) && ctx.Err() == nil
		if forGood && len(letters) > 1 && !ofPartition(refused) {
			half := len(letters) / 2
			if err := r.produce(ctx, topic, partition, letters[:half]); err != nil {
				return err
			}
			return r.produce(ctx, topic, partition, letters[half:])
		}
		err = fmt.Errorf("sending to %s/%d: %w", topic, partition, err)
		for _, w := range letters {
			r.finish(w.entry, Failed, problemText(err))
		}
		if !forGood {
			return err
		}
		if r.refused == nil {
			r.refused = fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return nil
	}
	for i, w := range letters {
		w.entry.Record = &event.Place{Topic: topic, Partition: partition, Offset: answer.BaseOffset + int64(i)}
		r.finish(w.entry, Sent, "")
	}
	return nil
}

// identity is what makes an event itself.
type identity struct{ source, id string }

// there finds which of the events are in ClickHouse already, such as after their producers sent them again corrected.
// Ingestion's own window sees those that come from now on, and those of the last day; this sees all that came since the
// letter was rejected, in whatever partition.
func (r *replay) there(ctx context.Context, lot []*wanted) (map[identity]string, error) {
	table, err := ext.NewTable("wanted", ext.Column("source", "String"), ext.Column("event_id", "String"))
	if err != nil {
		return nil, fmt.Errorf("naming events: %w", err)
	}
	var since time.Time
	n := 0
	for _, w := range lot {
		if w.judged.Source == "" || w.judged.ID == "" {
			continue
		}
		if err := table.Append(w.judged.Source, w.judged.ID); err != nil {
			return nil, fmt.Errorf("naming events: %w", err)
		}
		if n++; since.IsZero() || w.letter.ReceivedAt.Before(since) {
			since = w.letter.ReceivedAt
		}
	}
	if n == 0 {
		return nil, nil
	}
	var parts []string
	for _, family := range event.Tables() {
		parts = append(parts, fmt.Sprintf("SELECT toString(source), event_id, any(topic || '/' || toString(partition) || '/' || toString(offset)) FROM %s PREWHERE received_at >= fromUnixTimestamp64Milli(%d) "+
			"WHERE (toString(source), event_id) IN (SELECT source, event_id FROM wanted) GROUP BY source, event_id", family, since.Add(-identityReach).UnixMilli()))
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.QueryTimeout)
	defer cancel()
	rows, err := r.deps.Client.Conn().Query(clickhouse.Context(ctx, clickhouse.WithExternalTable(table)), strings.Join(parts, " UNION ALL "))
	if err != nil {
		return nil, fmt.Errorf("looking for events that are there already: %w", err)
	}
	found := map[identity]string{}
	err = warehouse.Each(rows, func() error {
		var i identity
		var place string
		err := rows.Scan(&i.source, &i.id, &place)
		found[i] = place
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for events that are there already: %w", err)
	}
	return found, nil
}
