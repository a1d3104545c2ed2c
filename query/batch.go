package query

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"go.uber.org/zap"

	"ioc.local/internal/access"
	"ioc.local/query/kpi"
)

// The bounds of one request with several questions.
const (
	batchQueries = 64
	batchBody    = 64 << 10
)

// batchAnswer is the answer to several questions: of one reading of the clock and one publication.
type batchAnswer struct {
	AsOf        *kpi.Time `json:"as_of"`    // null where nothing was answered
	Revision    *string   `json:"revision"` // null where a question has no answer
	EvaluatedAt kpi.Time  `json:"evaluated_at"`
	Problems    int       `json:"problems"`

	answers []any // *kpi.Answer or unanswered, in the order of the questions: the member answers
}

// encode is the answer's JSON.
func (a *batchAnswer) encode() ([]byte, error) {
	content, err := encode(a)
	if err != nil {
		return nil, err
	}
	content = append(bytes.TrimSuffix(content, []byte("}\n")), `,"answers":[`...)
	for i, one := range a.answers {
		if i > 0 {
			content = append(content, ',')
		}
		switch one := one.(type) {
		case *kpi.Answer:
			content, err = one.AppendJSON(content)
		default:
			var text []byte
			text, err = encode(one)
			content = append(content, bytes.TrimSuffix(text, []byte("\n"))...)
		}
		if err != nil {
			return nil, err
		}
	}
	return append(content, "]}\n"...), nil
}

// unanswered is a question without an answer. An answer has no member problem.
type unanswered struct {
	ID      string   `json:"id"`
	Problem *problem `json:"problem"`
}

// answers is several KPIs at once. A mistake in one question is the whole request's, so that no answer is taken for that to
// another question; what only the catalogue or the warehouse knows is the problem of its question alone.
func (s *Server) answers(w http.ResponseWriter, r *http.Request) error {
	principal, ok := access.From(r.Context())
	if !ok {
		return unauthorized("", "show a key: Authorization: Bearer …")
	}
	if err := only(r.URL, nil); err != nil {
		return err
	}
	body, err := readJSON(w, r, batchBody)
	if err != nil {
		return err
	}
	asks, err := parseBatch(body)
	if err != nil {
		return err
	}
	questions, err := s.questions(asks, principal)
	if err != nil {
		return err
	}
	// The request itself was counted when it came in.
	for range len(asks) - 1 {
		if wait, ok := s.rates.Allow(callerOf(r, principal)); !ok {
			return tooMany(fmt.Sprintf("each of the %d queries counts as a request; wait, or ask for fewer at once", len(asks)), wait)
		}
	}
	batch, err := s.deps.Evaluator.AnswerAll(r.Context(), questions)
	if err != nil {
		return err
	}
	answer, err := s.batchAnswer(w, batch, asks)
	if err != nil {
		return err
	}
	content, err := answer.encode()
	if err != nil {
		return err
	}
	if answer.Problems > 0 { // it may be answered the next time
		w.Header().Set("Cache-Control", "no-store")
		writeJSON(w, content)
		return nil
	}
	validated, err := timelessBatch(answer).encode()
	if err != nil {
		return err
	}
	parts := [][]byte{[]byte(principal.Scope.String()), validated}
	for _, ask := range asks {
		parts = append(parts, []byte(ask.id), []byte(ask.parameters.Encode()))
	}
	if !fresh(w, r, etagOf(parts...)) {
		writeJSON(w, content)
	}
	return nil
}

// questions checks what was asked. A KPI that is not known is left to the evaluator, since it is no mistake in the form.
func (s *Server) questions(asks []wanted, principal access.Principal) ([]kpi.Query, error) {
	all := make([]kpi.Query, len(asks))
	for i, ask := range asks {
		if err := s.mayAsk(principal, ask.id, place(i, "id")); err != nil {
			return nil, err
		}
		if _, known := s.deps.Catalogue.Get(ask.id); !known {
			all[i] = kpi.Query{KPI: ask.id, Scope: kpi.Scope(principal.Scope)}
			continue
		}
		var err error
		if all[i], err = kpi.ParseQuery(s.deps.Catalogue, ask.id, ask.parameters, kpi.Scope(principal.Scope)); err != nil {
			return nil, placed(problemOf(err), i)
		}
	}
	return all, nil
}

// batchAnswer gives each question its answer or problem. Where the server failed all of them, the whole request has failed.
func (s *Server) batchAnswer(w http.ResponseWriter, batch *kpi.Batch, asks []wanted) (*batchAnswer, error) {
	answer := &batchAnswer{EvaluatedAt: kpi.Time{Time: batch.Clock}, answers: make([]any, len(asks))}
	if !batch.AsOf.IsZero() {
		answer.AsOf = &kpi.Time{Time: batch.AsOf}
	}
	if batch.Revision != "" {
		answer.Revision = &batch.Revision
	}
	failed := 0
	for i, outcome := range batch.Outcomes {
		answer.answers[i] = outcome.Answer
		if outcome.Err == nil {
			continue
		}
		answer.Problems++
		p := *placed(problemOf(outcome.Err), i)
		p.Instance = "urn:ioc:request:" + w.Header().Get("X-Request-Id")
		if p.Status >= http.StatusInternalServerError {
			if failed++; failed == len(asks) {
				return nil, outcome.Err
			}
			s.log.Error("a question of several failed", zap.String("request", w.Header().Get("X-Request-Id")), zap.Int("query", i), zap.Error(outcome.Err))
		}
		answer.answers[i] = unanswered{asks[i].id, &p}
	}
	return answer, nil
}

// timelessBatch is the answer without when it was given.
func timelessBatch(answer *batchAnswer) *batchAnswer {
	timeless := *answer
	timeless.EvaluatedAt, timeless.answers = kpi.Time{}, slices.Clone(answer.answers)
	for i, one := range timeless.answers {
		if a, ok := one.(*kpi.Answer); ok {
			without := *a
			without.EvaluatedAt = kpi.Time{}
			timeless.answers[i] = &without
		}
	}
	return &timeless
}

// wanted is one question as it came: the parameters of GET by name.
type wanted struct {
	id         string
	parameters url.Values
}

// place names a member of the i-th question.
func place(i int, name string) string {
	if name == "" {
		return fmt.Sprintf("queries[%d]", i)
	}
	return fmt.Sprintf("queries[%d].%s", i, name)
}

// placed is the problem with the place of the question that it is about. A bad parameter's detail starts with its name.
func placed(p *problem, i int) *problem {
	at := *p
	at.Parameter = place(i, p.Parameter)
	switch {
	case p.Status == http.StatusBadRequest && p.Parameter != "":
		at.Detail = place(i, "") + "." + p.Detail
	case p.Status < http.StatusInternalServerError:
		at.Detail = place(i, "") + ": " + p.Detail
	}
	return &at
}
