package stream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gorilla/websocket"

	"ioc.local/query/kpi"
)

// The types of frames that the server sends; also the values of the metric label type.
const (
	kindHello    = "hello"
	kindSnapshot = "snapshot"
	kindResumed  = "resumed"
	kindDelta    = "delta"
	kindBeat     = "beat"
	kindLate     = "late"
	kindError    = "error"
	kindPing     = "ping"
)

// frame is a message encoded once, to be written to any number of connections.
type frame struct {
	kind      string
	message   *websocket.PreparedMessage
	published time.Time // when the evaluator published what it carries; zero for frames without values
}

// pingFrame has no message: pings are control frames of the websocket itself.
var pingFrame = &frame{kind: kindPing}

type helloMessage struct {
	Type        string    `json:"type"`
	Protocol    int       `json:"protocol"`
	Epoch       string    `json:"epoch"`
	HeartbeatMS int64     `json:"heartbeat_ms"`
	ServerTime  *kpi.Time `json:"server_time"`
}

type snapshotMessage struct {
	Type   string            `json:"type"`
	Board  string            `json:"board"`
	Scope  string            `json:"scope"`
	Epoch  string            `json:"epoch"`
	Offset uint64            `json:"offset"`
	AsOf   *kpi.Time         `json:"as_of"`
	Values []json.RawMessage `json:"values"`
}

type resumedMessage struct {
	Type   string    `json:"type"`
	Board  string    `json:"board"`
	Scope  string    `json:"scope"`
	Epoch  string    `json:"epoch"`
	Offset uint64    `json:"offset"`
	AsOf   *kpi.Time `json:"as_of"`
}

type deltaMessage struct {
	Type      string            `json:"type"`
	Board     string            `json:"board"`
	Scope     string            `json:"scope"`
	Offset    uint64            `json:"offset"`
	AsOf      *kpi.Time         `json:"as_of"`
	Conflated bool              `json:"conflated,omitempty"`
	Values    []json.RawMessage `json:"values"`
}

type beatMessage struct {
	Type        string    `json:"type"`
	ServerTime  *kpi.Time `json:"server_time"`
	Watermark   *kpi.Time `json:"watermark"`
	PublishedAt *kpi.Time `json:"published_at"`
	CaughtUp    *bool     `json:"caught_up"`
}

type lateMessage struct {
	Type    string        `json:"type"`
	Sources []lateElement `json:"sources"`
}

type lateElement struct {
	Source string    `json:"source"`
	Since  *kpi.Time `json:"since"`
}

type errorMessage struct {
	Type   string `json:"type"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Fatal  bool   `json:"fatal"`
	Board  string `json:"board,omitempty"`
	Scope  string `json:"scope,omitempty"`
}

// stampOf is a time as the HTTP API writes it; null if there is none.
func stampOf(t time.Time) *kpi.Time {
	if t.IsZero() {
		return nil
	}
	return &kpi.Time{Time: t}
}

// newFrame encodes a message. It fails only for what has no JSON, such as NaN.
func newFrame(kind string, message any, published time.Time) (*frame, error) {
	content, err := encode(message)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", kind, err)
	}
	prepared, err := websocket.NewPreparedMessage(websocket.TextMessage, content)
	if err != nil {
		return nil, fmt.Errorf("preparing %s: %w", kind, err)
	}
	return &frame{kind: kind, message: prepared, published: published}, nil
}

// plainFrame is a frame of texts, times and numbers that always have JSON.
func plainFrame(kind string, message any) *frame {
	f, err := newFrame(kind, message, time.Time{})
	if err != nil {
		panic(fmt.Sprintf("stream: %v", err))
	}
	return f
}

// encode is JSON as the HTTP API writes it: without HTML escaping.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// valueMessage is a value of a board: the members of an answer of the HTTP API that can change, in its order.
type valueMessage struct {
	KPI         string        `json:"kpi"`
	Period      string        `json:"period"`
	Province    string        `json:"province,omitempty"` // only in channels of all provinces
	Unit        string        `json:"unit"`
	AsOf        kpi.Time      `json:"as_of"`
	Revision    string        `json:"revision"`
	Value       *float64      `json:"value"`
	Numerator   *int64        `json:"numerator"`
	Denominator *int64        `json:"denominator"`
	Baseline    *kpi.Baseline `json:"baseline"`
	Official    *kpi.Baseline `json:"official"`
	Target      *float64      `json:"target"`
	Status      kpi.Status    `json:"status"`
	Coverage    kpi.Coverage  `json:"coverage"`
	Definition  string        `json:"definition"`
	Exact       bool          `json:"exact"`
	Suppressed  bool          `json:"suppressed,omitempty"`
	Rank        *kpi.Rank     `json:"rank,omitempty"`
	Notes       []string      `json:"notes,omitempty"`
}

func valueOf(place cell, a *kpi.Answer) valueMessage {
	v := valueMessage{
		KPI: place.kpi.ID, Period: place.kpi.Period, Province: place.province, Unit: a.Unit, AsOf: a.AsOf, Revision: a.Revision,
		Value: a.Value, Numerator: a.Numerator, Denominator: a.Denominator, Baseline: a.Baseline, Official: a.Official, Target: a.Target,
		Status: a.Status, Coverage: a.Coverage, Definition: a.Definition, Exact: a.Exact, Suppressed: a.Suppressed, Rank: a.Rank,
	}
	for _, n := range a.Notes {
		v.Notes = append(v.Notes, n.Code)
	}
	return v
}
