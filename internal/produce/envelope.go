package produce

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// envelope is what the producer reads of an event. All else is the server's to judge.
type envelope struct {
	Type string // Empty when it is no text.
	Key  []byte
}

// lineError says why a line is no event, and where: a byte column from 1.
type lineError struct {
	column int
	reason string
}

// readEnvelope reads a line that must hold one JSON object.
func readEnvelope(text []byte) (envelope, *lineError) {
	var fields map[string]json.RawMessage // a struct would match names in any case
	err := json.Unmarshal(text, &fields)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return envelope{}, &lineError{max(int(syntax.Offset), 1), "not JSON: " + syntax.Error()}
	}
	if err != nil || fields == nil {
		column := len(text) - len(bytes.TrimLeft(text, " \t\r")) + 1
		return envelope{}, &lineError{column, "not a JSON object"}
	}
	e := envelope{Type: asText(fields["type"])}
	// An event without a subject still goes where its copies go: the identity of an event holds within a partition.
	for _, name := range []string{"subject", "id"} {
		if key := asText(fields[name]); key != "" {
			e.Key = []byte(key)
			break
		}
	}
	if n := len(e.Key) + len(text); n > maxMessage {
		return envelope{}, &lineError{1, fmt.Sprintf("the event has %d bytes with its key, at most %d fit into a Kafka batch", n, maxMessage)}
	}
	return e, nil
}

// asText is a JSON string's text, or empty.
func asText(raw json.RawMessage) string {
	var s string
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
