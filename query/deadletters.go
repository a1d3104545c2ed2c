package query

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"ioc.local/ingest/event"
	"ioc.local/internal/access"
	"ioc.local/internal/deadletter"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
)

// The bounds of what is asked about dead letters here.
const (
	lettersPage   = 100  // letters of a page, unless another limit is asked for
	lettersReplay = 1000 // letters of one replay, at most
	lettersBody   = 256 << 10
	lettersAtOnce = 2 // requests that read the dead-letter topic
)

// AuditPhase is the point in a request's life that a LetterAudit tells of.
type AuditPhase string

// The phases.
const (
	AuditRefused AuditPhase = "refused" // It was not done: the principal may not.
	AuditStarted AuditPhase = "started"
	AuditEnded   AuditPhase = "ended"
)

// LetterAudit is what the audit log learns of a request about dead letters. No payload is in it.
type LetterAudit struct {
	Phase AuditPhase
	// Action is list, show, payload (show with the payload), dry_run or replay.
	Action string
	// Request is the request's id, as in the header X-Request-Id, Remote the address that it came from.
	Request, Remote string
	Principal       access.Principal
	// Selection is what was asked for, in JSON.
	Selection string
	// Receipt is the SHA-256 of the receipt, Counts its letters by outcome; of the end of a replay only.
	Receipt string
	Counts  map[deadletter.Outcome]int
	// Problem is what went wrong, empty when nothing did.
	Problem string
}

// letterRoutes are the endpoints of dead letters, where there are any.
func (s *Server) letterRoutes() []route {
	if s.deps.DeadLetters == nil {
		return nil
	}
	return []route{
		{"GET /api/v1/dead-letters", access.Operator, s.listLetters},
		{"GET /api/v1/dead-letters/{topic}/{partition}/{offset}", access.Operator, s.showLetter},
		{"POST /api/v1/dead-letters/replay", access.Operator, s.replayLetters},
	}
}

// nationalOperator begins the audit of a request by an operator who is responsible for the whole country; any other is
// refused, since what was rejected has no province that anybody has proven.
func (s *Server) nationalOperator(w http.ResponseWriter, r *http.Request, action string) (*LetterAudit, error) {
	w.Header().Set("Cache-Control", "no-store")
	principal, ok := access.From(r.Context())
	audit := &LetterAudit{Phase: AuditStarted, Action: action, Request: w.Header().Get("X-Request-Id"), Remote: r.RemoteAddr, Principal: principal}
	if ok && principal.Role.Allows(access.Operator) && principal.Scope.National {
		return audit, nil
	}
	refusal := forbidden("dead letters are for operators of the whole country: a rejected record has no province that is proven; your scope is " + principal.Scope.String())
	audit.Phase, audit.Problem = AuditRefused, refusal.Detail
	if err := s.deps.AuditLetters(r.Context(), *audit); err != nil {
		return nil, fmt.Errorf("auditing a request about dead letters: %w", err)
	}
	return nil, refusal
}

// begin audits what is asked for before it is done.
func (s *Server) begin(r *http.Request, audit *LetterAudit, selection deadletter.Selection) error {
	content, err := json.Marshal(selection)
	if err != nil {
		return fmt.Errorf("auditing a request about dead letters: %w", err)
	}
	audit.Selection = string(content)
	if err := s.deps.AuditLetters(r.Context(), *audit); err != nil {
		return fmt.Errorf("auditing a request about dead letters: %w", err)
	}
	return nil
}

// listLetters gives a page of letters.
func (s *Server) listLetters(w http.ResponseWriter, r *http.Request) error {
	audit, err := s.nationalOperator(w, r, "list")
	if err != nil {
		return err
	}
	var reason, field, eventType, source, topic, state, from, until, limit, after string
	err = only(r.URL, map[string]*string{"reason": &reason, "field": &field, "type": &eventType, "source": &source, "topic": &topic,
		"state": &state, "from": &from, "until": &until, "limit": &limit, "after": &after})
	if err != nil {
		return err
	}
	selection := deadletter.Selection{Reasons: list(reason), Fields: list(field), Types: list(eventType), Sources: list(source), Topics: list(topic)}
	for _, name := range list(state) {
		selection.States = append(selection.States, deadletter.State(name))
	}
	if selection.From, err = moment("from", from); err != nil {
		return err
	}
	if selection.Until, err = moment("until", until); err != nil {
		return err
	}
	n := lettersPage
	if limit != "" {
		if n, err = strconv.Atoi(limit); err != nil {
			return badParameter("limit", "must be a whole number")
		}
	}
	if err := s.begin(r, audit, selection); err != nil {
		return err
	}
	page, err := s.deps.DeadLetters.List(r.Context(), selection, n, after)
	if err != nil {
		return letterProblem(r.Context(), err)
	}
	if page.Letters == nil {
		page.Letters = []deadletter.Letter{}
	}
	return answerJSON(w, page)
}

// showLetter gives one letter, with its record only when that is asked for.
func (s *Server) showLetter(w http.ResponseWriter, r *http.Request) error {
	action := "show"
	if r.URL.Query().Get("payload") == "true" {
		action = "payload"
	}
	audit, err := s.nationalOperator(w, r, action)
	if err != nil {
		return err
	}
	var payload string
	if err := only(r.URL, map[string]*string{"payload": &payload}); err != nil {
		return err
	}
	if payload != "" && payload != "true" && payload != "false" {
		return badParameter("payload", "must be true or false")
	}
	place, err := event.ParsePlace(r.PathValue("topic") + "/" + r.PathValue("partition") + "/" + r.PathValue("offset"))
	if err != nil {
		return notFound("the path must end with topic/partition/offset of a letter")
	}
	leave, busy := s.enterLetters()
	if busy != nil {
		return busy
	}
	defer leave()
	if err := s.begin(r, audit, deadletter.Selection{Letters: []event.Place{place}}); err != nil {
		return err
	}
	detail, err := s.deps.DeadLetters.Show(r.Context(), place, payload == "true")
	if err != nil {
		return letterProblem(r.Context(), err)
	}
	return answerJSON(w, detail)
}

// replayRequest is the body of a replay.
type replayRequest struct {
	Selection deadletter.Selection `json:"selection"`
	All       bool                 `json:"all"`
	Limit     int                  `json:"limit"`
	After     string               `json:"after"`
	DryRun    bool                 `json:"dry_run"`
}

// replayLetters sends letters again and answers with the receipt, also when it came to less than was asked for.
func (s *Server) replayLetters(w http.ResponseWriter, r *http.Request) error {
	audit, err := s.nationalOperator(w, r, "replay")
	if err != nil {
		return err
	}
	if err := only(r.URL, nil); err != nil {
		return err
	}
	ask, err := readReplay(w, r)
	if err != nil {
		return err
	}
	if ask.DryRun {
		audit.Action = "dry_run"
	}
	leave, busy := s.enterLetters()
	if busy != nil {
		return busy
	}
	defer leave()
	if err := s.begin(r, audit, ask.Selection); err != nil {
		return err
	}
	// What is left of the request's time is for the answer: a receipt must not be lost.
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.RequestTimeout*3/4)
	defer cancel()
	receipt, err := s.deps.DeadLetters.Replay(ctx, ask.Selection, deadletter.ReplayOptions{By: nameOf(audit.Principal), Limit: ask.Limit, After: ask.After, DryRun: ask.DryRun})
	audit.Phase = AuditEnded
	if receipt != nil {
		audit.Receipt, audit.Counts, audit.Problem = receipt.SHA256, receipt.Counts, receipt.Problem
	} else if err != nil {
		audit.Problem = letterProblem(ctx, err).Detail
	}
	// It is done: the client's going must not keep it out of the log.
	if err := s.deps.AuditLetters(context.WithoutCancel(r.Context()), *audit); err != nil {
		s.log.Error("the end of a replay was not audited", zap.String("request", audit.Request), zap.Error(err))
	}
	if receipt == nil {
		return letterProblem(ctx, err)
	}
	return answerJSON(w, receipt)
}

// readReplay reads the body of a replay strictly: what is not understood could have been a filter.
func readReplay(w http.ResponseWriter, r *http.Request) (*replayRequest, error) {
	body, err := readJSON(w, r, lettersBody)
	if err != nil {
		return nil, err
	}
	ask := &replayRequest{Limit: lettersReplay}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(ask); err != nil {
		return nil, badParameter("body", `must be {"selection": {…}, "dry_run": …}: `+strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, badParameter("body", "goes on behind its JSON")
	}
	if ask.Limit < 1 || ask.Limit > lettersReplay {
		return nil, badParameter("limit", fmt.Sprintf("must be from 1 to %d", lettersReplay))
	}
	if ask.Selection.Empty() != ask.All {
		return nil, badParameter("selection", `must name filters or letters; for all letters it must be absent and "all" be true`)
	}
	return ask, nil
}

// enterLetters takes one of the places for requests that read the dead-letter topic. It comes before the audit, so that a
// request that finds none does not stand there as started.
func (s *Server) enterLetters() (leave func(), refusal *problem) {
	select {
	case s.letterSlots <- struct{}{}:
		return func() { <-s.letterSlots }, nil
	default:
		return nil, busy()
	}
}

// letterProblem says in a client's terms what went wrong.
func letterProblem(ctx context.Context, err error) *problem {
	var selection *deadletter.SelectionError
	switch {
	case errors.As(err, &selection):
		p := badParameter(selection.Filter, selection.Detail)
		p.Detail = selection.Error() // what it says of a filter is not always about its value
		return p
	case errors.Is(err, deadletter.ErrNoLetter):
		return notFound(deadletter.ErrNoLetter.Error())
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), !warehouse.Retryable(err) && !errors.Is(err, deadletter.ErrKafka):
		return problemOf(err)
	}
	p := newProblem(http.StatusServiceUnavailable, "unavailable", "Kafka or the warehouse is not available", "it did not answer; try again")
	p.retryAfter, p.cause = "5", err
	return p
}

// nameOf is who wanted a replay, for the receipt.
func nameOf(p access.Principal) string {
	if p.Token == "" {
		return p.Name
	}
	return p.Name + " (key " + p.Token + ")"
}

// list splits a parameter at commas; an empty one has no values.
func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// moment reads a time, or a date at its beginning in Asia/Ho_Chi_Minh.
func moment(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, reference.TimeZone()); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, badParameter(name, "must be a date or a time of RFC 3339")
	}
	return t.In(reference.TimeZone()), nil
}

func answerJSON(w http.ResponseWriter, v any) error {
	content, err := encode(v)
	if err != nil {
		return err
	}
	writeJSON(w, content)
	return nil
}
