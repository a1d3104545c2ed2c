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
	notes  []note
}

// note is what an operator should know although nothing fails. about is empty where it stays.
type note struct{ about, text string }

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

// Note adds what an operator should know although nothing fails, such as a safeguard that is not configured. It stays.
func (h *Health) Note(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, note{text: text})
}

// NoteAbout says what an operator should know of one matter although nothing fails, in place of what was said of it
// before. An empty text takes that back. The matter must have a name.
func (h *Health) NoteAbout(about, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.notes, func(n note) bool { return n.about == about })
	switch {
	case i >= 0 && text == "":
		h.notes = slices.Delete(h.notes, i, i+1)
	case i >= 0:
		h.notes[i].text = text
	case text != "":
		h.notes = append(h.notes, note{about, text})
	}
}

// Notes lists what Note and NoteAbout said, in the order in which it came up.
func (h *Health) Notes() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	texts := make([]string, 0, len(h.notes))
	for _, n := range h.notes {
		texts = append(texts, n.text)
	}
	return texts
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
