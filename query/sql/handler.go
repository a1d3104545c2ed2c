package sql

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"ioc.local/internal/access"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/engine"
	"ioc.local/query/sql/parse"
	"ioc.local/query/sql/sandbox"
)

// Handler answers POST /api/v1/sql. The request's context must carry the principal.
type Handler struct {
	cfg     Config
	deps    Deps
	log     *zap.Logger
	metrics *metrics
	sandbox *sandbox.Sandbox
	pools   *pools

	mu      sync.Mutex
	running map[string]int // statements by principal
	total   int
	stopped bool
	idle    chan struct{} // closed when stopped and nothing runs
}

// New checks the configuration and registers the metrics. Connections are made when they are first needed.
func New(cfg Config, deps Deps) (*Handler, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	var tables []string
	for _, v := range warehouse.AnalystViews() {
		tables = append(tables, v.Name)
	}
	box, err := sandbox.New(cfg.Database, tables)
	if err != nil {
		return nil, fmt.Errorf("sql: %w", err)
	}
	h := &Handler{cfg: cfg, deps: deps, log: deps.Logger, sandbox: box, running: map[string]int{}, idle: make(chan struct{})}
	h.pools = newPools(h.open)
	if h.metrics, err = newMetrics(deps.Registry); err != nil {
		return nil, err
	}
	return h, nil
}

// Run waits until ctx ends, then for the statements that still run, and closes the connections. Whoever serves the
// handler stops before, so that the requests' contexts end what runs.
func (h *Handler) Run(ctx context.Context) error {
	<-ctx.Done()
	h.mu.Lock()
	h.stopped = true
	if h.total == 0 {
		close(h.idle)
	}
	h.mu.Unlock()
	select {
	case <-h.idle:
	case <-time.After(h.cfg.Timeout):
		h.log.Warn("statements still run at the end")
	}
	if err := h.pools.close(); err != nil {
		return fmt.Errorf("sql: %w", err)
	}
	return nil
}

// open connects as the user of a scope. ReadTimeout ends what KILL QUERY did not; the driver is never cancelled by a
// context (see run).
func (h *Handler) open(ctx context.Context, scope string) (*warehouse.Client, error) {
	cfg, err := h.deps.Connection(scope)
	if err != nil {
		return nil, err
	}
	cfg.MaxOpenConns = h.cfg.MaxConcurrent
	cfg.ReadTimeout = h.cfg.Timeout + killGrace
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.DialTimeout)
	defer cancel()
	return warehouse.Open(ctx, cfg)
}

// statement is one request on its way.
type statement struct {
	*request
	record  Record
	started time.Time
}

// ServeHTTP answers one statement.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	id := w.Header().Get("X-Request-Id") // package query has given it
	if id == "" {
		id = newID()
		w.Header().Set("X-Request-Id", id)
	}
	s := &statement{started: time.Now(), record: Record{Request: id, Remote: r.RemoteAddr}}
	p := h.answer(w, r, s)
	if p == nil {
		return
	}
	if p.Status == 499 {
		panic(http.ErrAbortHandler) // nothing may look like an answer
	}
	writeProblem(w, id, p)
}

// count meters and logs what became of a statement.
func (h *Handler) count(s *statement, p *problem) {
	outcome := "ok"
	if p != nil {
		outcome = p.outcome()
		if p.Status >= http.StatusInternalServerError {
			h.log.Error("a statement failed", zap.String("request", s.record.Request), zap.String("outcome", outcome), zap.Error(p))
		}
	}
	h.metrics.statements.WithLabelValues(outcome).Inc()
}

// answer does everything. The problem that it returns has not been sent; where the answer had begun, there is none.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, s *statement) *problem {
	j, leave, p := h.accept(w, r, s)
	if p != nil {
		h.count(s, p)
		return p
	}
	defer leave()
	h.metrics.running.Inc()
	defer h.metrics.running.Dec()
	return h.execute(w, r, s, j)
}

// accept reads the request and decides whether its statement runs, which is audited either way.
func (h *Handler) accept(w http.ResponseWriter, r *http.Request, s *statement) (j *job, leave func(), p *problem) {
	principal, ok := access.From(r.Context())
	if !ok || !principal.Role.Allows(access.Analyst) {
		return nil, nil, newProblem(http.StatusForbidden, "forbidden", "This is not for you to see", "SQL needs the role analyst")
	}
	s.record.Principal = principal
	if s.request, p = readRequest(w, r, h.cfg.MaxBodyBytes); p != nil {
		return nil, nil, p // there is no statement to audit
	}
	s.record.Text, s.record.Params = s.text, s.texts()
	if j, p = h.prepare(principal, s); p == nil {
		leave, p = h.enter(j.key)
	}
	if p != nil {
		s.record.Phase, s.record.Outcome, s.record.Detail, s.record.Elapsed = Refused, p.outcome(), p.Detail, time.Since(s.started)
	} else {
		s.record.Phase, s.record.SQL = Started, j.SQL
	}
	if err := h.deps.Audit(r.Context(), s.record); err != nil {
		if leave != nil {
			leave()
		}
		return nil, nil, internal(fmt.Errorf("auditing a statement: %w", err))
	}
	return j, leave, p
}

// job is a statement that may run.
type job struct {
	*sandbox.Statement
	scope  access.Scope
	user   engine.Scope
	params map[string]string
	key    string // of the quota
}

// prepare decides whether a statement may run, and as whom.
func (h *Handler) prepare(principal access.Principal, s *statement) (*job, *problem) {
	j := &job{key: principalKey(principal)}
	var p *problem
	if j.scope, j.user, p = chooseScope(principal.Scope, s.scope); p != nil {
		return nil, p
	}
	s.record.Scope = j.scope.String()
	checked, err := h.sandbox.Check(s.text)
	if err != nil {
		if e, ok := errors.AsType[*parse.Error](err); ok {
			return nil, refused(e)
		}
		return nil, internal(err)
	}
	j.Statement = checked
	if checked.Totals && s.format.name == "csv" {
		return nil, badParameter("format", "must not be csv for WITH TOTALS, for which CSV has no place; use WITH ROLLUP, or another format")
	}
	if j.params, p = bind(s.params, checked.Params); p != nil {
		return nil, p
	}
	return j, nil
}

// execute runs a statement and audits its end.
func (h *Handler) execute(w http.ResponseWriter, r *http.Request, s *statement, j *job) *problem {
	ctx, cancel := context.WithTimeoutCause(r.Context(), h.cfg.Timeout, context.DeadlineExceeded)
	defer cancel()
	out := &answer{w: w, request: s, job: j, control: http.NewResponseController(w), writeTimeout: h.cfg.WriteTimeout}
	p := h.run(ctx, j, out)
	elapsed := time.Since(s.started)
	h.metrics.duration.Observe(elapsed.Seconds())
	h.metrics.rows.Add(float64(out.rows))
	s.record.Phase, s.record.Outcome, s.record.Rows, s.record.Elapsed = Ended, "ok", out.rows, elapsed
	if p != nil {
		s.record.Outcome, s.record.Detail = p.outcome(), p.Detail
	}
	// It has run: the client's going must not keep it out of the log.
	if err := h.deps.Audit(context.WithoutCancel(r.Context()), s.record); err != nil {
		h.log.Error("the end of a statement was not audited", zap.String("request", s.record.Request), zap.Error(err))
	}
	h.count(s, p)
	return out.finish(p)
}

// enter takes a place among the running statements.
func (h *Handler) enter(key string) (leave func(), p *problem) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.stopped:
		return nil, unavailable(errors.New("the server is stopping"))
	case h.running[key] >= h.cfg.MaxPerPrincipal:
		return nil, quota("1", fmt.Sprintf("%d of your statements run already; wait for one to end", h.cfg.MaxPerPrincipal))
	case h.total >= h.cfg.MaxConcurrent:
		return nil, busy()
	}
	h.running[key]++
	h.total++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.running[key]--; h.running[key] == 0 {
			delete(h.running, key)
		}
		if h.total--; h.total == 0 && h.stopped {
			close(h.idle)
		}
	}, nil
}

// principalKey tells principals apart: by their keys, or else by their names.
func principalKey(p access.Principal) string {
	if p.Token != "" {
		return "token " + p.Token
	}
	return "name " + p.Name
}

func newID() string {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails, by its documentation
	return hex.EncodeToString(id)
}

// writeProblem answers with a problem document.
func writeProblem(w http.ResponseWriter, id string, p *problem) {
	p.Instance = "urn:ioc:request:" + id
	content, err := json.Marshal(p)
	if err != nil { // texts and numbers always have JSON
		content = nil
	}
	header := w.Header()
	if p.retryAfter != "" {
		header.Set("Retry-After", p.retryAfter)
	}
	for _, name := range []string{"Trailer", "X-Ioc-Scope", "Content-Disposition"} {
		header.Del(name)
	}
	header.Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(content, '\n')) // the client may be gone
}
