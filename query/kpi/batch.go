package kpi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// batchStatements bounds how many questions of one batch are evaluated at once, so that it does not take every connection.
const batchStatements = 4

// Batch is what several questions that are asked together are answered with: under one reading of the clock, and where the
// answers are published ones, from one publication.
type Batch struct {
	// Clock is the reading. What is evaluated for the batch is evaluated at it.
	Clock time.Time
	// AsOf is the greatest as_of of the answers: none has seen anything later. It is zero when there is no answer.
	AsOf time.Time
	// Revision names the revisions of all answers in their order: equal batches of exact KPIs with equal revisions are equal
	// to the last bit. It is empty when a question has no answer.
	Revision string
	// Outcomes are in the order of the questions.
	Outcomes []Outcome
}

// Outcome is the answer to one question of a batch, or why there is none.
type Outcome struct {
	Answer *Answer
	Err    error // *Error; nil where there is an answer.
}

// AnswerAll answers questions together. What is wrong with one of them is its outcome; the error is that of ctx.
func (e *Evaluator) AnswerAll(ctx context.Context, qs []Query) (*Batch, error) {
	batch := &Batch{Clock: e.deps.Now().Truncate(time.Millisecond), Outcomes: make([]Outcome, len(qs))}
	publication := e.current.Load()
	work, workCtx := errgroup.WithContext(ctx)
	work.SetLimit(batchStatements)
	for i, q := range qs {
		outcome := &batch.Outcomes[i]
		asked, err := e.deps.Catalogue.check(q)
		if err != nil {
			outcome.Err = err
			continue
		}
		asked.clock = batch.Clock
		work.Go(func() error {
			outcome.Answer, outcome.Err = e.answerBy(workCtx, publication, asked)
			return workCtx.Err()
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	batch.sum()
	return batch, nil
}

// sum names what the batch is made of.
func (b *Batch) sum() {
	h := sha256.New()
	complete := true
	for _, o := range b.Outcomes {
		if o.Answer == nil {
			complete = false
			continue
		}
		b.AsOf = later(b.AsOf, o.Answer.AsOf.Time)
		fmt.Fprintf(h, "%s\n", o.Answer.Revision)
	}
	if complete {
		b.Revision = "b-" + hex.EncodeToString(h.Sum(nil)[:6])
	}
}

// answerBy answers from the publication, which may be nil, where it can, else from what was answered since, else evaluates.
func (e *Evaluator) answerBy(ctx context.Context, p *Publication, asked *question) (*Answer, error) {
	if a, ok := e.from(p, asked); ok {
		return a, nil
	}
	key, generation := asked.key(), p.generation(asked.def)
	a, ok := e.cache.get(key, generation)
	if !ok {
		flight := key
		if !asked.clock.IsZero() { // with those only who ask at the same reading of the clock
			flight += asked.clock.String()
		}
		var err error
		if a, err = e.evaluateOnce(ctx, flight, asked); err != nil {
			return nil, err
		}
		if asked.def.Kind != KindAge {
			e.cache.put(key, asked.def.Source, generation, a)
		}
	}
	return asked.page(a)
}

// now is the reading of the clock that the question is to be answered at.
func (e *Evaluator) now(q *question) time.Time {
	if q.clock.IsZero() {
		return e.deps.Now()
	}
	return q.clock
}
