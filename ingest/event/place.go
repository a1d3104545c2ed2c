package event

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Place is where a record is in a log. Written as topic/partition/offset it is also what identifies a dead letter.
type Place struct {
	// Topic is the incarnation of the log, as in the column topic: the topic's name, with "@n" after its n-th recreation.
	Topic     string
	Partition int32
	Offset    int64
}

// longestTopic is Kafka's bound on the name of a topic.
const longestTopic = 249

// ParsePlace reads what String writes, and nothing else.
func ParsePlace(text string) (Place, error) {
	rest, offset, ok1 := cutLast(text)
	topic, partition, ok2 := cutLast(rest)
	if !ok1 || !ok2 {
		return Place{}, fmt.Errorf("%.300q is not topic/partition/offset", text)
	}
	p := Place{Topic: topic}
	if _, _, err := splitIncarnation(topic); err != nil {
		return Place{}, fmt.Errorf("%.300q: %w", text, err)
	}
	n, ok := wholeNumber(partition, 31)
	if !ok {
		return Place{}, fmt.Errorf("%.300q: the partition %.20q is not a number", text, partition)
	}
	p.Partition = int32(n)
	if p.Offset, ok = wholeNumber(offset, 63); !ok {
		return Place{}, fmt.Errorf("%.300q: the offset %.30q is not a number", text, offset)
	}
	return p, nil
}

// String is the place as topic/partition/offset.
func (p Place) String() string { return fmt.Sprintf("%s/%d/%d", p.Topic, p.Partition, p.Offset) }

// MarshalText is String.
func (p Place) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is ParsePlace.
func (p *Place) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePlace(string(text))
	return err
}

// KafkaTopic is the name of the topic in Kafka, whichever incarnation it is.
func (p Place) KafkaTopic() string {
	name, _, _ := strings.Cut(p.Topic, "@")
	return name
}

// Incarnation is the number of the topic's life, 0 for the first.
func (p Place) Incarnation() int {
	_, n, _ := splitIncarnation(p.Topic)
	return n
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

// splitIncarnation takes the number off the name of an incarnation.
func splitIncarnation(topic string) (name string, number int, err error) {
	name, text, later := strings.Cut(topic, "@")
	if later {
		n, ok := wholeNumber(text, 31)
		if !ok || n == 0 {
			return "", 0, fmt.Errorf("%.20q is not the number of an incarnation", text)
		}
		number = int(n)
	}
	if name == "" || len(name) > longestTopic {
		return "", 0, errors.New("the topic has no name that Kafka allows")
	}
	for i := range len(name) {
		if c := name[i]; !isAlnum(c) && c != '.' && c != '_' && c != '-' {
			return "", 0, errors.New("the topic has no name that Kafka allows")
		}
	}
	return name, number, nil
}

// wholeNumber reads a number in its only form: no sign, no leading zero.
func wholeNumber(text string, bits int) (int64, bool) {
	n, err := strconv.ParseUint(text, 10, bits)
	return int64(n), err == nil && (text[0] != '0' || text == "0")
}
