package stream

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"ioc.local/internal/access"
	"ioc.local/internal/reference"
	"ioc.local/query/kpi"
)

// Publisher is where values come from: the KPI evaluator.
type Publisher interface {
	// Current is the newest publication, nil before the first.
	Current() *kpi.Publication
	// Subscribe delivers publications from now on, until cancel is called; a reader that is slow misses some.
	Subscribe() (publications <-chan *kpi.Publication, cancel func())
	// AddInterest has a KPI published over a period, in every scope.
	AddInterest(id, period string) (release func(), err error)
}

// LateSource is a source that should have been heard of and was not.
type LateSource struct {
	// Source is its name in the source registry.
	Source string
	// Since is when it was last heard of.
	Since time.Time
}

// Deps are what a Hub needs from outside.
type Deps struct {
	Logger    *zap.Logger
	Registry  prometheus.Registerer
	Publisher Publisher
	// Gate tells when a client is no longer allowed.
	Gate *access.Gate
	// Boards are what clients can subscribe to.
	Boards []Board
	// Reference tells which provinces there are.
	Reference *reference.Data
	// CaughtUp tells whether ingestion has read all that Kafka has. Nil where that is not known.
	CaughtUp func() bool
	// Late lists the sources that are silent, in a stable order. Nil where there is no source registry.
	Late func() []LateSource
}

// Hub is the live feed: it takes the publications in and hands each client what
// changed on the boards that it watches. It is an http.Handler.
type Hub struct {
	cfg     Config
	deps    Deps
	log     *zap.Logger
	metrics *metrics
	sent    counters
	epoch   string
	boards  map[string]*Board
	scopes  map[string]scope // by the name that clients write

	releases []func() // of the publisher's interest

	open    sync.WaitGroup // requests between admission and end
	buffers sync.Pool      // write buffers of connections that have nothing to write

	mu       sync.Mutex
	closing  bool
	admitted int
	conns    map[*conn]struct{}
	channels map[channelKey]*channel
	last     *kpi.Publication
	heardAt  time.Time // when last came, or Run started
	late     []LateSource
}

type channelKey struct{ board, scope string }

// The scopes that are not one province's.
const (
	scopeNational  = "national"
	scopeProvinces = "provinces" // each province by itself, in one channel
)

// scope is a scope of the feed.
type scope struct {
	codes []string // as publications write them
	each  bool     // whether values say which province they are of
}

// allows tells whether a principal may see a board at a scope of the feed, by the contract's rules: national totals are
// for all, but for those of sensitive KPIs.
func (s scope) allows(p access.Principal, board *Board) bool {
	if s.each {
		return p.Scope.National
	}
	if s.codes[0] == kpi.National {
		return p.Scope.National || !board.sensitive
	}
	return p.Scope.Contains(s.codes[0])
}

// cells are the places for the values of a board at the scope.
func (s scope) cells(board *Board) []cell {
	var cells []cell
	for _, k := range board.KPIs {
		for _, code := range s.codes {
			place := cell{kpi: k, code: code}
			if s.each {
				place.province = code
			}
			cells = append(cells, place)
		}
	}
	return cells
}

// New checks the configuration and asks the publisher for what the boards show.
func New(cfg Config, deps Deps) (*Hub, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if deps.Gate == nil {
		return nil, errors.New("stream: a gate is needed")
	}
	epoch := make([]byte, 8)
	if _, err := rand.Read(epoch); err != nil {
		return nil, fmt.Errorf("stream: making an epoch: %w", err)
	}
	h := &Hub{
		cfg: cfg, deps: deps, log: deps.Logger, epoch: hex.EncodeToString(epoch),
		boards: make(map[string]*Board), scopes: map[string]scope{scopeNational: {codes: []string{kpi.National}}},
		conns: make(map[*conn]struct{}), channels: make(map[channelKey]*channel), heardAt: time.Now(),
	}
	all := scope{each: true}
	for _, p := range deps.Reference.Provinces34() {
		h.scopes["province:"+p.Code] = scope{codes: []string{p.Code}}
		all.codes = append(all.codes, p.Code)
	}
	h.scopes[scopeProvinces] = all
	for i := range deps.Boards {
		board := &deps.Boards[i]
		h.boards[board.ID] = board
		for _, k := range board.KPIs {
			release, err := deps.Publisher.AddInterest(k.ID, k.Period)
			if err != nil {
				return nil, fmt.Errorf("stream: board %s: %w", board.ID, err)
			}
			h.releases = append(h.releases, release)
		}
	}
	var err error
	if h.metrics, err = newMetrics(deps.Registry); err != nil {
		return nil, fmt.Errorf("stream: registering metrics: %w", err)
	}
	h.sent = h.metrics.counters()
	return h, nil
}

// Run hands out publications until the context ends, then closes all connections
// with code 1012 and returns when they are gone, after ShutdownTimeout at the latest.
func (h *Hub) Run(ctx context.Context) error {
	publications, cancel := h.deps.Publisher.Subscribe()
	defer cancel()
	defer func() {
		for _, release := range h.releases {
			release()
		}
	}()
	changed := h.deps.Gate.Changed()
	h.review()
	h.publish(h.deps.Publisher.Current())
	beat := time.NewTicker(h.cfg.Heartbeat)
	defer beat.Stop()
	ping := time.NewTicker(h.cfg.PongTimeout / 3)
	defer ping.Stop()
	for {
		select {
		case <-ctx.Done():
			h.shutdown()
			return nil
		case <-changed:
			changed = h.deps.Gate.Changed()
			h.review()
		case p, ok := <-publications:
			if !ok {
				publications = nil // the evaluator ended before us; the beats will tell
			}
			h.publish(p)
		case now := <-beat.C:
			h.beat(now)
		case <-ping.C:
			h.toAll(pingFrame)
		}
	}
}

// review ends the connections of those who are no longer allowed.
func (h *Hub) review() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.conns {
		h.check(c)
	}
}

// check ends a connection whose principal is no longer allowed. Where that cannot be told, because the keys have not
// been read for too long, the client is to come back. The lock must be held.
func (h *Hub) check(c *conn) {
	err := h.deps.Gate.Check(c.principal)
	if err == nil {
		return
	}
	var refusal *access.Refusal
	if errors.As(err, &refusal) && refusal.Reason == access.Unavailable {
		c.out.finish(&closing{code: CodeInternal})
		return
	}
	c.out.finish(&closing{code: CodeNotAllowed})
}

// publish sends each watched channel's delta to those who watch it.
func (h *Hub) publish(p *kpi.Publication) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p == nil || h.last != nil && p.Number <= h.last.Number {
		return
	}
	h.last, h.heardAt = p, time.Now()
	for _, ch := range h.channels {
		if !ch.live {
			continue
		}
		d, err := ch.advance(p)
		h.note(ch, err)
		if d == nil {
			continue
		}
		for c := range ch.watchers {
			h.push(c, item{frame: d.frame, channel: ch, delta: d})
		}
	}
}

// beat tells everybody the time and how far the values are, and what is late. It
// also lets channels go that nobody has watched for a while.
func (h *Hub) beat(now time.Time) {
	message := beatMessage{Type: kindBeat, ServerTime: stampOf(now)}
	if h.deps.CaughtUp != nil {
		caughtUp := h.deps.CaughtUp()
		message.CaughtUp = &caughtUp
	}
	var silent []LateSource
	if h.deps.Late != nil {
		silent = h.deps.Late()
	}

	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last != nil {
		message.Watermark, message.PublishedAt = stampOf(h.last.AsOf), stampOf(h.last.At)
	}
	if now.Sub(h.heardAt) > h.cfg.LateAfter {
		silent = append([]LateSource{{Source: "evaluator", Since: h.heardAt}}, silent...)
	}
	if !slices.EqualFunc(silent, h.late, func(a, b LateSource) bool { return a.Source == b.Source && a.Since.Equal(b.Since) }) {
		h.late = silent
		h.toAllLocked(h.lateFrame())
	}
	h.toAllLocked(plainFrame(kindBeat, message))
	for _, ch := range h.channels {
		if ch.live && len(ch.watchers) == 0 && now.Sub(ch.idleSince) > h.cfg.Linger {
			ch.sleep()
		}
	}
}

func (h *Hub) lateFrame() *frame {
	message := lateMessage{Type: kindLate, Sources: []lateElement{}}
	for _, s := range h.late {
		message.Sources = append(message.Sources, lateElement{s.Source, stampOf(s.Since)})
	}
	return plainFrame(kindLate, message)
}

func (h *Hub) toAll(f *frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.toAllLocked(f)
}

func (h *Hub) toAllLocked(f *frame) {
	for c := range h.conns {
		c.out.replace(f)
	}
}

// note keeps a value that cannot be encoded from going unseen; the channel goes on with the others.
func (h *Hub) note(ch *channel, err error) {
	if err != nil {
		h.metrics.failed.Inc()
		h.log.Warn("a publication has values without JSON", zap.String("board", ch.board.ID), zap.String("scope", ch.scope), zap.Error(err))
	}
}

// push puts items in a client's line.
func (h *Hub) push(c *conn, items ...item) {
	if merged := c.out.push(items...); merged > 0 {
		h.metrics.conflated.Add(float64(merged))
	}
}

func (h *Hub) dropped(code int) { h.metrics.dropped.WithLabelValues(codeLabel(code)).Inc() }

// shutdown ends all connections, those that do not listen by force.
func (h *Hub) shutdown() {
	h.mu.Lock()
	h.closing = true
	for c := range h.conns {
		c.out.finish(&closing{code: CodeRestarting})
	}
	h.mu.Unlock()

	gone := make(chan struct{})
	go func() {
		defer close(gone)
		h.open.Wait()
	}()
	timer := time.NewTimer(h.cfg.ShutdownTimeout)
	defer timer.Stop()
	select {
	case <-gone:
		return
	case <-timer.C:
	}
	h.mu.Lock()
	for c := range h.conns {
		c.cut()
	}
	h.mu.Unlock()
	<-gone
}
