package deadletter

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"

	"ioc.local/ingest/event"
	"ioc.local/internal/cluster"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
)

// Config says where payloads are and how far they are looked for.
type Config struct {
	// Topic is the dead-letter topic; empty when there is none, and then payloads are kept nowhere.
	Topic string
	// Topics are those that ingestion reads: a letter of another one is not sent again, since nobody would read it.
	Topics []string
	// MaxScan is how many letters of the topic are read to find those that are asked for. Default 1,000,000.
	// A receipt says when it was hit.
	MaxScan int
	// QueryTimeout bounds each question to ClickHouse. Default 20 s.
	QueryTimeout time.Duration
}

// DefaultConfig returns the defaults that the fields of Config name, without topics.
func DefaultConfig() Config { return Config{MaxScan: 1_000_000, QueryTimeout: 20 * time.Second} }

// Deps are what Letters work with.
type Deps struct {
	// Logger receives what an operator should know. No payload gets there.
	Logger *zap.Logger
	// Client is connected to the database of ioc.
	Client *warehouse.Client
	// Cluster is the Kafka cluster that has the topics.
	Cluster *cluster.Cluster
	// NewDecoder makes a decoder of the contract as it is now.
	NewDecoder func() *event.Decoder
}

// Letters are the dead letters. The methods may be called from any goroutine.
type Letters struct {
	cfg  Config
	deps Deps
	now  func() time.Time
}

// New checks the configuration. It connects to nothing.
func New(cfg Config, deps Deps) (*Letters, error) {
	switch {
	case cfg.MaxScan < 1:
		return nil, fmt.Errorf("dead letters: the bound on what is read of the topic is %d, must be at least 1", cfg.MaxScan)
	case cfg.QueryTimeout < time.Second:
		return nil, fmt.Errorf("dead letters: the timeout of questions is %s, must be at least a second", cfg.QueryTimeout)
	case deps.Logger == nil || deps.Client == nil || deps.Cluster == nil || deps.NewDecoder == nil:
		return nil, errors.New("dead letters: a logger, ClickHouse, Kafka and a decoder are needed")
	}
	return &Letters{cfg: cfg, deps: deps, now: time.Now}, nil
}

// MaxPage is the largest page of List.
const MaxPage = 1000

// Page is a part of a list.
type Page struct {
	Letters []Letter `json:"letters"`
	// Next is the cursor of the next page; empty when this is the last.
	Next string `json:"next,omitempty"`
}

// List gives the letters of a selection, the newest first, from the cursor of the page before on; empty begins. A letter
// that comes in the meantime moves no other one to another page. Errors that the caller can mend are *SelectionError.
func (l *Letters) List(ctx context.Context, s Selection, limit int, after string) (*Page, error) {
	if limit < 1 || limit > MaxPage {
		return nil, &SelectionError{"limit", fmt.Sprintf("must be from 1 to %d", MaxPage)}
	}
	letters, next, err := l.page(ctx, s, limit, after, false)
	if err != nil {
		return nil, err
	}
	return &Page{Letters: letters, Next: next}, nil
}

// Replays in which a letter was rejected again have a row of dead_letters of their own. It is the letter's when its
// payload is the letter's, or is not kept any more. Else a producer made the header up: the origin is no letter, or
// somebody else's, and the row is a letter by itself.
const (
	rejectedReplays = "SELECT toString(origin_topic), partition, origin_offset FROM dead_letter_replays WHERE outcome = 'rejected'"
	rejectedRecords = "SELECT toString(topic), partition, record_offset FROM dead_letter_replays WHERE outcome = 'rejected'"
	// againFrom has the origin (life, part, begun) and the record (again_life, part, again) of each such row.
	againFrom = `(SELECT toString(origin_topic) AS life, origin_offset AS begun, toString(topic) AS again_life, record_offset AS again, partition AS part
			FROM dead_letter_replays WHERE outcome = 'rejected') AS replays
		INNER JOIN (SELECT toString(topic) AS letter_life, partition AS letter_part, offset AS letter_at, sha256 AS letter_hash FROM dead_letters
			WHERE (toString(topic), partition, offset) IN (` + rejectedReplays + `)) AS letters
		ON letter_life = life AND letter_part = part AND letter_at = begun
		INNER JOIN (SELECT toString(topic) AS own_life, partition AS own_part, offset AS own_at, sha256 AS own_hash FROM dead_letters
			WHERE (toString(topic), partition, offset) IN (` + rejectedRecords + `)) AS records
		ON own_life = again_life AND own_part = part AND own_at = again
		WHERE (own_hash = letter_hash OR own_hash = toFixedString('', 32))`
	isAgain = "(toString(topic), partition, offset) IN (SELECT again_life, part, again FROM " + againFrom + ")"
)

// Whether a record that was accepted was the letter's own is not in the tables: only with the record at hand its identity
// can be computed. So the conditions of a list go by the name; Show and Replay look closer.

var stateConditions = map[State]string{
	StateNew:           "(NOT " + rejectedAgain + " AND NOT " + replayed("accepted", "duplicate") + ")",
	StateRejectedAgain: "(" + rejectedAgain + " AND NOT " + replayed("accepted", "duplicate") + ")",
	StateAccepted:      replayed("accepted"),
	StateDuplicate:     "(" + replayed("duplicate") + " AND NOT " + replayed("accepted") + ")",
}

const rejectedAgain = "(toString(topic), partition, offset) IN (SELECT life, part, begun FROM " + againFrom + ")"

func replayed(outcomes ...string) string {
	return "(toString(topic), partition, offset) IN (SELECT toString(origin_topic), partition, origin_offset FROM dead_letter_replays WHERE outcome IN ('" +
		strings.Join(outcomes, "', '") + "'))"
}

// page reads a page of letters with their attempts; next is empty when it is the last.
func (l *Letters) page(ctx context.Context, s Selection, limit int, after string, oldest bool) (letters []Letter, next string, err error) {
	if err := s.Validate(); err != nil {
		return nil, "", err
	}
	from, err := parseCursor(after, oldest)
	if err != nil {
		return nil, "", err
	}
	condition, args := s.where()
	order, beyond := "DESC", "<"
	if oldest {
		order, beyond = "ASC", ">"
	}
	if from != nil {
		condition += " AND (toUnixTimestamp64Milli(received_at), toString(topic), partition, offset) " + beyond + " (toInt64(?), ?, toUInt32(?), toUInt64(?))"
		args = append(args, from.at, from.place.Topic, from.place.Partition, from.place.Offset)
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.QueryTimeout)
	defer cancel()
	asking := ctx
	if len(s.Letters) > 0 {
		if asking, err = withPlaces(ctx, "wanted", s.Letters); err != nil {
			return nil, "", err
		}
	}
	rows, err := l.deps.Client.Conn().Query(asking, fmt.Sprintf(`SELECT toString(topic), partition, offset, received_at, record_time, reason, field, type, source, size, sha256
		FROM dead_letters WHERE %[1]s
		ORDER BY toUnixTimestamp64Milli(received_at) %[2]s, toString(topic) %[2]s, partition %[2]s, offset %[2]s LIMIT %[3]d`, condition, order, limit+1), args...)
	if err != nil {
		return nil, "", fmt.Errorf("reading dead_letters: %w", err)
	}
	if letters, err = warehouse.Collect(rows, func(letter *Letter) error { return scanLetter(rows, letter) }); err != nil {
		return nil, "", fmt.Errorf("reading dead_letters: %w", err)
	}
	if len(letters) > limit {
		letters = letters[:limit]
		last := letters[limit-1]
		next = cursor{at: last.ReceivedAt.UnixMilli(), place: last.Place, oldest: oldest}.String()
	}
	attempts, err := l.attempts(ctx, letters)
	if err != nil {
		return nil, "", err
	}
	for i := range letters {
		letters[i].attempts = letters[i].possible(attempts[letters[i].Place])
		letters[i].stand(letters[i].attempts)
	}
	return letters, next, nil
}

func scanLetter(rows driver.Rows, letter *Letter) error {
	var partition uint32
	var offset uint64
	var sum string
	if err := rows.Scan(&letter.Place.Topic, &partition, &offset, &letter.ReceivedAt, &letter.RecordTime, &letter.Reason, &letter.Field,
		&letter.Type, &letter.Source, &letter.Size, &sum); err != nil {
		return err
	}
	letter.Place.Partition, letter.Place.Offset = int32(partition), int64(offset)
	letter.ReceivedAt, letter.RecordTime = letter.ReceivedAt.In(reference.TimeZone()), letter.RecordTime.In(reference.TimeZone())
	letter.hash, letter.Withheld = hashText(sum)
	return nil
}

// hashText is a column sha256 in hexadecimal; zeros say that the payload is withheld.
func hashText(sum string) (text string, withheld bool) {
	if strings.Trim(sum, "\x00") == "" {
		return "", true
	}
	return hex.EncodeToString([]byte(sum)), false
}

// attempts reads the replays of letters, each in the order of its records.
func (l *Letters) attempts(ctx context.Context, letters []Letter) (map[event.Place][]Attempt, error) {
	if len(letters) == 0 {
		return nil, nil
	}
	places := make([]event.Place, len(letters))
	for i := range letters {
		places[i] = letters[i].Place
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.QueryTimeout)
	defer cancel()
	ctx, err := withPlaces(ctx, "origins", places)
	if err != nil {
		return nil, err
	}
	rows, err := l.deps.Client.Conn().Query(ctx, `SELECT toString(origin_topic) AS life, partition, origin_offset, toString(r.topic) AS record_topic, record_offset, r.received_at, toString(outcome), d.reason, d.field, d.sha256, letter
		FROM dead_letter_replays AS r LEFT JOIN (
			SELECT toString(topic) AS topic, partition, offset, toString(reason) AS reason, toString(field) AS field, sha256 FROM dead_letters
			WHERE (toString(topic), partition, offset) IN (SELECT toString(topic), partition, record_offset FROM dead_letter_replays
				WHERE outcome = 'rejected' AND (toString(origin_topic), partition, origin_offset) IN (SELECT topic, partition, offset FROM origins))
		) AS d ON d.topic = toString(r.topic) AND d.partition = r.partition AND d.offset = r.record_offset
		WHERE (toString(origin_topic), partition, origin_offset) IN (SELECT topic, partition, offset FROM origins)
		ORDER BY life, partition, origin_offset, length(record_topic), record_topic, record_offset`)
	if err != nil {
		return nil, fmt.Errorf("reading dead_letter_replays: %w", err)
	}
	found := map[event.Place][]Attempt{}
	err = warehouse.Each(rows, func() error {
		var origin event.Place
		var a Attempt
		var partition uint32
		var originOffset, recordOffset uint64
		var sum, identity string
		if err := rows.Scan(&origin.Topic, &partition, &originOffset, &a.Record.Topic, &recordOffset, &a.At, &a.Outcome, &a.Reason, &a.Field, &sum, &identity); err != nil {
			return err
		}
		origin.Partition, origin.Offset = int32(partition), int64(originOffset)
		a.Record.Partition, a.Record.Offset = int32(partition), int64(recordOffset)
		a.At = a.At.In(reference.TimeZone())
		var zeros bool
		a.hash, zeros = hashText(sum)
		a.withheld = a.Reason != "" && zeros
		a.letter = event.LetterIdentity([]byte(identity))
		found[origin] = append(found[origin], a)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading dead_letter_replays: %w", err)
	}
	return found, nil
}

// withPlaces gives a query a table of places.
func withPlaces(ctx context.Context, name string, places []event.Place) (context.Context, error) {
	table, err := ext.NewTable(name, ext.Column("topic", "String"), ext.Column("partition", "UInt32"), ext.Column("offset", "UInt64"))
	if err != nil {
		return nil, fmt.Errorf("naming letters: %w", err)
	}
	for _, p := range places {
		if err := table.Append(p.Topic, uint32(p.Partition), uint64(p.Offset)); err != nil {
			return nil, fmt.Errorf("naming letters: %w", err)
		}
	}
	return clickhouse.Context(ctx, clickhouse.WithExternalTable(table)), nil
}
