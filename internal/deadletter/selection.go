package deadletter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ioc.local/ingest/event"
)

// The bounds of a selection.
const (
	maxValues  = 100
	maxText    = 512
	maxLetters = 1000
)

// State is how a letter stands.
type State string

// The states of a letter.
const (
	// StateNew is a letter that nobody sent again, or whose replay is not ingested yet.
	StateNew State = "new"
	// StateRejectedAgain is one that was sent again, and rejected each time.
	StateRejectedAgain State = "rejected_again"
	// StateAccepted is settled: the event was sent again and counts.
	StateAccepted State = "accepted"
	// StateDuplicate is settled: when it was sent again, the event was there already, with the same source and id.
	StateDuplicate State = "duplicate"
)

// States lists the states.
func States() []State { return []State{StateNew, StateRejectedAgain, StateAccepted, StateDuplicate} }

// stateNames are the states for a message.
func stateNames() string {
	names := make([]string, len(States()))
	for i, s := range States() {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

// Selection says which letters. What is empty selects everything; values of one filter are alternatives, and a letter has
// to pass every filter. Reasons and fields are those of the first rejection.
type Selection struct {
	Reasons []string `json:"reason,omitempty"`
	Fields  []string `json:"field,omitempty"`
	// Types are names of event types, whole (vn.da06.auth.attempt.v1) or short (auth.attempt).
	Types   []string `json:"type,omitempty"`
	Sources []string `json:"source,omitempty"`
	// Topics are names in Kafka, whichever incarnation.
	Topics []string `json:"topic,omitempty"`
	States []State  `json:"state,omitempty"`
	// From and Until bound when the record was rejected: the first moment, and the first one after.
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Letters are origins.
	Letters []event.Place `json:"letters,omitempty"`
}

// Empty says that the selection is all letters.
func (s Selection) Empty() bool {
	return len(s.Reasons)+len(s.Fields)+len(s.Types)+len(s.Sources)+len(s.Topics)+len(s.States)+len(s.Letters) == 0 && s.From.IsZero() && s.Until.IsZero()
}

// SelectionError is a selection that cannot be meant.
type SelectionError struct {
	// Filter is the one at fault, by its name in JSON.
	Filter string
	// Detail says why.
	Detail string
}

// Error implements error.
func (e *SelectionError) Error() string { return e.Filter + ": " + e.Detail }

// Validate reports the first value that cannot be meant, as a *SelectionError.
func (s Selection) Validate() error {
	for _, f := range []struct {
		name   string
		values []string
	}{{"reason", s.Reasons}, {"field", s.Fields}, {"type", s.Types}, {"source", s.Sources}, {"topic", s.Topics}} {
		if len(f.values) > maxValues {
			return &SelectionError{f.name, fmt.Sprintf("at most %d values can be asked for at once", maxValues)}
		}
		for _, v := range f.values {
			if len(v) > maxText {
				return &SelectionError{f.name, fmt.Sprintf("%.20q… is longer than %d bytes", v, maxText)}
			}
		}
	}
	for _, reason := range s.Reasons {
		if !slices.ContainsFunc(event.Reasons(), func(r event.ReasonInfo) bool { return string(r.Reason) == reason }) {
			return &SelectionError{"reason", fmt.Sprintf("there is no reason %q", reason)}
		}
	}
	for _, state := range s.States {
		if !slices.Contains(States(), state) {
			return &SelectionError{"state", fmt.Sprintf("there is no state %q; the states are %s", state, stateNames())}
		}
	}
	if len(s.Letters) > maxLetters {
		return &SelectionError{"letters", fmt.Sprintf("at most %d letters can be named at once", maxLetters)}
	}
	for name, t := range map[string]time.Time{"from": s.From, "until": s.Until} {
		if !t.IsZero() && (t.Year() < 2000 || t.Year() > 2200) {
			return &SelectionError{name, "the year is not between 2000 and 2200"}
		}
	}
	if !s.From.IsZero() && !s.Until.IsZero() && !s.From.Before(s.Until) {
		return &SelectionError{"until", "must be after from"}
	}
	return nil
}

// where is the condition on dead_letters, with its arguments. The places of Letters are a table of their own.
func (s Selection) where() (condition string, args []any) {
	conditions := []string{"NOT " + isAgain}
	in := func(column string, values []string) {
		if len(values) > 0 {
			conditions, args = append(conditions, column+" IN (?)"), append(args, values)
		}
	}
	in("reason", s.Reasons)
	in("field", s.Fields)
	var types []string
	for _, t := range s.Types {
		types = append(types, t, "vn.da06."+t+".v1")
	}
	in("type", types)
	in("source", s.Sources)
	in("splitByChar('@', toString(topic))[1]", s.Topics)
	if !s.From.IsZero() {
		conditions, args = append(conditions, "received_at >= fromUnixTimestamp64Milli(?)"), append(args, s.From.UnixMilli())
	}
	if !s.Until.IsZero() {
		conditions, args = append(conditions, "received_at < fromUnixTimestamp64Milli(?)"), append(args, s.Until.UnixMilli())
	}
	if len(s.Letters) > 0 {
		conditions = append(conditions, "(toString(topic), partition, offset) IN (SELECT topic, partition, offset FROM wanted)")
	}
	var states []string
	for _, state := range s.States {
		states = append(states, stateConditions[state])
	}
	if len(states) > 0 {
		conditions = append(conditions, "("+strings.Join(states, " OR ")+")")
	}
	return strings.Join(conditions, " AND "), args
}

// cursor is where a page ends.
type cursor struct {
	at    int64 // received_at in Unix milliseconds
	place event.Place
	// oldest says that the oldest letters come first.
	oldest bool
}

var errCursor = errors.New("is not one that an answer gave for this question")

func (c cursor) String() string {
	order := "n"
	if c.oldest {
		order = "o"
	}
	return fmt.Sprintf("%s%d.%s", order, c.at, c.place)
}

func parseCursor(text string, oldest bool) (*cursor, error) {
	if text == "" {
		return nil, nil
	}
	at, place, ok := strings.Cut(text[1:], ".")
	c := cursor{oldest: text[0] == 'o'}
	_, err := fmt.Sscanf(at, "%d", &c.at)
	var placeErr error
	c.place, placeErr = event.ParsePlace(place)
	if !ok || err != nil || placeErr != nil || c.oldest != oldest || c.String() != text {
		return nil, &SelectionError{"after", errCursor.Error()}
	}
	return &c, nil
}
