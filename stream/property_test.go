package stream

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// model is a client as the package comment describes it: it applies frames and
// checks that each fits. After each frame it remembers its state by offset.
type model struct {
	client *client // nil while disconnected
	board  string
	scope  string
	known  bool // whether it has a state to resume from
	epoch  string
	offset uint64
	state  map[string]string
	seen   []seen
	ended  chan error // from the reading goroutine
}

type seen struct {
	offset uint64
	state  map[string]string
}

func (m *model) connect(f *feed, from *resume) {
	m.client = f.dial(nil)
	m.ended = make(chan error, 1)
	request := fmt.Sprintf(`{"type":"subscribe","board":%q,"scope":%q}`, m.board, m.scope)
	if from != nil {
		request = fmt.Sprintf(`{"type":"subscribe","board":%q,"scope":%q,"resume":{"epoch":%q,"offset":%d}}`, m.board, m.scope, from.Epoch, from.Offset)
	}
	m.client.send(request)
	client := m.client
	go func() { m.ended <- m.follow(client) }()
}

// follow applies frames until the connection ends; an error is a breach of the protocol.
func (m *model) follow(c *client) error {
	following := false
	for {
		content, err := c.next()
		if err != nil {
			return nil
		}
		var r received
		if err := json.Unmarshal([]byte(content), &r); err != nil {
			return fmt.Errorf("frame %s: %w", content, err)
		}
		switch r.Type {
		case kindHello, kindBeat, kindLate:
			continue
		case kindSnapshot:
			if following {
				return fmt.Errorf("a snapshot after the answer: %s", content)
			}
			m.state, following, m.known = make(map[string]string), true, true
		case kindResumed:
			if following || !m.known || r.Epoch != m.epoch || r.Offset != m.offset {
				return fmt.Errorf("resumed does not fit epoch %s offset %d: %s", m.epoch, m.offset, content)
			}
			following = true
			continue
		case kindDelta:
			if !following {
				return fmt.Errorf("a delta before the answer: %s", content)
			}
			if fits := r.Offset == m.offset+1 || r.Conflated && r.Offset > m.offset; !fits {
				return fmt.Errorf("a gap after offset %d: %s", m.offset, content)
			}
			if len(r.Values) == 0 {
				return fmt.Errorf("an empty delta: %s", content)
			}
			r.Epoch = m.epoch
			m.state = maps.Clone(m.state)
		default:
			return fmt.Errorf("unexpected frame %s", content)
		}
		for _, v := range r.Values {
			m.state[keyOf(v)] = string(v)
		}
		m.epoch, m.offset = r.Epoch, r.Offset
		m.seen = append(m.seen, seen{m.offset, m.state})
	}
}

func keyOf(value json.RawMessage) string {
	var k struct{ KPI, Period, Province string }
	if err := json.Unmarshal(value, &k); err != nil {
		return err.Error()
	}
	if k.Province != "" {
		return k.KPI + "/" + k.Period + "/" + k.Province
	}
	return k.KPI + "/" + k.Period
}

func (m *model) disconnect() error {
	m.client.close()
	m.client = nil
	return <-m.ended
}

// truth is the server's state of every channel at every offset that it had.
type truth map[channelKey]map[uint64]map[string]string

// record adds the state as it is now; it runs after each publication, before the next.
func (tr truth) record(h *Hub) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, ch := range h.channels {
		if !ch.live {
			continue
		}
		state := make(map[string]string)
		for _, v := range ch.state {
			if v != nil {
				state[keyOf(v)] = string(v)
			}
		}
		if tr[key] == nil {
			tr[key] = make(map[uint64]map[string]string)
		}
		tr[key][ch.offset] = state
	}
}

// TestConverges publishes, disconnects, resumes and lets channels go to sleep at random. Whatever
// happens, what a client holds at an offset is what the server held at it, and in
// the end all are at the newest.
func TestConverges(t *testing.T) {
	answers := make(map[string]int) // to a resume
	rapid.Check(t, func(rt *rapid.T) {
		f := newFeed(t, smallConfig(), nil)
		defer f.stop()
		want := make(truth)
		values := map[string]int64{}
		var number uint64
		publish := func() {
			number++
			for range rapid.IntRange(0, 3).Draw(rt, "changes") {
				k := rapid.SampledFrom(testBoards[0].KPIs).Draw(rt, "kpi")
				scope := rapid.SampledFrom([]string{"national", "79", "01"}).Draw(rt, "scope")
				values[k.ID+"/"+scope+"/"+k.Period] = rapid.Int64Range(0, 3).Draw(rt, "value")
			}
			f.hub.publish(publication(number, values))
			want.record(f.hub)
		}
		models := make([]*model, rapid.IntRange(1, 4).Draw(rt, "clients"))
		for i := range models {
			models[i] = &model{board: "overview", scope: rapid.SampledFrom([]string{"national", "province:79", "provinces"}).Draw(rt, "scope")}
		}
		// watched waits until the server has seen every connection and every disconnection.
		watched := func() {
			connected := 0
			for _, m := range models {
				if m.client != nil {
					connected++
				}
			}
			eventually(t, "the server to see all clients", func() bool { return f.watchers() == connected })
		}
		disconnect := func(m *model) {
			if err := m.disconnect(); err != nil {
				rt.Fatal(err)
			}
			watched()
		}
		connect := func(m *model, from *resume) {
			m.connect(f, from)
			watched() // so the channel exists, and has a state to record
			want.record(f.hub)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"publish": func(*rapid.T) { publish() },
			"burst": func(*rapid.T) {
				for range 30 {
					publish()
				}
			},
			"turn": func(rt *rapid.T) {
				m := models[rapid.IntRange(0, len(models)-1).Draw(rt, "client")]
				if m.client != nil {
					disconnect(m)
					return
				}
				var from *resume
				if m.known && rapid.Bool().Draw(rt, "resume") {
					from = &resume{m.epoch, m.offset}
				}
				connect(m, from)
			},
			"sleep": func(*rapid.T) { f.hub.beat(time.Now().Add(2 * f.hub.cfg.Linger)) },
		})
		for _, m := range models {
			if m.client == nil && m.known {
				connect(m, &resume{m.epoch, m.offset})
			}
		}
		values["dossiers_received/national/today"], values["dossiers_received/79/today"] = 1000, 1000 // the latter in provinces too
		publish()
		for _, m := range models {
			if m.client == nil {
				continue
			}
			f.hub.mu.Lock()
			newest := f.hub.channels[channelKey{m.board, m.scope}].offset
			f.hub.mu.Unlock()
			// The answer to a message comes after all that was in line, and being unexpected it ends follow.
			m.client.send(`{"type":"unsubscribe","board":"overview","scope":"province:01"}`)
			if err := <-m.ended; err == nil || m.offset != newest {
				rt.Fatalf("%s ended at offset %d of %d: %v", m.scope, m.offset, newest, err)
			}
			m.client.close()
			m.client = nil
		}
		answers[kindResumed] += int(f.metric("ioc_stream_frames_sent_total", "type=resumed"))
		answers[kindSnapshot] += int(f.metric("ioc_stream_frames_sent_total", "type=snapshot"))
		for _, m := range models {
			for _, s := range m.seen {
				server, ok := want[channelKey{m.board, m.scope}][s.offset]
				if !ok {
					rt.Fatalf("%s: the server never was at offset %d", m.scope, s.offset)
				}
				if diff := cmp.Diff(server, s.state); diff != "" {
					rt.Fatalf("%s at offset %d, server against client:\n%s", m.scope, s.offset, diff)
				}
			}
		}
	})
	if answers[kindResumed] == 0 || answers[kindSnapshot] == 0 {
		t.Errorf("the property was hardly put to the test: %v", answers)
	}
}
