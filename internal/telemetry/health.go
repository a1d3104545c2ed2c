package telemetry

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
)

// Health collects the probes of a process's components. It is ready when every probe is ok. It is safe for concurrent
// use.
type Health struct {
	mu     sync.Mutex
	probes []*Probe // by name
	notes  []string
}

// NewHealth makes a Health without probes, which is ready.
func NewHealth() *Health { return &Health{} }

// Probe tells the health of one component.
type Probe struct {
	health *Health
	name   string
	err    error // nil when ok
	since  time.Time
}

// ProbeState is what a probe last told.
type ProbeState struct {
	Name  string    `json:"name"`
	OK    bool      `json:"ok"`
	Error string    `json:"error,omitempty"`
	Since time.Time `json:"since"` // When OK last changed.
}

var errStarting = errors.New("starting")

// Probe registers a component, which fails with "starting" until it says otherwise. The same name gives the same
// probe.
func (h *Health) Probe(name string) *Probe {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, found := slices.BinarySearchFunc(h.probes, name, func(p *Probe, name string) int { return strings.Compare(p.name, name) })
	if !found {
		h.probes = slices.Insert(h.probes, i, &Probe{health: h, name: name, err: errStarting, since: time.Now()})
	}
	return h.probes[i]
}

// Ready tells whether all probes are ok, and the state of each by name.
func (h *Health) Ready() (ok bool, detail []ProbeState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ok = true
	detail = make([]ProbeState, 0, len(h.probes))
	for _, p := range h.probes {
		state := ProbeState{Name: p.name, OK: p.err == nil, Since: p.since}
		if p.err != nil {
			ok = false
			state.Error = p.err.Error()
		}
		detail = append(detail, state)
	}
	return ok, detail
}

// Note adds what an operator should know although nothing fails, such as a safeguard that is not configured.
func (h *Health) Note(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, text)
}

// Notes lists what Note added.
func (h *Health) Notes() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.notes)
}

// OK tells that the component works.
func (p *Probe) OK() { p.set(nil) }

// Fail tells why the component does not work. A nil error is a failure without a reason.
func (p *Probe) Fail(err error) {
	if err == nil {
		err = errors.New("failing")
	}
	p.set(err)
}

func (p *Probe) set(err error) {
	p.health.mu.Lock()
	defer p.health.mu.Unlock()
	if (p.err == nil) != (err == nil) {
		p.since = time.Now()
	}
	p.err = err
}
