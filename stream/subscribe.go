package stream

import "time"

// subscribe puts a client on a channel: with the deltas that it missed, if they are
// all there, else with a snapshot. The lock is held from the look at the state to
// the entry among the watchers, so that no delta falls in between.
func (h *Hub) subscribe(c *conn, m message) {
	board, ok := h.boards[m.Board]
	if !ok {
		c.reject(m, "unknown_board", "there is no board %q", m.Board)
		return
	}
	scope, ok := h.scopes[m.Scope]
	if !ok {
		c.reject(m, "unknown_scope", "there is no scope %q: it is national, provinces, or province: and a code of the 34-scheme", m.Scope)
		return
	}
	if !scope.allows(c.principal, board) {
		c.reject(m, "forbidden_scope", "board %s at %s is outside your scope, which is %s", m.Board, m.Scope, c.principal.Scope)
		return
	}

	h.mu.Lock()
	defer h.mu.Unlock()
	key := channelKey{m.Board, m.Scope}
	ch := h.channels[key]
	if ch == nil {
		ch = &channel{board: board, scope: m.Scope, cells: scope.cells(board), limit: h.cfg.HistoryFrames, watchers: make(map[*conn]struct{})}
		h.channels[key] = ch
	}
	if _, again := c.watching[ch]; again {
		h.leave(c, ch)
	} else if len(c.watching) >= h.cfg.MaxSubscriptions {
		c.reject(m, "too_many_subscriptions", "a connection may watch %d boards and scopes", h.cfg.MaxSubscriptions)
		return
	}
	if !ch.live {
		h.note(ch, ch.wake(h.last))
	}
	items, err := h.start(ch, m.Resume)
	if err != nil {
		h.note(ch, err)
		c.out.finish(&closing{code: CodeInternal})
		return
	}
	ch.watchers[c] = struct{}{}
	c.watching[ch] = struct{}{}
	h.metrics.subscriptions.Inc()
	h.push(c, items...)
}

// start is what a new watcher of a channel gets first.
func (h *Hub) start(ch *channel, from *resume) ([]item, error) {
	if from != nil && from.Epoch == h.epoch {
		if deltas, ok := ch.missed(from.Offset); ok {
			first, err := ch.encodeResumed(h.epoch, from.Offset)
			if err != nil {
				return nil, err
			}
			items := []item{{frame: first, channel: ch}}
			for _, d := range deltas {
				items = append(items, item{frame: d.frame, channel: ch, delta: d, replayed: true})
			}
			return items, nil
		}
	}
	snapshot, err := ch.encodeSnapshot(h.epoch)
	return []item{{frame: snapshot, channel: ch}}, err
}

func (h *Hub) unsubscribe(c *conn, m message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ch := h.channels[channelKey{m.Board, m.Scope}]
	if _, ok := c.watching[ch]; !ok {
		c.reject(m, "not_subscribed", "this connection does not watch board %q at scope %q", m.Board, m.Scope)
		return
	}
	h.leave(c, ch)
}

// leave takes a client off a channel, with what was in line for it. The lock must be held.
func (h *Hub) leave(c *conn, ch *channel) {
	delete(c.watching, ch)
	delete(ch.watchers, c)
	c.out.forget(ch)
	h.metrics.subscriptions.Dec()
	if len(ch.watchers) == 0 {
		ch.idleSince = time.Now()
	}
}
